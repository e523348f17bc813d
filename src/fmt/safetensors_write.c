/* safetensors_write.c - see safetensors_write.h */
#include "fmt/safetensors_write.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "fmt/checkpoint.h"
#include "fmt/safetensors.h"
#include "fmt/shards.h"
#include "fmt/tensor_table.h"

#define INDEX_BYTES_MAX ((size_t)512 << 20) /* a million entries of 500 bytes */
#define NAME_CHARS_MAX  64                  /* of a shard's file name */

/* A tensor's place in the output. */
struct slot {
    int64_t tensor; /* index in the caller's list */
    int shard;
    uint64_t offset; /* in its shard's data */
};

struct mu_safetensors_writer {
    char *folder;
    struct mu_tensor_info *tensors; /* measured copies; names are the caller's */
    struct slot *slots;             /* in the order of writing */
    int64_t n;
    int64_t at;        /* slot being written */
    uint64_t at_bytes; /* bytes of it written */
    struct mu_outfile *files;
    int n_files;
    int n_open;
};

/* ---- the plan ---- */

static int check_names(struct mu_safetensors_writer *w, struct mu_err *e)
{
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    int rc = MU_OK;
    for (int64_t i = 0; i < w->n; i++) {
        const char *name = w->tensors[i].name;
        if (!name || name[0] == 0 || strcmp(name, "__metadata__") == 0) {
            rc = mu_fail(e, MU_EINVAL, "\"%s\" cannot be the name of a tensor", name ? name : "");
            goto out;
        }
        MU_TRY(mu_tensor_table_add(&t, &w->tensors[i], mu_str(name), "the output", e));
    }
    MU_TRY(mu_tensor_table_finish(&t, "the output", e));
out:
    mu_tensor_table_fini(&t);
    if (rc == MU_EFORMAT) { /* a name that is there twice: of a file a broken rule, here the caller's mistake */
        rc = MU_EINVAL;
        if (e)
            e->code = rc;
    }
    return rc;
}

static int measure(struct mu_safetensors_writer *w, struct mu_err *e)
{
    for (int64_t i = 0; i < w->n; i++) {
        struct mu_tensor_info *t = &w->tensors[i];
        if (!mu_dtype_safetensors_name(t->dtype))
            return mu_fail(e, MU_EINVAL, "tensor \"%s\" is of type %s, which safetensors cannot hold", t->name,
                           mu_dtype_name(t->dtype));
        if (t->n_dims < 0 || t->n_dims > MU_DIMS_MAX || !mu_tensor_info_measure(t))
            return mu_fail(e, MU_EINVAL, "tensor \"%s\" has impossible dimensions", t->name);
    }
    return MU_OK;
}

/* In the order given: a tensor that would take a shard above the maximum begins the next one. */
static int assign_shards(struct mu_safetensors_writer *w, uint64_t bytes_max, struct mu_err *e)
{
    uint64_t bytes = 0;
    int shard = 0;
    for (int64_t i = 0; i < w->n; i++) {
        uint64_t n = w->tensors[i].n_bytes;
        if (bytes_max && bytes && n > bytes_max - MU_MIN(bytes, bytes_max)) {
            shard++;
            bytes = 0;
        }
        bytes += n;
        w->slots[i] = (struct slot){i, shard, 0};
    }
    if (shard >= MU_SHARDS_MAX)
        return mu_fail(e, MU_ELIMIT, "shards of at most %" PRIu64 " bytes would be %d files, at most %d are allowed",
                       bytes_max, shard + 1, MU_SHARDS_MAX);
    w->n_files = shard + 1;
    return MU_OK;
}

static int by_shard_then_alignment(const void *a, const void *b, void *arg)
{
    const struct slot *x = a, *y = b;
    const struct mu_tensor_info *tensors = arg;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    size_t x_bytes = mu_dtype_block_bytes(tensors[x->tensor].dtype);
    size_t y_bytes = mu_dtype_block_bytes(tensors[y->tensor].dtype);
    if (x_bytes != y_bytes)
        return x_bytes > y_bytes ? -1 : 1;
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static void assign_offsets(struct mu_safetensors_writer *w)
{
    if (w->n > 1)
        qsort_r(w->slots, (size_t)w->n, sizeof *w->slots, by_shard_then_alignment, w->tensors);
    for (int64_t i = 1; i < w->n; i++) {
        const struct slot *before = &w->slots[i - 1];
        if (before->shard == w->slots[i].shard)
            w->slots[i].offset = before->offset + w->tensors[before->tensor].n_bytes;
    }
}

/* ---- files ---- */

static void shard_name(const struct mu_safetensors_writer *w, int shard, char out[NAME_CHARS_MAX])
{
    if (w->n_files == 1)
        snprintf(out, NAME_CHARS_MAX, "model.safetensors");
    else
        snprintf(out, NAME_CHARS_MAX, "model-%05d-of-%05d.safetensors", shard + 1, w->n_files);
}

static int dump_tensor(struct mu_buf *out, const struct mu_tensor_info *t, uint64_t offset, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_putc(out, ',', e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(t->name), e));
    MU_TRY_RETURN(mu_buf_printf(out, e, ":{\"dtype\":\"%s\",\"shape\":[", mu_dtype_safetensors_name(t->dtype)));
    for (int d = 0; d < t->n_dims; d++)
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s%" PRIu64, d ? "," : "", t->dims[d]));
    return mu_buf_printf(out, e, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + t->n_bytes);
}

