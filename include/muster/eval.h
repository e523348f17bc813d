/* eval.h - a model on evaluation tasks: lm-evaluation-harness's tasks, prompts, numbers and files
 *
 * An evaluation is opened without a model: tasks are found and checked, documents read, requests built, so that a
 * mistake in any of them shows within a second. Then it runs on an open engine, which is lent to it, and its results
 * are printed and written.
 *
 *     struct mu_eval_opts o = MU_EVAL_OPTS_INIT;
 *     o.model = "models/muster-llama-tiny";
 *     o.tasks = (const char *const[]){"muster_arithmetic"};
 *     o.n_tasks = 1;
 *     o.output_path = "out";
 *     mu_eval_open(&ev, &o, tokenizer, &err);
 *     mu_eval_run(ev, engine, &err);
 *     mu_eval_write(ev, &path, &err);
 *     mu_eval_close(ev);
 *
 * Every finished request is durable in <output_path>/journal.sqlite before it counts as done: an evaluation that was
 * stopped, by whatever, goes on where it was when it is opened again with the same output path.
 *
 * Options, engine and tokenizer are borrowed and must outlive the evaluation. One thread at a time uses a handle. */
#ifndef MUSTER_EVAL_H
#define MUSTER_EVAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <muster/engine.h>
#include <muster/err.h>
#include <muster/tokenizer.h>

typedef struct mu_eval mu_eval;

/* What will be computed: told once, before it is. Tokens as fed to the model and drawn. */
struct mu_eval_plan {
    int64_t n_tasks, n_documents;
    int64_t n_numbered;                  /* documents, those that part and skip leave out among them */
    int64_t n_generating;                /* of the tasks: those that ask for texts; the others ask for scores */
    int64_t n_requests;                  /* repeats counted */
    int64_t text_bytes;                  /* of all requests' prompts and continuations */
    int64_t n_unique;                    /* things to compute, after equal ones are merged */
    int64_t n_journal;                   /* of these, already answered in the journal */
    int64_t tokens_naive, tokens_shared; /* of all requests: each computed alone; common beginnings once */
    int64_t tokens_left;                 /* of what is not in the journal */
};

struct mu_eval_progress {
    int64_t n_done, n_total; /* requests */
    int64_t tokens_done, tokens_total;
};

/* Names are those of the command line (`muster eval --help` tells each), with _ for -. */
struct mu_eval_opts {
    const char *model;        /* folder or file; names the results, and its chat template is used */
    const char *const *tasks; /* names, groups, tags, globs, YAML files */
    int n_tasks;
    const char *bundle;              /* in place of tasks: requests that the harness built */
    const char *const *include_path; /* folders of task files; a later folder's task of the same name wins */
    int n_include_path;
    const char *const *data_dir; /* folders with data sets of the hub */
    int n_data_dir;

    int num_fewshot;     /* -1: each task's own */
    double limit;        /* 0: all documents; below 1 a share of them; else how many */
    const char *samples; /* JSON, {"task": [document numbers]}, or a file that holds it; NULL: all */
    /* Documents by their numbers: from 0, over all tasks in their order. Nothing of the others depends on it. */
    const char *skip; /* those that are left out, as the results say: "17,40", or JSON {"17": "why"}; NULL: none */
    const char *part; /* "FIRST-LAST": only these are answered, into the journal; no results. NULL: all */
    const char *system_instruction;
    bool apply_chat_template;
    const char *chat_template;    /* which of the model's templates; NULL: its default */
    bool fewshot_as_multiturn;    /* shots as turns of the chat */
    const char *gen_kwargs;       /* "temperature=0.7,until=['.']" or a JSON object, over the tasks' own; NULL */
    int64_t seed[4];              /* as the harness: Python, NumPy, torch, few-shot. Draws take the third */
    bool predict_only;            /* answers are written, nothing is measured */
    int64_t bootstrap_iters;      /* 0: no standard errors */
    int64_t max_length;           /* tokens of a window; 0: the engine's context */
    bool confirm_run_unsafe_code; /* programs the model wrote may be run, inside a sandbox */

