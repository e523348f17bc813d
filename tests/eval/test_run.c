/* test_run.c - requests through an engine: the reference's numbers, and the same answers however they are computed
 *
 * run.json is written by make_run.py: what lm-evaluation-harness computes with the model in models/. */
#include "xt.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/run_int.h"
#include "run_fake.h"

#define MODEL "models/muster-llama-tiny"

/* ---- works of hand-written requests ---- */

static struct mu_text *text_of(const char *s, size_t n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_text *t = mu_text_new((struct mu_str){s, n}, &err);
    XT_CHECK(t);
    return t;
}

static struct mu_work *work_of(const struct mu_task *task, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_work *w = NULL;
    XT_OK(MU_NEW(&w, "a work", &err));
    w->task = task;
    XT_OK(MU_NEW_ARRAY(&w->doc, n, "documents", &err));
    XT_OK(MU_NEW_ARRAY(&w->request, n, "requests", &err));
    return w;
}

/* One document with one request. */
static void add(struct mu_work *w, enum mu_ask ask, const char *context, const char *continuation, json_t *kwargs)
{
    int i = w->n_requests++;
    w->n_docs++;
    w->doc[i] = (struct mu_work_doc){.id = 100 + i, .first = i, .n = 1};
    w->request[i] =
        (struct mu_ask_request){.ask = ask,
                                .doc = i,
                                .context = text_of(context, strlen(context)),
                                .continuation = continuation ? text_of(continuation, strlen(continuation)) : NULL,
                                .gen_kwargs = kwargs};
}

static double ll_of(const struct mu_work *w, int i, int repeat)
{
    return json_real_value(json_array_get(json_array_get(w->request[i].resps, (size_t)repeat), 0));
}

static bool greedy_of(const struct mu_work *w, int i)
{
    return json_is_true(json_array_get(json_array_get(w->request[i].resps, 0), 1));
}

static const char *output_of(const struct mu_work *w, int i, int repeat)
{
    return json_string_value(json_array_get(w->request[i].resps, (size_t)repeat));
}

/* All responses as JSON: reals in the form that reads back the same. The caller frees. */
static char *responses(struct mu_work *const *works, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("responses", (size_t)64 << 20);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < works[k]->n_requests; i++) {
            XT_CHECKF(works[k]->request[i].resps, "request %d has no responses", i);
            XT_OK(mu_json_dump(&b, works[k]->request[i].resps, false, &err));
            XT_OK(mu_buf_putc(&b, '\n', &err));
        }
    }
    return mu_buf_take(&b);
}

/* ---- engines ---- */

struct rig {
    mu_engine *eng;
    mu_tokenizer *tok;
    struct mu_run_engine run;
};

static void close_rig(struct rig *r)
{
    mu_engine_close(r->eng);
    mu_tokenizer_close(r->tok);
}

static void open_model_at(struct rig *r, const char *path, struct mu_engine_opts o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_info info;
    memset(r, 0, sizeof *r);
    XT_OK(mu_tokenizer_open(&r->tok, path, NULL, &err));
    o.model = path;
    o.tokenizer = r->tok;
    o.memory_bytes_max = (size_t)512 << 20;
    XT_OK(mu_engine_open(&r->eng, &o, &err));
    mu_engine_info(r->eng, &info);
    r->run = (struct mu_run_engine){.eng = r->eng,
                                    .tok = r->tok,
                                    .weights_hash = info.weights_hash,
                                    .numerics = "cpu f32 kv=f32",
                                    .max_length = MU_MIN(512, info.context_max),
                                    .max_gen_toks = 256};
}

static void open_model(struct rig *r, struct mu_engine_opts o)
{
    open_model_at(r, MODEL, o);
}

/* A tokenizer with a token a character: what the fake model's own texts are made of. */
static const char *fake_tokenizer(void)
{
    static char path[700];
    char piece[16];
    snprintf(path, sizeof path, "%s/tokenizer.json", xt_tmpdir());
    json_t *vocab = json_object();
    for (int i = 0; i < 95; i++) {
        snprintf(piece, sizeof piece, "%c", ' ' + i);
        json_object_set_new(vocab, piece, json_integer(i));
    }
    json_object_set_new(vocab, "<95>", json_integer(95));
    json_t *all = json_pack("{s:s,s:[{s:i,s:s,s:b,s:b,s:b,s:b,s:b}],s:n,s:n,s:n,s:{s:s},s:{s:s,s:o,s:[]}}", "version",
                            "1.0", "added_tokens", "id", 95, "content", "<95>", "single_word", 0, "lstrip", 0, "rstrip",
                            0, "normalized", 0, "special", 1, "normalizer", "pre_tokenizer", "post_processor",
                            "decoder", "type", "Fuse", "model", "type", "BPE", "vocab", vocab, "merges");
    XT_CHECK(all);
    XT_EQ(json_dump_file(all, path, 0), 0);
    json_decref(all);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", xt_tmpdir());
    FILE *f = fopen(path, "w");
    fputs("{\"bos_token\": \"<95>\", \"eos_token\": \"<95>\"}", f);
    fclose(f);
    return xt_tmpdir();
}

static void open_fake_as(struct rig *r, int32_t nan_token, bool is_slow)
{
    struct mu_err err = MU_ERR_INIT;
    mu_json_init();
    memset(r, 0, sizeof *r);
    XT_OK(run_fake_open(&r->eng, nan_token, is_slow, &err));
    XT_OK(mu_tokenizer_open(&r->tok, fake_tokenizer(), NULL, &err));
    r->run = (struct mu_run_engine){.eng = r->eng,
                                    .tok = r->tok,
                                    .weights_hash = "fake",
                                    .numerics = "none",
                                    .max_length = RUN_FAKE_CONTEXT,
                                    .max_gen_toks = 16};
}

static void open_fake(struct rig *r, int32_t nan_token)
{
    open_fake_as(r, nan_token, false);
}

static void run_works(const struct rig *r, struct mu_work *const *works, int n, const struct mu_run_opts *o,
                      struct mu_run_audit *a)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_audit mine;
    XT_OK(mu_run(&r->run, works, n, o, a ? a : &mine, &err));
}

