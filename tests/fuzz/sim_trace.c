/* sim_trace.c - fuzz target: any text as a trace of tasks; what is read is written, read again, and run on four devices
 */
#include <stdint.h>
#include <stdlib.h>

#include "sched/sim.h"

#define RUN_MAX 200 /* tasks of a trace that is also run */

static void run(const struct mu_workload *w)
{
    struct mu_fleet_device d[4];
    struct mu_sim_report r;
    struct mu_err e;
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_sim_options o = MU_SIM_DEFAULT;
        o.dispatch.strategy = mu_strategies[k];
        for (int i = 0; i < 4; i++)
            d[i] = (struct mu_fleet_device){.node = i / 2, .tasks_max = 2, .memory = (int64_t)80 << 30, .speed = 1};
        if (mu_sim_run(&r, w, d, 4, &o, &e) != MU_OK || r.done + r.failed + r.skipped != w->n_tasks)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_buf text = MU_BUF_INIT("a trace", MU_SIM_TRACE_BYTES_MAX);
    struct mu_workload w, again;
    struct mu_err e;
    if (mu_workload_parse(&w, (struct mu_str){(const char *)data, n}, "fuzz", &e) != MU_OK)
        return 0;
    if (mu_workload_print(&text, &w, &e) != MU_OK || mu_workload_parse(&again, mu_buf_str(&text), "again", &e) != MU_OK)
        abort();
    if (again.n_tasks != w.n_tasks || again.n_befores != w.n_befores || again.n_models != w.n_models)
        abort();
    if (w.n_tasks <= RUN_MAX)
        run(&w);
    mu_workload_fini(&again);
    mu_workload_fini(&w);
    mu_buf_fini(&text);
    return 0;
}
