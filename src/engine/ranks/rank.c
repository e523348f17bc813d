/* rank.c - see rank.h */
#include "engine/ranks/rank.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"

int mu_rank_fatal(struct mu_rank *k, int rc, const struct mu_err *e)
{
    mu_comm_abort(k->replica, e->text);
    return rc;
}

int mu_rank_load(struct mu_rank *k, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                 struct mu_err *e)
{
    int rc = k->local->ops->load(k->local, l, progress, arg, e);
    if (rc != MU_OK)
        return mu_rank_fatal(k, rc, e);
    if (k->n_stages > 1)
        k->hidden = k->local->ops->hidden(k->local, &k->row_bytes);
    return MU_OK;
}

void mu_rank_close(struct mu_rank *k)
{
    for (int i = 0; i < k->n_sends; i++)
        mu_comm_wait(k->sends[i], NULL);
    k->local->ops->close(k->local);
}

struct mu_rank_figures mu_rank_own_figures(void)
{
    return (struct mu_rank_figures){.bytes_peak = mu_process_peak_bytes()};
}

int mu_rank_micro(const struct mu_rank *k, int n)
{
    return mu_layout_micro(k->n_stages, n);
}

/* ---- a step ---- */

static int wait_for(struct mu_comm_op **ops, int n, struct mu_err *e)
{
    int rc = MU_OK;
    for (int i = 0; i < n; i++) {
        int one = mu_comm_wait(ops[i], rc == MU_OK ? e : NULL); /* each once, also after a failure */
        rc = rc == MU_OK ? one : rc;
    }
    return rc;
}

static int finish_sends(struct mu_rank *k, struct mu_err *e)
{
    int n = k->n_sends;
    k->n_sends = 0;
    return wait_for(k->sends, n, e);
}

/* Rows [begin, end) of micro-batch i. */
struct cut {
    int begin, end;
};

static struct cut cut_of(int n, int n_micro, int i)
{
    return (struct cut){(int)((int64_t)n * i / n_micro), (int)((int64_t)n * (i + 1) / n_micro)};
}

/* All receives are started first: rows come in while earlier ones are computed. */
static int start_receives(struct mu_rank *k, int n, int n_micro, struct mu_comm_op **ops, struct mu_err *e)
{
    int from = k->stage > 0 ? mu_rank_of(k, k->stage - 1, k->lane, k->t) : -1;
    for (int i = 0; i < n_micro; i++) {
        struct cut c = cut_of(n, n_micro, i);
        ops[i] = NULL;
        if (from >= 0 && c.end > c.begin)
            MU_TRY_RETURN(mu_comm_start_recv(&ops[i], k->replica, from, MU_TAG_HIDDEN,
                                             k->hidden + (size_t)c.begin * k->row_bytes,
                                             (size_t)(c.end - c.begin) * k->row_bytes, e));
    }
    return MU_OK;
}

static int send_on(struct mu_rank *k, struct cut c, struct mu_err *e)
{
    if (k->stage == k->n_stages - 1 || c.end == c.begin)
        return MU_OK;
    return mu_comm_start_send(&k->sends[k->n_sends++], k->replica, mu_rank_of(k, k->stage + 1, k->lane, k->t),
                              MU_TAG_HIDDEN, k->hidden + (size_t)c.begin * k->row_bytes,
                              (size_t)(c.end - c.begin) * k->row_bytes, e);
}

/* One micro-batch; *worst keeps MU_ENUMERIC, with which the step goes on, or later stages would wait for rows. */
static int run_micro(struct mu_rank *k, const int32_t *ids, const struct mu_rows *rows, struct cut c,
                     struct mu_comm_op *recv, int *worst, struct mu_err *e)
{
    struct mu_rows part = *rows;
    part.n = c.end - c.begin;
    part.pos += c.begin;
    part.seq += c.begin;
    MU_TRY_RETURN(mu_comm_wait(recv, e));
    int rc = k->local->ops->step(k->local, ids + c.begin, &part, c.begin, e);
    if (rc != MU_OK && rc != MU_ENUMERIC)
        return rc;
    *worst = MU_MAX(*worst, rc);
    return send_on(k, c, e);
}

