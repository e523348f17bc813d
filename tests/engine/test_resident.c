/* test_resident.c - which models stay: by use, by what is kept, by room and by pressure; many threads; faults */
#include "xt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/resident/engine.h"
#include "engine/resident/pressure.h"

#define MODELS 6 /* "a" to "f" */

/* An opener of nothing: sizes are given, and what is open is known. */
struct fake {
    size_t bytes[MODELS], wanted; /* wanted: by the machine */
    int fails[MODELS];            /* opens that will fail, with code[i] */
    int code[MODELS];
    atomic_int is_open[MODELS], n_trims, n_bad; /* bad: opened twice, closed when it was not open */
    atomic_size_t sum, sum_max;
    atomic_bool is_stuck; /* opens do not end while it is set */
    int64_t open_ns;      /* an open takes, on the clock */
    struct mu_clock clock;
};

static int number_of(const char *name)
{
    return name[0] - 'a';
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int fake_measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    const struct fake *f = arg;
    *bytes = f->bytes[number_of(name)];
    return *bytes ? MU_OK : mu_fail(e, MU_EFORMAT, "%s is no model", name);
}

static int fake_open(void *arg, const char *name, void **model, struct mu_err *e)
{
    struct fake *f = arg;
    int i = number_of(name);
    while (atomic_load(&f->is_stuck))
        pause_ms(1);
    mu_clock_fake_advance(&f->clock, f->open_ns);
    if (f->fails[i] > 0) {
        f->fails[i]--;
        return mu_fail(e, f->code[i], "%s would not open", name);
    }
    f->n_bad += atomic_exchange(&f->is_open[i], 1) != 0;
    size_t sum = atomic_fetch_add(&f->sum, f->bytes[i]) + f->bytes[i];
    if (sum > atomic_load(&f->sum_max))
        atomic_store(&f->sum_max, sum);
    *model = &f->is_open[i];
    return MU_OK;
}

static void fake_close(void *arg, void *model)
{
    struct fake *f = arg;
    atomic_int *is_open = model;
    f->n_bad += atomic_exchange(is_open, 0) != 1;
    atomic_fetch_sub(&f->sum, f->bytes[is_open - f->is_open]);
}

static int fake_trim(void *arg, void *model, struct mu_err *e)
{
    struct fake *f = arg;
    (void)e;
    XT_EQ(atomic_load((atomic_int *)model), 1);
    f->n_trims++;
    return MU_OK;
}

static size_t fake_pressure(void *arg)
{
    return ((const struct fake *)arg)->wanted;
}

static const struct mu_resident_ops fake_ops = {fake_measure, fake_open, fake_close, fake_trim, fake_pressure};

static void fake_init(struct fake *f)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; i < MODELS; i++) {
        f->bytes[i] = 40;
        f->code[i] = MU_EIO;
    }
    mu_clock_fake_init(&f->clock, 1000);
}

static struct mu_residents *open_table_as(const struct mu_resident_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_residents *r = NULL;
    XT_OK(mu_residents_open(&r, o, &err));
    for (int i = 0; i < MODELS; i++)
        XT_OK(mu_residents_add(r, (char[]){(char)('a' + i), '\0'}, false, &err));
    return r;
}

static struct mu_residents *open_table(struct fake *f, size_t bytes_max, int waiting_max)
{
    struct mu_resident_opts o = {
        .ops = &fake_ops, .arg = f, .bytes_max = bytes_max, .waiting_max = waiting_max, .clock = &f->clock};
    return open_table_as(&o);
}

/* Used and left, a moment after what went before. */
static void touch(struct fake *f, struct mu_residents *r, const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    void *m;
    mu_clock_fake_advance(&f->clock, 10);
    XT_OK(mu_residents_use(r, name, 0, &m, &err));
    XT_EQ(atomic_load((atomic_int *)m), 1);
    mu_residents_done(r, m);
}

