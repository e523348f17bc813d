/* state_machine.c - nodes, devices and Slurm jobs in the fold */
#include <inttypes.h>

#include "base/check.h"
#include "sched/slurm/jobs.h"
#include "sched/state_int.h"

/* ---- nodes and devices ---- */

static int check_seen(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (ev->node != s->n_nodes)
        return mu_state_refuse(ev, e, "the next node is %d, not %d", s->n_nodes, ev->node);
    if (ev->amount > MU_STATE_NODE_DEVICES_MAX)
        return mu_state_refuse(ev, e, "a node with %" PRId64 " devices, it may have %d", ev->amount,
                               MU_STATE_NODE_DEVICES_MAX);
    return MU_OK;
}

int mu_state_node_seen(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    int rc = MU_OK;
    int32_t first = s->n_devices;
    size_t name = 0;

    MU_TRY_RETURN(check_seen(s, ev, e));
    for (int i = 0; i < ev->amount; i++) {
        MU_TRY(MU_STATE_GROW(s, devices, MU_STATE_NODES_MAX * MU_STATE_NODE_DEVICES_MAX, e));
        s->devices[s->n_devices++].node = ev->node;
    }
    MU_TRY(MU_STATE_GROW(s, nodes, MU_STATE_NODES_MAX, e));
    MU_TRY(mu_state_keep_name(s, ev->text, &name, e));
    s->nodes[s->n_nodes++] =
        (struct mu_state_node){.device_first = first, .n_devices = (int32_t)ev->amount, .name = name};
out:
    if (rc != MU_OK)
        s->n_devices = first;
    return rc;
}

static int set_node(struct mu_state *s, const struct mu_event *ev, bool is_quarantined, struct mu_err *e)
{
    if (ev->node >= s->n_nodes)
        return mu_state_refuse(ev, e, "there is no node %d, the last one is %d", ev->node, s->n_nodes - 1);
    struct mu_state_node *n = &s->nodes[ev->node];
    if (n->is_quarantined == is_quarantined)
        return mu_state_refuse(ev, e, "node %d (%s) is %s quarantine already", ev->node, mu_state_name(s, n->name),
                               is_quarantined ? "in" : "out of");
    n->is_quarantined = is_quarantined;
    s->nodes_out += is_quarantined ? 1 : -1;
    return MU_OK;
}

static int set_device(struct mu_state *s, const struct mu_event *ev, bool is_quarantined, struct mu_err *e)
{
    if (ev->device >= s->n_devices)
        return mu_state_refuse(ev, e, "there is no device %d, the last one is %d", ev->device, s->n_devices - 1);
    struct mu_state_device *d = &s->devices[ev->device];
    if (d->is_quarantined == is_quarantined)
        return mu_state_refuse(ev, e, "device %d of node %s is %s quarantine already", ev->device,
                               mu_state_name(s, s->nodes[d->node].name), is_quarantined ? "in" : "out of");
    d->is_quarantined = is_quarantined;
    s->devices_out += is_quarantined ? 1 : -1;
    return MU_OK;
}

int mu_state_node_quarantined(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return set_node(s, ev, true, e);
}

int mu_state_node_back(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return set_node(s, ev, false, e);
}

int mu_state_device_quarantined(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return set_device(s, ev, true, e);
}

int mu_state_device_back(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    return set_device(s, ev, false, e);
}

bool mu_state_device_is_good(const struct mu_state *s, int32_t device)
{
    if (device < 0 || device >= s->n_devices || s->devices[device].is_quarantined)
        return false;
    return !s->nodes[s->devices[device].node].is_quarantined;
}

/* ---- Slurm jobs ---- */

static int check_job(const struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    if (ev->job < s->n_jobs)
        return MU_OK;
    return mu_state_refuse(ev, e, "there is no job %d, the last one is %d", ev->job, s->n_jobs - 1);
}

int mu_state_job_submitted(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    size_t id;
    if (ev->job != s->n_jobs)
        return mu_state_refuse(ev, e, "the next job is %d, not %d", s->n_jobs, ev->job);
    MU_TRY_RETURN(MU_STATE_GROW(s, jobs, MU_STATE_JOBS_MAX, e));
    MU_TRY_RETURN(mu_state_keep_name(s, ev->text, &id, e));
    s->jobs[s->n_jobs++] = (struct mu_state_job){.id = id, .state = MU_SLURM_PENDING, .left_ns = -1};
    return MU_OK;
}

/* Seen twice in one state is fine; from an end only the queue leads back. */
int mu_state_job_seen(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_job(s, ev, e));
    struct mu_state_job *j = &s->jobs[ev->job];
    enum mu_slurm_state to = mu_slurm_state_of(mu_str(ev->text ? ev->text : ""));
    if (mu_slurm_state_is_over(j->state) && to != j->state)
        return mu_state_refuse(ev, e, "job %d (Slurm's %s) had ended already, and is seen as %s", ev->job,
                               mu_state_name(s, j->id), ev->text ? ev->text : "");
    j->state = (uint8_t)to;
    return MU_OK;
}

int mu_state_job_requeued(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_job(s, ev, e));
    struct mu_state_job *j = &s->jobs[ev->job];
    j->state = MU_SLURM_PENDING;
    j->is_warned = false;
    j->left_ns = -1;
    j->requeues++;
    return MU_OK;
}

int mu_state_walltime_warning(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    MU_TRY_RETURN(check_job(s, ev, e));
    struct mu_state_job *j = &s->jobs[ev->job];
    if (mu_slurm_state_is_over(j->state))
        return mu_state_refuse(ev, e, "job %d (Slurm's %s) has ended", ev->job, mu_state_name(s, j->id));
    j->is_warned = true;
    j->left_ns = ev->amount;
    j->warned_wall_ns = ev->wall_ns;
    return MU_OK;
}
