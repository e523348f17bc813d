/* task_index.c - the names known from folders of task files
 *
 * Source: lm_eval/tasks/_index.py: files *.yaml of a folder in the order of their paths; of a name that comes twice in
 * a folder the first counts, over folders the last; files that cannot be read or are no task are passed over. A tag is
 * known by the tasks that carry it. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/task_int.h"

struct mu_task_index {
    struct mu_arena arena;
    json_t *by_name; /* name -> index in entry */
    json_t *keep;    /* array: the members of tags */
    struct mu_index_entry *entry;
    int n, cap;
    int *sorted; /* by name */
};

/* ---- files of a folder ---- */

struct files {
    struct mu_arena *arena;
    const char **path;
    size_t n, cap;
};

static int files_add(struct files *f, const char *path, struct mu_err *e)
{
    if (f->n == MU_TASK_FILES_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: more than %d task files in one folder", path, MU_TASK_FILES_MAX);
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 1024;
        const char **more = mu_realloc((void *)(uintptr_t)f->path, cap * sizeof *more);
        if (!more)
            return mu_fail_nomem(e, cap * sizeof *more, "an index of task files");
        f->path = more;
        f->cap = cap;
    }
    const char *copy = mu_arena_strdup(f->arena, mu_str(path), e);
    if (!copy)
        return MU_ENOMEM;
    f->path[f->n++] = copy;
    return MU_OK;
}

static bool is_yaml(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".yaml") == 0;
}

static bool is_passed_over(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "__pycache__") == 0 ||
           strcmp(name, ".ipynb_checkpoints") == 0;
}

static bool is_folder(const struct dirent *d, const char *path)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type == DT_DIR;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int walk(struct files *f, const char *folder, int depth, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    const struct dirent *d;
    int rc = MU_OK;

    if (depth > MU_TASK_FOLDERS_DEEP)
        return mu_fail(e, MU_ELIMIT, "%s lies more than %d folders deep", folder, MU_TASK_FOLDERS_DEEP);
    DIR *dir = opendir(folder);
    if (!dir)
        return mu_fail(e, MU_ENOENT, "there is no folder %s to look for tasks in", folder);
    while ((d = readdir(dir))) {
        if (is_passed_over(d->d_name))
            continue;
        MU_TRY(mu_path_join(&path, folder, d->d_name, e));
        if (is_folder(d, path.p))
            MU_TRY(walk(f, path.p, depth + 1, e));
        else if (is_yaml(d->d_name))
            MU_TRY(files_add(f, path.p, e));
    }
out:
    closedir(dir);
    mu_buf_fini(&path);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- entries ---- */

static struct mu_index_entry *entry_find(const struct mu_task_index *ix, const char *name)
{
    const json_t *at = json_object_get(ix->by_name, name);
    return at ? &ix->entry[json_integer_value(at)] : NULL;
}

/* Room for the entry of a name; what an earlier folder said of it is forgotten. */
static int entry_new(struct mu_task_index *ix, const char *name, struct mu_index_entry **out, struct mu_err *e)
{
    struct mu_index_entry *old = entry_find(ix, name);
    if (old) {
        *old = (struct mu_index_entry){.known.name = old->known.name};
        *out = old;
        return MU_OK;
    }
    if (ix->n == ix->cap) {
        int cap = ix->cap ? ix->cap * 2 : 1024;
        struct mu_index_entry *more = mu_realloc(ix->entry, (size_t)cap * sizeof *more);
        if (!more)
            return mu_fail_nomem(e, (size_t)cap * sizeof *more, "an index of task files");
        ix->entry = more;
        ix->cap = cap;
    }
    if (json_object_set_new(ix->by_name, name, json_integer(ix->n)) != 0)
        return mu_fail_nomem(e, strlen(name), "an index of task files");
    ix->entry[ix->n] = (struct mu_index_entry){.known.name = mu_arena_strdup(&ix->arena, mu_str(name), e)};
    if (!ix->entry[ix->n].known.name)
        return MU_ENOMEM;
    *out = &ix->entry[ix->n++];
    return MU_OK;
}

/* seen: the names of this folder so far. */
static int add_to_tag(struct mu_task_index *ix, json_t *seen, const json_t *tag, const char *task, struct mu_err *e)
{
    struct mu_index_entry *entry;
    const char *name = json_string_value(tag);
    if (!name || !name[0])
        return MU_OK;
    if (!json_object_get(seen, name)) {
        MU_TRY_RETURN(entry_new(ix, name, &entry, e));
        entry->known.kind = MU_ENTRY_TAG;
        entry->members = json_array();
        if (!entry->members || json_array_append_new(ix->keep, entry->members) != 0 ||
            json_object_set_new(seen, name, json_true()) != 0)
            return mu_fail_nomem(e, strlen(name), "an index of task files");
    }
    entry = entry_find(ix, name);
    if (entry->members && json_array_append_new(entry->members, json_string(task)) != 0)
        return mu_fail_nomem(e, strlen(task), "an index of task files");
    return MU_OK;
}

static int add_tags(struct mu_task_index *ix, json_t *seen, const json_t *tag, const char *task, struct mu_err *e)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(tag))
        return add_to_tag(ix, seen, tag, task, e);
    json_array_foreach(tag, i, item) MU_TRY_RETURN(add_to_tag(ix, seen, item, task, e));
    return MU_OK;
}

