/* rope.c - rotary positions over threads: row r takes row pos[r] of the table */
#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    float *x;
    int64_t ldx, head_stride;
    int n_heads, rot;
    enum mu_rope_style style;
    const float *table;
    const int32_t *pos;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++)
        for (int h = 0; h < j->n_heads; h++)
            j->k->rope(j->x + r * j->ldx + h * j->head_stride, j->rot, j->style,
                       j->table + (int64_t)j->pos[r] * j->rot);
}

int mu_cpu_rope(struct mu_device *d, float *x, int64_t ldx, int64_t head_stride, int n_heads, int rot,
                enum mu_rope_style style, const float *table, const int32_t *pos, int64_t n, struct mu_err *e)
{
    struct job j = {mu_cpu_kernels_of(d), x, ldx, head_stride, n_heads, rot, style, table, pos};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain((int64_t)n_heads * rot), run, &j);
    return MU_OK;
}
