/* campaign_world.c - see campaign_world.h */
#include "cli/campaign_world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/task_folders.h"
#include "sched/orchestrate.h"

#define NAMES_MAX  4096 /* of one suite */
#define PATH_BYTES 4096

static int find_model(void *arg, const struct mu_campaign_model *m, struct mu_err *e)
{
    (void)arg;
    if (access(m->model, R_OK) == 0)
        return MU_OK;
    return mu_fail(e, MU_ENOENT,
                   "there is no model %s: a checkpoint folder, or a .safetensors, .gguf or .packed file is needed",
                   m->model);
}

/* include_path of a suite: a text or a list of texts. */
static void list_folders(const json_t *options, struct mu_opt_list *out)
{
    const json_t *v = json_object_get(options, "include_path");
    size_t i;
    json_t *item;
    if (json_is_string(v))
        out->item[out->n++] = json_string_value(v);
    json_array_foreach(v, i, item) if (json_is_string(item) && out->n < MU_OPT_LIST_MAX) out->item[out->n++] =
        json_string_value(item);
}

static int find_suite(void *arg, const struct mu_campaign_suite *s, struct mu_err *e)
{
    struct mu_opt_list folders = {0};
    struct mu_task_index *ix = NULL;
    struct mu_task_set *set = NULL;
    const char *name[NAMES_MAX];
    char *text = NULL;
    int rc = MU_OK, n = 0;
    (void)arg;
    if (!s->tasks)
        return access(s->bundle, R_OK) == 0 ? MU_OK : mu_fail(e, MU_ENOENT, "there is no bundle %s", s->bundle);
    list_folders(s->options, &folders);
    text = mu_strdup(s->tasks);
    if (!text)
        return mu_fail_nomem(e, strlen(s->tasks), "a suite's names");
    MU_TRY(mu_task_names_cut(text, name, NAMES_MAX, &n, e));
    MU_TRY(mu_task_folders_open(&folders, false, &ix, e));
    MU_TRY(mu_task_index_select(ix, name, n, &set, e));
out:
    mu_task_set_free(set);
    mu_task_index_close(ix);
    mu_free(text);
    return rc;
}

struct mu_campaign_world mu_campaign_world_here(void)
{
    return (struct mu_campaign_world){.find_model = find_model, .find_suite = find_suite};
}

int mu_campaign_tell_faults(int rc, const char *path, const struct mu_campaign_faults *faults, struct mu_err *e)
{
    for (int i = 0; rc != MU_OK && i < faults->n; i++) {
        const struct mu_campaign_fault *f = &faults->fault[i];
        if (f->line > 0)
            fprintf(stderr, "%s, line %d: %s\n", f->path, f->line, f->sentence);
        else
            fprintf(stderr, "%s: %s\n", f->path, f->sentence);
    }
    if (rc != MU_OK && faults->n_all > 1)
        mu_fail(e, rc, "%s has %d faults: nothing was started", path, faults->n_all);
    return rc;
}

int mu_campaign_open_here(struct mu_campaign **out, const char *path, struct mu_err *e)
{
    struct mu_campaign_world world = mu_campaign_world_here();
    struct mu_campaign_faults *faults = NULL;
    MU_TRY_RETURN(MU_NEW(&faults, "the faults of a campaign", e));
    int rc = mu_campaign_tell_faults(mu_campaign_load(out, path, &world, faults, e), path, faults, e);
    mu_free(faults);
    return rc;
}

bool mu_campaign_has_begun(const char *output)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES);
    bool is_there = mu_path_join(&path, output, MU_ORCHESTRA_STORE, NULL) == MU_OK && mu_path_exists(path.p);
    mu_buf_fini(&path);
    return is_there;
}
