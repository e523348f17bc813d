/* test_serve.c - the OpenAI-compatible server over real sockets with a small trained model: numbers, refusals, load */
#include "../http/http_client.h"

#include <pthread.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "dash/serve.h"

#define MODEL     "models/muster-llama-tiny"
#define NAME      "tiny"
#define CONTEXT   256
#define EOS       1
#define SECOND_NS 1000000000ll

static const char template[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                               "{% if add_generation_prompt %}assistant:{% endif %}";

struct fixture {
    mu_tokenizer *tok;
    mu_engine *eng;
    struct mu_chat *chat;
    struct mu_serve_model model;
    struct mu_serve *serve;
    int port;
    size_t heap;
};

static void open_model(struct fixture *f)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    *f = (struct fixture){.heap = mu_mem_bytes_used()};
    XT_OK(mu_tokenizer_open(&f->tok, MODEL, NULL, &err));
    XT_OK(mu_chat_from_text(&f->chat, MU_STR(template), NULL, "the test", &err));
    o.model = MODEL;
    o.tokenizer = f->tok;
    o.threads = 1;
    o.context_max = CONTEXT;
    o.sequences_max = 64;
    o.rows_max = 128;
    o.kv_tokens_max = 64 * CONTEXT;
    XT_OK(mu_engine_open(&f->eng, &o, &err));
    f->model = (struct mu_serve_model){f->eng, f->tok, f->chat, template};
}

static struct mu_serve_opts plain(const struct fixture *f)
{
    return (struct mu_serve_opts){.name = NAME, .model = &f->model};
}

static void open_with(struct fixture *f, const struct mu_serve_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_serve_open(&f->serve, o, &err));
    f->port = mu_serve_port(f->serve);
}

static void open_all(struct fixture *f)
{
    open_model(f);
    struct mu_serve_opts o = plain(f);
    open_with(f, &o);
}

static void close_all(struct fixture *f)
{
    mu_serve_close(f->serve);
    mu_engine_close(f->eng);
    mu_chat_close(f->chat);
    mu_tokenizer_close(f->tok);
    XT_EQ(mu_mem_bytes_used(), f->heap);
}

static void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* ---- asking ---- */

static json_t *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_OK(mu_json_parse(&v, mu_str(text), "an answer", &err));
    return v;
}

static json_t *take_json(int fd)
{
    struct hc_reply r = hc_end(fd);
    XT_CHECKF(r.status == 200, "status %d: %s", r.status, r.text);
    json_t *v = parse(r.body);
    hc_free(&r);
    return v;
}

static json_t *ask(const struct fixture *f, const char *path, const char *body)
{
    return take_json(hc_post_begin(f->port, path, body));
}

static json_t *complete(const struct fixture *f, const char *body)
{
    return ask(f, "/v1/completions", body);
}

static const json_t *at(const json_t *v, const char *key)
{
    const json_t *found = json_object_get(v, key);
    XT_CHECKF(found != NULL, "no %s", key);
    return found;
}

static const json_t *choice(const json_t *v, size_t i)
{
    const json_t *c = json_array_get(at(v, "choices"), i);
    XT_CHECKF(c != NULL, "no choice %zu", i);
    XT_EQ(json_integer_value(at(c, "index")), (long long)i);
    return c;
}

static const char *text_of(const json_t *v, size_t i)
{
    return json_string_value(at(choice(v, i), "text"));
}

/* Values of the Prometheus page. */
static double metric(const struct fixture *f, const char *name)
{
    struct hc_reply r = hc_get(f->port, "/metrics");
    XT_EQ(r.status, 200);
    char line[256];
    snprintf(line, sizeof line, "\n%s", name);
    const char *found = strstr(r.body, line);
    XT_CHECKF(found != NULL, "no %s", name);
    double v = strtod(strchr(found + 1, '}') + 1, NULL);
    hc_free(&r);
    return v;
}

/* ---- the numbers ---- */

static const int32_t scored[] = {0, 40, 41, 300, 301, 302, 81, 265, 413, 500, 501, 77};

struct score {
    double logprob[16], best[16];
};

static void score_by_engine(mu_engine *eng, struct score *out)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_request q = MU_REQUEST_INIT;
    struct mu_result *r;
    uint64_t id;
    q.kind = MU_REQUEST_SCORE;
    q.ids = scored;
    q.n_ids = 1;
    q.continuation = scored + 1;
    q.n_continuation = MU_COUNT(scored) - 1;
    q.n_top = 1;
    XT_OK(mu_engine_submit(eng, &q, &id, &err));
    XT_OK(mu_engine_poll(eng, &r, MU_WAIT_FOREVER, &err));
    for (int i = 0; i < r->tokens.n; i++) {
        out->logprob[i + 1] = r->tokens.logprob[i];
        out->best[i + 1] = r->tokens.top[i].logprob;
    }
    mu_result_free(r);
}

