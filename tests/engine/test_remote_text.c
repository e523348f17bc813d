/* test_remote_text.c - texts of a server that follows a script, whole and as streams */
#include "remote_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "xt.h"

/* ---- generation ---- */

static void answer_text(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)request, (void)body;
    rs_reply(fd, 200, NULL, s->arg);
}

static struct mu_result *generate(struct rf *f, const char *json, const struct mu_request *q)
{
    return rf_play(f, answer_text, json, q);
}

XT_TEST(a_text_comes_with_its_tokens_and_without_the_one_that_ended_it)
{
    struct rf f;
    struct mu_request q = rf_generate_request(8);
    const int32_t stop_id = 7;
    q.stop_ids = &stop_id;
    q.n_stop_ids = 1;
    struct mu_result *r =
        generate(&f,
                 "{\"usage\": {\"prompt_tokens_details\": {\"cached_tokens\": 2}}, \"choices\": [{\"text\": \" hi\", "
                 "\"finish_reason\": \"stop\", \"logprobs\": {\"tokens\": [\"token_id:5\", \"token_id:6\", "
                 "\"token_id:7\"], \"token_logprobs\": [-0.5, -0.25, -0.125], \"top_logprobs\": [{\"token_id:5\": "
                 "-0.5}, {\"token_id:9\": -0.2, \"token_id:6\": -0.25}, {\"token_id:7\": -0.125}]}}]}",
                 &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, " hi");
    XT_EQ(r->finish, MU_FINISH_STOP);
    XT_EQ(r->stop_id, 7);
    XT_EQ(r->tokens.n, 2);
    XT_EQ(r->tokens.ids[1], 6);
    XT_NEAR(r->logprob_sum, -0.75, 1e-12);
    XT_CHECK(r->tokens.is_greedy[0] && !r->tokens.is_greedy[1] && !r->is_greedy);
    XT_EQ(r->n_prompt_cached, 2);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(more_tokens_than_were_asked_for_are_refused)
{
    struct rf f;
    struct mu_request q = rf_generate_request(2);
    struct mu_result *r = generate(
        &f, "{\"choices\": [{\"text\": \"abc\", \"finish_reason\": \"length\", \"token_ids\": [1, 2, 3]}]}", &q);
    XT_EQ(r->code, MU_EFORMAT);
    XT_CHECKF(strstr(r->err.text, "3 tokens and 2 were asked for"), "%s", r->err.text);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(stop_strings_that_a_server_missed_cut_the_text)
{
    struct rf f;
    struct mu_request q = rf_generate_request(8);
    const char *stop[] = {"never", "two"};
    q.stop = stop;
    q.n_stop = 2;
    struct mu_result *r =
        generate(&f, "{\"choices\": [{\"text\": \"one two three\", \"finish_reason\": \"length\"}]}", &q);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, "one ");
    XT_EQ(r->finish, MU_FINISH_STOP);
    XT_EQ(r->stop_string, 1);
    XT_CHECK(isnan(r->logprob_sum)); /* the server told none */
    mu_result_free(r);
    rf_end(&f);
}

static void answer_plain_only(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    (void)n, (void)request;
    json_t *o = json_loads(body, 0, NULL);
    *(size_t *)s->arg = json_array_size(json_object_get(o, "stop"));
    if (json_object_get(o, "return_tokens_as_token_ids") || json_object_get(o, "stop_token_ids"))
        rs_reply(fd, 400, NULL, rf_refused);
    else
        rs_reply(fd, 200, NULL, "{\"choices\": [{\"text\": \"a b\", \"finish_reason\": \"length\"}]}");
    json_decref(o);
}

XT_TEST(a_server_that_knows_openai_s_fields_only_is_asked_with_those)
{
    struct rf f;
    struct mu_request q = rf_generate_request(8);
    const char *stop[] = {"1", "2", "3", "4", "5", "b"};
    const int32_t stop_id = 7;
    size_t n_stops = 0;
    rf_begin(&f, answer_plain_only);
    f.server.arg = &n_stops;
    rf_open(&f);
    q.stop = stop;
    q.n_stop = 6;
    q.stop_ids = &stop_id;
    q.n_stop_ids = 1;
    for (int i = 0; i < 2; i++) {
        struct mu_result *r = rf_ask(&f, &q);
        XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
        XT_STREQ(r->text, "a ");
        XT_EQ(r->stop_string, 5);
        XT_EQ(n_stops, 4);
        XT_EQ(atomic_load(&f.server.n_requests), 2 + i);
        mu_result_free(r);
    }
    rf_end(&f);
}

/* ---- streams ---- */

#define CHUNK(text, finish)                                                                                            \
    "data: {\"choices\": [{\"index\": 0, \"text\": \"" text "\", \"finish_reason\": " finish "}]}\r\n\r\n"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

struct heard {
    char text[256];
    int n_events, n_last;
    enum mu_finish finish;
    int stop_after; /* events; 0: never */
};

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct heard *h = arg;
    h->n_events++;
    h->n_last += ev->is_last;
    h->finish = ev->finish;
    strncat(h->text, ev->text, MU_MIN(ev->text_bytes, sizeof h->text - strlen(h->text) - 1));
    return h->stop_after && h->n_events >= h->stop_after;
}

