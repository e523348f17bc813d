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

static const int row_counts[] = {1, 4, 16, 64, ROWS_MAX};
#define N_COUNTS ((int)MU_COUNT(row_counts))

struct attention;

/* So many rows at the end of a context. */
struct attention_case {
    struct attention *of;
    struct mu_rows rows;
    int32_t pos[ROWS_MAX];
};

struct attention {
    struct mu_calibration *c;
    struct mu_attn a;
    struct mu_kv_layer kv;
    float *q, *out;
    int32_t *seq, *table;
    char *cache;
    struct attention_case at[N_COUNTS];
};

static int run_attention(void *arg, int64_t call, struct mu_err *e)
{
    struct attention_case *k = arg;
    struct mu_device *d = k->of->c->dev;
    (void)call;
    return d->ops->attention(d, &k->of->a, &k->of->kv, &k->rows, e);
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

static void set_case(struct attention *t, int i)
{
    struct attention_case *k = &t->at[i];
    int n = row_counts[i];
    k->of = t;
    for (int r = 0; r < n; r++)
        k->pos[r] = CONTEXT - n + r;
    k->rows = (struct mu_rows){n, k->pos, t->seq, t->table, CONTEXT / MU_KV_PAGE};
}

static double flop_of(const struct attention_case *k)
{
    double keys = 0;
    for (int r = 0; r < k->rows.n; r++)
        keys += k->pos[r] + 1;
    return 2 * keys * HEADS * (WIDTH + WIDTH);
}

int mu_calibrate_attention(struct mu_calibration *c, struct mu_err *e)
{
    struct attention t = {.c = c};
    struct mu_calibrate_case cases[N_COUNTS];
    struct mu_device *d = c->dev;
    struct mu_device_spec *spec = &c->machine.device;
    int rc = MU_OK;

    MU_TRY(open_attention(&t, e));
    for (int i = 0; i < N_COUNTS; i++) {
        set_case(&t, i);
        cases[i] = (struct mu_calibrate_case){.fn = run_attention, .arg = &t.at[i], .calls = CALLS};
    }
    MU_TRY(mu_calibrate_cases(c, cases, N_COUNTS, e));
    for (int i = 0; i < N_COUNTS; i++) {
        double s = MU_MAX(cases[i].seconds - spec->launch_s, 0.1 * cases[i].seconds);
        mu_calibrate_point(&spec->attention, row_counts[i], flop_of(&t.at[i]) / s / spec->flops[MU_RATE_BF16]);
    }
out:;
    void *all[] = {t.q, t.out, t.seq, t.table, t.cache};
    for (size_t i = 0; i < MU_COUNT(all); i++)
        d->dev->free(d, all[i]);
    return rc;
}
