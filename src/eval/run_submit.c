/* run_submit.c - the queue kept full, results taken, answers made durable
 *
 * Answers are committed in groups: when COMMIT_ANSWERS wait, or COMMIT_MAX_NS after the first of them. So a kill loses
 * no more than such a group and what was running. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "eval/run_int.h"

#define POLL_NS        ((int64_t)100000000)
#define COMMIT_ANSWERS 64
#define COMMIT_MAX_NS  ((int64_t)200000000)

struct submit {
    struct mu_run_state *s;
    int64_t next; /* group to submit */
    int64_t n_in_flight;
    int64_t *waiting; /* items answered and not committed */
    int64_t n_waiting, waiting_cap;
    int64_t tokens_waiting; /* planned, of the waiting items */
    int64_t first_ns;
    int32_t alternatives[MU_ALTERNATIVES_MAX];
};

static int64_t now(void)
{
    return mu_now_ns(mu_clock_real());
}

void mu_run_count_done(struct mu_run_state *s, const struct mu_run_item *it, bool is_computed)
{
    for (int64_t p = it->first_part; p >= 0; p = s->part[p].next) {
        struct mu_run_slot *slot = &s->slot[s->part[p].slot];
        slot->is_computed |= is_computed;
        if (--slot->n_left > 0)
            continue;
        s->progress.n_done++;
        s->progress.n_journal += !slot->is_computed;
    }
}

/* ---- durable ---- */

static int commit(struct submit *u, struct mu_err *e)
{
    struct mu_run_state *s = u->s;
    if (u->n_waiting == 0)
        return MU_OK;
    int rc = s->o->journal ? mu_journal_commit(s->o->journal, e) : MU_OK;
    if (rc != MU_OK) {
        u->n_waiting = u->tokens_waiting = 0; /* the whole group is undone */
        return rc;
    }
    for (int64_t i = 0; i < u->n_waiting; i++)
        mu_run_count_done(s, &s->item[u->waiting[i]], true);
    s->progress.tokens_done += u->tokens_waiting;
    u->n_waiting = u->tokens_waiting = 0;
    return MU_OK;
}

static int commit_when_due(struct submit *u, struct mu_err *e)
{
    if (u->n_waiting == 0)
        return MU_OK;
    bool is_due = u->n_waiting >= COMMIT_ANSWERS || now() - u->first_ns >= COMMIT_MAX_NS;
    return is_due ? commit(u, e) : MU_OK;
}

static int keep_answer(struct submit *u, int64_t index, struct mu_err *e)
{
    struct mu_run_item *it = &u->s->item[index];
    json_t *v = NULL;
    int rc = MU_OK;

    MU_TRY(mu_run_grow(&u->waiting, &u->waiting_cap, u->n_waiting, sizeof *u->waiting, "answers", e));
    if (u->s->o->journal) {
        MU_TRY(mu_run_answer_dump(it, &v, e));
        rc = mu_journal_put(u->s->o->journal, &it->key, v, e);
        if (rc != MU_OK) {
            u->n_waiting = u->tokens_waiting = 0; /* with it the whole group is undone */
            goto out;
        }
    }
    it->has_answer = true;
    u->s->audit->n_computed++;
    if (u->n_waiting == 0)
        u->first_ns = now();
    u->waiting[u->n_waiting++] = index;
out:
    json_decref(v);
    return rc;
}

/* ---- in ---- */

static void compose(struct submit *u, const struct mu_run_group *g, struct mu_request *r)
{
    const struct mu_run_state *s = u->s;
    const struct mu_run_item *it = &s->item[s->order[g->first]];

    *r = (struct mu_request)MU_REQUEST_INIT;
    r->user = (void *)(uintptr_t)(g - s->group);
    r->ids = s->ids.v + it->context;
    r->n_ids = it->n_context;
    if (it->params < 0) {
        r->kind = MU_REQUEST_SCORE;
        r->continuation = s->ids.v + it->continuation;
        r->n_continuation = it->n_continuation;
        r->alternatives = u->alternatives;
        for (int32_t i = 1; i < g->n; i++) {
            const struct mu_run_item *a = &s->item[s->order[g->first + i]];
            if (!a->has_answer)
                u->alternatives[r->n_alternatives++] = s->ids.v[a->continuation + (size_t)a->n_continuation - 1];
        }
        return;
    }
    const struct mu_run_params *p = s->params[it->params];
    r->kind = MU_REQUEST_GENERATE;
    r->sampling = p->sampling;
    r->sampling.seed = it->seed;
    r->max_tokens = p->max_tokens;
    r->stop_ids = p->stop_id;
    r->n_stop_ids = p->n_stop_ids;
    r->stop = p->stop;
    r->n_stop = MU_MIN(p->n_stop, MU_STOP_MAX); /* one more can only be the end token's spelling: cut afterwards */
}

/* Sentences name the first request that wants an item. */
static int blame(const struct mu_run_state *s, const struct mu_run_group *g, int rc, struct mu_err *e)
{
    const struct mu_run_slot *slot = &s->slot[s->part[s->item[s->order[g->first]].first_part].slot];
    return mu_run_blame(s, slot->work, slot->request, rc, e);
}

