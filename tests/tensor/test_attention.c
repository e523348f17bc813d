/* test_attention.c - kv_store and attention over random page tables, against a naive softmax in doubles
 *
 * Bound: scores are sums of dk products (dk + 2 roundings of 2^-24 each of sum|q k| * scale), an error e of a score
 * changes its weight by a factor 1 +- e; exp adds 2^-22, sums and folds another (tiles + 64) * 2^-24. The output is a
 * mean of values, so it is off by at most twice that share of the largest value. Page dtypes are compared on the
 * rounded keys and values themselves. */
#include "tensor_test.h"

#include "base/check.h"

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
    struct mu_kv_layer kv;
    struct mu_rows rows; /* every position of every sequence, in order of sequence */
    struct mu_attn a;
    size_t kv_bytes;
    const float *k, *v; /* [rows][n_kv_heads * d] as given to kv_store */
    const float *want;
    int64_t ldo;
    int shared, shared_end; /* rows whose page another sequence has filled */
};

static float rounded(enum mu_dtype t, float v)
{
    if (t == MU_F32)
        return v;
    return t == MU_BF16 ? mu_bf16_to_f32(mu_f32_to_bf16(v)) : mu_f16_to_f32(mu_f32_to_f16(v));
}

/* Sequences of different lengths; pages in a random order, with a bad number where no position needs one. The second
 * sequence shares the first full pages of the first, with the same keys in them. */
static void make_world(struct world *w, const struct setup *s, uint64_t seed)
{
    int lens[SEQS] = {s->context, s->context * 2 / 3 + 1, 5}, n = 0;
    int pages_max = s->context / MU_KV_PAGE + 2, n_pages = SEQS * pages_max, next = 0;
    size_t elem = s->dtype == MU_F32 ? 4 : 2;
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
    size_t k_bytes = (size_t)ldk * MU_KV_PAGE * elem, v_bytes = s->is_v_in_k ? 0 : (size_t)ldv * MU_KV_PAGE * elem;
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
            dot += (double)q[d] * (double)rounded(s->dtype, k[d]);
            size += fabs((double)q[d] * (double)rounded(s->dtype, k[d]));
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
            double v = (double)rounded(s->dtype, from[d]);
            o += p[j] / sum * v;
            largest = fmax(largest, fabs(v));
        }
        XT_NEAR(w->want[row * w->ldo + head * s->dv + d], o, 2 * share * largest + 0x1p-148);
    }
}

static void all_ways(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    int n = w->rows.n;
    size_t bytes = (size_t)(n * w->ldo) * 4;
    float *out = tt_alloc(bytes);
    memset(w->kv.k, 0xff, w->kv_bytes);
    store(d, w, 0, n); /* all rows of all sequences in one step */
    attend(d, w, out, 0, n);
    tt_same_bits("one step", d, out, w->want, n * w->ldo);
    if (!tt_is_fewest_or_most(d))
        return;

    memset(out, 0, bytes);
    memset(w->kv.k, 0xff, w->kv_bytes);
    for (int r = 0, k = 1; r < n; r += k, k = k % 23 + 1) { /* later keys are still NaN */
        k = MU_MIN(k, n - r);
        store(d, w, r, k);
        attend(d, w, out, r, k);
    }
    tt_same_bits("in chunks", d, out, w->want, n * w->ldo);

    memset(out, 0, bytes);
    for (int r = 0; r < n; r++) /* later keys are there, and hidden */
        attend(d, w, out, r, 1);
    tt_same_bits("row by row", d, out, w->want, n * w->ldo);
}

static void try_setup(const struct setup *s, uint64_t seed)
{
    struct world w;
    make_world(&w, s, seed);
    float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
    w.want = want;
    store(tt_ref(), &w, 0, w.rows.n);
    attend(tt_ref(), &w, want, 0, w.rows.n);
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
    };
    for (size_t i = 0; i < MU_COUNT(s); i++)
        try_setup(&s[i], i + 1);
}

