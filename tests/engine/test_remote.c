/* test_remote.c - the remote engine against a server that follows a script: forms, opening, the key, cancelling */
#include "remote_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "xt.h"

/* ---- scores ---- */

XT_TEST(every_form_that_a_server_may_understand_gives_the_same_scores)
{
    for (int form = 0; form <= MU_SCORE_PROMPT_LOGPROBS; form++) { /* the others: test_remote_servers.c */
        struct rf f;
        struct mu_request q = rf_score_request();
        rf_begin(&f, rf_answer_scores);
        f.server.arg = (void *)(intptr_t)form;
        rf_open(&f);
        q.n_top = 2;
        for (int i = 0; i < 2; i++) {
            struct mu_result *r = rf_ask(&f, &q);
            rf_check_score(r, form != MU_SCORE_ECHO_PLAIN);
            mu_result_free(r);
            XT_EQ(atomic_load(&f.server.n_requests), form + 1 + i); /* what was understood is asked at once */
        }
        rf_end(&f);
    }
}

XT_TEST(alternatives_are_requests_of_their_own)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    const int32_t alternatives[] = {20, 31, 40};
    rf_begin(&f, rf_answer_scores);
    f.opts.concurrency = 2;
    rf_open(&f);
    q.alternatives = alternatives;
    q.n_alternatives = 3;
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_EQ(r->n_alternatives, 3);
    for (int i = 0; i < 3; i++) {
        XT_EQ(r->alternatives[i].id, alternatives[i]);
        XT_NEAR(r->alternatives[i].logprob, rf_cost(alternatives[i]), 1e-12);
        XT_NEAR(r->alternatives[i].logprob_sum, -2.9 + rf_cost(alternatives[i]), 1e-12);
    }
    XT_EQ(atomic_load(&f.server.n_requests), 4);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(rolling_scores_every_token_but_the_first)
{
    struct rf f;
    struct mu_request q = MU_REQUEST_INIT;
    rf_begin(&f, rf_answer_scores);
    rf_open(&f);
    q.kind = MU_REQUEST_ROLLING;
    q.ids = rf_context;
    q.n_ids = 3;
    struct mu_result *r = rf_ask(&f, &q);
    XT_EQ(r->tokens.n, 2);
    XT_NEAR(r->logprob_sum, -2.5, 1e-12);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(many_requests_come_back_each_with_its_own_scores)
{
    struct rf f;
    struct mu_request q[40];
    struct mu_result *r[40];
    int32_t ids[40][2];
    struct mu_err err = MU_ERR_INIT;
    rf_begin(&f, rf_answer_scores);
    f.opts.concurrency = 8;
    f.opts.clock = NULL;
    rf_open(&f);
    for (int i = 0; i < 40; i++) {
        q[i] = (struct mu_request)MU_REQUEST_INIT;
        q[i].kind = MU_REQUEST_ROLLING;
        q[i].ids = ids[i];
        q[i].n_ids = 2;
        ids[i][0] = 1;
        ids[i][1] = 100 + i;
    }
    XT_OK(mu_engine_run(f.eng, q, 40, r, &err));
    for (int i = 0; i < 40; i++) {
        XT_NEAR(r[i]->logprob_sum, rf_cost(100 + i), 1e-12);
        mu_result_free(r[i]);
    }
    rf_end(&f);
}

/* ---- opening ---- */

static void check_models(const char *models, const char *model, int code, const char *part)
{
    struct rf f;
    struct mu_err err = MU_ERR_INIT;
    rf_begin(&f, rf_answer_scores);
    f.server.models = models;
    f.opts.clock = NULL;
    f.opts.attempts_max = 1;
    f.opts.endpoint_model = model;
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), code, part);
    XT_CHECK(strstr(err.text, f.server.endpoint) != NULL);
    f.eng = NULL;
    rf_end(&f);
}

