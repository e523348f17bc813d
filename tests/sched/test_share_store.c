/* test_share_store.c - devices change hands through a file: two members, ones that die, are stopped, come back, and a
 * file that cannot be asked */
#include "sched/share.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "xt.h"

#define SEC 1000000000ll
#define MAX 4

static const char *const NODES[] = {"n0", "n1"};
static const int ON_ONE[MAX] = {0, 0, 0, 0}, ON_TWO[MAX] = {0, 0, 1, 1};

struct member {
    struct mu_share *s;
    struct mu_clock *clock;
    uint8_t use[MAX];
    int want, n;
    struct mu_share_due due;
};

static const char *folder(void)
{
    return xt_tmpdir();
}

static const char *file(void)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", folder(), MU_SHARE_STORE);
    return path;
}

static struct mu_share_opts opts(const char *name, int n, struct mu_clock *clock)
{
    return (struct mu_share_opts){.folder = folder(),
                                  .campaign = name,
                                  .key = name,
                                  .weight = 1,
                                  .nodes = NODES,
                                  .node = ON_ONE,
                                  .n_devices = n,
                                  .clock = clock};
}

static struct member join(const char *name, int n, struct mu_clock *clock)
{
    struct mu_err err = MU_ERR_INIT;
    struct member m = {.n = n, .want = n, .clock = clock};
    const struct mu_share_opts o = opts(name, n, clock);
    XT_OK(mu_share_join(&m.s, &o, &err));
    return m;
}

static int look_with(struct member *m, struct mu_err *e)
{
    const struct mu_share_ask a = {.busy = 0, .want = m->want, .narrow = m->want > 0, .wide_task = -1, .use = m->use};
    return mu_share_look(m->s, &a, &m->due, e);
}

static int look(struct member *m)
{
    struct mu_err err = MU_ERR_INIT;
    int n = 0;
    XT_OK(look_with(m, &err));
    for (int i = 0; i < m->n; i++)
        n += mu_share_has(m->s, i);
    return n;
}

/* Gives back as many of its devices as the last look asked for. */
static void give(struct member *m)
{
    for (int i = 0, left = m->due.give; i < m->n; i++)
        m->use[i] = left > 0 && mu_share_has(m->s, i) && left-- ? MU_SHARE_GIVE : MU_SHARE_MAY;
    look(m);
    for (int i = 0; i < m->n; i++)
        m->use[i] = MU_SHARE_MAY;
}

static void each_device_has_one(const struct member *a, const struct member *b)
{
    for (int i = 0; i < a->n; i++)
        XT_CHECKF(!mu_share_has(a->s, i) || !mu_share_has(b->s, i), "device %d has two", i);
}

XT_TEST(devices_change_hands)
{
    struct mu_share_other other[MU_SHARE_MEMBERS_MAX];
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock), b = join("b", 2, &clock);
    XT_EQ(look(&a), 2);
    XT_EQ(look(&b), 0);
    XT_EQ(look(&a), 2); /* nothing is taken away */
    XT_EQ(a.due.give, 1);
    give(&a);
    XT_EQ(look(&b), 1);
    XT_EQ(look(&a), 1);
    each_device_has_one(&a, &b);
    XT_EQ(mu_share_others(a.s, other), 1);
    XT_STREQ(other[0].campaign, "b");
    XT_EQ(other[0].held, 1);
    mu_share_leave(b.s);
    XT_EQ(look(&a), 2);
    mu_share_leave(a.s);
}

XT_TEST(device_seconds_are_counted)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock);
    look(&a);
    for (int i = 0; i < 10; i++) {
        mu_clock_fake_advance(&clock, SEC);
        look(&a);
    }
    XT_NEAR(mu_share_used_s(a.s), 20, 1e-9);
    mu_share_leave(a.s);
    struct member again = join("a", 2, &clock); /* a restart goes on from there */
    XT_NEAR(mu_share_used_s(again.s), 20, 1e-9);
    mu_share_leave(again.s);
}

XT_TEST(a_silent_one_loses_its_devices_and_sees_it)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock), b = join("b", 2, &clock);
    XT_EQ(look(&a), 2);
    for (int i = 0; i < 22; i++) {
        XT_EQ(look(&b), 0);
        XT_CHECK(mu_share_is_fresh(a.s) == (i < 20));
        mu_clock_fake_advance(&clock, SEC);
    }
    mu_clock_fake_advance(&clock, SEC);
    XT_EQ(look(&b), 2);
    XT_CHECK(mu_share_is_fresh(b.s));
    XT_CHECK(mu_share_has(a.s, 0)); /* it was stopped, and knows nothing yet */
    XT_CHECK(!mu_share_is_fresh(a.s));
    XT_EQ(look(&a), 0);
    XT_CHECK(mu_share_is_fresh(a.s));
    look(&b);
    give(&b);
    XT_EQ(look(&a), 1); /* its share, as before */
    mu_share_leave(a.s);
    mu_share_leave(b.s);
}

XT_TEST(what_nobody_took_meanwhile_is_its_own_still)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock), b = join("b", 2, &clock);
    XT_EQ(look(&a), 2);
    b.want = 0;
    for (int i = 0; i < 30; i++) {
        look(&b);
        mu_clock_fake_advance(&clock, SEC);
    }
    XT_EQ(look(&a), 2);
    mu_share_leave(a.s);
    mu_share_leave(b.s);
}

