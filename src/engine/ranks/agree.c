/* agree.c - see agree.h */
#include "engine/ranks/agree.h"

#include <string.h>

#include "base/check.h"

/* Which rank it was, unless the sentence tells already. What all ranks fail at is rank 0's sentence, without a name. */
static void name_rank(const struct mu_comm *c, struct mu_err *e)
{
    int rank = mu_comm_world_rank(c, mu_comm_rank(c));
    if (rank > 0 && !strstr(e->text, "(while rank "))
        mu_err_while(e, e->code, "rank %d on %s opened its part", rank, mu_comm_host(c, mu_comm_rank(c)));
}

int mu_agree(struct mu_comm *c, int rc, struct mu_err *e)
{
    int size = mu_comm_size(c), rank = mu_comm_rank(c);
    struct mu_err first = MU_ERR_INIT;
    int64_t worst = rc == MU_OK ? 0 : size - rank; /* the largest is the first rank's */
    if (size == 1)
        return rc;
    if (rc != MU_OK && e)
        first = *e;
    first.code = rc;
    if (rc != MU_OK)
        name_rank(c, &first);
    int lost = mu_comm_all_reduce(c, &worst, 1, MU_REDUCE_MAX_I64, rc == MU_OK ? e : NULL);
    if (lost != MU_OK)
        return rc == MU_OK ? lost : rc; /* the world may have ended by this very failure */
    if (worst == 0)
        return MU_OK;
    MU_TRY_RETURN(mu_comm_broadcast(c, &first, sizeof first, size - (int)worst, e));
    if (e)
        *e = first;
    return first.code;
}

/* ---- the bill ---- */

/* Limits as numbers of which the smallest counts. */
#define N_LIMITS 5

static int agree_limits(struct mu_comm *c, struct mu_bill_limits *l, struct mu_err *e)
{
    int64_t v[N_LIMITS] = {-l->context, -l->rows, -l->logit_rows, -l->sequences, -l->pages};
    MU_TRY_RETURN(mu_comm_all_reduce(c, v, N_LIMITS, MU_REDUCE_MAX_I64, e));
    l->context = -v[0];
    l->rows = (int)-v[1];
    l->logit_rows = (int)-v[2];
    l->sequences = (int)-v[3];
    l->pages = -v[4];
    return MU_OK;
}

/* The bill with the highest peak, of the first rank that has it. Names of lines are this process's own: all bills have
 * the same lines. */
static int find_fullest(struct mu_comm *c, const struct mu_bill *own, struct mu_bill *out, struct mu_err *e)
{
    int64_t peak = (int64_t)own->bytes_peak;
    int size = mu_comm_size(c);
    *out = *own;
    MU_TRY_RETURN(mu_comm_all_reduce(c, &peak, 1, MU_REDUCE_MAX_I64, e));
    int64_t first = (int64_t)own->bytes_peak == peak ? size - mu_comm_rank(c) : 0;
    MU_TRY_RETURN(mu_comm_all_reduce(c, &first, 1, MU_REDUCE_MAX_I64, e));
    MU_TRY_RETURN(mu_comm_broadcast(c, out, sizeof *out, size - (int)first, e));
    for (int i = 0; i < MU_BILL_LINES_MAX; i++)
        out->lines[i].name = own->lines[i].name;
    return MU_OK;
}

int mu_agree_bill(struct mu_comm *c, const struct mu_engine_opts *o, const struct mu_light_parts *parts,
                  bool is_follower, struct mu_bill *own, struct mu_bill *fullest, struct mu_err *e)
{
    struct mu_engine_opts fixed = *o;
    struct mu_bill first;
    int sharers = 0;
    for (int r = 0; r < mu_comm_size(c); r++)
        sharers += mu_comm_node(c, r) == mu_comm_node(c, mu_comm_rank(c));
    int rc = mu_light_bill_make(&first, o, parts, MU_MAX(1, sharers), is_follower, e);
    MU_TRY_RETURN(mu_agree(c, rc, e));
    struct mu_bill_limits l = first.limits;
    MU_TRY_RETURN(agree_limits(c, &l, e));
    fixed.context_max = l.context;
    fixed.rows_max = l.rows;
    fixed.sequences_max = l.sequences;
    fixed.kv_tokens_max = l.pages * MU_KV_PAGE;
    rc = mu_light_bill_make(own, &fixed, parts, MU_MAX(1, sharers), is_follower, e);
    MU_TRY_RETURN(mu_agree(c, rc, e));
    memcpy(own->choices, first.choices, sizeof own->choices); /* what was left open is not any more */
    own->n_choices = first.n_choices;
    MU_TRY_RETURN(agree_limits(c, &own->limits, e)); /* logit rows too */
    MU_TRY_RETURN(find_fullest(c, own, fullest, e));
    return mu_agree(c, own->fits ? MU_OK : mu_fail(e, MU_ENOMEM, "%s", own->verdict), e);
}
