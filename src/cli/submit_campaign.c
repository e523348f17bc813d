/* submit_campaign.c - `muster submit CAMPAIGN`: `muster run` on the first node of one job, workers as its steps */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/campaign_predict.h"
#include "cli/campaign_world.h"
#include "cli/plan_inputs.h"
#include "cli/submit.h"
#include "sched/slurm/fit_campaign.h"

#define CHOICES 4 /* requests of a document, where a suite says how many documents */

/* One campaign on its way to a job. */
struct submission {
    struct mu_submit_job job;
    struct mu_campaign *campaign;
    const char *path;
    struct mu_spec *spec;              /* [n_models] */
    struct mu_plan_ask *plan;          /* [n_models] */
    struct mu_slurm_suite_work *suite; /* [n_suites] */
    int n_counted;                     /* suites whose work is not assumed */
    struct mu_slurm_campaign_fit fit;
};

/* ---- options ---- */

static int check_args(const struct mu_submit_args *a, struct mu_err *e)
{
    const struct {
        const char *name;
        bool is_given;
    } others[] = {{"model", a->model != NULL},     {"tasks", a->tasks != NULL},
                  {"weights", a->weights != NULL}, {"layout", a->layout != NULL},
                  {"eval", a->eval.n > 0},         {"requests", a->requests > 0},
                  {"prompt", a->prompt > 0},       {"output-tokens", a->output_tokens > 0}};
    for (size_t i = 0; i < MU_COUNT(others); i++)
        if (others[i].is_given)
            return mu_fail(e, MU_EUSAGE, "--%s is an option of single evaluations; the campaign file says its own",
                           others[i].name);
    return MU_OK;
}

/* ---- what it needs ---- */

static int ask_model(struct submission *x, int model, struct mu_err *e)
{
    const struct mu_campaign_model *m = &x->campaign->model[model];
    struct mu_spec *s = &x->spec[model];
    struct mu_workload *w = &x->plan[model].work;
    if (m->endpoint) /* it runs elsewhere */
        return MU_OK;
    MU_TRY_RETURN(mu_plan_spec_open(s, m->model, e));
    x->plan[model].spec = s;
    MU_TRY_RETURN(mu_plan_weights(&w->weights, m->model, s, m->weights, e));
    w->prompt = MU_MAX(MU_MIN(MU_SUBMIT_PROMPT, s->context / 2), 1);
    w->scored = MU_MIN(MU_SUBMIT_SCORED, w->prompt);
    w->requests = MU_SUBMIT_REQUESTS;
    return MU_OK;
}

/* Of suites whose data is not here. */
static double assume_requests(const struct mu_campaign_suite *s)
{
    double names = s->tasks ? mu_submit_count_names(s->tasks) : 1, each = MU_SUBMIT_REQUESTS;
    if (s->limit >= 1)
        each = fmin(each, s->limit * CHOICES);
    else if (s->limit > 0)
        each *= s->limit;
    return names * each;
}

/* As `muster run --plan` counts, with the first model that has the suite and can be read here. */
static int count_suites(struct submission *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->campaign;
    struct mu_eval_count n;
    bool *is_tried = NULL;
    MU_TRY_RETURN(MU_NEW_ARRAY(&is_tried, MU_MAX(c->n_suites, 1), "suites of a campaign", e));
    for (int i = 0; i < c->n_tasks; i++) {
        const struct mu_campaign_task *t = &c->task[i];
        const struct mu_spec *s = x->plan[t->model].spec;
        if (is_tried[t->suite] || !s)
            continue;
        is_tried[t->suite] = true;
        if (mu_campaign_count(&n, c, i, s->context, NULL) != MU_OK || n.n_requests < 1)
            continue;
        x->suite[t->suite] = (struct mu_slurm_suite_work){.requests = (double)n.n_requests,
                                                          .prompt = (n.rows + n.n_requests - 1) / n.n_requests,
                                                          .output = (n.drawn + n.n_requests - 1) / n.n_requests};
        x->n_counted++;
    }
    mu_free(is_tried);
    return MU_OK;
}

static int ask_all(struct submission *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->campaign;
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->spec, MU_MAX(c->n_models, 1), "models of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->plan, MU_MAX(c->n_models, 1), "models of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->suite, MU_MAX(c->n_suites, 1), "suites of a campaign", e));
    for (int i = 0; i < c->n_models; i++)
        x->spec[i] = (struct mu_spec)MU_SPEC_INIT;
    for (int i = 0; i < c->n_models; i++)
        MU_TRY_RETURN(ask_model(x, i, e));
    for (int i = 0; i < c->n_suites; i++)
        x->suite[i].requests = assume_requests(&c->suite[i]);
    return count_suites(x, e);
}

