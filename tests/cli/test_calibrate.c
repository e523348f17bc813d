/* test_calibrate.c - timing of cases on a clock that the cases move themselves */
#include "cli/calibrate.h"

#include "base/clock.h"
#include "base/check.h"
#include "xt.h"

#define MS INT64_C(1000000)

struct timed {
    struct mu_clock *clock;
    int64_t ns, slow_from, slow_until; /* of a call; when calls take a hundred times as long */
    int64_t calls;
    int fails_at; /* call; 0: none */
};

static int pass_time(void *arg, int64_t call, struct mu_err *e)
{
    struct timed *t = arg;
    int64_t now = mu_now_ns(t->clock);
    bool is_slow = now >= t->slow_from && now < t->slow_until;
    if (t->fails_at > 0 && call >= t->fails_at)
        return mu_fail(e, MU_ENUMERIC, "call %d", (int)call);
    t->calls++;
    mu_clock_fake_advance(t->clock, is_slow ? 100 * t->ns : t->ns);
    return MU_OK;
}

static void start(struct mu_calibration *c, struct mu_clock *clock)
{
    mu_clock_fake_init(clock, 0);
    *c = (struct mu_calibration){.clock = clock};
    mu_progress_start(&c->progress, "testing", "turns");
}

XT_TEST(each_case_has_the_time_of_its_calls)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct mu_calibration c;
    start(&c, &clock);
    struct timed t[] = {{&clock, .ns = 2 * MS}, {&clock, .ns = 5 * MS}, {&clock, .ns = 900 * MS}};
    struct mu_calibrate_case cases[] = {{pass_time, &t[0], 4, 0}, {pass_time, &t[1], 1, 0}, {pass_time, &t[2], 1, 0}};
    XT_OK(mu_calibrate_cases(&c, cases, 3, &err));
    XT_NEAR(cases[0].seconds, 0.002, 1e-12);
    XT_NEAR(cases[1].seconds, 0.005, 1e-12);
    XT_NEAR(cases[2].seconds, 0.9, 1e-12);
    XT_EQ(t[2].calls, 5); /* one a turn, however long */
    XT_CHECK(t[1].calls >= 5);
}

/* The first case would have been all of it, had each case run to its end before the next began. */
XT_TEST(a_slow_moment_does_not_belong_to_one_case)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct mu_calibration c;
    for (int64_t from = 0; from < 800; from += 50) {
        start(&c, &clock);
        struct timed t[] = {{&clock, .ns = 2 * MS, .slow_from = from * MS, .slow_until = (from + 300) * MS},
                            {&clock, .ns = 3 * MS, .slow_from = from * MS, .slow_until = (from + 300) * MS}};
        struct mu_calibrate_case cases[] = {{pass_time, &t[0], 4, 0}, {pass_time, &t[1], 4, 0}};
        XT_OK(mu_calibrate_cases(&c, cases, 2, &err));
        XT_NEAR(cases[0].seconds, 0.002, 1e-12);
        XT_NEAR(cases[1].seconds, 0.003, 1e-12);
    }
}

XT_TEST(a_failure_ends_it)
{
    struct mu_clock clock;
    struct mu_calibration c;
    struct mu_err e = MU_ERR_INIT;
    start(&c, &clock);
    struct timed t = {&clock, .ns = MS, .fails_at = 7};
    struct mu_calibrate_case one = {pass_time, &t, 4, 0}, many[MU_CALIBRATE_CASES_MAX + 1];
    XT_EQ(mu_calibrate_cases(&c, &one, 1, &e), MU_ENUMERIC);
    XT_EQ(t.calls, 7);
    XT_EQ(mu_calibrate_cases(&c, many, MU_COUNT(many), &e), MU_EINTERNAL);
}

XT_MAIN()
