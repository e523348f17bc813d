/* campaign.h - a campaign file (docs/campaigns.md): models by suites, as a list of tasks that is checked as a whole
 *
 * A task is one model on one suite. Its name, "llama-7b/mmlu", is what events and journals know it by: it is made of
 * the names of model and suite and of the values of a matrix (",weights=int8"), and of nothing else in the file. Plain
 * data: no clock, device or network is asked here. What exists, what a task is predicted to take and what time it is
 * come from the caller (struct mu_campaign_world). Only the campaign's own files are read.
 *
 * Tasks wait for sets of tasks, not for single ones: "every 70b after every 7b" is one set, whatever its size. A task
 * is ready when every set it waits for is done; a set is done when every task in it is. */
#ifndef MU_SCHED_CAMPAIGN_H
#define MU_SCHED_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "plan/machine.h"
#include "sched/failure.h"
#include "sched/priority.h"
#include "sched/queue.h"
#include "sched/scale.h"

#define MU_CAMPAIGN_FILES_MAX    64   /* the file and all it includes */
#define MU_CAMPAIGN_DEPTH_MAX    8    /* one file including another including ... */
#define MU_CAMPAIGN_MODELS_MAX   4096 /* with their variations, as suites */
#define MU_CAMPAIGN_SUITES_MAX   4096
#define MU_CAMPAIGN_TASKS_MAX    200000
#define MU_CAMPAIGN_MATRIX_MAX   4096   /* products of a matrix */
#define MU_CAMPAIGN_VALUES_MAX   256    /* of one parameter of a product */
#define MU_CAMPAIGN_PARAMS_MAX   8      /* of a product */
#define MU_CAMPAIGN_SETTINGS_MAX 200000 /* items of settings */
#define MU_CAMPAIGN_PATTERNS_MAX 1024   /* of one list of patterns */
#define MU_CAMPAIGN_SETS_MAX     200000
#define MU_CAMPAIGN_MEMBERS_MAX  (4 << 20) /* tasks of all sets, counted each time */
#define MU_CAMPAIGN_WAITS_MAX    (4 << 20) /* sets that all tasks wait for, counted each time */
#define MU_CAMPAIGN_LOOKS_MAX    (1 << 25) /* of patterns at names and tasks: seconds */
#define MU_CAMPAIGN_NAME_MAX     128       /* bytes of a model's or suite's name, variations included */
#define MU_CAMPAIGN_TEXT_MAX     65536     /* bytes of any other text */
#define MU_CAMPAIGN_MEMORY_MAX   ((size_t)1 << 30)
#define MU_CAMPAIGN_FAULTS_MAX   20 /* kept; all are counted */
#define MU_CAMPAIGN_PATH_MAX     512
#define MU_CAMPAIGN_SECONDS_MAX  (3650 * 86400.0)

/* ---- faults ---- */

struct mu_campaign_fault {
    char path[MU_CAMPAIGN_PATH_MAX];
    int line; /* 0: of the file as a whole */
    int file; /* in the order the files were read */
    char sentence[768];
};

struct mu_campaign_faults {
    struct mu_campaign_fault fault[MU_CAMPAIGN_FAULTS_MAX]; /* by file and line */
    int n;                                                  /* kept */
    int n_all;                                              /* found */
};

/* ---- a campaign ---- */

struct mu_campaign_place {
    int file; /* index of mu_campaign.file */
    int line; /* 0: not known */
};

/* Texts may be NULL and numbers 0: not said, so the default of `muster eval`. */
struct mu_campaign_model {
    const char *name;  /* "llama-7b", of a variation "llama-7b,weights=int8" */
    const char *model; /* folder, file or preset */
    const char *weights, *dtype, *kv_dtype, *layout, *engine, *endpoint; /* layout, engine: NULL also for auto */
    int64_t context, ranks, batch_size, batch_tokens, threads;
    uint64_t max_memory;
    json_t *options; /* all that is said, those above too, by the names of `muster eval --config` */
    int base;        /* index of the model that the file names: itself, or what it is a variation of */
    struct mu_campaign_place at;
};

