/* kv_store.c - a step's keys and values into their pages; rounding only, so every level shares it
 *
 * Layout in ops.h: keys stand side by side in a page (stride MU_KV_PAGE), values one after the other. */
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
static void put(void *dst, enum mu_dtype t, int64_t stride, const float *src, int n)
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

static void store_row(const struct job *j, int64_t r)
{
    const struct mu_kv_layer *kv = j->kv;
    const struct mu_rows *rows = j->rows;
    int64_t elem = kv->dtype == MU_F32 ? 4 : 2;
    int64_t at = rows->pos[r] % MU_KV_PAGE;
    int32_t page = rows->page_table[(int64_t)rows->seq[r] * rows->pages_max + rows->pos[r] / MU_KV_PAGE];
    page /= MU_MAX(kv->owners, 1);
    char *k = (char *)kv->k + (size_t)page * kv->page_stride;
    char *v = kv->is_v_in_k ? NULL : (char *)kv->v + (size_t)page * kv->page_stride;

    for (int h = 0; h < kv->n_kv_heads; h++) {
        put(k + ((int64_t)h * kv->dk * MU_KV_PAGE + at) * elem, kv->dtype, MU_KV_PAGE, j->k + r * j->ldk + h * kv->dk,
            kv->dk);
        if (v)
            put(v + ((int64_t)h * MU_KV_PAGE + at) * kv->dv * elem, kv->dtype, 1, j->v + r * j->ldv + h * kv->dv,
                kv->dv);
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
