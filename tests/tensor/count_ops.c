/* count_ops.c - fixed operator cases for instructions.sh: callgrind counts what count_case() and its callees execute
 *
 *   count_ops LEVEL [NAME]   every case (of the tests whose names contain NAME) once, on one thread
 *   count_ops --about        the compiler, and "plain" if counts of this build mean anything
 *
 * Before a case runs it prints "# case NAME WORK": WORK multiply-adds of a product or of attention, else elements. */
#include "tensor_test.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

static const char *level = "auto";

/* ---- counting ---- */

typedef int (*case_fn)(struct mu_device *d, void *arg, struct mu_err *e);

static int count_case(case_fn fn, struct mu_device *d, void *arg, struct mu_err *e)
{
    volatile int rc = fn(d, arg, e); /* volatile: the call is no jump out of here */
    return rc;
}

/* Called through memory: neither inlined nor cloned under another name. */
static int (*volatile counted)(case_fn, struct mu_device *, void *, struct mu_err *) = count_case;

static struct mu_device *device(void)
{
    for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
        if (strcmp((*l)->level, level) == 0 && !(*l)->is_available())
            xt_skip("level %s: this CPU, or valgrind's, has no %s", level, (*l)->missing());
    }
    return tt_device(level, 1);
}

/* The first call, which is not counted, binds library functions. */
__attribute__((format(printf, 4, 5))) static void count(case_fn fn, void *arg, double work, const char *name, ...)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = device();
    char text[64];
    va_list ap;
    va_start(ap, name);
    vsnprintf(text, sizeof text, name, ap);
    va_end(ap);
    XT_OK(fn(d, arg, &err));
    xt_note("case %s %.0f", text, work);
    XT_OK(counted(fn, d, arg, &err));
}

static float *random_of(uint64_t seed, int64_t n)
{
    return tt_random(&seed, n, 1);
}

/* ---- products ---- */

#define OUT 256
#define IN  512

struct product {
    struct mu_matrix w;
    const float *x;
    float *y;
    int64_t n;
};

static int run_linear(struct mu_device *d, void *arg, struct mu_err *e)
{
    const struct product *p = arg;
    return d->ops->linear(d, p->y, OUT, p->x, IN, p->n, &p->w, e);
}

XT_TEST(linear)
{
    static const enum mu_wformat formats[] = {MU_WBF16, MU_WINT8, MU_WINT4};
    static const int64_t rows[] = {1, 4, 8, 64};
    for (size_t f = 0; f < MU_COUNT(formats); f++) {
        struct product p = {.w = tt_matrix(formats[f], OUT, IN, MU_TILE_K, random_of(1, OUT * IN), NULL)};
        p.x = random_of(2, 64 * IN);
        p.y = tt_alloc(64 * OUT * sizeof(float));
        tt_reserve(device(), device()->ops->linear_work_bytes(device(), formats[f], 64, IN));
        for (size_t i = 0; i < MU_COUNT(rows); i++) {
            p.n = rows[i];
            count(run_linear, &p, (double)(p.n * OUT * IN), "linear.%s.%d", mu_wformat_name(formats[f]), (int)p.n);
        }
        tt_free_all();
    }
}

/* ---- attention ---- */

enum { HEADS = 8, KV_HEADS = 2, HEAD = 64, CONTEXT = 256, PREFILL = 32, PAGES = CONTEXT / MU_KV_PAGE };

struct attending {
    struct mu_attn a;
    struct mu_kv_layer kv;
    struct mu_rows rows;
};

static int run_attention(struct mu_device *d, void *arg, struct mu_err *e)
{
    const struct attending *t = arg;
    return d->ops->attention(d, &t->a, &t->kv, &t->rows, e);
}

