/* golden.c - every case of tests/golden: logits and greedy continuation of transformers, by every way to run them */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig.h"

#define ROOT     "tests/golden"
#define N_GREEDY 64

struct prompt {
    int32_t *ids, *greedy;
    int n, n_greedy;
    const json_t *rows, *logits;
    bool is_by_length;
};

static void prompt_open(struct prompt *p, const json_t *v)
{
    const json_t *no_cache = json_object_get(v, "greedy_no_cache");
    p->ids = rig_ids(json_object_get(v, "ids"), &p->n);
    p->is_by_length = no_cache != NULL;
    p->greedy = rig_ids(no_cache ? no_cache : json_object_get(v, "greedy"), &p->n_greedy);
    p->rows = json_object_get(v, "logits_rows");
    p->logits = json_object_get(v, "logits");
}

static void prompt_close(struct prompt *p)
{
    mu_free(p->ids);
    mu_free(p->greedy);
}

/* Within 1e-4 of the largest logit, as the issue asks; tests/golden/README.md says why not looser. */
static void compare_logits(struct rig *r, const struct prompt *p, const char *name)
{
    double worst = 0, largest = 0;
    size_t i, j;
    json_t *row, *v;

    json_array_foreach(p->logits, i, row)
    {
        const float *is = rig_logits(r, (int)json_integer_value(json_array_get(p->rows, i)));
        json_array_foreach(row, j, v)
        {
            double want = json_number_value(v);
            largest = fmax(largest, fabs(want));
            worst = fmax(worst, fabs(is[j] - want));
        }
    }
    XT_CHECKF(worst <= 1e-4 * fmin(largest, 1) || worst <= 1e-4 * largest, "%s: logits are off by %g of %g", name,
              worst, largest);
    xt_note("%s: off by %.2g, largest logit %.3g", name, worst, largest);
}

/* A rotary scaling by length is compared with transformers recomputing the whole text at each step. */
static void compare_greedy(struct rig *r, const struct prompt *p, const char *name)
{
    int32_t ids[1024], length;
    memcpy(ids, p->ids, (size_t)p->n * sizeof *ids);
    mu_model_set_lengths(r->m, &length);
    length = p->n + p->n_greedy;
    if (!p->is_by_length)
        rig_feed(r, 0, 0, ids, p->n);
    int next = p->is_by_length ? 0 : rig_argmax(r, rig_logits(r, p->n - 1));
    for (int i = 0; i < p->n_greedy; i++) {
        int n = p->n + i;
        if (p->is_by_length) {
            length = n;
            rig_feed(r, 0, 0, ids, n);
            next = rig_argmax(r, rig_logits(r, n - 1));
        }
        XT_CHECKF(next == p->greedy[i], "%s: token %d is %d, not %d", name, i, next, p->greedy[i]);
        ids[n] = next;
        if (p->is_by_length)
            continue;
        rig_feed(r, 0, n, &ids[n], 1);
        next = rig_argmax(r, rig_logits(r, 0));
    }
}

/* Feeding the prompt in pieces gives the same bits as at once. */
static void compare_chunks(struct rig *r, const struct prompt *p, const char *name)
{
    static const int sizes[] = {1, 3, 16, 17};
    size_t bytes = (size_t)r->vocab * sizeof(float);
    float *whole = malloc(bytes);
    int32_t length = p->n;

    mu_model_set_lengths(r->m, &length);
    rig_feed(r, 0, 0, p->ids, p->n);
    memcpy(whole, rig_logits(r, p->n - 1), bytes);
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        int n = 0;
        for (int at = 0; at < p->n; at += n) {
            n = MU_MIN(sizes[i], p->n - at);
            rig_feed(r, 0, at, p->ids + at, n);
        }
        XT_CHECKF(memcmp(whole, rig_logits(r, n - 1), bytes) == 0, "%s: chunks of %d change bits", name, sizes[i]);
    }
    free(whole);
}

