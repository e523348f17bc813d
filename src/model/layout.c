/* layout.c - how the blocks of a model are cut
 *
 * Each function walks its block once with a cursor; without a base it only measures. Every piece starts at a multiple
 * of 64 bytes. */
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

/* ---- KV ---- */

void mu_kv_shape(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                 struct mu_kv_layer *kv)
{
    bool is_latent = l->attn == MU_ATTN_LATENT && o->mla == MU_MLA_ABSORBED;
    *kv = (struct mu_kv_layer){.dtype = o->kv_dtype,
                               .n_kv_heads = is_latent ? 1 : l->n_kv_heads,
                               .dk = is_latent ? l->kv_lora + l->dk_rope : l->dk,
                               .dv = is_latent ? l->kv_lora : l->dv,
                               .is_v_in_k = is_latent};
    if (s->position == MU_POS_ALIBI)
        kv->dk += l->n_heads / l->n_kv_heads;
}

static size_t kv_part(const struct mu_kv_layer *kv, int width)
{
    size_t elem = kv->dtype == MU_F32 ? 4 : 2;
    return round64((size_t)kv->n_kv_heads * (size_t)width * MU_KV_PAGE * elem);
}

size_t mu_kv_page_bytes(const struct mu_spec *s, const struct mu_model_opts *o)
{
    size_t n = 0;
    for (int i = 0; i < s->n_layers; i++) {
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
    for (int i = 0; i < m->spec.n_layers; i++) {
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
    mu_kv_shape(s, l, o, &kv);
    widen(&w->heads, l->n_heads);
    widen(&w->q, (int64_t)l->n_heads * l->dk);
    widen(&w->heads_v, (int64_t)l->n_heads * l->dv);
    if (!kv.is_v_in_k) {
        widen(&w->k, (int64_t)l->n_kv_heads * l->dk);
        widen(&w->v, (int64_t)l->n_kv_heads * l->dv);
    }
    if (l->attn == MU_ATTN_LATENT) {
        widen(&w->q_a, l->q_lora);
        widen(&w->kv_a, (int64_t)l->kv_lora + l->dk_rope);
    }
    if (kv.is_v_in_k)
        widen(&w->wide_o, (int64_t)l->n_heads * kv.dv);
    if (kv.is_v_in_k || s->position == MU_POS_ALIBI)
        widen(&w->wide_q, (int64_t)l->n_heads * kv.dk);
    if (s->position == MU_POS_ALIBI)
        widen(&w->wide_k, (int64_t)l->n_kv_heads * kv.dk);
}

void mu_widths_of(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_widths *w)
{
    *w = (struct mu_widths){0};
    for (int i = 0; i < s->n_layers; i++) {
        const struct mu_layer_spec *l = &s->layers[i];
        widen_attention(s, l, o, w);
        w->is_parallel_norms |= l->block == MU_BLOCK_PARALLEL_NORMS;
        if (l->mlp != MU_MLP_MOE) {
            widen(&w->ffn, l->ffn);
            continue;
        }
        widen(&w->ffn, (int64_t)MU_MAX(l->moe.n_shared, 1) * l->moe.ffn);
        widen(&w->experts, l->moe.n_experts);
        widen(&w->top_k, l->moe.top_k);
    }
}

size_t mu_layout_activations(const struct mu_spec *s, const struct mu_model_opts *o, char *base, struct mu_buffers *b)
{
    struct mu_widths w;
    size_t at = 0, f = sizeof(float), i32 = sizeof(int32_t);
    int64_t n = o->rows_max, D = s->hidden;

    mu_widths_of(s, o, &w);
    int64_t chosen = n * w.top_k, by_length = s->position == MU_POS_ROPE && mu_rope_is_by_length(&s->rope);
    b->x = take(base, &at, n * D, f);
    b->normed = take(base, &at, n * D, f);
    b->normed2 = take(base, &at, w.is_parallel_norms ? n * D : 0, f);
    b->attn_out = take(base, &at, n * D, f);
    b->mlp_out = take(base, &at, n * D, f);
    b->q = take(base, &at, n * w.q, f);
    b->k = take(base, &at, n * w.k, f);
    b->v = take(base, &at, n * w.v, f);
    b->heads = take(base, &at, n * w.heads_v, f);
    b->wide_q = take(base, &at, n * w.wide_q, f);
    b->wide_k = take(base, &at, n * w.wide_k, f);
    b->wide_o = take(base, &at, n * w.wide_o, f);
    b->q_a = take(base, &at, n * w.q_a, f);
    b->kv_a = take(base, &at, n * w.kv_a, f);
    b->gate = take(base, &at, n * w.ffn, f);
    b->up = take(base, &at, n * w.ffn, f);
    b->scores = take(base, &at, n * w.experts, f);
    b->dispatched = take(base, &at, chosen * D, f);
    b->expert_out = take(base, &at, chosen * D, f);
    b->combined = take(base, &at, w.experts ? n * D : 0, f);
    b->choice_weights = take(base, &at, chosen, f);
    b->choice_rows = take(base, &at, chosen, i32);
    b->rope_rows = take(base, &at, by_length ? n * s->rope.dim : 0, f);
    b->zero_row = take(base, &at, D, f);
    b->scored = take(base, &at, o->logit_rows_max * D, f);
    b->identity = take(base, &at, n * w.heads, i32);
    b->per_head = take(base, &at, n * w.heads, i32);
    b->zeros = take(base, &at, n * w.heads, i32);
    b->page = take(base, &at, 1, i32);
    return at;
}

/* ---- host ---- */

size_t mu_layout_host(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m)
{
    struct mu_model measured = {0};
    struct mu_widths w;
    char *base = m ? m->host : NULL;
    size_t at = 0, f = sizeof(float), i32 = sizeof(int32_t);
    int64_t n = o->rows_max;

    mu_widths_of(s, o, &w);
    m = m ? m : &measured;
    m->layers = take(base, &at, s->n_layers + 1, sizeof *m->layers);
    for (int i = 0; i < s->n_layers; i++) {
        const struct mu_layer_spec *l = &s->layers[i];
        struct mu_layer unused, *to = base ? &m->layers[i] : &unused;
        for (int j = 0; j < 2; j++)
            to->heads[j] = take(base, &at, l->attn == MU_ATTN_LATENT ? l->n_heads : 0, sizeof(struct mu_matrix));
        for (int j = 0; j < 3; j++)
            to->expert[j] = take(base, &at, l->moe.n_experts, sizeof(struct mu_matrix));
        to->router_bias = take(base, &at, l->moe.has_bias ? l->moe.n_experts : 0, f);
    }
    bool by_length = s->position == MU_POS_ROPE && mu_rope_is_by_length(&s->rope);
    m->inv_freq = take(base, &at, s->rope.dim / 2, f);
    m->rope_host = take(base, &at, by_length ? n * s->rope.dim : 0, f);
    m->r.scores = take(base, &at, n * w.experts, f);
    m->r.experts = take(base, &at, n * w.top_k, i32);
    m->r.weights = take(base, &at, n * w.top_k, f);
    m->r.first = take(base, &at, w.experts ? w.experts + 1 : 0, i32);
    m->r.rows = take(base, &at, n * w.top_k, i32);
    m->r.row_weights = take(base, &at, n * w.top_k, f);
    m->r.probability = take(base, &at, w.experts, f);
    m->r.choice = take(base, &at, w.experts, f);
    return at;
}
