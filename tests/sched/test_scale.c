/* test_scale.c - scaling follows a step load and holds still on a steady one
 *
 * The load is a fluid queue of the test's own: requests come at a rate, replicas do `capacity` each, what is not done
 * waits. New replicas are there 40 s after they were asked for. */
#include "xt.h"

#include <math.h>

#include "base/check.h"
#include "sched/scale.h"

struct world {
    double now_s, queued, capacity;
    int replicas, asked;
    double ready_s; /* when what was asked for is there */
    uint64_t seed;
    int ups, downs;
};

static int on_scale(void *arg, const struct mu_scale_decision *d, struct mu_err *e)
{
    struct world *w = arg;
    (void)e;
    w->asked = d->to;
    w->ready_s = w->now_s + (d->to > d->from ? 40 : 0);
    w->ups += d->to > d->from;
    w->downs += d->to < d->from;
    return MU_OK;
}

/* Sum of twelve: near enough normal, of deviation 1. */
static double noise(struct world *w)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += xt_randf(&w->seed) / 2;
    return sum;
}

/* One interval of 10 s in steps of a second. */
static struct mu_scale_sample pass(struct world *w, double demand, double spread)
{
    double done = 0, could = 0;
    for (int i = 0; i < 10; i++) {
        w->now_s++;
        if (w->now_s >= w->ready_s)
            w->replicas = w->asked;
        double come = MU_MAX(demand * (1 + spread * noise(w)), 0), can = w->replicas * w->capacity;
        double does = MU_MIN(w->queued + come, can);
        w->queued = MU_MAX(w->queued + come - does, 0);
        done += does;
        could += can;
    }
    return (struct mu_scale_sample){.now_s = w->now_s,
                                    .replicas = w->replicas,
                                    .queued = w->queued,
                                    .throughput = done / 10,
                                    .utilisation = could > 0 ? done / could : 0};
}

static void evaluate(struct mu_scale *s, struct world *w, double demand, double spread, int times)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_decision d;
    for (int i = 0; i < times; i++) {
        struct mu_scale_sample x = pass(w, demand, spread);
        XT_OK(mu_scale_evaluate(s, &x, &d, &err));
        XT_CHECK(d.to >= s->rules.least && d.to <= s->rules.most);
    }
}

static void begin(struct mu_scale *s, struct world *w, int replicas)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    r.capacity = 2; /* predicted; a replica does 3 */
    *w = (struct world){.capacity = 3, .replicas = replicas, .asked = replicas, .seed = 7};
    XT_OK(mu_scale_init(s, &r, replicas, on_scale, w, &err));
}

/* 30 requests a second at 3 a replica: 85% busy are 11.8, so 12. One fewer than 12 is 91% busy: it stays. */
XT_TEST(follows_a_step_and_holds_still)
{
    struct mu_scale s;
    struct world w;
    begin(&s, &w, 4);
    evaluate(&s, &w, 8, 0, 100); /* 4 x 3: 67% busy, with 3 it would be 89% */
    XT_EQ(w.replicas, 4);
    XT_EQ(s.changes, 0);
    evaluate(&s, &w, 30, 0, 20);
    XT_CHECKF(w.replicas >= 12, "%d replicas 200 s after the step", w.replicas);
    evaluate(&s, &w, 30, 0, 200); /* the queue of the step is gone, and what that took too many */
    XT_CHECKF(w.queued < 1, "%g still wait", w.queued);
    int changes = s.changes, replicas = w.replicas;
    XT_CHECKF(replicas >= 12 && replicas <= 16, "%d replicas for 10 busy ones", replicas);
    evaluate(&s, &w, 30, 0, 1000);
    XT_EQ(s.changes, changes);
    evaluate(&s, &w, 8, 0, 500);
    /* down as far as 65% of one fewer: 8 / (3 x 0.65) = 4.1, so 5 stay, for 4 would be 67% busy */
    XT_EQ(w.replicas, 5);
    xt_note("8 to 30 requests/s: %d changes to %d replicas; 1,000 evaluations on, none", changes, replicas);
}

/* Every load from 1 to 60, noise of a tenth and a fifth each second: after it has settled nothing moves, or, where a
 * bound is near, once. */
