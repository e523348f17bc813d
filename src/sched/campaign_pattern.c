/* campaign_pattern.c - patterns: which tasks "llama-*" + "/" + "mmlu" names
 *
 * A part without wildcards is looked up, one with them is held against every name; then the side (models or suites)
 * that has fewer tasks is walked. So a hundred thousand patterns that name one task each are no more work than their
 * tasks. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

static bool has_wildcard(const char *part)
{
    return strpbrk(part, "*?[") != NULL;
}

bool mu_campaign_part_matches(const char *part, const char *name, const char *base)
{
    const char *held = strchr(part, ',') ? name : base;
    size_t n = strlen(part);
    if (strcmp(part, "*") == 0)
        return true;
    if (n > 0 && part[n - 1] == ',')
        return strlen(name) == n - 1 && memcmp(name, part, n - 1) == 0;
    return has_wildcard(part) ? fnmatch(part, held, FNM_NOESCAPE) == 0 : strcmp(part, held) == 0;
}

int mu_campaign_look(struct mu_campaign_reader *r, int64_t n)
{
    r->n_looks += n;
    if (r->n_looks <= MU_CAMPAIGN_LOOKS_MAX)
        return MU_OK;
    return mu_fail(
        r->e, MU_ELIMIT,
        "its patterns would look at names and tasks more than %d times: name more with fewer patterns, or cut "
        "the campaign into several",
        MU_CAMPAIGN_LOOKS_MAX);
}

bool mu_campaign_parts(const char *pattern, struct mu_campaign_parts *out)
{
    const char *slash = strchr(pattern, '/');
    struct mu_str model = {pattern, slash ? (size_t)(slash - pattern) : 0}, suite = mu_str(slash ? slash + 1 : "");
    if (strcmp(pattern, "*") == 0)
        model = suite = mu_str(pattern);
    if (model.n == 0 || model.n > MU_CAMPAIGN_NAME_MAX + 1 || suite.n == 0 || suite.n > MU_CAMPAIGN_NAME_MAX + 1 ||
        strchr(suite.p, '/'))
        return false;
    memcpy(out->model, model.p, model.n);
    out->model[model.n] = 0;
    memcpy(out->suite, suite.p, suite.n);
    out->suite[suite.n] = 0;
    return true;
}

int mu_campaign_texts(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const char *key,
                      const char *const **list, int *n_list)
{
    const json_t *v = json_object_get(n->o, key);
    size_t count = json_is_array(v) ? json_array_size(v) : json_is_string(v) ? 1 : 0;
    bool ok = count > 0 && count <= MU_CAMPAIGN_PATTERNS_MAX;
    *n_list = 0;
    if (!v || json_is_null(v))
        return MU_OK;
    const char **text = mu_arena_array(&r->c->arena, MU_MIN(count, MU_CAMPAIGN_PATTERNS_MAX), sizeof *text, r->e);
    if (!text)
        return r->e->code;
    for (size_t i = 0; ok && i < count; i++) {
        text[i] = json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
        ok = text[i] && *text[i];
    }
    *list = text;
    if (ok)
        *n_list = (int)count;
    else
        mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, n, key),
                          "%s must be a text or a list of at most %d texts", key, MU_CAMPAIGN_PATTERNS_MAX);
    return MU_OK;
}

/* ---- tasks by model and by suite ---- */

static int base_of(const struct mu_campaign *c, bool is_model, int i)
{
    return is_model ? c->model[i].base : c->suite[i].base;
}

static const char *name_of(const struct mu_campaign *c, bool is_model, int i)
{
    return is_model ? c->model[i].name : c->suite[i].name;
}

static int side_of(const struct mu_campaign_task *t, bool is_model)
{
    return is_model ? t->model : t->suite;
}

/* Chains the variations of each base, later ones last. */
static void chain(const struct mu_campaign *c, bool is_model, struct mu_campaign_side *s)
{
    for (int i = s->n; i-- > 0;) {
        int base = base_of(c, is_model, i);
        if (base == i)
            continue;
        s->next[i] = s->next[base];
        s->next[base] = i;
    }
}

static int index_side(struct mu_campaign_reader *r, bool is_model, struct mu_campaign_side *s)
{
    const struct mu_campaign *c = r->c;
    s->n = is_model ? c->n_models : c->n_suites;
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->next, s->n, "a campaign's tasks", r->e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->at, s->n + 2, "a campaign's tasks", r->e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->task, c->n_tasks, "a campaign's tasks", r->e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->is_hit, s->n, "a campaign's tasks", r->e));
    for (int i = 0; i < s->n; i++)
        s->next[i] = -1;
    chain(c, is_model, s);
    for (int t = 0; t < c->n_tasks; t++)
        s->at[side_of(&c->task[t], is_model) + 2]++;
    for (int i = 0; i < s->n; i++)
        s->at[i + 2] += s->at[i + 1];
    for (int t = 0; t < c->n_tasks; t++)
        s->task[s->at[side_of(&c->task[t], is_model) + 1]++] = t;
    return MU_OK;
}

int mu_campaign_index_tasks(struct mu_campaign_reader *r)
{
    MU_TRY_RETURN(index_side(r, true, &r->model_side));
    return index_side(r, false, &r->suite_side);
}

