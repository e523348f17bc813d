/* gguf.c - parsing the head of a GGUF file
 *
 * A cursor walks the head; bytes are fetched from the file a megabyte at a time, as far as the cursor gets. As the
 * buffer moves while it grows, values note where they lie by offset and get their pointers at the end.
 *
 * Always true: a count is believed only as far as the rest of the file could hold it; nothing is allocated by a
 * count alone. */
#include "fmt/gguf.h"

#include <byteswap.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fmt/ggml_types.h"
#include "fmt/gguf_int.h"
#include "fmt/tensor_table.h"

#define FETCH_BYTES      ((uint64_t)1 << 20)
#define ALIGNMENT        32 /* of tensor data, unless general.alignment says otherwise */
#define ALIGNMENT_MAX    ((int64_t)1 << 20)
#define KEY_BYTES_MIN    (8 + 4 + 1)     /* the smallest key and value */
#define TENSOR_BYTES_MIN (8 + 4 + 4 + 8) /* the smallest tensor entry */

struct cursor {
    const struct mu_file *f;
    struct mu_buf *head;
    uint64_t at;
};

/* Where a value's key and bytes lie in the head, until pointers can be taken. */
struct place {
    uint64_t key, bytes;
};

static int need(struct cursor *c, uint64_t n, const char *what, struct mu_err *e)
{
    if (n > c->f->bytes - c->at)
        return mu_fail(e, MU_EFORMAT,
                       "%s: %s at byte %" PRIu64 " needs %" PRIu64 " bytes, the file ends after %" PRIu64
                       "; it is cut short or broken",
                       c->f->path, what, c->at, n, c->f->bytes - c->at);
    uint64_t have = c->head->n;
    if (c->at + n <= have)
        return MU_OK;
    uint64_t more = MU_MIN(MU_MAX(c->at + n - have, FETCH_BYTES), c->f->bytes - have);
    if (c->at + n <= c->head->max)
        more = MU_MIN(more, c->head->max - have);
    MU_TRY_RETURN(mu_buf_reserve(c->head, (size_t)more, e));
    MU_TRY_RETURN(mu_file_read_at(c->f, c->head->p + have, (size_t)more, have, e));
    c->head->n += (size_t)more;
    return MU_OK;
}

static int take_u32(struct cursor *c, uint32_t *out, const char *what, struct mu_err *e)
{
    MU_TRY_RETURN(need(c, sizeof *out, what, e));
    memcpy(out, c->head->p + c->at, sizeof *out);
    *out = le32toh(*out);
    c->at += sizeof *out;
    return MU_OK;
}

static int take_u64(struct cursor *c, uint64_t *out, const char *what, struct mu_err *e)
{
    MU_TRY_RETURN(need(c, sizeof *out, what, e));
    memcpy(out, c->head->p + c->at, sizeof *out);
    *out = le64toh(*out);
    c->at += sizeof *out;
    return MU_OK;
}

/* Steps over n bytes; they are in memory afterwards. */
static int skip(struct cursor *c, uint64_t n, const char *what, struct mu_err *e)
{
    MU_TRY_RETURN(need(c, n, what, e));
    c->at += n;
    return MU_OK;
}

static int skip_string(struct cursor *c, const char *what, struct mu_err *e)
{
    uint64_t n;
    MU_TRY_RETURN(take_u64(c, &n, what, e));
    return skip(c, n, what, e);
}

/* A key or tensor name: *out is valid until the next take. */
static int take_name(struct cursor *c, uint64_t n_max, const char *what, struct mu_str *out, struct mu_err *e)
{
    uint64_t n;
    MU_TRY_RETURN(take_u64(c, &n, what, e));
    if (n == 0 || n > n_max)
        return mu_fail(e, MU_EFORMAT, "%s: %s at byte %" PRIu64 " has %" PRIu64 " bytes, 1 to %" PRIu64 " are allowed",
                       c->f->path, what, c->at, n, n_max);
    MU_TRY_RETURN(skip(c, n, what, e));
    *out = (struct mu_str){c->head->p + c->at - n, (size_t)n};
    if (memchr(out->p, 0, out->n) || mu_utf8_valid_prefix(out->p, out->n) != out->n)
        return mu_fail(e, MU_EFORMAT, "%s: %s at byte %" PRIu64 " is not UTF-8 text", c->f->path, what, c->at - n);
    return MU_OK;
}

/* ---- keys and values ---- */

