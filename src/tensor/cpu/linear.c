/* linear.c - cuts a linear into passes, passes into pieces for threads; the sums are the kernels'
 *
 * A pass takes as many rows as the scratch holds (up to MU_CPU_LINEAR_ROWS). Float formats: rows are first turned into
 * blocks side by side (levels that want it); integer formats: rows are quantised. Then pieces, a run of panels times a
 * run of rows, go to the threads. A few rows are split over panels alone and stream the weights once.
 *
 *   work: | rows of the pass, prepared | scratch of worker 0 | scratch of worker 1 | ... |
 */
#include <inttypes.h>

#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

#define STREAM_PANELS 4 /* a thread takes at least: what the kernels read side by side */

struct pass {
    struct mu_linear_job job;
    const struct mu_cpu_kernels *kernels;
    int64_t n_panel_units, n_row_chunks, chunk_blocks;
    char *scratch;
    size_t scratch_bytes; /* a worker */
};

static size_t round64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Bytes of one prepared row. */
static size_t row_bytes(enum mu_wformat f, int64_t n_in, int64_t n_in_padded)
{
    if (!mu_wformat_is_int(f))
        return (size_t)n_in * sizeof(float);
    return (size_t)n_in_padded + (size_t)(n_in_padded / MU_GROUP_K) * (sizeof(float) + sizeof(int32_t));
}

static size_t worker_bytes(const struct mu_cpu_kernels *k, int64_t n_in)
{
    return round64(k->linear_scratch_bytes(n_in));
}

/* Enough for any cut: tile_k = 4 fills 4 of 32 slots a group, so one such row always fits; many rows are reckoned with
 * tiles of 16 and more, and narrower ones run in smaller passes. */
size_t mu_cpu_linear_work_bytes(const struct mu_device *d, enum mu_wformat f, int64_t n_rows, int64_t n_in)
{
    size_t workers = (size_t)mu_pool_threads(d->pool) * worker_bytes(mu_cpu_kernels_of(d), n_in);
    size_t rows = (size_t)MU_MIN(MU_MAX(n_rows, 1), MU_CPU_LINEAR_ROWS);
    size_t one = row_bytes(f, n_in, 8 * n_in + MU_GROUP_K);
    size_t many = rows * row_bytes(f, n_in, 2 * n_in + MU_GROUP_K);
    return workers + round64(MU_MAX(one, many)) + 4 * 64;
}

static bool is_stream(const struct pass *p)
{
    return p->job.n <= (mu_wformat_is_int(p->job.w->format) ? 1 : p->kernels->stream_rows);
}

/* Inputs of the run that begins at k. */
static int64_t run_of(const struct pass *p, int64_t k)
{
    const struct mu_cut *c = &p->job.cut;
    if (is_stream(p))
        return c->n_in;
    int64_t tile_end = MU_MIN((k / c->tile_k + 1) * c->tile_k, c->n_in);
    return MU_MIN(p->job.run_k, tile_end - k);
}

static void pack_blocks(void *arg, int64_t begin, int64_t end, int worker)
{
    struct pass *p = arg;
    struct mu_linear_job *j = &p->job;
    (void)worker;
    for (int64_t b = begin; b < end; b++) {
        int64_t row = mu_block_row(j, b), rows = mu_block_row(j, b + 1) - row, n_k;
        for (int64_t k = 0; k < j->cut.n_in; k += n_k) {
            n_k = run_of(p, k);
            p->kernels->pack_rows(j->packed + k * j->n + row * n_k, j->x + row * j->ldx + k, j->ldx, rows, n_k);
        }
    }
}

static void quantise_rows(void *arg, int64_t begin, int64_t end, int worker)
{
    struct pass *p = arg;
    struct mu_linear_job *j = &p->job;
    (void)worker;
    for (int64_t r = begin; r < end; r++)
        p->kernels->quantise_row(&j->cut, j->x + r * j->ldx, j->q + r * j->cut.n_in_padded,
                                 j->q_scale + r * j->cut.n_groups, j->q_sum + r * j->cut.n_groups);
}

/* Pieces run through the row chunks of a panel unit first: its weights stay in cache. */
static void run_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
    struct pass *p = arg;
    int64_t n_panels = mu_panels_of(p->job.w->n_out), unit = p->kernels->panel_unit;
    struct mu_linear_piece piece = {.scratch = (float *)(void *)(p->scratch + (size_t)worker * p->scratch_bytes)};

    for (int64_t i = begin; i < end; i++) {
        int64_t panels = i / p->n_row_chunks, chunk = i % p->n_row_chunks;
        piece.panel = panels * unit;
        piece.panel_end = MU_MIN(piece.panel + unit, n_panels);
        piece.block = chunk * p->chunk_blocks;
        piece.block_end = MU_MIN(piece.block + p->chunk_blocks, p->job.n_blocks);
        piece.row = mu_block_row(&p->job, piece.block);
        piece.row_end = mu_block_row(&p->job, piece.block_end);
        p->kernels->linear[p->job.w->format](&p->job, &piece);
    }
}

