/* orchestrate_scale.c - how many workers may hold each model: the campaign's `scaling` (orchestrate.h, scale.h)
 *
 * A replica of a model is a worker that holds it. How many there may be is the scaler's target, which the fleet keeps
 * as the model's limit of copies; a worker begins with a task, so a replica that is allowed is there as soon as a task
 * and a device are. One fewer: the next of its workers that has no task ends; none is stopped within one.
 *
 * Each model has a line of its own in the queue then, so that ten thousand tasks of one that has all it may have do not
 * stand before another's. */
#include <limits.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

static bool is_scaling(const struct mu_orchestration *x)
{
    return x->o->campaign->is_scaling;
}

static struct mu_model_now *model_of(struct mu_orchestration *x, int task)
{
    return &x->model[mu_orchestra_task(x, task)->model];
}

static double since(const struct mu_orchestration *x, int64_t from_ns)
{
    return (double)MU_MAX(mu_now_ns(x->o->clock) - from_ns, 0) * 1e-9;
}

/* ---- lines of the queue ---- */

int mu_orchestra_lines(const struct mu_orchestration *x)
{
    int n = x->o->campaign->n_models;
    return is_scaling(x) && n > 0 && n <= MU_QUEUE_CAMPAIGNS_MAX ? n : 1;
}

int mu_orchestra_line(const struct mu_orchestration *x, int task)
{
    return mu_orchestra_lines(x) > 1 ? mu_orchestra_task(x, task)->model : 0;
}

/* It has all the workers that it may have, and each is at work. */
static bool is_full(const struct mu_orchestration *x, int model)
{
    const struct mu_fleet *f = x->fleet;
    int n = 0;
    if (f->model_copies[model] >= 0)
        return false;
    for (int id = f->model_all[model]; id >= 0; id = f->copies[id].all_next)
        n++;
    return n >= f->model_most[model];
}

void mu_orchestra_open_lines(struct mu_orchestration *x)
{
    bool is_paused = x->log.state.campaign == MU_CAMPAIGN_PAUSED;
    int n = mu_orchestra_lines(x);
    for (int i = 0; i < n; i++)
        mu_queue_pause(x->queue, i, is_paused || (n > 1 && is_full(x, i)));
}

/* ---- opening ---- */

/* As it was left, or as few as the file allows; of a model that has work at least one. */
static int open_model(struct mu_orchestration *x, int model, struct mu_err *e)
{
    const struct mu_scale_rules *r = &x->o->campaign->scaling;
    const struct mu_state_model *was = mu_state_find_model(&x->log.state, x->o->campaign->model[model].name);
    int n = MU_MIN(MU_MAX(was ? was->replicas : 1, r->least), r->most);
    MU_TRY_RETURN(mu_scale_init(&x->model[model].scale, r, n, NULL, NULL, e));
    x->model[model].scale.rules.interval_s /= 2;           /* kept by who asks, for all models at once */
    x->model[model].scale.changed_s = mu_orchestra_now(x); /* its workers are all to begin */
    x->fleet->model_most[model] = n;
    return MU_OK;
}

int mu_orchestra_open_scales(struct mu_orchestration *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->o->campaign;
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->model, MU_MAX(c->n_models, 1), "the models of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->requests, MU_MAX(c->n_suites, 1), "the suites of a campaign", e));
    x->scaled_ns = mu_now_ns(x->o->clock);
    for (int i = 0; i < c->n_models && is_scaling(x); i++)
        MU_TRY_RETURN(open_model(x, i, e));
    return MU_OK;
}

/* ---- what workers do ---- */

/* What stood in the journal before this try is not its work. */
void mu_orchestra_count_progress(struct mu_orchestration *x, int task, double done, double total)
{
    struct mu_work *w = &x->work[task];
    struct mu_hand *h = &x->hand[w->hand];
    if (total > 0)
        x->requests[mu_orchestra_task(x, task)->suite] = total;
    if (done <= 0)
        return;
    if (w->total > 0 || mu_orchestra_attempt(x, task) == 1)
        model_of(x, task)->done += MU_MAX(done - w->done, 0);
    if (w->busy_ns == 0)
        w->busy_ns = mu_now_ns(x->o->clock);
    h->is_working = true;
}

void mu_orchestra_count_end(struct mu_orchestration *x, int task, bool is_good, double load_s)
{
    struct mu_work *w = &x->work[task];
    struct mu_model_now *m = model_of(x, task);
    int64_t busy_ns = w->busy_ns ? w->busy_ns : w->started_ns + (int64_t)(load_s * 1e9);
    double all = w->total > 0 ? w->total : x->requests[mu_orchestra_task(x, task)->suite];
    if (is_good && (w->total > 0 || mu_orchestra_attempt(x, task) == 1))
        m->done += MU_MAX(all - w->done, 0);
    m->busy_s += since(x, MU_MAX(busy_ns, x->scaled_ns));
    x->hand[w->hand].is_working |= is_good;
}

/* ---- a sample ---- */

/* Requests of a task that waits: as its suite had elsewhere, else as the suites that are known. */
static double requests_of(const struct mu_orchestration *x, int task, double unknown)
{
    const struct mu_work *w = &x->work[task];
    double all = x->requests[mu_orchestra_task(x, task)->suite];
    return w->total > 0 ? MU_MAX(w->total - w->done, 0) : all > 0 ? all : unknown;
}

static double mean_requests(const struct mu_orchestration *x)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < x->o->campaign->n_suites; i++) {
        sum += x->requests[i];
        n += x->requests[i] > 0;
    }
    return n > 0 ? sum / n : 1;
}

