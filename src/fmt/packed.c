/* packed.c - see packed.h */
#include "fmt/packed.h"

#include <inttypes.h>
#include <stdio.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

#define ORDER        UINT32_C(0x01020304)
#define ORDER_TURNED UINT32_C(0x04030201)
#define CHUNK_BYTES  ((size_t)16 << 20) /* of the block, written or read at once */
#define BLOCK_MAX    (UINT64_C(1) << 50)
#define SOURCE_MAX   (INT64_C(1) << 50)

struct frame {
    char magic[8];
    uint32_t order, version;
    uint64_t head_bytes, head_hash;
};
_Static_assert(sizeof(struct frame) == 32, "the frame has no gaps");

/* ---- reading ---- */

static int check_frame(const struct frame *f, const char *where, struct mu_err *e)
{
    if (memcmp(f->magic, MU_PACKED_MAGIC, sizeof f->magic) != 0)
        return mu_fail(e, MU_EFORMAT, "%s does not begin as a packed model does", where);
    if (f->order == ORDER_TURNED)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s was packed on a machine of the other byte order: convert the checkpoint on this one", where);
    if (f->order != ORDER)
        return mu_fail(e, MU_EFORMAT, "%s is damaged: its mark of the byte order is %08" PRIx32, where, f->order);
    if (f->version != MU_PACKED_VERSION)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s is a packed model of version %" PRIu32 ", this program knows version %d: convert the "
                       "checkpoint again",
                       where, f->version, MU_PACKED_VERSION);
    if (f->head_bytes > MU_PACKED_HEAD_MAX)
        return mu_fail(e, MU_EFORMAT, "%s says its head has %" PRIu64 " bytes; at most %zu are allowed", where,
                       f->head_bytes, MU_PACKED_HEAD_MAX);
    return MU_OK;
}

/* A text of at most size - 1 bytes; with hex, of exactly so many hexadecimal digits. */
static int text(const json_t *o, const char *key, bool is_hex, char *out, size_t size, const char *where,
                struct mu_err *e)
{
    const char *s;
    MU_TRY_RETURN(mu_json_string(o, key, &s, where, e));
    size_t n = strlen(s);
    if (n >= size || (is_hex && (n != size - 1 || strspn(s, "0123456789abcdef") != n)))
        return mu_fail(e, MU_EFORMAT, "%s: \"%s\" is \"%.40s\", not %s%zu %s", where, key, s, is_hex ? "" : "at most ",
                       size - 1, is_hex ? "hexadecimal digits" : "bytes");
    memcpy(out, s, n + 1);
    return MU_OK;
}

static int read_sources(struct mu_packed_head *out, const json_t *o, const char *where, struct mu_err *e)
{
    json_t *list;
    char name[MU_PACKED_NAME_MAX + 1];
    MU_TRY_RETURN(mu_json_array(o, "sources", &list, where, e));
    size_t n = json_array_size(list);
    if (n < 1 || n > MU_PACKED_SOURCES_MAX)
        return mu_fail(e, MU_EFORMAT, "%s names %zu source files; it must be 1 to %d", where, n, MU_PACKED_SOURCES_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *source = json_array_get(list, i);
        int64_t bytes;
        MU_TRY_RETURN(text(source, "name", false, i == 0 ? out->source : name, sizeof name, where, e));
        MU_TRY_RETURN(mu_json_int(source, "bytes", 0, SOURCE_MAX, &bytes, where, e));
        out->source_bytes += (uint64_t)bytes;
    }
    out->n_sources = (int)n;
    return MU_OK;
}

static int members(struct mu_packed_head *out, const json_t *o, const char *where, struct mu_err *e)
{
    int64_t bytes;
    if (!json_is_object(o))
        return mu_fail(e, MU_EFORMAT, "the head of %s is not a JSON object", where);
    MU_TRY_RETURN(text(o, "weights", false, out->weights, sizeof out->weights, where, e));
    MU_TRY_RETURN(text(o, "mla", false, out->mla, sizeof out->mla, where, e));
    MU_TRY_RETURN(text(o, "layout", true, out->layout, sizeof out->layout, where, e));
    MU_TRY_RETURN(text(o, "network", true, out->network, sizeof out->network, where, e));
    MU_TRY_RETURN(text(o, "content", true, out->content, sizeof out->content, where, e));
    MU_TRY_RETURN(text(o, "hash", true, out->hash, sizeof out->hash, where, e));
    MU_TRY_RETURN(mu_json_int(o, "bytes", 1, (int64_t)BLOCK_MAX, &bytes, where, e));
    out->block_bytes = (uint64_t)bytes;
    return read_sources(out, o, where, e);
}

