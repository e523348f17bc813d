/* test_remote_faults.c - servers that fail: each fault ends as a sentence, what may pass is tried again */
#include "remote_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "xt.h"

/* ---- faults: each ends as a sentence ---- */

struct fault {
    const char *raw; /* bytes on the wire */
    int code;
    const char *part;
    int n_requests; /* 0: not looked at */
};

static void answer_raw(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)request, (void)body;
    rs_send(fd, s->arg);
}

static void check_fault(const struct fault *x)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    struct mu_result *r = rf_play(&f, answer_raw, x->raw, &q);
    XT_CHECKF(r->code == x->code, "%s for %s: %s", mu_code_name(r->code), x->part, r->err.text);
    XT_CHECKF(strstr(r->err.text, x->part), "\"%s\" lacks \"%s\"", r->err.text, x->part);
    XT_CHECKF(strstr(r->err.text, f.server.endpoint), "\"%s\" does not name the endpoint", r->err.text);
    XT_EQ(r->finish, MU_FINISH_ERROR);
    if (x->n_requests)
        XT_EQ(atomic_load(&f.server.n_requests), x->n_requests);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(every_fault_ends_as_a_sentence)
{
    static const struct fault faults[] = {
        {"HTTP/1.1 500 X\r\nContent-Length: 5\r\n\r\nouch!", MU_EPEER, "status 500: ouch! (attempt 3 of 3)", 3},
        {"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", MU_EPEER, "status 503 (attempt 3 of 3)", 3},
        {"HTTP/1.1 429 X\r\nRetry-After: 86000\r\nContent-Length: 0\r\n\r\n", MU_EPEER, "come back later than", 1},
        {"HTTP/1.1 404 X\r\nConnection: close\r\n\r\n{\"message\": \"no\\u0007such\"}", MU_EPEER, "status 404: no such",
         1},
        {"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", MU_EPEER, "refuses requests without a key", 1},
        {"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", MU_EPEER,
         "redirects elsewhere", 1},
        {"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n{\"error\": \"never heard it\"}", MU_EINVAL, "never heard it", 5},
        {"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n", MU_EINVAL, "status 413", 0},
        {BODY("this is no JSON"), MU_EFORMAT, "not JSON", 3},
        {BODY(""), MU_EFORMAT, "not JSON", 3},
        {BODY("[1, 2]"), MU_EFORMAT, "not a JSON object", 3},
        {BODY("{\"choices\": 7}"), MU_EFORMAT, "no choices", 3},
        {BODY("{\"choices\": []}"), MU_EFORMAT, "no choices", 3},
        {BODY("{\"choices\": [{\"text\": \"\"}]}"), MU_EUNSUPPORTED, "generates text and does not score it", 5},
        {BODY("{\"choices\": [{\"logprobs\": {\"token_logprobs\": [null, NaN]}}]}"), MU_EFORMAT, "not JSON", 3},
        {BODY("{\"choices\": [{\"logprobs\": {\"tokens\": [], \"token_logprobs\": [null, 1, 2, \"a\", 3, 4], "
              "\"top_logprobs\": [0, 0, 0, {\"a\": 0}, 0, 0]}}]}"),
         MU_EFORMAT, "no number as log-probability of token 3", 3},
        {BODY("{\"choices\": [{\"logprobs\": {\"tokens\": [], \"token_logprobs\": [null, 1, 2, 0.5, 3, 4], "
              "\"top_logprobs\": [0, 0, 0, {\"a\": 0}, 0, 0]}}]}"),
         MU_EFORMAT, "0.5, which is above 0", 3},
        {BODY("{\"choices\": [{\"logprobs\": {\"tokens\": [\"token_id:11\", \"token_id:12\", \"token_id:13\", "
              "\"token_id:99\", \"token_id:15\", \"token_id:16\"], \"token_logprobs\": [null, -1, -1, -1, -1, -1], "
              "\"top_logprobs\": [0, 0, 0, {\"a\": 0}, 0, 0]}}]}"),
         MU_EFORMAT, "reports token 99 where 14 was sent", 3},
        {OK_HEAD "Content-Length: 1000\r\n\r\n{\"choices\": ", MU_EPEER, "(attempt 3 of 3)", 3},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", MU_EPEER, "(attempt 3 of 3)", 3},
        {"SSH-2.0-OpenSSH_9.2\r\n", MU_EPEER, "HTTP/0.9", 1},
        {"", MU_EPEER, "Empty reply", 3},
    };
    for (size_t i = 0; i < MU_COUNT(faults); i++)
        check_fault(&faults[i]);
}

static void answer_flood(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    char block[4097];
    (void)n, (void)request, (void)body;
    memset(block, ' ', 4096);
    block[4096] = 0;
    rs_send(fd, s->arg);
    for (int i = 0; i < 1000; i++)
        rs_send(fd, block);
}

