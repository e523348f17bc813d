/* test_stats.c - aggregations and standard errors against lm-evaluation-harness (make_stats.py), and the fast bootstrap
 * against the plain one, to the last bit */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/random.h"
#include "eval/stats/bootstrap.h"
#include "xt.h"

/* The harness's own numbers differ in the last bits between Python versions (sum() is compensated from 3.12 on), and
 * numpy adds pairwise. */
#define TOLERANCE 1e-12

static json_t *golden(const char *part, json_t **owner)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_json_load(owner, "tests/eval/stats_golden.json", &err));
    json_t *cases = json_object_get(*owner, part);
    XT_CHECK(json_array_size(cases) > 0);
    return cases;
}

static void check_near(const char *name, size_t i, double got, const json_t *want)
{
    double w = json_number_value(want);
    XT_CHECKF(fabs(got - w) <= TOLERANCE * fmax(fabs(w), 1e-3), "%s, case %zu: %.17g, not %.17g", name, i, got, w);
}

static double number_at(const json_t *row, size_t i)
{
    return json_number_value(json_array_get(row, i));
}

XT_TEST(scores_and_standard_errors_are_the_harness_s)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pool *pool = NULL;
    json_t *owner = NULL, *cases = golden("aggregation", &owner), *row;
    size_t i;
    XT_OK(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = 3}, &err));
    json_array_foreach(cases, i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0));
        const struct mu_aggregation *a = mu_aggregation_find(name);
        const json_t *items = json_array_get(row, 1);
        double score = 0, error = 0;
        bool has;
        XT_CHECK(a != NULL);
        XT_OK(a->compute(items, &score, &err));
        check_near(name, i, score, json_array_get(row, 3));
        XT_OK(mu_aggregation_stderr(a, items, (int64_t)number_at(row, 2), pool, &error, &has, &err));
        XT_CHECKF(has == json_is_number(json_array_get(row, 4)), "%s, case %zu: has %d", name, i, has);
        if (has)
            check_near(name, i, error, json_array_get(row, 4));
    }
    mu_pool_close(pool);
    json_decref(owner);
}

/* ---- fast against plain ---- */

static json_t *made_items(const char *kind, int64_t n)
{
    struct mu_pyrandom r;
    mu_json_init();
    json_t *items = json_array();
    mu_pyrandom_seed(&r, n);
    for (int64_t i = 0; i < n; i++) {
        double x = mu_pyrandom_real(&r), y = mu_pyrandom_real(&r);
        json_t *v = NULL;
        if (strcmp(kind, "real") == 0)
            v = json_real(-7 * x);
        else if (strcmp(kind, "null") == 0)
            v = y < 0.2 ? json_null() : json_real(x);
        else if (strcmp(kind, "few") == 0)
            v = json_integer((json_int_t)(x * 4));
        else
            v = json_pack("[ii]", (int)(x * atoi(kind)), (int)(y * atoi(kind)));
        XT_EQ(json_array_append_new(items, v), 0);
    }
    return items;
}

static void check_fast(const char *name, const char *kind, int64_t n, int64_t iters, struct mu_pool *pool)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_aggregation *a = mu_aggregation_find(name);
    json_t *items = made_items(kind, n);
    double fast = 0, plain = 1, alone = 2;
    XT_OK(mu_bootstrap_stderr(a, items, iters, pool, &fast, &err));
    XT_OK(mu_bootstrap_stderr(a, items, iters, NULL, &alone, &err));
    XT_OK(mu_bootstrap_plain(a, items, iters, pool, &plain, &err));
    XT_CHECKF(memcmp(&fast, &plain, sizeof fast) == 0 && memcmp(&fast, &alone, sizeof fast) == 0,
              "%s of %lld %s items, %lld replicates: fast %.17g, in one thread %.17g, plain %.17g", name, (long long)n,
              kind, (long long)iters, fast, alone, plain);
    json_decref(items);
}

XT_TEST(the_fast_bootstrap_is_the_plain_one_to_the_last_bit)
{
    static const char *const ways[][2] = {
        {"perplexity", "real"},     {"nanmean", "real"},        {"nanmean", "null"},
        {"median", "real"},         {"median", "few"},          {"f1", "2"},
        {"matthews_corrcoef", "2"}, {"matthews_corrcoef", "5"}, {"matthews_corrcoef", "90"}};
    static const int64_t sizes[][2] = {{2, 2}, {7, 999}, {30, 2500}, {30, 5000}, {313, 50}, {1248, 9}, {2600, 30}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_pool *pool = NULL;
    XT_OK(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = 2}, &err));
    for (size_t w = 0; w < MU_COUNT(ways); w++)
        for (size_t s = 0; s < MU_COUNT(sizes); s++)
            check_fast(ways[w][0], ways[w][1], sizes[s][0], sizes[s][1], pool);
    mu_pool_close(pool);
}

