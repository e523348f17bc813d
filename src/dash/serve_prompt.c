/* serve_prompt.c - prompts as token ids, and whether they and what is asked of them fit */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_ask.h"

#define POSITION_BYTES 48 /* a reported position, or one alternative of it, as numbers and then as text */

int mu_ask_new_prompts(struct mu_ask *a, size_t n, struct mu_api_error *x)
{
    if (n < 1 || n > MU_SERVE_PROMPTS_MAX || n * (size_t)a->n > MU_SERVE_PARTS_MAX)
        return mu_api_fail(x, 400, "prompt", "invalid_value",
                           "%zu prompts with %d choices each: 1 to %d prompts and at most %d choices are possible", n,
                           a->n, MU_SERVE_PROMPTS_MAX, MU_SERVE_PARTS_MAX);
    a->prompts = mu_calloc(n, sizeof *a->prompts);
    if (!a->prompts)
        return mu_api_fail(x, 503, NULL, "overloaded", "there is no memory for %zu prompts", n);
    a->n_prompts = (int)n;
    return MU_OK;
}

static int too_long(struct mu_api_error *x, const struct mu_api *api, const char *param, int64_t n, int64_t n_more)
{
    return mu_api_fail(x, 400, param, "context_length_exceeded",
                       "this model's maximum context length is %" PRId64 " tokens, and %" PRId64
                       " were asked for: %" PRId64 " in the prompt and %" PRId64 " to generate; shorten one of them",
                       api->context_max, n + n_more, n, n_more);
}

int mu_ask_encode(struct mu_prompt *p, const struct mu_api *api, struct mu_str text, unsigned flags, const char *param,
                  struct mu_api_error *x)
{
    struct mu_err err = MU_ERR_INIT;
    size_t ids_max = (size_t)api->context_max + 1;
    if (text.n / MU_SERVE_TOKEN_BYTES > ids_max)
        return mu_api_fail(x, 400, param, "context_length_exceeded",
                           "this model's maximum context length is %" PRId64
                           " tokens, and a text of %zu bytes is longer",
                           api->context_max, text.n);
    p->ids = (struct mu_ids)MU_IDS_INIT(ids_max);
    int rc = mu_tokenizer_encode(api->tok, text.p, text.n, MU_TOK_PARSE_SPECIAL | flags, &p->ids, &err);
    if (rc == MU_ELIMIT)
        return mu_api_fail(x, 400, param, "context_length_exceeded",
                           "this model's maximum context length is %" PRId64 " tokens, and the prompt has more",
                           api->context_max);
    if (rc != MU_OK)
        return mu_api_fail(x, rc == MU_ENOMEM ? 503 : 400, param, "invalid_value", "%s", err.text);
    return MU_OK;
}

/* How many tokens may follow the prompt. */
static int settle_prompt(struct mu_ask *a, struct mu_prompt *p, const struct mu_api *api, const char *param,
                         int64_t dflt, struct mu_api_error *x)
{
    int64_t n = (int64_t)p->ids.n, room = api->context_max - n;
    if (n == 0)
        return mu_api_fail(x, 400, param, "invalid_value",
                           "the prompt comes to no tokens; begin with the model's BOS token");
    if (a->max_tokens == 0)
        return n - 1 <= api->context_max ? MU_OK : too_long(x, api, param, n, 0);
    if (a->max_tokens > room || room < 1)
        return too_long(x, api, param, n, MU_MAX(a->max_tokens, 1));
    p->max_tokens = (int)(a->max_tokens > 0 ? a->max_tokens : MU_MIN(room, dflt));
    return MU_OK;
}

static size_t cost_of(const struct mu_ask *a, const struct mu_prompt *p)
{
    size_t positions = (size_t)p->max_tokens + (a->wants_logprobs && a->is_echo ? p->ids.n : 0);
    size_t each = a->wants_logprobs ? POSITION_BYTES * (size_t)(a->n_top + 2) : POSITION_BYTES / 2;
    return p->ids.n * sizeof *p->ids.v + p->text_bytes + (size_t)a->n * positions * each;
}

int mu_ask_settle(struct mu_ask *a, const struct mu_api *api, const char *param, int64_t max_tokens_default,
                  struct mu_api_error *x)
{
    for (int i = 0; i < a->n_prompts; i++) {
        MU_TRY_RETURN(settle_prompt(a, &a->prompts[i], api, param, max_tokens_default, x));
        a->cost += cost_of(a, &a->prompts[i]);
    }
    if (a->cost > MU_SERVE_COST_MAX)
        return mu_api_fail(
            x, 400, param, "request_too_large",
            "the answer could take %zu bytes and %zu is the most: ask for fewer prompts, choices, tokens "
            "or alternatives at a time",
            a->cost, MU_SERVE_COST_MAX);
    return MU_OK;
}

void mu_ask_fini(struct mu_ask *a)
{
    for (int i = 0; i < a->n_prompts; i++) {
        mu_ids_fini(&a->prompts[i].ids);
        mu_free(a->prompts[i].text);
    }
    for (int i = 0; i < a->n_stop; i++)
        mu_free(a->stop[i]);
    mu_free(a->prompts);
    mu_free(a->bias);
    *a = (struct mu_ask){.n = 0};
}
