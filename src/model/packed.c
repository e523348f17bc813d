/* packed.c - see packed.h; reading such a file is load_packed.c */
#include "model/packed.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/load_int.h"

static struct mu_model_opts opts_of(enum mu_wformat format, enum mu_mla_form mla)
{
    return (struct mu_model_opts){
        .format = format, .kv_dtype = MU_F32, .mla = mla, .context_max = 1, .rows_max = 1, .logit_rows_max = 1};
}

/* ---- the layout's name ---- */

#define PROBE_OUT  19 /* a panel and a part of one */
#define PROBE_IN   75 /* a tile and a part of one, groups that end early */
#define PROBE_TILE 40
#define PROBE_MAX  ((size_t)32 * 4 * 32 * 4) /* bytes of data and scales in the largest format, with room */

/* What packing makes of numbers that round, fill lanes unevenly and differ in size. */
static uint64_t probe(enum mu_wformat f, uint64_t seed)
{
    float rows[PROBE_OUT * PROBE_IN];
    _Alignas(64) unsigned char bytes[PROBE_MAX] = {0};
    size_t data, scales;
    uint32_t x = 1;

    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        x = x * 1664525u + 1013904223u;
        rows[i] = (float)(int32_t)x * 0x1p-31f / (float)(1 + i % 7);
    }
    mu_matrix_bytes(f, PROBE_OUT, PROBE_IN, PROBE_TILE, &data, &scales);
    if (data + scales > sizeof bytes)
        return seed; /* the test of the layout's name would tell */
    struct mu_matrix m = {.format = f, .n_out = PROBE_OUT, .n_in = PROBE_IN, .tile_k = PROBE_TILE, .data = bytes};
    m.scale = scales > 0 ? (float *)(void *)(bytes + data) : NULL;
    mu_matrix_pack(&m, 0, PROBE_OUT, rows, PROBE_IN, NULL);
    return mu_hash64(bytes, data + scales, seed);
}

static int add_use(void *arg, const struct mu_slot_use *u)
{
    uint64_t *h = arg;
    size_t scale_offset, bytes = mu_slot_bytes(u, &scale_offset);
    int64_t what[] = {u->slot,   u->layer, u->index, u->piece,       u->is_bias,           u->n_out, u->n_in, u->tile_k,
                      u->format, u->row0,  u->col0,  (int64_t)bytes, (int64_t)scale_offset};
    *h = mu_hash64(what, sizeof what, *h);
    return MU_OK;
}

void mu_packed_layout(const struct mu_spec *s, enum mu_wformat format, enum mu_mla_form mla, char out[17])
{
    const int64_t constants[] = {MU_PACKED_LOADER_VERSION, MU_PANEL, MU_GROUP_K, MU_TILE_K, MU_WFORMAT_N, MU_SLOT_N};
    struct mu_model_opts o = opts_of(format, mla);
    uint64_t h = mu_hash64(constants, sizeof constants, 0);
    for (int f = 0; f < MU_WFORMAT_N; f++)
        h = probe((enum mu_wformat)f, h);
    mu_slots_each(s, &o, add_use, &h);
    snprintf(out, 17, "%016" PRIx64, h);
}

struct sizes {
    size_t block, biases;
};

static int add_bytes(void *arg, const struct mu_slot_use *u)
{
    struct sizes *z = arg;
    size_t scale_offset, bytes = mu_slot_bytes(u, &scale_offset);
    *(u->slot == MU_SLOT_ROUTER_BIAS ? &z->biases : &z->block) += bytes;
    return MU_OK;
}

void mu_packed_sizes(const struct mu_spec *s, enum mu_wformat format, enum mu_mla_form mla, size_t *block,
                     size_t *biases)
{
    struct mu_model_opts o = opts_of(format, mla);
    struct sizes z = {0, 0};
    mu_slots_each(s, &o, add_bytes, &z);
    *block = z.block;
    *biases = z.biases;
}

/* The hash of a content of nothing: the description alone. */
static void name_network(const struct mu_spec *s, char out[MU_CONTENT_HASH_BYTES])
{
    struct mu_content none = {0};
    mu_content_name(&none, s, out);
}

/* ---- checking ---- */

static bool is_latent(const struct mu_spec *s)
{
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].attn == MU_ATTN_LATENT)
            return true;
    }
    return false;
}

int mu_packed_formats(const struct mu_packed_head *h, enum mu_wformat *format, enum mu_mla_form *mla, const char *where,
                      struct mu_err *e)
{
    if (mu_wformat_from_name(format, h->weights, NULL) != MU_OK)
        return mu_fail(e, MU_EUNSUPPORTED, "%s holds weights in the format \"%s\", which this program does not know",
                       where, h->weights);
    if (mu_mla_form_from_name(mla, h->mla, NULL) == MU_OK)
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED, "%s is laid out for latent attention \"%s\", which this program does not know",
                   where, h->mla);
}

static int check_formats(const struct mu_packed_head *h, const struct mu_spec *s, enum mu_wformat format,
                         enum mu_mla_form mla, const char *where, struct mu_err *e)
{
    char source[MU_PACKED_NAME_MAX + 32];
    enum mu_wformat has;
    enum mu_mla_form has_mla;

