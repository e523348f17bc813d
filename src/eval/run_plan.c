/* run_plan.c - the order in which items are computed, and what that costs
 *
 * Items are sorted by their tokens, so that equal beginnings lie side by side: the engine finds most of a prompt in
 * its cache, computed for the one before. Runs of items with a long common beginning are kept whole, and the run with
 * the longest item goes first. Items that differ only in the token scored last become one request.
 *
 * Tokens are rows that a model computes: a scored text feeds all but its last token. A row that several texts begin
 * with is computed once, and read for all of them. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/run_int.h"

#define CLUSTER_TOKENS 64 /* a shorter common beginning does not hold items together */

/* Tokens an item feeds: the context, then the continuation without its last. */
static int32_t n_fed(const struct mu_run_item *it)
{
    return it->params >= 0 ? it->n_context : it->n_context + it->n_continuation - 1;
}

static int32_t fed(const struct mu_run_state *s, const struct mu_run_item *it, int32_t i)
{
    return i < it->n_context ? s->ids.v[it->context + (size_t)i]
                             : s->ids.v[it->continuation + (size_t)(i - it->n_context)];
}

static int32_t n_common(const struct mu_run_state *s, const struct mu_run_item *a, const struct mu_run_item *b)
{
    int32_t n = MU_MIN(n_fed(a), n_fed(b)), i = 0, both = MU_MIN(a->n_context, b->n_context);
    const int32_t *pa = s->ids.v + a->context, *pb = s->ids.v + b->context;
    if (pa == pb)
        i = both;
    while (i < both && pa[i] == pb[i])
        i++;
    while (i >= both && i < n && fed(s, a, i) == fed(s, b, i))
        i++;
    return i;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_tokens(const void *pa, const void *pb, void *arg)
{
    const struct mu_run_state *s = arg;
    int64_t ia = *(const int64_t *)pa, ib = *(const int64_t *)pb;
    const struct mu_run_item *a = &s->item[ia], *b = &s->item[ib];
    int32_t i = n_common(s, a, b);

    if (i < n_fed(a) && i < n_fed(b))
        return compare(fed(s, a, i), fed(s, b, i));
    if (n_fed(a) != n_fed(b))
        return compare(n_fed(a), n_fed(b));
    if (a->params != b->params)
        return compare(a->params, b->params);
    if (a->n_context != b->n_context)
        return compare(a->n_context, b->n_context);
    return compare(ia, ib);
}

/* ---- clusters ---- */

struct cluster {
    int64_t first, n;
    int32_t longest;
};

static int by_length(const void *pa, const void *pb)
{
    const struct cluster *a = pa, *b = pb;
    return a->longest != b->longest ? compare(b->longest, a->longest) : compare(a->first, b->first);
}

static int64_t find_clusters(const struct mu_run_state *s, struct cluster *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_ordered; i++) {
        int32_t length = n_fed(&s->item[s->order[i]]);
        /* The same short context holds its continuations together. */
        bool is_new = i == 0 || s->common[i] < MU_MIN(CLUSTER_TOKENS, s->item[s->order[i]].n_context);
        if (is_new)
            c[n++] = (struct cluster){i, 0, 0};
        c[n - 1].n++;
        c[n - 1].longest = MU_MAX(c[n - 1].longest, length);
    }
    return n;
}

static int put_longest_first(struct mu_run_state *s, struct mu_err *e)
{
    struct cluster *c = NULL;
    int64_t *order = NULL;
    int32_t *common = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&c, s->n_ordered, "an order of items", e));
    MU_TRY(MU_NEW_ARRAY(&order, s->n_ordered, "an order of items", e));
    MU_TRY(MU_NEW_ARRAY(&common, s->n_ordered, "an order of items", e));
    int64_t n = find_clusters(s, c), at = 0;
    qsort(c, (size_t)n, sizeof *c, by_length);
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; i < c[k].n; i++, at++) {
            order[at] = s->order[c[k].first + i];
            common[at] = i == 0 ? 0 : s->common[c[k].first + i];
        }
    }
    mu_free(s->order);
    mu_free(s->common);
    s->order = order;
    s->common = common;
    order = NULL;
    common = NULL;
