/* campaign_view.c - see campaign_view.h */
#include "cli/campaign_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sched/orchestrate.h"
#include "sched/scale.h"

#define PATH_BYTES ((size_t)4096)
#define RUNS_MAX   (1 << 16)

int64_t mu_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- events ---- */

static bool is_news(int kind)
{
    switch (kind) {
    case MU_EVENT_OPENED:
    case MU_EVENT_PAUSED:
    case MU_EVENT_RESUMED:
    case MU_EVENT_CANCELLED:
    case MU_EVENT_ATTEMPT_FAILED:
    case MU_EVENT_TASK_FAILED:
    case MU_EVENT_TASK_CANCELLED:
    case MU_EVENT_TASK_SKIPPED:
    case MU_EVENT_DEGRADED:
    case MU_EVENT_REQUEST_SKIPPED:
    case MU_EVENT_SEARCH_BEGUN:
    case MU_EVENT_SEARCH_ENDED:
    case MU_EVENT_LEASE_EXPIRED:
    case MU_EVENT_GROUP_LOST:
    case MU_EVENT_NODE_QUARANTINED:
    case MU_EVENT_NODE_BACK:
    case MU_EVENT_DEVICE_QUARANTINED:
    case MU_EVENT_DEVICE_BACK:
    case MU_EVENT_ALERT_SENT:
    case MU_EVENT_SCALED:
    case MU_EVENT_JOB_SUBMITTED:
    case MU_EVENT_JOB_SEEN:
    case MU_EVENT_JOB_REQUEUED:
    case MU_EVENT_WALLTIME_WARNING:
        return true;
    default:
        return false;
    }
}

/* How a task's last try failed is told once, by its end. */
static bool says_all(const struct mu_view_event *end, const struct mu_view_event *last)
{
    return end->kind == MU_EVENT_TASK_FAILED && last->kind == MU_EVENT_ATTEMPT_FAILED && last->task == end->task &&
           last->more == 0 && strcmp(last->text, end->text) == 0;
}

/* "llama-7b may have 3 workers: the queue is too long" */
static const char *text_of(const struct mu_event *ev, char sentence[MU_VIEW_TEXT_BYTES])
{
    const char *text = ev->text ? ev->text : "";
    if (ev->kind != MU_EVENT_SCALED)
        return text;
    snprintf(sentence, MU_VIEW_TEXT_BYTES, "%.300s may have %d worker%s: %s", text, ev->value,
             ev->value == 1 ? "" : "s", mu_scale_why_text((int)ev->amount));
    return sentence;
}

static void keep_news(struct mu_view *v, const struct mu_event *ev)
{
    struct mu_view_event *last = v->n_events > 0 ? &v->events[(v->n_events - 1) % MU_VIEW_EVENTS] : NULL;
    struct mu_view_event k = {.seq = ev->seq,
                              .wall_ns = ev->wall_ns,
                              .kind = ev->kind,
                              .task = ev->task,
                              .group = ev->group,
                              .node = ev->node,
                              .device = ev->device,
                              .job = ev->job,
                              .value = ev->value,
                              .amount = ev->amount};
    char sentence[MU_VIEW_TEXT_BYTES];
    const char *text = text_of(ev, sentence);
    size_t n = mu_utf8_valid_prefix(text, MU_MIN(strlen(text), sizeof k.text - 1));
    memcpy(k.text, text, n);
    if (last && last->kind == k.kind && last->more < INT32_MAX && strcmp(last->text, k.text) == 0)
        last->more++;
    else if (last && says_all(&k, last))
        *last = k;
    else
        v->events[v->n_events++ % MU_VIEW_EVENTS] = k;
}

static int take_event(void *arg, const struct mu_event *ev, struct mu_err *e)
{
    struct mu_view *v = arg;
    MU_TRY_RETURN(mu_state_apply(&v->state, ev, e));
    if (is_news(ev->kind))
        keep_news(v, ev);
    return MU_OK;
}

static const char *node_name(const struct mu_state *s, int32_t node)
{
    return node >= 0 && node < s->n_nodes ? mu_state_name(s, s->nodes[node].name) : "?";
}

void mu_view_subject(const struct mu_view *v, const struct mu_view_event *ev, char *out, size_t bytes)
{
    const struct mu_state *s = &v->state;
    int members = mu_event_members(ev->kind);
    out[0] = '\0';
    if ((members & MU_EVENT_TASK) && ev->task < s->n_tasks)
        snprintf(out, bytes, "%s", mu_state_name(s, s->tasks[ev->task].name));
    else if (members & MU_EVENT_NODE)
        snprintf(out, bytes, "node %s", node_name(s, ev->node));
    else if ((members & MU_EVENT_DEVICE) && ev->device < s->n_devices)
        snprintf(out, bytes, "device %d of %s", ev->device, node_name(s, s->devices[ev->device].node));
    else if (members & MU_EVENT_GROUP)
        snprintf(out, bytes, "group %d", ev->group);
    else if ((members & MU_EVENT_JOB) && ev->job < s->n_jobs)
        snprintf(out, bytes, "job %" PRId64, s->jobs[ev->job].id);
}

