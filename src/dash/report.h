/* report.h - one self-contained HTML page about one or more evaluations
 *
 * Reads what `muster eval --log-samples` (or lm-evaluation-harness itself) wrote: a results_*.json and the
 * samples_*.jsonl beside it. The page needs no network and no other file. With several runs it compares each with the
 * first: McNemar's exact test for right-or-wrong measures, a paired bootstrap for others. */
#ifndef MU_DASH_REPORT_H
#define MU_DASH_REPORT_H

#include <muster/err.h>

#define MU_REPORT_RUNS_MAX          16
#define MU_REPORT_BYTES_MAX         ((size_t)256 << 20) /* of the page */
#define MU_REPORT_LINE_BYTES_MAX    ((size_t)64 << 20)  /* one sample */
#define MU_REPORT_SAMPLES_MAX       4000000             /* of one run */
#define MU_REPORT_DISAGREEMENTS_MAX 40                  /* shown of a task and pair */
#define MU_REPORT_SLOWEST_MAX       20                  /* shown of a run */

struct mu_report_opts {
    const char *const *paths; /* results files, or folders: the newest results file below them */
    int n_paths;
    const char *out;   /* the page */
    const char *title; /* NULL: "muster report" */
};

int mu_report_write(const struct mu_report_opts *o, struct mu_err *e);

#endif
