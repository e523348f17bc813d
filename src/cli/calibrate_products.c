/* calibrate_products.c - weights times rows
 *
 * The peak of a format is what a product of many rows reaches with weights that come from memory: operands rotate
 * through more copies than the caches hold. Fewer rows reach a part of it. With one or two rows reading would be
 * measured instead of computing, so these are taken on a matrix that stays in the caches. What a product of one row
 * reads of the bandwidth is the curve of copies; where it reads more than the bare loop did, that one was disturbed
 * and this is the bandwidth. With fewer cores than all it reads a part of that, which ranks of few threads share. */
#include "cli/calibrate.h"

#include <string.h>

#include "base/check.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"
#include "tensor/ops.h"

#define SIDE         2048 /* of a matrix from memory */
#define ROWS_MANY    64
#define ROWS_MOST    256 /* of a step */
#define COPIES_MAX   256
#define COPIES_BYTES ((size_t)128 << 20)
#define QUICK_BYTES  ((size_t)64 << 20)
#define COMPUTED     4 /* calls a round where computing takes longer than reading */
#define EMPTY_CALLS  1000
#define FEW_MAX      16 /* one core, two, four ... */

enum kind { FROM_F32, FROM_BF16, FROM_INT8, CACHED, HALF, QUARTER, N_KINDS };

static const struct {
    enum mu_wformat format;
    int64_t n_out, n_in;
    bool is_one; /* stays in the caches */
} shapes[N_KINDS] = {
    [FROM_F32] = {MU_WF32, SIDE, SIDE, false},      [FROM_BF16] = {MU_WBF16, SIDE, SIDE, false},
    [FROM_INT8] = {MU_WINT8, SIDE, SIDE, false},    [CACHED] = {MU_WBF16, 512, 1024, true},
    [HALF] = {MU_WBF16, SIDE / 2, SIDE / 2, false}, [QUARTER] = {MU_WBF16, SIDE / 4, SIDE / 4, false},
};

/* What is timed with all cores; every number below comes from these. */
static const struct {
    enum kind kind;
    int64_t n_rows;
} timed[] = {
    {FROM_F32, ROWS_MANY}, {FROM_INT8, ROWS_MANY},
    {QUARTER, 1},          {HALF, 1},
    {FROM_BF16, 1},        {CACHED, 1},
    {CACHED, 2},           {FROM_BF16, 3},
    {FROM_BF16, 4},        {FROM_BF16, 5},
    {FROM_BF16, 6},        {FROM_BF16, 7},
    {FROM_BF16, 8},        {FROM_BF16, 10},
    {FROM_BF16, 12},       {FROM_BF16, 13},
    {FROM_BF16, 16},       {FROM_BF16, 24},
    {FROM_BF16, 32},       {FROM_BF16, ROWS_MANY},
    {FROM_BF16, 128},      {FROM_BF16, ROWS_MOST},
};
#define N_TIMED ((int)MU_COUNT(timed))

/* Equal matrices side by side. */
struct copies {
    struct mu_matrix w[COPIES_MAX];
    int n;
    void *block;
};

struct product {
    struct mu_device *d;
    const struct copies *of;
    const float *x;
    float *y;
    int64_t n_rows;
};

struct products {
    struct mu_calibration *c;
    struct copies copies[N_KINDS];
    struct mu_device *few[FEW_MAX]; /* of 1, 2, 4 ... threads, less than all */
    int n_few;
    struct product product[N_TIMED + FEW_MAX];
    struct mu_calibrate_case cases[N_TIMED + FEW_MAX + 1]; /* products, those of few threads, the empty operation */
    float *x, *y, *source;
};

static int take(struct mu_device *d, void *out, size_t bytes, struct mu_err *e)
{
    return d->dev->alloc(d, out, bytes, "a calibration", e);
}

static void random_fill(float *x, int64_t n)
{
    uint32_t s = 12345;
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)s * 0x1p-31f;
    }
}

/* ---- operands ---- */

