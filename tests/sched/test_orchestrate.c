/* test_orchestrate.c - campaigns brought home by a launcher whose workers live as long, and end as, a script says */
#include "sched/orchestrate.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "campaign_text.h"
#include "xt.h"

#define SEC 1000000000ll

/* ---- a launcher ---- */

/* How the next attempts of a task end; the last one goes for all after it. Of tasks without a script all end well. */
struct script {
    const char *task;
    int status[8];
    double seconds;
};

struct worker {
    int64_t number, ends_ns;
    int status;
    bool is_stubborn;
};

struct fake {
    struct mu_launcher l; /* first */
    struct mu_clock clock;
    const struct script *script;
    int n_scripts;
    struct worker worker[16];
    int n, most; /* at a time */
    int64_t started;
    const char *says; /* each that ends badly; NULL: its status */
    char order[2048]; /* tasks as they were started, blanks between */
    int tries[16];    /* of a script's task */
};

static struct fake *fake_of(struct mu_launcher *l)
{
    return (struct fake *)l;
}

/* "/tmp/x/OUT/model/suite/task.json" -> "model/suite" */
static void name_of(const char *path, char out[128])
{
    char copy[512];
    const char *part[3] = {"", "", ""};
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strtok(copy, "/"); p; p = strtok(NULL, "/")) {
        part[0] = part[1];
        part[1] = part[2];
        part[2] = p;
    }
    snprintf(out, 128, "%s/%s", part[0], part[1]);
}

static int fake_start(struct mu_launcher *l, const char *const *argv, const char *log, int64_t *worker,
                      struct mu_err *e)
{
    struct fake *f = fake_of(l);
    struct worker *w = &f->worker[f->n];
    char task[128];
    (void)log;
    if (f->n == (int)MU_COUNT(f->worker))
        return mu_fail(e, MU_ELIMIT, "too many workers");
    name_of(argv[3], task);
    snprintf(f->order + strlen(f->order), sizeof f->order - strlen(f->order), "%s ", task);
    *w = (struct worker){.number = ++f->started, .ends_ns = mu_now_ns(&f->clock) + SEC};
    for (int i = 0; i < f->n_scripts; i++) {
        const struct script *s = &f->script[i];
        if (strcmp(s->task, task) != 0)
            continue;
        w->status = s->status[MU_MIN(f->tries[i], 7)];
        f->tries[i]++;
        w->ends_ns = mu_now_ns(&f->clock) + (int64_t)(s->seconds * 1e9);
        w->is_stubborn = w->status == 99;
    }
    *worker = w->number;
    f->n++;
    f->most = MU_MAX(f->most, f->n);
    return MU_OK;
}

static bool fake_wait(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_end *out)
{
    struct fake *f = fake_of(l);
    int first = -1;
    for (int i = 0; i < f->n; i++)
        if (first < 0 || f->worker[i].ends_ns < f->worker[first].ends_ns)
            first = i;
    int64_t now = mu_now_ns(&f->clock);
    if (first < 0 || f->worker[first].ends_ns > now + timeout_ns) {
        mu_clock_fake_advance(&f->clock, timeout_ns);
        return false;
    }
    mu_clock_fake_advance(&f->clock, MU_MAX(f->worker[first].ends_ns - now, 0));
    *out = (struct mu_worker_end){.worker = f->worker[first].number, .exit_status = f->worker[first].status};
    snprintf(out->line, sizeof out->line, "%s", f->says ? f->says : "as written");
    f->worker[first] = f->worker[--f->n];
    return true;
}

static void fake_stop(struct mu_launcher *l, int64_t worker, bool at_once)
{
    struct fake *f = fake_of(l);
    for (int i = 0; i < f->n; i++) {
        struct worker *w = &f->worker[i];
        if (w->number != worker || (w->is_stubborn && !at_once))
            continue;
        w->ends_ns = mu_now_ns(&f->clock);
        w->status = at_once ? 128 + SIGKILL : mu_code_exit_status(MU_ECANCELED);
    }
}

static void fake_close(struct mu_launcher *l)
{
    fake_of(l)->n = 0;
}

static const struct mu_launcher_ops fake_ops = {
    .name = "fake", .start = fake_start, .wait = fake_wait, .stop = fake_stop, .close = fake_close};

/* ---- a campaign ---- */

struct play {
    struct fake f;
    struct mu_campaign *c;
    struct mu_fleet_device device[2];
    int n_devices;
    int stops_after; /* news; 0: never */
    int n_news;
    struct mu_counts counts;
    struct mu_err err;
    char folder[600];
};

