/* act.c - activation functions over threads, alone and gating another row */
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    float *y;
    const float *x, *up; /* up is NULL for the plain form */
    int64_t ldy, ldx, ldu, D;
    enum mu_act act;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        if (j->up)
            j->k->act_mul(j->y + r * j->ldy, j->x + r * j->ldx, j->up + r * j->ldu, j->act, j->D);
        else
            j->k->act(j->y + r * j->ldy, j->x + r * j->ldx, j->act, j->D);
    }
}

int mu_cpu_act(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, enum mu_act act, int64_t n,
               int64_t D, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), y, x, NULL, ldy, ldx, 0, D, act};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}

int mu_cpu_act_mul(struct mu_device *d, float *y, int64_t ldy, const float *gate, int64_t ldg, const float *up,
                   int64_t ldu, enum mu_act act, int64_t n, int64_t D, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), y, gate, up, ldy, ldg, ldu, D, act};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(D), run, &j);
    return MU_OK;
}
