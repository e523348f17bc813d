/* fleet.c - see fleet.h */
#include "sched/fleet.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/fleet_int.h"

/* ---- open ---- */

static int check_device(const struct mu_fleet_device *d, int i, int node, struct mu_err *e)
{
    if (d->node != node && d->node != node + 1)
        return mu_fail(e, MU_EINVAL, "device %d is of node %d after one of node %d: nodes count up from 0", i, d->node,
                       node);
    if (d->tasks_max < 1 || d->tasks_max > MU_DEVICE_TASKS_MAX)
        return mu_fail(e, MU_EINVAL, "device %d takes %d tasks at a time: from 1 to %d go", i, d->tasks_max,
                       MU_DEVICE_TASKS_MAX);
    if (d->memory < 0 || !(d->speed >= 1e-6) || !(d->speed <= 1e6))
        return mu_fail(e, MU_EINVAL, "device %d has %lld bytes and speed %g: bytes from 0, speeds from 1e-6 to 1e6 go",
                       i, (long long)d->memory, d->speed);
    return MU_OK;
}

static int check_devices(const struct mu_fleet_device *d, int n, int n_models, struct mu_err *e)
{
    int node = -1, in_node = 0;
    if (n < 1 || n > MU_FLEET_DEVICES_MAX)
        return mu_fail(e, MU_ELIMIT, "%d devices: from 1 to %d go", n, MU_FLEET_DEVICES_MAX);
    if (n_models < 0 || n_models > MU_FLEET_MODELS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d models: from 0 to %d go", n_models, MU_FLEET_MODELS_MAX);
    for (int i = 0; i < n; i++) {
        MU_TRY_RETURN(check_device(&d[i], i, node, e));
        in_node = d[i].node == node ? in_node + 1 : 1;
        node = d[i].node;
        if (in_node > MU_FLEET_NODE_MAX)
            return mu_fail(e, MU_ELIMIT, "node %d has more than %d devices", node, MU_FLEET_NODE_MAX);
    }
    return MU_OK;
}

static void fill(struct mu_fleet *f, const struct mu_fleet_device *devices)
{
    int n_copies = f->n_devices * MU_DEVICE_COPIES_MAX;
    for (int i = 0; i < f->n_devices; i++) {
        struct mu_fleet_device *d = &f->devices[i];
        *d = (struct mu_fleet_device){.node = devices[i].node,
                                      .tasks_max = devices[i].tasks_max,
                                      .memory = devices[i].memory,
                                      .speed = devices[i].speed,
                                      .is_healthy = true,
                                      .free = devices[i].memory,
                                      .reserved_s = INFINITY};
        if (i == 0 || d->node != devices[i - 1].node)
            f->node_first[d->node] = i;
        if (d->memory < f->devices[f->least_memory_of].memory)
            f->least_memory_of = i;
    }
    f->node_first[f->n_nodes] = f->n_devices;
    for (int i = 0; i < f->n_models; i++) {
        f->model_copies[i] = f->model_all[i] = -1;
        f->model_most[i] = INT_MAX;
    }
    for (int i = 0; i < n_copies; i++)
        f->copies[i] = (struct mu_copy){.model = -1, .next = i + 1 < n_copies ? i + 1 : -1};
    for (int i = 0; i < f->running_max; i++)
        f->running[i] = (struct mu_running){.next = i + 1 < f->running_max ? i + 1 : -1};
    for (int i = 0; i < f->n_nodes; i++)
        f->largest_node = MU_MAX(f->largest_node, f->node_first[i + 1] - f->node_first[i]);
    for (int i = 0; i < 2 * f->n_leaves; i++)
        f->room[i] = -1;
    for (int i = 0; i < f->n_devices; i++)
        index_update(f, i);
    f->cursor = f->n_devices - 1;
    f->n_healthy = f->n_devices;
}

int mu_fleet_open(struct mu_fleet **out, const struct mu_fleet_device *devices, int n, int n_models, struct mu_err *e)
{
    struct mu_fleet *f = NULL;
    int rc;
    *out = NULL;
    MU_TRY_RETURN(check_devices(devices, n, n_models, e));
    MU_TRY(MU_NEW(&f, "a fleet", e));
    f->closes_s = INFINITY;
    f->n_devices = n, f->n_models = n_models, f->n_nodes = devices[n - 1].node + 1;
    for (int i = 0; i < n; i++)
        f->running_max += devices[i].tasks_max;
    for (f->n_leaves = 1; f->n_leaves < n;)
        f->n_leaves *= 2;
    MU_TRY(MU_NEW_ARRAY(&f->devices, n, "a fleet's devices", e));
    MU_TRY(MU_NEW_ARRAY(&f->node_first, f->n_nodes + 1, "a fleet's nodes", e));
    MU_TRY(MU_NEW_ARRAY(&f->open, (n + 63) / 64, "a fleet's devices", e));
    MU_TRY(MU_NEW_ARRAY(&f->room, 2 * f->n_leaves, "a fleet's devices", e));
    MU_TRY(MU_NEW_ARRAY(&f->copies, n * MU_DEVICE_COPIES_MAX, "a fleet's copies", e));
    MU_TRY(MU_NEW_ARRAY(&f->model_copies, n_models, "a fleet's models", e));
    MU_TRY(MU_NEW_ARRAY(&f->model_all, n_models, "a fleet's models", e));
    MU_TRY(MU_NEW_ARRAY(&f->model_most, n_models, "a fleet's models", e));
    MU_TRY(MU_NEW_ARRAY(&f->running, f->running_max, "a fleet's tasks", e));
    MU_TRY(MU_NEW_ARRAY(&f->touched, f->running_max, "a fleet's tasks", e));
    fill(f, devices);
    *out = f;
    return MU_OK;
out:
    mu_fleet_free(f);
    return rc;
}

void mu_fleet_free(struct mu_fleet *f)
{
    if (!f)
        return;
    mu_free(f->devices);
    mu_free(f->node_first);
    mu_free(f->open);
    mu_free(f->room);
    mu_free(f->copies);
    mu_free(f->model_copies);
    mu_free(f->model_all);
    mu_free(f->model_most);
    mu_free(f->running);
    mu_free(f->touched);
    mu_free(f);
}

/* ---- rates ---- */

double mu_fleet_done(const struct mu_fleet *f, int run, double now_s)
{
    const struct mu_running *r = &f->running[run];
    return r->done_s + r->rate * MU_MAX(now_s - r->at_s, 0);
}

double mu_fleet_load(const struct mu_fleet *f, int device, double now_s)
{
    const struct mu_fleet_device *d = &f->devices[device];
    double sum = 0;
    for (int i = 0; i < d->n_tasks; i++)
        sum += MU_MAX(d->ends_s[i] - now_s, 0);
    return d->n_tasks > 0 ? sum / d->n_tasks : 0;
}

static void touch(struct mu_fleet *f, int run)
{
    if (!f->running[run].is_touched)
        f->touched[f->n_touched++] = run;
    f->running[run].is_touched = true;
}

bool mu_fleet_next_touched(struct mu_fleet *f, int *run)
{
    if (f->n_touched == 0)
        return false;
    *run = f->touched[--f->n_touched];
    f->running[*run].is_touched = false;
    return true;
}

static void untouch(struct mu_fleet *f, int run)
{
    for (int i = 0; f->running[run].is_touched && i < f->n_touched; i++) {
        if (f->touched[i] == run) {
            f->touched[i] = f->touched[--f->n_touched];
            f->running[run].is_touched = false;
        }
    }
}

static void write_end(struct mu_fleet *f, int run, double ends_s)
{
    const struct mu_running *r = &f->running[run];
    for (int i = 0; i < r->n; i++) {
        struct mu_fleet_device *d = &f->devices[r->device[i]];
        for (int k = 0; k < d->n_tasks; k++)
            if (d->tasks[k] == run)
                d->ends_s[k] = ends_s;
    }
}

/* The tasks of a device have become more or fewer: count what this one did so far, then go on at the new rate. */
static void set_rate(struct mu_fleet *f, int run, double now_s)
{
    struct mu_running *r = &f->running[run];
    double rate = INFINITY;
    r->done_s = mu_fleet_done(f, run, now_s);
    r->at_s = MU_MAX(r->at_s, now_s);
    for (int i = 0; i < r->n; i++) {
        const struct mu_fleet_device *d = &f->devices[r->device[i]];
        rate = MU_MIN(rate, d->speed / MU_MAX(d->n_tasks, 1));
    }
    r->rate = rate;
    write_end(f, run, r->at_s + MU_MAX(r->work_s - r->done_s, 0) / rate);
    touch(f, run);
}

static void set_rates(struct mu_fleet *f, const int *devices, int n, double now_s)
{
    for (int i = 0; i < n; i++) {
        const struct mu_fleet_device *d = &f->devices[devices[i]];
        for (int k = 0; k < d->n_tasks; k++)
            set_rate(f, d->tasks[k], now_s);
    }
}

void mu_fleet_progress(struct mu_fleet *f, int run, double left_s, double now_s)
{
    struct mu_running *r = &f->running[run];
    r->work_s = mu_fleet_done(f, run, now_s) + MU_MAX(left_s, 0);
    r->need.is_guess = false;
    set_rate(f, run, now_s);
}

void mu_fleet_loaded(struct mu_fleet *f, int run)
{
    f->running[run].load_s = 0;
}

/* ---- start and end ---- */

double mu_fleet_copy_rest(const struct mu_fleet *f, int copy, double now_s)
{
    int loader = f->copies[copy].loader;
    return loader < 0 ? 0 : MU_MAX(f->running[loader].load_s - mu_fleet_done(f, loader, now_s), 0);
}

/* The task that loads a copy leaves: one that waits for it goes on with that, else what is half there is dropped. */
static void leave_copy(struct mu_fleet *f, int run, double now_s)
{
    int copy = f->running[run].copy;
    struct mu_copy *c = &f->copies[copy];
    bool is_loaded = mu_fleet_copy_rest(f, copy, now_s) <= 0;
    copy_leave(f, copy, now_s);
    if (c->loader != run)
        return;
    c->loader = -1;
    const struct mu_fleet_device *d = &f->devices[c->device[0]];
    for (int i = 0; i < d->n_tasks && !is_loaded; i++)
        if (f->running[d->tasks[i]].copy == copy)
            c->loader = d->tasks[i];
    if (!is_loaded && c->users == 0)
        copy_drop(f, copy);
}

static bool has_device(const struct mu_copy *c, int device)
{
    for (int i = 0; i < c->n; i++)
        if (c->device[i] == device)
            return true;
    return false;
}

static bool is_copy_for(const struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s)
{
    if (s->copy < 0)
        return true;
    const struct mu_copy *c = &f->copies[s->copy];
    if (c->model != n->model || c->n != s->n)
        return false;
    for (int i = 0; i < s->n; i++)
        if (!has_device(c, s->device[i]))
            return false;
    return true;
}

int64_t fleet_room(const struct mu_fleet *f, const struct mu_fleet_device *d, int copy)
{
    bool is_idle = copy >= 0 && f->copies[copy].users == 0;
    return d->free + d->idle - (is_idle ? f->copies[copy].weights : 0);
}

bool fleet_has_place(const struct mu_fleet *f, const struct mu_fleet_device *d)
{
    for (int i = 0; i < d->n_copies && d->n_copies == MU_DEVICE_COPIES_MAX; i++)
        if (f->copies[d->copies[i]].users == 0)
            return true;
    return d->n_copies < MU_DEVICE_COPIES_MAX;
}

static bool is_rising(const struct mu_fleet *f, const struct mu_seats *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->device[i] <= (i > 0 ? s->device[i - 1] : -1) || s->device[i] >= f->n_devices)
            return false;
    return true;
}

