/* test_bits.c - every operator on fixed inputs: the very bits that this numerics version gives (tests/bits.h)
 *
 * That levels, threads and row counts agree is other tests' subject; here all levels are held against the past. The log
 * of log-sum-exp is the C library's, so its f64 is rounded to f32 first: another library's last bit is not ours. */
#include "bits.h"
#include "tensor_test.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"

#define ROWS 19

static struct bits bits;

/* Of n floats; the name is made by the format. */
__attribute__((format(printf, 4, 5))) static void is(struct mu_device *d, const float *y, int64_t n, const char *name,
                                                     ...)
{
    char text[BITS_NAME_MAX];
    va_list ap;
    va_start(ap, name);
    vsnprintf(text, sizeof text, name, ap);
    va_end(ap);
    bits_add(&bits, text, d->ops->level, mu_hash64(y, (size_t)n * sizeof *y, 0));
}

static float *random_of(uint64_t seed, int64_t n, float scale)
{
    return tt_random(&seed, n, scale);
}

static float *room(int64_t n)
{
    return tt_alloc((size_t)n * sizeof(float));
}

/* Short last panels, tiles and groups. */
static void linear(struct mu_device *d)
{
    static const struct {
        int64_t n_out, n_in, tile_k;
    } shapes[] = {{70, 700, 128}, {33, 200, 36}, {16, 2300, 1024}};
    struct mu_err err = MU_ERR_INIT;
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        for (size_t i = 0; i < MU_COUNT(shapes); i++) {
            int64_t out = shapes[i].n_out, in = shapes[i].n_in;
            const float *x = random_of(1, ROWS * in, 2), *w = random_of(2, out * in, 1), *bias = random_of(3, out, 3);
            struct mu_matrix m = tt_matrix((enum mu_wformat)f, out, in, shapes[i].tile_k, w, i ? NULL : bias);
            float *y = room(ROWS * out);
            tt_reserve(d, d->ops->linear_work_bytes(d, m.format, ROWS, in));
            XT_OK(d->ops->linear(d, y, out, x, in, ROWS, &m, &err));
            is(d, y, ROWS * out, "linear.%s.%d", mu_wformat_name(m.format), (int)in);
        }
    }
}

static void embed(struct mu_device *d)
{
    static const int32_t ids[] = {0, 36, 5, 5, 16};
    struct mu_err err = MU_ERR_INIT;
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        struct mu_matrix m = tt_matrix((enum mu_wformat)f, 37, 52, 20, random_of(4, 37 * 52, 1), NULL);
        float *y = room(5 * 52);
        XT_OK(d->ops->embed(d, y, 52, &m, ids, 5, &err));
        is(d, y, 5 * 52, "embed.%s", mu_wformat_name(m.format));
    }
}

static void norms(struct mu_device *d)
{
    enum { D = 331 };
    struct mu_err err = MU_ERR_INIT;
    const float *x = random_of(5, ROWS * D, 4), *w = random_of(6, D, 1), *b = random_of(7, D, 1);
    float *y = room(ROWS * D);
    XT_OK(d->ops->rmsnorm(d, y, D, x, D, w, 0, 1e-6f, ROWS, D, &err));
    is(d, y, ROWS * D, "rmsnorm");
    XT_OK(d->ops->rmsnorm(d, y, D, x, D, w, 1, 1e-6f, ROWS, D, &err));
    is(d, y, ROWS * D, "rmsnorm.zero-centred");
    XT_OK(d->ops->rmsnorm(d, y, D, x, D, NULL, 0, 1e-6f, ROWS, D, &err));
    is(d, y, ROWS * D, "rmsnorm.no-weight");
    XT_OK(d->ops->layernorm(d, y, D, x, D, w, b, 1e-5f, ROWS, D, &err));
    is(d, y, ROWS * D, "layernorm");
    XT_OK(d->ops->layernorm(d, y, D, x, D, w, NULL, 1e-5f, ROWS, D, &err));
    is(d, y, ROWS * D, "layernorm.no-bias");
}

