/* engine.c - the public face over the table of engines */
#include "engine/engine_int.h"

#include "base/check.h"
#include "base/mem.h"

static const struct mu_engine_ops *const engines[] = {&mu_engine_light};

int mu_engine_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    int rc = MU_EUNSUPPORTED;
    for (size_t i = 0; i < MU_COUNT(engines); i++) {
        rc = engines[i]->can_handle(o, e);
        if (rc == MU_OK)
            return engines[i]->open(out, o, e);
    }
    return rc;
}

void mu_engine_close(mu_engine *eng)
{
    if (eng)
        eng->ops->close(eng);
}

void mu_engine_info(const mu_engine *eng, struct mu_engine_info *out)
{
    eng->ops->info(eng, out);
}

const struct mu_bill *mu_engine_bill(const mu_engine *eng)
{
    return eng->ops->bill(eng);
}

int mu_engine_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    return eng->ops->submit(eng, r, id, e);
}

int mu_engine_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    return eng->ops->poll(eng, out, timeout_ns, e);
}

int mu_engine_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    return eng->ops->cancel(eng, id, e);
}

void mu_engine_status(mu_engine *eng, struct mu_engine_status *out)
{
    eng->ops->status(eng, out);
}

int mu_engine_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    return eng->ops->optimize_memory(eng, bytes_freed, e);
}

const char *mu_finish_name(enum mu_finish f)
{
    static const char *const names[] = {"none", "stop", "length", "cancelled", "error"};
    return (unsigned)f < MU_COUNT(names) ? names[f] : "?";
}
