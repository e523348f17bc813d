/* test_breakdown.c - an engine that breaks down under a server: who is told what, who goes on, when it is opened again
 */
#include "models_fixture.h"

#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"

#define BROKE_DOWN "the model " LLAMA " broke down: " FAILING_SENTENCE

/* The first n engines of model i break down, each after so many good polls in all. */
static void order(struct fixture *f, int i, int n, int after)
{
    atomic_store(&f->order[i].after, after);
    atomic_store(&f->order[i].n, n);
}

static int stream_begin(const struct fixture *f, const char *model)
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"model\": \"%s\", \"prompt\": [0, 40, 41], \"max_tokens\": 100, \"ignore_eos\": true, "
             "\"stream\": true}",
             model);
    return hc_post_begin(f->port, "/v1/completions", body);
}

static void check_health(const struct fixture *f, int status, const char *part)
{
    check_refused(hc_get(f->port, "/health"), status, part);
}

/* Refused with the part in its text, headers too, or answered: how many of each. */
static void count_answers(const int *fd, int n, const char *part, int *n_good, int *n_refused)
{
    for (int i = 0; i < n; i++) {
        struct hc_reply r = hc_end(fd[i]);
        XT_CHECKF(r.status == 200 || strstr(r.text, part), "neither answered nor refused with %s: %s", part, r.text);
        ++*(r.status == 200 ? n_good : n_refused);
        hc_free(&r);
    }
}

/* ---- one of several ---- */

enum { ASKS = 5 };

static void break_one_of_two(bool is_by_piece)
{
    struct fixture f;
    int llama[ASKS], dsv3[ASKS], n_good = 0, n_refused = 0;
    models_begin_both(&f);
    char *want_llama = ask(&f, LLAMA, 40), *want_dsv3 = ask(&f, DSV3, 40);
    atomic_store(&f.order[0].is_by_piece, is_by_piece);
    order(&f, 0, 1, 6);
    int stream = stream_begin(&f, LLAMA);
    for (int i = 0; i < ASKS; i++) {
        llama[i] = ask_begin(&f, LLAMA, 40);
        dsv3[i] = ask_begin(&f, DSV3, 40);
    }
    struct hc_reply r = hc_end(stream);
    XT_CHECKF(r.status == 200 && strstr(r.text, "\"text\": "), "%s", r.text);
    XT_CHECKF(strstr(r.text, FAILING_SENTENCE) && strstr(r.text, "\"code\": \"engine_error\""), "%s", r.text);
    XT_CHECKF(strstr(r.text, "data: {\"error\": {\"message\": "), "%s", r.text);
    XT_CHECKF(strstr(r.text, "data: [DONE]\n\n"), "%s", r.text);
    hc_free(&r);
    count_answers(llama, ASKS, FAILING_SENTENCE, &n_good, &n_refused);
    for (int i = 0; i < ASKS; i++) {
        char *got = choices_of(dsv3[i]);
        XT_STREQ(got, want_dsv3);
        mu_free(got);
    }
    await_metric(&f, "muster_model_breakdowns_total", LLAMA, 1); /* by piece it is found out after the last answer */
    char *got = ask(&f, LLAMA, 40);
    XT_STREQ(got, want_llama);
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 2);
    XT_EQ(metric(&f, "muster_model_opens_total", DSV3), 1);
    check_health(&f, 200, "\"status\": \"ok\"");
    XT_CHECK(mu_serve_is_alive(f.serve));
    mu_free(got);
    mu_free(want_llama);
    mu_free(want_dsv3);
    models_end(&f);
}

XT_TEST(a_poll_that_fails_costs_its_own_model_only)
{
    break_one_of_two(false);
}

XT_TEST(an_engine_that_fails_all_it_has_is_found_out)
{
    break_one_of_two(true);
}

XT_TEST(requests_in_hand_are_refused_with_the_sentence)
{
    struct fixture f;
    int fd[ASKS], n_good = 0, n_refused = 0;
    models_begin_both(&f);
    ask_ok(&f, LLAMA);
    order(&f, 0, 1, 0);
    for (int i = 0; i < ASKS; i++)
        fd[i] = ask_begin(&f, LLAMA, 40 + i);
    count_answers(fd, ASKS, "\"message\": \"" BROKE_DOWN, &n_good, &n_refused);
    XT_CHECKF(n_refused >= 1 && metric(&f, "muster_model_breakdowns_total", LLAMA) == 1, "%d refused", n_refused);
    XT_EQ(metric(&f, "vllm:request_success_total", LLAMA "\",finished_reason=\"error"), n_refused);
    models_end(&f);
}

