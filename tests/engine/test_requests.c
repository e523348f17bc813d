/* test_requests.c - what is refused, what fails alone, how things end */
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "fake_engine.h"

static const int32_t prompt[] = {1, 20, 21, 22, 23, 24, 25, 26};
#define N_PROMPT 8

static struct mu_request generate(int max_tokens)
{
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_GENERATE;
    r.ids = prompt;
    r.n_ids = N_PROMPT;
    r.max_tokens = max_tokens;
    return r;
}

static mu_engine *open_engine(struct fake_setup *s)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    XT_OK(fake_engine_open(&eng, s, &err));
    return eng;
}

static struct mu_result *run_one(mu_engine *eng, const struct mu_request *r)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_result *result = NULL;
    XT_OK(mu_engine_run(eng, r, 1, &result, &err));
    return result;
}

#define REFUSED(change, code, part)                                                                                    \
    do {                                                                                                               \
        struct mu_request r = generate(4);                                                                             \
        change;                                                                                                        \
        XT_FAILS(mu_engine_submit(eng, &r, &id, &err), code, part);                                                    \
    } while (0)

XT_TEST(impossible_requests_are_refused_with_a_sentence)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    static int32_t ids[600];
    static const char *const empty[] = {""};
    uint64_t id;
    s.opts.kv_tokens_max = 128;
    mu_engine *eng = open_engine(&s);

    REFUSED(r.n_ids = 0, MU_EINVAL, "prompt of at least one token");
    REFUSED((r.ids = ids, r.n_ids = 256), MU_ELIMIT, "the prompt has 256 tokens and the context is 256");
    REFUSED((r.ids = ids, r.n_ids = 130), MU_ELIMIT, "tokens of KV cache and it holds 128");
    REFUSED(r.max_tokens = 125, MU_ELIMIT, "need 132 tokens of KV cache");
    REFUSED(r.max_tokens = -1, MU_EINVAL, "-1 output tokens");
    REFUSED(r.n_top = 21, MU_EINVAL, "21 alternatives");
    REFUSED((r.stop = empty, r.n_stop = 1), MU_EINVAL, "need a tokenizer");
    REFUSED((r.stop_ids = (const int32_t[]){96}, r.n_stop_ids = 1), MU_EINVAL, "outside the vocabulary of 96");
    REFUSED(r.ids = ((const int32_t[]){5, -3, 1, 1, 1, 1, 1, 1}), MU_EINVAL, "token 1 of the prompt is -3");
    REFUSED(r.sampling.temperature = -1, MU_EINVAL, "temperature is -1");
    REFUSED(r.kind = MU_REQUEST_SCORE, MU_EINVAL, "continuation of at least one token");
    REFUSED((r.kind = MU_REQUEST_SCORE, r.n_ids = 0), MU_EINVAL, "BOS");
    REFUSED((r.kind = MU_REQUEST_ROLLING, r.n_ids = 1), MU_EINVAL, "at least two tokens");
    REFUSED((r.kind = MU_REQUEST_ROLLING, r.ids = ids, r.n_ids = 258), MU_ELIMIT, "258 tokens to score");
    REFUSED((r.kind = MU_REQUEST_ROLLING, r.ids = ids, r.n_ids = 200), MU_ELIMIT, "KV cache holds 128");
    REFUSED((r.kind = (enum mu_request_kind)7), MU_EINVAL, "request kind 7");
    mu_engine_close(eng);

    s.has_text = true;
    eng = open_engine(&s);
    REFUSED((r.stop = empty, r.n_stop = 1), MU_EINVAL, "stop string 0 has 0 bytes");
    mu_engine_close(eng);
}

XT_TEST(a_context_may_be_filled_to_the_last_token)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    static int32_t ids[FAKE_CONTEXT + 1];
    mu_engine *eng = open_engine(&s);
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_ROLLING;
    r.ids = ids;
    r.n_ids = FAKE_CONTEXT + 1;
    struct mu_result *result = run_one(eng, &r);
    XT_EQ(result->code, MU_OK);
    XT_EQ(result->tokens.n, FAKE_CONTEXT);
    mu_result_free(result);

    r = generate(0);
    result = run_one(eng, &r);
    XT_EQ(result->tokens.n, FAKE_CONTEXT - N_PROMPT);
    XT_EQ(result->finish, MU_FINISH_LENGTH);
    XT_STREQ(mu_finish_name(result->finish), "length");
    mu_result_free(result);
    mu_engine_close(eng);
}

