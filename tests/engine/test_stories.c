/* test_stories.c - the trained stories260K through the engine, against its float64 references */
#include "xt.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include <muster/engine.h>
#include <muster/tokenizer.h>

#define MODEL       "models/stories260K-hf"
#define BOS         1
#define CONTEXT     512
#define CHOICES_MAX 5
#define ITEMS       (XT_ASAN ? 25 : 100)
#define ITEMS_MAX   100

static mu_engine *open_engine(struct mu_engine_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    xt_data(MODEL "/model.safetensors");
    o->model = xt_data(MODEL);
    XT_OK(mu_engine_open(&eng, o, &err));
    return eng;
}

static json_t *load_reference(const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *tree;
    char path[256];
    snprintf(path, sizeof path, "models/stories260K/%s", name);
    XT_OK(mu_json_load(&tree, xt_data(path), &err));
    return tree;
}

static int read_ids(const json_t *a, int32_t *out)
{
    for (size_t i = 0; i < json_array_size(a); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return (int)json_array_size(a);
}

XT_TEST(greedy_text_is_the_reference_s)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_tokenizer *tok = NULL;
    struct mu_result *result;
    int32_t want[CONTEXT];
    XT_OK(mu_tokenizer_open(&tok, xt_data(MODEL), NULL, &err));
    json_t *ref = load_reference("reference.json");
    const json_t *greedy = json_object_get(ref, "greedy_from_bos");
    int n = read_ids(json_object_get(greedy, "ids"), want);
    o.tokenizer = tok;
    mu_engine *eng = open_engine(&o);
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_GENERATE;
    r.ids = want;
    r.n_ids = 1;
    r.max_tokens = n - 1;
    XT_OK(mu_engine_run(eng, &r, 1, &result, &err));
    XT_EQ(result->code, MU_OK);
    XT_EQ(result->tokens.n, n - 1);
    XT_CHECK(memcmp(result->tokens.ids, want + 1, (size_t)(n - 1) * sizeof *want) == 0);
    XT_STREQ(result->text, json_string_value(json_object_get(greedy, "text")));
    mu_result_free(result);
    mu_engine_close(eng);
    mu_tokenizer_close(tok);
    json_decref(ref);
}

XT_TEST(log_probabilities_and_alternatives_match)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    json_t *ref = load_reference("reference.json");
    mu_engine *eng = open_engine(&o);
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(ref, "scored"), i, item)
    {
        int32_t ids[CONTEXT];
        struct mu_request r[2] = {MU_REQUEST_INIT, MU_REQUEST_INIT};
        struct mu_result *results[2];
        const json_t *want = json_object_get(item, "token_logprobs"), *top = json_object_get(item, "next_top5");
        r[0].kind = MU_REQUEST_ROLLING;
        r[1].kind = MU_REQUEST_GENERATE;
        r[0].ids = r[1].ids = ids;
        r[0].n_ids = r[1].n_ids = read_ids(json_object_get(item, "ids"), ids);
        r[1].max_tokens = 1;
        r[1].n_top = 5;
        XT_OK(mu_engine_run(eng, r, 2, results, &err));
        for (int k = 0; k < results[0]->tokens.n; k++)
            XT_NEAR(results[0]->tokens.logprob[k], json_number_value(json_array_get(want, (size_t)k)), 1e-5);
        double sum = json_number_value(json_object_get(item, "sum_logprob"));
        XT_NEAR(results[0]->logprob_sum, sum, 1e-5 * fabs(sum) + 5e-6);
        for (int k = 0; k < 5; k++) {
            const json_t *a = json_array_get(top, 0), *b = json_array_get(top, (size_t)k);
            const struct mu_token_logprob *is = results[1]->tokens.top;
            XT_EQ(is[k].id, json_integer_value(json_array_get(b, 0)));
            XT_NEAR(is[k].logprob - is[0].logprob,
                    json_number_value(json_array_get(b, 1)) - json_number_value(json_array_get(a, 1)), 1e-4);
        }
        mu_result_free(results[0]);
        mu_result_free(results[1]);
    }
    mu_engine_close(eng);
    json_decref(ref);
}

static void encode(const mu_tokenizer *tok, const char *text, size_t n, struct mu_ids *ids)
{
    struct mu_err err = MU_ERR_INIT;
    ids->n = 0;
    XT_OK(mu_ids_add(ids, BOS, &err));
    XT_OK(mu_tokenizer_encode(tok, text, n, 0, ids, &err));
}

struct stream {
    char text[2048];
    size_t n;
};

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct stream *s = arg;
    memcpy(s->text + s->n, ev->text, ev->text_bytes);
    s->n += ev->text_bytes;
    s->text[s->n] = 0;
    return 0;
}