/* Two prompts and a one-token sequence in one step, the first cut in two steps: each gives the bits it gives alone. */
static void compare_neighbours(struct rig *r, const struct prompt *a, const struct prompt *b, const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    size_t bytes = (size_t)r->vocab * sizeof(float);
    float *alone = malloc(2 * bytes);
    int cut = a->n / 2, n = 0;
    int32_t ids[512], pos[512], seq[512], lengths[] = {b->n, a->n, 1};

    mu_model_set_lengths(r->m, lengths);
    rig_feed(r, 1, 0, a->ids, a->n);
    memcpy(alone, rig_logits(r, a->n - 1), bytes);
    rig_feed(r, 0, 0, b->ids, b->n);
    memcpy(alone + r->vocab, rig_logits(r, b->n - 1), bytes);

    rig_feed(r, 1, 0, a->ids, cut);
    for (int i = 0; i < b->n; i++, n++)
        ids[n] = b->ids[i], pos[n] = i, seq[n] = 0;
    ids[n] = a->ids[0], pos[n] = 0, seq[n++] = 2;
    for (int i = cut; i < a->n; i++, n++)
        ids[n] = a->ids[i], pos[n] = i, seq[n] = 1;
    struct mu_rows rows = {.n = n, .pos = pos, .seq = seq, .page_table = r->pages, .pages_max = r->pages_max};
    XT_OK(mu_model_step(r->m, ids, &rows, &err));
    XT_CHECKF(memcmp(alone, rig_logits(r, n - 1), bytes) == 0, "%s: neighbours change bits of the first", name);
    XT_CHECKF(memcmp(alone + r->vocab, rig_logits(r, b->n - 1), bytes) == 0, "%s: and of the second", name);
    free(alone);
}

static void run_case(const char *name, enum mu_mla_form mla)
{
    struct mu_err err = MU_ERR_INIT;
    struct rig r;
    struct prompt p[2];
    json_t *golden;
    char dir[512], path[600], label[300];

    snprintf(dir, sizeof dir, ROOT "/%s", name);
    snprintf(path, sizeof path, "%s/golden.json", dir);
    snprintf(label, sizeof label, "%s%s", name, mla == MU_MLA_NAIVE ? " naive" : "");
    XT_OK(mu_json_load(&golden, path, &err));
    rig_open(&r, dir, &(struct rig_opts){.mla = mla, .n_seqs = 3});
    for (size_t i = 0; i < 2; i++) {
        prompt_open(&p[i], json_array_get(json_object_get(golden, "prompts"), i));
        int32_t length = p[i].n;
        mu_model_set_lengths(r.m, &length);
        rig_feed(&r, 0, 0, p[i].ids, p[i].n);
        compare_logits(&r, &p[i], label);
        compare_chunks(&r, &p[i], label);
        compare_greedy(&r, &p[i], label);
    }
    compare_neighbours(&r, &p[0], &p[1], label);
    prompt_close(&p[0]);
    prompt_close(&p[1]);
    json_decref(golden);
    rig_close(&r);
}

/* Cases whose name begins with the family's. */
static void run_family(const char *prefix, bool both_forms)
{
    struct dirent **list;
    int n = scandir(ROOT, &list, NULL, alphasort), n_run = 0;
    char names[64][256];

    if (n < 0)
        xt_skip("no " ROOT " beside the working directory");
    for (int i = 0; i < n; i++) {
        char path[700];
        snprintf(path, sizeof path, ROOT "/%s/golden.json", list[i]->d_name);
        FILE *f = fopen(path, "r");
        if (f && strncmp(list[i]->d_name, prefix, strlen(prefix)) == 0 && n_run < 64)
            snprintf(names[n_run++], sizeof names[0], "%s", list[i]->d_name);
        if (f)
            fclose(f);
        free(list[i]);
    }
    free(list);
    XT_CHECKF(n_run > 0, "no case named %s", prefix);
    for (int i = 0; i < n_run; i++) {
        run_case(names[i], MU_MLA_ABSORBED);
        if (both_forms)
            run_case(names[i], MU_MLA_NAIVE);
    }
}

XT_TEST(llama)
{
    run_family("llama", false);
}
XT_TEST(codellama)
{
    run_family("codellama", false);
}
XT_TEST(alia)
{
    run_family("alia", false);
}
XT_TEST(mistral)
{
    run_family("mistral", false);
}
XT_TEST(qwen)
{
    run_family("qwen", false);
}
XT_TEST(gpt2)
{
    run_family("gpt", false);
}
XT_TEST(falcon)
{
    run_family("falcon", false);
}
XT_TEST(mixtral)
{
    run_family("mixtral", false);
}
XT_TEST(deepseek)
{
    run_family("deepseek", true);
}

XT_MAIN()
