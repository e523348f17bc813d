/* test_sim.c - runs worked out by hand, and what must hold of every strategy on the same workloads */
#include "xt.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/sim.h"

#define GIB ((int64_t)1 << 30)

static void fleet_of(struct mu_fleet_device *d, int n, int per_node, int tasks_max, int64_t memory)
{
    for (int i = 0; i < n; i++)
        d[i] = (struct mu_fleet_device){.node = i / per_node, .tasks_max = tasks_max, .memory = memory, .speed = 1};
}

static struct mu_sim_options options_of(const struct mu_strategy_kind *k)
{
    struct mu_sim_options o = MU_SIM_DEFAULT;
    o.dispatch.strategy = k;
    return o;
}

static struct mu_sim_report run_text(const char *trace, int devices, int tasks_max, const struct mu_sim_options *o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet_device d[8] = {{0}};
    struct mu_workload w;
    struct mu_sim_report r;
    fleet_of(d, devices, devices, tasks_max, 100);
    XT_OK(mu_workload_parse(&w, mu_str(trace), "trace", &err));
    XT_OK(mu_sim_run(&r, &w, d, devices, o, &err));
    mu_workload_fini(&w);
    return r;
}

/* ---- by hand ---- */

/* 5 s of loading, then 10 s, 10 s, and 12 s where 10 were predicted, one after the other. */
XT_TEST(three_tasks_one_after_the_other)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    struct mu_sim_report r =
        run_text("{\"name\": \"a\", \"model\": \"m\", \"weights\": 40, \"work\": 9, \"load_s\": 5, \"run_s\": 10}\n"
                 "{\"name\": \"b\", \"model\": \"m\", \"weights\": 40, \"work\": 9, \"load_s\": 5, \"run_s\": 10}\n\n"
                 "{\"name\": \"c\", \"model\": \"m\", \"weights\": 40, \"work\": 9, \"load_s\": 5, \"run_s\": 10, "
                 "\"actual_s\": 12, \"deadline_s\": 36}\n",
                 1, 1, &o);
    XT_EQ(r.done, 3);
    XT_NEAR(r.makespan_s, 37, 1e-9);
    XT_EQ(r.loads, 1);
    XT_EQ(r.reuses, 2);
    XT_NEAR(r.utilisation, 1, 1e-9);
    XT_NEAR(r.useful, 32.0 / 37, 1e-9);
    XT_NEAR(r.waits[MU_PRIORITY_NORMAL].mean_s, (0 + 15 + 25) / 3.0, 1e-9);
    XT_NEAR(r.waits[MU_PRIORITY_NORMAL].p50_s, 15, 1e-9);
    XT_NEAR(r.waits[MU_PRIORITY_NORMAL].p95_s, 25, 1e-9);
    XT_EQ(r.deadlines, 1);
    XT_EQ(r.missed, 1);
    XT_NEAR(r.late_s, 1, 1e-9);
}

/* Two at once on one device, 10 s and 30 s of work: at half speed until 20, the second alone until 40. */
XT_TEST(two_tasks_share)
{
    struct mu_sim_options o = options_of(&mu_least_loaded);
    struct mu_sim_report r = run_text("{\"name\": \"a\", \"run_s\": 10, \"deadline_s\": 20}\n"
                                      "{\"name\": \"b\", \"run_s\": 30, \"deadline_s\": 39}\n",
                                      1, 2, &o);
    XT_NEAR(r.makespan_s, 40, 1e-9);
    XT_EQ(r.missed, 1);
    XT_NEAR(r.late_s, 1, 1e-9);
}

/* A background task of 100 s in batches of 10 s; at 33 s comes a critical one of 20 s. The first goes on to 40, the
 * critical one runs until 60, the first does its other 60 s until 120. Nothing is lost. */
XT_TEST(preemption_loses_nothing)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    static const char trace[] = "{\"name\": \"a\", \"priority\": \"background\", \"run_s\": 100, \"batch_s\": 10}\n"
                                "{\"name\": \"b\", \"arrives_s\": 33, \"priority\": \"critical\", \"run_s\": 20}\n";
    struct mu_sim_report r = run_text(trace, 1, 1, &o);
    XT_EQ(r.preemptions, 1);
    XT_NEAR(r.waits[MU_PRIORITY_CRITICAL].mean_s, 7, 1e-9);
    XT_NEAR(r.makespan_s, 120, 1e-9);
    XT_NEAR(r.lost_s, 0, 1e-9);
    o.preempts_max = 0; /* the first stop is still allowed by its need; none after */
    o.dispatch.gap = 0;
    r = run_text(trace, 1, 1, &o);
    XT_EQ(r.preemptions, 0);
    XT_NEAR(r.waits[MU_PRIORITY_CRITICAL].mean_s, 67, 1e-9);
}