/* Which are open, as letters. */
static const char *open_ones(const struct fake *f)
{
    static char text[MODELS + 1];
    int n = 0;
    for (int i = 0; i < MODELS; i++) {
        if (atomic_load(&f->is_open[i]))
            text[n++] = (char)('a' + i);
    }
    text[n] = '\0';
    return text;
}

XT_TEST(the_longest_unused_goes_when_room_is_wanted)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_resident_totals t;
    struct mu_resident_info info;
    fake_init(&f);
    f.open_ns = 7;
    struct mu_residents *r = open_table(&f, 130, 0);
    touch(&f, r, "a");
    touch(&f, r, "b");
    touch(&f, r, "c");
    XT_STREQ(open_ones(&f), "abc");
    touch(&f, r, "a");
    touch(&f, r, "d"); /* b is the oldest */
    XT_STREQ(open_ones(&f), "acd");
    XT_OK(mu_residents_keep(r, "c", true, &err));
    touch(&f, r, "e"); /* c is the oldest, and kept */
    XT_STREQ(open_ones(&f), "cde");
    f.bytes[5] = 90; /* needs all but the one that is kept */
    touch(&f, r, "f");
    XT_STREQ(open_ones(&f), "cf");
    XT_OK(mu_residents_preload(r, "f", 0, &err));
    mu_residents_totals(r, &t);
    XT_EQ(t.n, MODELS);
    XT_EQ(t.n_ready, 2);
    XT_EQ(t.opens, 6);
    XT_EQ(t.evictions_room, 4);
    XT_EQ(t.hits, 2); /* a again, the preload */
    XT_EQ(t.misses, 6);
    XT_EQ(t.bytes, 130);
    XT_CHECK(f.sum_max <= 130 && t.bytes_peak <= 130);
    XT_CHECK(mu_residents_info(r, 1, &info) && !mu_residents_info(r, MODELS, &info));
    XT_EQ(info.state, MU_RESIDENT_ABSENT);
    XT_EQ(info.evictions, 1);
    XT_EQ(info.open_ns, 7);
    mu_residents_close(r);
    XT_STREQ(open_ones(&f), "");
    XT_EQ(f.n_bad, 0);
}

XT_TEST(no_more_are_open_than_may_be)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    void *a, *b, *m;
    fake_init(&f);
    struct mu_resident_opts o = {.ops = &fake_ops, .arg = &f, .open_max = 2, .clock = &f.clock};
    struct mu_residents *r = open_table_as(&o);
    touch(&f, r, "a");
    touch(&f, r, "b");
    touch(&f, r, "c");
    XT_STREQ(open_ones(&f), "bc");
    XT_OK(mu_residents_use(r, "b", 0, &b, &err));
    touch(&f, r, "a");
    XT_STREQ(open_ones(&f), "ab");
    XT_OK(mu_residents_use(r, "a", 0, &a, &err));
    XT_FAILS(mu_residents_use(r, "d", 0, &m, &err), MU_ETIMEDOUT, "not ready in time");
    mu_residents_done(r, a);
    touch(&f, r, "d");
    XT_STREQ(open_ones(&f), "bd");
    mu_residents_done(r, b);
    XT_OK(mu_residents_keep(r, "b", true, &err));
    XT_OK(mu_residents_keep(r, "d", true, &err));
    XT_FAILS(mu_residents_use(r, "e", 0, &m, &err), MU_ENOMEM, "2 models may be open at a time");
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
}

static void note_model(void *arg, void *model)
{
    *(void **)arg = model;
}