static int take_type(struct cursor *c, enum mu_gguf_type *out, struct mu_err *e)
{
    uint32_t type;
    MU_TRY_RETURN(take_u32(c, &type, "a value's type", e));
    if (type >= MU_GGUF_TYPE_N)
        return mu_fail(e, MU_EFORMAT, "%s: the value type at byte %" PRIu64 " is %" PRIu32 ", the format has 0 to %d",
                       c->f->path, c->at - 4, type, MU_GGUF_TYPE_N - 1);
    *out = (enum mu_gguf_type)type;
    return MU_OK;
}

static int skip_items(struct cursor *c, enum mu_gguf_type type, uint64_t n, int depth, struct mu_err *e);

static int take_array_head(struct cursor *c, enum mu_gguf_type *type, uint64_t *n, struct mu_err *e)
{
    MU_TRY_RETURN(take_type(c, type, e));
    MU_TRY_RETURN(take_u64(c, n, "an array's length", e));
    uint64_t each = *type == MU_GGUF_STRING ? 8 : *type == MU_GGUF_ARRAY ? 12 : mu_gguf_type_bytes(*type);
    if (*n > (c->f->bytes - c->at) / each)
        return mu_fail(e, MU_EFORMAT,
                       "%s: the array at byte %" PRIu64 " says it has %" PRIu64 " elements, the file has only %" PRIu64
                       " bytes left",
                       c->f->path, c->at, *n, c->f->bytes - c->at);
    return MU_OK;
}

static int skip_array(struct cursor *c, int depth, struct mu_err *e)
{
    enum mu_gguf_type type;
    uint64_t n;
    if (depth > MU_GGUF_DEPTH_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: arrays at byte %" PRIu64 " are nested deeper than %d", c->f->path, c->at,
                       MU_GGUF_DEPTH_MAX);
    MU_TRY_RETURN(take_array_head(c, &type, &n, e));
    return skip_items(c, type, n, depth, e);
}

static int skip_items(struct cursor *c, enum mu_gguf_type type, uint64_t n, int depth, struct mu_err *e)
{
    if (type == MU_GGUF_STRING || type == MU_GGUF_ARRAY) {
        for (uint64_t i = 0; i < n; i++)
            MU_TRY_RETURN(type == MU_GGUF_STRING ? skip_string(c, "a string", e) : skip_array(c, depth + 1, e));
        return MU_OK;
    }
    return skip(c, n * mu_gguf_type_bytes(type), "a value", e);
}

static int parse_value(struct mu_gguf_value *v, struct place *at, struct cursor *c, struct mu_err *e)
{
    MU_TRY_RETURN(take_name(c, MU_GGUF_KEY_BYTES_MAX, "a metadata key", &v->key, e));
    at->key = c->at - v->key.n;
    MU_TRY_RETURN(take_type(c, &v->type, e));
    v->items = (struct mu_gguf_array){v->type, 1, NULL};
    if (v->type == MU_GGUF_ARRAY)
        MU_TRY_RETURN(take_array_head(c, &v->items.type, &v->items.n, e));
    at->bytes = c->at;
    return skip_items(c, v->items.type, v->items.n, 1, e);
}

static int by_key(const void *a, const void *b)
{
    const struct mu_str *x = &(*(const struct mu_gguf_value *const *)a)->key,
                        *y = &(*(const struct mu_gguf_value *const *)b)->key;
    int order = memcmp(x->p, y->p, MU_MIN(x->n, y->n));
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static int check_keys_unique(const struct mu_gguf *g, struct mu_err *e)
{
    const struct mu_gguf_value **sorted = NULL;
    int rc = MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&sorted, g->n_values, "a list of keys", e));
    for (int64_t i = 0; i < g->n_values; i++)
        sorted[i] = &g->values[i];
    qsort(sorted, (size_t)g->n_values, sizeof *sorted, by_key);
    for (int64_t i = 1; i < g->n_values && rc == MU_OK; i++)
        if (mu_str_eq(sorted[i - 1]->key, sorted[i]->key))
            rc = mu_fail(e, MU_EFORMAT, "%s holds the metadata key \"%.*s\" twice", g->path,
                         (int)MU_MIN(sorted[i]->key.n, (size_t)100), sorted[i]->key.p);
    mu_free(sorted);
    return rc;
}

static int parse_values(struct mu_gguf *g, struct cursor *c, struct place *places, struct mu_err *e)
{
    for (int64_t i = 0; i < g->n_values; i++)
        MU_TRY_RETURN(parse_value(&g->values[i], &places[i], c, e));
    return MU_OK;
}

static void set_pointers(struct mu_gguf *g, const struct place *places)
{
    for (int64_t i = 0; i < g->n_values; i++) {
        g->values[i].key.p = g->head.p + places[i].key;
        g->values[i].items.p = (const unsigned char *)g->head.p + places[i].bytes;
    }
}

