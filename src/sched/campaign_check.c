/* campaign_check.c - a campaign held against what there is: models, suites, machines, predicted times, budgets
 *
 * What many tasks have from one line of the file is one fault, told by the task that is furthest off. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "plan/layout.h"
#include "sched/campaign_int.h"

#define GATHERED_MAX 64 /* lines that faults of tasks are gathered by; of further ones each task counts */

struct gathered {
    struct mu_campaign_place at;
    int task, n; /* the worst, and how many */
    double excess;
};

struct held {
    const struct mu_campaign *c;
    const struct mu_campaign_world *w;
    struct mu_campaign_faults *faults;
    struct mu_campaign_guess *guess; /* [n_tasks] */
    double *end;                     /* [n_tasks + n_sets] earliest, from the start; NULL: no order */
    struct gathered line[GATHERED_MAX];
    int n_lines;
};

/* ---- what exists ---- */

static int find_used(struct held *h, struct mu_err *e)
{
    const struct mu_campaign *c = h->c;
    struct mu_err why;
    bool *model = NULL, *suite = NULL;
    int rc;
    MU_TRY(MU_NEW_ARRAY(&model, c->n_models, "a campaign", e));
    MU_TRY(MU_NEW_ARRAY(&suite, c->n_suites, "a campaign", e));
    for (int i = 0; i < c->n_tasks; i++) {
        model[c->model[c->task[i].model].base] = true;
        suite[c->suite[c->task[i].suite].base] = true;
    }
    for (int i = 0; h->w->find_model && i < c->n_models; i++) {
        if (model[i] && h->w->find_model(h->w->arg, &c->model[i], &why) != MU_OK)
            mu_campaign_fault(c, h->faults, c->model[i].at, "model %s: %.600s", c->model[i].name, why.text);
    }
    for (int i = 0; h->w->find_suite && i < c->n_suites; i++) {
        if (suite[i] && h->w->find_suite(h->w->arg, &c->suite[i], &why) != MU_OK)
            mu_campaign_fault(c, h->faults, c->suite[i].at, "suite %s: %.600s", c->suite[i].name, why.text);
    }
out:
    mu_free(model);
    mu_free(suite);
    return rc;
}

/* ---- gathering ---- */

static void gather(struct held *h, struct mu_campaign_place at, int task, double excess)
{
    struct gathered *g = h->line;
    for (; g < h->line + h->n_lines; g++) {
        if (g->at.file != at.file || g->at.line != at.line)
            continue;
        g->n++;
        if (excess > g->excess) {
            g->task = task;
            g->excess = excess;
        }
        return;
    }
    if (h->n_lines < GATHERED_MAX)
        h->line[h->n_lines++] = (struct gathered){at, task, 1, excess};
    else
        h->faults->n_all++;
}

/* " (and 3 other tasks)" */
static struct mu_campaign_words others(int n)
{
    struct mu_campaign_words t = {""};
    if (n > 1)
        snprintf(t.text, sizeof t.text, " (and %d other task%s)", n - 1, n > 2 ? "s" : "");
    return t;
}

/* tell() for every line, which are forgotten. */
static void tell_lines(struct held *h, void (*tell)(struct held *h, const struct gathered *g))
{
    for (int i = 0; i < h->n_lines; i++)
        tell(h, &h->line[i]);
    h->n_lines = 0;
}

/* ---- machines ---- */

struct most {
    int devices, cpus;
    double memory, host_memory;
    const char *of;
};

static struct most most_of(const struct mu_machine *m)
{
    return (struct most){m->nodes * m->devices, m->host_cores, m->device.memory, m->host_memory, m->name};
}

/* How many of the wishes the machine misses, each by its share; 0: it has all. What a machine does not tell is no miss.
 */
