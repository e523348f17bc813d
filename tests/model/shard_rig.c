/* shard_rig.c - see shard_rig.h */
#include "shard_rig.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake.h"

#define STEPS    6
#define ROWS_MAX (SHARD_ROWS * SHARD_LENGTH_MAX)

static const int chunks[][STEPS] = {{7, 5, 1, 1, 6, 1}, {3, 0, 8, 1, 1, 8}, {0, 0, 21, 0, 0, 0}, {1, 1, 1, 1, 1, 16}};

const char *const shard_sparse[] = {"mixtral",     "mixtral_window_v5", "deepseek_v2",     "deepseek_v2_lite",
                                    "deepseek_v3", "deepseek_v3_fp8",   "deepseek_v3_mtp", "deepseek_v3_v5"};

const struct shard_plan shard_lanes[] = {{.tp = 1, .pp = 1, .lanes = 1, .ends = {-1}},
                                         {.tp = 1, .pp = 1, .lanes = 2, .ends = {-1}},
                                         {.tp = 1, .pp = 1, .lanes = 4, .ends = {-1}},
                                         {.tp = 1, .pp = 1, .lanes = 8, .ends = {-1}},
                                         {.tp = 1, .pp = 1, .lanes = 3, .ends = {-1}}};

struct shard_case shard_golden(const char *name)
{
    static char path[4][128];
    static int at;
    char *p = path[at++ % 4];
    snprintf(p, sizeof path[0], "tests/golden/%s", name);
    return (struct shard_case){.dir = p};
}

static int rows_of(const struct shard_case *c)
{
    return SHARD_ROWS * MU_MAX(c->length, 1);
}

static int32_t token(int lane, int i)
{
    return (5 + 31 * lane + 17 * i) % 96;
}

/* ---- one part ---- */

static int read_spec(struct mu_spec *s, const char *dir, struct mu_err *e)
{
    struct mu_weights *w = NULL;
    char path[512];
    json_t *config = NULL;
    int rc = MU_OK;

    if (strstr(dir, ".gguf")) {
        MU_TRY(mu_weights_open(&w, dir, MU_READ_DIRECT, e));
        MU_TRY(mu_spec_from_gguf(s, w, dir, e));
    } else {
        snprintf(path, sizeof path, "%s/config.json", dir);
        MU_TRY(mu_json_load(&config, path, e));
        MU_TRY(mu_spec_from_config(s, config, path, e));
    }
out:
    mu_weights_close(w);
    json_decref(config);
    return rc;
}

/* Every rank that shares a cache has room for its own pages of the sequence, the last of them first. */
static int part_pages(struct shard_part *p, int n, struct mu_err *e)
{
    int cp = p->sizes.kv_owners, held = (int)(mu_shard_pages_for(cp, n) / cp), used[MU_ATTN_STRANDS] = {0};
    MU_TRY_RETURN(p->d->dev->alloc(p->d, &p->kv, (size_t)held * p->sizes.kv_page, "pages", e));
    for (int i = 0; i < n; i++) {
        int owner = mu_shard_page_owner(cp, i);
        p->pages[i] = (held - 1 - used[owner]++) * cp + owner;
    }
    mu_model_set_kv(p->m, p->kv, held);
    return MU_OK;
}

static int part_open(struct shard_part *p, const struct shard_case *c, const struct mu_shard *sh,
                     mu_progress_fn progress, void *arg, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 1};
    struct mu_model_opts o = {.format = c->format,
                              .kv_dtype = c->kv_dtype ? c->kv_dtype : MU_F32,
                              .mla = c->mla,
                              .context_max = rows_of(c) + 11,
                              .rows_max = rows_of(c),
                              .logit_rows_max = rows_of(c),
                              .shard = sh,
                              .slice_rows = p->slice_rows};

    MU_TRY_RETURN(mu_device_open_cpu(&p->d, &cpu, e));
    MU_TRY_RETURN(mu_weights_open(&p->w, c->dir, MU_READ_DIRECT, e));
    MU_TRY_RETURN(mu_model_sizes(&p->spec, &o, p->d, &p->sizes, e));
    MU_TRY_RETURN(mu_model_load(&p->m, &p->spec, &o, p->w, p->d, progress, arg, e));
    return part_pages(p, (rows_of(c) + MU_KV_PAGE - 1) / MU_KV_PAGE, e);
}

