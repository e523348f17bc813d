/* attention_shared.c - attention over a KV cache that neighbouring tensor ranks share out (context parallelism)
 *
 * Every rank of a context group has the pages of its own strands of keys (tensor/ops.h) and, as always, its own heads:
 *
 *   queries of all the group's heads are gathered; each rank computes the states of its strands for all of them;
 *   states travel to the ranks that own the heads, which join them as one rank alone would have: the same bits
 *
 * So a cache that all heads read, the latent one above all, lies in the group once. Rows go through in pieces, which
 * bounds what travels at once; they are independent. Sources of the method: decode context parallelism in vLLM; Helix
 * parallelism (arXiv 2507.07120).
 *
 *   b.queries   [rank] of [n][its heads * dk]
 *   b.states    [rank] of [its heads][n][roots of own strands][state]
 *   b.returned  [rank] of [own heads][n][roots of its strands][state] */
#include "base/check.h"
#include "model/model_int.h"

struct shared {
    struct mu_model *m;
    const struct mu_layer *l;
    struct mu_attn a; /* of a piece of rows */
    struct mu_rows rows;
    int32_t cuts[MU_ATTN_STRANDS + 1];
};

static int cp_of(const struct shared *s)
{
    return s->m->shard.cp_size;
}

static int64_t query_floats(const struct shared *s, int r)
{
    return (int64_t)s->rows.n * s->l->reader[r].n_heads * s->l->kv.dk;
}

/* States of the strands of rank `from` for the heads of rank `to`. */
static int64_t state_floats(const struct shared *s, int from, int to)
{
    int roots = mu_attn_roots(s->cuts[from], s->cuts[from + 1]);
    return (int64_t)s->rows.n * s->l->reader[to].n_heads * roots * MU_ATTN_STATE(s->l->kv.dv);
}

static int gather_queries(const struct shared *s, struct mu_err *e)
{
    struct mu_model *m = s->m;
    size_t bytes[MU_ATTN_STRANDS];
    int own = mu_shard_cp_rank(&m->shard);
    int64_t at = 0, dk = s->l->kv.dk, n = (int64_t)s->rows.n * s->l->own.n_heads;

    for (int r = 0; r < cp_of(s); r++) {
        bytes[r] = (size_t)query_floats(s, r) * sizeof(float);
        at += r < own ? query_floats(s, r) : 0;
    }
    MU_TRY_RETURN(m->d->ops->gather(m->d, m->b.queries + at, dk, s->a.q, dk, m->b.identity, n, dk, e));
    MU_TRY_RETURN(m->d->dev->synchronize(m->d, e));
    return mu_comm_all_gather(m->shard.context, m->b.queries, bytes, e);
}

/* The KV heads that rank r's heads read, out of those held. */
static struct mu_kv_layer read_by(const struct shared *s, int r)
{
    struct mu_kv_layer kv = s->l->kv;
    size_t skip = (size_t)(s->l->reader[r].kv_head0 - s->l->own.kv_head0);
    if (kv.is_v_in_k)
        return kv;
    kv.n_kv_heads = s->l->reader[r].n_kv_heads;
    kv.k = (char *)kv.k + skip * mu_kv_head_bytes(kv.dtype, kv.dk);
    kv.v = (char *)kv.v + skip * mu_kv_head_bytes(kv.dtype, kv.dv);
    return kv;
}

/* Own strands for all heads, a rank's heads at a time: so their states lie side by side. */
static int run_strands(const struct shared *s, struct mu_err *e)
{
    struct mu_model *m = s->m;
    const float *q = m->b.queries;
    float *out = m->b.states;
    int own = mu_shard_cp_rank(&m->shard);

    for (int r = 0; r < cp_of(s); r++) {
        const struct mu_heads *p = &s->l->reader[r];
        struct mu_kv_layer kv = read_by(s, r);
        struct mu_attn a = s->a;
        a.q = q;
        a.ldq = (int64_t)p->n_heads * kv.dk;
        a.out = out;
        a.n_heads = p->n_heads;
        a.group = kv.is_v_in_k ? 0 : p->group;
        a.first = kv.is_v_in_k ? 0 : p->first;
        q += query_floats(s, r);
        out += state_floats(s, own, r);
        if (p->n_heads > 0)
            MU_TRY_RETURN(m->d->ops->attention_partial(m->d, &a, &kv, &s->rows, e));
    }
    return m->d->dev->synchronize(m->d, e);
}

static int bring_home(const struct shared *s, struct mu_err *e)
{
    struct mu_model *m = s->m;
    size_t out[MU_ATTN_STRANDS], in[MU_ATTN_STRANDS];
    int own = mu_shard_cp_rank(&m->shard);

    for (int r = 0; r < cp_of(s); r++) {
        out[r] = (size_t)state_floats(s, own, r) * sizeof(float);
        in[r] = (size_t)state_floats(s, r, own) * sizeof(float);
    }
    return mu_comm_all_to_all(m->shard.context, m->b.states, out, m->b.returned, in, e);
}

static int run_piece(const struct shared *s, struct mu_err *e)
{
    struct mu_model *m = s->m;
    MU_TRY_RETURN(gather_queries(s, e));
    MU_TRY_RETURN(run_strands(s, e));
    MU_TRY_RETURN(bring_home(s, e));
    return m->d->ops->attention_merge(m->d, s->a.out, s->a.ldo, m->b.returned, s->cuts, cp_of(s), s->rows.n,
                                      s->l->own.n_heads, s->l->kv.dv, e);
}

int mu_attend(struct mu_model *m, const struct mu_layer *l, const struct mu_attn *a, const struct mu_rows *rows,
              struct mu_err *e)
{
    struct shared s = {.m = m, .l = l};

    if (mu_shard_cp(&m->shard) == 1)
        return m->d->ops->attention(m->d, a, &l->kv, rows, e);
    mu_shard_strands(m->shard.cp_size, s.cuts);
    for (int at = 0; at < rows->n; at += s.rows.n) {
        s.rows = *rows;
        s.rows.n = MU_MIN(rows->n - at, MU_SHARED_ROWS);
        s.rows.pos += at;
        s.rows.seq += at;
        s.a = *a;
        s.a.q += at * a->ldq;
        s.a.out += at * a->ldo;
        MU_TRY_RETURN(run_piece(&s, e));
    }
    return MU_OK;
}
