/* bench_ops.c - how near the operators come to what this machine can do
 *
 *   bench_ops [LEVEL [THREADS [NAME]]]     default: auto, all cores, every operator
 *
 * NAME is a part of an operator's name, or of "linear,FORMAT". Prints one CSV line a case: operator, format, shape,
 * microseconds (best of several), GB/s and Gflop/s, and the share of the read bandwidth and of the f32 multiply-add
 * rate measured at start with the same threads. Weights rotate through more memory than the caches hold, so that
 * one-row products read them from memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/pool.h"
#include "tensor/ops.h"

#define COPIES_BYTES ((size_t)384 << 20)
#define PASS_NS      400000000 /* a case runs at least this long */

static struct mu_device *dev;
static double bandwidth, fma_rate, int8_rate;
static const char *filter = "";

static void must(int rc, const struct mu_err *e)
{
    if (rc == MU_OK)
        return;
    fprintf(stderr, "bench_ops: %s\n", e->text);
    exit(mu_code_exit_status(rc));
}

static void *device_memory(size_t bytes)
{
    struct mu_err e = MU_ERR_INIT;
    void *p;
    must(dev->dev->alloc(dev, &p, bytes, "a benchmark", &e), &e);
    return p;
}

static float *random_floats(int64_t n)
{
    float *x = device_memory((size_t)n * sizeof(float));
    uint32_t s = 12345;
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)s * 0x1p-31f;
    }
    return x;
}

/* Seconds of the fastest call; fn gets the number of the call. */
static double best(void (*fn)(void *arg, int64_t call), void *arg)
{
    struct mu_clock *c = mu_clock_real();
    double seconds = 1e9;
    int64_t start = mu_now_ns(c), now = start;
    for (int64_t call = 0; call < 3 || now - start < PASS_NS; call++) {
        int64_t t = mu_now_ns(c);
        fn(arg, call);
        now = mu_now_ns(c);
        seconds = MU_MIN(seconds, (double)(now - t) * 1e-9);
    }
    return seconds;
}

static void line(const char *op, const char *format, const char *shape, double s, double bytes, double flop)
{
    double rate = strcmp(op, "linear") == 0 && strncmp(format, "int", 3) == 0 ? int8_rate : fma_rate;
    printf("%s,%s,%s,%.1f,%.2f,%.1f,%.0f%%,%.0f%%\n", op, format, shape, s * 1e6, bytes / s * 1e-9, flop / s * 1e-9,
           100 * bytes / s / bandwidth, 100 * flop / s / rate);
    fflush(stdout);
}

struct linear_case {
    struct mu_matrix *w; /* [copies] */
    int64_t copies, n;
    float *x, *y;
};

static void run_linear(void *arg, int64_t call)
{
    struct linear_case *c = arg;
    struct mu_err e = MU_ERR_INIT;
    const struct mu_matrix *w = &c->w[call % c->copies];
    must(dev->ops->linear(dev, c->y, w->n_out, c->x, w->n_in, c->n, w, &e), &e);
}

static void bench_linear(enum mu_wformat f, int64_t n_out, int64_t n_in)
{
    static const int64_t rows[] = {1, 2, 4, 8, 14, 32, 128, 512};
    struct mu_err e = MU_ERR_INIT;
    struct mu_matrix w[64];
    size_t data, scales;
    float *source = random_floats(n_out * n_in), *x = random_floats(512 * n_in);
    struct linear_case c = {.w = w, .x = x, .y = device_memory((size_t)(512 * n_out) * sizeof(float))};
    mu_matrix_bytes(f, n_out, n_in, MU_TILE_K, &data, &scales);
    c.copies = MU_MAX(1, MU_MIN(64, (int64_t)(COPIES_BYTES / data)));
    for (int64_t i = 0; i < c.copies; i++) {
        w[i] = (struct mu_matrix){.format = f, .n_out = n_out, .n_in = n_in, .tile_k = MU_TILE_K};
        w[i].data = device_memory(data);
        w[i].scale = scales ? device_memory(scales) : NULL;
        if (i == 0) {
            must(mu_matrix_pack(&w[0], 0, n_out, source, n_in, &e), &e);
            continue;
        }
        memcpy(w[i].data, w[0].data, data);
        if (scales)
            memcpy(w[i].scale, w[0].scale, scales);
    }
    must(mu_device_reserve_work(dev, dev->ops->linear_work_bytes(dev, f, 512, n_in), &e), &e);
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        char shape[96];
        c.n = rows[i];
        snprintf(shape, sizeof shape, "%" PRId64 "x%" PRId64 "x%" PRId64, c.n, n_in, n_out);
        double s = best(run_linear, &c);
        line("linear", mu_wformat_name(f), shape, s, (double)(data + scales), 2.0 * (double)(c.n * n_in * n_out));
    }
    for (int64_t i = 0; i < c.copies; i++) {
        dev->dev->free(dev, w[i].data);
        dev->dev->free(dev, w[i].scale);
    }
    dev->dev->free(dev, source);
    dev->dev->free(dev, x);
    dev->dev->free(dev, c.y);
}