XT_TEST(noise_moves_nothing)
{
    static const double spreads[] = {0, 0.1, 0.2};
    int moved = 0, cases = 0;
    for (size_t k = 0; k < MU_COUNT(spreads); k++) {
        for (int demand = 1; demand <= 60; demand++, cases++) {
            struct mu_scale s;
            struct world w;
            begin(&s, &w, 4);
            evaluate(&s, &w, demand, spreads[k], 600);
            int ups = w.ups, downs = w.downs;
            evaluate(&s, &w, demand, spreads[k], 1000);
            XT_CHECKF(w.ups - ups + w.downs - downs <= 1, "load %d, noise %g: %d up, %d down in 1,000 evaluations",
                      demand, spreads[k], w.ups - ups, w.downs - downs);
            moved += w.ups - ups + w.downs - downs;
            XT_CHECKF(w.replicas * 3 > demand && w.queued < 60.0 * demand, "load %d: %d replicas, %g wait", demand,
                      w.replicas, w.queued);
        }
    }
    xt_note("%d steady loads, 1,000 evaluations each: %d changes in all", cases, moved);
    XT_CHECK(moved <= cases / 20);
}

/* A queue that was there before: more until it is gone, then fewer, then rest. */
XT_TEST(a_backlog_is_worked_off)
{
    struct mu_scale s;
    struct world w;
    begin(&s, &w, 2);
    w.queued = 2000;
    evaluate(&s, &w, 1, 0, 30);
    XT_CHECKF(w.queued < 1, "%g wait after 300 s", w.queued);
    XT_CHECK(w.ups >= 1 && w.downs == 0);
    evaluate(&s, &w, 1, 0, 1500);
    XT_EQ(w.replicas, 1);
    int changes = s.changes;
    evaluate(&s, &w, 1, 0, 1000);
    XT_EQ(s.changes, changes);
}

static struct mu_scale_decision ask(struct mu_scale *s, double now_s, int replicas, double queued, double throughput,
                                    double busy)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_sample x = {now_s, replicas, queued, throughput, busy, 0, 0};
    struct mu_scale_decision d;
    XT_OK(mu_scale_evaluate(s, &x, &d, &err));
    return d;
}

/* Interval 10, stable 3, cooldown 30, by hand. */
XT_TEST(waits_in_turn)
{
    struct mu_scale s;
    struct world w;
    char text[MU_SCALE_TEXT_MAX];
    begin(&s, &w, 2);
    s.capacity = 3;
    XT_EQ(ask(&s, 10, 2, 0, 6, 1).why, MU_SCALE_UNSTABLE); /* 6 of 6 a second */
    XT_EQ(ask(&s, 15, 2, 0, 6, 1).why, MU_SCALE_EARLY);
    XT_EQ(ask(&s, 20, 2, 0, 6, 1).why, MU_SCALE_UNSTABLE);
    struct mu_scale_decision d = ask(&s, 30, 2, 0, 6, 1);
    XT_EQ(d.why, MU_SCALE_BUSY);
    XT_EQ(d.to, 3); /* 6 / (3 x 0.85) = 2.4 */
    XT_STREQ(mu_scale_text(text, &d),
             "2 replicas become 3: the load is too high (6 requests/s come, a replica does 3, 0 wait)");
    XT_EQ(ask(&s, 40, 2, 0, 6, 1).why, MU_SCALE_STARTING);
    XT_EQ(ask(&s, 50, 3, 0, 6, 6.0 / 9).why, MU_SCALE_HOLD);
    XT_EQ(ask(&s, 60, 3, 0, 6, 6.0 / 9).why, MU_SCALE_HOLD);
}

XT_TEST(limits_hold)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    struct mu_scale s;
    r.most = 2;
    XT_OK(mu_scale_init(&s, &r, 2, NULL, NULL, &err));
    for (int i = 1; i < 10; i++)
        XT_EQ(ask(&s, 10 * i, 2, 1000, 2, 1).why, MU_SCALE_LIMIT);
    XT_OK(mu_scale_init(&s, &r, 1, NULL, NULL, &err));
    for (int i = 1; i < 10; i++)
        XT_EQ(ask(&s, 10 * i, 1, 0, 0, 0).why, MU_SCALE_LIMIT);
}