XT_TEST(windows)
{
    for (int window = 1; window <= 130; window = window * 3 + 2) {
        struct setup s = {.n_heads = 4, .n_kv_heads = 2, .dk = 16, .dv = 24, .window = window, .context = 140};
        s.dtype = window % 2 ? MU_F32 : MU_BF16;
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
}

XT_TEST(values_inside_keys)
{
    struct setup s = {.n_heads = 19, .n_kv_heads = 1, .dk = 72, .dv = 56, .is_v_in_k = true, .context = 77};
    for (int i = 0; i < 3; i++) {
        s.dtype = i == 0 ? MU_F32 : i == 1 ? MU_BF16 : MU_F16;
        try_setup(&s, 10 + (uint64_t)i);
    }
}

/* One row and few heads on several threads: tiles are split over them, in waves when the scratch is small. */
static void one_row(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    int last = w->s.context - 1;
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    attend(d, w, out, last, 1);
    tt_same_bits("a long row", d, out + last * w->ldo, w->want + last * w->ldo, w->ldo);
}

XT_TEST(long_context_splits_over_threads)
{
    struct setup s = {.n_heads = 2, .n_kv_heads = 1, .dk = 16, .dv = 20, .dtype = MU_F32, .context = 1500};
    for (int i = 0; i < 2; i++) {
        struct world w;
        s.window = i ? 700 : 0;
        make_world(&w, &s, 77);
        float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
        w.want = want;
        store(tt_ref(), &w, 0, w.rows.n);
        attend(tt_ref(), &w, want, s.context - 1, 1);
        check_row(&w, s.context - 1, 1);
        tt_each_device(one_row, &w);
        tt_free_all();
    }
}

static void waves(struct mu_device *big, void *arg)
{
    struct world *w = arg;
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = NULL;
    struct mu_cpu_opts o = {.level = big->ops->level, .n_threads = 4};
    XT_OK(mu_device_open_cpu(&d, &o, &err));
    /* context 1: what is left for the split holds three tiles, so that a row takes many waves */
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
    tt_same_bits("in waves", d, out, w->want + last * w->ldo, w->ldo);
    mu_device_close(d);
}

/* Heads [begin, end) of rows [first, first + n), which may begin and end inside groups, as a rank would hold them. */
static void attend_run(struct mu_device *d, const struct world *w, int begin, int end, int first, int n, float *out)
{
    struct mu_err err = MU_ERR_INIT;
    int group = w->s.n_heads / w->s.n_kv_heads, kv0 = begin / group;
    size_t skip = (size_t)kv0 * MU_KV_PAGE * (w->s.dtype == MU_F32 ? 4 : 2);
    struct mu_kv_layer kv = w->kv;
    struct mu_rows rows = w->rows;
    struct mu_attn a = w->a;

    kv.k = (char *)kv.k + skip * (size_t)kv.dk;
    kv.v = kv.v ? (char *)kv.v + skip * (size_t)kv.dv : NULL;
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
    XT_OK(d->ops->attention(d, &a, &kv, &rows, &err));
    for (int r = first; r < first + n; r++)
        tt_same_bits("a run of heads", d, out + r * w->ldo + begin * w->s.dv, w->want + r * w->ldo + begin * w->s.dv,
                     a.n_heads * w->s.dv);
}

static void runs_of_heads(struct mu_device *d, void *arg)
{
    struct world *w = arg;
    float *out = tt_alloc((size_t)(w->rows.n * w->ldo) * 4);
    memset(w->kv.k, 0xff, w->kv_bytes);
    store(d, w, 0, w->rows.n);
    for (int begin = 0; begin < w->s.n_heads; begin += 1 + begin / 2) {
        for (int end = w->s.n_heads; end > begin; end -= 1 + end / 3) {
            attend_run(d, w, begin, end, 0, w->rows.n, out);
            attend_run(d, w, begin, end, w->s.context - 1, 1, out); /* its tiles are split over threads */
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
    };
    for (size_t i = 0; i < MU_COUNT(s); i++) {
        struct world w;
        make_world(&w, &s[i], 90 + i);
        float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
        w.want = want;
        store(tt_ref(), &w, 0, w.rows.n);
        attend(tt_ref(), &w, want, 0, w.rows.n);
        tt_each_device(runs_of_heads, &w);
        tt_free_all();
    }
}

XT_TEST(small_scratch_takes_waves)
{
    struct setup s = {.n_heads = 2, .n_kv_heads = 1, .dk = 16, .dv = 20, .dtype = MU_F32, .context = 1000};
    struct world w;
    make_world(&w, &s, 78);
    float *want = tt_alloc((size_t)(w.rows.n * w.ldo) * 4);
    w.want = want;
    store(tt_ref(), &w, 0, w.rows.n);
    attend(tt_ref(), &w, want, s.context - 1, 1);
    tt_each_device(waves, &w);
    tt_free_all();
}

XT_MAIN()
