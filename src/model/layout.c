/* layout.c - how the blocks of a model are cut
 *
 * Each function walks its block once with a cursor; without a base it only measures. Every piece starts at a multiple
 * of 64 bytes. */
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

/* The next piece of n elements; NULL while measuring. Products stay inside 64 bits: rows, widths and experts are
 * bounded by 2^31, 2^20 and 2^10. */
static void *take(char *base, size_t *at, int64_t n, size_t size)
{
    void *p = base ? base + *at : NULL;
    *at += round64((size_t)n * size);
    return p;
}

int64_t mu_context_of(const struct mu_spec *s, const struct mu_model_opts *o)
{
    return o->context_max > 0 ? o->context_max : s->context;
}

void mu_heads_of(const struct mu_layer_spec *l, const struct mu_shard *sh, struct mu_heads *out)
{
    struct mu_run heads = mu_shard_heads(sh, l), kv = mu_shard_kv_heads(sh, l);
    int group = l->n_heads / l->n_kv_heads;
    *out = (struct mu_heads){.n_heads = (int)heads.n,
                             .n_kv_heads = (int)kv.n,
                             .head0 = (int)heads.begin,
                             .kv_head0 = (int)kv.begin,
                             .group = group,
                             .first = (int)(heads.begin % group)};
}

void mu_readers_of(const struct mu_layer_spec *l, const struct mu_shard *sh, struct mu_heads out[MU_ATTN_STRANDS])
{
    for (int r = 0; mu_shard_cp(sh) > 1 && r < sh->cp_size; r++) {
        struct mu_shard at = *sh;
        at.tp_rank += r - mu_shard_cp_rank(sh);
        at.cp_size = 1;
        mu_heads_of(l, &at, &out[r]);
    }
}

struct mu_run mu_alibi_columns(const struct mu_spec *s, const struct mu_model_opts *o)
{
    struct mu_heads p;
    if (mu_first_layer(o) == mu_end_layer(s, o))
        return (struct mu_run){0, 0};
    mu_heads_of(&s->layers[0], o->shard, &p);
    return (struct mu_run){(int64_t)p.kv_head0 * p.group, (int64_t)p.n_kv_heads * p.group};
}

int mu_round_rows(const struct mu_model_opts *o)
{
    int ranks = mu_expert_ranks(o);
    return (o->rows_max + ranks - 1) / ranks;
}

int64_t mu_widest_rows(const struct mu_model_opts *o)
{
    return MU_MAX(o->rows_max, (int64_t)mu_round_rows(o) * mu_expert_ranks(o));
}

/* ---- KV ---- */

void mu_kv_shape(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                 struct mu_kv_layer *kv)
{
    bool is_latent = l->attn == MU_ATTN_LATENT && o->mla == MU_MLA_ABSORBED;
    struct mu_heads own;

    mu_heads_of(l, o->shard, &own);
    *kv = (struct mu_kv_layer){.dtype = o->kv_dtype,
                               .n_kv_heads = is_latent ? own.n_heads > 0 : own.n_kv_heads,
                               .dk = is_latent ? l->kv_lora + l->dk_rope : l->dk,
                               .dv = is_latent ? l->kv_lora : l->dv,
                               .is_v_in_k = is_latent};
    if (s->position == MU_POS_ALIBI)
        kv->dk += own.group;
    if (mu_shard_cp(o->shard) > 1) {
        int32_t cuts[MU_ATTN_STRANDS + 1];
        int r = mu_shard_cp_rank(o->shard);
        mu_shard_strands(o->shard->cp_size, cuts);
        kv->owners = o->shard->cp_size;
        kv->strand_begin = cuts[r];
        kv->strand_end = cuts[r + 1];
        kv->n_kv_heads = is_latent ? own.n_kv_heads > 0 : own.n_kv_heads;
    }
}

static size_t kv_part(const struct mu_kv_layer *kv, int width)
{
    return round64((size_t)kv->n_kv_heads * mu_kv_head_bytes(kv->dtype, width));
}

size_t mu_kv_page_bytes(const struct mu_spec *s, const struct mu_model_opts *o)
{
    size_t n = 0;
    for (int i = mu_first_layer(o); i < mu_end_layer(s, o); i++) {
        struct mu_kv_layer kv;
        mu_kv_shape(s, &s->layers[i], o, &kv);
        n += kv_part(&kv, kv.dk) + (kv.is_v_in_k ? 0 : kv_part(&kv, kv.dv));
    }
    return n;
}

