/* lanes_attention.h - one tile of keys for some queries, on lanes
 *
 * Scores: a lane is a key. QUERIES queries times PAGES pages of keys keep their sums in registers while d runs; one
 * query alone takes as many pages as make up for it, so that its sums do not wait for each other. Outputs: a lane is an
 * element of the value; queries that see the same keys share the values they load. Values that
 * lie in K are first turned round into vt, once for all queries. */
#ifndef MU_TENSOR_CPU_LANES_ATTENTION_H
#define MU_TENSOR_CPU_LANES_ATTENTION_H

#include "tensor/cpu/lanes_elementary.h"
#include "tensor/cpu/level.h"

#define TILE_PAGES (MU_ATTN_TILE / MU_KV_PAGE)
#define QUERIES    4
#define WIDE       4 /* pages, or chunks of 16 elements of the value, of one query */
#ifdef __AVX512F__
#define NARROW 4 /* of several: 16 sums of 32 registers */
#else
#define NARROW 1 /* 4 sums of two registers each */
#endif

/* Sixteen elements; those of int8 without their scale. */
MU_INLINE v16 load_kv(const enum mu_dtype t, const void *p, int64_t i)
{
    if (t == MU_F32)
        return v16_load((const float *)p + i);
    if (t == MU_I8)
        return v16_from_i8((const int8_t *)p + i);
    if (t == MU_BF16)
        return v16_from_bf16((const uint16_t *)p + i);
    return v16_from_f16((const uint16_t *)p + i);
}

/* n elements from i on, zeros beyond. */
MU_INLINE v16 load_kv_some(const enum mu_dtype t, const void *p, int64_t i, int n)
{
    const size_t elem = t == MU_I8 ? sizeof(int8_t) : sizeof(uint16_t);
    uint16_t h[MU_LANES] = {0};
    if (n == MU_LANES)
        return load_kv(t, p, i);
    if (t == MU_F32)
        return v16_loadn((const float *)p + i, n);
    memcpy(h, (const char *)p + (size_t)i * elem, (size_t)n * elem);
    return load_kv(t, h, 0);
}

/* Scales of a head's part of a page, which holds n elements. */
MU_INLINE const uint16_t *scales_of(const void *page, int64_t n)
{
    return (const uint16_t *)(const void *)((const int8_t *)page + n);
}

/* Element d of a page's sixteen keys, `scale` those of the group. */
MU_INLINE v16 load_keys(const enum mu_dtype type, const void *page, int64_t d, v16 scale)
{
    v16 key = load_kv(type, page, d * MU_KV_PAGE);
    return type == MU_I8 ? v16_mul(key, scale) : key;
}

MU_INLINE v16 key_scales(const enum mu_dtype type, const struct mu_attn_tile *t, const void *page, int64_t d)
{
    if (type != MU_I8)
        return v16_zero();
    return v16_from_bf16(scales_of(page, (int64_t)t->dk * MU_KV_PAGE) + d / MU_KV_GROUP * MU_KV_PAGE);
}

/* Elements [d, d + 16) of value j of the tile, zeros from n on. */
MU_INLINE v16 load_value(const enum mu_dtype type, const struct mu_attn_tile *t, int j, int64_t d, int n)
{
    if (t->is_v_in_k)
        return load_kv_some(MU_F32, t->vt, (int64_t)j * t->dv + d, n);
    const void *page = t->v[j / MU_KV_PAGE];
    int64_t row = j % MU_KV_PAGE;
    v16 value = load_kv_some(type, page, row * t->dv + d, n);
    if (type != MU_I8)
        return value;
    const uint16_t *scale = scales_of(page, (int64_t)t->dv * MU_KV_PAGE) + row * mu_kv_groups(t->dv);
    return v16_mul(value, v16_set_bf16(scale[d / MU_KV_GROUP]));
}

/* The pages' keys; a missing page is read as another, its scores unused. False: all are missing. */
MU_INLINE bool find_keys(const struct mu_attn_tile *t, const int pages, int page, const void **k)
{
    const void *some = NULL;
    for (int g = 0; g < pages; g++)
        some = t->k[page + g] ? t->k[page + g] : some;
    MU_UNROLL
    for (int g = 0; g < pages; g++)
        k[g] = t->k[page + g] ? t->k[page + g] : some;
    return some;
}

