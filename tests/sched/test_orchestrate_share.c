/* test_orchestrate_share.c - a campaign that shares its devices with another one, which is played by hand */
#include "sched/orchestrate.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/log.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "sched/share.h"
#include "xt.h"

#define SEC 1000000000ll

static const char *const NODES[] = {"n0"};
static const int ON_ONE[] = {0, 0};

#define TWO_BY_TWO                                                                                                     \
    "name: mine\noutput: out\nmodels: [a, b]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"                    \
    "settings:\n  - {retries: {limit: 2, wait: 10s, wait_max: 40s}}\n"

struct play {
    struct fake_launcher f;
    struct mu_campaign *c;
    struct mu_fleet_device device[2];
    struct mu_counts counts;
    struct mu_err err;
    char folder[600], share[700];
    /* The other campaign: wants so many devices in that time, all of them at work. */
    struct mu_share *other;
    int want, held;
    double from_s, to_s, looked_s;
    double first_s; /* when it had its first device; 0: never */
    /* Once, at that time, this campaign's process does not run for a while. */
    double stops_s, stopped_s;
    double task_s; /* of the other: it gives what it should at the ends of its tasks; 0: never */
    int owed;
    double locks_s; /* from when the store is locked; 0: never */
    sqlite3 *lock;
    int n_warnings;
};

static double now_of(const struct play *p)
{
    return (double)(mu_now_ns(&p->f.clock) - 1000 * SEC) * 1e-9;
}

static void join_other(struct play *p)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_share_opts o = {.folder = p->share,
                                    .campaign = "theirs",
                                    .key = "theirs",
                                    .weight = 1,
                                    .nodes = NODES,
                                    .node = ON_ONE,
                                    .n_devices = 2,
                                    .clock = &p->f.clock};
    XT_OK(mu_share_join(&p->other, &o, &err));
}

static void look_other(struct play *p, bool gives)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_share_due due;
    uint8_t use[2];
    for (int i = 0; i < 2; i++)
        use[i] = gives ? MU_SHARE_GIVE : MU_SHARE_MAY;
    const struct mu_share_ask a = {
        .busy = gives ? 0 : p->held, .want = gives ? 0 : p->want, .narrow = !gives, .wide_task = -1, .use = use};
    XT_OK(mu_share_look(p->other, &a, &due, &err));
    p->held = mu_share_has(p->other, 0) + mu_share_has(p->other, 1);
    p->owed = due.give;
    if (p->held > 0 && p->first_s == 0)
        p->first_s = now_of(p);
}

