/* kv_store.c - a step's keys and values into their pages; rounding only, so every level shares it
 *
 * Layout in ops.h and kv_type.h: keys stand side by side in a page (stride MU_KV_PAGE), values one after the other. */
#include <float.h>
#include <math.h>

#include "base/check.h"
#include "base/pool.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_kv_layer *kv;
    const struct mu_rows *rows;
    const float *k, *v;
    int64_t ldk, ldv;
};

/* dst[i * stride] = src[i], i < n, as elements of type t. */
static void put_floats(void *dst, enum mu_dtype t, int64_t stride, const float *src, int n)
{
    float *f = dst;
    uint16_t *h = dst;
    for (int i = 0; i < n; i++) {
        if (t == MU_F32)
            f[i * stride] = src[i];
        else
            h[i * stride] = t == MU_BF16 ? mu_f32_to_bf16(src[i]) : mu_f32_to_f16(src[i]);
    }
}

/* The scale of a group; NaN when it is not finite. */
static uint16_t scale_of(const float *src, int n)
{
    float max = 0;
    bool is_finite = true;
    for (int i = 0; i < n; i++) {
        float x = fabsf(src[i]);
        max = x > max ? x : max;
        is_finite &= x <= FLT_MAX;
    }
    return mu_f32_to_bf16(is_finite ? max / 127.0f : NAN);
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even: a value of that size has no fraction.
 */
static int8_t quantise(float x, float scale)
{
    const float whole = 0x1.8p23f;
    float r = MU_MAX(-127.0f, MU_MIN(x / scale, 127.0f));
    return (int8_t)(r + whole - whole);
}

static void put_int8(int8_t *q, int64_t stride, uint16_t *scales, int64_t scale_stride, const float *src, int n)
{
    for (int at = 0; at < n; at += MU_KV_GROUP, scales += scale_stride) {
        int end = MU_MIN(at + MU_KV_GROUP, n);
        *scales = scale_of(src + at, end - at);
        float scale = mu_bf16_to_f32(*scales);
        for (int i = at; i < end; i++)
            q[i * stride] = scale > 0 ? quantise(src[i], scale) : 0;
    }
}

/* Key `at` of a page into one head's part of it. */
static void put_key(char *head, enum mu_dtype t, int64_t at, const float *src, int dk)
{
    if (t == MU_I8)
        put_int8((int8_t *)head + at, MU_KV_PAGE, (uint16_t *)(void *)(head + (int64_t)dk * MU_KV_PAGE) + at,
                 MU_KV_PAGE, src, dk);
    else
        put_floats(head + at * (int64_t)mu_dtype_block_bytes(t), t, MU_KV_PAGE, src, dk);
}

static void put_value(char *head, enum mu_dtype t, int64_t at, const float *src, int dv)
{
    if (t == MU_I8)
        put_int8((int8_t *)head + at * dv, 1,
                 (uint16_t *)(void *)(head + (int64_t)dv * MU_KV_PAGE) + at * mu_kv_groups(dv), 1, src, dv);
    else
        put_floats(head + at * dv * (int64_t)mu_dtype_block_bytes(t), t, 1, src, dv);
}

static void store_row(const struct job *j, int64_t r)
{
    const struct mu_kv_layer *kv = j->kv;
    const struct mu_rows *rows = j->rows;
    size_t k_head = mu_kv_head_bytes(kv->dtype, kv->dk), v_head = mu_kv_head_bytes(kv->dtype, kv->dv);
    int64_t at = rows->pos[r] % MU_KV_PAGE;
    int32_t page = rows->page_table[(int64_t)rows->seq[r] * rows->pages_max + rows->pos[r] / MU_KV_PAGE];
    page /= MU_MAX(kv->owners, 1);
    char *k = (char *)kv->k + (size_t)page * kv->page_stride;
    char *v = kv->is_v_in_k ? NULL : (char *)kv->v + (size_t)page * kv->page_stride;

    for (int h = 0; h < kv->n_kv_heads; h++) {
        put_key(k + (size_t)h * k_head, kv->dtype, at, j->k + r * j->ldk + (int64_t)h * kv->dk, kv->dk);
        if (v)
            put_value(v + (size_t)h * v_head, kv->dtype, at, j->v + r * j->ldv + (int64_t)h * kv->dv, kv->dv);
    }
}

static bool is_here(const struct mu_kv_layer *kv, int32_t pos)
{
    int strand = mu_attn_strand(pos);
    return kv->owners == 0 || (strand >= kv->strand_begin && strand < kv->strand_end);
}

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        if (is_here(j->kv, j->rows->pos[r]))
            store_row(j, r);
    }
}

int mu_cpu_kv_store(struct mu_device *d, const struct mu_kv_layer *kv, const struct mu_rows *rows, const float *k,
                    int64_t ldk, const float *v, int64_t ldv, struct mu_err *e)
{
    struct job j = {kv, rows, k, v, ldk, ldv};
    (void)e;
    mu_pool_for(d->pool, rows->n, mu_row_grain((int64_t)kv->n_kv_heads * (kv->dk + kv->dv)), run, &j);
    return MU_OK;
}
