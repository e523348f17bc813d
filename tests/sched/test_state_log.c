/* test_state_log.c - a log and its fold: the same state by any way, nothing counted twice, nothing half done */
#include "sched/state_log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "state_model.h"
#include "xt.h"

#define SEC 1000000000ll

static const char *file(void)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/campaign.sqlite", xt_tmpdir());
    return path;
}

/* All that a state says, as text. */
static void dump(struct mu_buf *b, const struct mu_state *s)
{
    struct mu_err err = MU_ERR_INIT;
    mu_buf_clear(b);
#define ADD(...) XT_OK(mu_buf_printf(b, &err, __VA_ARGS__))
    ADD("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %s\n", s->seq, s->fence, s->wall_ns,
        s->opened_wall_ns, s->mono_ns, s->active_ns, s->campaign, mu_state_name(s, s->hash));
    for (int i = 0; i < s->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[i];
        ADD("task %d %d %d %d %d %d %d %d %d %d %d %" PRId64 " %" PRId64 " %s\n", t->state, t->priority, t->failure,
            t->is_int8, t->ranks, t->batch, t->skipped, t->attempts, t->last_attempt, t->group, t->held_after,
            t->lease_span_ns, t->lease_seq, mu_state_name(s, t->name));
    }
    for (int i = 0; i < s->n_attempts; i++) {
        const struct mu_state_attempt *a = &s->attempts[i];
        ADD("attempt %d %d %d %d %d %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", a->task, a->number, a->group,
            a->before, a->state, a->failure, a->start_ns, a->end_ns, a->start_wall_ns, a->end_wall_ns);
    }
    for (int i = 0; i < s->n_groups; i++) {
        const struct mu_state_group *g = &s->groups[i];
        ADD("group %d %d %d %d %d %d %d %" PRId64 "\n", g->state, g->failure, g->node, g->job, g->ranks, g->n_held,
            g->n_devices, g->pid);
    }
    for (int i = 0; i < s->n_devices; i++)
        ADD("device %d %d %d\n", s->devices[i].is_quarantined, s->devices[i].node, s->devices[i].n_groups);
    for (int i = 0; i < s->n_jobs; i++)
        ADD("job %d %d %d %" PRId64 "\n", s->jobs[i].state, s->jobs[i].requeues, s->jobs[i].is_warned,
            s->jobs[i].left_ns);
    ADD("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", s->spent_ns[0], s->spent_ns[1], s->n_alerts,
        s->n_degraded, s->n_finished);
#undef ADD
}

static void check_same(const struct mu_state *a, const struct mu_state *b)
{
    struct mu_buf x = MU_BUF_INIT("a dump", (size_t)64 << 20), y = MU_BUF_INIT("a dump", (size_t)64 << 20);
    dump(&x, a);
    dump(&y, b);
    XT_STREQ(x.p, y.p);
    mu_buf_fini(&x);
    mu_buf_fini(&y);
}

/* Batches of random legal events, each appended twice under the keys they have; now and then the orchestrator is killed
 * (closed without a word is the same to the log) and started again, by another clock. A look-on follows in its own
 * time. */
