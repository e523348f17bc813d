/* seat_experts.c - which rank of a stage gets which experts: rank 0 reads the loads, all make the same table of them */
#include "base/check.h"
#include "base/log.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/seat.h"

static int read_loads(struct mu_expert_loads *out, struct mu_seat *s, struct mu_err *e)
{
    if (mu_comm_rank(s->world) == 0)
        return mu_expert_loads_read(out, s->opts.expert_loads, s->model.spec, e);
    return mu_expert_loads_new(out, s->model.spec, e);
}

static int share_loads(struct mu_expert_loads *out, struct mu_seat *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_agree(s->world, read_loads(out, s, e), e));
    MU_TRY_RETURN(mu_comm_broadcast(s->world, out->weights_hash, sizeof out->weights_hash, 0, e));
    memcpy(s->loads_hash, out->weights_hash, sizeof s->loads_hash);
    size_t bytes = (size_t)out->n_layers * (size_t)out->stride * sizeof *out->rows;
    return bytes > 0 ? mu_comm_broadcast(s->world, out->rows, bytes, 0, e) : MU_OK;
}

int mu_seat_place_experts(struct mu_seat *s, struct mu_err *e)
{
    const struct mu_start *t = &s->start;
    struct mu_expert_loads loads = {0};
    int ranks = mu_layout_lanes(&s->layout) * s->layout.tp, rc = MU_OK;

    if (!t->has_expert_loads && t->redundant_experts == 0)
        return MU_OK;
    if (t->has_expert_loads)
        MU_TRY(share_loads(&loads, s, e));
    rc = mu_expert_table_make(&s->placed, s->model.spec, t->has_expert_loads ? &loads : NULL, t->redundant_experts,
                              ranks, e);
    rc = mu_agree(s->world, rc, e);
out:
    mu_expert_loads_fini(&loads);
    return rc;
}

void mu_seat_compare_loads(const struct mu_seat *s, const char *weights_hash)
{
    if (s->loads_hash[0] && mu_comm_rank(s->world) == 0 && strcmp(s->loads_hash, weights_hash) != 0)
        mu_log(MU_LOG_WARN,
               "%s was counted on other weights (%.12s, here %.12s): results are the same, but experts may be placed "
               "badly",
               s->opts.expert_loads, s->loads_hash, weights_hash);
}
