/* light_open.c - from options to the parts of a light engine */
#include "engine/light.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/pool.h"
#include "comm/comm.h"
#include "engine/detok_tokenizer.h"
#include "engine/runner_model.h"

_Static_assert(sizeof((struct mu_light_parts *)0)->arch == sizeof((struct mu_spec *)0)->arch, "names have one size");

static int model_sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    const struct mu_light_model *a = arg;
    struct mu_model_opts o = mu_model_runner_model_opts(&a->runner, l);
    return mu_model_sizes(a->spec, &o, a->device, out, e);
}

/* Activations are f32 whatever the weights are. fp8 checkpoints become bf16: each weight is its value times the f32
 * scale of its block, rounded to the nearest bf16, so not exact; f32 weights, when asked for, round far less. */
static int choose_weights(enum mu_wformat *out, const char *name, const struct mu_spec *s, struct mu_err *e)
{
    *out = MU_WF32;
    if (name)
        return mu_wformat_from_name(out, name, e);
    if (strcmp(s->default_dtype, "bf16") == 0 || s->fp8_block_rows)
        *out = MU_WBF16;
    else if (strcmp(s->default_dtype, "f16") == 0)
        *out = MU_WF16;
    return MU_OK;
}

static int choose_mla(enum mu_mla_form *out, const char *name, struct mu_err *e)
{
    *out = MU_MLA_ABSORBED;
    if (!name || strcmp(name, "absorbed") == 0)
        return MU_OK;
    if (strcmp(name, "naive") != 0)
        return mu_fail(e, MU_EUSAGE, "latent attention \"%s\": absorbed and naive are supported", name);
    *out = MU_MLA_NAIVE;
    return MU_OK;
}

static void describe(struct mu_light_parts *p, const struct mu_engine_opts *o, const struct mu_device *d)
{
    const struct mu_checkpoint *c = p->checkpoint;
    memcpy(p->arch, c->spec.arch, sizeof p->arch); /* loading moves the spec away */
    p->n_params = c->spec.n_params;
    p->n_params_active = c->spec.n_params_active;
    p->level = d->ops->level;
    p->threads = mu_pool_threads(d->pool);
    p->bos = c->bos;
    p->n_eos = c->n_eos;
    memcpy(p->eos, c->eos, sizeof p->eos);
    p->repetition = c->repetition;
    if (o->tokenizer)
        p->detok = (struct mu_detok){&mu_detok_tokenizer_ops, o->tokenizer};
}

static int can_handle(const struct mu_engine_opts *o, struct mu_err *why)
{
    if (!o->model)
        return mu_fail(why, MU_EUSAGE, "no model is named");
    if (mu_comm_size(o->world) > 1)
        return mu_fail(why, MU_EUNSUPPORTED, "there are %d ranks and the light engine is one process",
                       mu_comm_size(o->world));
    if (strncmp(o->model, "http://", 7) == 0 || strncmp(o->model, "https://", 8) == 0)
        return mu_fail(why, MU_EUNSUPPORTED, "%s: the light engine runs models from files only", o->model);
    if (o->redundant_experts > 0)
        return mu_fail(why, MU_EUNSUPPORTED, "one process has every expert: redundant ones are for several ranks");
    return MU_OK;
}

int mu_light_parts_begin(struct mu_light_parts *p, const struct mu_engine_opts *o, struct mu_err *e)
{
    p->bos = -1;
    p->kv_dtype = MU_F32;
    if (o->kv_dtype)
        MU_TRY_RETURN(mu_kv_type_from_name(&p->kv_dtype, o->kv_dtype, e));
    MU_TRY_RETURN(MU_NEW(&p->checkpoint, "the checkpoint", e));
    MU_TRY_RETURN(mu_checkpoint_open(p->checkpoint, o->model, e));
    MU_TRY_RETURN(choose_weights(&p->weights, o->weights, &p->checkpoint->spec, e));
    return o->device ? MU_OK : mu_device_open_default(&p->device, o->level, o->threads, e);
}

int mu_light_parts_model(struct mu_light_parts *p, struct mu_light_model *m, const struct mu_engine_opts *o,
                         const struct mu_shard *shard, struct mu_err *e)
{
    *m = (struct mu_light_model){.spec = &p->checkpoint->spec, .device = o->device ? o->device : p->device};
    m->runner.shard = shard;
    MU_TRY_RETURN(choose_mla(&m->runner.mla, o->mla, e));
    MU_TRY_RETURN(mu_model_runner_new(&p->runner, p->checkpoint, m->device, &m->runner, e));
    describe(p, o, m->device);
    p->model_sizes = model_sizes;
    p->sizes_arg = m;
    return MU_OK;
}

static int light_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_light_parts parts = {.bos = -1};
    struct mu_light_model model;
    int rc;

    MU_TRY(mu_light_parts_begin(&parts, o, e));
    MU_TRY(mu_light_parts_model(&parts, &model, o, NULL, e));
    return mu_light_open_parts(out, o, &parts, e); /* parts are moved */
out:
    mu_light_parts_close(&parts);
    return rc;
}

const struct mu_engine_ops mu_engine_light = {
    .name = "light",
    .capabilities = MU_CAN_OURS,
    .can_handle = can_handle,
    .open = light_open,
    .submit = mu_light_submit,
    .poll = mu_light_poll,
    .cancel = mu_light_cancel,
    .optimize_memory = mu_light_optimize_memory,
    .status = mu_light_status,
    .info = mu_light_info,
    .seen = mu_light_seen,
    .forecast = mu_light_forecast,
    .bill = mu_light_bill,
    .runner = mu_light_runner,
    .close = mu_light_close,
};