static void write_ids(char *out, size_t size, int n)
{
    int at_byte = snprintf(out, size, "[");
    for (int i = 0; i < n; i++)
        at_byte += snprintf(out + at_byte, size - (size_t)at_byte, i ? ",%d" : "%d", scored[i]);
    snprintf(out + at_byte, size - (size_t)at_byte, "]");
}

static double largest(const json_t *alternatives)
{
    const char *key;
    json_t *v;
    double best = -1e30;
    json_object_foreach((json_t *)(uintptr_t)alternatives, key, v)
    {
        best = json_real_value(v) > best ? json_real_value(v) : best;
    }
    return best;
}

static void check_score(const json_t *answer, size_t i, int n_drawn, const struct score *want)
{
    const json_t *l = at(choice(answer, i), "logprobs"), *own = at(l, "token_logprobs"), *top = at(l, "top_logprobs");
    size_t n = MU_COUNT(scored);
    XT_EQ(json_array_size(own), n + (size_t)n_drawn);
    XT_EQ(json_array_size(top), n + (size_t)n_drawn);
    XT_EQ(json_array_size(at(l, "tokens")), n + (size_t)n_drawn);
    XT_EQ(json_array_size(at(l, "text_offset")), n + (size_t)n_drawn);
    XT_CHECK(json_is_null(json_array_get(own, 0)) && json_is_null(json_array_get(top, 0)));
    for (size_t k = 1; k < n; k++) {
        double v = json_real_value(json_array_get(own, k));
        XT_CHECKF(v == want->logprob[k], "token %zu: %.17g, by the engine %.17g", k, v, want->logprob[k]);
        XT_CHECK(largest(json_array_get(top, k)) == want->best[k]);
    }
}

XT_TEST(scores_are_the_engine_s_bit_for_bit_whatever_else_runs)
{
    struct fixture f;
    struct score want;
    char ids[128], body[1024];
    int busy[8];
    open_model(&f);
    score_by_engine(f.eng, &want);
    struct mu_serve_opts o = plain(&f);
    open_with(&f, &o);
    write_ids(ids, sizeof ids, MU_COUNT(scored));
    for (int i = 0; i < 8; i++) {
        snprintf(body, sizeof body,
                 "{\"prompt\": [0, %d, 300], \"max_tokens\": 30, \"ignore_eos\": true, \"seed\": %d}", 100 + i, i);
        busy[i] = hc_post_begin(f.port, "/v1/completions", body);
    }
    for (int max_tokens = 0; max_tokens < 2; max_tokens++) {
        snprintf(body, sizeof body,
                 "{\"model\": \"" NAME "\", \"prompt\": [%s, [0], %s], \"temperature\": 0, \"max_tokens\": %d, "
                 "\"logprobs\": 1, \"seed\": 1234, \"echo\": true}",
                 ids, ids, max_tokens);
        json_t *v = complete(&f, body);
        XT_EQ(json_array_size(at(v, "choices")), 3);
        check_score(v, 0, max_tokens, &want);
        check_score(v, 2, max_tokens, &want);
        XT_EQ(json_array_size(at(at(choice(v, 1), "logprobs"), "token_logprobs")), 1 + max_tokens);
        json_decref(v);
    }
    for (int i = 0; i < 8; i++)
        json_decref(take_json(busy[i]));
    close_all(&f);
}

/* The harness drops the last log-probability as that of the drawn token: it must be there even when the end token was
 * drawn, which the engine alone does not report. */
XT_TEST(a_drawn_end_token_has_its_log_probability)
{
    struct fixture f;
    open_all(&f);
    json_t *v = complete(&f, "{\"prompt\": [0, 40, 41], \"max_tokens\": 5, \"temperature\": 0, \"logprobs\": 1, "
                             "\"echo\": true, \"logit_bias\": {\"1\": 100}}");
    XT_EQ(json_array_size(at(at(choice(v, 0), "logprobs"), "token_logprobs")), 4);
    XT_STREQ(json_string_value(at(choice(v, 0), "finish_reason")), "stop");
    XT_EQ(json_integer_value(at(at(v, "usage"), "completion_tokens")), 1);
    json_decref(v);
    v = complete(&f, "{\"prompt\": [0, 40, 41], \"max_tokens\": 5, \"temperature\": 0, \"logit_bias\": {\"1\": 100}}");
    XT_STREQ(text_of(v, 0), "");
    XT_STREQ(json_string_value(at(choice(v, 0), "finish_reason")), "stop");
    XT_EQ(json_integer_value(at(at(v, "usage"), "completion_tokens")), 1);
    json_decref(v);
    v = complete(&f, "{\"prompt\": [0, 40], \"max_tokens\": 5, \"temperature\": 0, \"logprobs\": 0, "
                     "\"ignore_eos\": true, \"stop_token_ids\": [77], \"logit_bias\": {\"77\": 100}}");
    XT_EQ(json_array_size(at(at(choice(v, 0), "logprobs"), "token_logprobs")), 1);
    XT_STREQ(text_of(v, 0), "");
    json_decref(v);
    close_all(&f);
}

