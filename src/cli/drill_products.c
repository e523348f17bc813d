/* drill_products.c - products with all cores: the same bits again and again, and the calibrated rates (drill.h)
 *
 * What the fastest level computes is held against the plain one, which decides what is right, and then against itself
 * for a while, on all cores: a core that miscounts now and then shows so. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/calibrate.h"
#include "cli/drill.h"
#include "tensor/ops.h"

#define N_OUT    512
#define N_IN     1024
#define N_ROWS   16
#define AGAIN_NS 500000000ll

struct operands {
    struct mu_device *plain, *fast;
    struct mu_matrix w;
    float *source, *x, *want, *got;
};

static int open_operands(struct operands *p, struct mu_err *e)
{
    size_t data, scales;
    uint32_t s = 99;
    mu_matrix_bytes(MU_WF32, N_OUT, N_IN, MU_TILE_K, &data, &scales);
    MU_TRY_RETURN(mu_device_open_default(&p->plain, "ref", 0, e));
    MU_TRY_RETURN(mu_device_open_default(&p->fast, NULL, 0, e));
    p->w = (struct mu_matrix){.format = MU_WF32, .n_out = N_OUT, .n_in = N_IN, .tile_k = MU_TILE_K};
    char *block = NULL;
    MU_TRY_RETURN(MU_NEW_ARRAY(&block, data + scales, "a drill", e));
    p->w.data = block;
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->source, (size_t)N_OUT * N_IN, "a drill", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->x, N_ROWS * N_IN, "a drill", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->want, N_ROWS * N_OUT, "a drill", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->got, N_ROWS * N_OUT, "a drill", e));
    for (int i = 0; i < N_OUT * N_IN; i++)
        p->source[i] = (float)(int32_t)(s = s * 1664525u + 1013904223u) * 0x1p-31f;
    for (int i = 0; i < N_ROWS * N_IN; i++)
        p->x[i] = (float)(int32_t)(s = s * 1664525u + 1013904223u) * 0x1p-31f;
    MU_TRY_RETURN(mu_matrix_pack(&p->w, 0, N_OUT, p->source, N_IN, e));
    MU_TRY_RETURN(
        mu_device_reserve_work(p->plain, p->plain->ops->linear_work_bytes(p->plain, MU_WF32, N_ROWS, N_IN), e));
    return mu_device_reserve_work(p->fast, p->fast->ops->linear_work_bytes(p->fast, MU_WF32, N_ROWS, N_IN), e);
}

static void close_operands(struct operands *p)
{
    mu_device_close(p->plain);
    mu_device_close(p->fast);
    mu_free(p->w.data);
    mu_free(p->source);
    mu_free(p->x);
    mu_free(p->want);
    mu_free(p->got);
}

/* *n_done products, of which *n_wrong had other bits. */
static int compare(struct operands *p, int64_t *n_done, int64_t *n_wrong, struct mu_err *e)
{
    int64_t until = mu_now_ns(mu_clock_real()) + AGAIN_NS;
    MU_TRY_RETURN(p->plain->ops->linear(p->plain, p->want, N_OUT, p->x, N_IN, N_ROWS, &p->w, e));
    do {
        memset(p->got, 0, N_ROWS * N_OUT * sizeof(float));
        MU_TRY_RETURN(p->fast->ops->linear(p->fast, p->got, N_OUT, p->x, N_IN, N_ROWS, &p->w, e));
        *n_wrong += memcmp(p->got, p->want, N_ROWS * N_OUT * sizeof(float)) != 0;
        ++*n_done;
    } while (mu_now_ns(mu_clock_real()) < until);
    return MU_OK;
}

/* The rate that is worst against its baseline is the one told. */
static int time_products(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    static const char *const names[MU_RATE_N] = {
        [MU_RATE_F32] = "f32 products", [MU_RATE_BF16] = "bf16 products", [MU_RATE_INT8] = "int8 products"};
    struct mu_calibration c = {.clock = mu_clock_real(), .is_quick = true, .machine = {.nodes = 1, .devices = 1}};
    int worst = MU_RATE_F32;
    double least = 1e300;
    mu_progress_start(&c.progress, "drill", "turns");
    MU_TRY_RETURN(mu_device_open_default(&c.dev, NULL, 0, e));
    int rc = mu_calibrate_products(&c, e);
    for (int i = 0; rc == MU_OK && a->machine && i < MU_RATE_N; i++) {
        double base = a->machine->device.flops[i];
        if (names[i] && base > 0 && c.machine.device.flops[i] / base < least) {
            least = c.machine.device.flops[i] / base;
            worst = i;
        }
    }
    mu_device_close(c.dev);
    if (rc == MU_OK)
        mu_drill_rate(r, c.machine.device.flops[worst], a->machine ? a->machine->device.flops[worst] : 0, 1e9,
                      "GFLOP/s", names[worst]);
    return rc;
}

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    struct operands p = {0};
    int64_t n_done = 0, n_wrong = 0;
    int rc = open_operands(&p, e);
    if (rc == MU_OK)
        rc = compare(&p, &n_done, &n_wrong, e);
    close_operands(&p);
    if (rc == MU_OK && n_wrong > 0)
        return mu_drill_say(r, MU_DRILL_BROKEN, "%lld of %lld equal products had other bits: a core computes wrongly",
                            (long long)n_wrong, (long long)n_done);
    return rc == MU_OK ? time_products(a, r, e) : rc;
}

const struct mu_drill mu_drill_products = {.name = "products", .deadline_s = 120, .run = run};