static int check_length(const struct mu_packed_head *h, uint64_t file_bytes, const char *where, struct mu_err *e)
{
    uint64_t want = MU_PACKED_ALIGN + h->block_bytes;
    if (file_bytes == want)
        return MU_OK;
    return mu_fail(e, MU_EFORMAT, "%s has %" PRIu64 " bytes and must have %" PRIu64 ": %s", where, file_bytes, want,
                   file_bytes < want ? "it was cut short; copy or convert it again" : "something was added to it");
}

int mu_packed_parse(struct mu_packed_head *out, struct mu_str start, uint64_t file_bytes, const char *where,
                    struct mu_err *e)
{
    struct frame f;
    json_t *head = NULL;
    int rc = MU_OK;

    *out = (struct mu_packed_head){0};
    if (start.n < sizeof f)
        return mu_fail(e, MU_EFORMAT, "%s has %zu bytes, which is no packed model", where, start.n);
    memcpy(&f, start.p, sizeof f);
    MU_TRY_RETURN(check_frame(&f, where, e));
    if (start.n - sizeof f < f.head_bytes)
        return mu_fail(e, MU_EFORMAT, "%s ends inside its head, after %" PRIu64 " bytes: it was cut short", where,
                       file_bytes);
    struct mu_str json = {start.p + sizeof f, (size_t)f.head_bytes};
    if (mu_hash64(json.p, json.n, 0) != f.head_hash)
        return mu_fail(e, MU_EFORMAT, "%s is damaged: its head does not have the hash that stands before it", where);
    MU_TRY(mu_json_parse_strict(&head, json, where, e));
    MU_TRY(members(out, head, where, e));
    MU_TRY(check_length(out, file_bytes, where, e));
out:
    json_decref(head);
    return rc;
}

int mu_packed_read_head(struct mu_packed_head *out, const struct mu_file *f, struct mu_err *e)
{
    struct mu_buf start = MU_BUF_INIT("the head of a packed model", sizeof(struct frame) + MU_PACKED_HEAD_MAX);
    struct frame frame = {.magic = ""};
    int rc = MU_OK;

    MU_TRY(mu_file_read_at(f, &frame, (size_t)MU_MIN(f->bytes, sizeof frame), 0, e));
    MU_TRY(check_frame(&frame, f->path, e));
    size_t n = (size_t)MU_MIN(f->bytes, sizeof frame + frame.head_bytes);
    MU_TRY(mu_buf_reserve(&start, n, e));
    MU_TRY(mu_file_read_at(f, start.p, n, 0, e));
    MU_TRY(mu_packed_parse(out, (struct mu_str){start.p, n}, f->bytes, f->path, e));
out:
    mu_buf_fini(&start);
    return rc;
}

const char *mu_packed_source_text(const struct mu_packed_head *h, char buf[MU_PACKED_NAME_MAX + 32])
{
    if (h->n_sources > 1)
        snprintf(buf, MU_PACKED_NAME_MAX + 32, "%s and %d more", h->source, h->n_sources - 1);
    else
        snprintf(buf, MU_PACKED_NAME_MAX + 32, "%s", h->source);
    return buf;
}

/* ---- writing ---- */

static json_t *sources_json(const struct mu_packed_what *what)
{
    json_t *list = json_array();
    for (int i = 0; i < what->n_sources; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I}", "name", what->sources[i].name, "bytes", (json_int_t)what->sources[i].bytes));
    return list;
}

static int dump_head(struct mu_buf *out, const struct mu_packed_head *h, const struct mu_packed_what *what,
                     struct mu_err *e)
{
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:o}", "weights", h->weights, "mla", h->mla, "layout",
                          h->layout, "network", h->network, "content", h->content, "bytes", (json_int_t)h->block_bytes,
                          "hash", h->hash, "sources", sources_json(what));
    int rc = v ? mu_json_dump(out, v, false, e) : mu_fail_nomem(e, 0, "the head of a packed model");
    json_decref(v);
    return rc;
}