/* ---- what runs ---- */

/* "0-3,8"; what does not fit is left out. */
static void list_devices(char out[MU_VIEW_LIST_BYTES], const struct mu_state *s, const struct mu_state_group *g)
{
    const int32_t *d = s->group_devices + g->device_at;
    size_t n = 0;
    out[0] = '\0';
    for (int32_t i = 0, to; i < g->n_devices && n < MU_VIEW_LIST_BYTES - 24; i = to + 1) {
        for (to = i; to + 1 < g->n_devices && d[to + 1] == d[to] + 1;)
            to++;
        n += (size_t)snprintf(out + n, MU_VIEW_LIST_BYTES - n, to > i ? "%s%d-%d" : "%s%d", i ? "," : "", d[i], d[to]);
    }
}

/* By the events alone. */
static void fill_run(struct mu_view_run *r, const struct mu_view *v, int32_t task)
{
    const struct mu_state *s = &v->state;
    const struct mu_state_task *t = &s->tasks[task];
    int64_t begun_ns = t->last_attempt >= 0 ? s->attempts[t->last_attempt].start_wall_ns : v->wall_ns;
    *r = (struct mu_view_run){.task = task,
                              .name = mu_state_name(s, t->name),
                              .node = "",
                              .seconds = (double)MU_MAX(v->wall_ns - begun_ns, 0) * 1e-9,
                              .left_s = -1,
                              .silent_s = -1};
    if (t->group < 0)
        return;
    const struct mu_state_group *g = &s->groups[t->group];
    r->node = node_name(s, g->node);
    list_devices(r->devices, s, g);
}

/* What its worker said. */
static void add_progress(struct mu_view_run *r, const struct mu_now *now)
{
    const struct mu_now_task *n = mu_now_find(now, r->name);
    if (!n)
        return;
    r->node = n->node[0] ? n->node : r->node;
    if (n->devices[0])
        snprintf(r->devices, sizeof r->devices, "%s", n->devices);
    r->seconds = n->seconds;
    r->done = n->done;
    r->total = n->total;
    r->per_s = n->per_s;
    r->silent_s = n->alive_s;
    if (n->total > 0 && n->per_s > 0)
        r->left_s = fmax(n->total - n->done, 0) / n->per_s;
}

/* What an owner that has ended was running runs no more, whatever the events say. */
static bool is_run(const struct mu_view *v)
{
    return v->life != MU_LIFE_NOBODY && v->life != MU_LIFE_GONE;
}

static int list_runs(struct mu_view *v, struct mu_err *e)
{
    const struct mu_state *s = &v->state;
    int n = is_run(v) ? MU_MIN(v->counts.by_state[MU_TASK_RUNNING], RUNS_MAX) : 0;
    v->n_runs = 0;
    if (n > v->cap_runs) {
        struct mu_view_run *more = NULL;
        MU_TRY_RETURN(MU_NEW_ARRAY(&more, n + n / 2, "running tasks", e));
        mu_free(v->runs);
        v->runs = more;
        v->cap_runs = n + n / 2;
    }
    for (int32_t i = 0; i < s->n_tasks && v->n_runs < n; i++) {
        if (s->tasks[i].state != MU_TASK_RUNNING)
            continue;
        fill_run(&v->runs[v->n_runs], v, i);
        add_progress(&v->runs[v->n_runs++], &v->now);
    }
    return MU_OK;
}

static int by_task(const struct mu_view_run *a, const struct mu_view_run *b)
{
    return a->task < b->task ? -1 : a->task > b->task;
}

static int by_left(const void *a, const void *b)
{
    const struct mu_view_run *x = a, *y = b;
    double p = x->left_s >= 0 ? x->left_s : INFINITY, q = y->left_s >= 0 ? y->left_s : INFINITY;
    return p < q ? -1 : p > q ? 1 : by_task(x, y);
}

static int by_time(const void *a, const void *b)
{
    const struct mu_view_run *x = a, *y = b;
    return x->seconds > y->seconds ? -1 : x->seconds < y->seconds ? 1 : by_task(x, y);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mu_view_run *)a)->name, ((const struct mu_view_run *)b)->name);
}

void mu_view_sort(struct mu_view *v, enum mu_view_order order)
{
    int (*compare)(const void *, const void *) = order == MU_ORDER_LEFT   ? by_left
                                                 : order == MU_ORDER_TIME ? by_time
                                                                          : by_name;
    if (v->n_runs > 1)
        qsort(v->runs, (size_t)v->n_runs, sizeof *v->runs, compare);
}

