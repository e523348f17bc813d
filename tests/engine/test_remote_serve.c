/* test_remote_serve.c - the remote engine against `muster serve`: the numbers and texts of the light engine */
#include "xt.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve.h"
#include <muster/engine.h>

#define MODEL   "models/muster-llama-tiny"
#define CONTEXT 256

struct fixture {
    mu_tokenizer *tok;
    mu_engine *served, *light, *remote;
    struct mu_serve_model model;
    struct mu_serve *serve;
    size_t heap;
};

static mu_engine *open_light(const struct fixture *f)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    o.model = MODEL;
    o.tokenizer = f->tok;
    o.threads = 1;
    o.context_max = CONTEXT;
    o.sequences_max = 16;
    o.rows_max = 64;
    o.kv_tokens_max = 16 * CONTEXT;
    XT_OK(mu_engine_open(&eng, &o, &err));
    return eng;
}

static void begin(struct fixture *f)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    char endpoint[64];
    unsetenv("OPENAI_API_KEY");
    *f = (struct fixture){.heap = mu_mem_bytes_used()};
    XT_OK(mu_tokenizer_open(&f->tok, MODEL, NULL, &err));
    f->served = open_light(f);
    f->light = open_light(f);
    f->model = (struct mu_serve_model){.eng = f->served, .tok = f->tok};
    struct mu_serve_opts so = {.name = "tiny", .model = &f->model};
    XT_OK(mu_serve_open(&f->serve, &so, &err));
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", mu_serve_port(f->serve));
    o.endpoint = endpoint;
    o.tokenizer = f->tok;
    XT_OK(mu_engine_open(&f->remote, &o, &err));
}

static void end(struct fixture *f)
{
    mu_engine_close(f->remote);
    mu_serve_close(f->serve);
    mu_engine_close(f->served);
    mu_engine_close(f->light);
    mu_tokenizer_close(f->tok);
    XT_EQ(mu_mem_bytes_used(), f->heap);
}

static struct mu_result *ask(mu_engine *eng, const struct mu_request *q)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *r;
    XT_OK(mu_engine_run(eng, q, 1, &r, &err));
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    return r;
}

static void same_tokens(const struct mu_logprobs *a, const struct mu_logprobs *b)
{
    XT_EQ(a->n, b->n);
    for (int i = 0; i < a->n; i++) {
        XT_EQ(a->ids[i], b->ids[i]);
        XT_NEAR(a->logprob[i], b->logprob[i], 1e-6);
        XT_EQ(a->is_greedy[i], b->is_greedy[i]);
        for (int k = 0; k < a->n_top; k++) {
            XT_EQ(a->top[i * a->n_top + k].id, b->top[i * a->n_top + k].id);
            XT_NEAR(a->top[i * a->n_top + k].logprob, b->top[i * a->n_top + k].logprob, 1e-6);
        }
    }
}

static void compare(struct fixture *f, const struct mu_request *q)
{
    struct mu_result *a = ask(f->light, q), *b = ask(f->remote, q);
    XT_NEAR(a->logprob_sum, b->logprob_sum, 1e-6);
    XT_EQ(a->is_greedy, b->is_greedy);
    XT_EQ(a->finish, b->finish);
    XT_EQ(a->stop_id, b->stop_id);
    same_tokens(&a->tokens, &b->tokens);
    same_tokens(&a->prompt, &b->prompt);
    XT_EQ(a->n_alternatives, b->n_alternatives);
    for (int i = 0; i < a->n_alternatives; i++) {
        XT_EQ(a->alternatives[i].id, b->alternatives[i].id);
        XT_NEAR(a->alternatives[i].logprob_sum, b->alternatives[i].logprob_sum, 1e-6);
        XT_NEAR(a->alternatives[i].logprob, b->alternatives[i].logprob, 1e-6);
        XT_EQ(a->alternatives[i].is_greedy, b->alternatives[i].is_greedy);
    }
    if (a->text)
        XT_STREQ(a->text, b->text);
    mu_result_free(a);
    mu_result_free(b);
}

static int encode(const struct fixture *f, const char *text, int32_t *out, int max)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT((size_t)max);
    XT_OK(mu_tokenizer_encode(f->tok, text, strlen(text), MU_TOK_ADD_SPECIAL, &ids, &err));
    memcpy(out, ids.v, ids.n * sizeof *out);
    int n = (int)ids.n;
    mu_ids_fini(&ids);
    return n;
}

