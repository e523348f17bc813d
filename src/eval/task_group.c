/* task_group.c - groups, suites and tags: members found, overridden and built
 *
 * Source: lm_eval/tasks/_factory.py, lm_eval/config/group.py. What a group's file says beside a group's own fields
 * overrides the fields of all its members; a member written as a mapping overrides its own. A suite is a group of ours
 * that aggregates nothing, and whose members may lie in folders that are not there.
 *
 * One difference: `- task: mmlu` inside a group, where mmlu is itself a group or a tag, lists its tasks under their own
 * names; the harness calls all of them "mmlu" and keeps the last. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/task_int.h"

const struct mu_field_row mu_group_fields[] = {
    {"group", MU_T_TEXT, NULL, false},
    {"group_alias", MU_T_TEXT, NULL, false},
    {"task", MU_T_TEXT | MU_T_LIST, NULL, false},
    {"aggregate_metric_list", MU_T_LIST | MU_T_OBJECT, NULL, false},
    {"metadata", MU_T_OBJECT, NULL, false},
    {NULL, 0, NULL, false},
};

/* A group on its way. */
struct making {
    struct mu_set_maker *k;
    const struct mu_members *f; /* its own fields */
    struct mu_members over;     /* of its members */
    const char *name;
    const char *path;
    bool is_inline, is_suite;
    struct mu_group_frame frame;
    struct mu_children children;
    struct mu_buf missing; /* of a suite */
    int n_missing;
};

static bool is_group_field(const char *key)
{
    for (const struct mu_field_row *r = mu_group_fields; r->name; r++)
        if (strcmp(r->name, key) == 0)
            return true;
    return strcmp(key, "suite") == 0;
}

static const struct mu_member *get(const struct making *g, const char *key)
{
    return mu_members_get(g->f, mu_group_fields, key);
}

/* Members of f that are (or are not) a group's own fields. */
static int pick(struct mu_loader *l, const struct mu_members *f, bool own, struct mu_members *out)
{
    for (int i = 0; i < f->n; i++)
        if (is_group_field(f->m[i].key) == own)
            MU_TRY_RETURN(mu_members_put(l, out, &f->m[i]));
    return MU_OK;
}

/* ---- configuration ---- */

static int put(struct mu_loader *l, json_t *into, const char *key, json_t *value)
{
    return json_object_set_new(into, key, value) == 0 ? MU_OK : mu_fail_nomem(l->e, strlen(key), "a group");
}

static int metric_check(struct making *g, const struct mu_member *m, const json_t *v, int line)
{
    static const char *const known[] = {"metric", "filter_list", "aggregation", "weight_by_size", NULL};
    struct mu_loader *l = g->k->l;
    const json_t *aggregation = json_object_get(v, "aggregation"), *filters = json_object_get(v, "filter_list"), *item;
    const char *key;
    json_t *value;
    size_t i;
    if (!json_is_string(json_object_get(v, "metric")))
        return mu_fault(l, m->src, line, m->key, MU_EFORMAT, "an entry is a mapping with `metric`, a name");
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        const char *nearest = mu_name_nearest(known, key);
        if (!nearest || strcmp(nearest, key) != 0)
            MU_TRY_RETURN(mu_fault(l, m->src, line, m->key, MU_EFORMAT, "there is no field \"%s\"%s%s%s", key,
                                   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : ""));
    }
    if (aggregation && (!json_is_string(aggregation) || mu_member_is_function(m->src, aggregation) ||
                        strcmp(json_string_value(aggregation), "mean") != 0))
        MU_TRY_RETURN(mu_fault(l, m->src, line, m->key, MU_EUNSUPPORTED, "groups are aggregated by \"mean\" only"));
    json_array_foreach(filters, i, item) if (!json_is_string(item)) return mu_fault(l, m->src, line, m->key, MU_EFORMAT,
                                                                                    "filter_list is a list of names");
    return MU_OK;
}

