/* progress.h - a line on standard error for work of more than two seconds: share, rate and time left
 *
 * On a terminal the line is redrawn; elsewhere one line is printed every ten seconds. Nothing is printed for work
 * that ends within two seconds. */
#ifndef MU_CLI_PROGRESS_H
#define MU_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct mu_progress {
    const char *what; /* "loading" */
    const char *unit; /* "B" is shown as MB and GB; else a plain count: "requests" */
    int64_t start_ns, shown_ns;
    bool is_shown;
};

void mu_progress_start(struct mu_progress *p, const char *what, const char *unit);
void mu_progress_update(struct mu_progress *p, uint64_t done, uint64_t total); /* total 0: unknown */
void mu_progress_end(struct mu_progress *p);                                   /* clears the line */

#endif