XT_TEST(taking_and_looking_open_nothing)
{
    struct fake f;
    void *m = NULL, *seen = NULL;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 80, 0);
    XT_CHECK(!mu_residents_take(r, "a", &m) && !mu_residents_take(r, "z", &m));
    XT_CHECK(!mu_residents_look(r, 0, note_model, &seen) && !seen);
    XT_STREQ(open_ones(&f), "");
    touch(&f, r, "a");
    touch(&f, r, "b");
    mu_clock_fake_advance(&f.clock, 10);
    XT_CHECK(mu_residents_look(r, 0, note_model, &seen) && seen == &f.is_open[0]);
    XT_CHECK(!mu_residents_look(r, MODELS, note_model, &seen));
    touch(&f, r, "c"); /* a was looked at, not used: it is the oldest */
    XT_STREQ(open_ones(&f), "bc");
    mu_clock_fake_advance(&f.clock, 10);
    XT_CHECK(mu_residents_take(r, "b", &m) && m == &f.is_open[1]);
    mu_residents_done(r, m);
    touch(&f, r, "d"); /* b was used after c */
    XT_STREQ(open_ones(&f), "bd");
    mu_residents_close(r);
}

/* What lies under a name may change while it is closed. */
XT_TEST(each_open_takes_what_is_measured_then)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_resident_totals t;
    size_t freed;
    void *m;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 100, 0);
    touch(&f, r, "a");
    mu_residents_relieve(r, 1, &freed);
    f.bytes[0] = 70;
    touch(&f, r, "a");
    mu_residents_totals(r, &t);
    XT_EQ(t.bytes, 70);
    mu_residents_relieve(r, 1, &freed);
    XT_EQ(freed, 70);
    f.bytes[0] = 101;
    XT_FAILS(mu_residents_use(r, "a", 0, &m, &err), MU_ENOMEM, "takes 101 bytes");
    mu_residents_close(r);
}

XT_TEST(what_cannot_fit_says_so_and_evicts_nobody)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    void *m, *other;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 100, 0);
    XT_OK(mu_residents_keep(r, "a", true, &err));
    XT_OK(mu_residents_preload(r, "a", 0, &err));
    XT_OK(mu_residents_preload(r, "b", 0, &err));
    f.bytes[2] = 61;
    XT_FAILS(mu_residents_use(r, "c", 0, &m, &err), MU_ENOMEM, "of which 40 are kept");
    f.bytes[3] = 101;
    XT_FAILS(mu_residents_use(r, "d", 0, &m, &err), MU_ENOMEM, "takes 101 bytes; 100 are allowed");
    XT_STREQ(open_ones(&f), "ab");
    XT_OK(mu_residents_use(r, "b", 0, &other, &err));
    XT_FAILS(mu_residents_use(r, "e", 0, &m, &err), MU_ETIMEDOUT, "\"e\" (absent) was not ready in time");
    mu_residents_done(r, other);
    XT_OK(mu_residents_use(r, "e", 0, &m, &err));
    XT_STREQ(open_ones(&f), "ae");
    mu_residents_done(r, m);
    XT_FAILS(mu_residents_use(r, "z", 0, &m, &err), MU_ENOENT, "no model \"z\" among the 6");
    XT_FAILS(mu_residents_add(r, "b", false, &err), MU_EUSAGE, "named twice");
    mu_residents_close(r);
}

XT_TEST(a_failed_open_is_told_again_until_it_may_be_tried_again)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_resident_info info;
    void *m;
    fake_init(&f);
    f.fails[1] = 1;
    f.bytes[2] = 0;
    struct mu_residents *r = open_table(&f, 0, 0);
    XT_FAILS(mu_residents_use(r, "b", 0, &m, &err), MU_EIO, "b would not open");
    XT_FAILS(mu_residents_use(r, "b", 0, &m, &err), MU_EIO, "b would not open"); /* it was not tried */
    XT_CHECK(mu_residents_info(r, 1, &info));
    XT_EQ(info.state, MU_RESIDENT_FAILED);
    XT_EQ(info.failures, 1);
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_RETRY_NS);
    touch(&f, r, "b");
    XT_FAILS(mu_residents_use(r, "c", 0, &m, &err), MU_EFORMAT, "c is no model");
    mu_residents_close(r);
}

