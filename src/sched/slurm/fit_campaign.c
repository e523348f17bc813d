/* fit_campaign.c - see fit_campaign.h */
#include "sched/slurm/fit_campaign.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define MIB 1048576.0

/* A model on some devices, for the work of a suite: what one fit says, for all tasks that want it so. */
struct known {
    int asked, devices; /* 0: the planner's choice; what it comes to */
    int suite;          /* -1: those whose work is assumed */
    double load_s, request_s;
    bool is_linked;
    int next; /* of the same model; -1 */
};

struct knowns {
    struct known *list; /* [n_tasks], n of them */
    int *first;         /* [n_models]; -1 */
    int n;
};

/* ---- tasks ---- */

/* Requests of the suite's length; what is assumed is of the model's. */
static struct mu_plan_ask ask_for(const struct mu_slurm_campaign_ask *ask, int model, int suite)
{
    struct mu_plan_ask m = ask->model[model];
    struct mu_workload *w = &m.work;
    if (suite < 0 || !m.spec)
        return m;
    w->requests = (int64_t)ask->suite[suite].requests;
    w->output = ask->suite[suite].output;
    w->prompt = MU_MAX(MU_MIN(ask->suite[suite].prompt, m.spec->context - w->output), 1);
    w->scored = w->output > 0 ? 0 : MU_MIN(w->scored, w->prompt);
    return m;
}

static int fit_model(struct known *k, const struct mu_site *site, const struct mu_site_partition *p,
                     const struct mu_slurm_campaign_ask *ask, int model, int devices, int suite, struct mu_err *e)
{
    struct mu_plan_ask m = ask_for(ask, model, suite);
    struct mu_slurm_wish wish = {.only = p, .devices = devices};
    struct mu_slurm_fit fit;
    struct mu_err why = MU_ERR_INIT;
    *k = (struct known){.asked = devices, .devices = MU_MAX(devices, 1), .suite = suite, .request_s = -1, .next = -1};
    if (!m.spec)
        return MU_OK;
    int rc = mu_slurm_fit(&fit, site, &m, &wish, &why);
    if (rc != MU_OK)
        return mu_fail(e, rc, "model %s: %s", ask->campaign->model[model].name, why.text);
    const struct mu_cost *c = &fit.plan->choice.cost;
    k->devices = fit.part.tasks;
    k->load_s = c->load_s;
    k->request_s = (c->total_s - c->load_s) / (double)MU_MAX(m.work.requests, 1);
    k->is_linked = fit.part.is_linked;
    mu_slurm_fit_fini(&fit);
    return MU_OK;
}

/* Fitted once for each number of devices that tasks of the model ask for, and each work. */
static int know(struct knowns *k, const struct mu_site *site, const struct mu_slurm_campaign_fit *f,
                const struct mu_slurm_campaign_ask *ask, int task, struct known **out, struct mu_err *e)
{
    const struct mu_campaign_task *t = &ask->campaign->task[task];
    int *at = &k->first[t->model], suite = ask->suite[t->suite].prompt > 0 ? t->suite : -1;
    int devices = (int)MU_MIN(mu_campaign_devices(ask->campaign, task), MU_COMM_RANKS_MAX);
    while (*at >= 0 && (k->list[*at].asked != devices || k->list[*at].suite != suite))
        at = &k->list[*at].next;
    if (*at < 0) {
        MU_TRY_RETURN(fit_model(&k->list[k->n], site, f->partition, ask, t->model, devices, suite, e));
        *at = k->n++;
    }
    *out = &k->list[*at];
    return MU_OK;
}

/* What the file says of its time comes before what is predicted. */
static double seconds_of(const struct mu_slurm_campaign_ask *ask, const struct mu_campaign_task *t,
                         const struct known *k)
{
    if (t->policy.resources.time_s > 0)
        return t->policy.resources.time_s;
    return k->request_s < 0 ? -1 : k->load_s + k->request_s * ask->suite[t->suite].requests;
}

static void count_task(struct mu_slurm_campaign_fit *f, const struct mu_campaign_guess *g, const struct known *k)
{
    f->n_unknown += g->seconds < 0;
    f->work_s += MU_MAX(g->seconds, 0) * g->devices;
    f->load_s = MU_MAX(f->load_s, k->load_s);
    f->devices = MU_MAX(f->devices, g->devices);
    f->part.is_linked |= k->is_linked;
}