struct mu_campaign_suite {
    const char *name;
    const char *tasks;   /* as of --tasks: names between commas; NULL with a bundle */
    const char *bundle;  /* NULL with tasks */
    int64_t num_fewshot; /* -1: each task's own */
    double limit;        /* 0: all documents; below 1 a share of them; else how many */
    json_t *options;
    int base;
    struct mu_campaign_place at;
};

/* 0: not said, the planner's choice. */
struct mu_campaign_resources {
    int64_t devices;        /* in all */
    int64_t cpus;           /* of a node */
    uint64_t memory;        /* bytes that each device must have */
    uint64_t host_memory;   /* bytes that each node must have */
    double time_s;          /* to ask a batch system for */
    const char *constraint; /* such as "nvlink"; NULL: none */
};

/* The first wait, doubled by every further failure up to the longest (base/retry.h). */
struct mu_campaign_retries {
    int64_t limit; /* tries after the first */
    double wait_s, wait_max_s;
};

struct mu_campaign_policy {
    enum mu_priority priority;
    enum mu_queue_after if_failed; /* what becomes of it when a task it waits for fails */
    int64_t deadline_at;           /* Unix seconds; 0: none */
    double deadline_s;             /* from the campaign's start; 0: none */
    double timeout_s;              /* of one try; 0: none */
    unsigned shrink;               /* bits 1 << enum mu_shrink: what may be given up where it does not fit */
    struct mu_campaign_resources resources;
    struct mu_campaign_retries retries;
    struct mu_campaign_place deadline_place, timeout_place, resources_place; /* what was said last */
};

struct mu_campaign_task {
    const char *id;   /* "llama-7b/mmlu" */
    int model, suite; /* indices */
    struct mu_campaign_policy policy;
    enum mu_priority urgency; /* its priority, or that of the most urgent task that waits for it */
    const int32_t *wait;      /* sets it waits for, increasing */
    int n_wait;
    const int32_t *in; /* sets it is in */
    int n_in;
    struct mu_campaign_place at; /* of the product that made it */
};

struct mu_campaign_set {
    const char *pattern;    /* "llama-7?/mmlu" */
    const int32_t *task;    /* n tasks in it, increasing */
    const int32_t *waiting; /* n_waiting tasks that wait for it */
    int n, n_waiting;
    struct mu_campaign_place at; /* where it is asked for first */
};

struct mu_campaign_budgets {
    double gpu_hours;  /* 0: none */
    double walltime_s; /* of the whole campaign; 0: none */
};

struct mu_campaign_concurrency {
    int64_t tasks;      /* at a time; 0: as many as fit */
    int64_t per_device; /* tasks that share a device, at most */
};

/* A class of failure, and what is done instead of the default (sched/failure.h). */
struct mu_campaign_failure {
    enum mu_failure failure;
    enum mu_action_kind first, then;
    int64_t tries; /* attempts that fail so before `then`; 0: as by default, and so is then */
};

struct mu_campaign_alerts {
    const char *command; /* run by the shell, the alert as JSON on its standard input; NULL: none */
    const char *webhook; /* URL that gets the same by POST; NULL: none */
    double timeout_s;
};

struct mu_campaign {
    const char *name, *output, *strategy;
    const char *site;  /* Slurm site profile; NULL: none */
    const char *share; /* folder through which campaigns share their devices; NULL: they are not shared */
    double weight;     /* in the fair share between campaigns */
    struct mu_campaign_budgets budgets;
    struct mu_campaign_concurrency concurrency;
    struct mu_campaign_failure failure[MU_FAILURES];
    int n_failures;
    struct mu_campaign_alerts alerts;
    struct mu_scale_rules scaling; /* its defaults where is_scaling is false */
    bool is_scaling;
    struct mu_campaign_place budgets_place, scaling_place;

    struct mu_campaign_model *model; /* those of the file first, then variations */
    struct mu_campaign_suite *suite;
    struct mu_campaign_task *task; /* as the matrix lists them */
    struct mu_campaign_set *set;
    int n_models, n_suites, n_tasks, n_sets;
    const int32_t *order; /* all tasks, each after those it waits for; NULL while they wait in a circle */
    const char *file[MU_CAMPAIGN_FILES_MAX];
    int n_files;

