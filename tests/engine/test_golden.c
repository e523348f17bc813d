/* test_golden.c - every golden checkpoint through the engine: the reference's greedy text and log-probabilities, and
 * the same bits whatever the batch, chunk, sharing and threads */
#include "xt.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include <muster/engine.h>

#define GOLDEN      "tests/golden"
#define PROMPTS_MAX 4
#define IDS_MAX     1024
#define GREEDY_MAX  64
#define CASES_MAX   64

#define INT8_CACHE_NEAR 0.05

struct prompt {
    int32_t ids[IDS_MAX];
    int n;
    int32_t greedy[GREEDY_MAX];
    int n_greedy;
    const json_t *rows, *logits;
    bool is_by_call; /* the reference's numbers depend on how the text was cut into calls (dynamic rotary scaling) */
};

struct golden {
    size_t which; /* of the folders */
    char path[512];
    json_t *tree;
    struct prompt prompts[PROMPTS_MAX];
    int n;
};

static int read_ids(const json_t *a, int32_t *out, int max)
{
    int n = (int)json_array_size(a);
    XT_CHECK(n <= max);
    for (int i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(a, (size_t)i));
    return n;
}

/* False for folders that are no checkpoint. */
static bool golden_open(struct golden *g, const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    char file[600];
    const json_t *p;
    size_t i;
    snprintf(g->path, sizeof g->path, GOLDEN "/%s", name);
    snprintf(file, sizeof file, "%s/golden.json", g->path);
    FILE *f = fopen(file, "r");
    if (!f)
        return false;
    fclose(f);
    XT_OK(mu_json_load(&g->tree, file, &err));
    g->n = 0;
    json_array_foreach(json_object_get(g->tree, "prompts"), i, p)
    {
        struct prompt *q = &g->prompts[g->n++];
        XT_CHECK(g->n <= PROMPTS_MAX);
        q->n = read_ids(json_object_get(p, "ids"), q->ids, IDS_MAX);
        q->n_greedy = read_ids(json_object_get(p, "greedy"), q->greedy, GREEDY_MAX);
        q->rows = json_object_get(p, "logits_rows");
        q->logits = json_object_get(p, "logits");
        q->is_by_call = json_object_get(p, "greedy_no_cache") != NULL;
    }
    return g->n > 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the folders, sorted; the caller frees each. */
static int list_cases(char **names)
{
    DIR *d = opendir(GOLDEN);
    int n = 0;
    if (!d)
        xt_skip(GOLDEN " is not here: run from the repository's root");
    for (struct dirent *e; (e = readdir(d)) != NULL && n < CASES_MAX;) {
        if (e->d_name[0] != '.')
            names[n++] = mu_strdup(e->d_name);
    }
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    return n;
}

/* Two requests a prompt: greedy output, and the prompt's own log-probabilities. */
static int make_requests(const struct golden *g, struct mu_request *r)
{
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        const struct prompt *p = &g->prompts[i];
        r[n] = (struct mu_request)MU_REQUEST_INIT;
        r[n].kind = MU_REQUEST_GENERATE;
        r[n].ids = p->ids, r[n].n_ids = p->n;
        r[n].max_tokens = p->n_greedy;
        r[n++].ignore_eos = true;
        r[n] = (struct mu_request)MU_REQUEST_INIT;
        r[n].kind = MU_REQUEST_ROLLING;
        r[n].ids = p->ids, r[n].n_ids = p->n;
        r[n++].n_top = 3;
    }
    return n;
}

/* log p(id) of a row of the golden logits, and 1e-4 of its largest logit: the bound on logits. */
static double golden_logprob(const json_t *row, int32_t id, double *bound)
{
    double max = 0, sum = 0;
    for (size_t v = 0; v < json_array_size(row); v++)
        max = fmax(max, fabs(json_number_value(json_array_get(row, v))));
    for (size_t v = 0; v < json_array_size(row); v++)
        sum += exp(json_number_value(json_array_get(row, v)) - max);
    *bound = 2e-4 * max; /* of a difference of two */
    return json_number_value(json_array_get(row, (size_t)id)) - max - log(sum);
}