/* ---- against the reference ---- */

static const struct mu_task plain = {.name = "plain", .repeats = 1};

static const char *text_at(const json_t *row, size_t i)
{
    return json_string_value(json_array_get(row, i));
}

static json_t *kwargs_at(const json_t *row)
{
    return json_deep_copy(json_array_get(row, 1));
}

static void check_reference(const json_t *want, int64_t max_length)
{
    const json_t *pairs = json_object_get(want, "loglikelihood"), *rolling = json_object_get(want, "rolling"),
                 *outputs = json_object_get(want, "generate");
    int n_pairs = (int)json_array_size(pairs), n_rolling = (int)json_array_size(rolling),
        n_outputs = (int)json_array_size(outputs);
    struct mu_run_opts o = {.seed = 1};
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    struct rig r;
    double worst = 0;

    open_model(&r, eo);
    r.run.max_length = max_length;
    struct mu_work *w = work_of(&plain, n_pairs + n_rolling + n_outputs);
    for (int i = 0; i < n_pairs; i++)
        add(w, MU_ASK_LOGLIKELIHOOD, text_at(json_array_get(pairs, (size_t)i), 0),
            text_at(json_array_get(pairs, (size_t)i), 1), NULL);
    for (int i = 0; i < n_rolling; i++)
        add(w, MU_ASK_ROLLING, text_at(json_array_get(rolling, (size_t)i), 0), NULL, NULL);
    for (int i = 0; i < n_outputs; i++)
        add(w, MU_ASK_GENERATE, text_at(json_array_get(outputs, (size_t)i), 0), NULL,
            kwargs_at(json_array_get(outputs, (size_t)i)));
    run_works(&r, &w, 1, &o, NULL);
    for (int i = 0; i < n_pairs; i++) {
        const json_t *row = json_array_get(pairs, (size_t)i);
        double is = ll_of(w, i, 0), should = json_real_value(json_array_get(row, 2));
        /* Both add float32 logits of a few hundred products in other orders. */
        XT_CHECKF(fabs(is - should) < 1e-4, "pair %d at %" PRId64 ": %.9g, not %.9g", i, max_length, is, should);
        XT_EQ(greedy_of(w, i), json_is_true(json_array_get(row, 3)));
        worst = fmax(worst, fabs(is - should));
    }
    for (int i = 0; i < n_rolling; i++) {
        double is = json_real_value(json_array_get(w->request[n_pairs + i].resps, 0));
        double should = json_number_value(json_array_get(json_array_get(rolling, (size_t)i), 1));
        /* Hundreds of tokens are added: a few units of the last place of float32 each. */
        XT_CHECKF(fabs(is - should) < 1e-3, "text %d at %" PRId64 ": %.9g, not %.9g", i, max_length, is, should);
        worst = fmax(worst, fabs(is - should));
    }
    for (int i = 0; i < n_outputs; i++)
        XT_STREQ(output_of(w, n_pairs + n_rolling + i, 0), text_at(json_array_get(outputs, (size_t)i), 2));
    xt_note("max_length %" PRId64 ": %d pairs, %d texts, %d outputs, farthest apart %.2g", max_length, n_pairs,
            n_rolling, n_outputs, worst);
    mu_work_free(w);
    close_rig(&r);
}

XT_TEST(numbers_and_texts_are_those_of_the_harness)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *all = NULL;
    XT_OK(mu_json_load(&all, "tests/eval/run.json", &err));
    check_reference(json_object_get(all, "512"), 512);
    check_reference(json_object_get(all, "48"), 48);
    json_decref(all);
}

/* ---- windows ---- */

XT_TEST(windows_predict_every_token_once_with_all_the_context_there_is)
{
    for (int64_t n = 0; n <= 40; n++) {
        for (int64_t max = 1; max <= 9; max++) {
            struct mu_run_window w;
            int64_t predicted = 0;
            for (int64_t i = 0; mu_run_window(n, max, i, &w); i++) {
                XT_EQ(w.continuation, predicted + 1); /* ids[0] is the prefix */
                XT_EQ(w.context + w.n_context, w.continuation);
                XT_CHECK(w.context >= 0 && w.n_context >= 1 && w.n_continuation >= 1);
                predicted += w.n_continuation;
                XT_CHECK(i == 0 || w.n_context + w.n_continuation == max + 1); /* filled to the left */
            }
            XT_EQ(predicted, n);
        }
    }
}

/* ---- the same answers however they are computed ---- */

static const char *const contexts[] = {
    "The following are questions about boats. Answer with a letter. Q: which one left first? A:",
    "The following are questions about boats. Answer with a letter. Q: which one never left? A:", "Short", "",
    "The following are questions about tea. Answer with a word. Q: who made it? A:"};
static const char *const endings[] = {"A", "B", " Marta", " Marta did", " Martin", "A", "C", " D"};

/* Under ASan without the last, which are like others. */
#define N_CONTEXTS ((int)MU_COUNT(contexts) - XT_ASAN)
#define N_ENDINGS  ((int)MU_COUNT(endings) - 2 * XT_ASAN)
#define N_SCORES   (N_CONTEXTS * N_ENDINGS)

static struct mu_work *mixed_work(const struct mu_task *task)
{
    struct mu_work *w = work_of(task, N_SCORES + 10);
    for (int i = 0; i < N_CONTEXTS; i++) {
        for (int k = 0; k < N_ENDINGS; k++)
            add(w, MU_ASK_LOGLIKELIHOOD, contexts[i], endings[k], NULL);
    }
    add(w, MU_ASK_ROLLING, contexts[0], NULL, NULL);
    add(w, MU_ASK_ROLLING, contexts[1], NULL, NULL);
    add(w, MU_ASK_ROLLING, "", NULL, NULL);
    add(w, MU_ASK_ROLLING, contexts[0], NULL, NULL);
    add(w, MU_ASK_GENERATE, contexts[0], NULL, json_pack("{s:[s,s],s:i}", "until", "e", "Q", "max_gen_toks", 20));
    add(w, MU_ASK_GENERATE, contexts[1], NULL, json_pack("{s:[s,s],s:i}", "until", "e", "Q", "max_gen_toks", 20));
    add(w, MU_ASK_GENERATE, contexts[1], NULL, json_pack("{s:i}", "max_gen_toks", 7));
    add(w, MU_ASK_GENERATE, contexts[1], NULL,
        json_pack("{s:i,s:f,s:b}", "max_gen_toks", 9, "temperature", 0.9, "do_sample", 1));
    add(w, MU_ASK_GENERATE, contexts[1], NULL,
        json_pack("{s:i,s:f,s:b}", "max_gen_toks", 9, "temperature", 0.9, "do_sample", 1));
    add(w, MU_ASK_GENERATE, contexts[1], NULL,
        json_pack("{s:i,s:f,s:b}", "max_gen_toks", 9, "temperature", 0.9, "do_sample", 0));
    return w;
}

