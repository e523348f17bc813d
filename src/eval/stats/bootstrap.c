/* bootstrap.c - replicates of an aggregation, drawn as lm_eval/api/metrics.py draws them
 *
 * Chunk c of at most 1000 replicates draws from Random(c), replicate after replicate. The fast way runs STREAMS chunks
 * side by side in one thread: every replicate still adds up in its own drawing order, but the processor has as many
 * independent sums to work on. A chunk's numbers depend on the chunk alone, so threads change nothing. */
#include "eval/stats/bootstrap.h"

#include <math.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/random.h"
#include "eval/stats/stats_int.h"

#define CHUNK   1000
#define STREAMS 4
#define BLOCK   1248 /* indices drawn at once: four refills of the generator */

/* Four 16-bit counters in a word; a block cannot overflow one. */
#define PACKED_CELLS 4

void mu_resample_fini(struct mu_resample *r)
{
    mu_free(r->value);
    mu_free(r->weight);
    mu_free(r->cell);
}

struct job {
    const struct mu_aggregation *a;
    const json_t *items;
    struct mu_resample fast;
    uint8_t *shift; /* packed counts: 16 * cell of an item */
    int64_t chunk, n_chunks;
    double *result; /* chunk * n_chunks, in the order of chunks */
    struct worker *workers;
    int n_workers;
};

/* What a thread needs of its own. */
struct worker {
    struct mu_pyrandom random[STREAMS];
    uint32_t index[STREAMS][BLOCK];
    uint32_t *count; /* STREAMS * n_cells */
    uint32_t *drawn; /* plain: the indices of one replicate */
    int rc;
    struct mu_err err;
};

/* ---- replicates from indices: the hot loops ---- */

static void draw(struct worker *w, int streams, uint32_t n, uint32_t some)
{
    for (int s = 0; s < streams; s++)
        mu_pyrandom_choices(&w->random[s], n, some, w->index[s]);
}

static inline __attribute__((always_inline)) void add_values(const struct worker *w, const double *v, uint32_t some,
                                                             double *sum, int streams)
{
    double s[STREAMS];
    for (int k = 0; k < streams; k++)
        s[k] = sum[k];
    for (uint32_t i = 0; i < some; i++)
        for (int k = 0; k < streams; k++)
            s[k] += v[w->index[k][i]];
    for (int k = 0; k < streams; k++)
        sum[k] = s[k];
}

static void add_drawn(const struct worker *w, const double *v, uint32_t some, double *sum, int streams)
{
    if (streams == STREAMS)
        add_values(w, v, some, sum, STREAMS);
    else
        for (int k = 0; k < streams; k++)
            for (uint32_t i = 0; i < some; i++)
                sum[k] += v[w->index[k][i]];
}

static void replicate_sums(const struct job *j, struct worker *w, int streams, double out[STREAMS])
{
    const struct mu_resample *r = &j->fast;
    double sum[STREAMS] = {0}, weight[STREAMS] = {0};
    for (uint32_t done = 0, some; done < r->n; done += some) {
        some = MU_MIN(r->n - done, (uint32_t)BLOCK);
        draw(w, streams, r->n, some);
        add_drawn(w, r->value, some, sum, streams);
        if (r->weight)
            add_drawn(w, r->weight, some, weight, streams);
    }
    for (int k = 0; k < streams; k++)
        out[k] = r->of_sums(sum[k], r->weight ? weight[k] : (double)r->n);
}

static void count_packed(const struct worker *w, const uint8_t *shift, uint32_t some, uint32_t *count, int streams)
{
    for (int k = 0; k < streams; k++) {
        uint64_t even = 0, odd = 0;
        uint32_t i = 0;
        for (; i + 1 < some; i += 2) {
            even += (uint64_t)1 << shift[w->index[k][i]];
            odd += (uint64_t)1 << shift[w->index[k][i + 1]];
        }
        if (i < some)
            even += (uint64_t)1 << shift[w->index[k][i]];
        for (int c = 0; c < PACKED_CELLS; c++)
            count[k * PACKED_CELLS + c] += (uint32_t)((even + odd) >> 16 * c & 0xffff);
    }
}

