/* serve_ask_completion.c - the body of POST /v1/completions */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_ask.h"

#define MAX_TOKENS_DEFAULT 16 /* as OpenAI's and vLLM's servers */

/* ---- prompts: a text, ids, or a list of either ---- */

static int keep_text(struct mu_prompt *p, struct mu_str text, struct mu_api_error *x)
{
    p->text = mu_strndup(text.p, text.n);
    if (!p->text)
        return mu_api_fail(x, 503, NULL, "overloaded", "there is no memory for a prompt");
    p->text_bytes = text.n;
    return MU_OK;
}

static int read_text(const struct mu_ask *a, struct mu_prompt *p, const struct mu_api *api, const json_t *v,
                     unsigned flags, struct mu_api_error *x)
{
    struct mu_str text = {json_string_value(v), json_string_length(v)};
    MU_TRY_RETURN(mu_ask_encode(p, api, text, flags, "prompt", x));
    return a->is_echo ? keep_text(p, text, x) : MU_OK;
}

/* Ids come back as their text, special tokens spelled out. */
static int spell_ids(struct mu_prompt *p, const struct mu_api *api, struct mu_api_error *x)
{
    struct mu_buf text = MU_BUF_INIT("an echoed prompt", MU_SERVE_TEXT_MAX);
    struct mu_err err = MU_ERR_INIT;
    int rc = mu_tokenizer_decode(api->tok, p->ids.v, p->ids.n, 0, &text, &err);
    if (rc == MU_OK)
        rc = keep_text(p, mu_buf_str(&text), x);
    else
        rc = mu_api_fail(x, rc == MU_ENOMEM ? 503 : 400, "prompt", "invalid_value", "%s", err.text);
    mu_buf_fini(&text);
    return rc;
}

static int read_ids(const struct mu_ask *a, struct mu_prompt *p, const struct mu_api *api, const json_t *v,
                    struct mu_api_error *x)
{
    struct mu_err err;
    size_t n = json_array_size(v);
    if (n > (size_t)api->context_max + 1)
        return mu_api_fail(x, 400, "prompt", "context_length_exceeded",
                           "this model's maximum context length is %" PRId64 " tokens, and the prompt has %zu",
                           api->context_max, n);
    p->ids = (struct mu_ids)MU_IDS_INIT(n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id))
            return mu_api_fail(x, 400, "prompt", "invalid_type", "a prompt of token ids holds something else");
        int64_t value = (int64_t)json_integer_value(id);
        if (value < 0 || value >= api->vocab)
            return mu_api_fail(x, 400, "prompt", "invalid_value",
                               "token %zu of a prompt is %" PRId64 ", outside the vocabulary of %" PRId64, i, value,
                               api->vocab);
        if (mu_ids_add(&p->ids, (int32_t)value, &err) != MU_OK)
            return mu_api_fail(x, 503, NULL, "overloaded", "%s", err.text);
    }
    return a->is_echo ? spell_ids(p, api, x) : MU_OK;
}

static int read_prompts(struct mu_ask *a, const struct mu_api *api, const json_t *o, unsigned flags,
                        struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "prompt");
    bool is_many = json_is_array(v) && !json_is_integer(json_array_get(v, 0));
    if (!json_is_string(v) && !json_is_array(v))
        return mu_api_fail(x, 400, "prompt", "invalid_type",
                           "prompt must be a string, a list of token ids, or a list of either");
    MU_TRY_RETURN(mu_ask_new_prompts(a, is_many ? json_array_size(v) : 1, x));
    for (int i = 0; i < a->n_prompts; i++) {
        const json_t *one = is_many ? json_array_get(v, (size_t)i) : v;
        if (json_is_string(one))
            MU_TRY_RETURN(read_text(a, &a->prompts[i], api, one, flags, x));
        else if (json_is_array(one))
            MU_TRY_RETURN(read_ids(a, &a->prompts[i], api, one, x));
        else
            return mu_api_fail(x, 400, "prompt", "invalid_type", "prompt %d is neither a string nor token ids", i);
    }
    return MU_OK;
}

/* ---- the body ---- */

static int read_logprobs(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    int64_t n = -1;
    MU_TRY_RETURN(mu_field_int(o, "logprobs", 0, MU_TOP_MAX, &n, x));
    a->wants_logprobs = n >= 0;
    a->n_top = n > 0 ? (int)n : 0;
    return MU_OK;
}

int mu_ask_completion(struct mu_ask *a, const struct mu_api *api, const json_t *o, struct mu_api_error *x)
{
    bool adds_special = true;
    *a = (struct mu_ask){.max_tokens = -1, .n = 1, .sampling = MU_SAMPLING_GREEDY};
    if (mu_json_has(o, "suffix"))
        return mu_api_fail(x, 400, "suffix", "unsupported", "suffix is not served");
    MU_TRY_RETURN(mu_ask_sampling(a, o, x));
    MU_TRY_RETURN(read_logprobs(a, o, x));
    MU_TRY_RETURN(mu_field_bool(o, "echo", &a->is_echo, x));
    MU_TRY_RETURN(mu_field_bool(o, "add_special_tokens", &adds_special, x));
    MU_TRY_RETURN(mu_field_int(o, "max_tokens", a->is_echo ? 0 : 1, INT32_MAX, &a->max_tokens, x));
    MU_TRY_RETURN(read_prompts(a, api, o, adds_special ? MU_TOK_ADD_SPECIAL : 0u, x));
    return mu_ask_settle(a, api, "prompt", MAX_TOKENS_DEFAULT, x);
}
