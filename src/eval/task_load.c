/* task_load.c - merged members to a task
 *
 * Source: lm_eval/tasks/_factory.py, lm_eval/api/task.py ConfigurableTask.__init__. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/used.h"
#include "eval/task_int.h"
#include "eval/work.h"

static const struct mu_member *get(const struct mu_making *k, const char *key)
{
    return mu_members_get(&k->f, mu_task_fields, key);
}

/* The member itself, or where a fault about its absence is told. */
static const struct mu_member *place_of(const struct mu_making *k, const char *key)
{
    const struct mu_member *m = mu_members_find(&k->f, key);
    return m ? m : &k->f.m[0];
}

static int fault_missing(struct mu_making *k, const char *key, const char *sentence)
{
    const struct mu_member *at = place_of(k, "task");
    return mu_fault(k->l, at->src, at->line, key, MU_EFORMAT, "%s", sentence);
}

static int output_type(struct mu_making *k)
{
    const struct mu_member *m = get(k, "output_type");
    k->t->output_type = MU_OUTPUT_GENERATE;
    if (!m)
        return MU_OK;
    for (int i = MU_OUTPUT_LOGLIKELIHOOD; i <= MU_OUTPUT_GENERATE; i++)
        if (strcmp(json_string_value(m->value), mu_output_type_name((enum mu_output_type)i)) == 0) {
            k->t->output_type = (enum mu_output_type)i;
            return MU_OK;
        }
    return mu_fault(k->l, m->src, m->line, m->key, MU_EFORMAT,
                    "there is no output type \"%s\"; known are loglikelihood, loglikelihood_rolling, multiple_choice "
                    "and generate_until",
                    json_string_value(m->value));
}

/* A whole number in [lo, hi]; dflt when the file says nothing. */
static int whole(struct mu_making *k, const char *key, int lo, int hi, int dflt, int *out)
{
    const struct mu_member *m = get(k, key);
    *out = dflt;
    if (!m)
        return MU_OK;
    json_int_t v = json_integer_value(m->value);
    if (v >= lo && v <= hi) {
        *out = (int)v;
        return MU_OK;
    }
    return mu_fault(k->l, m->src, m->line, key, MU_EFORMAT, "%" JSON_INTEGER_FORMAT " is not in %d..%d", v, lo, hi);
}

static const char *text_of(const struct mu_making *k, const char *key)
{
    return json_string_value(json_object_get(k->t->config, key));
}

static int identity(struct mu_making *k, const char *path)
{
    struct mu_task *t = k->t;
    t->path = mu_arena_strdup(k->arena, mu_str(path), k->l->e);
    t->name = mu_arena_strdup(k->arena, mu_str(get(k, "task") ? text_of(k, "task") : ""), k->l->e);
    if (!t->path || !t->name)
        return MU_ENOMEM;
    t->alias = get(k, "task_alias") ? text_of(k, "task_alias") : t->name;
    t->dataset_path = text_of(k, "dataset_path");
    t->dataset_name = text_of(k, "dataset_name");
    t->training_split = text_of(k, "training_split");
    t->validation_split = text_of(k, "validation_split");
    t->test_split = text_of(k, "test_split");
    t->unsafe_code = json_is_true(json_object_get(t->config, "unsafe_code"));
    MU_TRY_RETURN(whole(k, "num_fewshot", 0, 1000000, -1, &t->num_fewshot));
    return whole(k, "repeats", 1, MU_WORK_REPEATS_MAX, 1, &t->repeats);
}

/* What a task cannot do without. A file that only others include lacks its name, and may lack anything. */
static int complete(struct mu_making *k)
{
    struct mu_task *t = k->t;
    if (!t->name[0])
        return MU_OK;
    const struct mu_member *path = mu_members_find(&k->f, "dataset_path");
    if ((!path || json_is_null(path->value)) && !mu_members_find(&k->f, "custom_dataset"))
        MU_TRY_RETURN(fault_missing(k, "dataset_path", "the task does not say where its documents are"));
    if (!t->test_split && !t->validation_split)
        MU_TRY_RETURN(fault_missing(k, "test_split", "the task names neither a test_split nor a validation_split"));
    if (t->output_type == MU_OUTPUT_MULTIPLE_CHOICE && !mu_members_find(&k->f, "doc_to_choice"))
        MU_TRY_RETURN(fault_missing(k, "doc_to_choice", "a multiple_choice task needs doc_to_choice"));
    return MU_OK;
}

static int shots_of(struct mu_making *k)
{
    const struct mu_member *m = get(k, "fewshot_config");
    if (!m)
        return MU_OK;
    MU_TRY_RETURN(mu_members_of_object(k->l, m->src, m->value, &k->shot));
    return mu_members_check(k->l, &k->shot, mu_fewshot_fields);
}

static int make(struct mu_making *k, const char *path)
{
    mu_members_drop(&k->f, "group"); /* from a member of a group that names the group it is in */
    MU_TRY_RETURN(MU_NEW(&k->arena, "a task", k->l->e));
    *k->arena = (struct mu_arena)MU_ARENA_INIT("the texts of a task", (size_t)16 << 20);
    k->t->keep = k->arena;
    MU_TRY_RETURN(mu_members_check(k->l, &k->f, mu_task_fields));
    MU_TRY_RETURN(shots_of(k));
    MU_TRY_RETURN(output_type(k));
    MU_TRY_RETURN(mu_task_config(k));
    MU_TRY_RETURN(identity(k, path));
    MU_TRY_RETURN(mu_task_texts(k));
    MU_TRY_RETURN(mu_task_metrics(k));
    MU_TRY_RETURN(mu_task_filters(k));
    return complete(k);
}

int mu_task_make(struct mu_loader *l, const struct mu_members *f, const char *path, const char *config_source,
                 struct mu_task **out)
{
    struct mu_making k = {.l = l, .config_source = config_source};
    int rc;
    *out = NULL;
    if (f->n == 0)
        return mu_fail(l->e, MU_EFORMAT, "%s: the file says nothing", path);
    MU_TRY_RETURN(mu_members_merge(l, &k.f, f));
    MU_TRY(MU_NEW(&k.t, "a task", l->e));
    MU_TRY(make(&k, path));
    *out = k.t;
    k.t = NULL;
out:
    mu_task_free(k.t);
    return rc;
}
