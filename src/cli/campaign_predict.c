/* campaign_predict.c - see campaign_predict.h */
#include "cli/campaign_predict.h"

#include <math.h>
#include <time.h>

#include <muster/tokenizer.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/campaign_world.h"
#include "cli/cmd.h"
#include "cli/eval_args.h"
#include "cli/eval_config.h"
#include "cli/plan_inputs.h"
#include "plan/plan.h"

#define LEAST_SHARE 0.5 /* of a prediction, which may be too long */

/* ---- a suite's work ---- */

static int count_open(struct mu_eval_count *out, const struct mu_eval_opts *o, int64_t context, struct mu_err *e)
{
    mu_tokenizer *tok = NULL;
    mu_eval *ev = NULL;
    int rc = MU_OK;
    MU_TRY(mu_tokenizer_open(&tok, o->model, NULL, e));
    MU_TRY(mu_eval_open(&ev, o, tok, e));
    MU_TRY(mu_eval_count(ev, context, out, e));
out:
    mu_eval_close(ev);
    mu_tokenizer_close(tok);
    return rc;
}

/* Nothing is run or written: what only matters then is left out. */
static int count_asked(struct mu_eval_count *out, const struct mu_eval_args *a, int64_t context, struct mu_err *e)
{
    struct mu_eval_asked *x = NULL;
    MU_TRY_RETURN(MU_NEW(&x, "the options of a task", e));
    int rc = mu_eval_args_read(x, a, e);
    x->o.output_path = NULL;
    x->o.log_samples = false;
    x->o.predict_only = x->o.confirm_run_unsafe_code = false;
    if (rc == MU_OK)
        rc = count_open(out, &x->o, context, e);
    mu_eval_asked_release(x);
    mu_free(x);
    return rc;
}

int mu_campaign_count(struct mu_eval_count *out, const struct mu_campaign *c, int task, int64_t context,
                      struct mu_err *e)
{
    const struct mu_cmd *eval = &mu_cmd_eval;
    struct mu_eval_args *a = NULL;
    json_t *options = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW(&a, "the options of a task", e));
    eval->defaults(a);
    a->keep = json_array();
    MU_TRY(mu_campaign_task_options(c, task, &options, e));
    MU_TRY(mu_eval_config_set(eval, a, options, c->task[task].id, a->keep, e));
    a->output = NULL;
    a->log_samples = a->predict_only = false;
    MU_TRY(count_asked(out, a, context, e));
out:
    if (a)
        eval->release(a);
    mu_free(a);
    json_decref(options);
    return rc;
}

static const struct mu_eval_count *work_of(struct mu_campaign_predictor *p, int task, int64_t context)
{
    struct mu_campaign_suite_work *s = &p->suite[p->c->task[task].suite];
    if (!s->is_counted && mu_campaign_count(&s->count, p->c, task, context, NULL) != MU_OK)
        s->count = (struct mu_eval_count){.n_requests = 0};
    s->is_counted = true;
    return &s->count;
}

/* ---- a model ---- */

static struct mu_campaign_predict_model *model_of(struct mu_campaign_predictor *p, int model)
{
    const struct mu_campaign_model *m = &p->c->model[model];
    struct mu_campaign_predict_model *k = &p->model[model];
    if (!k->is_read && !m->endpoint)
        k->is_there = mu_plan_spec_open(&k->spec, m->model, NULL) == MU_OK &&
                      mu_plan_weights(&k->weights, m->model, &k->spec, m->weights, NULL) == MU_OK;
    k->is_read = true;
    return k;
}

/* ---- a task ---- */

static struct mu_workload work_on(const struct mu_campaign_predict_model *m, const struct mu_eval_count *n,
                                  const struct mu_machine *machine)
{
    struct mu_workload w = {.requests = n->n_requests, .weights = m->weights};
    w.prompt = MU_MAX((n->rows + n->n_requests - 1) / n->n_requests, 1);
    w.output = (n->drawn + n->n_requests - 1) / n->n_requests;
    w.kv_dtype = machine->is_host ? MU_F32 : MU_BF16;
    return w;
}

