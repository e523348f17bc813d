/* task_metrics.c - metric_list: names, aggregations, keyword arguments, and what a task that lists none gets
 *
 * Source: lm_eval/api/task.py ConfigurableTask.__init__. A metric of a task with process_results is a name only. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/metric/metric.h"
#include "eval/stats/aggregation.h"
#include "eval/task_int.h"

/* One entry of the list and where it stands. */
struct entry {
    const struct mu_source *src;
    json_t *v;
    int line;
    bool by_results; /* process_results yields it */
};

#define NAMES_MAX 128

static void metric_names(const char **names)
{
    int n = 0;
    for (const struct mu_metric *m; n + 1 < NAMES_MAX && (m = mu_metric_at(n)); n++)
        names[n] = m->name;
    names[n] = NULL;
}

static void aggregation_names(const char **names)
{
    int n = 0;
    for (const struct mu_aggregation *a; n + 1 < NAMES_MAX && (a = mu_aggregation_at(n)); n++)
        names[n] = a->name;
    names[n] = NULL;
}

static int line_of(const struct entry *en, const char *key)
{
    int line = mu_yaml_key_line(en->src->y, en->v, key);
    return line ? line : en->line;
}

/* What else it may be: the nearest name, or, when none is near, all of them. */
static int fault_unknown(struct mu_making *k, const struct entry *en, const char *what, const char *name,
                         const char *const *names)
{
    const char *nearest = mu_name_nearest(names, name);
    char list[MU_ERR_TEXT_MAX / 2] = "";
    if (nearest)
        return mu_fault(k->l, en->src, line_of(en, what), "metric_list", MU_EFORMAT,
                        "there is no %s \"%s\" in muster; did you mean \"%s\"?", what, name, nearest);
    for (; *names; names++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *names);
    }
    return mu_fault(k->l, en->src, line_of(en, what), "metric_list", MU_EFORMAT,
                    "there is no %s \"%s\" in muster; known are %s", what, name, list);
}

/* ---- one entry ---- */

static int metric_function(struct mu_making *k, const struct entry *en, const json_t *node, struct mu_task_metric *m)
{
    const char *dot = strrchr(json_string_value(node), '.');
    m->name = dot ? dot + 1 : json_string_value(node); /* the function's __name__ */
    return mu_task_function(k->l, en->src, line_of(en, "metric"), "metric_list", node, MU_FUNCTION_METRIC,
                            &m->function);
}

static int hugging_face(struct mu_making *k, const struct entry *en, const char *name)
{
    /* The harness calls the function on generated text only; other types it measures itself. */
    if (!json_is_true(json_object_get(en->v, "hf_evaluate")) || strcmp(name, "exact_match") == 0 ||
        k->t->output_type != MU_OUTPUT_GENERATE)
        return MU_OK;
    return mu_fault(k->l, en->src, line_of(en, "hf_evaluate"), "metric_list", MU_EUNSUPPORTED,
                    "metric \"%s\" is taken from Hugging Face's evaluate, which is Python; muster has exact_match of "
                    "those",
                    name);
}

static int metric_named(struct mu_making *k, const struct entry *en, const char *name, struct mu_task_metric *m)
{
    m->name = name;
    if (en->by_results)
        return MU_OK;
    MU_TRY_RETURN(hugging_face(k, en, name));
    m->metric = mu_metric_find(name);
    if (!m->metric) {
        const char *names[NAMES_MAX];
        metric_names(names);
        return fault_unknown(k, en, "metric", name, names);
    }
    if (m->metric->output_types & 1u << k->t->output_type)
        return MU_OK;
    return mu_fault(k->l, en->src, line_of(en, "metric"), "metric_list", MU_EFORMAT,
                    "metric \"%s\" is not measured on %s tasks", name, mu_output_type_name(k->t->output_type));
}

static int aggregation(struct mu_making *k, const struct entry *en, struct mu_task_metric *m)
{
    const json_t *v = json_object_get(en->v, "aggregation");
    const char *name = json_string_value(v);
    if (v && !name)
        return mu_fault(k->l, en->src, line_of(en, "aggregation"), "metric_list", MU_EFORMAT,
                        "aggregation must be a text or a !function");
    if (v && mu_member_is_function(en->src, v)) {
        m->aggregation = mu_aggregation_find("mean"); /* never asked while there is a function */
        return mu_task_function(k->l, en->src, line_of(en, "aggregation"), "metric_list", v, MU_FUNCTION_AGGREGATE,
                                &m->aggregate_function);
    }
    const struct mu_metric *known = mu_metric_find(m->name);
    if (!name && (!known || m->function))
        return mu_fault(k->l, en->src, en->line, "metric_list", MU_EFORMAT,
                        "metric \"%s\" needs an aggregation, such as mean", m->name);
    if (!name)
        name = known->aggregation;
    m->aggregation = mu_aggregation_find(name);
    if (m->aggregation)
        return MU_OK;
    const char *names[NAMES_MAX];
    aggregation_names(names);
    return fault_unknown(k, en, "aggregation", name, names);
}

