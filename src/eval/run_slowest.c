/* run_slowest.c - what each document took in the engine, and the documents that took longest */
#include "base/check.h"
#include "base/mem.h"
#include "eval/run_int.h"

int mu_run_time_init(struct mu_run_state *s, struct mu_err *e)
{
    int64_t n = 0;
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->first_time, MU_MAX(s->n_works, 1), "times of documents", e));
    for (int i = 0; i < s->n_works; i++) {
        s->first_time[i] = n;
        n += s->works[i]->n_docs;
    }
    return MU_NEW_ARRAY(&s->time, MU_MAX(n, 1), "times of documents", e);
}

void mu_run_time_add(struct mu_run_state *s, const struct mu_run_group *g, const struct mu_result *r)
{
    const struct mu_run_slot *slot = &s->slot[s->part[s->item[s->order[g->first]].first_part].slot];
    struct mu_run_time *t = &s->time[s->first_time[slot->work] + s->works[slot->work]->request[slot->request].doc];
    t->ns += r->run_ns;
    t->tokens += g->cost + (r->kind == MU_REQUEST_GENERATE ? r->tokens.n : 0);
}

/* Kept sorted; of equal times the first document comes first. */
static void offer(struct mu_run_audit *a, const struct mu_run_slow *d)
{
    int at = a->n_slowest;
    if (at == MU_RUN_SLOWEST_MAX && d->ns <= a->slowest[at - 1].ns)
        return;
    at = MU_MIN(at, MU_RUN_SLOWEST_MAX - 1);
    while (at > 0 && a->slowest[at - 1].ns < d->ns) {
        a->slowest[at] = a->slowest[at - 1];
        at--;
    }
    a->slowest[at] = *d;
    a->n_slowest = MU_MIN(a->n_slowest + 1, MU_RUN_SLOWEST_MAX);
}

void mu_run_time_audit(struct mu_run_state *s)
{
    for (int w = 0; w < s->n_works; w++) {
        for (int i = 0; i < s->works[w]->n_docs; i++) {
            const struct mu_run_time *t = &s->time[s->first_time[w] + i];
            struct mu_run_slow d = {w, s->works[w]->doc[i].id, t->ns, t->tokens};
            if (t->ns > 0)
                offer(s->audit, &d);
        }
    }
}
