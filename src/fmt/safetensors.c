/* safetensors.c - see safetensors.h; every sentence names the file, the tensor, the value and the bound */
#include "fmt/safetensors.h"

#include <endian.h>
#include <inttypes.h>

#include "base/check.h"
#include "base/json_scan.h"
#include "base/mem.h"

#define PREFIX_BYTES 8
#define SHOWN_MAX    40 /* characters of a foreign word in a sentence */

/* Valid dtypes of the format that have no mu_dtype. */
static const char *const foreign[] = {"F4",          "F6_E2M3",     "F6_E3M2",      "F8_E8M0",
                                      "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E4M3_FNUZ", "C64"};

static int take_dtype(struct mu_tensor_info *info, struct mu_json_scan *t, const char *name, struct mu_err *e)
{
    struct mu_str s;
    char dtype[SHOWN_MAX + 1] = "";
    MU_TRY_RETURN(mu_scan_string(t, &s, e));
    memcpy(dtype, s.p, MU_MIN(s.n, (size_t)SHOWN_MAX));
    if (mu_dtype_from_name(&info->dtype, dtype)) {
        info->stored = mu_dtype_safetensors_name(info->dtype);
        if (info->stored && mu_str_eq(s, mu_str(info->stored)))
            return MU_OK;
    }
    for (size_t i = 0; i < MU_COUNT(foreign); i++)
        if (strcmp(dtype, foreign[i]) == 0)
            return mu_fail(e, MU_EUNSUPPORTED,
                           "%s: tensor \"%s\" has dtype %s, which muster does not read; use a checkpoint in BF16, F16, "
                           "F32 or F8_E4M3",
                           t->path, name, dtype);
    return mu_fail(e, MU_EFORMAT, "%s: tensor \"%s\" has dtype \"%s\", which is not one of the format", t->path, name,
                   dtype);
}

static int take_shape(struct mu_tensor_info *info, struct mu_json_scan *t, const char *name, struct mu_err *e)
{
    MU_TRY_RETURN(mu_scan_expect(t, '[', e));
    if (mu_scan_accept(t, ']'))
        return MU_OK;
    do {
        if (info->n_dims == MU_DIMS_MAX)
            return mu_fail(e, MU_EUNSUPPORTED, "%s: tensor \"%s\" has more than %d dimensions, which are supported",
                           t->path, name, MU_DIMS_MAX);
        if (!mu_scan_number(t, &info->dims[info->n_dims]))
            return mu_fail(e, MU_EFORMAT, "%s: dimension %d of tensor \"%s\" is not a whole number of 0 or more",
                           t->path, info->n_dims, name);
        info->n_dims++;
    } while (mu_scan_accept(t, ','));
    return mu_scan_expect(t, ']', e);
}

static int take_offset(uint64_t *out, struct mu_json_scan *t, const char *name, struct mu_err *e)
{
    if (!mu_scan_number(t, out))
        return mu_fail(e, MU_EFORMAT, "%s: \"data_offsets\" of tensor \"%s\" are not whole numbers of 0 or more",
                       t->path, name);
    return MU_OK;
}

static int take_offsets(uint64_t span[2], struct mu_json_scan *t, const char *name, struct mu_err *e)
{
    MU_TRY_RETURN(mu_scan_expect(t, '[', e));
    MU_TRY_RETURN(take_offset(&span[0], t, name, e));
    MU_TRY_RETURN(mu_scan_expect(t, ',', e));
    MU_TRY_RETURN(take_offset(&span[1], t, name, e));
    return mu_scan_expect(t, ']', e);
}

enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };

/* One member of a tensor's entry; *seen notes which came. */
static int take_member(struct mu_tensor_info *info, uint64_t span[2], int *seen, struct mu_json_scan *t,
                       const char *name, struct mu_err *e)
{
    struct mu_str key;
    MU_TRY_RETURN(mu_scan_string(t, &key, e));
    int which = mu_str_eq(key, MU_STR("dtype"))          ? DTYPE
                : mu_str_eq(key, MU_STR("shape"))        ? SHAPE
                : mu_str_eq(key, MU_STR("data_offsets")) ? OFFSETS
                                                         : 0;
    if (which == 0 || *seen & which)
        return mu_fail(e, MU_EFORMAT, "%s: the entry of tensor \"%s\" has %s member \"%.*s\"", t->path, name,
                       which ? "twice the" : "an unknown", (int)MU_MIN(key.n, (size_t)SHOWN_MAX), key.p);
    *seen |= which;
    MU_TRY_RETURN(mu_scan_expect(t, ':', e));
    return which == DTYPE   ? take_dtype(info, t, name, e)
           : which == SHAPE ? take_shape(info, t, name, e)
                            : take_offsets(span, t, name, e);
}