/* {metric, filter_list, aggregation, weight_by_size}, as AggMetricConfig has it. */
static json_t *metric_config(const json_t *v)
{
    json_t *filters = json_object_get(v, "filter_list"), *aggregation = json_object_get(v, "aggregation");
    json_t *weight = json_object_get(v, "weight_by_size");
    json_t *list = json_is_string(filters) ? json_pack("[O]", filters) : filters ? json_incref(filters) : json_null();
    return json_pack("{s:O, s:o, s:o, s:o}", "metric", json_object_get(v, "metric"), "filter_list", list, "aggregation",
                     aggregation ? json_incref(aggregation) : json_string("mean"), "weight_by_size",
                     weight ? json_incref(weight) : json_true());
}

static int metric_list(struct making *g, json_t **out)
{
    const struct mu_member *m = get(g, "aggregate_metric_list");
    struct mu_loader *l = g->k->l;
    *out = m ? json_array() : json_null();
    if (!*out)
        return mu_fail_nomem(l->e, sizeof(void *), "a group");
    size_t n = m && json_is_array(m->value) ? json_array_size(m->value) : m != NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_array(m->value) ? json_array_get(m->value, i) : m->value;
        int line = json_is_array(m->value) ? mu_yaml_item_line(m->src->y, m->value, i) : m->line;
        int before = l->n_faults;
        MU_TRY_RETURN(metric_check(g, m, v, line));
        if (l->n_faults == before && json_array_append_new(*out, metric_config(v)) != 0)
            return mu_fail_nomem(l->e, sizeof(void *), "a group");
    }
    return MU_OK;
}

static int metadata(struct making *g, json_t **out)
{
    const struct mu_member *m = get(g, "metadata");
    *out = m ? json_copy(m->value) : json_object();
    if (!*out)
        return mu_fail_nomem(g->k->l->e, sizeof(void *), "a group");
    return g->is_inline ? MU_OK : put(g->k->l, *out, "config_source", json_string(g->path));
}

static int config(struct making *g, json_t **out)
{
    struct mu_loader *l = g->k->l;
    const struct mu_member *alias = get(g, "group_alias"), *task = get(g, "task");
    json_t *c = json_object(), *part = NULL, *list = json_null();
    int rc;
    *out = c;
    if (!c)
        return mu_fail_nomem(l->e, sizeof(void *), "a group");
    if (task)
        list = json_is_string(task->value) ? json_pack("[O]", task->value) : json_incref(task->value);
    MU_TRY_RETURN(put(l, c, "group", json_string(g->name)));
    MU_TRY_RETURN(put(l, c, "group_alias", alias ? json_incref(alias->value) : json_null()));
    MU_TRY_RETURN(put(l, c, "task", list));
    rc = metric_list(g, &part);
    MU_TRY_RETURN(rc == MU_OK ? put(l, c, "aggregate_metric_list", part) : (json_decref(part), rc));
    part = NULL;
    rc = metadata(g, &part);
    return rc == MU_OK ? put(l, c, "metadata", part) : (json_decref(part), rc);
}

/* As the harness: a text, "N/A" when the file gives none. */
static int version(struct making *g, const json_t *c, json_t **out)
{
    struct mu_buf text = MU_BUF_INIT("a version", 1 << 20);
    const json_t *v = json_object_get(json_object_get(c, "metadata"), "version");
    int rc = v ? mu_py_str(&text, v, g->k->l->e) : MU_OK;
    *out = rc == MU_OK ? json_stringn(v && text.p ? text.p : "N/A", v && text.p ? text.n : 3) : NULL;
    mu_buf_fini(&text);
    if (rc == MU_OK && !*out)
        rc = mu_fail_nomem(g->k->l->e, sizeof(void *), "a group");
    return rc;
}

