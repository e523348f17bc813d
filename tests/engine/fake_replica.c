/* fake_replica.c - see fake_replica.h */
#include "fake_replica.h"

#include "base/check.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/runner_ranks.h"
#include "xt.h"

static int sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    (void)e;
    mu_fake_sizes(arg, l->rows, l->logit_rows, out);
    return MU_OK;
}

static int open_runner(const struct fake_replica *f, struct mu_comm *world, struct mu_runner **out, struct mu_err *e)
{
    struct mu_rank k = {.replica = world, .n_stages = f->stages, .n_lanes = f->lanes, .tp = f->tp};
    struct mu_fake_opts o = f->setup.model;
    int rank = mu_comm_rank(world);
    k.stage = rank / (f->lanes * f->tp);
    k.lane = rank / f->tp % f->lanes;
    k.t = rank % f->tp;
    k.agrees = f->agrees;
    o.is_earlier_stage = k.stage < f->stages - 1;
    o.is_later_stage = k.stage > 0;
    MU_TRY_RETURN(mu_fake_runner_new(&k.local, &o, e));
    return mu_ranks_runner_new(out, &k, e);
}

static int drive(const struct fake_replica *f, struct mu_light_parts *parts, struct mu_err *e)
{
    mu_engine *eng = NULL;
    MU_TRY_RETURN(mu_light_open_parts(&eng, &f->setup.opts, parts, e));
    int rc = f->drive(f->arg, eng, e);
    mu_engine_close(eng);
    return rc;
}

static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct fake_replica *f = arg;
    struct mu_fake_opts model = f->setup.model;
    struct mu_light_parts parts = {.model_sizes = sizes,
                                   .sizes_arg = &model,
                                   .kv_dtype = MU_I32,
                                   .arch = "Fake",
                                   .level = "none",
                                   .threads = 1,
                                   .bos = 1,
                                   .eos = {f->setup.eos},
                                   .n_eos = f->setup.eos >= 0};
    struct mu_bill own, fullest;
    bool is_driver = mu_comm_rank(world) == 0;

    if (f->setup.has_text)
        parts.detok.ops = &fake_detok_ops;
    MU_TRY_RETURN(open_runner(f, world, &parts.runner, e));
    int rc = mu_agree_bill(world, &f->setup.opts, &parts, !is_driver, &own, &fullest, e);
    if (rc == MU_OK && is_driver) {
        parts.bill = &own;
        return drive(f, &parts, e);
    }
    if (rc == MU_OK)
        rc = parts.runner->ops->load(parts.runner, &own.limits, NULL, NULL, e);
    if (rc == MU_OK)
        rc = mu_ranks_follow(parts.runner, e);
    mu_light_parts_close(&parts);
    return rc;
}

int fake_replica_run(struct fake_replica *f)
{
    struct mu_fake_world *w = NULL;
    struct mu_err err = MU_ERR_INIT;
    int n = f->stages * f->lanes * f->tp;
    XT_CHECK(n <= (int)MU_COUNT(f->rc));
    XT_OK(mu_fake_world_open(&w, n, &f->comm, &err));
    mu_fake_world_run(w, on_rank, f, f->rc, f->errs);
    mu_fake_world_close(w);
    return f->rc[0];
}
