/* serve_ask.c - fuzz target: any bytes as the body of a completion (first byte even) or of a chat, with a tokenizer of
 * a few letters. What is accepted must keep the promises the engine's thread builds on. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dash/serve_ask.h"
#include "tok/open_memory.h"

static const char tokenizer[] =
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3, \"x\": 4, \"i\": 5}, "
    "\"merges\": [\"a b\"], \"unk_token\": \"x\"}, \"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": "
    "true}]}";
static const char template[] = "<s>{% for m in messages %}{{ m.content }}{% endfor %}";

static const struct mu_api *the_api(void)
{
    static struct mu_api api = {.model = "m", .context_max = 64, .vocab = 6};
    struct mu_err err;
    mu_tokenizer *tok;
    struct mu_chat *chat;
    if (api.tok)
        return &api;
    mu_json_init();
    if (mu_tokenizer_open_memory(&tok, tokenizer, sizeof tokenizer - 1, &err) != MU_OK ||
        mu_chat_from_text(&chat, MU_STR(template), NULL, "fuzz", &err) != MU_OK)
        abort();
    api.tok = tok;
    api.chat = chat;
    return &api;
}

static void check(const struct mu_ask *a)
{
    if (a->n < 1 || a->n_prompts < 1 || a->n_prompts * a->n > MU_SERVE_PARTS_MAX || a->cost > MU_SERVE_COST_MAX ||
        a->n_top < 0 || a->n_top > MU_TOP_MAX || a->n_stop > MU_STOP_MAX || a->sampling.n_bias > MU_BIAS_MAX)
        abort();
    for (int i = 0; i < a->n_prompts; i++) {
        const struct mu_prompt *p = &a->prompts[i];
        if (p->ids.n < 1 || p->max_tokens < 0 || (p->max_tokens == 0 && !a->is_echo) || (a->is_echo && !p->text) ||
            (p->max_tokens > 0 && p->ids.n + (size_t)p->max_tokens > 64))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_api_error x = {.status = 0};
    struct mu_ask a;
    if (n == 0)
        return 0;
    struct mu_str body = {(const char *)data + 1, n - 1};
    const struct mu_api *api = the_api();
    json_t *o = NULL;
    a = (struct mu_ask){.n = 0};
    int rc = mu_body_parse(&o, body, &x);
    if (rc == MU_OK)
        rc = data[0] & 1 ? mu_ask_chat(&a, api, o, &x) : mu_ask_completion(&a, api, o, &x);
    json_decref(o);
    if (rc == MU_OK)
        check(&a);
    else if (x.status < 400 || x.status > 599 || !x.err.text[0])
        abort();
    mu_ask_fini(&a);
    return 0;
}