/* ---- what is no item ---- */

static void check_bad(const char *name, const char *items_text, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_aggregation *a = mu_aggregation_find(name);
    json_t *items = NULL;
    double v = 0;
    XT_OK(mu_json_parse(&items, mu_str(items_text), "items", &err));
    XT_FAILS(a->compute(items, &v, &err), code, part);
    json_decref(items);
}

XT_TEST(bad_items_are_named)
{
    check_bad("mean", "[]", MU_EINVAL, "no items");
    check_bad("mean", "[1, \"a\"]", MU_EINVAL, "item 1 is no number");
    check_bad("mean", "[null]", MU_EINVAL, "item 0");
    check_bad("nanmean", "[1, []]", MU_EINVAL, "item 1");
    check_bad("median", "[[1]]", MU_EINVAL, "item 0");
    check_bad("perplexity", "[-1e9]", MU_ENUMERIC, "beyond");
    check_bad("weighted_perplexity", "[[1, 2], [1]]", MU_EINVAL, "item 1 is no pair");
    check_bad("weighted_perplexity", "[[1, 0]]", MU_ENUMERIC, "add up to 0");
    check_bad("bits_per_byte", "[[1, {}]]", MU_EINVAL, "item 0");
    check_bad("f1", "[[0, 1], [2, 1]]", MU_EINVAL, "the label 2 beside 0");
    check_bad("f1", "[[\"a\", 1]]", MU_EINVAL, "item 0");
    check_bad("matthews_corrcoef", "[[0, []]]", MU_EINVAL, "item 0");
    check_bad("brier_score", "[[0, [0.5, 0.5]], [2, [0.5, 0.5]]]", MU_EINVAL, "item 1");
    check_bad("brier_score", "[[0, [0.5, 0.5]], [0, [1]]]", MU_EINVAL, "item 1 has 1");
    check_bad("brier_score", "[[0, []]]", MU_EINVAL, "item 0");
    check_bad("acc_all", "[[1, {\"idx\": {\"question\": 1}}]]", MU_EINVAL, "item 0");
}

XT_TEST(a_replicate_that_fails_says_so)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *items = NULL;
    double v = 0;
    XT_OK(mu_json_parse(&items, MU_STR("[-1, -3000]"), "items", &err));
    const struct mu_aggregation *a = mu_aggregation_find("perplexity");
    XT_FAILS(mu_bootstrap_stderr(a, items, 100, NULL, &v, &err), MU_ENUMERIC, "replicate");
    XT_FAILS(mu_bootstrap_plain(a, items, 100, NULL, &v, &err), MU_ENUMERIC, "replicate");
    XT_FAILS(mu_bootstrap_stderr(a, items, 1, NULL, &v, &err), MU_EINVAL, "at least 2");
    XT_FAILS(mu_bootstrap_stderr(a, items, 1000000000, NULL, &v, &err), MU_EINVAL, "at most");
    json_decref(items);
}

XT_TEST(the_table_has_each_name_once)
{
    const struct mu_aggregation *a;
    int n = 0;
    for (; (a = mu_aggregation_at(n)) != NULL; n++)
        XT_CHECK(mu_aggregation_find(a->name) == a);
    XT_EQ(n, 15);
    XT_CHECK(mu_aggregation_at(-1) == NULL && mu_aggregation_find("no_such") == NULL);
    XT_EQ(mu_aggregation_find("bleu")->iters_max, 100);
}

XT_TEST(no_iterations_switch_standard_errors_off)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *items = made_items("real", 10);
    double v = 0;
    bool has = true;
    XT_OK(mu_aggregation_stderr(mu_aggregation_find("mean"), items, 0, NULL, &v, &has, &err));
    XT_CHECK(!has);
    json_decref(items);
}

/* ---- groups and comparisons ---- */

XT_TEST(groups_pool_as_the_harness_does)
{
    json_t *owner = NULL, *cases = golden("group", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        double value[8];
        int64_t size[8];
        size_t n = json_array_size(json_array_get(row, 0));
        for (size_t k = 0; k < n; k++) {
            value[k] = number_at(json_array_get(row, 0), k);
            size[k] = (int64_t)number_at(json_array_get(row, 1), k);
        }
        check_near("weighted mean", i, mu_group_mean(value, size, (int)n, true), json_array_get(row, 2));
        check_near("mean", i, mu_group_mean(value, size, (int)n, false), json_array_get(row, 3));
        check_near("stderr", i, mu_group_stderr(value, size, (int)n), json_array_get(row, 4));
    }
    json_decref(owner);
}