/* No limit of ours: the opener finds that the machine has less, twice. */
XT_TEST(an_open_that_finds_no_memory_takes_that_of_idle_ones)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    void *m, *held;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 0, 0);
    touch(&f, r, "a");
    touch(&f, r, "b");
    touch(&f, r, "c");
    XT_OK(mu_residents_use(r, "a", 0, &held, &err));
    f.code[3] = MU_ENOMEM;
    f.fails[3] = 1;
    touch(&f, r, "d");
    XT_STREQ(open_ones(&f), "acd");
    f.code[4] = MU_ENOMEM;
    f.fails[4] = 100;
    XT_FAILS(mu_residents_use(r, "e", 0, &m, &err), MU_ENOMEM, "e would not open");
    XT_STREQ(open_ones(&f), "a"); /* in use */
    mu_residents_done(r, held);
    mu_residents_close(r);
}

XT_TEST(pressure_trims_first_and_evicts_when_it_stays)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_resident_totals t;
    size_t freed;
    void *held;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 0, 0);
    XT_OK(mu_residents_keep(r, "b", true, &err));
    for (int i = 0; i < 5; i++)
        touch(&f, r, (char[]){(char)('a' + i), '\0'});
    XT_OK(mu_residents_use(r, "a", 0, &held, &err));
    mu_residents_tick(r); /* nothing is wanted */
    XT_EQ(f.n_trims, 0);
    f.wanted = 41;
    mu_residents_tick(r); /* too soon */
    XT_EQ(f.n_trims, 0);
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r);
    XT_EQ(f.n_trims, 4); /* all but the one in use */
    XT_STREQ(open_ones(&f), "abcde");
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r);
    XT_STREQ(open_ones(&f), "abe"); /* two make 41 bytes */
    f.wanted = 0;
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r);
    f.wanted = 1;
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r); /* it begins with trimming again: nothing was used since */
    XT_EQ(f.n_trims, 4);
    XT_STREQ(open_ones(&f), "abe");
    f.wanted = 0;
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r);
    touch(&f, r, "b");
    f.wanted = 1;
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r);
    XT_EQ(f.n_trims, 5); /* b alone */
    mu_residents_relieve(r, 1000, &freed);
    XT_EQ(freed, 40);
    XT_STREQ(open_ones(&f), "ab"); /* in use, kept */
    mu_residents_done(r, held);
    mu_clock_fake_advance(&f.clock, MU_RESIDENT_PRESSURE_NS);
    mu_residents_tick(r); /* now a is idle: trimmed and, as memory is still wanted, evicted */
    XT_EQ(f.n_trims, 6);
    XT_STREQ(open_ones(&f), "b");
    mu_residents_totals(r, &t);
    XT_EQ(t.evictions_pressure, 4);
    XT_EQ(t.bytes, 40);
    mu_residents_close(r);
}

/* ---- threads ---- */

struct user {
    struct mu_residents *r;
    const char *name;
    int rc;
    pthread_t thread;
};

static void *use_once(void *arg)
{
    struct user *u = arg;
    struct mu_err err = MU_ERR_INIT;
    void *m;
    u->rc = mu_residents_use(u->r, u->name, INT64_MAX, &m, &err);
    if (u->rc == MU_OK)
        mu_residents_done(u->r, m);
    return NULL;
}

static void start(struct user *u, struct mu_residents *r, const char *name)
{
    *u = (struct user){.r = r, .name = name};
    XT_EQ(pthread_create(&u->thread, NULL, use_once, u), 0);
}

static void await_waiting(struct mu_residents *r, int n)
{
    struct mu_resident_totals t;
    do {
        pause_ms(1);
        mu_residents_totals(r, &t);
    } while (t.n_waiting != n);
}

XT_TEST(the_line_for_a_model_that_loads_is_bounded_and_served)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct user u[3];
    void *m;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 100, 3);
    touch(&f, r, "a");
    f.is_stuck = true;
    start(&u[0], r, "b");
    await_waiting(r, 1);
    start(&u[1], r, "b");
    start(&u[2], r, "c");
    await_waiting(r, 3);
    XT_OK(mu_residents_use(r, "a", 0, &m, &err)); /* ready ones are not in line */
    mu_residents_done(r, m);
    XT_FAILS(mu_residents_use(r, "d", 0, &m, &err), MU_ELIMIT, "3 wait for models to be opened");
    f.is_stuck = false;
    for (int i = 0; i < 3; i++) {
        pthread_join(u[i].thread, NULL);
        XT_EQ(u[i].rc, MU_OK);
    }
    XT_CHECK(f.sum_max <= 100);
    mu_residents_close(r);
}

