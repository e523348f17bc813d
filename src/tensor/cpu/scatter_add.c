/* scatter_add.c - weighted rows added to rows by index; indices are distinct, so threads never meet */
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    float *y;
    const float *x, *w;
    const int32_t *idx;
    int64_t ldy, ldx, D;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        j->k->axpy(j->y + j->idx[i] * j->ldy, j->w[i], j->x + i * j->ldx, j->D);
}

int mu_cpu_scatter_add(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                       const float *w, int64_t n, int64_t D, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), y, x, w, idx, ldy, ldx, D};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}
