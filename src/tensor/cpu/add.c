/* add.c - elementwise sum over threads */
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    float *y;
    const float *a, *b;
    int64_t ldy, lda, ldb, D;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++)
        j->k->add(j->y + r * j->ldy, j->a + r * j->lda, j->b + r * j->ldb, j->D);
}

int mu_cpu_add(struct mu_device *d, float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb,
               int64_t n, int64_t D, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), y, a, b, ldy, lda, ldb, D};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}
