/* serve_sampling.c - the fields that completions and chats share: how tokens are drawn, where the text ends */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_ask.h"

#define TEMPERATURE_MAX 100.0
#define PENALTY_MAX     100.0

static int no_memory(struct mu_api_error *x)
{
    return mu_api_fail(x, 503, NULL, "overloaded", "there is no memory for this request; try again a little later");
}

/* ---- where it ends ---- */

static int add_stop(struct mu_ask *a, const json_t *v, struct mu_api_error *x)
{
    size_t n = json_string_length(v);
    if (!json_is_string(v))
        return mu_api_fail(x, 400, "stop", "invalid_type", "stop must be a string or a list of strings");
    if (n < 1 || n > MU_STOP_BYTES_MAX || strlen(json_string_value(v)) != n)
        return mu_api_fail(x, 400, "stop", "invalid_value",
                           "a stop string has %zu bytes: 1 to %d are allowed, and no NUL", n, MU_STOP_BYTES_MAX);
    if (a->n_stop == MU_STOP_MAX)
        return mu_api_fail(x, 400, "stop", "invalid_value", "stop has more than %d strings", MU_STOP_MAX);
    a->stop[a->n_stop] = mu_strndup(json_string_value(v), n);
    if (!a->stop[a->n_stop])
        return no_memory(x);
    a->n_stop++;
    return MU_OK;
}

static int read_stop(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "stop");
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_array(v))
        return add_stop(a, v, x);
    for (size_t i = 0; i < json_array_size(v); i++)
        MU_TRY_RETURN(add_stop(a, json_array_get(v, i), x));
    return MU_OK;
}

static int read_stop_ids(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "stop_token_ids");
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_array(v) || json_array_size(v) > MU_STOP_MAX)
        return mu_api_fail(x, 400, "stop_token_ids", "invalid_value",
                           "stop_token_ids must be a list of at most %d token ids", MU_STOP_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return mu_api_fail(x, 400, "stop_token_ids", "invalid_type", "stop_token_ids must hold token ids");
        a->stop_ids[a->n_stop_ids++] = (int32_t)json_integer_value(id);
    }
    return MU_OK;
}

/* ---- how tokens are drawn ---- */

static int add_bias(struct mu_ask *a, const char *key, const json_t *value, struct mu_api_error *x)
{
    char *end = NULL;
    errno = 0;
    long id = strtol(key, &end, 10);
    if (end == key || *end || errno || id < 0 || id > INT32_MAX)
        return mu_api_fail(x, 400, "logit_bias", "invalid_value", "logit_bias: \"%.40s\" is no token id", key);
    double bias = json_number_value(value);
    if (!json_is_number(value) || !(bias >= -100 && bias <= 100))
        return mu_api_fail(x, 400, "logit_bias", "invalid_value",
                           "logit_bias of token %ld must be a number in -100 to 100", id);
    a->bias[a->sampling.n_bias++] = (struct mu_logit_bias){(int32_t)id, (float)bias};
    return MU_OK;
}

static int read_bias(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    json_t *v = json_object_get(o, "logit_bias"), *value;
    const char *key;
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_object(v) || json_object_size(v) > MU_BIAS_MAX)
        return mu_api_fail(x, 400, "logit_bias", "invalid_value",
                           "logit_bias must be an object of at most %d token ids with their biases", MU_BIAS_MAX);
    a->bias = mu_calloc(json_object_size(v), sizeof *a->bias);
    if (!a->bias)
        return no_memory(x);
    json_object_foreach(v, key, value)
    {
        MU_TRY_RETURN(add_bias(a, key, value, x));
    }
    a->sampling.bias = a->bias;
    return MU_OK;
}

static int read_seed(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    int64_t seed = 0;
    a->has_seed = mu_json_has(o, "seed");
    MU_TRY_RETURN(mu_field_int(o, "seed", INT64_MIN, INT64_MAX, &seed, x));
    a->sampling.seed = (uint64_t)seed;
    if (!a->has_seed && getrandom(&a->sampling.seed, sizeof a->sampling.seed, 0) < 0)
        a->sampling.seed = 0;
    return MU_OK;
}

static int read_numbers(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    int64_t top_k = 0, n = 1, best_of = 0, min_tokens = 0;
    struct mu_sampling *s = &a->sampling;
    s->temperature = 1;
    MU_TRY_RETURN(mu_field_real(o, "temperature", 0, TEMPERATURE_MAX, &s->temperature, x));
    MU_TRY_RETURN(mu_field_real(o, "top_p", 0x1p-1000, 1, &s->top_p, x));
    MU_TRY_RETURN(mu_field_real(o, "min_p", 0, 1, &s->min_p, x));
    MU_TRY_RETURN(mu_field_real(o, "presence_penalty", -2, 2, &s->presence, x));
    MU_TRY_RETURN(mu_field_real(o, "frequency_penalty", -2, 2, &s->frequency, x));
    MU_TRY_RETURN(mu_field_real(o, "repetition_penalty", 1 / PENALTY_MAX, PENALTY_MAX, &s->repetition, x));
    MU_TRY_RETURN(mu_field_int(o, "top_k", -1, INT32_MAX, &top_k, x));
    MU_TRY_RETURN(mu_field_int(o, "n", 1, MU_SERVE_CHOICES_MAX, &n, x));
    MU_TRY_RETURN(mu_field_int(o, "best_of", 1, INT32_MAX, &best_of, x));
    MU_TRY_RETURN(mu_field_int(o, "min_tokens", 0, INT32_MAX, &min_tokens, x));
    if (best_of && best_of != n)
        return mu_api_fail(x, 400, "best_of", "unsupported",
                           "best_of is %" PRId64 " and n is %" PRId64
                           ": only equal ones are served; ask for n and choose",
                           best_of, n);
    if (min_tokens)
        return mu_api_fail(x, 400, "min_tokens", "unsupported",
                           "min_tokens is not served; use ignore_eos or a logit_bias against the end token");
    s->top_k = top_k > 0 ? (int)top_k : 0;
    a->n = (int)n;
    return MU_OK;
}

static int read_stream(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "stream_options");
    MU_TRY_RETURN(mu_field_bool(o, "stream", &a->is_stream, x));
    if (!v || json_is_null(v))
        return MU_OK;
    if (!json_is_object(v))
        return mu_api_fail(x, 400, "stream_options", "invalid_type", "stream_options must be an object");
    if (!a->is_stream)
        return mu_api_fail(x, 400, "stream_options", "invalid_value", "stream_options needs stream to be true");
    return mu_field_bool(v, "include_usage", &a->wants_usage, x);
}

int mu_ask_sampling(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    MU_TRY_RETURN(read_numbers(a, o, x));
    MU_TRY_RETURN(read_seed(a, o, x));
    MU_TRY_RETURN(read_bias(a, o, x));
    MU_TRY_RETURN(read_stop(a, o, x));
    MU_TRY_RETURN(read_stop_ids(a, o, x));
    MU_TRY_RETURN(mu_field_bool(o, "ignore_eos", &a->ignores_eos, x));
    MU_TRY_RETURN(mu_field_bool(o, "return_tokens_as_token_ids", &a->names_ids, x));
    if (mu_json_has(o, "prompt_logprobs"))
        return mu_api_fail(x, 400, "prompt_logprobs", "unsupported",
                           "prompt_logprobs is not served; use /v1/completions with echo and logprobs");
    return read_stream(a, o, x);
}
