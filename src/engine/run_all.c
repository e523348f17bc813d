/* run_all.c - mu_engine_run(): many requests in, their results in the same order */
#include <muster/engine.h>

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/job.h"

struct run {
    mu_engine *eng;
    const struct mu_request *requests;
    struct mu_result **results;
    uint64_t *ids; /* [n] given by submit, increasing; a refused request has its predecessor's, or 0 */
    int n, n_submitted, n_in_flight;
};

/* A request that submit refused, as a result. */
static int refuse(struct run *run, int i, const struct mu_err *why, struct mu_err *e)
{
    struct mu_job *j = NULL;
    MU_TRY_RETURN(MU_NEW(&j, "a result", e));
    j->result = (struct mu_result){.user = run->requests[i].user,
                                   .kind = run->requests[i].kind,
                                   .code = why->code,
                                   .err = *why,
                                   .finish = MU_FINISH_ERROR,
                                   .stop_id = -1,
                                   .stop_string = -1,
                                   .n_prompt = run->requests[i].n_ids};
    run->results[i] = &j->result;
    return MU_OK;
}

/* Submit as many as the queue takes. */
static int submit_some(struct run *run, struct mu_err *e)
{
    for (; run->n_submitted < run->n; run->n_submitted++) {
        struct mu_err why = MU_ERR_INIT;
        int i = run->n_submitted;
        int rc = mu_engine_submit(run->eng, &run->requests[i], &run->ids[i], &why);
        if (rc == MU_OK) {
            run->n_in_flight++;
        } else if (rc == MU_ENOMEM && run->n_in_flight > 0) {
            return MU_OK; /* one done makes room */
        } else if (rc == MU_ENOMEM) {
            return mu_fail(e, rc, "%s", why.text);
        } else {
            run->ids[i] = i > 0 ? run->ids[i - 1] : 0;
            MU_TRY_RETURN(refuse(run, i, &why, e));
        }
    }
    return MU_OK;
}

static int index_of(const struct run *run, uint64_t id)
{
    int lo = 0, hi = run->n_submitted;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (run->ids[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < run->n_submitted && run->ids[lo] == id ? lo : -1;
}

static int take_one(struct run *run, struct mu_err *e)
{
    struct mu_result *r = NULL;
    MU_TRY_RETURN(mu_engine_poll(run->eng, &r, MU_WAIT_FOREVER, e));
    int i = r ? index_of(run, r->id) : -1;
    if (i < 0) {
        mu_result_free(r);
        return mu_fail(e, MU_EINTERNAL, "the engine returned %s while %d requests are in flight",
                       r ? "a request of somebody else" : "nothing", run->n_in_flight);
    }
    run->results[i] = r;
    run->n_in_flight--;
    return MU_OK;
}

static void undo(struct run *run)
{
    struct mu_result *r;
    for (int i = 0; i < run->n_submitted; i++) {
        if (run->ids[i] && !run->results[i])
            mu_engine_cancel(run->eng, run->ids[i], NULL);
    }
    while (mu_engine_poll(run->eng, &r, MU_WAIT_FOREVER, NULL) == MU_OK && r)
        mu_result_free(r);
    for (int i = 0; i < run->n; i++) {
        mu_result_free(run->results[i]);
        run->results[i] = NULL;
    }
}

int mu_engine_run(mu_engine *eng, const struct mu_request *requests, int n, struct mu_result **results,
                  struct mu_err *e)
{
    struct run run = {eng, requests, results, NULL, n, 0, 0};
    int rc;

    memset(results, 0, (size_t)n * sizeof *results);
    MU_TRY(MU_NEW_ARRAY(&run.ids, n, "the list of requests", e));
    do {
        MU_TRY(submit_some(&run, e));
        if (run.n_in_flight > 0)
            MU_TRY(take_one(&run, e));
    } while (run.n_in_flight > 0 || run.n_submitted < n);
out:
    if (rc != MU_OK && run.ids)
        undo(&run);
    mu_free(run.ids);
    return rc;
}
