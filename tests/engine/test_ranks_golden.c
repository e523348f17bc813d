/* test_ranks_golden.c - golden checkpoints over many fake ranks: tensor, pipeline, data, expert and their products
 *
 * The same requests (scored, rolling, generated greedily and by draw, streamed, cancelled) through mu_engine_open() on
 * rank 0 and mu_engine_follow() on the others must give what one rank gives, bit for bit. */
#include "xt.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/ranks.h"
#include <muster/engine.h>

#define GOLDEN    "tests/golden/"
#define IDS_MAX   1024
#define N         14
#define RANKS_MAX 32

struct asked {
    struct mu_request r[N];
    int32_t ids[IDS_MAX];
};

struct told {
    struct mu_result *r[N];
    struct mu_engine_info info;
    char layout[64], hash[MU_WEIGHTS_HASH_DIGITS + 1];
    int n_streamed, n_last;
    uint64_t peak[RANKS_MAX];
    struct mu_engine_balance balance;
};

/* The checkpoint's first golden prompt. */
static int read_prompt(const char *dir, int32_t *ids)
{
    struct mu_err err = MU_ERR_INIT;
    char file[600];
    json_t *tree = NULL;
    snprintf(file, sizeof file, "%s/golden.json", dir);
    XT_OK(mu_json_load(&tree, file, &err));
    const json_t *a = json_object_get(json_array_get(json_object_get(tree, "prompts"), 0), "ids");
    int n = (int)MU_MIN(json_array_size(a), (size_t)IDS_MAX);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(a, (size_t)i));
    json_decref(tree);
    return n;
}

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct told *t = arg;
    t->n_streamed += !ev->is_last;
    t->n_last += ev->is_last;
    return 0;
}

/* Over the first n of a->ids. */
static void fill_requests(struct asked *a, int n)
{
    int half = MU_MAX(1, n / 2);
    for (int i = 0; i < N; i++) {
        struct mu_request *r = &a->r[i];
        *r = (struct mu_request)MU_REQUEST_INIT;
        r->ids = a->ids;
        r->n_ids = half - i % 2;
        r->n_top = i % 3;
        if (i < 5) {
            r->continuation = a->ids + half;
            r->n_continuation = MU_MIN(1 + i, n - half);
        } else if (i < 8) {
            r->kind = MU_REQUEST_ROLLING;
            r->n_ids = MU_MAX(2, n - (i - 5) * 3);
        } else {
            r->kind = MU_REQUEST_GENERATE;
            r->max_tokens = 3 + i;
            r->ignore_eos = true;
            r->want_prompt_logprobs = i == 9;
            r->sampling.temperature = i < 11 ? 0 : 0.9;
            r->sampling.top_p = i == 12 ? 0.8 : 1;
            r->sampling.seed = (uint64_t)i;
        }
        if (r->n_ids < 1)
            r->n_ids = 1;
    }
}

static void make_requests(struct asked *a, const char *dir)
{
    fill_requests(a, read_prompt(dir, a->ids));
}

static struct mu_engine_opts opts_of(const char *dir, struct mu_comm *world, const char *layout)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    o.model = dir;
    o.threads = 1;
    o.sequences_max = 8;
    o.rows_max = 96;
    o.kv_tokens_max = 2048;
    o.world = world;
    o.layout = layout;
    return o;
}

static int run_all(mu_engine *eng, struct asked *a, struct told *t, struct mu_err *e)
{
    struct mu_request r[N];
    memcpy(r, a->r, sizeof r);
    r[N - 1].on_token = on_token;
    r[N - 1].on_token_arg = t;
    MU_TRY_RETURN(mu_engine_run(eng, r, N, t->r, e));
    mu_engine_info(eng, &t->info);
    snprintf(t->layout, sizeof t->layout, "%s", t->info.layout);
    snprintf(t->hash, sizeof t->hash, "%s", t->info.weights_hash);
    return t->info.ranks > 1 ? mu_engine_peaks(eng, t->peak, e) : MU_OK;
}

