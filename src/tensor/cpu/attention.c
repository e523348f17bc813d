/* attention.c - cuts attention into items for threads; the tiles are the kernels'
 *
 * An item is a chunk of rows times a block of heads that read one KV head. Its rows are of one sequence, and share
 * every tile of keys and values that is read, or of neighbouring sequences that begin with the same pages: those tiles
 * are read once for all of them, and each sequence's own after that. An item walks its strands by halves and joins each
 * tile at once; the states of the halves that wait lie in levels of slots. With fewer items than threads (one row, long
 * context) each strand of an item is a piece of work of its own, its states go to the shared area and are joined
 * afterwards, which is the same arithmetic.
 *
 *   work: | first row of each chunk | scratch of worker 0 | ... | shared area |
 *   a slot holds one query's state:  | M L - ... (SLOT_HEAD floats) | O [dv rounded up to 16] | */
#include <inttypes.h>
#include <string.h>

#include "base/pool.h"
#include "tensor/cpu/attention_state.h"
#include "tensor/cpu/ops_cpu.h"

#define QUERIES_MAX  64 /* of an item: their outputs (64 x 128 f32) fill an L1 cache */
#define HEADS_MAX    16 /* of an item, so that many heads on one KV head still make several items */
#define SHARED_ROWS  8
#define SHARED_TILES 4 /* contexts of fewer tiles are not worth sharing */
#define LEVELS       4 /* states of an item that wait: of half, a quarter, an eighth of the strands, and the newest */
#define SLOT_HEAD    16
#define TILE_PAGES   (MU_ATTN_TILE / MU_KV_PAGE)

struct scratch { /* a worker's */
    float *p, *vt, *slots;
    struct mu_attn_query *queries;
};

struct job {
    const struct mu_cpu_kernels *k;
    const struct mu_attn *a;
    const struct mu_kv_layer *kv;
    const struct mu_rows *rows;
    int begin, end;                /* strands */
    bool is_partial;               /* their states are wanted, a root's each */
    int group, head_blocks, heads; /* query heads a KV head, blocks of them, heads a block */
    int first;                     /* heads of the first group that are not there: some blocks are short or empty */
    int chunk_rows;
    int mixed_rows;  /* of a chunk to which rows of another sequence may be added */
    int32_t *chunks; /* [n_chunks + 1] first rows */
    int64_t n_chunks, n_items;
    int64_t slot; /* floats */
    char *scratch;
    size_t scratch_bytes;
    float *shared; /* [n * n_heads][strands][slot] */
};

