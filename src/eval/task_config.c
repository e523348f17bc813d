/* task_config.c - the configuration of a task as the harness shows it in results
 *
 * Source: lm_eval/config/task.py __post_init__ and to_dict, lm_eval/tasks/_factory.py: fields in the order of
 * TaskConfig, defaults filled in, nulls left out, the few-shot configuration with what it takes over from the task. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/task_int.h"

static int put(struct mu_making *k, json_t *into, const char *key, json_t *value)
{
    return json_object_set_new(into, key, value) == 0 ? MU_OK : mu_fail_nomem(k->l->e, strlen(key), "a task");
}

int mu_task_own(struct mu_task *t, json_t *v, struct mu_err *e)
{
    if (!t->extra)
        t->extra = json_array();
    if (t->extra && v)
        return json_array_append_new(t->extra, v) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(void *), "a task");
    json_decref(v);
    return mu_fail_nomem(e, sizeof(void *), "a task");
}

static const struct mu_member *get(const struct mu_making *k, const char *key)
{
    return mu_members_get(&k->f, mu_task_fields, key);
}

static const char *fewshot_delimiter(const struct mu_making *k)
{
    const struct mu_member *m = get(k, "fewshot_delimiter");
    return m ? json_string_value(m->value) : "\n\n";
}

static json_t *until_default(const struct mu_making *k)
{
    return json_pack("[s]", fewshot_delimiter(k));
}

/* A function where none can be: dataset_kwargs, generation_kwargs. */
static int refuse_functions(struct mu_making *k, const struct mu_member *m, const json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;
    if (mu_member_is_function(m->src, v))
        return mu_fault(k->l, m->src, mu_yaml_line(m->src->y, v), m->key, MU_EUNSUPPORTED,
                        "\"!function %s\" is Python, which muster does not run here", json_string_value(v));
    json_object_foreach((json_t *)(uintptr_t)v, key, child) MU_TRY_RETURN(refuse_functions(k, m, child));
    json_array_foreach((json_t *)(uintptr_t)v, i, child) MU_TRY_RETURN(refuse_functions(k, m, child));
    return MU_OK;
}

static int generation_kwargs(struct mu_making *k, json_t **out)
{
    const struct mu_member *m = get(k, "generation_kwargs");
    *out = NULL;
    if (!m && k->t->output_type != MU_OUTPUT_GENERATE)
        return MU_OK;
    if (!m) {
        *out = json_pack("{s:f, s:b, s:i, s:o}", "temperature", 0.0, "do_sample", 0, "max_gen_toks", 256, "until",
                         until_default(k));
        return *out ? MU_OK : mu_fail_nomem(k->l->e, sizeof(void *), "a task");
    }
    MU_TRY_RETURN(refuse_functions(k, m, m->value));
    json_t *own = json_copy(m->value), *heat = json_object_get(own, "temperature");
    int rc = own ? MU_OK : mu_fail_nomem(k->l->e, sizeof(void *), "a task");
    if (rc == MU_OK && json_is_number(heat))
        rc = put(k, own, "temperature", json_real(json_number_value(heat)));
    else if (rc == MU_OK && heat)
        rc = mu_fault(k->l, m->src, mu_yaml_key_line(m->src->y, m->value, "temperature"), m->key, MU_EFORMAT,
                      "temperature must be a number");
    if (rc == MU_OK && !json_object_get(own, "until"))
        rc = put(k, own, "until", until_default(k));
    if (rc == MU_OK)
        *out = own;
    else
        json_decref(own);
    return rc;
}

/* What a field of the few-shot configuration is when that says nothing. */
static const struct mu_member *inherited(const struct mu_making *k, const char *key)
{
    static const char *const from_task[] = {"process_docs", "doc_to_text",       "doc_to_choice",   "doc_to_target",
                                            "gen_prefix",   "fewshot_delimiter", "target_delimiter"};
    if (strcmp(key, "split") == 0)
        return get(k, "fewshot_split");
    for (size_t i = 0; i < MU_COUNT(from_task); i++)
        if (strcmp(key, from_task[i]) == 0)
            return get(k, key);
    return NULL;
}

