/* runner_ranks.c - the driver's side: steps become messages */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/ranks/runner_ranks_int.h"

static bool needs_logits(const struct mu_rank *k)
{
    return k->n_stages > 1 || k->n_lanes > 1;
}

/* ---- tables ---- */

static struct mu_step_limits limits_of(const struct mu_rank *k, const struct mu_bill_limits *l)
{
    return (struct mu_step_limits){.rows_max = l->rows,
                                   .logit_rows_max = l->logit_rows,
                                   .seqs_max = (l->sequences + k->n_lanes - 1) / k->n_lanes,
                                   .pages_max = (int)((l->context + MU_KV_PAGE - 1) / MU_KV_PAGE),
                                   .pages_n = l->pages,
                                   .context_max = l->context};
}

static void carve_driver(struct mu_ranks_runner *r, struct mu_carve *c)
{
    const struct mu_rank *k = &r->rank;
    const struct mu_step_limits *l = &r->limits;
    r->lanes = mu_carve(c, k->n_lanes, sizeof *r->lanes);
    for (int lane = 0; lane < k->n_lanes; lane++) {
        struct mu_lane_mail count;
        struct mu_lane_mail *m = c->base ? &r->lanes[lane] : &count;
        m->message = mu_carve(c, (int64_t)mu_step_bytes_max(l), 1);
        m->ops = mu_carve(c, (int64_t)k->n_stages * k->tp, sizeof(struct mu_comm_op *));
        m->sent = mu_carve(c, (int64_t)l->seqs_max * l->pages_max, sizeof *m->sent);
    }
    r->lane_begin = mu_carve(c, k->n_lanes + 1, sizeof *r->lane_begin);
    r->lane_idx = mu_carve(c, l->logit_rows_max, sizeof *r->lane_idx);
    r->logits = needs_logits(k) ? mu_carve(c, l->logit_rows_max * r->base.vocab, sizeof *r->logits) : NULL;
}

static void carve_follower(struct mu_ranks_runner *r, struct mu_carve *c)
{
    const struct mu_step_limits *l = &r->limits;
    r->message = mu_carve(c, (int64_t)mu_step_bytes_max(l), 1);
    r->table = mu_carve(c, (int64_t)l->seqs_max * l->pages_max, sizeof *r->table);
    r->own_lengths = mu_carve(c, l->seqs_max, sizeof *r->own_lengths);
    r->argmax = mu_carve(c, l->logit_rows_max, sizeof *r->argmax);
    r->lse = mu_carve(c, l->logit_rows_max, sizeof *r->lse);
}

static void carve(struct mu_ranks_runner *r, struct mu_carve *c)
{
    if (mu_rank_is_driver(&r->rank))
        carve_driver(r, c);
    else
        carve_follower(r, c);
}

static size_t ranks_table_bytes(const struct mu_runner *base, const struct mu_bill_limits *l)
{
    struct mu_ranks_runner count = *(const struct mu_ranks_runner *)base;
    struct mu_carve c = {NULL, 0};
    count.limits = limits_of(&count.rank, l);
    carve(&count, &c);
    return c.used + sizeof count;
}

static int make_tables(struct mu_ranks_runner *r, struct mu_err *e)
{
    struct mu_carve c = {NULL, 0};
    carve(r, &c);
    r->tables = mu_calloc(1, c.used);
    if (!r->tables)
        return mu_fail_nomem(e, c.used, "the tables of a rank");
    c = (struct mu_carve){r->tables, 0};
    carve(r, &c);
    for (int lane = 0; mu_rank_is_driver(&r->rank) && lane < r->rank.n_lanes; lane++)
        memset(r->lanes[lane].sent, 0xff,
               (size_t)r->limits.seqs_max * (size_t)r->limits.pages_max * sizeof *r->lanes->sent);
    return MU_OK;
}

static int ranks_load(struct mu_runner *base, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                      struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    r->limits = limits_of(&r->rank, l);
    int rc = make_tables(r, e);
    if (rc != MU_OK)
        return mu_rank_fatal(&r->rank, rc, e);
    MU_TRY_RETURN(mu_rank_load(&r->rank, l, progress, arg, e));
    if (!mu_rank_is_driver(&r->rank))
        r->rank.local->ops->set_lengths(r->rank.local, r->own_lengths);
    return MU_OK;
}

/* ---- messages ---- */

/* The end of it, for this rank and for the engine above. */
static int lose(struct mu_ranks_runner *r, int rc, struct mu_err *e)
{
    if (r->base.lost.code == MU_OK) {
        r->base.lost = *e;
        r->base.lost.code = rc == MU_ETIMEDOUT ? MU_EPEER : rc; /* a poll that ends early is another thing */
        mu_rank_fatal(&r->rank, rc, e);
    }
    return mu_fail(e, r->base.lost.code, "%s", r->base.lost.text);
}

