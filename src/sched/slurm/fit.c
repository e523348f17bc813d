/* fit.c - see fit.h */
#include "sched/slurm/fit.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "sched/slurm/duration.h"

#define MIB 1048576.0

/* What came nearest of what does not fit. */
struct nearest {
    double bytes_missing;
    const struct mu_site_partition *partition;
    int devices;
    char why[MU_PLAN_TEXT_MAX];
};

/* One more device inside a node, then more nodes: by one, of many by a quarter; the most is tried too. */
static int next_devices(int devices, int per_node, int most)
{
    int nodes = devices / per_node;
    if (devices >= most)
        return most + 1;
    if (devices < per_node)
        return devices + 1;
    return MU_MIN((nodes + MU_MAX(nodes / 4, 1)) * per_node, most);
}

static int bad_wish(const struct mu_site_partition *p, const struct mu_slurm_wish *w, struct mu_err *e)
{
    const struct mu_machine *m = &p->machine;
    if (w->nodes > m->nodes)
        return mu_fail(e, MU_EUSAGE, "%d nodes: a job of partition %s may have %d", w->nodes, p->name, m->nodes);
    if (w->devices > m->nodes * m->devices)
        return mu_fail(e, MU_EUSAGE, "%d devices: a job of partition %s may have %d nodes of %d", w->devices, p->name,
                       m->nodes, m->devices);
    if (w->nodes > 0 && w->devices > w->nodes * m->devices)
        return mu_fail(e, MU_EUSAGE, "%d devices: %d nodes of partition %s have %d", w->devices, w->nodes, p->name,
                       w->nodes * m->devices);
    if (w->time_s > p->time_max_s)
        return mu_fail(e, MU_EUSAGE, "a time of %" PRId64 " s: partition %s allows %" PRId64, w->time_s, p->name,
                       p->time_max_s);
    return MU_OK;
}

static int try_plan(struct mu_slurm_fit *f, const struct mu_plan_ask *ask, int devices, int nodes, struct mu_err *e)
{
    mu_plan_free(f->plan);
    f->plan = NULL;
    f->machine = f->partition->machine;
    f->machine.nodes = nodes;
    f->ask = *ask;
    f->ask.machine = &f->machine;
    f->ask.devices = devices;
    f->ask.work.kv_dtype = f->machine.is_host ? MU_F32 : MU_BF16;
    f->ask.is_weights_fixed = true;
    MU_TRY_RETURN(mu_plan_make(&f->plan, &f->ask, e));
    if (f->plan->is_refused)
        return MU_OK;
    f->predicted_s = MU_SLURM_START_S + f->plan->choice.cost.total_s;
    return MU_OK;
}

static void note_missing(struct nearest *n, const struct mu_slurm_fit *f, int devices)
{
    if (n->partition && f->plan->bytes_missing >= n->bytes_missing)
        return;
    *n = (struct nearest){.bytes_missing = f->plan->bytes_missing, .partition = f->partition, .devices = devices};
    memcpy(n->why, f->plan->refusal, sizeof n->why);
}

static bool is_soon_enough(const struct mu_slurm_fit *f, const struct mu_site *site, const struct mu_slurm_wish *w)
{
    int64_t limit = w->time_s > 0 ? w->time_s : f->partition->time_max_s;
    if (!w->is_work_known || limit == MU_SLURM_UNLIMITED)
        return true;
    return f->predicted_s * site->time_margin + (double)site->signal_lead_s <= (double)limit;
}

/* *found: f holds a plan that fits the partition. first: the devices of the first that did. */
static int search(struct mu_slurm_fit *f, const struct mu_site *site, const struct mu_plan_ask *ask,
                  const struct mu_slurm_wish *w, struct nearest *near, bool *found, struct mu_err *e)
{
    const struct mu_machine *m = &f->partition->machine;
    int per_node = m->devices, most = m->nodes * per_node, first = 0, devices = 1;
    if (w->devices > 0 || w->nodes > 0)
        most = devices = w->devices > 0 ? w->devices : w->nodes * per_node;
    *found = false;
    for (; devices <= most; devices = next_devices(devices, per_node, most)) {
        int nodes = MU_MAX((devices + per_node - 1) / per_node, w->nodes);
        MU_TRY_RETURN(try_plan(f, ask, devices, nodes, e));
        if (f->plan->is_refused) {
            note_missing(near, f, devices);
            continue;
        }
        *found = true;
        first = first > 0 ? first : devices;
        if (is_soon_enough(f, site, w))
            return MU_OK;
    }
    /* None is soon enough: the fewest, and the job goes on in several runs. */
    return *found ? try_plan(f, ask, first, MU_MAX((first + per_node - 1) / per_node, w->nodes), e) : MU_OK;
}

static int refuse(const struct nearest *n, const struct mu_site *site, struct mu_err *e)
{
    return mu_fail(e, MU_ENOMEM, "it fits no partition of %s; nearest comes %s with %d devices: %s", site->name,
                   n->partition->name, n->devices, n->why);
}

/* ---- resources ---- */

