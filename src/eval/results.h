/* results.h - results JSON and samples JSON Lines in the harness's schema, and the table a person reads
 *
 * Source: lm_eval/result_schema.py, lm_eval/loggers/evaluation_tracker.py, lm_eval/utils.py make_table. Files are
 * written beside and renamed: whole or not at all. Everything is a function of the evaluation alone, except "date",
 * "total_evaluation_time_seconds" and the object "run", which tell of this process. */
#ifndef MU_EVAL_RESULTS_H
#define MU_EVAL_RESULTS_H

#include <stdio.h>

#include "eval/run.h"
#include "eval/work.h"

struct mu_results_facts {
    const struct mu_task_set *set;
    struct mu_work *const *works; /* of set->task */
    const struct mu_run_audit *audit;
    const char *model_name; /* as given to --model */
    json_t *config;         /* object: "config" of the results, borrowed */
    json_t *audit_extra;    /* object: numerics, BOS policy, memory billed ...; borrowed */
    json_t *skipped;        /* array: documents that were left out, each an object; borrowed; NULL: none */
    json_t *run;            /* object: what tells of this process; borrowed */
    json_t *tokenizer;      /* object: tokenizer_pad_token, ..., eot_token_id, max_length; borrowed */
    const char *system_instruction, *chat_template; /* NULL: none */
    bool fewshot_as_multiturn;
    bool predict_only;
    double date;    /* unix seconds at the start */
    double seconds; /* of the evaluation */
    bool log_samples;
};

/* The results object, the caller's. Also sets task_hash of every work. */
int mu_results_make(const struct mu_results_facts *f, json_t **out, struct mu_err *e);

/* OUT/<model_name sanitised>/results_<date>.json, samples_<task>_<date>.jsonl. *path: of the results file, appended. */
int mu_results_write(const struct mu_results_facts *f, const json_t *results, const char *out_dir, struct mu_buf *path,
                     struct mu_err *e);

/* One task's sample lines, as written. */
int mu_samples_write(const struct mu_work *w, FILE *f, struct mu_err *e);

/* The harness's table: tasks, version, filter, n-shot, metric, value, error; then groups. */
int mu_results_table(const json_t *results, FILE *f, struct mu_err *e);

#endif
