/* weights.c - one handle over the files of a checkpoint; see weights.h
 *
 * Headers are read at open, tensor bytes only by mu_weights_read(). Formats are safetensors.c, shards.c, gguf.c and
 * packed.c; where a path's files are is checkpoint.c.
 *
 * Always true after open: every tensor lies inside its file as it was then; names are unique over all files. */
#include "fmt/weights.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/checkpoint.h"
#include "fmt/gguf.h"
#include "fmt/gguf_split.h"
#include "fmt/map_copy.h"
#include "fmt/packed.h"
#include "fmt/safetensors.h"
#include "fmt/shards.h"
#include "fmt/tensor_table.h"

struct source {
    struct mu_file f;
    struct mu_map map;
};

struct mu_weights {
    enum mu_read_mode mode;
    const char *format;
    struct source *files;
    int n_files;
    struct mu_tensor_table tensors;
    struct mu_gguf *gguf;
    struct mu_packed_head *packed;
    uint64_t bytes_total;
    atomic_uint_fast64_t bytes_read;
};

static int new_files(struct mu_weights *w, int n, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&w->files, n, "the list of files", e));
    for (int i = 0; i < n; i++)
        w->files[i].f = (struct mu_file)MU_FILE_INIT;
    w->n_files = n;
    return MU_OK;
}

