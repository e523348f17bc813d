/* ref_attention.c - one tile of keys for some queries, as ops.h defines it, in plain C */
#include "tensor/cpu/ref.h"

#include <math.h>

#include "tensor/cpu/elementary.h"

static float load(enum mu_dtype t, const void *p, int64_t i)
{
    if (t == MU_F32)
        return ((const float *)p)[i];
    uint16_t h = ((const uint16_t *)p)[i];
    return t == MU_BF16 ? mu_bf16_to_f32(h) : mu_f16_to_f32(h);
}

/* Element i of a head's part of a page, whose scales begin after n elements; `scale` counts them. */
static float load_int8(const void *p, int64_t i, int64_t n, int64_t scale)
{
    const int8_t *q = p;
    return (float)q[i] * mu_bf16_to_f32(((const uint16_t *)(const void *)(q + n))[scale]);
}

static float key(const struct mu_attn_tile *t, int j, int d)
{
    const void *page = t->k[j / MU_KV_PAGE];
    int64_t lane = j % MU_KV_PAGE;
    if (t->dtype == MU_I8)
        return load_int8(page, (int64_t)d * MU_KV_PAGE + lane, (int64_t)t->dk * MU_KV_PAGE,
                         (int64_t)(d / MU_KV_GROUP) * MU_KV_PAGE + lane);
    return load(t->dtype, page, (int64_t)d * MU_KV_PAGE + lane);
}

static float value(const struct mu_attn_tile *t, int j, int d)
{
    if (t->is_v_in_k)
        return key(t, j, d);
    const void *page = t->v[j / MU_KV_PAGE];
    int64_t row = j % MU_KV_PAGE;
    if (t->dtype == MU_I8)
        return load_int8(page, row * t->dv + d, (int64_t)t->dv * MU_KV_PAGE,
                         row * mu_kv_groups(t->dv) + d / MU_KV_GROUP);
    return load(t->dtype, page, row * t->dv + d);
}

static float score(const struct mu_attn_tile *t, const struct mu_attn_query *u, int j)
{
    float dot = 0;
    for (int d = 0; d < t->dk; d++)
        dot = fmaf(u->q[d], key(t, j, d), dot);
    if (!t->has_alibi)
        return dot * t->scale;
    float at = (float)(t->j0 + j);
    return t->is_alibi_scaled ? fmaf(u->slope, at, dot) * t->scale : fmaf(dot, t->scale, u->slope * at);
}

/* p[j] = exp(score - m), 0 for hidden keys; returns m, *l_out their sum16. */
static float softmax(const struct mu_attn_tile *t, const struct mu_attn_query *u, float *p, float *l_out)
{
    float m = -INFINITY, sum[16] = {0};
    for (int j = u->lo; j < u->hi; j++) {
        p[j] = score(t, u, j);
        m = p[j] > m ? p[j] : m;
    }
    for (int j = 0; j < MU_ATTN_TILE; j++) {
        p[j] = j >= u->lo && j < u->hi ? mu_expf(p[j] - m) : 0.0f;
        sum[j % 16] = sum[j % 16] + p[j];
    }
    *l_out = mu_ref_halve16(sum);
    return m;
}

static float output(const struct mu_attn_tile *t, const struct mu_attn_query *u, const float *p, int d)
{
    float o = 0;
    for (int j = u->lo; j < u->hi; j++)
        o = fmaf(p[j], value(t, j, d), o);
    return o;
}

void mu_ref_attention_join(float *M, float *L, float *O, float m, float l, const float *o, int dv)
{
    float m_new = m > *M ? m : *M;
    float a = mu_expf(*M - m_new), b = mu_expf(m - m_new);
    for (int d = 0; d < dv; d++)
        O[d] = fmaf(O[d], a, o[d] * b);
    *L = fmaf(*L, a, l * b);
    *M = m_new;
}

static void query(const struct mu_attn_tile *t, const struct mu_attn_query *u, float *p)
{
    float l, m = softmax(t, u, p, &l);
    bool is_empty = *u->l == 0;
    float m_new = is_empty || m > *u->m ? m : *u->m;
    float a = is_empty ? 0 : mu_expf(*u->m - m_new), b = is_empty ? 1 : mu_expf(m - m_new);
    for (int d = 0; d < t->dv; d++) {
        float o = output(t, u, p, d);
        u->o[d] = is_empty ? o : fmaf(u->o[d], a, o * b);
    }
    *u->l = is_empty ? l : fmaf(*u->l, a, l * b);
    *u->m = m_new;
}

void mu_ref_attention(const struct mu_attn_tile *t)
{
    for (int i = 0; i < t->n; i++)
        query(t, &t->query[i], t->p + (int64_t)i * MU_ATTN_TILE);
}
