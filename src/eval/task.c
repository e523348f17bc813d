/* task.c - what a task owns */
#include "eval/task.h"

#include "base/arena.h"
#include "base/mem.h"
#include "tok/jinja/jinja.h"

const char *mu_output_type_name(enum mu_output_type t)
{
    static const char *const names[] = {
        [MU_OUTPUT_LOGLIKELIHOOD] = "loglikelihood",
        [MU_OUTPUT_ROLLING] = "loglikelihood_rolling",
        [MU_OUTPUT_MULTIPLE_CHOICE] = "multiple_choice",
        [MU_OUTPUT_GENERATE] = "generate_until",
    };
    return names[t];
}

/* A field of the shots may be the task's own. */
static void field_free(const struct mu_field *f, const struct mu_field *own)
{
    if (!own || f->tmpl != own->tmpl)
        mu_jinja_free(f->tmpl);
}

void mu_task_free(struct mu_task *t)
{
    if (!t)
        return;
    field_free(&t->fewshot.text, &t->text);
    field_free(&t->fewshot.target, &t->target);
    field_free(&t->fewshot.choice, &t->choice);
    field_free(&t->fewshot.gen_prefix, &t->gen_prefix);
    field_free(&t->text, NULL);
    field_free(&t->target, NULL);
    field_free(&t->choice, NULL);
    field_free(&t->gen_prefix, NULL);
    field_free(&t->description, NULL);
    if (t->version != json_object_get(json_object_get(t->config, "metadata"), "version"))
        json_decref(t->version);
    json_decref(t->config);
    json_decref(t->extra);
    mu_free(t->filter);
    struct mu_arena *keep = t->keep;
    if (keep)
        mu_arena_fini(keep);
    mu_free(keep);
    mu_free(t);
}

void mu_task_set_free(struct mu_task_set *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_tasks; i++)
        mu_task_free(s->task[i]);
    for (int i = 0; i < s->n_groups; i++) {
        json_decref(s->group[i].config);
        json_decref(s->group[i].version);
    }
    mu_free(s->task);
    mu_free(s->group);
    struct mu_arena *keep = s->keep;
    if (keep)
        mu_arena_fini(keep);
    mu_free(keep);
    mu_free(s);
}
