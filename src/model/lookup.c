/* lookup.c - rows of the embedding, whose vocabulary the tensor ranks share
 *
 * Each rank looks up the tokens of its run and leaves zeros for the others; as one rank alone has a row, putting the
 * bits together gives the row itself. */
#include "base/check.h"
#include "model/model_int.h"

/* Own tokens side by side, and for every row where its embedding lies among them; others point behind, at zeros. */
static int list_own(struct mu_model *m, const int32_t *ids, int n)
{
    struct mu_run own = mu_shard_vocab(&m->shard, m->spec.vocab);
    int32_t k = 0;

    for (int i = 0; i < n; i++) {
        bool is_own = ids[i] >= own.begin && ids[i] < own.begin + own.n;
        m->look_rows[i] = is_own ? k : -1;
        if (is_own)
            m->look_ids[k++] = (int32_t)(ids[i] - own.begin);
    }
    for (int i = 0; i < n; i++)
        if (m->look_rows[i] < 0)
            m->look_rows[i] = k; /* k < n then: there is room for one more row */
    return k;
}

static int look_up_own(struct mu_model *m, const int32_t *ids, int n, struct mu_err *e)
{
    const struct mu_device_ops *dev = m->d->dev;
    const struct mu_ops *ops = m->d->ops;
    struct mu_buffers *b = &m->b;
    int64_t D = m->spec.hidden;
    int own = list_own(m, ids, n);

    MU_TRY_RETURN(dev->upload(m->d, b->look_ids, m->look_ids, (size_t)own * sizeof(int32_t), e));
    MU_TRY_RETURN(dev->upload(m->d, b->look_rows, m->look_rows, (size_t)n * sizeof(int32_t), e));
    if (own > 0)
        MU_TRY_RETURN(
            ops->embed(m->d, b->attn_out, D, &mu_model_outside(m)->matrix[MU_SLOT_EMBED], b->look_ids, own, e));
    if (own < n)
        MU_TRY_RETURN(ops->gather(m->d, b->attn_out + own * D, D, b->zero_row, 0, b->zeros, 1, D, e));
    MU_TRY_RETURN(ops->gather(m->d, m->step_x, D, b->attn_out, D, b->look_rows, n, D, e));
    return dev->synchronize(m->d, e);
}

int mu_lookup(struct mu_model *m, const int32_t *ids, int n, struct mu_err *e)
{
    int64_t D = m->spec.hidden;

    if (m->shard.tp_size == 1)
        return m->d->ops->embed(m->d, m->step_x, D, &mu_model_outside(m)->matrix[MU_SLOT_EMBED], ids, n, e);
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(look_up_own(m, ids, n, e));
    return mu_comm_all_reduce(m->shard.tp, m->step_x, n * D, MU_REDUCE_OR_U32, e);
}