static void run_one(const char *dir, struct asked *a, struct told *t)
{
    struct mu_engine_opts o = opts_of(dir, NULL, NULL);
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    *t = (struct told){.n_streamed = 0};
    XT_OK(mu_engine_open(&eng, &o, &err));
    XT_OK(run_all(eng, a, t, &err));
    mu_engine_close(eng);
}

struct job {
    const char *dir, *layout;
    struct asked *asked;
    struct told *told;
    int *rc; /* [ranks] what each came to, and why */
    struct mu_err *errs;
    int redundant;              /* copies of experts, */
    const char *loads, *counts; /* the file they are placed by, that to write */
};

/* Twice: what was told once is not counted again. */
static int write_counts(mu_engine *eng, struct job *j, struct mu_err *e)
{
    MU_TRY_RETURN(mu_engine_write_expert_loads(eng, j->counts, e));
    MU_TRY_RETURN(mu_engine_expert_balance(eng, &j->told->balance, e));
    return mu_engine_write_expert_loads(eng, j->counts, e);
}

static int play_rank(struct job *j, struct mu_comm *world, struct mu_err *e)
{
    struct mu_engine_opts o = opts_of(j->dir, world, mu_comm_rank(world) == 0 ? j->layout : "nonsense");
    mu_engine *eng = NULL;
    if (mu_comm_rank(world) > 0)
        return mu_engine_follow(&o, e);
    o.redundant_experts = j->redundant;
    o.expert_loads = j->loads;
    o.no_prefix_sharing = j->counts != NULL; /* so that the same rows are computed */
    MU_TRY_RETURN(mu_engine_open(&eng, &o, e));
    int rc = run_all(eng, j->asked, j->told, e);
    if (rc == MU_OK && j->counts)
        rc = write_counts(eng, j, e);
    mu_engine_close(eng);
    return rc;
}

/* A rank that ends because all agreed to is no lost one. */
static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct job *j = arg;
    int rank = mu_comm_rank(world);
    (void)e;
    j->errs[rank] = (struct mu_err)MU_ERR_INIT;
    j->rc[rank] = play_rank(j, world, &j->errs[rank]);
    return MU_OK;
}

static void run_job(struct job *j, int ranks, int ranks_per_node)
{
    struct mu_fake_opts_comm o = {.comm = {.timeout_ns = 60000000000ll}, .ranks_per_node = ranks_per_node};
    run_ranks(ranks, &o, on_rank, j);
}

static void check_logprobs(const char *what, int i, const struct mu_logprobs *a, const struct mu_logprobs *b)
{
    size_t n = (size_t)a->n;
    XT_CHECKF(a->n == b->n && a->n_top == b->n_top, "%s, request %d: another length", what, i);
    XT_CHECKF(memcmp(a->ids, b->ids, n * sizeof *a->ids) == 0, "%s, request %d: other tokens", what, i);
    XT_CHECKF(memcmp(a->logprob, b->logprob, n * sizeof *a->logprob) == 0, "%s, request %d: other log-probs", what, i);
    XT_CHECKF(memcmp(a->is_greedy, b->is_greedy, n) == 0, "%s, request %d: other greedy marks", what, i);
    for (size_t k = 0; k < n * (size_t)a->n_top; k++)
        XT_CHECKF(a->top[k].id == b->top[k].id && a->top[k].logprob == b->top[k].logprob, "%s, request %d: other top",
                  what, i);
}

