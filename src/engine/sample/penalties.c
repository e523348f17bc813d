/* penalties.c - what a request's own history does to the next token's logits
 *
 * Repetition: Keskar et al., "CTRL" (2019), section 4.1, as Hugging Face applies it to prompt and output: once for each
 * token seen. Frequency and presence: OpenAI's API, on the output only. */
#include "engine/sample/sampler.h"

bool mu_penalties_any(const struct mu_sampling *o)
{
    return o->n_bias > 0 || o->repetition != 1 || o->frequency != 0 || o->presence != 0;
}

/* Each token of ids once; the marks in count are taken back. */
static void repeat(struct mu_sampler *s, double r, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) {
        if (s->count[ids[i]]++ > 0)
            continue;
        double *x = &s->x[ids[i]];
        *x = *x > 0 ? *x / r : *x * r;
    }
    for (int i = 0; i < n; i++)
        s->count[ids[i]] = 0;
}

static void count_output(struct mu_sampler *s, double frequency, double presence, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        s->count[ids[i]]++;
    for (int i = 0; i < n; i++) {
        int32_t count = s->count[ids[i]];
        if (count == 0)
            continue; /* done at its first place */
        s->x[ids[i]] -= frequency * count + presence;
        s->count[ids[i]] = 0;
    }
}

void mu_penalties_apply(struct mu_sampler *s, const struct mu_sampling *o, const float *logits, const int32_t *ids,
                        int n_given, int n_ids)
{
    for (int64_t i = 0; i < s->vocab; i++)
        s->x[i] = logits[i];
    for (int i = 0; i < o->n_bias; i++)
        s->x[o->bias[i].id] += o->bias[i].bias;
    if (o->repetition != 1)
        repeat(s, o->repetition, ids, n_ids);
    if (o->frequency != 0 || o->presence != 0)
        count_output(s, o->frequency, o->presence, ids + n_given, n_ids - n_given);
}
