/* load_apart.c - rows that one rank of all that read together holds alone
 *
 * Layers of a stage, experts, heads and MLP inputs of a tensor rank: nobody else needs them, so their rank reads,
 * hashes and packs them without meeting anybody. Ranks of one block (load_alike.c) do so with a share each. What
 * several ranks hold, what is cut between columns, and what is not packed as it lies goes through windows
 * (load_node.c).
 *
 * Whether the runs of a fill that ranks hold make up its rows, each once, they find out by a sum: of h(end) - h(begin)
 * over all runs, h being a hash. Runs that follow each other from 0 to n leave h(n) - h(0); since every run goes
 * forward, no others do. */
#include "base/check.h"
#include "base/hash.h"
#include "model/load_int.h"

static uint64_t h(int64_t row)
{
    return mu_hash64(&row, sizeof row, 1);
}

/* A piece that is cut between columns spoils the sum. */
static uint64_t held_of(const struct mu_loader *l, const struct mu_fill *f)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    const struct mu_shard *sh = l->shard;
    uint64_t sum = 0;

    if (f->use.n_in == 0 || !mu_load_is_direct(&f->src) || mu_load_other_head(l, f))
        return 0;
    if (sh->weights && mu_comm_rank(sh->alike) > 0) /* the first speaks for the block */
        return 0;
    int n = mu_slot_pieces(&l->m->spec, &l->m->opts, &f->use, piece);
    for (int i = 0; i < n; i++) {
        sum += h(piece[i].row0 + piece[i].n_out) - h(piece[i].row0);
        sum += piece[i].n_in == f->use.n_in ? 0 : h(-1 - l->rank);
    }
    return sum;
}

int mu_load_find_apart(struct mu_loader *l)
{
    if (!l->shard->node || l->n_nodes > 1) {
        l->held = NULL;
        return MU_OK;
    }
    for (int64_t i = 0; i < l->n; i++)
        l->held[i] = held_of(l, &l->fills[i]);
    return mu_comm_all_reduce(l->shard->node, l->held, l->n, MU_REDUCE_SUM_I64, l->e);
}

bool mu_load_is_apart(const struct mu_loader *l, const struct mu_fill *f)
{
    return l->held && l->held[f - l->fills] == h(f->use.n_out) - h(0);
}

static int fill_piece(struct mu_loader *l, const struct mu_fill *f, const struct mu_slot_use *piece, size_t row_bytes)
{
    int64_t unit = mu_load_row_unit(&l->m->spec, &f->use),
            rows = MU_MAX(l->size.chunk / (unit * f->src.cols), 1) * unit;
    struct mu_run own = mu_load_pack_share(l, piece->n_out, unit);
    for (int64_t r = 0; r < own.n; r += rows)
        MU_TRY_RETURN(
            mu_load_read_and_pack(l, f, piece, row_bytes, piece->row0 + own.begin + r, MU_MIN(rows, own.n - r)));
    return MU_OK;
}

int mu_load_fill_apart(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    int n = mu_slot_pieces(&l->m->spec, &l->m->opts, &f->use, piece);

    for (int i = 0; i < n; i++)
        MU_TRY_RETURN(fill_piece(l, f, &piece[i], row_bytes));
    return MU_OK;
}
