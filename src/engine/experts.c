/* experts.c - what a run has seen of its experts: the rows of each, how evenly ranks shared them */
#include "base/check.h"
#include "engine/engine_int.h"
#include "engine/runner.h"
#include "model/expert_table.h"

static int look(mu_engine *eng, struct mu_runner_experts *out, struct mu_err *e)
{
    struct mu_runner *r = eng->ops->runner ? eng->ops->runner(eng) : NULL;
    if (!r || !r->ops->experts)
        return mu_fail(e, MU_EUNSUPPORTED, "the %s engine does not count rows of experts", eng->ops->name);
    MU_TRY_RETURN(r->ops->experts(r, out, e));
    return out->n > 0 ? MU_OK : mu_fail(e, MU_EUNSUPPORTED, "this model has no experts");
}

int mu_engine_write_expert_loads(mu_engine *eng, const char *path, struct mu_err *e)
{
    struct mu_runner_experts x;
    struct mu_engine_info info;
    MU_TRY_RETURN(look(eng, &x, e));
    mu_engine_info(eng, &info);
    return mu_expert_loads_write(path, x.spec, x.rows, info.weights_hash, e);
}

int mu_engine_expert_balance(mu_engine *eng, struct mu_engine_balance *out, struct mu_err *e)
{
    struct mu_runner_experts x;
    struct mu_expert_balance b;
    MU_TRY_RETURN(look(eng, &x, e));
    mu_expert_balance_of(&b, x.shard, x.spec, x.rows);
    *out = (struct mu_engine_balance){.ranks = x.shard ? x.shard->tp_size * x.shard->n_lanes : 1,
                                      .mean = b.mean,
                                      .worst = b.worst,
                                      .worst_layer = b.worst_layer};
    return MU_OK;
}
