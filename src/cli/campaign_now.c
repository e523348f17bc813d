/* campaign_now.c - see campaign_now.h */
#include "cli/campaign_now.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define SECONDS_MAX 1e12
#define COUNT_MAX   1e18
#define NUMBER_MAX  ((int64_t)1 << 53)

/* ---- members that may be missing ---- */

static int get_text(const json_t *o, const char *key, const char **out, const char *where, struct mu_err *e)
{
    *out = "";
    return mu_json_has(o, key) ? mu_json_string(o, key, out, where, e) : MU_OK;
}

static int get_real(const json_t *o, const char *key, double lo, double hi, double *out, const char *where,
                    struct mu_err *e)
{
    *out = 0;
    return mu_json_has(o, key) ? mu_json_real(o, key, lo, hi, out, where, e) : MU_OK;
}

static int get_int(const json_t *o, const char *key, int64_t *out, const char *where, struct mu_err *e)
{
    *out = 0;
    return mu_json_has(o, key) ? mu_json_int(o, key, 0, NUMBER_MAX, out, where, e) : MU_OK;
}

/* ---- one object of a list ---- */

typedef int read_fn(void *item, const json_t *o, const char *where, struct mu_err *e);

static int read_task(void *item, const json_t *o, const char *where, struct mu_err *e)
{
    struct mu_now_task *t = item;
    MU_TRY_RETURN(mu_json_string(o, "task", &t->task, where, e));
    MU_TRY_RETURN(get_text(o, "devices", &t->devices, where, e));
    MU_TRY_RETURN(get_text(o, "node", &t->node, where, e));
    MU_TRY_RETURN(get_int(o, "worker", &t->worker, where, e));
    MU_TRY_RETURN(get_real(o, "seconds", 0, SECONDS_MAX, &t->seconds, where, e));
    MU_TRY_RETURN(get_real(o, "done", 0, COUNT_MAX, &t->done, where, e));
    MU_TRY_RETURN(get_real(o, "total", 0, COUNT_MAX, &t->total, where, e));
    MU_TRY_RETURN(get_real(o, "per_s", 0, COUNT_MAX, &t->per_s, where, e));
    return get_real(o, "alive_s", -1, SECONDS_MAX, &t->alive_s, where, e);
}

static int read_worker(void *item, const json_t *o, const char *where, struct mu_err *e)
{
    struct mu_now_worker *w = item;
    MU_TRY_RETURN(mu_json_int(o, "worker", 0, NUMBER_MAX, &w->worker, where, e));
    MU_TRY_RETURN(get_text(o, "model", &w->model, where, e));
    MU_TRY_RETURN(get_text(o, "devices", &w->devices, where, e));
    MU_TRY_RETURN(get_text(o, "node", &w->node, where, e));
    return get_text(o, "state", &w->state, where, e);
}

static int read_device(void *item, const json_t *o, const char *where, struct mu_err *e)
{
    struct mu_now_device *d = item;
    d->is_healthy = true;
    MU_TRY_RETURN(mu_json_int(o, "device", 0, NUMBER_MAX, &d->device, where, e));
    MU_TRY_RETURN(get_text(o, "node", &d->node, where, e));
    MU_TRY_RETURN(get_real(o, "memory", 0, COUNT_MAX, &d->memory, where, e));
    MU_TRY_RETURN(get_real(o, "free", 0, COUNT_MAX, &d->free, where, e));
    MU_TRY_RETURN(get_int(o, "tasks", &d->tasks, where, e));
    if (mu_json_has(o, "lent"))
        MU_TRY_RETURN(mu_json_bool(o, "lent", &d->is_lent, where, e));
    return mu_json_has(o, "healthy") ? mu_json_bool(o, "healthy", &d->is_healthy, where, e) : MU_OK;
}

static int read_replicas(void *item, const json_t *o, const char *where, struct mu_err *e)
{
    struct mu_now_replicas *r = item;
    MU_TRY_RETURN(mu_json_string(o, "model", &r->model, where, e));
    MU_TRY_RETURN(get_text(o, "why", &r->why, where, e));
    MU_TRY_RETURN(get_int(o, "allowed", &r->allowed, where, e));
    MU_TRY_RETURN(get_int(o, "workers", &r->workers, where, e));
    MU_TRY_RETURN(get_int(o, "tasks_waiting", &r->tasks_waiting, where, e));
    MU_TRY_RETURN(get_real(o, "requests_waiting", 0, COUNT_MAX, &r->requests_waiting, where, e));
    MU_TRY_RETURN(get_real(o, "demand", 0, COUNT_MAX, &r->demand, where, e));
    return get_real(o, "capacity", 0, COUNT_MAX, &r->capacity, where, e);
}

/* *items: as many of `size` bytes as the list holds. A list that is not there is empty. */
static int read_list(const json_t *all, const char *key, void *items, size_t size, int most, int *n, read_fn *read,
                     const char *where, struct mu_err *e)
{
    json_t *list = NULL;
    char *item = NULL;
    if (!mu_json_has(all, key))
        return MU_OK;
    MU_TRY_RETURN(mu_json_array(all, key, &list, where, e));
    if (json_array_size(list) > (size_t)most)
        return mu_fail(e, MU_ELIMIT, "%s: \"%s\" has %zu entries, at most %d are read", where, key,
                       json_array_size(list), most);
    MU_TRY_RETURN(mu_new_array(&item, json_array_size(list), size, key, e));
    *(void **)items = item;
    for (; *n < (int)json_array_size(list); ++*n) {
        const json_t *o = json_array_get(list, (size_t)*n);
        if (!json_is_object(o))
            return mu_fail(e, MU_EFORMAT, "%s: entry %d of \"%s\" is no object", where, *n, key);
        MU_TRY_RETURN(read(item + (size_t)*n * size, o, where, e));
    }
    return MU_OK;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mu_now_task *)a)->task, ((const struct mu_now_task *)b)->task);
}