/* Few rows: any run of panels, all rows. */
static void run_stream(void *arg, int64_t begin, int64_t end, int worker)
{
    struct pass *p = arg;
    struct mu_linear_piece piece = {.panel = begin,
                                    .panel_end = end,
                                    .block_end = p->job.n_blocks,
                                    .row_end = p->job.n,
                                    .scratch = (float *)(void *)(p->scratch + (size_t)worker * p->scratch_bytes)};
    p->kernels->linear[p->job.w->format](&p->job, &piece);
}

/* Where the prepared rows lie; false when not even n rows fit before the workers' scratch. */
static bool place_rows(struct pass *p, struct mu_device *d)
{
    struct mu_linear_job *j = &p->job;
    char *at = d->work;
    size_t n = (size_t)j->n;
    j->packed = NULL;
    if (mu_wformat_is_int(j->w->format)) {
        j->q = (int8_t *)at;
        at += round64(n * (size_t)j->cut.n_in_padded);
        j->q_scale = (float *)(void *)at;
        at += round64(n * (size_t)j->cut.n_groups * sizeof(float));
        j->q_sum = (int32_t *)(void *)at;
        at += round64(n * (size_t)j->cut.n_groups * sizeof(int32_t));
    } else if (p->kernels->block_rows_max > 1 && n > 1) {
        j->packed = (float *)(void *)at;
        at += round64(n * (size_t)j->cut.n_in * sizeof(float));
    }
    p->scratch = at;
    size_t used = (size_t)(at - (char *)d->work) + (size_t)mu_pool_threads(d->pool) * p->scratch_bytes;
    return used <= d->work_bytes;
}

static void run_pass(struct pass *p, struct mu_device *d)
{
    struct mu_linear_job *j = &p->job;
    const struct mu_cpu_kernels *k = p->kernels;
    bool is_int = mu_wformat_is_int(j->w->format);
    int64_t n_panels = mu_panels_of(j->w->n_out);

    j->n_blocks = is_int ? j->n : (j->n + k->block_rows_max - 1) / k->block_rows_max;
    j->run_k = j->n <= k->short_rows ? k->short_run_k : k->run_k;
    if (is_int)
        mu_pool_for(d->pool, j->n, 1, quantise_rows, p);
    else if (j->packed)
        mu_pool_for(d->pool, j->n_blocks, 1, pack_blocks, p);
    if (is_stream(p)) {
        mu_pool_share(d->pool, n_panels, STREAM_PANELS, run_stream, p);
        return;
    }
    p->chunk_blocks = is_int ? k->piece_rows : k->piece_blocks;
    p->n_row_chunks = (j->n_blocks + p->chunk_blocks - 1) / p->chunk_blocks;
    p->n_panel_units = (n_panels + k->panel_unit - 1) / k->panel_unit;
    mu_pool_share(d->pool, p->n_panel_units * p->n_row_chunks, 1, run_pieces, p);
}

int mu_cpu_linear(struct mu_device *d, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n,
                  const struct mu_matrix *w, struct mu_err *e)
{
    const struct mu_cpu_kernels *k = mu_cpu_kernels_of(d);
    struct mu_cut cut = mu_cut_of(w->n_in, w->tile_k);
    int64_t rows;

    for (int64_t r = 0; r < n; r += rows) {
        struct pass p = {.kernels = k, .scratch_bytes = worker_bytes(k, w->n_in)};
        p.job = (struct mu_linear_job){.w = w, .cut = cut, .y = y + r * ldy, .ldy = ldy, .x = x + r * ldx, .ldx = ldx};
        for (rows = MU_MIN(n - r, MU_CPU_LINEAR_ROWS);; rows = (rows + 1) / 2) {
            p.job.n = rows;
            if (place_rows(&p, d))
                break;
            if (rows == 1)
                return mu_fail(e, MU_EINTERNAL,
                               "scratch of %zu bytes is too small for a linear of %" PRId64
                               " inputs: reserve linear_work_bytes()",
                               d->work_bytes, w->n_in);
        }
        run_pass(&p, d);
    }
    return MU_OK;
}