/* All tasks on one partition. */
static int fit_tasks(struct mu_slurm_campaign_fit *f, const struct mu_site *site,
                     const struct mu_slurm_campaign_ask *ask, struct mu_err *e)
{
    const struct mu_campaign *c = ask->campaign;
    struct knowns known = {.n = 0};
    struct known *k;
    int rc = MU_OK;
    f->work_s = f->load_s = 0;
    f->n_unknown = f->devices = 0;
    MU_TRY(MU_NEW_ARRAY(&known.list, MU_MAX(c->n_tasks, 1), "tasks of a campaign", e));
    MU_TRY(MU_NEW_ARRAY(&known.first, MU_MAX(c->n_models, 1), "models of a campaign", e));
    for (int i = 0; i < c->n_models; i++)
        known.first[i] = -1;
    for (int i = 0; i < c->n_tasks; i++) {
        MU_TRY(know(&known, site, f, ask, i, &k, e));
        f->task[i] = (struct mu_campaign_guess){.seconds = seconds_of(ask, &c->task[i], k), .devices = k->devices};
        count_task(f, &f->task[i], k);
    }
out:
    mu_free(known.list);
    mu_free(known.first);
    return rc;
}

static void predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    const struct mu_slurm_campaign_fit *f = arg;
    (void)c;
    *out = f->task[task];
}

static int find_chain(struct mu_slurm_campaign_fit *f, const struct mu_campaign *c, struct mu_err *e)
{
    struct mu_campaign_world world = {.arg = f, .predict = predict};
    struct mu_campaign_plan *plan = NULL;
    MU_TRY_RETURN(mu_campaign_plan(c, &world, &plan, e));
    f->chain_s = plan->chain_s;
    mu_campaign_plan_free(plan);
    return MU_OK;
}

/* ---- devices ---- */

static double predict_on(const struct mu_slurm_campaign_fit *f, int devices)
{
    return MU_SLURM_START_S + MU_MAX(f->chain_s, f->work_s / devices);
}

static bool is_soon_enough(const struct mu_slurm_campaign_fit *f, const struct mu_site *site, int devices,
                           double limit_s)
{
    return predict_on(f, devices) * site->time_margin + (double)site->signal_lead_s <= limit_s;
}

static int check_wish(const struct mu_slurm_campaign_fit *f, const struct mu_slurm_campaign_ask *ask, struct mu_err *e)
{
    const struct mu_machine *m = &f->partition->machine;
    int most = m->nodes * m->devices, wanted = ask->devices > 0 ? ask->devices : ask->nodes * m->devices;
    if (f->devices > most)
        return mu_fail(e, MU_ENOMEM, "a task needs %d devices, and a job of partition %s may have %d", f->devices,
                       f->partition->name, most);
    if (wanted > 0 && wanted < f->devices)
        return mu_fail(e, MU_EUSAGE, "%d devices: a task of the campaign needs %d", wanted, f->devices);
    if (ask->nodes > m->nodes || wanted > most)
        return mu_fail(e, MU_EUSAGE, "%d nodes and %d devices: a job of partition %s may have %d nodes of %d",
                       ask->nodes, wanted, f->partition->name, m->nodes, m->devices);
    if (ask->nodes > 0 && ask->devices > ask->nodes * m->devices)
        return mu_fail(e, MU_EUSAGE, "%d devices: %d nodes of partition %s have %d", ask->devices, ask->nodes,
                       f->partition->name, ask->nodes * m->devices);
    if (ask->time_s > f->partition->time_max_s)
        return mu_fail(e, MU_EUSAGE, "a time of %" PRId64 " s: partition %s allows %" PRId64, ask->time_s,
                       f->partition->name, f->partition->time_max_s);
    return MU_OK;
}

/* More devices than the widest task needs only for a time that is wanted; the fewest where none meet it. */
static void choose_devices(struct mu_slurm_campaign_fit *f, const struct mu_site *site,
                           const struct mu_slurm_campaign_ask *ask)
{
    const struct mu_machine *m = &f->partition->machine;
    double limit_s = ask->time_s > 0 ? (double)ask->time_s : ask->campaign->budgets.walltime_s;
    int per_node = m->devices, devices = f->devices, nodes = ask->nodes;
    if (ask->devices > 0 || nodes > 0) {
        devices = ask->devices > 0 ? ask->devices : nodes * per_node;
    } else if (limit_s > 0) {
        while (devices < m->nodes * per_node && !is_soon_enough(f, site, devices, limit_s))
            devices = devices < per_node ? devices + 1 : (devices / per_node + 1) * per_node;
        if (!is_soon_enough(f, site, devices, limit_s))
            devices = f->devices;
    }
    nodes = MU_MAX(nodes, (devices + per_node - 1) / per_node);
    f->devices_per_node = (devices + nodes - 1) / nodes;
    f->devices = f->devices_per_node * nodes;
    f->part.nodes = nodes;
}

/* ---- the job ---- */