static void count_cells(const struct worker *w, const struct mu_resample *r, uint32_t some, int streams)
{
    for (int k = 0; k < streams; k++) {
        uint32_t *count = w->count + (size_t)k * r->n_cells;
        for (uint32_t i = 0; i < some; i++)
            count[r->cell[w->index[k][i]]]++;
    }
}

static void replicate_counts(const struct job *j, struct worker *w, int streams, double out[STREAMS])
{
    const struct mu_resample *r = &j->fast;
    size_t stride = j->shift ? PACKED_CELLS : r->n_cells;
    memset(w->count, 0, STREAMS * stride * sizeof *w->count);
    for (uint32_t done = 0, some; done < r->n; done += some) {
        some = MU_MIN(r->n - done, (uint32_t)BLOCK);
        draw(w, streams, r->n, some);
        if (j->shift)
            count_packed(w, j->shift, some, w->count, streams);
        else
            count_cells(w, r, some, streams);
    }
    for (int k = 0; k < streams; k++)
        out[k] = r->of_counts(r, w->count + (size_t)k * stride);
}

/* Chunks [begin, end) * STREAMS, that many at a time. */
static void run_fast(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct worker *w = &j->workers[worker];
    double out[STREAMS];
    for (int64_t first = begin * STREAMS; first < MU_MIN(end * STREAMS, j->n_chunks); first += STREAMS) {
        int streams = (int)MU_MIN(j->n_chunks - first, (int64_t)STREAMS);
        for (int k = 0; k < streams; k++)
            mu_pyrandom_seed(&w->random[k], first + k);
        for (int64_t i = 0; i < j->chunk; i++) {
            if (j->fast.n_cells > 0)
                replicate_counts(j, w, streams, out);
            else
                replicate_sums(j, w, streams, out);
            for (int k = 0; k < streams; k++)
                j->result[(first + k) * j->chunk + i] = out[k];
        }
    }
}

/* ---- replicates from items ---- */

static int replicate_plain(const struct job *j, struct worker *w, json_t *drawn, double *out)
{
    size_t n = json_array_size(j->items);
    json_array_clear(drawn);
    for (size_t i = 0; i < n; i++)
        if (json_array_append(drawn, json_array_get(j->items, w->drawn[i])) != 0)
            return mu_fail_nomem(&w->err, n * sizeof drawn, "a bootstrap replicate");
    return j->a->compute(drawn, out, &w->err);
}

/* Replicates [begin, end): those before in the first chunk are drawn and left, which is little beside computing one. */
static void run_plain(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct worker *w = &j->workers[worker];
    uint32_t n = (uint32_t)json_array_size(j->items);
    json_t *drawn = json_array();

    w->rc = drawn ? MU_OK : mu_fail_nomem(&w->err, n * sizeof drawn, "a bootstrap replicate");
    for (int64_t i = begin / j->chunk * j->chunk; i < end && w->rc == MU_OK; i++) {
        if (i % j->chunk == 0)
            mu_pyrandom_seed(&w->random[0], i / j->chunk);
        mu_pyrandom_choices(&w->random[0], n, n, w->drawn);
        if (i >= begin)
            w->rc = replicate_plain(j, w, drawn, &j->result[i]);
    }
    json_decref(drawn);
}

/* ---- a whole bootstrap ---- */

static int open_workers(struct job *j, struct mu_pool *pool, struct mu_err *e)
{
    bool is_plain = !j->fast.of_sums && !j->fast.n_cells;
    j->n_workers = pool ? mu_pool_threads(pool) : 1;
    MU_TRY_RETURN(MU_NEW_ARRAY(&j->workers, j->n_workers, "a bootstrap", e));
    for (int i = 0; i < j->n_workers; i++) {
        struct worker *w = &j->workers[i];
        if (j->fast.n_cells > 0)
            MU_TRY_RETURN(
                MU_NEW_ARRAY(&w->count, (size_t)STREAMS * MU_MAX(j->fast.n_cells, PACKED_CELLS), "a bootstrap", e));
        if (is_plain)
            MU_TRY_RETURN(MU_NEW_ARRAY(&w->drawn, json_array_size(j->items), "a bootstrap", e));
    }
    return MU_OK;
}