    struct mu_arena arena;           /* owns texts and arrays */
    struct mu_campaign_table *by_id; /* tasks */
};

/* ---- what the caller knows ---- */

struct mu_campaign_guess {
    double seconds; /* of the task with all its devices, loading included; below 0: not known */
    int devices;    /* 0: not known */
    double load_s;  /* of the seconds, loading */
};

/* Every member may be NULL or 0: then nothing is held against it. */
struct mu_campaign_world {
    void *arg;
    /* MU_OK: there is such a model (suite). Else a sentence with the nearest that there is. Asked once for each that
     * the file names and that a task uses. */
    int (*find_model)(void *arg, const struct mu_campaign_model *m, struct mu_err *e);
    int (*find_suite)(void *arg, const struct mu_campaign_suite *s, struct mu_err *e);
    void (*predict)(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out);
    const struct mu_machine *machine; /* those there are */
    int n_machines;
    int64_t start_at; /* when the campaign starts, Unix seconds */
};

/* ---- reading and checking ---- */

/* Reads the file and what it includes, makes the list of tasks and holds it against the world (may be NULL). *faults is
 * set to all that is wrong, and *e to the first of it: MU_EFORMAT when the files are wrong, MU_EINVAL when only the
 * world stands against it. A file that cannot be read at all is MU_ENOENT and its like. *out is the caller's, NULL on
 * failure. */
int mu_campaign_load(struct mu_campaign **out, const char *path, const struct mu_campaign_world *w,
                     struct mu_campaign_faults *faults, struct mu_err *e);

/* The same of a text; files it includes are looked for beside `path`, which need not exist. */
int mu_campaign_parse(struct mu_campaign **out, struct mu_str text, const char *path, const struct mu_campaign_world *w,
                      struct mu_campaign_faults *faults, struct mu_err *e);

void mu_campaign_free(struct mu_campaign *c); /* NULL is fine */

/* The part that needs the world, again: at another time, of other machines. Faults are added to those that are there.
 */
int mu_campaign_check(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_faults *faults,
                      struct mu_err *e);

/* ---- asking ---- */

int mu_campaign_find(const struct mu_campaign *c, const char *id); /* index of a task; -1: none */

/* The tasks that one waits for, each once, increasing, into list[max]; returns how many there are, which may be more
 * than max. */
int mu_campaign_befores(const struct mu_campaign *c, int task, int32_t *list, int max);

/* Devices that the file fixes for a task by resources, ranks or layout; 0: none, the planner chooses. */
int64_t mu_campaign_devices(const struct mu_campaign *c, int task);

/* What `muster eval --config` would be given for the task, but for the output: an object, the caller's. */
int mu_campaign_task_options(const struct mu_campaign *c, int task, json_t **out, struct mu_err *e);

/* What the campaign is: its name and, in any order, its tasks and what decides their results. Priorities, budgets,
 * resources, layouts and batches may change between two runs of one campaign, its hash does not. */
int mu_campaign_hash(const struct mu_campaign *c, uint64_t *out, struct mu_err *e);
int mu_campaign_task_hash(const struct mu_campaign *c, int task, uint64_t *out, struct mu_err *e); /* of one task */

/* ---- the plan ---- */

struct mu_campaign_plan_row {
    int task;
    int depth;             /* tasks before it on the longest chain of waits */
    int devices;           /* 0: not known */
    double seconds;        /* below 0: not known */
    double load_s;         /* of them, loading */
    double start_s, end_s; /* the earliest, from the start, with what is not known counted as 0 */
    double gpu_hours;
};

struct mu_campaign_plan {
    struct mu_campaign_plan_row *row; /* n, in the order they would run one at a time: each after those it waits for,
                                       * then by urgency, deadline, model (which stays loaded), and the matrix */
    int n;
    int n_priority[MU_PRIORITY_N];
    int n_unknown;             /* without a prediction */
    double seconds, gpu_hours; /* of all with one */
    double chain_s;            /* the longest chain of waits: no campaign is shorter */
    int last;                  /* the task that ends it; -1 without tasks */
};

int mu_campaign_plan(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_plan **out,
                     struct mu_err *e);
void mu_campaign_plan_free(struct mu_campaign_plan *p); /* NULL is fine */

#endif
