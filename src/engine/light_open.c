/* light_open.c - from options to the parts of a light engine */
#include "engine/light.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/pool.h"
#include "comm/comm.h"
#include "engine/detok_tokenizer.h"
#include "engine/runner_model.h"
#include "model/packed.h"

_Static_assert(sizeof((struct mu_light_parts *)0)->arch == sizeof((struct mu_spec *)0)->arch, "names have one size");

static int model_sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    const struct mu_light_model *a = arg;
    struct mu_model_opts o = mu_model_runner_model_opts(&a->runner, l);
    return mu_model_sizes(a->spec, &o, a->device, out, e);
}

/* Activations are f32 whatever the weights are. */
static int choose_weights(enum mu_wformat *out, const char *name, const struct mu_spec *s, struct mu_err *e)
{
    *out = mu_model_own_format(s);
    return name ? mu_wformat_from_name(out, name, e) : MU_OK;
}

/* Weights that are left open are as the file has them, which a packed one says; what it does not have is refused. */
static int choose_formats(struct mu_light_parts *p, struct mu_model_runner_opts *r, const struct mu_engine_opts *o,
                          struct mu_err *e)
{
    const struct mu_packed_head *h = mu_weights_packed(p->checkpoint->weights);
    const char *file = h ? mu_weights_file_path(p->checkpoint->weights, 0) : NULL;
    enum mu_wformat has = MU_WF32;
    enum mu_mla_form has_mla = MU_MLA_ABSORBED;

    MU_TRY_RETURN(choose_weights(&p->weights, o->weights, &p->checkpoint->spec, e));
    r->mla = MU_MLA_ABSORBED;
    if (o->mla)
        MU_TRY_RETURN(mu_mla_form_from_name(&r->mla, o->mla, e));
    if (!h)
        return MU_OK;
    MU_TRY_RETURN(mu_packed_formats(h, &has, &has_mla, file, e));
    p->weights = o->weights ? p->weights : has;
    if (!o->mla && has_mla != r->mla) /* answers are known by the form that was asked for */
        return mu_fail(e, MU_EUSAGE, "%s is packed for latent attention in the naive form: say --mla naive", file);
    r->is_mapped = true;
    return mu_packed_check(h, &p->checkpoint->spec, p->weights, r->mla, file, e);
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
    MU_TRY_RETURN(choose_formats(p, &p->formats, o, e));
    return o->device ? MU_OK : mu_device_open_default(&p->device, o->level, o->threads, e);
}

int mu_light_parts_model(struct mu_light_parts *p, struct mu_light_model *m, const struct mu_engine_opts *o,
                         const struct mu_shard *shard, struct mu_err *e)
{
    *m = (struct mu_light_model){.spec = &p->checkpoint->spec, .device = o->device ? o->device : p->device};
    m->runner = p->formats;
    m->runner.shard = shard;
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
