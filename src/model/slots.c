/* slots.c - visiting the weights of a spec */
#include "model/slots.h"

#include "base/check.h"

struct visit {
    const struct mu_spec *s;
    const struct mu_model_opts *o;
    mu_slot_fn fn;
    void *arg;
    int layer;
};

static int vector(const struct visit *v, enum mu_slot slot, int64_t n, bool is_bias)
{
    struct mu_slot_use u = {.slot = slot, .layer = v->layer, .is_bias = is_bias, .n_out = n};
    return v->fn(v->arg, &u);
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
    return v->fn(v->arg, &u);
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

/* The multiple of a head nearest to MU_TILE_K that integer formats can hold. */
static int64_t head_tile(int64_t head)
{
    int64_t n = MU_MAX((MU_TILE_K + head / 2) / head, 1);
    while (n * head % 4 != 0)
        n++;
    return n * head;
}

static int output_projection(const struct visit *v, const struct mu_layer_spec *l)
{
    int64_t n_in = (int64_t)l->n_heads * l->dv;
    MU_TRY_RETURN(tiled(v, MU_SLOT_O, 0, v->s->hidden, n_in, head_tile(l->dv), v->o->format));
    return l->has_out_bias ? vector(v, MU_SLOT_O, v->s->hidden, true) : MU_OK;
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
    for (int h = 0; h < l->n_heads; h++) {
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
    for (int x = 0; x < m->n_experts; x++) {
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_GATE, x, m->ffn, D, MU_TILE_K, v->o->format));
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_UP, x, m->ffn, D, MU_TILE_K, v->o->format));
        MU_TRY_RETURN(tiled(v, MU_SLOT_EXPERT_DOWN, x, D, m->ffn, MU_TILE_K, v->o->format));
    }
    if (shared > 0) {
        MU_TRY_RETURN(matrix(v, MU_SLOT_SHARED_GATE, shared, D, false));
        MU_TRY_RETURN(matrix(v, MU_SLOT_SHARED_UP, shared, D, false));
        MU_TRY_RETURN(matrix(v, MU_SLOT_SHARED_DOWN, D, shared, false));
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
    return matrix(v, MU_SLOT_DOWN, v->s->hidden, l->ffn, l->has_mlp_bias);
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
    for (v.layer = 0; v.layer < s->n_layers; v.layer++)
        MU_TRY_RETURN(layer(&v, &s->layers[v.layer]));
    v.layer = -1;
    MU_TRY_RETURN(norm(&v, MU_SLOT_NORM_FINAL));
    return s->is_tied ? MU_OK : matrix(&v, MU_SLOT_HEAD, s->vocab, s->hidden, false);
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
