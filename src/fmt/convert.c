/* convert.c - what becomes of each tensor, and the order of events; see convert.h
 *
 * Plan all, open the output, stream the tensors in the order the output wants, see that the source is what it was,
 * copy the small files, and only then let the folder appear. */
#include "fmt/convert.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "fmt/checkpoint.h"
#include "fmt/convert_int.h"
#include "fmt/packed.h"

#define NAME_CHARS_MAX 1024
#define BLOCK_SIDE_MAX 65536 /* elements; published: 128 */

struct plan {
    const struct mu_convert_opts *o;
    struct mu_weights *w;
    char *src_folder; /* of the configuration; NULL for GGUF */
    json_t *config;   /* NULL: there is none */
    char *config_path;
    bool has_f8; /* F8 matrices are multiplied by their scales */
    uint64_t block_rows, block_cols;
    struct mu_convert_item *items;
    struct mu_tensor_info *outs; /* the same tensors as the writer takes them */
    int64_t n;
    uint64_t bytes; /* to read */
};

/* ---- configuration ---- */

static int find_config(struct plan *p, const char *src, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    const char *slash = strrchr(src, '/');
    int rc = MU_OK;

    if (mu_weights_gguf(p->w))
        goto out;
    if (mu_path_is_dir(src))
        MU_TRY(mu_buf_puts(&path, src, e));
    else
        MU_TRY(mu_buf_add(&path, slash ? src : "./", slash ? (size_t)(slash - src) + 1 : 2, e));
    p->src_folder = mu_buf_take(&path);
    MU_TRY(mu_path_join(&path, p->src_folder, "config.json", e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_json_load(&p->config, path.p, e));
    p->config_path = mu_buf_take(&path);
out:
    mu_buf_fini(&path);
    return rc;
}

static int block_side(const json_t *list, size_t i, uint64_t *out, const char *where, struct mu_err *e)
{
    const json_t *v = json_array_get(list, i);
    if (json_array_size(list) != 2 || !json_is_integer(v) || json_integer_value(v) < 1 ||
        json_integer_value(v) > BLOCK_SIDE_MAX)
        return mu_fail(e, MU_EFORMAT,
                       "%s: \"weight_block_size\" of \"quantization_config\" must be two numbers in 1..%d", where,
                       BLOCK_SIDE_MAX);
    *out = (uint64_t)json_integer_value(v);
    return MU_OK;
}

/* Which quantisation config.json names, where values are to be changed: none, or F8 in blocks. */
static int read_quantization(struct plan *p, struct mu_err *e)
{
    const json_t *q = json_object_get(p->config, "quantization_config");
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    if (p->o->dtype == MU_DTYPE_N || !json_is_object(q))
        return MU_OK;
    if (!method || strcmp(method, "fp8") != 0)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s says the weights are quantised by \"%.40s\"; only \"fp8\" in blocks can be undone",
                       p->config_path, method ? method : "?");
    const json_t *sides = json_object_get(q, "weight_block_size");
    MU_TRY_RETURN(block_side(sides, 0, &p->block_rows, p->config_path, e));
    MU_TRY_RETURN(block_side(sides, 1, &p->block_cols, p->config_path, e));
    p->has_f8 = true;
    return MU_OK;
}

/* ---- tensors ---- */

/* The tensor called t's name plus suffix. */
static const struct mu_tensor_info *companion(const struct plan *p, const struct mu_tensor_info *t, const char *suffix)
{
    char name[NAME_CHARS_MAX];
    int n = snprintf(name, sizeof name, "%s%s", t->name, suffix);
    return n < NAME_CHARS_MAX ? mu_weights_find(p->w, name) : NULL;
}

/* Whether t holds the scales of an F8 matrix that is multiplied out. */
static bool is_used_up(const struct plan *p, const struct mu_tensor_info *t)
{
    static const char suffix[] = "_scale_inv";
    size_t n = strlen(t->name), m = sizeof suffix - 1;
    char name[NAME_CHARS_MAX];
    if (!p->has_f8 || n <= m || n >= sizeof name || strcmp(t->name + n - m, suffix) != 0)
        return false;
    memcpy(name, t->name, n - m);
    name[n - m] = 0;
    const struct mu_tensor_info *matrix = mu_weights_find(p->w, name);
    return matrix && matrix->dtype == MU_F8_E4M3 && matrix->n_dims == 2;
}

static int plan_values(struct plan *p, struct mu_convert_item *item, struct mu_err *e)
{
    const struct mu_tensor_info *t = item->src;
    bool is_block = mu_dtype_block_elems(t->dtype) > 1;
    if (t->dtype == MU_DTYPE_N)
        return mu_fail(e, MU_EUNSUPPORTED, "tensor \"%s\" is of type %s, which muster does not read", t->name,
                       t->stored);
    item->dtype = p->o->dtype != MU_DTYPE_N && mu_dtype_is_float(t->dtype) ? p->o->dtype : t->dtype;
    if (is_block && p->o->dtype == MU_DTYPE_N)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "tensor \"%s\" is of type %s, which safetensors cannot hold; choose f32, bf16 or f16", t->name,
                       t->stored);
    if (p->o->dtype == MU_DTYPE_N || t->dtype != MU_F8_E4M3)
        return MU_OK;
    if (p->has_f8 && t->n_dims == 2)
        item->scales = companion(p, t, "_scale_inv");
    if (!item->scales && (companion(p, t, "_scale_inv") || companion(p, t, "_scale")))
        return mu_fail(
            e, MU_EUNSUPPORTED,
            "tensor \"%s\" has scales, but config.json gives no \"weight_block_size\" that says how they apply",
            t->name);
    return MU_OK;
}

