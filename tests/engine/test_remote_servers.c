/* test_remote_servers.c - what servers that people use answer, as they were seen to answer it: llama.cpp, vLLM,
 * transformers. The answers are written by hand in the same shapes; docs/remote.md says which versions were met. */
#include "remote_fixture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "xt.h"

#define MODEL     "models/muster-llama-tiny" /* its tokenizer */
#define ANSWER    16384
#define N_IDS_MAX 16

/* What a server is like, and what it was last asked. */
struct nature {
    bool is_certain;  /* llama.cpp: reports shares after the grammar */
    bool is_old;      /* llama.cpp: its grammars know no tokens */
    int n_loading;    /* answers of 503 before the model is there */
    int n_extra;      /* tokens it counts beyond those that were meant */
    bool echoes_text; /* gives log-probabilities of texts */
    char asked[4096]; /* the last body */
};

static void begin(struct rf *f, struct nature *n,
                  void (*answer)(struct remote_server *, int, int, const char *, const char *))
{
    *n = (struct nature){.n_extra = n->n_extra,
                         .is_certain = n->is_certain,
                         .is_old = n->is_old,
                         .n_loading = n->n_loading,
                         .echoes_text = n->echoes_text};
    rf_begin(f, answer);
    f->server.arg = n;
}

static json_t *parse(struct nature *n, const char *body)
{
    snprintf(n->asked, sizeof n->asked, "%s", body);
    return json_loads(body, 0, NULL);
}

static void add(char *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + strlen(out), ANSWER - strlen(out), fmt, args);
    va_end(args);
}

/* ---- llama.cpp ---- */

#define LLAMA_MODELS                                                                                                   \
    BODY("{\"models\": [{\"name\": \"tiny\", \"model\": \"tiny\", \"type\": \"model\"}], \"object\": \"list\", "       \
         "\"data\": [{\"id\": \"tiny\", \"object\": \"model\", \"created\": 1, \"owned_by\": \"llamacpp\", "           \
         "\"meta\": {\"vocab_type\": 2, \"n_vocab\": 1024, \"n_ctx_train\": 1024}}]}")
#define LLAMA_PROPS                                                                                                    \
    BODY("{\"default_generation_settings\": {\"n_ctx\": 256, \"params\": {\"n_predict\": -1}}, \"total_slots\": 4}")

static int read_grammar(const char *grammar, int ids[N_IDS_MAX])
{
    int n = 0;
    for (const char *at = strstr(grammar, "<["); at && n < N_IDS_MAX; at = strstr(at + 2, "<["))
        ids[n++] = atoi(at + 2);
    return n;
}

static void add_item(char *out, int i, int id, double logprob, double best)
{
    add(out,
        "%s{\"id\": %d, \"token\": \" t\", \"bytes\": [32, 116], \"logprob\": %.9g, \"top_logprobs\": [{\"id\": %d, "
        "\"token\": \"x\", \"bytes\": [120], \"logprob\": %.9g}, {\"id\": 901, \"token\": \"y\", \"bytes\": [121], "
        "\"logprob\": %.9g}]}",
        i ? ", " : "", id, logprob, best > logprob ? RF_BEST : id, best, best - 1);
}

static void llama_reply(int fd, const struct nature *n, const int *ids, int n_ids)
{
    char out[ANSWER] = "{\"choices\": [{\"text\": \" t\", \"index\": 0, \"logprobs\": {\"content\": [";
    for (int i = 0; i < n_ids; i++) {
        double logprob = n->is_certain ? 0 : rf_cost(ids[i]);
        add_item(out, i, ids[i], logprob, ids[i] % 2 == 0 || n->is_certain ? logprob : logprob + 0.05);
    }
    add(out, "]}, \"finish_reason\": \"length\"}], \"created\": 1, \"model\": \"tiny\", \"object\": "
             "\"text_completion\", \"usage\": {\"completion_tokens\": 1, \"prompt_tokens\": 3, \"total_tokens\": 4, "
             "\"prompt_tokens_details\": {\"cached_tokens\": 2}}, \"timings\": {\"prompt_n\": 1}}");
    rs_reply(fd, 200, NULL, out);
}