/* ---- a pattern ---- */

static int hit(struct mu_campaign_reader *r, struct mu_campaign_side *s, int i)
{
    s->is_hit[i] = true;
    return mu_campaign_list_add(&s->hit, i, (size_t)s->n, "names", r->e);
}

/* A part without wildcards: a name, with all variations unless it has a comma. */
static int hit_name(struct mu_campaign_reader *r, bool is_model, struct mu_campaign_side *s, const char *part)
{
    char name[MU_CAMPAIGN_NAME_MAX + 2];
    size_t n = strlen(part);
    snprintf(name, sizeof name, "%.*s", (int)(part[n - 1] == ',' ? n - 1 : n), part);
    int i = mu_campaign_table_find(is_model ? &r->by_model : &r->by_suite, r->c, name);
    bool all = !strchr(part, ',');
    for (; i >= 0; i = all ? s->next[i] : -1)
        MU_TRY_RETURN(hit(r, s, i));
    return MU_OK;
}

/* The models (suites) that a part names. */
static int hit_part(struct mu_campaign_reader *r, bool is_model, struct mu_campaign_side *s, const char *part)
{
    const struct mu_campaign *c = r->c;
    if (!has_wildcard(part))
        return hit_name(r, is_model, s, part);
    MU_TRY_RETURN(mu_campaign_look(r, s->n));
    for (int i = 0; i < s->n; i++) {
        if (mu_campaign_part_matches(part, name_of(c, is_model, i), name_of(c, is_model, base_of(c, is_model, i))))
            MU_TRY_RETURN(hit(r, s, i));
    }
    return MU_OK;
}

static void unhit(struct mu_campaign_side *s)
{
    for (size_t i = 0; i < s->hit.n; i++)
        s->is_hit[s->hit.p[i]] = false;
    s->hit.n = 0;
}

static size_t tasks_of_hits(const struct mu_campaign_side *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->hit.n; i++)
        n += (size_t)(s->at[s->hit.p[i] + 1] - s->at[s->hit.p[i]]);
    return n;
}

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Tasks of the hits of one side that the other side's hits have too. */
static int collect(struct mu_campaign_reader *r, const struct mu_campaign_side *s, bool is_model,
                   const struct mu_campaign_side *other)
{
    bool is_sorted = true;
    MU_TRY_RETURN(mu_campaign_look(r, (int64_t)tasks_of_hits(s)));
    for (size_t i = 0; i < s->hit.n; i++) {
        for (int32_t k = s->at[s->hit.p[i]]; k < s->at[s->hit.p[i] + 1]; k++) {
            int32_t t = s->task[k];
            if (!other->is_hit[side_of(&r->c->task[t], !is_model)])
                continue;
            is_sorted = is_sorted && (r->hits.n == 0 || r->hits.p[r->hits.n - 1] < t);
            MU_TRY_RETURN(mu_campaign_list_add(&r->hits, t, MU_CAMPAIGN_TASKS_MAX, "tasks", r->e));
        }
    }
    if (!is_sorted)
        qsort(r->hits.p, r->hits.n, sizeof *r->hits.p, compare);
    return MU_OK;
}

static void fault_none(struct mu_campaign_reader *r, const char *pattern, const struct mu_campaign_parts *p,
                       struct mu_campaign_place at)
{
    const struct mu_campaign *c = r->c;
    if (!mu_campaign_wants_fault(r->faults))
        r->faults->n_all++;
    else if (r->model_side.hit.n == 0)
        mu_campaign_fault(c, r->faults, at, "\"%.260s\" names no task: there is no model \"%s\"%s", pattern, p->model,
                          mu_campaign_hint_model(c, p->model).text);
    else if (r->suite_side.hit.n == 0)
        mu_campaign_fault(c, r->faults, at, "\"%.260s\" names no task: there is no suite \"%s\"%s", pattern, p->suite,
                          mu_campaign_hint_suite(c, p->suite).text);
    else
        mu_campaign_fault(c, r->faults, at, "\"%.260s\" names no task: the matrix has no such pair of model and suite",
                          pattern);
}

int mu_campaign_match(struct mu_campaign_reader *r, const char *pattern, struct mu_campaign_place at)
{
    struct mu_campaign_parts p;
    int rc = MU_OK;
    r->hits.n = 0;
    if (!mu_campaign_parts(pattern, &p)) {
        mu_campaign_fault(r->c, r->faults, at,
                          "\"%.100s\" is no pattern of tasks: MODEL/SUITE is needed, such as "
                          "\"%.40s/*\", or \"*\" for all",
                          pattern, strchr(pattern, '/') ? "llama-7b" : pattern);
        return MU_OK;
    }
    MU_TRY(hit_part(r, true, &r->model_side, p.model));
    MU_TRY(hit_part(r, false, &r->suite_side, p.suite));
    if (tasks_of_hits(&r->model_side) <= tasks_of_hits(&r->suite_side))
        MU_TRY(collect(r, &r->model_side, true, &r->suite_side));
    else
        MU_TRY(collect(r, &r->suite_side, false, &r->model_side));
    if (r->hits.n == 0)
        fault_none(r, pattern, &p, at);
out:
    unhit(&r->model_side);
    unhit(&r->suite_side);
    return rc;
}
