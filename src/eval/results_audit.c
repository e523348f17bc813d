/* results_audit.c - "audit": what a reader needs to trust or repeat the numbers, all of it the same for every run
 *
 * The caller's facts about the numerics come first; counts over tasks, documents and requests follow. */
#include "base/check.h"
#include "eval/docs/used.h"
#include "eval/results_int.h"

struct task_counts {
    int64_t n_truncated, n_hit_max_tokens, n_labels_out_of_range;
};

/* A label is a choice's number or the choice itself. */
static bool is_choice(const json_t *label, const json_t *choices)
{
    size_t n = json_array_size(choices);
    if (json_is_integer(label))
        return json_integer_value(label) >= 0 && json_integer_value(label) < (json_int_t)n;
    for (size_t i = 0; i < n && json_is_string(label); i++)
        if (json_equal(label, json_array_get(choices, i)))
            return true;
    return json_is_boolean(label);
}

/* A task's own process_results reads what it likes; without metrics nothing is read. */
static bool is_label_read(const struct mu_task *t)
{
    bool has_own = t->processor && t->processor->results;
    return !has_own && !(t->n_metrics > 0 && strcmp(t->metric[0].name, "bypass") == 0);
}

/* No label that a choice has: nothing can be right there, as in the harness. */
static bool is_label_out_of_range(const struct mu_work *w, const struct mu_work_doc *d)
{
    const json_t *gold = w->is_multiple_input ? d->text : d->target;
    if (w->task->output_type != MU_OUTPUT_MULTIPLE_CHOICE || !is_label_read(w->task))
        return false;
    size_t n = json_is_array(gold) ? json_array_size(gold) : 1;
    for (size_t i = 0; i < n; i++)
        if (is_choice(json_is_array(gold) ? json_array_get(gold, i) : gold, d->choices))
            return false;
    return true;
}

static void count_task(const struct mu_work *w, struct task_counts *c)
{
    *c = (struct task_counts){0};
    for (int i = 0; i < w->n_requests; i++) {
        c->n_truncated += w->request[i].is_truncated;
        c->n_hit_max_tokens += w->request[i].hit_max_tokens;
    }
    for (int i = 0; i < w->n_docs; i++)
        c->n_labels_out_of_range += is_label_out_of_range(w, &w->doc[i]);
}

static int set_count(json_t *o, const char *key, int64_t n, struct mu_err *e)
{
    return mu_results_set(o, key, json_integer(n), e);
}

static int add_tasks(json_t *audit, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *tasks = json_object();
    MU_TRY_RETURN(mu_results_set(audit, "tasks", tasks, e));
    for (int i = 0; i < f->set->n_tasks; i++) {
        const struct mu_work *w = f->works[i];
        struct task_counts c;
        json_t *o = json_object();
        count_task(w, &c);
        MU_TRY_RETURN(mu_results_set(tasks, w->task->name, o, e));
        MU_TRY_RETURN(set_count(o, "documents", w->n_docs, e));
        MU_TRY_RETURN(set_count(o, "requests", w->n_requests, e));
        MU_TRY_RETURN(set_count(o, "truncated", c.n_truncated, e));
        if (w->task->output_type == MU_OUTPUT_GENERATE)
            MU_TRY_RETURN(set_count(o, "ended_by_max_tokens", c.n_hit_max_tokens, e));
        if (w->task->output_type == MU_OUTPUT_MULTIPLE_CHOICE)
            MU_TRY_RETURN(set_count(o, "labels_out_of_range", c.n_labels_out_of_range, e));
    }
    return MU_OK;
}

static int64_t documents(const struct mu_results_facts *f)
{
    int64_t n = 0;
    for (int i = 0; i < f->set->n_tasks; i++)
        n += f->works[i]->n_docs;
    return n;
}

static int add_work(json_t *audit, const struct mu_results_facts *f, struct mu_err *e)
{
    const struct mu_run_audit *a = f->audit;
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(audit, "work", o, e));
    MU_TRY_RETURN(set_count(o, "documents", documents(f), e));
    MU_TRY_RETURN(set_count(o, "requests", a->n_requests, e));
    MU_TRY_RETURN(set_count(o, "unique_requests", a->n_unique, e));
    MU_TRY_RETURN(set_count(o, "tokens_naive", a->tokens_naive, e));
    MU_TRY_RETURN(set_count(o, "tokens_shared", a->tokens_shared, e));
    double ratio = a->tokens_shared > 0 ? (double)a->tokens_naive / (double)a->tokens_shared : 1;
    MU_TRY_RETURN(mu_results_set(o, "naive_over_shared", mu_results_number(ratio), e));
    MU_TRY_RETURN(set_count(o, "truncated", a->n_truncated, e));
    MU_TRY_RETURN(set_count(o, "sampled", a->n_sampled, e));
    return set_count(o, "greedy", a->n_requests - a->n_sampled, e);
}

int mu_results_add_audit(json_t *out, const struct mu_results_facts *f, struct mu_err *e)
{
    json_t *audit = json_object(), *v;
    const char *key;
    MU_TRY_RETURN(mu_results_set(out, "audit", audit, e));
    MU_TRY_RETURN(mu_results_set(audit, "muster_version", json_string(MU_VERSION), e));
    MU_TRY_RETURN(mu_results_set(audit, "reference", json_string("lm-evaluation-harness 0.4.13, world size 1"), e));
    json_object_foreach(f->audit_extra, key, v)
    {
        MU_TRY_RETURN(mu_results_set(audit, key, json_incref(v), e));
    }
    json_t *units =
        json_pack("{s:s, s:s}", "acc_norm", "code points of the choice", "acc_bytes", "UTF-8 bytes of the choice");
    MU_TRY_RETURN(mu_results_set(audit, "length_normalisation", units, e));
    MU_TRY_RETURN(add_work(audit, f, e));
    if (json_array_size(f->skipped) > 0)
        MU_TRY_RETURN(mu_results_set(audit, "skipped", json_incref(f->skipped), e));
    return add_tasks(audit, f, e);
}