/* The rate of finishes tells of a long queue, the slowest that runs of the end. */
static void foresee(struct mu_view *v)
{
    double longest = 0, parts = 0;
    bool are_known = true;
    for (int i = 0; i < v->n_runs; i++) {
        const struct mu_view_run *r = &v->runs[i];
        are_known &= r->left_s >= 0;
        longest = fmax(longest, r->left_s);
        parts += r->total > 0 ? fmin(r->done / r->total, 1) : 0;
    }
    v->left_s = is_run(v) || v->counts.left == 0 ? v->counts.left_s : -1;
    if (v->counts.left > 0 && v->n_runs == v->counts.left && are_known)
        v->left_s = longest;
    else if (v->left_s >= 0)
        v->left_s = fmax(v->left_s, longest);
    v->share = v->counts.tasks > 0 ? (v->counts.tasks - v->counts.left + parts) / v->counts.tasks : 0;
}

/* ---- now.json ---- */

/* Its age by our own clock as soon as it was seen to change: the clocks of two machines may differ. */
static void read_now(struct mu_view *v, int64_t mono_ns)
{
    mu_now_fini(&v->now);
    v->now_failed = (struct mu_err)MU_ERR_INIT;
    if (!mu_path_exists(v->now_path.p))
        v->now_failed.code = MU_ENOENT;
    else
        (void)mu_now_load(&v->now, v->now_path.p, &v->now_failed);
    if (v->now_failed.code != MU_OK)
        return;
    if (v->now_last_at > 0 && v->now.at != v->now_last_at)
        v->now_new_ns = mono_ns;
    v->now_last_at = v->now.at;
    v->now_age_s = fmax((double)v->wall_ns * 1e-9 - v->now.at, 0);
    if (v->now_new_ns > 0)
        v->now_age_s = (double)(mono_ns - v->now_new_ns) * 1e-9;
}

bool mu_view_has_now(const struct mu_view *v)
{
    return v->now_failed.code == MU_OK && v->now_age_s <= MU_NOW_OLD_S;
}

void mu_view_now_text(const struct mu_view *v, char *out, size_t bytes)
{
    out[0] = '\0';
    if (v->now_failed.code != MU_OK && v->now_failed.code != MU_ENOENT)
        snprintf(out, bytes, "progress cannot be read: %s", v->now_failed.text);
    else if (v->n_runs > 0 && v->now_failed.code == MU_ENOENT)
        snprintf(out, bytes, "progress is not known: there is no %s", MU_ORCHESTRA_NOW);
    else if (v->n_runs > 0 && !mu_view_has_now(v))
        snprintf(out, bytes, "progress is %.0f s old", v->now_age_s);
}

/* ---- who runs it ---- */

const char *mu_view_life_name(int life)
{
    static const char *const names[] = {"nobody", "alive", "gone", "silent", "not known"};
    return life >= 0 && life < (int)MU_COUNT(names) ? names[life] : "?";
}

void mu_view_owner_text(const struct mu_view *v, char *out, size_t bytes)
{
    const struct mu_owner *o = &v->owner;
    double quiet_s = fmax((double)(v->wall_ns - o->renewed_wall_ns) * 1e-9, 0);
    switch (v->life) {
    case MU_LIFE_NOBODY:
        snprintf(out, bytes, "nobody runs it now%s",
                 mu_view_is_over(v) ? "" : ": the same `muster run` or `muster submit` goes on with it");
        return;
    case MU_LIFE_ALIVE:
        snprintf(out, bytes, "run by process %" PRId64 " on %s, which is alive", o->pid, o->host);
        return;
    case MU_LIFE_GONE:
        snprintf(out, bytes, "process %" PRId64 " on %s, which ran it, is gone: the same command goes on with it",
                 o->pid, o->host);
        return;
    case MU_LIFE_SILENT:
        snprintf(out, bytes, "process %" PRId64 " on %s, which runs it, has not been heard of for %.0f s", o->pid,
                 o->host, quiet_s);
        return;
    default:
        snprintf(out, bytes, "run by process %" PRId64 " on %s, last heard of %.0f s ago by its clock", o->pid, o->host,
                 quiet_s);
    }
}

/* ---- all ---- */

/* Of an owner elsewhere: by its renewals, and by nobody's clock but ours. */
static enum mu_view_life watch_away(struct mu_view *v, const struct mu_owner *o, int64_t mono_ns)
{
    bool is_same = o->fence == v->owner.fence && v->heard_ns > 0;
    if (!is_same || o->renewals != v->owner.renewals) {
        v->was_heard = is_same;
        v->heard_ns = mono_ns;
    }
    if (mono_ns - v->heard_ns >= o->span_ns + o->span_ns / 8)
        return MU_LIFE_SILENT;
    return v->was_heard ? MU_LIFE_ALIVE : MU_LIFE_UNSURE;
}

