/* sampler.c - the order of sampling */
#include "engine/sample/sampler.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"

void mu_sampler_carve(struct mu_sampler *s, struct mu_carve *c, int64_t vocab)
{
    s->vocab = vocab;
    s->x = mu_carve(c, vocab, sizeof *s->x);
    s->candidates = mu_carve(c, vocab, sizeof *s->candidates);
    s->count = mu_carve(c, vocab, sizeof *s->count);
}

/* NaN lies in no range. */
static int check_range(const char *name, double v, double lo, double hi, const char *way_out, struct mu_err *e)
{
    if (v >= lo && v <= hi)
        return MU_OK;
    return mu_fail(e, MU_EINVAL, "%s is %g: it must lie in %g to %g%s", name, v, lo, hi, way_out);
}

int mu_sampling_check(const struct mu_sampling *o, int64_t vocab, struct mu_err *e)
{
    MU_TRY_RETURN(check_range("temperature", o->temperature, 0, 1e6, "; 0 is greedy", e));
    if (o->top_k < 0)
        return mu_fail(e, MU_EINVAL, "top-k is %d: it must be positive, or 0 to switch it off", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return mu_fail(e, MU_EINVAL, "top-p is %g: it must be above 0 and at most 1; 1 switches it off", o->top_p);
    MU_TRY_RETURN(check_range("min-p", o->min_p, 0, 1, "; 0 switches it off", e));
    if (!(o->repetition > 0 && o->repetition <= 1e6))
        return mu_fail(e, MU_EINVAL, "repetition penalty is %g: it must be above 0 and at most 1e6; 1 switches it off",
                       o->repetition);
    MU_TRY_RETURN(check_range("frequency penalty", o->frequency, -2, 2, "; 0 switches it off", e));
    MU_TRY_RETURN(check_range("presence penalty", o->presence, -2, 2, "; 0 switches it off", e));
    if (o->n_bias < 0 || o->n_bias > MU_BIAS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d logit biases: at most %d", o->n_bias, MU_BIAS_MAX);
    for (int i = 0; i < o->n_bias; i++) {
        if (o->bias[i].id < 0 || o->bias[i].id >= vocab)
            return mu_fail(e, MU_EINVAL, "logit bias for token %" PRId32 ", outside the vocabulary of %" PRId64,
                           o->bias[i].id, vocab);
        if (!isfinite(o->bias[i].bias))
            return mu_fail(e, MU_EINVAL, "logit bias of token %" PRId32 " is not a finite number", o->bias[i].id);
    }
    return MU_OK;
}

static int32_t first_largest(const double *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[best])
            best = i;
    }
    return (int32_t)best;
}

static int32_t pick(struct mu_sampler *s, const struct mu_sampling *o, uint64_t draw)
{
    double sum;
    int64_t n = mu_truncate(s, o, &sum);
    double target = mu_uniform(o->seed, draw) * sum, passed = 0;
    for (int64_t i = 0; i < n; i++) {
        passed += s->x[s->candidates[i]];
        if (target < passed)
            return s->candidates[i];
    }
    return s->candidates[n - 1];
}

int mu_sample(struct mu_sampler *s, const struct mu_sampling *o, const float *logits, int32_t argmax,
              const int32_t *ids, int n_given, int n_ids, uint64_t draw, int32_t *out, struct mu_err *e)
{
    *out = argmax;
    if (o->temperature == 0 && !mu_penalties_any(o))
        return MU_OK;
    mu_penalties_apply(s, o, logits, ids, n_given, n_ids);
    int32_t best = first_largest(s->x, s->vocab);
    double max = s->x[best];
    if (!isfinite(max))
        return mu_fail(e, MU_ENUMERIC, "the best logit after penalties is %g", max);
    *out = best;
    if (o->temperature == 0)
        return MU_OK;
    for (int64_t i = 0; i < s->vocab; i++)
        s->x[i] = exp((s->x[i] - max) / o->temperature);
    *out = pick(s, o, draw);
    return MU_OK;
}