static int add_scan(struct mu_task_index *ix, json_t *seen, const char *path, const json_t *scan, struct mu_err *e)
{
    const json_t *suite = json_object_get(scan, "suite"), *group = json_object_get(scan, "group");
    bool is_class = json_object_get(scan, "class") != NULL;
    const json_t *task = json_object_get(scan, "task");
    const char *name = json_string_value(suite ? suite : group && !is_class ? group : task);
    const char *type = json_string_value(json_object_get(scan, "output_type"));
    struct mu_index_entry *entry;

    if (!name || !name[0] || json_object_get(seen, name)) {
        if (name && name[0])
            mu_log(MU_LOG_DEBUG, "%s: the name %s is taken, the file is passed over", path, name);
        return MU_OK;
    }
    MU_TRY_RETURN(entry_new(ix, name, &entry, e));
    entry->known.kind = suite ? MU_ENTRY_SUITE : group && !is_class ? MU_ENTRY_GROUP : MU_ENTRY_TASK;
    entry->known.path = path;
    if (type && !(entry->known.output_type = mu_arena_strdup(&ix->arena, mu_str(type), e)))
        return MU_ENOMEM;
    if (json_object_set_new(seen, name, json_true()) != 0)
        return mu_fail_nomem(e, strlen(name), "an index of task files");
    return entry->known.kind == MU_ENTRY_TASK ? add_tags(ix, seen, json_object_get(scan, "tag"), name, e) : MU_OK;
}

/* ---- opening ---- */

static int add_folder(struct mu_task_index *ix, struct mu_scan_cache *scans, const char *folder, struct mu_err *e)
{
    struct files f = {.arena = &ix->arena};
    json_t *seen = json_object();
    int rc = seen ? walk(&f, folder, 0, e) : mu_fail_nomem(e, sizeof(void *), "an index of task files");
    if (rc != MU_OK)
        goto out;
    if (f.n)
        qsort((void *)(uintptr_t)f.path, f.n, sizeof *f.path, by_text);
    for (size_t i = 0; i < f.n; i++) {
        json_t *scan = NULL;
        struct mu_err why = MU_ERR_INIT;
        rc = mu_task_scan(scans, f.path[i], &scan, &why);
        if (rc == MU_ENOMEM) {
            rc = mu_fail(e, rc, "%s", why.text);
            goto out;
        }
        if (rc != MU_OK) {
            mu_log(MU_LOG_DEBUG, "passed over: %s", why.text);
            rc = MU_OK;
            continue;
        }
        rc = add_scan(ix, seen, f.path[i], scan, e);
        json_decref(scan);
        if (rc != MU_OK)
            goto out;
    }
out:
    json_decref(seen);
    mu_free((void *)(uintptr_t)f.path);
    return rc;
}

static int by_name(const void *a, const void *b, void *arg)
{
    const struct mu_task_index *ix = arg;
    return strcmp(ix->entry[*(const int *)a].known.name, ix->entry[*(const int *)b].known.name);
}

static int index_sort(struct mu_task_index *ix, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&ix->sorted, ix->n, "an index of task files", e));
    for (int i = 0; i < ix->n; i++)
        ix->sorted[i] = i;
    qsort_r(ix->sorted, (size_t)ix->n, sizeof *ix->sorted, by_name, ix);
    return MU_OK;
}

int mu_task_index_open(struct mu_task_index **out, const char *const *folders, int n_folders, struct mu_err *e)
{
    struct mu_task_index *ix = NULL;
    struct mu_scan_cache *scans = NULL;
    int rc;

    mu_json_init();
    MU_TRY(MU_NEW(&ix, "an index of task files", e));
    ix->arena = (struct mu_arena)MU_ARENA_INIT("an index of task files", (size_t)256 << 20);
    ix->by_name = json_object();
    ix->keep = json_array();
    if (!ix->by_name || !ix->keep)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "an index of task files"));
    MU_TRY(mu_task_scan_open(&scans, e));
    for (int i = 0; i < n_folders; i++)
        MU_TRY(add_folder(ix, scans, folders[i], e));
    MU_TRY(index_sort(ix, e));
    *out = ix;
    ix = NULL;
out:
    mu_task_scan_close(scans);
    mu_task_index_close(ix);
    return rc;
}

void mu_task_index_close(struct mu_task_index *ix)
{
    if (!ix)
        return;
    json_decref(ix->by_name);
    json_decref(ix->keep);
    mu_arena_fini(&ix->arena);
    mu_free(ix->entry);
    mu_free(ix->sorted);
    mu_free(ix);
}

int mu_task_index_count(const struct mu_task_index *ix)
{
    return ix->n;
}

struct mu_task_entry mu_task_index_at(const struct mu_task_index *ix, int i)
{
    return ix->entry[ix->sorted[i]].known;
}

const struct mu_index_entry *mu_task_index_find(const struct mu_task_index *ix, const char *name)
{
    return ix ? entry_find(ix, name) : NULL;
}

const char *mu_task_index_nearest(const struct mu_task_index *ix, const char *name)
{
    const char *best = NULL;
    int least = 1 + (int)strlen(name) / 3;
    for (int i = 0; ix && i < ix->n; i++) {
        const char *known = ix->entry[ix->sorted[i]].known.name;
        int d = mu_name_distance(mu_str(known), name);
        if (d <= least && (!best || d < least)) {
            best = known;
            least = d;
        }
    }
    return best;
}
