/* generation.c - see generation.h */
#include "fmt/generation.h"

#include <inttypes.h>

#include "base/check.h"

#define TOKENS_MAX ((int64_t)1 << 40) /* for lengths: far above any context */
#define IDS_MAX    INT32_MAX

static int take_real(double *out, const json_t *tree, const char *key, double hi, const char *where, struct mu_err *e)
{
    return mu_json_has(tree, key) ? mu_json_real(tree, key, 0, hi, out, where, e) : MU_OK;
}

static int take_int(int64_t *out, const json_t *tree, const char *key, int64_t hi, const char *where, struct mu_err *e)
{
    return mu_json_has(tree, key) ? mu_json_int(tree, key, 0, hi, out, where, e) : MU_OK;
}

static int take_sampling(struct mu_generation *g, const json_t *tree, const char *where, struct mu_err *e)
{
    bool do_sample;
    if (mu_json_has(tree, "do_sample")) {
        MU_TRY_RETURN(mu_json_bool(tree, "do_sample", &do_sample, where, e));
        g->do_sample = do_sample;
    }
    MU_TRY_RETURN(take_real(&g->temperature, tree, "temperature", 1e6, where, e));
    MU_TRY_RETURN(take_real(&g->top_p, tree, "top_p", 1, where, e));
    MU_TRY_RETURN(take_real(&g->min_p, tree, "min_p", 1, where, e));
    MU_TRY_RETURN(take_real(&g->typical_p, tree, "typical_p", 1, where, e));
    MU_TRY_RETURN(take_real(&g->repetition_penalty, tree, "repetition_penalty", 1e6, where, e));
    MU_TRY_RETURN(take_int(&g->top_k, tree, "top_k", IDS_MAX, where, e));
    MU_TRY_RETURN(take_int(&g->max_length, tree, "max_length", TOKENS_MAX, where, e));
    MU_TRY_RETURN(take_int(&g->max_new_tokens, tree, "max_new_tokens", TOKENS_MAX, where, e));
    MU_TRY_RETURN(take_int(&g->min_length, tree, "min_length", TOKENS_MAX, where, e));
    return take_int(&g->min_new_tokens, tree, "min_new_tokens", TOKENS_MAX, where, e);
}

/* An id that may be -1, which older files write for "none". */
static int take_id(int64_t *out, const json_t *tree, const char *key, const char *where, struct mu_err *e)
{
    if (*out >= 0 || !mu_json_has(tree, key))
        return MU_OK;
    return mu_json_int(tree, key, -1, IDS_MAX, out, where, e);
}

static int take_eos(struct mu_generation *g, const json_t *tree, const char *where, struct mu_err *e)
{
    const json_t *v = json_object_get(tree, "eos_token_id");
    int64_t id = -1;
    if (g->n_eos > 0 || !mu_json_has(tree, "eos_token_id"))
        return MU_OK;
    if (!json_is_array(v)) {
        MU_TRY_RETURN(take_id(&id, tree, "eos_token_id", where, e));
        if (id >= 0)
            g->eos[g->n_eos++] = id;
        return MU_OK;
    }
    if (json_array_size(v) > MU_EOS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: \"eos_token_id\" lists %zu ids, at most %d are supported", where,
                       json_array_size(v), MU_EOS_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > IDS_MAX)
            return mu_fail(e, MU_EFORMAT, "%s: entry %zu of \"eos_token_id\" is not a token id", where, i);
        g->eos[g->n_eos++] = json_integer_value(item);
    }
    return MU_OK;
}

static int take_ids(struct mu_generation *g, const json_t *tree, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(take_eos(g, tree, where, e));
    MU_TRY_RETURN(take_id(&g->bos, tree, "bos_token_id", where, e));
    return take_id(&g->pad, tree, "pad_token_id", where, e);
}

static int check_limits(const struct mu_generation *g, const char *where, struct mu_err *e)
{
    if (g->do_sample == 1 && g->temperature == 0)
        return mu_fail(e, MU_EFORMAT,
                       "%s: \"do_sample\" is true though \"temperature\" is 0; choose one: greedy, or a temperature",
                       where);
    if (g->repetition_penalty == 0)
        return mu_fail(e, MU_EFORMAT, "%s: \"repetition_penalty\" is 0, it must be above; 1 means none", where);
    if (g->max_length >= 0 && g->min_length > g->max_length)
        return mu_fail(e, MU_EFORMAT, "%s: \"min_length\" is %" PRId64 ", above \"max_length\", %" PRId64, where,
                       g->min_length, g->max_length);
    if (g->max_new_tokens >= 0 && g->min_new_tokens > g->max_new_tokens)
        return mu_fail(e, MU_EFORMAT, "%s: \"min_new_tokens\" is %" PRId64 ", above \"max_new_tokens\", %" PRId64,
                       where, g->min_new_tokens, g->max_new_tokens);
    return MU_OK;
}

/* Padding may lie outside: it is never fed to the model, and published files have it one past the end. */
static int check_vocab(const struct mu_generation *g, const json_t *config, const char *where, const char *where_config,
                       struct mu_err *e)
{
    int64_t vocab;
    if (!config || !mu_json_has(config, "vocab_size"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_int(config, "vocab_size", 1, IDS_MAX, &vocab, where_config, e));
    for (int i = 0; i < g->n_eos; i++)
        if (g->eos[i] >= vocab)
            return mu_fail(e, MU_EFORMAT, "%s: \"eos_token_id\" is %" PRId64 ", the vocabulary of %s has %" PRId64,
                           where, g->eos[i], where_config, vocab);
    if (g->bos >= vocab)
        return mu_fail(e, MU_EFORMAT, "%s: \"bos_token_id\" is %" PRId64 ", the vocabulary of %s has %" PRId64, where,
                       g->bos, where_config, vocab);
    return MU_OK;
}

int mu_generation_parse(struct mu_generation *out, const json_t *generation, const json_t *config,
                        const char *where_generation, const char *where_config, struct mu_err *e)
{
    struct mu_generation g = {.bos = -1,
                              .pad = -1,
                              .do_sample = -1,
                              .temperature = -1,
                              .top_p = -1,
                              .min_p = -1,
                              .typical_p = -1,
                              .repetition_penalty = -1,
                              .top_k = -1,
                              .max_length = -1,
                              .max_new_tokens = -1,
                              .min_length = -1,
                              .min_new_tokens = -1};
    const char *where = generation ? where_generation : where_config;
    const json_t *sampling = generation ? generation : config;
    if (sampling && !json_is_object(sampling))
        return mu_fail(e, MU_EFORMAT, "%s is not a JSON object", where);
    if (sampling)
        MU_TRY_RETURN(take_sampling(&g, sampling, where, e));
    if (generation)
        MU_TRY_RETURN(take_ids(&g, generation, where_generation, e));
    if (config)
        MU_TRY_RETURN(take_ids(&g, config, where_config, e));
    MU_TRY_RETURN(check_limits(&g, where, e));
    MU_TRY_RETURN(check_vocab(&g, config, where, where_config, e));
    *out = g;
    return MU_OK;
}

bool mu_generation_is_eos(const struct mu_generation *g, int64_t id)
{
    for (int i = 0; i < g->n_eos; i++)
        if (g->eos[i] == id)
            return true;
    return false;
}
