/* task.h - one evaluation task as its YAML file describes it, resolved and checked
 *
 * A task is what lm-evaluation-harness calls a ConfigurableTask: where the documents are, how a document becomes a
 * prompt and a target, what is asked of the model, how the answer is filtered and measured. Every value a template may
 * see or yield (documents, targets, choices, responses, metric items) is a json_t: Python's int, float, str, bool,
 * None, list and dict have the same JSON kinds; tuples are arrays.
 *
 * Source: lm_eval/config/task.py, lm_eval/api/task.py of lm-evaluation-harness 0.4.13. */
#ifndef MU_EVAL_TASK_H
#define MU_EVAL_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_metric;      /* eval/metric/metric.h */
struct mu_aggregation; /* eval/stats/aggregation.h */
struct mu_filter;      /* eval/filter/filter.h */
struct mu_processor;   /* eval/docs/used.h */
struct mu_function;    /* eval/docs/processor.h */
struct mu_jinja;       /* tok/jinja/jinja.h */

#define MU_TASK_METRICS_MAX 64
#define MU_TASK_FILTERS_MAX 64    /* pipelines of a task */
#define MU_TASK_STEPS_MAX   64    /* of one pipeline */
#define MU_TASKS_MAX        16384 /* chosen for one run; the harness ships 13,031 */

enum mu_output_type { MU_OUTPUT_LOGLIKELIHOOD, MU_OUTPUT_ROLLING, MU_OUTPUT_MULTIPLE_CHOICE, MU_OUTPUT_GENERATE };
const char *mu_output_type_name(enum mu_output_type t); /* "multiple_choice", "loglikelihood_rolling", ... */

/* A doc_to_* field. What the harness decides by type at every call is decided once, when the documents are known:
 * a string equal to a column name is that column, any other string a template. */
enum mu_field_kind {
    MU_FIELD_NONE,    /* null or absent */
    MU_FIELD_VALUE,   /* an int, list or dict written out in the YAML */
    MU_FIELD_TEXT,    /* a column's name or a template */
    MU_FIELD_FUNCTION /* !function, done by a built-in processor */
};

struct mu_field {
    enum mu_field_kind kind;
    const char *name;      /* "doc_to_text", for sentences */
    json_t *value;         /* VALUE: borrowed from the task's config */
    const char *text;      /* TEXT: the source, borrowed from the config; FUNCTION: "utils.doc_to_text" */
    struct mu_jinja *tmpl; /* TEXT: compiled, owned */
    int line;              /* in the task's file; 0: unknown */
    /* FUNCTION: doc -> value, see docs/processor.h */
    int (*function)(const json_t *doc, json_t **out, struct mu_err *e);
};

struct mu_task_metric {
    const char *name;                             /* as results name it: "acc", "exact_match" */
    const struct mu_metric *metric;               /* NULL: a function's, or the processor's process_results */
    const struct mu_function *function;           /* METRIC: the entry says !function; else NULL */
    const struct mu_aggregation *aggregation;     /* never NULL; not used when aggregate_function is there */
    const struct mu_function *aggregate_function; /* AGGREGATE: the entry's aggregation is !function; else NULL */
    json_t *kwargs;       /* what else the entry says; object, borrowed from config; may be NULL */
    int higher_is_better; /* 1, 0, -1: null */
};

struct mu_filter_step {
    const struct mu_filter *filter;
    const struct mu_function *function; /* FILTER: filter_fn of the filter "custom"; else NULL */
    json_t *kwargs;                     /* object, borrowed from config, may be NULL */
};

struct mu_filter_pipeline {
    const char *name; /* "none", "strict-match" */
    struct mu_filter_step step[MU_TASK_STEPS_MAX];
    int n_steps;
};

enum mu_sampler { MU_SAMPLER_DEFAULT, MU_SAMPLER_FIRST_N };

struct mu_task {
    const char *name;
    const char *alias; /* name when the file gives none */
    const char *path;  /* of the YAML file; "bundle FILE" for one from a bundle */
    json_t *config;    /* owned: all fields, includes merged, the harness's defaults filled in, functions as
                        * "utils.process_docs" texts; written to results under "configs" */
    json_t *version;   /* metadata.version: number or text; "Yaml" when absent. Its own reference unless it is
                        * that very node of config */
    enum mu_output_type output_type;

