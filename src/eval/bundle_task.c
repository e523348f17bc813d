/* bundle_task.c - a task's line: its file, read as any task file, and what was built for it
 *
 * Python that made documents and prompts is no longer needed. Python that scores is replaced by built-in functions
 * where there are any; a task whose scoring stays unknown is run, but not measured (the metric "bypass"). */
#include "eval/bundle_int.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/metric/metric.h"
#include "eval/stats/aggregation.h"

/* The text must stand alone: a bundle from elsewhere reads no files here. */
static int check_alone(struct mu_bundle *b, struct mu_str text)
{
    struct mu_yaml *y = NULL;
    int rc;
    MU_TRY(mu_yaml_parse(&y, text, "task_file", b->e));
    const json_t *root = mu_yaml_root(y);
    if (!json_is_object(root) || json_object_get(root, "include"))
        rc = mu_fail(b->e, MU_EFORMAT, "task_file must be a mapping of task fields without include");
out:
    mu_yaml_free(y);
    return rc;
}

/* without scoring: its metrics and filters are the defaults. */
static int make(struct mu_bundle *b, const json_t *line, bool with_scoring, struct mu_task **out)
{
    static const char *const scoring[] = {"metric_list", "filter_list", "process_results"};
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16);
    const json_t *text = json_object_get(line, "task_file");
    const char *folder = mu_bundle_text(line, "folder");
    struct mu_members f;
    int rc;

    /* The folder's name finds built-in functions. */
    MU_TRY(mu_buf_printf(&path, b->e, "%s/task_file", folder ? folder : "."));
    MU_TRY(mu_members_of_text(b->l, (struct mu_str){json_string_value(text), json_string_length(text)}, path.p, &f));
    for (size_t i = 0; !with_scoring && i < MU_COUNT(scoring); i++)
        mu_members_drop(&f, scoring[i]);
    mu_buf_clear(&path);
    MU_TRY(mu_buf_printf(&path, b->e, "bundle %s", b->path));
    rc = mu_task_make(b->l, &f, path.p, NULL, out);
out:
    mu_buf_fini(&path);
    return rc;
}

/* What the harness makes of a task under --predict_only, here for one task of many. */
static int predict_only(struct mu_bundle *b, struct mu_task *t, const char *why)
{
    const struct mu_metric *m = mu_metric_find("bypass");
    const struct mu_aggregation *a = mu_aggregation_find("bypass");
    if (!m || !a)
        return mu_fail(b->e, MU_EINTERNAL, "the metric bypass is not there");
    memset(t->metric, 0, sizeof t->metric);
    t->metric[0] = (struct mu_task_metric){
        .name = m->name, .metric = m, .aggregation = a, .higher_is_better = m->higher_is_better};
    t->n_metrics = 1;
    if (json_object_set_new(t->config, "predict_only", json_string(why)) != 0)
        return mu_fail_nomem(b->e, strlen(why), "a task");
    return MU_OK;
}

static int make_or_predict(struct mu_bundle *b, const json_t *line, struct mu_task **out)
{
    struct mu_err why;
    int rc = make(b, line, true, out);
    if (rc != MU_EUNSUPPORTED && rc != MU_EFORMAT)
        return rc;
    why = *b->e;
    if (make(b, line, false, out) != MU_OK)
        return mu_fail(b->e, rc, "%s", why.text); /* not the scoring's fault */
    rc = predict_only(b, *out, why.text);
    if (rc != MU_OK) {
        mu_task_free(*out);
        *out = NULL;
    }
    return rc;
}

/* Results show the configuration that the harness had. What the task borrows of its own stays alive. */
static int show_config(struct mu_bundle *b, struct mu_task *t, json_t *config)
{
    json_t *shown = json_copy(config), *why = json_object_get(t->config, "predict_only");
    if (!shown || (why && json_object_set(shown, "predict_only", why) != 0)) {
        json_decref(shown);
        return mu_fail_nomem(b->e, sizeof(void *), "a task");
    }
    if (t->version == json_object_get(json_object_get(t->config, "metadata"), "version"))
        json_incref(t->version); /* its own reference from now on */
    json_t *before = t->config;
    t->config = shown;
    return mu_task_own(t, before, b->e);
}

