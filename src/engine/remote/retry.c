/* retry.c - see retry.h */
#include "engine/remote/retry.h"

#include "base/check.h"

int64_t mu_retry_wait_ns(const struct mu_retry_policy *p, int n_failed, int64_t told_ns, uint64_t *random)
{
    if (n_failed >= p->attempts_max || told_ns > p->told_most_ns)
        return -1;
    return MU_MAX(mu_backoff_jittered_ns(&p->backoff, n_failed, random), told_ns);
}