void mu_model_set_kv(struct mu_model *m, void *kv, int64_t pages_n)
{
    size_t at = 0;
    m->kv = kv;
    m->pages_n = pages_n;
    for (int i = m->shard.layer_begin; i < m->shard.layer_end; i++) {
        struct mu_kv_layer *l = &m->layers[i].kv;
        mu_kv_shape(&m->spec, &m->spec.layers[i], &m->opts, l);
        l->page_stride = m->sizes.kv_page;
        l->k = m->kv + at;
        at += kv_part(l, l->dk);
        if (l->is_v_in_k)
            continue;
        l->v = m->kv + at;
        at += kv_part(l, l->dv);
    }
}

/* ---- activations ---- */

static void widen(int64_t *w, int64_t n)
{
    *w = MU_MAX(*w, n);
}

static void widen_attention(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                            struct mu_widths *w)
{
    struct mu_kv_layer kv;
    struct mu_heads p;

    mu_kv_shape(s, l, o, &kv);
    mu_heads_of(l, o->shard, &p);
    widen(&w->heads, p.n_heads);
    widen(&w->q, (int64_t)p.n_heads * l->dk);
    widen(&w->heads_v, (int64_t)p.n_heads * l->dv);
    if (!kv.is_v_in_k) {
        widen(&w->k, (int64_t)p.n_kv_heads * l->dk);
        widen(&w->v, (int64_t)p.n_kv_heads * l->dv);
    }
    if (l->attn == MU_ATTN_LATENT) {
        widen(&w->q_a, l->q_lora);
        widen(&w->kv_a, (int64_t)l->kv_lora + l->dk_rope);
    }
    if (kv.is_v_in_k)
        widen(&w->wide_o, (int64_t)p.n_heads * kv.dv);
    if (kv.is_v_in_k || s->position == MU_POS_ALIBI)
        widen(&w->wide_q, (int64_t)p.n_heads * kv.dk);
    if (s->position == MU_POS_ALIBI)
        widen(&w->wide_k, (int64_t)p.n_kv_heads * kv.dk);
}

static void widen_experts(const struct mu_spec *s, int layer, const struct mu_model_opts *o, struct mu_widths *w)
{
    const struct mu_moe_spec *moe = &s->layers[layer].moe;
    int64_t held = mu_experts_held(o->shard, s, layer).n, most = MU_MIN(held, moe->top_k);

    widen(&w->copies, mu_experts_copies(o->shard, s, layer));
    widen(&w->copies_held, held);
    widen(&w->experts, moe->n_experts);
    widen(&w->top_k, moe->top_k);
    widen(&w->ffn, mu_shard_ffn(o->shard, (int64_t)moe->n_shared * moe->ffn).n);
    widen(&w->ffn, held > 0 ? moe->ffn : 0);
    if (o->shard && o->shard->n_lanes > 1) {
        widen(&w->arrived, (int64_t)mu_round_rows(o) * mu_expert_ranks(o) * most);
        widen(&w->dispatched, w->arrived);
    } else {
        widen(&w->dispatched, o->rows_max * most);
    }
    widen(&w->departed, mu_expert_ranks(o) > 1 ? w->dispatched : 0);
}

/* What travels in a group that shares a cache: queries of all heads, states of own strands for all heads, and of all
 * strands for own heads. */
static void widen_shared(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                         struct mu_widths *w)
{
    struct mu_heads reader[MU_ATTN_STRANDS], own;
    int32_t cuts[MU_ATTN_STRANDS + 1];
    struct mu_kv_layer kv;
    int cp = mu_shard_cp(o->shard);
    int64_t heads = 0, roots = 0;

    if (cp == 1)
        return;
    mu_kv_shape(s, l, o, &kv);
    mu_heads_of(l, o->shard, &own);
    mu_readers_of(l, o->shard, reader);
    mu_shard_strands(cp, cuts);
    for (int r = 0; r < cp; r++) {
        heads += reader[r].n_heads;
        roots += mu_attn_roots(cuts[r], cuts[r + 1]);
    }
    int64_t state = MU_ATTN_STATE(kv.dv);
    widen(&w->queries, heads * kv.dk);
    widen(&w->states, heads * mu_attn_roots(kv.strand_begin, kv.strand_end) * state);
    widen(&w->returned, own.n_heads * roots * state);
    widen(&w->heads, own.n_kv_heads);
}