static int take_entry(struct mu_tensor_info *info, uint64_t span[2], struct mu_json_scan *t, const char *name,
                      struct mu_err *e)
{
    int seen = 0;
    MU_TRY_RETURN(mu_scan_expect(t, '{', e));
    if (!mu_scan_accept(t, '}')) {
        do
            MU_TRY_RETURN(take_member(info, span, &seen, t, name, e));
        while (mu_scan_accept(t, ','));
        MU_TRY_RETURN(mu_scan_expect(t, '}', e));
    }
    if (seen != ALL)
        return mu_fail(e, MU_EFORMAT, "%s: the entry of tensor \"%s\" lacks \"%s\"", t->path, name,
                       !(seen & DTYPE)   ? "dtype"
                       : !(seen & SHAPE) ? "shape"
                                         : "data_offsets");
    return MU_OK;
}

/* Shape, type and place must agree; info->offset receives the first byte, still relative to the data. */
static int check_span(struct mu_tensor_info *info, const uint64_t span[2], uint64_t data_bytes, const char *name,
                      const char *path, struct mu_err *e)
{
    if (!mu_tensor_info_measure(info))
        return mu_fail(e, MU_EFORMAT, "%s: the dimensions of tensor \"%s\" multiply to more than 2^63 bytes", path,
                       name);
    if (span[0] > span[1])
        return mu_fail(e, MU_EFORMAT, "%s: tensor \"%s\" begins at byte %" PRIu64 " and ends before it, at %" PRIu64,
                       path, name, span[0], span[1]);
    if (span[1] > data_bytes)
        return mu_fail(e, MU_EFORMAT,
                       "%s: tensor \"%s\" ends at byte %" PRIu64 " of the data, which has %" PRIu64
                       " bytes; the file is cut short or its header is wrong",
                       path, name, span[1], data_bytes);
    if (span[1] - span[0] != info->n_bytes)
        return mu_fail(e, MU_EFORMAT,
                       "%s: tensor \"%s\" has %" PRIu64 " bytes of data, its %s shape of %" PRIu64
                       " elements needs %" PRIu64,
                       path, name, span[1] - span[0], info->stored, info->n_elems, info->n_bytes);
    info->offset = span[0];
    return MU_OK;
}

static int take_tensor(struct mu_tensor_table *table, int file, uint64_t data_bytes, struct mu_json_scan *t,
                       struct mu_buf *name, struct mu_err *e)
{
    struct mu_tensor_info info = {.file = file};
    uint64_t span[2] = {0, 0};
    MU_TRY_RETURN(take_entry(&info, span, t, name->p, e));
    MU_TRY_RETURN(check_span(&info, span, data_bytes, name->p, t->path, e));
    return mu_tensor_table_add(table, &info, mu_buf_str(name), t->path, e);
}

static int take_metadata(json_t **out, struct mu_json_scan *t, struct mu_err *e)
{
    struct mu_str text;
    const char *key;
    json_t *member;
    char where[1024];
    if (*out)
        return mu_fail(e, MU_EFORMAT, "%s: the header holds \"__metadata__\" twice", t->path);
    MU_TRY_RETURN(mu_scan_value(t, &text, e));
    snprintf(where, sizeof where, "%.900s: \"__metadata__\"", t->path);
    MU_TRY_RETURN(mu_json_parse_strict(out, text, where, e));
    if (!json_is_object(*out))
        return mu_fail(e, MU_EFORMAT, "%s is not an object", where);
    json_object_foreach(*out, key, member)
    {
        if (!json_is_string(member))
            return mu_fail(e, MU_EFORMAT, "%s: member \"%.100s\" is not a string", where, key);
    }
    return MU_OK;
}

/* The tensors, in order of their offsets, must follow each other from the first byte of the data to the last. */
static int check_no_holes(const struct mu_tensor_table *t, uint64_t data_bytes, const char *path, struct mu_err *e)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < t->n; i++) {
        const struct mu_tensor_info *info = &t->items[i];
        if (info->offset < at)
            return mu_fail(e, MU_EFORMAT,
                           "%s: tensor \"%s\" begins at byte %" PRIu64
                           " of the data and overlaps \"%s\", which ends at %" PRIu64,
                           path, info->name, info->offset, t->items[i - 1].name, at);
        if (info->offset > at)
            return mu_fail(e, MU_EFORMAT,
                           "%s: bytes %" PRIu64 " to %" PRIu64
                           " of the data, before tensor \"%s\", belong to no tensor",
                           path, at, info->offset, info->name);
        at += info->n_bytes;
    }
    if (at != data_bytes)
        return mu_fail(e, MU_EFORMAT,
                       "%s: its tensors end at byte %" PRIu64 " of the data, which has %" PRIu64 " bytes", path, at,
                       data_bytes);
    return MU_OK;
}