static void llama(struct remote_server *s, int k, int fd, const char *request, const char *body)
{
    struct nature *n = s->arg;
    json_t *o = parse(n, body);
    const char *grammar = json_string_value(json_object_get(o, "grammar"));
    int ids[N_IDS_MAX] = {40};
    (void)request;
    if (k < n->n_loading)
        rs_reply(fd, 503, NULL,
                 "{\"error\": {\"message\": \"Loading model\", \"type\": \"unavailable_error\", \"code\": 503}}");
    else if (json_is_true(json_object_get(o, "echo")))
        rs_reply(
            fd, 500, NULL,
            "{\"error\": {\"code\": 500, \"message\": \"Only no echo is supported\", \"type\": \"server_error\"}}");
    else if (grammar && n->is_old)
        rs_reply(fd, 400, NULL,
                 "{\"error\": {\"code\": 400, \"message\": \"Failed to parse grammar\", \"type\": "
                 "\"invalid_request_error\"}}");
    else
        llama_reply(fd, n, ids, grammar ? read_grammar(grammar, ids) : 1);
    json_decref(o);
}

XT_TEST(llama_cpp_scores_tokens_that_a_grammar_forces)
{
    struct rf f;
    struct nature n = {.n_loading = 1};
    struct mu_request q = rf_score_request();
    begin(&f, &n, llama);
    rf_open(&f);
    q.n_top = 2;
    for (int i = 0; i < 2; i++) {
        struct mu_result *r = rf_ask(&f, &q);
        XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
        XT_NEAR(r->logprob_sum, -4.5, 1e-12);
        XT_CHECK(r->tokens.is_greedy[0] && !r->tokens.is_greedy[1] && r->tokens.is_greedy[2] && !r->is_greedy);
        XT_EQ(r->tokens.top[2].id, RF_BEST);
        XT_NEAR(r->tokens.top[2].logprob, -1.45, 1e-12);
        XT_EQ(r->tokens.top[3].id, 901);
        mu_result_free(r);
        XT_EQ(atomic_load(&f.server.n_requests), 1 + MU_SCORE_FORCED + 1 + i);
    }
    XT_CHECKF(strstr(n.asked, "\"prompt\": [11, 12, 13], \"temperature\": 0, \"max_tokens\": 3, \"logprobs\": 2, "
                              "\"grammar\": \"root ::= <[14]> <[15]> <[16]>\"}"),
              "%s", n.asked);
    rf_end(&f);
}

XT_TEST(llama_cpp_scores_alternatives_and_whole_texts)
{
    struct rf f;
    struct nature n = {.n_loading = 0};
    struct mu_request q = rf_score_request(), rolling = MU_REQUEST_INIT;
    const int32_t alternative = 20;
    begin(&f, &n, llama);
    rf_open(&f);
    q.alternatives = &alternative;
    q.n_alternatives = 1;
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_NEAR(r->alternatives[0].logprob, rf_cost(20), 1e-12);
    XT_NEAR(r->alternatives[0].logprob_sum, -2.9 + rf_cost(20), 1e-12);
    mu_result_free(r);
    rolling.kind = MU_REQUEST_ROLLING;
    rolling.ids = rf_context;
    rolling.n_ids = 3;
    r = rf_ask(&f, &rolling);
    XT_NEAR(r->logprob_sum, -2.5, 1e-12);
    XT_CHECKF(strstr(n.asked, "\"prompt\": [11], "), "%s", n.asked);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(llama_cpp_tells_its_context_beside_the_models)
{
    struct rf f;
    struct nature n = {.n_loading = 0};
    struct mu_engine_info info;
    begin(&f, &n, llama);
    f.server.models = LLAMA_MODELS;
    f.server.props = LLAMA_PROPS;
    rf_open(&f);
    mu_engine_info(f.eng, &info);
    XT_EQ(info.context_max, 254);
    mu_engine_close(f.eng);
    f.server.props = NULL; /* an older one, or one behind a proxy that passes /v1 on only */
    rf_open(&f);
    mu_engine_info(f.eng, &info);
    XT_EQ(info.context_max, MU_REMOTE_CONTEXT_UNKNOWN);
    rf_end(&f);
}

XT_TEST(llama_cpp_names_the_tokens_of_a_text_as_chat_does)
{
    struct rf f;
    struct nature n = {.n_loading = 0};
    struct mu_request q = rf_generate_request(4);
    begin(&f, &n, llama);
    rf_open(&f);
    q.n_top = 1;
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_EQ(r->tokens.n, 1);
    XT_EQ(r->tokens.ids[0], 40);
    XT_NEAR(r->logprob_sum, rf_cost(40), 1e-12);
    XT_CHECK(r->is_greedy);
    XT_EQ(r->n_prompt_cached, 2);
    XT_EQ(r->tokens.top[0].id, 40);
    mu_result_free(r);
    rf_end(&f);
}

static void check_no_scores(struct nature n,
                            void (*answer)(struct remote_server *, int, int, const char *, const char *),
                            const char *part)
{
    struct rf f;
    struct mu_err err = MU_ERR_INIT;
    begin(&f, &n, answer);
    f.opts.will_score = true;
    f.opts.clock = NULL;
    f.opts.attempts_max = 1;
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), MU_EUNSUPPORTED,
             "this server generates text and cannot score it: tasks of output_type generate_until run on it");
    XT_CHECKF(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
    f.eng = NULL;
    rf_end(&f);
}