/* Where tokens begin, in characters: a BOS that the tokenizer adds takes no place in the text given, nor does an end.
 */
XT_TEST(offsets_point_into_the_text)
{
    struct fixture f;
    open_all(&f);
    json_t *v = complete(&f, "{\"prompt\": \"Th\u00e9 barn\", \"max_tokens\": 2, \"temperature\": 0, \"logprobs\": 0, "
                             "\"echo\": true, \"ignore_eos\": true}");
    const json_t *l = at(choice(v, 0), "logprobs"), *tokens = at(l, "tokens"), *offsets = at(l, "text_offset");
    const char *text = text_of(v, 0);
    for (size_t i = 1; i < json_array_size(tokens); i++) {
        const char *token = json_string_value(json_array_get(tokens, i)), *from = text;
        for (long long k = json_integer_value(json_array_get(offsets, i)); k > 0; k--)
            from += 1 + ((from[1] & 0xc0) == 0x80); /* two bytes at most a character here */
        if (strncmp(token, "bytes:", 6) != 0)
            XT_CHECKF(strncmp(from, token, strlen(token)) == 0, "token %zu, %s, is not at %s", i, token, from);
    }
    json_decref(v);
    close_all(&f);
}

/* The text of all chunks of a stream, each choice's in its own buffer. */
static void join_stream(const char *stream, bool is_chat, struct mu_buf *texts, int n)
{
    struct mu_err err;
    for (const char *line = strstr(stream, "data: {"); line; line = strstr(line + 1, "data: {")) {
        const char *end = strstr(line, "\n\n");
        XT_CHECK(end != NULL);
        json_t *v;
        XT_OK(mu_json_parse(&v, (struct mu_str){line + 6, (size_t)(end - line - 6)}, "a chunk", &err));
        const json_t *c = json_array_get(at(v, "choices"), 0);
        if (c) {
            int i = (int)json_integer_value(at(c, "index"));
            XT_CHECK(i >= 0 && i < n);
            const json_t *t = is_chat ? json_object_get(at(c, "delta"), "content") : at(c, "text");
            XT_OK(mu_buf_add(&texts[i], json_string_value(t), json_string_length(t), &err));
        }
        json_decref(v);
    }
    XT_CHECK(strstr(stream, "data: [DONE]\n\n"));
}