struct item {
    int64_t row, row_end;
    int head, head_end, kv_head;
    int32_t pos_min, pos_max;
    int64_t shared; /* leading tiles that are the same pages for all rows */
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
    size_t slots = LEVELS * QUERIES_MAX * (size_t)slot_floats(dv) * sizeof(float);
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

/* Of one row of the shared area. */
static size_t shared_bytes(int n_heads, int strands, int dv)
{
    return (size_t)n_heads * (size_t)strands * (size_t)slot_floats(dv) * sizeof(float);
}

size_t mu_cpu_attention_work_bytes(const struct mu_device *d, int n_heads, int dk, int dv, int64_t n_rows,
                                   int64_t context)
{
    size_t workers = (size_t)mu_pool_threads(d->pool) * scratch_layout(NULL, NULL, dv);
    size_t row = MU_MAX(shared_bytes(n_heads, MU_ATTN_STRANDS, dv), 1), rows = MU_MAX(MU_CPU_ATTENTION_BYTES / row, 1);
    bool may_share = context > (int64_t)(SHARED_TILES - 1) * MU_ATTN_TILE;
    (void)dk;
    rows = MU_MIN(rows, (size_t)MU_MIN(n_rows, SHARED_ROWS));
    return chunks_bytes(n_rows) + workers + (may_share ? rows * row : 0);
}

static int32_t first_key(const struct job *j, int32_t pos)
{
    return j->a->window > 0 && pos >= j->a->window ? pos - j->a->window + 1 : 0;
}

/* Leading tiles that row r has in common with the row before it: all of them in one sequence; of two, those that both
 * see whole and whose pages are the same. A window's first pages may be missing, so it has none. */
static int64_t shared_tiles(const struct job *j, int64_t r)
{
    const struct mu_rows *rows = j->rows;
    const int32_t *a = rows->page_table + (int64_t)rows->seq[r - 1] * rows->pages_max;
    const int32_t *b = rows->page_table + (int64_t)rows->seq[r] * rows->pages_max;
    int64_t whole = (MU_MIN(rows->pos[r - 1], rows->pos[r]) + 1) / MU_ATTN_TILE, n = 0;
    if (a == b)
        return INT64_MAX;
    if (j->a->window > 0)
        return 0;
    while (n < whole && memcmp(a + n * TILE_PAGES, b + n * TILE_PAGES, TILE_PAGES * sizeof *a) == 0)
        n++;
    return n;
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
    it.shared = INT64_MAX;
    for (int64_t r = it.row + 1; r < it.row_end; r++) {
        it.pos_min = MU_MIN(it.pos_min, j->rows->pos[r]);
        it.pos_max = MU_MAX(it.pos_max, j->rows->pos[r]);
        it.shared = MU_MIN(it.shared, shared_tiles(j, r));
    }
    return it;
}

/* Pages of the tile that some query sees, of row's sequence; others may not exist. */
static void find_pages(const struct job *j, const struct item *it, int64_t row, int lo, int hi, struct mu_attn_tile *t)
{
    const struct mu_kv_layer *kv = j->kv;
    int owners = MU_MAX(kv->owners, 1);
    size_t k_off = (size_t)it->kv_head * mu_kv_head_bytes(kv->dtype, kv->dk);
    size_t v_off = (size_t)it->kv_head * mu_kv_head_bytes(kv->dtype, kv->dv);
    const int32_t *table = j->rows->page_table + (int64_t)j->rows->seq[row] * j->rows->pages_max;
    for (int i = lo / MU_KV_PAGE; i * MU_KV_PAGE < hi; i++) {
        size_t page = (size_t)(table[t->j0 / MU_KV_PAGE + i] / owners) * kv->page_stride;
        t->k[i] = (const char *)kv->k + page + k_off;
        t->v[i] = kv->is_v_in_k ? NULL : (const char *)kv->v + page + v_off;
    }
}

/* One tile joined to the states of the queries of an item's rows [row, row_end), which lie `stride` floats apart. */
static void run_rows(const struct job *j, const struct item *it, int64_t row, int64_t row_end, int64_t tile,
                     struct scratch *s, float *slots, int64_t stride)
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
                             .p = s->p,
                             .vt = s->vt};
    int lo_min = MU_ATTN_TILE, hi_max = 0;
    int64_t i = 0;

    for (int64_t r = row; r < row_end; r++) {
        int32_t pos = j->rows->pos[r];
        int64_t lo = MU_MAX(first_key(j, pos) - t.j0, 0), hi = MU_MIN(pos + 1 - t.j0, MU_ATTN_TILE);
        for (int h = it->head; h < it->head_end; h++, i++) {
            float *slot = slots + i * stride;
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
    find_pages(j, it, row, lo_min, hi_max, &t);
    j->k->attention(&t);
}

/* One tile for the whole item: at once where its rows share it, else a sequence at a time. */
static void run_tile(const struct job *j, const struct item *it, int64_t tile, struct scratch *s, float *slots,
                     int64_t stride)
{
    const int32_t *seq = j->rows->seq;
    int64_t heads = it->head_end - it->head;
    for (int64_t row = it->row, end; row < it->row_end; row = end) {
        end = tile < it->shared ? it->row_end : row + 1;
        while (end < it->row_end && seq[end] == seq[row])
            end++;
        run_rows(j, it, row, end, tile, s, slots + (row - it->row) * heads * stride, stride);
    }
}

/* ---- states ---- */

static void write_out(const struct job *j, int64_t row, int head, const float *slot)
{
    float *out = j->a->out + row * j->a->ldo + (int64_t)head * j->kv->dv;
    for (int d = 0; d < j->kv->dv; d++)
        out[d] = slot[SLOT_HEAD + d] / slot[1];
}

/* The state of the root that begins at a strand; zeros when it has no key. */
static void write_state(const struct job *j, int64_t row, int head, int root, const float *slot)
{
    int64_t dv = j->kv->dv, roots = mu_attn_roots(j->begin, j->end), i = mu_attn_roots(j->begin, root);
    float *out = j->a->out + ((head * j->rows->n + row) * roots + i) * MU_ATTN_STATE(dv);
    if (slot[1] == 0) {
        memset(out, 0, (size_t)MU_ATTN_STATE(dv) * sizeof *out);
        return;
    }
    memcpy(out, slot, 2 * sizeof *out);
    memcpy(out + 2, slot + SLOT_HEAD, (size_t)dv * sizeof *out);
}

static void write_root(const struct job *j, int64_t row, int head, int root, const float *slot)
{
    if (j->is_partial)
        write_state(j, row, head, root, slot);
    else
        write_out(j, row, head, slot);
}

/* ---- items ---- */

static int64_t queries_of(const struct item *it)
{
    return (it->row_end - it->row) * (it->head_end - it->head);
}

/* All tiles of one strand that the item sees; false: there is none. */
static bool run_strand(const struct job *j, const struct item *it, int strand, struct scratch *s, float *slots,
                       int64_t stride)
{
    int64_t first = first_key(j, it->pos_min) / MU_ATTN_TILE, last = it->pos_max / MU_ATTN_TILE;
    int64_t t = first + (strand - first % MU_ATTN_STRANDS + MU_ATTN_STRANDS) % MU_ATTN_STRANDS;
    bool has_any = t <= last;

    for (int64_t q = 0; q < queries_of(it); q++)
        slots[q * stride + 1] = 0;
    for (; t <= last; t += MU_ATTN_STRANDS)
        run_tile(j, it, t, s, slots, stride);
    return has_any;
}

/* Strands [lo, hi), a subtree, into slots of this level; false: no tile, all are empty. */
static bool run_strands(const struct job *j, const struct item *it, int lo, int hi, struct scratch *s, float *slots)
{
    if (hi - lo == 1)
        return run_strand(j, it, lo, s, slots, j->slot);
    int mid = (lo + hi) / 2;
    float *other = slots + QUERIES_MAX * j->slot;
    bool has_left = run_strands(j, it, lo, mid, s, slots);
    bool has_right = run_strands(j, it, mid, hi, s, has_left ? other : slots);
    for (int64_t q = 0; has_left && has_right && q < queries_of(it); q++)
        mu_attention_join(j->k, slots + q * j->slot, other + q * j->slot, SLOT_HEAD, j->kv->dv);
    return has_left || has_right;
}

static void run_items(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    scratch_layout(&s, j->scratch + (size_t)worker * j->scratch_bytes, j->kv->dv);

    for (int64_t i = begin; i < end; i++) {
        struct item it = item_at(j, i);
        for (int lo = j->begin, hi; lo < j->end; lo = hi) {
            int64_t q = 0;
            hi = mu_attn_root_end(lo, j->end);
            run_strands(j, &it, lo, hi, &s, s.slots);
            for (int64_t r = it.row; r < it.row_end; r++)
                for (int h = it.head; h < it.head_end; h++, q++)
                    write_root(j, r, h, lo, s.slots + q * j->slot);
        }
    }
}

/* ---- strands shared by threads ---- */

/* Chunks are one row each here, so the queries of an item are neighbours: row * n_heads + head. */
static float *shared_slots(const struct job *j, int64_t row, int head)
{
    return j->shared + (row * j->a->n_heads + head) * (j->end - j->begin) * j->slot;
}

static void run_shared(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    int64_t strands = j->end - j->begin;
    struct scratch s;
    scratch_layout(&s, j->scratch + (size_t)worker * j->scratch_bytes, j->kv->dv);
    for (int64_t u = begin; u < end; u++) {
        struct item it = item_at(j, u / strands);
        float *slots = shared_slots(j, it.row, it.head) + u % strands * j->slot;
        run_strand(j, &it, j->begin + (int)(u % strands), &s, slots, strands * j->slot);
    }
}

/* Strands [lo, hi), a subtree, into the slot of lo; slots are those of a query. */
static void join_strands(const struct job *j, float *slots, int lo, int hi)
{
    int mid = (lo + hi) / 2;
    if (hi - lo == 1)
        return;
    join_strands(j, slots, lo, mid);
    join_strands(j, slots, mid, hi);
    mu_attention_join(j->k, slots + (lo - j->begin) * j->slot, slots + (mid - j->begin) * j->slot, SLOT_HEAD,
                      j->kv->dv);
}

static void join_shared(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int64_t u = begin; u < end; u++) {
        int64_t row = u / j->a->n_heads;
        int head = (int)(u % j->a->n_heads);
        float *slots = shared_slots(j, row, head);
        for (int lo = j->begin, hi; lo < j->end; lo = hi) {
            hi = mu_attn_root_end(lo, j->end);
            join_strands(j, slots, lo, hi);
            write_root(j, row, head, lo, slots + (lo - j->begin) * j->slot);
        }
    }
}

