/* sim.c - see sim.h: events and what they do */
#include "sched/sim_int.h"

#include <math.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#define EVENTS_MAX      UINT64_C(1000000000)
#define BACKOFF_MOST    64 /* times the first wait before a retry */
#define QUEUE_TIMER(s)  ((s)->w->n_tasks + 1)
#define ARRIVE_TIMER(s) ((s)->w->n_tasks)
#define DEVICE_TIMER(s) ((s)->w->n_tasks + 2)

/* ---- a stretch of running ---- */

static double total_s(const struct sim *s, const struct sim_task *t)
{
    return s->f->running[t->run].load_s + t->left_s;
}

/* When a running task ends, or has come to where it stops. */
static void set_timer(struct sim *s, int task)
{
    struct sim_task *t = &s->tasks[task];
    const struct mu_running *r = &s->f->running[t->run];
    double target = MU_MIN(total_s(s, t), t->stop_s);
    mu_timers_set(&s->timers, task, r->at_s + MU_MAX(target - r->done_s, 0) / r->rate);
}

static void set_timers(struct sim *s)
{
    int run;
    while (mu_fleet_next_touched(s->f, &run))
        set_timer(s, (int)s->f->running[run].tag);
}

static void started(void *arg, int id, int run, const struct mu_choice *c)
{
    struct sim *s = arg;
    int task = s->task_of[id];
    struct sim_task *t = &s->tasks[task];
    t->run = run;
    t->stop_s = INFINITY;
    if (!t->has_started)
        t->first_s = s->now_s;
    t->has_started = true;
    s->r->starts++;
    for (int i = 0; i < c->seats.n; i++)
        s->n_busy += s->f->devices[c->seats.device[i]].n_tasks == 1;
    s->r->fingerprint =
        mu_hash64(c->seats.device, (size_t)c->seats.n * sizeof(int), s->r->fingerprint + (uint64_t)task);
    s->r->fingerprint = mu_hash64(&s->now_s, sizeof s->now_s, s->r->fingerprint);
}

/* It leaves its devices, having done so much of its actual work for good. */
static void leave(struct sim *s, int task, double kept_s)
{
    struct sim_task *t = &s->tasks[task];
    const struct mu_running *r = &s->f->running[t->run];
    double done_s = mu_fleet_done(s->f, t->run, s->now_s), load_s = MU_MIN(r->load_s, done_s);
    double share = t->left_s > 0 ? (t->left_s - kept_s) / t->left_s : 0;
    s->r->load_s += load_s * r->n;
    s->r->lost_s += MU_MAX(done_s - load_s - kept_s, 0) * r->n;
    s->r->useful += kept_s * r->n;
    t->left_s -= kept_s;
    t->need.run_s *= share;
    for (int i = 0; i < r->n; i++)
        s->n_busy -= s->f->devices[r->device[i]].n_tasks == 1;
    mu_fleet_end(s->f, t->run, s->now_s);
    mu_timers_drop(&s->timers, task);
    if (t->stops_for >= 0)
        s->tasks[t->stops_for].stops--;
    t->stops_for = -1;
    t->is_moving = false;
    t->run = -1;
}

static void set_over(struct sim *s, int task, bool is_good)
{
    struct sim_task *t = &s->tasks[task];
    t->is_over = true;
    t->is_good = is_good;
    t->over_s = s->now_s;
    s->over++;
}

static void end_task(struct sim *s, int task, bool is_good)
{
    int id;
    mu_queue_end(s->q, s->tasks[task].id, is_good, s->now_s);
    set_over(s, task, is_good);
    while (mu_queue_next_ended(s->q, &id))
        set_over(s, s->task_of[id], false);
}

static void impossible(void *arg, int id, const struct mu_refusal *r)
{
    struct sim *s = arg;
    (void)r;
    s->r->impossible++;
    end_task(s, s->task_of[id], false);
}