XT_TEST(a_server_that_cannot_score_is_found_while_opening)
{
    check_no_scores((struct nature){.is_old = true}, llama, "Only no echo is supported");
    check_no_scores((struct nature){.is_certain = true}, llama, "Only no echo is supported");
}

/* ---- vLLM ---- */

/* All fields that it knows are there, those without a value null; the prompt's own token is the first alternative. */
static void vllm(struct remote_server *s, int k, int fd, const char *request, const char *body)
{
    json_t *o = parse(s->arg, body);
    bool is_echo = json_is_true(json_object_get(o, "echo"));
    (void)k, (void)request;
    rs_reply(
        fd, 200, NULL,
        is_echo
            ? "{\"choices\": [{\"index\": 0, \"text\": \"abc\", \"logprobs\": {\"text_offset\": [0, 10, 20, 30, 40, "
              "50], \"token_logprobs\": [null, -22.5, -14.25, -1.5, -9999.0, -0.5], \"tokens\": [\"token_id:11\", "
              "\"token_id:12\", \"token_id:13\", \"token_id:14\", \"token_id:15\", \"token_id:16\"], "
              "\"top_logprobs\": [null, {\"token_id:12\": -22.5, \"token_id:7\": -0.001}, {\"token_id:13\": -14.25, "
              "\"token_id:7\": -1.5}, {\"token_id:14\": -1.5}, {\"token_id:15\": -9999.0, \"token_id:7\": -0.25}, "
              "{\"token_id:16\": -0.5}]}, \"finish_reason\": \"length\", \"stop_reason\": null, \"token_ids\": null, "
              "\"prompt_logprobs\": null, \"prompt_token_ids\": null}], \"usage\": {\"prompt_tokens\": 6, "
              "\"prompt_tokens_details\": null}}"
            : "{\"choices\": [{\"index\": 0, \"text\": \" hi\", \"logprobs\": {\"text_offset\": [0, 12], "
              "\"token_logprobs\": [-1.5, -0.25], \"tokens\": [\"token_id:525\", \"token_id:16\"], \"top_logprobs\": "
              "[{\"token_id:525\": -1.5, \"token_id:7\": -1.25}, {\"token_id:16\": -0.25}]}, \"finish_reason\": "
              "\"stop\", \"stop_reason\": 16, \"token_ids\": null, \"prompt_logprobs\": null}], \"usage\": "
              "{\"prompt_tokens\": 3, \"prompt_tokens_details\": null}}");
    json_decref(o);
}

XT_TEST(vllm_gives_its_own_token_beside_the_most_likely_one)
{
    struct rf f;
    struct nature n = {.n_loading = 0};
    struct mu_request q = rf_score_request(), text = rf_generate_request(4);
    const int32_t stop_id = 16;
    begin(&f, &n, vllm);
    rf_open(&f);
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_CHECK(isinf(r->logprob_sum) && !r->is_greedy);
    XT_NEAR(r->tokens.logprob[0], -1.5, 1e-12);
    XT_CHECK(r->tokens.is_greedy[0] && !r->tokens.is_greedy[1] && r->tokens.is_greedy[2]);
    XT_EQ(atomic_load(&f.server.n_requests), 1);
    mu_result_free(r);
    text.stop_ids = &stop_id;
    text.n_stop_ids = 1;
    r = rf_ask(&f, &text);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_EQ(r->tokens.n, 1);
    XT_EQ(r->stop_id, 16);
    XT_NEAR(r->logprob_sum, -1.5, 1e-12);
    XT_CHECK(!r->is_greedy);
    mu_result_free(r);
    rf_end(&f);
}

/* ---- transformers serve ---- */

static bool has_unknown(const json_t *o)
{
    static const char *const known[] = {
        "model",    "prompt", "max_tokens",        "temperature",      "top_p",     "seed", "stop", "echo",
        "logprobs", "stream", "frequency_penalty", "presence_penalty", "logit_bias"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        size_t i = 0;
        while (i < MU_COUNT(known) && strcmp(known[i], key) != 0)
            i++;
        if (i == MU_COUNT(known))
            return true;
    }
    return false;
}

