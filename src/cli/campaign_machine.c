/* campaign_machine.c - see campaign_machine.h */
#include "cli/campaign_machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "sched/slurm/duration.h"
#include "tensor/matrix.h"

#define ASK_S 60

/* ---- models ---- */

static int64_t in_format(int64_t n, enum mu_wformat format)
{
    size_t data, scales;
    mu_matrix_bytes(format, MU_PANEL, n / MU_PANEL + 1, MU_TILE_K, &data, &scales);
    return (int64_t)(data + scales);
}

/* As the files have it, or in the format that the campaign asks for; 0 where neither can be told. */
static int64_t weights_of(const struct mu_campaign_model *m)
{
    mu_model_card *card;
    enum mu_wformat format;
    int64_t bytes = 0;
    if (m->endpoint || mu_model_card_open(&card, m->model, NULL) != MU_OK)
        return 0;
    const struct mu_model_facts *f = mu_model_card_facts(card);
    bytes = f->n_bytes;
    if (m->weights && mu_wformat_from_name(&format, m->weights, NULL) == MU_OK)
        bytes = in_format(f->n_params, format);
    mu_model_card_close(card);
    return bytes;
}

static int look_at_models(struct mu_campaign_machine *m, const struct mu_campaign *c, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&m->weights, MU_MAX(c->n_models, 1), "the models of a campaign", e));
    for (int i = 0; i < c->n_models; i++)
        m->weights[i] = weights_of(&c->model[i]);
    return MU_OK;
}

/* ---- nodes ---- */

static bool is_word(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static int choose_launcher(struct mu_campaign_machine *m, const char *launcher, struct mu_err *e)
{
    MU_TRY_RETURN(mu_slurm_here_read(&m->here, getenv, e));
    m->is_job = m->here.job > 0 && m->here.nodes.n > 1;
    if (is_word(launcher, "local"))
        m->is_job = false;
    if (!is_word(launcher, "steps"))
        return MU_OK;
    m->is_job = true;
    return m->here.job > 0 ? MU_OK : mu_fail(e, MU_EINVAL, "--launcher steps: this is called in no Slurm job");
}

/* Numbers are a cluster's own, and clusters may share the folder of a campaign. */
static void name_job(struct mu_campaign_machine *m)
{
    const char *cluster = getenv("SLURM_CLUSTER_NAME");
    if (m->here.job > 0)
        snprintf(m->job, sizeof m->job, "%.64s:%" PRId64, cluster ? cluster : "", m->here.job);
}

static int name_nodes(struct mu_campaign_machine *m, struct mu_err *e)
{
    const char *at = NULL;
    m->n_nodes = m->is_job ? m->here.nodes.n : 1;
    MU_TRY_RETURN(MU_NEW_ARRAY(&m->node, m->n_nodes, "nodes", e));
    snprintf(m->name, sizeof m->name, "localhost");
    (void)gethostname(m->name, sizeof m->name - 1);
    m->node[0] = m->name;
    for (int i = 0; m->is_job && i < m->n_nodes; i++)
        m->node[i] = at = mu_slurm_hosts_next(&m->here.nodes, at);
    return MU_OK;
}

/* ---- devices ---- */

/* A job may have less than the node: cores and, in MiB, memory. 0: not said. */
static int64_t slurm_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long long n = text ? strtoll(text, &end, 10) : 0;
    return text && *text && !*end && n > 0 ? n : 0;
}

static int cut_nodes(struct mu_campaign_machine *m, const struct mu_campaign *c, int64_t devices, struct mu_err *e)
{
    int64_t a_node = MU_MAX(devices, 1), tasks = MU_MAX(c->concurrency.per_device, 1), most = c->concurrency.tasks;
    struct mu_host h;
    MU_TRY_RETURN(mu_host_discover(&h, e));
    int64_t memory = (int64_t)h.memory_available, cores = h.cores_allowed;
    if (m->here.job > 0 && slurm_number("SLURM_MEM_PER_NODE"))
        memory = MU_MIN(memory, slurm_number("SLURM_MEM_PER_NODE") << 20);
    if (m->is_job && slurm_number("SLURM_CPUS_ON_NODE"))
        cores = slurm_number("SLURM_CPUS_ON_NODE");
    if (most > 0 && m->n_nodes == 1) /* at a time: fewer devices, each a larger part */
        a_node = MU_MIN(a_node, most);
    if (a_node * m->n_nodes > MU_FLEET_DEVICES_MAX)
        return mu_fail(e, MU_ELIMIT, "%d nodes of %d devices: a campaign uses at most %d devices", m->n_nodes,
                       (int)a_node, MU_FLEET_DEVICES_MAX);
    m->n_devices = (int)a_node * m->n_nodes;
    m->cores = (int)MU_MAX(cores / a_node, 1);
    if (most > 0) { /* then fewer tasks on each */
        m->n_devices = (int)MU_MIN(m->n_devices, most);
        tasks = MU_MIN(tasks, most / m->n_devices);
    }
    MU_TRY_RETURN(MU_NEW_ARRAY(&m->device, m->n_devices, "devices", e));
    for (int i = 0; i < m->n_devices; i++)
        m->device[i] = (struct mu_fleet_device){.node = i / (int)a_node,
                                                .tasks_max = (int)MU_MIN(tasks, MU_DEVICE_TASKS_MAX),
                                                .memory = memory / a_node,
                                                .speed = 1};
    return MU_OK;
}

int mu_campaign_machine_look(struct mu_campaign_machine *m, const struct mu_campaign *c, const char *launcher,
                             int64_t devices, int64_t lead_s, struct mu_err *e)
{
    *m = (struct mu_campaign_machine){.here = MU_SLURM_HERE_INIT, .lead_s = lead_s, .ends_s = INFINITY};
    MU_TRY_RETURN(choose_launcher(m, launcher, e));
    name_job(m);
    MU_TRY_RETURN(name_nodes(m, e));
    MU_TRY_RETURN(cut_nodes(m, c, devices, e));
    return look_at_models(m, c, e);
}

double mu_campaign_machine_left(struct mu_campaign_machine *m)
{
    double now_s = (double)mu_now_ns(mu_clock_real()) * 1e-9;
    int64_t left;
    if (m->here.job == 0)
        return INFINITY;
    if (m->asked_s > 0 && now_s - m->asked_s < ASK_S)
        return m->ends_s - now_s;
    m->asked_s = now_s;
    if (mu_slurm_time_left(&left, &m->here, NULL) == MU_OK) /* else what it said last stands */
        m->ends_s = left == MU_SLURM_UNLIMITED ? INFINITY : now_s + (double)(left - m->lead_s);
    return m->ends_s - now_s;
}

void mu_campaign_machine_release(struct mu_campaign_machine *m)
{
    mu_free(m->node);
    mu_free(m->device);
    mu_free(m->weights);
    if (m->node)
        mu_slurm_here_fini(&m->here);
    *m = (struct mu_campaign_machine){0};
}