XT_TEST(streamed_text_continues_the_prompt_and_stops_before_a_string)
{
    static const char prompt[] = "Once upon a time, there was a little girl named Lily.";
    static const char *const stop[] = {"\n", "to play out"};
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids ids = MU_IDS_INIT(100);
    struct stream s = {.n = 0};
    mu_tokenizer *tok = NULL;
    struct mu_result *result;
    struct mu_request r = MU_REQUEST_INIT;
    XT_OK(mu_tokenizer_open(&tok, xt_data(MODEL), NULL, &err));
    encode(tok, prompt, strlen(prompt), &ids);
    o.tokenizer = tok;
    mu_engine *eng = open_engine(&o);
    r.kind = MU_REQUEST_GENERATE;
    r.ids = ids.v, r.n_ids = (int)ids.n;
    r.max_tokens = 60;
    r.stop = stop, r.n_stop = 2;
    r.on_token = on_token, r.on_token_arg = &s;
    XT_OK(mu_engine_run(eng, &r, 1, &result, &err));
    XT_STREQ(result->text, " She loved "); /* the reference goes on "to play outside in the park." */
    XT_STREQ(s.text, result->text);
    XT_EQ(result->finish, MU_FINISH_STOP);
    XT_EQ(result->stop_string, 1);
    mu_result_free(result);
    mu_engine_close(eng);
    mu_ids_fini(&ids);
    mu_tokenizer_close(tok);
}

/* ---- item scores ---- */

struct item {
    char context[4096];
    char choices[CHOICES_MAX][2048]; /* with the leading space */
    int n;
};

static void read_line(FILE *f, char *line, size_t size)
{
    XT_CHECK(fgets(line, (int)size, f) != NULL);
    line[strcspn(line, "\r\n")] = 0;
}

static void read_hellaswag(FILE *f, struct item *it)
{
    char line[2040];
    read_line(f, it->context, sizeof it->context);
    read_line(f, line, sizeof line);
    it->n = 4;
    for (int i = 0; i < 4; i++) {
        read_line(f, line, sizeof line);
        snprintf(it->choices[i], sizeof it->choices[i], " %s", line);
    }
}

static void read_arc(FILE *f, struct item *it)
{
    struct mu_err err = MU_ERR_INIT;
    static char line[16384];
    json_t *tree;
    const json_t *question, *choice;
    size_t i;
    read_line(f, line, sizeof line);
    XT_OK(mu_json_parse(&tree, mu_str(line), "arc", &err));
    question = json_object_get(tree, "question");
    snprintf(it->context, sizeof it->context,
             "Question: %s\nAnswer:", json_string_value(json_object_get(question, "stem")));
    it->n = 0;
    json_array_foreach(json_object_get(question, "choices"), i, choice) snprintf(
        it->choices[it->n++], sizeof it->choices[0], " %s", json_string_value(json_object_get(choice, "text")));
    json_decref(tree);
}

/* ids = BOS + encode(context + continuation); spaces that end the context belong to the continuation. */
static int pair(const mu_tokenizer *tok, const char *context, const char *choice, int32_t *out, int *n_context)
{
    struct mu_ids ids = MU_IDS_INIT(8192);
    char text[8192];
    size_t n = strlen(context);
    snprintf(text, sizeof text, "%s%s", context, choice);
    while (n > 0 && text[n - 1] == ' ')
        n--;
    encode(tok, text, n, &ids);
    int whole_context = (int)ids.n;
    encode(tok, text, strlen(text), &ids);
    int cut = MU_MAX(0, (int)ids.n - (CONTEXT + 1));
    int total = (int)ids.n - cut;
    memcpy(out, ids.v + cut, (size_t)total * sizeof *out);
    *n_context = whole_context - cut;
    mu_ids_fini(&ids);
    return total;
}