/* Two devices. a has one until 100; b wants both: promised from 100. c, 50 s, fits before that; d, 200 s, does not and
 * waits for b, which runs from 100 to 110. */
XT_TEST(small_tasks_do_not_pass_a_large_one_for_ever)
{
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_sim_options o = options_of(mu_strategies[k]);
        struct mu_sim_report r = run_text("{\"name\": \"a\", \"run_s\": 100}\n"
                                          "{\"name\": \"b\", \"arrives_s\": 1, \"run_s\": 10, \"devices\": 2, "
                                          "\"deadline_s\": 110.1}\n"
                                          "{\"name\": \"c\", \"arrives_s\": 2, \"run_s\": 50, \"deadline_s\": 52.1}\n"
                                          "{\"name\": \"d\", \"arrives_s\": 2, \"run_s\": 200}\n",
                                          2, 1, &o);
        XT_EQ(r.missed, 0);
        XT_NEAR(r.makespan_s, 310, 1e-9);
    }
}

/* Two models by turns on one device that holds one: who seeks copies loads each once, who does not eight times. */
XT_TEST(copies_are_waited_for)
{
    char trace[4096];
    int n = 0;
    for (int i = 0; i < 8; i++)
        n += snprintf(trace + n, sizeof trace - (size_t)n,
                      "{\"name\": \"t%d\", \"model\": \"m%d\", \"weights\": 80, \"load_s\": 30, \"run_s\": 10}\n", i,
                      i % 2);
    struct mu_sim_options o = options_of(&mu_balanced);
    struct mu_sim_report r = run_text(trace, 1, 1, &o);
    XT_EQ(r.loads, 2);
    XT_NEAR(r.makespan_s, 2 * 30 + 8 * 10, 1e-9);
    o.dispatch.patience = 1; /* a task stands back once: pairs. m0 m0, then m1 m1 and so on */
    r = run_text(trace, 1, 1, &o);
    XT_EQ(r.loads, 4);
    o = options_of(&mu_round_robin);
    r = run_text(trace, 1, 1, &o);
    XT_EQ(r.loads, 8);
    XT_NEAR(r.makespan_s, 8 * 40, 1e-9);
}

/* n tasks of run_s by turns of `models` models, all at once, on four devices of one task each. */
static struct mu_sim_report run_many(const struct mu_strategy_kind *k, int n, int models, double load_s, double run_s)
{
    char trace[8192];
    struct mu_sim_options o = options_of(k);
    int at = 0;
    for (int i = 0; i < n; i++)
        at += snprintf(trace + at, sizeof trace - (size_t)at,
                       "{\"name\": \"t%d\", \"model\": \"m%d\", \"weights\": 80, \"load_s\": %g, \"run_s\": %g}\n", i,
                       i * models / n, load_s, run_s);
    return run_text(trace, 4, 1, &o);
}

/* Four models of four tasks on four devices: a device each, where who does not seek copies loads for every task. */
XT_TEST(models_begin_side_by_side)
{
    static const struct mu_strategy_kind *const seekers[] = {&mu_balanced, &mu_memory_aware};
    for (size_t k = 0; k < MU_COUNT(seekers); k++) {
        struct mu_sim_report r = run_many(seekers[k], 16, 4, 5, 10);
        XT_EQ(r.loads, 4);
        XT_NEAR(r.makespan_s, 5 + 4 * 10, 1e-9);
    }
    struct mu_sim_report r = run_many(&mu_round_robin, 16, 4, 5, 10);
    XT_EQ(r.loads, 16);
    XT_NEAR(r.makespan_s, 4 * 15, 1e-9);
}

/* Models behind the window of a round are seen too: 4 of 40 tasks each. */
XT_TEST(models_behind_many_tasks_are_seen)
{
    struct mu_sim_report r = run_many(&mu_balanced, 40, 4, 30, 2);
    XT_EQ(r.loads, 4);
    XT_NEAR(r.makespan_s, 30 + 10 * 2, 1e-9);
}

/* Six tasks of one model. Of 2 s: 10 s of work before the last, less than a load of 30 s. Of 40 s: a load is less than
 * the first of them, so there are four, and two find theirs. */