static int check_alive(const struct mu_ranks_runner *r, struct mu_err *e)
{
    return r->base.lost.code == MU_OK ? MU_OK : mu_fail(e, r->base.lost.code, "%s", r->base.lost.text);
}

/* The lane's message may be written anew. */
static int wait_lane(struct mu_ranks_runner *r, int lane, struct mu_err *e)
{
    struct mu_lane_mail *m = &r->lanes[lane];
    int rc = MU_OK;
    for (int i = 0; i < m->n_ops; i++) {
        int one = mu_comm_wait(m->ops[i], rc == MU_OK ? e : NULL);
        rc = rc == MU_OK ? one : rc;
    }
    m->n_ops = 0;
    return rc;
}

/* The lane's message to its ranks from the given stage on, but for this one. */
static int post(struct mu_ranks_runner *r, int lane, int stage, size_t bytes, struct mu_err *e)
{
    const struct mu_rank *k = &r->rank;
    struct mu_lane_mail *m = &r->lanes[lane];
    for (; stage < k->n_stages; stage++) {
        for (int t = 0; t < k->tp; t++) {
            int to = mu_rank_of(k, stage, lane, t);
            if (to == 0)
                continue;
            MU_TRY_RETURN(mu_comm_start_send(&m->ops[m->n_ops], k->replica, to, MU_TAG_STEP, m->message, bytes, e));
            m->n_ops++;
        }
    }
    return MU_OK;
}

/* ---- steps ---- */

/* Where each lane's rows begin; they are neighbours, lanes in increasing order. */
static void find_lanes(struct mu_ranks_runner *r, const struct mu_rows *rows)
{
    int at = 0;
    for (int lane = 0; lane < r->rank.n_lanes; lane++) {
        r->lane_begin[lane] = at;
        while (at < rows->n && rows->seq[at] / r->limits.seqs_max == lane)
            at++;
    }
    r->lane_begin[r->rank.n_lanes] = r->n_rows = at;
}

static struct mu_rows rows_of(const struct mu_ranks_runner *r, const struct mu_rows *rows, int lane)
{
    struct mu_rows part = *rows;
    part.n = r->lane_begin[lane + 1] - r->lane_begin[lane];
    part.pos += r->lane_begin[lane];
    part.seq += r->lane_begin[lane];
    return part;
}

static int tell_step(struct mu_ranks_runner *r, const int32_t *ids, const struct mu_rows *rows, int n_micro,
                     struct mu_err *e)
{
    r->number++;
    for (int lane = 0; lane < r->rank.n_lanes; lane++) {
        struct mu_lane_mail *m = &r->lanes[lane];
        struct mu_rows part = rows_of(r, rows, lane);
        MU_TRY_RETURN(wait_lane(r, lane, e));
        size_t bytes = mu_step_write_rows(m->message, &r->limits, r->number, n_micro, ids + r->lane_begin[lane], &part,
                                          r->lengths, lane * r->limits.seqs_max, m->sent);
        MU_TRY_RETURN(post(r, lane, 0, bytes, e));
    }
    return MU_OK;
}

static int micro_of(const struct mu_ranks_runner *r)
{
    int most = 0;
    for (int lane = 0; lane < r->rank.n_lanes; lane++)
        most = MU_MAX(most, r->lane_begin[lane + 1] - r->lane_begin[lane]);
    return mu_rank_micro(&r->rank, most);
}

static int ranks_step(struct mu_runner *base, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(check_alive(r, e));
    if (at != 0)
        return mu_fail(e, MU_EINTERNAL, "ranks run whole steps, not rows from %d on", at);
    find_lanes(r, rows);
    if (r->n_rows != rows->n)
        return mu_fail(e, MU_EINTERNAL, "%d of %d rows lie in their lanes' order", r->n_rows, rows->n);
    int n_micro = micro_of(r);
    int rc = tell_step(r, ids, rows, n_micro, &err);
    if (rc == MU_OK) {
        struct mu_rows own = rows_of(r, rows, 0);
        rc = mu_rank_step(&r->rank, ids, &own, n_micro, &err);
    }
    if (rc != MU_OK && rc != MU_ENUMERIC)
        rc = lose(r, rc, &err);
    if (rc != MU_OK && e)
        *e = err;
    return rc;
}

/* ---- logits ---- */

/* The lane's share of idx, counted inside the lane; how many. */
static int share_of(struct mu_ranks_runner *r, int lane, const int32_t *idx, int n)
{
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (idx[i] >= r->lane_begin[lane] && idx[i] < r->lane_begin[lane + 1])
            r->lane_idx[m++] = idx[i] - r->lane_begin[lane];
    }
    return m;
}