/* Answers with HTTP/1.0, so that a stream comes without chunk sizes. */
static struct hc_reply post_10(int port, const char *path, const char *body)
{
    char raw[4096];
    snprintf(raw, sizeof raw, "POST %s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    return hc_exchange(port, raw);
}

static void check_stream(const struct fixture *f, const char *path, const char *fields, bool is_chat, int n)
{
    char body[1024];
    struct mu_buf texts[4] = {MU_BUF_INIT("t", 65536), MU_BUF_INIT("t", 65536), MU_BUF_INIT("t", 65536),
                              MU_BUF_INIT("t", 65536)};
    snprintf(body, sizeof body, "{%s}", fields);
    json_t *whole = ask(f, path, body);
    snprintf(body, sizeof body, "{%s, \"stream\": true, \"stream_options\": {\"include_usage\": true}}", fields);
    struct hc_reply r = post_10(f->port, path, body);
    XT_EQ(r.status, 200);
    join_stream(r.body, is_chat, texts, n);
    for (int i = 0; i < n; i++) {
        const json_t *c = choice(whole, (size_t)i);
        const json_t *t = is_chat ? at(at(c, "message"), "content") : at(c, "text");
        XT_STREQ(texts[i].p ? texts[i].p : "", json_string_value(t));
        mu_buf_fini(&texts[i]);
    }
    XT_CHECK(strstr(r.body, "\"usage\": {\"prompt_tokens\""));
    hc_free(&r);
    json_decref(whole);
}

XT_TEST(streams_say_what_whole_answers_say)
{
    struct fixture f;
    open_all(&f);
    const char *completions = "/v1/completions", *chats = "/v1/chat/completions";
    check_stream(&f, completions, "\"prompt\": \"Question: What is\", \"max_tokens\": 20, \"temperature\": 0", false,
                 1);
    check_stream(&f, completions, "\"prompt\": [\"The\", \"A\"], \"n\": 2, \"seed\": 9, \"max_tokens\": 12", false, 4);
    check_stream(&f, completions, "\"prompt\": \"The \\u00e9\", \"echo\": true, \"max_tokens\": 5, \"seed\": 1", false,
                 1);
    check_stream(&f, completions, "\"prompt\": \"The\", \"echo\": true, \"max_tokens\": 0", false, 1);
    check_stream(&f, completions, "\"prompt\": \"The\", \"logprobs\": 3, \"max_tokens\": 9, \"seed\": 2", false, 1);
    check_stream(&f, completions, "\"prompt\": \"The\", \"stop\": [\"e\", \"a\"], \"max_tokens\": 30, \"seed\": 3",
                 false, 1);
    check_stream(&f, chats, "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"max_tokens\": 9, \"seed\": 4",
                 true, 1);
    check_stream(&f, chats,
                 "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"max_tokens\": 5, \"n\": 3, "
                 "\"seed\": 4, \"logprobs\": true, \"top_logprobs\": 2",
                 true, 3);
    close_all(&f);
}

/* Far more than a reader may leave unread, all of it written within moments. */
XT_TEST(a_long_answer_made_at_once_reaches_its_reader)
{
    struct fixture f;
    open_all(&f);
    struct hc_reply r = post_10(f.port, "/v1/completions",
                                "{\"prompt\": \"The\", \"n\": 24, \"seed\": 1, \"max_tokens\": 200, "
                                "\"ignore_eos\": true, \"logprobs\": 20, \"stream\": true}");
    size_t n = strlen(r.body);
    XT_CHECKF(strstr(r.body, "data: [DONE]\n\n"), "it ends with %s", r.body + n - MU_MIN(n, 80));
    XT_CHECKF(n > 2 * MU_HTTP_STREAM_BYTES_MAX, "%zu bytes", n);
    hc_free(&r);
    close_all(&f);
}

XT_TEST(seeds_choices_and_stops)
{
    struct fixture f;
    open_all(&f);
    const char *body = "{\"prompt\": [0, 200, 201], \"n\": 3, \"seed\": 11, \"max_tokens\": 16, \"ignore_eos\": true}";
    json_t *a = complete(&f, body), *b = complete(&f, body);
    json_t *c = complete(&f, "{\"prompt\": [0, 200, 201], \"seed\": 12, \"max_tokens\": 16, \"ignore_eos\": true}");
    for (size_t i = 0; i < 3; i++)
        XT_STREQ(text_of(a, i), text_of(b, i));
    XT_CHECK(strcmp(text_of(a, 0), text_of(a, 1)) != 0);
    XT_STREQ(text_of(a, 1), text_of(c, 0)); /* choice i has seed + i */
    json_decref(a);
    json_decref(b);
    json_decref(c);
    a = complete(&f, "{\"prompt\": \"The\", \"max_tokens\": 64, \"temperature\": 0, \"ignore_eos\": true}");
    const char *text = text_of(a, 0);
    XT_CHECK(strlen(text) > 8);
    char ask_stop[256], stop[4] = {text[5], text[6], text[7], 0};
    struct mu_buf quoted = MU_BUF_INIT("a stop", 64);
    struct mu_err err;
    XT_OK(mu_json_dump_string(&quoted, mu_str(stop), &err));
    snprintf(ask_stop, sizeof ask_stop,
             "{\"prompt\": \"The\", \"max_tokens\": 64, \"temperature\": 0, \"ignore_eos\": true, \"stop\": %s}",
             quoted.p);
    b = complete(&f, ask_stop);
    size_t n = (size_t)(strstr(text, stop) - text);
    XT_CHECK(strlen(text_of(b, 0)) == n && memcmp(text, text_of(b, 0), n) == 0);
    XT_STREQ(json_string_value(at(choice(b, 0), "finish_reason")), "stop");
    mu_buf_fini(&quoted);
    json_decref(a);
    json_decref(b);
    close_all(&f);
}

/* ---- the other routes ---- */

XT_TEST(tokens_models_and_health)
{
    struct fixture f;
    open_all(&f);
    json_t *v = ask(&f, "/tokenize", "{\"prompt\": \"What is it?\", \"add_special_tokens\": false}");
    struct mu_ids ids = MU_IDS_INIT(64);
    struct mu_err err;
    XT_OK(mu_tokenizer_encode(f.tok, "What is it?", 11, MU_TOK_PARSE_SPECIAL, &ids, &err));
    XT_EQ(json_integer_value(at(v, "count")), (long long)ids.n);
    char body[512] = "{\"tokens\": [";
    for (size_t i = 0; i < ids.n; i++) {
        XT_EQ(json_integer_value(json_array_get(at(v, "tokens"), i)), ids.v[i]);
        sprintf(body + strlen(body), i ? ",%d" : "%d", ids.v[i]);
    }
    strcat(body, "]}");
    mu_ids_fini(&ids);
    json_decref(v);
    v = ask(&f, "/detokenize", body);
    XT_STREQ(json_string_value(at(v, "prompt")), "What is it?");
    json_decref(v);
    v = ask(&f, "/tokenize",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"return_token_strs\": true}");
    XT_EQ(json_array_size(at(v, "token_strs")), (long long)json_integer_value(at(v, "count")));
    json_decref(v);
    static const char *const pages[][2] = {
        {"/v1/models", "\"id\": \"" NAME "\""},
        {"/v1/models/" NAME, "\"max_model_len\": 256"},
        {"/tokenizer_info", "\"eos_token\": \"<|end_of_text|>\""},
        {"/health", "ok"},
        {"/version", "version"},
        {"/metrics", "vllm:e2e_request_latency_seconds_bucket{model_name=\"tiny\",le="}};
    for (size_t i = 0; i < MU_COUNT(pages); i++) {
        struct hc_reply r = hc_get(f.port, pages[i][0]);
        XT_CHECKF(r.status == 200 && strstr(r.body, pages[i][1]), "%s: %s", pages[i][0], r.text);
        hc_free(&r);
    }
    struct hc_reply no_utf8 = hc_get(f.port, "/v1/models/%c3x%ff");
    XT_EQ(no_utf8.status, 404);
    v = parse(no_utf8.body);
    XT_CHECK(strstr(json_string_value(at(at(v, "error"), "message")), "?x?"));
    json_decref(v);
    hc_free(&no_utf8);
    json_decref(complete(&f, "{\"prompt\": [0, 5], \"max_tokens\": 7, \"ignore_eos\": true}"));
    XT_EQ(metric(&f, "vllm:generation_tokens_total"), 7);
    XT_EQ(metric(&f, "vllm:prompt_tokens_total"), 2);
    XT_EQ(metric(&f, "vllm:request_success_total{model_name=\"tiny\",finished_reason=\"length\"}"), 1);
    close_all(&f);
}

/* ---- refusals ---- */

static const struct {
    const char *path, *body;
    int status;
    const char *part;
} refusals[] = {
    {"/v1/completions", "", 400, "invalid_json"},
    {"/v1/completions", "[]", 400, "must be a JSON object"},
    {"/v1/completions", "{\"prompt\": \"x\"", 400, "invalid_json"},
    {"/v1/completions", "{\"prompt\": \"\xff\"}", 400, "invalid_json"},
    {"/v1/completions", "{}", 400, "\"param\": \"prompt\""},
    {"/v1/completions", "{\"prompt\": 5}", 400, "\"param\": \"prompt\""},
    {"/v1/completions", "{\"prompt\": []}", 400, "\"param\": \"prompt\""},
    {"/v1/completions", "{\"prompt\": [[]]}", 400, "no tokens"},
    {"/v1/completions", "{\"prompt\": [[1], {}]}", 400, "prompt 1"},
    {"/v1/completions", "{\"prompt\": [1, \"x\"]}", 400, "something else"},
    {"/v1/completions", "{\"prompt\": [-1]}", 400, "outside the vocabulary"},
    {"/v1/completions", "{\"prompt\": [99999999]}", 400, "outside the vocabulary"},
    {"/v1/completions", "{\"prompt\": [1e3]}", 400, "\"param\": \"prompt\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"model\": \"other\"}", 404, "model_not_found"},
    {"/v1/completions", "{\"prompt\": \"x\", \"model\": 7}", 400, "model must be a string"},
    {"/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 0}", 400, "\"param\": \"max_tokens\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": \"5\"}", 400, "must be an integer"},
    {"/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2.5}", 400, "must be an integer"},
    {"/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 256}", 400, "context_length_exceeded"},
    {"/v1/completions", "{\"prompt\": \"x\", \"temperature\": -1}", 400, "\"param\": \"temperature\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"temperature\": \"hot\"}", 400, "must be a number"},
    {"/v1/completions", "{\"prompt\": \"x\", \"top_p\": 0}", 400, "\"param\": \"top_p\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"n\": 0}", 400, "\"param\": \"n\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"n\": 129}", 400, "\"param\": \"n\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"n\": 2, \"best_of\": 3}", 400, "best_of"},
    {"/v1/completions", "{\"prompt\": \"x\", \"suffix\": \"y\"}", 400, "suffix"},
    {"/v1/completions", "{\"prompt\": \"x\", \"min_tokens\": 3}", 400, "min_tokens"},
    {"/v1/completions", "{\"prompt\": \"x\", \"prompt_logprobs\": 1}", 400, "prompt_logprobs"},
    {"/v1/completions", "{\"prompt\": \"x\", \"logprobs\": 21}", 400, "\"param\": \"logprobs\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"logprobs\": true}", 400, "\"param\": \"logprobs\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"stop\": \"\"}", 400, "\"param\": \"stop\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"stop\": [1]}", 400, "\"param\": \"stop\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"stop\": \"a\\u0000b\"}", 400, "\"param\": \"stop\""},
    {"/v1/completions", "{\"prompt\": \"x\", \"stop_token_ids\": [\"a\"]}", 400, "stop_token_ids"},
    {"/v1/completions", "{\"prompt\": \"x\", \"stop_token_ids\": [99999999]}", 400, "outside the vocabulary"},
    {"/v1/completions", "{\"prompt\": \"x\", \"logit_bias\": {\"a\": 1}}", 400, "logit_bias"},
    {"/v1/completions", "{\"prompt\": \"x\", \"logit_bias\": {\"1\": 101}}", 400, "logit_bias"},
    {"/v1/completions", "{\"prompt\": \"x\", \"logit_bias\": {\"99999999\": 1}}", 400, "outside the vocabulary"},
    {"/v1/completions", "{\"prompt\": \"x\", \"stream\": 1}", 400, "true or false"},
    {"/v1/completions", "{\"prompt\": \"x\", \"stream_options\": {}}", 400, "stream_options"},
    {"/v1/completions", "{\"prompt\": \"x\", \"seed\": \"s\"}", 400, "seed"},
    {"/v1/chat/completions", "{}", 400, "messages"},
    {"/v1/chat/completions", "{\"messages\": []}", 400, "messages"},
    {"/v1/chat/completions", "{\"messages\": [5]}", 400, "message 0"},
    {"/v1/chat/completions", "{\"messages\": [{\"role\": \"user\"}]}", 400, "content"},
    {"/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}", 400,
     "no text"},
    {"/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [{}]}", 400,
     "tools"},
    {"/v1/chat/completions",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"response_format\": {\"type\": \"json_object\"}}",
     400, "response_format"},
    {"/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"top_logprobs\": 2}", 400,
     "top_logprobs"},
    {"/v1/chat/completions",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"continue_final_message\": true, "
     "\"add_generation_prompt\": true}",
     400, "exclude each other"},
    {"/tokenize", "{}", 400, "prompt"},
    {"/tokenize", "{\"prompt\": 5}", 400, "prompt"},
    {"/detokenize", "{}", 400, "tokens"},
    {"/detokenize", "{\"tokens\": [99999999]}", 400, "99999999"},
};

XT_TEST(impossible_requests_are_refused_by_field)
{
    struct fixture f;
    open_all(&f);
    for (size_t i = 0; i < MU_COUNT(refusals); i++) {
        struct hc_reply r = hc_post(f.port, refusals[i].path, refusals[i].body);
        XT_CHECKF(r.status == refusals[i].status && strstr(r.body, refusals[i].part) && strstr(r.body, "{\"error\": {"),
                  "%s %s: %s", refusals[i].path, refusals[i].body, r.text);
        json_t *v = parse(r.body);
        XT_CHECK(json_is_string(at(at(v, "error"), "message")));
        json_decref(v);
        hc_free(&r);
    }
    close_all(&f);
}

XT_TEST(bodies_that_would_become_huge_are_refused)
{
    struct fixture f;
    open_all(&f);
    size_t n = 3 << 20;
    char *body = malloc(n + 64);
    memset(body, 0, n + 64);
    strcpy(body, "{\"prompt\": [0");
    for (size_t at_byte = strlen(body); at_byte < n; at_byte += 2)
        memcpy(body + at_byte, ",0", 2);
    strcat(body, "]}");
    struct hc_reply r = hc_post(f.port, "/v1/completions", body);
    XT_EQ(r.status, 413);
    hc_free(&r);
    memset(body, '[', n);
    r = hc_post(f.port, "/v1/completions", body);
    XT_EQ(r.status, 413);
    hc_free(&r);
    memset(body + 100000, 0, n - 100000); /* deep, not wide */
    r = hc_post(f.port, "/v1/completions", body);
    XT_EQ(r.status, 400);
    hc_free(&r);
    n = 1 << 20;
    strcpy(body, "{\"prompt\": \"");
    memset(body + strlen(body), 'a', n);
    strcpy(body + n, "\"}");
    r = hc_post(f.port, "/v1/completions", body);
    XT_CHECK(r.status == 400 && strstr(r.body, "context_length_exceeded"));
    hc_free(&r);
    free(body);
    close_all(&f);
}

/* ---- load ---- */

XT_TEST(five_hundred_streams_at_a_time)
{
    struct fixture f;
    static int fd[500];
    open_all(&f);
    json_t *want = complete(&f, "{\"prompt\": \"The\", \"max_tokens\": 3, \"temperature\": 0, \"ignore_eos\": true}");
    for (int i = 0; i < 500; i++)
        fd[i] = hc_post_begin(f.port, "/v1/completions",
                              "{\"prompt\": \"The\", \"max_tokens\": 3, \"temperature\": 0, \"ignore_eos\": true, "
                              "\"stream\": true}");
    for (int i = 0; i < 500; i++) {
        struct hc_reply r = hc_end(fd[i]);
        XT_CHECKF(r.status == 200 && strstr(r.body, "data: [DONE]"), "stream %d: %s", i, r.text);
        struct mu_buf text = MU_BUF_INIT("t", 65536);
        join_stream(r.body, false, &text, 1);
        XT_STREQ(text.p ? text.p : "", text_of(want, 0));
        mu_buf_fini(&text);
        hc_free(&r);
    }
    json_decref(want);
    close_all(&f);
}

#define LONG "\"max_tokens\": 250, \"ignore_eos\": true, \"seed\": 1"

#define SOME "{\"prompt\": [0, 9], \"max_tokens\": 100, \"ignore_eos\": true}"

static void wait_idle(const struct fixture *f)
{
    struct mu_engine_status st;
    for (int i = 0; i < 6000; i++) {
        mu_engine_status(f->eng, &st);
        if (st.n_running + st.n_queued == 0 && metric(f, "muster_http_requests_open") == 0)
            return;
        sleep_ms(10);
    }
    XT_CHECKF(false, "%d requests still run", st.n_running + st.n_queued);
}

XT_TEST(clients_that_leave_are_cancelled_and_others_are_not)
{
    struct fixture f;
    int fd[60];
    open_all(&f);
    for (int i = 0; i < 60; i++)
        fd[i] = hc_post_begin(f.port, "/v1/completions",
                              i % 2 ? "{\"prompt\": [0, 9], \"n\": 4, \"stream\": true, " LONG "}"
                                    : "{\"prompt\": [0, 9], \"n\": 4, " LONG "}");
    int stays = hc_post_begin(f.port, "/v1/completions", "{\"prompt\": [0, 10], \"max_tokens\": 8, \"seed\": 3}");
    sleep_ms(50);
    for (int i = 0; i < 60; i++)
        close(fd[i]);
    json_decref(take_json(stays));
    wait_idle(&f);
    XT_CHECK(metric(&f, "muster_http_requests_gone_total") >= 50);
    close_all(&f);
}

static void wait_open(const struct fixture *f, int n)
{
    for (int i = 0; i < 2000 && metric(f, "muster_http_requests_open") < n; i++)
        sleep_ms(2);
    XT_EQ(metric(f, "muster_http_requests_open"), n);
}

XT_TEST(a_full_queue_refuses)
{
    struct fixture f;
    open_model(&f);
    struct mu_serve_opts o = plain(&f);
    o.queue_max = 2;
    open_with(&f, &o);
    int a = hc_post_begin(f.port, "/v1/completions", SOME);
    int b = hc_post_begin(f.port, "/v1/completions", SOME);
    wait_open(&f, 2);
    struct hc_reply r = hc_post(f.port, "/v1/completions", "{\"prompt\": [0]}");
    XT_EQ(r.status, 503);
    XT_CHECK(strstr(r.text, "Retry-After: 1"));
    hc_free(&r);
    json_decref(take_json(a));
    json_decref(take_json(b));
    close_all(&f);
}

/* ---- clients of one key take turns ---- */

static int post_as(const struct fixture *f, const char *client, const char *body)
{
    int fd = hc_connect(f->port);
    char head[256];
    snprintf(head, sizeof head,
             "POST /v1/completions HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: application/json\r\n"
             "Muster-Client: %s\r\nContent-Length: %zu\r\n\r\n",
             client, strlen(body));
    XT_CHECK(hc_puts(fd, head) && hc_puts(fd, body));
    return fd;
}

#define MANY        320
#define SIX         "\"max_tokens\": 6, \"ignore_eos\": true}"
#define MANY_TOKENS (MANY * 6)

/* Behind everything that was sent before, its one request would end when nearly all tokens are drawn. */
XT_TEST(a_client_that_sends_much_does_not_keep_another_waiting)
{
    struct fixture f;
    char body[8192] = "{\"prompt\": [[0, 9]";
    open_all(&f);
    for (int i = 1; i < MANY; i++)
        strcat(body, ", [0, 9]");
    strcat(body, "], " SIX);
    int much = post_as(&f, "much", body);
    for (int i = 0; i < 2000 && metric(&f, "vllm:num_requests_running") < 1; i++)
        sleep_ms(2);
    json_decref(take_json(post_as(&f, "little", "{\"prompt\": [0, 9], " SIX)));
    double drawn = metric(&f, "vllm:generation_tokens_total");
    XT_CHECKF(drawn < MANY_TOKENS * 3 / 4, "%g of %d tokens were drawn before the other client's six", drawn,
              MANY_TOKENS);
    json_t *v = take_json(much);
    XT_EQ(json_array_size(at(v, "choices")), MANY);
    json_decref(v);
    close_all(&f);
}

XT_TEST(a_client_that_fills_the_queue_does_not_keep_another_out)
{
    struct fixture f;
    int fd[16];
    open_model(&f);
    struct mu_serve_opts o = plain(&f);
    o.queue_max = 16;
    open_with(&f, &o);
    for (int i = 0; i < 16; i++)
        fd[i] = post_as(&f, "much", SOME);
    wait_open(&f, 16);
    struct hc_reply r = hc_end(post_as(&f, "much", "{\"prompt\": [0, 9]}"));
    XT_EQ(r.status, 503);
    hc_free(&r);
    json_decref(take_json(post_as(&f, "little", "{\"prompt\": [0, 9], " SIX)));
    for (int i = 0; i < 16; i++)
        json_decref(take_json(fd[i]));
    close_all(&f);
}

XT_TEST(time_limits_end_requests)
{
    struct fixture f;
    open_model(&f);
    struct mu_serve_opts o = plain(&f);
    o.request_ns = 1;
    open_with(&f, &o);
    struct hc_reply r = hc_post(f.port, "/v1/completions", "{\"prompt\": [0, 9], \"n\": 64, " LONG "}");
    XT_CHECKF(r.status == 504 && strstr(r.body, "timeout"), "%s", r.text);
    hc_free(&r);
    wait_idle(&f);
    close_all(&f);
}

XT_TEST(draining_answers_and_closing_cancels)
{
    struct fixture f;
    open_all(&f);
    int fd = hc_post_begin(f.port, "/v1/completions", "{\"prompt\": [0, 9], \"max_tokens\": 40, \"ignore_eos\": true}");
    wait_open(&f, 1);
    XT_CHECK(mu_serve_drain(f.serve, 60 * SECOND_NS));
    json_decref(take_json(fd));
    close_all(&f);

    open_all(&f);
    int many[20];
    for (int i = 0; i < 20; i++)
        many[i] = hc_post_begin(f.port, "/v1/completions",
                                i % 2 ? "{\"prompt\": [0, 9], \"n\": 8, \"stream\": true, " LONG "}"
                                      : "{\"prompt\": [0, 9], \"n\": 8, " LONG "}");
    wait_open(&f, 20);
    XT_CHECK(!mu_serve_drain(f.serve, 0));
    close_all(&f);
    for (int i = 0; i < 20; i++) {
        struct hc_reply r = hc_end(many[i]);
        XT_CHECKF(r.status == 503 || strstr(r.text, "stopped before"), "%s", r.text);
        hc_free(&r);
    }
}

XT_TEST(changed_bodies_harm_nobody)
{
    struct fixture f;
    uint64_t seed = 5;
    open_all(&f);
    for (int i = 0; i < 300; i++) {
        size_t which = xt_rand(&seed) % MU_COUNT(refusals);
        const char *from =
            i % 3 ? "{\"prompt\": [[0, 9], \"The\"], \"n\": 2, \"max_tokens\": 3, \"logprobs\": 2, \"echo\": "
                    "true, \"stop\": [\"x\"], \"logit_bias\": {\"7\": 1}, \"stream\": false}"
                  : refusals[which].body;
        char body[512];
        size_t n = strlen(from);
        strcpy(body, from);
        for (int k = 0; n > 0 && k < 1 + i % 3; k++) {
            size_t at_byte = xt_rand(&seed) % n;
            const char *marks = "{}[]\",:0189-.e";
            body[at_byte] =
                xt_rand(&seed) % 2 ? marks[xt_rand(&seed) % strlen(marks)] : (char)(1 + xt_rand(&seed) % 255);
        }
        struct hc_reply r = hc_post(f.port, i % 3 ? "/v1/completions" : refusals[which].path, body);
        XT_CHECKF(r.status >= 200 && r.status < 500, "%s: %s", body, r.text);
        hc_free(&r);
    }
    wait_idle(&f);
    close_all(&f);
}

/* ---- opening ---- */

struct opening {
    struct mu_serve_opts o;
};

static int open_and_close(void *arg, struct mu_err *e)
{
    struct mu_serve *s = NULL;
    int rc = mu_serve_open(&s, &((struct opening *)arg)->o, e);
    if (rc == MU_OK)
        mu_serve_close(s);
    return rc;
}

XT_TEST(opening_survives_a_lack_of_memory)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    open_model(&f);
    struct opening o = {plain(&f)};
    xt_each_alloc_fails(open_and_close, &o);
    f.model.tok = NULL;
    XT_FAILS(open_and_close(&o, &err), MU_EINVAL, "tokenizer");
    close_all(&f);
}

XT_MAIN()
