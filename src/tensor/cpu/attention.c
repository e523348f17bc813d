/* attention.c - cuts attention into items for threads; the tiles are the kernels'
 *
 * An item is a chunk of rows of one sequence times a block of heads that read one KV head: its queries share every
 * tile of keys and values that is read. An item walks its tiles in increasing order and folds each at once. With
 * fewer items than threads (one row, long context) the tiles are split over the threads instead: their maxima, sums
 * and outputs go to the split area, a wave of tiles at a time, and are folded in increasing order, which is the same
 * arithmetic.
 *
 *   work: | first row of each chunk | scratch of worker 0 | ... | split area |
 *   a slot holds one query's M, L and O:  | M L - ... (SLOT_HEAD floats) | O [dv rounded up to 16] | */
#include <inttypes.h>
#include <math.h>

#include "base/pool.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/ops_cpu.h"

#define QUERIES_MAX    64 /* of an item: their outputs (64 x 128 f32) fill an L1 cache */
#define HEADS_MAX      16 /* of an item, so that many heads on one KV head still make several items */
#define SPLIT_ROWS_MAX 8
#define SPLIT_BYTES    ((size_t)16 << 20)
#define SPLIT_TILES    4 /* contexts of fewer tiles are not worth splitting */
#define SLOT_HEAD      16
#define TILE_PAGES     (MU_ATTN_TILE / MU_KV_PAGE)

struct scratch { /* a worker's */
    float *p, *vt, *slots;
    struct mu_attn_query *queries;
};

struct job {
    const struct mu_cpu_kernels *k;
    const struct mu_attn *a;
    const struct mu_kv_layer *kv;
    const struct mu_rows *rows;
    int group, head_blocks, heads; /* query heads a KV head, blocks of them, heads a block */
    int first;                     /* heads of the first group that are not there: some blocks are short or empty */
    int chunk_rows;
    int32_t *chunks; /* [n_chunks + 1] first rows */
    int64_t n_chunks, n_items;
    int64_t slot; /* floats */
    char *scratch;
    size_t scratch_bytes;
    float *split; /* [n * n_heads][wave + 1][slot]; the last slot of a query is its running state */
    int64_t wave, wave_begin, n_tiles;
};

struct item {
    int64_t row, row_end;
    int head, head_end, kv_head;
    int32_t pos_min, pos_max;
};

static size_t round64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int64_t slot_floats(int dv)
{
    return SLOT_HEAD + (int64_t)(dv + 15) / 16 * 16;
}

static size_t scratch_layout(struct scratch *s, char *at, int dv)
{
    size_t p = QUERIES_MAX * MU_ATTN_TILE * sizeof(float), vt = round64(MU_ATTN_TILE * (size_t)dv * sizeof(float));
    size_t slots = QUERIES_MAX * (size_t)slot_floats(dv) * sizeof(float);
    if (s) {
        s->p = (float *)(void *)at;
        s->vt = (float *)(void *)(at + p);
        s->slots = (float *)(void *)(at + p + vt);
        s->queries = (struct mu_attn_query *)(void *)(at + p + vt + slots);
    }
    return round64(p + vt + slots + QUERIES_MAX * sizeof(struct mu_attn_query));
}

static size_t chunks_bytes(int64_t n_rows)
{
    return round64((size_t)(n_rows + 1) * sizeof(int32_t));
}

size_t mu_cpu_attention_work_bytes(const struct mu_device *d, int n_heads, int dk, int dv, int64_t n_rows,
                                   int64_t context)
{
    size_t workers = (size_t)mu_pool_threads(d->pool) * scratch_layout(NULL, NULL, dv);
    size_t queries = (size_t)n_heads * (size_t)MU_MIN(n_rows, SPLIT_ROWS_MAX);
    size_t tiles = (size_t)context / MU_ATTN_TILE + 2;
    size_t query_bytes = queries * (size_t)slot_floats(dv) * sizeof(float);
    (void)dk;
    return chunks_bytes(n_rows) + workers + MU_MIN(query_bytes * (tiles + 1), MU_MAX(SPLIT_BYTES, 2 * query_bytes));
}

static int32_t first_key(const struct job *j, int32_t pos)
{
    return j->a->window > 0 && pos >= j->a->window ? pos - j->a->window + 1 : 0;
}

static struct item item_at(const struct job *j, int64_t i)
{
    struct item it;
    int64_t chunk = i % j->n_chunks, block = i / j->n_chunks % j->head_blocks;
    it.kv_head = (int)(i / j->n_chunks / j->head_blocks);
    int head = it.kv_head * j->group + (int)block * j->heads - j->first;
    int end = MU_MIN(head + j->heads, (it.kv_head + 1) * j->group - j->first);
    it.head = MU_MIN(MU_MAX(head, 0), j->a->n_heads);
    it.head_end = MU_MAX(it.head, MU_MIN(end, j->a->n_heads));
    it.row = j->chunks[chunk];
    it.row_end = j->chunks[chunk + 1];
    it.pos_min = it.pos_max = j->rows->pos[it.row];
    for (int64_t r = it.row + 1; r < it.row_end; r++) {
        it.pos_min = MU_MIN(it.pos_min, j->rows->pos[r]);
        it.pos_max = MU_MAX(it.pos_max, j->rows->pos[r]);
    }
    return it;
}