static void part_close(struct shard_part *p)
{
    mu_model_free(p->m);
    if (p->d)
        p->d->dev->free(p->d, p->kv);
    mu_weights_close(p->w);
    mu_device_close(p->d);
    mu_spec_fini(&p->spec);
}

static int part_step(struct shard_part *p, int lane, int first, int n, int at, struct mu_err *e)
{
    int32_t ids[ROWS_MAX], pos[ROWS_MAX], seq[ROWS_MAX] = {0};
    for (int i = 0; i < n; i++) {
        ids[i] = token(lane, first + i);
        pos[i] = first + i;
    }
    struct mu_rows rows = {.n = n, .pos = pos, .seq = seq, .page_table = p->pages, .pages_max = SHARD_PAGES_MAX};
    return mu_model_step_at(p->m, ids, &rows, at, e);
}

static int part_logits(struct shard_part *p, int n, const float **logits, struct mu_err *e)
{
    int32_t idx[ROWS_MAX];
    for (int i = 0; i < n; i++)
        idx[i] = i;
    return mu_model_logits(p->m, idx, n, logits, e);
}

int shard_open(struct shard_rank *k, mu_progress_fn progress, struct mu_err *e)
{
    k->part.slice_rows = k->p->slice_rows;
    return part_open(&k->part, k->c, &k->sh, progress, k, e);
}

int shard_step(struct shard_rank *k, int first, int n, int at, struct mu_err *e)
{
    return part_step(&k->part, k->sh.lane, first, n, at, e);
}

int shard_logits(struct shard_rank *k, int n, const float **logits, struct mu_err *e)
{
    return part_logits(&k->part, n, logits, e);
}

/* ---- one rank ---- */

void shard_want(struct shard_want *w, const struct shard_case *c, int lanes)
{
    struct mu_err err = MU_ERR_INIT;
    struct shard_part p = {.spec = MU_SPEC_INIT};
    const float *logits;

    *w = (struct shard_want){.c = *c, .lanes = lanes, .rows = rows_of(c)};
    XT_OK(read_spec(&p.spec, c->dir, &err));
    w->hidden = p.spec.hidden;
    w->vocab = p.spec.vocab;
    w->experts = mu_experts_most(&p.spec);
    XT_OK(part_open(&p, c, NULL, NULL, NULL, &err));
    XT_OK(MU_NEW_ARRAY(&w->x, lanes * w->rows * w->hidden, "hidden rows", &err));
    XT_OK(MU_NEW_ARRAY(&w->logits, lanes * w->rows * w->vocab, "logits", &err));
    memcpy(w->content_hash, mu_model_content_hash(p.m), sizeof w->content_hash);
    w->bytes_read = mu_weights_bytes_read(p.w);
    for (int i = 0; i < lanes; i++) {
        int64_t nx = w->rows * w->hidden, nl = w->rows * w->vocab;
        XT_OK(part_step(&p, i, 0, w->rows, 0, &err));
        memcpy(w->x + i * nx, mu_model_hidden(p.m), (size_t)nx * sizeof(float));
        XT_OK(part_logits(&p, w->rows, &logits, &err));
        memcpy(w->logits + i * nl, logits, (size_t)nl * sizeof(float));
    }
    part_close(&p);
}

void shard_want_free(struct shard_want *w)
{
    mu_free(w->x);
    mu_free(w->logits);
}

/* ---- many ranks ---- */

struct world {
    const struct shard_case *c;
    const struct shard_plan *p;
    shard_fn fn;
    void *arg;
};

static int place_experts(struct shard_rank *k, struct mu_err *e)
{
    const struct shard_plan *p = k->p;
    const struct mu_spec *s = &k->part.spec;
    struct mu_expert_loads loads;
    uint64_t seed = 7;
    int rc;

    MU_TRY_RETURN(mu_expert_loads_new(&loads, s, e));
    for (int i = 0; i < s->n_layers * loads.stride; i++) {
        uint64_t x = xt_rand(&seed) % 50;
        loads.rows[i] = p->loads == SHARD_LOADS_ONE ? i % loads.stride == 1 : x < 12 ? 0 : (double)(x * x);
    }
    rc = mu_expert_table_make(&k->placed, s, p->loads ? &loads : NULL, p->redundant, p->lanes * p->tp, e);
    k->sh.placed = k->placed;
    mu_expert_loads_fini(&loads);
    return rc;
}