static void check_told(const char *what, const struct told *one, const struct told *many)
{
    XT_CHECKF(strcmp(one->hash, many->hash) == 0, "%s: another hash of the weights", what);
    XT_CHECKF(many->n_streamed == one->n_streamed && many->n_last == 1, "%s: %d tokens streamed", what,
              many->n_streamed);
    for (int i = 0; i < N; i++) {
        const struct mu_result *a = one->r[i], *b = many->r[i];
        XT_CHECKF(a->code == b->code && b->code == MU_OK, "%s, request %d: %s", what, i, b->err.text);
        XT_CHECKF(memcmp(&a->logprob_sum, &b->logprob_sum, sizeof a->logprob_sum) == 0 && a->finish == b->finish &&
                      a->is_greedy == b->is_greedy,
                  "%s, request %d: another result", what, i);
        check_logprobs(what, i, &a->tokens, &b->tokens);
        check_logprobs(what, i, &a->prompt, &b->prompt);
    }
}

static void free_told(struct told *t)
{
    for (int i = 0; i < N; i++)
        mu_result_free(t->r[i]);
}

struct split {
    const char *layout;
    int ranks, ranks_per_node;
};

/* Whether the layout can be for this model; then it gives what one rank gave. */
static bool check_layout(const char *dir, const struct split *split, struct asked *asked, const struct told *one)
{
    static struct told many;
    static struct mu_err errs[RANKS_MAX];
    int rc[RANKS_MAX];
    char what[640];
    struct job j = {dir, split->layout, asked, &many, rc, errs, 0, NULL, NULL};
    snprintf(what, sizeof what, "%s %s", dir, split->layout);
    many = (struct told){.n_streamed = 0};
    run_job(&j, split->ranks, split->ranks_per_node);
    if (rc[0] == MU_EINVAL && strstr(errs[0].text, "cannot be"))
        return false;
    for (int r = 0; r < split->ranks; r++)
        XT_CHECKF(rc[r] == MU_OK, "%s, rank %d: %s", what, r, errs[r].text);
    check_told(what, one, &many);
    XT_CHECK(strcmp(many.info.engine, "distributed") == 0);
    XT_EQ(many.info.ranks, split->ranks);
    for (int r = 0; r < split->ranks; r++)
        XT_CHECKF(many.peak[r] > 0, "%s: rank %d tells no peak", what, r);
    free_told(&many);
    return true;
}

/* Every stride-th layout from the first one on; how many could be. */
static int check_layouts(const char *name, const struct split *splits, size_t n, size_t first, size_t stride)
{
    static struct asked asked;
    static struct told one;
    char dir[512];
    int n_run = 0;
    snprintf(dir, sizeof dir, GOLDEN "%s", name);
    make_requests(&asked, dir);
    run_one(dir, &asked, &one);
    for (size_t i = first; i < n; i += stride)
        n_run += check_layout(dir, &splits[i], &asked, &one);
    free_told(&one);
    return n_run;
}

static const struct split dense[] = {
    {"tp=2", 2, 0},
    {"tp=3", 3, 0},
    {"tp=4", 4, 2},
    {"tp=6", 6, 0},
    {"tp=8", 8, 0},
    {"pp=2", 2, 0},
    {"pp=3", 3, 0},
    {"pp=4", 4, 0},
    {"dp=2", 2, 0},
    {"dp=3", 3, 1},
    {"auto", 2, 0},
    {"tp=2,pp=2", 4, 0},
    {"tp=3,pp=2", 6, 0},
    {"tp=2,dp=2", 4, 2},
    {"tp=3,dp=2", 6, 0},
    {"pp=2,dp=2", 4, 0},
    {"pp=2,dp=3", 6, 3},
    {"tp=2,pp=2,dp=2", 8, 4},
    {"tp=3,pp=2,dp=2", 12, 6},
    {"tp=2,dp=3", 6, 0},
    {"tp=4,dp=2", 8, 0},
    {"tp=2,pp=3", 6, 0},
    {"tp=3,pp=3", 9, 0},
    {"pp=3,dp=2", 6, 0},
    {"tp=6,pp=2", 12, 0},
    {"tp=2,cp=2", 2, 0},
    {"tp=3,cp=3", 3, 0},
    {"tp=4,cp=2", 4, 2},
    {"tp=4,cp=4", 4, 0},
    {"tp=4,cp=2,pp=2", 8, 0},
    {"tp=8,cp=4", 8, 0},
    {"tp=2,cp=2,dp=2", 4, 0},
};