    MU_TRY_RETURN(mu_packed_formats(h, &has, &has_mla, where, e));
    mu_packed_source_text(h, source);
    if (has != format)
        return mu_fail(e, MU_EINVAL,
                       "%s holds the weights packed as %s, not %s: leave the format open, or take the checkpoint it "
                       "was made from (%s)",
                       where, h->weights, mu_wformat_name(format), source);
    if (has_mla != mla && is_latent(s))
        return mu_fail(e, MU_EINVAL,
                       "%s is packed for the %s form of latent attention, not the %s one: leave the form open, or take "
                       "the checkpoint it was made from (%s)",
                       where, h->mla, mu_mla_form_name(mla), source);
    return MU_OK;
}

int mu_packed_check(const struct mu_packed_head *h, const struct mu_spec *s, enum mu_wformat format,
                    enum mu_mla_form mla, const char *where, struct mu_err *e)
{
    char network[MU_CONTENT_HASH_BYTES], layout[17], source[MU_PACKED_NAME_MAX + 32];
    size_t block, biases;

    MU_TRY_RETURN(check_formats(h, s, format, mla, where, e));
    name_network(s, network);
    if (strcmp(network, h->network) != 0)
        return mu_fail(e, MU_EFORMAT,
                       "%s was packed for another network than config.json beside it describes: put back the one that "
                       "came with it, or convert the checkpoint again (%s)",
                       where, mu_packed_source_text(h, source));
    mu_packed_layout(s, format, mla, layout);
    mu_packed_sizes(s, format, mla, &block, &biases);
    if (strcmp(layout, h->layout) != 0)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s was packed by a version of muster that lays weights out differently (%s, here %s): convert "
                       "the checkpoint again (%s)",
                       where, h->layout, layout, mu_packed_source_text(h, source));
    if (h->block_bytes != block + biases)
        return mu_fail(e, MU_EFORMAT, "%s holds %" PRIu64 " bytes of weights, and the network has %zu", where,
                       h->block_bytes, block + biases);
    return MU_OK;
}

/* ---- writing ---- */

/* Reading and writing as one piece of work of as many bytes. */
struct progress {
    const struct mu_pack_opts *o;
    uint64_t read, written; /* in all */
};

static int on_read(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;
    p->read = total;
    return p->o->progress ? p->o->progress(p->o->progress_arg, done, total + p->written) : 0;
}

static int on_written(void *arg, uint64_t done, uint64_t total)
{
    const struct progress *p = arg;
    return p->o->progress ? p->o->progress(p->o->progress_arg, p->read + done, p->read + total) : 0;
}

struct biases {
    const struct mu_model *m;
    char *to;
    size_t at;
};

static int copy_bias(void *arg, const struct mu_slot_use *u)
{
    struct biases *b = arg;
    size_t scale_offset;
    if (u->slot != MU_SLOT_ROUTER_BIAS)
        return MU_OK;
    memcpy(b->to + b->at, b->m->layers[u->layer].router_bias, (size_t)u->n_out * sizeof(float));
    b->at += mu_slot_bytes(u, &scale_offset);
    return MU_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int list_sources(struct mu_packed_source **out, const struct mu_weights *w, struct mu_err *e)
{
    int n = mu_weights_n_files(w);
    MU_TRY_RETURN(MU_NEW_ARRAY(out, n, "the list of files", e));
    for (int i = 0; i < n; i++)
        (*out)[i] = (struct mu_packed_source){base_name(mu_weights_file_path(w, i)), mu_weights_file_bytes(w, i)};
    return MU_OK;
}

static int write_model(const char *path, struct mu_packed_head *h, const struct mu_model *m, const struct mu_weights *w,
                       struct progress *progress, struct mu_err *e)
{
    struct mu_packed_source *sources = NULL;
    struct biases b = {.m = m};
    size_t block, n_biases;
    int rc = MU_OK;

    mu_packed_sizes(&m->spec, m->opts.format, m->opts.mla, &block, &n_biases);
    MU_TRY(mu_new_array(&b.to, n_biases, 1, "the biases of the routers", e));
    mu_slots_each(&m->spec, &m->opts, copy_bias, &b);
    MU_TRY(list_sources(&sources, w, e));
    struct mu_str parts[] = {{m->weights, block}, {b.to, n_biases}};
    struct mu_packed_what what = {sources, mu_weights_n_files(w), parts, MU_COUNT(parts)};
    MU_TRY(mu_packed_write(path, h, &what, on_written, progress, e));
out:
    mu_free(sources);
    mu_free(b.to);
    return rc;
}

int mu_model_pack(const char *path, struct mu_packed_head *h, struct mu_spec *s, struct mu_weights *w,
                  struct mu_device *d, const struct mu_pack_opts *o, struct mu_err *e)
{
    struct mu_model_opts opts = opts_of(o->format, o->mla);
    struct progress progress = {.o = o};
    struct mu_model *m = NULL;
    size_t block, biases;
    int rc = MU_OK;

    mu_packed_sizes(s, o->format, o->mla, &block, &biases);
    progress.written = block + biases;
    *h = (struct mu_packed_head){0};
    snprintf(h->weights, sizeof h->weights, "%s", mu_wformat_name(o->format));
    snprintf(h->mla, sizeof h->mla, "%s", mu_mla_form_name(o->mla));
    mu_packed_layout(s, o->format, o->mla, h->layout);
    name_network(s, h->network);
    MU_TRY(mu_model_load(&m, s, &opts, w, d, on_read, &progress, e));
    memcpy(h->content, mu_model_content_hash(m), sizeof h->content);
    MU_TRY(write_model(path, h, m, w, &progress, e));
out:
    mu_model_free(m);
    return rc;
}