static int open_file(struct mu_weights *w, int i, const char *path, struct mu_err *e)
{
    struct source *s = &w->files[i];
    MU_TRY_RETURN(mu_file_open(&s->f, path, e));
    posix_fadvise(s->f.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (w->mode != MU_READ_MMAP)
        return MU_OK;
    MU_TRY_RETURN(mu_file_map(&s->map, &s->f, e));
    if (s->map.p)
        madvise((void *)(uintptr_t)s->map.p, s->map.n, MADV_SEQUENTIAL);
    return MU_OK;
}

/* ---- safetensors ---- */

static int open_one(struct mu_weights *w, const char *path, struct mu_err *e)
{
    MU_TRY_RETURN(new_files(w, 1, e));
    MU_TRY_RETURN(open_file(w, 0, path, e));
    return mu_safetensors_read_header(&w->files[0].f, 0, &w->tensors, NULL, e);
}

static int open_shard(struct mu_weights *w, int i, const struct mu_shards *s, const char *folder, const char *index,
                      int64_t *n_unlisted, struct mu_err *e)
{
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(mu_path_join(&path, folder, s->names[i], e));
    rc = open_file(w, i, path.p, e);
    if (rc == MU_ENOENT)
        rc = mu_fail(e, MU_ENOENT, "%s is missing, though %s lists it; the download is incomplete", path.p, index);
    MU_TRY(rc);
    MU_TRY(mu_safetensors_read_header(&w->files[i].f, i, &t, NULL, e));
    MU_TRY(mu_shards_take(s, i, &t, &w->tensors, n_unlisted, path.p, e));
out:
    mu_buf_fini(&path);
    mu_tensor_table_fini(&t);
    return rc;
}

static int open_shards(struct mu_weights *w, const struct mu_shards *s, const char *folder, const char *index,
                       struct mu_err *e)
{
    int64_t n_unlisted = 0;
    MU_TRY_RETURN(new_files(w, s->n, e));
    for (int i = 0; i < s->n; i++)
        MU_TRY_RETURN(open_shard(w, i, s, folder, index, &n_unlisted, e));
    MU_TRY_RETURN(mu_tensor_table_finish(&w->tensors, index, e));
    MU_TRY_RETURN(mu_shards_check_complete(s, &w->tensors, index, e));
    if (n_unlisted)
        mu_log(MU_LOG_INFO, "%s does not list %" PRId64 " tensors of its files; they are left alone", index,
               n_unlisted);
    return MU_OK;
}

static int open_index(struct mu_weights *w, const char *index, struct mu_err *e)
{
    struct mu_shards s = MU_SHARDS_INIT;
    struct mu_buf text = MU_BUF_INIT("an index of shards", MU_SHARDS_TEXT_BYTES_MAX);
    struct mu_buf folder = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    const char *slash = strrchr(index, '/');
    int rc = MU_OK;

    MU_TRY(mu_file_read_all(&text, index, e));
    MU_TRY(mu_shards_parse(&s, mu_buf_str(&text), index, e));
    if (slash)
        MU_TRY(mu_buf_add(&folder, index, (size_t)(slash - index) + 1, e));
    else
        MU_TRY(mu_buf_puts(&folder, ".", e));
    MU_TRY(open_shards(w, &s, folder.p, index, e));
out:
    mu_shards_fini(&s);
    mu_buf_fini(&folder);
    mu_buf_fini(&text);
    return rc;
}

/* ---- GGUF ---- */

static int add_all(struct mu_tensor_table *to, const struct mu_tensor_table *from, int file, const char *path,
                   struct mu_err *e)
{
    for (int64_t i = 0; i < from->n; i++) {
        struct mu_tensor_info info = from->items[i];
        info.file = file;
        MU_TRY_RETURN(mu_tensor_table_add(to, &info, mu_str(info.name), path, e));
    }
    return MU_OK;
}

static int open_part(struct mu_weights *w, int i, const char *first, int n_parts, struct mu_err *e)
{
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_gguf *g = NULL;
    int rc = MU_OK;

    MU_TRY(mu_gguf_part_path(&path, first, i + 1, e));
    MU_TRY(open_file(w, i, path.p, e));
    MU_TRY(mu_gguf_read(&g, &w->files[i].f, i, &t, e));
    MU_TRY(mu_gguf_part_check(g, path.p, i + 1, n_parts, e));
    MU_TRY(add_all(&w->tensors, &t, i, path.p, e));
out:
    mu_gguf_free(g);
    mu_buf_fini(&path);
    mu_tensor_table_fini(&t);
    return rc;
}

/* Parts 2 to n_parts beside the first, which is open as file 0. */
static int open_parts(struct mu_weights *w, const char *first, int n_parts, struct mu_err *e)
{
    struct source *only = w->files;
    w->n_files = 0;
    int rc = new_files(w, n_parts, e);
    if (rc != MU_OK) {
        w->files = only;
        w->n_files = 1;
        return rc;
    }
    w->files[0] = only[0];
    mu_free(only);
    for (int i = 1; i < n_parts; i++)
        MU_TRY_RETURN(open_part(w, i, first, n_parts, e));
    return mu_tensor_table_finish(&w->tensors, first, e);
}

static int check_tensors_of_parts(const struct mu_weights *w, const char *first, int n_parts, struct mu_err *e)
{
    int64_t n_tensors;
    if (!mu_gguf_find(w->gguf, "split.tensors.count"))
        return MU_OK;
    MU_TRY_RETURN(mu_gguf_int(w->gguf, "split.tensors.count", 0, MU_TENSORS_MAX, &n_tensors, e));
    if (n_tensors != w->tensors.n)
        return mu_fail(e, MU_EFORMAT, "%s says its %d parts hold %" PRId64 " tensors, they hold %" PRId64, first,
                       n_parts, n_tensors, w->tensors.n);
    return MU_OK;
}

static int open_gguf(struct mu_weights *w, const char *path, struct mu_err *e)
{
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    int n_parts, rc = MU_OK;

    MU_TRY(new_files(w, 1, e));
    MU_TRY(open_file(w, 0, path, e));
    MU_TRY(mu_gguf_read(&w->gguf, &w->files[0].f, 0, &t, e));
    MU_TRY(mu_gguf_part_count(w->gguf, path, &n_parts, e));
    if (n_parts > 1) {
        MU_TRY(add_all(&w->tensors, &t, 0, path, e));
        MU_TRY(open_parts(w, path, n_parts, e));
        MU_TRY(check_tensors_of_parts(w, path, n_parts, e));
    } else {
        w->tensors = t;
        t = (struct mu_tensor_table)MU_TENSOR_TABLE_INIT;
    }
out:
    mu_tensor_table_fini(&t);
    return rc;
}

/* ---- packed ---- */

/* One tensor stands for all, so that whoever compares what is in the files compares the hashes. */
static int open_packed(struct mu_weights *w, const char *path, struct mu_err *e)
{
    struct mu_tensor_info t = {.dtype = MU_U8, .stored = mu_dtype_safetensors_name(MU_U8), .n_dims = 1};
    char name[64];

    MU_TRY_RETURN(new_files(w, 1, e));
    MU_TRY_RETURN(open_file(w, 0, path, e));
    MU_TRY_RETURN(MU_NEW(&w->packed, "the head of a packed model", e));
    MU_TRY_RETURN(mu_packed_read_head(w->packed, &w->files[0].f, e));
    t.dims[0] = t.n_elems = t.n_bytes = w->packed->block_bytes;
    t.offset = MU_PACKED_ALIGN;
    snprintf(name, sizeof name, "%s-%s", w->packed->content, w->packed->hash);
    MU_TRY_RETURN(mu_tensor_table_add(&w->tensors, &t, mu_str(name), path, e));
    return mu_tensor_table_finish(&w->tensors, path, e);
}

int mu_weights_map_packed(const struct mu_weights *w, struct mu_map *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_file_map(out, &w->files[0].f, e));
    madvise((void *)(uintptr_t)out->p, out->n, MADV_HUGEPAGE); /* as a whole: a part would make a mapping of its own */
    return MU_OK;
}

int mu_weights_verify(const struct mu_weights *w, struct mu_err *e)
{
    if (!w->packed)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s has no hash of its weights to compare them with; only packed models have (muster convert "
                       "--packed)",
                       w->files[0].f.path);
    return mu_packed_verify(w->packed, &w->files[0].f, e);
}