static const struct mu_need *need(void *arg, int id)
{
    struct sim *s = arg;
    return &s->tasks[s->task_of[id]].need;
}

/* ---- stopping ---- */

/* Actual work of whole batches done by now, or once the running one has ended. */
static double batches_s(const struct sim *s, const struct sim_task *t, double done_s, bool with_running)
{
    double batch_s = t->need.batch_s, ran_s = MU_MAX(done_s - s->f->running[t->run].load_s, 0);
    if (!(batch_s > 0))
        return MU_MIN(ran_s, t->left_s);
    double n = ran_s / batch_s;
    return MU_MIN((with_running ? ceil(n) : floor(n)) * batch_s, t->left_s);
}

static void stop(struct sim *s, int task)
{
    struct sim_task *t = &s->tasks[task];
    struct mu_running *r = &s->f->running[t->run];
    double done_s = mu_fleet_done(s->f, t->run, s->now_s);
    t->stop_s = done_s < r->load_s ? done_s : r->load_s + batches_s(s, t, done_s, true);
    r->need.is_preemptible = false;
    mu_fleet_progress(s->f, t->run, t->stop_s - done_s, s->now_s);
}

static void preempt(void *arg, int id, const struct mu_preemption *p)
{
    struct sim *s = arg;
    int task = s->task_of[id];
    if (s->tasks[task].stops > 0)
        return;
    for (int i = 0; i < p->n; i++) {
        int victim = (int)s->f->running[p->run[i]].tag;
        s->tasks[victim].stops_for = task;
        s->tasks[task].stops++;
        stop(s, victim);
    }
}

static void migrate(struct sim *s)
{
    struct mu_migration m;
    if (!s->o->has_migration || mu_queue_count(s->q, MU_QUEUE_READY) > 0 || s->f->n_open == 0 ||
        !mu_migrate(&m, s->f, s->now_s))
        return;
    int task = (int)s->f->running[m.run].tag;
    if (s->tasks[task].has_moved) /* once is enough: predictions are no better the second time */
        return;
    s->tasks[task].is_moving = s->tasks[task].has_moved = true;
    stop(s, task);
}

static void task_fires(struct sim *s, int task)
{
    struct sim_task *t = &s->tasks[task];
    double load_s = s->f->running[t->run].load_s;
    if (t->stop_s >= total_s(s, t)) {
        int campaign = s->w->tasks[task].campaign, n = t->need.devices;
        double over_s = t->left_s - t->need.run_s;
        leave(s, task, t->left_s);
        mu_queue_charge(s->q, campaign, over_s * n);
        end_task(s, task, true);
        return;
    }
    if (t->is_moving)
        s->r->migrations++;
    else
        s->r->preemptions++;
    t->preempts += !t->is_moving;
    t->need.is_preemptible = t->need.is_preemptible && t->preempts < s->o->preempts_max;
    leave(s, task, MU_MAX(t->stop_s - load_s, 0));
    mu_queue_again(s->q, t->id, t->need.run_s, -INFINITY, s->now_s);
}

/* ---- devices ---- */

static double random_s(uint64_t *state, double mean_s)
{
    return -log(sim_random_unit(state)) * mean_s;
}

static void cut(struct sim *s, int task)
{
    struct sim_task *t = &s->tasks[task];
    leave(s, task, batches_s(s, t, mu_fleet_done(s->f, t->run, s->now_s), false));
    if (t->failures++ >= s->w->tasks[task].retries) {
        end_task(s, task, false);
        return;
    }
    double wait_s = s->o->retry_s * MU_MIN(ldexp(1, t->failures - 1), BACKOFF_MOST);
    s->r->retries++;
    mu_queue_again(s->q, t->id, t->need.run_s, s->now_s + wait_s, s->now_s);
}

