/* dataset.c - the documents of a split: files found, read, made one table, processed */
#include "eval/dataset.h"

#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/dataset_int.h"
#include "eval/docs/used.h"

static bool ends_with(const char *s, const char *ending)
{
    size_t n = strlen(s), m = strlen(ending);
    return n >= m && strcmp(s + n - m, ending) == 0;
}

/* What reading CSV is told: `sep` or `delimiter`. */
static int separator(const struct mu_task *t, const char *path, char *out, struct mu_err *e)
{
    const json_t *kwargs = json_object_get(t->config, "dataset_kwargs");
    const json_t *v =
        json_object_get(kwargs, "sep") ? json_object_get(kwargs, "sep") : json_object_get(kwargs, "delimiter");
    *out = ends_with(path, ".tsv") ? '\t' : ',';
    if (!v)
        return MU_OK;
    if (json_string_length(v) != 1 || strchr("\"\r\n", json_string_value(v)[0]))
        return mu_fail(e, MU_EUNSUPPORTED, "task %s: dataset_kwargs: a separator of columns is one character", t->name);
    *out = json_string_value(v)[0];
    return MU_OK;
}

static int read_file(const struct mu_task *t, const char *path, bool is_csv, json_t *rows, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("documents", MU_DATASET_BYTES_MAX);
    const char *field = json_string_value(json_object_get(json_object_get(t->config, "dataset_kwargs"), "field"));
    static const char *const packed[] = {".gz", ".zst", ".xz", ".bz2", ".zip", ".parquet", ".arrow"};
    char sep = ',';
    int rc;
    for (size_t i = 0; i < MU_COUNT(packed); i++)
        if (ends_with(path, packed[i]))
            return mu_fail(e, MU_EUNSUPPORTED,
                           "task %s: %s: muster reads JSON and CSV as they are; unpack or convert it", t->name, path);
    MU_TRY(mu_file_read_all(&text, path, e));
    if (is_csv) {
        MU_TRY(separator(t, path, &sep, e));
        MU_TRY(mu_dataset_csv(mu_buf_str(&text), path, sep, rows, e));
    } else {
        MU_TRY(mu_dataset_json(mu_buf_str(&text), path, field, rows, e));
    }
out:
    mu_buf_fini(&text);
    return rc;
}

static int process_docs(const struct mu_task *t, json_t **rows, struct mu_err *e)
{
    const struct mu_function *f = t->processor ? t->processor->docs : NULL;
    json_t *done = NULL;
    if (!f)
        return MU_OK;
    int rc = f->docs(*rows, &done, e);
    if (rc != MU_OK)
        return mu_err_while(e, rc, "%s of task %s processed its documents", f->name, t->name);
    json_decref(*rows);
    *rows = done;
    return MU_OK;
}

int mu_dataset_load(const struct mu_task *t, const char *split, bool process, const char *const *data_dirs,
                    int n_data_dirs, json_t **docs, struct mu_err *e)
{
    json_t *paths = NULL, *rows = NULL, *item;
    size_t i;
    int rc;

    mu_json_init();
    if (!t->dataset_path)
        return mu_fail(e, MU_EFORMAT, "task %s does not say where its documents are: it has no dataset_path", t->name);
    bool is_csv = strcmp(t->dataset_path, "csv") == 0, is_json = strcmp(t->dataset_path, "json") == 0;
    MU_TRY(is_csv || is_json ? mu_dataset_named(t, split, &paths, e)
                             : mu_dataset_find(t, split, data_dirs, n_data_dirs, &paths, e));
    if (!(rows = json_array()))
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "documents"));
    json_array_foreach(paths, i, item)
    {
        const char *path = json_string_value(item);
        bool csv = is_csv || (!is_json && (ends_with(path, ".csv") || ends_with(path, ".tsv")));
        rc = read_file(t, path, csv, rows, e);
        if (rc != MU_OK) {
            rc = mu_err_while(e, rc, "reading the %s documents of task %s", split, t->name);
            goto out;
        }
    }
    if (json_array_size(rows) == 0)
        MU_TRY(mu_fail(e, MU_EFORMAT, "task %s: there is no document in the split %s: %s is empty", t->name, split,
                       json_string_value(json_array_get(paths, 0))));
    MU_TRY(mu_dataset_columns(rows, e));
    if (process)
        MU_TRY(process_docs(t, &rows, e));
    *docs = rows;
    rows = NULL;
out:
    json_decref(rows);
    json_decref(paths);
    return rc;
}