/* As many tokens as words: enough for a text without punctuation whose words the tokenizer knows. */
static void transformers_reply(int fd, const struct nature *n, int n_prompt)
{
    char out[ANSWER] = "";
    add(out,
        "{\"id\": \"a\", \"choices\": [{\"finish_reason\": \"length\", \"index\": 0, \"text\": \" x\"}], \"created\": "
        "1, \"model\": \"tiny\", \"object\": \"text_completion\", \"usage\": {\"completion_tokens\": 1, "
        "\"prompt_tokens\": %d, \"total_tokens\": %d}}",
        n_prompt + n->n_extra, n_prompt + n->n_extra + 1);
    rs_reply(fd, 200, NULL, out);
}

static int count_tokens(const char *text)
{
    mu_tokenizer *tok = NULL;
    struct mu_ids ids = MU_IDS_INIT(256);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_tokenizer_open(&tok, MODEL, NULL, &err));
    XT_OK(mu_tokenizer_encode(tok, text, strlen(text), MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL, &ids, &err));
    int n = (int)ids.n;
    mu_ids_fini(&ids);
    mu_tokenizer_close(tok);
    return n;
}

static void transformers(struct remote_server *s, int k, int fd, const char *request, const char *body)
{
    struct nature *n = s->arg;
    json_t *o = parse(n, body);
    const char *prompt = json_string_value(json_object_get(o, "prompt"));
    (void)k, (void)request;
    if (has_unknown(o))
        rs_reply(fd, 422, NULL, "{\"detail\": \"Unexpected fields in the request: {'return_tokens_as_token_ids'}\"}");
    else if (!prompt)
        rs_reply(fd, 400, NULL, "{\"detail\": \"prompt must be a string.\"}");
    else
        transformers_reply(fd, n, count_tokens(prompt));
    json_decref(o);
}

struct worded {
    mu_tokenizer *tok;
    struct mu_ids ids;
    size_t heap;
};

static void open_worded(struct worded *w, const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    *w = (struct worded){.ids = MU_IDS_INIT(256), .heap = mu_mem_bytes_used()};
    XT_OK(mu_tokenizer_open(&w->tok, MODEL, NULL, &err));
    XT_OK(mu_tokenizer_encode(w->tok, text, strlen(text), MU_TOK_ADD_SPECIAL, &w->ids, &err));
}

static void close_worded(struct worded *w)
{
    mu_ids_fini(&w->ids);
    mu_tokenizer_close(w->tok);
    XT_EQ(mu_mem_bytes_used(), w->heap);
}

static struct mu_result *ask_transformers(struct rf *f, struct nature *n, struct worded *w)
{
    struct mu_request q = MU_REQUEST_INIT;
    open_worded(w, "one two \"three\"");
    begin(f, n, transformers);
    f->opts.tokenizer = w->tok;
    rf_open(f);
    q.kind = MU_REQUEST_GENERATE;
    q.ids = w->ids.v;
    q.n_ids = (int)w->ids.n;
    q.max_tokens = 2;
    return rf_ask(f, &q);
}

XT_TEST(a_server_that_takes_no_ids_is_given_the_text)
{
    struct rf f;
    struct worded w;
    struct nature n = {.n_extra = 0};
    struct mu_result *r = ask_transformers(&f, &n, &w);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, " x");
    XT_CHECKF(strstr(n.asked, "\"prompt\": \"one two \\\"three\\\"\", "), "%s",
              n.asked); /* the begin token is its own */
    XT_EQ(atomic_load(&f.server.n_requests), 1 + MU_GENERATE_TEXT);
    mu_result_free(r);
    rf_end(&f);
    close_worded(&w);
}

XT_TEST(a_server_that_cuts_the_text_otherwise_is_refused)
{
    struct rf f;
    struct worded w;
    struct nature n = {.n_extra = 1};
    char part[80];
    struct mu_result *r = ask_transformers(&f, &n, &w);
    snprintf(part, sizeof part, "into %zu tokens where %zu were meant", w.ids.n + 1, w.ids.n);
    XT_EQ(r->code, MU_EINVAL);
    XT_CHECKF(strstr(r->err.text, part), "\"%s\" lacks \"%s\"", r->err.text, part);
    mu_result_free(r);
    rf_end(&f);
    close_worded(&w);
}

