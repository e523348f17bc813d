/* results_about.c - what the results say about each task: its configuration, version, shots, directions, documents
 *
 * Source: lm_eval/evaluator_utils.py (_to_eval_results, _propagate_num_fewshot, _propagate_higher_is_better). */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/results_int.h"

/* ---- members of groups ---- */

/* Names of direct children; a tag among them stands for its tasks. */
static int add_child_names(json_t *list, const struct mu_task_set *set, const struct mu_group *g, struct mu_err *e)
{
    for (int i = 0; i < g->n_children; i++) {
        const struct mu_group *sub = g->child[i] < 0 ? &set->group[-1 - g->child[i]] : NULL;
        if (sub && sub->is_tag)
            MU_TRY_RETURN(add_child_names(list, set, sub, e));
        else
            MU_TRY_RETURN(mu_results_append(list, json_string(sub ? sub->name : set->task[g->child[i]]->name), e));
    }
    return MU_OK;
}

int mu_results_add_group_subtasks(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(out, "group_subtasks", o, e));
    for (int g = 0; g < f->set->n_groups; g++) {
        if (f->set->group[g].is_tag)
            continue;
        json_t *list = json_array();
        MU_TRY_RETURN(mu_results_set(o, f->set->group[g].name, list, e));
        MU_TRY_RETURN(add_child_names(list, f->set, &f->set->group[g], e));
    }
    return MU_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Put a copy of o, keys sorted, under key of out. o is dropped. */
static int set_sorted(json_t *out, const char *key, json_t *o, struct mu_err *e)
{
    size_t n = json_object_size(o), i = 0;
    const char **names = NULL, *name;
    json_t *sorted = json_object(), *v;
    int rc = MU_OK;

    MU_TRY(mu_results_set(out, key, sorted, e));
    MU_TRY(MU_NEW_ARRAY(&names, n, "names", e));
    json_object_foreach(o, name, v) names[i++] = name;
    qsort(names, n, sizeof *names, by_name);
    for (i = 0; i < n; i++)
        MU_TRY(mu_results_set(sorted, names[i], json_incref(json_object_get(o, names[i])), e));
out:
    mu_free(names);
    json_decref(o);
    return rc;
}

/* A task's own field, or what this run put in its place; NULL: not written. The caller's reference. */
static json_t *config_field(const struct mu_results_facts *f, const struct mu_work *w, const char *name)
{
    json_t *own = json_object_get(w->task->config, name);
    if (strcmp(name, "num_fewshot") == 0)
        return json_integer(w->num_fewshot);
    if (f->predict_only && strcmp(name, "metric_list") == 0)
        return json_pack("[{s:s}]", "metric", "bypass");
    if (strcmp(name, "generation_kwargs") == 0 && own && json_is_object(json_object_get(f->config, "gen_kwargs"))) {
        json_t *merged = json_copy(own);
        if (merged)
            json_object_update(merged, json_object_get(f->config, "gen_kwargs"));
        return merged;
    }
    return own && !json_is_null(own) ? json_incref(own) : NULL;
}

/* Fields in the order of lm_eval/config/task.py, then what else the file says. */
static int add_config(json_t *configs, const struct mu_results_facts *f, const struct mu_work *w, struct mu_err *e)
{
    static const char *const fields[] = {"task",
                                         "task_alias",
                                         "tag",
                                         "custom_dataset",
                                         "dataset_path",
                                         "dataset_name",
                                         "dataset_kwargs",
                                         "training_split",
                                         "validation_split",
                                         "test_split",
                                         "fewshot_split",
                                         "process_docs",
                                         "doc_to_text",
                                         "doc_to_target",
                                         "doc_to_image",
                                         "doc_to_audio",
                                         "unsafe_code",
                                         "doc_to_choice",
                                         "process_results",
                                         "use_prompt",
                                         "description",
                                         "target_delimiter",
                                         "fewshot_delimiter",
                                         "fewshot_config",
                                         "num_fewshot",
                                         "metric_list",
                                         "output_type",
                                         "generation_kwargs",
                                         "repeats",
                                         "filter_list",
                                         "should_decontaminate",
                                         "doc_to_decontamination_query",
                                         "gen_prefix",
                                         "metadata"};
    json_t *o = json_object(), *v;
    const char *name;

    MU_TRY_RETURN(mu_results_set(configs, w->task->name, o, e));
    for (size_t i = 0; i < MU_COUNT(fields); i++) {
        v = config_field(f, w, fields[i]);
        if (v)
            MU_TRY_RETURN(mu_results_set(o, fields[i], v, e));
    }
    json_object_foreach(w->task->config, name, v)
    {
        if (!json_is_null(v) && !json_object_get(o, name))
            MU_TRY_RETURN(mu_results_set(o, name, json_incref(v), e));
    }
    return MU_OK;
}

int mu_results_add_configs(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    int rc = MU_OK;
    for (int i = 0; i < f->set->n_tasks && rc == MU_OK; i++)
        rc = add_config(o, f, f->works[i], e);
    if (rc == MU_OK)
        return set_sorted(out, "configs", o, e);
    json_decref(o);
    return rc;
}