static void count_tasks(struct mu_orchestration *x)
{
    double unknown = mean_requests(x);
    for (int i = 0; i < x->o->campaign->n_models; i++) {
        struct mu_model_now *m = &x->model[i];
        m->hands = m->working = m->running = m->ready = 0;
        m->queued = m->in_work = 0;
        m->devices = 1;
    }
    for (int i = 0; i < x->o->campaign->n_tasks; i++) {
        struct mu_model_now *m = model_of(x, i);
        enum mu_queue_state is = x->work[i].id < 0 ? MU_QUEUE_FREE : mu_queue_state(x->queue, x->work[i].id);
        if (is == MU_QUEUE_RUNNING)
            m->in_work += requests_of(x, i, unknown);
        if (is != MU_QUEUE_READY)
            continue;
        m->ready++;
        m->queued += requests_of(x, i, unknown);
        m->devices = x->work[i].need.devices;
    }
}

/* One that has loaded for so long is not waited for. */
static void count_hands(struct mu_orchestration *x)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        const struct mu_hand *h = &x->hand[i];
        if (!h->worker || h->model < 0 || h->is_leaving)
            continue;
        struct mu_model_now *m = &x->model[h->model];
        m->hands++;
        m->running += h->task >= 0;
        m->working += h->is_working || since(x, h->started_ns) > x->o->campaign->scaling.start_s;
        if (h->task >= 0 && x->work[h->task].busy_ns)
            m->busy_s += since(x, MU_MAX(x->work[h->task].busy_ns, x->scaled_ns));
    }
}

/* Replicas that have nothing to do are there as soon as they have: only those that tasks wait for are missing. */
static struct mu_scale_sample sample_of(const struct mu_orchestration *x, const struct mu_model_now *m)
{
    const struct mu_scale *s = &m->scale;
    double dt = MU_MAX(since(x, x->scaled_ns), 1e-9);
    int wanted = m->ready + m->hands - m->working;
    int missing = MU_MAX(MU_MIN(s->target - m->working, wanted), 0), replicas = s->target - missing;
    if (mu_orchestra_now(x) - s->changed_s >= s->rules.start_s)
        replicas = MU_MAX(replicas, MU_MIN(s->rules.least, s->target));
    return (struct mu_scale_sample){.now_s = mu_orchestra_now(x),
                                    .replicas = replicas,
                                    .queued = m->queued,
                                    .in_work = m->in_work,
                                    .throughput = m->done / dt,
                                    .utilisation = replicas > 0 ? MU_MIN(m->busy_s / (dt * replicas), 1) : 0,
                                    .useful = MU_MAX(m->running + MU_MIN(m->ready, x->fleet->n_open / m->devices), 1)};
}

/* ---- a change ---- */

/* In the log before it is so. */
static int change(struct mu_orchestration *x, int model, const struct mu_scale_decision *d, struct mu_err *e)
{
    const char *name = x->o->campaign->model[model].name;
    char text[MU_SCALE_TEXT_MAX], sentence[MU_SCALE_TEXT_MAX + MU_CAMPAIGN_NAME_MAX + 8];
    struct mu_event ev = {.kind = MU_EVENT_SCALED, .value = d->to, .amount = d->why, .text = name};
    MU_TRY_RETURN(mu_state_log_append(&x->log, &ev, 1, e));
    x->fleet->model_most[model] = d->to;
    snprintf(sentence, sizeof sentence, "%s: %s", name, mu_scale_text(text, d));
    mu_orchestra_tell_of(x, MU_EVENT_SCALED, name, sentence);
    return MU_OK;
}

static int evaluate(struct mu_orchestration *x, int model, struct mu_err *e)
{
    struct mu_model_now *m = &x->model[model];
    struct mu_scale_sample s = sample_of(x, m);
    int was = m->scale.target;
    MU_TRY_RETURN(mu_scale_evaluate(&m->scale, &s, &m->last, e));
    m->done = m->busy_s = 0;
    if (m->scale.target == was)
        return MU_OK;
    if (m->last.from == m->last.to)
        m->last.why = MU_SCALE_LOST;
    m->last.from = was;
    m->last.to = m->scale.target;
    return change(x, model, &m->last, e);
}

/* More workers than are allowed: those that have no task. Their devices are free at once. */
static void dismiss_surplus(struct mu_orchestration *x)
{
    for (int i = 0; i < MU_WORKERS_MAX; i++) {
        struct mu_hand *h = &x->hand[i];
        if (!h->worker || h->model < 0 || h->is_leaving || h->task >= 0)
            continue;
        struct mu_model_now *m = &x->model[h->model];
        if (m->hands <= m->scale.target)
            continue;
        m->hands--;
        mu_orchestra_stop_hand(x, i, true);
        mu_fleet_forget(x->fleet, h->model, h->device, h->n);
    }
}

static void recount_hands(struct mu_orchestration *x)
{
    for (int i = 0; i < x->o->campaign->n_models; i++)
        x->model[i].hands = 0;
    for (int i = 0; i < MU_WORKERS_MAX; i++)
        if (x->hand[i].worker && x->hand[i].model >= 0 && !x->hand[i].is_leaving)
            x->model[x->hand[i].model].hands++;
}

int mu_orchestra_scale(struct mu_orchestration *x, struct mu_err *e)
{
    if (!is_scaling(x))
        return MU_OK;
    if (since(x, x->scaled_ns) >= x->o->campaign->scaling.interval_s) {
        count_tasks(x);
        count_hands(x);
        for (int i = 0; i < x->o->campaign->n_models; i++)
            MU_TRY_RETURN(evaluate(x, i, e));
        x->scaled_ns = mu_now_ns(x->o->clock);
    }
    recount_hands(x);
    dismiss_surplus(x);
    return MU_OK;
}