static int make_shard(struct shard_rank *k, struct mu_err *e)
{
    const struct shard_plan *p = k->p;
    int per_stage = p->lanes * p->tp, in_stage = k->rank % per_stage, n_layers = k->part.spec.n_layers;

    k->stage = k->rank / per_stage;
    int begin = k->stage ? p->ends[k->stage - 1] : 0, end = p->ends[k->stage];
    k->sh = (struct mu_shard){.tp_rank = in_stage % p->tp,
                              .tp_size = p->tp,
                              .cp_size = p->cp,
                              .lane = in_stage / p->tp,
                              .n_lanes = p->lanes,
                              .layer_begin = begin < 0 ? n_layers : begin,
                              .layer_end = end < 0 || k->stage == p->pp - 1 ? n_layers : end,
                              .has_embed = k->stage == 0,
                              .has_head = k->stage == p->pp - 1};
    if (p->redundant > 0 || p->loads)
        MU_TRY_RETURN(place_experts(k, e));
    MU_TRY_RETURN(mu_comm_split(&k->sh.tp, k->world, k->rank / p->tp, k->rank, "tp", e));
    if (p->cp > 1)
        MU_TRY_RETURN(mu_comm_split(&k->sh.context, k->world, k->rank / p->cp, k->rank, "context", e));
    MU_TRY_RETURN(mu_comm_split(&k->sh.experts, k->world, k->stage, k->rank, "experts", e));
    int per_node = p->ranks_per_node ? p->ranks_per_node : mu_comm_size(k->world);
    if (per_node > 1)
        MU_TRY_RETURN(mu_comm_split(&k->sh.node, k->world, k->rank / per_node, k->rank, "node", e));
    if (k->sh.node && mu_comm_size(k->sh.node) == 1) {
        mu_comm_close(k->sh.node);
        k->sh.node = NULL;
    }
    return p->over_nodes ? mu_model_load_over_nodes(&k->sh, k->world, e) : MU_OK;
}

static int run_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    const struct world *w = arg;
    struct shard_rank k = {
        .part.spec = MU_SPEC_INIT, .world = world, .rank = mu_comm_rank(world), .c = w->c, .p = w->p, .arg = w->arg};
    int rc = MU_OK;

    MU_TRY(read_spec(&k.part.spec, w->c->dir, e));
    MU_TRY(make_shard(&k, e));
    MU_TRY(w->fn(&k, e));
out:
    part_close(&k.part);
    mu_expert_table_free(k.placed);
    mu_comm_close(k.sh.column);
    mu_comm_close(k.sh.node);
    mu_comm_close(k.sh.experts);
    mu_comm_close(k.sh.context);
    mu_comm_close(k.sh.tp);
    return rc;
}

int shard_run(const struct shard_case *c, const struct shard_plan *p, shard_fn fn, void *arg, int *rcs,
              struct mu_err *errs)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fake_opts_comm o = {.comm.timeout_ns = 60000000000ll,
                                  .ranks_per_node = p->over_nodes ? p->ranks_per_node : 0};
    struct mu_fake_world *world;
    struct world w = {c, p, fn, arg};

    XT_OK(mu_fake_world_open(&world, p->tp * p->pp * p->lanes, &o, &err));
    int rc = mu_fake_world_run(world, run_rank, &w, rcs, errs);
    mu_fake_world_close(world);
    return rc;
}

/* ---- the comparison ---- */

struct compare {
    const struct shard_want *w;
    atomic_uint_fast64_t bytes_read;
};

static const struct shard_want *want_of(const struct shard_rank *k)
{
    return ((const struct compare *)k->arg)->w;
}