static const struct mu_task twice = {.name = "twice", .repeats = 2};

static char *answers_of(const struct rig *r, const struct mu_run_opts *o, struct mu_run_audit *a)
{
    struct mu_work *works[] = {mixed_work(&plain), mixed_work(&twice)};
    run_works(r, works, 2, o, a);
    char *text = responses(works, 2);
    mu_work_free(works[0]);
    mu_work_free(works[1]);
    return text;
}

XT_TEST(naive_and_shared_give_the_same_bits)
{
    struct mu_engine_opts shared = MU_ENGINE_OPTS_INIT, alone = MU_ENGINE_OPTS_INIT;
    struct mu_run_opts o = {.seed = 7}, naive = {.seed = 7, .naive = true};
    struct mu_run_audit a, b;
    struct rig r;
    alone.no_prefix_sharing = true;
    shared.sequences_max = alone.sequences_max = 4;

    open_model(&r, shared);
    char *x = answers_of(&r, &o, &a);
    close_rig(&r);
    open_model(&r, alone);
    char *y = answers_of(&r, &naive, &b);
    close_rig(&r);
    XT_STREQ(x, y);
    mu_free(x);
    mu_free(y);

    XT_EQ(a.n_requests, 3 * (N_SCORES + 10));
    XT_EQ(a.n_requests, b.n_requests);
    XT_EQ(a.n_unique, b.n_unique);
    XT_EQ(a.tokens_naive, b.tokens_naive);
    XT_EQ(a.tokens_shared, b.tokens_shared);
    XT_EQ(a.n_sampled, 6);
    XT_EQ(a.n_computed, a.n_unique);
    XT_CHECK(b.n_computed > b.n_unique);
    XT_EQ(b.tokens_computed, b.tokens_naive);
    XT_CHECK(a.tokens_computed < b.tokens_computed / 3);
    XT_CHECK(a.tokens_shared <= a.tokens_computed); /* the plan is the least there can be */
    xt_note("naive %" PRId64 " tokens, shared %" PRId64 " planned, %" PRId64 " computed", a.tokens_naive,
            a.tokens_shared, a.tokens_computed);
}

XT_TEST(neither_batch_nor_threads_change_a_bit)
{
    static const struct {
        int rows, sequences, threads, queue;
    } ways[] = {{1, 1, 1, 1}, {7, 3, 2, 5}, {64, 64, 4, 0}, {16, 8, 3, 2}};
    struct mu_run_opts o = {.seed = 7};
    char *first = NULL;
    for (size_t i = 0; i < MU_COUNT(ways) - XT_ASAN; i++) {
        struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
        struct rig r;
        eo.rows_max = ways[i].rows;
        eo.sequences_max = ways[i].sequences;
        eo.threads = ways[i].threads;
        eo.queue_max = ways[i].queue;
        eo.order = i % 2 ? MU_ORDER_LONGEST : MU_ORDER_SUBMITTED;
        open_model(&r, eo);
        char *x = answers_of(&r, &o, NULL);
        close_rig(&r);
        if (first)
            XT_STREQ(x, first);
        else
            first = mu_strdup(x);
        mu_free(x);
    }
    mu_free(first);
}

/* Of all requests, each once: neither the last token of a text nor that of an output is fed. */
static int64_t kv_tokens(const struct mu_work *w)
{
    int64_t n = 0;
    for (int i = 0; i < w->n_requests; i++) {
        const struct mu_ask_request *r = &w->request[i];
        n += r->n_context + r->n_continuation - 1 + json_integer_value(json_object_get(r->gen_kwargs, "max_gen_toks"));
    }
    return n;
}

/* What is counted beforehand is what the requests need: room for that is enough, and less is told before anything runs.
 */
XT_TEST(a_cache_for_the_measured_work_gives_the_same_bits)
{
    struct mu_engine_opts large = MU_ENGINE_OPTS_INIT, small = MU_ENGINE_OPTS_INIT;
    struct mu_work *works[] = {mixed_work(&plain), mixed_work(&twice)};
    struct mu_run_opts o = {.seed = 7};
    struct mu_run_audit a;
    struct mu_run_size size, counted;
    struct mu_engine_info info;
    struct mu_err err = MU_ERR_INIT;
    struct rig r;

    open_model(&r, large);
    XT_OK(mu_run_measure(&r.run, works, 2, &size, &err));
    XT_OK(mu_run_count(&r.run, works, 2, &counted, &err));
    char *x = answers_of(&r, &o, &a);
    mu_engine_info(r.eng, &info);
    int64_t usual = info.kv_pages;
    close_rig(&r);
    XT_EQ(size.n, a.n_requests);
    XT_EQ(size.tokens, kv_tokens(works[0]) + 2 * kv_tokens(works[1]));
    XT_EQ(size.longest, works[0]->request[N_SCORES + 4].n_context - 1 + 20);
    XT_EQ(counted.tokens, size.tokens);
    XT_EQ(counted.n_unique, a.n_unique);
    int64_t drawn = a.tokens_shared - counted.rows; /* what is left of the plan's tokens are those of texts */
    XT_CHECKF(drawn > 0 && drawn <= counted.drawn, "%" PRId64 " drawn, %" PRId64 " at most", drawn, counted.drawn);
    XT_CHECK(counted.n_outputs > 0 && counted.n_outputs < counted.n_unique);

    small.context_max = info.context_max;
    small.work = (struct mu_engine_work){.requests = size.n, .longest = size.longest, .tokens = size.tokens};
    open_model(&r, small);
    mu_engine_info(r.eng, &info);
    XT_CHECKF(info.kv_pages < usual, "%" PRId64 " pages, usually %" PRId64, info.kv_pages, usual);
    char *y = answers_of(&r, &o, NULL);
    XT_STREQ(x, y);
    close_rig(&r);

    small.work = (struct mu_engine_work){.requests = 1, .longest = size.longest - 16, .tokens = size.longest - 16};
    open_model(&r, small);
    XT_FAILS(mu_run(&r.run, works, 2, &o, &a, &err), MU_ELIMIT, "tokens of KV cache are needed and it holds");
    close_rig(&r);
    mu_work_free(works[0]);
    mu_work_free(works[1]);
    mu_free(x);
    mu_free(y);
}