static int plan_tensor(struct plan *p, const struct mu_tensor_info *t, struct mu_err *e)
{
    struct mu_convert_item *item = &p->items[p->n];
    struct mu_tensor_info *out = &p->outs[p->n];
    const char *name = p->o->rename ? p->o->rename(p->o->hook_arg, t->name) : t->name;
    if (!name || is_used_up(p, t))
        return MU_OK;
    *item = (struct mu_convert_item){.src = t};
    MU_TRY_RETURN(plan_values(p, item, e));
    *out = *t;
    out->name = name;
    out->dtype = item->dtype;
    p->bytes += t->n_bytes + (item->scales ? item->scales->n_bytes : 0);
    p->n++;
    return MU_OK;
}

static int make_plan(struct plan *p, const char *src, struct mu_err *e)
{
    MU_TRY_RETURN(find_config(p, src, e));
    MU_TRY_RETURN(read_quantization(p, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->items, mu_weights_count(p->w), "the plan of a conversion", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->outs, mu_weights_count(p->w), "the plan of a conversion", e));
    for (int64_t i = 0; i < mu_weights_count(p->w); i++)
        MU_TRY_RETURN(plan_tensor(p, mu_weights_at(p->w, i), e));
    return MU_OK;
}

static void plan_free(struct plan *p)
{
    mu_free(p->items);
    mu_free(p->outs);
    mu_free(p->src_folder);
    mu_free(p->config_path);
    json_decref(p->config);
    mu_weights_close(p->w);
}

/* ---- the conversion ---- */

static int stream_all(const struct plan *p, struct mu_convert_stream *s, const char *folder, struct mu_err *e)
{
    MU_TRY_RETURN(mu_convert_stream_open(s, e));
    MU_TRY_RETURN(mu_safetensors_writer_open(&s->out, folder, p->outs, p->n, p->o->shard_bytes_max, e));
    for (int64_t i; (i = mu_safetensors_writer_next(s->out)) >= 0;)
        MU_TRY_RETURN(mu_convert_stream_tensor(s, &p->items[i], e));
    MU_TRY_RETURN(mu_weights_check(p->w, e));
    return mu_safetensors_writer_commit(s->out, e);
}

static int check_opts(const struct mu_convert_opts *o, struct mu_err *e)
{
    if (o->dtype != MU_DTYPE_N && o->dtype != MU_F32 && o->dtype != MU_BF16 && o->dtype != MU_F16)
        return mu_fail(e, MU_EINVAL, "cannot convert to %s; choose f32, bf16 or f16", mu_dtype_name(o->dtype));
    return MU_OK;
}

static int check_source(const struct mu_weights *w, const char *src, struct mu_err *e)
{
    const struct mu_packed_head *h = mu_weights_packed(w);
    char source[MU_PACKED_NAME_MAX + 32];
    if (!h)
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED,
                   "%s is a packed model, from which its tensors cannot be had again: convert the checkpoint it was "
                   "made from (%s)",
                   src, mu_packed_source_text(h, source));
}

int mu_convert(const char *src, const char *dst, const struct mu_convert_opts *o, struct mu_convert_result *result,
               struct mu_err *e)
{
    struct plan p = {.o = o};
    struct mu_convert_folder f = {0};
    struct mu_convert_stream s = {.o = o};
    int rc = MU_OK;

    MU_TRY(check_opts(o, e));
    MU_TRY(mu_weights_open(&p.w, src, MU_READ_DIRECT, e));
    MU_TRY(check_source(p.w, src, e));
    MU_TRY(make_plan(&p, src, e));
    MU_TRY(mu_convert_folder_open(&f, src, dst, o->overwrite, e));
    s.w = p.w;
    s.block_rows = p.block_rows;
    s.block_cols = p.block_cols;
    s.total = p.bytes;
    rc = stream_all(&p, &s, f.staging, e);
    MU_TRY(mu_err_while(e, rc, "converting %s", src));
    if (p.src_folder)
        MU_TRY(mu_convert_copy_side_files(p.src_folder, f.staging, o->dtype, p.has_f8, e));
    MU_TRY(mu_convert_write_texts(o, f.staging, e));
    MU_TRY(mu_convert_folder_commit(&f, e));
    if (result)
        *result = (struct mu_convert_result){p.n, mu_safetensors_writer_n_files(s.out), mu_weights_bytes_read(p.w),
                                             s.written};
out:
    mu_convert_stream_close(&s);
    mu_convert_folder_close(&f);
    plan_free(&p);
    return rc;
}