XT_TEST(transformers_generates_and_does_not_score)
{
    struct worded w;
    struct rf f;
    struct nature n = {.n_extra = 0};
    struct mu_err err = MU_ERR_INIT;
    open_worded(&w, "one");
    begin(&f, &n, transformers);
    f.opts.tokenizer = w.tok;
    f.opts.will_score = f.opts.will_generate = true;
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), MU_EUNSUPPORTED, "cannot score it");
    XT_CHECKF(strstr(err.text, "status 422: Unexpected fields"), "%s", err.text);
    f.opts.will_score = false;
    rf_open(&f);
    rf_end(&f);
    close_worded(&w);
}

XT_TEST(a_model_that_the_list_lacks_is_asked_for_all_the_same)
{
    struct worded w;
    struct rf f;
    struct nature n = {.n_extra = 0};
    struct mu_engine_info info;
    open_worded(&w, "one");
    begin(&f, &n, transformers);
    f.server.models = BODY("{\"object\": \"list\", \"data\": [{\"owned_by\": \"a\", \"id\": \"a/other\"}]}");
    f.opts.tokenizer = w.tok;
    f.opts.endpoint_model = "/models/tiny";
    rf_open(&f);
    mu_engine_info(f.eng, &info);
    XT_STREQ(info.arch, "/models/tiny");
    XT_CHECKF(strstr(n.asked, "\"model\": \"/models/tiny\""), "%s", n.asked);
    mu_engine_close(f.eng);
    f.server.models = "HTTP/1.1 500 X\r\nContent-Length: 21\r\n\r\nInternal Server Error"; /* it has no cache */
    f.opts.clock = NULL;
    f.opts.attempts_max = 1;
    rf_open(&f);
    rf_end(&f);
    close_worded(&w);
}

/* ---- tokens that do not spell the text ---- */

static void half_token(struct remote_server *s, int k, int fd, const char *request, const char *body)
{
    (void)k, (void)request, (void)body;
    char out[ANSWER] = "{\"choices\": [{\"text\": \"one two)\", \"index\": 0, \"logprobs\": {\"content\": [";
    const struct mu_ids *ids = s->arg;
    for (size_t i = 0; i < ids->n; i++)
        add_item(out, (int)i, ids->v[i], -0.5, -0.5);
    add(out, "]}, \"finish_reason\": \"stop\"}]}");
    rs_reply(fd, 200, NULL, out);
}

/* llama.cpp: ")\n" is one token, the text ends before "\n", and the list of tokens before ")". */
XT_TEST(the_text_counts_where_its_tokens_are_not_all_told)
{
    struct rf f;
    struct worded w;
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("a text", 100);
    struct mu_request q = rf_generate_request(30);
    open_worded(&w, "one two");
    int skip = w.ids.v[0] == 0; /* the begin token */
    memmove(w.ids.v, w.ids.v + skip, (w.ids.n -= (size_t)skip) * sizeof *w.ids.v);
    rf_begin(&f, half_token);
    f.server.arg = &w.ids;
    f.opts.tokenizer = w.tok;
    rf_open(&f);
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, "one two)");
    XT_OK(mu_tokenizer_decode(w.tok, r->tokens.ids, (size_t)r->tokens.n, 0, &text, &err));
    XT_STREQ(text.p, "one two)");
    XT_CHECK(isnan(r->logprob_sum));
    mu_buf_fini(&text);
    mu_result_free(r);
    rf_end(&f);
    close_worded(&w);
}

/* ---- what servers choose when a field is missing ---- */

static void check_field(const char *body, const char *field, bool is_there)
{
    XT_CHECKF((strstr(body, field) != NULL) == is_there, "%s of %s", field, body);
}

XT_TEST(nothing_that_shapes_the_draw_is_left_to_the_server)
{
    struct rf f;
    struct nature n = {.n_loading = 0};
    struct mu_request q = rf_generate_request(4);
    begin(&f, &n, llama);
    rf_open(&f);
    q.sampling.temperature = 0.5;
    mu_result_free(rf_ask(&f, &q));
    check_field(n.asked, "\"top_p\": 1,", true);
    check_field(n.asked, "\"top_k\": -1,", true);
    check_field(n.asked, "\"min_p\": 0,", true);
    check_field(n.asked, "\"repetition_penalty\": 1,", true);
    check_field(n.asked, "repeat_penalty", false);
    q.sampling.repetition = 1.5;
    mu_result_free(rf_ask(&f, &q));
    check_field(n.asked, "\"repetition_penalty\": 1.5,", true);
    check_field(n.asked, "\"repeat_penalty\": 1.5,", true);
    rf_end(&f);
}