static double misses(const struct mu_campaign_resources *r, int64_t devices, const struct most *m)
{
    double sum = 0;
    if (devices > m->devices)
        sum += 1 - m->devices / (double)devices;
    if (m->cpus > 0 && r->cpus > m->cpus)
        sum += 1 - m->cpus / (double)r->cpus;
    if ((double)r->memory > m->memory)
        sum += 1 - m->memory / (double)r->memory;
    if (m->host_memory > 0 && (double)r->host_memory > m->host_memory)
        sum += 1 - m->host_memory / (double)r->host_memory;
    return sum;
}

static double nearest(const struct held *h, int task, struct most *out)
{
    const struct mu_campaign_resources *r = &h->c->task[task].policy.resources;
    int64_t devices = mu_campaign_devices(h->c, task);
    double least = INFINITY;
    for (int i = 0; i < h->w->n_machines; i++) {
        struct most m = most_of(&h->w->machine[i]);
        double d = misses(r, devices, &m);
        if (d < least) {
            least = d;
            *out = m;
        }
    }
    return least;
}

static void tell_resources(struct held *h, const struct gathered *g)
{
    const struct mu_campaign_resources *r = &h->c->task[g->task].policy.resources;
    int64_t devices = mu_campaign_devices(h->c, g->task);
    struct most m = {0};
    struct mu_buf text = MU_BUF_INIT("a sentence", 1024);
    int rc = MU_OK;
    nearest(h, g->task, &m);
    if (devices > m.devices)
        rc |= mu_buf_printf(&text, NULL, "; devices: %lld, there are %d", (long long)devices, m.devices);
    if ((double)r->memory > m.memory)
        rc |= mu_buf_printf(&text, NULL, "; memory: %s, a device has %s",
                            mu_campaign_bytes_text((double)r->memory).text, mu_campaign_bytes_text(m.memory).text);
    if (m.host_memory > 0 && (double)r->host_memory > m.host_memory)
        rc |= mu_buf_printf(&text, NULL, "; host_memory: %s, a node has %s",
                            mu_campaign_bytes_text((double)r->host_memory).text,
                            mu_campaign_bytes_text(m.host_memory).text);
    if (m.cpus > 0 && r->cpus > m.cpus)
        rc |= mu_buf_printf(&text, NULL, "; cpus: %lld, a node has %d", (long long)r->cpus, m.cpus);
    mu_campaign_fault(h->c, h->faults, g->at, "no machine has the resources of %s%s; the nearest is %s%s",
                      h->c->task[g->task].id, others(g->n).text, m.of, rc == MU_OK ? mu_buf_str(&text).p : "");
    mu_buf_fini(&text);
}

/* Where a task's devices are said: its settings, else its model. */
static struct mu_campaign_place resources_place(const struct mu_campaign *c, int i)
{
    const struct mu_campaign_place *at = &c->task[i].policy.resources_place;
    return at->line > 0 ? *at : c->model[c->task[i].model].at;
}

static void hold_resources(struct held *h)
{
    for (int i = 0; h->w->n_machines > 0 && i < h->c->n_tasks; i++) {
        struct most m;
        double d = nearest(h, i, &m);
        if (d > 0)
            gather(h, resources_place(h->c, i), i, d);
    }
    tell_lines(h, tell_resources);
}

/* Why devices, ranks and layout of a task do not go together; MU_OK: they do. */
static int agree(const struct mu_campaign *c, int i, struct mu_err *why)
{
    const struct mu_campaign_model *m = &c->model[c->task[i].model];
    int64_t devices = c->task[i].policy.resources.devices;
    struct mu_layout l;
    if (devices > 0 && m->ranks > 0 && devices != m->ranks)
        return mu_fail(why, MU_EFORMAT, "resources.devices is %lld, but its model's ranks are %lld", (long long)devices,
                       (long long)m->ranks);
    devices = devices > 0 ? devices : m->ranks;
    return devices > 0 && m->layout ? mu_layout_parse(&l, m->layout, (int)devices, why) : MU_OK;
}

static void tell_disagreement(struct held *h, const struct gathered *g)
{
    struct mu_err why = MU_ERR_INIT;
    agree(h->c, g->task, &why);
    mu_campaign_fault(h->c, h->faults, g->at, "%s%s: %.500s", h->c->task[g->task].id, others(g->n).text, why.text);
}