static void live_through(uint64_t seed, int n_batches)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct mu_state_log l, looker, again;
    const struct mu_event_log_opts o = {.clock = &clock};
    uint64_t r = seed;
    int n_key = 0;
    int64_t passed = 0; /* since the last event */

    unlink(file());
    memset(&m, 0, sizeof m);
    mu_clock_fake_init(&clock, 0);
    XT_OK(mu_state_log_open(&l, file(), &o, true, 0, &err));
    XT_OK(mu_state_log_open(&looker, file(), NULL, false, 0, &err));
    for (int i = 0; i < n_batches; i++) {
        char text[8][48], key[8][24];
        struct mu_event batch[8];
        int n = 0;
        m.active = l.state.active_ns + passed;
        for (int tries = 0; n < 8 && tries < 12; tries++) {
            struct mu_event ev = model_random(&r, text[n]);
            if (!model_is_legal(&ev))
                continue;
            model_do(&ev);
            ev.wall_ns = 1 + model_below(&r, 1000) * SEC;
            if (!(mu_event_members(ev.kind) & MU_EVENT_ONCE)) {
                snprintf(key[n], sizeof key[n], "key %d", n_key++);
                ev.key = key[n];
            }
            batch[n++] = ev;
        }
        XT_OK(mu_state_log_append(&l, batch, n, &err));
        passed = n > 0 ? 0 : passed;
        int64_t last = mu_event_log_last(l.log);
        mu_clock_fake_advance(&clock, 1000);
        passed += l.state.seq > 0 ? 1000 : 0;
        XT_OK(mu_state_log_append(&l, batch, n, &err)); /* a crash came before the answer, so it does it again */
        XT_EQ(mu_event_log_last(l.log), last);
        m.active = l.state.active_ns; /* held against a model of its own in test_state.c */
        model_compare(&l.state);
        if (model_below(&r, 5) == 0) {
            XT_OK(mu_state_log_follow(&looker, &err));
            check_same(&l.state, &looker.state);
        }
        if (model_below(&r, 10) == 0) {
            XT_OK(mu_state_log_open(&again, file(), NULL, false, 0, &err));
            check_same(&l.state, &again.state);
            mu_state_log_close(&l);
            mu_clock_fake_init(&clock, model_below(&r, 1000000));
            XT_OK(mu_state_log_open(&l, file(), &o, true, 0, &err));
            passed = 0;
            check_same(&l.state, &again.state);
            mu_state_log_close(&again);
        }
    }
    mu_state_log_close(&l);
    mu_state_log_close(&looker);
    mu_state_log_close(&looker);
}

XT_TEST(any_prefix_then_the_rest_is_the_fold_of_all_and_keys_count_once)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        live_through(seed, 60);
}

static void open_with_task(struct mu_state_log *l)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_event list[] = {
        {.kind = MU_EVENT_OPENED, .text = "hash"},
        {.kind = MU_EVENT_NODE_SEEN, .amount = 2, .text = "node1"},
        {.kind = MU_EVENT_GROUP_STARTED, .job = -1, .value = 2, .text = "0-1"},
        {.kind = MU_EVENT_TASK_ADDED, .value = 2, .text = "llama-7b/arc"},
        {.kind = MU_EVENT_TASK_READY, .attempt = 1},
        {.kind = MU_EVENT_TASK_STARTED, .attempt = 1, .amount = SEC},
    };
    XT_OK(mu_state_log_open(l, file(), NULL, true, 0, &err));
    XT_OK(mu_state_log_append(l, list, (int)MU_COUNT(list), &err));
}

XT_TEST(what_cannot_be_is_not_written_and_takes_its_batch_along)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_state_log l, looker;
    open_with_task(&l);
    const struct mu_event batch[] = {
        {.kind = MU_EVENT_TASK_FINISHED, .attempt = 1},
        {.kind = MU_EVENT_ALERT_SENT, .text = "done", .key = "alert 1"},
        {.kind = MU_EVENT_TASK_CANCELLED}, /* it is finished */
    };
    XT_FAILS(mu_state_log_append(&l, batch, 3, &err), MU_EINVAL, "task 0 (llama-7b/arc) is finished");
    XT_EQ(l.state.tasks[0].state, MU_TASK_RUNNING); /* folded anew */
    XT_EQ(l.state.seq, 6);
    XT_OK(mu_state_log_append(&l, batch, 2, &err));
    XT_EQ(l.state.tasks[0].state, MU_TASK_FINISHED);
    XT_OK(mu_state_log_open(&looker, file(), NULL, false, 0, &err));
    check_same(&l.state, &looker.state);
    XT_FAILS(mu_state_log_append(&looker, batch, 2, &err), MU_EPEER, "does not own");
    mu_state_log_close(&looker);
    mu_state_log_close(&l);
}

XT_TEST(a_task_that_one_finished_cannot_be_finished_by_another)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_clock clock;
    struct mu_state_log l, second;
    const struct mu_event finished = {.kind = MU_EVENT_TASK_FINISHED, .attempt = 1};
    open_with_task(&l);
    mu_clock_fake_init(&clock, 0);
    /* The second takes over from a first that it believes silent; the first knows nothing of it. */
    XT_FAILS(mu_state_log_open(&second, file(), NULL, true, 0, &err), MU_EPEER, "in use by process");
    XT_CHECK(!second.log);
    struct mu_event_log *watch = NULL;
    XT_OK(mu_event_log_open(&watch, file(), &(struct mu_event_log_opts){.clock = &clock}, &err));
    XT_FAILS(mu_event_log_try_own(watch, &err), MU_EPEER, "in use");
    mu_clock_fake_advance(&clock, 100 * SEC);
    XT_OK(mu_event_log_try_own(watch, &err));
    XT_OK(mu_event_log_append(watch, &finished, 1, NULL, NULL, &err));
    XT_FAILS(mu_state_log_append(&l, &finished, 1, &err), MU_EPEER, "this one must stop");
    XT_EQ(l.state.tasks[0].state, MU_TASK_RUNNING);
    mu_event_log_close(watch);
    mu_state_log_close(&l);
    XT_OK(mu_state_log_open(&second, file(), NULL, true, 0, &err));
    XT_EQ(second.state.tasks[0].state, MU_TASK_FINISHED);
    mu_state_log_close(&second);
}

