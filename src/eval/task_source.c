/* task_source.c - YAML files read once, and the members of a file with those of the files it includes
 *
 * Source: lm_eval/tasks/_yaml_loader.py: `include` is a path or a list of paths beside the file, later ones override
 * earlier ones, the file's own members override all. */
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/task_int.h"

int mu_loader_open(struct mu_loader **out, const struct mu_task_index *ix, bool collect, struct mu_err *e)
{
    struct mu_loader *l = NULL;
    int rc;
    mu_json_init();
    MU_TRY(MU_NEW(&l, "a reader of task files", e));
    l->arena = (struct mu_arena)MU_ARENA_INIT("reading task files", MU_TASK_MEMORY_MAX);
    l->ix = ix;
    l->collect = collect;
    l->e = e;
    l->by_path = json_object();
    if (!l->by_path)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "a reader of task files"));
    if (collect)
        MU_TRY(MU_NEW_ARRAY(&l->fault, MU_TASK_FAULTS_MAX, "faults of a task file", e));
    *out = l;
    l = NULL;
out:
    mu_loader_close(l);
    return rc;
}

void mu_loader_close(struct mu_loader *l)
{
    if (!l)
        return;
    for (int i = 0; i < l->n_sources; i++)
        mu_yaml_free(l->source[i]->y);
    json_decref(l->by_path);
    mu_arena_fini(&l->arena);
    mu_free(l->fault);
    mu_free(l);
}

/* ---- files ---- */

static int source_new(struct mu_loader *l, const char *path, struct mu_source **out)
{
    if (l->n_sources == (int)MU_COUNT(l->source))
        return mu_fail(l->e, MU_ELIMIT, "%s: more than %zu task files are needed at once", path, MU_COUNT(l->source));
    struct mu_source *s = mu_arena_alloc(&l->arena, sizeof *s, l->e);
    const char *slash = strrchr(path, '/');
    if (!s || !(s->path = mu_arena_strdup(&l->arena, mu_str(path), l->e)) ||
        !(s->dir =
              mu_arena_strdup(&l->arena, slash ? (struct mu_str){path, (size_t)(slash - path)} : MU_STR("."), l->e)))
        return MU_ENOMEM;
    *out = s;
    return MU_OK;
}

static int source_keep(struct mu_loader *l, struct mu_source *s)
{
    if (json_object_set_new(l->by_path, s->path, json_integer(l->n_sources)) != 0)
        return mu_fail_nomem(l->e, strlen(s->path), "a reader of task files");
    l->source[l->n_sources++] = s;
    return MU_OK;
}

static int source_of_file(struct mu_loader *l, const char *path, const struct mu_source **out)
{
    const json_t *at = json_object_get(l->by_path, path);
    struct mu_source *s = NULL;
    if (at) {
        *out = l->source[json_integer_value(at)];
        return MU_OK;
    }
    MU_TRY_RETURN(source_new(l, path, &s));
    MU_TRY_RETURN(mu_yaml_load(&s->y, path, l->e));
    int rc = source_keep(l, s);
    if (rc != MU_OK)
        mu_yaml_free(s->y);
    *out = s;
    return rc;
}

bool mu_member_is_function(const struct mu_source *src, const json_t *node)
{
    const char *tag = json_is_string(node) ? mu_yaml_tag(src->y, node) : NULL;
    return tag && strcmp(tag, "!function") == 0;
}

/* ---- members ---- */

int mu_members_put(struct mu_loader *l, struct mu_members *f, const struct mu_member *m)
{
    struct mu_member *old = (struct mu_member *)(uintptr_t)mu_members_find(f, m->key);
    if (old) {
        *old = *m;
        return MU_OK;
    }
    if (f->n == MU_TASK_MEMBERS_MAX)
        return mu_fail(l->e, MU_ELIMIT, "%s: a task with more than %d fields", m->src->path, MU_TASK_MEMBERS_MAX);
    if (f->n == f->cap) {
        int cap = f->cap ? f->cap * 2 : 16;
        struct mu_member *more = mu_arena_array(&l->arena, (size_t)cap, sizeof *more, l->e);
        if (!more)
            return MU_ENOMEM;
        if (f->n)
            memcpy(more, f->m, (size_t)f->n * sizeof *more);
        f->m = more;
        f->cap = cap;
    }
    f->m[f->n++] = *m;
    return MU_OK;
}

int mu_members_merge(struct mu_loader *l, struct mu_members *into, const struct mu_members *from)
{
    for (int i = 0; i < from->n; i++)
        MU_TRY_RETURN(mu_members_put(l, into, &from->m[i]));
    return MU_OK;
}