/* The inputs of a layer's sums; 0: it has none of that kind. */
static void sum_of(const struct mu_layer_spec *l, int i, int64_t *n_in, int64_t *tile)
{
    if (i == 0) {
        *n_in = (int64_t)l->n_heads * l->dv;
        *tile = mu_shard_o_tile(l);
        return;
    }
    bool is_moe = l->mlp == MU_MLP_MOE;
    *n_in = i == 1 ? (is_moe ? 0 : l->ffn) : (is_moe ? (int64_t)l->moe.n_shared * l->moe.ffn : 0);
    *tile = mu_shard_down_tile(*n_in);
}

static int count_roots(int64_t n_in, int64_t tile, const struct mu_shard *sh)
{
    int32_t cuts[MU_COMM_RANKS_MAX + 1], tiles = mu_shard_tiles(n_in, tile);
    struct mu_span root[MU_TREE_ROOTS_MAX];

    mu_tree_cut(tiles, sh->tp_size, cuts);
    return mu_tree_roots(tiles, cuts[sh->tp_rank], cuts[sh->tp_rank + 1], root);
}

static void widen_roots(const struct mu_layer_spec *l, const struct mu_shard *sh, struct mu_widths *w)
{
    int64_t n_in, tile;
    for (int i = 0; sh && sh->tp_size > 1 && i < MU_SLOT_SUMS; i++) {
        sum_of(l, i, &n_in, &tile);
        widen(&w->roots, n_in > 0 ? count_roots(n_in, tile, sh) : 0);
    }
}

void mu_widths_of(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_widths *w)
{
    *w = (struct mu_widths){.heads = 1};
    for (int i = mu_first_layer(o); i < mu_end_layer(s, o); i++) {
        const struct mu_layer_spec *l = &s->layers[i];
        widen_attention(s, l, o, w);
        widen_shared(s, l, o, w);
        widen_roots(l, o->shard, w);
        w->is_parallel_norms |= l->block == MU_BLOCK_PARALLEL_NORMS;
        if (l->mlp == MU_MLP_MOE)
            widen_experts(s, i, o, w);
        else
            widen(&w->ffn, mu_shard_ffn(o->shard, l->ffn).n);
    }
}

/* Rows of experts as this rank computes them, and as it gets them back. */
static void take_dispatch(char *base, size_t *at, const struct mu_model_opts *o, int64_t D, const struct mu_widths *w,
                          struct mu_buffers *b)
{
    bool has_lanes = o->shard && o->shard->n_lanes > 1;
    int64_t rows = has_lanes ? mu_round_rows(o) : o->rows_max, chosen = rows * w->top_k;
    size_t f = sizeof(float), i32 = sizeof(int32_t);

    b->dispatched = take(base, at, w->dispatched * D, f);
    b->expert_out = take(base, at, (has_lanes ? w->arrived : chosen) * D, f);
    b->sent = take(base, at, has_lanes ? chosen * D : 0, f);
    b->arrived = take(base, at, w->arrived * D, f);
    b->arrival = take(base, at, w->arrived, i32);
    b->departure = take(base, at, w->departed, i32);
    b->choice_weights = take(base, at, chosen, f);
    b->choice_rows = take(base, at, chosen, i32);
}

