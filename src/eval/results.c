/* results.c - the results object: tasks and groups with their values, what was evaluated, and how
 *
 * Source: lm_eval/evaluator_utils.py (EvalAcc, _collect_results, aggregate_groups, _propagate_*), lm_eval/evaluator.py
 * simple_evaluate, lm_eval/loggers/evaluation_tracker.py. Keys stand in the harness's order; "audit" and "run" follow.
 * A value that is not finite is null, where the harness writes NaN, which JSON does not have. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/results_int.h"
#include "eval/score.h"

#define KEY_BYTES 256 /* "metric_stderr,filter" */

json_t *mu_results_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* ---- one task ---- */

int64_t mu_results_sample_len(const struct mu_work *w)
{
    return w->n_results > 0 ? w->result[w->n_results - 1].n : 0;
}

/* bypass counts nothing: the harness's constant, an integer. */
static json_t *value_json(const char *metric, double v)
{
    return strcmp(metric, "bypass") == 0 ? json_integer((json_int_t)v) : mu_results_number(v);
}

static int set_value(json_t *o, const char *metric, const char *filter, double value, bool has_stderr, double stderr_,
                     struct mu_err *e)
{
    char key[KEY_BYTES];
    if (snprintf(key, sizeof key, "%s_stderr,%s", metric, filter) >= (int)sizeof key)
        return mu_fail(e, MU_ELIMIT, "metric %.100s with filter %.100s: their names have more than %d bytes together",
                       metric, filter, KEY_BYTES - 10);
    snprintf(key, sizeof key, "%s,%s", metric, filter);
    MU_TRY_RETURN(mu_results_set(o, key, value_json(metric, value), e));
    snprintf(key, sizeof key, "%s_stderr,%s", metric, filter);
    return mu_results_set(o, key, has_stderr ? mu_results_number(stderr_) : json_string("N/A"), e);
}

static int add_task(json_t *results, const struct mu_work *w, struct mu_err *e)
{
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(results, w->task->name, o, e));
    MU_TRY_RETURN(mu_results_set(o, "name", json_string(w->task->name), e));
    MU_TRY_RETURN(mu_results_set(o, "alias", json_string(w->task->alias), e));
    MU_TRY_RETURN(mu_results_set(o, "sample_len", json_integer(mu_results_sample_len(w)), e));
    for (int i = 0; i < w->n_results; i++) {
        const struct mu_metric_result *r = &w->result[i];
        MU_TRY_RETURN(set_value(o, r->metric, r->filter, r->value, r->has_stderr, r->stderr_value, e));
    }
    return MU_OK;
}

/* ---- groups ---- */

/* Documents of all leaf tasks; a task in two subgroups counts twice, as in the harness. */
static int64_t group_sample_len(const struct mu_results_facts *f, int group)
{
    const struct mu_group *g = &f->set->group[group];
    int64_t n = 0;
    for (int i = 0; i < g->n_children; i++)
        n += g->child[i] >= 0 ? mu_results_sample_len(f->works[g->child[i]]) : group_sample_len(f, -1 - g->child[i]);
    return n;
}

static int add_group_values(json_t *o, const struct mu_group_result *r, int n, struct mu_err *e)
{
    char key[KEY_BYTES];
    json_t *count;
    for (int i = 0; i < n; i++)
        MU_TRY_RETURN(set_value(o, r[i].metric, r[i].filter, r[i].value, r[i].has_stderr, r[i].stderr_value, e));
    if (n == 0)
        return MU_OK;
    count = json_object();
    MU_TRY_RETURN(mu_results_set(o, "sample_count", count, e));
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s,%s", r[i].metric, r[i].filter);
        MU_TRY_RETURN(mu_results_set(count, key, json_integer(r[i].n_counted), e));
    }
    return MU_OK;
}

static int add_group(json_t *results, const struct mu_results_facts *f, int group, struct mu_err *e)
{
    const struct mu_group *g = &f->set->group[group];
    struct mu_group_result *r = NULL;
    json_t *o = json_object();
    int n = 0, rc = MU_OK;

    MU_TRY(mu_results_set(results, g->name, o, e));
    MU_TRY(mu_results_set(o, "alias", json_string(g->alias ? g->alias : g->name), e));
    MU_TRY(mu_results_set(o, "name", json_string(g->name), e));
    if (g->n_metrics == 0)
        goto out;
    MU_TRY(mu_group_score(f->set, group, f->works, &r, &n, e));
    MU_TRY(mu_results_set(o, "sample_len", json_integer(group_sample_len(f, group)), e));
    MU_TRY(add_group_values(o, r, n, e));
out:
    mu_free(r);
    return rc;
}

static bool is_child_group(const struct mu_task_set *set, int group)
{
    for (int g = 0; g < set->n_groups; g++) {
        for (int i = 0; i < set->group[g].n_children; i++) {
            if (set->group[g].child[i] == -1 - group && !set->group[g].is_tag)
                return true;
        }
    }
    return false;
}

/* Children before their parent. A group that is there already was a child of two. */
static int add_groups_below(json_t *results, const struct mu_results_facts *f, int group, struct mu_err *e)
{
    const struct mu_group *g = &f->set->group[group];
    if (!g->is_tag && json_object_get(results, g->name))
        return MU_OK;
    for (int i = 0; i < g->n_children; i++) {
        if (g->child[i] < 0)
            MU_TRY_RETURN(add_groups_below(results, f, -1 - g->child[i], e));
    }
    return g->is_tag ? MU_OK : add_group(results, f, group, e);
}

