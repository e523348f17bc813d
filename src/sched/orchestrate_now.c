/* orchestrate_now.c - OUTPUT/now.json: what runs where, for those who look (orchestrate.h)
 *
 * Not state: nobody who runs the campaign reads it, and one that cannot be written is done without. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "sched/orchestrate_int.h"

#define SHOW_NS    1000000000ll
#define TEXT_BYTES ((size_t)16 << 20)
#define LIST_BYTES (MU_TASK_DEVICES_MAX * 8)

static const char *list(char text[LIST_BYTES], const struct mu_hand *h)
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < h->n; i++) {
        int to = i;
        while (to + 1 < h->n && h->device[to + 1] == h->device[to] + 1)
            to++;
        n += (size_t)snprintf(text + n, LIST_BYTES - n, to > i ? "%s%d-%d" : "%s%d", i ? "," : "", h->device[i],
                              h->device[to]);
        i = to;
    }
    return text;
}

static json_t *task_json(const struct mu_orchestration *x, const struct mu_hand *h)
{
    const struct mu_work *w = &x->work[h->task];
    int64_t now = mu_now_ns(x->o->clock);
    char devices[LIST_BYTES];
    return json_pack("{s:s, s:I, s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "task", mu_orchestra_task(x, h->task)->id,
                     "worker", (json_int_t)h->worker, "devices", list(devices, h), "node", x->node[h->node].name,
                     "seconds", (double)(now - w->started_ns) * 1e-9, "done", w->done, "total", w->total, "per_s",
                     w->per_s, "alive_s", h->heard_ns ? (double)(now - h->heard_ns) * 1e-9 : -1.0);
}

static json_t *worker_json(const struct mu_orchestration *x, const struct mu_hand *h)
{
    const char *model = h->model >= 0 ? x->o->campaign->model[h->model].name : "";
    const char *state = h->is_leaving ? "draining" : !h->heard_ns ? "starting" : h->task >= 0 ? "running" : "idle";
    char devices[LIST_BYTES];
    return json_pack("{s:I, s:s, s:s, s:s, s:s}", "worker", (json_int_t)h->worker, "model", model, "devices",
                     list(devices, h), "node", x->node[h->node].name, "state", state);
}

static json_t *device_json(const struct mu_orchestration *x, int i)
{
    const struct mu_fleet_device *d = &x->fleet->devices[i];
    return json_pack("{s:i, s:s, s:I, s:I, s:i, s:b, s:b}", "device", i, "node", x->node[d->node].name, "memory",
                     (json_int_t)d->memory, "free", (json_int_t)(d->free + d->idle), "tasks", d->n_tasks, "healthy",
                     d->is_healthy, "lent", d->is_lent);
}

/* Empty where the campaign does not scale. */
static json_t *replicas_json(const struct mu_orchestration *x)
{
    json_t *out = json_array();
    for (int i = 0; i < x->o->campaign->n_models && x->o->campaign->is_scaling; i++) {
        const struct mu_model_now *m = &x->model[i];
        json_array_append_new(out, json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:s}", "model",
                                             x->o->campaign->model[i].name, "allowed", m->scale.target, "workers",
                                             m->hands, "tasks_waiting", m->ready, "requests_waiting", m->queued,
                                             "demand", m->last.demand, "capacity", m->scale.capacity, "why",
                                             mu_scale_why_text((int)m->last.why)));
    }
    return out;
}

static json_t *as_tree(const struct mu_orchestration *x)
{
    json_t *running = json_array(), *workers = json_array(), *devices = json_array();
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        if (x->hand[i].worker)
            json_array_append_new(workers, worker_json(x, &x->hand[i]));
        if (x->hand[i].worker && x->hand[i].task >= 0)
            json_array_append_new(running, task_json(x, &x->hand[i]));
    }
    for (int i = 0; i < x->fleet->n_devices; i++)
        json_array_append_new(devices, device_json(x, i));
    json_t *all = json_pack("{s:I, s:s, s:i, s:o, s:o, s:o, s:o, s:f, s:f}", "at", (json_int_t)time(NULL), "host", host,
                            "pid", (int)getpid(), "running", running, "workers", workers, "devices", devices,
                            "replicas", replicas_json(x), "gpu_hours_max", x->o->campaign->budgets.gpu_hours,
                            "walltime_max_s", x->o->campaign->budgets.walltime_s);
    json_t *share = mu_orchestra_share_json(x);
    if (share)
        json_object_set_new(all, "share", share);
    return all;
}

void mu_orchestra_show(struct mu_orchestration *x)
{
    struct mu_buf text = MU_BUF_INIT("what runs now", TEXT_BYTES), path = MU_BUF_INIT("a path", 4096);
    json_t *all = NULL;
    int64_t now = mu_now_ns(x->o->clock);
    if (x->shown_ns && now - x->shown_ns < SHOW_NS)
        return;
    x->shown_ns = now;
    all = as_tree(x);
    if (all && mu_json_dump(&text, all, false, NULL) == MU_OK &&
        mu_path_join(&path, x->o->output, MU_ORCHESTRA_NOW, NULL) == MU_OK)
        (void)mu_file_write_note(path.p, text.p, text.n, NULL);
    json_decref(all);
    mu_buf_fini(&text);
    mu_buf_fini(&path);
}

void mu_orchestra_hide(struct mu_orchestration *x)
{
    struct mu_buf path = MU_BUF_INIT("a path", 4096);
    if (mu_event_log_renew(x->log.log, NULL) != MU_OK)
        return; /* the log is another's by now, and so is what stands there */
    if (mu_path_join(&path, x->o->output, MU_ORCHESTRA_NOW, NULL) == MU_OK)
        unlink(path.p);
    mu_buf_fini(&path);
}
