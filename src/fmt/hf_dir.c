/* hf_dir.c - see hf_dir.h */
#include "fmt/hf_dir.h"

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt/checkpoint.h"

static int set_folder(struct mu_hf_dir *d, const char *path, struct mu_err *e)
{
    const char *slash = strrchr(path, '/');
    size_t n = strlen(path);
    if (!mu_path_is_dir(path)) {
        n = slash ? (size_t)(slash - path) + 1 : 1;
        path = slash ? path : ".";
    }
    d->folder = mu_strndup(path, n);
    return d->folder ? MU_OK : mu_fail_nomem(e, n + 1, "a path");
}

int mu_hf_dir_path(const struct mu_hf_dir *d, const char *name, struct mu_buf *out, struct mu_err *e)
{
    return mu_path_join(out, d->folder, name, e);
}

/* *out = the object in folder/name, or NULL when there is no such file. */
static int load(const struct mu_hf_dir *d, const char *name, json_t **out, struct mu_buf *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a configuration", MU_CONFIG_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(mu_hf_dir_path(d, name, path, e));
    if (!mu_path_exists(path->p))
        goto out;
    MU_TRY(mu_file_read_all(&text, path->p, e));
    MU_TRY(mu_json_parse(out, mu_buf_str(&text), path->p, e));
    if (!json_is_object(*out))
        rc = mu_fail(e, MU_EFORMAT, "%s is not a JSON object", path->p);
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_hf_dir_open(struct mu_hf_dir *d, const char *path, struct mu_err *e)
{
    struct mu_buf where = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    struct mu_buf where_config = MU_BUF_INIT("a path", MU_PATH_BYTES_MAX);
    int rc = MU_OK;

    *d = (struct mu_hf_dir)MU_HF_DIR_INIT;
    MU_TRY(set_folder(d, path, e));
    MU_TRY(load(d, "config.json", &d->config, &where_config, e));
    if (!d->config) {
        rc = mu_fail(e, MU_ENOENT, "%s holds no config.json; a checkpoint folder of Hugging Face's layout is needed",
                     d->folder);
        goto out;
    }
    MU_TRY(load(d, "tokenizer_config.json", &d->tokenizer_config, &where, e));
    MU_TRY(load(d, "generation_config.json", &d->generation, &where, e));
    MU_TRY(mu_generation_parse(&d->gen, d->generation, d->config, where.p, where_config.p, e));
out:
    mu_buf_fini(&where);
    mu_buf_fini(&where_config);
    if (rc != MU_OK)
        mu_hf_dir_close(d);
    return rc;
}

void mu_hf_dir_close(struct mu_hf_dir *d)
{
    json_decref(d->config);
    json_decref(d->generation);
    json_decref(d->tokenizer_config);
    mu_free(d->folder);
    *d = (struct mu_hf_dir)MU_HF_DIR_INIT;
}