XT_TEST(short_tasks_wait_for_the_device_that_has_their_model)
{
    struct mu_sim_report r = run_many(&mu_balanced, 6, 1, 30, 2);
    XT_EQ(r.loads, 1);
    XT_NEAR(r.makespan_s, 30 + 6 * 2, 1e-9);
    r = run_many(&mu_balanced, 6, 1, 30, 40);
    XT_EQ(r.loads, 4);
    XT_NEAR(r.makespan_s, 30 + 2 * 40, 1e-9);
}

/* Two on two devices, the first fifty times as long as predicted: due at 32, so at 62 it is overdue by a load. */
XT_TEST(who_is_overdue_is_not_waited_for_for_ever)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    struct mu_sim_report r =
        run_text("{\"name\": \"a\", \"model\": \"m\", \"weights\": 80, \"load_s\": 30, \"run_s\": 2, "
                 "\"actual_s\": 100}\n"
                 "{\"name\": \"b\", \"model\": \"m\", \"weights\": 80, \"load_s\": 30, \"run_s\": 2}\n",
                 2, 1, &o);
    XT_EQ(r.loads, 2);
    XT_NEAR(r.makespan_s, 130, 1e-9);
    XT_CHECKF(r.waits[MU_PRIORITY_NORMAL].most_s >= 60 && r.waits[MU_PRIORITY_NORMAL].most_s <= 66, "%g s waited",
              r.waits[MU_PRIORITY_NORMAL].most_s);
}

/* A failed device: the batch is lost, what was done before it stays. The moment of failure is the generator's own first
 * number; all else follows from it. */
XT_TEST(a_failure_costs_a_batch)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    o.failure_s = 1e5;
    o.repair_s = 1e-3;
    o.retry_s = 0;
    struct mu_sim_report r =
        run_text("{\"name\": \"a\", \"run_s\": 1e6, \"batch_s\": 1000, \"retries\": 1000}\n", 1, 1, &o);
    XT_EQ(r.done, 1);
    XT_CHECK(r.failures > 3 && r.retries == r.failures);
    XT_CHECKF(r.lost_s <= 1000.0 * r.failures && r.lost_s > 0, "%g s lost in %d failures", r.lost_s, r.failures);
    XT_NEAR(r.makespan_s, 1e6 + r.lost_s, 0.1 * r.failures);
}

XT_TEST(dependents_wait_and_are_skipped)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    struct mu_sim_report r = run_text("{\"name\": \"a\", \"run_s\": 10}\n"
                                      "{\"name\": \"b\", \"run_s\": 10, \"after\": [\"a\"]}\n"
                                      "{\"name\": \"huge\", \"run_s\": 1, \"work\": 101}\n"
                                      "{\"name\": \"c\", \"run_s\": 10, \"after\": [\"b\", \"huge\"]}\n",
                                      4, 1, &o);
    XT_EQ(r.done, 2);
    XT_EQ(r.impossible, 1);
    XT_EQ(r.failed, 1);
    XT_EQ(r.skipped, 1);
    XT_NEAR(r.makespan_s, 20, 1e-9);
}

/* 200 s each, sharing a device because the other was busy: when that is free one moves, for 60 s and more are gained.
 */
XT_TEST(a_running_task_moves)
{
    struct mu_sim_options o = options_of(&mu_balanced);
    static const char trace[] = "{\"name\": \"x\", \"run_s\": 30, \"work\": 100}\n"
                                "{\"name\": \"a\", \"run_s\": 200, \"work\": 1, \"batch_s\": 10}\n"
                                "{\"name\": \"b\", \"run_s\": 200, \"work\": 1, \"batch_s\": 10}\n";
    struct mu_sim_report r = run_text(trace, 2, 2, &o);
    XT_EQ(r.migrations, 1);
    /* both have 15 s at 30; one goes on to 20 s of work at 40, then has 180 left alone: 220. The other as well. */
    XT_NEAR(r.makespan_s, 220, 1e-9);
    o.has_migration = false;
    r = run_text(trace, 2, 2, &o);
    XT_EQ(r.migrations, 0);
    XT_NEAR(r.makespan_s, 400, 1e-9);
}

/* ---- what holds of all ---- */

struct seen {
    int tasks_max, rounds;
};