static const char prompt_text[] = "The capital of France is Paris and the river there is";

XT_TEST(scores_equal_the_light_engine_s)
{
    struct fixture f;
    struct mu_request q = MU_REQUEST_INIT;
    int32_t ids[64];
    const int32_t alternatives[] = {3, 50, 200, 77};
    begin(&f);
    int n = encode(&f, prompt_text, ids, 64);
    XT_CHECK(n > 6);
    q.kind = MU_REQUEST_SCORE;
    q.ids = ids;
    q.n_ids = n - 4;
    q.continuation = ids + n - 4;
    q.n_continuation = 4;
    q.alternatives = alternatives;
    q.n_alternatives = 4;
    q.n_top = 3;
    compare(&f, &q);
    q.kind = MU_REQUEST_ROLLING;
    q.n_ids = n;
    q.n_alternatives = 0;
    q.n_top = 0;
    compare(&f, &q);
    end(&f);
}

/* One token more than the context: the last is never fed. */
XT_TEST(the_longest_text_is_scored_too)
{
    struct fixture f;
    struct mu_request q = MU_REQUEST_INIT;
    int32_t ids[CONTEXT + 1];
    begin(&f);
    for (int i = 0; i <= CONTEXT; i++)
        ids[i] = 10 + i % 300;
    q.kind = MU_REQUEST_ROLLING;
    q.ids = ids;
    q.n_ids = CONTEXT + 1;
    compare(&f, &q);
    end(&f);
}

XT_TEST(texts_equal_the_light_engine_s)
{
    struct fixture f;
    struct mu_request q = MU_REQUEST_INIT;
    const char *stop[] = {".", " the"};
    int32_t ids[64];
    begin(&f);
    q.kind = MU_REQUEST_GENERATE;
    q.ids = ids;
    q.n_ids = encode(&f, prompt_text, ids, 64);
    q.max_tokens = 40;
    compare(&f, &q);
    q.n_top = 2;
    q.want_prompt_logprobs = true;
    compare(&f, &q);
    q.n_top = 0;
    q.want_prompt_logprobs = false;
    q.stop = stop;
    q.n_stop = 2;
    compare(&f, &q);
    q.n_stop = 0;
    q.sampling.temperature = 0.9;
    q.sampling.top_k = 20;
    q.sampling.top_p = 0.95;
    q.sampling.repetition = 1.1;
    for (uint64_t seed = 0; seed < 4; seed++) {
        q.sampling.seed = seed * 0x9e3779b97f4a7c15u;
        compare(&f, &q);
    }
    end(&f);
}

struct heard {
    char text[1024];
    int n;
};

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct heard *h = arg;
    strncat(h->text, ev->text, MU_MIN(ev->text_bytes, sizeof h->text - strlen(h->text) - 1));
    h->n++;
    return 0;
}

XT_TEST(a_stream_tells_the_same_text)
{
    struct fixture f;
    struct mu_request q = MU_REQUEST_INIT;
    struct heard a = {.n = 0}, b = {.n = 0};
    int32_t ids[64];
    begin(&f);
    q.kind = MU_REQUEST_GENERATE;
    q.ids = ids;
    q.n_ids = encode(&f, prompt_text, ids, 64);
    q.max_tokens = 30;
    q.on_token = on_token;
    q.on_token_arg = &a;
    mu_result_free(ask(f.light, &q));
    q.on_token_arg = &b;
    struct mu_result *r = ask(f.remote, &q);
    XT_STREQ(a.text, b.text);
    XT_STREQ(b.text, r->text);
    XT_CHECKF(b.n > 5, "%d events", b.n); /* piece by piece, not at the end */
    mu_result_free(r);
    end(&f);
}

XT_TEST(what_the_server_refuses_is_the_request_s_failure_only)
{
    struct fixture f;
    struct mu_request q = MU_REQUEST_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *r;
    int32_t ids[] = {5, 6};
    begin(&f);
    q.kind = MU_REQUEST_GENERATE;
    q.ids = ids;
    q.n_ids = 2;
    q.max_tokens = 3;
    q.sampling.temperature = 1000; /* the server's bound is 100 */
    XT_OK(mu_engine_run(f.remote, &q, 1, &r, &err));
    XT_EQ(r->code, MU_EINVAL);
    XT_CHECKF(strstr(r->err.text, "temperature is 1000"), "%s", r->err.text);
    mu_result_free(r);
    q.sampling.temperature = 0;
    compare(&f, &q);
    end(&f);
}
