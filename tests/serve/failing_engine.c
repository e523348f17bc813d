/* failing_engine.c - see failing_engine.h */
#include "failing_engine.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/light.h"

struct failing {
    struct mu_engine base;
    mu_engine *inner;
    struct fail_order *order;
    bool is_lost;
};

static struct failing *of(mu_engine *eng)
{
    return (struct failing *)eng;
}

static int lost(struct mu_err *e)
{
    return mu_fail(e, MU_EPEER, FAILING_SENTENCE);
}

static void look(struct failing *f)
{
    struct fail_order *o = f->order;
    if (f->is_lost || atomic_load(&o->n) == 0 || atomic_fetch_sub(&o->after, 1) > 0)
        return;
    atomic_fetch_sub(&o->n, 1);
    f->is_lost = true;
}

static int submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    return of(eng)->is_lost ? lost(e) : mu_engine_submit(of(eng)->inner, r, id, e);
}

static int poll_failing(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    struct failing *f = of(eng);
    *out = NULL;
    look(f);
    if (f->is_lost && !atomic_load(&f->order->is_by_piece))
        return lost(e);
    int rc = mu_engine_poll(f->inner, out, timeout_ns, e);
    if (!f->is_lost || rc != MU_OK)
        return rc;
    if (!*out)
        return lost(e);
    (*out)->code = lost(&(*out)->err);
    (*out)->finish = MU_FINISH_ERROR;
    return MU_OK;
}

static int cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    return mu_engine_cancel(of(eng)->inner, id, e);
}

static int optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    return mu_engine_optimize_memory(of(eng)->inner, bytes_freed, e);
}

static void status(mu_engine *eng, struct mu_engine_status *out)
{
    mu_engine_status(of(eng)->inner, out);
}

static void info(const mu_engine *eng, struct mu_engine_info *out)
{
    mu_engine_info(((const struct failing *)eng)->inner, out);
}

static const struct mu_bill *bill(const mu_engine *eng)
{
    return mu_engine_bill(((const struct failing *)eng)->inner);
}

static void close_failing(mu_engine *eng)
{
    mu_engine_close(failing_engine_unwrap(eng));
}

static const struct mu_engine_ops ops = {.name = "failing",
                                         .capabilities = MU_CAN_OURS,
                                         .submit = submit,
                                         .poll = poll_failing,
                                         .cancel = cancel,
                                         .optimize_memory = optimize_memory,
                                         .status = status,
                                         .info = info,
                                         .bill = bill,
                                         .close = close_failing};

int failing_engine_wrap(mu_engine **eng, struct fail_order *order, struct mu_err *e)
{
    struct failing *f = NULL;
    MU_TRY_RETURN(MU_NEW(&f, "a failing engine", e));
    f->base.ops = &ops;
    f->inner = *eng;
    f->order = order;
    *eng = &f->base;
    return MU_OK;
}

mu_engine *failing_engine_unwrap(mu_engine *eng)
{
    mu_engine *inner = of(eng)->inner;
    mu_free(of(eng));
    return inner;
}
