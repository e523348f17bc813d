/* gather.c - rows by index: moved, not computed, so every level shares it */
#include <string.h>

#include "base/pool.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    float *y;
    const float *x;
    const int32_t *idx;
    int64_t ldy, ldx, D;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        memcpy(j->y + i * j->ldy, j->x + j->idx[i] * j->ldx, (size_t)j->D * sizeof(float));
}

int mu_cpu_gather(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, const int32_t *idx,
                  int64_t n, int64_t D, struct mu_err *e)
{
    struct job j = {y, x, idx, ldy, ldx, D};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}
