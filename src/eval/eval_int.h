/* eval_int.h - an evaluation, for the files behind muster/eval.h */
#ifndef MU_EVAL_EVAL_INT_H
#define MU_EVAL_EVAL_INT_H

#include <muster/eval.h>

#include "eval/bundle.h"
#include "eval/journal.h"
#include "eval/results.h"
#include "eval/run.h"
#include "eval/sandbox.h"
#include "tensor/numerics.h"
#include "tok/chat.h"

/* The model of a run: open, or known from the journal. */
struct mu_eval_model {
    const struct mu_engine_opts *opts; /* NULL: the engine was given */
    int (*open)(void *arg, mu_engine **eng, struct mu_err *e);
    void *arg;
    mu_engine *eng;                               /* NULL: not open */
    struct mu_engine_info info;                   /* of eng, else as noted */
    struct mu_engine_seen seen;                   /* of eng before this run: it may have done others */
    char identity[2 * sizeof(struct mu_key) + 1]; /* of files and options; "": unknown, or too young to be relied on */
    json_t *note;                                 /* keeps the texts of info */
};

struct mu_eval {
    struct mu_eval_opts o;
    const mu_tokenizer *tok;
    json_t *gen_kwargs, *samples; /* parsed options, or NULL */
    struct mu_task_index *index;
    struct mu_task_set *set;
    struct mu_work **works; /* set->n_tasks of them */
    struct mu_chat *chat;
    char *chat_text;
    struct mu_sandbox *sandbox;
    json_t *skipped;    /* array: documents that were left out, as the audit block tells them */
    int64_t n_numbered; /* documents, before any was left out */
    struct mu_journal *journal;

    double date; /* unix seconds, of open */
    int64_t start_ns;
    int64_t n_sessions; /* runs on this journal before this one */
    int64_t max_length;
    struct mu_eval_model model;
    char numerics_texts[2][160]; /* as noted, of the open engine */
    const char *numerics;        /* one of them */
    struct mu_run_audit audit;
    struct mu_run_progress progress;
    bool plan_is_told;
    json_t *config, *audit_extra, *run, *tokenizer, *results; /* after run */
    struct mu_buf text, path;
};

/* eval_args.c: options that are texts. NULL stays NULL; *out is the caller's. */
int mu_eval_parse_gen_kwargs(const char *text, json_t **out, struct mu_err *e);
int mu_eval_parse_samples(const char *text, json_t **out, struct mu_err *e);
/* Documents chosen for a task, increasing, the caller's to mu_free(); *ids NULL: all. */
int mu_eval_samples_of(const json_t *samples, const char *task, int64_t **ids, int *n, struct mu_err *e);

/* eval_part.c: works without the documents that options part and skip leave out; sets skipped and n_numbered. */
int mu_eval_leave_out(struct mu_eval *ev, struct mu_err *e);

/* eval_chat.c: the chat template of a model's folder or GGUF file; *text its source, the caller's to mu_free(). */
int mu_eval_chat_open(struct mu_chat **out, char **text, const char *model, const char *name, const mu_tokenizer *tok,
                      struct mu_err *e);
/* Whether the model's folder has one template only, which then is taken whatever name is asked for, as in the harness.
 */
bool mu_eval_chat_is_single(const char *model);

/* eval_model.c. recall: model.identity, and from the journal model.info; *is_known false: nothing was noted for these
 * files. remember: what the engine, just opened, says of them. */
bool mu_eval_is_remote(const struct mu_eval *ev); /* a server computes: it says nothing of how */
int mu_eval_model_recall(struct mu_eval *ev, bool *is_known, struct mu_err *e);
int mu_eval_model_remember(struct mu_eval *ev, struct mu_err *e);

/* eval_facts.c: config, audit_extra, run and tokenizer of ev, from what ran. */
int mu_eval_facts_make(struct mu_eval *ev, struct mu_err *e);

/* A sentence for the user; a warning reaches those who want no notes. */
void mu_eval_note(const struct mu_eval *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mu_eval_warn(const struct mu_eval *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