XT_TEST(a_list_of_models_that_does_not_do_is_refused)
{
    check_models(BODY("{\"data\": [{\"id\": \"a\"}, {\"id\": \"b\"}]}"), NULL, MU_ENOENT, "2 models: say which");
    check_models(BODY("{\"data\": [{\"id\": \"a\"}, {\"id\": \"b\"}]}"), "c", MU_ENOENT, "no model c; it has a, b");
    check_models(BODY("{\"data\": []}"), NULL, MU_ENOENT, "names no model");
    check_models(BODY("{\"data\": [{}]}"), NULL, MU_EFORMAT, "model 0 of the list has no name");
    check_models(BODY("{\"data\": 3}"), NULL, MU_EFORMAT, "no list of models");
    check_models(BODY("<html>"), NULL, MU_EFORMAT, "not JSON");
    check_models("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", NULL, MU_EUSAGE, "does not list its models");
    check_models("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", NULL, MU_EPEER, "status 500");
    check_models("HTTP/1.1 301 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", NULL, MU_EPEER, "redirects elsewhere");
}

XT_TEST(the_context_that_the_server_tells_bounds_requests)
{
    struct rf f;
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_info info;
    int32_t ids[40] = {0};
    struct mu_request q = MU_REQUEST_INIT;
    uint64_t id;
    rf_begin(&f, rf_answer_scores);
    f.server.models = BODY("{\"data\": [{\"id\": \"m\", \"root\": \"/w\", \"max_model_len\": 32}]}");
    rf_open(&f);
    mu_engine_info(f.eng, &info);
    XT_STREQ(info.engine, "remote");
    XT_EQ(info.context_max, 30); /* a token to generate, and the last one, which is fed */
    XT_CHECK(strncmp(info.weights_hash, "endpoint-", 9) == 0 && strlen(info.weights_hash) == 41);
    XT_CHECK(mu_engine_bill(f.eng) == NULL);
    q.kind = MU_REQUEST_ROLLING;
    q.ids = ids;
    q.n_ids = 34;
    XT_FAILS(mu_engine_submit(f.eng, &q, &id, &err), MU_ELIMIT, "the context is 30");
    mu_engine_close(f.eng);
    f.eng = NULL;
    f.opts.context_max = 64;
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), MU_ELIMIT, "the server allows 32");
    rf_end(&f);
}

XT_TEST(who_is_asked_for_what_decides_the_identity)
{
    const char *models[] = {BODY("{\"data\": [{\"id\": \"m\", \"root\": \"/w\"}]}"),
                            BODY("{\"data\": [{\"id\": \"m\", \"root\": \"/v\"}]}"),
                            BODY("{\"data\": [{\"id\": \"n\", \"root\": \"/w\"}]}")};
    char seen[4][64] = {""};
    struct rf f;
    struct mu_engine_info info;
    rf_begin(&f, rf_answer_scores);
    for (size_t i = 0; i < 4; i++) {
        f.server.models = models[i % 3];
        rf_open(&f);
        mu_engine_info(f.eng, &info);
        snprintf(seen[i], sizeof seen[i], "%s", info.weights_hash);
        mu_engine_close(f.eng);
    }
    XT_STREQ(seen[0], seen[3]);
    XT_CHECK(strcmp(seen[0], seen[1]) != 0 && strcmp(seen[0], seen[2]) != 0 && strcmp(seen[1], seen[2]) != 0);
    f.eng = NULL;
    rf_end(&f);
}

XT_TEST(an_endpoint_where_nobody_listens_is_a_sentence)
{
    struct rf f;
    struct mu_err err = MU_ERR_INIT;
    rf_begin(&f, rf_answer_scores);
    f.opts.clock = NULL;
    f.opts.attempts_max = 2;
    rs_stop(&f.server);
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), MU_EPEER, "refused");
    XT_EQ(mu_mem_bytes_used(), f.heap);
}