    const char *output_path; /* folder, or a file that ends in .json; NULL: nothing is written, no journal kept */
    bool log_samples;
    bool fresh;      /* forget what the journal holds */
    bool naive_work; /* compute every request alone; the numbers are the same */

    /* Facts of how the engine was opened that it does not tell; they are part of the journal's keys. */
    const char *backend; /* "cpu" */
    const char *mla;     /* as in mu_engine_opts; NULL: absorbed */

    void (*on_note)(void *arg, const char *sentence);    /* worth knowing, no error. May be NULL, as the others */
    void (*on_warning)(void *arg, const char *sentence); /* the numbers may not mean what they seem to; NULL: a note */
    void (*on_plan)(void *arg, const struct mu_eval_plan *plan);
    int (*on_progress)(void *arg, const struct mu_eval_progress *p); /* ten times a second; nonzero stops */
    void *arg;
};

#define MU_EVAL_OPTS_INIT                                                                                              \
    {                                                                                                                  \
        .num_fewshot = -1, .fewshot_as_multiturn = true, .seed = {0, 1234, 1234, 1234}, .bootstrap_iters = 100000      \
    }

/* MU_ENOENT: an unknown task, with the nearest known; a data set that is not there, with the places looked at.
 * MU_EPEER: another process uses the output path. */
int mu_eval_open(mu_eval **out, const struct mu_eval_opts *o, const mu_tokenizer *tok, struct mu_err *e);
void mu_eval_close(mu_eval *ev); /* NULL is fine */

/* What is known before anything ran: tasks, documents, requests and their texts; the rest is 0. */
void mu_eval_planned(const mu_eval *ev, struct mu_eval_plan *out);

/* The requests of a small evaluation as tokens of KV cache, so that no more of it is reserved (mu_engine_opts.work). A
 * large one fills any cache: it is not looked at, nor one with a request that running it will refuse, and all stays 0.
 */
struct mu_eval_size {
    int64_t n;               /* things to compute when nothing is shared */
    int64_t longest, tokens; /* of the longest, of all together */
};
/* context: the engine's, where max_length was left open. */
void mu_eval_measure(const mu_eval *ev, int64_t context, struct mu_eval_size *out);

/* What it comes to when equal requests are merged and common beginnings computed once: all texts are tokenised for it.
 */
struct mu_eval_count {
    int64_t n_requests, n_outputs; /* things to compute; of these, texts to be generated */
    int64_t rows, drawn;           /* tokens fed to the model; tokens of these texts, at most */
};
/* context: the model's, where max_length was left open. */
int mu_eval_count(const mu_eval *ev, int64_t context, struct mu_eval_count *out, struct mu_err *e);

/* Compute what the journal does not hold, and score, but for a part. MU_ECANCELED: stopped by on_progress; what is done
 * is kept. */
int mu_eval_run(mu_eval *ev, mu_engine *eng, struct mu_err *e);

/* The same with an engine that is opened when an answer is missing, and not at all when the journal holds every one: it
 * also notes what was true of the model (hash of the weights, end tokens, context) for its files as they were: names,
 * sizes, inodes, times of change. A file changed in a way that no file system tells of goes unseen until an answer is
 * missing; once the model is open its own hash decides, and answers of two models never meet. `o` says how open() will
 * open it; what it opens stays the caller's, and may be closed once this has returned. */
int mu_eval_run_lazy(mu_eval *ev, const struct mu_engine_opts *o,
                     int (*open)(void *arg, mu_engine **eng, struct mu_err *e), void *arg, struct mu_err *e);

/* After run. The results as JSON text, as long as the evaluation lives. */
int mu_eval_json(mu_eval *ev, const char **text, struct mu_err *e);

/* After run. The harness's table. */
int mu_eval_print(mu_eval *ev, FILE *f, struct mu_err *e);

/* After run. Results, and with log_samples samples, below output_path; each file whole or not at all. *path: of the
 * results file, as long as the evaluation lives. */
int mu_eval_write(mu_eval *ev, const char **path, struct mu_err *e);

#endif