/* str() of a group's version, "N/A" without. */
static int group_version(const struct mu_group *g, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a version", 4096);
    int rc = MU_OK;
    if (!g->version || json_is_null(g->version))
        MU_TRY(mu_buf_puts(&text, "N/A", e));
    else
        MU_TRY(mu_py_str(&text, g->version, e));
    *out = json_stringn(text.p, text.n);
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_results_add_versions(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object(), *v;
    int rc = MU_OK;
    for (int i = 0; i < f->set->n_tasks; i++)
        MU_TRY(mu_results_set(o, f->set->task[i]->name, json_incref(f->set->task[i]->version), e));
    for (int g = 0; g < f->set->n_groups; g++) {
        if (f->set->group[g].is_tag)
            continue;
        MU_TRY(group_version(&f->set->group[g], &v, e));
        MU_TRY(mu_results_set(o, f->set->group[g].name, v, e));
    }
    return set_sorted(out, "versions", o, e);
out:
    json_decref(o);
    return rc;
}

/* What all children that have a value share, in o, goes to the group; groups in order, as the harness. */
static int propagate_shots(json_t *o, const json_t *subtasks, struct mu_err *e)
{
    const char *group;
    json_t *names;
    json_object_foreach((json_t *)(uintptr_t)subtasks, group, names)
    {
        const json_t *shared = NULL;
        bool is_same = true;
        for (size_t i = 0; i < json_array_size(names); i++) {
            const json_t *v = json_object_get(o, json_string_value(json_array_get(names, i)));
            is_same = is_same && (!v || !shared || json_equal(v, shared));
            shared = v ? v : shared;
        }
        if (shared && is_same)
            MU_TRY_RETURN(mu_results_set(o, group, json_integer(json_integer_value(shared)), e));
    }
    return MU_OK;
}

int mu_results_add_shots(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    int rc = MU_OK;
    for (int i = 0; i < f->set->n_tasks; i++)
        MU_TRY(mu_results_set(o, f->set->task[i]->name, json_integer(f->works[i]->num_fewshot), e));
    MU_TRY(propagate_shots(o, json_object_get(out, "group_subtasks"), e));
    return set_sorted(out, "n-shot", o, e);
out:
    json_decref(o);
    return rc;
}

static json_t *direction_json(int higher_is_better)
{
    return higher_is_better < 0 ? json_null() : json_boolean(higher_is_better);
}

static int task_directions(json_t *o, const struct mu_work *w, bool predict_only, struct mu_err *e)
{
    const struct mu_task *t = w->task;
    for (int i = 0; i < t->n_metrics && !predict_only; i++)
        MU_TRY_RETURN(mu_results_set(o, t->metric[i].name, direction_json(t->metric[i].higher_is_better), e));
    for (int i = 0; i < w->n_results; i++) {
        if (!json_object_get(o, w->result[i].metric))
            MU_TRY_RETURN(mu_results_set(o, w->result[i].metric, direction_json(w->result[i].higher_is_better), e));
    }
    return MU_OK;
}

/* One child's directions into its group's: null where children differ. */
static int merge_directions(json_t *into, const json_t *child, struct mu_err *e)
{
    const char *metric;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)child, metric, v)
    {
        const json_t *known = json_object_get(into, metric);
        if (!known)
            MU_TRY_RETURN(mu_results_set(into, metric, json_incref(v), e));
        else if (!json_is_null(known) && !json_equal(known, v))
            MU_TRY_RETURN(mu_results_set(into, metric, json_null(), e));
    }
    return MU_OK;
}

static int propagate_directions(json_t *o, const json_t *subtasks, struct mu_err *e)
{
    const char *group;
    json_t *names;
    json_object_foreach((json_t *)(uintptr_t)subtasks, group, names)
    {
        json_t *merged = json_object();
        int rc = merged ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "the results");
        for (size_t i = 0; rc == MU_OK && i < json_array_size(names); i++)
            rc = merge_directions(merged, json_object_get(o, json_string_value(json_array_get(names, i))), e);
        if (rc == MU_OK && json_object_size(merged) > 0)
            rc = mu_results_set(o, group, json_incref(merged), e);
        json_decref(merged);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

int mu_results_add_directions(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    int rc = MU_OK;
    for (int i = 0; i < f->set->n_tasks; i++) {
        json_t *one = json_object();
        MU_TRY(mu_results_set(o, f->set->task[i]->name, one, e));
        MU_TRY(task_directions(one, f->works[i], f->predict_only, e));
    }
    MU_TRY(propagate_directions(o, json_object_get(out, "group_subtasks"), e));
    return set_sorted(out, "higher_is_better", o, e);
out:
    json_decref(o);
    return rc;
}

int mu_results_add_sample_counts(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(out, "n-samples", o, e));
    for (int i = 0; i < f->set->n_tasks; i++) {
        const struct mu_work *w = f->works[i];
        json_t *n = json_pack("{s:I, s:I}", "original", (json_int_t)w->n_original, "effective",
                              (json_int_t)mu_results_sample_len(w));
        MU_TRY_RETURN(mu_results_set(o, w->task->name, n, e));
    }
    return MU_OK;
}
