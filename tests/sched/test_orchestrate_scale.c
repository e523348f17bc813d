/* test_orchestrate_scale.c - workers of a model follow its work: a launcher by a script, a clock of its own
 *
 * A worker does 10 requests a second. Rules look every 5 s unless a test says else; 8 devices, one task each. */
#include "sched/orchestrate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "sched/scale.h"
#include "xt.h"

#define SEC     1000000000ll
#define DEVICES 8
#define RULES                                                                                                          \
    "interval: 5s, stable: 2, up_cooldown: 10s, down_cooldown: 60s, drain: 60s, capacity: 10, step_most: 4, smooth: 1"

struct play {
    struct fake_launcher f;
    struct mu_campaign *c;
    struct mu_fleet_device device[DEVICES];
    char folder[600], text[1 << 16];
    size_t n_text;
    int to[64], n_changes; /* replicas after each */
    double at_s[64];
    char said[64][MU_SCALE_TEXT_MAX + 160];
    int started, finished, failed, running_most;
    int stops_at; /* changes; 0: never */
    struct mu_counts counts;
    struct mu_err err;
};

/* ---- a campaign ---- */

static void add(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct play *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(p->text + p->n_text, sizeof p->text - p->n_text, fmt, ap);
    va_end(ap);
    XT_CHECK(n >= 0 && (size_t)n < sizeof p->text - p->n_text);
    p->n_text += (size_t)MU_MAX(n, 0);
}

static void begin(struct play *p, const char *name, const char *models, const char *rules)
{
    *p = (struct play){0};
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    mkdir(p->folder, 0777);
    for (int i = 0; i < DEVICES; i++)
        p->device[i] = (struct mu_fleet_device){.tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    add(p, "output: out\nmodels: [%s]\nscaling: {%s}\nsuites:\n", models, rules);
}

static void add_suites(struct play *p, const char *name, int n)
{
    for (int i = 0; i < n; i++)
        add(p, "  - {name: %s%d, tasks: x}\n", name, i);
}

static void hear(void *arg, const struct mu_news *n)
{
    struct play *p = arg;
    p->started += n->kind == MU_EVENT_TASK_STARTED;
    p->finished += n->kind == MU_EVENT_TASK_FINISHED;
    p->failed += n->kind == MU_EVENT_ATTEMPT_FAILED;
    p->running_most = MU_MAX(p->running_most, n->running);
    if (n->kind != MU_EVENT_SCALED || p->n_changes == 64)
        return;
    const char *to = strstr(n->why, "become");
    snprintf(p->said[p->n_changes], sizeof p->said[0], "%s", n->why);
    p->at_s[p->n_changes] = (double)(mu_now_ns(&p->f.clock)) * 1e-9 - 1000;
    p->to[p->n_changes++] = to ? atoi(to + strcspn(to, "0123456789")) : -1;
}

static bool has_had_enough(void *arg)
{
    const struct play *p = arg;
    return p->stops_at > 0 && p->n_changes >= p->stops_at;
}

static void set_up(struct play *p, const struct fake_script *s, int n)
{
    p->c = campaign_of(p->text);
    fake_launcher_init(&p->f, s, n);
    p->f.rate = 10;
}

static int play(struct play *p)
{
    static const char *const nodes[] = {"n0"};
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .nodes = nodes,
                             .devices = p->device,
                             .n_devices = DEVICES,
                             .cores = 1,
                             .is_stopped = has_had_enough,
                             .told = hear,
                             .arg = p};
    p->n_changes = p->started = p->finished = p->failed = p->running_most = 0;
    p->err = (struct mu_err)MU_ERR_INIT;
    return mu_orchestrate(&o, &p->counts, &p->err);
}

static void end(struct play *p)
{
    mu_campaign_free(p->c);
}

static void note(const struct play *p)
{
    for (int i = 0; i < p->n_changes; i++)
        xt_note("%6.0f s: %s", p->at_s[i], p->said[i]);
}

/* No task was cut: each that began ended well, and began once. */
static void check_none_cut(const struct play *p)
{
    XT_EQ(p->started, p->finished);
    XT_EQ(p->failed, 0);
    XT_EQ(p->f.n, 0);
}

/* ---- what must hold ---- */

/* One task of 200 s; then 30 of 20 s each at once; then one of 700 s alone. */
XT_TEST(a_step_is_followed_up_and_down)
{
    static const struct fake_script s[] = {{"a/first0", {0}, 200}, {"a/last0", {0}, 700}};
    static struct play p;
    begin(&p, "step", "a", "least: 1, most: 6, " RULES);
    add_suites(&p, "first", 1);
    add_suites(&p, "wave", 30);
    add_suites(&p, "last", 1);
    add(&p, "settings: [{for: \"a/wave*\", after: a/first0}, {for: a/last0, after: \"a/wave*\"}]\n");
    set_up(&p, s, 2);
    p.f.seconds = 20;
    XT_EQ(play(&p), MU_OK);
    note(&p);
    check_none_cut(&p);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 32);
    XT_EQ(p.running_most, 6);
    XT_EQ(p.f.most, 6);
    /* 6,000 requests wait where 600 are done in 60 s: after two looks four more, after the cooldown the last */
    XT_EQ(p.n_changes, 6);
    XT_EQ(p.to[0], 5);
    XT_CHECKF(p.at_s[0] >= 205 && p.at_s[0] <= 215, "up at %.0f s", p.at_s[0]);
    XT_EQ(p.to[1], 6);
    XT_CHECKF(p.at_s[1] - p.at_s[0] >= 10 && p.at_s[1] - p.at_s[0] <= 20, "up again at %.0f s", p.at_s[1]);
    for (int i = 2; i < p.n_changes; i++) {
        XT_EQ(p.to[i], p.to[i - 1] - 1);
        XT_CHECKF(p.at_s[i] - p.at_s[i - 1] >= 60, "down at %.0f and %.0f s", p.at_s[i - 1], p.at_s[i]);
    }
    XT_EQ(p.to[p.n_changes - 1], 2); /* one alone would be 100% busy with the last */
    end(&p);
}

