/* sim_report.c - what a simulation comes to */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/sim_int.h"

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that a share p of them does not exceed (nearest rank). */
static double quantile(const double *sorted, int n, double p)
{
    int rank = (int)ceil(p * n);
    return sorted[MU_MAX(rank, 1) - 1];
}

static void summarise(struct mu_sim_waits *out, double *waits, int n)
{
    double sum = 0;
    out->n = n;
    if (n == 0)
        return;
    qsort(waits, (size_t)n, sizeof *waits, by_size);
    for (int i = 0; i < n; i++)
        sum += waits[i];
    out->mean_s = sum / n;
    out->p50_s = quantile(waits, n, 0.50);
    out->p95_s = quantile(waits, n, 0.95);
    out->most_s = waits[n - 1];
}

/* When the last of those before it had ended, or it arrived. */
static double ready_s(const struct sim *s, int task)
{
    const struct mu_sim_task *w = &s->w->tasks[task];
    double at = w->arrives_s;
    for (int i = 0; i < w->n_before; i++)
        at = MU_MAX(at, s->tasks[s->w->befores[w->before + i]].over_s);
    return at;
}

static void count_task(struct sim *s, int task)
{
    const struct sim_task *t = &s->tasks[task];
    double deadline_s = s->w->tasks[task].need.deadline_s;
    s->r->done += t->is_good;
    s->r->skipped += !t->is_good && mu_queue_state(s->q, t->id) == MU_QUEUE_SKIPPED;
    s->r->failed += !t->is_good && mu_queue_state(s->q, t->id) == MU_QUEUE_FAILED;
    s->r->makespan_s = MU_MAX(s->r->makespan_s, t->over_s);
    if (deadline_s < INFINITY) {
        s->r->deadlines++;
        s->r->missed += !t->is_good || t->over_s > deadline_s;
        s->r->late_s += MU_MAX(t->over_s - deadline_s, 0);
    }
}

int sim_report_fill(struct sim *s, struct mu_err *e)
{
    struct mu_sim_report *r = s->r;
    double *waits;
    int n = s->w->n_tasks;
    MU_TRY_RETURN(MU_NEW_ARRAY(&waits, n, "a simulation's waits", e));
    for (int i = 0; i < n; i++)
        count_task(s, i);
    for (int p = 0; p < MU_PRIORITY_N; p++) {
        int found = 0;
        for (int i = 0; i < n; i++)
            if (s->tasks[i].has_started && s->w->tasks[i].need.priority == p)
                waits[found++] = s->tasks[i].first_s - ready_s(s, i);
        summarise(&r->waits[p], waits, found);
    }
    mu_free(waits);
    r->late_s = r->missed > 0 ? r->late_s / r->missed : 0;
    r->utilisation = s->healthy_s > 0 ? s->busy_s / s->healthy_s : 0;
    r->useful = s->healthy_s > 0 ? r->useful / s->healthy_s : 0;
    r->loads = s->f->loads;
    r->reuses = s->f->reuses;
    r->evicted = s->f->evicted;
    return MU_OK;
}

static json_t *waits_json(const struct mu_sim_report *r)
{
    json_t *o = json_object();
    for (int p = 0; p < MU_PRIORITY_N; p++) {
        const struct mu_sim_waits *w = &r->waits[p];
        json_object_set_new(o, mu_priority_name((enum mu_priority)p),
                            json_pack("{s:i, s:f, s:f, s:f, s:f}", "tasks", w->n, "mean", w->mean_s, "p50", w->p50_s,
                                      "p95", w->p95_s, "max", w->most_s));
    }
    return o;
}

json_t *mu_sim_report_json(const struct mu_sim_report *r)
{
    return json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:o, s:i, s:i, s:f, s:I, s:I, s:I, s:f, s:f, s:i, s:i, "
        "s:i, s:i, s:i, s:I, s:I}",
        "strategy", r->strategy, "tasks", r->tasks, "done", r->done, "failed", r->failed, "skipped", r->skipped,
        "impossible", r->impossible, "makespan_s", r->makespan_s, "utilisation", r->utilisation, "useful", r->useful,
        "waiting_s", waits_json(r), "deadlines", r->deadlines, "missed", r->missed, "late_s", r->late_s, "loads",
        (json_int_t)r->loads, "reuses", (json_int_t)r->reuses, "evicted", (json_int_t)r->evicted, "load_device_s",
        r->load_s, "lost_device_s", r->lost_s, "starts", r->starts, "preemptions", r->preemptions, "migrations",
        r->migrations, "failures", r->failures, "retries", r->retries, "decisions", (json_int_t)r->decisions, "events",
        (json_int_t)r->events);
}