/* The first is packed, the others are copies of it. */
static int open_copies(struct products *p, enum kind kind, struct mu_err *e)
{
    struct copies *c = &p->copies[kind];
    enum mu_wformat f = shapes[kind].format;
    int64_t n_out = shapes[kind].n_out, n_in = shapes[kind].n_in;
    size_t data, scales, all = p->c->is_quick ? QUICK_BYTES : COPIES_BYTES;
    mu_matrix_bytes(f, n_out, n_in, MU_TILE_K, &data, &scales);
    size_t one = data + scales;
    c->n = shapes[kind].is_one ? 1 : (int)MU_MAX(1, MU_MIN(COPIES_MAX, all / one));
    MU_TRY_RETURN(take(p->c->dev, &c->block, one * (size_t)c->n, e));
    for (int i = 0; i < c->n; i++) {
        char *at = (char *)c->block + (size_t)i * one;
        c->w[i] = (struct mu_matrix){.format = f, .n_out = n_out, .n_in = n_in, .tile_k = MU_TILE_K, .data = at};
        c->w[i].scale = scales ? (float *)(void *)(at + data) : NULL;
        if (i == 0)
            MU_TRY_RETURN(mu_matrix_pack(&c->w[0], 0, n_out, p->source, n_in, e));
        else
            memcpy(at, c->block, one);
    }
    return MU_OK;
}

static int open_operands(struct products *p, struct mu_err *e)
{
    struct mu_device *d = p->c->dev;
    int64_t n = (int64_t)ROWS_MOST * SIDE;
    MU_TRY_RETURN(take(d, &p->x, (size_t)n * sizeof(float), e));
    MU_TRY_RETURN(take(d, &p->y, (size_t)n * sizeof(float), e));
    MU_TRY_RETURN(take(d, &p->source, (size_t)SIDE * SIDE * sizeof(float), e));
    random_fill(p->x, n);
    random_fill(p->source, (int64_t)SIDE * SIDE);
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        MU_TRY_RETURN(open_copies(p, kind, e));
    size_t f32 = d->ops->linear_work_bytes(d, MU_WF32, ROWS_MOST, SIDE),
           int8 = d->ops->linear_work_bytes(d, MU_WINT8, ROWS_MOST, SIDE);
    return mu_device_reserve_work(d, MU_MAX(f32, int8), e);
}

static int open_few(struct products *p, struct mu_err *e)
{
    struct mu_device *all = p->c->dev;
    for (int threads = 1; threads < mu_pool_threads(all->pool) && p->n_few < FEW_MAX; threads *= 2) {
        struct mu_device **d = &p->few[p->n_few];
        MU_TRY_RETURN(mu_device_open_default(d, all->ops->level, threads, e));
        p->n_few++;
        MU_TRY_RETURN(mu_device_reserve_work(*d, (*d)->ops->linear_work_bytes(*d, MU_WBF16, 1, SIDE), e));
    }
    return MU_OK;
}

static void close_all(struct products *p)
{
    struct mu_device *d = p->c->dev;
    for (int i = 0; i < p->n_few; i++)
        mu_device_close(p->few[i]);
    for (int i = 0; i < N_KINDS; i++)
        d->dev->free(d, p->copies[i].block);
    d->dev->free(d, p->x);
    d->dev->free(d, p->y);
    d->dev->free(d, p->source);
}

/* ---- cases ---- */

static int run_product(void *arg, int64_t call, struct mu_err *e)
{
    const struct product *p = arg;
    const struct mu_matrix *w = &p->of->w[call % p->of->n];
    return p->d->ops->linear(p->d, p->y, w->n_out, p->x, w->n_in, p->n_rows, w, e);
}

static void nothing(void *arg, int64_t begin, int64_t end, int worker)
{
    (void)arg, (void)begin, (void)end, (void)worker;
}

static int run_empty(void *arg, int64_t call, struct mu_err *e)
{
    struct mu_pool *pool = arg;
    (void)call, (void)e;
    for (int i = 0; i < EMPTY_CALLS; i++)
        mu_pool_for(pool, mu_pool_threads(pool), 1, nothing, NULL);
    return MU_OK;
}

static void add_product(struct products *p, int i, struct mu_device *d, enum kind kind, int64_t n_rows)
{
    const struct copies *of = &p->copies[kind];
    int64_t calls = n_rows >= ROWS_MANY / 4 ? COMPUTED : MU_MAX(of->n, COMPUTED);
    p->product[i] = (struct product){d, of, p->x, p->y, n_rows};
    p->cases[i] = (struct mu_calibrate_case){.fn = run_product, .arg = &p->product[i], .calls = calls};
}

