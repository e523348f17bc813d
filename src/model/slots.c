/* slots.c - visiting the weights of a spec */
#include "model/slots.h"

#include "base/check.h"
#include "model/expert_table.h"

struct visit {
    const struct mu_spec *s;
    const struct mu_model_opts *o;
    mu_slot_fn fn;
    void *arg;
    int layer;
};

/* ---- the part of a shard ---- */

int mu_slot_sum(enum mu_slot slot)
{
    return slot == MU_SLOT_O ? 0 : slot == MU_SLOT_DOWN ? 1 : slot == MU_SLOT_SHARED_DOWN ? 2 : -1;
}

static bool is_expert(enum mu_slot slot)
{
    return slot == MU_SLOT_EXPERT_GATE || slot == MU_SLOT_EXPERT_UP || slot == MU_SLOT_EXPERT_DOWN;
}

static bool is_held(const struct mu_spec *s, const struct mu_shard *sh, const struct mu_slot_use *u)
{
    switch (u->slot) {
    case MU_SLOT_EMBED:
        return sh->has_embed || (s->is_tied && sh->has_head);
    case MU_SLOT_POSITIONS:
        return sh->has_embed;
    case MU_SLOT_NORM_FINAL:
    case MU_SLOT_HEAD:
        return sh->has_head;
    default:
        return u->layer >= sh->layer_begin && u->layer < sh->layer_end;
    }
}

static struct mu_run times(struct mu_run r, int64_t n)
{
    return (struct mu_run){r.begin * n, r.n * n};
}

/* The rows held of a slot that is cut by rows, or all. */
static struct mu_run rows_held(const struct mu_spec *s, const struct mu_shard *sh, const struct mu_slot_use *u)
{
    const struct mu_layer_spec *l = u->layer >= 0 ? &s->layers[u->layer] : NULL;
    switch (u->slot) {
    case MU_SLOT_EMBED:
    case MU_SLOT_HEAD:
        return mu_shard_vocab(sh, u->n_out);
    case MU_SLOT_Q:
        return times(mu_shard_heads(sh, l), l->dk);
    case MU_SLOT_K:
        return times(mu_shard_kv_heads(sh, l), l->dk);
    case MU_SLOT_V:
        return times(mu_shard_kv_heads(sh, l), l->dv);
    case MU_SLOT_GATE:
    case MU_SLOT_UP:
    case MU_SLOT_SHARED_GATE:
    case MU_SLOT_SHARED_UP:
        return mu_shard_ffn(sh, u->n_out);
    default:
        return (struct mu_run){0, u->n_out};
    }
}

/* Heads and experts are held whole or not at all. */
static bool renumber(const struct mu_spec *s, const struct mu_shard *sh, struct mu_slot_use *u)
{
    struct mu_run r = {0, INT32_MAX};
    if (is_expert(u->slot)) {
        u->index = mu_expert_place_held(sh, s, u->layer, u->index);
        return u->index >= 0;
    }
    if (u->slot == MU_SLOT_KV_UP_K || u->slot == MU_SLOT_KV_UP_V)
        r = mu_shard_heads(sh, &s->layers[u->layer]);
    u->index -= (int)r.begin;
    return u->index >= 0 && u->index < r.n;
}

/* One matrix a root of the rank's tiles. */
static int roots_held(const struct mu_shard *sh, const struct mu_slot_use *whole, struct mu_slot_use *out)
{
    int32_t cuts[MU_COMM_RANKS_MAX + 1], tiles = mu_shard_tiles(whole->n_in, whole->tile_k);
    struct mu_span root[MU_TREE_ROOTS_MAX];

    mu_tree_cut(tiles, sh->tp_size, cuts);
    int n = mu_tree_roots(tiles, cuts[sh->tp_rank], cuts[sh->tp_rank + 1], root);
    for (int i = 0; i < n; i++) {
        out[i] = *whole;
        out[i].piece = i;
        out[i].col0 = root[i].begin * whole->tile_k;
        out[i].n_in = MU_MIN(root[i].end * whole->tile_k, whole->n_in) - out[i].col0;
    }
    return n;
}

int mu_slot_pieces(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_slot_use *whole,
                   struct mu_slot_use out[MU_TREE_ROOTS_MAX])
{
    const struct mu_shard *sh = o->shard;

    *out = *whole;
    if (!sh)
        return 1;
    if (!is_held(s, sh, whole) || !renumber(s, sh, out))
        return 0;
    if (mu_slot_sum(whole->slot) >= 0 && !whole->is_bias && sh->tp_size > 1)
        return roots_held(sh, whole, out);
    struct mu_run r = rows_held(s, sh, whole);
    out->row0 = r.begin;
    out->n_out = r.n;
    return r.n > 0;
}

/* ---- the whole ---- */

