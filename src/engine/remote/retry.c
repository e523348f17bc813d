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

int64_t mu_retry_wait_ns(const struct mu_retry_policy *p, int n_failed, int64_t told_ns, uint64_t *random)
{
    if (n_failed >= p->attempts_max || told_ns > p->told_most_ns)
        return -1;
    return MU_MAX(mu_backoff_jittered_ns(&p->backoff, n_failed, random), told_ns);
}