int mu_campaign_agree(const struct mu_campaign *c, struct mu_campaign_faults *faults, struct mu_err *e)
{
    struct held *h = NULL;
    MU_TRY_RETURN(MU_NEW(&h, "the check of a campaign", e));
    h->c = c;
    h->faults = faults;
    for (int i = 0; i < c->n_tasks; i++) {
        if (agree(c, i, NULL) != MU_OK)
            gather(h, resources_place(c, i), i, 0);
    }
    tell_lines(h, tell_disagreement);
    mu_free(h);
    return MU_OK;
}

/* ---- times ---- */

/* Earliest ends: a task begins when all its sets have ended. */
static int find_ends(struct held *h, struct mu_err *e)
{
    const struct mu_campaign *c = h->c;
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->guess, c->n_tasks, "a campaign's predictions", e));
    for (int i = 0; i < c->n_tasks; i++) {
        h->guess[i] = (struct mu_campaign_guess){.seconds = -1};
        if (h->w->predict)
            h->w->predict(h->w->arg, c, i, &h->guess[i]);
    }
    if (!c->order)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&h->end, c->n_tasks + c->n_sets, "a campaign's predictions", e));
    double *of_set = h->end + c->n_tasks;
    for (int k = 0; k < c->n_tasks; k++) {
        int i = c->order[k];
        const struct mu_campaign_task *t = &c->task[i];
        double start = 0;
        for (int s = 0; s < t->n_wait; s++)
            start = MU_MAX(start, of_set[t->wait[s]]);
        h->end[i] = start + MU_MAX(h->guess[i].seconds, 0);
        for (int s = 0; s < t->n_in; s++)
            of_set[t->in[s]] = MU_MAX(of_set[t->in[s]], h->end[i]);
    }
    return MU_OK;
}

/* Seconds from the start; INFINITY: none. */
static double deadline_of(const struct held *h, const struct mu_campaign_policy *p)
{
    if (p->deadline_s > 0)
        return p->deadline_s;
    return p->deadline_at && h->w->start_at ? (double)(p->deadline_at - h->w->start_at) : INFINITY;
}

static void tell_deadline(struct held *h, const struct gathered *g)
{
    const struct mu_campaign_task *t = &h->c->task[g->task];
    double deadline = deadline_of(h, &t->policy), own = MU_MAX(h->guess[g->task].seconds, 0), end = h->end[g->task];
    char waits[80] = "";
    if (deadline <= 0) {
        mu_campaign_fault(h->c, h->faults, g->at, "the deadline of %s%s, %s, is past: the campaign starts at %s", t->id,
                          others(g->n).text, mu_campaign_date_text(t->policy.deadline_at).text,
                          mu_campaign_date_text(h->w->start_at).text);
        return;
    }
    if (end > own)
        snprintf(waits, sizeof waits, ", %.40s of it waiting for others", mu_campaign_seconds_text(end - own).text);
    mu_campaign_fault(
        h->c, h->faults, g->at,
        "the deadline of %s%s is %s after the start, but it cannot end before %s%s: that is the earliest that "
        "can be asked",
        t->id, others(g->n).text, mu_campaign_seconds_text(deadline).text, mu_campaign_seconds_text(end).text, waits);
}

static void tell_timeout(struct held *h, const struct gathered *g)
{
    const struct mu_campaign_task *t = &h->c->task[g->task];
    mu_campaign_fault(h->c, h->faults, g->at, "timeout is %s, but %s%s is predicted to take %s",
                      mu_campaign_seconds_text(t->policy.timeout_s).text, t->id, others(g->n).text,
                      mu_campaign_seconds_text(h->guess[g->task].seconds).text);
}

static void tell_time(struct held *h, const struct gathered *g)
{
    const struct mu_campaign_task *t = &h->c->task[g->task];
    mu_campaign_fault(h->c, h->faults, g->at, "resources.time is %s, but %s%s is predicted to take %s",
                      mu_campaign_seconds_text(t->policy.resources.time_s).text, t->id, others(g->n).text,
                      mu_campaign_seconds_text(h->guess[g->task].seconds).text);
}

