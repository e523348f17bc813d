/* convert_folder.c - see convert_folder.h
 *
 * A new folder is built as "<dst>.<pid>.tmp" and renamed. Inside a folder that is to be overwritten it is built as
 * ".convert.<pid>.tmp"; then old weights that are not part of the new set are removed, so that no reader takes them for
 * the model, and the new files renamed over the old ones: weights, index, the rest. */
#include "fmt/convert_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "fmt/checkpoint.h"
#include "fmt/packed.h"

#define COPY_BYTES_MAX ((size_t)256 << 20) /* of one side file; the largest tokenizer.json has 35 MB */

typedef int (*file_fn)(void *arg, const char *name, struct mu_err *e);

/* fn for each regular file of a folder. */
static int each_file(const char *folder, file_fn fn, void *arg, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct stat st;
    int rc = MU_OK;
    DIR *d = opendir(folder);
    if (!d)
        return mu_fail(e, MU_EIO, "cannot list %s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        MU_TRY(mu_path_join(&path, folder, entry->d_name, e));
        if (stat(path.p, &st) == 0 && S_ISREG(st.st_mode))
            MU_TRY(fn(arg, entry->d_name, e));
    }
out:
    closedir(d);
    mu_buf_fini(&path);
    return rc;
}

static bool is_empty(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    if (!d)
        return false;
    while (n <= 2 && readdir(d))
        n++;
    closedir(d);
    return n <= 2; /* "." and ".." */
}

static bool is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* ---- the folder ---- */

static int check_dst(const char *src, const char *dst, bool overwrite, bool *is_inside, struct mu_err *e)
{
    *is_inside = false;
    if (!mu_path_exists(dst))
        return MU_OK;
    if (!mu_path_is_dir(dst))
        return mu_fail(e, MU_EINVAL, "%s exists and is no folder", dst);
    if (is_same(src, dst))
        return mu_fail(e, MU_EINVAL, "%s is the checkpoint itself; name another folder", dst);
    *is_inside = !is_empty(dst);
    if (*is_inside && !overwrite)
        return mu_fail(e, MU_EINVAL,
                       "%s exists and is not empty; name another folder, or ask for its files to be replaced", dst);
    return MU_OK;
}

int mu_convert_folder_open(struct mu_convert_folder *f, const char *src, const char *dst, bool overwrite,
                           struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    size_t n = strlen(dst);
    int rc = MU_OK;

    while (n > 1 && dst[n - 1] == '/')
        n--;
    *f = (struct mu_convert_folder){0};
    f->dst = mu_strndup(dst, n);
    if (!f->dst) {
        rc = mu_fail_nomem(e, n + 1, "a path");
        goto out;
    }
    MU_TRY(check_dst(src, f->dst, overwrite, &f->is_inside, e));
    MU_TRY(mu_buf_printf(&path, e, "%s%s.%ld.tmp", f->dst, f->is_inside ? "/.convert" : "", (long)getpid()));
    if (mkdir(path.p, 0777) != 0)
        rc = mu_fail_errno(e, errno, "make the folder", path.p);
    else
        f->staging = mu_buf_take(&path);
out:
    mu_buf_fini(&path);
    if (rc != MU_OK)
        mu_convert_folder_close(f);
    return rc;
}

static bool is_weights(const char *name)
{
    size_t n = strlen(name);
    bool is_safetensors = strncmp(name, "model", 5) == 0 && n > 12 && strcmp(name + n - 12, ".safetensors") == 0;
    return is_safetensors || strcmp(name, MU_PACKED_NAME) == 0;
}

static bool is_index(const char *name)
{
    return strcmp(name, "model.safetensors.index.json") == 0;
}

struct move {
    const struct mu_convert_folder *f;
    int pass; /* 0 weights, 1 index, 2 the rest */
    struct mu_buf from, to;
};

static int move_file(void *arg, const char *name, struct mu_err *e)
{
    struct move *m = arg;
    if (m->pass != (is_weights(name) ? 0 : is_index(name) ? 1 : 2))
        return MU_OK;
    MU_TRY_RETURN(mu_path_join(&m->from, m->f->staging, name, e));
    MU_TRY_RETURN(mu_path_join(&m->to, m->f->dst, name, e));
    if (rename(m->from.p, m->to.p) != 0)
        return mu_fail(e, MU_EIO, "cannot rename %s to %s: %s", m->from.p, m->to.p, strerror(errno));
    return MU_OK;
}

/* Removes a weights file or index of the old set that the new set, still in staging, does not have. */
static int remove_stale(void *arg, const char *name, struct mu_err *e)
{
    struct move *m = arg;
    if (!is_weights(name) && !is_index(name))
        return MU_OK;
    MU_TRY_RETURN(mu_path_join(&m->from, m->f->staging, name, e));
    if (mu_path_exists(m->from.p))
        return MU_OK;
    MU_TRY_RETURN(mu_path_join(&m->to, m->f->dst, name, e));
    unlink(m->to.p);
    return MU_OK;
}