XT_TEST(a_full_queue_says_so_and_run_goes_on)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r[9];
    struct mu_result *results[9];
    uint64_t id;
    s.opts.queue_max = 2;
    mu_engine *eng = open_engine(&s);
    for (int i = 0; i < 9; i++)
        r[i] = generate(3);
    r[4].n_ids = 0;
    XT_OK(mu_engine_run(eng, r, 9, results, &err));
    for (int i = 0; i < 9; i++) {
        XT_EQ(results[i]->code, i == 4 ? MU_EINVAL : MU_OK);
        mu_result_free(results[i]);
    }
    XT_OK(mu_engine_submit(eng, &r[0], &id, &err));
    XT_OK(mu_engine_submit(eng, &r[0], &id, &err));
    XT_FAILS(mu_engine_submit(eng, &r[0], &id, &err), MU_ENOMEM, "the queue is full with 2 requests");
    mu_engine_close(eng); /* two in flight are dropped */

    s.opts.queue_max = 0;
    s.opts.request_bytes = 12000;
    eng = open_engine(&s);
    XT_OK(mu_engine_submit(eng, &r[0], &id, &err));
    XT_OK(mu_engine_submit(eng, &r[0], &id, &err));
    r[0].max_tokens = 200;
    r[0].n_top = 20;
    XT_FAILS(mu_engine_submit(eng, &r[0], &id, &err), MU_ENOMEM, "12000 are reserved");
    mu_engine_close(eng);
}

XT_TEST(a_request_with_nan_fails_and_its_neighbours_do_not)
{
    struct fake_setup s = FAKE_SETUP_INIT, clean = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    static const struct mu_logit_bias bans[] = {{90, -100}, {91, -100}};
    int32_t bad[] = {1, 20, 21, 90, 22}, dizzy[] = {1, 2, 3, 91}, broken[] = {9, 8, 92};
    struct mu_request r[6];
    struct mu_result *with[6], *without[6];
    s.model.nan_token = 90;
    s.model.dizzy_token = 91;
    for (int i = 0; i < 6; i++) {
        r[i] = generate(10);
        r[i].sampling.seed = (uint64_t)i;
        r[i].sampling.temperature = 0.8;
        r[i].sampling.bias = bans;
        r[i].sampling.n_bias = 2;
    }
    r[2].ids = bad, r[2].n_ids = 5;
    r[4].ids = dizzy, r[4].n_ids = 4;
    mu_engine *eng = open_engine(&s);
    XT_OK(mu_engine_run(eng, r, 6, with, &err));
    mu_engine_close(eng);
    eng = open_engine(&clean);
    XT_OK(mu_engine_run(eng, r, 6, without, &err));
    mu_engine_close(eng);
    for (int i = 0; i < 6; i++) {
        if (i == 2 || i == 4) {
            XT_EQ(with[i]->code, MU_ENUMERIC);
            XT_EQ(with[i]->finish, MU_FINISH_ERROR);
            XT_CHECK(strstr(with[i]->err.text, "NaN"));
        } else {
            XT_EQ(with[i]->code, MU_OK);
            XT_EQ(with[i]->tokens.n, without[i]->tokens.n);
            XT_CHECK(memcmp(with[i]->tokens.logprob, without[i]->tokens.logprob,
                            (size_t)with[i]->tokens.n * sizeof(double)) == 0);
        }
        mu_result_free(with[i]);
        mu_result_free(without[i]);
    }

    /* A device that fails takes the step's requests with it; the engine stays. */
    s.model.fail_token = 92;
    eng = open_engine(&s);
    r[1].ids = broken, r[1].n_ids = 3;
    XT_OK(mu_engine_run(eng, r, 2, with, &err));
    XT_EQ(with[0]->code, MU_EPEER);
    XT_EQ(with[1]->code, MU_EPEER);
    mu_result_free(with[0]);
    mu_result_free(with[1]);
    XT_OK(mu_engine_run(eng, r, 1, with, &err));
    XT_EQ(with[0]->code, MU_OK);
    mu_result_free(with[0]);
    mu_engine_close(eng);
}