static bool has_had_enough(void *arg)
{
    const struct play *p = arg;
    return p->stops_after > 0 && p->n_news >= p->stops_after;
}

static void hear(void *arg, const struct mu_news *n)
{
    struct play *p = arg;
    (void)n;
    p->n_news++;
}

static void begin(struct play *p, const char *name, const char *text, const struct script *script, int n_scripts)
{
    *p = (struct play){.n_devices = 1};
    p->c = campaign_of(text);
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    mkdir(p->folder, 0777);
    p->device[0] = (struct mu_fleet_device){.tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    p->f = (struct fake){.l = {&fake_ops}, .script = script, .n_scripts = n_scripts};
    mu_clock_fake_init(&p->f.clock, 1000 * SEC);
}

static int play(struct play *p)
{
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .node = "here",
                             .devices = p->device,
                             .n_devices = p->n_devices,
                             .cores = 8,
                             .is_stopped = has_had_enough,
                             .told = hear,
                             .arg = p};
    p->n_news = 0;
    p->f.order[0] = 0;
    p->err = (struct mu_err)MU_ERR_INIT;
    return mu_orchestrate(&o, &p->counts, &p->err);
}

static void end(struct play *p)
{
    mu_campaign_free(p->c);
}

#define ENDED(p, want_finished, want_failed, want_skipped)                                                             \
    do {                                                                                                               \
        XT_EQ((p)->counts.by_state[MU_TASK_FINISHED], (want_finished));                                                \
        XT_EQ((p)->counts.by_state[MU_TASK_FAILED], (want_failed));                                                    \
        XT_EQ((p)->counts.by_state[MU_TASK_SKIPPED], (want_skipped));                                                  \
    } while (0)

#define TWO_BY_TWO                                                                                                     \
    "output: out\nmodels: [a, b]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"                                \
    "settings:\n  - {retries: {limit: 2, wait: 10s, wait_max: 40s}}\n"

XT_TEST(every_task_runs_once)
{
    struct play p;
    begin(&p, "once", TWO_BY_TWO, NULL, 0);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.started, 4);
    XT_EQ(p.f.most, 1);
    XT_EQ(play(&p), MU_OK); /* again: nothing is left */
    XT_EQ(p.f.started, 4);
    end(&p);
}

XT_TEST(priority_and_order_are_kept)
{
    struct play p;
    begin(&p, "order", TWO_BY_TWO "  - {for: b/y, priority: critical}\n  - {for: a/x, after: [\"*/y\", b/x]}\n", NULL,
          0);
    XT_EQ(play(&p), MU_OK);
    XT_CHECKF(strncmp(p.f.order, "b/y ", 4) == 0, "%s", p.f.order);
    XT_CHECKF(strcmp(p.f.order + strlen(p.f.order) - 4, "a/x ") == 0, "%s", p.f.order);
    end(&p);
}

XT_TEST(as_many_at_a_time_as_a_device_may_have)
{
    struct play p;
    begin(&p, "many", TWO_BY_TWO, NULL, 0);
    p.device[0].tasks_max = 3;
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.most, 3);
    end(&p);
}

XT_TEST(a_failure_is_tried_again_after_a_while)
{
    static const struct script s[] = {{"a/x", {137, 137, 0}, 2}};
    struct play p;
    begin(&p, "again", TWO_BY_TWO, s, 1);
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.tries[0], 3);
    XT_EQ(p.counts.failures[MU_FAILURE_KILLED], 2);
    XT_CHECK(mu_now_ns(&p.f.clock) - from >= 15 * SEC); /* waits of 5 to 10 and 10 to 20 s */
    end(&p);
}

XT_TEST(what_waits_for_a_failure_is_skipped_or_not)
{
    static const struct script s[] = {{"a/x", {137, 137, 137, 137, 137, 137, 137, 137}, 1}};
    struct play p;
    begin(&p, "skip", TWO_BY_TWO "  - {for: a/y, after: a/x}\n  - {for: b/y, after: a/x, if_failed: anyway}\n", s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 2, 1, 1);
    XT_EQ(p.f.tries[0], 3); /* the first and two more */
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 2, 1, 1);
    end(&p);
}

