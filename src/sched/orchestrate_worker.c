/* orchestrate_worker.c - workers: started, found again by their model, heard, ended (orchestrate.h) */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "comm/launch.h"
#include "sched/orchestrate_int.h"
#include "sched/worker_line.h"

#define ROOM_NS    5000000000ll               /* for those that make room to be gone */
#define GPUS_BYTES (MU_TASK_DEVICES_MAX * 12) /* of places between commas */

static bool is_on(const struct mu_hand *h, const int *device, int n)
{
    return h->n == n && memcmp(h->device, device, (size_t)n * sizeof *device) == 0;
}

int mu_orchestra_idle_hand(const struct mu_orchestration *x, int model, const struct mu_seats *seats)
{
    for (int i = 0; i < MU_WORKERS_MAX && model >= 0; i++) {
        const struct mu_hand *h = &x->hand[i];
        if (h->worker && h->task < 0 && !h->is_leaving && h->model == model && is_on(h, seats->device, seats->n))
            return i;
    }
    return -1;
}

int mu_orchestra_free_hand(const struct mu_orchestration *x)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        if (!x->hand[i].worker)
            return i;
    return -1;
}

/* ---- ending ---- */

void mu_orchestra_stop_hand(struct mu_orchestration *x, int hand, bool at_once)
{
    struct mu_hand *h = &x->hand[hand];
    x->o->launcher->ops->stop(x->o->launcher, h->worker, at_once);
    if (!h->is_leaving)
        h->left_ns = mu_now_ns(x->o->clock);
    h->is_leaving = true;
    h->is_killed |= at_once;
}

/* Whether the fleet still counts the copy of an idle worker. */
static bool has_place(const struct mu_orchestration *x, const struct mu_hand *h)
{
    const struct mu_fleet_device *d = &x->fleet->devices[h->device[0]];
    for (int i = 0; i < d->n_copies; i++) {
        const struct mu_copy *c = &x->fleet->copies[d->copies[i]];
        if (c->model == h->model && is_on(h, c->device, c->n))
            return true;
    }
    return false;
}

static bool is_going(const struct mu_orchestration *x)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        if (x->hand[i].worker && x->hand[i].task < 0 && x->hand[i].is_killed)
            return true;
    return false;
}

/* Idle workers, and those that are leaving, have nothing to lose: they are ended at once, and waited for, since who
 * comes next wants their memory. */
void mu_orchestra_make_room(struct mu_orchestration *x)
{
    int64_t until = mu_now_ns(x->o->clock) + ROOM_NS;
    struct mu_err e = MU_ERR_INIT;
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        struct mu_hand *h = &x->hand[i];
        if (h->worker && h->task < 0 && !h->is_killed && (h->is_leaving || !has_place(x, h)))
            mu_orchestra_stop_hand(x, i, true);
    }
    while (is_going(x) && mu_now_ns(x->o->clock) < until && x->failed.code == MU_OK)
        if (mu_orchestra_hear(x, ROOM_NS / 50, &e) != MU_OK)
            x->failed = e;
}

int64_t mu_orchestra_silence_ns(const struct mu_hand *h)
{
    return h->heard_ns ? MU_WORKER_SILENT_NS : MU_LAUNCH_START_NS;
}

static int64_t silent_from(const struct mu_hand *h)
{
    return (h->heard_ns ? h->heard_ns : h->started_ns) + mu_orchestra_silence_ns(h);
}

void mu_orchestra_forgive(struct mu_orchestration *x, int64_t ns)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        struct mu_hand *h = &x->hand[i];
        h->started_ns += ns;
        h->left_ns += ns;
        if (h->heard_ns)
            h->heard_ns += ns;
    }
}