XT_TEST(who_needs_room_waits_until_another_is_done)
{
    struct fake f;
    struct mu_err err = MU_ERR_INIT;
    struct user u;
    void *a, *b;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 100, 0);
    XT_OK(mu_residents_use(r, "a", 0, &a, &err));
    XT_OK(mu_residents_use(r, "b", 0, &b, &err));
    start(&u, r, "c");
    await_waiting(r, 1);
    pause_ms(30);
    XT_STREQ(open_ones(&f), "ab");
    mu_residents_done(r, b);
    pthread_join(u.thread, NULL);
    XT_EQ(u.rc, MU_OK);
    XT_STREQ(open_ones(&f), "ac");
    mu_residents_done(r, a);
    mu_residents_close(r);
}

struct crowd {
    struct fake *f;
    struct mu_residents *r;
    uint64_t seed;
    int n_used, n_bad;
};

static void *live(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 1500 / XT_STRIDE; i++) {
        struct mu_err err = MU_ERR_INIT;
        char name[] = {(char)('a' + (int)(xt_rand(&c->seed) % MODELS)), '\0'};
        void *m;
        if (xt_rand(&c->seed) % 50 == 0) {
            size_t freed;
            mu_residents_relieve(c->r, 60, &freed);
        }
        mu_clock_fake_advance(&c->f->clock, 1);
        int rc = mu_residents_use(c->r, name, INT64_MAX, &m, &err);
        c->n_bad += rc != MU_OK;
        if (rc != MU_OK)
            continue;
        c->n_bad += m != &c->f->is_open[number_of(name)] || atomic_load((atomic_int *)m) != 1;
        c->n_used++;
        mu_residents_done(c->r, m);
    }
    return NULL;
}

