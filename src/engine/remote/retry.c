/* retry.c - see retry.h */
#include "engine/remote/retry.h"

#include "base/check.h"

/* 404 stands for a wrong path or model; 501 is how some servers say that they do not know a field. */
enum mu_verdict mu_verdict_of_status(int s)
{
    if (s == 200)
        return MU_VERDICT_GOOD;
    if (s == 408 || s == 425 || s == 429 || (s >= 500 && s != 501 && s != 505))
        return MU_VERDICT_RETRY;
    if (s == 400 || s == 413 || s == 422 || s == 501)
        return MU_VERDICT_REFUSED;
    return MU_VERDICT_ENDPOINT;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t mu_retry_wait_ns(const struct mu_retry_policy *p, int n_failed, int64_t told_ns, uint64_t *random)
{
    int64_t whole = p->first_ns;
    if (n_failed >= p->attempts_max || told_ns > p->told_most_ns)
        return -1;
    for (int i = 1; i < n_failed && whole < p->most_ns; i++)
        whole *= 2;
    whole = MU_MIN(whole, p->most_ns);
    int64_t wait = whole / 2 + (int64_t)((double)(whole / 2) * ((double)(next_random(random) >> 11) * 0x1p-53));
    return MU_MAX(wait, told_ns);
}

bool mu_circuit_admits(struct mu_circuit *c, int64_t now_ns)
{
    if (!c->is_open)
        return true;
    if (now_ns < c->open_until_ns || c->has_trial)
        return false;
    c->has_trial = true;
    return true;
}

void mu_circuit_worked(struct mu_circuit *c)
{
    c->n_failures = 0;
    c->is_open = c->has_trial = false;
}

void mu_circuit_failed(struct mu_circuit *c, int64_t now_ns, bool is_for_good)
{
    c->n_failures++;
    if (!is_for_good && !c->has_trial && c->n_failures < c->failures_max)
        return;
    c->is_open = true;
    c->has_trial = false;
    c->open_until_ns = now_ns + c->rest_ns;
}

void mu_circuit_dropped(struct mu_circuit *c)
{
    c->has_trial = false;
}