static void hold_times(struct held *h)
{
    const struct mu_campaign *c = h->c;
    for (int i = 0; h->end && i < c->n_tasks; i++) {
        double over = h->end[i] - deadline_of(h, &c->task[i].policy);
        if (over > 0 || deadline_of(h, &c->task[i].policy) <= 0)
            gather(h, c->task[i].policy.deadline_place, i, over);
    }
    tell_lines(h, tell_deadline);
    for (int i = 0; i < c->n_tasks; i++) {
        const struct mu_campaign_policy *p = &c->task[i].policy;
        if (p->timeout_s > 0 && h->guess[i].seconds > p->timeout_s)
            gather(h, p->timeout_place, i, h->guess[i].seconds - p->timeout_s);
    }
    tell_lines(h, tell_timeout);
    for (int i = 0; i < c->n_tasks; i++) {
        const struct mu_campaign_policy *p = &c->task[i].policy;
        if (p->resources.time_s > 0 && h->guess[i].seconds > p->resources.time_s)
            gather(h, p->resources_place, i, h->guess[i].seconds - p->resources.time_s);
    }
    tell_lines(h, tell_time);
}

/* ---- budgets ---- */

static double gpu_hours_of(const struct held *h, int i)
{
    int64_t devices = mu_campaign_devices(h->c, i);
    devices = devices > 0 ? devices : MU_MAX(h->guess[i].devices, 1);
    return MU_MAX(h->guess[i].seconds, 0) * (double)devices / 3600;
}

static void hold_gpu_hours(struct held *h)
{
    const struct mu_campaign *c = h->c;
    double budget = c->budgets.gpu_hours, most = 0;
    int worst = -1, n = 0;
    for (int i = 0; budget > 0 && i < c->n_tasks; i++) {
        double hours = gpu_hours_of(h, i);
        n += hours > budget;
        if (hours > budget && hours > most) {
            most = hours;
            worst = i;
        }
    }
    if (worst >= 0)
        mu_campaign_fault(c, h->faults, c->budgets_place,
                          "budgets.gpu_hours is %.4g, but %s%s alone is predicted to take %.4g", budget,
                          c->task[worst].id, others(n).text, most);
}

static void hold_walltime(struct held *h)
{
    const struct mu_campaign *c = h->c;
    double budget = c->budgets.walltime_s;
    int worst = -1, n = 0;
    for (int i = 0; budget > 0 && h->end && i < c->n_tasks; i++) {
        n += h->end[i] > budget;
        if (h->end[i] > budget && (worst < 0 || h->end[i] > h->end[worst]))
            worst = i;
    }
    if (worst >= 0)
        mu_campaign_fault(c, h->faults, c->budgets_place,
                          "budgets.walltime is %s, but %s%s cannot end before %s, with what it waits for",
                          mu_campaign_seconds_text(budget).text, c->task[worst].id, others(n).text,
                          mu_campaign_seconds_text(h->end[worst]).text);
}

/* ---- all of it ---- */

int mu_campaign_hold(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_faults *faults,
                     struct mu_err *e)
{
    struct held *h = NULL;
    int rc;
    MU_TRY(MU_NEW(&h, "the check of a campaign", e));
    h->c = c;
    h->w = w;
    h->faults = faults;
    MU_TRY(find_used(h, e));
    hold_resources(h);
    MU_TRY(find_ends(h, e));
    hold_times(h);
    hold_gpu_hours(h);
    hold_walltime(h);
out:
    if (h) {
        mu_free(h->guess);
        mu_free(h->end);
    }
    mu_free(h);
    return rc;
}

int mu_campaign_check(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_faults *faults,
                      struct mu_err *e)
{
    MU_TRY_RETURN(mu_campaign_hold(c, w, faults, e));
    return mu_campaign_faults_result(faults, MU_EINVAL, e);
}
