/* test_orchestrate.c - campaigns brought home by a launcher whose workers live as long, and end as, a script says */
#include "sched/orchestrate.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "sched/event_log.h"
#include "xt.h"

#define SEC 1000000000ll
#define ALWAYS(s)                                                                                                      \
    {                                                                                                                  \
        s, s, s, s, s, s, s, s                                                                                         \
    }

/* ---- a campaign ---- */

static const char *const NODES[] = {"n0", "n1", "n2", "n3"};

struct play {
    struct fake_launcher f;
    struct mu_campaign *c;
    struct mu_fleet_device device[4];
    const char *node[4];
    int n_devices;
    const int64_t *weights;
    double (*left_s)(void *arg);
    double closes_s;
    int stops_after;     /* news; 0: never */
    int next_turn_after; /* the same */
    const char *job;
    int turn;
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

/* The job's next turn has begun elsewhere, and this one's node is cut off from the batch system alone. */
static void let_next_turn_begin(struct play *p)
{
    struct mu_event_log *l = NULL;
    struct mu_err err = MU_ERR_INIT;
    const struct mu_event_log_opts o = {.job = "here:71", .turn = p->turn + 1};
    char path[700];
    snprintf(path, sizeof path, "%s/%s", p->folder, MU_ORCHESTRA_STORE);
    XT_OK(mu_event_log_open(&l, path, &o, &err));
    XT_FAILS(mu_event_log_own(l, 0, &err), MU_EPEER, "in use by process");
    mu_event_log_close(l);
}

static void hear(void *arg, const struct mu_news *n)
{
    struct play *p = arg;
    (void)n;
    if (++p->n_news == p->next_turn_after)
        let_next_turn_begin(p);
}

static void begin(struct play *p, const char *name, const char *text, const struct fake_script *script, int n_scripts)
{
    *p = (struct play){.n_devices = 1};
    p->c = campaign_of(text);
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    mkdir(p->folder, 0777);
    for (int i = 0; i < 4; i++)
        p->device[i] = (struct mu_fleet_device){.tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    for (int i = 0; i < 4; i++)
        p->node[i] = NODES[i];
    fake_launcher_init(&p->f, script, n_scripts);
}

static int play(struct play *p)
{
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .job = p->job,
                             .turn = p->turn,
                             .clock = &p->f.clock,
                             .nodes = p->node,
                             .devices = p->device,
                             .n_devices = p->n_devices,
                             .weights = p->weights,
                             .left_s = p->left_s,
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
    XT_EQ(p.f.tasks, 4);
    XT_EQ(p.f.started, 2); /* a's suites and b's follow each other */
    XT_EQ(p.f.most, 1);
    XT_EQ(play(&p), MU_OK); /* again: nothing is left */
    XT_EQ(p.f.tasks, 4);
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
    static const struct fake_script s[] = {{"a/x", {9, 9, 0}, 2}}; /* a full disk */
    struct play p;
    begin(&p, "again", TWO_BY_TWO, s, 1);
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.tries[0], 3);
    XT_EQ(p.counts.failures[MU_FAILURE_STORAGE], 2);
    XT_CHECK(mu_now_ns(&p.f.clock) - from >= 15 * SEC); /* waits of 5 to 10 and 10 to 20 s */
    end(&p);
}

/* Nothing is to be waited for when somebody killed a worker: the policy's second, not the task's ten. */
XT_TEST(a_killed_worker_is_replaced_soon)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_DIES + 137, 0}, 2}};
    struct play p;
    begin(&p, "soon", TWO_BY_TWO "  - {for: \"b/*\", after: \"a/*\"}\n  - {for: a/y, after: a/x}\n", s, 1);
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.failures[MU_FAILURE_KILLED], 1);
    XT_CHECKF(strncmp(p.f.order, "a/x a/x ", 8) == 0, "%s", p.f.order); /* nobody goes first */
    XT_CHECKF(mu_now_ns(&p.f.clock) - from <= 9 * SEC, "%.1f s", (double)(mu_now_ns(&p.f.clock) - from) * 1e-9);
    end(&p);
}

