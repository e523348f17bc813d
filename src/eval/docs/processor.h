/* processor.h - what task folders do in Python, done in C for the most used ones
 *
 * A published task file may say `process_docs: !function utils.process_docs`. There is no Python here; a processor is
 * the same function written in C, found by the task's folder name and the function's ("hellaswag",
 * "utils.process_docs"), or named in our own files as `!function muster.hellaswag.process_docs`. A function no
 * processor has is refused when the task is opened, with the two ways out: a bundle (docs/bundle.md) or a task without
 * Python. One file a data set: docs/hellaswag.c, docs/winogrande.c, ... */
#ifndef MU_EVAL_DOCS_PROCESSOR_H
#define MU_EVAL_DOCS_PROCESSOR_H

#include <jansson.h>

#include <muster/err.h>

struct mu_sandbox; /* eval/sandbox.h */
struct mu_filter;  /* eval/filter/filter.h */

enum mu_function_kind {
    MU_FUNCTION_DOCS,        /* docs -> docs: process_docs */
    MU_FUNCTION_FIELD,       /* doc -> value: doc_to_text, doc_to_target, doc_to_choice */
    MU_FUNCTION_SAMPLES,     /* nothing -> docs: fewshot_config.samples */
    MU_FUNCTION_RESULTS,     /* doc, filtered responses of its requests -> object of metric items: process_results */
    MU_FUNCTION_METRIC,      /* references, predictions, kwargs -> number or object: a metric of metric_list */
    MU_FUNCTION_AGGREGATE,   /* items -> number: an aggregation of metric_list */
    MU_FUNCTION_FILTER,      /* responses of all documents, docs -> filtered: filter_fn of the filter "custom" */
    MU_FUNCTION_FILTER_CLASS /* a filter with its own kwargs: `function: !function utils.MapRegexFilter` */
};

/* Inputs are borrowed; *out is the caller's. */
struct mu_function {
    const char *folder; /* of the harness's lm_eval/tasks, last component: "hellaswag"; "*": any */
    const char *name;   /* "utils.process_docs" */
    enum mu_function_kind kind;
    int (*docs)(const json_t *docs, json_t **out, struct mu_err *e);
    int (*field)(const json_t *doc, json_t **out, struct mu_err *e);
    int (*samples)(json_t **out, struct mu_err *e);
    /* SAMPLES that are documents of the data set: of this split, when it can be read; then samples is not called */
    const char *samples_split;
    int (*samples_from)(const json_t *docs, json_t **out, struct mu_err *e);
    int (*results)(const json_t *doc, const json_t *results, json_t **out, struct mu_err *e);
    int (*check)(const json_t *doc, struct mu_err *e); /* RESULTS: can it measure this document? NULL: any */
    int (*metric)(const json_t *references, const json_t *predictions, const json_t *kwargs, struct mu_sandbox *sandbox,
                  json_t **out, struct mu_err *e);
    int (*aggregate)(const json_t *items, double *out, struct mu_err *e);
    /* resps: array over documents of arrays of responses; *out the same shape */
    int (*filter)(const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e);
    const struct mu_filter *filter_class; /* FILTER_CLASS: takes the step's kwargs as any filter */
};

/* folder: of the YAML file (its own name, then its parents' up to lm_eval/tasks); NULL when there is none. */
const struct mu_function *mu_function_find(const char *folder, const char *name, enum mu_function_kind kind);

/* Each file's table, ended by a row without name. */
extern const struct mu_function mu_docs_hellaswag[], mu_docs_winogrande[], mu_docs_wikitext[], mu_docs_truthfulqa[],
    mu_docs_mmlu_pro[], mu_docs_drop[], mu_docs_humaneval[], mu_docs_mbpp[], mu_docs_ifeval[], mu_docs_bbh[];

#endif