static int time_all(struct products *p, struct mu_err *e)
{
    int n = N_TIMED + p->n_few;
    for (int i = 0; i < N_TIMED; i++)
        add_product(p, i, p->c->dev, timed[i].kind, timed[i].n_rows);
    for (int i = 0; i < p->n_few; i++)
        add_product(p, N_TIMED + i, p->few[i], FROM_BF16, 1);
    p->cases[n] = (struct mu_calibrate_case){.fn = run_empty, .arg = p->c->dev->pool, .calls = 1};
    MU_TRY_RETURN(mu_calibrate_cases(p->c, p->cases, n + 1, e));
    p->c->machine.device.launch_s = p->cases[n].seconds / EMPTY_CALLS;
    return MU_OK;
}

/* ---- numbers ---- */

/* Without starting the operation. */
static double seconds_of(const struct products *p, int i)
{
    double s = p->cases[i].seconds;
    return MU_MAX(s - p->c->machine.device.launch_s, 0.1 * s);
}

static double flop_rate(const struct products *p, int i)
{
    enum kind kind = timed[i].kind;
    return 2.0 * (double)(timed[i].n_rows * shapes[kind].n_out * shapes[kind].n_in) / seconds_of(p, i);
}

/* Of bf16 weights times one row. */
static double read_rate(const struct products *p, int i)
{
    return 2.0 * (double)(shapes[timed[i].kind].n_out * shapes[timed[i].kind].n_in) / seconds_of(p, i);
}

static int find(enum kind kind, int64_t n_rows)
{
    int i = 0;
    while (timed[i].kind != kind || timed[i].n_rows != n_rows)
        i++;
    return i;
}

static void fill_rates(struct products *p)
{
    struct mu_device_spec *d = &p->c->machine.device;
    d->flops[MU_RATE_F32] = flop_rate(p, find(FROM_F32, ROWS_MANY));
    d->flops[MU_RATE_BF16] = flop_rate(p, find(FROM_BF16, ROWS_MANY));
    d->flops[MU_RATE_INT8] = flop_rate(p, find(FROM_INT8, ROWS_MANY));
    for (int i = 0; i < N_TIMED; i++)
        if (timed[i].kind == CACHED || (timed[i].kind == FROM_BF16 && timed[i].n_rows > 1))
            mu_calibrate_point(&d->rows, (double)timed[i].n_rows, flop_rate(p, i) / d->flops[MU_RATE_BF16]);
}

/* What one row reads of the bandwidth, by the size of the matrix. */
static void fill_copies(struct products *p)
{
    static const enum kind kinds[] = {QUARTER, HALF, FROM_BF16};
    struct mu_device_spec *d = &p->c->machine.device;
    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        d->memory_rate = MU_MAX(d->memory_rate, read_rate(p, find(kinds[i], 1)));
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        int at = find(kinds[i], 1);
        double bytes = 2.0 * (double)(shapes[kinds[i]].n_out * shapes[kinds[i]].n_in);
        mu_calibrate_point(&d->copy, bytes, read_rate(p, at) / d->memory_rate);
    }
}

/* One row read by fewer cores, against all of them. */
static void fill_reading(struct products *p)
{
    struct mu_machine *m = &p->c->machine;
    double all = p->cases[find(FROM_BF16, 1)].seconds;
    m->host_cores = mu_pool_threads(p->c->dev->pool);
    for (int i = 0; i < p->n_few; i++)
        mu_calibrate_point(&m->reading, 1 << i, MU_MIN(all / p->cases[N_TIMED + i].seconds, 1));
    if (p->n_few > 0)
        mu_calibrate_point(&m->reading, m->host_cores, 1);
}

int mu_calibrate_products(struct mu_calibration *c, struct mu_err *e)
{
    struct products *p = NULL;
    int rc = MU_OK;

    MU_TRY_RETURN(MU_NEW(&p, "a calibration", e));
    p->c = c;
    MU_TRY(open_operands(p, e));
    MU_TRY(open_few(p, e));
    MU_TRY(mu_measure_read_bandwidth(c->dev->pool, &c->machine.device.memory_rate, e));
    MU_TRY(time_all(p, e));
    fill_rates(p);
    fill_copies(p);
    fill_reading(p);
out:
    close_all(p);
    mu_free(p);
    return rc;
}