XT_TEST(tls_to_a_server_that_has_none_is_a_sentence)
{
    struct rf f;
    char url[64];
    struct mu_err err = MU_ERR_INIT;
    rf_begin(&f, rf_answer_scores);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", f.server.port);
    f.opts.endpoint = url;
    f.opts.clock = NULL;
    f.opts.attempts_max = 1;
    f.server.models = BODY("no TLS here");
    f.opts.silence_ns = 2 * SECOND_NS;
    XT_CHECK(mu_engine_open(&f.eng, &f.opts, &err) != MU_OK);
    XT_CHECKF(strstr(err.text, url) != NULL && strlen(err.text) > strlen(url) + 8, "%s", err.text);
    f.eng = NULL;
    rf_end(&f);
}

XT_TEST(addresses_are_read_as_people_give_them)
{
    static const char *const good[][2] = {{"http://h", "http://h/v1"},
                                          {"http://h:80/", "http://h:80/v1"},
                                          {"https://h/v1/", "https://h/v1"},
                                          {"http://h/v1/completions", "http://h/v1"},
                                          {"http://[::1]:8000", "http://[::1]:8000/v1"},
                                          {"http://h/proxy/openai/v1", "http://h/proxy/openai/v1"}};
    static const char *const bad[][2] = {
        {"h:8000", "begins with http"}, {"ftp://h", "begins with http"},         {"http://", "is needed"},
        {"http:///v1", "is needed"},    {"http://u:p@h/", "a name or password"}, {"http://h/?a=b", "is needed"},
        {"http://h/a b", "a space"}};
    struct mu_err err = MU_ERR_INIT;
    char *url = NULL;
    for (size_t i = 0; i < MU_COUNT(good); i++) {
        XT_OK(mu_remote_base_url(good[i][0], &url, &err));
        XT_STREQ(url, good[i][1]);
        mu_free(url);
    }
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        XT_FAILS(mu_remote_base_url(bad[i][0], &url, &err), MU_EUSAGE, bad[i][1]);
}

/* ---- the key ---- */

#define KEY "sk-Secret-0123456789"

static void answer_key(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)body;
    *(bool *)s->arg = strstr(request, "Authorization: Bearer " KEY "\r\n") != NULL;
    rs_reply(fd, 401, NULL, "{\"error\": {\"message\": \"wrong key: " KEY "\"}}");
}

XT_TEST(the_key_goes_to_the_server_and_nowhere_else)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    struct mu_err err = MU_ERR_INIT;
    bool was_sent = false;
    char path[512];
    rf_begin(&f, answer_key);
    f.server.arg = &was_sent;
    snprintf(path, sizeof path, "%s/key", xt_tmpdir());
    FILE *file = fopen(path, "w");
    XT_CHECK(file && fputs("  " KEY "\n", file) >= 0 && fclose(file) == 0);
    f.opts.api_key_file = path;
    rf_open(&f);
    struct mu_result *r = rf_ask(&f, &q);
    XT_CHECK(was_sent);
    XT_CHECKF(strstr(r->err.text, "refuses the key") && !strstr(r->err.text, KEY), "%s", r->err.text);
    mu_result_free(r);
    mu_engine_close(f.eng);
    file = fopen(path, "w");
    XT_CHECK(file && fputs(" \n", file) >= 0 && fclose(file) == 0);
    f.eng = NULL;
    XT_FAILS(mu_engine_open(&f.eng, &f.opts, &err), MU_EUSAGE, "holds no key");
    f.opts.api_key_file = NULL;
    setenv("OPENAI_API_KEY", KEY "\r\nX-Injected: 1", 1); /* the first word only */
    rf_open(&f);
    was_sent = false;
    mu_result_free(rf_ask(&f, &q));
    XT_CHECK(was_sent);
    unsetenv("OPENAI_API_KEY");
    rf_end(&f);
}

/* ---- cancelling, closing ---- */