XT_TEST(a_process_that_is_gone_is_not_waited_for)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    pid_t pid = fork();
    if (pid == 0) {
        struct member a = join("a", 2, &clock);
        _exit(look(&a) == 2 ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
    struct member b = join("b", 2, &clock);
    XT_EQ(look(&b), 2);
    mu_share_leave(b.s);
}

XT_TEST(a_restart_takes_the_place_of_the_one_before)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock);
    XT_EQ(look(&a), 2);
    struct member again = join("a", 2, &clock);
    XT_EQ(look(&again), 2);
    XT_FAILS(look_with(&a, &err), MU_ECHANGED, "runs this campaign by now");
    mu_share_leave(a.s); /* and takes nothing along */
    XT_EQ(look(&again), 2);
    mu_share_leave(again.s);
}

/* ---- which devices ---- */

XT_TEST(other_devices_are_refused_while_somebody_shares_some)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct mu_share *s = NULL;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock);
    struct mu_share_opts o = opts("b", 4, &clock);
    XT_FAILS(mu_share_join(&s, &o, &err), MU_EINVAL,
             "shares 2 devices there, 2 of node n0, and this one has 4, 4 of node n0: give the same --devices");
    XT_CHECK(!s);
    o.n_devices = 2;
    o.node = ON_TWO + 1; /* one of each of two nodes */
    XT_FAILS(mu_share_join(&s, &o, &err), MU_EINVAL, "has 2, 1 of node n0");
    mu_share_leave(a.s);
    struct member b = join("b", 4, &clock); /* nobody shares any more */
    XT_EQ(look(&b), 4);
    mu_share_leave(b.s);
}

static void put_elsewhere(const char *key)
{
    sqlite3 *db = NULL;
    char *sql = sqlite3_mprintf("UPDATE member SET boot = 'elsewhere' WHERE key = %Q", key);
    XT_CHECK(sqlite3_open(file(), &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_close(db);
}

/* A node that died took its member along; the job goes on with other nodes. */
XT_TEST(other_devices_go_once_those_who_shared_are_silent)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_share_opts o = opts("a", 2, mu_clock_real());
    struct mu_share *a = NULL, *b = NULL;
    o.span_ns = SEC / 4;
    XT_OK(mu_share_join(&a, &o, &err));
    put_elsewhere("a");
    o.campaign = o.key = "b";
    o.n_devices = 4;
    o.node = ON_TWO;
    XT_OK(mu_share_join(&b, &o, &err));
    const uint8_t use[MAX] = {0};
    const struct mu_share_ask ask = {.want = 1, .narrow = 1, .use = use};
    struct mu_share_due due;
    XT_FAILS(mu_share_look(a, &ask, &due, &err), MU_EINVAL, "campaign b");
    mu_share_leave(a);
    mu_share_leave(b);
}

/* ---- a file that cannot be asked ---- */

XT_TEST(a_locked_file_changes_nothing)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    sqlite3 *db = NULL;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock), b = join("b", 2, &clock);
    XT_EQ(look(&a), 2);
    look(&b);
    XT_CHECK(sqlite3_open(file(), &db) == SQLITE_OK);
    XT_CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    XT_FAILS(look_with(&a, &err), MU_EPEER, "in use");
    XT_CHECK(mu_share_has(a.s, 0) && mu_share_has(a.s, 1));
    sqlite3_close(db);
    XT_EQ(look(&a), 2);
    XT_EQ(a.due.give, 1);
    mu_share_leave(a.s);
    mu_share_leave(b.s);
}

static void full_disk_changes_nothing(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct rlimit was, none = {0};
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock);
    XT_EQ(look(&a), 2);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    none.rlim_max = was.rlim_max;
    none.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &none);
    int rc = look_with(&a, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    XT_EQ(rc, MU_ENOSPC);
    XT_CHECKF(strstr(err.text, "go on with the devices they have"), "%s", err.text);
    XT_CHECK(mu_share_has(a.s, 0) && mu_share_has(a.s, 1));
    XT_EQ(look(&a), 2);
    mu_share_leave(a.s);
}

XT_TEST(a_full_disk_changes_nothing)
{
    full_disk_changes_nothing();
}

/* Somebody removed the folder: those who shared meet in a new file, each with what it had. */
XT_TEST(a_file_that_is_gone_is_made_anew)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 100 * SEC);
    struct member a = join("a", 2, &clock), b = join("b", 2, &clock);
    look(&a);
    look(&b);
    look(&a);
    give(&a);
    XT_EQ(look(&b), 1);
    unlink(file());
    XT_EQ(look(&a), 1);
    XT_EQ(look(&b), 1);
    XT_EQ(look(&a), 1);
    each_device_has_one(&a, &b);
    mu_share_leave(a.s);
    mu_share_leave(b.s);
}

XT_TEST(another_program_s_file_is_left_alone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_share_opts o = opts("a", 2, mu_clock_real());
    struct mu_share *s = NULL;
    FILE *f = fopen(file(), "w");
    for (int i = 0; i < 2000; i++)
        fputs("not a database ", f);
    fclose(f);
    XT_FAILS(mu_share_join(&s, &o, &err), MU_EFORMAT, "name another");
}

static int join_and_leave(void *arg, struct mu_err *e)
{
    const struct mu_share_opts *o = arg;
    struct mu_share *s = NULL;
    int rc = mu_share_join(&s, o, e);
    mu_share_leave(s);
    return rc;
}

XT_TEST(joining_with_no_memory_leaves_nothing)
{
    struct mu_share_opts o = opts("a", 2, mu_clock_real());
    xt_each_alloc_fails(join_and_leave, &o);
}

XT_MAIN()
