/* embed.c - rows of a packed table as f32; exact, so every level shares it */
#include "base/pool.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    float *y;
    int64_t ldy;
    const struct mu_matrix *table;
    const int32_t *ids;
};

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        mu_matrix_row(j->table, j->ids[i], j->y + i * j->ldy);
}

int mu_cpu_embed(struct mu_device *d, float *y, int64_t ldy, const struct mu_matrix *table, const int32_t *ids,
                 int64_t n, struct mu_err *e)
{
    struct job j = {y, ldy, table, ids};
    (void)e;
    mu_pool_for(d->pool, n, mu_row_grain(table->n_in), run, &j);
    return MU_OK;
}