static json_t *text_default(const char *key)
{
    static const struct {
        const char *key, *text;
    } texts[] = {{"sampler", "default"},
                 {"description", ""},
                 {"target_delimiter", " "},
                 {"fewshot_delimiter", "\n\n"},
                 {"output_type", "generate_until"}};
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        if (strcmp(key, texts[i].key) == 0)
            return json_string(texts[i].text);
    if (strcmp(key, "unsafe_code") == 0 || strcmp(key, "should_decontaminate") == 0)
        return json_false();
    return strcmp(key, "repeats") == 0 ? json_integer(1) : json_null();
}

static int fewshot_config(struct mu_making *k, json_t **out)
{
    *out = json_object();
    if (!*out)
        return mu_fail_nomem(k->l->e, sizeof(void *), "a task");
    for (const struct mu_field_row *row = mu_fewshot_fields; row->name; row++) {
        const struct mu_member *m = mu_members_find(&k->shot, row->name);
        if (m && !json_is_null(m->value))
            m = mu_members_get(&k->shot, mu_fewshot_fields, row->name);
        else if (!m)
            m = inherited(k, row->name);
        MU_TRY_RETURN(put(k, *out, row->name, m ? json_incref(m->value) : text_default(row->name)));
    }
    return MU_OK;
}

/* config_source as the harness adds it: which file, NULL for a task written inside a group. */
static int metadata(struct mu_making *k, json_t **out)
{
    const struct mu_member *m = mu_members_find(&k->f, "metadata");
    json_t *own = m && json_is_object(m->value) ? json_copy(m->value) : json_object();
    int rc = own ? MU_OK : mu_fail_nomem(k->l->e, sizeof(void *), "a task");
    if (rc == MU_OK && m && !json_is_object(m->value))
        rc = put(k, own, "_metadata", json_incref(m->value));
    if (rc == MU_OK && k->config_source)
        rc = put(k, own, "config_source", json_string(k->config_source));
    *out = own;
    return rc;
}

static int value_of(struct mu_making *k, const struct mu_field_row *row, json_t **out)
{
    if (strcmp(row->name, "generation_kwargs") == 0)
        return generation_kwargs(k, out);
    if (strcmp(row->name, "fewshot_config") == 0)
        return fewshot_config(k, out);
    if (strcmp(row->name, "metadata") == 0)
        return metadata(k, out);
    const struct mu_member *m = get(k, row->name);
    if (m && strcmp(row->name, "dataset_kwargs") == 0)
        MU_TRY_RETURN(refuse_functions(k, m, m->value));
    *out = m ? json_incref(m->value) : text_default(row->name);
    return *out ? MU_OK : mu_fail_nomem(k->l->e, sizeof(void *), "a task");
}

static int version(struct mu_making *k)
{
    json_t *found = json_object_get(json_object_get(k->t->config, "metadata"), "version");
    k->t->version = found ? found : json_string("Yaml");
    return k->t->version ? MU_OK : mu_fail_nomem(k->l->e, sizeof(void *), "a task");
}

int mu_task_config(struct mu_making *k)
{
    json_t *value;
    if (!(k->t->config = json_object()))
        return mu_fail_nomem(k->l->e, sizeof(void *), "a task");
    for (const struct mu_field_row *row = mu_task_fields; row->name; row++) {
        if (row->is_dropped)
            continue;
        value = NULL;
        int rc = value_of(k, row, &value);
        if (rc != MU_OK || !value || json_is_null(value)) {
            json_decref(value);
            MU_TRY_RETURN(rc);
            continue;
        }
        MU_TRY_RETURN(put(k, k->t->config, row->name, value));
    }
    if (k->t->output_type == MU_OUTPUT_GENERATE)
        k->t->generation_kwargs = json_object_get(k->t->config, "generation_kwargs");
    return version(k);
}
