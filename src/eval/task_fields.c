/* task_fields.c - the fields of a task file, their types, and what muster refuses
 *
 * Source: lm_eval/config/task.py TaskConfig and FewshotConfig, in that order: the configuration in results has it. */
#include <string.h>

#include "base/check.h"
#include "eval/task_int.h"

#define PYTHON                                                                                                         \
    "is Python that runs inside lm-eval; export the task as a bundle (docs/bundle.md) or choose one without it"

static const char *const no_images = "muster evaluates text only, it gives a model no images";
static const char *const no_audio = "muster evaluates text only, it gives a model no audio";
static const char *const no_promptsource =
    "prompts of promptsource are not read; write the prompt as doc_to_text, doc_to_target and doc_to_choice";

const struct mu_field_row mu_task_fields[] = {
    {"task", MU_T_TEXT, NULL, false},
    {"task_alias", MU_T_TEXT, NULL, false},
    {"tag", MU_T_TEXT | MU_T_LIST, NULL, true},
    {"task_list", MU_T_LIST, NULL, true},
    {"class", MU_T_FUNCTION | MU_T_TEXT, "a task that is a Python class " PYTHON, true},
    {"custom_dataset", MU_T_FUNCTION | MU_T_TEXT, "a data set made by Python " PYTHON, false},
    {"dataset_path", MU_T_TEXT, NULL, false},
    {"dataset_name", MU_T_TEXT, NULL, false},
    {"dataset_kwargs", MU_T_OBJECT, NULL, false},
    {"training_split", MU_T_TEXT, NULL, false},
    {"validation_split", MU_T_TEXT, NULL, false},
    {"test_split", MU_T_TEXT, NULL, false},
    {"fewshot_split", MU_T_TEXT, NULL, false},
    {"process_docs", MU_T_FUNCTION, NULL, false},
    {"doc_to_text", MU_T_TEXT | MU_T_INT | MU_T_FUNCTION, NULL, false},
    {"doc_to_target", MU_T_TEXT | MU_T_INT | MU_T_LIST | MU_T_FUNCTION, NULL, false},
    {"doc_to_image", MU_T_TEXT | MU_T_LIST | MU_T_FUNCTION, no_images, false},
    {"doc_to_audio", MU_T_TEXT | MU_T_LIST | MU_T_FUNCTION, no_audio, false},
    {"unsafe_code", MU_T_BOOL, NULL, false},
    {"doc_to_choice", MU_T_TEXT | MU_T_LIST | MU_T_OBJECT | MU_T_FUNCTION, NULL, false},
    {"process_results", MU_T_FUNCTION, NULL, false},
    {"use_prompt", MU_T_TEXT, no_promptsource, false},
    {"description", MU_T_TEXT, NULL, false},
    {"target_delimiter", MU_T_TEXT, NULL, false},
    {"fewshot_delimiter", MU_T_TEXT, NULL, false},
    {"fewshot_config", MU_T_OBJECT, NULL, false},
    {"num_fewshot", MU_T_INT, NULL, false},
    {"metric_list", MU_T_LIST, NULL, false},
    {"output_type", MU_T_TEXT, NULL, false},
    {"generation_kwargs", MU_T_OBJECT, NULL, false},
    {"repeats", MU_T_INT, NULL, false},
    {"filter_list", MU_T_LIST, NULL, false},
    {"should_decontaminate", MU_T_BOOL, NULL, false},
    {"doc_to_decontamination_query", MU_T_TEXT | MU_T_FUNCTION, NULL, false},
    {"gen_prefix", MU_T_TEXT, NULL, false},
    {"metadata", MU_T_OBJECT | MU_T_TEXT | MU_T_INT | MU_T_REAL | MU_T_LIST | MU_T_BOOL, NULL, false},
    {NULL, 0, NULL, false},
};

