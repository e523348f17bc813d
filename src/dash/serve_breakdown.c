/* serve_breakdown.c - an engine that broke down: what its requests are told, who opens it again, when all is over
 *
 * On the engine's thread. Requests in hand are failed at once: a client that wants to may ask again, and a request that
 * breaks an engine each time is not carried from one to the next. What is broken is closed by the opener's thread, once
 * the last of these calls is answered (resident.h). */
#include "base/check.h"
#include "base/log.h"
#include "dash/serve_int.h"

/* It hands back nothing more, so its calls leave as they are. */
static void drop_list(struct mu_serve *s, struct mu_call_list *l, const struct mu_api_error *x)
{
    for (struct mu_call *c; (c = l->head) != NULL;) {
        pthread_mutex_lock(&s->lock);
        c->served->metrics.outcomes[MU_OUTCOME_ERROR] += (uint64_t)(c->n_parts - c->n_done);
        pthread_mutex_unlock(&s->lock);
        if (!c->has_failed)
            c->fail = *x;
        c->has_failed = true;
        mu_call_leave_engine(c);
    }
}

void mu_serve_drop_calls(struct mu_serve *s, struct mu_served *m, const struct mu_resident_info *info)
{
    struct mu_api_error x;
    mu_api_fail(&x, 503, NULL, "engine_error", "the model %s broke down: %s", m->name, info->why.text);
    x.retry_s = mu_serve_retry_s(info);
    for (int i = 0; i < MU_SERVE_LANES; i++)
        drop_list(s, &m->waiting.lane[i], &x);
    drop_list(s, &m->running, &x);
    m->n_in_flight = 0;
    m->is_suspect = false;
}

static bool are_all_given_up(struct mu_serve *s)
{
    struct mu_resident_info info;
    for (int i = 0; mu_residents_info(s->residents, i, &info); i++) {
        if (info.state != MU_RESIDENT_FAILED || !info.is_given_up)
            return false;
    }
    return true;
}

static void die(struct mu_serve *s, const struct mu_served *m, const struct mu_err *why)
{
    pthread_mutex_lock(&s->lock);
    mu_fail(&s->death, why->code, "the model %s broke down%s: %s", m->name,
            s->n_served > 1 ? ", the last one that was left" : "", why->text);
    atomic_store(&s->is_dead, true);
    pthread_mutex_unlock(&s->lock);
}

void mu_serve_break_down(struct mu_serve *s, struct mu_served *m, const struct mu_serve_model *model,
                         const struct mu_err *why)
{
    struct mu_resident_info info;
    mu_log(MU_LOG_ERROR, "serve: the model %s broke down: %s", m->name, why->text);
    mu_residents_break(s->residents, (void *)(uintptr_t)model, why);
    mu_residents_info(s->residents, (int)(m - s->served), &info);
    if (are_all_given_up(s))
        die(s, m, why);
    mu_serve_drop_calls(s, m, &info);
}
