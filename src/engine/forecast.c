/* forecast.c - see forecast.h */
#include "engine/forecast.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/memory_limit.h"
#include "base/pool.h"
#include "comm/comm.h"

/* The most ranks that one node has; nodes are taken as equal. */
static int ranks_a_node(const struct mu_comm *world)
{
    int most = 1;
    for (int a = 0; a < mu_comm_size(world); a++) {
        int n = 0;
        for (int b = 0; b < mu_comm_size(world); b++)
            n += mu_comm_node(world, b) == mu_comm_node(world, a);
        most = MU_MAX(most, n);
    }
    return most;
}

void mu_forecast_machine(struct mu_machine *out, const struct mu_engine_opts *o, int threads, double memory)
{
    int each = ranks_a_node(o->world), nodes = (mu_comm_size(o->world) + each - 1) / each;
    if (o->machine)
        *out = *o->machine;
    else
        mu_machine_guess(out, (double)MU_MAX(mu_memory_available(NULL), (size_t)1 << 30), mu_cores_allowed());
    mu_machine_share(out, nodes, each, threads);
    if (nodes > 1 && out->between.rate <= 0)
        out->between = out->inside; /* nothing is known of the network */
    if (memory > 0)
        out->device.memory = memory;
}

static int copy_spec(struct mu_spec *out, const struct mu_spec *s, struct mu_err *e)
{
    struct mu_layer_spec *layers = NULL;
    MU_TRY_RETURN(MU_NEW_ARRAY(&layers, s->n_layers, "a description of the layers", e));
    memcpy(layers, s->layers, (size_t)s->n_layers * sizeof *layers);
    *out = *s;
    out->layers = layers;
    return MU_OK;
}

int mu_forecast_open(struct mu_forecast *f, const struct mu_spec *s, const struct mu_engine_opts *o,
                     const struct mu_layout *layout, int threads, enum mu_wformat weights, enum mu_dtype kv_dtype,
                     struct mu_err *e)
{
    *f = (struct mu_forecast){.spec = MU_SPEC_INIT, .is_calibrated = o->machine != NULL};
    MU_TRY_RETURN(copy_spec(&f->spec, s, e));
    f->layout = layout ? *layout : (struct mu_layout){.dp = 1, .pp = 1, .tp = 1, .ep = 1};
    f->work = (struct mu_workload){
        .weights = weights, .kv_dtype = kv_dtype, .redundant_experts = layout ? o->redundant_experts : 0};
    mu_forecast_machine(&f->machine, o, threads, 0);
    f->is_there = true;
    return MU_OK;
}

void mu_forecast_close(struct mu_forecast *f)
{
    mu_spec_fini(&f->spec);
    f->is_there = false;
}

static double cost_of(const struct mu_forecast *f, const struct mu_step_mix *x)
{
    double seconds = 0;
    if (!f->is_there || mu_step_mix_cost(&seconds, x, &f->spec, &f->layout, &f->machine, &f->work, NULL) != MU_OK)
        return 0;
    return seconds;
}

double mu_forecast_step(const struct mu_forecast *f, const struct mu_step_made *made)
{
    struct mu_step_mix x = {0};
    mu_step_mix_add(&x, made);
    return cost_of(f, &x);
}

void mu_forecast_see(const struct mu_forecast *f, const struct mu_step_mix *x, struct mu_engine_seen *out)
{
    struct mu_step_made all = mu_step_mix_sum(x);
    *out = (struct mu_engine_seen){.is_calibrated = f->is_calibrated,
                                   .steps = all.steps,
                                   .rows = all.rows,
                                   .predicted_s = cost_of(f, x),
                                   .measured_s = (double)all.ns * 1e-9};
}