out:
    mu_free(c);
    mu_free(order);
    mu_free(common);
    return rc;
}

/* ---- groups ---- */

/* Whether b, which shares n tokens with a, is a with another last token. */
static bool is_alternative(const struct mu_run_item *a, const struct mu_run_item *b, int32_t n)
{
    return a->params < 0 && b->params < 0 && a->n_context == b->n_context && a->n_continuation == b->n_continuation &&
           n == n_fed(a);
}

/* Tokens an item costs when n of them have just been computed: its last row is its own. */
static int32_t cost(const struct mu_run_item *it, int32_t n)
{
    return n_fed(it) - MU_MIN(n, n_fed(it) - 1);
}

/* A run of groups over order[], over items without answer only if asked. group NULL: only the cost is wanted. */
static int64_t walk(const struct mu_run_state *s, bool is_shared, bool is_missing, struct mu_run_group *group,
                    int64_t *tokens)
{
    const struct mu_run_item *first = NULL; /* of the group */
    int64_t n_groups = 0;
    int32_t n = 0, n_members = 0; /* n: shared with the last item that counted */

    for (int64_t i = 0; i < s->n_ordered; i++) {
        const struct mu_run_item *it = &s->item[s->order[i]];
        n = MU_MIN(n, s->common[i]);
        if (is_missing ? it->has_answer : !it->is_unique)
            continue;
        bool joins = is_shared && first && n_members <= MU_ALTERNATIVES_MAX && is_alternative(first, it, n);
        int32_t c = joins ? 0 : cost(it, is_shared ? n : 0);
        if (!joins) {
            first = it;
            n_members = 0;
            if (group)
                group[n_groups] = (struct mu_run_group){.first = i, .cost = c};
            n_groups++;
        }
        n_members++;
        if (group)
            group[n_groups - 1].n = (int32_t)(i - group[n_groups - 1].first + 1);
        *tokens += c;
        n = INT32_MAX;
    }
    return n_groups;
}

/* What a plan promises does not depend on the journal or on how this run shares: it is counted over unique items while
 * they are sorted by their tokens, where every beginning that two share is met. No engine can compute less. */
static void audit(struct mu_run_state *s)
{
    for (int64_t i = 0; i < s->n_parts; i++)
        s->audit->tokens_naive += n_fed(&s->item[s->part[i].item]);
    walk(s, true, false, NULL, &s->audit->tokens_shared);
}

int mu_run_plan(struct mu_run_state *s, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->order, s->n_items, "an order of items", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->common, s->n_items, "an order of items", e));
    for (int64_t i = 0; i < s->n_items; i++) {
        if (s->item[i].is_unique || s->o->naive)
            s->order[s->n_ordered++] = i;
    }
    qsort_r(s->order, (size_t)s->n_ordered, sizeof *s->order, by_tokens, s);
    for (int64_t i = 1; i < s->n_ordered; i++)
        s->common[i] = n_common(s, &s->item[s->order[i - 1]], &s->item[s->order[i]]);
    audit(s);
    return put_longest_first(s, e);
}

int mu_run_group_missing(struct mu_run_state *s, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->group, MU_MAX(s->n_ordered, 1), "groups of items", e));
    s->n_groups = walk(s, !s->o->naive, true, s->group, &s->progress.tokens_total);
    for (int64_t i = 0; i < s->n_groups; i++) {
        struct mu_run_group *g = &s->group[i];
        const struct mu_run_item *it = &s->item[s->order[g->first]];
        int32_t output = it->params >= 0 ? s->params[it->params]->max_tokens : 0; /* at most */
        g->cost += output;
        s->progress.tokens_total += output;
    }
    return MU_OK;
}
