/* results_int.h - what the files that make and write results share */
#ifndef MU_EVAL_RESULTS_INT_H
#define MU_EVAL_RESULTS_INT_H

#include "eval/results.h"

#define MU_RESULTS_BYTES_MAX ((size_t)1 << 30) /* of one results file: the configs of 13,031 tasks take 100 MB */
#define MU_SAMPLE_BYTES_MAX  ((size_t)1 << 29) /* of one sample line: a document, its prompts, all repeats */

/* Put v, whose reference is taken whatever happens, under key or at the end. v NULL: there was no memory for it. */
int mu_results_set(json_t *object, const char *key, json_t *v, struct mu_err *e);
int mu_results_append(json_t *array, json_t *v, struct mu_err *e);

json_t *mu_results_number(double v);                    /* null where it is not finite */
int64_t mu_results_sample_len(const struct mu_work *w); /* documents the last metric counted, as the harness has it */

/* Sets w->task_hash. */
int mu_samples_hash(struct mu_work *w, struct mu_err *e);

/* Members of the results object, in the order in which they are added. results_about.c */
int mu_results_add_group_subtasks(json_t *out, const struct mu_results_facts *f, struct mu_err *e);
int mu_results_add_configs(json_t *out, const struct mu_results_facts *f, struct mu_err *e);
int mu_results_add_versions(json_t *out, const struct mu_results_facts *f, struct mu_err *e);
int mu_results_add_shots(json_t *out, const struct mu_results_facts *f, struct mu_err *e);
int mu_results_add_directions(json_t *out, const struct mu_results_facts *f, struct mu_err *e);
int mu_results_add_sample_counts(json_t *out, const struct mu_results_facts *f, struct mu_err *e);

/* "audit": results_audit.c */
int mu_results_add_audit(json_t *out, const struct mu_results_facts *f, struct mu_err *e);

/* results_write.c. The model's name as a folder's, appended. */
int mu_results_folder_name(struct mu_buf *out, const char *model_name, struct mu_err *e);

/* Whether an output path names the results file, not a folder: it ends in .json. */
bool mu_results_is_file_name(const char *out_dir);

#endif