size_t mu_layout_activations(const struct mu_spec *s, const struct mu_model_opts *o, char *base, struct mu_buffers *b)
{
    struct mu_widths w;
    size_t at = 0, f = sizeof(float), i32 = sizeof(int32_t);
    int64_t n = o->rows_max, D = s->hidden, wide = mu_widest_rows(o);

    mu_widths_of(s, o, &w);
    int64_t by_length = s->position == MU_POS_ROPE && mu_rope_is_by_length(&s->rope);
    int64_t looked = o->shard && o->shard->tp_size > 1 && o->shard->has_embed ? n : 0;
    b->x = take(base, &at, n * D, f);
    b->normed = take(base, &at, n * D, f);
    b->normed2 = take(base, &at, w.is_parallel_norms ? n * D : 0, f);
    b->attn_out = take(base, &at, n * D, f);
    b->mlp_out = take(base, &at, n * D, f);
    b->partial = take(base, &at, w.roots * n * D, f);
    b->q = take(base, &at, n * w.q, f);
    b->k = take(base, &at, n * w.k, f);
    b->v = take(base, &at, n * w.v, f);
    b->heads = take(base, &at, n * w.heads_v, f);
    b->wide_q = take(base, &at, n * w.wide_q, f);
    b->wide_k = take(base, &at, n * w.wide_k, f);
    b->wide_o = take(base, &at, n * w.wide_o, f);
    int64_t shared = MU_MIN(n, MU_SHARED_ROWS);
    b->queries = take(base, &at, shared * w.queries, f);
    b->states = take(base, &at, shared * w.states, f);
    b->returned = take(base, &at, shared * w.returned, f);
    b->q_a = take(base, &at, n * w.q_a, f);
    b->kv_a = take(base, &at, n * w.kv_a, f);
    b->gate = take(base, &at, wide * w.ffn, f);
    b->up = take(base, &at, wide * w.ffn, f);
    b->scores = take(base, &at, n * w.experts, f);
    take_dispatch(base, &at, o, D, &w, b);
    b->combined = take(base, &at, w.experts ? n * D : 0, f);
    b->rope_rows = take(base, &at, by_length ? n * s->rope.dim : 0, f);
    b->zero_row = take(base, &at, D, f);
    b->scored = take(base, &at, !o->shard || o->shard->has_head ? o->logit_rows_max * D : 0, f);
    b->look_ids = take(base, &at, looked, i32);
    b->look_rows = take(base, &at, looked, i32);
    b->identity = take(base, &at, n * w.heads, i32);
    b->per_head = take(base, &at, n * w.heads, i32);
    b->zeros = take(base, &at, n * w.heads, i32);
    b->page = take(base, &at, 1, i32);
    return at;
}

/* ---- logits ---- */

/* Alone there is one block; else each rank has its own vocabulary's, and the first all of it and what it gathers by. */
size_t mu_layout_logits(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m)
{
    struct mu_model measured = {0};
    const struct mu_shard *sh = o->shard;
    bool has_head = !sh || sh->has_head, is_cut = sh && sh->tp_size > 1, is_first = !sh || sh->tp_rank == 0;
    int64_t n = has_head ? o->logit_rows_max : 0, own = mu_shard_vocab(sh, s->vocab).n;
    size_t at = 0, f = sizeof(float);

    m = m ? m : &measured;
    char *base = m->logits;
    take(base, &at, is_first ? n * s->vocab : 0, f);
    m->own_logits = take(base, &at, is_cut ? n * own : 0, f);
    m->part_logits = take(base, &at, is_cut && is_first ? MU_MIN(n, MU_LOGITS_GATHER_ROWS) * s->vocab : 0, f);
    m->own_logits = is_cut ? m->own_logits : m->logits;
    return at;
}

/* ---- host ---- */

/* The shape of a sum among the tensor ranks, and this rank's matrices of it. */
static void take_split(char *base, size_t *at, const struct mu_shard *sh, int64_t n_in, int64_t tile,
                       struct mu_split *out)
{
    int32_t cuts[MU_COMM_RANKS_MAX + 1] = {0}, tiles = mu_shard_tiles(n_in, tile), n = 0;
    struct mu_span unused[MU_TREE_ROOTS_MAX];
    int size = sh ? sh->tp_size : 1;

    *out = (struct mu_split){.n_roots = 1, .tree.n = tiles};
    if (size > 1) {
        mu_tree_cut(tiles, size, cuts);
        for (int r = 0; r < size; r++)
            n += mu_tree_roots(tiles, cuts[r], cuts[r + 1], unused);
        out->n_roots = mu_tree_roots(tiles, cuts[sh->tp_rank], cuts[sh->tp_rank + 1], unused);
    }
    int32_t *own_cuts = take(base, at, size > 1 ? size + 1 : 0, sizeof *own_cuts);
    int32_t *first = take(base, at, size > 1 ? size + 1 : 0, sizeof *first);
    struct mu_span *root = take(base, at, n, sizeof *root);
    out->root = take(base, at, out->n_roots, sizeof *out->root);
    out->tree.cuts = own_cuts;
    out->tree.first = first;
    out->tree.root = root;
    if (!base || size == 1)
        return;
    memcpy(own_cuts, cuts, (size_t)(size + 1) * sizeof *cuts);
    for (int r = 0; r < size; r++) {
        int k = mu_tree_roots(tiles, cuts[r], cuts[r + 1], unused);
        memcpy(root + first[r], unused, (size_t)k * sizeof *root);
        first[r + 1] = first[r] + k;
    }
}

