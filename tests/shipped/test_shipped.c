/* test_shipped.c - the models in models/ give the numbers that transformers gave for them: ids, log-likelihoods, text
 *
 * Reference: models/<name>/reference.json, f32 arithmetic on the bf16 weights. */
#include <stdio.h>
#include <stdlib.h>

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "base/json.h"
#include "xt.h"

#define IDS_MAX      2048
#define GREEDY_MAX   32
#define GAP_IS_CLEAR 1e-3 /* of logits around 10: below it two right orders of addition may choose differently */

/* Log-likelihoods of some tokens near 1 to 20: f32 sums of 256 terms in two orders. */
#define LL_TOLERANCE(v) (1e-4 + 1e-5 * fabs(v))

static mu_tokenizer *tok;
static mu_engine *eng;

static void open_model(const char *dir)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = dir;
    XT_OK(mu_tokenizer_open(&tok, dir, NULL, &err));
    XT_OK(mu_engine_open(&eng, &o, &err));
}

static void close_model(void)
{
    mu_engine_close(eng);
    mu_tokenizer_close(tok);
}

static int ids_of(const json_t *array, int32_t *out, int max)
{
    int n = (int)json_array_size(array);
    XT_CHECK(n <= max);
    for (int i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(array, (size_t)i));
    return n;
}

static void check_encoding(const json_t *ex, const int32_t *ids, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids got = MU_IDS_INIT(IDS_MAX);
    const char *prompt = json_string_value(json_object_get(ex, "prompt"));
    XT_OK(mu_tokenizer_encode(tok, prompt, strlen(prompt), MU_TOK_ADD_SPECIAL, &got, &err));
    XT_EQ(got.n, n);
    for (int i = 0; i < n; i++)
        XT_EQ(got.v[i], ids[i]);
    mu_ids_fini(&got);
}

static double score(const int32_t *ids, int n, const int32_t *cont, int n_cont)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_result *result;
    r.kind = MU_REQUEST_SCORE;
    r.ids = ids;
    r.n_ids = n;
    r.continuation = cont;
    r.n_continuation = n_cont;
    XT_OK(mu_engine_run(eng, &r, 1, &result, &err));
    XT_CHECKF(result->code == MU_OK, "%s", result->err.text);
    double sum = result->logprob_sum;
    mu_result_free(result);
    return sum;
}

static void check_choices(const json_t *ex, const int32_t *ids, int n)
{
    struct mu_err err = MU_ERR_INIT;
    const json_t *choices = json_object_get(ex, "choices"), *want = json_object_get(ex, "choice_loglikelihoods");
    for (size_t i = 0; i < json_array_size(choices); i++) {
        struct mu_ids cont = MU_IDS_INIT(IDS_MAX);
        char text[512];
        snprintf(text, sizeof text, " %s", json_string_value(json_array_get(choices, i)));
        XT_OK(mu_tokenizer_encode(tok, text, strlen(text), 0, &cont, &err));
        double ll = json_number_value(json_array_get(want, i));
        XT_NEAR(score(ids, n, cont.v, (int)cont.n), ll, LL_TOLERANCE(ll));
        mu_ids_fini(&cont);
    }
}

/* Returns whether the text could be compared. */
static bool check_greedy(const json_t *ex, const int32_t *ids, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_result *result;
    int32_t want[GREEDY_MAX];
    int n_want = ids_of(json_object_get(ex, "greedy_ids"), want, GREEDY_MAX);
    if (json_number_value(json_object_get(ex, "greedy_min_gap")) < GAP_IS_CLEAR)
        return false;
    r.kind = MU_REQUEST_GENERATE;
    r.ids = ids;
    r.n_ids = n;
    r.max_tokens = n_want;
    r.ignore_eos = true;
    XT_OK(mu_engine_run(eng, &r, 1, &result, &err));
    XT_EQ(result->tokens.n, n_want);
    for (int i = 0; i < n_want; i++)
        XT_EQ(result->tokens.ids[i], want[i]);
    mu_result_free(result);
    return true;
}

static void check_model(const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    char dir[256], path[300];
    json_t *reference = NULL;
    const json_t *ex;
    size_t i;
    int n_compared = 0;

    snprintf(dir, sizeof dir, "models/%s", name);
    snprintf(path, sizeof path, "%s/reference.json", dir);
    XT_OK(mu_json_load(&reference, path, &err));
    open_model(dir);
    const json_t *examples = json_object_get(reference, "examples");
    XT_CHECK(json_array_size(examples) >= 20);
    json_array_foreach(examples, i, ex)
    {
        int32_t ids[IDS_MAX], answer[IDS_MAX];
        int n = ids_of(json_object_get(ex, "prompt_ids"), ids, IDS_MAX);
        int n_answer = ids_of(json_object_get(ex, "answer_ids"), answer, IDS_MAX);
        double ll = json_number_value(json_object_get(ex, "answer_loglikelihood"));
        check_encoding(ex, ids, n);
        XT_NEAR(score(ids, n, answer, n_answer), ll, LL_TOLERANCE(ll));
        check_choices(ex, ids, n);
        n_compared += check_greedy(ex, ids, n);
    }
    xt_note("%s: %zu prompts, greedy text compared on %d of them", name, json_array_size(examples), n_compared);
    XT_CHECK(n_compared * 2 > (int)json_array_size(examples));
    close_model();
    json_decref(reference);
}

XT_TEST(llama_tiny_gives_the_reference_numbers)
{
    check_model("muster-llama-tiny");
}

XT_TEST(dsv3_tiny_gives_the_reference_numbers)
{
    check_model("muster-dsv3-tiny");
}

XT_TEST(falcon_tiny_gives_the_reference_numbers)
{
    check_model("muster-falcon-tiny");
}

XT_MAIN()
