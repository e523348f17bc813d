/* retry.h - when to ask a server again, how long to wait, and when to stop asking at all
 *
 * Pure: time and chance come in as numbers, so that a test can move the one and seed the other. */
#ifndef MU_ENGINE_REMOTE_RETRY_H
#define MU_ENGINE_REMOTE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* What a failed attempt means. */
enum mu_verdict {
    MU_VERDICT_GOOD,
    MU_VERDICT_RETRY,    /* may pass: the network, an overloaded or restarting server */
    MU_VERDICT_REFUSED,  /* this request's own fault: another form of it may do, the same one never will */
    MU_VERDICT_ENDPOINT, /* no request will ever be answered: a wrong key, path or certificate, a redirect */
};

enum mu_verdict mu_verdict_of_status(int http_status);

struct mu_retry_policy {
    int attempts_max;          /* of one exchange, the first counted */
    int64_t first_ns, most_ns; /* back-off: doubles from the first to the most */
    int64_t told_most_ns;      /* the longest Retry-After that is waited for */
    int64_t patience_ns;       /* nothing is attempted again this long after the first attempt began */
};

/* The wait after n_failed attempts (1: the first has failed): the doubled back-off, of which a random half is left out
 * so that many clients do not come back together; never less than told_ns (Retry-After; 0: none). -1: give up. */
int64_t mu_retry_wait_ns(const struct mu_retry_policy *p, int n_failed, int64_t told_ns, uint64_t *random);

/* A circuit: after failures_max exchanges in a row that ended without a good answer nothing is sent for rest_ns; then
 * one exchange is let through as a trial. */
struct mu_circuit {
    int failures_max;
    int64_t rest_ns;
    int n_failures; /* in a row */
    bool is_open;
    bool has_trial; /* one is on its way */
    int64_t open_until_ns;
};

bool mu_circuit_admits(struct mu_circuit *c, int64_t now_ns); /* a trial, when it admits one, counts as sent */
void mu_circuit_worked(struct mu_circuit *c);
void mu_circuit_failed(struct mu_circuit *c, int64_t now_ns, bool is_for_good); /* for_good: opens at once */
void mu_circuit_dropped(struct mu_circuit *c); /* an exchange ended without telling anything: cancelled */

#endif