static int tell_logits(struct mu_ranks_runner *r, const int32_t *idx, int n, struct mu_err *e)
{
    r->number++;
    for (int lane = 0; lane < r->rank.n_lanes; lane++) {
        int m = share_of(r, lane, idx, n);
        if (m == 0)
            continue;
        MU_TRY_RETURN(wait_lane(r, lane, e));
        size_t bytes = mu_step_write_logits(r->lanes[lane].message, r->number, r->lane_idx, m);
        MU_TRY_RETURN(post(r, lane, r->rank.n_stages - 1, bytes, e));
    }
    return MU_OK;
}

/* The driver's own share, out of its local runner to where the rows belong. */
static int own_logits(struct mu_ranks_runner *r, const int32_t *idx, int n, int32_t *argmax, double *lse,
                      struct mu_err *e)
{
    const float *logits;
    int64_t V = r->base.vocab;
    int m = share_of(r, 0, idx, n), done = 0;
    if (m == 0)
        return MU_OK;
    MU_TRY_RETURN(r->rank.local->ops->logits(r->rank.local, r->lane_idx, m, &logits, argmax, lse, e));
    for (int i = n - 1; i >= 0; i--) { /* from the end: argmax and lse lie at the beginning */
        if (idx[i] >= r->lane_begin[1])
            continue;
        done++;
        memcpy(r->logits + i * V, logits + (m - done) * V, (size_t)V * sizeof *logits);
        argmax[i] = argmax[m - done];
        lse[i] = lse[m - done];
    }
    return MU_OK;
}

static int receive_row(struct mu_ranks_runner *r, int from, float *logits, int32_t *argmax, double *lse,
                       struct mu_err *e)
{
    struct mu_row_summary s;
    MU_TRY_RETURN(mu_comm_recv(r->rank.replica, from, MU_TAG_LOGITS, &s, sizeof s, e));
    *argmax = s.argmax;
    *lse = s.lse;
    return mu_comm_recv(r->rank.replica, from, MU_TAG_LOGITS, logits, (size_t)r->base.vocab * sizeof *logits, e);
}

static int gather_logits(struct mu_ranks_runner *r, const int32_t *idx, int n, int32_t *argmax, double *lse,
                         struct mu_err *e)
{
    const struct mu_rank *k = &r->rank;
    bool is_own = k->n_stages == 1;
    if (is_own)
        MU_TRY_RETURN(own_logits(r, idx, n, argmax, lse, e));
    for (int lane = is_own ? 1 : 0; lane < k->n_lanes; lane++) {
        for (int i = 0; i < n; i++) {
            if (idx[i] < r->lane_begin[lane] || idx[i] >= r->lane_begin[lane + 1])
                continue;
            MU_TRY_RETURN(receive_row(r, mu_rank_of(k, k->n_stages - 1, lane, 0), r->logits + i * r->base.vocab,
                                      &argmax[i], &lse[i], e));
        }
    }
    return MU_OK;
}

static int ranks_logits(struct mu_runner *base, const int32_t *idx, int n, const float **logits, int32_t *argmax,
                        double *lse, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(check_alive(r, e));
    int rc = tell_logits(r, idx, n, &err);
    if (rc == MU_OK && needs_logits(&r->rank)) {
        rc = gather_logits(r, idx, n, argmax, lse, &err);
        *logits = r->logits;
    } else if (rc == MU_OK) {
        rc = r->rank.local->ops->logits(r->rank.local, idx, n, logits, argmax, lse, &err);
    }
    if (rc == MU_OK)
        return MU_OK;
    rc = lose(r, rc, &err);
    if (e)
        *e = err;
    return rc;
}

/* ---- the rest ---- */

static int ranks_copy_page(struct mu_runner *base, int lane, int32_t dst, int32_t src, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(check_alive(r, e));
    r->number++;
    int rc = wait_lane(r, lane, &err);
    if (rc == MU_OK)
        rc = post(r, lane, 0, mu_step_write_copy(r->lanes[lane].message, r->number, dst, src), &err);
    if (rc == MU_OK && lane == 0)
        rc = r->rank.local->ops->copy_page(r->rank.local, 0, dst, src, &err);
    if (rc == MU_OK)
        return MU_OK;
    rc = lose(r, rc, &err);
    if (e)
        *e = err;
    return rc;
}