void mu_orchestra_end_silent(struct mu_orchestration *x)
{
    int64_t now = mu_now_ns(x->o->clock);
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        struct mu_hand *h = &x->hand[i];
        struct mu_work *w = h->worker && h->task >= 0 ? &x->work[h->task] : NULL;
        if (!h->worker || h->is_killed)
            continue;
        bool is_silent = now > silent_from(h);
        bool is_late = h->is_leaving && now - h->left_ns > MU_ORCHESTRA_STOP_NS;
        if (!is_silent && !is_late)
            continue;
        if (w && w->asked == MU_ASKED_NOT)
            w->asked = MU_ASKED_SILENT;
        mu_orchestra_stop_hand(x, i, true);
    }
}

static int forget(struct mu_orchestration *x, struct mu_hand *h, bool has_drained, struct mu_err *e)
{
    struct mu_event drained = {.kind = MU_EVENT_GROUP_DRAINED, .group = h->group};
    mu_fleet_forget(x->fleet, h->model, h->device, h->n);
    h->worker = 0;
    return has_drained ? MU_OK : mu_state_log_append(&x->log, &drained, 1, e);
}

int mu_orchestra_dismiss(struct mu_orchestration *x, struct mu_err *e)
{
    int64_t until = mu_now_ns(x->o->clock) + ROOM_NS;
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        if (x->hand[i].worker && x->hand[i].task < 0 && !x->hand[i].is_killed)
            mu_orchestra_stop_hand(x, i, true);
    while (is_going(x) && mu_now_ns(x->o->clock) < until)
        MU_TRY_RETURN(mu_orchestra_hear(x, ROOM_NS / 50, e));
    return MU_OK;
}

/* ---- starting ---- */

/* The nodes of its devices, each once, and how many of them each has; they rise. */
static int list_nodes(const struct mu_orchestration *x, const struct mu_hand *h, const char **name, int *share)
{
    int n = 0, last = -1;
    for (int i = 0; i < h->n; i++) {
        int node = x->o->devices[h->device[i]].node;
        if (node != last) {
            share[n] = 0;
            name[n++] = x->node[node].name;
        }
        share[n - 1]++;
        last = node;
    }
    return n;
}

/* For each rank the place of its device among those of its node. */
static void list_gpus(const struct mu_orchestration *x, const struct mu_hand *h, char text[GPUS_BYTES])
{
    size_t n = 0;
    for (int i = 0; i < h->n; i++) {
        int first = x->node[x->o->devices[h->device[i]].node].first;
        n += (size_t)snprintf(text + n, GPUS_BYTES - n, "%s%d", i ? "," : "", h->device[i] - first);
    }
}

int mu_orchestra_start_hand(struct mu_orchestration *x, int hand, struct mu_err *e)
{
    struct mu_hand *h = &x->hand[hand];
    struct mu_buf log = MU_BUF_INIT("a path", MU_ORCHESTRA_LINE_BYTES);
    const char *node[MU_TASK_DEVICES_MAX];
    int share[MU_TASK_DEVICES_MAX];
    char ranks[16], gpus[GPUS_BYTES];
    const char *argv[] = {x->o->program, "work", "--gpus", gpus, h->n > 1 ? "--ranks" : NULL, ranks, NULL};
    struct mu_worker_order o = {.argv = argv, .node = node, .ranks = h->n, .share = share, .cpus = x->o->cores};
    int rc = MU_OK;
    list_gpus(x, h, gpus);
    snprintf(ranks, sizeof ranks, "%d", h->n);
    MU_TRY(mu_buf_printf(&log, e, "%s/workers", x->o->output));
    MU_TRY(mu_path_make_folders(log.p, e));
    MU_TRY(mu_buf_printf(&log, e, "/%d.log", h->group));
    o.log = log.p;
    o.n_nodes = list_nodes(x, h, node, share);
    MU_TRY(x->o->launcher->ops->start(x->o->launcher, &o, &h->worker, e));
    h->started_ns = mu_now_ns(x->o->clock);
    h->heard_ns = 0;
    h->is_leaving = h->is_killed = h->is_working = false;
out:
    mu_buf_fini(&log);
    return rc;
}

/* ---- hearing ---- */

static int hand_of(const struct mu_orchestration *x, int64_t worker)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        if (x->hand[i].worker == worker)
            return i;
    return -1;
}