static int device_fires(struct sim *s, int device, struct mu_err *e)
{
    struct mu_fleet_device *d = &s->f->devices[device];
    bool was_healthy = d->is_healthy;
    while (d->n_tasks > 0)
        cut(s, (int)s->f->running[d->tasks[0]].tag);
    s->r->failures += was_healthy;
    MU_TRY_RETURN(mu_fleet_set_healthy(s->f, device, !was_healthy, s->now_s, e));
    double mean_s = was_healthy ? s->o->repair_s : s->o->failure_s;
    mu_timers_set(&s->timers, DEVICE_TIMER(s) + device, s->now_s + random_s(&s->random[device], mean_s));
    return MU_OK;
}

/* ---- arrivals ---- */

static int add_task(struct sim *s, int task, struct mu_err *e)
{
    const struct mu_sim_task *w = &s->w->tasks[task];
    struct sim_task *t = &s->tasks[task];
    int before[MU_SIM_BEFORE_MAX], id;
    for (int i = 0; i < w->n_before; i++)
        before[i] = s->tasks[s->w->befores[w->before + i]].id;
    struct mu_queue_task q = {.campaign = w->campaign,
                              .priority = (enum mu_priority)w->need.priority,
                              .run_s = w->need.run_s,
                              .devices = w->need.devices,
                              .deadline_s = w->need.deadline_s,
                              .ready_s = -INFINITY,
                              .before = before,
                              .n_before = w->n_before,
                              .tag = (uint64_t)task};
    *t = (struct sim_task){.need = w->need, .run = -1, .stops_for = -1, .left_s = w->actual_s, .stop_s = INFINITY};
    MU_TRY_RETURN(mu_queue_add(s->q, &q, s->now_s, &t->id, e));
    s->task_of[t->id] = task;
    while (mu_queue_next_ended(s->q, &id)) /* one before it had failed */
        set_over(s, s->task_of[id], false);
    return MU_OK;
}

static int arrive(struct sim *s, struct mu_err *e)
{
    int n = s->w->n_tasks;
    while (s->arrived < n && s->w->tasks[s->arrived].arrives_s <= s->now_s)
        MU_TRY_RETURN(add_task(s, s->arrived++, e));
    mu_timers_set(&s->timers, ARRIVE_TIMER(s), s->arrived < n ? s->w->tasks[s->arrived].arrives_s : INFINITY);
    return MU_OK;
}

/* ---- the loop ---- */

static int fire(struct sim *s, int timer, struct mu_err *e)
{
    mu_timers_drop(&s->timers, timer);
    if (timer == ARRIVE_TIMER(s))
        return arrive(s, e);
    if (timer >= DEVICE_TIMER(s))
        return device_fires(s, timer - DEVICE_TIMER(s), e);
    if (timer < s->w->n_tasks)
        task_fires(s, timer);
    return MU_OK; /* the queue's: the round below asks it */
}

/* All events of one time. */
static int fire_all(struct sim *s, struct mu_err *e)
{
    int first = mu_timers_first(&s->timers);
    double at = s->timers.at[first], dt = at - s->now_s;
    s->busy_s += dt * s->n_busy;
    s->healthy_s += dt * s->f->n_healthy;
    s->now_s = at;
    while (first >= 0 && s->timers.at[first] <= at) {
        if (++s->r->events > EVENTS_MAX)
            return mu_fail(e, MU_ELIMIT, "the simulation goes on after %llu events", (unsigned long long)EVENTS_MAX);
        MU_TRY_RETURN(fire(s, first, e));
        set_timers(s); /* ends of tasks that now run faster may fall on this very time */
        first = mu_timers_first(&s->timers);
    }
    return MU_OK;
}

static int decide(struct sim *s, struct mu_err *e)
{
    const struct mu_dispatch_calls calls = {
        .arg = s, .need = need, .started = started, .impossible = impossible, .preempt = preempt};
    struct mu_dispatch_stats stats;
    MU_TRY_RETURN(mu_dispatch(s->d, &calls, s->now_s, &stats, e));
    s->r->decisions++;
    migrate(s);
    set_timers(s);
    mu_timers_set(&s->timers, QUEUE_TIMER(s), MU_MIN(mu_queue_next_time(s->q), stats.again_s));
    return s->watch ? s->watch(s->arg, s->f, s->q, s->now_s, e) : MU_OK;
}

