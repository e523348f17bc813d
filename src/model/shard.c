/* shard.c - the runs of one rank, as pure functions of spec and shard */
#include "model/shard.h"

#include "base/check.h"
#include "tensor/ops.h"

void mu_shard_whole(struct mu_shard *sh, const struct mu_spec *s)
{
    *sh = (struct mu_shard){
        .tp_size = 1, .n_lanes = 1, .layer_begin = 0, .layer_end = s->n_layers, .has_embed = true, .has_head = true};
}

/* ---- sums that ranks share ---- */

/* Small sums get narrow tiles, so that they too can be cut sixteen ways. */
static int64_t tile_of(int64_t n_in, int64_t unit)
{
    int64_t aim = MU_MIN(MU_TILE_K, n_in / 16);
    return MU_MAX((aim + unit / 2) / unit, 1) * unit;
}

/* Where tiles do not divide a group of heads, cuts would fall inside groups and ranks hold KV heads twice: the smallest
 * tile then (Falcon-180B: 29 heads of 64 a group). */
int64_t mu_shard_o_tile(const struct mu_layer_spec *l)
{
    int64_t unit = l->dv, group = l->n_heads / l->n_kv_heads;
    while (unit % 4 != 0)
        unit += l->dv;
    int64_t tile = tile_of((int64_t)l->n_heads * l->dv, unit);
    bool is_grouped = group > 1 && l->n_kv_heads > 1;
    return is_grouped && group * l->dv % tile != 0 ? unit : tile;
}

int64_t mu_shard_down_tile(int64_t ffn)
{
    return tile_of(ffn, 4);
}

int32_t mu_shard_tiles(int64_t n_in, int64_t tile)
{
    return (int32_t)((n_in + tile - 1) / tile);
}

/* This rank's inputs of a sum, from its run of tiles. */
static struct mu_run inputs(const struct mu_shard *sh, int64_t n_in, int64_t tile)
{
    int32_t cuts[MU_COMM_RANKS_MAX + 1];

    if (!sh || sh->tp_size <= 1)
        return (struct mu_run){0, n_in};
    mu_tree_cut(mu_shard_tiles(n_in, tile), sh->tp_size, cuts);
    int64_t begin = MU_MIN(cuts[sh->tp_rank] * tile, n_in), end = MU_MIN(cuts[sh->tp_rank + 1] * tile, n_in);
    return (struct mu_run){begin, end - begin};
}

struct mu_run mu_shard_heads(const struct mu_shard *sh, const struct mu_layer_spec *l)
{
    struct mu_run in = inputs(sh, (int64_t)l->n_heads * l->dv, mu_shard_o_tile(l));
    return (struct mu_run){in.begin / l->dv, in.n / l->dv};
}

/* Query heads of all ranks that share a cache: neighbouring runs. */
static struct mu_run heads_of_group(const struct mu_shard *sh, const struct mu_layer_spec *l)
{
    if (mu_shard_cp(sh) == 1)
        return mu_shard_heads(sh, l);
    struct mu_shard at = *sh;
    at.tp_rank -= mu_shard_cp_rank(sh);
    struct mu_run first = mu_shard_heads(&at, l);
    at.tp_rank += sh->cp_size - 1;
    struct mu_run last = mu_shard_heads(&at, l);
    return (struct mu_run){first.begin, last.begin + last.n - first.begin};
}

struct mu_run mu_shard_kv_heads(const struct mu_shard *sh, const struct mu_layer_spec *l)
{
    struct mu_run heads = heads_of_group(sh, l);
    int64_t group = l->n_heads / l->n_kv_heads, begin = heads.begin / group;
    if (heads.n == 0)
        return (struct mu_run){begin, 0};
    return (struct mu_run){begin, (heads.begin + heads.n - 1) / group + 1 - begin};
}

struct mu_run mu_shard_ffn(const struct mu_shard *sh, int64_t ffn)
{
    return inputs(sh, ffn, mu_shard_down_tile(ffn));
}

/* ---- ranks that share a cache ---- */

#define STRAND_PAGES (MU_ATTN_TILE / MU_KV_PAGE)

void mu_shard_strands(int cp, int32_t *cuts)
{
    mu_tree_cut(MU_ATTN_STRANDS, cp, cuts);
}

int mu_shard_page_owner(int cp, int64_t page)
{
    int32_t cuts[MU_ATTN_STRANDS + 1];
    int strand = mu_attn_strand(page * MU_KV_PAGE), r = 0;
    if (cp == 1)
        return 0;
    mu_shard_strands(cp, cuts);
    while (strand >= cuts[r + 1])
        r++;
    return r;
}

/* Whole rounds over all strands, then what the last one has of the rank's. */
int64_t mu_shard_pages_of(int cp, int r, int64_t n)
{
    int32_t cuts[MU_ATTN_STRANDS + 1];
    int64_t round = MU_ATTN_STRANDS * STRAND_PAGES, left = n % round;
    if (cp == 1)
        return n;
    mu_shard_strands(cp, cuts);
    int64_t begin = cuts[r] * STRAND_PAGES, end = cuts[r + 1] * STRAND_PAGES;
    return n / round * (end - begin) + MU_MAX(MU_MIN(left, end) - begin, 0);
}

int64_t mu_shard_pages_for(int cp, int64_t n)
{
    int64_t most = 0;
    for (int r = 0; r < cp; r++)
        most = MU_MAX(most, mu_shard_pages_of(cp, r, n));
    return most * cp;
}

/* ---- what nobody adds up ---- */

/* By whole panels, so that no rank packs lanes it does not use. */
struct mu_run mu_shard_vocab(const struct mu_shard *sh, int64_t vocab)
{
    int64_t panels = (vocab + MU_PANEL - 1) / MU_PANEL;

    if (!sh || sh->tp_size <= 1)
        return (struct mu_run){0, vocab};
    int64_t begin = MU_MIN(panels * sh->tp_rank / sh->tp_size * MU_PANEL, vocab);
    int64_t end = MU_MIN(panels * (sh->tp_rank + 1) / sh->tp_size * MU_PANEL, vocab);
    return (struct mu_run){begin, end - begin};
}

static int64_t expert_ranks(const struct mu_shard *sh)
{
    return sh ? (int64_t)sh->tp_size * sh->n_lanes : 1;
}

struct mu_run mu_shard_experts(const struct mu_shard *sh, const struct mu_moe_spec *m)
{
    int64_t ranks = expert_ranks(sh), rank = sh ? (int64_t)sh->lane * sh->tp_size + sh->tp_rank : 0;
    int64_t begin = m->n_experts * rank / ranks;
    return (struct mu_run){begin, m->n_experts * (rank + 1) / ranks - begin};
}

/* The last rank whose block begins at or before the expert. */
int mu_shard_expert_rank(const struct mu_shard *sh, const struct mu_moe_spec *m, int expert)
{
    return (int)(((expert + 1) * expert_ranks(sh) - 1) / m->n_experts);
}