static void check_against_golden(const struct golden *g, struct mu_result **results)
{
    for (int i = 0; i < g->n; i++) {
        const struct prompt *p = &g->prompts[i];
        const struct mu_result *out = results[2 * i], *rolled = results[2 * i + 1];
        XT_CHECKF(out->code == MU_OK && rolled->code == MU_OK, "%s: %s%s", g->path, out->err.text, rolled->err.text);
        if (p->is_by_call)
            continue;
        for (int t = 0; t < p->n_greedy; t++)
            XT_CHECKF(out->tokens.ids[t] == p->greedy[t], "%s: prompt %d, output %d is %d, not %d", g->path, i, t,
                      out->tokens.ids[t], p->greedy[t]);
        for (size_t k = 0; k < json_array_size(p->rows); k++) {
            int row = (int)json_integer_value(json_array_get(p->rows, k));
            double bound, want, is;
            if (row + 1 >= p->n)
                continue;
            want = golden_logprob(json_array_get(p->logits, k), p->ids[row + 1], &bound);
            is = rolled->tokens.logprob[row];
            XT_CHECKF(fabs(is - want) <= bound, "%s: log-prob at %d is %.9g, not %.9g", g->path, row, is, want);
        }
    }
}

static void run(const struct golden *g, const struct mu_engine_opts *o, struct mu_result **results)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_request r[2 * PROMPTS_MAX];
    mu_engine *eng = NULL;
    int n = make_requests(g, r);
    XT_OK(mu_engine_open(&eng, o, &err));
    XT_OK(mu_engine_run(eng, r, n, results, &err));
    mu_engine_close(eng);
}

static void free_results(const struct golden *g, struct mu_result **results)
{
    for (int i = 0; i < 2 * g->n; i++)
        mu_result_free(results[i]);
}

static void for_each_case(void (*fn)(const struct golden *g))
{
    static struct golden g;
    char *names[CASES_MAX];
    int n = list_cases(names), n_cases = 0;
    for (int i = 0; i < n; i++) {
        g.which = (size_t)i;
        if (i % XT_STRIDE == 0 && golden_open(&g, names[i])) {
            fn(&g);
            n_cases++;
            json_decref(g.tree);
        }
        mu_free(names[i]);
    }
    XT_CHECK(n_cases > 0);
}

static void check_bits(const struct golden *g)
{
    static const struct {
        int rows, sequences, chunk, threads;
        bool no_sharing;
    } ways[] = {{64, 4, 7, 2, false}, {5, 2, 0, 3, true}, {1, 1, 0, 1, false}, {200, 8, 0, 4, false}};
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_result *first[2 * PROMPTS_MAX], *other[2 * PROMPTS_MAX];
    o.model = g->path;
    o.threads = 1;
    o.sequences_max = 1;
    o.no_prefix_sharing = true;
    run(g, &o, first);
    for (size_t w = 0; w < MU_COUNT(ways); w++) {
        if (XT_ASAN && !xt_takes(g->which, w))
            continue;
        o.rows_max = ways[w].rows;
        o.sequences_max = ways[w].sequences;
        o.prefill_chunk = ways[w].chunk;
        o.threads = ways[w].threads;
        o.no_prefix_sharing = ways[w].no_sharing;
        run(g, &o, other);
        for (int i = 0; i < 2 * g->n; i++) {
            const struct mu_logprobs *a = &first[i]->tokens, *b = &other[i]->tokens;
            XT_CHECKF(a->n == b->n && memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids) == 0 &&
                          memcmp(a->logprob, b->logprob, (size_t)a->n * sizeof *a->logprob) == 0,
                      "%s: way %zu changes request %d", g->path, w, i);
        }
        free_results(g, other);
    }
    free_results(g, first);
}