XT_TEST(a_crowd_never_sees_a_closed_model_or_more_memory_than_allowed)
{
    enum { THREADS = 4 };
    struct fake f;
    struct crowd c[THREADS];
    pthread_t t[THREADS];
    struct mu_resident_totals totals;
    int n_used = 0;
    fake_init(&f);
    struct mu_residents *r = open_table(&f, 170, 0); /* one for each at the same time */
    for (int i = 0; i < THREADS; i++) {
        c[i] = (struct crowd){.f = &f, .r = r, .seed = (uint64_t)i + 1};
        XT_EQ(pthread_create(&t[i], NULL, live, &c[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        XT_EQ(c[i].n_bad, 0);
        n_used += c[i].n_used;
    }
    mu_residents_totals(r, &totals);
    XT_EQ(totals.hits + totals.misses, n_used);
    XT_CHECK(totals.evictions_room > 100 && f.sum_max <= 170);
    XT_EQ(totals.bytes, f.sum);
    mu_residents_close(r);
    XT_EQ(f.n_bad, 0);
    XT_EQ(f.sum, 0);
}

static int open_and_use(void *arg, struct mu_err *e)
{
    struct fake *f = arg;
    struct mu_resident_opts o = {.ops = &fake_ops, .arg = f, .clock = &f->clock};
    struct mu_residents *r = NULL;
    void *m;
    int rc = mu_residents_open(&r, &o, e);
    if (rc == MU_OK)
        rc = mu_residents_add(r, "a", false, e);
    if (rc == MU_OK)
        rc = mu_residents_use(r, "a", 0, &m, e);
    if (rc == MU_OK)
        mu_residents_done(r, m);
    mu_residents_close(r);
    return rc;
}

XT_TEST(an_allocation_that_fails_leaves_nothing_behind)
{
    struct fake f;
    fake_init(&f);
    xt_each_alloc_fails(open_and_use, &f);
}

/* ---- the machine ---- */

XT_TEST(what_the_machine_says_of_its_memory)
{
    double full = -1;
    XT_CHECK(mu_pressure_parse("some avg10=12.50 avg60=3.00 avg300=1.00 total=99\n"
                               "full avg10=7.25 avg60=1.00 avg300=0.50 total=44\n",
                               &full));
    XT_NEAR(full, 7.25, 1e-12);
    XT_CHECK(mu_pressure_parse("full avg10=0.00", &full) && full == 0);
    static const char *const bad[] = {"",
                                      "some avg10=1.0\n",
                                      "full avg10=",
                                      "full avg10=x",
                                      "xfull avg10=3",
                                      "full avg10=-1",
                                      "full avg10=nan",
                                      "full avg10=101"};
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        XT_CHECKF(!mu_pressure_parse(bad[i], &full), "\"%s\" was taken", bad[i]);
    struct mu_pressure p = {.left = MU_PRESSURE_LEFT_MIN};
    XT_EQ(mu_pressure_wants(&p), 0);
    p.left -= 1000;
    XT_EQ(mu_pressure_wants(&p), 1000);
    p = (struct mu_pressure){.has_stalls = true, .full_avg10 = 5.5};
    XT_EQ(mu_pressure_wants(&p), 1);
    p.full_avg10 = 5;
    XT_EQ(mu_pressure_wants(&p), 0);
    mu_pressure_read(&p);
    XT_CHECK(p.left > 0);
}

/* ---- engines ---- */

static double score(mu_engine *eng)
{
    static const int32_t ids[] = {1, 5, 9, 33, 7}, next[] = {12, 4};
    struct mu_request q = MU_REQUEST_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *result;
    q.ids = ids;
    q.n_ids = 5;
    q.continuation = next;
    q.n_continuation = 2;
    XT_OK(mu_engine_run(eng, &q, 1, &result, &err));
    XT_EQ(result->code, MU_OK);
    double sum = result->logprob_sum;
    mu_result_free(result);
    return sum;
}

XT_TEST(engines_take_turns_in_the_memory_of_one)
{
    static const char *const paths[] = {"tests/golden/llama2", "tests/golden/mistral"};
    struct mu_resident_engines x = {.opts = MU_ENGINE_OPTS_INIT};
    struct mu_resident_opts o = {.ops = &mu_resident_engine_ops, .arg = &x};
    struct mu_err err = MU_ERR_INIT;
    struct mu_residents *r = NULL;
    struct mu_resident_totals t;
    double first[2], again[2];
    void *m;
    size_t before = mu_mem_bytes_used(), bytes[2];
    x.opts.threads = 1;
    x.opts.context_max = 64;
    x.opts.kv_tokens_max = 256;
    for (int i = 0; i < 2; i++)
        XT_OK(mu_resident_engine_ops.measure(&x, paths[i], &bytes[i], &err));
    XT_EQ(mu_mem_bytes_used(), before);
    o.bytes_max = bytes[0] + bytes[1] - 1;
    XT_OK(mu_residents_open(&r, &o, &err));
    for (int i = 0; i < 2; i++)
        XT_OK(mu_residents_add(r, paths[i], false, &err));
    for (int round = 0; round < 4; round++) {
        XT_OK(mu_residents_use(r, paths[round % 2], 0, &m, &err));
        *(round < 2 ? &first[round] : &again[round % 2]) = score(m);
        XT_CHECK(mu_mem_bytes_used() - before <= o.bytes_max);
        mu_residents_done(r, m);
    }
    mu_residents_totals(r, &t);
    XT_EQ(t.evictions_room, 3);
    XT_EQ(t.n_ready, 1);
    XT_CHECK(first[0] == again[0] && first[1] == again[1] && first[0] != first[1]);
    mu_residents_close(r);
    XT_EQ(mu_mem_bytes_used(), before);
}