/* Pages of the tile that some query sees; others may not exist. */
static void find_pages(const struct job *j, const struct item *it, int lo, int hi, struct mu_attn_tile *t)
{
    const struct mu_kv_layer *kv = j->kv;
    size_t elem = kv->dtype == MU_F32 ? 4 : 2;
    size_t k_off = (size_t)it->kv_head * (size_t)kv->dk * MU_KV_PAGE * elem;
    size_t v_off = (size_t)it->kv_head * (size_t)kv->dv * MU_KV_PAGE * elem;
    const int32_t *table = j->rows->page_table + (int64_t)j->rows->seq[it->row] * j->rows->pages_max;
    for (int i = lo / MU_KV_PAGE; i * MU_KV_PAGE < hi; i++) {
        size_t page = (size_t)table[t->j0 / MU_KV_PAGE + i] * kv->page_stride;
        t->k[i] = (const char *)kv->k + page + k_off;
        t->v[i] = kv->is_v_in_k ? NULL : (const char *)kv->v + page + v_off;
    }
}

/* One tile for an item. slot_of: where query (row, head) keeps M, L, O, counted from `slots`. */
static void run_tile(const struct job *j, const struct item *it, int64_t tile, struct scratch *s, float *slots,
                     int64_t slot_stride, bool is_fold)
{
    const struct mu_attn *a = j->a;
    struct mu_attn_tile t = {.dtype = j->kv->dtype,
                             .dk = j->kv->dk,
                             .dv = j->kv->dv,
                             .is_v_in_k = j->kv->is_v_in_k,
                             .j0 = tile * MU_ATTN_TILE,
                             .query = s->queries,
                             .scale = a->scale,
                             .has_alibi = a->alibi_slopes,
                             .is_alibi_scaled = a->alibi_is_scaled,
                             .is_fold = is_fold,
                             .p = s->p,
                             .vt = s->vt};
    int lo_min = MU_ATTN_TILE, hi_max = 0;
    int64_t i = 0;

    for (int64_t r = it->row; r < it->row_end; r++) {
        int32_t pos = j->rows->pos[r];
        int64_t lo = MU_MAX(first_key(j, pos) - t.j0, 0), hi = MU_MIN(pos + 1 - t.j0, MU_ATTN_TILE);
        for (int h = it->head; h < it->head_end; h++, i++) {
            float *slot = slots + i * slot_stride;
            if (lo >= hi)
                continue;
            s->queries[t.n++] = (struct mu_attn_query){.q = a->q + r * a->ldq + (int64_t)h * t.dk,
                                                       .slope = a->alibi_slopes ? a->alibi_slopes[h] : 0,
                                                       .lo = (int)lo,
                                                       .hi = (int)hi,
                                                       .m = slot,
                                                       .l = slot + 1,
                                                       .o = slot + SLOT_HEAD};
            lo_min = MU_MIN(lo_min, (int)lo);
            hi_max = MU_MAX(hi_max, (int)hi);
        }
    }
    if (t.n == 0)
        return;
    find_pages(j, it, lo_min, hi_max, &t);
    j->k->attention(&t);
}

static void state_init(float *slot, int dv)
{
    slot[0] = -INFINITY;
    slot[1] = 0;
    for (int d = 0; d < dv; d++)
        slot[SLOT_HEAD + d] = 0;
}

static void write_out(const struct job *j, int64_t row, int head, const float *slot)
{
    float *out = j->a->out + row * j->a->ldo + (int64_t)head * j->kv->dv;
    for (int d = 0; d < j->kv->dv; d++)
        out[d] = slot[SLOT_HEAD + d] / slot[1];
}

static void run_items(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    scratch_layout(&s, j->scratch + (size_t)worker * j->scratch_bytes, j->kv->dv);

    for (int64_t i = begin; i < end; i++) {
        struct item it = item_at(j, i);
        int64_t n = (it.row_end - it.row) * (it.head_end - it.head), q = 0;
        for (int64_t u = 0; u < n; u++)
            state_init(s.slots + u * j->slot, j->kv->dv);
        for (int64_t t = first_key(j, it.pos_min) / MU_ATTN_TILE; t <= it.pos_max / MU_ATTN_TILE; t++)
            run_tile(j, &it, t, &s, s.slots, j->slot, true);
        for (int64_t r = it.row; r < it.row_end; r++)
            for (int h = it.head; h < it.head_end; h++, q++)
                write_out(j, r, h, s.slots + q * j->slot);
    }
}

/* Chunks are one row each here, so the queries of an item are neighbours: row * n_heads + head. */
static float *split_slots(const struct job *j, int64_t row, int head)
{
    return j->split + (row * j->a->n_heads + head) * (j->wave + 1) * j->slot;
}