/* ---- tensors ---- */

/* The file lists dimensions from the contiguous one up; we keep them the other way round. */
static int take_dims(struct mu_tensor_info *info, struct cursor *c, const char *name, struct mu_err *e)
{
    uint32_t n;
    MU_TRY_RETURN(take_u32(c, &n, "a tensor's number of dimensions", e));
    if (n > MU_DIMS_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: tensor \"%s\" has %" PRIu32 " dimensions, at most %d are supported",
                       c->f->path, name, n, MU_DIMS_MAX);
    info->n_dims = (int)n;
    for (int i = info->n_dims; i-- > 0;)
        MU_TRY_RETURN(take_u64(c, &info->dims[i], "a tensor's dimension", e));
    return MU_OK;
}

static int parse_tensor(struct mu_tensor_table *t, struct cursor *c, int file, struct mu_err *e)
{
    struct mu_tensor_info info = {.file = file};
    struct mu_str name;
    char text[MU_GGUF_NAME_BYTES_MAX + 1];
    uint32_t type;

    MU_TRY_RETURN(take_name(c, MU_GGUF_NAME_BYTES_MAX, "a tensor name", &name, e));
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    name.p = text;
    MU_TRY_RETURN(take_dims(&info, c, text, e));
    MU_TRY_RETURN(take_u32(c, &type, "a tensor's type", e));
    MU_TRY_RETURN(take_u64(c, &info.offset, "a tensor's offset", e));
    const struct mu_ggml_type *known = mu_ggml_type(type);
    if (!known)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: tensor \"%s\" has type %" PRIu32 ", which this version does not know",
                       c->f->path, text, type);
    info.dtype = known->dtype;
    info.stored = known->name;
    if (!mu_tensor_info_measure_blocks(&info, known->block_elems, known->block_bytes))
        return mu_fail(e, MU_EFORMAT,
                       "%s: tensor \"%s\" of type %s has impossible dimensions: rows must hold whole blocks of %d "
                       "elements, and all of it less than 2^63 bytes",
                       c->f->path, text, known->name, known->block_elems);
    return mu_tensor_table_add(t, &info, name, c->f->path, e);
}

/* Offsets from the start of the file; data must be aligned, inside the file and without overlap. */
static int place_tensors(struct mu_tensor_table *t, const struct mu_file *f, uint64_t data_at, uint64_t align,
                         struct mu_err *e)
{
    uint64_t data_bytes = f->bytes > data_at ? f->bytes - data_at : 0, end = 0;
    for (int64_t i = 0; i < t->n; i++) {
        struct mu_tensor_info *info = &t->items[i];
        if (info->offset % align != 0)
            return mu_fail(e, MU_EFORMAT,
                           "%s: tensor \"%s\" begins at byte %" PRIu64
                           " of the data, which is no multiple of the alignment %" PRIu64,
                           f->path, info->name, info->offset, align);
        if (info->n_bytes > data_bytes || info->offset > data_bytes - info->n_bytes)
            return mu_fail(e, MU_EFORMAT,
                           "%s: tensor \"%s\" of %" PRIu64 " bytes begins at byte %" PRIu64
                           " of the data, which has %" PRIu64 " bytes; the file is cut short or broken",
                           f->path, info->name, info->n_bytes, info->offset, data_bytes);
        if (info->offset < end)
            return mu_fail(e, MU_EFORMAT,
                           "%s: tensor \"%s\" begins at byte %" PRIu64
                           " of the data and overlaps \"%s\", which ends at %" PRIu64,
                           f->path, info->name, info->offset, t->items[i - 1].name, end);
        end = info->offset + info->n_bytes;
    }
    for (int64_t i = 0; i < t->n; i++)
        t->items[i].offset += data_at;
    return MU_OK;
}

static int parse_tensors(const struct mu_gguf *g, struct cursor *c, int file, struct mu_tensor_table *t,
                         struct mu_err *e)
{
    for (uint64_t i = 0; i < g->n_tensors; i++)
        MU_TRY_RETURN(parse_tensor(t, c, file, e));
    return mu_tensor_table_finish(t, c->f->path, e);
}

/* ---- the file ---- */

static int check_count(uint64_t n, uint64_t n_max, uint64_t each, const char *what, const struct cursor *c,
                       struct mu_err *e)
{
    if (n > n_max)
        return mu_fail(e, MU_ELIMIT, "%s says it holds %" PRIu64 " %s, at most %" PRIu64 " are supported", c->f->path,
                       n, what, n_max);
    if (n > (c->f->bytes - c->at) / each)
        return mu_fail(e, MU_EFORMAT, "%s says it holds %" PRIu64 " %s, its %" PRIu64 " bytes have no room for them",
                       c->f->path, n, what, c->f->bytes);
    return MU_OK;
}