/* The last n rows of one sequence that fills the cache. */
static void count_attention(enum mu_dtype dtype, int n, const char *kind)
{
    size_t part = KV_HEADS * mu_kv_head_bytes(dtype, HEAD);
    int32_t *table = tt_alloc(PAGES * sizeof *table), *seq = tt_alloc(CONTEXT * sizeof *seq);
    int32_t *pos = tt_alloc(CONTEXT * sizeof *pos);
    char *memory = tt_alloc(2 * part * PAGES);
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d = device();
    double keys = 0;
    for (int t = 0; t < CONTEXT; t++)
        pos[t] = t;
    for (int p = 0; p < PAGES; p++)
        table[p] = p;
    for (int r = CONTEXT - n; r < CONTEXT; r++)
        keys += r + 1;
    struct attending t = {
        .a = {.q = random_of(3, (int64_t)n * HEADS * HEAD),
              .ldq = HEADS * HEAD,
              .out = tt_alloc((size_t)(n * HEADS * HEAD) * sizeof(float)),
              .ldo = HEADS * HEAD,
              .n_heads = HEADS,
              .scale = 0.125f},
        .kv = {dtype, KV_HEADS, HEAD, HEAD, .k = memory, .v = memory + part, .page_stride = 2 * part},
        .rows = {CONTEXT, pos, seq, table, PAGES},
    };
    const float *kv = random_of(4, CONTEXT * KV_HEADS * HEAD);
    XT_OK(d->ops->kv_store(d, &t.kv, &t.rows, kv, KV_HEADS * HEAD, kv, KV_HEADS * HEAD, &err));
    tt_reserve(d, d->ops->attention_work_bytes(d, HEADS, HEAD, HEAD, n, CONTEXT));
    t.rows = (struct mu_rows){n, pos + CONTEXT - n, seq, table, PAGES};
    count(run_attention, &t, keys * HEADS * 2 * HEAD, "attention.%s.%s", kind, mu_kv_type_name(dtype));
    tt_free_all();
}

XT_TEST(attention)
{
    static const enum mu_dtype types[] = {MU_F32, MU_BF16, MU_I8};
    for (size_t i = 0; i < MU_COUNT(types); i++) {
        count_attention(types[i], 1, "decode");
        count_attention(types[i], PREFILL, "prefill");
    }
}

/* ---- rows ---- */

enum { ROWS = 8, WIDTH = 2048, ROPE_HEADS = WIDTH / HEAD };

struct wide {
    float *x, *y, *w;
    int32_t pos[ROWS], argmax[ROWS];
    double lse[ROWS];
};

static int run_rmsnorm(struct mu_device *d, void *arg, struct mu_err *e)
{
    const struct wide *r = arg;
    return d->ops->rmsnorm(d, r->y, WIDTH, r->x, WIDTH, r->w, 0, 1e-5f, ROWS, WIDTH, e);
}

static int run_rope(struct mu_device *d, void *arg, struct mu_err *e)
{
    const struct wide *r = arg;
    return d->ops->rope(d, r->x, WIDTH, HEAD, ROPE_HEADS, HEAD, MU_ROPE_HALF, r->w, r->pos, ROWS, e);
}

static int run_silu_mul(struct mu_device *d, void *arg, struct mu_err *e)
{
    const struct wide *r = arg;
    return d->ops->act_mul(d, r->y, WIDTH, r->x, WIDTH, r->x, WIDTH, MU_ACT_SILU, ROWS, WIDTH, e);
}

static int run_logsumexp(struct mu_device *d, void *arg, struct mu_err *e)
{
    struct wide *r = arg;
    return d->ops->logsumexp(d, r->x, WIDTH, ROWS, WIDTH, r->argmax, r->lse, e);
}

XT_TEST(rows)
{
    struct wide r = {.x = random_of(5, ROWS * WIDTH), .y = tt_alloc(ROWS * WIDTH * sizeof(float))};
    double elements = ROWS * WIDTH;
    r.w = random_of(6, WIDTH); /* of a norm, or a rotary table of few positions */
    for (int i = 0; i < ROWS; i++)
        r.pos[i] = i;
    count(run_rmsnorm, &r, elements, "rmsnorm");
    count(run_rope, &r, elements, "rope");
    count(run_silu_mul, &r, elements, "silu_mul");
    count(run_logsumexp, &r, elements, "logsumexp");
    tt_free_all();
}

/* ---- the program ---- */

static void about(void)
{
#if defined(__clang__)
    printf("clang-%d", __clang_major__);
#else
    printf("gcc-%d", __GNUC__);
#endif
#if !defined(__OPTIMIZE__)
    printf(" unoptimised\n");
#elif defined(__SANITIZE_ADDRESS__) || XT_TSAN
    printf(" sanitized\n");
#else
    printf(" plain\n");
#endif
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--about") == 0) {
        about();
        return 0;
    }
    level = argc > 1 ? argv[1] : level;
    return xt_main(argc - 1, argv + 1);
}
