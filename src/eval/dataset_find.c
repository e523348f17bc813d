/* dataset_find.c - which files hold a split: those a task names, or a hub name in the data folders */
#include <dirent.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/dataset_int.h"

static int add_path(json_t *paths, const char *path, struct mu_err *e)
{
    if (json_array_size(paths) == MU_DATASET_FILES_MAX)
        return mu_fail(e, MU_ELIMIT, "a split has at most %d files", MU_DATASET_FILES_MAX);
    return json_array_append_new(paths, json_string(path)) == 0 ? MU_OK : mu_fail_nomem(e, strlen(path), "a path");
}

/* ---- files a task names ---- */

/* Files that match, in order; how many were added is in *n. */
static int add_glob(json_t *paths, const char *pattern, size_t *n, struct mu_err *e)
{
    glob_t found;
    int rc = MU_OK;
    *n = 0;
    if (glob(pattern, GLOB_NOESCAPE, NULL, &found) != 0)
        return MU_OK;
    for (size_t i = 0; rc == MU_OK && i < found.gl_pathc; i++, ++*n)
        rc = add_path(paths, found.gl_pathv[i], e);
    globfree(&found);
    return rc;
}

/* "DIR/NAME", or "DIR/../NAME" for a task file that names its data from the folder above its own. */
static int add_beside(const struct mu_task *t, const char *up, const char *name, json_t *paths, size_t *n,
                      struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    const char *slash = strrchr(t->path, '/');
    int rc = mu_buf_printf(&path, e, "%.*s/%s%s", slash ? (int)(slash - t->path) : 1, slash ? t->path : ".", up, name);
    if (rc == MU_OK)
        rc = add_glob(paths, path.p, n, e);
    mu_buf_fini(&path);
    return rc;
}

static int add_named(const struct mu_task *t, const char *name, json_t *paths, struct mu_err *e)
{
    size_t n = 0;
    if (strstr(name, "://"))
        return mu_fail(e, MU_EUNSUPPORTED,
                       "task %s: the data file %s is on the network, where muster does not go; fetch it and name the "
                       "copy in dataset_kwargs.data_files",
                       t->name, name);
    if (name[0] != '/')
        MU_TRY_RETURN(add_beside(t, "", name, paths, &n, e));
    if (!n)
        MU_TRY_RETURN(add_glob(paths, name, &n, e));
    if (!n && name[0] != '/')
        MU_TRY_RETURN(add_beside(t, "../", name, paths, &n, e));
    return n ? MU_OK
             : mu_fail(e, MU_ENOENT, "task %s: there is no data file %s, neither beside %s nor in the working folder",
                       t->name, name, t->path);
}

static int add_named_list(const struct mu_task *t, const json_t *names, json_t *paths, struct mu_err *e)
{
    const json_t *item;
    size_t i;
    if (json_is_string(names))
        return add_named(t, json_string_value(names), paths, e);
    if (!json_is_array(names))
        return mu_fail(e, MU_EFORMAT,
                       "task %s: dataset_kwargs.data_files must be a path, a list of paths, or such by "
                       "split",
                       t->name);
    json_array_foreach(names, i, item)
    {
        if (!json_is_string(item))
            return mu_fail(e, MU_EFORMAT, "task %s: dataset_kwargs.data_files: item %zu is no path", t->name, i);
        MU_TRY_RETURN(add_named(t, json_string_value(item), paths, e));
    }
    return MU_OK;
}

static int fail_split(const struct mu_task *t, const json_t *files, const char *split, struct mu_err *e)
{
    struct mu_buf names = MU_BUF_INIT("names", 600);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)files, key,
                        value) if (mu_buf_printf(&names, NULL, "%s%s", names.n ? ", " : "", key) != MU_OK) break;
    int rc = mu_fail(e, MU_ENOENT, "task %s: the data set has no split %s; it has %s", t->name, split,
                     names.n ? names.p : "train");
    mu_buf_fini(&names);
    return rc;
}

int mu_dataset_named(const struct mu_task *t, const char *split, json_t **paths, struct mu_err *e)
{
    const json_t *files = json_object_get(json_object_get(t->config, "dataset_kwargs"), "data_files");
    *paths = NULL;
    if (!files)
        return mu_fail(e, MU_EFORMAT, "task %s: dataset_path is %s, so dataset_kwargs.data_files must name the files",
                       t->name, t->dataset_path);
    if (json_is_object(files) ? !json_object_get(files, split) : strcmp(split, "train") != 0)
        return fail_split(t, json_is_object(files) ? files : NULL, split, e);
    if (!(*paths = json_array()))
        return mu_fail_nomem(e, sizeof(void *), "paths");
    return add_named_list(t, json_is_object(files) ? json_object_get(files, split) : files, *paths, e);
}

/* ---- a hub name in the data folders ---- */

static const char *const endings[] = {".jsonl", ".json", ".csv", ".tsv", ".parquet"};