static void run_split_tiles(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    scratch_layout(&s, j->scratch + (size_t)worker * j->scratch_bytes, j->kv->dv);
    for (int64_t u = begin; u < end; u++) {
        struct item it = item_at(j, u / j->wave);
        float *slots = split_slots(j, it.row, it.head) + u % j->wave * j->slot;
        run_tile(j, &it, j->wave_begin + u % j->wave, &s, slots, (j->wave + 1) * j->slot, false);
    }
}

static void fold_split_tiles(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t u = begin; u < end; u++) {
        int64_t row = u / j->a->n_heads;
        int32_t pos = j->rows->pos[row];
        float *slots = split_slots(j, row, (int)(u % j->a->n_heads)), *state = slots + j->wave * j->slot;
        int64_t first = first_key(j, pos) / MU_ATTN_TILE, last = pos / MU_ATTN_TILE;
        if (j->wave_begin == 0)
            state_init(state, j->kv->dv);
        for (int64_t t = MU_MAX(first, j->wave_begin); t <= MU_MIN(last, j->wave_begin + j->wave - 1); t++) {
            const float *part = slots + (t - j->wave_begin) * j->slot;
            j->k->attention_fold(state, state + 1, state + SLOT_HEAD, part[0], part[1], part + SLOT_HEAD, j->kv->dv);
        }
        if (last < j->wave_begin + j->wave && last >= j->wave_begin)
            write_out(j, row, (int)(u % j->a->n_heads), state);
    }
}

static void run_split(struct job *j, struct mu_pool *pool)
{
    for (j->wave_begin = 0; j->wave_begin < j->n_tiles; j->wave_begin += j->wave) {
        mu_pool_for(pool, j->n_items * j->wave, 1, run_split_tiles, j);
        mu_pool_for(pool, (int64_t)j->rows->n * j->a->n_heads, 1, fold_split_tiles, j);
    }
}

/* Chunks: runs of rows of one sequence, at most chunk_rows each. */
static void cut_rows(struct job *j)
{
    int64_t n = 0;
    for (int r = 0; r < j->rows->n; r++) {
        if (r == 0 || j->rows->seq[r] != j->rows->seq[r - 1] || r - j->chunks[n - 1] >= j->chunk_rows)
            j->chunks[n++] = r;
    }
    j->chunks[n] = j->rows->n;
    j->n_chunks = n;
    j->n_items = n * j->head_blocks * j->kv->n_kv_heads;
}

/* Whether to split tiles over threads, with waves as wide as the rest of the work memory allows. */
static bool can_split(struct job *j, const struct mu_device *d, size_t used)
{
    int64_t last = 0;
    for (int r = 0; r < j->rows->n; r++)
        last = MU_MAX(last, j->rows->pos[r] / MU_ATTN_TILE);
    j->n_tiles = last + 1;
    if (j->n_items >= mu_pool_threads(d->pool) || j->rows->n > SPLIT_ROWS_MAX || j->n_tiles < SPLIT_TILES)
        return false;
    size_t query_bytes = (size_t)j->rows->n * (size_t)j->a->n_heads * (size_t)j->slot * sizeof(float);
    j->wave = MU_MIN((int64_t)((d->work_bytes - used) / query_bytes) - 1, j->n_tiles);
    j->split = (float *)(void *)((char *)d->work + used);
    return j->wave >= 2;
}

int mu_cpu_attention(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                     const struct mu_rows *rows, struct mu_err *e)
{
    struct job j = {.k = mu_cpu_kernels_of(d), .a = a, .kv = kv, .rows = rows, .slot = slot_floats(kv->dv)};
    size_t chunks = chunks_bytes(rows->n);
    j.scratch_bytes = scratch_layout(NULL, NULL, kv->dv);
    size_t used = chunks + (size_t)mu_pool_threads(d->pool) * j.scratch_bytes;

    if (rows->n == 0 || a->n_heads == 0)
        return MU_OK;
    if (used > d->work_bytes)
        return mu_fail(e, MU_EINTERNAL,
                       "scratch of %zu bytes is too small for attention of %d rows, which takes %zu: reserve "
                       "attention_work_bytes()",
                       d->work_bytes, rows->n, used);
    j.chunks = d->work;
    j.scratch = (char *)d->work + chunks;
    j.group = a->group ? a->group : a->n_heads / kv->n_kv_heads;
    j.first = a->first;
    j.head_blocks = (j.group + HEADS_MAX - 1) / HEADS_MAX;
    j.heads = (j.group + j.head_blocks - 1) / j.head_blocks;
    j.chunk_rows = QUERIES_MAX / j.heads;
    cut_rows(&j);
    if (can_split(&j, d, used)) {
        j.chunk_rows = 1;
        cut_rows(&j);
        run_split(&j, d->pool);
        return MU_OK;
    }
    mu_pool_for(d->pool, j.n_items, 1, run_items, &j);
    return MU_OK;
}