static void take_layer(char *base, size_t *at, const struct mu_spec *s, int layer, const struct mu_shard *sh,
                       struct mu_layer *to)
{
    const struct mu_layer_spec *l = &s->layers[layer];
    int64_t n_in, tile, experts = l->mlp == MU_MLP_MOE ? mu_experts_held(sh, s, layer).n : 0;

    mu_heads_of(l, sh, &to->own);
    mu_readers_of(l, sh, to->reader);
    for (int i = 0; i < MU_SLOT_SUMS; i++) {
        sum_of(l, i, &n_in, &tile);
        if (n_in > 0)
            take_split(base, at, sh, n_in, tile, &to->sum[i]);
    }
    for (int i = 0; i < 2; i++)
        to->heads[i] = take(base, at, l->attn == MU_ATTN_LATENT ? to->own.n_heads : 0, sizeof(struct mu_matrix));
    for (int i = 0; i < 3; i++)
        to->expert[i] = take(base, at, experts, sizeof(struct mu_matrix));
    to->router_bias = take(base, at, l->moe.has_bias ? l->moe.n_experts : 0, sizeof(float));
}

static void take_routing(char *base, size_t *at, const struct mu_model_opts *o, const struct mu_widths *w,
                         struct mu_routing *r)
{
    bool has_lanes = o->shard && o->shard->n_lanes > 1;
    int64_t n = o->rows_max, ranks = mu_expert_ranks(o);
    size_t f = sizeof(float), i32 = sizeof(int32_t);

    ranks = ranks > 1 && w->experts > 0 ? ranks : 0;
    r->scores = take(base, at, n * w->experts, f);
    r->experts = take(base, at, n * w->top_k, i32);
    r->weights = take(base, at, n * w->top_k, f);
    r->copies = take(base, at, n * w->top_k, i32);
    r->dealt = take(base, at, w->experts, i32);
    r->first = take(base, at, w->experts ? w->copies + 1 : 0, i32);
    r->rows = take(base, at, n * w->top_k, i32);
    r->row_weights = take(base, at, n * w->top_k, f);
    r->probability = take(base, at, w->experts, f);
    r->choice = take(base, at, w->experts, f);
    r->counts = take(base, at, has_lanes ? w->copies : 0, i32);
    r->counts_in = take(base, at, has_lanes ? ranks * w->copies_held : 0, i32);
    r->first_in = take(base, at, has_lanes ? w->copies_held + 1 : 0, i32);
    r->arrival = take(base, at, w->arrived, i32);
    r->departure = take(base, at, w->departed, i32);
    r->slice = take(base, at, ranks > 0 ? ranks + 1 : 0, i32);
    r->bytes_out = take(base, at, ranks, sizeof(size_t));
    r->bytes_in = take(base, at, ranks, sizeof(size_t));
}

size_t mu_layout_host(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m)
{
    struct mu_model measured = {0};
    struct mu_widths w;
    char *base = m ? m->host : NULL;
    size_t at = 0, f = sizeof(float);
    int tp = o->shard ? o->shard->tp_size : 1;
    int64_t n = o->rows_max, looked = tp > 1 && o->shard->has_embed ? n : 0;

    mu_widths_of(s, o, &w);
    m = m ? m : &measured;
    m->layers = take(base, &at, s->n_layers + 1, sizeof *m->layers);
    for (int i = mu_first_layer(o); i < mu_end_layer(s, o); i++) {
        struct mu_layer unused;
        take_layer(base, &at, s, i, o->shard, base ? &m->layers[i] : &unused);
    }
    bool by_length = s->position == MU_POS_ROPE && mu_rope_is_by_length(&s->rope);
    m->inv_freq = take(base, &at, s->rope.dim / 2, f);
    m->rope_host = take(base, &at, by_length ? n * s->rope.dim : 0, f);
    m->vocab_bytes = take(base, &at, tp > 1 ? tp : 0, sizeof(size_t));
    m->row_bytes = take(base, &at, tp > 1 ? tp : 0, sizeof(size_t));
    m->look_ids = take(base, &at, looked, sizeof(int32_t));
    m->look_rows = take(base, &at, looked, sizeof(int32_t));
    take_routing(base, &at, o, &w, &m->r);
    m->r.total = take(base, &at, (int64_t)s->n_layers * mu_experts_most(s), sizeof *m->r.total);
    return at;
}