/* ---- again ---- */

XT_TEST(what_breaks_down_again_is_left_alone_for_longer_each_time)
{
    struct fixture f;
    models_init_both(&f);
    f.retry_ns = 30000 * MS;
    models_begin(&f);
    order(&f, 0, 2, 0);
    ask_refused(&f, LLAMA, 503, BROKE_DOWN);
    check_health(&f, 200,
                 "{\"status\": \"degraded\", \"failed\": [{\"model\": \"" LLAMA
                 "\", \"failures_in_row\": 1, \"given_up\": false, \"retry_after\": 0}]}");
    struct hc_reply r = hc_end(ask_begin(&f, LLAMA, 40)); /* opened anew, and it breaks down again */
    XT_CHECKF(r.status == 503 && strstr(r.text, BROKE_DOWN) && strstr(r.text, "Retry-After: 30"), "%s", r.text);
    hc_free(&r);
    check_health(&f, 200, "\"failures_in_row\": 2, \"given_up\": false, \"retry_after\": ");
    check_state(&f, LLAMA, "\"state\": \"failed\"");
    check_state(&f, LLAMA, "\"error\": \"" FAILING_SENTENCE "\"");
    check_state(&f, LLAMA, "\"retry_after\": ");
    atomic_store(&f.is_stuck, true); /* the opener has no part in this */
    int fd = ask_waiting(&f, DSV3);
    ask_refused(&f, LLAMA, 503, "\"code\": \"model_not_loaded\"");
    atomic_store(&f.is_stuck, false);
    mu_free(choices_of(fd));
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 2);
    XT_EQ(metric(&f, "muster_model_failed", LLAMA), 1);
    models_end(&f);
}

XT_TEST(after_its_wait_it_is_opened_by_the_next_request)
{
    struct fixture f;
    models_init_both(&f);
    f.retry_ns = 300 * MS;
    models_begin(&f);
    order(&f, 0, 2, 0);
    for (int i = 0; i < 2; i++)
        ask_refused(&f, LLAMA, 503, BROKE_DOWN);
    sleep_ms(350);
    ask_ok(&f, LLAMA);
    XT_EQ(metric(&f, "muster_model_breakdowns_total", LLAMA), 2);
    check_health(&f, 200, "ok");
    models_end(&f);
}

XT_TEST(one_that_breaks_down_each_time_is_given_up_and_the_server_with_the_last)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    models_init_both(&f);
    f.retry_ns = 1;
    f.breaks_max = 3;
    models_begin(&f);
    order(&f, 0, 100, 0);
    order(&f, 1, 100, 0);
    for (int i = 0; i < 3; i++)
        ask_refused(&f, LLAMA, 503, BROKE_DOWN);
    struct hc_reply r = hc_end(ask_begin(&f, LLAMA, 40));
    XT_CHECKF(r.status == 503 && strstr(r.text, FAILING_SENTENCE) && !strstr(r.text, "Retry-After"), "%s", r.text);
    hc_free(&r);
    check_health(&f, 200, "\"failures_in_row\": 3, \"given_up\": true}]");
    check_state(&f, LLAMA, "\"given_up\": true, \"error\": ");
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 3);
    XT_CHECK(mu_serve_is_alive(f.serve));
    XT_OK(mu_serve_death(f.serve, &err));
    for (int i = 0; i < 3; i++)
        ask_refused(&f, DSV3, 503, "the model " DSV3 " broke down");
    XT_CHECK(!mu_serve_is_alive(f.serve));
    XT_FAILS(mu_serve_death(f.serve, &err), MU_EPEER,
             DSV3 " broke down, the last one that was left: " FAILING_SENTENCE);
    check_health(&f, 503, FAILING_SENTENCE);
    ask_refused(&f, DSV3, 503, "must be started again");
    models_end(&f);
}

/* Whoever still holds what is broken keeps it from being closed, and so from being opened anew. */
XT_TEST(what_is_broken_is_closed_when_the_last_who_holds_it_is_done)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    void *held;
    models_begin_both(&f);
    ask_ok(&f, LLAMA);
    XT_OK(mu_residents_use(f.r, LLAMA, 0, &held, &err));
    order(&f, 0, 1, 0);
    ask_refused(&f, LLAMA, 503, BROKE_DOWN);
    int fd = ask_waiting(&f, LLAMA);
    sleep_ms(150);
    ask_ok(&f, DSV3);
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 1);
    mu_residents_done(f.r, held);
    mu_free(choices_of(fd));
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 2);
    models_end(&f);
}