XT_TEST(what_waits_for_a_failure_is_skipped_or_not)
{
    static const struct fake_script s[] = {{"a/x", ALWAYS(FAKE_DIES + 137), 1}};
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
    static const struct fake_script s[] = {{"a/x", ALWAYS(FAKE_DIES + 137), 1}, {"b/x", {0}, 500}};
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
    static const struct fake_script s[] = {{"a/x", {1, 0}, 1}};
    struct play p;
    begin(&p, "bytes", TWO_BY_TWO, s, 1);
    p.f.says = "caf\xc3";
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    end(&p);
}

XT_TEST(a_timeout_ends_a_task)
{
    static const struct fake_script s[] = {{"a/x", {0}, 1e6}, {"b/x", ALWAYS(FAKE_STUBBORN), 1e6}};
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
    static const struct fake_script s[] = {{"a/y", {FAKE_DIES + 137, 0}, 3}, {"b/x", {0}, 7}};
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

/* ---- workers, devices, nodes ---- */

#define SIX "output: out\nmodels: [a, b]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}, {name: z, tasks: z}]\n"

XT_TEST(a_worker_keeps_its_model)
{
    struct play p;
    begin(&p, "keeps", SIX, NULL, 0);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.tasks, 6);
    XT_EQ(p.f.started, 2);
    XT_EQ(p.f.n, 0);
    end(&p);
}

#define FOUR                                                                                                           \
    "suites: [{name: x, tasks: x}, {name: y, tasks: y}, {name: z, tasks: z}, {name: w, tasks: w}]\noutput: out\n"

/* Four models on four devices: a worker each, though nothing is known of how long anything takes. */
XT_TEST(short_tasks_of_a_model_follow_each_other_in_its_worker)
{
    struct play p;
    begin(&p, "follow", FOUR "models: [a, b, c, d]\n", NULL, 0);
    p.n_devices = 4;
    p.f.rate = 10;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 16, 0, 0);
    XT_EQ(p.f.started, 4);
    XT_EQ(p.f.most, 4);
    end(&p);
    begin(&p, "alone", FOUR "models: [a]\n", NULL, 0);
    p.n_devices = 4;
    p.f.rate = 10;
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.started, 1);
    end(&p);
}

/* What a load takes is measured: 20 s, which is more than tasks of 10 s; so the other devices are left alone. Tasks of
 * 100 s are worth one, and that is known as soon as the first has begun to answer. */
XT_TEST(long_tasks_of_a_model_are_worth_a_load)
{
    struct play p;
    begin(&p, "long", FOUR "models: [a]\n", NULL, 0);
    p.n_devices = 4;
    p.f.rate = 1;
    p.f.seconds = 100;
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.started, 4);
    XT_CHECKF(mu_now_ns(&p.f.clock) - from <= 110 * SEC, "%.0f s", (double)(mu_now_ns(&p.f.clock) - from) * 1e-9);
    end(&p);
    begin(&p, "costly", FOUR "models: [a]\nsettings: [{for: [a/y, a/z, a/w], after: a/x}]\n", NULL, 0);
    p.n_devices = 4;
    p.f.rate = 1;
    p.f.seconds = 10;
    p.f.load_s = 20;
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.f.started, 1);
    end(&p);
}

XT_TEST(two_small_models_stay_on_one_device_and_a_large_one_takes_it)
{
    struct play p;
    begin(&p, "stay",
          SIX
          "strategy: round-robin\nsettings: [{resources: {memory: 400MiB}}, {for: b/z, resources: {memory: 900MiB}}, "
          "{for: b/x, after: a/x}, {for: a/y, after: b/x}, {for: b/y, after: a/y}, {for: a/z, after: b/y}, "
          "{for: b/z, after: a/z}]\n",
          NULL, 0);
    XT_EQ(play(&p), MU_OK);
    XT_CHECKF(strcmp(p.f.order, "a/x b/x a/y b/y a/z b/z ") == 0, "%s", p.f.order);
    XT_EQ(p.f.started, 2); /* a and b side by side; b/z finds b's worker */
    end(&p);
}

