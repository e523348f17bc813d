/* serve_completions.c - POST /v1/completions and /v1/chat/completions: from a body to parts for the engine */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_int.h"

/* Unguessable enough to tell runs apart, and never the same twice in one. */
static void make_id(struct mu_call *c)
{
    uint64_t n = atomic_fetch_add(&c->s->n_ids, 1);
    snprintf(c->id, sizeof c->id, "%s-%016" PRIx64 "%08" PRIx64, c->ask.is_chat ? "chatcmpl" : "cmpl", c->s->id_key, n);
}

/* Only a prompt that is to be echoed and neither scored nor continued needs nothing computed. */
static bool needs_engine(const struct mu_ask *a, const struct mu_prompt *p)
{
    return p->max_tokens > 0 || (a->wants_logprobs && p->ids.n > 1);
}

static int make_parts(struct mu_call *c, struct mu_api_error *x)
{
    int n = c->ask.n_prompts * c->ask.n;
    c->parts = mu_calloc((size_t)n, sizeof *c->parts);
    if (!c->parts)
        return mu_api_fail(x, 503, NULL, "overloaded", "there is no memory for %d choices", n);
    c->n_parts = n;
    for (int i = 0; i < n; i++) {
        const struct mu_prompt *prompt = &c->ask.prompts[i / c->ask.n];
        c->parts[i] =
            (struct mu_part){.call = c, .prompt = prompt, .index = i, .needs_engine = needs_engine(&c->ask, prompt)};
    }
    return MU_OK;
}

static void prepare(struct mu_call *c, bool is_chat)
{
    struct mu_api_error x = {.status = 500};
    json_t *o;
    if (!mu_call_begin(c, &o))
        return;
    int rc = is_chat ? mu_ask_chat(&c->ask, &c->api, o, &x) : mu_ask_completion(&c->ask, &c->api, o, &x);
    json_decref(o);
    if (rc == MU_OK)
        rc = make_parts(c, &x);
    if (rc != MU_OK) {
        mu_call_refuse(c, &x);
        return;
    }
    make_id(c);
    mu_call_to_engine(c);
}

static void prepare_completion(struct mu_call *c)
{
    prepare(c, false);
}

static void prepare_chat(struct mu_call *c)
{
    prepare(c, true);
}

void mu_route_completions(void *arg, struct mu_http_request *r)
{
    mu_serve_take(arg, r, prepare_completion);
}

void mu_route_chat(void *arg, struct mu_http_request *r)
{
    mu_serve_take(arg, r, prepare_chat);
}
