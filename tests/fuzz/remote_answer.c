/* remote_answer.c - fuzz target: any bytes as what a server answers. The first byte says what was asked: scores in one
 * of the forms (0..3, 8: forced, 9: of a text), a text (4), the models (5), a stream (6), a complaint (7), the context
 * (10). What is accepted must keep the
 * promises that results are built on. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "engine/remote/answer.h"
#include "engine/remote/stream.h"

#define N_IDS 4
#define N_TOP 2
#define N_MAX 8
#define KINDS 16 /* digits and ':' of a corpus written by hand; what is left over stands for nothing */

static const int32_t ids[N_IDS] = {5, 6, 7, 8};

static void need(bool holds)
{
    if (!holds)
        abort();
}

static void check_logprob(double x)
{
    need(!isnan(x) && x <= 0);
}

static void scores(const json_t *answer, enum mu_score_form form)
{
    int32_t to_ids[N_IDS];
    double logprob[N_IDS];
    bool is_greedy[N_IDS];
    struct mu_token_logprob top[N_IDS * N_TOP];
    struct mu_logprob_arrays to = {to_ids, logprob, is_greedy, top};
    struct mu_score_text text = {.ids = ids, .n = N_IDS, .last = 9, .first = 1, .text = MU_STR("")};
    struct mu_scored out;
    struct mu_err err = MU_ERR_INIT;
    int rc = mu_answer_scores(answer, form, &text, N_TOP, &to, &out, &err);
    if (rc != MU_OK) {
        need(err.text[0] != 0);
        return;
    }
    check_logprob(out.sum);
    check_logprob(out.last);
    need(to_ids[N_IDS - 2] == 9);
    for (int i = 0; i < N_IDS - 1; i++) {
        check_logprob(logprob[i]);
        for (int k = 0; k < N_TOP; k++) {
            need(!isnan(top[i * N_TOP + k].logprob));
            need(k == 0 || top[i * N_TOP + k].logprob <= top[i * N_TOP + k - 1].logprob);
        }
    }
}

static void generated(const json_t *answer)
{
    struct mu_generated g;
    struct mu_err err = MU_ERR_INIT;
    if (mu_answer_generated(answer, N_MAX, &g, &err) != MU_OK) {
        need(err.text[0] != 0);
        return;
    }
    need(g.n >= 0 && g.n <= N_MAX && g.text.p);
    for (int i = 0; i < g.n; i++) {
        struct mu_token_logprob top[N_TOP];
        bool is_greedy;
        double logprob;
        int32_t id;
        if (mu_generated_token(&g, i, &id, &logprob, &is_greedy, top, N_TOP, &err) == MU_OK)
            need(id >= 0 && (isnan(logprob) || logprob <= 0));
    }
}

static void models(const json_t *answer)
{
    struct mu_answer_model m;
    struct mu_err err = MU_ERR_INIT;
    if (mu_answer_model(answer, NULL, &m, &err) == MU_OK)
        need(m.name && m.root && m.context >= 0);
    else
        need(err.text[0] != 0);
    mu_answer_model(answer, "m", &m, &err);
}

static int on_event(void *arg, struct mu_str data, struct mu_err *e)
{
    json_t *answer = NULL;
    *(size_t *)arg += data.n;
    if (mu_answer_parse(&answer, data, e) == MU_OK)
        generated(answer);
    json_decref(answer);
    return MU_OK;
}

/* However it is cut: the same bytes come out. */
static void stream(struct mu_str body)
{
    size_t whole = 0, cut = 0;
    struct mu_event_stream s = MU_EVENT_STREAM_INIT(on_event, &whole);
    struct mu_err err = MU_ERR_INIT;
    mu_event_stream_add(&s, body, &err);
    mu_event_stream_clear(&s);
    s.arg = &cut;
    for (size_t i = 0; i < body.n; i++)
        mu_event_stream_add(&s, (struct mu_str){body.p + i, 1}, &err);
    mu_event_stream_fini(&s);
    need(whole == cut);
}

static void complaint(struct mu_str body)
{
    char out[MU_ANSWER_SENTENCE_MAX];
    mu_answer_complaint(body, out);
    for (size_t i = 0; out[i]; i++)
        need(out[i] >= ' ' && out[i] < 127 && i + 1 < sizeof out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *answer = NULL;
    if (n == 0)
        return 0;
    int kind = data[0] % KINDS;
    struct mu_str body = {(const char *)data + 1, n - 1};
    mu_json_init();
    if (kind == 6)
        stream(body);
    if (kind == 7)
        complaint(body);
    if (kind == 6 || kind == 7 || kind > 10 || mu_answer_parse(&answer, body, &err) != MU_OK)
        return 0;
    if (kind < 4)
        scores(answer, (enum mu_score_form)kind);
    else if (kind == 4)
        generated(answer);
    else if (kind == 5)
        models(answer);
    else if (kind == 10)
        need(mu_answer_props_context(answer) >= 0);
    else
        scores(answer, kind == 8 ? MU_SCORE_FORCED : MU_SCORE_ECHO_TEXT);
    json_decref(answer);
    return 0;
}
