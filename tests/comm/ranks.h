/* ranks.h - a body of a test run by the ranks of a fake world
 *
 * A failed check of xt.h leaves the test by a jump, which a thread may not do: in a body use SAME and TRUE, which
 * return the failure, and look at it with run_ranks(). */
#ifndef TEST_RANKS_H
#define TEST_RANKS_H

#include "base/check.h"
#include "comm/fake/fake.h"
#include "xt.h"

#define TRUE_OR_FAIL(cond)                                                                                             \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            return mu_fail(e, MU_EINTERNAL, "%s:%d: %s", __FILE__, __LINE__, #cond);                                   \
    } while (0)

#define SAME(a, b)                                                                                                     \
    do {                                                                                                               \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                            \
        if (a_ != b_)                                                                                                  \
            return mu_fail(e, MU_EINTERNAL, "%s:%d: %s is %lld, %s is %lld", __FILE__, __LINE__, #a, a_, #b, b_);      \
    } while (0)

static inline void run_ranks(int n, const struct mu_fake_opts_comm *o, mu_fake_fn fn, void *arg)
{
    struct mu_err err = MU_ERR_INIT, errs[64];
    struct mu_fake_world *w = NULL;
    int rc[64];
    XT_OK(mu_fake_world_open(&w, n, o, &err));
    mu_fake_world_run(w, fn, arg, rc, errs);
    mu_fake_world_close(w);
    for (int r = 0; r < n; r++)
        XT_CHECKF(rc[r] == MU_OK, "%d ranks, rank %d: %s: %s", n, r, mu_code_name(rc[r]), errs[r].text);
}

#endif
