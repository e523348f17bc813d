/* orchestrate_options.c - what a task is given: the campaign's options, less what was given up for it to fit, and its
 * share of the machine (orchestrate.h) */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "sched/orchestrate_int.h"

#define PATH_BYTES ((size_t)4096)
#define TASK_BYTES ((size_t)16 << 20) /* of its options as text */

static bool says(const json_t *options, const char *name)
{
    return json_object_get(options, name) != NULL;
}

/* Threads and memory are shared out where the machine is more than one device, a device runs several tasks, or the file
 * says how much the task takes; not what the model's own options say. */
static void set_share(const struct mu_orchestration *x, int task, json_t *options)
{
    const struct mu_fleet_device *d = &x->o->devices[0];
    bool is_whole = x->o->n_devices == 1 && d->tasks_max == 1;
    char bytes[32];
    if (says(options, "endpoint"))
        return;
    if (!is_whole && !says(options, "threads"))
        json_object_set_new(options, "threads", json_integer(MU_MAX(x->o->cores / d->tasks_max, 1)));
    if ((is_whole && mu_orchestra_task(x, task)->policy.resources.memory == 0) || says(options, "max_memory"))
        return;
    snprintf(bytes, sizeof bytes, "%" PRId64, x->work[task].need.weights);
    json_object_set_new(options, "max_memory", json_string(bytes));
}

/* What it was degraded to. */
static void set_degraded(const struct mu_orchestration *x, int task, json_t *options)
{
    const struct mu_state_task *s = &x->log.state.tasks[x->work[task].number];
    if (s->batch > 0)
        json_object_set_new(options, "batch_size", json_integer(s->batch));
    if (s->is_int8)
        json_object_set_new(options, "weights", json_string("int8"));
    if (s->ranks > 0)
        json_object_del(options, "layout"); /* it was for more */
}

static int set_all(const struct mu_orchestration *x, int task, const char *folder, json_t *options, struct mu_err *e)
{
    int devices = x->work[task].need.devices;
    if (json_object_set_new(options, "output", json_string(folder)) != 0)
        return mu_fail(e, MU_EINVAL, "the output folder %s is not UTF-8, so no task can be told of it", folder);
    set_degraded(x, task, options);
    set_share(x, task, options);
    if (devices > 1)
        json_object_set_new(options, "ranks", json_integer(devices));
    return mu_orchestra_set_part(x, task, options, e);
}

int mu_orchestra_write_options(struct mu_orchestration *x, int task, struct mu_buf *path, struct mu_err *e)
{
    struct mu_buf folder = MU_BUF_INIT("a path", PATH_BYTES), text = MU_BUF_INIT("a task's options", TASK_BYTES);
    json_t *options = NULL;
    int rc = MU_OK;
    MU_TRY(mu_path_join(&folder, x->o->output, mu_orchestra_task(x, task)->id, e));
    MU_TRY(mu_path_make_folders(folder.p, e));
    MU_TRY(mu_path_join(path, folder.p, "task.json", e));
    MU_TRY(mu_campaign_task_options(x->o->campaign, task, &options, e));
    MU_TRY(set_all(x, task, folder.p, options, e));
    MU_TRY(mu_json_dump(&text, options, true, e));
    MU_TRY(mu_file_write_all(path->p, text.p, text.n, e));
out:
    json_decref(options);
    mu_buf_fini(&folder);
    mu_buf_fini(&text);
    return rc;
}
