/* calibrate_attention.c - scores and values of one layer, by the rows of a sequence that run together */
#include "cli/calibrate.h"

#include <string.h>

#include "base/check.h"
#include "tensor/ops.h"

#define CONTEXT  512
#define HEADS    8
#define KV_HEADS 2
#define WIDTH    64
#define ROWS_MAX 256
#define CALLS    4 /* a round */

struct attention {
    struct mu_calibration *c;
    struct mu_attn a;
    struct mu_kv_layer kv;
    struct mu_rows rows;
    float *q, *out;
    int32_t *pos, *seq, *table;
    char *cache;
};

static int run_attention(void *arg, int64_t call, struct mu_err *e)
{
    struct attention *t = arg;
    struct mu_device *d = t->c->dev;
    (void)call;
    return d->ops->attention(d, &t->a, &t->kv, &t->rows, e);
}

static int take(struct mu_device *d, void *out, size_t bytes, struct mu_err *e)
{
    return d->dev->alloc(d, out, bytes, "a calibration", e);
}

static int open_attention(struct attention *t, struct mu_err *e)
{
    struct mu_device *d = t->c->dev;
    size_t part = (size_t)KV_HEADS * WIDTH * MU_KV_PAGE * sizeof(float), pages = CONTEXT / MU_KV_PAGE;
    MU_TRY_RETURN(take(d, &t->q, (size_t)ROWS_MAX * HEADS * WIDTH * sizeof(float), e));
    MU_TRY_RETURN(take(d, &t->out, (size_t)ROWS_MAX * HEADS * WIDTH * sizeof(float), e));
    MU_TRY_RETURN(take(d, &t->pos, ROWS_MAX * sizeof(int32_t), e));
    MU_TRY_RETURN(take(d, &t->seq, ROWS_MAX * sizeof(int32_t), e));
    MU_TRY_RETURN(take(d, &t->table, pages * sizeof(int32_t), e));
    MU_TRY_RETURN(take(d, &t->cache, pages * 2 * part, e));
    for (size_t i = 0; i < pages; i++)
        t->table[i] = (int32_t)i;
    t->kv = (struct mu_kv_layer){.dtype = MU_F32,
                                 .n_kv_heads = KV_HEADS,
                                 .dk = WIDTH,
                                 .dv = WIDTH,
                                 .k = t->cache,
                                 .v = t->cache + part,
                                 .page_stride = 2 * part};
    t->a = (struct mu_attn){
        .q = t->q, .ldq = HEADS * WIDTH, .out = t->out, .ldo = HEADS * WIDTH, .n_heads = HEADS, .scale = 0.125f};
    return mu_device_reserve_work(d, d->ops->attention_work_bytes(d, HEADS, WIDTH, WIDTH, ROWS_MAX, CONTEXT), e);
}

/* n rows at the end of a context. */
static int measure(struct attention *t, int n, double *flops, struct mu_err *e)
{
    double keys = 0, s = 1;
    for (int i = 0; i < n; i++) {
        t->pos[i] = CONTEXT - n + i;
        keys += t->pos[i] + 1;
    }
    t->rows = (struct mu_rows){n, t->pos, t->seq, t->table, CONTEXT / MU_KV_PAGE};
    MU_TRY_RETURN(mu_calibrate_time(t->c, run_attention, t, CALLS, &s, e));
    *flops = 2 * keys * HEADS * (WIDTH + WIDTH) / MU_MAX(s - t->c->machine.device.launch_s, 0.1 * s);
    return MU_OK;
}

int mu_calibrate_attention(struct mu_calibration *c, struct mu_err *e)
{
    static const int rows[] = {1, 4, 16, 64, 256};
    struct attention t = {.c = c};
    struct mu_device *d = c->dev;
    struct mu_device_spec *spec = &c->machine.device;
    int rc = MU_OK;

    MU_TRY(open_attention(&t, e));
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        double flops = 0;
        MU_TRY(measure(&t, rows[i], &flops, e));
        mu_calibrate_point(&spec->attention, rows[i], flops / spec->flops[MU_RATE_BF16]);
    }
out:;
    void *all[] = {t.q, t.out, t.pos, t.seq, t.table, t.cache};
    for (size_t i = 0; i < MU_COUNT(all); i++)
        d->dev->free(d, all[i]);
    return rc;
}