XT_TEST(four_letters_are_one_request)
{
    struct mu_run_opts o = {.seed = 0};
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, -1);
    struct mu_work *w = work_of(&plain, 400);
    char question[64];
    for (int i = 0; i < 400; i++) {
        snprintf(question, sizeof question, "Same shots for all of them, question number %d:", i / 4);
        add(w, MU_ASK_LOGLIKELIHOOD, question, (const char *const[]){"A", "B", "C", "D"}[i % 4], NULL);
    }
    run_works(&r, &w, 1, &o, &a);
    XT_EQ(a.n_unique, 400);
    struct mu_engine_status st;
    mu_engine_status(r.eng, &st);
    XT_EQ(st.requests_done, 100);
    XT_CHECK(a.tokens_shared < a.tokens_naive / 20);
    XT_CHECK(a.tokens_computed < a.tokens_naive / 10);
    mu_work_free(w);
    close_rig(&r);
}

/* ---- what goes in ---- */

XT_TEST(long_contexts_lose_their_beginning)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_opts o = {.seed = 0};
    struct mu_run_audit a;
    struct rig r;
    char context[101];
    for (int i = 0; i < 100; i++)
        context[i] = (char)('!' + i % 90);
    context[100] = '\0';
    open_fake(&r, -1);
    r.run.max_length = 40;
    struct mu_work *w = work_of(&plain, 4);
    add(w, MU_ASK_LOGLIKELIHOOD, context, "xyz", NULL);      /* 38 + 3 stay */
    add(w, MU_ASK_LOGLIKELIHOOD, context + 62, "xyz", NULL); /* fits exactly */
    add(w, MU_ASK_GENERATE, context, NULL, json_pack("{s:i}", "max_gen_toks", 10));
    add(w, MU_ASK_GENERATE, context + 70, NULL, json_pack("{s:i}", "max_gen_toks", 10));
    run_works(&r, &w, 1, &o, &a);
    XT_CHECK(w->request[0].is_truncated && !w->request[1].is_truncated);
    XT_EQ(w->request[0].n_context, 38);
    XT_EQ(w->request[1].n_context, 38);
    XT_EQ(w->request[0].n_continuation, 3);
    double x = ll_of(w, 0, 0), y = ll_of(w, 1, 0);
    XT_CHECK(memcmp(&x, &y, sizeof x) == 0);
    XT_CHECK(w->request[2].is_truncated && !w->request[3].is_truncated);
    XT_EQ(w->request[2].n_context, 30);
    XT_STREQ(output_of(w, 2, 0), output_of(w, 3, 0));
    XT_EQ(a.n_truncated, 2);
    XT_EQ(a.n_unique, 2);
    mu_work_free(w);

    w = work_of(&plain, 2);
    add(w, MU_ASK_LOGLIKELIHOOD, "ok", "ok", NULL);
    add(w, MU_ASK_LOGLIKELIHOOD, "some", context, NULL);
    XT_FAILS(mu_run(&r.run, &w, 1, &o, &a, &err), MU_ELIMIT,
             "task plain, document 101: the continuation has 100 tokens and the context is 40");
    XT_EQ(a.n_computed, 0);
    mu_work_free(w);
    close_rig(&r);
}

/* A request with these arguments is refused before anything is computed. */
static void refused(const struct rig *r, json_t *kwargs, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_opts o = {.seed = 0};
    struct mu_run_audit a;
    char sentence[512];
    struct mu_work *w = work_of(&plain, 2);
    XT_CHECK(kwargs);
    add(w, MU_ASK_LOGLIKELIHOOD, "ok", "ok", NULL);
    add(w, MU_ASK_GENERATE, "some", NULL, kwargs);
    snprintf(sentence, sizeof sentence, "task plain, document 101: %s", part);
    XT_FAILS(mu_run(&r->run, &w, 1, &o, &a, &err), code, sentence);
    XT_EQ(err.code, code);
    XT_EQ(a.n_computed, 0);
    mu_work_free(w);
}

XT_TEST(generation_arguments_that_cannot_be_met_are_refused)
{
    struct rig r;
    char many[MU_STOP_BYTES_MAX + 2];
    mu_json_init();
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    json_t *stops = json_array();
    for (int i = 0; i <= MU_STOP_MAX; i++)
        json_array_append_new(stops, json_sprintf("stop %d", i));
    open_fake(&r, -1);
    refused(&r, json_pack("{s:i}", "num_beams", 4), MU_EUNSUPPORTED, "generation argument num_beams is 4: ");
    refused(&r, json_pack("{s:b}", "until", 1), MU_EINVAL, "generation argument until is true: ");
    refused(&r, json_pack("{s:s}", "until", many), MU_ELIMIT, "a stop string of \"until\" has 257 bytes");
    refused(&r, json_pack("{s:o}", "until", stops), MU_ELIMIT, "\"until\" lists more than 64");
    refused(&r, json_pack("{s:i}", "max_gen_toks", 0), MU_EINVAL, "generation argument max_gen_toks is 0: ");
    refused(&r, json_pack("{s:i}", "max_gen_toks", 256), MU_ELIMIT, "256 tokens may be generated (max_gen_toks)");
    refused(&r, json_pack("{s:f}", "temperature", -1.0), MU_EINVAL, "generation argument temperature is -1.0: ");
    refused(&r, json_pack("{s:f}", "temperature", -0.3), MU_EINVAL, "generation argument temperature is -0.3: ");
    refused(&r, json_pack("{s:i}", "untli", 5), MU_EUNSUPPORTED,
            "generation argument untli is 5: muster does not do this; did you mean until? ");
    refused(&r, json_pack("{s:s}", "do_sample", "yes"), MU_EINVAL, "generation argument do_sample is \"yes\": ");
    refused(&r, json_pack("{s:f,s:f}", "temperature", 1.0, "top_p", 1.5), MU_EINVAL,
            "generation argument top_p is 1.5: ");
    close_rig(&r);
}

