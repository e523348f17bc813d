/* campaign_json.c - see campaign_json.h */
#include "cli/campaign_json.h"

#include <math.h>

#include "base/check.h"
#include "sched/scale.h"

#define SUBJECT_BYTES 400

/* What is not known is null. */
static json_t *real_or_null(double v)
{
    return v >= 0 && isfinite(v) ? json_real(v) : json_null();
}

static double seconds(int64_t ns)
{
    return (double)ns * 1e-9;
}

static json_t *each_task(const struct mu_view *v)
{
    const struct mu_state *s = &v->state;
    json_t *out = json_array();
    for (int32_t i = 0; i < s->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[i];
        json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:i, s:f, s:s, s:i}", "task", mu_state_name(s, t->name),
                                             "state", mu_task_state_name(t->state), "priority",
                                             mu_priority_name((enum mu_priority)t->priority), "attempts", t->attempts,
                                             "last_seconds", mu_view_last_s(v, t), "failure",
                                             mu_failure_name(t->failure), "skipped_requests", t->skipped));
    }
    return out;
}

static json_t *states_of(const int32_t *by_state)
{
    json_t *out = json_object();
    for (int k = 0; k < MU_TASK_STATES; k++)
        json_object_set_new(out, mu_task_state_name(k), json_integer(by_state[k]));
    return out;
}

static json_t *queue(const struct mu_view *v)
{
    json_t *out = json_object();
    for (int i = 0; i < MU_PRIORITY_N; i++)
        json_object_set_new(out, mu_priority_name((enum mu_priority)i), states_of(v->counts.by_priority[i]));
    return out;
}

static json_t *failures(const struct mu_view *v)
{
    json_t *out = json_object();
    for (int f = 0; f < MU_FAILURES; f++)
        if (v->counts.failures[f] > 0)
            json_object_set_new(out, mu_failure_name(f), json_integer(v->counts.failures[f]));
    return out;
}

static json_t *owner(const struct mu_view *v)
{
    const struct mu_owner *o = &v->owner;
    return json_pack("{s:s, s:I, s:s, s:f}", "host", o->host, "pid", (json_int_t)o->pid, "is",
                     mu_view_life_name((int)v->life), "renewed_at", seconds(o->renewed_wall_ns));
}

static json_t *running(const struct mu_view *v)
{
    json_t *out = json_array();
    for (int i = 0; i < v->n_runs; i++) {
        const struct mu_view_run *r = &v->runs[i];
        json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:o, s:o}", "task", r->name,
                                             "devices", r->devices, "node", r->node, "seconds", r->seconds, "done",
                                             r->done, "total", r->total, "per_second", r->per_s, "left_seconds",
                                             real_or_null(r->left_s), "alive_seconds", real_or_null(r->silent_s)));
    }
    return out;
}

static json_t *workers(const struct mu_now *now)
{
    json_t *out = json_array();
    for (int i = 0; i < now->n_workers; i++) {
        const struct mu_now_worker *w = &now->workers[i];
        json_array_append_new(out, json_pack("{s:I, s:s, s:s, s:s, s:s}", "worker", (json_int_t)w->worker, "model",
                                             w->model, "devices", w->devices, "node", w->node, "state", w->state));
    }
    return out;
}

static json_t *devices(const struct mu_now *now)
{
    json_t *out = json_array();
    for (int i = 0; i < now->n_devices; i++) {
        const struct mu_now_device *d = &now->devices[i];
        json_array_append_new(out,
                              json_pack("{s:I, s:s, s:f, s:f, s:I, s:b, s:b}", "device", (json_int_t)d->device, "node",
                                        d->node, "memory", d->memory, "free", d->free, "tasks", (json_int_t)d->tasks,
                                        "healthy", (int)d->is_healthy, "lent", (int)d->is_lent));
    }
    return out;
}

