/* rmsnorm.c - RMS norm over threads */
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    float *y;
    const float *x, *w;
    int64_t ldy, ldx, D;
    float w_offset, eps;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++)
        j->k->rmsnorm(j->y + r * j->ldy, j->x + r * j->ldx, j->w, j->w_offset, j->eps, j->D);
}

int mu_cpu_rmsnorm(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const float *w,
                   float w_offset, float eps, int64_t n, int64_t D, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), y, x, w, ldy, ldx, D, w_offset, eps};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}