    const char *dataset_path, *dataset_name; /* NULL when absent */
    const char *training_split, *validation_split, *test_split;

    struct mu_field text, target, choice, gen_prefix, description;
    const char *target_delimiter, *fewshot_delimiter;

    struct {
        enum mu_sampler sampler;
        const char *split;                                /* NULL: none */
        json_t *samples;                                  /* array of documents written out, or NULL; borrowed */
        bool skip_process_docs;                           /* its process_docs is written as null */
        struct mu_field text, target, choice, gen_prefix; /* the task's own unless overridden */
        const char *target_delimiter, *fewshot_delimiter;
    } fewshot;
    int num_fewshot;           /* as the file says; -1: it says nothing */
    json_t *generation_kwargs; /* object: GENERATE; NULL else. Defaults filled in. Borrowed from config */
    int repeats;
    bool unsafe_code; /* its scoring runs what the model wrote */

    struct mu_task_metric metric[MU_TASK_METRICS_MAX];
    int n_metrics;
    struct mu_filter_pipeline *filter; /* owned array, at least one */
    int n_filters;
    const struct mu_processor *processor; /* what its file says in Python, by built-in functions; NULL: nothing */
    void *keep;                           /* what owns the texts above (a struct mu_arena *) */
    json_t *extra;                        /* owned: array of what is borrowed above and not in config; may be NULL */
};

void mu_task_free(struct mu_task *t); /* NULL is fine */

/* ---- groups and selection ---- */

struct mu_group_metric {
    const char *metric;
    const char *const *filter; /* names, n_filters of them; 0: the file names none, so all filters of that metric */
    int n_filters;
    bool weight_by_size; /* default true */
};

struct mu_group {
    const char *name, *alias, *path;
    json_t *config, *version; /* a reference each, dropped with the set */
    int *child;               /* n_children: index of a task, or -1 - index of a group */
    int n_children;
    struct mu_group_metric *metric; /* empty: only lists its members */
    int n_metrics;
    bool is_tag; /* came from a tag: lists members, aggregates nothing */
};

/* What a run evaluates: tasks in the order in which the harness would run and print them. */
struct mu_task_set {
    struct mu_task **task;
    int n_tasks;
    struct mu_group *group;
    int n_groups;
    void *keep; /* what owns the texts and arrays of the groups (a struct mu_arena *) */
};

/* The names known from folders of YAML files. Folders are searched whole; a later folder's task of the same name wins.
 */
struct mu_task_index;

struct mu_task_entry {
    const char *name;
    enum { MU_ENTRY_TASK, MU_ENTRY_GROUP, MU_ENTRY_TAG, MU_ENTRY_SUITE } kind;
    const char *path;        /* NULL for a tag */
    const char *output_type; /* tasks, when the file itself says it; else NULL */
};

int mu_task_index_open(struct mu_task_index **out, const char *const *folders, int n_folders, struct mu_err *e);
void mu_task_index_close(struct mu_task_index *ix); /* NULL is fine */
int mu_task_index_count(const struct mu_task_index *ix);
struct mu_task_entry mu_task_index_at(const struct mu_task_index *ix, int i); /* sorted by name */

/* names: tasks, groups, tags, suites, globs ("mmlu_*"), or paths of YAML files. MU_ENOENT names the unknown one and
 * the nearest known. Everything about the chosen tasks is checked here except documents: unknown fields, filters,
 * metrics, templates that do not compile. */
int mu_task_index_select(const struct mu_task_index *ix, const char *const *names, int n_names,
                         struct mu_task_set **out, struct mu_err *e);
void mu_task_set_free(struct mu_task_set *s); /* NULL is fine */

/* One file, checked as select does: what `muster tasks --validate` shows. Every fault found, in the order of lines. */
int mu_task_file_check(const struct mu_task_index *ix, const char *path,
                       void (*fault)(void *arg, int line, const char *field, const char *sentence), void *arg,
                       struct mu_err *e);

#endif