static bool begins_chunk(const struct job *j, int r, int first)
{
    if (r == 0 || r - first >= j->chunk_rows)
        return true;
    return j->rows->seq[r] != j->rows->seq[r - 1] && (r - first >= j->mixed_rows || shared_tiles(j, r) == 0);
}

/* Chunks: runs of rows of one sequence, or of some that begin alike, at most chunk_rows each. */
static void cut_rows(struct job *j)
{
    int64_t n = 0;
    for (int r = 0; r < j->rows->n; r++) {
        if (begins_chunk(j, r, n ? j->chunks[n - 1] : 0))
            j->chunks[n++] = r;
    }
    j->chunks[n] = j->rows->n;
    j->n_chunks = n;
    j->n_items = n * j->head_blocks * j->kv->n_kv_heads;
}

/* Whether threads share strands: there is too little else for them, and the rest of the scratch holds the states. */
static bool may_share(struct job *j, const struct mu_device *d, size_t used)
{
    int64_t last = 0;
    if (j->n_items >= mu_pool_threads(d->pool) || j->rows->n > SHARED_ROWS)
        return false;
    for (int r = 0; r < j->rows->n; r++)
        last = MU_MAX(last, j->rows->pos[r] / MU_ATTN_TILE);
    size_t bytes = (size_t)j->rows->n * shared_bytes(j->a->n_heads, j->end - j->begin, j->kv->dv);
    j->shared = (float *)(void *)((char *)d->work + used);
    return last + 1 >= SHARED_TILES && bytes <= d->work_bytes - used;
}

