/* task_text.c - the fields that become texts: templates compiled, Python replaced by built-in functions
 *
 * Source: lm_eval/api/task.py doc_to_text, doc_to_target, doc_to_choice and fewshot_docs. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/used.h"
#include "eval/task_int.h"
#include "tok/jinja/jinja.h"

/* ---- functions ---- */

/* Where the part of a path below the last folder "tasks" begins; the last component when there is none. */
static const char *below_tasks(const char *dir)
{
    const char *below = NULL, *last = dir;
    for (const char *p = dir; *p; p++) {
        if (p > dir && p[-1] != '/')
            continue;
        last = p;
        if (strncmp(p, "tasks/", 6) == 0)
            below = p + 6;
        else if (strcmp(p, "tasks") == 0)
            below = p + 5;
    }
    return below ? below : last;
}

/* The Python stands in the folder of the file, so a function is known by that folder, not by those above it: families
 * such as leaderboard/ifeval and llama3/instruct/mmlu_pro have functions of the same names that differ. The filter
 * classes of bbh are the same in its folders. */
static const struct mu_function *find_function(const char *dir, const char *name, enum mu_function_kind kind)
{
    char folder[256];
    const char *below = below_tasks(dir), *slash = strchr(below, '/');
    size_t n = slash ? (size_t)(slash - below) : strlen(below);
    if (n == 0 || n >= sizeof folder || (slash && kind != MU_FUNCTION_FILTER_CLASS))
        return mu_function_find(NULL, name, kind);
    memcpy(folder, below, n);
    folder[n] = 0;
    return mu_function_find(folder, name, kind);
}

int mu_task_function(struct mu_loader *l, const struct mu_source *src, int line, const char *field, const json_t *node,
                     enum mu_function_kind kind, const struct mu_function **out)
{
    const char *name = json_string_value(node);
    *out = find_function(src->dir, name, kind);
    if (*out)
        return MU_OK;
    return mu_fault(l, src, line, field, MU_EUNSUPPORTED,
                    "\"!function %s\" is Python, and muster has nothing built in that stands for it; export the task "
                    "as a bundle where lm-eval is installed (tools/export_bundle.py, docs/bundle.md), or choose a task "
                    "without Python",
                    name);
}

static int processor_put(struct mu_making *k, const struct mu_member *m, enum mu_function_kind kind,
                         const struct mu_function **slot)
{
    if (!m || !mu_member_is_function(m->src, m->value))
        return MU_OK;
    k->t->processor = k->processor;
    return mu_task_function(k->l, m->src, m->line, m->key, m->value, kind, slot);
}

/* ---- fields ---- */

void mu_template_unname(struct mu_err *why, const char *name)
{
    char *at = why->text + strlen("template ");
    size_t n = strlen(name);
    if (strncmp(why->text, "template ", strlen("template ")) == 0 && strncmp(at, name, n) == 0 &&
        strncmp(at + n, ", ", 2) == 0)
        memmove(at, at + n + 2, strlen(at + n + 2) + 1);
}

static int field_make(struct mu_making *k, const struct mu_member *m, const char *name, struct mu_field *out)
{
    const struct mu_function *f = NULL;
    struct mu_err why = MU_ERR_INIT;
    *out = (struct mu_field){.kind = MU_FIELD_NONE, .name = name};
    if (!m)
        return MU_OK;
    out->line = m->line;
    out->text = json_string_value(m->value);
    if (mu_member_is_function(m->src, m->value)) {
        out->kind = MU_FIELD_FUNCTION;
        MU_TRY_RETURN(mu_task_function(k->l, m->src, m->line, m->key, m->value, MU_FUNCTION_FIELD, &f));
        out->function = f ? f->field : NULL;
        return MU_OK;
    }
    if (!json_is_string(m->value)) {
        out->kind = MU_FIELD_VALUE;
        out->value = m->value;
        return MU_OK;
    }
    out->kind = MU_FIELD_TEXT;
    struct mu_jinja_opts opts = MU_JINJA_TASK(name);
    int rc = mu_jinja_compile(&out->tmpl, (struct mu_str){out->text, json_string_length(m->value)}, &opts, &why);
    if (rc == MU_OK)
        return MU_OK;
    mu_template_unname(&why, name);
    return mu_fault_of(k->l, m->src, m->line, m->key, rc, &why);
}

static const struct mu_member *get(const struct mu_making *k, const char *key)
{
    return mu_members_get(&k->f, mu_task_fields, key);
}

/* A field of the shots: its own, the task's when that says nothing. null: none where null_is_none, else the task's. */
static int shot_field(struct mu_making *k, const char *key, const struct mu_field *task, bool null_is_none,
                      struct mu_field *out)
{
    const struct mu_member *m = mu_members_find(&k->shot, key);
    if (!m || (json_is_null(m->value) && !null_is_none)) {
        *out = *task;
        return MU_OK;
    }
    return field_make(k, mu_members_get(&k->shot, mu_fewshot_fields, key), task->name, out);
}

