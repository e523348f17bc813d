/* test_attention.c - kv_store and attention over random page tables, against a naive softmax in doubles
 *
 * Bound: scores are sums of dk products (dk + 2 roundings of 2^-24 each of sum|q k| * scale), an error e of a score
 * changes its weight by a factor 1 +- e; exp adds 2^-22, sums and joins another (tiles + 64) * 2^-24. The output is a
 * mean of values, so it is off by at most twice that share of the largest value. Page dtypes are compared on the
 * rounded keys and values themselves; int8's are spelled out here by the rule of kv_type.h. The order over tiles and
 * strands is spelled out once more here, for one row at a time, and compared bit for bit. */
#include "tensor_test.h"

#include "base/check.h"
#include "base/pool.h"
#include "comm/tree.h"
#include "tensor/cpu/elementary.h"

#define SEQS 3

struct setup {
    int n_heads, n_kv_heads, dk, dv;
    bool is_v_in_k, has_alibi, is_alibi_scaled;
    int window;
    enum mu_dtype dtype;
    int context; /* positions of the longest sequence */
};

struct world {
    struct setup s;
    size_t which; /* of the test's setups */
    struct mu_kv_layer kv;
    struct mu_rows rows; /* every position of every sequence, in order of sequence */
    struct mu_attn a;
    size_t kv_bytes;
    const float *k, *v; /* [rows][n_kv_heads * d] as given to kv_store */
    const float *want;
    int64_t ldo;
    int shared, shared_end; /* rows whose page another sequence has filled */
};

/* One group's scale: a bf16. */
static float group_scale(const float *x, int n)
{
    float max = 0;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    return mu_bf16_to_f32(mu_f32_to_bf16(max / 127));
}

/* Element d of a key or value x[width] as the cache holds it. */
static float held(enum mu_dtype t, const float *x, int width, int d)
{
    if (t == MU_BF16)
        return mu_bf16_to_f32(mu_f32_to_bf16(x[d]));
    if (t == MU_F16)
        return mu_f16_to_f32(mu_f32_to_f16(x[d]));
    if (t == MU_F32)
        return x[d];
    int first = d / 32 * 32;
    float scale = group_scale(x + first, MU_MIN(32, width - first));
    return scale > 0 ? fmaxf(-127, fminf(rintf(x[d] / scale), 127)) * scale : 0;
}

/* Sequences of different lengths; pages in a random order, with a bad number where no position needs one. The second
 * sequence shares the first full pages of the first, with the same keys in them. */
