/* seat_alike.c - replicas of one node hold one copy of their weights
 *
 * Ranks with the same seat in replicas on one node hold the very same bytes, so they open one block of shared memory
 * for them and pack it together (model/load_alike.c). The block takes no memory before it is packed, so it is opened
 * once the bill has its size and before anything else is taken. Where one rank cannot have it, nobody shares: the bill
 * then knows of one way only. */
#include "base/check.h"
#include "base/log.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/seat.h"

static const struct mu_device *device_of(const struct mu_seat *s)
{
    return s->opts.device ? s->opts.device : s->parts.device;
}

int mu_seat_n_alike(const struct mu_seat *s, const struct mu_layout *l, int rank)
{
    int each = mu_layout_ranks(l) / mu_layout_replicas(l), n = 0;
    if (!device_of(s)->dev->adopt)
        return 1;
    for (int r = rank % each; r < mu_comm_size(s->world); r += each)
        n += mu_comm_node(s->world, r) == mu_comm_node(s->world, rank);
    return n;
}

int mu_seat_split_alike(struct mu_seat *s, struct mu_err *e)
{
    int rank = mu_comm_rank(s->world), each = mu_layout_ranks(&s->layout) / mu_layout_replicas(&s->layout);
    int n = mu_seat_n_alike(s, &s->layout, rank);
    if (mu_layout_replicas(&s->layout) == 1)
        return MU_OK;
    MU_TRY_RETURN(mu_comm_split(&s->alike, s->node, n > 1 ? rank % each : -1, rank, "alike", e));
    s->shard.alike = s->alike;
    s->shard.n_alike = mu_comm_size(s->alike);
    return MU_OK;
}

static int open_block(struct mu_seat *s, struct mu_err *e)
{
    struct mu_model_sizes z;
    if (!s->alike)
        return MU_OK;
    MU_TRY_RETURN(s->parts.model_sizes(s->parts.sizes_arg, &s->own.limits, &z, e));
    return mu_comm_shared_open(&s->block, s->alike, z.weights, &s->shard.weights, e);
}

int mu_seat_open_block(struct mu_seat *s, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    if (mu_layout_replicas(&s->layout) == 1 || s->parts.formats.is_mapped) /* a mapped file is shared as it is */
        return MU_OK;
    int rc = mu_agree(s->world, open_block(s, &why), &why);
    if (rc == MU_OK)
        return MU_OK;
    if (mu_comm_is_dead(s->world)) {
        if (e)
            *e = why;
        return rc;
    }
    mu_comm_shared_close(s->block);
    s->block = NULL;
    s->shard.weights = NULL;
    s->shard.alike = NULL;
    s->shard.n_alike = 1;
    if (mu_comm_rank(s->world) == 0)
        mu_log(MU_LOG_WARN, "each replica keeps a copy of the weights of its own, which takes more memory: %s",
               why.text);
    return mu_seat_agree_bill(s, e);
}
