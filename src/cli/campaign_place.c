/* campaign_place.c - see campaign_place.h */
#include "cli/campaign_place.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/sim.h"

struct placing {
    struct mu_campaign_places *out;
    struct mu_workload w;
    int *row_of; /* [n_tasks] of a campaign's task */
};

/* ---- the plan as a workload ---- */

static int count_befores(struct mu_campaign_places *out, const struct mu_campaign *c, int64_t *n)
{
    *n = 0;
    for (int i = 0; i < c->n_tasks; i++) {
        int some = mu_campaign_befores(c, i, NULL, 0);
        if (some > MU_SIM_BEFORE_MAX) {
            snprintf(out->why, sizeof out->why, "%.60s waits for %d tasks, and placing looks at %d", c->task[i].id,
                     some, MU_SIM_BEFORE_MAX);
            return -1;
        }
        *n += some;
    }
    return 0;
}

static struct mu_need need_of(const struct mu_campaign *c, const struct mu_campaign_plan_row *r,
                              const struct mu_fleet_device *d, const struct mu_campaign_task *t)
{
    bool shares = d->tasks_max > 1;
    (void)c;
    return (struct mu_need){.devices = MU_MAX(r->devices, 1),
                            .model = shares ? -1 : t->model,
                            .weights = t->policy.resources.memory > 0
                                           ? (int64_t)MU_MIN(t->policy.resources.memory, (uint64_t)INT64_MAX)
                                           : d->memory / d->tasks_max,
                            .run_s = MU_MAX(r->seconds - r->load_s, 0),
                            .load_s = r->load_s,
                            .deadline_s = t->policy.deadline_s > 0 ? t->policy.deadline_s : INFINITY,
                            .priority = t->urgency,
                            .is_preemptible = true,
                            .may_span = true};
}

static void add_row(struct placing *x, const struct mu_campaign *c, const struct mu_campaign_plan_row *r, int row,
                    const struct mu_fleet_device *d)
{
    struct mu_sim_task *t = &x->w.tasks[row];
    *t = (struct mu_sim_task){.need = need_of(c, r, d, &c->task[r->task]), .before = x->w.n_befores};
    t->actual_s = t->need.run_s;
    int *before = &x->w.befores[t->before];
    t->n_before = mu_campaign_befores(c, r->task, before, MU_SIM_BEFORE_MAX);
    for (int i = 0; i < t->n_before; i++)
        before[i] = x->row_of[before[i]];
    x->w.n_befores += t->n_before;
}

static int fill(struct placing *x, const struct mu_campaign *c, const struct mu_campaign_plan *p, int64_t n_befores,
                const struct mu_fleet_device *d, struct mu_err *e)
{
    x->w = (struct mu_workload){.n_models = MU_MAX(c->n_models, 1), .n_campaigns = 1};
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->w.tasks, MU_MAX(p->n, 1), "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->w.befores, n_befores + 1, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->w.weights, 1, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->row_of, MU_MAX(c->n_tasks, 1), "a plan", e));
    x->w.weights[0] = 1;
    for (int i = 0; i < p->n; i++)
        x->row_of[p->row[i].task] = i;
    for (int i = 0; i < p->n; i++)
        add_row(x, c, &p->row[i], i, d);
    x->w.n_tasks = p->n;
    return MU_OK;
}

/* ---- what runs where ---- */

static int watch(void *arg, const struct mu_fleet *f, const struct mu_queue *q, double now_s, struct mu_err *e)
{
    struct mu_campaign_places *out = ((struct placing *)arg)->out;
    (void)q;
    (void)e;
    for (int d = 0; d < f->n_devices; d++) {
        for (int i = 0; i < f->devices[d].n_tasks; i++) {
            const struct mu_running *r = &f->running[f->devices[d].tasks[i]];
            struct mu_campaign_seat *s = &out->seat[r->tag];
            if (s->is_placed)
                continue;
            *s = (struct mu_campaign_seat){.is_placed = true, .start_s = now_s, .n = r->n};
            memcpy(s->device, r->device, sizeof *r->device * (size_t)r->n);
        }
    }
    return MU_OK;
}

static int run(struct placing *x, const struct mu_campaign *c, const struct mu_campaign_machine *m, struct mu_err *e)
{
    struct mu_sim_options o = MU_SIM_DEFAULT;
    struct mu_sim_report r;
    o.has_migration = false; /* a campaign's tasks stay where they began */
    if (c->strategy)
        MU_TRY_RETURN(mu_strategy_kind_find(&o.dispatch.strategy, c->strategy, e));
    MU_TRY_RETURN(mu_sim_run_watched(&r, &x->w, m->device, m->n_devices, &o, watch, x, e));
    x->out->makespan_s = r.makespan_s;
    x->out->utilisation = r.utilisation;
    x->out->strategy = r.strategy;
    x->out->is_known = true;
    return MU_OK;
}

int mu_campaign_place(struct mu_campaign_places *out, const struct mu_campaign *c, const struct mu_campaign_plan *p,
                      const struct mu_campaign_machine *m, struct mu_err *e)
{
    struct placing x = {.out = out};
    int64_t n_befores;
    int rc = MU_OK;
    *out = (struct mu_campaign_places){.is_known = false};
    if (p->n_unknown > 0) {
        snprintf(out->why, sizeof out->why, "%d of %d tasks have no prediction", p->n_unknown, p->n);
        return MU_OK;
    }
    if (count_befores(out, c, &n_befores) < 0)
        return MU_OK;
    MU_TRY(MU_NEW_ARRAY(&out->seat, MU_MAX(p->n, 1), "a plan", e));
    MU_TRY(fill(&x, c, p, n_befores, m->device, e));
    MU_TRY(run(&x, c, m, e));
out:
    mu_workload_fini(&x.w);
    mu_free(x.row_of);
    return rc;
}

void mu_campaign_places_release(struct mu_campaign_places *p)
{
    mu_free(p->seat);
}

char *mu_campaign_seat_text(char buf[96], const struct mu_campaign_seat *s, const struct mu_campaign_machine *m)
{
    size_t n = 0;
    int a_node = MU_MAX(m->n_devices / MU_MAX(m->n_nodes, 1), 1), node = -1;
    snprintf(buf, 96, "%s", s->is_placed ? "" : "nowhere");
    for (int i = 0; i < s->n && n < 80; i++) {
        int first = i, own = m->device[s->device[i]].node;
        while (i + 1 < s->n && s->device[i + 1] == s->device[i] + 1 && m->device[s->device[i + 1]].node == own)
            i++;
        if (own != node && m->n_nodes > 1)
            n += (size_t)snprintf(buf + n, 96 - n, "%s%.40s:", n ? " " : "", m->node[own]);
        else if (n)
            n += (size_t)snprintf(buf + n, 96 - n, ",");
        node = own;
        if (n >= 80)
            break;
        n += (size_t)snprintf(buf + n, 96 - n, "%d", s->device[first] % a_node);
        if (i > first && n < 80)
            n += (size_t)snprintf(buf + n, 96 - n, "-%d", s->device[i] % a_node);
    }
    return buf;
}