static int run(struct job *j, struct mu_device *d, struct mu_err *e)
{
    size_t chunks = chunks_bytes(j->rows->n);
    j->scratch_bytes = scratch_layout(NULL, NULL, j->kv->dv);
    size_t used = chunks + (size_t)mu_pool_threads(d->pool) * j->scratch_bytes;

    if (j->rows->n == 0 || j->a->n_heads == 0)
        return MU_OK;
    if (used > d->work_bytes)
        return mu_fail(e, MU_EINTERNAL,
                       "scratch of %zu bytes is too small for attention of %d rows, which takes %zu: reserve "
                       "attention_work_bytes()",
                       d->work_bytes, j->rows->n, used);
    j->slot = slot_floats(j->kv->dv);
    j->chunks = d->work;
    j->scratch = (char *)d->work + chunks;
    j->group = j->a->group ? j->a->group : j->a->n_heads / j->kv->n_kv_heads;
    j->first = j->a->first;
    j->head_blocks = (j->group + HEADS_MAX - 1) / HEADS_MAX;
    j->heads = (j->group + j->head_blocks - 1) / j->head_blocks;
    j->chunk_rows = QUERIES_MAX / j->heads;
    j->mixed_rows = (int)((int64_t)j->rows->n * j->head_blocks * j->kv->n_kv_heads / mu_pool_threads(d->pool));
    cut_rows(j);
    if (!may_share(j, d, used)) {
        mu_pool_for(d->pool, j->n_items, 1, run_items, j);
        return MU_OK;
    }
    j->chunk_rows = 1;
    cut_rows(j);
    mu_pool_for(d->pool, j->n_items * (j->end - j->begin), 1, run_shared, j);
    mu_pool_for(d->pool, (int64_t)j->rows->n * j->a->n_heads, 1, join_shared, j);
    return MU_OK;
}

int mu_cpu_attention(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                     const struct mu_rows *rows, struct mu_err *e)
{
    struct job j = {.k = mu_cpu_kernels_of(d), .a = a, .kv = kv, .rows = rows, .end = MU_ATTN_STRANDS};
    return run(&j, d, e);
}

int mu_cpu_attention_partial(struct mu_device *d, const struct mu_attn *a, const struct mu_kv_layer *kv,
                             const struct mu_rows *rows, struct mu_err *e)
{
    struct job j = {.k = mu_cpu_kernels_of(d),
                    .a = a,
                    .kv = kv,
                    .rows = rows,
                    .begin = kv->strand_begin,
                    .end = kv->strand_end,
                    .is_partial = true};
    return j.begin < j.end ? run(&j, d, e) : MU_OK;
}