static struct mu_result *ask_flood(struct rf *f, const char *head)
{
    struct mu_request q = rf_score_request();
    return rf_play(f, answer_flood, head, &q);
}

XT_TEST(an_answer_that_is_too_large_is_cut_off)
{
    struct rf f;
    struct mu_result *r = ask_flood(&f, OK_HEAD "\r\n");
    XT_EQ(r->code, MU_ELIMIT);
    XT_CHECKF(strstr(r->err.text, "the answer would grow to"), "%s", r->err.text);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(headers_without_end_are_cut_off)
{
    struct rf f;
    struct mu_result *r = ask_flood(&f, OK_HEAD "X-A: ");
    XT_CHECK(r->code == MU_ELIMIT || r->code == MU_EPEER); /* libcurl has a bound of its own for one line */
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(a_server_that_says_nothing_is_left)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    rf_begin(&f, rf_answer_nothing);
    f.opts.silence_ns = 20 * SECOND_NS;
    rf_open(&f);
    struct mu_result *r = rf_ask(&f, &q);
    XT_EQ(r->code, MU_ETIMEDOUT);
    XT_CHECKF(strstr(r->err.text, "has sent nothing for 20 s (attempt 3 of 3)"), "%s", r->err.text);
    mu_result_free(r);
    rf_end(&f);
}

static void answer_drops(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)request, (void)body;
    rs_send(fd, OK_HEAD "\r\n");
    while (!atomic_load(&s->is_stopping)) {
        rs_send(fd, " ");
        poll(NULL, 0, 2);
    }
}

XT_TEST(a_server_that_drips_is_left_too)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    rf_begin(&f, answer_drops);
    f.opts.exchange_ns = 40 * SECOND_NS;
    f.opts.attempts_max = 1;
    rf_open(&f);
    struct mu_result *r = rf_ask(&f, &q);
    XT_EQ(r->code, MU_ETIMEDOUT);
    XT_CHECKF(strstr(r->err.text, "not whole after 40 s"), "%s", r->err.text);
    mu_result_free(r);
    rf_end(&f);
}

/* ---- retries, the circuit ---- */

static void answer_third_time(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    if (n == 0)
        rs_reply(fd, 500, NULL, "{}");
    else if (n == 1)
        rs_reply(fd, 429, "Retry-After: 7\r\n", "{}");
    else
        rf_answer_scores(s, n, fd, request, body);
}

XT_TEST(what_passes_is_tried_again_and_retry_after_is_kept)
{
    struct rf f;
    struct mu_request q = rf_score_request();
    rf_begin(&f, answer_third_time);
    rf_open(&f);
    int64_t start = mu_now_ns(&f.clock);
    q.n_top = 2;
    struct mu_result *r = rf_ask(&f, &q);
    rf_check_score(r, true);
    XT_CHECK(mu_now_ns(&f.clock) - start >= 7 * SECOND_NS);
    XT_EQ(atomic_load(&f.server.n_requests), 3);
    mu_result_free(r);
    rf_end(&f);
}

static void answer_down_until(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    if (n < (int)(intptr_t)s->arg)
        rs_reply(fd, 500, NULL, "{}");
    else
        rf_answer_scores(s, n, fd, request, body);
}

static int code_of_next(struct rf *f, const char **part)
{
    static char text[MU_ERR_TEXT_MAX];
    struct mu_request q = rf_score_request();
    struct mu_result *r = rf_ask(f, &q);
    int code = r->code;
    memcpy(text, r->err.text, sizeof text);
    *part = text;
    mu_result_free(r);
    return code;
}

XT_TEST(a_server_that_fails_in_a_row_is_not_asked_until_it_has_rested)
{
    struct rf f;
    const char *text;
    rf_begin(&f, answer_down_until);
    int n_down = MU_REMOTE_FAILURES_MAX * 3;
    f.server.arg = NULL;
    rf_open(&f);
    f.server.arg = (void *)(intptr_t)n_down;
    for (int i = 0; i < MU_REMOTE_FAILURES_MAX; i++)
        XT_EQ(code_of_next(&f, &text), MU_EPEER);
    for (int i = 0; i < 5; i++) {
        XT_EQ(code_of_next(&f, &text), MU_EPEER);
        XT_CHECKF(strstr(text, "not asked, because the server does not answer") && strstr(text, "status 500"), "%s",
                  text);
    }
    XT_EQ(atomic_load(&f.server.n_requests), n_down);
    mu_clock_fake_advance(&f.clock, 61 * SECOND_NS);
    XT_EQ(code_of_next(&f, &text), MU_OK);
    XT_EQ(code_of_next(&f, &text), MU_OK);
    rf_end(&f);
}