/* Two tasks at a time, each the next of a row: load(1) is 1, above 0.85, and for a third there is no work. */
XT_TEST(a_steady_load_moves_nothing_in_a_thousand_looks)
{
    static struct play p;
    begin(&p, "steady", "a", "least: 1, most: 8, interval: 1s, stable: 3, up_cooldown: 10s, down_cooldown: 30s");
    add_suites(&p, "x", 2);
    for (int i = 2; i < 112; i++)
        add(&p, "  - {name: x%d, tasks: x}\n", i);
    add(&p, "settings:\n");
    for (int i = 2; i < 112; i++)
        add(&p, "  - {for: a/x%d, after: a/x%d}\n", i, i - 2);
    set_up(&p, NULL, 0);
    p.f.seconds = 20;
    XT_EQ(play(&p), MU_OK);
    note(&p);
    check_none_cut(&p);
    XT_CHECKF(mu_now_ns(&p.f.clock) >= 2050 * SEC, "%.0f s", (double)mu_now_ns(&p.f.clock) * 1e-9 - 1000);
    XT_EQ(p.n_changes, 1);
    XT_EQ(p.to[0], 2);
    XT_CHECKF(p.at_s[0] < 30, "at %.0f s", p.at_s[0]);
    end(&p);
}

/* Two more tasks than the limit would do in a minute each: it stays. With `least` idle ones are kept. */
XT_TEST(limits_hold)
{
    static const struct fake_script s[] = {{"a/z0", {0}, 400}};
    static struct play p;
    begin(&p, "most", "a", "least: 2, most: 3, " RULES);
    add_suites(&p, "x", 24);
    add_suites(&p, "z", 1);
    add(&p, "settings: [{for: a/z0, after: \"a/x*\"}]\n");
    set_up(&p, s, 1);
    p.f.seconds = 40;
    XT_EQ(play(&p), MU_OK);
    note(&p);
    check_none_cut(&p);
    XT_EQ(p.running_most, 3);
    XT_EQ(p.f.started, 3);
    XT_EQ(p.n_changes, 2);
    XT_EQ(p.to[0], 3);
    XT_EQ(p.to[1], 2); /* and no fewer */
    end(&p);
}

/* What the log says is where it goes on: no change is needed for as many workers as before. */
XT_TEST(a_restart_goes_on_with_as_many)
{
    static struct play p;
    begin(&p, "restart", "a", "least: 1, most: 5, " RULES);
    add_suites(&p, "x", 40);
    set_up(&p, NULL, 0);
    p.f.seconds = 30;
    p.stops_at = 1;
    XT_EQ(play(&p), MU_ECANCELED);
    XT_EQ(p.n_changes, 1);
    XT_EQ(p.to[0], 5);
    XT_CHECK(p.counts.left >= 36);
    p.stops_at = 0;
    int64_t from = mu_now_ns(&p.f.clock);
    int left = p.counts.left;
    XT_EQ(play(&p), MU_OK);
    note(&p);
    XT_EQ(p.finished, left);
    XT_EQ(p.running_most, 5);
    /* five at once from the start: eight turns of 30 s, and one more for the wait where nothing is known */
    XT_CHECKF(mu_now_ns(&p.f.clock) - from <= 9 * 35 * SEC, "%.0f s", (double)(mu_now_ns(&p.f.clock) - from) * 1e-9);
    for (int i = 0; i < p.n_changes; i++)
        XT_CHECKF(p.to[i] < 5, "%s", p.said[i]);
    end(&p);
}

/* Five hundred and twenty tasks of one model stand before the only one of another, which has its device at once. */
XT_TEST(a_model_at_its_limit_does_not_stand_in_the_way)
{
    static const struct fake_script s[] = {{"b/x519", {0}, 5}};
    static struct play p;
    begin(&p, "way", "a, b", "least: 1, most: 1, " RULES);
    add_suites(&p, "x", 520);
    add(&p, "matrix: [{models: a}, {models: b, suites: x519}]\n");
    set_up(&p, s, 1);
    XT_EQ(play(&p), MU_OK);
    check_none_cut(&p);
    XT_EQ(p.started, 521);
    XT_EQ(p.running_most, 2);
    XT_EQ(p.f.started, 2);
    XT_EQ(p.n_changes, 0);
    const char *b = strstr(p.f.order, "b/x519");
    XT_CHECKF(b && b - p.f.order <= 16, "%.60s", p.f.order);
    end(&p);
}

/* Nothing is asked for that no device could hold; the workers of a model that has no more work go when another's need
 * their devices, or at the next step down. */
XT_TEST(devices_that_are_not_there_are_not_asked_for)
{
    static struct play p;
    begin(&p, "room", "a, b", "least: 1, most: 64, " RULES);
    add_suites(&p, "x", 40);
    set_up(&p, NULL, 0);
    p.f.seconds = 30;
    XT_EQ(play(&p), MU_OK);
    note(&p);
    check_none_cut(&p);
    XT_EQ(p.running_most, DEVICES);
    for (int i = 0; i < p.n_changes; i++)
        XT_CHECKF(p.to[i] <= DEVICES, "%s", p.said[i]);
    XT_CHECK(p.n_changes >= 2 && p.n_changes < 20);
    end(&p);
}

XT_MAIN()