static int ranks_keep_pages(struct mu_runner *base, int lane, int32_t n, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    const struct mu_runner *local = r->rank.local;
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(check_alive(r, e));
    r->number++;
    int rc = wait_lane(r, lane, &err);
    if (rc == MU_OK)
        rc = post(r, lane, 0, mu_step_write_keep(r->lanes[lane].message, r->number, n), &err);
    if (rc == MU_OK && lane == 0 && local->ops->keep_pages)
        rc = local->ops->keep_pages(r->rank.local, 0, n, &err);
    if (rc == MU_OK)
        return MU_OK;
    rc = lose(r, rc, &err);
    if (e)
        *e = err;
    return rc;
}

static void ranks_set_lengths(struct mu_runner *base, const int32_t *lengths)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    r->lengths = lengths;
    r->rank.local->ops->set_lengths(r->rank.local, lengths);
}

static int64_t ranks_prefix_class(const struct mu_runner *base, int64_t length)
{
    const struct mu_rank *k = &((const struct mu_ranks_runner *)base)->rank;
    return k->local->ops->prefix_class(k->local, length);
}

/* A message of a head alone to every other rank. */
static int tell_all(struct mu_ranks_runner *r, enum mu_step_kind kind, struct mu_err *e)
{
    r->number++;
    for (int lane = 0; lane < r->rank.n_lanes; lane++) {
        MU_TRY_RETURN(wait_lane(r, lane, e));
        MU_TRY_RETURN(post(r, lane, 0, mu_step_write(r->lanes[lane].message, kind, r->number), e));
    }
    return MU_OK;
}

int mu_ranks_figures(struct mu_runner *base, struct mu_rank_figures *out, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    MU_TRY_RETURN(check_alive(r, e));
    MU_TRY_RETURN(tell_all(r, MU_STEP_FIGURES, e));
    out[0] = mu_rank_own_figures();
    for (int i = 1; i < mu_comm_size(r->rank.replica); i++)
        MU_TRY_RETURN(mu_comm_recv(r->rank.replica, i, MU_TAG_FIGURES, &out[i], sizeof out[i], e));
    return MU_OK;
}

static int ranks_experts(struct mu_runner *base, struct mu_runner_experts *out, struct mu_err *e)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    struct mu_runner *local = r->rank.local;
    struct mu_err err = MU_ERR_INIT;
    MU_TRY_RETURN(check_alive(r, e));
    if (!local->ops->experts)
        return mu_fail(e, MU_EUNSUPPORTED, "the %s runner does not count rows of experts", local->ops->name);
    MU_TRY_RETURN(local->ops->experts(local, out, e));
    if (out->n == 0)
        return MU_OK;
    int rc = tell_all(r, MU_STEP_EXPERTS, &err);
    if (rc == MU_OK)
        rc = mu_rank_gather_experts(&r->rank, out, &err);
    if (rc == MU_OK)
        return MU_OK;
    rc = lose(r, rc, &err);
    if (e)
        *e = err;
    return rc;
}

/* The followers are told to end; a world that is dead knows already. */
static void ranks_close(struct mu_runner *base)
{
    struct mu_ranks_runner *r = (struct mu_ranks_runner *)base;
    bool is_loaded = r->tables && mu_rank_is_driver(&r->rank);
    if (is_loaded && r->base.lost.code == MU_OK)
        tell_all(r, MU_STEP_END, NULL);
    for (int lane = 0; is_loaded && lane < r->rank.n_lanes; lane++)
        wait_lane(r, lane, NULL);
    mu_rank_close(&r->rank);
    mu_free(r->tables);
    mu_free(r);
}

static const struct mu_runner_ops ranks_ops = {.name = "ranks",
                                               .table_bytes = ranks_table_bytes,
                                               .load = ranks_load,
                                               .step = ranks_step,
                                               .logits = ranks_logits,
                                               .copy_page = ranks_copy_page,
                                               .keep_pages = ranks_keep_pages,
                                               .set_lengths = ranks_set_lengths,
                                               .prefix_class = ranks_prefix_class,
                                               .experts = ranks_experts,
                                               .close = ranks_close};

int mu_ranks_runner_new(struct mu_runner **out, const struct mu_rank *k, struct mu_err *e)
{
    struct mu_ranks_runner *r = NULL;
    int rc = mu_comm_size(k->replica) > MU_REPLICA_RANKS_MAX
                 ? mu_fail(e, MU_ELIMIT, "a replica of %d ranks: at most %d step together, use more replicas",
                           mu_comm_size(k->replica), MU_REPLICA_RANKS_MAX)
                 : MU_NEW(&r, "the runner of ranks", e);
    if (rc != MU_OK) {
        k->local->ops->close(k->local);
        return rc;
    }
    r->base = (struct mu_runner){.ops = &ranks_ops,
                                 .vocab = k->local->vocab,
                                 .context = k->local->context,
                                 .n_lanes = k->n_lanes,
                                 .page_owners = k->local->page_owners};
    r->rank = *k;
    *out = &r->base;
    return MU_OK;
}
