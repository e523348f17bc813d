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
#include "base/pool.h"
#include "tensor/ops.h"

#define SIDE         2048 /* of a matrix from memory */
#define SMALL_OUT    512  /* of one that stays in the caches */
#define SMALL_IN     1024
#define ROWS_MANY    64
#define ROWS_MOST    256 /* of a step */
#define COPIES_MAX   512
#define COPIES_BYTES ((size_t)256 << 20)
#define QUICK_BYTES  ((size_t)96 << 20)
#define COMPUTED     4 /* calls a round where computing takes longer than reading */
#define EMPTY_CALLS  1000

struct products {
    struct mu_calibration *c;
    struct mu_matrix w[COPIES_MAX];
    int n_copies;
    int64_t n_rows;
    float *x, *y, *source;
    void *block;
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

static void close_matrices(struct products *p)
{
    struct mu_device *d = p->c->dev;
    d->dev->free(d, p->block);
    p->block = NULL;
    p->n_copies = 0;
}

/* Equal matrices side by side: the first is packed, the others are copies of it. */
static int open_matrices(struct products *p, enum mu_wformat f, int64_t n_out, int64_t n_in, size_t bytes_all,
                         struct mu_err *e)
{
    struct mu_device *d = p->c->dev;
    size_t data, scales;
    if (p->c->is_quick)
        bytes_all = MU_MIN(bytes_all, QUICK_BYTES);
    mu_matrix_bytes(f, n_out, n_in, MU_TILE_K, &data, &scales);
    size_t one = data + scales;
    p->n_copies = (int)MU_MAX(1, MU_MIN(COPIES_MAX, bytes_all / one));
    MU_TRY_RETURN(take(d, &p->block, one * (size_t)p->n_copies, e));
    for (int i = 0; i < p->n_copies; i++) {
        char *at = (char *)p->block + (size_t)i * one;
        p->w[i] = (struct mu_matrix){.format = f, .n_out = n_out, .n_in = n_in, .tile_k = MU_TILE_K, .data = at};
        p->w[i].scale = scales ? (float *)(void *)(at + data) : NULL;
        if (i == 0)
            MU_TRY_RETURN(mu_matrix_pack(&p->w[0], 0, n_out, p->source, n_in, e));
        else
            memcpy(at, p->block, one);
    }
    return MU_OK;
}

static int run_product(void *arg, int64_t call, struct mu_err *e)
{
    struct products *p = arg;
    struct mu_device *d = p->c->dev;
    const struct mu_matrix *w = &p->w[call % p->n_copies];
    return d->ops->linear(d, p->y, w->n_out, p->x, w->n_in, p->n_rows, w, e);
}

static int time_rows(struct products *p, int64_t n_rows, double *seconds, struct mu_err *e)
{
    int64_t calls = n_rows >= ROWS_MANY / 4 ? COMPUTED : MU_MAX(p->n_copies, COMPUTED);
    p->n_rows = n_rows;
    return mu_calibrate_time(p->c, run_product, p, calls, seconds, e);
}

/* FLOP a second of many rows. */
static int measure_peak(struct products *p, enum mu_wformat f, double *flops, struct mu_err *e)
{
    double s = 1;
    int rc = MU_OK;
    MU_TRY(open_matrices(p, f, SIDE, SIDE, COPIES_BYTES, e));
    MU_TRY(time_rows(p, ROWS_MANY, &s, e));
    *flops = 2.0 * ROWS_MANY * SIDE * SIDE / s;
out:
    close_matrices(p);
    return rc;
}

/* Points of the curve on one matrix, or copies of it. */
static int measure_rows(struct products *p, int64_t n_out, int64_t n_in, size_t bytes_all, const int64_t *rows, int n,
                        struct mu_err *e)
{
    struct mu_device_spec *d = &p->c->machine.device;
    double s = 1;
    int rc = MU_OK;
    MU_TRY(open_matrices(p, MU_WBF16, n_out, n_in, bytes_all, e));
    for (int i = 0; i < n; i++) {
        MU_TRY(time_rows(p, rows[i], &s, e));
        double flop = 2.0 * (double)(rows[i] * n_out * n_in);
        s = MU_MAX(s - d->launch_s, 0.1 * s);
        mu_calibrate_point(&d->rows, (double)rows[i], flop / s / d->flops[MU_RATE_BF16]);
    }
out:
    close_matrices(p);
    return rc;
}

static int measure_all_rows(struct products *p, struct mu_err *e)
{
    static const int64_t few[] = {1, 2}, more[] = {3, 4, 5, 6, 7, 8, 10, 12, 13, 16, 24, 32, ROWS_MANY, 128, ROWS_MOST};
    MU_TRY_RETURN(measure_rows(p, SMALL_OUT, SMALL_IN, 0, few, MU_COUNT(few), e));
    return measure_rows(p, SIDE, SIDE, COPIES_BYTES, more, MU_COUNT(more), e);
}

/* What one row reads of the bandwidth, by the size of the matrix. */
static int measure_copies(struct products *p, struct mu_err *e)
{
    static const int64_t sides[] = {512, 1024, 2048};
    struct mu_device_spec *d = &p->c->machine.device;
    double rate[MU_COUNT(sides)];
    int rc = MU_OK;
    for (size_t i = 0; i < MU_COUNT(sides); i++) {
        double s = 1, bytes = 2.0 * (double)(sides[i] * sides[i]);
        MU_TRY(open_matrices(p, MU_WBF16, sides[i], sides[i], COPIES_BYTES, e));
        MU_TRY(time_rows(p, 1, &s, e));
        rate[i] = bytes / MU_MAX(s - d->launch_s, 0.1 * s);
        d->memory_rate = MU_MAX(d->memory_rate, rate[i]);
        close_matrices(p);
    }
    for (size_t i = 0; i < MU_COUNT(sides); i++)
        mu_calibrate_point(&d->copy, 2.0 * (double)(sides[i] * sides[i]), rate[i] / d->memory_rate);
out:
    close_matrices(p);
    return rc;
}

/* ---- fewer cores ---- */

/* One row read by so many threads: bytes a second. */
static int read_with(struct products *p, int threads, double *rate, struct mu_err *e)
{
    struct mu_device *all = p->c->dev, *few = NULL;
    double s = 1;
    int rc = MU_OK;
    MU_TRY(mu_device_open_default(&few, all->ops->level, threads, e));
    p->c->dev = few;
    MU_TRY(mu_device_reserve_work(few, few->ops->linear_work_bytes(few, MU_WBF16, 1, SIDE), e));
    MU_TRY(open_matrices(p, MU_WBF16, SIDE, SIDE, COPIES_BYTES, e));
    MU_TRY(time_rows(p, 1, &s, e));
    *rate = 2.0 * SIDE * SIDE / s;
out:
    close_matrices(p);
    p->c->dev = all;
    mu_device_close(few);
    return rc;
}

/* Doubling from one core to all. */
static int measure_reading(struct products *p, struct mu_err *e)
{
    struct mu_machine *m = &p->c->machine;
    double whole, part;
    m->host_cores = mu_pool_threads(p->c->dev->pool);
    if (m->host_cores == 1)
        return MU_OK;
    MU_TRY_RETURN(read_with(p, m->host_cores, &whole, e));
    for (int n = 1; n < m->host_cores; n *= 2) {
        MU_TRY_RETURN(read_with(p, n, &part, e));
        mu_calibrate_point(&m->reading, n, MU_MIN(part / whole, 1));
    }
    mu_calibrate_point(&m->reading, m->host_cores, 1);
    return MU_OK;
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

static int measure_launch(struct mu_calibration *c, struct mu_err *e)
{
    double s = 0;
    MU_TRY_RETURN(mu_calibrate_time(c, run_empty, c->dev->pool, 1, &s, e));
    c->machine.device.launch_s = s / EMPTY_CALLS;
    return MU_OK;
}

static int open_rows(struct products *p, struct mu_err *e)
{
    struct mu_device *d = p->c->dev;
    int64_t n = (int64_t)ROWS_MOST * SIDE;
    MU_TRY_RETURN(take(d, &p->x, (size_t)n * sizeof(float), e));
    MU_TRY_RETURN(take(d, &p->y, (size_t)n * sizeof(float), e));
    MU_TRY_RETURN(take(d, &p->source, (size_t)SIDE * SIDE * sizeof(float), e));
    random_fill(p->x, n);
    random_fill(p->source, (int64_t)SIDE * SIDE);
    size_t f32 = d->ops->linear_work_bytes(d, MU_WF32, ROWS_MOST, SIDE),
           int8 = d->ops->linear_work_bytes(d, MU_WINT8, ROWS_MOST, SIDE);
    return mu_device_reserve_work(d, MU_MAX(f32, int8), e);
}

int mu_calibrate_products(struct mu_calibration *c, struct mu_err *e)
{
    static const struct {
        enum mu_wformat format;
        enum mu_rate rate;
    } peaks[] = {{MU_WF32, MU_RATE_F32}, {MU_WBF16, MU_RATE_BF16}, {MU_WINT8, MU_RATE_INT8}};
    struct products p = {.c = c};
    struct mu_device *d = c->dev;
    int rc = MU_OK;

    MU_TRY(open_rows(&p, e));
    MU_TRY(mu_measure_read_bandwidth(d->pool, &c->machine.device.memory_rate, e));
    MU_TRY(measure_launch(c, e));
    for (size_t i = 0; i < MU_COUNT(peaks); i++)
        MU_TRY(measure_peak(&p, peaks[i].format, &c->machine.device.flops[peaks[i].rate], e));
    MU_TRY(measure_all_rows(&p, e));
    MU_TRY(measure_copies(&p, e));
    MU_TRY(measure_reading(&p, e));
out:
    d->dev->free(d, p.x);
    d->dev->free(d, p.y);
    d->dev->free(d, p.source);
    return rc;
}