static int emit(const struct visit *v, struct mu_slot_use *whole)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];

    whole->n_out_whole = whole->n_out;
    whole->n_in_whole = whole->n_in;
    int n = mu_slot_pieces(v->s, v->o, whole, piece);
    for (int i = 0; i < n; i++)
        MU_TRY_RETURN(v->fn(v->arg, &piece[i]));
    return MU_OK;
}

static int vector(const struct visit *v, enum mu_slot slot, int64_t n, bool is_bias)
{
    struct mu_slot_use u = {.slot = slot, .layer = v->layer, .is_bias = is_bias, .n_out = n};
    return emit(v, &u);
}

static int tiled(const struct visit *v, enum mu_slot slot, int index, int64_t n_out, int64_t n_in, int64_t tile_k,
                 enum mu_wformat format)
{
    struct mu_slot_use u = {.slot = slot,
                            .layer = v->layer,
                            .index = index,
                            .n_out = n_out,
                            .n_in = n_in,
                            .tile_k = tile_k,
                            .format = format};
    return emit(v, &u);
}

static int matrix(const struct visit *v, enum mu_slot slot, int64_t n_out, int64_t n_in, bool has_bias)
{
    MU_TRY_RETURN(tiled(v, slot, 0, n_out, n_in, MU_TILE_K, v->o->format));
    return has_bias ? vector(v, slot, n_out, true) : MU_OK;
}

static int norm(const struct visit *v, enum mu_slot slot)
{
    MU_TRY_RETURN(vector(v, slot, v->s->hidden, false));
    return v->s->norm.has_bias ? vector(v, slot, v->s->hidden, true) : MU_OK;
}

static int output_projection(const struct visit *v, const struct mu_layer_spec *l)
{
    int64_t n_in = (int64_t)l->n_heads * l->dv;
    MU_TRY_RETURN(tiled(v, MU_SLOT_O, 0, v->s->hidden, n_in, mu_shard_o_tile(l), v->o->format));
    return l->has_out_bias ? vector(v, MU_SLOT_O, v->s->hidden, true) : MU_OK;
}

static int down(const struct visit *v, enum mu_slot slot, int64_t ffn, bool has_bias)
{
    MU_TRY_RETURN(tiled(v, slot, 0, v->s->hidden, ffn, mu_shard_down_tile(ffn), v->o->format));
    return has_bias ? vector(v, slot, v->s->hidden, true) : MU_OK;
}

static int grouped(const struct visit *v, const struct mu_layer_spec *l)
{
    int64_t D = v->s->hidden;
    MU_TRY_RETURN(matrix(v, MU_SLOT_Q, (int64_t)l->n_heads * l->dk, D, l->has_qkv_bias));
    MU_TRY_RETURN(matrix(v, MU_SLOT_K, (int64_t)l->n_kv_heads * l->dk, D, l->has_qkv_bias));
    MU_TRY_RETURN(matrix(v, MU_SLOT_V, (int64_t)l->n_kv_heads * l->dv, D, l->has_qkv_bias));
    if (l->has_qk_norm) {
        MU_TRY_RETURN(vector(v, MU_SLOT_Q_NORM, l->dk, false));
        MU_TRY_RETURN(vector(v, MU_SLOT_K_NORM, l->dk, false));
    }
    return MU_OK;
}

static int latent(const struct visit *v, const struct mu_layer_spec *l)
{
    int64_t D = v->s->hidden, q_in = D;
    bool is_absorbed = v->o->mla == MU_MLA_ABSORBED;

    if (l->q_lora > 0) {
        MU_TRY_RETURN(matrix(v, MU_SLOT_Q_A, l->q_lora, D, l->has_qkv_bias));
        MU_TRY_RETURN(vector(v, MU_SLOT_Q_A_NORM, l->q_lora, false));
        q_in = l->q_lora;
    }
    MU_TRY_RETURN(matrix(v, MU_SLOT_Q, (int64_t)l->n_heads * l->dk, q_in, false));
    MU_TRY_RETURN(matrix(v, MU_SLOT_KV_A, (int64_t)l->kv_lora + l->dk_rope, D, l->has_qkv_bias));
    MU_TRY_RETURN(vector(v, MU_SLOT_KV_A_NORM, l->kv_lora, false));
    struct mu_run held = mu_shard_heads(v->o->shard, l);
    for (int h = (int)held.begin; h < held.begin + held.n; h++) {
        MU_TRY_RETURN(tiled(v, MU_SLOT_KV_UP_K, h, is_absorbed ? l->kv_lora : l->dk_nope,
                            is_absorbed ? l->dk_nope : l->kv_lora, MU_TILE_K, v->o->format));
        MU_TRY_RETURN(tiled(v, MU_SLOT_KV_UP_V, h, l->dv, l->kv_lora, MU_TILE_K, v->o->format));
    }
    return MU_OK;
}