static void fill_memory(struct mu_slurm_fit *f, const struct mu_site *site)
{
    const struct mu_machine *m = &f->machine;
    double one = m->is_host ? (double)f->plan->choice.bill.total : MU_SLURM_GPU_HOST_BYTES;
    double node = ceil(one * f->part.tasks_per_node * site->memory_margin / MIB);
    if (m->host_memory > 0)
        node = MU_MIN(node, floor(m->host_memory / MIB));
    f->part.memory_mib = (int64_t)node;
}

static void fill_part(struct mu_slurm_fit *f, const struct mu_site *site)
{
    const struct mu_plan_choice *c = &f->plan->choice;
    const struct mu_site_partition *t = f->partition;
    struct mu_slurm_part *p = &f->part;
    int per_node = f->machine.devices;
    p->partition = t;
    p->tasks = mu_layout_ranks(&c->layout);
    p->nodes = MU_MIN(MU_MAX((p->tasks + per_node - 1) / per_node, f->machine.nodes), p->tasks);
    p->tasks_per_node = (p->tasks + p->nodes - 1) / p->nodes;
    p->is_whole = t->is_exclusive || p->nodes > 1 || p->tasks_per_node == per_node;
    p->cpus_per_task = (int)MU_MAX(t->cpus / (p->is_whole ? p->tasks_per_node : per_node), 1);
    p->is_linked = c->layout.tp > 1 || c->layout.ep > 1;
    f->devices_held = p->nodes * (p->is_whole ? per_node : p->tasks_per_node);
    fill_memory(f, site);
}

/* Runs of the same job: each loads again, and drains before its end. */
static int64_t count_runs(int64_t time_s, double predicted_s, double again_s, const struct mu_site *site)
{
    double each = (double)(time_s - site->signal_lead_s) - again_s;
    return each > 0 ? (int64_t)MU_MIN(ceil((predicted_s - again_s) / each), 1e9) : 1000000000;
}

int mu_slurm_walltime(int64_t *time_s, int64_t *runs, double predicted_s, double load_s, const struct mu_site *site,
                      const struct mu_site_partition *p, int64_t wish_s, struct mu_err *e)
{
    double wanted = ceil(predicted_s * site->time_margin) + (double)site->signal_lead_s;
    double again_s = MU_SLURM_START_S + load_s, least = (double)site->signal_lead_s + again_s;
    int64_t limit = MU_MIN(p->time_max_s, (int64_t)MU_SLURM_DAYS_MAX * 86400);
    *time_s = wish_s > 0 ? wish_s : MU_MAX(MU_SLURM_TIME_LEAST_S, (int64_t)MU_MIN(wanted, 1e15));
    *time_s = MU_MIN(*time_s, limit);
    *runs = MU_MAX(count_runs(*time_s, predicted_s, again_s, site), 1);
    if ((double)*time_s > least)
        return MU_OK;
    return mu_fail(e, MU_EUSAGE,
                   "a time of %" PRId64 " s: a run needs %.0f s to start and load, and is warned %" PRId64
                   " s before its end: more than %.0f s are needed, here or as max_time of partition %s",
                   *time_s, again_s, site->signal_lead_s, least, p->name);
}

/* ---- the face ---- */

static bool is_asked_for(const struct mu_site_partition *p, const struct mu_slurm_wish *w)
{
    return (!w->only || w->only == p) && (!w->partition || strcmp(w->partition, p->name) == 0);
}

/* The first that takes it, of those that are asked for and can have what is wished. */
static int find_partition(struct mu_slurm_fit *f, const struct mu_site *site, const struct mu_plan_ask *ask,
                          const struct mu_slurm_wish *wish, struct mu_err *e)
{
    const struct mu_site_partition *named;
    struct nearest near = {.partition = NULL};
    struct mu_err bad = MU_ERR_INIT;
    bool found = false;
    if (wish->partition)
        MU_TRY_RETURN(mu_site_partition_find(&named, site, wish->partition, e));
    for (int i = 0; i < site->n_partitions && !found; i++) {
        f->partition = &site->partition[i];
        if (is_asked_for(f->partition, wish) && bad_wish(f->partition, wish, &bad) == MU_OK)
            MU_TRY_RETURN(search(f, site, ask, wish, &near, &found, e));
    }
    if (found)
        return MU_OK;
    return near.partition ? refuse(&near, site, e) : mu_fail(e, bad.code, "%s", bad.text);
}

int mu_slurm_fit(struct mu_slurm_fit *out, const struct mu_site *site, const struct mu_plan_ask *ask,
                 const struct mu_slurm_wish *wish, struct mu_err *e)
{
    int rc = MU_OK;
    *out = (struct mu_slurm_fit){.plan = NULL};
    MU_TRY(find_partition(out, site, ask, wish, e));
    fill_part(out, site);
    MU_TRY(mu_slurm_walltime(&out->time_s, &out->runs, out->predicted_s, out->plan->choice.cost.load_s, site,
                             out->partition, wish->time_s, e));
out:
    if (rc != MU_OK)
        mu_slurm_fit_fini(out);
    return rc;
}

void mu_slurm_fit_fini(struct mu_slurm_fit *f)
{
    mu_plan_free(f->plan);
    f->plan = NULL;
}
