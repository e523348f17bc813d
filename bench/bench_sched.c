/* bench_sched.c - how long a scheduling decision takes: 100,000 queued tasks, 1,000 devices that are all in use
 *
 * Usage: bench_sched [tasks [devices [decisions]]]. A decision: one running task has ended, mu_dispatch() gives its
 * devices to others. Prints one CSV line per strategy: microseconds of the median, 95th and 99th percentile and the
 * slowest, then means per decision: tasks that started, tasks and devices looked at. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sched/sim.h"

struct bench {
    struct mu_workload w;
    struct mu_queue *q;
    struct mu_fleet *f;
    struct mu_dispatch *d;
    int *task_of;    /* by id in the queue */
    int *runs, *ids; /* that run */
    int n_runs;
};

static const struct mu_need *need(void *arg, int id)
{
    struct bench *b = arg;
    return &b->w.tasks[b->task_of[id]].need;
}

static void started(void *arg, int id, int run, const struct mu_choice *c)
{
    struct bench *b = arg;
    (void)c;
    b->ids[b->n_runs] = id;
    b->runs[b->n_runs++] = run;
}

static void impossible(void *arg, int id, const struct mu_refusal *r)
{
    struct bench *b = arg;
    (void)r;
    mu_queue_end(b->q, id, false, 0);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int add(struct bench *b, int task, double now_s, struct mu_err *e)
{
    const struct mu_sim_task *w = &b->w.tasks[task];
    struct mu_queue_task t = {.campaign = w->campaign,
                              .priority = (enum mu_priority)w->need.priority,
                              .run_s = w->need.run_s,
                              .devices = w->need.devices,
                              .deadline_s = INFINITY,
                              .ready_s = -INFINITY};
    int id;
    MU_TRY_RETURN(mu_queue_add(b->q, &t, now_s, &id, e));
    b->task_of[id] = task;
    return MU_OK;
}

static int open_all(struct bench *b, const struct mu_strategy_kind *k, int tasks, int devices, struct mu_err *e)
{
    static struct mu_fleet_device d[MU_FLEET_DEVICES_MAX];
    struct mu_sim_generate g = {.seed = 1, .tasks = tasks, .campaigns = 20, .run_s = 60};
    struct mu_queue_limits l = {2 * tasks, 0, g.campaigns, MU_QUEUE_AGE_S};
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    int campaign;
    *b = (struct bench){0};
    o.strategy = k;
    for (int i = 0; i < devices; i++)
        d[i] = (struct mu_fleet_device){.node = i / 8, .tasks_max = 2, .memory = (int64_t)80 << 30, .speed = 1};
    MU_TRY_RETURN(mu_workload_generate(&b->w, &g, e));
    MU_TRY_RETURN(mu_queue_open(&b->q, &l, e));
    MU_TRY_RETURN(mu_fleet_open(&b->f, d, devices, b->w.n_models, e));
    MU_TRY_RETURN(mu_dispatch_open(&b->d, &o, b->q, b->f, &l, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&b->task_of, l.tasks, "tasks", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&b->runs, 2 * devices, "tasks", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&b->ids, 2 * devices, "tasks", e));
    for (int i = 0; i < g.campaigns; i++)
        MU_TRY_RETURN(mu_queue_campaign(b->q, 1 + i % 3, &campaign, e));
    for (int i = 0; i < tasks; i++)
        MU_TRY_RETURN(add(b, i, 0, e));
    return MU_OK;
}

static void close_all(struct bench *b)
{
    mu_workload_fini(&b->w);
    mu_queue_free(b->q);
    mu_fleet_free(b->f);
    mu_dispatch_free(b->d);
    mu_free(b->task_of);
    mu_free(b->runs);
    mu_free(b->ids);
}

/* One task ends, and another like it comes, so that the queue stays as long as it is. */
static int end_one(struct bench *b, int pick, double now_s, struct mu_err *e)
{
    int task = b->task_of[b->ids[pick]];
    mu_fleet_end(b->f, b->runs[pick], now_s);
    mu_queue_end(b->q, b->ids[pick], true, now_s);
    MU_TRY_RETURN(mu_queue_forget(b->q, b->ids[pick], e));
    b->n_runs--;
    b->runs[pick] = b->runs[b->n_runs];
    b->ids[pick] = b->ids[b->n_runs];
    return add(b, task, now_s, e);
}

static int measure(struct bench *b, const char *name, int decisions, double *us, struct mu_err *e)
{
    const struct mu_dispatch_calls calls = {.arg = b, .need = need, .started = started, .impossible = impossible};
    struct mu_dispatch_stats s;
    double looked = 0, visits = 0, starts = 0;
    uint64_t state = 1;
    int run;
    MU_TRY_RETURN(mu_dispatch(b->d, &calls, 0, &s, e));
    for (int i = 0; i < decisions; i++) {
        double now_s = i * 0.1;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        MU_TRY_RETURN(end_one(b, (int)((state >> 33) % (uint64_t)b->n_runs), now_s, e));
        int64_t from = mu_now_ns(mu_clock_real());
        MU_TRY_RETURN(mu_dispatch(b->d, &calls, now_s, &s, e));
        us[i] = (double)(mu_now_ns(mu_clock_real()) - from) / 1e3;
        looked += s.looked_at, visits += (double)s.visits, starts += s.started;
        while (mu_fleet_next_touched(b->f, &run))
            ;
    }
    qsort(us, (size_t)decisions, sizeof *us, by_size);
    printf("%s,%.1f,%.1f,%.1f,%.1f,%.2f,%.1f,%.1f\n", name, us[decisions / 2], us[decisions * 95LL / 100],
           us[decisions * 99LL / 100], us[decisions - 1], starts / decisions, looked / decisions, visits / decisions);
    return MU_OK;
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT;
    int tasks = argc > 1 ? atoi(argv[1]) : 100000, devices = argc > 2 ? atoi(argv[2]) : 1000;
    int decisions = argc > 3 ? atoi(argv[3]) : 20000, rc = MU_OK;
    double *us = NULL;
    if (tasks < 1 || tasks > MU_SIM_TASKS_MAX || devices < 1 || devices > MU_FLEET_DEVICES_MAX || decisions < 1) {
        fprintf(stderr, "usage: bench_sched [tasks [devices [decisions]]]\n");
        return 2;
    }
    rc = MU_NEW_ARRAY(&us, decisions, "times", &e);
    printf("strategy,median_us,p95_us,p99_us,max_us,started,tasks_looked_at,devices_looked_at\n");
    for (int k = 0; mu_strategies[k] && rc == MU_OK; k++) {
        struct bench b;
        rc = open_all(&b, mu_strategies[k], tasks, devices, &e);
        if (rc == MU_OK)
            rc = measure(&b, mu_strategies[k]->name, decisions, us, &e);
        close_all(&b);
    }
    mu_free(us);
    if (rc != MU_OK)
        fprintf(stderr, "bench_sched: %s\n", e.text);
    return mu_code_exit_status(rc);
}