static int submit_some(struct submit *u, struct mu_err *e)
{
    struct mu_run_state *s = u->s;
    struct mu_request r;
    for (; u->next < s->n_groups; u->next++) {
        struct mu_run_group *g = &s->group[u->next];
        struct mu_err why = MU_ERR_INIT;
        compose(u, g, &r);
        int rc = mu_engine_submit(s->eng->eng, &r, &g->id, &why);
        if (rc == MU_ENOMEM && u->n_in_flight > 0)
            return MU_OK; /* full: one done makes room */
        if (rc != MU_OK) {
            if (e)
                *e = why;
            return blame(s, g, rc, e);
        }
        u->n_in_flight++;
    }
    return MU_OK;
}

/* ---- out ---- */

static int check_finite(const struct mu_run_state *s, const struct mu_run_group *g, double sum, struct mu_err *e)
{
    if (isfinite(sum))
        return MU_OK;
    return blame(s, g, mu_fail(e, MU_ENUMERIC, "the model gives a token of the continuation no probability at all"), e);
}

static int take_scores(struct submit *u, const struct mu_run_group *g, const struct mu_result *r, struct mu_err *e)
{
    struct mu_run_state *s = u->s;
    int k = 0;
    for (int32_t i = 0; i < g->n; i++) {
        int64_t index = s->order[g->first + i];
        struct mu_run_item *it = &s->item[index];
        if (it->has_answer)
            continue;
        const struct mu_alternative *a = i > 0 ? &r->alternatives[k++] : NULL;
        it->answer.sum = a ? a->logprob_sum : r->logprob_sum;
        it->answer.is_greedy = a ? a->is_greedy : r->is_greedy;
        MU_TRY_RETURN(check_finite(s, g, it->answer.sum, e));
        MU_TRY_RETURN(keep_answer(u, index, e));
    }
    return MU_OK;
}

static int take_result(struct submit *u, struct mu_run_group *g, const struct mu_result *r, struct mu_err *e)
{
    struct mu_run_state *s = u->s;
    int64_t first = s->order[g->first];

    if (r->code != MU_OK) {
        if (e)
            *e = r->err;
        return blame(s, g, r->code, e);
    }
    if (r->kind == MU_REQUEST_GENERATE) {
        MU_TRY_RETURN(blame(s, g, mu_run_answer_text(s, &s->item[first], r, e), e));
        MU_TRY_RETURN(keep_answer(u, first, e));
    } else {
        MU_TRY_RETURN(take_scores(u, g, r, e));
    }
    u->tokens_waiting += g->cost;
    mu_run_time_add(s, g, r);
    return MU_OK;
}

static int take_one(struct submit *u, struct mu_err *e)
{
    struct mu_result *r = NULL;
    struct mu_err late = MU_ERR_INIT;
    int rc = mu_engine_poll(u->s->eng->eng, &r, POLL_NS, &late);

    if (rc == MU_ETIMEDOUT)
        return MU_OK;
    if (rc != MU_OK) {
        if (e)
            *e = late;
        return rc;
    }
    if (!r)
        return mu_fail(e, MU_EINTERNAL, "the engine has nothing in flight, %" PRId64 " requests are missing",
                       u->n_in_flight);
    struct mu_run_group *g = &u->s->group[(uintptr_t)r->user];
    u->n_in_flight--;
    g->id = 0;
    rc = take_result(u, g, r, e);
    mu_result_free(r);
    return rc;
}

/* Nothing stays in flight. What is done by now is kept. */
static void drop_rest(struct submit *u)
{
    struct mu_run_state *s = u->s;
    struct mu_result *r;
    for (int64_t i = 0; i < u->next && i < s->n_groups; i++) {
        if (s->group[i].id)
            mu_engine_cancel(s->eng->eng, s->group[i].id, NULL);
    }
    while (mu_engine_poll(s->eng->eng, &r, MU_WAIT_FOREVER, NULL) == MU_OK && r) {
        if (r->code == MU_OK)
            take_result(u, &s->group[(uintptr_t)r->user], r, NULL);
        mu_result_free(r);
    }
}

static int run(struct submit *u, struct mu_err *e)
{
    struct mu_run_state *s = u->s;
    while (u->next < s->n_groups || u->n_in_flight > 0) {
        MU_TRY_RETURN(submit_some(u, e));
        MU_TRY_RETURN(take_one(u, e));
        MU_TRY_RETURN(commit_when_due(u, e));
        MU_TRY_RETURN(mu_run_tell(s, false, e));
    }
    MU_TRY_RETURN(commit(u, e));
    return mu_run_tell(s, true, e);
}

int mu_run_submit(struct mu_run_state *s, struct mu_err *e)
{
    struct submit *u = NULL;
    MU_TRY_RETURN(MU_NEW(&u, "the list of requests in flight", e));
    u->s = s;
    int rc = run(u, e);
    if (rc != MU_OK) {
        drop_rest(u);
        commit(u, NULL); /* the first failure is the one to tell */
    }
    mu_free(u->waiting);
    mu_free(u);
    return rc;
}