XT_TEST(requests_can_be_cancelled_in_every_state)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r = generate(20);
    struct mu_result *result;
    struct mu_engine_status st;
    uint64_t a, b, c, d;
    s.opts.sequences_max = 2;
    mu_engine *eng = open_engine(&s);

    XT_OK(mu_engine_submit(eng, &r, &a, &err));
    XT_OK(mu_engine_submit(eng, &r, &b, &err));
    XT_OK(mu_engine_submit(eng, &r, &c, &err));
    r.max_tokens = 1;
    XT_FAILS(mu_engine_poll(eng, &result, 0, &err), MU_ETIMEDOUT, "within 0.000 s"); /* one step */
    mu_engine_status(eng, &st);
    XT_EQ(st.n_queued + st.n_running, 3);
    XT_CHECK(st.pages_used > 0);

    XT_OK(mu_engine_cancel(eng, c, &err)); /* waiting */
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    XT_EQ(result->id, c);
    XT_EQ(result->code, MU_ECANCELED);
    XT_EQ(result->finish, MU_FINISH_CANCELLED);
    XT_EQ(result->tokens.n, 0);
    mu_result_free(result);

    XT_OK(mu_engine_cancel(eng, a, &err)); /* running: what it has is kept */
    XT_OK(mu_engine_cancel(eng, a, &err)); /* twice is once */
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    XT_EQ(result->id, a);
    XT_EQ(result->code, MU_ECANCELED);
    XT_CHECK(result->tokens.n > 0 && result->tokens.n < 20);
    mu_result_free(result);
    XT_FAILS(mu_engine_cancel(eng, a, &err), MU_ENOENT, "is not in flight");

    XT_OK(mu_engine_cancel(eng, b, &err));
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    mu_result_free(result);

    XT_OK(mu_engine_submit(eng, &r, &c, &err)); /* both are done in one step */
    XT_OK(mu_engine_submit(eng, &r, &d, &err));
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    XT_EQ(result->id, c);
    mu_result_free(result);
    XT_OK(mu_engine_cancel(eng, d, &err)); /* done, not yet polled: the result stands */
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
    XT_EQ(result->id, d);
    XT_EQ(result->code, MU_OK);
    mu_result_free(result);
    XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err)); /* idle */
    XT_CHECK(result == NULL);
    mu_engine_close(eng);
}

struct stream {
    char text[512];
    int n_tokens, n_last, cancel_at;
    enum mu_finish finish;
    int32_t ids[64];
};

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct stream *st = arg;
    strncat(st->text, ev->text, ev->text_bytes);
    st->n_last += ev->is_last;
    st->finish = ev->finish;
    if (ev->id >= 0)
        st->ids[st->n_tokens++] = ev->id;
    return st->cancel_at && st->n_tokens == st->cancel_at;
}

XT_TEST(streamed_pieces_are_the_text)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct stream st = {.text = ""};
    s.has_text = true;
    mu_engine *eng = open_engine(&s);
    struct mu_request r = generate(30);
    r.on_token = on_token;
    r.on_token_arg = &st;
    r.sampling.temperature = 1;
    struct mu_result *whole = run_one(eng, &r);
    XT_EQ(st.n_tokens, 30);
    XT_EQ(st.n_last, 1);
    XT_EQ(st.finish, MU_FINISH_LENGTH);
    XT_STREQ(whole->text, st.text);
    XT_EQ(whole->text_bytes, strlen(st.text));
    XT_CHECK(memcmp(st.ids, whole->tokens.ids, 30 * sizeof(int32_t)) == 0);

    /* A stop string over two tokens: the text ends before it, and streaming never shows it. */
    char stop_text[3] = {whole->text[10], whole->text[11], 0};
    const char *stop[] = {"never never", stop_text};
    char want[64] = "";
    strncpy(want, whole->text, (size_t)(strstr(whole->text, stop_text) - whole->text));
    st = (struct stream){.text = ""};
    r.stop = stop;
    r.n_stop = 2;
    struct mu_result *cut = run_one(eng, &r);
    XT_EQ(cut->finish, MU_FINISH_STOP);
    XT_EQ(cut->stop_string, 1);
    XT_STREQ(cut->text, want);
    XT_STREQ(st.text, want);
    XT_EQ(st.n_last, 1);
    mu_result_free(cut);

    /* A stop token is not part of the output. */
    int32_t stop_id = whole->tokens.ids[5];
    st = (struct stream){.text = ""};
    r.n_stop = 0;
    r.stop_ids = &stop_id;
    r.n_stop_ids = 1;
    cut = run_one(eng, &r);
    XT_EQ(cut->finish, MU_FINISH_STOP);
    XT_EQ(cut->stop_id, stop_id);
    XT_CHECK(cut->tokens.n <= 5);
    mu_result_free(cut);

    /* The receiver may end it. */
    st = (struct stream){.text = "", .cancel_at = 4};
    r.n_stop_ids = 0;
    cut = run_one(eng, &r);
    XT_EQ(cut->code, MU_ECANCELED);
    XT_EQ(cut->tokens.n, 4);
    XT_EQ(st.finish, MU_FINISH_CANCELLED);
    mu_result_free(cut);
    mu_result_free(whole);
    mu_engine_close(eng);
}