/* As now.json has it, else as far as the events tell. */
static json_t *replicas(const struct mu_view *v)
{
    json_t *out = json_array();
    for (int i = 0; i < v->now.n_replicas; i++) {
        const struct mu_now_replicas *r = &v->now.replicas[i];
        json_array_append_new(out, json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:s}", "model", r->model, "allowed",
                                             (json_int_t)r->allowed, "workers", (json_int_t)r->workers, "tasks_waiting",
                                             (json_int_t)r->tasks_waiting, "requests_waiting", r->requests_waiting,
                                             "demand", r->demand, "capacity", r->capacity, "why", r->why));
    }
    for (int i = 0; i < v->state.n_models && v->now.n_replicas == 0; i++) {
        const struct mu_state_model *m = &v->state.models[i];
        json_array_append_new(out, json_pack("{s:s, s:i, s:s}", "model", mu_state_name(&v->state, m->name), "allowed",
                                             m->replicas, "why", mu_scale_why_text(m->why)));
    }
    return out;
}

static json_t *events(const struct mu_view *v)
{
    json_t *out = json_array();
    char subject[SUBJECT_BYTES];
    for (int64_t i = MU_MAX(v->n_events - MU_VIEW_EVENTS, 0); i < v->n_events; i++) {
        const struct mu_view_event *ev = &v->events[i % MU_VIEW_EVENTS];
        mu_view_subject(v, ev, subject, sizeof subject);
        json_array_append_new(out, json_pack("{s:I, s:f, s:s, s:s, s:s, s:i}", "number", (json_int_t)ev->seq, "at",
                                             seconds(ev->wall_ns), "kind", mu_event_kind_words(ev->kind), "of", subject,
                                             "text", ev->text, "more", ev->more));
    }
    return out;
}

/* What `muster status --json` has had from its first day. */
static json_t *first_keys(const struct mu_view *v)
{
    const struct mu_counts *c = &v->counts;
    return json_pack("{s:s, s:i, s:i, s:f, s:o}", "campaign", mu_campaign_state_name(c->campaign), "tasks", c->tasks,
                     "left", c->left, "active_seconds", seconds(c->active_ns), "states", states_of(c->by_state));
}

static int add_rest(json_t *out, const struct mu_view *v)
{
    const struct mu_counts *c = &v->counts;
    json_t *rest = json_pack(
        "{s:f, s:I, s:f, s:o, s:f, s:f, s:o, s:o, s:I, s:i, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "at", seconds(v->wall_ns), "events", (json_int_t)c->seq, "share", v->share, "left_seconds",
        real_or_null(v->left_s), "finished_per_second", c->finished_per_s, "gpu_hours",
        (double)c->spent_ns[MU_BUDGET_DEVICE_TIME] / 3.6e12, "gpu_hours_max",
        v->now.gpu_hours_max > 0 ? json_real(v->now.gpu_hours_max) : json_null(), "failures", failures(v), "alerts",
        (json_int_t)c->alerts, "devices_out", c->devices_out, "nodes_out", c->nodes_out, "degraded",
        (json_int_t)c->degraded, "skipped_requests", (json_int_t)c->skipped_requests, "scaled", (json_int_t)c->scaled,
        "owner", owner(v), "now_age_seconds", v->now_failed.code == MU_OK ? json_real(v->now_age_s) : json_null(),
        "queue", queue(v), "running", running(v), "workers", workers(&v->now), "devices", devices(&v->now), "replicas",
        replicas(v));
    int rc = rest ? json_object_update(out, rest) : -1;
    json_decref(rest);
    if (rc == 0 && v->now.share.is_there) /* only where devices are shared */
        rc = json_object_set(out, "share", json_object_get(v->now.tree, "share"));
    return rc == 0 ? json_object_set_new(out, "last_events", events(v)) : rc;
}

json_t *mu_campaign_json(const struct mu_view *v, bool with_each)
{
    json_t *out = first_keys(v);
    int rc = out ? add_rest(out, v) : -1;
    if (rc == 0 && with_each)
        rc = json_object_set_new(out, "each", each_task(v));
    if (rc == 0)
        return out;
    json_decref(out);
    return NULL;
}