/* q·k of n queries with the keys of some pages from `page` on. */
MU_INLINE void dots(const struct mu_attn_tile *t, const enum mu_dtype type, const int n, const int pages, int query,
                    int page)
{
    const int64_t group = type == MU_I8 ? MU_KV_GROUP : t->dk;
    v16 sum[QUERIES][WIDE], scale[WIDE], key[WIDE];
    const void *k[WIDE];
    if (!find_keys(t, pages, page, k))
        return;
    MU_UNROLL
    for (int i = 0; i < n; i++)
        MU_UNROLL
    for (int g = 0; g < pages; g++)
        sum[i][g] = v16_zero();
    for (int64_t d = 0, end; d < t->dk;) {
        end = MU_MIN(d + group, t->dk);
        MU_UNROLL
        for (int g = 0; g < pages; g++)
            scale[g] = key_scales(type, t, k[g], d);
        for (; d < end; d++) {
            MU_UNROLL
            for (int g = 0; g < pages; g++)
                key[g] = load_keys(type, k[g], d, scale[g]);
            MU_UNROLL
            for (int i = 0; i < n; i++) {
                v16 q = v16_set(t->query[query + i].q[d]);
                MU_UNROLL
                for (int g = 0; g < pages; g++)
                    sum[i][g] = v16_fma(q, key[g], sum[i][g]);
            }
        }
    }
    MU_UNROLL
    for (int i = 0; i < n; i++)
        MU_UNROLL
    for (int g = 0; g < pages; g++)
        v16_store(t->p + (query + i) * MU_ATTN_TILE + (page + g) * MU_KV_PAGE, sum[i][g]);
}

MU_INLINE v16 scale_score(const struct mu_attn_tile *t, float slope, int page, v16 dot)
{
    if (!t->has_alibi)
        return v16_mul(dot, v16_set(t->scale));
    v16 at = v16_add(v16_set((float)(t->j0 + page * MU_KV_PAGE)), v16_iota());
    if (t->is_alibi_scaled)
        return v16_mul(v16_fma(v16_set(slope), at, dot), v16_set(t->scale));
    return v16_fma(dot, v16_set(t->scale), v16_mul(v16_set(slope), at));
}

/* Scores in p become exp(score - m), zero where hidden; returns m, *l their sum. */
MU_INLINE float softmax(const struct mu_attn_tile *t, const struct mu_attn_query *u, float *p, float *l)
{
    v16 s[TILE_PAGES], max = v16_set(-INFINITY), sum = v16_zero();
    m16 seen[TILE_PAGES];
    MU_UNROLL
    for (int g = 0; g < TILE_PAGES; g++) {
        v16 j = v16_add(v16_set((float)(g * MU_KV_PAGE)), v16_iota());
        seen[g] = m16_and(v16_ge(j, v16_set((float)u->lo)), v16_lt(j, v16_set((float)u->hi)));
        s[g] = scale_score(t, u->slope, g, v16_load(p + g * MU_KV_PAGE));
        max = v16_max(v16_select(seen[g], s[g], v16_set(-INFINITY)), max);
    }
    float m = v16_max_lane(max);
    MU_UNROLL
    for (int g = 0; g < TILE_PAGES; g++) {
        v16 e = v16_select(seen[g], v16_exp(v16_sub(s[g], v16_set(m))), v16_zero());
        sum = v16_add(sum, e);
        v16_store(p + g * MU_KV_PAGE, e);
    }
    *l = v16_halve(sum);
    return m;
}

/* How a query takes the tile in: state * keep + tile * take, or the tile as it is. */
struct fold {
    float keep, take;
    bool is_first;
};

static struct fold fold_in(const struct mu_attn_query *u, float m, float l)
{
    if (*u->l == 0) {
        *u->m = m;
        *u->l = l;
        return (struct fold){.is_first = true};
    }
    float m_new = m > *u->m ? m : *u->m;
    struct fold f = {mu_expf(*u->m - m_new), mu_expf(m - m_new), false};
    *u->l = fmaf(*u->l, f.keep, l * f.take);
    *u->m = m_new;
    return f;
}

/* Elements [d, d + 16 * chunks) of the outputs of n queries that see the same keys, the first ones of all of them or of
 * none; `last` of the last chunk. */
MU_INLINE void outputs(const struct mu_attn_tile *t, const enum mu_dtype type, const int n, const int chunks, int query,
                       int64_t d, int last, const struct fold *f)
{
    v16 sum[QUERIES][WIDE];
    const struct mu_attn_query *u = t->query + query;
    const float *p = t->p + (int64_t)query * MU_ATTN_TILE;
    const bool is_first = f->is_first;
    MU_UNROLL
    for (int i = 0; i < n; i++)
        MU_UNROLL
    for (int c = 0; c < chunks; c++)
        sum[i][c] = v16_zero();
    for (int j = u->lo; j < u->hi; j++) {
        v16 value[WIDE];
        MU_UNROLL
        for (int c = 0; c < chunks; c++) {
            int some = c == chunks - 1 ? last : MU_LANES;
            value[c] = load_value(type, t, j, d + c * MU_LANES, some);
        }
        MU_UNROLL
        for (int i = 0; i < n; i++) {
            v16 pj = v16_set(p[i * MU_ATTN_TILE + j]);
            MU_UNROLL
            for (int c = 0; c < chunks; c++)
                sum[i][c] = v16_fma(pj, value[c], sum[i][c]);
        }
    }
    MU_UNROLL
    for (int i = 0; i < n; i++) {
        MU_UNROLL
        for (int c = 0; c < chunks; c++) {
            int some = c == chunks - 1 ? last : MU_LANES;
            float *o = u[i].o + d + c * MU_LANES;
            v16 out = sum[i][c];
            if (!is_first)
                out = v16_fma(v16_loadn(o, some), v16_set(f[i].keep), v16_mul(out, v16_set(f[i].take)));
            v16_storen(o, some, out);
        }
    }
}

