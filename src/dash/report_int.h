/* report_int.h - what the sections of the report share; for report*.c only */
#ifndef MU_DASH_REPORT_INT_H
#define MU_DASH_REPORT_INT_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "dash/report.h"

struct mu_report_task {
    const char *name;   /* borrowed from the results */
    json_t *samples;    /* array, in the file's order; empty when none were logged */
    const char *metric; /* the one shown in comparisons: "acc"; NULL: none is a number */
    const char *filter;
};

struct mu_report_run {
    char *path;  /* of the results file */
    char *label; /* "A: model", unique on the page */
    json_t *results;
    struct mu_report_task *task;
    int n_tasks;
};

struct mu_report {
    struct mu_report_run run[MU_REPORT_RUNS_MAX];
    int n_runs;
    struct mu_buf html;
};

/* report_load.c */
int mu_report_load(struct mu_report_run *r, const char *path, int index, struct mu_err *e);
void mu_report_run_fini(struct mu_report_run *r);
const struct mu_report_task *mu_report_task_find(const struct mu_report_run *r, const char *name);

/* The number a sample has for the task's metric; false when it has none. */
bool mu_report_score(const struct mu_report_task *t, const json_t *sample, double *out);

/* Samples of both tasks on the same document (doc_id, doc_hash and filter equal), as index pairs, the caller's to
 * mu_free(). Only those that have a score in both. */
struct mu_report_pair {
    size_t a, b;
};
int mu_report_pairs(const struct mu_report_task *a, const struct mu_report_task *b, struct mu_report_pair **out,
                    size_t *n, struct mu_err *e);

/* report_json.c: JSON as Python writes it, which may hold NaN, Infinity and -Infinity; they become texts of these
 * names. */
int mu_report_json(json_t **out, struct mu_str text, const char *where, struct mu_err *e);

/* report_html.c */
int mu_html_text(struct mu_buf *out, const char *text, size_t n, struct mu_err *e); /* escaped */
int mu_html_str(struct mu_buf *out, const char *text, struct mu_err *e);
/* A bar from 0 to 1 with an error bar of +-1.96 stderr; stderr below 0: none. */
int mu_html_bar(struct mu_buf *out, double value, double stderr_, struct mu_err *e);

/* Sections, each a <section>. */
int mu_report_scores(struct mu_report *r, struct mu_err *e);
int mu_report_compare(struct mu_report *r, struct mu_err *e);
int mu_report_calibration(struct mu_report *r, struct mu_err *e);
int mu_report_breakdown(struct mu_report *r, struct mu_err *e);
int mu_report_slowest(struct mu_report *r, struct mu_err *e);
int mu_report_disagreements(struct mu_report *r, struct mu_err *e);

#endif
