/* attention_merge.c - finishes attention whose strands several ranks have computed
 *
 * The roots of all runs are the nodes of one tree over the strands; what is above them is joined here. */
#include "base/pool.h"
#include "tensor/cpu/attention_state.h"
#include "tensor/cpu/ops_cpu.h"

struct merge {
    const struct mu_cpu_kernels *k;
    float *out, *states;
    int64_t ldo, n;
    const int32_t *cuts;
    int size, n_heads, dv;
};

/* One row's and head's roots, by the strand where each begins. */
struct roots {
    float *state[MU_ATTN_STRANDS];
    int end[MU_ATTN_STRANDS];
};

static void find_roots(const struct merge *m, int64_t row, int64_t head, struct roots *to)
{
    int64_t state = MU_ATTN_STATE(m->dv);
    float *run = m->states;
    for (int r = 0; r < m->size; r++) {
        int64_t n = mu_attn_roots(m->cuts[r], m->cuts[r + 1]);
        float *at = run + (head * m->n + row) * n * state;
        for (int lo = m->cuts[r]; lo < m->cuts[r + 1]; lo = to->end[lo], at += state) {
            to->state[lo] = at;
            to->end[lo] = mu_attn_root_end(lo, m->cuts[r + 1]);
        }
        run += m->n_heads * m->n * n * state;
    }
}

static float *join_roots(const struct merge *m, const struct roots *roots, int lo, int hi)
{
    int mid = (lo + hi) / 2;
    if (roots->end[lo] == hi)
        return roots->state[lo];
    float *left = join_roots(m, roots, lo, mid);
    mu_attention_join(m->k, left, join_roots(m, roots, mid, hi), 2, m->dv);
    return left;
}

static void merge_rows(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct merge *m = arg;
    (void)worker;
    for (int64_t u = begin; u < end; u++) {
        int64_t row = u / m->n_heads, head = u % m->n_heads;
        struct roots roots;
        find_roots(m, row, head, &roots);
        const float *state = join_roots(m, &roots, 0, MU_ATTN_STRANDS);
        float *out = m->out + row * m->ldo + head * m->dv;
        for (int d = 0; d < m->dv; d++)
            out[d] = state[2 + d] / state[1];
    }
}

int mu_cpu_attention_merge(struct mu_device *d, float *out, int64_t ldo, float *states, const int32_t *cuts, int size,
                           int64_t n, int n_heads, int dv, struct mu_err *e)
{
    struct merge m = {.k = mu_cpu_kernels_of(d),
                      .out = out,
                      .states = states,
                      .ldo = ldo,
                      .n = n,
                      .cuts = cuts,
                      .size = size,
                      .n_heads = n_heads,
                      .dv = dv};
    (void)e;
    mu_pool_for(d->pool, n * n_heads, mu_row_grain(dv), merge_rows, &m);
    return MU_OK;
}
