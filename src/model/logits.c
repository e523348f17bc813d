/* logits.c - final norm and head over chosen rows
 *
 * Tensor ranks have a run of the vocabulary each. The first of them gathers all runs, a few rows at a time: pieces come
 * side by side by rank and are put into the rows they belong to. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "model/model_int.h"

/* Columns of each tensor rank in bytes of one row. */
static void piece_bytes(const struct mu_model *m, size_t *bytes)
{
    struct mu_shard sh = m->shard;
    for (sh.tp_rank = 0; sh.tp_rank < sh.tp_size; sh.tp_rank++)
        bytes[sh.tp_rank] = (size_t)mu_shard_vocab(&sh, m->spec.vocab).n * sizeof(float);
}

/* n rows from row `at`: [rank][n][columns] to [n][vocab]. */
static void put_in_rows(struct mu_model *m, int at, int n)
{
    const char *from = (const char *)m->part_logits;
    size_t row = (size_t)m->spec.vocab * sizeof(float), column = 0;
    char *to = (char *)m->logits + (size_t)at * row;

    for (int r = 0; r < m->shard.tp_size; r++) {
        size_t bytes = m->row_bytes[r];
        for (int i = 0; i < n; i++, from += bytes)
            memcpy(to + (size_t)i * row + column, from, bytes);
        column += bytes;
    }
}

static int gather(struct mu_model *m, int n, struct mu_err *e)
{
    bool is_first = m->shard.tp_rank == 0;

    piece_bytes(m, m->row_bytes);
    size_t own = m->row_bytes[m->shard.tp_rank];
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    for (int at = 0, k; at < n; at += k) {
        k = MU_MIN(MU_LOGITS_GATHER_ROWS, n - at);
        for (int r = 0; r < m->shard.tp_size; r++)
            m->vocab_bytes[r] = m->row_bytes[r] * (size_t)k;
        MU_TRY_RETURN(mu_comm_gather(m->shard.tp, is_first ? m->part_logits : NULL,
                                     (const char *)m->own_logits + (size_t)at * own, m->vocab_bytes, 0, e));
        if (is_first)
            put_in_rows(m, at, k);
    }
    return MU_OK;
}

static int check_rows(const struct mu_model *m, const int32_t *idx, int n, struct mu_err *e)
{
    if (!m->shard.has_head)
        return mu_fail(e, MU_EINTERNAL, "logits of a stage without the head");
    if (n < 1 || n > m->opts.logit_rows_max)
        return mu_fail(e, MU_EINVAL, "logits of %d rows; the model was opened for 1 to %d", n, m->opts.logit_rows_max);
    for (int i = 0; i < n; i++)
        if (idx[i] < 0 || idx[i] >= m->rows)
            return mu_fail(e, MU_EINVAL, "logits of row %d; the last step had %d rows", idx[i], m->rows);
    return MU_OK;
}

void mu_model_read_all(struct mu_model *m, int n)
{
    m->at = 0;
    m->rows = n;
}

int mu_model_logits(struct mu_model *m, const int32_t *idx, int n, const float **logits, struct mu_err *e)
{
    struct mu_layer *out = mu_model_outside(m);
    const struct mu_matrix *head = &out->matrix[m->spec.is_tied ? MU_SLOT_EMBED : MU_SLOT_HEAD];
    int64_t D = m->spec.hidden;

    MU_TRY_RETURN(check_rows(m, idx, n, e));
    MU_TRY_RETURN(m->d->ops->gather(m->d, m->b.scored, D, m->b.x + m->at * D, D, idx, n, D, e));
    MU_TRY_RETURN(mu_norm(m, out, MU_SLOT_NORM_FINAL, m->b.scored, m->b.scored, n, e));
    MU_TRY_RETURN(mu_linear(m, head, m->own_logits, m->b.scored, n, e));
    if (m->shard.tp_size > 1)
        MU_TRY_RETURN(gather(m, n, e));
    *logits = m->shard.tp_rank == 0 ? m->logits : NULL;
    return MU_OK;
}
