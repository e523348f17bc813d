/* split.c - sums over inputs that the tensor ranks share
 *
 * A rank holds a run of a sum's tiles as one matrix a root (comm/tree.h). Its products are the roots' sums, which the
 * ranks exchange; each finishes the one tree that a single rank would have computed, then adds the bias. */
#include "base/check.h"
#include "model/model_int.h"

/* The roots' sums, side by side in b.partial. */
static int run_roots(struct mu_model *m, const struct mu_split *s, const float *x, int64_t ldx, int64_t n,
                     struct mu_err *e)
{
    int64_t D = m->spec.hidden;
    for (int i = 0; i < s->n_roots; i++) {
        const struct mu_matrix *w = &s->root[i];
        MU_TRY_RETURN(m->d->ops->linear(m->d, m->b.partial + i * n * D, D, x, ldx, n, w, e));
        x += w->n_in;
    }
    return m->d->dev->synchronize(m->d, e);
}

int mu_split_linear(struct mu_model *m, const struct mu_split *s, float *y, const float *x, int64_t ldx, int64_t n,
                    struct mu_err *e)
{
    int64_t D = m->spec.hidden;

    if (m->shard.tp_size == 1)
        return m->d->ops->linear(m->d, y, D, x, ldx, n, s->root, e);
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(run_roots(m, s, x, ldx, n, e));
    MU_TRY_RETURN(mu_tree_all_reduce(m->shard.tp, &s->tree, y, m->b.partial, n * D, e));
    return s->bias ? m->d->ops->add(m->d, y, D, y, D, s->bias, 0, n, D, e) : MU_OK;
}
