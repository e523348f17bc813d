/* test_residents_failing.c - models of a table that fail: how long they are left alone, when they are closed */
#include "xt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/check.h"
#include "engine/resident/resident.h"

#define SECOND 1000000000ll
#define BYTES  40

/* An opener of nothing: two models, "a" and "b". */
struct fake {
    atomic_int is_open[2], n_bad; /* bad: opened twice, closed when it was not open */
    int n_fails;                  /* opens that will fail */
    struct mu_clock clock;
};

static int fake_measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    (void)arg, (void)name, (void)e;
    *bytes = BYTES;
    return MU_OK;
}

static int fake_open(void *arg, const char *name, void **model, struct mu_err *e)
{
    struct fake *f = arg;
    int i = name[0] - 'a';
    if (f->n_fails > 0) {
        f->n_fails--;
        return mu_fail(e, MU_ETIMEDOUT, "%s did not open in time", name);
    }
    f->n_bad += atomic_exchange(&f->is_open[i], 1) != 0;
    *model = &f->is_open[i];
    return MU_OK;
}

static void fake_close(void *arg, void *model)
{
    struct fake *f = arg;
    f->n_bad += atomic_exchange((atomic_int *)model, 0) != 1;
}

static const struct mu_resident_ops fake_ops = {.measure = fake_measure, .open = fake_open, .close = fake_close};

static struct mu_residents *open_table(struct fake *f, struct mu_resident_opts o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_residents *r = NULL;
    memset(f, 0, sizeof *f);
    mu_clock_fake_init(&f->clock, 1000);
    o.ops = &fake_ops;
    o.arg = f;
    o.clock = &f->clock;
    XT_OK(mu_residents_open(&r, &o, &err));
    XT_OK(mu_residents_add(r, "a", false, &err));
    XT_OK(mu_residents_add(r, "b", false, &err));
    return r;
}

static struct mu_resident_info info_of(struct mu_residents *r, int i)
{
    struct mu_resident_info info;
    XT_CHECK(mu_residents_info(r, i, &info));
    return info;
}

static void *use(struct mu_residents *r, const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    void *m;
    XT_OK(mu_residents_use(r, name, 0, &m, &err));
    return m;
}

static void break_it(struct mu_residents *r, void *model)
{
    struct mu_err why = {MU_EPEER, "the device is gone"};
    mu_residents_break(r, model, &why);
}

static void use_and_break(struct mu_residents *r)
{
    void *m = use(r, "a");
    break_it(r, m);
    mu_residents_done(r, m);
}

/* Told again until the wait is over, and not tried before. */
static void check_wait(struct fake *f, struct mu_residents *r, int64_t seconds, int code)
{
    struct mu_err err = MU_ERR_INIT;
    void *m;
    struct mu_resident_info info = info_of(r, 0);
    XT_EQ(info.state, MU_RESIDENT_FAILED);
    XT_CHECKF(info.wait_ns == seconds * SECOND, "%lld ns, not %lld s", (long long)info.wait_ns, (long long)seconds);
    if (seconds == 0)
        return;
    mu_clock_fake_advance(&f->clock, seconds * SECOND - 1);
    uint64_t n_failures = info.failures;
    XT_FAILS(mu_residents_use(r, "a", SECOND, &m, &err), code, "");
    XT_EQ(info_of(r, 0).failures, n_failures);
    mu_clock_fake_advance(&f->clock, 1);
    XT_EQ(info_of(r, 0).wait_ns, 0);
}

XT_TEST(opens_that_fail_are_tried_again_after_waits_that_double)
{
    static const int waits[] = {10, 20, 40, 80, 160, 300, 300};
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    void *m;
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.breaks_max = 2});
    f.n_fails = MU_COUNT(waits);
    for (size_t i = 0; i < MU_COUNT(waits); i++) {
        /* a wait that was too short is another thing than an open that took too long */
        XT_FAILS(mu_residents_use(r, "a", SECOND, &m, &err), MU_EPEER, "a did not open in time");
        check_wait(&f, r, waits[i], MU_EPEER);
    }
    mu_residents_done(r, use(r, "a"));
    XT_EQ(info_of(r, 0).breaks, 0);
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}

XT_TEST(what_breaks_down_is_tried_at_once_then_later_then_no_more)
{
    static const int waits[] = {0, 10, 20, 40};
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    void *m;
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.breaks_max = 5});
    for (size_t i = 0; i < MU_COUNT(waits); i++) {
        use_and_break(r);
        XT_CHECK(!info_of(r, 0).is_given_up && !mu_residents_take(r, "a", &m));
        XT_STREQ(info_of(r, 0).why.text, "the device is gone");
        check_wait(&f, r, waits[i], MU_EPEER);
    }
    use_and_break(r);
    XT_CHECK(info_of(r, 0).is_given_up);
    XT_EQ(info_of(r, 0).breaks, 5);
    mu_clock_fake_advance(&f.clock, 100 * MU_RESIDENT_RETRY_NS_MAX);
    XT_FAILS(mu_residents_use(r, "a", SECOND, &m, &err), MU_EPEER, "the device is gone");
    mu_residents_done(r, use(r, "b"));
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}