static const char *text_of(const struct mu_making *k, const char *key)
{
    return json_string_value(json_object_get(k->t->config, key));
}

static const char *shot_text(const struct mu_making *k, const char *key, const char *task)
{
    const char *s = json_string_value(json_object_get(json_object_get(k->t->config, "fewshot_config"), key));
    return s ? s : task;
}

/* ---- shots ---- */

static int sampler(struct mu_making *k)
{
    const struct mu_member *m = mu_members_get(&k->shot, mu_fewshot_fields, "sampler");
    const char *name = m ? json_string_value(m->value) : "default";
    k->t->fewshot.sampler = strcmp(name, "first_n") == 0 ? MU_SAMPLER_FIRST_N : MU_SAMPLER_DEFAULT;
    if (strcmp(name, "default") == 0 || strcmp(name, "first_n") == 0)
        return MU_OK;
    return mu_fault(k->l, m->src, m->line, "fewshot_config.sampler", MU_EFORMAT,
                    "there is no sampler \"%s\"; known are \"default\" and \"first_n\"", name);
}

static int samples(struct mu_making *k)
{
    const struct mu_member *m = mu_members_get(&k->shot, mu_fewshot_fields, "samples");
    const json_t *item;
    size_t i;
    if (!m)
        return MU_OK;
    if (mu_member_is_function(m->src, m->value))
        return processor_put(k, m, MU_FUNCTION_SAMPLES, &k->processor->samples);
    json_array_foreach(m->value, i, item) if (!json_is_object(item)) return mu_fault(
        k->l, m->src, mu_yaml_item_line(m->src->y, m->value, i), "fewshot_config.samples", MU_EFORMAT,
        "a shot is a mapping of columns, item %zu is none", i);
    k->t->fewshot.samples = m->value;
    return MU_OK;
}

/* process_docs of the shots: their own, none when written as null, else the task's. */
static int shot_docs(struct mu_making *k)
{
    const struct mu_member *m = mu_members_find(&k->shot, "process_docs");
    if (!m) {
        k->processor->fewshot_docs = k->processor->docs;
        return MU_OK;
    }
    k->t->fewshot.skip_process_docs = json_is_null(m->value);
    return processor_put(k, m, MU_FUNCTION_DOCS, &k->processor->fewshot_docs);
}

static int shots(struct mu_making *k)
{
    struct mu_task *t = k->t;
    MU_TRY_RETURN(sampler(k));
    MU_TRY_RETURN(samples(k));
    MU_TRY_RETURN(shot_docs(k));
    t->fewshot.split = shot_text(k, "split", NULL);
    t->fewshot.target_delimiter = shot_text(k, "target_delimiter", t->target_delimiter);
    t->fewshot.fewshot_delimiter = shot_text(k, "fewshot_delimiter", t->fewshot_delimiter);
    MU_TRY_RETURN(shot_field(k, "doc_to_text", &t->text, false, &t->fewshot.text));
    MU_TRY_RETURN(shot_field(k, "doc_to_target", &t->target, false, &t->fewshot.target));
    MU_TRY_RETURN(shot_field(k, "doc_to_choice", &t->choice, true, &t->fewshot.choice));
    return shot_field(k, "gen_prefix", &t->gen_prefix, true, &t->fewshot.gen_prefix);
}

int mu_task_texts(struct mu_making *k)
{
    struct mu_task *t = k->t;
    k->processor = mu_arena_alloc(k->arena, sizeof *k->processor, k->l->e);
    if (!k->processor)
        return MU_ENOMEM;
    t->target_delimiter = text_of(k, "target_delimiter");
    t->fewshot_delimiter = text_of(k, "fewshot_delimiter");
    MU_TRY_RETURN(field_make(k, get(k, "doc_to_text"), "doc_to_text", &t->text));
    MU_TRY_RETURN(field_make(k, get(k, "doc_to_target"), "doc_to_target", &t->target));
    MU_TRY_RETURN(field_make(k, get(k, "doc_to_choice"), "doc_to_choice", &t->choice));
    MU_TRY_RETURN(field_make(k, get(k, "gen_prefix"), "gen_prefix", &t->gen_prefix));
    MU_TRY_RETURN(field_make(k, get(k, "description"), "description", &t->description));
    MU_TRY_RETURN(processor_put(k, get(k, "process_docs"), MU_FUNCTION_DOCS, &k->processor->docs));
    MU_TRY_RETURN(processor_put(k, get(k, "process_results"), MU_FUNCTION_RESULTS, &k->processor->results));
    return shots(k);
}