/* The header of the shard whose first slot is `from`, padded so that the data begins at a multiple of 8. */
static int dump_header(struct mu_buf *out, const struct mu_safetensors_writer *w, int64_t from, int shard,
                       struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"__metadata__\":{\"format\":\"pt\"}", e));
    for (int64_t i = from; i < w->n && w->slots[i].shard == shard; i++)
        MU_TRY_RETURN(dump_tensor(out, &w->tensors[w->slots[i].tensor], w->slots[i].offset, e));
    MU_TRY_RETURN(mu_buf_putc(out, '}', e));
    while (out->n % 8)
        MU_TRY_RETURN(mu_buf_putc(out, ' ', e));
    return MU_OK;
}

static int open_shard(struct mu_safetensors_writer *w, int64_t from, int shard, struct mu_err *e)
{
    struct mu_buf header = MU_BUF_INIT("a safetensors header", MU_SAFETENSORS_HEADER_BYTES_MAX);
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    char name[NAME_CHARS_MAX];
    int rc = MU_OK;

    shard_name(w, shard, name);
    MU_TRY(mu_path_join(&path, w->folder, name, e));
    MU_TRY(dump_header(&header, w, from, shard, e));
    MU_TRY(mu_outfile_open(&w->files[shard], path.p, e));
    w->n_open = shard + 1;
    uint64_t n = htole64(header.n);
    MU_TRY(mu_outfile_write(&w->files[shard], &n, sizeof n, e));
    MU_TRY(mu_outfile_write(&w->files[shard], header.p, header.n, e));
out:
    mu_buf_fini(&path);
    mu_buf_fini(&header);
    return rc;
}

/* Steps over tensors that are complete (empty ones are from the start) and opens the shard of the next. */
static int settle(struct mu_safetensors_writer *w, struct mu_err *e)
{
    for (; w->at < w->n; w->at++, w->at_bytes = 0) {
        const struct slot *s = &w->slots[w->at];
        if (s->shard == w->n_open)
            MU_TRY_RETURN(open_shard(w, w->at, s->shard, e));
        if (w->at_bytes < w->tensors[s->tensor].n_bytes)
            break;
    }
    return w->n == 0 && w->n_open == 0 ? open_shard(w, 0, 0, e) : MU_OK;
}

static int by_name(const void *a, const void *b, void *arg)
{
    const struct mu_tensor_info *tensors = arg;
    return strcmp(tensors[((const struct slot *)a)->tensor].name, tensors[((const struct slot *)b)->tensor].name);
}

static int dump_index(struct mu_buf *out, const struct mu_safetensors_writer *w, const struct slot *by_names,
                      struct mu_err *e)
{
    char file[NAME_CHARS_MAX];
    uint64_t total = 0;
    for (int64_t i = 0; i < w->n; i++)
        total += w->tensors[i].n_bytes;
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n", total));
    MU_TRY_RETURN(mu_buf_puts(out, "  \"weight_map\": {", e));
    for (int64_t i = 0; i < w->n; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ",\n    " : "\n    ", e));
        MU_TRY_RETURN(mu_json_dump_string(out, mu_str(w->tensors[by_names[i].tensor].name), e));
        shard_name(w, by_names[i].shard, file);
        MU_TRY_RETURN(mu_buf_printf(out, e, ": \"%s\"", file));
    }
    return mu_buf_puts(out, "\n  }\n}\n", e);
}