const struct mu_field_row mu_fewshot_fields[] = {
    {"sampler", MU_T_TEXT, NULL, false},
    {"split", MU_T_TEXT, NULL, false},
    {"process_docs", MU_T_FUNCTION, NULL, false},
    {"fewshot_indices", MU_T_LIST, NULL, false},
    {"samples", MU_T_LIST | MU_T_FUNCTION, NULL, false},
    {"doc_to_text", MU_T_TEXT | MU_T_INT | MU_T_FUNCTION, NULL, false},
    {"doc_to_choice", MU_T_TEXT | MU_T_LIST | MU_T_OBJECT | MU_T_FUNCTION, NULL, false},
    {"doc_to_target", MU_T_TEXT | MU_T_INT | MU_T_LIST | MU_T_FUNCTION, NULL, false},
    {"gen_prefix", MU_T_TEXT, NULL, false},
    {"fewshot_delimiter", MU_T_TEXT, NULL, false},
    {"target_delimiter", MU_T_TEXT, NULL, false},
    {NULL, 0, NULL, false},
};

static const struct mu_field_row *row_find(const struct mu_field_row *rows, const char *name)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return rows;
    return NULL;
}

static unsigned type_of(const struct mu_member *m)
{
    if (mu_member_is_function(m->src, m->value))
        return MU_T_FUNCTION;
    switch (json_typeof(m->value)) {
    case JSON_STRING:
        return MU_T_TEXT;
    case JSON_INTEGER:
        return MU_T_INT;
    case JSON_REAL:
        return MU_T_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return MU_T_BOOL;
    case JSON_ARRAY:
        return MU_T_LIST;
    case JSON_OBJECT:
        return MU_T_OBJECT;
    default:
        return ~0u;
    }
}

/* "a text, a list or a !function" */
static void types_text(unsigned types, char *out, size_t n)
{
    static const char *const names[] = {"a text", "a whole number", "a number",   "true or false",
                                        "a list", "a mapping",      "a !function"};
    out[0] = 0;
    for (unsigned i = 0; i < MU_COUNT(names); i++) {
        if (!(types & 1u << i))
            continue;
        unsigned rest = types >> (i + 1);
        strncat(out, out[0] ? (rest ? ", " : " or ") : "", n - strlen(out) - 1);
        strncat(out, names[i], n - strlen(out) - 1);
    }
}

static int fault_unknown(struct mu_loader *l, const struct mu_member *m, const struct mu_field_row *rows)
{
    const char *names[64];
    size_t n = 0;
    for (; rows->name && n + 1 < MU_COUNT(names); rows++)
        names[n++] = rows->name;
    names[n] = NULL;
    const char *nearest = mu_name_nearest(names, m->key);
    return mu_fault(l, m->src, m->line, m->key, MU_EFORMAT, "there is no field \"%s\"%s%s%s", m->key,
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static int check_one(struct mu_loader *l, const struct mu_member *m, const struct mu_field_row *rows)
{
    const struct mu_field_row *row = row_find(rows, m->key);
    char types[128];
    if (!row)
        return fault_unknown(l, m, rows);
    if (json_is_null(m->value))
        return MU_OK;
    if (row->refuse)
        return mu_fault(l, m->src, m->line, m->key, MU_EUNSUPPORTED, "%s", row->refuse);
    if (type_of(m) & row->types)
        return MU_OK;
    types_text(row->types, types, sizeof types);
    return mu_fault(l, m->src, m->line, m->key, MU_EFORMAT, "this must be %s", types);
}

int mu_members_check(struct mu_loader *l, const struct mu_members *f, const struct mu_field_row *rows)
{
    for (int i = 0; i < f->n; i++)
        MU_TRY_RETURN(check_one(l, &f->m[i], rows));
    return MU_OK;
}

const struct mu_member *mu_members_get(const struct mu_members *f, const struct mu_field_row *rows, const char *key)
{
    const struct mu_member *m = mu_members_find(f, key);
    if (!m || json_is_null(m->value) || !(type_of(m) & row_find(rows, key)->types))
        return NULL;
    return m;
}