static int metrics(struct making *g, struct mu_group *into)
{
    struct mu_loader *l = g->k->l;
    const json_t *list = json_object_get(into->config, "aggregate_metric_list"), *v, *name;
    size_t i, j, n = json_array_size(list);
    if (!n)
        return MU_OK;
    if (!(into->metric = mu_arena_array(g->k->arena, n, sizeof *into->metric, l->e)))
        return MU_ENOMEM;
    json_array_foreach(list, i, v)
    {
        const json_t *filters = json_object_get(v, "filter_list");
        size_t n_filters = json_array_size(filters);
        const char **names = mu_arena_array(g->k->arena, n_filters + 1, sizeof *names, l->e);
        if (!names)
            return MU_ENOMEM;
        json_array_foreach(filters, j, name) names[j] = json_string_value(name);
        into->metric[i] =
            (struct mu_group_metric){json_string_value(json_object_get(v, "metric")), names, (int)n_filters,
                                     !json_is_false(json_object_get(v, "weight_by_size"))};
    }
    into->n_metrics = (int)n;
    return MU_OK;
}

/* ---- members ---- */

static int fault_member(struct making *g, const struct mu_member *at, int line, const char *name)
{
    struct mu_loader *l = g->k->l;
    const char *nearest = mu_task_index_nearest(l->ix, name);
    if (g->is_suite) {
        g->n_missing++;
        return mu_buf_printf(&g->missing, l->e, "%s%s", g->missing.n ? ", " : "", name);
    }
    return mu_fault(l, at->src, line, "task", MU_ENOENT, "no task, group or tag \"%s\" is known%s%s%s", name,
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* A task that is written out inside the group: GROUP::NAME. */
static int add_inline_task(struct making *g, struct mu_members *f, const struct mu_member *at, const char *name)
{
    struct mu_loader *l = g->k->l;
    struct mu_buf full = MU_BUF_INIT("the name of a task", 1 << 16);
    struct mu_task *t = NULL;
    json_t *text = NULL;
    int rc;
    MU_TRY(mu_buf_printf(&full, l->e, "%s::%s", g->name, name));
    if (!(text = json_stringn(full.p, full.n)))
        MU_TRY(mu_fail_nomem(l->e, full.n, "a task"));
    struct mu_member task = {"task", text, at->src, at->line};
    MU_TRY(mu_members_put(l, f, &task));
    MU_TRY(mu_task_make(l, f, at->src->path, NULL, &t));
    rc = mu_set_add_task(g->k, t, &g->children);
out:
    json_decref(text);
    mu_buf_fini(&full);
    return rc;
}

static int add_inline_group(struct making *g, struct mu_members *f, const struct mu_member *at, const char *name);

/* A member with the fields f over those of the known name; `task` and `group` themselves are no overrides. */
static int add_known(struct making *g, const struct mu_index_entry *en, struct mu_members *f)
{
    if (g->k->names_only)
        return MU_OK;
    mu_members_drop(f, "task");
    mu_members_drop(f, "group");
    return mu_set_add_entry(g->k, en, f, &g->frame, &g->children);
}

static int add_object(struct making *g, const struct mu_member *at, json_t *item, int line)
{
    struct mu_loader *l = g->k->l;
    struct mu_members own = {NULL, 0, 0}, all = {NULL, 0, 0};
    bool is_group = json_object_get(item, "group") != NULL;
    const char *name = json_string_value(json_object_get(item, is_group ? "group" : "task"));
    if (!name)
        return mu_fault(l, at->src, line, "task", MU_EFORMAT,
                        "a member is a name, or a mapping with `task` or `group`");
    const struct mu_index_entry *en = mu_task_index_find(l->ix, name);
    MU_TRY_RETURN(mu_members_of_object(l, at->src, item, &own));
    if (is_group && !en)
        return add_inline_group(g, &own, at, name);
    MU_TRY_RETURN(mu_members_merge(l, &all, &g->over));
    MU_TRY_RETURN(mu_members_merge(l, &all, &own));
    if (en)
        return add_known(g, en, &all);
    if (mu_members_find(&all, "dataset_path"))
        return add_inline_task(g, &all, at, name);
    return l->ix || g->is_suite ? fault_member(g, at, line, name) : MU_OK;
}

static int add_item(struct making *g, const struct mu_member *at, json_t *item, int line)
{
    struct mu_loader *l = g->k->l;
    struct mu_members all = {NULL, 0, 0};
    if (json_is_object(item))
        return add_object(g, at, item, line);
    const char *name = json_string_value(item);
    if (!name)
        return mu_fault(l, at->src, line, "task", MU_EFORMAT,
                        "a member is a name, or a mapping with `task` or `group`");
    const struct mu_index_entry *en = mu_task_index_find(l->ix, name);
    if (!en)
        return l->ix || g->is_suite ? fault_member(g, at, line, name) : MU_OK;
    MU_TRY_RETURN(mu_members_merge(l, &all, &g->over));
    return add_known(g, en, &all);
}

static int add_items(struct making *g)
{
    const struct mu_member *list = get(g, "task");
    json_t *item;
    size_t i;
    if (!list)
        return MU_OK;
    if (json_is_string(list->value))
        return add_item(g, list, list->value, list->line);
    json_array_foreach(list->value, i, item)
        MU_TRY_RETURN(add_item(g, list, item, mu_yaml_item_line(list->src->y, list->value, i)));
    return MU_OK;
}

static int tell_missing(struct making *g)
{
    if (!g->n_missing || g->k->names_only)
        return MU_OK;
    if (!g->children.n)
        return mu_fail(g->k->l->e, MU_ENOENT,
                       "suite %s: none of its members (%s) is in the task folders; name the folder that has them with "
                       "--include-path",
                       g->name, g->missing.p);
    mu_log(MU_LOG_WARN, "suite %s goes on without %d member%s that no task folder has: %s", g->name, g->n_missing,
           g->n_missing == 1 ? "" : "s", g->missing.p);
    return MU_OK;
}

/* ---- a group ---- */

static int check_frame(struct making *g, const struct mu_group_frame *up)
{
    for (const struct mu_group_frame *f = up; f; f = f->up)
        if (strcmp(f->name, g->name) == 0)
            return mu_fail(g->k->l->e, MU_EFORMAT, "%s: group %s contains itself", g->path, g->name);
    g->frame = (struct mu_group_frame){g->name, up, up ? up->depth + 1 : 0};
    if (g->frame.depth > MU_TASK_GROUPS_DEEP)
        return mu_fail(g->k->l->e, MU_ELIMIT, "%s: groups in groups more than %d deep", g->path, MU_TASK_GROUPS_DEEP);
    return MU_OK;
}

static int child_put(struct mu_set_maker *k, struct mu_children *into, int id)
{
    for (int i = 0; into && i < into->n; i++)
        if (into->id[i] == id)
            return MU_OK;
    if (!into)
        return MU_OK;
    if (into->n == into->cap) {
        int cap = into->cap ? into->cap * 2 : 16;
        int *more = mu_arena_array(k->arena, (size_t)cap, sizeof *more, k->l->e);
        if (!more)
            return MU_ENOMEM;
        if (into->n)
            memcpy(more, into->id, (size_t)into->n * sizeof *more);
        into->id = more;
        into->cap = cap;
    }
    into->id[into->n++] = id;
    return MU_OK;
}

/* The facts of a group into its place in the set; its children are known. */
static int fill(struct making *g, int at, json_t *c)
{
    struct mu_group *into = &g->k->set->group[at];
    const struct mu_member *alias = get(g, "group_alias");
    into->path = mu_arena_strdup(g->k->arena, mu_str(g->path), g->k->l->e);
    into->alias = alias ? json_string_value(json_object_get(c, "group_alias")) : into->name;
    into->child = g->children.id;
    into->n_children = g->children.n;
    MU_TRY_RETURN(metrics(g, into));
    return into->path ? MU_OK : MU_ENOMEM;
}

static int group_make(struct making *g, struct mu_children *into)
{
    struct mu_set_maker *k = g->k;
    json_t *c = NULL, *v = NULL;
    int at = -1, rc;

    MU_TRY(config(g, &c));
    MU_TRY(version(g, c, &v));
    const json_t *known = json_object_get(k->group_at, g->name);
    if (known) {
        at = (int)json_integer_value(known);
        if (g->over.n || !json_equal(k->set->group[at].config, c))
            MU_TRY(mu_fail(k->l->e, MU_EUSAGE, "group %s is asked for twice with different fields; ask for one of them",
                           g->name));
        rc = child_put(k, into, -1 - at);
        goto out;
    }
    MU_TRY(mu_set_add_group(k, g->name, &at));
    k->set->group[at].config = c;
    k->set->group[at].version = v;
    json_t *held = c;
    c = v = NULL;
    MU_TRY(add_items(g));
    MU_TRY(tell_missing(g));
    MU_TRY(fill(g, at, held));
    rc = child_put(k, into, -1 - at);
out:
    json_decref(c);
    json_decref(v);
    return rc;
}

static int group_add(struct mu_set_maker *k, const struct mu_members *f, const char *name, const char *path,
                     bool is_inline, const struct mu_members *over, const struct mu_group_frame *up,
                     struct mu_children *into)
{
    struct mu_members own = {NULL, 0, 0};
    struct making g = {.k = k,
                       .f = &own,
                       .name = name,
                       .path = path,
                       .is_inline = is_inline,
                       .is_suite = mu_members_find(f, "suite") != NULL,
                       .missing = MU_BUF_INIT("the members a suite lacks", 1 << 20)};
    int rc;
    MU_TRY(check_frame(&g, up));
    MU_TRY(pick(k->l, f, true, &own));
    MU_TRY(pick(k->l, f, false, &g.over));
    if (over)
        MU_TRY(mu_members_merge(k->l, &g.over, over));
    mu_members_drop(&own, "suite");
    MU_TRY(mu_members_check(k->l, &own, mu_group_fields));
    MU_TRY(group_make(&g, into));
out:
    mu_buf_fini(&g.missing);
    return rc;
}

static int add_inline_group(struct making *g, struct mu_members *f, const struct mu_member *at, const char *name)
{
    size_t n = strlen(g->name) + strlen(name) + 3;
    char *full = mu_arena_alloc(&g->k->l->arena, n, g->k->l->e);
    if (!full)
        return MU_ENOMEM;
    memcpy(full, g->name, strlen(g->name));
    memcpy(full + strlen(g->name), "::", 2);
    memcpy(full + strlen(g->name) + 2, name, strlen(name) + 1);
    return group_add(g->k, f, full, at->src->path, true, &g->over, &g->frame, &g->children);
}

/* ---- entries ---- */

int mu_set_add_members(struct mu_set_maker *k, struct mu_members *f, const char *path, const struct mu_members *over,
                       const struct mu_group_frame *up, struct mu_children *into)
{
    const struct mu_member *group = mu_members_find(f, "group"), *suite = mu_members_find(f, "suite");
    struct mu_task *t = NULL;
    bool is_class = mu_members_find(f, "class") != NULL;
    if (suite || (group && !is_class)) {
        const struct mu_member *m = suite ? suite : group;
        if (!json_is_string(m->value))
            return mu_fault(k->l, m->src, m->line, m->key, MU_EFORMAT, "this must be a text");
        return group_add(k, f, json_string_value(m->value), path, false, over, up, into);
    }
    if (over)
        MU_TRY_RETURN(mu_members_merge(k->l, f, over));
    MU_TRY_RETURN(mu_task_make(k->l, f, path, path, &t));
    return mu_set_add_task(k, t, into);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_tag(struct mu_set_maker *k, const struct mu_index_entry *en, const struct mu_members *over,
                   const struct mu_group_frame *up, struct mu_children *into)
{
    size_t n = json_array_size(en->members);
    const char **names = mu_arena_array(&k->l->arena, n + 1, sizeof *names, k->l->e);
    if (!names)
        return MU_ENOMEM;
    for (size_t i = 0; i < n; i++)
        names[i] = json_string_value(json_array_get(en->members, i));
    qsort((void *)(uintptr_t)names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        const struct mu_index_entry *task = mu_task_index_find(k->l->ix, names[i]);
        if (task && task->known.kind == MU_ENTRY_TASK)
            MU_TRY_RETURN(mu_set_add_entry(k, task, over, up, into));
    }
    return MU_OK;
}

int mu_set_add_entry(struct mu_set_maker *k, const struct mu_index_entry *en, const struct mu_members *over,
                     const struct mu_group_frame *up, struct mu_children *into)
{
    struct mu_members f;
    if (en->known.kind == MU_ENTRY_TAG)
        return add_tag(k, en, over, up, into);
    MU_TRY_RETURN(mu_members_of_file(k->l, en->known.path, &f));
    return mu_set_add_members(k, &f, en->known.path, over, up, into);
}

/* ---- the set ---- */

int mu_set_add_task(struct mu_set_maker *k, struct mu_task *t, struct mu_children *into)
{
    struct mu_task_set *s = k->set;
    const json_t *known = json_object_get(k->task_at, t->name);
    int at = known ? (int)json_integer_value(known) : s->n_tasks, rc = MU_OK;
    if (known && !json_equal(s->task[at]->config, t->config)) {
        rc = mu_fail(k->l->e, MU_EUSAGE, "task %s is asked for twice with different fields; ask for one of them",
                     t->name);
        goto out;
    }
    if (known) {
        rc = child_put(k, into, at);
        goto out;
    }
    if (s->n_tasks == MU_TASKS_MAX)
        MU_TRY(mu_fail(k->l->e, MU_ELIMIT, "more than %d tasks are chosen", MU_TASKS_MAX));
    if (s->n_tasks == k->cap_tasks) {
        int cap = k->cap_tasks ? k->cap_tasks * 2 : 16;
        struct mu_task **more = mu_realloc(s->task, (size_t)cap * sizeof *more);
        if (!more)
            MU_TRY(mu_fail_nomem(k->l->e, (size_t)cap * sizeof *more, "the chosen tasks"));
        s->task = more;
        k->cap_tasks = cap;
    }
    MU_TRY(child_put(k, into, at));
    MU_TRY(put(k->l, k->task_at, t->name, json_integer(at)));
    s->task[s->n_tasks++] = t;
    t = NULL;
out:
    mu_task_free(t);
    return rc;
}

int mu_set_add_group(struct mu_set_maker *k, const char *name, int *at)
{
    struct mu_task_set *s = k->set;
    if (s->n_groups == MU_TASKS_MAX)
        return mu_fail(k->l->e, MU_ELIMIT, "more than %d groups are chosen", MU_TASKS_MAX);
    if (s->n_groups == k->cap_groups) {
        int cap = k->cap_groups ? k->cap_groups * 2 : 16;
        struct mu_group *more = mu_realloc(s->group, (size_t)cap * sizeof *more);
        if (!more)
            return mu_fail_nomem(k->l->e, (size_t)cap * sizeof *more, "the chosen groups");
        s->group = more;
        k->cap_groups = cap;
    }
    *at = s->n_groups;
    s->group[*at] = (struct mu_group){.name = mu_arena_strdup(k->arena, mu_str(name), k->l->e)};
    if (!s->group[*at].name)
        return MU_ENOMEM;
    MU_TRY_RETURN(put(k->l, k->group_at, name, json_integer(*at)));
    s->n_groups++;
    return MU_OK;
}
