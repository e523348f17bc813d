/* task_filters.c - filter_list: pipelines of steps, and the one a task without a list gets
 *
 * Source: lm_eval/api/task.py ConfigurableTask.__init__, lm_eval/filters/__init__.py. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter.h"
#include "eval/task_int.h"

/* The list and the line of the pipeline or step that is being read. */
struct place {
    const struct mu_member *list;
    int line;
};

static const char *nearest_filter(const char *name)
{
    const char *names[64];
    int n = 0;
    for (const struct mu_filter *f; n + 1 < (int)MU_COUNT(names) && (f = mu_filter_at(n)); n++)
        names[n] = f->name;
    names[n] = NULL;
    return mu_name_nearest(names, name);
}

static int fault(struct mu_making *k, const struct place *at, int code, const char *sentence)
{
    return mu_fault(k->l, at->list->src, at->line, "filter_list", code, "%s", sentence);
}

/* What the step says beside its function's name. A function to call is not one of them. */
static int step_kwargs(struct mu_making *k, const json_t *v, struct mu_filter_step *step)
{
    const char *key;
    json_t *value;
    json_t *own = json_object();
    step->kwargs = own;
    MU_TRY_RETURN(mu_task_own(k->t, own, k->l->e));
    json_object_foreach((json_t *)(uintptr_t)v, key,
                        value) if (strcmp(key, "function") != 0 &&
                                   json_object_set(own, key, value) != 0) return mu_fail_nomem(k->l->e, strlen(key),
                                                                                               "a task");
    return MU_OK;
}

static int step_check(struct mu_making *k, const struct place *at, const struct mu_filter_step *step)
{
    struct mu_err why = MU_ERR_INIT;
    int rc = MU_OK;
    if (step->filter->check)
        rc = step->filter->check(step->kwargs, &why);
    else if (json_object_size(step->kwargs))
        rc = mu_fail(&why, MU_EFORMAT, "the filter %s takes no arguments, \"%s\" is one", step->filter->name,
                     json_object_iter_key(json_object_iter(step->kwargs)));
    return rc == MU_OK ? MU_OK : mu_fault_of(k->l, at->list->src, at->line, "filter_list", rc, &why);
}

/* A Python class in place of a name: a built-in filter of its own. */
static int step_class(struct mu_making *k, const struct place *at, const json_t *node, struct mu_filter_step *step)
{
    const struct mu_function *f = NULL;
    MU_TRY_RETURN(mu_task_function(k->l, at->list->src, at->line, "filter_list", node, MU_FUNCTION_FILTER_CLASS, &f));
    if (!f)
        return MU_OK;
    step->filter = f->filter_class;
    return step_check(k, at, step);
}

/* filter_fn: a built-in function called by the filter "custom". */
static int step_function(struct mu_making *k, const struct place *at, const json_t *node, struct mu_filter_step *step)
{
    step->filter = mu_filter_find("custom");
    return mu_task_function(k->l, at->list->src, at->line, "filter_list", node, MU_FUNCTION_FILTER, &step->function);
}

static int step_take(struct mu_making *k, const struct place *at, const json_t *v, struct mu_filter_step *step)
{
    const json_t *function = json_object_get(v, "function"), *filter_fn = json_object_get(v, "filter_fn");
    const char *name = json_string_value(function);
    if (!name)
        return fault(k, at, MU_EFORMAT, "a step is a mapping with `function`, the name of a filter");
    MU_TRY_RETURN(step_kwargs(k, v, step));
    if (mu_member_is_function(at->list->src, function))
        return step_class(k, at, function, step);
    if (filter_fn && mu_member_is_function(at->list->src, filter_fn))
        return step_function(k, at, filter_fn, step);
    step->filter = mu_filter_find(name);
    if (step->filter)
        return step_check(k, at, step);
    const char *nearest = nearest_filter(name);
    return mu_fault(k->l, at->list->src, at->line, "filter_list", MU_EFORMAT, "there is no filter \"%s\"%s%s%s", name,
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static int pipeline_take(struct mu_making *k, struct place at, const json_t *v, struct mu_filter_pipeline *p)
{
    const json_t *steps = json_object_get(v, "filter"), *step;
    size_t i;
    p->name = json_string_value(json_object_get(v, "name"));
    if (!p->name || !json_is_array(steps)) {
        p->name = "";
        return fault(k, &at, MU_EFORMAT, "an entry is a mapping with `name`, a text, and `filter`, a list of steps");
    }
    if (json_array_size(steps) > MU_TASK_STEPS_MAX)
        return fault(k, &at, MU_ELIMIT, "a pipeline has at most 64 steps");
    json_array_foreach(steps, i, step)
    {
        at.line = mu_yaml_item_line(at.list->src->y, steps, i);
        MU_TRY_RETURN(step_take(k, &at, step, &p->step[p->n_steps]));
        p->n_steps++;
    }
    return MU_OK;
}

static int defaults(struct mu_making *k)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&k->t->filter, 1, "filters of a task", k->l->e));
    k->t->n_filters = 1;
    k->t->filter[0].name = "none";
    k->t->filter[0].n_steps = 1;
    k->t->filter[0].step[0].filter = mu_filter_find("take_first");
    return MU_OK;
}

int mu_task_filters(struct mu_making *k)
{
    const struct mu_member *list = mu_members_get(&k->f, mu_task_fields, "filter_list");
    const json_t *item;
    size_t i;
    if (!list)
        return defaults(k);
    struct place at = {list, list->line};
    size_t n = json_array_size(list->value);
    if (n == 0 || n > MU_TASK_FILTERS_MAX)
        return fault(k, &at, n ? MU_ELIMIT : MU_EFORMAT, n ? "at most 64 pipelines" : "the list is empty");
    MU_TRY_RETURN(MU_NEW_ARRAY(&k->t->filter, n, "filters of a task", k->l->e));
    k->t->n_filters = (int)n;
    json_array_foreach(list->value, i, item)
    {
        at.line = mu_yaml_item_line(list->src->y, list->value, i);
        MU_TRY_RETURN(pipeline_take(k, at, item, &k->t->filter[i]));
    }
    return MU_OK;
}