XT_TEST(greedy_means_greedy_and_draws_do_not_depend_on_order)
{
    struct mu_run_opts o = {.seed = 3};
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, -1);
    struct mu_work *w = work_of(&twice, 6);
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:b}", "do_sample", 0));
    add(w, MU_ASK_GENERATE, "prompt", NULL,
        json_pack("{s:b,s:f,s:f,s:i}", "do_sample", 0, "temperature", 2.0, "top_p", 0.5, "seed", 5));
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:f,s:i}", "temperature", 0.0, "top_k", 3));
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:f}", "temperature", 1.5));
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:f}", "temperature", 1.5));
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:f,s:i}", "temperature", 1.5, "seed", 4));
    run_works(&r, &w, 1, &o, &a);
    XT_STREQ(output_of(w, 0, 0), output_of(w, 0, 1));
    XT_STREQ(output_of(w, 0, 0), output_of(w, 1, 0));
    XT_STREQ(output_of(w, 0, 0), output_of(w, 2, 0));
    XT_CHECK(strcmp(output_of(w, 3, 0), output_of(w, 3, 1)) != 0); /* repeats draw anew */
    XT_CHECK(strcmp(output_of(w, 3, 0), output_of(w, 4, 0)) != 0); /* and so do documents */
    XT_EQ(a.n_sampled, 6);
    char *drawn = mu_strdup(output_of(w, 4, 1)), *other = mu_strdup(output_of(w, 5, 1));
    mu_work_free(w);

    w = work_of(&twice, 1); /* the same documents alone */
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:f}", "temperature", 1.5));
    w->doc[0].id = 104;
    run_works(&r, &w, 1, &o, &a);
    XT_STREQ(output_of(w, 0, 1), drawn);
    o.seed = 4;
    w->doc[0].id = 105;
    run_works(&r, &w, 1, &o, &a);
    XT_STREQ(output_of(w, 0, 1), other); /* the task's seed stands in for the run's */
    XT_EQ(json_array_size(w->request[0].resps), 2);
    mu_work_free(w);
    mu_free(drawn);
    mu_free(other);
    close_rig(&r);
}