static void make_world(struct world *w, const struct setup *s, uint64_t seed)
{
    int lens[SEQS] = {s->context, s->context * 2 / 3 + 1, 5}, n = 0;
    int pages_max = s->context / MU_KV_PAGE + 2, n_pages = SEQS * pages_max, next = 0;
    int shared = lens[1] / MU_KV_PAGE / 2;
    memset(w, 0, sizeof *w);
    w->s = *s;

    int32_t *order = tt_alloc((size_t)n_pages * 4), *table = tt_alloc((size_t)(SEQS * pages_max) * 4);
    for (int i = 0; i < n_pages; i++) {
        int j = (int)(xt_rand(&seed) % (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    for (int q = 0; q < SEQS; q++) {
        n += lens[q];
        for (int p = 0; p < pages_max; p++)
            table[q * pages_max + p] = p * MU_KV_PAGE < lens[q] ? order[next++] : -1000000;
    }
    memcpy(table + pages_max, table, (size_t)shared * 4);

    int32_t *pos = tt_alloc((size_t)n * 4), *seq = tt_alloc((size_t)n * 4);
    for (int q = 0, r = 0; q < SEQS; q++)
        for (int t = 0; t < lens[q]; t++, r++) {
            pos[r] = t;
            seq[r] = q;
        }
    w->rows = (struct mu_rows){n, pos, seq, table, pages_max};

    int64_t ldk = s->n_kv_heads * s->dk, ldv = s->n_kv_heads * s->dv;
    float *k = tt_random(&seed, n * ldk, 1), *v = tt_random(&seed, n * ldv, 1);
    for (int t = 0; t < shared * MU_KV_PAGE; t++) {
        memcpy(k + (lens[0] + t) * ldk, k + t * ldk, (size_t)ldk * 4);
        memcpy(v + (lens[0] + t) * ldv, v + t * ldv, (size_t)ldv * 4);
    }
    w->k = k;
    w->v = v;
    w->shared = lens[0];
    w->shared_end = lens[0] + shared * MU_KV_PAGE;
    size_t k_bytes = (size_t)s->n_kv_heads * mu_kv_head_bytes(s->dtype, s->dk);
    size_t v_bytes = s->is_v_in_k ? 0 : (size_t)s->n_kv_heads * mu_kv_head_bytes(s->dtype, s->dv);
    char *memory = tt_alloc((size_t)n_pages * (k_bytes + v_bytes));
    w->kv_bytes = (size_t)n_pages * (k_bytes + v_bytes);
    memset(memory, 0xff, w->kv_bytes); /* NaN wherever nothing is stored: hidden keys must not matter */
    w->kv = (struct mu_kv_layer){.dtype = s->dtype,
                                 .n_kv_heads = s->n_kv_heads,
                                 .dk = s->dk,
                                 .dv = s->dv,
                                 .is_v_in_k = s->is_v_in_k,
                                 .k = memory,
                                 .v = s->is_v_in_k ? NULL : memory + k_bytes,
                                 .page_stride = k_bytes + v_bytes};

    float *slopes = tt_alloc((size_t)s->n_heads * 4);
    for (int h = 0; h < s->n_heads; h++)
        slopes[h] = 1.0f / (float)(h + 2);
    w->ldo = s->n_heads * s->dv + 3;
    w->a = (struct mu_attn){.ldq = s->n_heads * s->dk + 2,
                            .ldo = w->ldo,
                            .n_heads = s->n_heads,
                            .scale = 1.0f / sqrtf((float)s->dk),
                            .window = s->window,
                            .alibi_slopes = s->has_alibi ? slopes : NULL,
                            .alibi_is_scaled = s->is_alibi_scaled};
    w->a.q = tt_random(&seed, n * w->a.ldq, 2);
}

static void store_run(struct mu_device *d, const struct world *w, int first, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_rows rows = w->rows;
    int64_t ldk = w->s.n_kv_heads * w->s.dk, ldv = w->s.n_kv_heads * w->s.dv;
    rows.pos += first;
    rows.seq += first;
    rows.n = n;
    XT_OK(d->ops->kv_store(d, &w->kv, &rows, w->k + first * ldk, ldk, w->s.is_v_in_k ? NULL : w->v + first * ldv, ldv,
                           &err));
}

/* Rows [first, first + n) but for those of shared pages, which are filled once. */
static void store(struct mu_device *d, const struct world *w, int first, int n)
{
    int end = first + n, before = MU_MIN(end, w->shared), after = MU_MAX(first, w->shared_end);
    if (first < before)
        store_run(d, w, first, before - first);
    if (after < end)
        store_run(d, w, after, end - after);
}

static void attend(struct mu_device *d, const struct world *w, float *out, int first, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_rows rows = w->rows;
    struct mu_attn a = w->a;
    rows.pos += first;
    rows.seq += first;
    rows.n = n;
    a.q += first * a.ldq;
    a.out = out + first * a.ldo;
    tt_reserve(d, d->ops->attention_work_bytes(d, a.n_heads, w->s.dk, w->s.dv, n, w->s.context));
    XT_OK(d->ops->attention(d, &a, &w->kv, &rows, &err));
}

static void check_row(const struct world *w, int row, int head)
{
    const struct setup *s = &w->s;
    int g = head / (s->n_heads / s->n_kv_heads), pos = w->rows.pos[row], first = row - pos;
    int lo = s->window && pos >= s->window ? pos - s->window + 1 : 0;
    const float *q = w->a.q + row * w->a.ldq + head * s->dk;
    double *p = tt_alloc((size_t)(pos + 1) * 8), max = -INFINITY, sum = 0, noise = 0, largest = 0;
    for (int j = lo; j <= pos; j++) {
        const float *k = w->k + ((first + j) * s->n_kv_heads + g) * s->dk;
        double dot = 0, size = 0, scale = (double)w->a.scale;
        for (int d = 0; d < s->dk; d++) {
            double key = (double)held(s->dtype, k, s->dk, d);
            dot += (double)q[d] * key;
            size += fabs((double)q[d] * key);
        }
        double bias = s->has_alibi ? (double)w->a.alibi_slopes[head] * j : 0;
        p[j] = s->is_alibi_scaled ? (dot + bias) * scale : dot * scale + bias;
        noise = fmax(noise, (size * scale + fabs(bias)) * (s->dk + 4) * 0x1p-24);
        max = fmax(max, p[j]);
    }
    for (int j = lo; j <= pos; j++)
        sum += p[j] = exp(p[j] - max);
    double share = 2 * noise + 0x1p-20 + (pos / 64 + 64) * 0x1p-24;
    for (int d = 0; d < s->dv; d++) {
        double o = 0;
        largest = 0;
        for (int j = lo; j <= pos; j++) {
            const float *from = s->is_v_in_k ? w->k + ((first + j) * s->n_kv_heads + g) * s->dk
                                             : w->v + ((first + j) * s->n_kv_heads + g) * s->dv;
            double v = (double)held(s->dtype, from, s->is_v_in_k ? s->dk : s->dv, d);
            o += p[j] / sum * v;
            largest = fmax(largest, fabs(v));
        }
        XT_NEAR(w->want[row * w->ldo + head * s->dv + d], o, 2 * share * largest + 0x1p-148);
    }
}

/* Of ways that every number of threads could go, half: the odd ones on odd numbers. The plain level, which is slow, has
 * one odd number and one even, so it goes every way once. */
static bool takes(const struct mu_device *d, int way)
{
    return (mu_pool_threads(d->pool) + way) % 2 == 0;
}

/* With all stored: later keys are there, and hidden. */
static void row_by_row(struct mu_device *d, const struct world *w, float *out)
{
    int n = w->rows.n;
    memset(out, 0, (size_t)(n * w->ldo) * 4);
    for (int r = 0; r < n; r++)
        attend(d, w, out, r, 1);
    tt_same_bits("row by row", d, out, w->want, n * w->ldo);
}

/* Later keys are still NaN. */
static void in_chunks(struct mu_device *d, const struct world *w, float *out)
{
    int n = w->rows.n;
    memset(out, 0, (size_t)(n * w->ldo) * 4);
    memset(w->kv.k, 0xff, w->kv_bytes);
    for (int r = 0, k = 1; r < n; r += k, k = k % 23 + 1) {
        k = MU_MIN(k, n - r);
        store(d, w, r, k);
        attend(d, w, out, r, k);
    }
    tt_same_bits("in chunks", d, out, w->want, n * w->ldo);
}

static void all_ways(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    int n = w->rows.n;
    float *out = tt_alloc((size_t)(n * w->ldo) * 4);
    memset(w->kv.k, 0xff, w->kv_bytes);
    store(d, w, 0, n); /* all rows of all sequences in one step: so the reference's one thread made want */
    if (d != tt_ref()) {
        attend(d, w, out, 0, n);
        tt_same_bits("one step", d, out, w->want, n * w->ldo);
    }
    if (!tt_is_fewest_or_most(d))
        return;
    if (!XT_ASAN || takes(d, (int)w->which))
        row_by_row(d, w, out);
    if (!XT_ASAN || takes(d, (int)w->which + 1))
        in_chunks(d, w, out);
}

/* With all stored, and what the reference makes of it in want. */
static void make_answered(struct world *w, const struct setup *s, uint64_t seed)
{
    make_world(w, s, seed);
    float *want = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    w->want = want;
    store(tt_ref(), w, 0, w->rows.n);
    attend(tt_ref(), w, want, 0, w->rows.n);
}

static void each_setup(const struct setup *s, size_t n, uint64_t seed, void (*fn)(struct mu_device *d, void *arg))
{
    for (size_t i = 0; i < n; i++) {
        struct world w;
        make_answered(&w, &s[i], seed + i);
        w.which = i;
        tt_each_device(fn, &w);
        tt_free_all();
    }
}

static void try_setup(const struct setup *s, uint64_t seed)
{
    struct world w;
    make_answered(&w, s, seed);
    w.which = seed;
    for (int r = 0; r < w.rows.n; r += 1 + r % 7)
        for (int h = 0; h < s->n_heads; h += 1 + h / 3)
            check_row(&w, r, h);
    tt_each_device(all_ways, &w);
    tt_free_all();
}

XT_TEST(head_sizes_and_groups)
{
    const struct setup s[] = {
        {.n_heads = 1, .n_kv_heads = 1, .dk = 12, .dv = 12, .dtype = MU_F32, .context = 70},
        {.n_heads = 4, .n_kv_heads = 2, .dk = 20, .dv = 20, .dtype = MU_BF16, .context = 150},
        {.n_heads = 6, .n_kv_heads = 1, .dk = 64, .dv = 64, .dtype = MU_F16, .context = 129},
        {.n_heads = 5, .n_kv_heads = 5, .dk = 80, .dv = 80, .dtype = MU_F32, .context = 65},
        {.n_heads = 9, .n_kv_heads = 3, .dk = 96, .dv = 33, .dtype = MU_BF16, .context = 90},
        {.n_heads = 35, .n_kv_heads = 1, .dk = 8, .dv = 128, .dtype = MU_F32, .context = 40},
        {.n_heads = 2, .n_kv_heads = 2, .dk = 192, .dv = 128, .dtype = MU_F16, .context = 66},
        {.n_heads = 3, .n_kv_heads = 3, .dk = 7, .dv = 1, .dtype = MU_F32, .context = 200},
        {.n_heads = 8, .n_kv_heads = 2, .dk = 64, .dv = 64, .dtype = MU_I8, .context = 150},
        {.n_heads = 5, .n_kv_heads = 5, .dk = 80, .dv = 80, .dtype = MU_I8, .context = 65},
        {.n_heads = 9, .n_kv_heads = 3, .dk = 7, .dv = 33, .dtype = MU_I8, .context = 90},
        {.n_heads = 18, .n_kv_heads = 1, .dk = 20, .dv = 128, .dtype = MU_I8, .context = 70},
    };
    for (size_t i = 0; i < MU_COUNT(s); i++)
        try_setup(&s[i], i + 1);
}

XT_TEST(windows)
{
    for (int window = 1; window <= 130; window = window * 3 + 2) {
        struct setup s = {.n_heads = 4, .n_kv_heads = 2, .dk = 16, .dv = 24, .window = window, .context = 140};
        s.dtype = window % 2 ? MU_F32 : window % 4 ? MU_BF16 : MU_I8;
        try_setup(&s, (uint64_t)window);
    }
}

XT_TEST(alibi_both_ways)
{
    struct setup s = {
        .n_heads = 6, .n_kv_heads = 3, .dk = 20, .dv = 16, .has_alibi = true, .dtype = MU_F32, .context = 100};
    try_setup(&s, 3);
    s.is_alibi_scaled = true;
    s.dtype = MU_F16;
    try_setup(&s, 4);
    s.dtype = MU_I8;
    try_setup(&s, 5);
}

XT_TEST(values_inside_keys)
{
    struct setup s = {.n_heads = 19, .n_kv_heads = 1, .dk = 72, .dv = 56, .is_v_in_k = true, .context = 77};
    static const enum mu_dtype types[] = {MU_F32, MU_BF16, MU_F16, MU_I8};
    for (size_t i = 0; i < MU_COUNT(types); i++) {
        s.dtype = types[i];
        try_setup(&s, 10 + i);
    }
}

/* ---- int8 pages ---- */

#define WIDE 70                    /* two groups and a short one */
#define HEAD (16 * (WIDE + 2 * 3)) /* bytes of a head's keys in a page */

/* Of two heads; goes with tt_free_all(). */
static struct mu_kv_layer one_page(void)
{
    int8_t *page = tt_alloc(4 * HEAD);
    return (struct mu_kv_layer){.dtype = MU_I8,
                                .n_kv_heads = 2,
                                .dk = WIDE,
                                .dv = WIDE,
                                .k = page,
                                .v = page + 2 * HEAD,
                                .page_stride = 4 * HEAD};
}

/* One key and value of head 1 of 2 at position 21, stored alone. */
static void store_one(const struct mu_kv_layer *kv, const float *k, const float *v)
{
    static const int32_t pos = 21, seq = 0, table[] = {-1000000, 0};
    struct mu_err err = MU_ERR_INIT;
    struct mu_rows rows = {1, &pos, &seq, table, 2};
    XT_OK(tt_ref()->ops->kv_store(tt_ref(), kv, &rows, k, 2 * WIDE, v, 2 * WIDE, &err));
}

static void check_group(const int8_t *q, int64_t stride, uint16_t scale_bits, const float *x, int n)
{
    float max = 0, scale = mu_bf16_to_f32(scale_bits);
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    XT_NEAR(scale, max / 127, max / 127 / 256);
    for (int i = 0; i < n; i++) {
        XT_CHECK(q[i * stride] >= -127);
        XT_NEAR(q[i * stride] * (double)scale, x[i], (double)scale / 2 * (1 + 0x1p-16));
    }
}

XT_TEST(int8_pages_are_laid_out_as_described)
{
    struct mu_kv_layer kv = one_page();
    int8_t *page = kv.k;
    XT_EQ(mu_kv_head_bytes(MU_I8, WIDE), HEAD);
    for (uint64_t seed = 1; seed < 40; seed++) {
        uint64_t at = seed;
        float size = ldexpf(1, (int)(seed * 6) - 120), *k = tt_random(&at, 2 * WIDE, size),
              *v = tt_random(&at, 2 * WIDE, size);
        store_one(&kv, k, v);
        const int8_t *key = page + HEAD, *value = page + 3 * HEAD;
        const uint16_t *key_scale = (const uint16_t *)(const void *)(key + 16 * WIDE);
        const uint16_t *value_scale = (const uint16_t *)(const void *)(value + 16 * WIDE);
        for (int g = 0; g < 3; g++) {
            int n = MU_MIN(32, WIDE - g * 32);
            check_group(key + g * 32 * 16 + 5, 16, key_scale[g * 16 + 5], k + WIDE + g * 32, n);
            check_group(value + 5 * WIDE + g * 32, 1, value_scale[5 * 3 + g], v + WIDE + g * 32, n);
        }
    }
    tt_free_all();
}

XT_TEST(int8_groups_of_zeros_ties_and_nan)
{
    struct mu_kv_layer kv = one_page();
    int8_t *page = kv.k;
    float *x = tt_alloc(2 * WIDE * 4);
    memset(x, 0, 2 * WIDE * 4);
    x[WIDE] = 127, x[WIDE + 1] = 0.5f, x[WIDE + 2] = 1.5f, x[WIDE + 3] = -2.5f, x[WIDE + 4] = -0.51f; /* scale 1 */
    x[WIDE + 64] = INFINITY;
    store_one(&kv, x, x);
    const int8_t *q = page + 3 * HEAD + 5 * WIDE;
    const uint16_t *scale = (const uint16_t *)(const void *)(page + 3 * HEAD + 16 * WIDE) + 5 * 3;
    static const int8_t want[] = {127, 0, 2, -2, -1, 0};
    XT_CHECK(memcmp(q, want, sizeof want) == 0);
    XT_EQ(scale[0], 0x3f80);
    for (int i = 32; i < WIDE; i++)
        XT_EQ(q[i], 0);
    XT_EQ(scale[1], 0);
    XT_CHECK(isnan(mu_bf16_to_f32(scale[2])));
    tt_free_all();
}

/* ---- the order over tiles and strands ---- */

#define DV_MAX 32

struct state {
    float m, l, o[DV_MAX]; /* l 0: no key */
};

static void join(struct state *to, const struct state *from, int dv)
{
    if (from->l == 0)
        return;
    if (to->l == 0) {
        *to = *from;
        return;
    }
    float m = fmaxf(to->m, from->m), a = mu_expf(to->m - m), b = mu_expf(from->m - m);
    for (int d = 0; d < dv; d++)
        to->o[d] = fmaf(to->o[d], a, from->o[d] * b);
    to->l = fmaf(to->l, a, from->l * b);
    to->m = m;
}

/* Keys [lo, hi) of one tile, f32. */
static struct state tile_state(const struct world *w, int row, int head, int tile, int lo, int hi)
{
    const struct setup *s = &w->s;
    int g = head / (s->n_heads / s->n_kv_heads), first = row - w->rows.pos[row];
    const float *q = w->a.q + row * w->a.ldq + head * s->dk;
    float p[MU_ATTN_TILE] = {0}, sum[16] = {0};
    struct state t = {.m = -INFINITY};
    for (int j = lo; j < hi; j++) {
        const float *k = w->k + ((first + j) * s->n_kv_heads + g) * s->dk;
        float dot = 0;
        for (int d = 0; d < s->dk; d++)
            dot = fmaf(q[d], k[d], dot);
        p[j - tile * MU_ATTN_TILE] = dot * w->a.scale;
        t.m = fmaxf(t.m, dot * w->a.scale);
    }
    for (int j = 0; j < MU_ATTN_TILE; j++) {
        int at = tile * MU_ATTN_TILE + j;
        p[j] = at >= lo && at < hi ? mu_expf(p[j] - t.m) : 0;
        sum[j % 16] += p[j];
        const float *v = w->v + ((first + at) * s->n_kv_heads + g) * s->dv;
        for (int d = 0; d < s->dv && at >= lo && at < hi; d++)
            t.o[d] = fmaf(p[j], v[d], t.o[d]);
    }
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] += sum[j + half];
    t.l = sum[0];
    return t;
}

static void spell_out(const struct world *w, int row, int head, float *out)
{
    int pos = w->rows.pos[row], dv = w->s.dv;
    int lo = w->s.window && pos >= w->s.window ? pos - w->s.window + 1 : 0;
    struct state strand[8] = {{0}};
    for (int t = 0; t * 64 <= pos; t++) {
        int begin = MU_MAX(lo, t * 64), end = MU_MIN(pos + 1, t * 64 + 64);
        if (begin < end) {
            struct state one = tile_state(w, row, head, t, begin, end);
            join(&strand[t % 8], &one, dv);
        }
    }
    for (int step = 1; step < 8; step *= 2)
        for (int i = 0; i < 8; i += 2 * step)
            join(&strand[i], &strand[i + step], dv);
    for (int d = 0; d < dv; d++)
        out[d] = strand[0].o[d] / strand[0].l;
}

/* One row and few heads on several threads: strands are shared by them. */
static void one_row(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    int last = w->s.context - 1;
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    attend(d, w, out, last, 1);
    tt_same_bits("a long row", d, out + last * w->ldo, w->want + last * w->ldo, w->ldo);
}

/* context 1: what is left of the scratch holds no states, and an item takes its strands by itself. */
static void one_row_alone(struct mu_device *big, void *arg)
{
    struct world *w = arg;
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = big->ops->level, .n_threads = 4};
    XT_OK(mu_device_open_cpu(&d, &o, &err));
    tt_reserve(d, d->ops->attention_work_bytes(d, w->s.n_heads, w->s.dk, w->s.dv, 1, 1));
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    struct mu_attn a = w->a;
    struct mu_rows rows = w->rows;
    int last = w->s.context - 1;
    rows.pos += last;
    rows.seq += last;
    rows.n = 1;
    a.q += last * a.ldq;
    a.out = out;
    XT_OK(d->ops->attention(d, &a, &w->kv, &rows, &err));
    tt_same_bits("strands not shared", d, out, w->want + last * w->ldo, w->ldo);
    mu_device_close(d);
}

XT_TEST(strands_are_joined_by_halves)
{
    static const int windows[] = {0, 700, 40, 130};
    for (size_t i = 0; i < MU_COUNT(windows); i++) {
        struct setup s = {
            .n_heads = 2, .n_kv_heads = 1, .dk = 16, .dv = 20, .window = windows[i], .dtype = MU_F32, .context = 1500};
        struct world w;
        make_world(&w, &s, 77);
        float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
        w.want = want;
        store(tt_ref(), &w, 0, w.rows.n);
        attend(tt_ref(), &w, want, s.context - 1, 1);
        for (int r = 0; r < s.context; r += 1 + r % 61) {
            attend(tt_ref(), &w, want, r, 1);
            for (int h = 0; h < s.n_heads; h++) {
                float own[DV_MAX];
                spell_out(&w, r, h, own);
                tt_same_bits("spelled out", tt_ref(), w.want + r * w.ldo + h * s.dv, own, s.dv);
            }
            check_row(&w, r, r % 2);
        }
        tt_each_device(one_row, &w);
        tt_each_device(one_row_alone, &w);
        tt_free_all();
    }
}

/* ---- sequences that begin with the same pages ---- */

/* Rows of several sequences in one step, by their numbers: each as if it were alone. */
static void attend_some(struct mu_device *d, const struct world *w, const int *row, int n)
{
    struct mu_err err = MU_ERR_INIT;
    int32_t pos[16], seq[16];
    struct mu_rows rows = {n, pos, seq, w->rows.page_table, w->rows.pages_max};
    struct mu_attn a = w->a;
    float *q = tt_alloc((size_t)(n * a.ldq) * 4), *out = tt_alloc((size_t)(n * a.ldo) * 4);
    for (int i = 0; i < n; i++) {
        pos[i] = w->rows.pos[row[i]];
        seq[i] = w->rows.seq[row[i]];
        memcpy(q + i * a.ldq, w->a.q + row[i] * a.ldq, (size_t)a.ldq * 4);
    }
    a.q = q;
    a.out = out;
    tt_reserve(d, d->ops->attention_work_bytes(d, a.n_heads, w->s.dk, w->s.dv, n, w->s.context));
    XT_OK(d->ops->attention(d, &a, &w->kv, &rows, &err));
    for (int i = 0; i < n; i++)
        tt_same_bits("begun alike", d, out + i * a.ldo, w->want + row[i] * a.ldo, w->s.n_heads * w->s.dv);
}

#define ALIKE_STEPS 4
#define ALIKE_ROWS  6

/* The second sequence has the first's pages up to `shared`; rows before, inside and behind them. */
static void choose_rows(const struct world *w, int rows[ALIKE_STEPS][ALIKE_ROWS])
{
    int a = w->s.context - 1, b = w->shared, shared = w->shared_end - w->shared, end = w->rows.n - 6;
    const int chosen[ALIKE_STEPS][ALIKE_ROWS] = {
        {a - 2, a - 1, a, end - 1, end, w->rows.n - 1},
        {end - 4, end - 3, end - 2, end - 1, end, a},
        {a, b + shared - 2, b + shared - 1, b + shared, b + shared + 1, w->rows.n - 1},
        {b + 70, b + 71, 62, 63, 64, a}};
    memcpy(rows, chosen, sizeof chosen);
}

static void begun_alike(struct mu_device *d, void *arg)
{
    int rows[ALIKE_STEPS][ALIKE_ROWS];
    choose_rows(arg, rows);
    for (int i = 0; i < ALIKE_STEPS; i++)
        attend_some(d, arg, rows[i], ALIKE_ROWS);
}

XT_TEST(sequences_that_begin_alike_share_tiles)
{
    const struct setup s[] = {
        {.n_heads = 8, .n_kv_heads = 1, .dk = 16, .dv = 20, .dtype = MU_F32, .context = 500},
        {.n_heads = 6, .n_kv_heads = 2, .dk = 40, .dv = 36, .dtype = MU_I8, .context = 500},
        {.n_heads = 3, .n_kv_heads = 3, .dk = 12, .dv = 8, .dtype = MU_BF16, .window = 300, .context = 500},
        {.n_heads = 35, .n_kv_heads = 1, .dk = 24, .dv = 16, .is_v_in_k = true, .dtype = MU_F16, .context = 500},
    };
    for (size_t i = 0; i < MU_COUNT(s); i++) {
        struct world w;
        int rows[ALIKE_STEPS][ALIKE_ROWS];
        make_world(&w, &s[i], 300 + i);
        float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
        w.want = want;
        XT_CHECK(w.shared_end - w.shared >= 2 * MU_ATTN_TILE);
        store(tt_ref(), &w, 0, w.rows.n);
        choose_rows(&w, rows);
        for (int r = 0; r < ALIKE_STEPS * ALIKE_ROWS; r++)
            attend(tt_ref(), &w, want, rows[r / ALIKE_ROWS][r % ALIKE_ROWS], 1);
        tt_each_device(begun_alike, &w);
        tt_free_all();
    }
}

/* ---- strands on several ranks ---- */

XT_TEST(roots_are_those_of_the_tree)
{
    for (int begin = 0; begin < MU_ATTN_STRANDS; begin++) {
        for (int end = begin; end <= MU_ATTN_STRANDS; end++) {
            struct mu_span root[MU_TREE_ROOTS_MAX];
            int n = mu_tree_roots(MU_ATTN_STRANDS, begin, end, root);
            XT_EQ(mu_attn_roots(begin, end), n);
            for (int i = 0; i < n; i++)
                XT_EQ(mu_attn_root_end(root[i].begin, end), root[i].end);
        }
    }
}

struct sharing {
    const struct world *w;
    int size;
    int32_t cuts[MU_ATTN_STRANDS + 1];
    struct mu_rows rows;                    /* with a page table whose pages have owners */
    struct mu_kv_layer kv[MU_ATTN_STRANDS]; /* of each rank */
};

static int owner_of(const struct sharing *sh, int pos)
{
    int r = 0;
    while (mu_attn_strand(pos) >= sh->cuts[r + 1])
        r++;
    return r;
}

/* Page ids whose remainder is their owner; each rank has room for its own alone. */
static void share_pages(struct sharing *sh)
{
    const struct world *w = sh->w;
    int pages_max = w->rows.pages_max, used[MU_ATTN_STRANDS] = {0};
    int32_t *table = tt_alloc((size_t)(SEQS * pages_max) * 4);
    for (int i = 0; i < SEQS * pages_max; i++) {
        int owner = owner_of(sh, i % pages_max * MU_KV_PAGE);
        bool is_used = w->rows.page_table[i] >= 0;
        table[i] = is_used ? used[owner]++ * sh->size + owner : -1000000;
    }
    sh->rows = w->rows;
    sh->rows.page_table = table;
    for (int r = 0; r < sh->size; r++) {
        size_t bytes = (size_t)used[r] * w->kv.page_stride;
        char *memory = tt_alloc(bytes + 1);
        memset(memory, 0xff, bytes);
        sh->kv[r] = w->kv;
        sh->kv[r].owners = sh->size;
        sh->kv[r].strand_begin = sh->cuts[r];
        sh->kv[r].strand_end = sh->cuts[r + 1];
        sh->kv[r].k = memory;
        sh->kv[r].v = w->kv.v ? memory + ((char *)w->kv.v - (char *)w->kv.k) : NULL;
    }
}

/* Rows [first, first + n): every rank's states, gathered for heads [begin, end), finished. */
static void attend_shared(struct mu_device *d, const struct sharing *sh, int first, int n, int begin, int end,
                          float *out)
{
    struct mu_err err = MU_ERR_INIT;
    const struct world *w = sh->w;
    int64_t state = MU_ATTN_STATE(w->s.dv);
    float *all = tt_alloc((size_t)(w->s.n_heads * n * MU_ATTN_STRANDS * state) * 4);
    float *one = tt_alloc((size_t)(w->s.n_heads * n * MU_ATTN_STRANDS * state) * 4), *at = all;
    struct mu_rows rows = sh->rows;
    struct mu_attn a = w->a;
    rows.pos += first;
    rows.seq += first;
    rows.n = n;
    a.q += first * a.ldq;
    a.out = one;
    tt_reserve(d, d->ops->attention_work_bytes(d, a.n_heads, w->s.dk, w->s.dv, n, w->s.context));
    for (int r = 0; r < sh->size; r++) {
        int64_t head = n * mu_attn_roots(sh->cuts[r], sh->cuts[r + 1]) * state;
        XT_OK(d->ops->attention_partial(d, &a, &sh->kv[r], &rows, &err));
        memcpy(at, one + begin * head, (size_t)((end - begin) * head) * 4);
        at += (end - begin) * head;
    }
    memset(out + first * w->ldo, 0, (size_t)(n * w->ldo) * 4); /* of the size before */
    out += first * w->ldo + begin * w->s.dv;
    XT_OK(d->ops->attention_merge(d, out, w->ldo, all, sh->cuts, sh->size, n, end - begin, w->s.dv, &err));
    for (int r = 0; r < n; r++)
        tt_same_bits("shared strands", d, out + r * w->ldo, w->want + (first + r) * w->ldo + begin * w->s.dv,
                     (end - begin) * w->s.dv);
}

static void share(struct mu_device *d, void *arg)
{
    const struct world *w = arg;
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    /* Under ASan the end of a long sequence, which has all its strands, and the beginning of the next. */
    int begin = XT_ASAN ? MU_MAX(0, w->s.context - 80) : 0, n = XT_ASAN ? 110 : w->rows.n;
    for (int size = 1; size <= MU_ATTN_STRANDS; size++) {
        if (!xt_takes(w->which, (size_t)size))
            continue;
        struct mu_err err = MU_ERR_INIT;
        struct sharing sh = {.w = w, .size = size};
        int64_t ldk = w->s.n_kv_heads * w->s.dk, ldv = w->s.n_kv_heads * w->s.dv;
        int heads = w->s.n_heads, last = w->s.context - 1;
        mu_tree_cut(MU_ATTN_STRANDS, size, sh.cuts);
        share_pages(&sh);
        for (int r = 0; r < size; r++)
            XT_OK(d->ops->kv_store(d, &sh.kv[r], &sh.rows, w->k, ldk, w->s.is_v_in_k ? NULL : w->v, ldv, &err));
        if (takes(d, size))
            attend_shared(d, &sh, begin, MU_MIN(n, w->rows.n - begin), 0, heads, out);
        attend_shared(d, &sh, last, 1, 0, heads, out); /* threads share what is here */
        attend_shared(d, &sh, last - 20, 20, heads / 3, heads, out);
    }
}

XT_TEST(ranks_share_strands)
{
    const struct setup s[] = {
        {.n_heads = 6, .n_kv_heads = 2, .dk = 12, .dv = 20, .dtype = MU_BF16, .context = 700},
        {.n_heads = 4, .n_kv_heads = 4, .dk = 8, .dv = 7, .window = 90, .dtype = MU_F32, .context = 600},
        {.n_heads = 5, .n_kv_heads = 1, .dk = 24, .dv = 16, .is_v_in_k = true, .dtype = MU_F32, .context = 540},
        {.n_heads = 3, .n_kv_heads = 1, .dk = 8, .dv = 8, .has_alibi = true, .dtype = MU_F32, .context = 60},
        {.n_heads = 6, .n_kv_heads = 2, .dk = 40, .dv = 20, .dtype = MU_I8, .context = 200},
        {.n_heads = 5, .n_kv_heads = 1, .dk = 40, .dv = 32, .is_v_in_k = true, .dtype = MU_I8, .context = 140},
    };
    each_setup(s, MU_COUNT(s), 190, share);
}

/* ---- runs of heads ---- */

/* Heads [begin, end) of rows [first, first + n), which may begin and end inside groups, as a rank would hold them. */
static void attend_run(struct mu_device *d, const struct world *w, int begin, int end, int first, int n, float *out)
{
    struct mu_err err = MU_ERR_INIT;
    int group = w->s.n_heads / w->s.n_kv_heads, kv0 = begin / group;
    struct mu_kv_layer kv = w->kv;
    struct mu_rows rows = w->rows;
    struct mu_attn a = w->a;

    kv.k = (char *)kv.k + (size_t)kv0 * mu_kv_head_bytes(kv.dtype, kv.dk);
    kv.v = kv.v ? (char *)kv.v + (size_t)kv0 * mu_kv_head_bytes(kv.dtype, kv.dv) : NULL;
    kv.n_kv_heads = (end + group - 1) / group - kv0;
    rows.pos += first;
    rows.seq += first;
    rows.n = n;
    a.q += first * a.ldq + begin * w->s.dk;
    a.out = out + first * a.ldo + begin * w->s.dv;
    a.n_heads = end - begin;
    a.group = group;
    a.first = begin % group;
    a.alibi_slopes = a.alibi_slopes ? a.alibi_slopes + begin : NULL;
    tt_reserve(d, d->ops->attention_work_bytes(d, a.n_heads, w->s.dk, w->s.dv, n, w->s.context));
    memset(out + first * a.ldo, 0, (size_t)(n * a.ldo) * 4); /* of the run before */
    XT_OK(d->ops->attention(d, &a, &kv, &rows, &err));
    for (int r = first; r < first + n; r++)
        tt_same_bits("a run of heads", d, out + r * w->ldo + begin * w->s.dv, w->want + r * w->ldo + begin * w->s.dv,
                     a.n_heads * w->s.dv);
}

static void runs_of_heads(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    int way = 0;
    memset(w->kv.k, 0xff, w->kv_bytes);
    store(d, w, 0, w->rows.n);
    for (int begin = 0; begin < w->s.n_heads; begin += 1 + begin / 2) {
        for (int end = w->s.n_heads; end > begin; end -= 1 + end / 3) {
            if (takes(d, way++))
                attend_run(d, w, begin, end, 0, w->rows.n, out);
            attend_run(d, w, begin, end, w->s.context - 1, 1, out); /* threads share its strands */
        }
    }
}

XT_TEST(runs_of_heads_may_cut_groups)
{
    const struct setup s[] = {
        {.n_heads = 12, .n_kv_heads = 3, .dk = 20, .dv = 16, .dtype = MU_F32, .context = 70},
        {.n_heads = 8, .n_kv_heads = 2, .dk = 16, .dv = 24, .has_alibi = true, .dtype = MU_BF16, .context = 400},
        {.n_heads = 40, .n_kv_heads = 2, .dk = 8, .dv = 8, .dtype = MU_F16, .context = 40},
        {.n_heads = 7, .n_kv_heads = 1, .dk = 24, .dv = 16, .is_v_in_k = true, .dtype = MU_F32, .context = 30},
        {.n_heads = 12, .n_kv_heads = 3, .dk = 40, .dv = 36, .dtype = MU_I8, .context = 60},
    };
    each_setup(s, MU_COUNT(s), 90, runs_of_heads);
}

XT_MAIN()
