/* bundle_group.c - a group's line: its members by name, its metrics */
#include "eval/bundle_int.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

#define GROUP_NAMES_MAX 1000000 /* every later walk over a group takes at most so many steps */

static const char *keep_text(struct mu_bundle *b, const char *s)
{
    return mu_arena_strdup(b->arena, mu_str(s), b->e);
}

/* Filters by name; none: all filters of the metric. */
static int read_filters(struct mu_bundle *b, const json_t *list, struct mu_group_metric *m)
{
    size_t n = json_array_size(list);
    const char **names = mu_arena_array(b->arena, n + 1, sizeof *names, b->e);
    if (!names)
        return MU_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name)
            return mu_fail(b->e, MU_EFORMAT, "\"filters\" of a group's metric must be a list of texts");
        if (!(names[i] = keep_text(b, name)))
            return MU_ENOMEM;
    }
    m->filter = names;
    m->n_filters = (int)n;
    return MU_OK;
}

static int read_metric(struct mu_bundle *b, const json_t *v, struct mu_group_metric *m)
{
    const char *name = mu_bundle_text(v, "metric");
    if (!name)
        return mu_fail(b->e, MU_EFORMAT, "\"metrics\" of a group must be a list of objects with \"metric\"");
    if (!(m->metric = keep_text(b, name)))
        return MU_ENOMEM;
    MU_TRY_RETURN(mu_json_bool(v, "weight_by_size", &m->weight_by_size, "a group's metric", b->e));
    return read_filters(b, json_object_get(v, "filters"), m);
}

static int read_metrics(struct mu_bundle *b, const json_t *list, struct mu_group *g)
{
    size_t n = json_array_size(list);
    if (n > MU_TASK_METRICS_MAX)
        return mu_fail(b->e, MU_ELIMIT, "group %s has %zu metrics, but %d is the most", g->name, n,
                       MU_TASK_METRICS_MAX);
    if (!(g->metric = mu_arena_array(b->arena, n + 1, sizeof *g->metric, b->e)))
        return MU_ENOMEM;
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(read_metric(b, json_array_get(list, i), &g->metric[i]));
    g->n_metrics = (int)n;
    return MU_OK;
}

static int check_line(struct mu_bundle *b, const json_t *line)
{
    const char *name = mu_bundle_text(line, "name");
    if (!name || !*name)
        return mu_fail(b->e, MU_EFORMAT, "a group needs a \"name\"");
    if (json_object_get(b->task_at, name) || json_object_get(b->group_at, name))
        return mu_fail(b->e, MU_EFORMAT, "the name %s was there before", name);
    if (!json_is_array(json_object_get(line, "children")) || !json_is_object(json_object_get(line, "config")))
        return mu_fail(b->e, MU_EFORMAT, "group %s needs \"children\", a list, and \"config\", an object", name);
    return MU_OK;
}

/* The children stay names, kept in config, until all lines are read. */
static int fill(struct mu_bundle *b, const json_t *line, struct mu_group *g)
{
    const char *alias = mu_bundle_text(line, "alias");
    const json_t *version = json_object_get(line, "version");
    g->name = keep_text(b, mu_bundle_text(line, "name"));
    g->alias = g->name && alias ? keep_text(b, alias) : g->name;
    g->path = g->alias ? keep_text(b, b->path) : NULL;
    if (!g->path)
        return MU_ENOMEM;
    g->is_tag = json_is_true(json_object_get(line, "is_tag"));
    g->version = version ? json_deep_copy(version) : json_string("N/A");
    g->config = json_deep_copy(json_object_get(line, "config"));
    if (!g->version || !g->config || json_object_set(b->group_at, g->name, json_object_get(line, "children")) != 0)
        return mu_fail_nomem(b->e, sizeof(void *), "a group");
    return read_metrics(b, json_object_get(line, "metrics"), g);
}

int mu_bundle_group(struct mu_bundle *b, json_t *line)
{
    struct mu_task_set *set = b->set;
    MU_TRY_RETURN(check_line(b, line));
    MU_TRY_RETURN(mu_bundle_grow(&set->group, &b->cap_groups, set->n_groups, sizeof *set->group, "groups", b->e));
    struct mu_group *g = &set->group[set->n_groups++]; /* counted first: what it holds is dropped with the set */
    return fill(b, line, g);
}

/* ---- at the end ---- */

static int find_group(const struct mu_task_set *set, const char *name)
{
    for (int i = 0; i < set->n_groups; i++) {
        if (strcmp(set->group[i].name, name) == 0)
            return i;
    }
    return -1;
}

static int resolve(struct mu_bundle *b, int group, const char *name, int *out)
{
    const json_t *task = json_object_get(b->task_at, name);
    int at;
    if (task) {
        *out = (int)json_integer_value(task);
        return MU_OK;
    }
    at = json_object_get(b->group_at, name) ? find_group(b->set, name) : -1;
    if (at < 0)
        return mu_fail(b->e, MU_EFORMAT, "%s: group %s has a member \"%s\" that is no task or group of the bundle",
                       b->path, b->set->group[group].name, name);
    if (at <= group)
        return mu_fail(b->e, MU_EFORMAT,
                       "%s: group %s has the member %s, whose line must stand below that of the group", b->path,
                       b->set->group[group].name, name);
    *out = -1 - at;
    return MU_OK;
}

static int resolve_all(struct mu_bundle *b, int group)
{
    struct mu_group *g = &b->set->group[group];
    const json_t *names = json_object_get(b->group_at, g->name);
    size_t n = json_array_size(names);
    if (!(g->child = mu_arena_array(b->arena, n + 1, sizeof *g->child, b->e)))
        return MU_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!name)
            return mu_fail(b->e, MU_EFORMAT, "%s: \"children\" of group %s must be a list of texts", b->path, g->name);
        MU_TRY_RETURN(resolve(b, group, name, &g->child[i]));
    }
    g->n_children = (int)n;
    return MU_OK;
}

/* Groups come before those inside them, so one walk from the last to the first knows every depth, and how many steps a
 * walk down from each would take. */
static int check_depth(struct mu_bundle *b)
{
    struct mu_task_set *set = b->set;
    int *depth = mu_arena_array(b->arena, (size_t)set->n_groups + 1, sizeof *depth, b->e);
    int64_t *names = mu_arena_array(b->arena, (size_t)set->n_groups + 1, sizeof *names, b->e);
    if (!depth || !names)
        return MU_ENOMEM;
    for (int i = set->n_groups - 1; i >= 0; i--) {
        for (int k = 0; k < set->group[i].n_children; k++) {
            int child = set->group[i].child[k];
            depth[i] = child < 0 ? MU_MAX(depth[i], depth[-1 - child] + 1) : depth[i];
            names[i] += 1 + (child < 0 ? names[-1 - child] : 0);
            if (names[i] > GROUP_NAMES_MAX)
                return mu_fail(
                    b->e, MU_ELIMIT,
                    "%s: group %s holds more than %d tasks and groups, counted once for every way down: name "
                    "each once",
                    b->path, set->group[i].name, GROUP_NAMES_MAX);
        }
        if (depth[i] >= MU_TASK_GROUPS_DEEP)
            return mu_fail(b->e, MU_ELIMIT, "%s: group %s holds groups more than %d deep", b->path, set->group[i].name,
                           MU_TASK_GROUPS_DEEP);
    }
    return MU_OK;
}

int mu_bundle_groups_end(struct mu_bundle *b)
{
    for (int i = 0; i < b->set->n_groups; i++)
        MU_TRY_RETURN(resolve_all(b, i));
    return check_depth(b);
}