static const struct split expert[] = {
    {"tp=2,ep=2", 2, 0},           {"dp=2,ep=2", 2, 0},           {"dp=4,ep=4", 4, 2},      {"dp=8,ep=8", 8, 0},
    {"tp=2,dp=2,ep=4", 4, 0},      {"pp=2,dp=2,ep=2", 4, 0},      {"dp=4,ep=2", 4, 0},      {"pp=2,tp=2,ep=2", 4, 0},
    {"tp=2,pp=2,dp=2,ep=4", 8, 4}, {"pp=2,dp=4,ep=2", 8, 0},      {"tp=2,dp=4,ep=4", 8, 0}, {"tp=3,dp=2,ep=3", 6, 0},
    {"pp=3,dp=2,ep=2", 6, 0},      {"tp=3,ep=3", 3, 0},           {"pp=2,dp=4,ep=4", 8, 0}, {"tp=3,dp=1,ep=3", 3, 0},
    {"tp=2,cp=2,ep=2", 2, 0},      {"tp=2,cp=2,dp=2,ep=4", 4, 0},
};

static bool has_experts(const char *name)
{
    return strstr(name, "mixtral") || strstr(name, "deepseek");
}

/* MUSTER_LONG in the environment: every layout of every checkpoint; else each checkpoint takes its turn at some, under
 * ASan at half as many, which leaves each layout to at least two. */
XT_TEST(every_checkpoint_gives_the_same_bits_on_every_layout_that_can_be)
{
    bool is_long = getenv("MUSTER_LONG") != NULL;
    DIR *d = opendir(GOLDEN);
    size_t i = 0;
    int n_run = 0, n_models = 0;
    char file[600];
    XT_CHECK(d);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        snprintf(file, sizeof file, GOLDEN "%s/golden.json", f->d_name);
        if (access(file, R_OK) != 0)
            continue;
        n_models++;
        size_t turns = is_long ? 1 : XT_ASAN ? 18 : 9;
        n_run += check_layouts(f->d_name, dense, MU_COUNT(dense), i % turns, turns * (is_long ? 1 : XT_STRIDE));
        if (has_experts(f->d_name))
            n_run +=
                check_layouts(f->d_name, expert, MU_COUNT(expert), is_long ? 0 : i % 5, is_long ? 1 : 5 * XT_STRIDE);
        i++;
    }
    closedir(d);
    xt_note("%d checkpoints, %d runs", n_models, n_run);
    XT_CHECK(n_models > 20 && n_run > n_models / XT_STRIDE);
}

XT_TEST(dense_models_give_the_same_bits_on_every_layout)
{
    int n = check_layouts("qwen3", dense, MU_COUNT(dense), 0, XT_STRIDE);
    XT_CHECKF(n >= 16 / XT_STRIDE, "%d layouts could be", n);
}

XT_TEST(models_with_experts_give_the_same_bits_on_every_layout)
{
    int n = check_layouts("mixtral", expert, MU_COUNT(expert), 0, XT_STRIDE);
    XT_CHECKF(n >= 11 / XT_STRIDE, "%d layouts could be", n);
}

/* Goldens lie in the first strands of keys; these texts use them all (tensor/ops.h). */
XT_TEST(long_texts_over_ranks_that_share_a_cache)
{
    static const char *const dirs[] = {"models/muster-dsv3-tiny", GOLDEN "codellama", GOLDEN "falcon_40b"};
    static const struct split splits[] = {
        {"tp=2,cp=2", 2, 0}, {"tp=4,cp=4", 4, 0}, {"tp=3,cp=3", 3, 0}, {"tp=4,cp=2,pp=2", 8, 0}, {"tp=8,cp=8", 8, 0}};
    static struct asked asked;
    static struct told one;
    for (size_t i = 0; i < MU_COUNT(dirs); i++) {
        for (int k = 0; k < IDS_MAX; k++)
            asked.ids[k] = 5 + (k * k + 31 * k) % 90;
        fill_requests(&asked, 560);
        for (int k = 0; k < N; k++) { /* nearly all of the text, but for a short request */
            if (asked.r[k].kind == MU_REQUEST_GENERATE && k != 10)
                asked.r[k].n_ids += 250;
        }
        run_one(dirs[i], &asked, &one);
        for (size_t k = 0; k < (i == 0 ? 2 : MU_COUNT(splits)); k++)
            XT_CHECK(!xt_takes(i + 2, k) || check_layout(dirs[i], &splits[k], &asked, &one));
        free_told(&one);
    }
}

