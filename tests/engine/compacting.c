/* compacting.c - see compacting.h */
#include "compacting.h"

#include "base/check.h"
#include "engine/light.h"

static int between_steps(mu_engine *eng, struct compacting *c, int step, struct mu_err *e)
{
    size_t freed;
    int n = 0;
    if (c->pages_max > 0)
        MU_TRY_RETURN(mu_light_compact(eng, c->pages_max, &n, e));
    c->n_moved += n;
    return c->optimizes && step % 5 == 0 ? mu_engine_optimize_memory(eng, &freed, e) : MU_OK;
}

int compacting_run(mu_engine *eng, const struct request_set *s, struct mu_result **results, struct compacting *c,
                   struct mu_err *e)
{
    uint64_t first = 0, id;
    for (int i = 0; i < N_REQUESTS; i++) {
        MU_TRY_RETURN(mu_engine_submit(eng, &s->r[i], &id, e));
        first = i == 0 ? id : first;
    }
    for (int n_done = 0, step = 0; n_done < N_REQUESTS; step++) {
        struct mu_result *r = NULL;
        int rc = mu_engine_poll(eng, &r, 0, e);
        if (rc != MU_OK && rc != MU_ETIMEDOUT)
            return rc;
        if (r) {
            results[r->id - first] = r;
            n_done++;
        }
        MU_TRY_RETURN(between_steps(eng, c, step, e));
    }
    return MU_OK;
}