XT_TEST(a_worker_that_is_silent_is_ended)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_SILENT, 0}, 5}};
    struct play p;
    begin(&p, "silent", TWO_BY_TWO, s, 1);
    int64_t from = mu_now_ns(&p.f.clock);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.counts.failures[MU_FAILURE_KILLED], 1);
    int64_t took = mu_now_ns(&p.f.clock) - from; /* 60 s to begin to speak, then at most 10 s before the next try */
    XT_CHECKF(took < 90 * SEC, "%.0f s", (double)took * 1e-9);
    end(&p);
}

XT_TEST(a_node_that_goes_down_is_left_and_taken_again)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_NODE, 0}, 2}};
    struct play p;
    begin(&p, "node", SIX, s, 1);
    p.n_devices = 4;
    for (int i = 0; i < 4; i++)
        p.device[i].node = i / 2;
    p.f.back_ns = 1000 * SEC + 20 * SEC;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 6, 0, 0);
    XT_EQ(p.counts.failures[MU_FAILURE_NODE], 1); /* its neighbour's work is moved, not failed */
    end(&p);
}

XT_TEST(all_nodes_down_it_waits_for_one_to_come_back)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_NODE, 0}, 2}};
    struct play p;
    begin(&p, "alldown", TWO_BY_TWO, s, 1);
    p.f.back_ns = 1000 * SEC + 100 * SEC;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_CHECK(mu_now_ns(&p.f.clock) >= 1100 * SEC);
    end(&p);
}

XT_TEST(a_device_that_fails_is_not_used_again)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_DIES + 1, 0}, 2}};
    struct play p;
    begin(&p, "device", SIX, s, 1);
    p.n_devices = 2;
    p.f.says = "Xid 79: GPU has fallen off the bus";
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 6, 0, 0);
    XT_EQ(p.counts.failures[MU_FAILURE_DEVICE], 1);
    XT_EQ(p.counts.devices_out, 1);
    end(&p);
}

static int number_in(const char *path, const char *name)
{
    struct mu_buf text = MU_BUF_INIT("a task's options", 1 << 20);
    char key[64];
    int n = -1;
    snprintf(key, sizeof key, "\"%s\": ", name);
    if (mu_file_read_all(&text, path, NULL) == MU_OK) {
        const char *at = strstr(text.p, key);
        if (at)
            sscanf(at + strlen(key), "%d", &n);
    }
    mu_buf_fini(&text);
    return n;
}

static bool has_text(const char *path, const char *words)
{
    struct mu_buf text = MU_BUF_INIT("a task's options", 1 << 20);
    bool has = mu_file_read_all(&text, path, NULL) == MU_OK && strstr(text.p, words);
    mu_buf_fini(&text);
    return has;
}

/* 7: muster ran out of memory. Each try has half of the batch. */
XT_TEST(out_of_memory_makes_the_batch_smaller)
{
    static const struct fake_script s[] = {{"a/x", {7, 7, 0}, 2}};
    struct play p;
    begin(&p, "smaller", "output: out\nmodels: [{model: a, batch_size: 8}]\nsuites: [{name: x, tasks: x}]\n", s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 1, 0, 0);
    XT_EQ(p.f.tries[0], 3);
    XT_EQ(p.counts.degraded, 2);
    XT_EQ(number_in(p.f.last_config, "batch_size"), 2);
    end(&p);
}

XT_TEST(nothing_is_given_up_that_may_not_be)
{
    static const struct fake_script s[] = {{"a/x", ALWAYS(7), 2}};
    struct play p;
    begin(&p, "nothing",
          "output: out\nmodels: [{model: a, batch_size: 8}]\nsuites: [{name: x, tasks: x}]\n"
          "settings: [{shrink: []}]\n",
          s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 0, 1, 0);
    XT_EQ(p.counts.degraded, 0);
    end(&p);
}