struct attn_case {
    struct mu_attn a;
    struct mu_kv_layer kv;
    struct mu_rows rows;
};

static void run_attention(void *arg, int64_t call)
{
    struct attn_case *c = arg;
    struct mu_err e = MU_ERR_INIT;
    (void)call;
    must(dev->ops->attention(dev, &c->a, &c->kv, &c->rows, &e), &e);
}

/* n rows at the end of a context of one sequence. */
static void bench_attention(enum mu_dtype t, int heads, int kv_heads, int dk, int dv, bool is_v_in_k, int context,
                            int n)
{
    struct mu_err e = MU_ERR_INIT;
    int pages = context / MU_KV_PAGE + 1;
    size_t elem = t == MU_F32 ? 4 : 2;
    size_t k_bytes = (size_t)(kv_heads * dk * MU_KV_PAGE) * elem;
    size_t v_bytes = is_v_in_k ? 0 : (size_t)(kv_heads * dv * MU_KV_PAGE) * elem;
    int32_t *table = device_memory((size_t)pages * 4), *pos = device_memory((size_t)n * 4);
    int32_t *seq = device_memory((size_t)n * 4);
    char *memory = device_memory((size_t)pages * (k_bytes + v_bytes)), shape[96];
    for (int i = 0; i < pages; i++)
        table[i] = i;
    double keys = 0;
    for (int i = 0; i < n; i++) {
        pos[i] = context - n + i;
        keys += pos[i] + 1;
    }
    struct attn_case c = {
        .a = {.q = random_floats((int64_t)n * heads * dk),
              .ldq = (int64_t)heads * dk,
              .ldo = (int64_t)heads * dv,
              .n_heads = heads,
              .scale = 0.1f},
        .kv = {.dtype = t,
               .n_kv_heads = kv_heads,
               .dk = dk,
               .dv = dv,
               .is_v_in_k = is_v_in_k,
               .k = memory,
               .v = is_v_in_k ? NULL : memory + k_bytes,
               .page_stride = k_bytes + v_bytes},
        .rows = {n, pos, seq, table, pages},
    };
    c.a.out = device_memory((size_t)n * (size_t)(heads * dv) * sizeof(float));
    must(mu_device_reserve_work(dev, dev->ops->attention_work_bytes(dev, heads, dk, dv, n, context), &e), &e);
    snprintf(shape, sizeof shape, "n%d ctx%d h%d/%d d%d/%d%s", n, context, heads, kv_heads, dk, dv,
             is_v_in_k ? " latent" : "");
    double s = best(run_attention, &c);
    line("attention", mu_dtype_name(t), shape, s, (double)pages * (double)(k_bytes + v_bytes),
         2.0 * keys * heads * (dk + dv));
    void *all[] = {table, pos, seq, memory, (void *)(uintptr_t)c.a.q, c.a.out};
    for (size_t i = 0; i < MU_COUNT(all); i++)
        dev->dev->free(dev, all[i]);
}

struct row_case {
    const char *op;
    float *x, *y, *w;
    int64_t n, D;
    int32_t argmax[64];
    double lse[64];
};