static int check_seats(const struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s, struct mu_err *e)
{
    int64_t bytes = n->work + (s->copy < 0 ? n->weights : 0);
    if (s->n != n->devices || s->n < 1 || s->n > MU_TASK_DEVICES_MAX || n->model >= f->n_models || !is_rising(f, s) ||
        !is_copy_for(f, n, s))
        return mu_fail(e, MU_EINVAL, "%d devices and copy %d for a task of model %d on %d devices", s->n, s->copy,
                       n->model, n->devices);
    for (int i = 0; i < s->n; i++) {
        const struct mu_fleet_device *d = &f->devices[s->device[i]];
        if (!mu_fleet_is_there(d) || d->n_tasks >= d->tasks_max)
            return mu_fail(e, MU_EINVAL, "device %d %s", s->device[i],
                           !d->is_healthy ? "is not healthy"
                           : d->is_lent   ? "is lent"
                                          : "has all the tasks it may have");
        if (fleet_room(f, d, s->copy) < bytes || (s->copy < 0 && n->model >= 0 && !fleet_has_place(f, d)))
            return mu_fail(e, MU_EINVAL, "device %d has room for %lld bytes, not for %lld", s->device[i],
                           (long long)fleet_room(f, d, s->copy), (long long)bytes);
    }
    return MU_OK;
}