/* The model with another generation_config.json. */
static const char *model_that_says(const char *generation)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    static char folder[600];
    char from[4096], to[700];
    snprintf(folder, sizeof folder, "%s/says", xt_tmpdir());
    XT_EQ(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        char *file = NULL;
        snprintf(to, sizeof to, MODEL "/%s", names[i]);
        file = realpath(to, from);
        XT_CHECK(file);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        XT_EQ(symlink(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/generation_config.json", folder);
    FILE *f = fopen(to, "w");
    XT_CHECK(f);
    fputs(generation, f);
    fclose(f);
    return folder;
}

static struct mu_work *penalty_work(const char *const kwargs[3])
{
    struct mu_work *w = work_of(&plain, 3);
    for (int i = 0; i < 3; i++)
        add(w, MU_ASK_GENERATE, "The river is", NULL, json_loads(kwargs[i], 0, NULL));
    return w;
}

/* The first text is what transformers 5.23 generates from the model with this generation_config.json. */
XT_TEST(the_models_own_repetition_penalty_holds_where_the_task_names_none)
{
    static const char *const with[] = {"{\"max_gen_toks\": 12}", "{\"max_gen_toks\": 12, \"repetition_penalty\": 1}",
                                       "{\"max_gen_toks\": 12, \"repetition_penalty\": 2.5}"};
    static const char *const without[] = {"{\"max_gen_toks\": 12, \"repetition_penalty\": 1.3}",
                                          "{\"max_gen_toks\": 12}",
                                          "{\"max_gen_toks\": 12, \"repetition_penalty\": 2.5}"};
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    struct mu_run_opts o = {.seed = 0};
    struct mu_engine_info info;
    struct mu_err err = MU_ERR_INIT;
    char path[700];
    struct rig r;
    snprintf(path, sizeof path, "%s/penalty.sqlite", xt_tmpdir());
    XT_OK(mu_journal_open(&o.journal, path, MU_JOURNAL_RESUME, &err)); /* one for both: keys tell them apart */
    open_model_at(&r, model_that_says("{\"eos_token_id\": 1, \"repetition_penalty\": 1.3}"), eo);
    mu_engine_info(r.eng, &info);
    XT_CHECK(info.repetition == 1.3);
    struct mu_work *a = penalty_work(with), *b = penalty_work(without);
    struct mu_run_audit audit;
    run_works(&r, &a, 1, &o, &audit);
    XT_EQ(audit.n_computed, 3);
    XT_STREQ(output_of(a, 0, 0), " purple ticket. black envelope. pink trumpet cellar. gold whistle");
    XT_CHECK(strcmp(output_of(a, 0, 0), output_of(a, 1, 0)) != 0);
    close_rig(&r);

    open_model(&r, eo);
    mu_engine_info(r.eng, &info);
    XT_CHECK(info.repetition == 1);
    run_works(&r, &b, 1, &o, &audit);
    XT_EQ(audit.n_from_journal, 3); /* the same parameters, wherever they come from */
    for (int i = 0; i < 3; i++)
        XT_STREQ(output_of(b, i, 0), output_of(a, i, 0));
    mu_work_free(b);
    b = penalty_work(without);
    mu_journal_close(o.journal);
    o.journal = NULL;
    run_works(&r, &b, 1, &o, &audit);
    for (int i = 0; i < 3; i++)
        XT_STREQ(output_of(b, i, 0), output_of(a, i, 0));
    mu_work_free(a);
    mu_work_free(b);
    close_rig(&r);
}

XT_TEST(outputs_end_before_the_first_stop_string)
{
    struct mu_run_opts o = {.seed = 0};
    struct rig r;
    open_fake(&r, -1);
    const char *prompt;
    char *whole = NULL;
    struct mu_work *w;
    for (int i = 0; !whole || strlen(whole) < 14; i++) { /* one that does not end at once */
        prompt = &"what comes then, and what after it?"[i];
        mu_free(whole);
        w = work_of(&plain, 1);
        add(w, MU_ASK_GENERATE, prompt, NULL, json_pack("{s:i}", "max_gen_toks", 60));
        run_works(&r, &w, 1, &o, NULL);
        whole = mu_strdup(output_of(w, 0, 0));
        mu_work_free(w);
    }
    char stop[4] = {whole[8], whole[9], whole[10], '\0'};
    w = work_of(&plain, 2);
    add(w, MU_ASK_GENERATE, prompt, NULL, json_pack("{s:[s,s],s:i}", "until", "no such", stop, "max_gen_toks", 60));
    add(w, MU_ASK_GENERATE, prompt, NULL, json_pack("{s:s,s:i}", "until", "", "max_gen_toks", 5));
    run_works(&r, &w, 1, &o, NULL);
    XT_EQ(strlen(output_of(w, 0, 0)), strstr(whole, stop) - whole);
    XT_CHECK(strncmp(output_of(w, 0, 0), whole, strlen(output_of(w, 0, 0))) == 0);
    XT_CHECK(!w->request[0].hit_max_tokens);
    XT_CHECK(w->request[1].hit_max_tokens);
    mu_work_free(w);
    mu_free(whole);
    close_rig(&r);
}

/* ---- failing, stopping, going on ---- */

static const char *journal_path(void)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/journal.sqlite", xt_tmpdir());
    return path;
}

static struct mu_journal *open_journal(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_journal *j = NULL;
    XT_OK(mu_journal_open(&j, journal_path(), MU_JOURNAL_RESUME, &err));
    return j;
}

/* Many documents with contexts of many lengths. */
static struct mu_work *long_work(int n)
{
    struct mu_work *w = work_of(&plain, n);
    char context[128], ending[32];
    for (int i = 0; i < n; i++) {
        snprintf(context, sizeof context, "document %d of a longer list, %.*s", i, i % 60,
                 "............................................................");
        snprintf(ending, sizeof ending, " %d %d", i, i * 7);
        add(w, MU_ASK_LOGLIKELIHOOD, context, ending, NULL);
    }
    return w;
}

XT_TEST(a_failing_request_names_its_document_and_the_rest_is_kept)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, '~' - ' ');
    struct mu_run_opts o = {.seed = 0, .journal = open_journal()};
    struct mu_work *w = work_of(&plain, 40);
    for (int i = 0; i < 40; i++)
        add(w, MU_ASK_LOGLIKELIHOOD, i == 23 ? "bad ~ one" : "a fine longer one than that", i % 2 ? "abc" : "abcd",
            NULL);
    XT_FAILS(mu_run(&r.run, &w, 1, &o, &a, &err), MU_ENUMERIC, "task plain, document 123: the logits after token");
    struct mu_journal_counts c;
    mu_journal_counts(o.journal, &c);
    XT_CHECK(c.n_answers >= 1); /* of the two sound ones; what still ran was dropped */
    XT_EQ(c.n_answers, a.n_computed);
    struct mu_engine_status st;
    mu_engine_status(r.eng, &st);
    XT_EQ(st.n_queued + st.n_running + st.n_done, 0);
    mu_work_free(w);
    mu_journal_close(o.journal);
    close_rig(&r);
}

struct stopper {
    int64_t at; /* stop when so many are done */
    int64_t seen, n_calls;
    bool has_gone_back;
};

static int on_progress(void *arg, const struct mu_run_progress *p)
{
    struct stopper *s = arg;
    s->has_gone_back |= p->n_done < s->seen || p->n_done > p->n_total || p->tokens_done > p->tokens_total;
    s->seen = p->n_done;
    s->n_calls++;
    return p->n_done >= s->at;
}

#define N_STOPPED 600

XT_TEST(a_run_stopped_again_and_again_ends_with_the_same_answers)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_opts plain_opts = {.seed = 0}, o = {.seed = 0, .on_progress = on_progress};
    struct mu_run_audit a;
    struct rig r;
    uint64_t state = 3;
    open_fake_as(&r, -1, true);
    struct mu_work *w = long_work(N_STOPPED);
    run_works(&r, &w, 1, &plain_opts, &a);
    int64_t n_unique = a.n_unique, n_computed = 0;
    char *want = responses(&w, 1);
    mu_work_free(w);

    w = long_work(N_STOPPED);
    int n_stops = 0;
    for (int64_t at = 1;; at += 1 + (int64_t)(xt_rand(&state) % 60)) {
        struct stopper s = {.at = at};
        o.arg = &s;
        o.journal = open_journal();
        int rc = mu_run(&r.run, &w, 1, &o, &a, &err);
        mu_journal_close(o.journal);
        XT_CHECKF(rc == MU_OK || rc == MU_ECANCELED, "%s", err.text);
        XT_CHECK(!s.has_gone_back);
        n_computed += a.n_computed;
        if (rc == MU_OK)
            break;
        n_stops++;
        at = MU_MAX(at, s.seen);
    }
    char *got = responses(&w, 1);
    XT_STREQ(got, want);
    XT_EQ(n_computed, n_unique); /* stopping loses nothing and computes nothing twice */
    XT_CHECK(n_stops > 0);
    xt_note("stopped %d times", n_stops);

    o.journal = open_journal(); /* a finished run computes nothing */
    o.arg = &(struct stopper){.at = N_STOPPED + 1};
    XT_OK(mu_run(&r.run, &w, 1, &o, &a, &err));
    XT_EQ(a.n_computed, 0);
    XT_EQ(a.tokens_computed, 0);
    XT_EQ(a.n_from_journal, n_unique);
    mu_journal_close(o.journal);
    r.run.numerics = "other"; /* another configuration shares none of it */
    o.journal = open_journal();
    XT_OK(mu_run(&r.run, &w, 1, &o, &a, &err));
    XT_EQ(a.n_from_journal, 0);
    mu_journal_close(o.journal);
    mu_free(want);
    mu_free(got);
    mu_work_free(w);
    close_rig(&r);
}