static int parse_start(struct mu_gguf *g, struct cursor *c, struct mu_err *e)
{
    uint64_t n_keys;
    MU_TRY_RETURN(need(c, 4, "the mark \"GGUF\"", e));
    if (memcmp(c->head->p, "GGUF", 4) != 0)
        return mu_fail(e, MU_EFORMAT, "%s does not begin with \"GGUF\"; it is no GGUF file", c->f->path);
    c->at = 4;
    MU_TRY_RETURN(take_u32(c, &g->version, "the version", e));
    if (g->version > 0xffff && bswap_32(g->version) <= 0xffff)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s is a big-endian GGUF file, muster reads little-endian ones; convert it with "
                       "gguf_convert_endian.py of llama.cpp",
                       c->f->path);
    if (g->version != 2 && g->version != 3)
        return mu_fail(e, MU_EUNSUPPORTED, "%s is of GGUF version %" PRIu32 ", versions 2 and 3 are read", c->f->path,
                       g->version);
    MU_TRY_RETURN(take_u64(c, &g->n_tensors, "the number of tensors", e));
    MU_TRY_RETURN(take_u64(c, &n_keys, "the number of keys", e));
    MU_TRY_RETURN(check_count(g->n_tensors, MU_TENSORS_MAX, TENSOR_BYTES_MIN, "tensors", c, e));
    MU_TRY_RETURN(check_count(n_keys, MU_GGUF_KEYS_MAX, KEY_BYTES_MIN, "metadata keys", c, e));
    g->n_values = (int64_t)n_keys;
    return MU_OK;
}

static int alignment_of(const struct mu_gguf *g, uint64_t *out, struct mu_err *e)
{
    int64_t align = ALIGNMENT;
    if (mu_gguf_find(g, "general.alignment"))
        MU_TRY_RETURN(mu_gguf_int(g, "general.alignment", 1, ALIGNMENT_MAX, &align, e));
    if ((align & (align - 1)) != 0)
        return mu_fail(e, MU_EFORMAT, "%s: general.alignment is %" PRId64 ", a power of two is needed", g->path, align);
    *out = (uint64_t)align;
    return MU_OK;
}

static int parse(struct mu_gguf *g, const struct mu_file *f, int file, struct mu_tensor_table *t, struct mu_err *e)
{
    struct cursor c = {f, &g->head, 0};
    struct place *places = NULL;
    uint64_t align = ALIGNMENT;
    int rc = MU_OK;

    MU_TRY(parse_start(g, &c, e));
    MU_TRY(MU_NEW_ARRAY(&g->values, g->n_values, "metadata", e));
    MU_TRY(MU_NEW_ARRAY(&places, g->n_values, "metadata", e));
    MU_TRY(parse_values(g, &c, places, e));
    MU_TRY(parse_tensors(g, &c, file, t, e));
    set_pointers(g, places);
    MU_TRY(check_keys_unique(g, e));
    MU_TRY(alignment_of(g, &align, e));
    MU_TRY(place_tensors(t, f, (c.at + align - 1) / align * align, align, e));
out:
    mu_free(places);
    return rc;
}

int mu_gguf_read(struct mu_gguf **out, const struct mu_file *f, int file, struct mu_tensor_table *t, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&g, "a GGUF head", e));
    g->head = (struct mu_buf)MU_BUF_INIT("the head of a GGUF file", MU_GGUF_HEAD_BYTES_MAX);
    g->path = mu_strdup(f->path);
    if (!g->path) {
        rc = mu_fail_nomem(e, strlen(f->path) + 1, "a path");
        goto out;
    }
    MU_TRY(parse(g, f, file, t, e));
    *out = g;
    g = NULL;
out:
    mu_gguf_free(g);
    return rc;
}

int mu_gguf_open(struct mu_gguf **out, const char *path, struct mu_err *e)
{
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    struct mu_file f;
    int rc = MU_OK;

    MU_TRY_RETURN(mu_file_open(&f, path, e));
    MU_TRY(mu_gguf_read(out, &f, 0, &t, e));
out:
    mu_tensor_table_fini(&t);
    mu_file_close(&f);
    return rc;
}

void mu_gguf_free(struct mu_gguf *g)
{
    if (!g)
        return;
    mu_buf_fini(&g->head);
    mu_free(g->values);
    mu_free(g->path);
    mu_free(g);
}