static int read_text(struct mu_buf *text, const struct mu_file *f, struct mu_err *e)
{
    uint64_t n;
    if (f->bytes < PREFIX_BYTES)
        return mu_fail(e, MU_EFORMAT, "%s has %" PRIu64 " bytes, a safetensors file has at least %d", f->path, f->bytes,
                       PREFIX_BYTES);
    MU_TRY_RETURN(mu_file_read_at(f, &n, sizeof n, 0, e));
    n = le64toh(n);
    if (n > MU_SAFETENSORS_HEADER_BYTES_MAX)
        return mu_fail(e, MU_EFORMAT,
                       "%s: the header has %" PRIu64 " bytes by its first 8 bytes, at most %d are allowed; is it a "
                       "safetensors file?",
                       f->path, n, MU_SAFETENSORS_HEADER_BYTES_MAX);
    if (n > f->bytes - PREFIX_BYTES)
        return mu_fail(e, MU_EFORMAT,
                       "%s: the header has %" PRIu64 " bytes by its first 8 bytes, the file ends after %" PRIu64
                       " more; it is cut short",
                       f->path, n, f->bytes - PREFIX_BYTES);
    MU_TRY_RETURN(mu_buf_reserve(text, (size_t)n, e));
    MU_TRY_RETURN(mu_file_read_at(f, text->p, (size_t)n, PREFIX_BYTES, e));
    text->n = (size_t)n;
    text->p[n] = 0;
    if (n == 0 || text->p[0] != '{')
        return mu_fail(e, MU_EFORMAT, "%s: the header does not begin with '{'; it is no safetensors file", f->path);
    return MU_OK;
}

/* One name and what belongs to it. */
static int take_pair(struct mu_tensor_table *table, int file, uint64_t data_bytes, struct mu_json_scan *t,
                     struct mu_buf *name, json_t **metadata, struct mu_err *e)
{
    struct mu_str s;
    MU_TRY_RETURN(mu_scan_string(t, &s, e));
    if (s.n == 0 || memchr(s.p, 0, s.n))
        return mu_fail(e, MU_EFORMAT, "%s: a tensor has an empty name or one with a zero byte", t->path);
    mu_buf_clear(name);
    MU_TRY_RETURN(mu_buf_add(name, s.p, s.n, e));
    MU_TRY_RETURN(mu_scan_expect(t, ':', e));
    if (mu_str_eq(mu_buf_str(name), MU_STR("__metadata__")))
        return take_metadata(metadata, t, e);
    return take_tensor(table, file, data_bytes, t, name, e);
}

static int take_all(struct mu_tensor_table *table, int file, uint64_t data_bytes, struct mu_json_scan *t,
                    json_t **metadata, struct mu_err *e)
{
    struct mu_buf name = MU_BUF_INIT("a tensor's name", MU_SAFETENSORS_NAME_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_scan_expect(t, '{', e));
    if (!mu_scan_accept(t, '}')) {
        do
            MU_TRY(take_pair(table, file, data_bytes, t, &name, metadata, e));
        while (mu_scan_accept(t, ','));
        MU_TRY(mu_scan_expect(t, '}', e));
    }
    MU_TRY(mu_scan_end(t, e));
    MU_TRY(mu_tensor_table_finish(table, t->path, e));
    MU_TRY(check_no_holes(table, data_bytes, t->path, e));
out:
    mu_buf_fini(&name);
    return rc;
}

int mu_safetensors_read_header(const struct mu_file *f, int file, struct mu_tensor_table *t, json_t **metadata,
                               struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a safetensors header", MU_SAFETENSORS_HEADER_BYTES_MAX);
    struct mu_json_scan header;
    json_t *found = NULL;
    int rc = MU_OK;

    mu_scan_begin(&header, MU_STR(""), f->path, "header");
    MU_TRY(read_text(&text, f, e));
    header.text = mu_buf_str(&text);
    MU_TRY(take_all(t, file, f->bytes - PREFIX_BYTES - text.n, &header, &found, e));
    for (int64_t i = 0; i < t->n; i++)
        t->items[i].offset += PREFIX_BYTES + text.n;
    if (metadata)
        *metadata = json_incref(found);
out:
    json_decref(found);
    mu_scan_fini(&header);
    mu_buf_fini(&text);
    return rc;
}
