/* metric.c - the registry, and the metrics that leave all work to their aggregation
 *
 * In the harness most metrics hand on what they get. On a generation task that is the pair [reference, prediction],
 * whatever keyword arguments the task gives; on the other types of task measure.c knows what the names mean. */
#include "eval/metric/metric.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/metric/metric_int.h"

static int any_kwargs(const json_t *kwargs, struct mu_err *e)
{
    (void)kwargs;
    (void)e;
    return MU_OK;
}

static int pair(const json_t *references, const json_t *predictions, const json_t *kwargs, struct mu_sandbox *sandbox,
                json_t **out, struct mu_err *e)
{
    (void)kwargs;
    (void)sandbox;
    *out = json_pack("[O, O]", json_array_get(references, 0), json_array_get(predictions, 0));
    return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a pair of reference and prediction");
}

static int nothing(const json_t *references, const json_t *predictions, const json_t *kwargs,
                   struct mu_sandbox *sandbox, json_t **out, struct mu_err *e)
{
    (void)references;
    (void)predictions;
    (void)kwargs;
    (void)sandbox;
    (void)e;
    *out = json_null();
    return MU_OK;
}

#define ALL (MU_METRIC_LOGLIKELIHOOD | MU_METRIC_ROLLING | MU_METRIC_CHOICE | MU_METRIC_GENERATE)
#define LL  (MU_METRIC_LOGLIKELIHOOD | MU_METRIC_CHOICE | MU_METRIC_GENERATE)

/* output_types are wider than where the harness's tables name a metric: its tasks list acc and f1 for generation too.
 */
static const struct mu_metric handed_on[] = {
    {"acc", "mean", 1, LL, any_kwargs, pair},
    {"acc_norm", "mean", 1, LL, any_kwargs, pair},
    {"acc_bytes", "mean", 1, LL, any_kwargs, pair},
    {"acc_all", "mean", 1, LL, any_kwargs, pair},
    {"acc_mutual_info", "mean", 1, LL, any_kwargs, pair},
    {"likelihood", "mean", 1, LL, any_kwargs, pair},
    {"brier_score", "brier_score", 0, LL, any_kwargs, pair},
    {"mcc", "matthews_corrcoef", 1, LL, any_kwargs, pair},
    {"f1", "f1", 1, LL, any_kwargs, pair},
    {"perplexity", "perplexity", 0, ALL, any_kwargs, pair},
    {"word_perplexity", "weighted_perplexity", 0, ALL, any_kwargs, pair},
    {"byte_perplexity", "weighted_perplexity", 0, ALL, any_kwargs, pair},
    {"bits_per_byte", "bits_per_byte", 0, ALL, any_kwargs, pair},
    {"bleu", "bleu", 1, MU_METRIC_GENERATE, any_kwargs, pair},
    {"chrf", "chrf", 1, MU_METRIC_GENERATE, any_kwargs, pair},
    {"chrf++", "chrf++", 1, MU_METRIC_GENERATE, any_kwargs, pair},
    {"ter", "ter", 0, MU_METRIC_GENERATE, any_kwargs, pair},
    {"bypass", "bypass", 1, ALL, any_kwargs, nothing},
};

const struct mu_metric *mu_metric_at(int i)
{
    if (i < 0 || i > (int)MU_COUNT(handed_on))
        return NULL;
    return i == 0 ? &mu_metric_exact_match : &handed_on[i - 1];
}

const struct mu_metric *mu_metric_find(const char *name)
{
    for (int i = 0; mu_metric_at(i); i++)
        if (strcmp(mu_metric_at(i)->name, name) == 0)
            return mu_metric_at(i);
    return NULL;
}

const char *const *mu_metric_defaults(int output_type)
{
    static const char *const loglikelihood[] = {"perplexity", "acc", NULL};
    static const char *const rolling[] = {"word_perplexity", "byte_perplexity", "bits_per_byte", NULL};
    static const char *const choice[] = {"acc", "acc_norm", NULL};
    static const char *const generate[] = {"exact_match", NULL};

    switch (output_type) {
    case MU_OUTPUT_LOGLIKELIHOOD:
        return loglikelihood;
    case MU_OUTPUT_ROLLING:
        return rolling;
    case MU_OUTPUT_MULTIPLE_CHOICE:
        return choice;
    default:
        return generate;
    }
}