/* No task runs twice at a time, memory and limits hold, nothing stays promised, nothing stays held. */
static int watch(void *arg, const struct mu_fleet *f, const struct mu_queue *q, double now_s, struct mu_err *e)
{
    struct seen *s = arg;
    static uint8_t is_running[MU_SIM_TASKS_MAX];
    int n = 0;
    (void)now_s;
    s->rounds++;
    if (mu_queue_count(q, MU_QUEUE_HELD) != 0)
        return mu_fail(e, MU_EINTERNAL, "%d tasks are held between rounds", mu_queue_count(q, MU_QUEUE_HELD));
    for (int i = 0; i < f->n_devices; i++) {
        const struct mu_fleet_device *d = &f->devices[i];
        if (d->n_tasks > s->tasks_max || d->reserved_s < INFINITY)
            return mu_fail(e, MU_EINTERNAL, "device %d has %d tasks, promised at %g", i, d->n_tasks, d->reserved_s);
        for (int k = 0; k < d->n_tasks; k++)
            if (f->running[d->tasks[k]].device[0] == i)
                n += !is_running[f->running[d->tasks[k]].tag]++;
    }
    for (int i = 0; i < f->n_devices; i++)
        for (int k = 0; k < f->devices[i].n_tasks; k++)
            is_running[f->running[f->devices[i].tasks[k]].tag] = 0;
    if (n != f->n_running || n != mu_queue_count(q, MU_QUEUE_RUNNING))
        return mu_fail(e, MU_EINTERNAL, "%d tasks run, %d by the fleet, %d by the queue", n, f->n_running,
                       mu_queue_count(q, MU_QUEUE_RUNNING));
    return s->rounds % 16 == 0 ? mu_fleet_check(f, e) : MU_OK;
}

static double device_seconds(const struct mu_workload *w)
{
    double sum = 0;
    for (int i = 0; i < w->n_tasks; i++)
        sum += w->tasks[i].actual_s * w->tasks[i].need.devices;
    return sum;
}

static void check_report(const struct mu_sim_report *r, const struct mu_workload *w, int devices, bool fails)
{
    int waited = 0;
    for (int p = 0; p < MU_PRIORITY_N; p++)
        waited += r->waits[p].n;
    XT_EQ(r->done + r->failed + r->skipped, w->n_tasks);
    XT_EQ(r->starts, r->done + r->retries + r->preemptions + r->migrations + (r->failed - r->impossible));
    XT_EQ(r->starts, r->loads + r->reuses);
    XT_EQ(waited, w->n_tasks - r->skipped - r->impossible);
    if (fails) {
        XT_CHECK(r->failures > 0 && r->retries > 0);
    } else {
        XT_EQ(r->done, w->n_tasks);
        XT_NEAR(r->lost_s, 0, 1e-3);
        XT_CHECKF(r->makespan_s >= device_seconds(w) / devices, "%s: faster than all devices together", r->strategy);
    }
    XT_CHECK(r->utilisation > 0 && r->utilisation <= 1 && r->useful <= 1);
}

static void check_all_strategies(double failure_s, uint64_t seed)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet_device d[64] = {{0}};
    struct mu_workload w;
    struct mu_sim_generate g = {
        .seed = seed, .tasks = XT_ASAN ? 800 : 2000, .campaigns = 8, .span_s = 3000, .run_s = 90, .spread = 0.3};
    fleet_of(d, 64, 8, 2, 80 * GIB);
    XT_OK(mu_workload_generate(&w, &g, &err));
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_sim_options o = options_of(mu_strategies[k]);
        struct mu_sim_report r, again;
        struct seen seen = {.tasks_max = 2};
        o.failure_s = failure_s;
        XT_OK(mu_sim_run_watched(&r, &w, d, 64, &o, watch, &seen, &err));
        check_report(&r, &w, 64, failure_s > 0);
        XT_OK(mu_sim_run(&again, &w, d, 64, &o, &err));
        XT_CHECKF(memcmp(&r, &again, sizeof r) == 0, "%s: two runs differ", r.strategy);
    }
    mu_workload_fini(&w);
}

XT_TEST(nothing_is_lost_or_doubled)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        check_all_strategies(0, seed);
}

XT_TEST(nothing_is_lost_or_doubled_with_failures)
{
    for (uint64_t seed = 4; seed <= 6; seed++)
        check_all_strategies(20000, seed);
}

/* ---- traces ---- */

XT_TEST(a_printed_workload_reads_back)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet_device d[64] = {{0}};
    struct mu_workload w, back;
    struct mu_sim_generate g = {.seed = 9, .tasks = 500, .campaigns = 5, .span_s = 3000, .run_s = 90, .spread = 0.3};
    struct mu_buf text = MU_BUF_INIT("a trace", MU_SIM_TRACE_BYTES_MAX);
    struct mu_sim_options o = options_of(&mu_memory_aware);
    struct mu_sim_report a, b;
    fleet_of(d, 64, 8, 2, 80 * GIB);
    XT_OK(mu_workload_generate(&w, &g, &err));
    XT_OK(mu_workload_print(&text, &w, &err));
    XT_OK(mu_workload_parse(&back, mu_buf_str(&text), "trace", &err));
    XT_EQ(back.n_tasks, w.n_tasks);
    XT_EQ(back.n_befores, w.n_befores);
    XT_OK(mu_sim_run(&a, &w, d, 64, &o, &err));
    XT_OK(mu_sim_run(&b, &back, d, 64, &o, &err));
    XT_EQ(a.fingerprint, b.fingerprint);
    mu_workload_fini(&w);
    mu_workload_fini(&back);
    mu_buf_fini(&text);
}

