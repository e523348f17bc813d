/* sim.h - a discrete-event simulator: the real queue, fleet and strategies on a workload, no devices, no waiting
 *
 * Time jumps from event to event: tasks arrive, end, stop after their batch; devices fail and come back. Everything
 * between is decided by mu_dispatch(), the code that runs campaigns. The same workload, options and seed give the same
 * report, on any machine with IEEE doubles; failures are drawn per device, so that strategies meet the same ones.
 *
 * A task does actual_s of work where predicted was need.run_s; loading is as predicted. Whoever plans sees predictions
 * only. A failure costs the running batch; a stopped task goes on until its batch ends, or, while still loading, stops
 * at once. What was done in whole batches is kept, as the journal keeps it. */
#ifndef MU_SCHED_SIM_H
#define MU_SCHED_SIM_H

#include "base/buf.h"
#include "base/json.h"
#include "sched/dispatch.h"

/* ---- workload ---- */

#define MU_SIM_TASKS_MAX       200000
#define MU_SIM_TRACE_BYTES_MAX ((size_t)256 << 20)
#define MU_SIM_BEFORE_MAX      64 /* of one task */
#define MU_SIM_SECONDS_MAX     1e9

struct mu_sim_task {
    double arrives_s;    /* rising from task to task */
    double actual_s;     /* what running turns out to take, alone at speed 1 */
    struct mu_need need; /* need.deadline_s counts from time 0 */
    int campaign;
    int before, n_before; /* in mu_workload's befores */
    int retries;          /* after failures of devices */
};

struct mu_workload {
    int n_tasks, n_models, n_campaigns, n_befores;
    struct mu_sim_task *tasks;
    int *befores;    /* numbers of tasks that come before theirs in the list */
    double *weights; /* of campaigns */
};

/* Campaigns of models by suites, each submitted at one time, sizes as published models have them on devices of 80 GB:
 * see sim_generate.c. */
struct mu_sim_generate {
    uint64_t seed;
    int tasks;
    int campaigns;
    double span_s; /* campaigns come within it */
    double run_s;  /* a suite takes a 7B model: half of them less, a sixth more than 2.7 times that */
    double spread; /* of actual over predicted times: sigma of their logarithm */
};

#define MU_SIM_GENERATE_DEFAULT                                                                                        \
    {                                                                                                                  \
        .seed = 1, .tasks = 10000, .campaigns = 20, .span_s = 3600, .run_s = 60, .spread = 0.25                        \
    }

int mu_workload_generate(struct mu_workload *out, const struct mu_sim_generate *g, struct mu_err *e);

/* A trace: one task a line, a JSON object (docs/scheduling.md). MU_EFORMAT: "FILE, line N: ...". */
int mu_workload_parse(struct mu_workload *out, struct mu_str text, const char *name, struct mu_err *e);
int mu_workload_load(struct mu_workload *out, const char *path, struct mu_err *e);
int mu_workload_print(struct mu_buf *out, const struct mu_workload *w, struct mu_err *e);
void mu_workload_fini(struct mu_workload *w);

/* ---- run ---- */

struct mu_sim_options {
    struct mu_dispatch_options dispatch;
    double age_s;
    uint64_t seed;      /* of failures */
    double failure_s;   /* mean time from a device's repair to its next failure; 0: none */
    double repair_s;    /* mean */
    double retry_s;     /* before a task is tried again after its first failure; doubles with each, up to 64 times */
    int preempts_max;   /* a task that was stopped so often is not stopped again */
    bool has_migration; /* move running tasks where that gains, when nothing waits */
};

#define MU_SIM_DEFAULT                                                                                                 \
    {                                                                                                                  \
        .dispatch = MU_DISPATCH_DEFAULT, .age_s = MU_QUEUE_AGE_S, .seed = 1, .repair_s = 1800, .retry_s = 5,           \
        .preempts_max = 3, .has_migration = true                                                                       \
    }

struct mu_sim_waits {
    int n;
    double mean_s, p50_s, p95_s, most_s; /* from when all before it had ended to its first start */
};

struct mu_sim_report {
    const char *strategy;
    int tasks, done, failed, skipped, impossible;
    double makespan_s;  /* to the end of the last task */
    double utilisation; /* device-seconds with a task, of all healthy ones until then */
    double useful;      /* device-seconds of work that counted in the end, of the same */
    struct mu_sim_waits waits[MU_PRIORITY_N];
    int deadlines, missed;
    double late_s; /* mean, of those missed */
    uint64_t loads, reuses, evicted;
    double load_s; /* device-seconds of loading */
    double lost_s; /* device-seconds of batches that were lost */
    int starts, preemptions, migrations, failures, retries;
    uint64_t decisions, events; /* rounds of dispatch */
    uint64_t fingerprint;       /* of every start: task, devices, time */
};

int mu_sim_run(struct mu_sim_report *out, const struct mu_workload *w, const struct mu_fleet_device *devices,
               int n_devices, const struct mu_sim_options *o, struct mu_err *e);

/* For tests: called after each round with what runs. May be NULL. */
typedef int (*mu_sim_watch)(void *arg, const struct mu_fleet *f, const struct mu_queue *q, double now_s,
                            struct mu_err *e);
int mu_sim_run_watched(struct mu_sim_report *out, const struct mu_workload *w, const struct mu_fleet_device *devices,
                       int n_devices, const struct mu_sim_options *o, mu_sim_watch watch, void *arg, struct mu_err *e);

json_t *mu_sim_report_json(const struct mu_sim_report *r); /* NULL: no memory */

#endif