static void score_task(mu_engine *eng, const mu_tokenizer *tok, const char *task, const char *file,
                       void (*read)(FILE *, struct item *))
{
    static int32_t ids[ITEMS_MAX * CHOICES_MAX][CONTEXT + 1];
    static struct mu_request r[ITEMS_MAX * CHOICES_MAX];
    static struct mu_result *results[ITEMS_MAX * CHOICES_MAX];
    static struct item it;
    struct mu_err err = MU_ERR_INIT;
    int n = 0, at = 0;
    json_t *ref = load_reference("eval_reference.json");
    const json_t *want = json_object_get(json_object_get(json_object_get(ref, "tasks"), task), "items");
    FILE *f = fopen(xt_data(file), "r");

    for (int i = 0; i < ITEMS; i++) {
        read(f, &it);
        for (int c = 0; c < it.n; c++, n++) {
            int n_context, total = pair(tok, it.context, it.choices[c], ids[n], &n_context);
            r[n] = (struct mu_request)MU_REQUEST_INIT;
            r[n].ids = ids[n];
            r[n].n_ids = n_context;
            r[n].continuation = ids[n] + n_context;
            r[n].n_continuation = total - n_context;
        }
    }
    fclose(f);
    XT_OK(mu_engine_run(eng, r, n, results, &err));
    for (int i = 0; i < ITEMS; i++) {
        const json_t *item = json_array_get(want, (size_t)i);
        const json_t *sums = json_object_get(item, "sums"), *tokens = json_object_get(item, "tokens");
        int best = at;
        for (size_t c = 0; c < json_array_size(sums); c++, at++) {
            double sum = json_number_value(json_array_get(sums, c));
            XT_EQ(r[at].n_continuation, json_integer_value(json_array_get(tokens, c)));
            XT_EQ(results[at]->code, MU_OK);
            XT_NEAR(results[at]->logprob_sum, sum, 1e-5 * fabs(sum) + 1e-5); /* the reference has 5 decimals */
            best = results[at]->logprob_sum > results[best]->logprob_sum ? at : best;
        }
        XT_EQ(best - (at - (int)json_array_size(sums)), json_integer_value(json_object_get(item, "acc_pick")));
    }
    for (int i = 0; i < n; i++)
        mu_result_free(results[i]);
    json_decref(ref);
}

XT_TEST(item_scores_match)
{
    if (XT_TSAN)
        xt_skip("numbers, which the other builds check; the same steps run in the tests of bits");
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_tokenizer *tok = NULL;
    XT_OK(mu_tokenizer_open(&tok, xt_data(MODEL), NULL, &err));
    mu_engine *eng = open_engine(&o);
    score_task(eng, tok, "hellaswag_first100", "eval/hellaswag/hellaswag_val_full.txt", read_hellaswag);
    score_task(eng, tok, "arc_easy_first100", "eval/arc_easy/ARC-Easy-Test.jsonl", read_arc);
    mu_engine_close(eng);
    mu_tokenizer_close(tok);
}

XT_TEST(perplexity_matches)
{
    if (XT_TSAN)
        xt_skip("numbers, which the other builds check; the same steps run in the tests of bits");
    enum { WINDOW = 511, WINDOWS = 24, WINDOWS_RUN = XT_ASAN ? 4 : WINDOWS, CHARS = 20000 };
    static int32_t ids[WINDOWS][WINDOW + 1];
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r[WINDOWS];
    struct mu_result *results[WINDOWS];
    struct mu_ids all = MU_IDS_INIT(CHARS);
    struct mu_buf text = MU_BUF_INIT("the text", 2 << 20);
    mu_tokenizer *tok = NULL;
    double sum = 0;

    XT_OK(mu_tokenizer_open(&tok, xt_data(MODEL), NULL, &err));
    XT_OK(mu_file_read_all(&text, xt_data("text/tinyshakespeare/input.txt"), &err));
    json_t *ref = load_reference("perplexity_reference.json");
    encode(tok, text.p, CHARS, &all); /* the text is ASCII */
    XT_EQ(all.n - 1, json_integer_value(json_object_get(ref, "tokens_in_text")));
    for (int w = 0; w < WINDOWS_RUN; w++) {
        ids[w][0] = BOS;
        memcpy(ids[w] + 1, all.v + 1 + w * WINDOW, WINDOW * sizeof(int32_t));
        r[w] = (struct mu_request)MU_REQUEST_INIT;
        r[w].kind = MU_REQUEST_ROLLING;
        r[w].ids = ids[w];
        r[w].n_ids = WINDOW + 1;
    }
    mu_engine *eng = open_engine(&o);
    XT_OK(mu_engine_run(eng, r, WINDOWS_RUN, results, &err));
    for (int w = 0; w < WINDOWS_RUN; w++) {
        double want = json_number_value(json_array_get(json_object_get(ref, "window_sums"), (size_t)w));
        XT_EQ(results[w]->code, MU_OK);
        XT_NEAR(results[w]->logprob_sum, want, 1e-5 * fabs(want));
        sum += results[w]->logprob_sum;
        mu_result_free(results[w]);
    }
    double perplexity = exp(-sum / (WINDOWS * WINDOW));
    double want = json_number_value(json_object_get(ref, "perplexity"));
    if (WINDOWS_RUN == WINDOWS)
        XT_NEAR(perplexity, want, 1e-5 * want);
    mu_engine_close(eng);
    mu_tokenizer_close(tok);
    mu_ids_fini(&all);
    mu_buf_fini(&text);
    json_decref(ref);
}

/* ---- the same bits on real ops ---- */

#define MIXED 64

