/* task_select.c - names, globs and paths to the set of a run
 *
 * Source: lm_eval/config/evaluate_config.py process_tasks, lm_eval/tasks/manager.py load. One difference: a task that
 * several names lead to is evaluated once, where the harness refuses the run. */
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "eval/task_int.h"

static int set_open(struct mu_set_maker *k, struct mu_loader *l)
{
    *k = (struct mu_set_maker){.l = l};
    MU_TRY_RETURN(MU_NEW(&k->set, "the chosen tasks", l->e));
    MU_TRY_RETURN(MU_NEW(&k->arena, "the chosen tasks", l->e));
    *k->arena = (struct mu_arena)MU_ARENA_INIT("the chosen groups", (size_t)256 << 20);
    k->set->keep = k->arena;
    k->task_at = json_object();
    k->group_at = json_object();
    return k->task_at && k->group_at ? MU_OK : mu_fail_nomem(l->e, sizeof(void *), "the chosen tasks");
}

static void set_close(struct mu_set_maker *k)
{
    json_decref(k->task_at);
    json_decref(k->group_at);
    mu_task_set_free(k->set);
}

static int add_file(struct mu_set_maker *k, const char *path)
{
    struct mu_members f;
    MU_TRY_RETURN(mu_members_of_file(k->l, path, &f));
    return mu_set_add_members(k, &f, path, NULL, NULL, NULL);
}

static int add_files(struct mu_set_maker *k, const char *pattern)
{
    glob_t found;
    int rc = MU_OK;
    if (glob(pattern, GLOB_NOESCAPE, NULL, &found) != 0)
        return mu_fail(k->l->e, MU_ENOENT, "there is no task file %s", pattern);
    for (size_t i = 0; rc == MU_OK && i < found.gl_pathc; i++)
        rc = add_file(k, found.gl_pathv[i]);
    globfree(&found);
    return rc;
}

static int add_matches(struct mu_set_maker *k, const char *pattern)
{
    int n = mu_task_index_count(k->l->ix), n_found = 0;
    for (int i = 0; i < n; i++) {
        const char *name = mu_task_index_at(k->l->ix, i).name;
        if (fnmatch(pattern, name, FNM_NOESCAPE) != 0)
            continue;
        n_found++;
        MU_TRY_RETURN(mu_set_add_entry(k, mu_task_index_find(k->l->ix, name), NULL, NULL, NULL));
    }
    return n_found ? MU_OK : mu_fail(k->l->e, MU_ENOENT, "no task, group, tag or suite matches \"%s\"", pattern);
}

static int fail_unknown(struct mu_set_maker *k, const char *name)
{
    const char *nearest = mu_task_index_nearest(k->l->ix, name);
    if (!k->l->ix || mu_task_index_count(k->l->ix) == 0)
        return mu_fail(
            k->l->e, MU_ENOENT,
            "there is no task \"%s\": no folder holds tasks; name one with --include-path or in $MUSTER_TASKS, "
            "or give a YAML file",
            name);
    if (mu_path_is_dir(name))
        return mu_fail(k->l->e, MU_ENOENT, "%s is a folder; give it with --include-path and name tasks in it", name);
    return mu_fail(k->l->e, MU_ENOENT, "there is no task, group, tag or suite \"%s\"%s%s%s; `muster tasks` lists them",
                   name, nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
}

static int add_name(struct mu_set_maker *k, const char *name)
{
    size_t n = strlen(name);
    const struct mu_index_entry *en = mu_task_index_find(k->l->ix, name);
    if (en)
        return mu_set_add_entry(k, en, NULL, NULL, NULL);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0)
        return add_files(k, name);
    if (strchr(name, '/') && mu_path_exists(name) && !mu_path_is_dir(name))
        return add_file(k, name);
    return strpbrk(name, "*?[") ? add_matches(k, name) : fail_unknown(k, name);
}

int mu_task_index_select(const struct mu_task_index *ix, const char *const *names, int n_names,
                         struct mu_task_set **out, struct mu_err *e)
{
    struct mu_loader *l = NULL;
    struct mu_set_maker k = {.l = NULL};
    int rc;
    MU_TRY(mu_loader_open(&l, ix, false, e));
    MU_TRY(set_open(&k, l));
    for (int i = 0; i < n_names; i++)
        MU_TRY(add_name(&k, names[i]));
    if (k.set->n_tasks == 0)
        MU_TRY(n_names ? mu_fail(e, MU_EFORMAT, "no task is chosen: %s lists none", names[n_names - 1])
                       : mu_fail(e, MU_EUSAGE, "no task is chosen"));
    *out = k.set;
    k.set = NULL;
out:
    set_close(&k);
    mu_loader_close(l);
    return rc;
}

/* ---- one file ---- */

static int by_line(const void *a, const void *b)
{
    const struct mu_fault *x = a, *y = b;
    return x->line != y->line ? (x->line < y->line ? -1 : 1) : strcmp(x->field, y->field);
}

static void tell(struct mu_loader *l, const char *path,
                 void (*fault)(void *arg, int line, const char *field, const char *sentence), void *arg)
{
    char text[MU_ERR_TEXT_MAX + 300];
    if (l->n_faults)
        qsort(l->fault, (size_t)l->n_faults, sizeof *l->fault, by_line);
    for (int i = 0; i < l->n_faults; i++) {
        const struct mu_fault *f = &l->fault[i];
        if (strcmp(f->path, path) == 0) {
            fault(arg, f->line, f->field, f->sentence);
            continue;
        }
        snprintf(text, sizeof text, "%s (in %s)", f->sentence, f->path);
        fault(arg, f->line, f->field, text);
    }
}

/* Everything but reading the file itself. */
static int check(struct mu_loader *l, struct mu_members *f, const char *path)
{
    struct mu_set_maker k = {.l = NULL};
    int rc;
    if (f->n == 0)
        return MU_OK; /* told already, or nothing in it */
    MU_TRY(set_open(&k, l));
    k.names_only = true;
    MU_TRY(mu_set_add_members(&k, f, path, NULL, NULL, NULL));
out:
    set_close(&k);
    return rc;
}

int mu_task_file_check(const struct mu_task_index *ix, const char *path,
                       void (*fault)(void *arg, int line, const char *field, const char *sentence), void *arg,
                       struct mu_err *e)
{
    struct mu_loader *l = NULL;
    struct mu_members f = {NULL, 0, 0};
    int rc;
    MU_TRY(mu_loader_open(&l, ix, true, e));
    MU_TRY(mu_members_of_file(l, path, &f));
    MU_TRY(check(l, &f, path));
    tell(l, path, fault, arg);
out:
    mu_loader_close(l);
    return rc;
}

int mu_task_text_check(const char *name, struct mu_str text,
                       void (*fault)(void *arg, int line, const char *field, const char *sentence), void *arg,
                       struct mu_err *e)
{
    struct mu_loader *l = NULL;
    struct mu_members f = {NULL, 0, 0};
    int rc;
    MU_TRY(mu_loader_open(&l, NULL, true, e));
    MU_TRY(mu_members_of_text(l, text, name, &f));
    MU_TRY(check(l, &f, name));
    tell(l, name, fault, arg);
out:
    mu_loader_close(l);
    return rc;
}