static int pack_cells(struct job *j, struct mu_err *e)
{
    const struct mu_resample *r = &j->fast;
    if (r->n_cells == 0 || r->n_cells > PACKED_CELLS)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&j->shift, r->n, "a bootstrap", e));
    for (uint32_t i = 0; i < r->n; i++)
        j->shift[i] = (uint8_t)(16 * r->cell[i]);
    return MU_OK;
}

static void close_job(struct job *j)
{
    for (int i = 0; j->workers && i < j->n_workers; i++) {
        mu_free(j->workers[i].count);
        mu_free(j->workers[i].drawn);
    }
    mu_free(j->workers);
    mu_free(j->shift);
    mu_free(j->result);
    mu_resample_fini(&j->fast);
}

/* The first failure by replicate: workers hold runs in order. */
static int first_failure(const struct job *j, struct mu_err *e)
{
    for (int i = 0; i < j->n_workers; i++)
        if (j->workers[i].rc != MU_OK)
            return mu_fail(e, j->workers[i].rc, "%s (in a bootstrap replicate)", j->workers[i].err.text);
    return MU_OK;
}

static int deviation(const struct job *j, double *out, struct mu_err *e)
{
    int64_t n = j->chunk * j->n_chunks;
    for (int64_t i = 0; i < n; i++)
        if (isinf(j->result[i]))
            return mu_fail(e, MU_ENUMERIC, "%s: bootstrap replicate %lld is beyond what a double can hold", j->a->name,
                           (long long)i);
    *out = mu_sample_stddev(j->result, n);
    return MU_OK;
}

static int bootstrap(const struct mu_aggregation *a, mu_resample_fn resample, const json_t *items, int64_t iters,
                     struct mu_pool *pool, double *out, struct mu_err *e)
{
    struct job j = {.a = a, .items = items};
    int rc = MU_OK;

    MU_TRY(mu_items_check(items, a->name, e));
    if (iters < 2 || iters > MU_BOOTSTRAP_ITERS_MAX) {
        rc = mu_fail(e, MU_EINVAL, "%s: %lld bootstrap replicates: at least 2, at most %d", a->name, (long long)iters,
                     MU_BOOTSTRAP_ITERS_MAX);
        goto out;
    }
    mu_json_init();
    j.chunk = MU_MIN(iters, (int64_t)CHUNK);
    j.n_chunks = iters / j.chunk;
    if (resample)
        MU_TRY(resample(items, &j.fast, e));
    bool is_fast = j.fast.n_cells > 0 || j.fast.of_sums;
    MU_TRY(pack_cells(&j, e));
    MU_TRY(MU_NEW_ARRAY(&j.result, j.chunk * j.n_chunks, "a bootstrap", e));
    MU_TRY(open_workers(&j, pool, e));
    if (is_fast)
        mu_pool_for(pool, (j.n_chunks + STREAMS - 1) / STREAMS, 1, run_fast, &j);
    else
        mu_pool_for(NULL, j.chunk * j.n_chunks, 1, run_plain, &j); /* jansson's trees have one thread at a time */
    MU_TRY(first_failure(&j, e));
    MU_TRY(deviation(&j, out, e));
out:
    close_job(&j);
    return rc;
}

int mu_bootstrap_plain(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                       double *out, struct mu_err *e)
{
    return bootstrap(a, NULL, items, iters, pool, out, e);
}

int mu_bootstrap_stderr(const struct mu_aggregation *a, const json_t *items, int64_t iters, struct mu_pool *pool,
                        double *out, struct mu_err *e)
{
    return bootstrap(a, mu_resample_of(a), items, iters, pool, out, e);
}