/* What is behind the split's name: an ending, or "-00000-of-00002" and an ending. */
static bool is_of_split(const char *file, const char *split)
{
    size_t n = strlen(split);
    if (strncmp(file, split, n) != 0)
        return false;
    const char *rest = file + n, *dot = strrchr(rest, '.');
    for (size_t i = 0; dot && i < MU_COUNT(endings); i++)
        if (strcmp(dot, endings[i]) == 0)
            return dot == rest || (rest[0] == '-' && strspn(rest, "-of0123456789") == (size_t)(dot - rest));
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_paths(json_t **paths, struct mu_err *e)
{
    size_t n = json_array_size(*paths);
    const char **list = NULL;
    json_t *sorted = json_array();
    int rc = sorted ? MU_NEW_ARRAY(&list, n + 1, "paths", e) : mu_fail_nomem(e, sizeof(void *), "paths");
    if (rc != MU_OK)
        goto out;
    for (size_t i = 0; i < n; i++)
        list[i] = json_string_value(json_array_get(*paths, i));
    qsort((void *)(uintptr_t)list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++)
        MU_TRY(add_path(sorted, list[i], e));
    json_decref(*paths);
    *paths = sorted;
    sorted = NULL;
out:
    json_decref(sorted);
    mu_free((void *)(uintptr_t)list);
    return rc;
}

/* The files of a split in one folder; *others notes splits that are there (files beside). */
static int look_in(const char *folder, const char *split, json_t *paths, struct mu_buf *others, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    const struct dirent *d;
    int rc = MU_OK;
    DIR *dir = opendir(folder);
    if (!dir)
        return MU_OK;
    while ((d = readdir(dir))) {
        const char *dot = strrchr(d->d_name, '.');
        bool is_data = false;
        for (size_t i = 0; dot && i < MU_COUNT(endings); i++)
            is_data |= strcmp(dot, endings[i]) == 0;
        MU_TRY(mu_path_join(&path, folder, d->d_name, e));
        if (is_of_split(d->d_name, split))
            MU_TRY(add_path(paths, path.p, e));
        else if (is_data && others->n < 300)
            MU_TRY(mu_buf_printf(others, e, "%s%s", others->n ? ", " : "", d->d_name));
    }
out:
    closedir(dir);
    mu_buf_fini(&path);
    return rc;
}

/* Files read as JSON or CSV go before Parquet, and JSON Lines before JSON before CSV: one kind a split. */
static int keep_one_kind(json_t *paths)
{
    size_t best = MU_COUNT(endings);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = json_array_size(paths); i-- > 0;) {
            const char *dot = strrchr(json_string_value(json_array_get(paths, i)), '.');
            size_t kind = 0;
            while (strcmp(dot, endings[kind]) != 0)
                kind++;
            if (pass == 0)
                best = MU_MIN(best, kind);
            else if (kind != best)
                json_array_remove(paths, i);
        }
    return (int)best;
}

/* Not datasets' to_json(), which rounds reals to ten digits. */
static int fail_parquet(const struct mu_task *t, const char *split, const char *path, struct mu_err *e)
{
    return mu_fail(
        e, MU_EUNSUPPORTED,
        "task %s: split %s is there as Parquet (%s), which muster does not read; write it as JSON Lines once, "
        "where the datasets library is installed: python3 examples/mirror_datasets.py DIR %s%s%s, and name "
        "it with --data-dir DIR",
        t->name, split, path, t->dataset_path, t->dataset_name ? ":" : "", t->dataset_name ? t->dataset_name : "");
}

/* The folders to look in, in order; *tried: their names, for the sentence. */
static int look_everywhere(const struct mu_task *t, const char *split, const char *const *dirs, int n_dirs,
                           json_t *paths, struct mu_buf *tried, struct mu_buf *others, struct mu_err *e)
{
    struct mu_buf folder = MU_BUF_INIT("a path", 1 << 16);
    const char *name = t->dataset_name ? t->dataset_name : "";
    int rc = MU_OK;
    for (int i = 0; i < n_dirs && !json_array_size(paths); i++) {
        for (int form = 0; form < 3 && !json_array_size(paths); form++) {
            if (form == 2 && !name[0])
                continue;
            mu_buf_clear(&folder);
            MU_TRY(mu_buf_printf(&folder, e, "%s/%s%s%s%s%s", dirs[i], t->dataset_path, form == 2 ? "/data" : "",
                                 name[0] ? "/" : "", name, form == 1 ? "/data" : ""));
            MU_TRY(look_in(folder.p, split, paths, others, e));
            MU_TRY(mu_buf_printf(tried, e, "%s%s", tried->n ? ", " : "", folder.p));
        }
    }
out:
    mu_buf_fini(&folder);
    return rc;
}

int mu_dataset_find(const struct mu_task *t, const char *split, const char *const *data_dirs, int n_data_dirs,
                    json_t **paths, struct mu_err *e)
{
    struct mu_buf tried = MU_BUF_INIT("paths", 1 << 20), others = MU_BUF_INIT("names", 1 << 16);
    int rc;
    *paths = json_array();
    if (!*paths)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "paths"));
    MU_TRY(look_everywhere(t, split, data_dirs, n_data_dirs, *paths, &tried, &others, e));
    if (!json_array_size(*paths)) {
        rc = mu_fail(e, MU_ENOENT,
                     "task %s: there is no split %s of the data set %s%s%s in %s%s%s%s; muster is offline: put "
                     "%s.jsonl there, or name the folder with --data-dir",
                     t->name, split, t->dataset_path, t->dataset_name ? " " : "",
                     t->dataset_name ? t->dataset_name : "", tried.n ? tried.p : "any data folder, for none is named",
                     others.n ? " (there are: " : "", others.n ? others.p : "", others.n ? ")" : "", split);
        goto out;
    }
    int kind = keep_one_kind(*paths);
    MU_TRY(sort_paths(paths, e));
    if (strcmp(endings[kind], ".parquet") == 0)
        rc = fail_parquet(t, split, json_string_value(json_array_get(*paths, 0)), e);
out:
    mu_buf_fini(&tried);
    mu_buf_fini(&others);
    return rc;
}