XT_TEST(requests_can_be_cancelled_wherever_they_are)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    struct mu_err err = MU_ERR_INIT;
    uint64_t ids[3];
    rf_begin(&f, rf_answer_nothing);
    rf_open(&f);
    for (int i = 0; i < 3; i++)
        XT_OK(mu_engine_submit(f.eng, &q, &ids[i], &err));
    struct mu_result *r;
    XT_FAILS(mu_engine_poll(f.eng, &r, 0, &err), MU_ETIMEDOUT, "no request was done");
    XT_OK(mu_engine_cancel(f.eng, ids[2], &err)); /* waiting */
    XT_OK(mu_engine_cancel(f.eng, ids[0], &err)); /* on its way */
    for (int i = 0; i < 2; i++) {
        r = rf_drive(&f);
        XT_CHECK(r && r->code == MU_ECANCELED && r->finish == MU_FINISH_CANCELLED);
        mu_result_free(r);
    }
    XT_FAILS(mu_engine_cancel(f.eng, 99, &err), MU_ENOENT, "99 is not in flight");
    rf_end(&f); /* with one on its way */
}

XT_TEST(a_full_queue_says_so)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    struct mu_err err = MU_ERR_INIT;
    uint64_t id;
    rf_begin(&f, rf_answer_nothing);
    f.opts.queue_max = 1;
    rf_open(&f);
    XT_OK(mu_engine_submit(f.eng, &q, &id, &err));
    XT_FAILS(mu_engine_submit(f.eng, &q, &id, &err), MU_ENOMEM, "the queue is full");
    rf_end(&f);
}

static void *submit_later(void *arg)
{
    struct rf *f = arg;
    struct mu_request q = rf_score_request();
    uint64_t id;
    for (int i = 0; i < 20; i++) {
        mu_engine_submit(f->eng, &q, &id, NULL);
        poll(NULL, 0, 1);
    }
    return NULL;
}

XT_TEST(requests_may_come_from_another_thread_while_one_polls)
{
    struct rf f;
    pthread_t other;
    rf_begin(&f, rf_answer_scores);
    f.opts.concurrency = 4;
    rf_open(&f);
    XT_CHECK(pthread_create(&other, NULL, submit_later, &f) == 0);
    for (int n = 0; n < 20;) {
        struct mu_result *r = rf_drive(&f);
        if (!r) { /* nothing in flight just now */
            poll(NULL, 0, 1);
            continue;
        }
        XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
        mu_result_free(r);
        n++;
    }
    pthread_join(other, NULL);
    rf_end(&f);
}

/* ---- no memory ---- */

static void answer_words(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)s, (void)n, (void)request, (void)body;
    rs_reply(fd, 200, NULL, "{\"choices\": [{\"text\": \"one two\", \"finish_reason\": \"length\"}]}");
}

struct whole {
    struct rf *f;
    const struct mu_request *q;
};

static int ask_once(void *arg, struct mu_err *e)
{
    const struct whole *w = arg;
    mu_engine *eng = NULL;
    struct mu_result *r = NULL;
    uint64_t id;
    int rc;
    MU_TRY(mu_engine_open(&eng, &w->f->opts, e));
    MU_TRY(mu_engine_submit(eng, w->q, &id, e));
    MU_TRY(mu_engine_poll(eng, &r, MU_WAIT_FOREVER, e));
    rc = r->code;
    if (e)
        *e = r->err;
out:
    mu_result_free(r);
    mu_engine_close(eng);
    return rc;
}

XT_TEST(without_memory_every_request_ends_in_order)
{
    struct rf f;
    const int32_t alternative = 20;
    const char *stop = "END";
    struct mu_request score = rf_score_request(), text = rf_generate_request(4);
    struct whole w = {&f, &score};
    score.n_top = 2;
    score.alternatives = &alternative;
    score.n_alternatives = 1;
    text.stop = &stop;
    text.n_stop = 1;
    rf_begin(&f, rf_answer_scores);
    f.opts.clock = NULL;
    xt_each_alloc_fails(ask_once, &w);
    f.server.answer = answer_words;
    w.q = &text;
    xt_each_alloc_fails(ask_once, &w);
    rf_end(&f);
}