static int move_all(const struct mu_convert_folder *f, struct mu_err *e)
{
    struct move m = {f, 0, MU_BUF_INIT("a path", MU_PATH_BYTES_MAX), MU_BUF_INIT("a path", MU_PATH_BYTES_MAX)};
    int rc = MU_OK;
    MU_TRY(each_file(f->dst, remove_stale, &m, e));
    for (m.pass = 0; m.pass < 3; m.pass++)
        MU_TRY(each_file(f->staging, move_file, &m, e));
out:
    mu_buf_fini(&m.from);
    mu_buf_fini(&m.to);
    return rc;
}

int mu_convert_folder_commit(struct mu_convert_folder *f, struct mu_err *e)
{
    if (f->is_inside)
        MU_TRY_RETURN(move_all(f, e));
    else if (rename(f->staging, f->dst) != 0)
        return mu_fail(e, MU_EIO, "cannot rename %s to %s: %s", f->staging, f->dst, strerror(errno));
    if (f->is_inside)
        rmdir(f->staging);
    mu_free(f->staging);
    f->staging = NULL;
    return MU_OK;
}

static int remove_file(void *arg, const char *name, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    int rc = mu_path_join(&path, arg, name, e);
    if (rc == MU_OK)
        unlink(path.p);
    mu_buf_fini(&path);
    return rc;
}

void mu_convert_folder_close(struct mu_convert_folder *f)
{
    if (f->staging) {
        each_file(f->staging, remove_file, f->staging, NULL);
        rmdir(f->staging);
    }
    mu_free(f->staging);
    mu_free(f->dst);
    *f = (struct mu_convert_folder){0};
}

/* ---- the files beside the weights ---- */

static bool is_side_file(const char *name)
{
    static const char *const names[] = {"generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "vocab.txt",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "chat_template.json"};
    size_t n = strlen(name);
    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "LICENSE", 7) == 0 || strncmp(name, "NOTICE", 6) == 0 ||
           (n > 9 && strcmp(name + n - 9, ".tiktoken") == 0);
}

static int write_file(const char *folder, const char *name, struct mu_str text, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, folder, name, e));
    MU_TRY(mu_file_write_all(path.p, text.p, text.n, e));
out:
    mu_buf_fini(&path);
    return rc;
}

/* Sets what config.json says of the type; newer files call it dtype, older ones torch_dtype. */
static int set_dtype(json_t *config, enum mu_dtype dtype, struct mu_err *e)
{
    const char *name = dtype == MU_F32 ? "float32" : dtype == MU_BF16 ? "bfloat16" : "float16";
    bool is_new = json_object_get(config, "dtype") != NULL;
    if (is_new && json_object_set_new(config, "dtype", json_string(name)) != 0)
        return mu_fail_nomem(e, strlen(name), "config.json");
    if (is_new && !json_object_get(config, "torch_dtype"))
        return MU_OK;
    if (json_object_set_new(config, "torch_dtype", json_string(name)) != 0)
        return mu_fail_nomem(e, strlen(name), "config.json");
    return MU_OK;
}

static int rewrite_config(struct mu_buf *text, const char *path, enum mu_dtype dtype, bool without_quantization,
                          struct mu_err *e)
{
    json_t *config = NULL;
    int rc = MU_OK;
    MU_TRY(mu_json_parse(&config, mu_buf_str(text), path, e));
    if (!json_is_object(config)) {
        rc = mu_fail(e, MU_EFORMAT, "%s is not a JSON object", path);
        goto out;
    }
    MU_TRY(set_dtype(config, dtype, e));
    if (without_quantization)
        json_object_del(config, "quantization_config");
    mu_buf_clear(text);
    MU_TRY(mu_json_dump(text, config, true, e));
    MU_TRY(mu_buf_putc(text, '\n', e));
out:
    json_decref(config);
    return rc;
}

struct copy {
    const char *from, *to;
    enum mu_dtype dtype;
    bool without_quantization;
};

static int copy_file(void *arg, const char *name, struct mu_err *e)
{
    const struct copy *c = arg;
    struct mu_buf path = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_buf text = MU_BUF_INIT("a file to copy", COPY_BYTES_MAX);
    bool is_config = strcmp(name, "config.json") == 0;
    int rc = MU_OK;

    if (!is_config && !is_side_file(name))
        return MU_OK;
    MU_TRY(mu_path_join(&path, c->from, name, e));
    MU_TRY(mu_file_read_all(&text, path.p, e));
    if (is_config && c->dtype != MU_DTYPE_N)
        MU_TRY(rewrite_config(&text, path.p, c->dtype, c->without_quantization, e));
    MU_TRY(write_file(c->to, name, mu_buf_str(&text), e));
out:
    mu_buf_fini(&path);
    mu_buf_fini(&text);
    return rc;
}

int mu_convert_copy_side_files(const char *src_folder, const char *staging, enum mu_dtype dtype,
                               bool without_quantization, struct mu_err *e)
{
    struct copy c = {src_folder, staging, dtype, without_quantization};
    return each_file(src_folder, copy_file, &c, e);
}

int mu_convert_write_texts(const struct mu_convert_opts *o, const char *staging, struct mu_err *e)
{
    for (int i = 0; i < o->n_texts; i++)
        MU_TRY_RETURN(write_file(staging, o->texts[i].name, o->texts[i].text, e));
    return MU_OK;
}