/* A cache of fewer bits moves log-probabilities by hundredths where weights are random, far more where a router then
 * takes other experts: so half must be near. A broken path or a scale of another group moves most by more. */
static void check_int8_cache(const struct golden *g, struct mu_engine_opts o, struct mu_result **exact)
{
    struct mu_result *held[2 * PROMPTS_MAX];
    double most = 0;
    int n = 0, n_near = 0;
    o.kv_dtype = "int8";
    run(g, &o, held);
    for (int i = 0; i < g->n; i++) {
        const struct mu_logprobs *a = &exact[2 * i + 1]->tokens, *b = &held[2 * i + 1]->tokens;
        XT_CHECKF(exact[2 * i + 1]->code == MU_OK && held[2 * i + 1]->code == MU_OK, "%s: %s", g->path,
                  held[2 * i + 1]->err.text);
        XT_EQ(a->n, b->n);
        for (int t = 0; t < a->n; t++, n++) {
            double off = fabs(a->logprob[t] - b->logprob[t]);
            most = fmax(most, off);
            n_near += off <= INT8_CACHE_NEAR;
        }
    }
    XT_CHECKF(most > 0 && n_near * 2 >= n, "%s: %d of %d log-probabilities are near, one off by %g", g->path, n_near, n,
              most);
    xt_note("%s, cache in int8: %d of %d log-probabilities are near, the farthest off by %.2g", g->path, n_near, n,
            most);
    free_results(g, held);
}

static void check_numbers(const struct golden *g)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_result *exact[2 * PROMPTS_MAX];
    o.model = g->path;
    o.weights = "f32";
    o.threads = 2;
    run(g, &o, exact);
    check_against_golden(g, exact);
    if (!strstr(g->path, "alibi"))
        check_int8_cache(g, o, exact);
    free_results(g, exact);
}

XT_TEST(every_golden_checkpoint_gives_the_reference_s_numbers_and_near_ones_from_an_int8_cache)
{
    for_each_case(check_numbers);
}

static int open_small(void *arg, struct mu_err *e)
{
    mu_engine *eng = NULL;
    int rc = mu_engine_open(&eng, arg, e);
    mu_engine_close(eng);
    return rc;
}

XT_TEST(opening_a_checkpoint_survives_every_failed_allocation)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    char *names[CASES_MAX];
    int n = list_cases(names);
    for (int i = 0; i < n; i++)
        mu_free(names[i]);
    if (XT_TSAN)
        xt_skip("one thread has no races");
    o.model = GOLDEN "/deepseek_v2_lite";
    o.threads = 1;
    o.rows_max = 4;
    xt_each_alloc_fails(open_small, &o);
}

XT_TEST(options_that_name_nothing_are_refused)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUSAGE, "no model is named");
    o.model = "http://127.0.0.1/v1";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUNSUPPORTED, "from files only");
    o.model = GOLDEN "/nowhere";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_ENOENT, "nowhere");
    o.model = GOLDEN "/llama2";
    o.weights = "f17";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUSAGE, "f17");
    o.weights = NULL;
    o.kv_dtype = "int7";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUSAGE, "KV cache type \"int7\"");
    o.kv_dtype = "int8";
    o.model = GOLDEN "/falcon_alibi";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUNSUPPORTED, "int8 KV cache with ALiBi");
    o.model = GOLDEN "/llama2";
    o.kv_dtype = NULL;
    o.mla = "magic";
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUSAGE, "latent attention \"magic\"");
    o.mla = NULL;
    o.memory_bytes_max = 9 << 20;
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_ENOMEM, "are allowed (the limit given)");
    XT_CHECK(eng == NULL);
}

XT_TEST(every_golden_checkpoint_gives_the_same_bits_in_every_batch)
{
    for_each_case(check_bits);
}