static int write_index(struct mu_safetensors_writer *w, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("an index of shards", INDEX_BYTES_MAX);
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_outfile file = MU_OUTFILE_INIT;
    int rc = MU_OK;

    qsort_r(w->slots, (size_t)w->n, sizeof *w->slots, by_name, w->tensors);
    MU_TRY(dump_index(&text, w, w->slots, e));
    MU_TRY(mu_path_join(&path, w->folder, "model.safetensors.index.json", e));
    MU_TRY(mu_outfile_open(&file, path.p, e));
    MU_TRY(mu_outfile_write(&file, text.p, text.n, e));
    MU_TRY(mu_outfile_commit(&file, e));
out:
    mu_outfile_discard(&file);
    mu_buf_fini(&path);
    mu_buf_fini(&text);
    return rc;
}

static void remove_shards(const struct mu_safetensors_writer *w, int n)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    char name[NAME_CHARS_MAX];
    for (int i = 0; i < n; i++) {
        shard_name(w, i, name);
        if (mu_path_join(&path, w->folder, name, NULL) == MU_OK)
            unlink(path.p);
    }
    mu_buf_fini(&path);
}

/* ---- the writer ---- */

int mu_safetensors_writer_open(struct mu_safetensors_writer **out, const char *folder,
                               const struct mu_tensor_info *tensors, int64_t n, uint64_t shard_bytes_max,
                               struct mu_err *e)
{
    struct mu_safetensors_writer *w = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&w, "a safetensors writer", e));
    w->folder = mu_strdup(folder);
    if (!w->folder) {
        rc = mu_fail_nomem(e, strlen(folder) + 1, "a path");
        goto out;
    }
    MU_TRY(MU_NEW_ARRAY(&w->tensors, n, "a list of tensors", e));
    MU_TRY(MU_NEW_ARRAY(&w->slots, n, "a list of tensors", e));
    if (n)
        memcpy(w->tensors, tensors, (size_t)n * sizeof *tensors);
    w->n = n;
    MU_TRY(measure(w, e));
    MU_TRY(check_names(w, e));
    MU_TRY(assign_shards(w, shard_bytes_max, e));
    assign_offsets(w);
    MU_TRY(MU_NEW_ARRAY(&w->files, w->n_files, "a list of files", e));
    MU_TRY(settle(w, e));
    *out = w;
    w = NULL;
out:
    mu_safetensors_writer_free(w);
    return rc;
}

int64_t mu_safetensors_writer_next(const struct mu_safetensors_writer *w)
{
    return w->at < w->n ? w->slots[w->at].tensor : -1;
}

int mu_safetensors_writer_write(struct mu_safetensors_writer *w, const void *p, size_t n, struct mu_err *e)
{
    if (n == 0)
        return MU_OK;
    if (w->at == w->n)
        return mu_fail(e, MU_EINVAL, "%zu bytes are left over after the last tensor", n);
    const struct slot *s = &w->slots[w->at];
    const struct mu_tensor_info *t = &w->tensors[s->tensor];
    if (n > t->n_bytes - w->at_bytes)
        return mu_fail(e, MU_EINVAL, "tensor \"%s\" has %" PRIu64 " bytes, %" PRIu64 " are written to it", t->name,
                       t->n_bytes, w->at_bytes + n);
    MU_TRY_RETURN(mu_outfile_write(&w->files[s->shard], p, n, e));
    w->at_bytes += n;
    return w->at_bytes == t->n_bytes ? settle(w, e) : MU_OK;
}

int mu_safetensors_writer_commit(struct mu_safetensors_writer *w, struct mu_err *e)
{
    int rc = MU_OK, n_done = 0;
    if (w->at < w->n)
        return mu_fail(e, MU_EINVAL, "tensor \"%s\" has %" PRIu64 " of its bytes written, not %" PRIu64,
                       w->tensors[w->slots[w->at].tensor].name, w->at_bytes,
                       w->tensors[w->slots[w->at].tensor].n_bytes);
    for (; n_done < w->n_files; n_done++)
        MU_TRY(mu_outfile_commit(&w->files[n_done], e));
    if (w->n_files > 1)
        MU_TRY(write_index(w, e));
out:
    if (rc != MU_OK)
        remove_shards(w, n_done);
    return rc;
}

void mu_safetensors_writer_free(struct mu_safetensors_writer *w)
{
    if (!w)
        return;
    for (int i = 0; w->files && i < w->n_files; i++)
        mu_outfile_discard(&w->files[i]);
    mu_free(w->files);
    mu_free(w->slots);
    mu_free(w->tensors);
    mu_free(w->folder);
    mu_free(w);
}

int mu_safetensors_writer_n_files(const struct mu_safetensors_writer *w)
{
    return w->n_files;
}
