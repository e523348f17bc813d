/* score_group.c - a group's numbers out of those of its leaf tasks
 *
 * Source: lm_eval/api/group.py, Group.aggregate. Leaves are all tasks below the group, once for every way down to them.
 * A leaf that lacks the metric is left out; a standard error needs one of every leaf that has it. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/score.h"
#include "eval/stats/aggregation.h"

#define DEPTH_MAX  64
#define LEAVES_MAX (1 << 20)

struct gathering {
    const struct mu_task_set *set;
    struct mu_work *const *works;
    const struct mu_work **leaf; /* owned */
    int n_leaves, cap;
    double *value, *stderr_;        /* owned; of the leaves that have the metric at hand */
    int64_t *size;                  /* owned */
    struct mu_group_result *result; /* owned until handed out */
    int n_results, cap_results;
};

/* ---- leaves ---- */

static int grow(void *array, int *cap, int n, size_t size, const char *what, struct mu_err *e)
{
    void **p = array;
    if (n < *cap)
        return MU_OK;
    int more = *cap ? 2 * *cap : 64;
    void *bigger = mu_realloc(*p, (size_t)more * size);
    if (!bigger)
        return mu_fail_nomem(e, (size_t)more * size, what);
    *p = bigger;
    *cap = more;
    return MU_OK;
}

static int add_leaves(struct gathering *g, int group, int depth, struct mu_err *e)
{
    const struct mu_group *of = &g->set->group[group];

    if (depth > DEPTH_MAX)
        return mu_fail(e, MU_ELIMIT, "group %s is nested more than %d deep, or in itself", of->name, DEPTH_MAX);
    for (int i = 0; i < of->n_children; i++) {
        int child = of->child[i];
        if (child < 0) {
            MU_TRY_RETURN(add_leaves(g, -1 - child, depth + 1, e));
            continue;
        }
        if (g->n_leaves >= LEAVES_MAX)
            return mu_fail(e, MU_ELIMIT, "group %s has more than %d tasks", of->name, LEAVES_MAX);
        MU_TRY_RETURN(grow(&g->leaf, &g->cap, g->n_leaves, sizeof *g->leaf, "a group's tasks", e));
        g->leaf[g->n_leaves++] = g->works[child];
    }
    return MU_OK;
}

static const struct mu_metric_result *find(const struct mu_work *w, const char *metric, const char *filter)
{
    for (int i = 0; w && i < w->n_results; i++)
        if (strcmp(w->result[i].metric, metric) == 0 && strcmp(w->result[i].filter, filter) == 0)
            return &w->result[i];
    return NULL;
}

/* The harness's sample_len: documents that do not yield every measure count when they yield one. */
static int64_t documents(const struct mu_work *w)
{
    int64_t most = 0;
    for (int i = 0; w && i < w->n_results; i++)
        most = MU_MAX(most, w->result[i].n);
    return most;
}

/* ---- one metric ---- */

/* Of the plain mean of n tasks. */
static double plain_stderr(const double *stderr_, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += stderr_[i] * stderr_[i];
    return sqrt(sum) / n;
}

static int put_result(struct gathering *g, const struct mu_group_metric *m, const char *filter, int n, bool has_stderr,
                      struct mu_err *e)
{
    struct mu_group_result r = {.metric = m->metric, .filter = filter, .has_stderr = has_stderr};

    for (int i = 0; i < g->n_leaves; i++)
        r.n += documents(g->leaf[i]);
    for (int i = 0; i < n; i++)
        r.n_counted += g->size[i];
    r.value = mu_group_mean(g->value, g->size, n, m->weight_by_size);
    if (has_stderr)
        r.stderr_value = m->weight_by_size ? mu_group_stderr(g->stderr_, g->size, n) : plain_stderr(g->stderr_, n);
    MU_TRY_RETURN(grow(&g->result, &g->cap_results, g->n_results, sizeof r, "a group's scores", e));
    g->result[g->n_results++] = r;
    return MU_OK;
}

static int put_metric(struct gathering *g, const struct mu_group_metric *m, const char *filter, struct mu_err *e)
{
    bool has_stderr = true;
    int n = 0;

    for (int i = 0; i < g->n_leaves; i++) {
        const struct mu_metric_result *r = find(g->leaf[i], m->metric, filter);
        if (!r)
            continue;
        g->value[n] = r->value;
        g->stderr_[n] = r->stderr_value;
        g->size[n++] = documents(g->leaf[i]);
        has_stderr &= r->has_stderr;
    }
    return n > 0 ? put_result(g, m, filter, n, has_stderr, e) : MU_OK;
}

/* The name among the leaves' filters for this metric that comes next in order after `last`; NULL: none. */
static const char *next_filter(const struct gathering *g, const char *metric, const char *last)
{
    const char *best = NULL;
    for (int i = 0; i < g->n_leaves; i++)
        for (int k = 0; g->leaf[i] && k < g->leaf[i]->n_results; k++) {
            const struct mu_metric_result *r = &g->leaf[i]->result[k];
            if (strcmp(r->metric, metric) == 0 && (!last || strcmp(r->filter, last) > 0) &&
                (!best || strcmp(r->filter, best) < 0))
                best = r->filter;
        }
    return best;
}

static int put_all(struct gathering *g, const struct mu_group *of, struct mu_err *e)
{
    for (int i = 0; i < of->n_metrics; i++) {
        const struct mu_group_metric *m = &of->metric[i];
        for (int f = 0; f < m->n_filters; f++)
            MU_TRY_RETURN(put_metric(g, m, m->filter[f], e));
        for (const char *f = NULL; m->n_filters == 0 && (f = next_filter(g, m->metric, f));)
            MU_TRY_RETURN(put_metric(g, m, f, e));
    }
    return MU_OK;
}

int mu_group_score(const struct mu_task_set *set, int group, struct mu_work *const *works, struct mu_group_result **out,
                   int *n, struct mu_err *e)
{
    struct gathering g = {.set = set, .works = works};
    int rc;

    *out = NULL;
    *n = 0;
    if (set->group[group].n_metrics == 0)
        return MU_OK;
    MU_TRY(add_leaves(&g, group, 0, e));
    MU_TRY(MU_NEW_ARRAY(&g.value, g.n_leaves, "a group's scores", e));
    MU_TRY(MU_NEW_ARRAY(&g.stderr_, g.n_leaves, "a group's scores", e));
    MU_TRY(MU_NEW_ARRAY(&g.size, g.n_leaves, "a group's scores", e));
    MU_TRY(put_all(&g, &set->group[group], e));
    *out = g.result;
    *n = g.n_results;
    g.result = NULL;
out:
    mu_free(g.leaf);
    mu_free(g.value);
    mu_free(g.stderr_);
    mu_free(g.size);
    mu_free(g.result);
    return rc;
}