static void run_rows(void *arg, int64_t call)
{
    struct row_case *c = arg;
    const struct mu_ops *o = dev->ops;
    struct mu_err e = MU_ERR_INIT;
    int64_t n = c->n, D = c->D;
    (void)call;
    if (strcmp(c->op, "rmsnorm") == 0)
        must(o->rmsnorm(dev, c->y, D, c->x, D, c->w, 0, 1e-5f, n, D, &e), &e);
    else if (strcmp(c->op, "layernorm") == 0)
        must(o->layernorm(dev, c->y, D, c->x, D, c->w, c->w, 1e-5f, n, D, &e), &e);
    else if (strcmp(c->op, "silu_mul") == 0)
        must(o->act_mul(dev, c->y, D, c->x, D, c->x, D, MU_ACT_SILU, n, D, &e), &e);
    else if (strcmp(c->op, "gelu") == 0)
        must(o->act(dev, c->y, D, c->x, D, MU_ACT_GELU, n, D, &e), &e);
    else if (strcmp(c->op, "add") == 0)
        must(o->add(dev, c->y, D, c->x, D, c->y, D, n, D, &e), &e);
    else
        must(o->logsumexp(dev, c->x, D, n, D, c->argmax, c->lse, &e), &e);
}

static void bench_rows(const char *op, int64_t n, int64_t D, double bytes_an_element)
{
    char shape[64];
    struct row_case c = {.op = op, .n = n, .D = D};
    if (!strstr(op, filter))
        return;
    c.x = random_floats(n * D);
    c.y = random_floats(n * D);
    c.w = random_floats(D);
    snprintf(shape, sizeof shape, "%" PRId64 "x%" PRId64, n, D);
    double s = best(run_rows, &c);
    line(op, "f32", shape, s, bytes_an_element * (double)(n * D), 0);
    dev->dev->free(dev, c.x);
    dev->dev->free(dev, c.y);
    dev->dev->free(dev, c.w);
}

static void bench_all(void)
{
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        char name[32];
        snprintf(name, sizeof name, "linear,%s", mu_wformat_name((enum mu_wformat)f));
        if (strstr(name, filter))
            bench_linear((enum mu_wformat)f, 4096, 4096);
    }
    for (int i = 0; i < 2 && strstr("attention", filter); i++) {
        enum mu_dtype t = i ? MU_BF16 : MU_F32;
        bench_attention(t, 32, 8, 128, 128, false, 4096, 1);
        bench_attention(t, 32, 8, 128, 128, false, 512, 512);
        bench_attention(t, 32, 8, 128, 128, false, 4096, 512);
        bench_attention(t, 16, 16, 64, 64, false, 1024, 256);
        bench_attention(t, 71, 1, 64, 64, false, 2048, 1);
        bench_attention(t, 64, 1, 576, 512, true, 1024, 1);
        bench_attention(t, 64, 1, 576, 512, true, 1024, 64);
    }
    bench_rows("rmsnorm", 64, 4096, 8);
    bench_rows("layernorm", 64, 4096, 8);
    bench_rows("silu_mul", 64, 11008, 12);
    bench_rows("gelu", 64, 11008, 8);
    bench_rows("add", 64, 4096, 12);
    bench_rows("logsumexp", 64, 128256, 4);
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_cpu_opts o = {.level = argc > 1 ? argv[1] : "auto", .n_threads = argc > 2 ? atoi(argv[2]) : 0};
    filter = argc > 3 ? argv[3] : "";
    must(mu_device_open_cpu(&dev, &o, &e), &e);
    must(mu_measure_read_bandwidth(dev->pool, &bandwidth, &e), &e);
    must(mu_measure_fma_rate(dev->pool, &fma_rate, &e), &e);
    must(mu_measure_int8_rate(dev->pool, &int8_rate, &e), &e);
    printf("# level %s, %d threads, read %.1f GB/s, multiply-add %.1f Gflop/s, int8 %.1f Gop/s\n", dev->ops->level,
           mu_pool_threads(dev->pool), bandwidth * 1e-9, fma_rate * 1e-9, int8_rate * 1e-9);
    printf("op,format,shape,us,GB/s,Gflop/s,of bandwidth,of multiply-add\n");
    bench_all();
    mu_device_close(dev);
    return 0;
}
