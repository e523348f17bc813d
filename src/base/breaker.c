/* breaker.c - see breaker.h */
#include "base/breaker.h"

#include "base/check.h"

void mu_breaker_init(struct mu_breaker *b, const struct mu_breaker_rule *rule, uint64_t seed)
{
    *b = (struct mu_breaker){.rule = *rule, .random = seed};
}

static void open_now(struct mu_breaker *b, int64_t now_ns)
{
    b->n_rests++;
    b->is_open = true;
    b->has_trial = false;
    b->open_until_ns = now_ns + (b->random ? mu_backoff_jittered_ns(&b->rule.rest, b->n_rests, &b->random)
                                           : mu_backoff_ns(&b->rule.rest, b->n_rests));
}

static bool is_trial_stale(const struct mu_breaker *b, int64_t now_ns)
{
    return b->has_trial && b->rule.trial_ns > 0 && now_ns - b->trial_since_ns >= b->rule.trial_ns;
}

bool mu_breaker_admits(struct mu_breaker *b, int64_t now_ns)
{
    if (!b->is_open)
        return true;
    if (is_trial_stale(b, now_ns))
        mu_breaker_failed(b, now_ns, false);
    if (now_ns < b->open_until_ns || b->has_trial)
        return false;
    b->has_trial = true;
    b->trial_since_ns = now_ns;
    return true;
}

void mu_breaker_worked(struct mu_breaker *b)
{
    b->n_failures = b->n_rests = 0;
    b->is_open = b->has_trial = false;
}

/* What was begun before it opened may still fail while it rests: that is no news, and prolongs nothing. */
void mu_breaker_failed(struct mu_breaker *b, int64_t now_ns, bool is_for_good)
{
    b->n_failures++;
    bool is_late = b->is_open && !b->has_trial && now_ns < b->open_until_ns;
    if (is_for_good || b->has_trial || (b->n_failures >= b->rule.failures_max && !is_late))
        open_now(b, now_ns);
}

void mu_breaker_dropped(struct mu_breaker *b)
{
    b->has_trial = false;
}

enum mu_breaker_state mu_breaker_state(const struct mu_breaker *b, int64_t now_ns)
{
    if (!b->is_open)
        return MU_BREAKER_CLOSED;
    return b->has_trial || now_ns >= b->open_until_ns ? MU_BREAKER_HALF_OPEN : MU_BREAKER_OPEN;
}

const char *mu_breaker_state_name(enum mu_breaker_state s)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    return (unsigned)s < MU_COUNT(names) ? names[s] : "?";
}

int64_t mu_breaker_wait_ns(const struct mu_breaker *b, int64_t now_ns)
{
    if (!b->is_open)
        return 0;
    if (b->has_trial)
        return b->rule.trial_ns > 0 ? MU_MAX(0, b->trial_since_ns + b->rule.trial_ns - now_ns) : b->rule.rest.first_ns;
    return MU_MAX(0, b->open_until_ns - now_ns);
}