static int run(struct sim *s, struct mu_err *e)
{
    while (s->over < s->w->n_tasks) {
        if (mu_timers_first(&s->timers) < 0)
            return mu_fail(e, MU_EINTERNAL, "the simulation stands still with %d of %d tasks ended", s->over,
                           s->w->n_tasks);
        MU_TRY_RETURN(fire_all(s, e));
        MU_TRY_RETURN(decide(s, e));
    }
    return sim_report_fill(s, e);
}

static int open_parts(struct sim *s, const struct mu_fleet_device *devices, int n_devices, struct mu_err *e)
{
    const struct mu_workload *w = s->w;
    struct mu_queue_limits limits = {MU_MAX(w->n_tasks, 1), w->n_befores, MU_MAX(w->n_campaigns, 1), s->o->age_s};
    int campaign;
    MU_TRY_RETURN(mu_queue_open(&s->q, &limits, e));
    for (int i = 0; i < w->n_campaigns; i++)
        MU_TRY_RETURN(mu_queue_campaign(s->q, w->weights[i], &campaign, e));
    MU_TRY_RETURN(mu_fleet_open(&s->f, devices, n_devices, w->n_models, e));
    MU_TRY_RETURN(mu_dispatch_open(&s->d, &s->o->dispatch, s->q, s->f, &limits, e));
    MU_TRY_RETURN(mu_timers_init(&s->timers, w->n_tasks + 2 + n_devices, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->tasks, w->n_tasks, "a simulation's tasks", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->task_of, limits.tasks, "a simulation's tasks", e));
    return MU_NEW_ARRAY(&s->random, n_devices, "a simulation's devices", e);
}

static void begin(struct sim *s, int n_devices)
{
    for (int i = 0; i < n_devices; i++) {
        s->random[i] = s->o->seed + UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
        if (s->o->failure_s > 0)
            mu_timers_set(&s->timers, DEVICE_TIMER(s) + i, random_s(&s->random[i], s->o->failure_s));
    }
    mu_timers_set(&s->timers, ARRIVE_TIMER(s), s->w->n_tasks > 0 ? s->w->tasks[0].arrives_s : INFINITY);
}

int mu_sim_run_watched(struct mu_sim_report *out, const struct mu_workload *w, const struct mu_fleet_device *devices,
                       int n_devices, const struct mu_sim_options *o, mu_sim_watch watch, void *arg, struct mu_err *e)
{
    struct sim s = {.w = w, .o = o, .r = out, .watch = watch, .arg = arg};
    int rc;
    *out = (struct mu_sim_report){.strategy = o->dispatch.strategy->name, .tasks = w->n_tasks};
    if (!(o->failure_s >= 0) || !(o->repair_s > 0) || !(o->retry_s >= 0))
        return mu_fail(e, MU_EINVAL, "failures every %g s, repaired in %g s, retried after %g s: no such thing",
                       o->failure_s, o->repair_s, o->retry_s);
    MU_TRY(open_parts(&s, devices, n_devices, e));
    begin(&s, n_devices);
    MU_TRY(run(&s, e));
out:
    mu_queue_free(s.q);
    mu_fleet_free(s.f);
    mu_dispatch_free(s.d);
    mu_timers_fini(&s.timers);
    mu_free(s.tasks);
    mu_free(s.task_of);
    mu_free(s.random);
    return rc;
}

int mu_sim_run(struct mu_sim_report *out, const struct mu_workload *w, const struct mu_fleet_device *devices,
               int n_devices, const struct mu_sim_options *o, struct mu_err *e)
{
    return mu_sim_run_watched(out, w, devices, n_devices, o, NULL, NULL, e);
}