MU_INLINE void all_outputs(const struct mu_attn_tile *t, const enum mu_dtype type, const int n, int query,
                           const struct fold *f)
{
    const int chunks = n == 1 ? WIDE : NARROW;
    int64_t d = 0;
    for (; d + chunks * MU_LANES <= t->dv; d += chunks * MU_LANES)
        outputs(t, type, n, chunks, query, d, MU_LANES, f);
    for (; d < t->dv; d += MU_LANES)
        outputs(t, type, n, 1, query, d, (int)MU_MIN(MU_LANES, t->dv - d), f);
}

/* vt[j][d] = K[d][j] for the keys that somebody sees. */
MU_INLINE void turn_values(const struct mu_attn_tile *t, const enum mu_dtype type)
{
    for (int g = 0; g < TILE_PAGES; g++) {
        for (int64_t d = 0; t->k[g] && d < t->dv; d++) {
            float keys[MU_KV_PAGE];
            v16_store(keys, load_keys(type, t->k[g], d, key_scales(type, t, t->k[g], d)));
            for (int64_t j = 0; j < MU_KV_PAGE; j++)
                t->vt[(g * MU_KV_PAGE + j) * t->dv + d] = keys[j];
        }
    }
}

MU_INLINE bool see_same(const struct mu_attn_query *u, const struct fold *f, int n)
{
    for (int i = 1; i < n; i++) {
        if (u[i].lo != u[0].lo || u[i].hi != u[0].hi || f[i].is_first != f[0].is_first)
            return false;
    }
    return true;
}

MU_INLINE void some_queries(const struct mu_attn_tile *t, const enum mu_dtype type, const int n, int query)
{
    struct fold f[QUERIES];
    const int pages = n == 1 ? WIDE : NARROW;
    for (int page = 0; page < TILE_PAGES; page += pages)
        dots(t, type, n, pages, query, page);
    for (int i = 0; i < n; i++) {
        const struct mu_attn_query *u = &t->query[query + i];
        float l, m = softmax(t, u, t->p + (int64_t)(query + i) * MU_ATTN_TILE, &l);
        f[i] = fold_in(u, m, l);
    }
    if (see_same(t->query + query, f, n)) {
        all_outputs(t, type, n, query, f);
        return;
    }
    for (int i = 0; i < n; i++)
        all_outputs(t, type, 1, query + i, f + i);
}

MU_INLINE void attention_as(const struct mu_attn_tile *t, const enum mu_dtype type)
{
    int i = 0;
    if (t->is_v_in_k)
        turn_values(t, type);
    for (; i + QUERIES <= t->n; i += QUERIES)
        some_queries(t, type, QUERIES, i);
    for (; i < t->n; i++)
        some_queries(t, type, 1, i);
}

static void attention_f32(const struct mu_attn_tile *t)
{
    attention_as(t, MU_F32);
}

static void attention_bf16(const struct mu_attn_tile *t)
{
    attention_as(t, MU_BF16);
}

static void attention_f16(const struct mu_attn_tile *t)
{
    attention_as(t, MU_F16);
}

static void attention_int8(const struct mu_attn_tile *t)
{
    attention_as(t, MU_I8);
}

void MU_LEVEL(attention)(const struct mu_attn_tile *t)
{
    if (t->dtype == MU_F32)
        attention_f32(t);
    else if (t->dtype == MU_BF16)
        attention_bf16(t);
    else if (t->dtype == MU_F16)
        attention_f16(t);
    else
        attention_int8(t);
}

void MU_LEVEL(attention_join)(float *M, float *L, float *O, float m, float l, const float *o, int dv)
{
    float m_new = m > *M ? m : *M;
    float keep = mu_expf(*M - m_new), take = mu_expf(m - m_new);
    for (int64_t d = 0; d < dv; d += MU_LANES) {
        v16 part = v16_mul(v16_load_row(o, d, dv), v16_set(take));
        v16_store_row(O, d, dv, v16_fma(v16_load_row(O, d, dv), v16_set(keep), part));
    }
    *L = fmaf(*L, keep, l * take);
    *M = m_new;
}

#endif