/* ---- experts placed by load ---- */

/* Rows by layer and expert, as the file has them; how many numbers. */
static int read_counts(const char *path, int64_t *rows)
{
    struct mu_err err = MU_ERR_INIT;
    const json_t *layer, *one;
    json_t *tree;
    size_t i, k;
    int n = 0;
    XT_OK(mu_json_load(&tree, path, &err));
    json_array_foreach(json_object_get(tree, "layers"), i, layer)
    {
        json_array_foreach(json_object_get(layer, "rows"), k, one)
        {
            rows[n++] = json_integer_value(one);
        }
    }
    json_decref(tree);
    return n;
}

/* The same work on every layout: the same rows are counted, whatever lanes, stages and copies there are. */
static void check_counts(const char *what, const char *path, const char *other)
{
    int64_t a[256], b[256], sum = 0;
    int n = read_counts(path, a);
    XT_CHECKF(n > 0 && n == read_counts(other, b), "%s: %d counts", what, n);
    for (int i = 0; i < n; i++) {
        XT_CHECKF(a[i] == b[i], "%s: count %d is %lld, not %lld", what, i, (long long)b[i], (long long)a[i]);
        sum += a[i];
    }
    XT_CHECK(sum > 0);
}

static void run_placed(const char *name, const struct split *splits, size_t n)
{
    static struct asked asked;
    static struct told one, many;
    static struct mu_err errs[RANKS_MAX];
    char dir[512], loads[600], counts[600], what[600];
    struct mu_err err = MU_ERR_INIT;
    int rc[RANKS_MAX];

    snprintf(dir, sizeof dir, GOLDEN "%s", name);
    snprintf(loads, sizeof loads, "%s/loads.json", xt_tmpdir());
    snprintf(counts, sizeof counts, "%s/counts.json", xt_tmpdir());
    make_requests(&asked, dir);
    struct mu_engine_opts o = opts_of(dir, NULL, NULL);
    o.no_prefix_sharing = true;
    mu_engine *eng = NULL;
    one = (struct told){.n_streamed = 0};
    XT_OK(mu_engine_open(&eng, &o, &err));
    XT_OK(run_all(eng, &asked, &one, &err));
    XT_OK(mu_engine_write_expert_loads(eng, loads, &err));
    mu_engine_close(eng);
    for (size_t i = 0; i < n; i += XT_STRIDE) {
        snprintf(what, sizeof what, "%s %s, experts placed", name, splits[i].layout);
        many = (struct told){.n_streamed = 0};
        struct job j = {dir, splits[i].layout, &asked, &many, rc, errs, splits[i].ranks_per_node, loads, counts};
        run_job(&j, splits[i].ranks, 0);
        for (int r = 0; r < splits[i].ranks; r++)
            XT_CHECKF(rc[r] == MU_OK, "%s, rank %d: %s", what, r, errs[r].text);
        check_told(what, &one, &many);
        XT_CHECKF(many.balance.mean >= 1 && many.balance.worst >= many.balance.mean && many.balance.worst_layer >= 0,
                  "%s: balance %g, %g", what, many.balance.mean, many.balance.worst);
        check_counts(what, loads, counts);
        free_told(&many);
    }
    free_told(&one);
}