static int look_at_owner(struct mu_view *v, struct mu_event_log *l, int64_t mono_ns, struct mu_err *e)
{
    static const enum mu_view_life told[] = {[MU_OWNER_NOBODY] = MU_LIFE_NOBODY,
                                             [MU_OWNER_ALIVE] = MU_LIFE_ALIVE,
                                             [MU_OWNER_GONE] = MU_LIFE_GONE,
                                             [MU_OWNER_AWAY] = MU_LIFE_UNSURE};
    struct mu_owner o;
    enum mu_owner_life life;
    MU_TRY_RETURN(mu_event_log_look(l, &o, &life, e));
    v->life = life == MU_OWNER_AWAY ? watch_away(v, &o, mono_ns) : told[life];
    v->owner = o;
    return MU_OK;
}

/* The first look, or another file under the name: the events were set aside. */
static bool is_other(const struct mu_view *v, const struct stat *st)
{
    return st->st_dev != v->device || st->st_ino != v->inode;
}

static void forget(struct mu_view *v, const struct stat *st)
{
    mu_state_fini(&v->state);
    v->n_events = 0;
    v->device = st->st_dev;
    v->inode = st->st_ino;
}

static int read_log(struct mu_view *v, int64_t mono_ns, struct mu_err *e)
{
    struct mu_event_log *l = NULL;
    struct stat st;
    int rc = MU_OK;
    if (stat(v->log_path.p, &st) != 0)
        return mu_fail(e, MU_ENOENT, "there is no %s: no campaign was run with this output folder", v->log_path.p);
    const struct mu_event_log_opts o = {.is_reader = true, .was_checked = !is_other(v, &st)};
    MU_TRY(mu_event_log_open(&l, v->log_path.p, &o, e));
    if (is_other(v, &st))
        forget(v, &st);
    MU_TRY(mu_event_log_replay(l, v->state.seq, take_event, v, e));
    MU_TRY(look_at_owner(v, l, mono_ns, e));
out:
    mu_event_log_close(l);
    return rc == MU_EINVAL ? mu_err_while(e, rc, "replaying %s", v->log_path.p) : rc;
}

int mu_view_refresh(struct mu_view *v, int64_t wall_ns, int64_t mono_ns, struct mu_err *e)
{
    int rc = read_log(v, mono_ns, e);
    bool is_at_work = v->life == MU_LIFE_ALIVE && v->state.seq > 0;
    v->wall_ns = wall_ns;
    mu_state_counts(&v->state, is_at_work ? wall_ns - v->state.wall_ns : 0, &v->counts);
    read_now(v, mono_ns);
    int listed = list_runs(v, rc == MU_OK ? e : NULL); /* anew in any case: its texts may have moved */
    foresee(v);
    return rc == MU_OK ? listed : rc;
}

int mu_view_open(struct mu_view *v, const char *folder, int64_t wall_ns, int64_t mono_ns, struct mu_err *e)
{
    int rc = MU_OK;
    *v = (struct mu_view){.log_path = MU_BUF_INIT("a path", PATH_BYTES), .now_path = MU_BUF_INIT("a path", PATH_BYTES)};
    mu_state_init(&v->state);
    MU_TRY(mu_path_join(&v->log_path, folder, MU_ORCHESTRA_STORE, e));
    MU_TRY(mu_path_join(&v->now_path, folder, MU_ORCHESTRA_NOW, e));
    MU_TRY(MU_NEW_ARRAY(&v->events, MU_VIEW_EVENTS, "the last events", e));
    MU_TRY(mu_view_refresh(v, wall_ns, mono_ns, e));
    return MU_OK;
out:
    mu_view_close(v);
    return rc;
}

void mu_view_close(struct mu_view *v)
{
    mu_state_fini(&v->state);
    mu_now_fini(&v->now);
    mu_free(v->events);
    mu_free(v->runs);
    v->events = NULL;
    v->runs = NULL;
    v->n_runs = v->cap_runs = 0;
    mu_buf_fini(&v->log_path);
    mu_buf_fini(&v->now_path);
}

bool mu_view_is_over(const struct mu_view *v)
{
    return v->counts.tasks > 0 && v->counts.left == 0;
}

double mu_view_last_s(const struct mu_view *v, const struct mu_state_task *t)
{
    if (t->last_attempt < 0)
        return 0;
    const struct mu_state_attempt *a = &v->state.attempts[t->last_attempt];
    return (double)(a->end_ns >= 0 ? a->end_ns - a->start_ns : v->wall_ns - a->start_wall_ns) * 1e-9;
}