/* In pieces of three bytes, so that lines, characters and events break everywhere. */
static void answer_pieces(struct remote_server *s, int n, int fd, const char *request, const char *body)
{
    const char *text = s->arg;
    char piece[4] = "";
    (void)n, (void)request;
    if (!strstr(body, "\"stream\": true"))
        return;
    for (size_t i = 0; i < strlen(text); i += 3) {
        snprintf(piece, sizeof piece, "%s", text + i);
        rs_send(fd, piece);
        if (i % 30 == 0)
            poll(NULL, 0, 1);
    }
}

static struct mu_result *stream(struct rf *f, const char *text, struct heard *h, const char *stop)
{
    struct mu_request q = rf_generate_request(8);
    q.on_token = on_token;
    q.on_token_arg = h;
    q.stop = &stop;
    q.n_stop = stop != NULL;
    return rf_play(f, answer_pieces, text, &q);
}

XT_TEST(a_stream_is_shown_as_it_comes)
{
    struct rf f;
    struct heard h = {.n_events = 0};
    struct mu_result *r = stream(&f,
                                 STREAM_HEAD ": hello\n\n" CHUNK("Caf", "null") CHUNK("\xc3\xa9 ", "null")
                                     CHUNK("au", "null") CHUNK("", "\"length\"") "data: [DONE]\n\n",
                                 &h, NULL);
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, "Caf\xc3\xa9 au");
    XT_STREQ(h.text, r->text);
    XT_EQ(h.n_last, 1);
    XT_EQ(h.n_events, 4);
    XT_EQ(h.finish, MU_FINISH_LENGTH);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(a_stop_string_across_pieces_ends_a_stream)
{
    struct rf f;
    struct heard h = {.n_events = 0};
    struct mu_result *r =
        stream(&f, STREAM_HEAD CHUNK("one E", "null") CHUNK("N", "null") CHUNK("D two", "null") CHUNK("", "\"length\""),
               &h, "END");
    XT_CHECKF(r->code == MU_OK, "%s", r->err.text);
    XT_STREQ(r->text, "one ");
    XT_STREQ(h.text, "one ");
    XT_EQ(r->finish, MU_FINISH_STOP);
    XT_EQ(r->stop_string, 0);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(a_stream_that_breaks_is_not_told_twice)
{
    struct rf f;
    struct heard h = {.n_events = 0};
    struct mu_result *r = stream(&f, STREAM_HEAD CHUNK("half a", "null"), &h, NULL);
    XT_EQ(r->code, MU_EFORMAT);
    XT_CHECKF(strstr(r->err.text, "ended before the text did (the text had begun"), "%s", r->err.text);
    XT_STREQ(h.text, "half a");
    XT_EQ(h.n_last, 1);
    XT_EQ(h.finish, MU_FINISH_ERROR);
    XT_EQ(atomic_load(&f.server.n_requests), 1);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(an_error_inside_a_stream_is_told)
{
    struct rf f;
    struct heard h = {.n_events = 0};
    struct mu_result *r =
        stream(&f, STREAM_HEAD "data: {\"error\": {\"message\": \"the GPU fell off\"}}\n\n", &h, NULL);
    XT_EQ(r->code, MU_EPEER);
    XT_CHECKF(strstr(r->err.text, "the server broke off: the GPU fell off (attempt 3 of 3)"), "%s", r->err.text);
    mu_result_free(r);
    rf_end(&f);
}

XT_TEST(a_receiver_can_stop_a_stream)
{
    struct rf f;
    struct heard h = {.stop_after = 1};
    struct mu_result *r =
        stream(&f, STREAM_HEAD CHUNK("a", "null") CHUNK("b", "null") CHUNK("", "\"length\""), &h, NULL);
    XT_EQ(r->code, MU_ECANCELED);
    XT_EQ(r->finish, MU_FINISH_CANCELLED);
    XT_STREQ(r->text, "a");
    mu_result_free(r);
    rf_end(&f);
}