static void rope(struct mu_device *d)
{
    enum { HEADS = 3, STRIDE = 38, ROT = 34, LD = HEADS * STRIDE, POSITIONS = 50 };
    static const char *const names[] = {"rope.half", "rope.interleaved"};
    struct mu_err err = MU_ERR_INIT;
    const float *table = random_of(8, POSITIONS * ROT, 1);
    int32_t pos[ROWS];
    for (int r = 0; r < ROWS; r++)
        pos[r] = r * 7 % POSITIONS;
    for (int style = MU_ROPE_HALF; style <= MU_ROPE_INTERLEAVED; style++) {
        float *x = random_of(9, ROWS * LD, 2);
        XT_OK(d->ops->rope(d, x, LD, STRIDE, HEADS, ROT, (enum mu_rope_style)style, table, pos, ROWS, &err));
        is(d, x, ROWS * LD, "%s", names[style]);
    }
}

/* ---- attention ---- */

#define CONTEXT 1100 /* more tiles than two rounds of the strands */
#define PAGES   (CONTEXT / MU_KV_PAGE + 1)
#define SEEN    4 /* rows whose attention is looked at */

struct heads {
    const char *name;
    enum mu_dtype dtype;
    int n, n_kv, dk, dv, window;
    bool is_v_in_k, has_alibi, is_alibi_scaled;
};

/* A cache of one sequence with every position stored, pages last first. */
static struct mu_kv_layer filled(struct mu_device *d, const struct heads *h, const int32_t *table)
{
    struct mu_err err = MU_ERR_INIT;
    size_t k_bytes = (size_t)h->n_kv * mu_kv_head_bytes(h->dtype, h->dk);
    size_t v_bytes = h->is_v_in_k ? 0 : (size_t)h->n_kv * mu_kv_head_bytes(h->dtype, h->dv);
    int64_t ldk = h->n_kv * h->dk, ldv = h->n_kv * h->dv;
    char *memory = tt_alloc(PAGES * (k_bytes + v_bytes));
    struct mu_kv_layer kv = {.dtype = h->dtype,
                             .n_kv_heads = h->n_kv,
                             .dk = h->dk,
                             .dv = h->dv,
                             .is_v_in_k = h->is_v_in_k,
                             .k = memory,
                             .v = h->is_v_in_k ? NULL : memory + k_bytes,
                             .page_stride = k_bytes + v_bytes};
    int32_t *pos = tt_alloc(CONTEXT * sizeof *pos), *seq = tt_alloc(CONTEXT * sizeof *seq);
    for (int t = 0; t < CONTEXT; t++)
        pos[t] = t;
    struct mu_rows rows = {CONTEXT, pos, seq, table, PAGES};
    const float *v = h->is_v_in_k ? NULL : random_of(11, CONTEXT * ldv, 1);
    XT_OK(d->ops->kv_store(d, &kv, &rows, random_of(10, CONTEXT * ldk, 1), ldk, v, ldv, &err));
    return kv;
}

static void attend(struct mu_device *d, const struct heads *h)
{
    static const int32_t pos[SEEN] = {5, 333, 700, CONTEXT - 1}, seq[SEEN] = {0};
    static const int32_t cuts[] = {0, MU_ATTN_STRANDS};
    struct mu_err err = MU_ERR_INIT;
    int32_t table[PAGES];
    for (int p = 0; p < PAGES; p++)
        table[p] = PAGES - 1 - p;
    struct mu_kv_layer kv = filled(d, h, table);
    struct mu_rows rows = {SEEN, pos, seq, table, PAGES};
    float *slopes = random_of(12, h->n, 0.25f), *out = room(SEEN * h->n * h->dv);
    float *states = room(SEEN * h->n * MU_ATTN_STATE(h->dv));
    struct mu_attn a = {.q = random_of(13, SEEN * h->n * h->dk, 2),
                        .ldq = h->n * h->dk,
                        .out = out,
                        .ldo = h->n * h->dv,
                        .n_heads = h->n,
                        .scale = 0.21875f,
                        .window = h->window,
                        .alibi_slopes = h->has_alibi ? slopes : NULL,
                        .alibi_is_scaled = h->is_alibi_scaled};
    tt_reserve(d, d->ops->attention_work_bytes(d, h->n, h->dk, h->dv, SEEN, CONTEXT));
    XT_OK(d->ops->attention(d, &a, &kv, &rows, &err));
    is(d, out, SEEN * h->n * h->dv, "attention.%s", h->name);

    kv.owners = 1;
    kv.strand_end = MU_ATTN_STRANDS;
    a.out = states;
    XT_OK(d->ops->attention_partial(d, &a, &kv, &rows, &err));
    is(d, states, SEEN * h->n * MU_ATTN_STATE(h->dv), "attention_partial.%s", h->name);
    XT_OK(d->ops->attention_merge(d, out, a.ldo, states, cuts, 1, SEEN, h->n, h->dv, &err));
    is(d, out, SEEN * h->n * h->dv, "attention.%s", h->name); /* the same sum */
}