XT_TEST(what_is_broken_gives_its_memory_back_though_nobody_asks_for_it)
{
    struct fixture f;
    struct mu_resident_totals t;
    models_begin_both(&f);
    order(&f, 0, 1, 0);
    ask_refused(&f, LLAMA, 503, BROKE_DOWN);
    for (int i = 0; i < 1000; i++, sleep_ms(10)) {
        mu_residents_totals(f.r, &t);
        if (t.bytes == 0)
            break;
    }
    XT_EQ(t.bytes, 0);
    check_state(&f, LLAMA, "\"state\": \"failed\"");
    models_end(&f);
}

/* ---- one model ---- */

static void break_the_only_one(bool is_by_piece)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    int fd[ASKS], n_good = 0, n_refused = 0;
    models_begin_one(&f, LLAMA);
    atomic_store(&f.order[0].is_by_piece, is_by_piece);
    order(&f, 0, 1, 3);
    for (int i = 0; i < ASKS; i++)
        fd[i] = ask_begin(&f, LLAMA, 40);
    count_answers(fd, ASKS, "{\"error\": {\"message\": ", &n_good, &n_refused);
    XT_CHECKF(n_refused > 0, "%d answers", n_good);
    for (int i = 0; i < 1000 && mu_serve_is_alive(f.serve); i++)
        sleep_ms(10);
    XT_FAILS(mu_serve_death(f.serve, &err), MU_EPEER, BROKE_DOWN);
    check_health(&f, 503, BROKE_DOWN);
    check_state(&f, LLAMA, "\"given_up\": true");
    models_end_one(&f);
    XT_EQ(mu_mem_bytes_used(), f.heap);
}

XT_TEST(with_one_model_the_server_is_dead_and_says_why)
{
    break_the_only_one(false);
    break_the_only_one(true);
}

/* ---- many at once ---- */

struct client {
    const struct fixture *f;
    const char *model;
    int n, n_good, n_refused, n_bad;
    pthread_t thread;
};

/* Every request gets an answer: its text, or the sentence. */
static void *ask_on(void *arg)
{
    struct client *c = arg;
    for (int i = 0; i < c->n; i++) {
        struct hc_reply r = hc_end(i % 3 == 2 ? stream_begin(c->f, c->model) : ask_begin(c->f, c->model, 40 + i % 9));
        bool is_refused = strstr(r.body, FAILING_SENTENCE) != NULL;
        c->n_good += r.status == 200 && !is_refused;
        c->n_refused += is_refused;
        c->n_bad += r.status != 200 && !is_refused;
        hc_free(&r);
    }
    return NULL;
}

XT_TEST(no_request_is_lost_while_engines_break_down_again_and_again)
{
    enum { CLIENTS = 6 };
    struct fixture f;
    struct client c[CLIENTS];
    int n_good = 0, n_refused = 0;
    models_init_both(&f);
    f.retry_ns = 1;
    f.breaks_max = 1000;
    f.open_max = 1; /* they take turns, too */
    models_begin(&f);
    for (int i = 0; i < 2; i++) {
        atomic_store(&f.order[i].is_by_piece, i == 1);
        order(&f, i, 1000, 20);
    }
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = (struct client){.f = &f, .model = i % 2 ? DSV3 : LLAMA, .n = 24 / XT_STRIDE};
        XT_EQ(pthread_create(&c[i].thread, NULL, ask_on, &c[i]), 0);
    }
    for (int round = 0; round < 100 / XT_STRIDE; round++) {
        sleep_ms(20);
        atomic_store(&f.order[round % 2].after, 5 + round % 40);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(c[i].thread, NULL);
        XT_EQ(c[i].n_bad, 0);
        XT_EQ(c[i].n_good + c[i].n_refused, c[i].n);
        n_good += c[i].n_good;
        n_refused += c[i].n_refused;
    }
    XT_CHECKF(n_good > 0 && n_refused > 0, "%d answered, %d refused", n_good, n_refused);
    XT_CHECK(mu_serve_is_alive(f.serve));
    models_end(&f);
}