const struct mu_member *mu_members_find(const struct mu_members *f, const char *key)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->m[i].key, key) == 0)
            return &f->m[i];
    return NULL;
}

void mu_members_drop(struct mu_members *f, const char *key)
{
    const struct mu_member *m = mu_members_find(f, key);
    if (!m)
        return;
    size_t at = (size_t)(m - f->m);
    memmove(f->m + at, f->m + at + 1, ((size_t)--f->n - at) * sizeof *m);
}

int mu_members_of_object(struct mu_loader *l, const struct mu_source *src, json_t *object, struct mu_members *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        struct mu_member m = {key, value, src, mu_yaml_key_line(src->y, object, key)};
        MU_TRY_RETURN(mu_members_put(l, out, &m));
    }
    return MU_OK;
}

/* ---- include ---- */

struct chain {
    const struct mu_source *src;
    const struct chain *up;
    int depth;
};

static int members_of(struct mu_loader *l, const struct mu_source *src, const struct chain *up, struct mu_members *out);

static int include_one(struct mu_loader *l, const struct chain *at, int line, const json_t *path,
                       struct mu_members *out)
{
    struct mu_buf full = MU_BUF_INIT("a path", 1 << 16);
    struct mu_members own = {NULL, 0, 0};
    const struct mu_source *src = NULL;
    int rc = MU_OK;

    if (!json_is_string(path)) {
        rc = mu_fault(l, at->src, line, "include", MU_EFORMAT, "a path or a list of paths is needed");
        goto out;
    }
    const char *name = json_string_value(path);
    MU_TRY(mu_buf_printf(&full, l->e, "%s%s%s", name[0] == '/' ? "" : at->src->dir, name[0] == '/' ? "" : "/", name));
    rc = source_of_file(l, full.p, &src);
    if (rc == MU_ENOENT)
        rc = mu_fault(l, at->src, line, "include", MU_ENOENT, "there is no file %s", full.p);
    if (rc != MU_OK || !src)
        goto out;
    for (const struct chain *c = at; c; c = c->up)
        if (c->src == src) {
            rc = mu_fault(l, at->src, line, "include", MU_EFORMAT, "%s includes itself", full.p);
            goto out;
        }
    MU_TRY(members_of(l, src, at, &own));
    mu_members_drop(&own, "task_list");
    MU_TRY(mu_members_merge(l, out, &own));
out:
    mu_buf_fini(&full);
    return rc;
}

static int members_of(struct mu_loader *l, const struct mu_source *src, const struct chain *up, struct mu_members *out)
{
    struct chain at = {src, up, up ? up->depth + 1 : 0};
    json_t *root = mu_yaml_root(src->y), *item;
    const json_t *include;
    size_t i;

    if (at.depth > MU_TASK_INCLUDES_MAX)
        return mu_fail(l->e, MU_ELIMIT, "%s is included through more than %d files", src->path, MU_TASK_INCLUDES_MAX);
    if (!json_is_object(root))
        return mu_fault(l, src, 1, "", MU_EFORMAT, "a task file is a mapping of fields, this is none");
    include = json_object_get(root, "include");
    int line = mu_yaml_key_line(src->y, root, "include");
    if (json_is_array(include))
        json_array_foreach((json_t *)(uintptr_t)include, i, item)
            MU_TRY_RETURN(include_one(l, &at, mu_yaml_item_line(src->y, include, i), item, out));
    else if (include)
        MU_TRY_RETURN(include_one(l, &at, line, include, out));
    MU_TRY_RETURN(mu_members_of_object(l, src, root, out));
    mu_members_drop(out, "include");
    return MU_OK;
}

int mu_members_of_file(struct mu_loader *l, const char *path, struct mu_members *out)
{
    const struct mu_source *src;
    *out = (struct mu_members){NULL, 0, 0};
    MU_TRY_RETURN(source_of_file(l, path, &src));
    return members_of(l, src, NULL, out);
}

int mu_members_of_text(struct mu_loader *l, struct mu_str text, const char *path, struct mu_members *out)
{
    struct mu_source *s = NULL;
    *out = (struct mu_members){NULL, 0, 0};
    MU_TRY_RETURN(source_new(l, path, &s));
    MU_TRY_RETURN(mu_yaml_parse(&s->y, text, path, l->e));
    int rc = source_keep(l, s);
    if (rc != MU_OK) {
        mu_yaml_free(s->y);
        return rc;
    }
    return members_of(l, s, NULL, out);
}