static void refused(const char *text, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_workload w;
    XT_FAILS(mu_workload_parse(&w, mu_str(text), "t.jsonl", &err), MU_EFORMAT, part);
}

XT_TEST(bad_traces_are_told_by_line)
{
    refused("", "t.jsonl holds no tasks");
    refused("{\"name\": \"a\", \"run_s\": 1}\n[1]\n", "t.jsonl, line 2: a task is an object");
    refused("{\"name\": \"a\"}\n", "t.jsonl, line 1");
    refused("\n{\"name\": \"a\", \"run_s\": -1}\n", "t.jsonl, line 2");
    refused("{\"name\": \"a\", \"run_s\": 1, \"wieghts\": 3}", "did you mean \"weights\"?");
    refused("{\"name\": \"a\", \"run_s\": 1}\n{\"name\": \"a\", \"run_s\": 1}", "line 2: there is a task \"a\" above");
    refused("{\"name\": \"a\", \"run_s\": 1, \"after\": [\"a\"]}", "after \"a\", which is the name of no task above");
    refused("{\"name\": \"a\", \"run_s\": 1, \"priority\": \"urgent\"}", "critical, high, normal, low or background");
    refused("{\"name\": \"a\", \"run_s\": 1, \"arrives_s\": 5}\n{\"name\": \"b\", \"run_s\": 1, \"arrives_s\": 4}",
            "line 2");
    refused("{\"name\": \"a\", \"run_s\": 1, \"devices\": 65}", "devices");
    refused("{\"name\": \"a\", \"run_s\": 1, \"run_s\": 2}", "line 1");
}

static int parse_fails(void *arg, struct mu_err *e)
{
    struct mu_workload w;
    int rc = mu_workload_parse(&w, mu_str(arg), "trace", e);
    if (rc == MU_OK)
        mu_workload_fini(&w);
    return rc;
}

static int run_fails(void *arg, struct mu_err *e)
{
    struct mu_fleet_device d[1] = {{.tasks_max = 1, .memory = 100, .speed = 1}};
    struct mu_sim_options o = options_of(&mu_balanced);
    struct mu_sim_report r;
    return mu_sim_run(&r, arg, d, 1, &o, e);
}

XT_TEST(no_memory_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_workload w;
    static char trace[] =
        "{\"name\": \"a\", \"run_s\": 1, \"model\": \"m\"}\n{\"name\": \"b\", \"run_s\": 1, \"after\": [\"a\"]}\n";
    xt_each_alloc_fails(parse_fails, trace);
    XT_OK(mu_workload_parse(&w, mu_str(trace), "trace", &err));
    xt_each_alloc_fails(run_fails, &w);
    mu_workload_fini(&w);
}

/* ---- full size ---- */

/* 10,000 tasks on 1,000 devices, every strategy: seeking copies loads least. */
XT_TEST(ten_thousand_tasks_on_a_thousand_devices)
{
    struct mu_err err = MU_ERR_INIT;
    static struct mu_fleet_device d[1000];
    struct mu_sim_generate g = MU_SIM_GENERATE_DEFAULT;
    struct mu_workload w;
    uint64_t loads[4];
    if (XT_ASAN || XT_TSAN)
        xt_skip("sanitizers make it slow, and the smaller ones have run");
    fleet_of(d, 1000, 8, 2, 80 * GIB);
    XT_OK(mu_workload_generate(&w, &g, &err));
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_sim_options o = options_of(mu_strategies[k]);
        struct mu_sim_report r;
        XT_OK(mu_sim_run(&r, &w, d, 1000, &o, &err));
        check_report(&r, &w, 1000, false);
        loads[k] = r.loads;
        xt_note("%-12s makespan %.0f s, utilisation %.1f%%, %llu loads, p95 of normal %.0f s", r.strategy, r.makespan_s,
                100 * r.utilisation, (unsigned long long)r.loads, r.waits[MU_PRIORITY_NORMAL].p95_s);
    }
    XT_CHECK(loads[3] < loads[0] && loads[3] < loads[1] && loads[2] < loads[0]);
    mu_workload_fini(&w);
}

XT_MAIN()