/* How far it is: what is left of it is better known than it was. */
static void take_progress(struct mu_orchestration *x, int task, const struct mu_worker_line *l)
{
    struct mu_work *w = &x->work[task];
    mu_orchestra_count_progress(x, task, l->done, l->total);
    w->done = l->done;
    w->total = l->total;
    w->per_s = l->per_s;
    if (l->total > l->done && l->per_s > 0) /* seconds of a device that it has alone */
        mu_fleet_progress(x->fleet, w->run, (l->total - l->done) / l->per_s * x->fleet->running[w->run].rate,
                          mu_orchestra_now(x));
}

static int take_end_of_task(struct mu_orchestration *x, struct mu_hand *h, const struct mu_worker_line *l,
                            struct mu_err *e)
{
    int task = h->task;
    struct mu_task_end end = {.exit_status = l->status, .load_s = l->load_s, .line = l->why};
    h->task = -1;
    /* After a failure it may be on its way out itself. */
    bool leaves = h->model < 0 || x->work[task].asked != MU_ASKED_NOT || l->status != 0;
    if (leaves && !h->is_leaving)
        mu_orchestra_stop_hand(x, (int)(h - x->hand), false);
    return mu_orchestra_ended(x, task, &end, e);
}

static int take_line(struct mu_orchestration *x, struct mu_hand *h, const char *text, struct mu_err *e)
{
    struct mu_worker_line l;
    MU_TRY_RETURN(mu_worker_line_parse(&l, text, e));
    int rc = MU_OK;
    h->heard_ns = mu_now_ns(x->o->clock);
    bool is_its = h->task >= 0 && l.task == x->work[h->task].number;
    if (is_its && l.kind == MU_LINE_BEGUN)
        mu_orchestra_begun(x, h->task, &l);
    if (is_its && l.kind == MU_LINE_ALIVE)
        take_progress(x, h->task, &l);
    if (is_its && l.kind == MU_LINE_ENDED)
        rc = take_end_of_task(x, h, &l, e);
    mu_worker_line_fini(&l);
    return rc;
}

/* Which of its nodes is gone. */
static int find_down(struct mu_orchestration *x, const struct mu_hand *h, const char *line, struct mu_err *e)
{
    struct mu_launcher *l = x->o->launcher;
    int last = -1;
    for (int i = 0; i < h->n && l->ops->is_node_down; i++) {
        int node = x->o->devices[h->device[i]].node;
        if (node != last && l->ops->is_node_down(l, x->node[node].name))
            MU_TRY_RETURN(mu_orchestra_node_down(x, node, line, e));
        last = node;
    }
    return MU_OK;
}

static int take_end(struct mu_orchestration *x, struct mu_hand *h, const struct mu_worker_told *told, struct mu_err *e)
{
    struct mu_task_end end = {.exit_status = told->exit_status,
                              .signal = told->signal,
                              .line = told->line,
                              .group_is_over = true,
                              .is_node_down = told->is_node_down,
                              .is_refused = told->is_refused};
    int task = h->task;
    h->task = -1;
    if (task < 0)
        return forget(x, h, false, e);
    if (end.exit_status == 0) /* with a task in hand */
        end.exit_status = mu_code_exit_status(MU_EPEER);
    MU_TRY_RETURN(mu_orchestra_ended(x, task, &end, e));
    MU_TRY_RETURN(forget(x, h, true, e));
    return told->is_node_down ? find_down(x, h, told->line, e) : MU_OK;
}

int mu_orchestra_hear(struct mu_orchestration *x, int64_t ns, struct mu_err *e)
{
    struct mu_launcher *l = x->o->launcher;
    struct mu_worker_told told;
    while (l->ops->wait(l, ns, &told)) {
        int hand = hand_of(x, told.worker);
        if (hand >= 0 && told.kind == MU_WORKER_SAID)
            MU_TRY_RETURN(take_line(x, &x->hand[hand], told.line, e));
        else if (hand >= 0)
            MU_TRY_RETURN(take_end(x, &x->hand[hand], &told, e));
        ns = 0;
    }
    return MU_OK;
}