static int fill_constraint(struct mu_slurm_part *p, const struct mu_campaign *c, struct mu_err *e)
{
    for (int i = 0; i < c->n_tasks; i++) {
        const char *asked = c->task[i].policy.resources.constraint;
        if (p->constraint && asked && strcmp(p->constraint, asked) != 0)
            return mu_fail(e, MU_EINVAL,
                           "%s asks for the constraint %s, a task before it for %s: one job has one; submit them apart",
                           c->task[i].id, asked, p->constraint);
        p->constraint = asked ? asked : p->constraint;
    }
    return MU_OK;
}

/* The job's share of a node, as devices have it; more where a task says so. */
static void fill_share(struct mu_slurm_campaign_fit *f, const struct mu_campaign *c)
{
    const struct mu_site_partition *t = f->partition;
    struct mu_slurm_part *p = &f->part;
    int per_node = t->machine.devices;
    double share = p->is_whole ? 1 : (double)f->devices_per_node / per_node;
    p->cpus_per_task = (int)MU_MAX((double)t->cpus * share, 1);
    p->memory_mib = (int64_t)(t->machine.host_memory * share / MIB);
    for (int i = 0; i < c->n_tasks; i++) {
        const struct mu_campaign_resources *r = &c->task[i].policy.resources;
        p->cpus_per_task = (int)MU_MAX(p->cpus_per_task, MU_MIN(r->cpus, t->cpus));
        p->memory_mib = MU_MAX(p->memory_mib, (int64_t)((double)r->host_memory / MIB));
    }
}

static int fill_part(struct mu_slurm_campaign_fit *f, const struct mu_campaign *c, struct mu_err *e)
{
    const struct mu_site_partition *t = f->partition;
    struct mu_slurm_part *p = &f->part;
    p->partition = t;
    p->tasks = p->nodes;
    p->tasks_per_node = 1;
    p->is_direct = true;
    p->gres_per_node = f->devices_per_node;
    p->is_whole = t->is_exclusive || p->nodes > 1 || f->devices_per_node == t->machine.devices;
    f->devices_held = p->nodes * (p->is_whole ? t->machine.devices : f->devices_per_node);
    fill_share(f, c);
    return fill_constraint(p, c, e);
}

/* The first partition that takes all tasks, of those that are asked for. */
static int find_partition(struct mu_slurm_campaign_fit *f, const struct mu_site *site,
                          const struct mu_slurm_campaign_ask *ask, struct mu_err *e)
{
    const struct mu_site_partition *named;
    int rc = MU_EINTERNAL;
    if (ask->partition)
        MU_TRY_RETURN(mu_site_partition_find(&named, site, ask->partition, e));
    for (int i = 0; i < site->n_partitions && rc != MU_OK; i++) {
        if (ask->partition && strcmp(ask->partition, site->partition[i].name) != 0)
            continue;
        f->partition = &site->partition[i];
        f->part = (struct mu_slurm_part){.partition = f->partition};
        rc = fit_tasks(f, site, ask, e);
        if (rc == MU_OK)
            rc = check_wish(f, ask, e);
    }
    return rc;
}

int mu_slurm_fit_campaign(struct mu_slurm_campaign_fit *out, const struct mu_site *site,
                          const struct mu_slurm_campaign_ask *ask, struct mu_err *e)
{
    int rc = MU_OK;
    *out = (struct mu_slurm_campaign_fit){.task = NULL};
    MU_TRY(MU_NEW_ARRAY(&out->task, MU_MAX(ask->campaign->n_tasks, 1), "tasks of a campaign", e));
    MU_TRY(find_partition(out, site, ask, e));
    MU_TRY(find_chain(out, ask->campaign, e));
    choose_devices(out, site, ask);
    MU_TRY(fill_part(out, ask->campaign, e));
    out->predicted_s = predict_on(out, out->devices);
    MU_TRY(mu_slurm_walltime(&out->time_s, &out->runs, out->predicted_s, out->load_s, site, out->partition, ask->time_s,
                             e));
out:
    if (rc != MU_OK)
        mu_slurm_campaign_fit_fini(out);
    return rc;
}

/* A node has the cpus that the profile says jobs may use. */
int mu_slurm_campaign_hold(struct mu_slurm_campaign_fit *f, const struct mu_campaign *c, int64_t start_at,
                           struct mu_campaign_faults *faults, struct mu_err *e)
{
    struct mu_machine nodes = f->partition->machine;
    const struct mu_campaign_world world = {
        .arg = f, .predict = predict, .machine = &nodes, .n_machines = 1, .start_at = start_at};
    nodes.host_cores = (int)f->partition->cpus;
    snprintf(nodes.name, sizeof nodes.name, "%.40s", f->partition->name);
    return mu_campaign_check(c, &world, faults, e);
}

void mu_slurm_campaign_fit_fini(struct mu_slurm_campaign_fit *f)
{
    mu_free(f->task);
    f->task = NULL;
}