XT_TEST(models_that_are_too_large_for_a_device_get_several)
{
    static const int64_t weights[] = {INT64_C(2) << 30, 1 << 20};
    struct play p;
    begin(&p, "wide", TWO_BY_TWO, NULL, 0);
    p.n_devices = 4;
    p.weights = weights;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    end(&p);
    char path[700];
    snprintf(path, sizeof path, "%s/a/x/task.json", p.folder);
    XT_EQ(number_in(path, "ranks"), 3); /* 2.5 GiB on devices of 1 GiB */
    snprintf(path, sizeof path, "%s/b/x/task.json", p.folder);
    XT_EQ(number_in(path, "ranks"), -1);
}

/* One device on the first node, two on the second: srun by itself would put the ranks otherwise. */
XT_TEST(ranks_are_where_their_devices_are)
{
    struct play p;
    begin(&p, "spread",
          "output: out\nmodels: [a]\nsuites: [{name: x, tasks: x}]\nsettings: [{resources: {devices: 3}}]\n", NULL, 0);
    p.n_devices = 3;
    p.device[1].node = p.device[2].node = 1;
    XT_EQ(play(&p), MU_OK);
    XT_STREQ(p.f.last_order, "n0:1 n1:2 work --gpus 0,0,1 --ranks 3");
    end(&p);
}

XT_TEST(the_budget_of_gpu_hours_ends_it)
{
    struct play p;
    begin(&p, "hours", TWO_BY_TWO "budgets: {gpu_hours: 0.0005}\n", NULL, 0); /* 1.8 s */
    XT_EQ(play(&p), MU_ELIMIT);
    XT_CHECKF(strstr(p.err.text, "0.0005 GPU hours are spent"), "%s", p.err.text);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 2);
    XT_EQ(p.counts.spent_ns[MU_BUDGET_DEVICE_TIME], 2 * SEC);
    XT_EQ(play(&p), MU_ELIMIT); /* it stays spent */
    XT_EQ(p.f.tasks, 2);
    end(&p);
}

XT_TEST(an_urgent_task_stops_one_that_is_not)
{
    static const struct fake_script s[] = {{"a/y", {0}, 5000}, {"b/x", {0}, 100}, {"b/y", {0}, 100}};
    struct play p;
    begin(&p, "urgent",
          TWO_BY_TWO "  - {for: a/y, priority: background}\n  - {for: \"b/*\", priority: critical, after: a/x}\n", s,
          3);
    p.n_devices = 2;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.tries[0], 2); /* stopped once */
    XT_CHECKF(strcmp(p.f.order + strlen(p.f.order) - 4, "a/y ") == 0, "%s", p.f.order);
    end(&p);
}

/* Sixty seconds are left, a task of y takes 50: two of them follow each other only when there is time for both. */
static double sixty_s(void *arg)
{
    const struct play *p = arg;
    return p->closes_s - (double)mu_now_ns(&p->f.clock) * 1e-9;
}

XT_TEST(before_the_end_of_a_job_only_what_will_be_done_begins)
{
    static const struct fake_script s[] = {{"a/y", {0}, 50}, {"b/y", {0}, 50}};
    struct play p;
    begin(&p, "ends", TWO_BY_TWO "  - {for: \"*/y\", priority: high}\n", s, 2);
    p.left_s = sixty_s;
    p.closes_s = 1060;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    /* a/y takes 50 of 60 s; b/y is known not to fit then, x may. With all else done the rest is used. */
    XT_CHECKF(strcmp(p.f.order, "a/y a/x b/x b/y ") == 0, "%s", p.f.order);
    end(&p);
}

XT_TEST(a_worker_that_somebody_else_stopped_is_no_failure)
{
    static const struct fake_script s[] = {{"a/x", {13, 13, 0}, 2}};
    struct play p;
    begin(&p, "somebody", TWO_BY_TWO "  - {retries: {limit: 0}}\n", s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.tries[0], 3);
    end(&p);
}

