/* halves.c - the layers of a long step in two halves of its rows: while one half's sum is on its way the other computes
 *
 *   first half:   attention, its roots leave ............ sum, MLP, its roots leave ............ sum, next layer
 *   second half:                    attention, leave ............ sum ......... MLP, leave
 *
 * A rank that the machine holds up for a moment makes its peers wait in the next sum, and ranks are held up in turn. So
 * they may be as far apart as a half takes to compute before anybody waits.
 *
 * The first half's rows never read what the second's write: rows of a sequence are neighbours in increasing position.
 * Nor do the bits change: no op's result for a row depends on the other rows of a step. */
#include "base/check.h"
#include "model/model_int.h"

#define HALF_ROWS_MIN 64 /* with fewer a product would read its weights for too little work */

struct half {
    struct mu_rows rows;
    float *x, *roots;               /* of step_x, of b.partial */
    const int32_t *rope_pos;        /* of step_rope_pos */
    const struct mu_split *leaving; /* whose sum is on its way, or NULL */
    struct mu_tree_sum sum;
};

bool mu_halves_pay(const struct mu_model *m, int n)
{
    return n >= 2 * HALF_ROWS_MIN && mu_shard_in_halves(&m->shard, &m->spec);
}

static void take_half(const struct mu_model *m, const struct mu_rows *rows, int begin, int end, struct half *h)
{
    int64_t D = m->spec.hidden, at = (int64_t)begin * D;
    *h = (struct half){.rows = *rows, .x = m->step_x + at};
    h->rows.n = end - begin;
    h->rows.pos += begin;
    h->rows.seq += begin;
    h->rope_pos = m->step_rope_pos + begin;
}

/* x += the sum that is on its way. */
static int settle(struct mu_model *m, struct half *h, struct mu_err *e)
{
    const struct mu_split *s = h->leaving;
    if (!s)
        return MU_OK;
    h->leaving = NULL;
    MU_TRY_RETURN(mu_tree_finish(&h->sum, m->b.attn_out, e));
    MU_TRY_RETURN(mu_split_bias(m, s, m->b.attn_out, h->rows.n, e));
    return mu_add_to(m, h->x, m->b.attn_out, h->rows.n, e);
}

static int leave(struct mu_model *m, struct half *h, const struct mu_inner *in, struct mu_err *e)
{
    const struct mu_split *s = in->sum;
    int64_t n = h->rows.n, size = n * m->spec.hidden;
    float *own = h->roots + s->tree.first[m->shard.tp_rank] * size;
    MU_TRY_RETURN(mu_split_roots(m, s, own, in->x, in->ld, n, e));
    MU_TRY_RETURN(mu_tree_start(&h->sum, m->shard.tp, &s->tree, h->roots, size, e));
    h->leaving = s;
    return MU_OK;
}

static int attention(struct mu_model *m, int i, struct half *h, struct mu_err *e)
{
    struct mu_inner in;
    MU_TRY_RETURN(settle(m, h, e));
    MU_TRY_RETURN(mu_norm(m, &m->layers[i], MU_SLOT_NORM_ATTN, m->b.normed, h->x, h->rows.n, e));
    m->step_rope_pos = h->rope_pos;
    MU_TRY_RETURN(mu_attention_inner(m, i, m->b.normed, &h->rows, &in, e));
    return leave(m, h, &in, e);
}

static int mlp(struct mu_model *m, int i, struct half *h, struct mu_err *e)
{
    struct mu_inner in;
    MU_TRY_RETURN(settle(m, h, e));
    MU_TRY_RETURN(mu_norm(m, &m->layers[i], MU_SLOT_NORM_MLP, m->b.normed, h->x, h->rows.n, e));
    MU_TRY_RETURN(mu_mlp_inner(m, i, m->b.normed, h->rows.n, &in, e));
    return leave(m, h, &in, e);
}

static int run_layer(struct mu_model *m, int i, struct half half[2], struct mu_err *e)
{
    MU_TRY_RETURN(attention(m, i, &half[0], e));
    MU_TRY_RETURN(attention(m, i, &half[1], e));
    MU_TRY_RETURN(mlp(m, i, &half[0], e));
    return mlp(m, i, &half[1], e);
}

int mu_run_halves(struct mu_model *m, const struct mu_rows *rows, struct mu_err *e)
{
    struct half half[2];
    const int32_t *rope_pos = m->step_rope_pos;
    int middle = rows->n / 2, rc = MU_OK;

    take_half(m, rows, 0, middle, &half[0]);
    take_half(m, rows, middle, rows->n, &half[1]);
    half[0].roots = m->b.partial;
    half[1].roots = m->b.partial + m->b.n_roots * middle * m->spec.hidden;
    for (int i = m->shard.layer_begin; i < m->shard.layer_end && rc == MU_OK; i++) {
        rc = run_layer(m, i, half, e);
        if (rc != MU_OK)
            mu_err_while(e, rc, "running layer %d", i);
    }
    for (int h = 0; h < 2; h++) {
        if (rc == MU_OK)
            rc = settle(m, &half[h], e);
        mu_tree_drop(&half[h].sum);
    }
    m->step_rope_pos = rope_pos;
    return rc;
}