static int append_until_full(void)
{
    struct rlimit limit = {120000, 120000};
    struct mu_err err = MU_ERR_INIT;
    struct mu_state_log l;
    int n = 0, rc = MU_OK;
    signal(SIGXFSZ, SIG_IGN);
    open_with_task(&l);
    setrlimit(RLIMIT_FSIZE, &limit);
    while (rc == MU_OK && n < 100000) {
        const struct mu_event batch[] = {{.kind = MU_EVENT_LEASE_RENEWED}, {.kind = MU_EVENT_ALERT_SENT, .text = "x"}};
        rc = mu_state_log_append(&l, batch, 2, &err);
        n += rc == MU_OK;
    }
    if (rc != MU_ENOSPC || l.state.n_alerts != n || l.state.seq != 6 + 2 * n || n < 5) {
        fprintf(stderr, "# %s: %s; %d batches, %" PRId64 " alerts\n", mu_code_name(rc), err.text, n, l.state.n_alerts);
        return 1;
    }
    mu_state_log_close(&l);
    return 0;
}

XT_TEST(after_a_full_disk_the_state_is_what_the_log_holds)
{
    int status;
    file();
    pid_t pid = fork();
    if (pid == 0)
        _exit(append_until_full());
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
}

/* Four events a task: added, ready, started, finished. */
static void append_tasks(struct mu_state_log *l, int from, int to)
{
    static struct mu_event batch[4000];
    static char names[1000][32];
    struct mu_err err = MU_ERR_INIT;
    int n = 0;
    for (int t = from; t < to; t++) {
        snprintf(names[t - from], 32, "llama-7b/task-%d", t);
        batch[n++] = (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .task = t, .value = t % 5, .text = names[t - from]};
        batch[n++] = (struct mu_event){.kind = MU_EVENT_TASK_READY, .task = t, .attempt = 1};
        batch[n++] = (struct mu_event){.kind = MU_EVENT_TASK_STARTED, .task = t, .attempt = 1, .amount = SEC};
        batch[n++] = (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .task = t, .attempt = 1};
    }
    XT_OK(mu_state_log_append(l, batch, n, &err));
}

XT_TEST(a_hundred_thousand_tasks_replay)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_state_log l;
    struct mu_counts c;
    int n = XT_ASAN || XT_TSAN ? 10000 : 100000;
    open_with_task(&l);
    XT_OK(mu_state_log_append(&l, &(struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .attempt = 1}, 1, &err));
    int64_t begun = mu_now_ns(mu_clock_real());
    for (int t = 1; t < n; t += 1000)
        append_tasks(&l, t, MU_MIN(t + 1000, n));
    int64_t wrote = mu_now_ns(mu_clock_real());
    mu_state_log_close(&l);
    int64_t closed = mu_now_ns(mu_clock_real());
    clock_t cpu = clock();
    XT_OK(mu_state_log_open(&l, file(), NULL, false, 0, &err));
    int64_t read = mu_now_ns(mu_clock_real());
    cpu = clock() - cpu;
    mu_state_counts(&l.state, 0, &c);
    XT_EQ(c.seq, 7 + 4 * (n - 1));
    XT_EQ(c.by_state[MU_TASK_FINISHED], n);
    XT_EQ(c.attempts, n);
    XT_EQ(c.left, 0);
    xt_note("%d events: appended in %.2f s, closed in %.2f s, opened and replayed in %.2f s (%.2f s of a core)",
            (int)c.seq, (double)(wrote - begun) / 1e9, (double)(closed - wrote) / 1e9, (double)(read - closed) / 1e9,
            (double)cpu / CLOCKS_PER_SEC);
    mu_state_log_close(&l);
}

XT_MAIN()