static int same(const char *what, const struct shard_rank *k, int row, const float *got, const float *want,
                int64_t width, int n, struct mu_err *e)
{
    for (int64_t i = 0; i < n * width; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            return mu_fail(e, MU_EINTERNAL, "%s of lane %d, row %" PRId64 ", element %" PRId64 ": %a, not %a", what,
                           k->sh.lane, row + i / width, i % width, (double)got[i], (double)want[i]);
    return MU_OK;
}

static int compare_rows(struct shard_rank *k, int first, int n, int at, struct mu_err *e)
{
    const struct shard_want *w = want_of(k);
    int64_t row = (int64_t)k->sh.lane * w->rows + first;
    const float *logits;

    MU_TRY_RETURN(same("hidden rows", k, first, mu_model_hidden(k->part.m) + at * w->hidden, w->x + row * w->hidden,
                       w->hidden, n, e));
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(shard_logits(k, n, &logits, e));
    if (k->sh.tp_rank > 0)
        return logits ? mu_fail(e, MU_EINTERNAL, "tensor rank %d has logits", k->sh.tp_rank) : MU_OK;
    return same("logits", k, first, logits, w->logits + row * w->vocab, w->vocab, n, e);
}

/* A micro-batch through this rank's stage. */
static int pass(struct shard_rank *k, int first, int n, int at, struct mu_err *e)
{
    int64_t D = want_of(k)->hidden;
    float *x = mu_model_hidden(k->part.m) + at * D;
    size_t bytes = (size_t)(n * D) * sizeof *x;
    int apart = k->p->lanes * k->p->tp; /* ranks between stages */

    if (!k->sh.has_embed)
        MU_TRY_RETURN(mu_comm_recv(k->world, k->rank - apart, 1, x, bytes, e));
    MU_TRY_RETURN(shard_step(k, first, n, at, e));
    if (!k->sh.has_head)
        return mu_comm_send(k->world, k->rank + apart, 1, x, bytes, e);
    return compare_rows(k, first, n, at, e);
}

static int compare_rank(struct shard_rank *k, struct mu_err *e)
{
    struct compare *c = k->arg;
    const int *lens = chunks[(k->sh.lane + (k->p->is_long ? 2 : 0)) % (int)MU_COUNT(chunks)];

    MU_TRY_RETURN(shard_open(k, NULL, e));
    atomic_fetch_add(&c->bytes_read, mu_weights_bytes_read(k->part.w));
    if (strcmp(mu_model_content_hash(k->part.m), c->w->content_hash) != 0)
        return mu_fail(e, MU_EINTERNAL, "content hash %s, not %s", mu_model_content_hash(k->part.m),
                       c->w->content_hash);
    for (int s = 0, first = 0, n; s < STEPS; first += n, s++) {
        n = lens[s] * MU_MAX(k->c->length, 1);
        int half = k->p->pp > 1 ? n / 2 : 0;
        if (k->p->pp > 1)
            MU_TRY_RETURN(pass(k, first, half, 0, e));
        MU_TRY_RETURN(pass(k, first + half, n - half, half, e));
    }
    return MU_OK;
}

/* A rank that found a difference leaves its peers waiting: the world ends. */
static int compare_or_abort(struct shard_rank *k, struct mu_err *e)
{
    int rc = compare_rank(k, e);
    if (rc != MU_OK)
        mu_comm_abort(k->world, e->text);
    return rc;
}

void shard_compare(const struct shard_want *w, const struct shard_plan *p)
{
    struct mu_err errs[SHARD_RANKS_MAX] = {MU_ERR_INIT};
    int n = p->tp * p->pp * p->lanes, rcs[SHARD_RANKS_MAX], which = 0;
    uint64_t nodes = p->ranks_per_node && !p->over_nodes ? (uint64_t)(n / p->ranks_per_node) : 1;
    struct compare c = {.w = w};

    XT_CHECK(n <= SHARD_RANKS_MAX);
    int rc = shard_run(&w->c, p, compare_or_abort, &c, rcs, errs);
    for (int i = 0; rc != MU_OK && i < n; i++)
        if (rcs[i] != MU_OK && rcs[i] != MU_EPEER)
            which = i;
    XT_CHECKF(rc == MU_OK, "%s, %s, tp %d cp %d pp %d lanes %d redundant %d loads %d, rank %d: %s", w->c.dir,
              mu_wformat_name(w->c.format), p->tp, p->cp, p->pp, p->lanes, p->redundant, (int)p->loads, which,
              errs[which].text);
    uint64_t read = atomic_load(&c.bytes_read);
    XT_CHECKF(read == w->bytes_read * nodes, "%s: %d ranks read %" PRIu64 " bytes, one %" PRIu64, w->c.dir, n, read,
              w->bytes_read);
}
