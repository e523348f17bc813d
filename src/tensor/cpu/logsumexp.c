/* logsumexp.c - log-sum-exp and arg-max of rows of logits, vocabulary tiles folded in order in f64
 *
 * Tiles (max, sum of exponentials in f32) are the kernels'; the fold is here, once for all levels, with libm's f64
 * exp and log. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

struct job {
    const struct mu_cpu_kernels *k;
    const float *logits;
    int64_t ld, V;
    int32_t *argmax;
    double *lse;
    atomic_int_fast64_t bad_row; /* the smallest row that is not a distribution, or INT64_MAX */
};

static void report(struct job *j, int64_t row)
{
    int_fast64_t seen = atomic_load(&j->bad_row);
    while (row < seen && !atomic_compare_exchange_weak(&j->bad_row, &seen, row))
        ;
}

/* False when the row holds NaN or +inf. A row of -inf alone gives -inf. */
static bool reduce(const struct job *j, int64_t row)
{
    double M = -INFINITY, L = 0;
    float best = -INFINITY;
    j->argmax[row] = 0;
    for (int64_t v = 0; v < j->V; v += MU_VOCAB_TILE) {
        int64_t n = MU_MIN(MU_VOCAB_TILE, j->V - v);
        struct mu_lse_tile t = j->k->logsumexp(j->logits + row * j->ld + v, n);
        if (t.is_bad)
            return false;
        if (t.max > best) {
            best = t.max;
            j->argmax[row] = (int32_t)(v + t.first);
        }
        if (t.max == -INFINITY)
            continue;
        double m = (double)t.max, M_new = m > M ? m : M;
        L = L * exp(M - M_new) + (double)t.sum * exp(m - M_new);
        M = M_new;
    }
    j->lse[row] = M == -INFINITY ? M : M + log(L);
    return true;
}

static void run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        if (!reduce(j, r))
            report(j, r);
    }
}

int mu_cpu_logsumexp(struct mu_device *d, const float *logits, int64_t ld, int64_t n, int64_t V, int32_t *argmax,
                     double *lse, struct mu_err *e)
{
    struct job j = {.k = mu_cpu_kernels_of(d), .logits = logits, .ld = ld, .V = V, .argmax = argmax, .lse = lse};
    atomic_init(&j.bad_row, INT64_MAX);
    mu_pool_for(d->pool, n, 1, run, &j);
    int64_t bad = atomic_load(&j.bad_row);
    if (bad != INT64_MAX)
        return mu_fail(e, MU_ENUMERIC, "the logits of row %" PRId64 " of %" PRId64 " hold NaN or infinity", bad, n);
    return MU_OK;
}
