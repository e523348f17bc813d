/* aggregation.c - the table of aggregations, and which standard error each one has */
#include "eval/stats/aggregation.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/stats/bootstrap.h"
#include "eval/stats/corpus.h"
#include "eval/stats/stats_int.h"

#define CORPUS_ITERS_MAX 100 /* lm_eval/evaluator_utils.py: bleu, chrf, chrf++ and ter are slow */

static const struct row {
    struct mu_aggregation shown;
    mu_resample_fn resample;
} rows[] = {
    {{"mean", MU_STDERR_MEAN, 0, mu_agg_mean}, NULL},
    {{"nanmean", MU_STDERR_BOOTSTRAP, 0, mu_agg_nanmean}, mu_resample_nanmean},
    {{"median", MU_STDERR_BOOTSTRAP, 0, mu_agg_median}, mu_resample_median},
    {{"perplexity", MU_STDERR_BOOTSTRAP, 0, mu_agg_perplexity}, mu_resample_perplexity},
    {{"weighted_perplexity", MU_STDERR_NONE, 0, mu_agg_weighted_perplexity}, NULL},
    {{"bits_per_byte", MU_STDERR_NONE, 0, mu_agg_bits_per_byte}, NULL},
    {{"f1", MU_STDERR_BOOTSTRAP, 0, mu_agg_f1}, mu_resample_f1},
    {{"matthews_corrcoef", MU_STDERR_BOOTSTRAP, 0, mu_agg_mcc}, mu_resample_mcc},
    {{"brier_score", MU_STDERR_NONE, 0, mu_agg_brier_score}, NULL},
    {{"acc_all", MU_STDERR_ACC_ALL, 0, mu_agg_acc_all}, NULL},
    {{"bleu", MU_STDERR_BOOTSTRAP, CORPUS_ITERS_MAX, mu_bleu_corpus}, NULL},
    {{"chrf", MU_STDERR_BOOTSTRAP, CORPUS_ITERS_MAX, mu_chrf_corpus}, NULL},
    {{"chrf++", MU_STDERR_BOOTSTRAP, CORPUS_ITERS_MAX, mu_chrfpp_corpus}, NULL},
    {{"ter", MU_STDERR_BOOTSTRAP, CORPUS_ITERS_MAX, mu_ter_corpus}, NULL},
    {{"bypass", MU_STDERR_NONE, 0, mu_agg_bypass}, NULL},
};

/* What stands for a score when metrics are switched off. */
int mu_agg_bypass(const json_t *items, double *out, struct mu_err *e)
{
    (void)items;
    (void)e;
    *out = 999;
    return MU_OK;
}

const struct mu_aggregation *mu_aggregation_at(int i)
{
    return i >= 0 && (size_t)i < MU_COUNT(rows) ? &rows[i].shown : NULL;
}

const struct mu_aggregation *mu_aggregation_find(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(rows); i++)
        if (strcmp(rows[i].shown.name, name) == 0)
            return &rows[i].shown;
    return NULL;
}

mu_resample_fn mu_resample_of(const struct mu_aggregation *a)
{
    for (size_t i = 0; i < MU_COUNT(rows); i++)
        if (&rows[i].shown == a)
            return rows[i].resample;
    return NULL;
}

static int stderr_of_mean(const json_t *items, double *out, struct mu_err *e)
{
    double *v = NULL;
    MU_TRY_RETURN(mu_items_numbers(items, "mean", &v, e));
    *out = mu_mean_stderr(v, (int64_t)json_array_size(items));
    mu_free(v);
    return MU_OK;
}

int mu_aggregation_stderr(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                          double *out, bool *has, struct mu_err *e)
{
    *has = iters > 0 && json_array_size(items) > 1 && a->stderr_kind != MU_STDERR_NONE;
    if (!*has)
        return MU_OK;
    if (a->stderr_kind == MU_STDERR_MEAN)
        return stderr_of_mean(items, out, e);
    if (a->stderr_kind == MU_STDERR_ACC_ALL)
        return mu_acc_all_stderr(items, out, has, e);
    if (a->iters_max > 0)
        iters = MU_MIN(iters, a->iters_max);
    *has = iters > 1; /* a single replicate has no deviation */
    return *has ? mu_bootstrap_stderr(a, items, iters, pool, out, e) : MU_OK;
}