/* A queue that would take ten replicas, and devices for three: three. Then it stays, however long the queue is. */
XT_TEST(no_more_are_asked_for_than_are_of_use)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    struct mu_scale_decision d = {0};
    struct mu_scale s;
    XT_OK(mu_scale_init(&s, &r, 1, NULL, NULL, &err));
    for (int i = 1; i <= 20; i++) {
        struct mu_scale_sample x = {
            .now_s = 10 * i, .replicas = s.target, .queued = 600, .throughput = 1, .utilisation = 1, .useful = 3};
        XT_OK(mu_scale_evaluate(&s, &x, &d, &err));
    }
    XT_EQ(s.target, 3);
    XT_EQ(s.changes, 1);
    XT_EQ(d.why, MU_SCALE_USELESS);
}

/* Three that are each at a task of 400 requests, of which nothing is known to come: they are not idle, and a task that
 * is taken out of the queue is not done. With one at work one fewer goes. */
XT_TEST(who_is_at_work_is_not_idle)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    struct mu_scale_decision d = {0};
    struct mu_scale s;
    r.down_cooldown_s = 0, r.drain_s = 600;
    XT_OK(mu_scale_init(&s, &r, 3, NULL, NULL, &err));
    for (int i = 0; i < 36; i++) {
        double begun = i < 4 ? 0 : 400; /* the last three are taken at 40 s */
        struct mu_scale_sample x = {.now_s = 10 * i,
                                    .replicas = 3,
                                    .queued = begun > 0 ? 0 : 400,
                                    .throughput = 3,
                                    .utilisation = 1,
                                    .in_work = 1200 + begun - 30 * i};
        XT_OK(mu_scale_evaluate(&s, &x, &d, &err));
        XT_EQ(d.to, 3);
    }
    for (int i = 36; i < 40; i++) {
        struct mu_scale_sample x = {
            .now_s = 10 * i, .replicas = s.target, .throughput = 1, .utilisation = 1.0 / 3, .in_work = 520 - 10 * i};
        XT_OK(mu_scale_evaluate(&s, &x, &d, &err));
    }
    XT_EQ(s.target, 2);
}

static int says_no(void *arg, const struct mu_scale_decision *d, struct mu_err *e)
{
    ++*(int *)arg;
    return mu_fail(e, MU_EPEER, "no node for replica %d", d->to);
}

/* A callback that fails changes nothing, and is asked again only after the cooldown: every third evaluation. */
XT_TEST(a_refused_change_is_no_change)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    struct mu_scale s;
    struct mu_scale_decision d;
    int asked = 0;
    XT_OK(mu_scale_init(&s, &r, 1, says_no, &asked, &err));
    for (int i = 1; i <= 12; i++) {
        struct mu_scale_sample x = {10 * i, 1, 1000, 1, 1, 0, 0};
        int rc = mu_scale_evaluate(&s, &x, &d, &err);
        XT_EQ(rc, i % 3 == 0 ? MU_EPEER : MU_OK);
        XT_EQ(d.to, 1);
    }
    XT_EQ(asked, 4);
    XT_EQ(s.target, 1);
}

XT_TEST(bad_rules_and_samples)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_scale_rules r = MU_SCALE_DEFAULT;
    struct mu_scale s;
    struct mu_scale_decision d;
    XT_OK(mu_scale_init(&s, &r, 1, NULL, NULL, &err));
    XT_FAILS(mu_scale_evaluate(&s, &(struct mu_scale_sample){10, 1, NAN, 1, 1, 0, 0}, &d, &err), MU_EINVAL,
             "nan waiting");
    XT_FAILS(mu_scale_evaluate(&s, &(struct mu_scale_sample){10, 1, 0, 1, 2, 0, 0}, &d, &err), MU_EINVAL, "busy 2");
    r.busy_low = 0.8;
    XT_FAILS(mu_scale_init(&s, &r, 1, NULL, NULL, &err), MU_EINVAL, "at least 0.1 above");
    r = (struct mu_scale_rules)MU_SCALE_DEFAULT;
    r.least = 5, r.most = 4;
    XT_FAILS(mu_scale_init(&s, &r, 4, NULL, NULL, &err), MU_EINVAL, "between 5 and 4");
}

XT_MAIN()