/* The copy it uses, -1 for a task without; memory for its work is taken. */
static int take_memory(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s)
{
    bool loads = s->copy < 0 && n->model >= 0;
    int64_t bytes = n->work + (s->copy < 0 ? n->weights : 0);
    int copy = s->copy;
    if (copy >= 0)
        copy_use(f, copy);
    for (int i = 0; i < s->n; i++)
        copy_make_room(f, s->device[i], bytes, loads);
    if (loads)
        copy = copy_add(f, n, s);
    for (int i = 0; i < s->n; i++)
        f->devices[s->device[i]].free -= n->work + (n->model < 0 ? n->weights : 0); /* start() updates the index */
    return copy;
}

int mu_fleet_start(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s, uint64_t tag, double now_s,
                   int *run, struct mu_err *e)
{
    MU_TRY_RETURN(check_seats(f, n, s, e));
    *run = f->free_running;
    struct mu_running *r = &f->running[*run];
    f->free_running = r->next;
    *r = (struct mu_running){.need = *n, .tag = tag, .n = s->n, .at_s = now_s, .next = -1};
    r->load_s = s->copy < 0 ? n->load_s : mu_fleet_copy_rest(f, s->copy, now_s);
    r->work_s = n->run_s + r->load_s;
    r->copy = take_memory(f, n, s);
    if (r->copy >= 0 && s->copy < 0)
        f->copies[r->copy].loader = *run;
    for (int i = 0; i < s->n; i++) {
        struct mu_fleet_device *d = &f->devices[s->device[i]];
        r->device[i] = s->device[i];
        d->tasks[d->n_tasks++] = *run;
        index_update(f, s->device[i]);
    }
    f->n_running++;
    f->cursor = s->device[s->n - 1];
    set_rates(f, s->device, s->n, now_s);
    return MU_OK;
}