/* On so many devices; out->seconds below 0: they do not hold it. */
static void predict_on(const struct mu_campaign_predictor *p, const struct mu_spec *s, const struct mu_workload *w,
                       int devices, struct mu_campaign_guess *out)
{
    struct mu_plan_ask ask = {
        .spec = s, .machine = &p->machine, .work = *w, .devices = devices, .is_weights_fixed = true};
    struct mu_plan *plan = NULL;
    if (mu_plan_make(&plan, &ask, NULL) == MU_OK && !plan->is_refused && isfinite(plan->choice.cost.total_s))
        *out = (struct mu_campaign_guess){plan->choice.cost.total_s, devices, plan->choice.cost.load_s};
    mu_plan_free(plan);
}

void mu_campaign_predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    struct mu_campaign_predictor *p = arg;
    struct mu_campaign_predict_model *m = model_of(p, c->task[task].model);
    int fixed = (int)MU_MIN(mu_campaign_devices(c, task), MU_COMM_RANKS_MAX), devices = MU_MAX(fixed, 1);
    *out = (struct mu_campaign_guess){.seconds = -1, .devices = fixed};
    if (!m->is_there)
        return;
    const struct mu_eval_count *n = work_of(p, task, m->spec.context);
    if (n->n_requests == 0)
        return;
    struct mu_workload w = work_on(m, n, &p->machine);
    if (p->is_least)
        w.output = MU_MIN(w.output, 1);
    do
        predict_on(p, &m->spec, &w, devices, out);
    while (out->seconds < 0 && fixed == 0 && (devices *= 2) <= p->devices);
    if (p->is_least && out->seconds > 0)
        out->seconds *= LEAST_SHARE;
}

/* ---- all ---- */

int mu_campaign_predictor_open(struct mu_campaign_predictor *p, const struct mu_campaign *c, int64_t devices,
                               struct mu_err *e)
{
    *p = (struct mu_campaign_predictor){.c = c};
    MU_TRY_RETURN(mu_plan_cpus_here(&p->machine, (int)MU_MAX(devices, 1), 0, p->how, e));
    p->devices = devices > 0 ? (int)MU_MIN(devices, p->machine.devices) : p->machine.devices;
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->suite, MU_MAX(c->n_suites, 1), "the work of a campaign", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&p->model, MU_MAX(c->n_models, 1), "the models of a campaign", e));
    for (int i = 0; i < c->n_models; i++)
        p->model[i].spec = (struct mu_spec)MU_SPEC_INIT;
    return MU_OK;
}

void mu_campaign_predictor_release(struct mu_campaign_predictor *p)
{
    for (int i = 0; p->model && i < p->c->n_models; i++)
        mu_spec_fini(&p->model[i].spec);
    mu_free(p->model);
    mu_free(p->suite);
}

/* ---- times ---- */

static bool says_times(const struct mu_campaign *c)
{
    bool says = c->budgets.walltime_s > 0 || c->budgets.gpu_hours > 0;
    for (int i = 0; !says && i < c->n_tasks; i++) {
        const struct mu_campaign_policy *p = &c->task[i].policy;
        says = p->deadline_s > 0 || p->deadline_at > 0 || p->timeout_s > 0 || p->resources.time_s > 0;
    }
    return says;
}

int mu_campaign_check_times(const struct mu_campaign *c, int64_t devices, struct mu_err *e)
{
    struct mu_campaign_predictor p;
    struct mu_campaign_world world = {.arg = &p, .predict = mu_campaign_predict, .start_at = (int64_t)time(NULL)};
    struct mu_campaign_faults *faults = NULL;
    int rc = MU_OK;
    if (!says_times(c))
        return MU_OK;
    MU_TRY(mu_campaign_predictor_open(&p, c, devices, e));
    MU_TRY(MU_NEW(&faults, "the faults of a campaign", e));
    p.is_least = true;
    rc = mu_campaign_tell_faults(mu_campaign_check(c, &world, faults, e), c->file[0], faults, e);
out:
    mu_free(faults);
    mu_campaign_predictor_release(&p);
    return rc;
}