static int read_share(struct mu_now_share *s, const json_t *all, const char *where, struct mu_err *e)
{
    const json_t *o = json_object_get(all, "share"), *others;
    if (!json_is_object(o))
        return MU_OK;
    MU_TRY_RETURN(get_int(o, "devices", &s->devices, where, e));
    MU_TRY_RETURN(get_int(o, "mine", &s->mine, where, e));
    s->is_lost = json_is_true(json_object_get(o, "is_lost"));
    others = json_object_get(o, "others");
    s->others = json_is_array(others) ? others : NULL;
    s->is_there = true;
    return MU_OK;
}

static int read_all(struct mu_now *n, const char *where, struct mu_err *e)
{
    const json_t *o = n->tree;
    if (!json_is_object(o))
        return mu_fail(e, MU_EFORMAT, "%s is no JSON object", where);
    MU_TRY_RETURN(get_text(o, "host", &n->host, where, e));
    MU_TRY_RETURN(get_int(o, "pid", &n->pid, where, e));
    MU_TRY_RETURN(get_real(o, "gpu_hours_max", 0, COUNT_MAX, &n->gpu_hours_max, where, e));
    MU_TRY_RETURN(get_real(o, "walltime_max_s", 0, SECONDS_MAX, &n->walltime_max_s, where, e));
    MU_TRY_RETURN(read_list(o, "running", &n->running, sizeof *n->running, MU_NOW_RUNNING_MAX, &n->n_running, read_task,
                            where, e));
    MU_TRY_RETURN(read_list(o, "workers", &n->workers, sizeof *n->workers, MU_NOW_WORKERS_MAX, &n->n_workers,
                            read_worker, where, e));
    MU_TRY_RETURN(read_list(o, "devices", &n->devices, sizeof *n->devices, MU_NOW_DEVICES_MAX, &n->n_devices,
                            read_device, where, e));
    MU_TRY_RETURN(read_share(&n->share, o, where, e));
    MU_TRY_RETURN(read_list(o, "replicas", &n->replicas, sizeof *n->replicas, MU_NOW_MODELS_MAX, &n->n_replicas,
                            read_replicas, where, e));
    if (n->n_running > 1)
        qsort(n->running, (size_t)n->n_running, sizeof *n->running, by_name);
    return mu_json_real(o, "at", 1, SECONDS_MAX, &n->at, where, e);
}

int mu_now_parse(struct mu_now *out, struct mu_str text, const char *where, struct mu_err *e)
{
    int rc = MU_OK;
    *out = (struct mu_now){0};
    MU_TRY(mu_json_parse(&out->tree, text, where, e));
    MU_TRY(read_all(out, where, e));
    return MU_OK;
out:
    mu_now_fini(out);
    return rc;
}

int mu_now_load(struct mu_now *out, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("what runs now", MU_NOW_BYTES_MAX);
    int rc = MU_OK;
    *out = (struct mu_now){0};
    MU_TRY(mu_file_read_all(&text, path, e));
    MU_TRY(mu_now_parse(out, mu_buf_str(&text), path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

void mu_now_fini(struct mu_now *now)
{
    mu_free(now->running);
    mu_free(now->workers);
    mu_free(now->devices);
    mu_free(now->replicas);
    json_decref(now->tree);
    *now = (struct mu_now){0};
}

__attribute__((format(printf, 4, 5))) static size_t add_text(char *out, size_t bytes, size_t n, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int more = n < bytes ? vsnprintf(out + n, bytes - n, fmt, args) : 0;
    va_end(args);
    return MU_MIN(n + (size_t)MU_MAX(more, 0), bytes);
}

void mu_now_share_text(const struct mu_now *now, char *out, size_t bytes)
{
    const struct mu_now_share *s = &now->share;
    size_t n = 0, i;
    const json_t *o;
    out[0] = '\0';
    if (!s->is_there)
        return;
    n = add_text(out, bytes, n, "devices: %lld of %lld", (long long)s->mine, (long long)s->devices);
    json_array_foreach((json_t *)(uintptr_t)s->others, i, o)
    {
        const char *name = json_string_value(json_object_get(o, "campaign"));
        n = add_text(out, bytes, n, "%s%s %lld", i ? ", " : " (others: ", name ? name : "?",
                     (long long)json_integer_value(json_object_get(o, "devices")));
    }
    n = add_text(out, bytes, n, "%s", json_array_size(s->others) > 0 ? ")" : "");
    (void)add_text(out, bytes, n, "%s", s->is_lost ? "; the others cannot be asked for now" : "");
}

const struct mu_now_task *mu_now_find(const struct mu_now *now, const char *task)
{
    const struct mu_now_task wanted = {.task = task};
    return now->n_running > 0 ? bsearch(&wanted, now->running, (size_t)now->n_running, sizeof *now->running, by_name)
                              : NULL;
}