static int experts(const struct visit *v, const struct mu_moe_spec *m)
{
    int64_t D = v->s->hidden, shared = (int64_t)m->n_shared * m->ffn;

    MU_TRY_RETURN(tiled(v, MU_SLOT_ROUTER, 0, m->n_experts, D, MU_TILE_K, MU_WF32));
    if (m->has_bias)
        MU_TRY_RETURN(vector(v, MU_SLOT_ROUTER_BIAS, m->n_experts, false));
    struct mu_run held = mu_experts_held(v->o->shard, v->s, v->layer);
    for (int64_t copy = held.begin; copy < held.begin + held.n; copy++) {
        int x = mu_expert_of(mu_expert_layer(v->o->shard, v->layer), copy);
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_GATE, x, m->ffn, D, MU_TILE_K, v->o->format));
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_UP, x, m->ffn, D, MU_TILE_K, v->o->format));
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_DOWN, x, D, m->ffn, MU_TILE_K, v->o->format));
    }
    if (shared > 0) {
        MU_TRY_RETURN(matrix(v, MU_SLOT_SHARED_GATE, shared, D, false));
        MU_TRY_RETURN(matrix(v, MU_SLOT_SHARED_UP, shared, D, false));
        MU_TRY_RETURN(down(v, MU_SLOT_SHARED_DOWN, shared, false));
    }
    return MU_OK;
}

static int mlp(const struct visit *v, const struct mu_layer_spec *l)
{
    if (l->mlp == MU_MLP_MOE)
        return experts(v, &l->moe);
    if (l->mlp == MU_MLP_GATED)
        MU_TRY_RETURN(matrix(v, MU_SLOT_GATE, l->ffn, v->s->hidden, l->has_mlp_bias));
    MU_TRY_RETURN(matrix(v, MU_SLOT_UP, l->ffn, v->s->hidden, l->has_mlp_bias));
    return down(v, MU_SLOT_DOWN, l->ffn, l->has_mlp_bias);
}

static int layer(const struct visit *v, const struct mu_layer_spec *l)
{
    MU_TRY_RETURN(norm(v, MU_SLOT_NORM_ATTN));
    MU_TRY_RETURN(l->attn == MU_ATTN_LATENT ? latent(v, l) : grouped(v, l));
    MU_TRY_RETURN(output_projection(v, l));
    if (l->block != MU_BLOCK_PARALLEL)
        MU_TRY_RETURN(norm(v, MU_SLOT_NORM_MLP));
    return mlp(v, l);
}

/* A table that is only looked up gains nothing from integers: bf16 then. A tied one is the head as well. */
static enum mu_wformat embed_format(const struct mu_spec *s, enum mu_wformat f)
{
    return !s->is_tied && (f == MU_WINT8 || f == MU_WINT4) ? MU_WBF16 : f;
}

int mu_slots_each(const struct mu_spec *s, const struct mu_model_opts *o, mu_slot_fn fn, void *arg)
{
    struct visit v = {s, o, fn, arg, -1};

    MU_TRY_RETURN(tiled(&v, MU_SLOT_EMBED, 0, s->vocab, s->hidden, MU_TILE_K, embed_format(s, o->format)));
    if (s->position == MU_POS_LEARNED)
        MU_TRY_RETURN(tiled(&v, MU_SLOT_POSITIONS, 0, s->context, s->hidden, MU_TILE_K, MU_WF32));
    int end = o->shard ? o->shard->layer_end : s->n_layers;
    for (v.layer = o->shard ? o->shard->layer_begin : 0; v.layer < end; v.layer++)
        MU_TRY_RETURN(layer(&v, &s->layers[v.layer]));
    v.layer = -1;
    MU_TRY_RETURN(norm(&v, MU_SLOT_NORM_FINAL));
    return s->is_tied ? MU_OK : matrix(&v, MU_SLOT_HEAD, s->vocab, s->hidden, false);
}

bool mu_slot_is_in_place(const struct mu_slot_use *u)
{
    bool ends_panel = u->n_out % MU_PANEL == 0 || u->row0 + u->n_out == u->n_out_whole;
    bool has_all_inputs = u->col0 == 0 && u->n_in == u->n_in_whole;
    return u->n_in == 0 || (has_all_inputs && u->row0 % MU_PANEL == 0 && ends_panel);
}

size_t mu_slot_bytes(const struct mu_slot_use *u, size_t *scale_offset)
{
    size_t data, scales;

    *scale_offset = 0;
    if (u->n_in == 0)
        return ((size_t)u->n_out * sizeof(float) + 63) / 64 * 64;
    mu_matrix_bytes(u->format, u->n_out, u->n_in, u->tile_k, &data, &scales);
    *scale_offset = data;
    return data + scales;
}