static void lock_store(struct play *p)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", p->share, MU_SHARE_STORE);
    XT_CHECK(sqlite3_open(path, &p->lock) == SQLITE_OK);
    XT_CHECK(sqlite3_exec(p->lock, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
}

/* Asked once a round: the world goes on beside it. */
static bool goes_on_beside(void *arg)
{
    struct play *p = arg;
    double now_s = now_of(p);
    if (p->want > 0 && !p->lock && now_s >= p->looked_s + 1) {
        p->looked_s = now_s;
        bool ends = p->task_s > 0 && p->owed > 0 && fmod(now_s, p->task_s) < 1.5;
        look_other(p, now_s < p->from_s || now_s >= p->to_s || ends);
        if (p->stops_s > 0 && now_s >= p->stops_s) {
            mu_clock_fake_advance(&p->f.clock, (int64_t)(p->stopped_s * 1e9));
            look_other(p, false);
            p->stops_s = 0;
        }
    }
    if (p->locks_s > 0 && !p->lock && now_s >= p->locks_s)
        lock_store(p);
    return false;
}

/* Workers and those of the other campaign never need more devices than there are, but for a moment after a stop. */
static void hear(void *arg, const struct mu_news *n)
{
    const struct play *p = arg;
    if (n->kind == MU_EVENT_TASK_STARTED)
        XT_CHECKF(p->f.n + p->held <= 2, "%d workers and %d devices of others at %.0f s", p->f.n, p->held, now_of(p));
}

static void begin_as(struct play *p, const char *name, const char *text, const struct fake_script *script, int n)
{
    *p = (struct play){.to_s = INFINITY};
    p->c = campaign_of(text);
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    snprintf(p->share, sizeof p->share, "%s/share", p->folder);
    mkdir(p->folder, 0777);
    for (int i = 0; i < 2; i++)
        p->device[i] = (struct mu_fleet_device){.tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    fake_launcher_init(&p->f, script, n);
}

static void begin(struct play *p, const char *name, const struct fake_script *script, int n)
{
    begin_as(p, name, TWO_BY_TWO, script, n);
}

static void play(struct play *p)
{
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .nodes = NODES,
                             .devices = p->device,
                             .n_devices = 2,
                             .share = p->share,
                             .cores = 8,
                             .is_stopped = goes_on_beside,
                             .told = hear,
                             .arg = p};
    p->err = (struct mu_err)MU_ERR_INIT;
    int rc = mu_orchestrate(&o, &p->counts, &p->err);
    XT_CHECKF(rc == MU_OK, "%s", p->err.text);
    XT_EQ(p->counts.by_state[MU_TASK_FINISHED], 4);
}

static void end(struct play *p)
{
    sqlite3_close(p->lock);
    mu_share_leave(p->other);
    mu_campaign_free(p->c);
}

static const struct fake_script half_minutes[] = {
    {"a/x", {0}, 30}, {"a/y", {0}, 30}, {"b/x", {0}, 30}, {"b/y", {0}, 30}};

XT_TEST(alone_it_has_all_devices_and_gives_them_back)
{
    struct play p;
    begin(&p, "alone", half_minutes, 4);
    play(&p);
    XT_EQ(p.f.most, 2);
    p.want = 2;
    join_other(&p);
    look_other(&p, false);
    XT_EQ(p.held, 2);
    end(&p);
}

XT_TEST(what_another_has_is_not_there)
{
    struct play p;
    begin(&p, "half", half_minutes, 4);
    p.want = 1;
    join_other(&p);
    look_other(&p, false);
    XT_EQ(p.held, 1);
    play(&p);
    XT_EQ(p.f.most, 1);
    XT_CHECKF(now_of(&p) >= 120, "%.0f s", now_of(&p)); /* one after the other */
    end(&p);
}

XT_TEST(a_device_is_given_when_its_task_ends)
{
    struct play p;
    begin(&p, "late", half_minutes, 4);
    p.want = 1;
    p.from_s = 10;
    join_other(&p);
    play(&p);
    XT_EQ(p.f.most, 2);
    XT_CHECKF(p.first_s >= 29 && p.first_s <= 34, "it had a device at %.0f s", p.first_s);
    XT_EQ(p.f.tasks, 4); /* none was stopped */
    end(&p);
}

XT_TEST(who_has_waited_long_has_a_task_stopped_for_it)
{
    static const struct fake_script s[] = {{"a/x", {0}, 200}, {"a/y", {0}, 200}, {"b/x", {0}, 200}, {"b/y", {0}, 200}};
    struct play p;
    begin(&p, "long", s, 4);
    p.want = 1;
    p.from_s = 70;
    p.to_s = 250;
    join_other(&p);
    play(&p);
    XT_CHECKF(p.first_s >= 130 && p.first_s <= 140, "it had a device at %.0f s", p.first_s);
    XT_EQ(p.f.tasks, 5); /* one was stopped, and began again */
    XT_EQ(p.counts.by_state[MU_TASK_FAILED], 0);
    end(&p);
}

/* Both devices for one task, while the other always has something for one. */
XT_TEST(a_task_wider_than_the_share_has_its_turn)
{
    struct play p;
    begin_as(&p, "wide", TWO_BY_TWO "  - {for: b/y, resources: {devices: 2}}\n", half_minutes, 4);
    p.want = 1;
    p.task_s = 20;
    join_other(&p);
    look_other(&p, false);
    play(&p);
    XT_EQ(p.f.tasks, 4);
    XT_CHECKF(now_of(&p) < 300, "%.0f s", now_of(&p));
    look_other(&p, false);
    XT_EQ(p.held, 1); /* and has its device again */
    end(&p);
}

XT_TEST(what_was_lost_while_it_stood_still_is_left_at_once)
{
    static const struct fake_script s[] = {{"a/x", {0}, 100}, {"a/y", {0}, 100}, {"b/x", {0}, 100}, {"b/y", {0}, 100}};
    struct play p;
    begin(&p, "stopped", s, 4);
    p.want = 2;
    p.from_s = 20;
    p.to_s = 300;
    p.stops_s = 25;
    p.stopped_s = 40;
    join_other(&p);
    play(&p);
    XT_CHECKF(p.first_s >= 65 && p.first_s <= 66, "it had a device at %.0f s", p.first_s);
    XT_CHECKF(p.f.tasks >= 6, "%d tasks were begun", p.f.tasks); /* two were lost with their devices */
    end(&p);
}

static void count_warning(void *arg, enum mu_log_level level, const char *line)
{
    struct play *p = arg;
    p->n_warnings += level == MU_LOG_WARN && strstr(line, "goes on with those it has") != NULL;
}

XT_TEST(a_store_that_is_lost_is_told_once_and_done_without)
{
    static const struct fake_script s[] = {{"a/x", {0}, 9}, {"a/y", {0}, 9}, {"b/x", {0}, 9}, {"b/y", {0}, 9}};
    struct play p;
    begin(&p, "lost", s, 4);
    p.locks_s = 5;
    mu_log_sink_set(count_warning, &p);
    play(&p);
    mu_log_sink_set(NULL, NULL);
    XT_EQ(p.n_warnings, 1);
    XT_EQ(p.f.most, 2);
    XT_CHECKF(now_of(&p) <= 25, "%.0f s", now_of(&p));
    end(&p);
}

XT_MAIN()
