/* campaign_plan.c - the table of `muster run --plan`: order, earliest times, counts */
#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

/* Tasks that may come next, the first of them on top; and what is left to wait for. */
struct heap {
    const struct mu_campaign *c;
    int32_t *p;
    int n;
    int32_t *sets_left;  /* [n_tasks] */
    int32_t *tasks_left; /* [n_sets] */
    double *set_end;     /* [n_sets] */
    int32_t *set_depth;  /* [n_sets] */
};

static int64_t deadline_rank(const struct mu_campaign_policy *p)
{
    /* Dates and lengths of time meet in no common clock here: each kind among itself, lengths first. */
    if (p->deadline_s > 0)
        return (int64_t)p->deadline_s;
    return p->deadline_at ? p->deadline_at : INT64_MAX;
}

static bool comes_before(const struct mu_campaign *c, int32_t a, int32_t b)
{
    const struct mu_campaign_task *x = &c->task[a], *y = &c->task[b];
    int64_t dx = deadline_rank(&x->policy), dy = deadline_rank(&y->policy);
    if (x->urgency != y->urgency)
        return x->urgency < y->urgency;
    if (dx != dy)
        return dx < dy;
    if (x->model != y->model)
        return x->model < y->model;
    return a < b;
}

static void push(struct heap *h, int32_t task)
{
    int i = h->n++;
    for (int up; i > 0 && comes_before(h->c, task, h->p[up = (i - 1) / 2]); i = up)
        h->p[i] = h->p[up];
    h->p[i] = task;
}

static int32_t pop(struct heap *h)
{
    int32_t first = h->p[0], last = h->p[--h->n];
    int i = 0;
    for (int down = 1; down < h->n; down = 2 * i + 1) {
        if (down + 1 < h->n && comes_before(h->c, h->p[down + 1], h->p[down]))
            down++;
        if (!comes_before(h->c, h->p[down], last))
            break;
        h->p[i] = h->p[down];
        i = down;
    }
    h->p[i] = last;
    return first;
}

static int heap_open(struct heap *h, const struct mu_campaign *c, struct mu_err *e)
{
    h->c = c;
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->p, c->n_tasks, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->sets_left, c->n_tasks, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->tasks_left, c->n_sets, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->set_end, c->n_sets, "a plan", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->set_depth, c->n_sets, "a plan", e));
    for (int i = 0; i < c->n_sets; i++)
        h->tasks_left[i] = c->set[i].n;
    for (int i = 0; i < c->n_tasks; i++) {
        h->sets_left[i] = c->task[i].n_wait;
        if (h->sets_left[i] == 0)
            push(h, i);
    }
    return MU_OK;
}

static void heap_fini(struct heap *h)
{
    mu_free(h->p);
    mu_free(h->sets_left);
    mu_free(h->tasks_left);
    mu_free(h->set_end);
    mu_free(h->set_depth);
}

/* The task is in the plan: its sets know, and those that wait for them may come. */
static void release(struct heap *h, const struct mu_campaign_plan_row *row)
{
    const struct mu_campaign_task *t = &h->c->task[row->task];
    for (int i = 0; i < t->n_in; i++) {
        int32_t s = t->in[i];
        h->set_end[s] = MU_MAX(h->set_end[s], row->end_s);
        h->set_depth[s] = MU_MAX(h->set_depth[s], row->depth + 1);
        if (--h->tasks_left[s] > 0)
            continue;
        for (int k = 0; k < h->c->set[s].n_waiting; k++) {
            int32_t next = h->c->set[s].waiting[k];
            if (--h->sets_left[next] == 0)
                push(h, next);
        }
    }
}

static void fill_row(const struct heap *h, const struct mu_campaign_world *w, struct mu_campaign_plan_row *row)
{
    const struct mu_campaign_task *t = &h->c->task[row->task];
    int64_t devices = mu_campaign_devices(h->c, row->task);
    struct mu_campaign_guess g = {.seconds = -1};
    if (w && w->predict)
        w->predict(w->arg, h->c, row->task, &g);
    row->seconds = g.seconds;
    row->load_s = g.load_s;
    row->devices = devices > 0 ? (int)devices : g.devices;
    for (int i = 0; i < t->n_wait; i++) {
        row->start_s = MU_MAX(row->start_s, h->set_end[t->wait[i]]);
        row->depth = MU_MAX(row->depth, h->set_depth[t->wait[i]]);
    }
    row->end_s = row->start_s + MU_MAX(g.seconds, 0);
    row->gpu_hours = MU_MAX(g.seconds, 0) * MU_MAX(row->devices, 1) / 3600;
}

static void count(struct mu_campaign_plan *p, const struct mu_campaign *c, const struct mu_campaign_plan_row *row)
{
    p->n_priority[c->task[row->task].policy.priority]++;
    p->n_unknown += row->seconds < 0;
    p->seconds += MU_MAX(row->seconds, 0);
    p->gpu_hours += row->gpu_hours;
    if (p->last < 0 || row->end_s > p->chain_s)
        p->last = row->task;
    p->chain_s = MU_MAX(p->chain_s, row->end_s);
}

int mu_campaign_plan(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_plan **out,
                     struct mu_err *e)
{
    struct mu_campaign_plan *p = NULL;
    struct heap h = {0};
    int rc;

    MU_TRY(MU_NEW(&p, "a plan", e));
    p->last = -1;
    MU_TRY(MU_NEW_ARRAY(&p->row, c->n_tasks, "a plan", e));
    MU_TRY(heap_open(&h, c, e));
    while (h.n > 0) {
        struct mu_campaign_plan_row *row = &p->row[p->n++];
        row->task = pop(&h);
        fill_row(&h, w, row);
        release(&h, row);
        count(p, c, row);
    }
    *out = p;
    p = NULL;
out:
    heap_fini(&h);
    mu_campaign_plan_free(p);
    return rc;
}

void mu_campaign_plan_free(struct mu_campaign_plan *p)
{
    if (!p)
        return;
    mu_free(p->row);
    mu_free(p);
}
