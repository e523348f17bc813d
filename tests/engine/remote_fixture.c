/* remote_fixture.c - see remote_fixture.h */
#include "remote_fixture.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "engine/remote/request.h"
#include "xt.h"

#define TICK_NS   (SECOND_NS / 10) /* of the fake clock, for each millisecond of the machine's */
#define TICKS_MAX 60000            /* a minute: far above anything a test waits for */
#define N_IDS_MAX 64

/* ---- an engine and a clock that moves while it polls ---- */

void rf_begin(struct rf *f, void (*answer)(struct remote_server *, int, int, const char *, const char *))
{
    *f = (struct rf){.server = {.answer = answer}, .opts = MU_ENGINE_OPTS_INIT, .heap = mu_mem_bytes_used()};
    unsetenv("OPENAI_API_KEY");
    rs_start(&f->server);
    mu_clock_fake_init(&f->clock, SECOND_NS);
    f->opts.endpoint = f->server.endpoint;
    f->opts.clock = &f->clock;
    f->opts.attempts_max = 3;
    f->opts.concurrency = 1;
    f->opts.retry_seed = 1;
}

void rf_open(struct rf *f)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_engine_open(&f->eng, &f->opts, &err));
}

void rf_end(struct rf *f)
{
    mu_engine_close(f->eng);
    rs_stop(&f->server);
    XT_EQ(mu_mem_bytes_used(), f->heap);
}

struct mu_result *rf_drive(struct rf *f)
{
    struct mu_result *r = NULL;
    struct mu_err err = MU_ERR_INIT;
    for (int i = 0; i < TICKS_MAX; i++) {
        int rc = mu_engine_poll(f->eng, &r, 0, &err);
        if (rc != MU_ETIMEDOUT) {
            XT_OK(rc);
            return r;
        }
        mu_clock_fake_advance(&f->clock, TICK_NS);
        poll(NULL, 0, 1);
    }
    xt_fail(__FILE__, __LINE__, "the engine hangs");
}

struct mu_result *rf_ask(struct rf *f, const struct mu_request *q)
{
    struct mu_err err = MU_ERR_INIT;
    uint64_t id;
    XT_OK(mu_engine_submit(f->eng, q, &id, &err));
    struct mu_result *r = rf_drive(f);
    XT_CHECK(r && r->id == id);
    return r;
}

struct mu_result *rf_play(struct rf *f, void (*answer)(struct remote_server *, int, int, const char *, const char *),
                          const char *text, const struct mu_request *q)
{
    rf_begin(f, answer);
    f->server.arg = (void *)(uintptr_t)text;
    rf_open(f);
    return rf_ask(f, q);
}

const int32_t rf_context[3] = {11, 12, 13}, rf_continuation[3] = {14, 15, 16};

struct mu_request rf_score_request(void)
{
    struct mu_request q = MU_REQUEST_INIT;
    q.kind = MU_REQUEST_SCORE;
    q.ids = rf_context;
    q.n_ids = 3;
    q.continuation = rf_continuation;
    q.n_continuation = 3;
    return q;
}

struct mu_request rf_generate_request(int max_tokens)
{
    struct mu_request q = MU_REQUEST_INIT;
    q.kind = MU_REQUEST_GENERATE;
    q.ids = rf_context;
    q.n_ids = 3;
    q.max_tokens = max_tokens;
    return q;
}

/* ---- a server that scores: token t costs t / 10, and is the most likely one when it is even ---- */

struct asked {
    int ids[N_IDS_MAX], n, max_tokens;
    bool is_echo, names_ids, has_prompt_logprobs;
};

static struct asked read_asked(const char *body)
{
    struct asked a = {.max_tokens = -1};
    json_t *o = json_loads(body, 0, NULL);
    const json_t *prompt = json_object_get(o, "prompt");
    for (size_t i = 0; i < json_array_size(prompt) && a.n < N_IDS_MAX; i++)
        a.ids[a.n++] = (int)json_integer_value(json_array_get(prompt, i));
    a.max_tokens = (int)json_integer_value(json_object_get(o, "max_tokens"));
    a.is_echo = json_is_true(json_object_get(o, "echo"));
    a.names_ids = json_is_true(json_object_get(o, "return_tokens_as_token_ids"));
    a.has_prompt_logprobs = json_is_integer(json_object_get(o, "prompt_logprobs"));
    json_decref(o);
    return a;
}