XT_TEST(the_end_token_ends_unless_ignored)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    mu_engine *eng = open_engine(&s);
    struct mu_request r = generate(12);
    struct mu_result *free_run = run_one(eng, &r);
    mu_engine_close(eng);

    s.eos = free_run->tokens.ids[6];
    eng = open_engine(&s);
    struct mu_result *ended = run_one(eng, &r);
    XT_EQ(ended->finish, MU_FINISH_STOP);
    XT_EQ(ended->stop_id, s.eos);
    XT_CHECK(ended->tokens.n <= 6);
    mu_result_free(ended);
    r.ignore_eos = true;
    ended = run_one(eng, &r);
    XT_EQ(ended->tokens.n, 12);
    mu_result_free(ended);
    mu_result_free(free_run);
    mu_engine_close(eng);
}

XT_TEST(finished_prefixes_are_kept_and_can_be_given_up)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_status st;
    static int32_t ids[102];
    size_t freed;
    mu_engine *eng = open_engine(&s);
    struct mu_request r = generate(1);
    r.ids = ids;
    r.n_ids = 102;
    mu_result_free(run_one(eng, &r));
    struct mu_result *again = run_one(eng, &r);
    XT_EQ(again->n_prompt_cached, 101);
    mu_result_free(again);
    mu_engine_status(eng, &st);
    XT_EQ(st.pages_cached, 7);
    XT_OK(mu_engine_optimize_memory(eng, &freed, &err));
    XT_EQ(freed, 7 * mu_engine_bill(eng)->kv_page_bytes);
    mu_engine_status(eng, &st);
    XT_EQ(st.pages_cached, 0);
    again = run_one(eng, &r);
    XT_EQ(again->n_prompt_cached, 0);
    mu_result_free(again);
    mu_engine_close(eng);
}

static int open_once(void *arg, struct mu_err *e)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    mu_engine *eng = NULL;
    (void)arg;
    s.has_text = true;
    int rc = fake_engine_open(&eng, &s, e);
    mu_engine_close(eng);
    return rc;
}

static int run_once(void *arg, struct mu_err *e)
{
    mu_engine *eng = arg;
    struct mu_request r[2] = {generate(3), generate(4)};
    struct mu_result *results[2];
    static const char *const stop[] = {"zz", "y"};
    r[0].stop = stop;
    r[0].n_stop = 2;
    int rc = mu_engine_run(eng, r, 2, results, e);
    if (rc != MU_OK)
        return rc;
    rc = results[0]->code ? results[0]->code : results[1]->code;
    mu_result_free(results[0]);
    mu_result_free(results[1]);
    return rc;
}

XT_TEST(every_allocation_may_fail)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    xt_each_alloc_fails(open_once, NULL);
    s.has_text = true;
    mu_engine *eng = open_engine(&s);
    xt_each_alloc_fails(run_once, eng);
    mu_engine_close(eng);
}

static int refuse_bill(void *arg, const struct mu_bill *b)
{
    *(int *)arg += b->fits;
    return 1;
}

XT_TEST(opening_can_be_refused_at_the_bill_or_by_options)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    int n_fits = 0;
    s.opts.on_bill = refuse_bill;
    s.opts.arg = &n_fits;
    XT_FAILS(fake_engine_open(&eng, &s, &err), MU_ECANCELED, "memory bill");
    XT_EQ(n_fits, 1);
    s.opts.on_bill = NULL;
    s.opts.memory_bytes_max = 1 << 20;
    XT_FAILS(fake_engine_open(&eng, &s, &err), MU_ENOMEM, "are allowed (the limit given)");
    s.opts.memory_bytes_max = 0;
    s.opts.context_max = 1000;
    XT_FAILS(fake_engine_open(&eng, &s, &err), MU_ELIMIT, "a context of 1000 tokens was asked for");
    s.opts.context_max = 0;
    s.opts.rows_max = -1;
    XT_FAILS(fake_engine_open(&eng, &s, &err), MU_EINVAL, "rows a step is -1");
    s.opts.rows_max = 0;
    s.opts.sequences_max = 5000;
    XT_FAILS(fake_engine_open(&eng, &s, &err), MU_ELIMIT, "sequences is 5000");
    XT_CHECK(eng == NULL);
}

XT_TEST(time_comes_from_the_clock_given)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    struct mu_clock clock;
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r = generate(2);
    struct mu_result *result;
    uint64_t id;
    mu_clock_fake_init(&clock, 1000);
    s.opts.clock = &clock;
    mu_engine *eng = open_engine(&s);
    XT_OK(mu_engine_submit(eng, &r, &id, &err));
    mu_clock_fake_advance(&clock, 500);
    XT_OK(mu_engine_poll(eng, &result, 1, &err));
    XT_EQ(result->wait_ns, 500);
    XT_EQ(result->run_ns, 0);
    mu_result_free(result);
    mu_engine_close(eng);
}