static void make_mixed(struct mu_request *r, int32_t ids[MIXED][200])
{
    uint64_t seed = 4;
    for (int i = 0; i < MIXED; i++) {
        uint64_t g = (uint64_t)(i / 4) + 77; /* four share a beginning */
        int n = 3 + (int)(xt_rand(&g) % 150);
        for (int k = 0; k < n; k++)
            ids[i][k] = k == 0 ? BOS : 3 + (int32_t)(xt_rand(&g) % 500);
        r[i] = (struct mu_request)MU_REQUEST_INIT;
        r[i].ids = ids[i];
        r[i].n_ids = n;
        r[i].n_top = 2;
        if (i % 4 == 0) {
            r[i].kind = MU_REQUEST_GENERATE;
            r[i].max_tokens = 24;
            r[i].ignore_eos = true;
            r[i].sampling.temperature = i % 8 ? 0.9 : 0;
            r[i].sampling.top_p = 0.95;
            r[i].sampling.seed = (uint64_t)i;
        } else {
            r[i].kind = MU_REQUEST_SCORE;
            r[i].n_continuation = 4;
            r[i].continuation = ids[i] + n;
            for (int k = 0; k < 4; k++)
                ids[i][n + k] = 3 + (int32_t)(xt_rand(&seed) % 500);
        }
    }
}

static void run_mixed(struct mu_engine_opts *o, const struct mu_request *r, struct mu_result **results)
{
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = open_engine(o);
    XT_OK(mu_engine_run(eng, r, MIXED, results, &err));
    mu_engine_close(eng);
}

static void free_mixed(struct mu_result **results)
{
    for (int i = 0; i < MIXED; i++)
        mu_result_free(results[i]);
}

static void same_bits(size_t which, const char *weights, const char *kv)
{
    static const struct {
        int rows, sequences, chunk, threads;
        bool no_sharing;
        enum mu_order order;
    } ways[] = {
        {16, 2, 0, 1, true, MU_ORDER_SUBMITTED},    {64, 7, 9, 2, false, MU_ORDER_LONGEST},
        {256, 64, 0, 3, false, MU_ORDER_SUBMITTED}, {256, 64, 33, 4, true, MU_ORDER_LONGEST},
        {5, 16, 0, 4, false, MU_ORDER_SUBMITTED},   {1, 1, 0, 2, false, MU_ORDER_SUBMITTED},
    };
    static int32_t ids[MIXED][200];
    struct mu_request r[MIXED];
    struct mu_result *alone[MIXED], *other[MIXED];
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    make_mixed(r, ids);
    o.weights = weights;
    o.kv_dtype = kv;
    o.threads = 1;
    o.sequences_max = 1;
    o.no_prefix_sharing = true;
    run_mixed(&o, r, alone);
    for (size_t w = 0; w < MU_COUNT(ways); w++) {
        if (XT_ASAN && !xt_takes(which, w))
            continue;
        o.rows_max = ways[w].rows;
        o.sequences_max = ways[w].sequences;
        o.prefill_chunk = ways[w].chunk;
        o.threads = ways[w].threads;
        o.no_prefix_sharing = ways[w].no_sharing;
        o.order = ways[w].order;
        run_mixed(&o, r, other);
        for (int i = 0; i < MIXED; i++) {
            const struct mu_logprobs *a = &alone[i]->tokens, *b = &other[i]->tokens;
            XT_CHECKF(alone[i]->code == MU_OK && other[i]->code == MU_OK, "%s", other[i]->err.text);
            XT_CHECKF(a->n == b->n && memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids) == 0 &&
                          memcmp(a->logprob, b->logprob, (size_t)a->n * sizeof *a->logprob) == 0,
                      "%s weights, %s cache: way %zu changes request %d", weights, kv, w, i);
        }
        free_mixed(other);
    }
    free_mixed(alone);
}

XT_TEST(the_same_bits_in_every_batch_with_f32)
{
    same_bits(0, "f32", "f32");
}

XT_TEST(the_same_bits_in_every_batch_with_int8_and_bf16_cache)
{
    same_bits(1, "int8", "bf16");
}

XT_TEST(the_same_bits_in_every_batch_with_bf16_and_int8_cache)
{
    same_bits(2, "bf16", "int8");
}

XT_TEST(the_same_bits_in_every_batch_with_int4_and_f16_cache)
{
    same_bits(3, "int4", "f16");
}

XT_TEST(real_steps_allocate_nothing)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    static int32_t ids[MIXED][200];
    struct mu_request r[MIXED];
    struct mu_result *result;
    uint64_t id;
    make_mixed(r, ids);
    mu_mem_peak_reset();
    mu_engine *eng = open_engine(&o);
    for (int i = 0; i < MIXED; i++)
        XT_OK(mu_engine_submit(eng, &r[i], &id, &err));
    uint64_t allocs = mu_mem_allocs();
    for (int i = 0; i < MIXED; i++) {
        XT_OK(mu_engine_poll(eng, &result, MU_WAIT_FOREVER, &err));
        mu_result_free(result);
    }
    XT_EQ(mu_mem_allocs(), allocs);
    mu_engine_close(eng);
}