XT_TEST(no_place_for_a_worker_is_no_failure)
{
    static const struct fake_script s[] = {
        {"a/x", {FAKE_REFUSED, FAKE_REFUSED, FAKE_REFUSED, FAKE_REFUSED, FAKE_REFUSED, FAKE_REFUSED, 0}, 1}};
    struct play p;
    begin(&p, "refused", TWO_BY_TWO "  - {retries: {limit: 0}}\n", s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.f.tries[0], 7);
    end(&p);
}

XT_TEST(a_turn_that_is_over_ends_with_its_workers)
{
    static const struct fake_script s[] = {{"a/y", {FAKE_STUBBORN}, 1000}};
    struct play p;
    begin(&p, "turns", TWO_BY_TWO, s, 1);
    p.job = "here:71";
    p.next_turn_after = 2;
    XT_EQ(play(&p), MU_EPEER);
    XT_CHECKF(strstr(p.err.text, "its turn 1 goes on here: this one, turn 0, must stop"), "%s", p.err.text);
    XT_EQ(p.f.n, 0);
    int64_t took = mu_now_ns(&p.f.clock) - 1000 * SEC;
    XT_CHECKF(took < 20 * SEC, "after %d s", (int)(took / SEC)); /* within a renewal */
    p.next_turn_after = 0;
    XT_EQ(play(&p), MU_EPEER); /* killed and started again by its script: no use */
    p.f.n_scripts = 0;
    p.turn = 1;
    XT_EQ(play(&p), MU_OK); /* at once: the lease was given up */
    ENDED(&p, 4, 0, 0);
    end(&p);
}

/* A worker that told of a failure may be on its way out: the next task of its model gets another. */
XT_TEST(after_a_failure_a_worker_is_given_nothing_more)
{
    static const struct fake_script s[] = {{"a/x", {1}, 2}};
    struct play p;
    begin(&p, "nothing_more", "output: out\nmodels: [a]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n", s, 1);
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 2, 0, 0);
    XT_EQ(p.f.started, 2);
    end(&p);
}

/* The only device is out: nothing could ever run again. The next start tries it once more. */
XT_TEST(without_any_device_left_it_ends)
{
    static const struct fake_script s[] = {{"a/x", {FAKE_DIES + 1, 0}, 2}};
    struct play p;
    begin(&p, "nodevice", TWO_BY_TWO "  - {for: [a/y, \"b/*\"], after: a/x}\n", s, 1);
    p.f.says = "Xid 79: GPU has fallen off the bus";
    XT_EQ(play(&p), MU_EPEER);
    XT_CHECKF(strstr(p.err.text, "no device is left that works, with 4 of 4 tasks to do"), "%s", p.err.text);
    p.f.says = NULL;
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    end(&p);
}

/* A name in a path is no device's error. */
XT_TEST(a_sentence_about_a_file_blames_no_device)
{
    static const struct fake_script s[] = {{"a/x", {5, 0}, 2}};
    struct play p;
    begin(&p, "path", TWO_BY_TWO, s, 1);
    p.f.says = "models/Xid 79/model.safetensors is cut off";
    XT_EQ(play(&p), MU_OK);
    ENDED(&p, 4, 0, 0);
    XT_EQ(p.counts.devices_out, 0);
    end(&p);
}

XT_TEST(a_task_is_told_the_memory_that_it_asked_for)
{
    struct play p;
    begin(&p, "share", TWO_BY_TWO "  - {for: a/x, resources: {memory: 3MB}}\n", NULL, 0);
    XT_EQ(play(&p), MU_OK);
    char path[700];
    snprintf(path, sizeof path, "%s/a/x/task.json", p.folder);
    XT_CHECK(has_text(path, "\"max_memory\": \"3000000\""));
    snprintf(path, sizeof path, "%s/b/x/task.json", p.folder);
    XT_CHECK(!has_text(path, "max_memory")); /* the whole machine is its own */
    end(&p);
}

XT_MAIN()
