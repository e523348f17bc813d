/* serve_metrics.h - counts of a server for Prometheus; names known from vLLM where the meaning is the same
 *
 * Plain numbers: the server's lock guards them. */
#ifndef MU_DASH_SERVE_METRICS_H
#define MU_DASH_SERVE_METRICS_H

#include <stdint.h>

#define MU_HISTOGRAM_MAX 24

struct mu_histogram {
    const double *bounds; /* upper, ascending, in seconds */
    int n;
    uint64_t counts[MU_HISTOGRAM_MAX + 1]; /* the last: above all bounds */
    double sum;
};

enum mu_outcome { MU_OUTCOME_STOP, MU_OUTCOME_LENGTH, MU_OUTCOME_ABORT, MU_OUTCOME_ERROR, MU_OUTCOME_N };

struct mu_serve_metrics {
    uint64_t prompt_tokens, cached_tokens, generation_tokens;
    uint64_t outcomes[MU_OUTCOME_N]; /* of parts */
    uint64_t calls_gone;
    struct mu_histogram first_token, whole;
};

void mu_serve_metrics_init(struct mu_serve_metrics *m);
void mu_histogram_add(struct mu_histogram *h, double seconds);

#endif