static void attention(struct mu_device *d)
{
    static const struct heads all[] = {
        {"f32", MU_F32, 6, 2, 20, 24, .window = 0},
        {"bf16", MU_BF16, 6, 2, 20, 24, .window = 0},
        {"f16", MU_F16, 6, 2, 20, 24, .window = 0},
        {"int8", MU_I8, 6, 2, 20, 40, .window = 0},
        {"window", MU_F32, 4, 4, 16, 16, .window = 90},
        {"alibi", MU_F32, 4, 1, 16, 16, .has_alibi = true},
        {"alibi-scaled", MU_BF16, 4, 1, 16, 16, .has_alibi = true, .is_alibi_scaled = true},
        {"latent", MU_F32, 5, 1, 72, 56, .is_v_in_k = true},
        {"latent-int8", MU_I8, 5, 1, 72, 56, .is_v_in_k = true},
    };
    for (size_t i = 0; i < MU_COUNT(all); i++)
        attend(d, &all[i]);
}

/* ---- elements and rows ---- */

static void acts(struct mu_device *d)
{
    static const char *const names[] = {"silu", "gelu", "gelu-tanh", "relu", "relu2", "quick-gelu"};
    enum { D = 203 };
    struct mu_err err = MU_ERR_INIT;
    const float *x = random_of(14, ROWS * D, 12), *up = random_of(15, ROWS * D, 2);
    float *y = room(ROWS * D);
    for (int act = MU_ACT_SILU; act <= MU_ACT_QUICK_GELU; act++) {
        XT_OK(d->ops->act(d, y, D, x, D, (enum mu_act)act, ROWS, D, &err));
        is(d, y, ROWS * D, "act.%s", names[act]);
        XT_OK(d->ops->act_mul(d, y, D, x, D, up, D, (enum mu_act)act, ROWS, D, &err));
        is(d, y, ROWS * D, "act_mul.%s", names[act]);
    }
}

static void rows(struct mu_device *d)
{
    enum { D = 47, N = 5 };
    static const int32_t idx[N] = {11, 3, 0, 18, 7};
    struct mu_err err = MU_ERR_INIT;
    const float *a = random_of(16, ROWS * D, 3), *b = random_of(17, ROWS * D, 3), *w = random_of(18, N, 1);
    float *y = room(ROWS * D);
    XT_OK(d->ops->add(d, y, D, a, D, b, D, ROWS, D, &err));
    is(d, y, ROWS * D, "add");
    XT_OK(d->ops->scatter_add(d, y, D, a, D, idx, w, N, D, &err));
    is(d, y, ROWS * D, "scatter_add");
    XT_OK(d->ops->gather(d, y, D, a, D, idx, N, D, &err));
    is(d, y, N * D, "gather");
}

static void logsumexp(struct mu_device *d)
{
    enum { V = MU_VOCAB_TILE * 2 + 77, N = 5 };
    struct mu_err err = MU_ERR_INIT;
    float y[2 * N];
    double lse[N];
    int32_t argmax[N];
    XT_OK(d->ops->logsumexp(d, random_of(19, N * V, 6), V, N, V, argmax, lse, &err));
    for (int r = 0; r < N; r++) {
        y[2 * r] = (float)argmax[r];
        y[2 * r + 1] = (float)lse[r];
    }
    is(d, y, 2 * N, "logsumexp");
}

static void every_operator(struct mu_device *d, void *arg)
{
    static void (*const all[])(struct mu_device *) = {linear, embed, norms, rope, attention, acts, rows, logsumexp};
    (void)arg;
    for (size_t i = 0; i < MU_COUNT(all); i++) {
        if (tt_is_fewest_or_most(d))
            all[i](d);
        tt_free_all();
    }
}

XT_TEST(operators_give_the_bits_of_this_numerics_version)
{
    bits_open(&bits, "tests/tensor/bits.txt");
    tt_each_device(every_operator, NULL);
    bits_close(&bits);
}

XT_MAIN()