/* All that comes before the block, in one piece. */
static int write_start(struct mu_outfile *o, const struct mu_packed_head *h, const struct mu_packed_what *what,
                       struct mu_err *e)
{
    struct mu_buf head = MU_BUF_INIT("the head of a packed model", MU_PACKED_HEAD_MAX);
    struct frame f = {.magic = "", .order = ORDER, .version = MU_PACKED_VERSION};
    char *start = NULL;
    int rc = MU_OK;

    MU_TRY(dump_head(&head, h, what, e));
    MU_TRY(mu_new_array(&start, MU_PACKED_ALIGN, 1, "the head of a packed model", e));
    memcpy(f.magic, MU_PACKED_MAGIC, sizeof f.magic);
    f.head_bytes = head.n;
    f.head_hash = mu_hash64(head.p, head.n, 0);
    memcpy(start, &f, sizeof f);
    memcpy(start + sizeof f, head.p, head.n);
    MU_TRY(mu_outfile_write(o, start, MU_PACKED_ALIGN, e));
out:
    mu_free(start);
    mu_buf_fini(&head);
    return rc;
}

struct writing {
    struct mu_outfile out;
    uint64_t done, total;
    mu_packed_progress_fn progress;
    void *arg;
};

/* Long pieces, so that the file system's cache of them is of large pages where it has any. */
static int write_part(struct writing *w, struct mu_str part, struct mu_err *e)
{
    for (size_t at = 0, n; at < part.n; at += n) {
        n = MU_MIN(CHUNK_BYTES, part.n - at);
        MU_TRY_RETURN(mu_outfile_write(&w->out, part.p + at, n, e));
        w->done += n;
        if (w->progress && w->progress(w->arg, w->done, w->total) != 0)
            return mu_fail(e, MU_ECANCELED, "writing was stopped");
    }
    return MU_OK;
}

static void name_hash(char out[17], const XXH3_state_t *s)
{
    snprintf(out, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(s));
}

static void measure_parts(struct mu_packed_head *h, const struct mu_packed_what *what)
{
    XXH3_state_t s;
    XXH3_64bits_reset(&s);
    h->block_bytes = 0;
    for (int i = 0; i < what->n_parts; i++) {
        XXH3_64bits_update(&s, what->parts[i].p, what->parts[i].n);
        h->block_bytes += what->parts[i].n;
    }
    name_hash(h->hash, &s);
}

int mu_packed_write(const char *path, struct mu_packed_head *h, const struct mu_packed_what *what,
                    mu_packed_progress_fn progress, void *arg, struct mu_err *e)
{
    struct writing w = {.out = MU_OUTFILE_INIT, .progress = progress, .arg = arg};
    int rc = MU_OK;

    if (what->n_sources < 1 || what->n_sources > MU_PACKED_SOURCES_MAX)
        return mu_fail(e, MU_ELIMIT, "a packed model of %d source files; 1 to %d can be named", what->n_sources,
                       MU_PACKED_SOURCES_MAX);
    measure_parts(h, what);
    w.total = h->block_bytes;
    MU_TRY(mu_outfile_open(&w.out, path, e));
    MU_TRY(write_start(&w.out, h, what, e));
    for (int i = 0; i < what->n_parts; i++)
        MU_TRY(write_part(&w, what->parts[i], e));
    MU_TRY(mu_outfile_commit(&w.out, e));
out:
    mu_outfile_discard(&w.out);
    return rc;
}

/* ---- verifying ---- */

int mu_packed_verify(const struct mu_packed_head *h, const struct mu_file *f, struct mu_err *e)
{
    size_t room = (size_t)MU_MIN(CHUNK_BYTES, h->block_bytes);
    char *chunk = mu_alloc(room), found[17];
    XXH3_state_t s;
    int rc = MU_OK;

    if (!chunk)
        return mu_fail_nomem(e, room, "a part of a packed model");
    XXH3_64bits_reset(&s);
    for (uint64_t at = 0; at < h->block_bytes; at += CHUNK_BYTES) {
        size_t n = (size_t)MU_MIN(CHUNK_BYTES, h->block_bytes - at);
        MU_TRY(mu_file_read_at(f, chunk, n, MU_PACKED_ALIGN + at, e));
        XXH3_64bits_update(&s, chunk, n);
    }
    name_hash(found, &s);
    if (strcmp(found, h->hash) != 0)
        rc = mu_fail(e, MU_EFORMAT,
                     "%s is damaged: its weights have the hash %s and had %s when they were packed; copy or convert it "
                     "again",
                     f->path, found, h->hash);
out:
    mu_free(chunk);
    return rc;
}