/* scipy.stats.binomtest(a, a + b).pvalue */
XT_TEST(mcnemar_is_the_exact_binomial_test)
{
    static const struct {
        int64_t a, b;
        double p;
    } cases[] = {{3, 10, 0.09228515625},
                 {10, 3, 0.09228515625},
                 {0, 5, 0.0625},
                 {40, 60, 0.05688793364098089},
                 {1000, 1100, 0.03072070786424249},
                 {100000, 101000, 0.02586239243973295},
                 {1, 400, 1.556781949769426e-118},
                 {0, 0, 1},
                 {1, 0, 1},
                 {7, 7, 1}};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        double p = mu_mcnemar_p(cases[i].a, cases[i].b);
        /* the logarithm of a factorial of 2e5 is 2e6, its last bit 2e-10 */
        XT_CHECKF(fabs(p - cases[i].p) <= 1e-9 * cases[i].p, "case %zu: %.17g, not %.17g", i, p, cases[i].p);
    }
}

XT_TEST(a_paired_bootstrap_tells_difference_from_chance)
{
    struct mu_err err = MU_ERR_INIT;
    double a[200], b[200], p = 0, again = 0;
    uint64_t state = 1;
    for (int i = 0; i < 200; i++) {
        a[i] = (double)(xt_rand(&state) % 2);
        b[i] = a[i];
    }
    XT_OK(mu_paired_bootstrap_p(a, b, 200, 1000, 1, &p, &err));
    XT_CHECK(p == 1);
    for (int i = 0; i < 200; i++)
        b[i] = a[i] - 1;
    XT_OK(mu_paired_bootstrap_p(a, b, 200, 1000, 1, &p, &err));
    XT_CHECK(p == 1.0 / 1001); /* always the same difference: no replicate is as far from its mean */
    for (int i = 0; i < 200; i++)
        b[i] = (double)(xt_rand(&state) % 2);
    XT_OK(mu_paired_bootstrap_p(a, b, 200, 5000, 1, &p, &err));
    XT_OK(mu_paired_bootstrap_p(a, b, 200, 5000, 1, &again, &err));
    XT_CHECK(p == again && p > 0.001 && p <= 1);
    /* the sign test's neighbour: both ask how often chance is as far */
    int64_t only_a = 0, only_b = 0;
    for (int i = 0; i < 200; i++) {
        only_a += a[i] > b[i];
        only_b += b[i] > a[i];
    }
    XT_NEAR(p, mu_mcnemar_p(only_a, only_b), 0.1);
    XT_FAILS(mu_paired_bootstrap_p(a, b, 0, 10, 1, &p, &err), MU_EINVAL, "0 documents");
    XT_FAILS(mu_paired_bootstrap_p(a, b, 2, 0, 1, &p, &err), MU_EINVAL, "0 bootstrap");
}

/* ---- no memory ---- */

static int everything(void *arg, struct mu_err *e)
{
    json_t *const *items = arg;
    double v;
    bool has;
    static const char *const names[] = {"mean", "nanmean", "median", "perplexity"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        const struct mu_aggregation *a = mu_aggregation_find(names[i]);
        MU_TRY_RETURN(a->compute(items[0], &v, e));
        MU_TRY_RETURN(mu_aggregation_stderr(a, items[0], 20, NULL, &v, &has, e));
    }
    MU_TRY_RETURN(mu_aggregation_stderr(mu_aggregation_find("f1"), items[1], 20, NULL, &v, &has, e));
    MU_TRY_RETURN(mu_aggregation_find("matthews_corrcoef")->compute(items[1], &v, e));
    MU_TRY_RETURN(mu_bootstrap_stderr(mu_aggregation_find("matthews_corrcoef"), items[1], 20, NULL, &v, e));
    MU_TRY_RETURN(mu_bootstrap_plain(mu_aggregation_find("f1"), items[1], 2, NULL, &v, e));
    MU_TRY_RETURN(mu_aggregation_find("acc_all")->compute(items[2], &v, e));
    return mu_aggregation_stderr(mu_aggregation_find("acc_all"), items[2], 2, NULL, &v, &has, e);
}

XT_TEST(no_memory_is_an_error_and_leaks_nothing)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *items[3] = {made_items("real", 5), made_items("2", 5), NULL};
    XT_OK(mu_json_parse(&items[2],
                        MU_STR("[[1, {\"idx\": {\"paragraph\": 1, \"question\": 2}, \"label\": 1}],"
                               " [0, {\"idx\": {\"paragraph\": 1, \"question\": 3}, \"label\": 1}]]"),
                        "items", &err));
    xt_each_alloc_fails(everything, items);
    for (int i = 0; i < 3; i++)
        json_decref(items[i]);
}

XT_MAIN()
