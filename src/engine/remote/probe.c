/* probe.c - one small request of each kind that will be asked, while the engine is opened
 *
 * A server that cannot score is found in the first second, not after the hours that the texts of another task took. The
 * form that it understands is found on the way, by one request and not by all that are under way at first. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "engine/remote/remote.h"

#define WORDS     "The cat sat"
#define N_IDS_MAX 16

/* An odd continuation: the first word again in place of the last. Without a tokenizer any tokens do. */
static int make_prompt(const struct mu_remote *r, struct mu_ids *ids, struct mu_err *e)
{
    if (r->tok)
        MU_TRY_RETURN(mu_tokenizer_encode(r->tok, WORDS, sizeof WORDS - 1, MU_TOK_ADD_SPECIAL, ids, e));
    while (ids->n < 3)
        MU_TRY_RETURN(mu_ids_add(ids, (int32_t)ids->n + 1, e));
    ids->v[ids->n - 1] = ids->v[ids->n - 2];
    return MU_OK;
}

static int ask(struct mu_remote *r, const struct mu_request *q, struct mu_err *e)
{
    struct mu_result *result = NULL;
    uint64_t id;
    MU_TRY_RETURN(mu_engine_submit(&r->base, q, &id, e));
    MU_TRY_RETURN(mu_engine_poll(&r->base, &result, MU_WAIT_FOREVER, e));
    int rc = result->code == MU_OK ? MU_OK : mu_fail(e, result->code, "%s", result->err.text);
    mu_result_free(result);
    return rc;
}

static int generate(struct mu_remote *r, const struct mu_ids *ids, struct mu_err *e)
{
    struct mu_request q = MU_REQUEST_INIT;
    q.kind = MU_REQUEST_GENERATE;
    q.ids = ids->v;
    q.n_ids = (int)ids->n - 1;
    q.max_tokens = 1;
    return ask(r, &q, e);
}

static int score(struct mu_remote *r, const struct mu_ids *ids, struct mu_err *e)
{
    struct mu_request q = MU_REQUEST_INIT;
    q.kind = MU_REQUEST_SCORE;
    q.ids = ids->v;
    q.n_ids = (int)ids->n - 1;
    q.continuation = ids->v + q.n_ids;
    q.n_continuation = 1;
    return ask(r, &q, e);
}

/* A server that generates and does not score is told apart from one that answers nothing. */
static int try_score(struct mu_remote *r, const struct mu_ids *ids, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT, other = MU_ERR_INIT;
    int rc = score(r, ids, &why);
    if (rc == MU_OK)
        return MU_OK;
    mu_breaker_worked(&r->breaker);
    if (rc == MU_ENOMEM || generate(r, ids, &other) != MU_OK)
        return mu_fail(e, rc, "%s", why.text);
    size_t n = strlen(r->title);
    const char *reason = strncmp(why.text, r->title, n) == 0 ? why.text + n + 2 : why.text;
    mu_fail(e, MU_EUNSUPPORTED,
            "this server generates text and cannot score it: tasks of output_type generate_until run on it, "
            "multiple_choice, loglikelihood and loglikelihood_rolling do not (%.400s)",
            reason);
    return mu_remote_blame(r, MU_EUNSUPPORTED, e);
}

int mu_remote_probe(struct mu_remote *r, bool will_score, bool will_generate, struct mu_err *e)
{
    struct mu_ids ids = MU_IDS_INIT(N_IDS_MAX);
    int rc;
    MU_TRY(make_prompt(r, &ids, e));
    if (will_score)
        MU_TRY(try_score(r, &ids, e));
    if (will_generate)
        MU_TRY(generate(r, &ids, e));
    r->status = (struct mu_engine_status){.requests_done = 0};
out:
    mu_ids_fini(&ids);
    return rc;
}
