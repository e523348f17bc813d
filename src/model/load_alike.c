/* load_alike.c - ranks of a node that hold the very same part pack one block of weights between them
 *
 * The block is zeroed shared memory that the caller opened (shard.h). All of its ranks see each chunk of the file
 * (load_node.c); of what a chunk holds of a piece each packs a run of rows, so that packing takes the less time the
 * more they are. Runs are cut where the threads of one rank are, and whose is whose moves on with each chunk: pieces
 * too small to be cut go round. */
#include "base/check.h"
#include "model/load_int.h"

struct mu_run mu_load_pack_share(const struct mu_loader *l, int64_t n, int64_t unit)
{
    const struct mu_shard *sh = l->shard;
    int64_t size = sh->weights ? mu_comm_size(sh->alike) : 1, units = (n + unit - 1) / unit;
    int64_t i = (mu_comm_rank(sh->alike) + l->turn) % size;
    int64_t begin = units * i / size * unit, end = MU_MIN(units * (i + 1) / size * unit, n);
    return (struct mu_run){begin, MU_MAX(end - begin, 0)};
}

/* Once packed every rank takes all of it, so that no step does. */
int mu_load_finish_block(struct mu_loader *l)
{
    struct mu_device *d = l->m->d;
    if (!l->shard->weights)
        return MU_OK;
    MU_TRY_RETURN(mu_comm_barrier(l->shard->alike, l->e));
    d->dev->adopt(d, l->m->weights, l->m->sizes.weights, 0, 1);
    return MU_OK;
}