static int fit(struct submission *x, struct mu_err *e)
{
    const struct mu_submit_args *a = x->job.args;
    struct mu_slurm_campaign_ask ask = {.campaign = x->campaign,
                                        .model = x->plan,
                                        .suite = x->suite,
                                        .partition = a->partition,
                                        .nodes = (int)a->nodes,
                                        .devices = (int)a->devices};
    MU_TRY_RETURN(mu_submit_time_wished(a, &ask.time_s, e));
    MU_TRY_RETURN(mu_slurm_fit_campaign(&x->fit, x->job.site, &ask, e));
    x->job.partition = x->fit.partition;
    return MU_OK;
}

/* What the file says of times, resources and budgets, against what is predicted for the job. One that has begun goes on
 * with what is left of it, which nobody has predicted. */
static int hold(struct submission *x, struct mu_err *e)
{
    struct mu_campaign_faults *faults = NULL;
    struct mu_err why = MU_ERR_INIT;
    if (mu_campaign_has_begun(x->job.folder.p))
        return MU_OK;
    MU_TRY_RETURN(MU_NEW(&faults, "the faults of a campaign", e));
    int rc = mu_slurm_campaign_hold(&x->fit, x->campaign, (int64_t)time(NULL), faults, &why);
    rc = mu_campaign_tell_faults(rc, x->path, faults, &why);
    mu_free(faults);
    if (rc == MU_OK)
        return MU_OK;
    return mu_fail(
        e, rc, "%.600s (as predicted for partition %s of %s; resources.time of a task says better how long it takes)",
        why.text, x->fit.partition->name, x->job.site->name);
}

static int make_script(struct submission *x, struct mu_err *e)
{
    const struct mu_campaign *c = x->campaign;
    char devices[16], lead[24], title[256];
    const char *argv[] = {x->job.site->muster, "run",   x->path,  "--launcher", "steps",
                          "--devices",         devices, "--lead", lead,         "--output",
                          x->job.folder.p,     NULL};
    snprintf(devices, sizeof devices, "%d", x->fit.devices_per_node);
    snprintf(lead, sizeof lead, "%" PRId64, x->job.site->signal_lead_s);
    snprintf(title, sizeof title, "muster submit: campaign %.100s on %.60s", c->name, x->job.site->name);
    x->fit.part.argv = argv;
    return mu_submit_make_script(&x->job, title, c->name, &x->fit.part, x->fit.time_s, e);
}

/* ---- the report ---- */

/* Of the tasks of one model. */
struct row {
    int tasks, devices;
    double seconds;
    bool is_unknown;
};

static struct row row_of(const struct submission *x, int model)
{
    struct row r = {0};
    for (int i = 0; i < x->campaign->n_tasks; i++) {
        const struct mu_campaign_guess *g = &x->fit.task[i];
        if (x->campaign->task[i].model != model)
            continue;
        r.tasks++;
        r.devices = MU_MAX(r.devices, g->devices);
        r.seconds += MU_MAX(g->seconds, 0);
        r.is_unknown |= g->seconds < 0;
    }
    return r;
}

static struct mu_submit_time time_of(const struct submission *x)
{
    return (struct mu_submit_time){x->fit.predicted_s, x->fit.time_s, x->fit.runs, x->fit.devices_held};
}

static void print_models(const struct submission *x, FILE *f)
{
    const struct mu_campaign *c = x->campaign;
    fprintf(f, "%s: %d tasks, %d models, %d suites, results in %s\n", c->name, c->n_tasks, c->n_models, c->n_suites,
            x->job.folder.p);
    fprintf(f, "  %-40s  %6s  %7s  %9s\n", "model", "tasks", "devices", "predicted");
    for (int i = 0; i < c->n_models; i++) {
        struct row r = row_of(x, i);
        if (r.tasks > 0 && !r.is_unknown)
            fprintf(f, "  %-40s  %6d  %7d  %8.0fs\n", c->model[i].name, r.tasks, r.devices, r.seconds);
        else if (r.tasks > 0)
            fprintf(f, "  %-40s  %6d  %7d  %9s\n", c->model[i].name, r.tasks, r.devices, "unknown");
    }
    if (x->n_counted < c->n_suites)
        fprintf(f,
                "work      assumed for %d of %d suites, whose data is not here: %d requests for each name, %d for each "
                "document where limit says how many\n",
                c->n_suites - x->n_counted, c->n_suites, MU_SUBMIT_REQUESTS, CHOICES);
}