static int add_results(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    const struct mu_task_set *set = f->set;
    json_t *results = json_object();
    MU_TRY_RETURN(mu_results_set(out, "results", results, e));
    for (int i = 0; i < set->n_tasks; i++)
        MU_TRY_RETURN(add_task(results, f->works[i], e));
    for (int g = 0; g < set->n_groups; g++) {
        if (!is_child_group(set, g))
            MU_TRY_RETURN(add_groups_below(results, f, g, e));
    }
    json_t *groups = json_object();
    for (int g = 0; g < set->n_groups; g++) {
        json_t *o = json_object_get(results, set->group[g].name);
        if (o && set->group[g].n_metrics > 0 && !set->group[g].is_tag && json_object_set(groups, set->group[g].name, o))
            return json_decref(groups), mu_fail_nomem(e, sizeof(json_t), "the results");
    }
    if (groups && json_object_size(groups) == 0)
        return json_decref(groups), MU_OK;
    return mu_results_set(out, "groups", groups, e);
}

/* ---- the rest ---- */

static int add_environment(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    static const char *const keys[] = {"tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token",
                                       "eot_token_id", "max_length"};
    MU_TRY_RETURN(mu_results_set(out, "config", f->config ? json_incref(f->config) : json_object(), e));
    MU_TRY_RETURN(mu_results_set(out, "git_hash", json_null(), e));
    MU_TRY_RETURN(mu_results_set(out, "date", json_real(f->date), e));
    MU_TRY_RETURN(mu_results_set(out, "pretty_env_info", json_string("muster " MU_VERSION), e));
    MU_TRY_RETURN(mu_results_set(out, "transformers_version", json_string("N/A"), e));
    MU_TRY_RETURN(mu_results_set(out, "lm_eval_version", json_string("N/A (muster " MU_VERSION ", after 0.4.13)"), e));
    MU_TRY_RETURN(mu_results_set(out, "upper_git_hash", json_null(), e));
    for (size_t i = 0; i < MU_COUNT(keys); i++) {
        json_t *v = json_object_get(f->tokenizer, keys[i]);
        if (v)
            MU_TRY_RETURN(mu_results_set(out, keys[i], json_incref(v), e));
    }
    return MU_OK;
}

static int add_task_hashes(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(out, "task_hashes", o, e));
    for (int i = 0; i < f->set->n_tasks; i++) {
        MU_TRY_RETURN(mu_samples_hash(f->works[i], e));
        MU_TRY_RETURN(mu_results_set(o, f->set->task[i]->name, json_string(f->works[i]->task_hash), e));
    }
    return MU_OK;
}

/* The text and its hash; null and null without one (an empty text has no hash in the harness either). */
static int set_text_and_sha(json_t *out, const char *key, const char *sha_key, const char *text, struct mu_err *e)
{
    char hex[65];
    MU_TRY_RETURN(mu_results_set(out, key, text ? json_string(text) : json_null(), e));
    if (text && text[0])
        mu_sha256_hex(mu_str(text), hex);
    return mu_results_set(out, sha_key, text && text[0] ? json_string(hex) : json_null(), e);
}

static int add_model(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    struct mu_buf name = MU_BUF_INIT("the model's name", 1 << 16);
    char seconds[32];
    int rc = MU_OK;

    MU_TRY(mu_results_set(out, "model_source", json_string("muster"), e));
    MU_TRY(mu_results_set(out, "model_name", json_string(f->model_name), e));
    MU_TRY(mu_results_folder_name(&name, f->model_name, e));
    MU_TRY(mu_results_set(out, "model_name_sanitized", json_string(name.p), e));
    MU_TRY(set_text_and_sha(out, "system_instruction", "system_instruction_sha", f->system_instruction, e));
    MU_TRY(mu_results_set(out, "fewshot_as_multiturn",
                          f->chat_template ? json_boolean(f->fewshot_as_multiturn) : json_null(), e));
    MU_TRY(set_text_and_sha(out, "chat_template", "chat_template_sha", f->chat_template, e));
    snprintf(seconds, sizeof seconds, "%.6f", f->seconds);
    MU_TRY(mu_results_set(out, "total_evaluation_time_seconds", json_string(seconds), e));
out:
    mu_buf_fini(&name);
    return rc;
}

static int fill(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    MU_TRY_RETURN(add_results(out, f, e));
    MU_TRY_RETURN(mu_results_add_group_subtasks(out, f, e));
    MU_TRY_RETURN(mu_results_add_configs(out, f, e));
    MU_TRY_RETURN(mu_results_add_versions(out, f, e));
    MU_TRY_RETURN(mu_results_add_shots(out, f, e));
    MU_TRY_RETURN(mu_results_add_directions(out, f, e));
    MU_TRY_RETURN(mu_results_add_sample_counts(out, f, e));
    MU_TRY_RETURN(add_environment(out, f, e));
    MU_TRY_RETURN(add_task_hashes(out, f, e));
    MU_TRY_RETURN(add_model(out, f, e));
    MU_TRY_RETURN(mu_results_add_audit(out, f, e));
    return mu_results_set(out, "run", f->run ? json_incref(f->run) : json_object(), e);
}

int mu_results_make(const struct mu_results_facts *f, json_t **out, struct mu_err *e)
{
    json_t *results = json_object();
    *out = NULL;
    int rc = results ? fill(results, f, e) : mu_fail_nomem(e, sizeof(json_t), "the results");
    if (rc == MU_OK)
        *out = results;
    else
        json_decref(results);
    return rc;
}