static void leave_device(struct mu_fleet *f, int device, int run)
{
    struct mu_fleet_device *d = &f->devices[device];
    const struct mu_need *n = &f->running[run].need;
    for (int i = 0; i < d->n_tasks; i++) {
        if (d->tasks[i] == run) {
            d->n_tasks--;
            d->tasks[i] = d->tasks[d->n_tasks];
            d->ends_s[i] = d->ends_s[d->n_tasks];
            break;
        }
    }
    d->free += n->work + (n->model < 0 ? n->weights : 0);
    index_update(f, device);
}

void mu_fleet_end(struct mu_fleet *f, int run, double now_s)
{
    struct mu_running *r = &f->running[run];
    for (int i = 0; i < r->n; i++)
        leave_device(f, r->device[i], run);
    if (r->copy >= 0)
        leave_copy(f, run, now_s);
    untouch(f, run);
    set_rates(f, r->device, r->n, now_s);
    r->n = 0;
    r->next = f->free_running;
    f->free_running = run;
    f->n_running--;
}

int mu_fleet_set_healthy(struct mu_fleet *f, int device, bool is_healthy, double now_s, struct mu_err *e)
{
    struct mu_fleet_device *d = &f->devices[device];
    (void)now_s;
    if (!is_healthy && d->n_tasks > 0)
        return mu_fail(e, MU_EINVAL, "device %d still runs %d tasks: end them first", device, d->n_tasks);
    while (!is_healthy && d->n_copies > 0)
        copy_drop(f, d->copies[d->n_copies - 1]);
    f->n_healthy += (int)is_healthy - (int)d->is_healthy;
    d->is_healthy = is_healthy;
    index_update(f, device);
    return MU_OK;
}

void mu_fleet_set_lent(struct mu_fleet *f, int device, bool is_lent)
{
    struct mu_fleet_device *d = &f->devices[device];
    for (int i = d->n_copies - 1; is_lent && i >= 0; i--)
        if (f->copies[d->copies[i]].users == 0)
            copy_drop(f, d->copies[i]);
    d->is_lent = is_lent;
    index_update(f, device);
}

/* ---- checking ---- */

static int check_books(const struct mu_fleet *f, int device, struct mu_err *e)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int64_t work = 0, copies = 0, idle = 0;
    for (int i = 0; i < d->n_tasks; i++) {
        const struct mu_need *n = &f->running[d->tasks[i]].need;
        work += n->work + (n->model < 0 ? n->weights : 0);
    }
    for (int i = 0; i < d->n_copies; i++) {
        const struct mu_copy *c = &f->copies[d->copies[i]];
        copies += c->weights;
        idle += c->users == 0 ? c->weights : 0;
    }
    if (d->free < 0 || d->free + work + copies != d->memory || idle != d->idle)
        return mu_fail(e, MU_EINTERNAL,
                       "device %d: %lld free, %lld work, %lld copies (%lld idle, counted %lld) of %lld", device,
                       (long long)d->free, (long long)work, (long long)copies, (long long)idle, (long long)d->idle,
                       (long long)d->memory);
    if (d->n_tasks > d->tasks_max || (!d->is_healthy && (d->n_tasks > 0 || d->n_copies > 0)))
        return mu_fail(e, MU_EINTERNAL, "device %d has %d tasks of %d, %d copies", device, d->n_tasks, d->tasks_max,
                       d->n_copies);
    return MU_OK;
}

int mu_fleet_check(const struct mu_fleet *f, struct mu_err *e)
{
    int n_open = 0;
    for (int i = 0; i < f->n_devices; i++) {
        const struct mu_fleet_device *d = &f->devices[i];
        MU_TRY_RETURN(check_books(f, i, e));
        n_open += mu_fleet_is_there(d) && d->n_tasks < d->tasks_max;
    }
    if (n_open != f->n_open)
        return mu_fail(e, MU_EINTERNAL, "%d devices are open, counted %d", n_open, f->n_open);
    return index_check(f, e);
}