/* In place of ranks a node: copies beyond one of each of 5 and of 8 experts. */
XT_TEST(placed_experts_give_the_same_bits_and_counts)
{
    static const struct split five[] = {{"tp=2,ep=2", 2, 1}, {"dp=2,ep=2", 2, 5},      {"tp=2,dp=2,ep=4", 4, 3},
                                        {"dp=4,ep=4", 4, 7}, {"pp=2,tp=2,ep=2", 4, 3}, {"pp=2,dp=2,ep=2", 4, 1}};
    static const struct split eight[] = {{"tp=2,ep=2", 2, 0},      {"dp=4,ep=4", 4, 4},      {"dp=8,ep=8", 8, 8},
                                         {"tp=2,dp=2,ep=4", 4, 0}, {"pp=2,tp=2,ep=2", 4, 2}, {"tp=3,ep=3", 3, 1}};
    run_placed("mixtral", five, MU_COUNT(five));
    run_placed("deepseek_v3", eight, MU_COUNT(eight));
}

/* ---- what is refused ---- */

static void check_refused(const char *name, const char *layout, int ranks, int code, const char *part)
{
    static struct asked asked;
    static struct told told;
    static struct mu_err errs[RANKS_MAX];
    char dir[512];
    int rc[RANKS_MAX];
    struct job j = {dir, layout, &asked, &told, rc, errs, 0, NULL, NULL};
    snprintf(dir, sizeof dir, GOLDEN "%s", name);
    run_job(&j, ranks, 0);
    XT_CHECKF(rc[0] == code && strstr(errs[0].text, part), "%s: %d, %s", layout, rc[0], errs[0].text);
    for (int r = 1; r < ranks; r++)
        XT_CHECKF(rc[r] == code && errs[r].text[0] == '\0', "%s, rank %d: %d, %s", layout, r, rc[r], errs[r].text);
}

XT_TEST(what_cannot_be_is_refused_by_all_ranks_and_told_by_one)
{
    check_refused("qwen3", "tp=2", 3, MU_EUSAGE, "3");
    check_refused("qwen3", "tp=2,zz=3", 2, MU_EUSAGE, "zz");
    check_refused("qwen3", "pp=4", 4, MU_EINVAL, "pp=4");
    check_refused("none_such", "tp=2", 2, MU_ENOENT, "none_such");
}

static void check_placing_refused(const char *name, const char *loads, int redundant, int code, const char *part)
{
    static struct asked asked;
    static struct told told;
    static struct mu_err errs[RANKS_MAX];
    char dir[512];
    int rc[RANKS_MAX];
    struct job j = {dir, "tp=2,ep=2", &asked, &told, rc, errs, redundant, loads, NULL};
    snprintf(dir, sizeof dir, GOLDEN "%s", name);
    run_job(&j, 2, 0);
    XT_CHECKF(rc[0] == code && strstr(errs[0].text, part), "%d, %s", rc[0], errs[0].text);
    XT_CHECKF(rc[1] == code && errs[1].text[0] == '\0', "rank 1: %d, %s", rc[1], errs[1].text);
}

XT_TEST(places_that_cannot_be_are_refused_by_all_ranks)
{
    struct mu_engine_opts o = opts_of(GOLDEN "mixtral", NULL, NULL);
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng;
    char path[600];
    check_placing_refused("mixtral", NULL, 2, MU_EUSAGE, "over 2 ranks: take 1 or 3");
    check_placing_refused("mixtral", NULL, 7, MU_EUSAGE, "at most 5");
    check_placing_refused("mixtral", "/no/such/loads.json", 1, MU_ENOENT, "/no/such/loads.json");
    snprintf(path, sizeof path, GOLDEN "mixtral/config.json");
    check_placing_refused("mixtral", path, 1, MU_EFORMAT, "muster");
    o.redundant_experts = 1;
    XT_FAILS(mu_engine_open(&eng, &o, &err), MU_EUNSUPPORTED, "redundant ones are for several ranks");
}