/* The failure comes first, what ends the waiting is a success. */
XT_TEST(what_waits_for_several_ends_with_the_last_of_them)
{
    static const struct script s[] = {{"a/x", {137, 137, 137, 137, 137, 137, 137, 137}, 1}, {"b/x", {0}, 500}};
    struct play p;
    begin(&p, "last", TWO_BY_TWO "  - {for: a/y, after: \"*/x\"}\n  - {for: b/y, after: \"*/x\", if_failed: anyway}\n",
          s, 2);
    p.device[0].tasks_max = 4;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 2, 1, 1);
    end(&p);
}

/* What a worker prints may be cut inside a letter. */
XT_TEST(a_line_that_is_not_utf8_is_no_end_of_it)
{
    static const struct script s[] = {{"a/x", {1, 0}, 1}};
    struct play p;
    begin(&p, "bytes", TWO_BY_TWO, s, 1);
    p.f.says = "caf\xc3";
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    end(&p);
}

XT_TEST(a_timeout_ends_a_task)
{
    static const struct script s[] = {{"a/x", {0}, 1e6}, {"b/x", {99, 99, 99, 99, 99, 99, 99, 99}, 1e6}};
    struct play p;
    begin(&p, "late", TWO_BY_TWO "  - {for: \"*/x\", timeout: 60s}\n", s, 2);
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 2, 2, 0);
    int64_t took = mu_now_ns(&p.f.clock) - from;
    /* Each is tried twice (application: once more); the one that does not listen is killed 30 s later. */
    XT_CHECKF(took >= 300 * SEC && took < 400 * SEC, "%.0f s", (double)took * 1e-9);
    end(&p);
}

XT_TEST(stopped_at_any_moment_it_goes_on)
{
    static const struct script s[] = {{"a/y", {137, 0}, 3}, {"b/x", {0}, 7}};
    for (int stop = 1; stop <= 12; stop++) {
        struct play p;
        char name[32];
        snprintf(name, sizeof name, "stop%d", stop);
        begin(&p, name, TWO_BY_TWO "  - {for: b/y, after: b/x}\n", s, 2);
        p.device[0].tasks_max = 2;
        for (int round = 0; round < 20; round++) {
            p.stops_after = round < 8 ? stop : 0;
            int rc = play(&p);
            XT_EQ(p.f.n, 0); /* nobody is left behind */
            if (rc == MU_OK)
                break;
            XT_CHECKF(rc == MU_ECANCELED, "%s", p.err.text);
        }
        ENDED(&p, 4, 0, 0);
        end(&p);
    }
}

XT_TEST(a_store_of_another_campaign_is_refused)
{
    struct play p;
    begin(&p, "other", TWO_BY_TWO, NULL, 0);
    XT_EQ(play(&p), MU_OK);
    end(&p);
    begin(&p, "other", "output: out\nmodels: [a]\nsuites: [{name: x, tasks: x}]\n", NULL, 0);
    XT_EQ(play(&p), MU_EINVAL);
    XT_CHECKF(strstr(p.err.text, "holds another campaign"), "%s", p.err.text);
    XT_EQ(p.f.started, 0);
    end(&p);
    /* The same tasks in another order, more urgent, are the same campaign. */
    begin(&p, "other",
          "output: out\nsuites: [{name: y, tasks: y}, {name: x, tasks: x}]\nmodels: [b, a]\n"
          "name: c\nsettings: [{priority: high}]\n",
          NULL, 0);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.started, 0);
    end(&p);
}

XT_TEST(more_devices_than_there_are_is_told)
{
    struct play p;
    begin(&p, "large", TWO_BY_TWO "  - {for: a/x, resources: {devices: 2}}\n", NULL, 0);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 3, 1, 0);
    end(&p);
}

XT_TEST(the_budget_of_walltime_ends_it)
{
    struct play p;
    begin(&p, "budget", TWO_BY_TWO "budgets: {walltime: 2s}\n", NULL, 0);
    XT_EQ(play(&p), MU_ELIMIT);
    XT_CHECKF(strstr(p.err.text, "walltime of 2 s is spent"), "%s", p.err.text);
    XT_CHECK(p.counts.left > 0 && p.counts.left < 4);
    end(&p);
}

XT_TEST(an_output_that_cannot_be_written_is_told)
{
    struct play p;
    begin(&p, "nowhere", TWO_BY_TWO, NULL, 0);
    snprintf(p.folder, sizeof p.folder, "/proc/nowhere");
    XT_CHECK(play(&p) != MU_OK);
    XT_CHECKF(strstr(p.err.text, "/proc/nowhere"), "%s", p.err.text);
    end(&p);
}

XT_MAIN()
