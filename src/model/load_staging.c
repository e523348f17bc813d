/* load_staging.c - how much host memory loading takes, from the spec alone
 *
 * A Conv1D matrix of GPT-2, stored transposed, is the one thing that needs staging as large as itself. */
#include <string.h>

#include "base/check.h"
#include "model/load_int.h"

static int64_t lcm_with_panel(int64_t n)
{
    int64_t m = n;
    while (m % MU_PANEL != 0)
        m += n;
    return m;
}

int64_t mu_load_row_unit(const struct mu_spec *s, const struct mu_slot_use *u)
{
    bool may_pair = u->layer >= 0 && (u->slot == MU_SLOT_Q || u->slot == MU_SLOT_K);
    return may_pair && s->layers[u->layer].attn == MU_ATTN_GROUPED ? lcm_with_panel(s->layers[u->layer].dk) : MU_PANEL;
}

struct measure {
    const struct mu_spec *s;
    const struct mu_model_opts *o;
    struct mu_staging *z;
    int64_t largest; /* slot, in elements: no chunk is larger, so small models need little */
};

static int64_t blocks(int64_t n, int block)
{
    return (n + block - 1) / block;
}

static int measure_use(void *arg, const struct mu_slot_use *u)
{
    struct measure *a = arg;
    struct mu_staging *z = a->z;
    const struct mu_spec *s = a->s;
    int64_t cols = MU_MAX(u->n_in, 1), unit = mu_load_row_unit(s, u);

    z->n_fills++;
    z->chunk = MU_MAX(z->chunk, unit * cols);
    a->largest = MU_MAX(a->largest, u->n_out * cols);
    if (u->slot == MU_SLOT_KV_UP_K)
        z->raw = MU_MAX(z->raw, (size_t)(u->n_out * cols * MU_TURNED_BYTES_MAX));
    if (strcmp(s->family, "gpt2") == 0 && u->n_in > 0 && u->layer >= 0) {
        int64_t shared = u->slot == MU_SLOT_Q || u->slot == MU_SLOT_K || u->slot == MU_SLOT_V ? 3 : 1;
        z->raw = MU_MAX(z->raw, (size_t)(shared * u->n_out * cols * MU_TURNED_BYTES_MAX));
    }
    if (s->fp8_block_rows > 0 && u->n_in > 0) {
        int64_t rows = u->n_out;
        if (u->slot == MU_SLOT_KV_UP_K || u->slot == MU_SLOT_KV_UP_V) {
            const struct mu_layer_spec *l = &s->layers[u->layer];
            rows = ((int64_t)l->dk_nope + l->dv) * l->n_heads;
            cols = l->kv_lora;
        }
        z->n_scales = MU_MAX(z->n_scales, blocks(rows, s->fp8_block_rows) * blocks(cols, s->fp8_block_cols));
    }
    return MU_OK;
}

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

struct mu_staging mu_load_staging(const struct mu_spec *s, const struct mu_model_opts *o)
{
    struct mu_staging z = {.n_windows = o->shard ? 2 : 1};
    struct mu_model_opts whole = *o;
    struct measure a = {s, &whole, &z, 0};

    whole.shard = NULL;
    mu_slots_each(s, &whole, measure_use, &a);
    z.chunk = MU_MAX(z.chunk, MU_MIN(MU_LOAD_CHUNK_ELEMS, a.largest));
    z.fills = round64((size_t)z.n_fills * sizeof(struct mu_fill));
    z.f32 = round64((size_t)z.chunk * sizeof(float));
    z.scales = round64((size_t)z.n_scales * sizeof(float));
    z.raw = round64(MU_MAX(z.raw, (size_t)z.chunk * MU_ELEM_BYTES_MAX));
    z.raw_scales = round64((size_t)z.n_scales * MU_ELEM_BYTES_MAX);
    if (o->shard && o->shard->together)
        z.needs = round64((size_t)(mu_comm_nodes(o->shard->together) * mu_load_words(z.n_fills)) * sizeof(uint32_t));
    if (o->shard)
        z.held = round64((size_t)z.n_fills * sizeof(uint64_t));
    z.own = z.fills + z.f32 + z.scales + z.needs + z.held;
    z.window = (size_t)z.n_windows * z.raw + z.raw_scales;
    z.total = z.own + z.window;
    return z;
}

size_t mu_load_staging_bytes(const struct mu_spec *s, const struct mu_model_opts *o)
{
    return mu_load_staging(s, o).total;
}