/* An engine that opens when an answer is missing. */
struct late {
    mu_engine *eng;
    const char *hash; /* it turns out to have */
    int n_opened, fails_with;
};

static int open_late(void *arg, struct mu_run_engine *g, struct mu_err *e)
{
    struct late *l = arg;
    l->n_opened++;
    if (l->fails_with)
        return mu_fail(e, l->fails_with, "no model today");
    g->eng = l->eng;
    g->weights_hash = l->hash;
    return MU_OK;
}

XT_TEST(an_engine_opens_when_an_answer_is_missing_and_decides_what_is_computed)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_info info;
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, -1);
    mu_engine_info(r.eng, &info);
    struct mu_run_opts o = {.seed = 0, .journal = open_journal()};
    struct mu_work *few = long_work(20), *more = long_work(40);
    struct late l = {.eng = r.eng, .hash = "fake"};
    XT_OK(mu_run(&r.run, &few, 1, &o, &a, &err));
    int64_t n_few = a.n_unique;
    XT_CHECK(a.n_slowest == 20 && a.slowest[0].ns >= a.slowest[19].ns && a.slowest[19].ns > 0);
    XT_CHECK(a.slowest[0].doc_id >= 100 && a.slowest[0].tokens > 0);
    char *want = responses(&few, 1);

    struct mu_run_engine late = r.run;
    late.eng = NULL;
    XT_FAILS(mu_run(&late, &few, 1, &o, &a, &err), MU_EINVAL, "without an engine");
    late.info = &info;
    late.open = open_late;
    late.open_arg = &l;
    XT_OK(mu_run(&late, &few, 1, &o, &a, &err)); /* all there */
    char *got = responses(&few, 1);
    XT_STREQ(got, want);
    XT_EQ(l.n_opened, 0);
    XT_EQ(a.n_from_journal, n_few);
    XT_EQ(a.n_slowest, 0);

    l.fails_with = MU_EIO;
    XT_FAILS(mu_run(&late, &more, 1, &o, &a, &err), MU_EIO, "no model today");
    l.fails_with = 0;
    XT_OK(mu_run(&late, &more, 1, &o, &a, &err)); /* the same model: the rest is computed */
    XT_EQ(l.n_opened, 2);
    XT_CHECK(a.n_from_journal == n_few && a.n_computed == a.n_unique - n_few && a.tokens_computed > 0);
    mu_work_free(more);

    more = long_work(60);
    l.hash = "another";
    XT_OK(mu_run(&late, &more, 1, &o, &a, &err)); /* another model: nothing of the first is used */
    XT_EQ(a.n_from_journal, 0);
    XT_EQ(a.n_computed, a.n_unique);
    XT_EQ(a.n_requests, 60);
    mu_work_free(few);
    mu_work_free(more);
    mu_free(want);
    mu_free(got);
    mu_journal_close(o.journal);
    close_rig(&r);
}

/* Everything of mixed_work() reads back from a journal as it was computed. */
XT_TEST(a_journal_gives_back_every_kind_of_answer)
{
    struct mu_engine_opts eo = MU_ENGINE_OPTS_INIT;
    struct mu_run_audit a, b;
    struct rig r;
    open_model(&r, eo);
    struct mu_run_opts o = {.seed = 7, .journal = open_journal()};
    char *x = answers_of(&r, &o, &a), *y = answers_of(&r, &o, &b);
    XT_STREQ(x, y);
    XT_EQ(b.n_computed, 0);
    XT_EQ(b.n_from_journal, a.n_unique);
    XT_EQ(a.tokens_naive, b.tokens_naive);
    XT_EQ(a.tokens_shared, b.tokens_shared);
    o.naive = true;
    char *z = answers_of(&r, &o, &b);
    XT_STREQ(x, z);
    XT_EQ(b.n_computed, 0);
    mu_free(x);
    mu_free(y);
    mu_free(z);
    mu_journal_close(o.journal);
    close_rig(&r);
}

static int write_done(void *arg, const struct mu_run_progress *p)
{
    int n = (int)p->n_done;
    return write(*(int *)arg, &n, sizeof n) == sizeof n ? 0 : 1;
}

#define N_KILLED       3000
#define KILLS_WANTED   20        /* XT_KILLS asks for another number */
#define KILL_SOON_NS   8000000   /* at most, from a child's first poll */
#define KILL_LATE_NS   120000000 /* a tenth of a second after it began, it has told what is done */
#define COMMIT_ANSWERS 64        /* of run_submit.c */

static int kills_wanted(void)
{
    const char *n = getenv("XT_KILLS");
    return n ? atoi(n) : KILLS_WANTED;
}

/* In a child: opens all anew and runs until it is killed or done. */
static void run_child(int to, _Atomic int64_t *n_computed, int64_t kill_after_ns)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_audit a;
    struct rig r;
    open_fake_as(&r, -1, true);
    if (run_fake_counted(&r.run.eng, r.eng, n_computed, kill_after_ns, &err) != MU_OK)
        _exit(1);
    struct mu_run_opts o = {.seed = 0, .journal = open_journal(), .on_progress = write_done, .arg = &to};
    struct mu_work *w = long_work(N_KILLED);
    _exit(mu_run(&r.run, &w, 1, &o, &a, &err) == MU_OK ? 0 : 1);
}