double rf_cost(int id)
{
    return -id / 10.0;
}

static double best(int id)
{
    return id % 2 == 0 ? rf_cost(id) : rf_cost(id) + 0.05;
}

static void add(char *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + strlen(out), 8000 - strlen(out), fmt, args);
    va_end(args);
}

static void reply_echo(int fd, const struct asked *a)
{
    char out[8000] = "{\"choices\": [{\"text\": \"x\", \"finish_reason\": \"length\", \"logprobs\": {\"tokens\": [";
    int n = a->n + a->max_tokens;
    for (int i = 0; i < n; i++)
        add(out, a->names_ids ? "%s\"token_id:%d\"" : "%s\"t%d\"", i ? ", " : "", i < a->n ? a->ids[i] : 0);
    add(out, "], \"token_logprobs\": [null");
    for (int i = 1; i < n; i++)
        add(out, ", %.17g", i < a->n ? rf_cost(a->ids[i]) : -0.5);
    add(out, "], \"top_logprobs\": [null");
    for (int i = 1; i < n; i++) {
        int id = i < a->n ? a->ids[i] : 0;
        const char *name = a->names_ids ? "token_id:" : "t";
        add(out, ", {\"%s%d\": %.17g, \"%s%d\": %.17g}", name, RF_BEST, best(id), name, id, rf_cost(id));
    }
    add(out, "]}}]}");
    rs_reply(fd, 200, NULL, out);
}

static void reply_prompt_logprobs(int fd, const struct asked *a)
{
    char out[8000] = "{\"choices\": [{\"text\": \"x\", \"finish_reason\": \"length\", \"prompt_logprobs\": [null";
    for (int i = 1; i < a->n; i++)
        add(out, ", {\"%d\": {\"logprob\": %.17g, \"rank\": 1}, \"%d\": {\"logprob\": %.17g}}", RF_BEST,
            best(a->ids[i]), a->ids[i], rf_cost(a->ids[i]));
    add(out, "]}]}");
    rs_reply(fd, 200, NULL, out);
}

const char rf_refused[] = "{\"error\": {\"message\": \"that field is not known here\"}}";

void rf_answer_scores(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    struct asked a = read_asked(body);
    enum mu_score_form understood = (enum mu_score_form)(intptr_t)s->arg;
    (void)n, (void)request;
    if (understood == MU_SCORE_PROMPT_LOGPROBS && a.has_prompt_logprobs)
        reply_prompt_logprobs(fd, &a);
    else if (!a.is_echo || understood == MU_SCORE_PROMPT_LOGPROBS ||
             (understood >= MU_SCORE_ECHO_ONE && a.max_tokens == 0) ||
             (understood == MU_SCORE_ECHO_PLAIN && a.names_ids))
        rs_reply(fd, 400, NULL, rf_refused);
    else
        reply_echo(fd, &a);
}

void rf_check_score(const struct mu_result *r, bool has_ids)
{
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_NEAR(r->logprob_sum, -4.5, 1e-12);
    XT_CHECK(!r->is_greedy); /* 15 is odd */
    XT_EQ(r->tokens.n, 3);
    for (int i = 0; i < 3; i++) {
        XT_EQ(r->tokens.ids[i], rf_continuation[i]);
        XT_NEAR(r->tokens.logprob[i], rf_cost(rf_continuation[i]), 1e-12);
        XT_EQ(r->tokens.is_greedy[i], rf_continuation[i] % 2 == 0);
    }
    XT_EQ(r->tokens.top[2].id, has_ids ? RF_BEST : -1); /* of 15 */
    XT_NEAR(r->tokens.top[2].logprob, -1.45, 1e-12);
    XT_NEAR(r->tokens.top[3].logprob, -1.5, 1e-12);
}

void rf_answer_nothing(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)fd, (void)request, (void)body;
    rs_hang(s);
}