static int direction(struct mu_making *k, const struct entry *en, struct mu_task_metric *m)
{
    const json_t *v = json_object_get(en->v, "higher_is_better");
    const struct mu_metric *known = mu_metric_find(m->name);
    m->higher_is_better = known ? known->higher_is_better : -1;
    if (!v)
        return MU_OK;
    m->higher_is_better = json_is_null(v) ? -1 : json_is_true(v);
    if (json_is_boolean(v) || json_is_null(v))
        return MU_OK;
    return mu_fault(k->l, en->src, line_of(en, "higher_is_better"), "metric_list", MU_EFORMAT,
                    "higher_is_better must be true, false or null");
}

static bool is_kwarg(const char *key)
{
    return strcmp(key, "metric") && strcmp(key, "aggregation") && strcmp(key, "higher_is_better") &&
           strcmp(key, "hf_evaluate");
}

/* Keyword arguments matter where texts are compared; elsewhere the harness passes over them. */
static int kwargs(struct mu_making *k, const struct entry *en, struct mu_task_metric *m)
{
    struct mu_err why = MU_ERR_INIT;
    const char *key;
    json_t *value;
    json_t *own = json_object();
    m->kwargs = own;
    MU_TRY_RETURN(mu_task_own(k->t, own, k->l->e));
    json_object_foreach(en->v, key, value) if (!en->by_results && is_kwarg(key) &&
                                               json_object_set(own, key, value) !=
                                                   0) return mu_fail_nomem(k->l->e, strlen(key), "a task");
    if (!m->metric || !m->metric->compute || k->t->output_type != MU_OUTPUT_GENERATE || !json_object_size(own))
        return MU_OK;
    int rc = m->metric->check ? m->metric->check(own, &why)
                              : mu_fail(&why, MU_EFORMAT, "metric %s takes no keyword arguments, \"%s\" is one",
                                        m->name, json_object_iter_key(json_object_iter(own)));
    return rc == MU_OK ? MU_OK : mu_fault_of(k->l, en->src, en->line, "metric_list", rc, &why);
}

/* Of two entries of one metric the later counts, in the place of the first. */
static int metric_put(struct mu_making *k, const struct entry *en, const struct mu_task_metric *m)
{
    for (int i = 0; i < k->t->n_metrics; i++)
        if (strcmp(k->t->metric[i].name, m->name) == 0) {
            k->t->metric[i] = *m;
            return MU_OK;
        }
    if (k->t->n_metrics == MU_TASK_METRICS_MAX)
        return mu_fault(k->l, en->src, en->line, "metric_list", MU_ELIMIT, "more than %d metrics", MU_TASK_METRICS_MAX);
    k->t->metric[k->t->n_metrics++] = *m;
    return MU_OK;
}

static int entry_take(struct mu_making *k, const struct entry *en)
{
    struct mu_task_metric m = {.higher_is_better = -1};
    const json_t *name = json_object_get(en->v, "metric");
    if (!json_is_string(name))
        return mu_fault(k->l, en->src, en->line, "metric_list", MU_EFORMAT,
                        "an entry is a mapping with `metric`, a name or a !function");
    if (mu_member_is_function(en->src, name))
        MU_TRY_RETURN(metric_function(k, en, name, &m));
    else
        MU_TRY_RETURN(metric_named(k, en, json_string_value(name), &m));
    MU_TRY_RETURN(aggregation(k, en, &m));
    MU_TRY_RETURN(direction(k, en, &m));
    MU_TRY_RETURN(kwargs(k, en, &m));
    return metric_put(k, en, &m);
}

static int defaults(struct mu_making *k)
{
    const char *const *names = mu_metric_defaults((int)k->t->output_type);
    for (; names && *names && k->t->n_metrics < MU_TASK_METRICS_MAX; names++) {
        const struct mu_metric *m = mu_metric_find(*names);
        const struct mu_aggregation *a = m ? mu_aggregation_find(m->aggregation) : NULL;
        if (!a)
            return mu_fail(k->l->e, MU_EINTERNAL, "the default metric %s is not there", *names);
        json_t *none = json_object();
        k->t->metric[k->t->n_metrics++] = (struct mu_task_metric){m->name, m, NULL, a, NULL, none, m->higher_is_better};
        MU_TRY_RETURN(mu_task_own(k->t, none, k->l->e));
    }
    return MU_OK;
}

int mu_task_metrics(struct mu_making *k)
{
    const struct mu_member *list = mu_members_get(&k->f, mu_task_fields, "metric_list");
    json_t *item;
    size_t i;
    if (!list)
        return defaults(k);
    bool by_results = mu_members_get(&k->f, mu_task_fields, "process_results") != NULL;
    json_array_foreach(list->value, i, item)
    {
        struct entry en = {list->src, item, mu_yaml_item_line(list->src->y, list->value, i), by_results};
        MU_TRY_RETURN(entry_take(k, &en));
    }
    return MU_OK;
}