static void print_report(const void *arg, FILE *f)
{
    const struct submission *x = arg;
    const struct mu_slurm_campaign_fit *t = &x->fit;
    const struct mu_site_partition *p = t->partition;
    const struct mu_submit_time time = time_of(x);
    double budget = x->campaign->budgets.gpu_hours;
    print_models(x, f);
    fprintf(f, "\njob       %d node%s of partition %s on %s, %d device%s and %d cpus a node", t->part.nodes,
            t->part.nodes == 1 ? "" : "s", p->name, x->job.site->name, t->devices_per_node,
            t->devices_per_node == 1 ? "" : "s", t->part.cpus_per_task);
    if (p->gres)
        fprintf(f, ", %s:%d", p->gres, t->devices_per_node);
    fprintf(f, t->part.is_whole ? ", whole nodes\n" : "\n");
    mu_submit_print_time(&x->job, &time, f);
    if (t->n_unknown > 0)
        fprintf(f, "%d tasks have no prediction and are counted as none\n", t->n_unknown);
    if (budget > 0 && t->work_s / 3600 > budget)
        fprintf(f, "warning: budgets.gpu_hours is %.3g, and the tasks alone are predicted to take %.3g\n", budget,
                t->work_s / 3600);
}

static json_t *models_json(const struct submission *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->campaign->n_models; i++) {
        struct row r = row_of(x, i);
        if (r.tasks > 0)
            json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:o}", "model", x->campaign->model[i].name, "tasks",
                                                  r.tasks, "devices", r.devices, "seconds",
                                                  r.is_unknown ? json_null() : json_real(r.seconds)));
    }
    return list;
}

static json_t *make_json(const void *arg)
{
    const struct submission *x = arg;
    const struct mu_slurm_campaign_fit *t = &x->fit;
    const struct mu_submit_time time = time_of(x);
    json_t *job =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:s?, s:b, s:f, s:I, s:I, s:f, s:f}", "site", x->job.site->name,
                  "partition", t->partition->name, "nodes", t->part.nodes, "devices_per_node", t->devices_per_node,
                  "cpus_per_node", t->part.cpus_per_task, "memory_mib_per_node", (json_int_t)t->part.memory_mib, "gres",
                  t->partition->gres, "whole_nodes", (int)t->part.is_whole, "predicted_s", t->predicted_s, "time_s",
                  (json_int_t)t->time_s, "runs", (json_int_t)t->runs, "gpu_hours_predicted",
                  mu_submit_hours(&time, t->predicted_s), "gpu_hours_most", mu_submit_hours(&time, (double)t->time_s));
    json_t *campaign = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o?}", "name", x->campaign->name, "output",
                                 x->job.folder.p, "tasks", x->campaign->n_tasks, "without_prediction", t->n_unknown,
                                 "suites_counted", x->n_counted, "models", models_json(x));
    return json_pack("{s:o?, s:o?}", "campaign", campaign, "job", job);
}

/* ---- the command ---- */

static int prepare(struct submission *x, const struct mu_submit_args *a, struct mu_err *e)
{
    MU_TRY_RETURN(check_args(a, e));
    MU_TRY_RETURN(mu_campaign_open_here(&x->campaign, x->path, e));
    MU_TRY_RETURN(mu_submit_job_open(&x->job, a, x->campaign->site, e));
    MU_TRY_RETURN(mu_buf_puts(&x->job.folder, a->output ? a->output : x->campaign->output, e));
    MU_TRY_RETURN(ask_all(x, e));
    MU_TRY_RETURN(fit(x, e));
    MU_TRY_RETURN(hold(x, e));
    return make_script(x, e);
}

int mu_submit_campaign(const struct mu_submit_args *a, const char *path, struct mu_err *e)
{
    struct submission x = {.path = path};
    const struct mu_submit_face face = {.report = print_report, .json = make_json, .arg = &x};
    int rc = prepare(&x, a, e);
    if (rc == MU_OK)
        rc = mu_submit_act(&x.job, &face, e);
    mu_slurm_campaign_fit_fini(&x.fit);
    for (int i = 0; x.spec && i < x.campaign->n_models; i++)
        mu_spec_fini(&x.spec[i]);
    mu_free(x.spec);
    mu_free(x.plan);
    mu_free(x.suite);
    mu_submit_job_fini(&x.job);
    mu_campaign_free(x.campaign);
    return rc;
}