XT_TEST(a_row_ends_with_one_that_did_well)
{
    struct fake f;
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.breaks_max = 3});
    use_and_break(r);
    use_and_break(r);
    check_wait(&f, r, 10, MU_EPEER);
    void *m = use(r, "a");
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_WELL_NS);
    break_it(r, m);
    mu_residents_done(r, m);
    XT_EQ(info_of(r, 0).failures_in_row, 1);
    check_wait(&f, r, 0, MU_EPEER);
    use_and_break(r);
    XT_CHECK(!info_of(r, 0).is_given_up);
    check_wait(&f, r, 10, MU_EPEER);
    m = use(r, "a");
    mu_residents_done(r, m);
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_WELL_NS);
    size_t freed;
    mu_residents_relieve(r, 1, &freed); /* it leaves in good health */
    XT_EQ(freed, BYTES);
    use_and_break(r);
    check_wait(&f, r, 0, MU_EPEER);
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}

/* ---- closing ---- */

XT_TEST(what_is_broken_stays_until_its_last_user_is_done)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_resident_totals t;
    void *m;
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.bytes_max = BYTES});
    void *first = use(r, "a"), *second = use(r, "a");
    break_it(r, first);
    break_it(r, first); /* known already */
    XT_EQ(info_of(r, 0).breaks, 1);
    mu_residents_done(r, first);
    mu_residents_tick(r);
    XT_EQ(f.is_open[0], 1);
    XT_FAILS(mu_residents_use(r, "a", 0, &m, &err), MU_ETIMEDOUT, "not ready in time");
    XT_FAILS(mu_residents_use(r, "b", 0, &m, &err), MU_ETIMEDOUT, "not ready in time"); /* its room is taken */
    mu_residents_done(r, second);
    XT_EQ(f.is_open[0], 1); /* not by a user, who may have no time */
    mu_residents_tick(r);
    XT_EQ(f.is_open[0], 0);
    mu_residents_totals(r, &t);
    XT_EQ(t.bytes, 0);
    XT_EQ(info_of(r, 0).state, MU_RESIDENT_FAILED);
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}

XT_TEST(room_and_memory_of_what_is_broken_are_taken_first)
{
    struct fake f;
    struct mu_resident_totals t;
    size_t freed;
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.bytes_max = 2 * BYTES - 1});
    use_and_break(r);
    mu_residents_done(r, use(r, "b"));
    XT_CHECK(f.is_open[0] == 0 && f.is_open[1] == 1);
    mu_residents_done(r, use(r, "a")); /* in turn */
    use_and_break(r);
    mu_residents_relieve(r, 1, &freed);
    XT_CHECK(freed == BYTES && f.is_open[0] == 0);
    mu_residents_totals(r, &t);
    XT_EQ(t.evictions_pressure, 0);
    mu_clock_fake_advance(&f.clock, 10 * SECOND);
    use_and_break(r);
    mu_residents_close(r); /* with one that is broken */
    XT_CHECK(f.n_bad == 0 && f.is_open[0] == 0 && f.is_open[1] == 0);
}

/* ---- threads ---- */

struct user {
    struct fake *f;
    struct mu_residents *r;
    uint64_t seed;
    int n_used, n_bad;
    pthread_t thread;
};

static void use_once(struct user *u)
{
    struct mu_err err = MU_ERR_INIT;
    const char *name = xt_rand(&u->seed) % 2 ? "a" : "b";
    void *m;
    mu_clock_fake_advance(&u->f->clock, MU_RESIDENT_WELL_NS); /* no row is longer than one */
    int rc = mu_residents_use(u->r, name, INT64_MAX, &m, &err);
    u->n_bad += rc != MU_OK && rc != MU_EPEER; /* broken just now */
    if (rc != MU_OK)
        return;
    u->n_bad += atomic_load((atomic_int *)m) != 1;
    if (xt_rand(&u->seed) % 3 == 0)
        break_it(u->r, m);
    u->n_bad += atomic_load((atomic_int *)m) != 1; /* nobody closes it while it is held */
    u->n_used++;
    mu_residents_done(u->r, m);
}

static void *use_often(void *arg)
{
    struct user *u = arg;
    for (int i = 0; i < 2000 / XT_STRIDE; i++) {
        use_once(u);
        if (i % 7 == 0)
            mu_residents_tick(u->r);
    }
    return NULL;
}

XT_TEST(a_crowd_that_breaks_what_it_uses_never_holds_what_is_closed)
{
    enum { THREADS = 4 };
    struct fake f;
    struct user u[THREADS];
    struct mu_residents *r = open_table(&f, (struct mu_resident_opts){.retry_ns = 1, .breaks_max = 1 << 20});
    for (int i = 0; i < THREADS; i++) {
        u[i] = (struct user){.f = &f, .r = r, .seed = (uint64_t)i + 1};
        XT_EQ(pthread_create(&u[i].thread, NULL, use_often, &u[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(u[i].thread, NULL);
        XT_EQ(u[i].n_bad, 0);
    }
    XT_CHECK(info_of(r, 0).breaks > 100 / XT_STRIDE);
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}