/* One failure by numbers is everybody's: the requests of the step are the driver's to judge. */
static int agree(struct mu_rank *k, int rc, struct mu_err *e)
{
    int64_t code = rc;
    if (!k->agrees)
        return rc;
    MU_TRY_RETURN(mu_comm_all_reduce(k->replica, &code, 1, MU_REDUCE_MAX_I64, e));
    if (code != MU_OK && rc == MU_OK)
        return mu_fail(e, (int)code, "another rank's numbers overflow in this step");
    return (int)code;
}

int mu_rank_step(struct mu_rank *k, const int32_t *ids, const struct mu_rows *rows, int n_micro, struct mu_err *e)
{
    struct mu_comm_op *recv[MU_MICRO_MAX] = {NULL};
    int rc, worst = MU_OK, i = 0;

    MU_TRY(finish_sends(k, e));
    MU_TRY(start_receives(k, rows->n, n_micro, recv, e));
    while (i < n_micro) {
        struct mu_comm_op *op = recv[i];
        recv[i] = NULL; /* waited for inside */
        MU_TRY(run_micro(k, ids, rows, cut_of(rows->n, n_micro, i++), op, &worst, e));
    }
    return agree(k, worst, e);
out:
    mu_rank_fatal(k, rc, e);
    wait_for(recv, n_micro, NULL);
    return rc;
}

/* ---- logits ---- */

int mu_rank_send_logits(struct mu_rank *k, const int32_t *idx, int n, int32_t *argmax, double *lse, struct mu_err *e)
{
    const float *logits;
    int rc;
    MU_TRY(k->local->ops->logits(k->local, idx, n, &logits, argmax, lse, e));
    if (k->t > 0)
        return MU_OK;
    for (int i = 0; i < n; i++) {
        struct mu_row_summary s = {.lse = lse[i], .argmax = argmax[i]};
        MU_TRY(mu_comm_send(k->replica, 0, MU_TAG_LOGITS, &s, sizeof s, e));
        MU_TRY(mu_comm_send(k->replica, 0, MU_TAG_LOGITS, logits + (int64_t)i * k->local->vocab,
                            (size_t)k->local->vocab * sizeof *logits, e));
    }
    return MU_OK;
out:
    return mu_rank_fatal(k, rc, e);
}

/* Ranks of one lane count the same rows: the first of them tells. */
int mu_rank_gather_experts(struct mu_rank *k, struct mu_runner_experts *out, struct mu_err *e)
{
    MU_TRY_RETURN(k->local->ops->experts(k->local, out, e));
    size_t bytes = (size_t)out->n * sizeof *out->rows;
    if (k->t > 0)
        memset(out->rows, 0, bytes);
    MU_TRY_RETURN(mu_comm_all_reduce(k->replica, out->rows, out->n, MU_REDUCE_SUM_I64, e));
    if (!mu_rank_is_driver(k))
        memset(out->rows, 0, bytes);
    return MU_OK;
}

/* ---- messages ---- */

/* A world that died of a deadline answers at once, a wait that ended takes its time. */
int mu_rank_await(struct mu_comm *c, int from, int tag, int64_t wait_ns, bool *is_there, int *sender, size_t *bytes,
                  struct mu_err *e)
{
    const struct mu_clock *clock = mu_clock_real();
    struct mu_err why = MU_ERR_INIT;
    int64_t begin_ns = mu_now_ns(clock);
    int who, rc = mu_comm_probe(c, from, tag, wait_ns, sender ? sender : &who, bytes, &why);
    *is_there = rc == MU_OK;
    if (rc == MU_ETIMEDOUT && mu_now_ns(clock) - begin_ns >= wait_ns / 2)
        return MU_OK;
    if (rc != MU_OK && e)
        *e = why;
    return rc == MU_ETIMEDOUT ? mu_fail(e, MU_EPEER, "%s", why.text) : rc;
}
