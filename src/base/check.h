/* check.h - the way out of a function: `int rc = MU_OK; ... out: free; return rc;` */
#ifndef MU_BASE_CHECK_H
#define MU_BASE_CHECK_H

#include <muster/err.h>

/* Run a call; on failure keep its code in rc and leave through `out`. */
#define MU_TRY(call)                                                                                                   \
    do {                                                                                                               \
        rc = (call);                                                                                                   \
        if (rc != MU_OK)                                                                                               \
            goto out;                                                                                                  \
    } while (0)

/* The same where there is nothing to release. */
#define MU_TRY_RETURN(call)                                                                                            \
    do {                                                                                                               \
        int mu_rc_ = (call);                                                                                           \
        if (mu_rc_ != MU_OK)                                                                                           \
            return mu_rc_;                                                                                             \
    } while (0)

#define MU_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MU_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MU_MAX(a, b)    ((a) > (b) ? (a) : (b))

#endif