XT_TEST(kill_9_at_any_moment_loses_nothing_that_was_told)
{
    struct mu_run_audit a;
    struct rig r;
    uint64_t state = 17;
    int told = 0, n_kills = 0;
    int64_t n_kept = 0, n_twice = 0, twice_max = 0;
    _Atomic int64_t *n_computed =
        mmap(NULL, sizeof *n_computed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    XT_CHECK(n_computed != MAP_FAILED);
    journal_path(); /* the folder is the parent's */
    for (int round = 0; round < kills_wanted() || (told == 0 && round < 100); round++) {
        int pipes[2], status, n, last = 0;
        int64_t kill_after_ns = 100000 + (int64_t)(xt_rand(&state) % KILL_SOON_NS);
        if (round % 10 == 9)
            kill_after_ns = KILL_LATE_NS * (1 + round / 10); /* a busy machine needs longer to tell of anything */
        XT_EQ(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pipes[0]);
            run_child(pipes[1], n_computed, kill_after_ns);
        }
        close(pipes[1]);
        while (read(pipes[0], &n, sizeof n) == sizeof n)
            last = MU_MAX(last, n);
        close(pipes[0]);
        waitpid(pid, &status, 0);
        n_kills += WIFSIGNALED(status);
        struct mu_journal_counts c;
        struct mu_journal *j = open_journal();
        mu_journal_counts(j, &c);
        mu_journal_close(j);
        told = MU_MAX(told, last);
        XT_CHECKF(c.n_answers >= told, "%d requests were told done and the journal holds %" PRId64, told, c.n_answers);
        int64_t lost = atomic_exchange(n_computed, 0) - (c.n_answers - n_kept);
        XT_CHECKF(lost <= COMMIT_ANSWERS, "kill %d: %" PRId64 " answers will be computed twice", round, lost);
        n_kept = c.n_answers;
        n_twice += lost;
        twice_max = MU_MAX(twice_max, lost);
    }
    open_fake(&r, -1);
    struct mu_run_opts o = {.seed = 0, .journal = open_journal()}, fresh = {.seed = 0};
    struct mu_work *w = long_work(N_KILLED), *v = long_work(N_KILLED);
    run_works(&r, &w, 1, &o, &a);
    XT_CHECK(told > 0 && a.n_from_journal >= told);
    run_works(&r, &v, 1, &fresh, NULL);
    char *x = responses(&w, 1), *y = responses(&v, 1);
    XT_STREQ(x, y);
    xt_note("%d kills, %d requests told done, %" PRId64 " found; computed twice: %" PRId64 ", at most %" PRId64
            " a kill",
            n_kills, told, a.n_from_journal, n_twice, twice_max);
    munmap((void *)(uintptr_t)n_computed, sizeof *n_computed);
    mu_free(x);
    mu_free(y);
    mu_work_free(w);
    mu_work_free(v);
    mu_journal_close(o.journal);
    close_rig(&r);
}

/* In a child: the disk is full before the run is done. */
static int run_until_full(void)
{
    struct rlimit limit = {100000, 100000};
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, -1);
    struct mu_run_opts o = {.seed = 0, .journal = open_journal()};
    struct mu_work *w = long_work(3000);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    int rc = mu_run(&r.run, &w, 1, &o, &a, &err);
    return rc == MU_ENOSPC && strstr(err.text, "no space for") ? 0 : 1;
}

XT_TEST(a_full_disk_stops_the_run_and_keeps_what_was_committed)
{
    struct mu_run_audit a;
    struct rig r;
    int status;
    journal_path();
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_until_full());
    waitpid(pid, &status, 0);
    XT_EQ(status, 0);
    open_fake(&r, -1);
    struct mu_run_opts o = {.seed = 0, .journal = open_journal()};
    struct mu_work *w = long_work(3000);
    run_works(&r, &w, 1, &o, &a);
    XT_CHECK(a.n_from_journal > 0);
    XT_EQ(a.n_from_journal + a.n_computed, a.n_unique);
    xt_note("%" PRId64 " of %" PRId64 " answers were kept", a.n_from_journal, a.n_unique);
    mu_work_free(w);
    mu_journal_close(o.journal);
    close_rig(&r);
}

/* ---- odd works ---- */

XT_TEST(nothing_to_do_is_done)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_run_opts o = {.seed = 0};
    struct mu_run_audit a;
    struct rig r;
    open_fake(&r, -1);
    XT_OK(mu_run(&r.run, NULL, 0, &o, &a, &err));
    struct mu_work *w = work_of(&plain, 1);
    XT_OK(mu_run(&r.run, &w, 1, &o, &a, &err));
    add(w, MU_ASK_LOGLIKELIHOOD, "a", "", NULL);
    XT_FAILS(mu_run(&r.run, &w, 1, &o, &a, &err), MU_EINVAL, "task plain, document 100: the continuation is empty");
    r.run.max_length = RUN_FAKE_CONTEXT + 1;
    XT_FAILS(mu_run(&r.run, &w, 1, &o, &a, &err), MU_EINVAL, "windows of 257 tokens");
    mu_work_free(w);
    close_rig(&r);
}

struct small {
    const struct rig *r;
    struct mu_work *w;
};

static int run_small(void *arg, struct mu_err *e)
{
    const struct small *m = arg;
    struct mu_run_opts o = {.seed = 0};
    struct mu_run_audit a;
    int rc = mu_run(&m->r->run, &m->w, 1, &o, &a, e);
    for (int i = 0; i < m->w->n_requests; i++) {
        json_decref(m->w->request[i].resps);
        m->w->request[i].resps = NULL;
    }
    return rc;
}

XT_TEST(no_failing_allocation_leaks)
{
    struct rig r;
    open_fake(&r, -1);
    struct mu_work *w = work_of(&plain, 4);
    add(w, MU_ASK_LOGLIKELIHOOD, "context", "one", NULL);
    add(w, MU_ASK_LOGLIKELIHOOD, "context", "ono", NULL);
    add(w, MU_ASK_ROLLING, "text", NULL, NULL);
    add(w, MU_ASK_GENERATE, "prompt", NULL, json_pack("{s:[s],s:i}", "until", "e", "max_gen_toks", 3));
    xt_each_alloc_fails(run_small, &(struct small){&r, w});
    mu_work_free(w);
    close_rig(&r);
}

XT_MAIN()
