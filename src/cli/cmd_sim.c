/* cmd_sim.c - `muster sim`: the scheduler on a recorded or generated workload, no devices needed */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/print_json.h"
#include "sched/sim.h"

#define STRATEGIES_MAX 8

struct sim_args {
    const char *strategy, *write;
    int64_t tasks, campaigns, seed, nodes, devices, limit, window, patience, gap;
    double span, run, spread, age, failures, repair;
    uint64_t memory;
    bool no_migration, json;
};

static int get_workload(struct mu_workload *w, const struct sim_args *a, const char *path, struct mu_err *e)
{
    struct mu_sim_generate g = {.seed = (uint64_t)a->seed,
                                .tasks = (int)a->tasks,
                                .campaigns = (int)MU_MIN(a->campaigns, a->tasks),
                                .span_s = a->span,
                                .run_s = a->run,
                                .spread = a->spread};
    return path ? mu_workload_load(w, path, e) : mu_workload_generate(w, &g, e);
}

static int write_trace(const struct mu_workload *w, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a trace", MU_SIM_TRACE_BYTES_MAX);
    int rc;
    MU_TRY(mu_workload_print(&text, w, e));
    MU_TRY(mu_file_write_all(path, text.p, text.n, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int get_devices(struct mu_fleet_device **out, int *n, const struct sim_args *a, struct mu_err *e)
{
    if (a->nodes * a->devices > MU_FLEET_DEVICES_MAX)
        return mu_fail(e, MU_EUSAGE, "%lld nodes of %lld devices: %d devices in all are the most", (long long)a->nodes,
                       (long long)a->devices, MU_FLEET_DEVICES_MAX);
    *n = (int)(a->nodes * a->devices);
    MU_TRY_RETURN(MU_NEW_ARRAY(out, *n, "devices", e));
    for (int i = 0; i < *n; i++)
        (*out)[i] = (struct mu_fleet_device){
            .node = i / (int)a->devices, .tasks_max = (int)a->limit, .memory = (int64_t)a->memory, .speed = 1};
    return MU_OK;
}

static struct mu_sim_options get_options(const struct sim_args *a)
{
    struct mu_sim_options o = MU_SIM_DEFAULT;
    o.dispatch.window = (int)a->window;
    o.dispatch.patience = (int)a->patience;
    o.dispatch.gap = (int)a->gap;
    o.age_s = a->age;
    o.seed = (uint64_t)a->seed;
    o.failure_s = a->failures * 3600;
    o.repair_s = a->repair;
    o.has_migration = !a->no_migration;
    return o;
}

/* ---- printing ---- */

static void print_rates(const struct mu_sim_report *r, int n)
{
    printf("%-13s %9s %6s %7s %7s %7s %7s %6s %6s %7s %6s\n", "strategy", "makespan", "in use", "useful", "loads",
           "evicted", "missed", "stops", "moves", "retries", "failed");
    for (int i = 0; i < n; i++)
        printf("%-13s %7.0f s %5.1f%% %6.1f%% %7llu %7llu %7d %6d %6d %7d %6d\n", r[i].strategy, r[i].makespan_s,
               100 * r[i].utilisation, 100 * r[i].useful, (unsigned long long)r[i].loads,
               (unsigned long long)r[i].evicted, r[i].missed, r[i].preemptions, r[i].migrations, r[i].retries,
               r[i].failed + r[i].skipped);
}

static void print_waits(const struct mu_sim_report *r, int n)
{
    printf("\nwaiting, seconds: mean, half of the tasks at most, 95 of 100 at most\n%-13s", "strategy");
    for (int p = 0; p < MU_PRIORITY_N; p++)
        printf(" %20s", mu_priority_name((enum mu_priority)p));
    printf("\n");
    for (int i = 0; i < n; i++) {
        printf("%-13s", r[i].strategy);
        for (int p = 0; p < MU_PRIORITY_N; p++)
            printf(" %6.0f %6.0f %6.0f", r[i].waits[p].mean_s, r[i].waits[p].p50_s, r[i].waits[p].p95_s);
        printf("\n");
    }
}

static void print_all(const struct mu_workload *w, const struct mu_sim_report *r, int n, const struct sim_args *a)
{
    char limit[48] = "";
    if (a->limit > 1)
        snprintf(limit, sizeof limit, ", %lld tasks each", (long long)a->limit);
    printf("%d tasks of %d campaigns and %d models on %lld nodes of %lld devices with %.4g GiB%s\n\n", w->n_tasks,
           w->n_campaigns, w->n_models, (long long)a->nodes, (long long)a->devices, (double)a->memory / (1 << 30),
           limit);
    print_rates(r, n);
    print_waits(r, n);
    if (r->deadlines > 0)
        printf("\n%d tasks have deadlines\n", r->deadlines);
}

static int print_json(const struct mu_sim_report *r, int n, struct mu_err *e)
{
    json_t *all;
    mu_json_init();
    all = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(all, mu_sim_report_json(&r[i]));
    if (all && json_array_size(all) != (size_t)n) {
        json_decref(all);
        all = NULL;
    }
    return mu_print_json(all, "the report", e);
}

/* ---- running ---- */

static int run_all(struct mu_sim_report r[STRATEGIES_MAX], int *n, const struct mu_workload *w,
                   const struct sim_args *a, struct mu_err *e)
{
    struct mu_fleet_device *devices = NULL;
    struct mu_sim_options o = get_options(a);
    bool all = strcmp(a->strategy, "all") == 0;
    int rc, n_devices = 0;
    *n = 0;
    if (!all)
        MU_TRY_RETURN(mu_strategy_kind_find(&o.dispatch.strategy, a->strategy, e));
    MU_TRY_RETURN(get_devices(&devices, &n_devices, a, e));
    for (int k = 0; all ? mu_strategies[k] != NULL : k == 0; k++) {
        if (all)
            o.dispatch.strategy = mu_strategies[k];
        MU_TRY(mu_sim_run(&r[(*n)++], w, devices, n_devices, &o, e));
    }
    rc = MU_OK;
out:
    mu_free(devices);
    return rc;
}

static int sim_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct sim_args *a = args;
    struct mu_workload w = {0};
    struct mu_sim_report reports[STRATEGIES_MAX];
    int rc, n;
    if (n_operands > 1)
        return mu_fail(e, MU_EUSAGE, "sim takes one trace at most, %d were given", n_operands);
    MU_TRY(get_workload(&w, a, n_operands > 0 ? operands[0] : NULL, e));
    if (a->write)
        MU_TRY(write_trace(&w, a->write, e));
    MU_TRY(run_all(reports, &n, &w, a, e));
    if (a->json)
        MU_TRY(print_json(reports, n, e));
    else
        print_all(&w, reports, n, a);
out:
    mu_workload_fini(&w);
    return rc;
}

static void sim_defaults(void *p)
{
    const struct mu_sim_generate g = MU_SIM_GENERATE_DEFAULT;
    const struct mu_sim_options o = MU_SIM_DEFAULT;
    *(struct sim_args *)p = (struct sim_args){.strategy = "all",
                                              .tasks = g.tasks,
                                              .campaigns = g.campaigns,
                                              .seed = (int64_t)g.seed,
                                              .span = g.span_s,
                                              .run = g.run_s,
                                              .spread = g.spread,
                                              .nodes = 125,
                                              .devices = 8,
                                              .limit = 2,
                                              .memory = UINT64_C(80) << 30,
                                              .window = o.dispatch.window,
                                              .patience = o.dispatch.patience,
                                              .gap = o.dispatch.gap,
                                              .age = o.age_s,
                                              .repair = o.repair_s};
}

#define FIELD(name) offsetof(struct sim_args, name)

static const struct mu_opt sim_opts[] = {
    {MU_OPT_TEXT, "strategy", 's', FIELD(strategy), "NAME",
     .choices = "all|round-robin|least-loaded|memory-aware|balanced", .help = "How tasks are placed.", .dflt = "all"},
    {MU_OPT_INT, "nodes", 0, FIELD(nodes), "N", .lo = 1, .hi = MU_FLEET_DEVICES_MAX, .help = "Nodes.", .dflt = "125"},
    {MU_OPT_INT, "devices", 'd', FIELD(devices), "N", .lo = 1, .hi = MU_FLEET_NODE_MAX, .help = "Devices of a node.",
     .dflt = "8"},
    {MU_OPT_SIZE, "memory", 0, FIELD(memory), "SIZE", .help = "Memory of a device.", .dflt = "80GiB"},
    {MU_OPT_INT, "limit", 0, FIELD(limit), "N", .lo = 1, .hi = MU_DEVICE_TASKS_MAX,
     .help = "Tasks on a device at a time, which share it.", .dflt = "2"},
    {MU_OPT_REAL, "failures", 0, FIELD(failures), "HOURS", .lo = 0, .hi = 1e6,
     .help = "Mean hours between failures of a device.", .dflt = "0: none fails"},
    {MU_OPT_REAL, "repair", 0, FIELD(repair), "SECONDS", .lo = 1, .hi = 1e7, .help = "Mean time until it is back.",
     .dflt = "1800"},
    {MU_OPT_INT, "tasks", 't', FIELD(tasks), "N", .lo = 1, .hi = MU_SIM_TASKS_MAX,
     .help = "Tasks to generate where no trace is given.", .dflt = "10000"},
    {MU_OPT_INT, "campaigns", 0, FIELD(campaigns), "N", .lo = 1, .hi = MU_QUEUE_CAMPAIGNS_MAX,
     .help = "Campaigns they belong to.", .dflt = "20"},
    {MU_OPT_REAL, "span", 0, FIELD(span), "SECONDS", .lo = 0, .hi = 1e8, .help = "Time over which campaigns come.",
     .dflt = "3600"},
    {MU_OPT_REAL, "run", 0, FIELD(run), "SECONDS", .lo = 1, .hi = 1e6,
     .help = "What half of the suites take a 7B model at most.", .dflt = "60"},
    {MU_OPT_REAL, "spread", 0, FIELD(spread), "SIGMA", .lo = 0, .hi = 3,
     .help = "How far run times lie from predictions: deviation of their logarithm.", .dflt = "0.25"},
    {MU_OPT_INT, "seed", 0, FIELD(seed), "N", .lo = 0, .hi = 9e15, .help = "Of the workload and of failures.",
     .dflt = "1"},
    {MU_OPT_TEXT, "write", 'w', FIELD(write), "FILE", .help = "Also write the workload as a trace."},
    {MU_OPT_INT, "window", 0, FIELD(window), "N", .lo = 1, .hi = MU_DISPATCH_WINDOW_MAX,
     .help = "Waiting tasks looked at in a decision.", .dflt = "32"},
    {MU_OPT_INT, "patience", 0, FIELD(patience), "N", .lo = 0, .hi = 255,
     .help = "How often a task lets others go first that find their model loaded.", .dflt = "16"},
    {MU_OPT_INT, "gap", 0, FIELD(gap), "N", .lo = 0, .hi = MU_PRIORITY_N,
     .help = "Priorities that a task must be above those that stop for it; 0: none stop.", .dflt = "2"},
    {MU_OPT_REAL, "age", 0, FIELD(age), "SECONDS", .lo = 1, .hi = 1e8,
     .help = "Waiting after which tasks rise one priority.", .dflt = "900"},
    {MU_OPT_FLAG, "no-migration", 0, FIELD(no_migration), .help = "Leave running tasks where they are."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_sim = {
    .name = "sim",
    .summary = "try scheduling strategies on a workload",
    .operands = "[TRACE]",
    .story =
        "Runs the scheduler's own code on a workload in simulated time: tasks arrive, are placed, share devices, end, "
        "stop for more urgent ones, lose their device and are tried again. Prints for each strategy how long all "
        "takes, how far devices are used, how often weights are loaded, missed deadlines, and how long tasks wait by "
        "priority. The same workload, options and seed print the same.\n\n"
        "TRACE has one task a line, a JSON object (docs/scheduling.md). Without one a workload is generated: "
        "campaigns of models by suites.",
    .examples = "  muster sim\n"
                "  muster sim --nodes 4 --tasks 500 --failures 24 --write trace.jsonl\n"
                "  muster sim trace.jsonl --strategy balanced --nodes 2 --json | jq .[0].makespan_s\n",
    .opts = sim_opts,
    .args_size = sizeof(struct sim_args),
    .defaults = sim_defaults,
    .run = sim_run,
};