/* ---- the handle ---- */

static int open_kind(struct mu_weights *w, enum mu_checkpoint_kind kind, const char *file, struct mu_err *e)
{
    w->format = kind == MU_CHECKPOINT_GGUF ? "gguf" : kind == MU_CHECKPOINT_PACKED ? "packed" : "safetensors";
    switch (kind) {
    case MU_CHECKPOINT_PACKED:
        return open_packed(w, file, e);
    case MU_CHECKPOINT_INDEX:
        return open_index(w, file, e);
    case MU_CHECKPOINT_GGUF:
        return open_gguf(w, file, e);
    case MU_CHECKPOINT_SAFETENSORS:
    default:
        return open_one(w, file, e);
    }
}

int mu_weights_open(struct mu_weights **out, const char *path, enum mu_read_mode mode, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_weights *w = NULL;
    enum mu_checkpoint_kind kind;
    int rc = MU_OK;

    MU_TRY(mu_checkpoint_find(path, &kind, &file, e));
    MU_TRY(MU_NEW(&w, "a checkpoint", e));
    w->mode = mode;
    w->tensors = (struct mu_tensor_table)MU_TENSOR_TABLE_INIT;
    MU_TRY(open_kind(w, kind, file.p, e));
    for (int64_t i = 0; i < w->tensors.n; i++)
        w->bytes_total += w->tensors.items[i].n_bytes;
    *out = w;
    w = NULL;
out:
    mu_weights_close(w);
    mu_buf_fini(&file);
    return rc;
}

void mu_weights_close(struct mu_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n_files; i++) {
        mu_file_unmap(&w->files[i].map);
        mu_file_close(&w->files[i].f);
    }
    mu_free(w->files);
    mu_tensor_table_fini(&w->tensors);
    mu_gguf_free(w->gguf);
    mu_free(w->packed);
    mu_free(w);
}

const char *mu_weights_format(const struct mu_weights *w)
{
    return w->format;
}

int64_t mu_weights_count(const struct mu_weights *w)
{
    return w->tensors.n;
}

const struct mu_tensor_info *mu_weights_at(const struct mu_weights *w, int64_t i)
{
    return &w->tensors.items[i];
}

const struct mu_tensor_info *mu_weights_find(const struct mu_weights *w, const char *name)
{
    return mu_tensor_table_find(&w->tensors, name);
}

int mu_weights_n_files(const struct mu_weights *w)
{
    return w->n_files;
}

const char *mu_weights_file_path(const struct mu_weights *w, int file)
{
    return w->files[file].f.path;
}

uint64_t mu_weights_file_bytes(const struct mu_weights *w, int file)
{
    return w->files[file].f.bytes;
}

uint64_t mu_weights_bytes_total(const struct mu_weights *w)
{
    return w->bytes_total;
}

uint64_t mu_weights_bytes_read(const struct mu_weights *w)
{
    return atomic_load_explicit(&w->bytes_read, memory_order_relaxed);
}

int mu_weights_read(struct mu_weights *w, const struct mu_tensor_info *t, uint64_t from, uint64_t n_bytes, void *dst,
                    struct mu_err *e)
{
    const struct source *s = &w->files[t->file];
    if (t->dtype == MU_DTYPE_N)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s: tensor \"%s\" is of type %s, which muster does not read; use F32, F16, BF16, Q8_0, Q4_0, "
                       "Q4_K or Q6_K",
                       s->f.path, t->name, t->stored);
    if (from > t->n_bytes || n_bytes > t->n_bytes - from)
        return mu_fail(e, MU_EINVAL,
                       "bytes %" PRIu64 " to %" PRIu64 " of tensor \"%s\" were asked for, it has %" PRIu64, from,
                       from + n_bytes, t->name, t->n_bytes);
    if (w->mode == MU_READ_MMAP)
        MU_TRY_RETURN(mu_map_copy(dst, &s->map, &s->f, t->offset + from, (size_t)n_bytes, e));
    else
        MU_TRY_RETURN(mu_file_read_at(&s->f, dst, (size_t)n_bytes, t->offset + from, e));
    atomic_fetch_add_explicit(&w->bytes_read, n_bytes, memory_order_relaxed);
    return MU_OK;
}

int mu_weights_check(const struct mu_weights *w, struct mu_err *e)
{
    for (int i = 0; i < w->n_files; i++)
        MU_TRY_RETURN(mu_file_check(&w->files[i].f, e));
    return MU_OK;
}

const struct mu_gguf *mu_weights_gguf(const struct mu_weights *w)
{
    return w->gguf;
}

const struct mu_packed_head *mu_weights_packed(const struct mu_weights *w)
{
    return w->packed;
}