static int read_counts(struct mu_bundle *b, const json_t *line, struct mu_work *w)
{
    int64_t n_fewshot = 0;
    MU_TRY_RETURN(mu_json_int(line, "num_fewshot", 0, 1000000, &n_fewshot, "a task", b->e));
    MU_TRY_RETURN(mu_json_int(line, "n_original", 1, INT32_MAX, &w->n_original, "a task", b->e));
    MU_TRY_RETURN(mu_json_bool(line, "multiple_inputs", &w->is_multiple_input, "a task", b->e));
    MU_TRY_RETURN(mu_json_bool(line, "multiple_targets", &w->has_multiple_targets, "a task", b->e));
    w->num_fewshot = (int)n_fewshot;
    return MU_OK;
}

static int check_line(struct mu_bundle *b, const json_t *line)
{
    const char *name = mu_bundle_text(line, "name"), *folder = mu_bundle_text(line, "folder");
    if (!name || !*name)
        return mu_fail(b->e, MU_EFORMAT, "a task needs a \"name\"");
    if (json_object_get(b->task_at, name) || json_object_get(b->group_at, name))
        return mu_fail(b->e, MU_EFORMAT, "the name %s was there before", name);
    if (!mu_bundle_text(line, "task_file") || !json_is_object(json_object_get(line, "config")))
        return mu_fail(b->e, MU_EFORMAT, "task %s needs \"task_file\", a text, and \"config\", an object", name);
    if (json_object_get(line, "folder") && !folder)
        return mu_fail(b->e, MU_EFORMAT, "\"folder\" of task %s must be a text", name);
    const json_t *text = json_object_get(line, "task_file");
    return check_alone(b, (struct mu_str){json_string_value(text), json_string_length(text)});
}

/* Room for the task and for what is built of it. */
static int make_room(struct mu_bundle *b)
{
    int n = b->set->n_tasks, cap = b->cap_tasks;
    MU_TRY_RETURN(mu_bundle_grow(&b->set->task, &cap, n, sizeof *b->set->task, "tasks", b->e));
    cap = b->cap_tasks;
    MU_TRY_RETURN(mu_bundle_grow(&b->builder, &cap, n, sizeof *b->builder, "tasks", b->e));
    b->cap_tasks = cap;
    return MU_OK;
}

static int check_name(struct mu_bundle *b, const json_t *line, const struct mu_task *t)
{
    const char *name = mu_bundle_text(line, "name");
    return strcmp(t->name, name) == 0
               ? MU_OK
               : mu_fail(b->e, MU_EFORMAT, "task %s is called \"%s\" in its task_file", name, t->name);
}

int mu_bundle_task(struct mu_bundle *b, const json_t *line)
{
    struct mu_task *t = NULL;
    int rc, n = b->set->n_tasks;

    MU_TRY(check_line(b, line));
    MU_TRY(make_room(b));
    MU_TRY(make_or_predict(b, line, &t));
    MU_TRY(check_name(b, line, t));
    MU_TRY(show_config(b, t, json_object_get(line, "config")));
    if (json_object_set_new(b->task_at, t->name, json_integer(n)) != 0)
        MU_TRY(mu_fail_nomem(b->e, strlen(t->name), "a bundle"));
    b->set->task[n] = t;
    b->set->n_tasks++;
    t = NULL; /* the set's */
    MU_TRY(mu_builder_init(&b->builder[n], b->set->task[n], NULL, b->e));
    rc = read_counts(b, line, b->builder[n].work);
out:
    mu_task_free(t);
    return rc;
}
