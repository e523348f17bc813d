/* run.h - requests of works through an engine: tokens, shared work, journal, responses
 *
 * Texts become tokens as the harness does it (tok/pair.h, rolling windows, left truncation). Equal requests are
 * computed once. Shared work: all continuations of a context are submitted side by side, so that the engine computes
 * the context once; continuations that differ only in their last token are one request (alternatives of the last row).
 * `naive` computes every request alone: the same answers, more work, for comparison.
 *
 * Every answer is in the journal before it counts as done. */
#ifndef MU_EVAL_RUN_H
#define MU_EVAL_RUN_H

#include <muster/engine.h>
#include <muster/tokenizer.h>

#include "eval/journal.h"
#include "eval/work.h"

#define MU_RUN_KEY_VERSION "muster answer 1" /* of the journal's keys; another number: answers mean something else */

/* What the runner needs of an engine; tests give it a fake. */
struct mu_run_engine {
    mu_engine *eng; /* NULL: not open; then info, open and a journal are needed */
    const mu_tokenizer *tok;
    const char *weights_hash; /* hexadecimal, of the content */
    const char *numerics;     /* everything that may change a bit: "cpu f32 kv=f32 mla=absorbed v1" */
    int64_t max_length;       /* tokens a window may have: context of the engine, or smaller when asked */
    int64_t max_gen_toks;     /* when a task says nothing: 256 */

    /* Without eng: what was true of the engine when it was open. Requests are planned and looked up by it, and open()
     * is called only when an answer is missing: it sets eng, weights_hash, numerics and max_length (the strings that
     * were there must stay). Where the engine differs from info everything is planned again by what it says. */
    const struct mu_engine_info *info;
    int (*open)(void *arg, struct mu_run_engine *g, struct mu_err *e);
    void *open_arg;
};

struct mu_run_progress {
    int64_t n_done, n_total;           /* requests, repeats counted */
    int64_t n_journal;                 /* of n_done, found in the journal */
    int64_t tokens_done, tokens_total; /* to compute, as planned; an output counts with the most it may have */
};

struct mu_run_opts {
    bool naive;                 /* --work naive */
    struct mu_journal *journal; /* NULL: none kept */
    int64_t seed;               /* of sampled generation: combined with document, request and repeat */
    /* At least every tenth of a second; nonzero stops: running requests are dropped, finished ones are committed, and
     * run returns MU_ECANCELED. */
    int (*on_progress)(void *arg, const struct mu_run_progress *p);
    void *arg;
};

/* What all requests come to. */
struct mu_run_size {
    /* When each is computed alone: */
    int64_t n;               /* things to compute: a rolling text has one a window */
    int64_t longest, tokens; /* tokens of KV cache: of the longest, of all together */
    /* When equal ones are merged and common beginnings computed once; mu_run_count() only: */
    int64_t n_unique, n_outputs; /* things to compute; of these, texts */
    int64_t rows, drawn;         /* tokens fed to the model; tokens of these texts, at most */
};

/* Of an engine with this tokenizer, max_length and max_gen_toks, open or not: its other fields do not count. */
int mu_run_measure(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, struct mu_run_size *out,
                   struct mu_err *e);
int mu_run_count(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, struct mu_run_size *out,
                 struct mu_err *e);

#define MU_RUN_SLOWEST_MAX 20

/* A document, by what its requests took in the engine. A request of several documents counts for the first. */
struct mu_run_slow {
    int work;
    int64_t doc_id;
    int64_t ns, tokens; /* tokens as planned, and drawn */
};

/* Summed for the audit block. All but the last group is the same for every run of the same requests. */
struct mu_run_audit {
    int64_t n_requests;    /* repeats counted */
    int64_t n_unique;      /* things to compute after equal ones are merged; a rolling text has one a window */
    int64_t tokens_naive;  /* fed to the model when every request is computed alone, and drawn */
    int64_t tokens_shared; /* as planned with sharing: contexts once, one-token choices from one row */
    int64_t n_truncated;
    int64_t n_sampled; /* requests with temperature above 0 */
    /* of this process */
    int64_t n_from_journal, n_computed, tokens_computed, tokens_cached; /* the first two as n_unique counts */
    int64_t run_ns;                                 /* computing: without planning and opening the engine */
    int64_t n_replicas_lost, n_given_back;          /* on the way; answers of these that others gave */
    struct mu_run_slow slowest[MU_RUN_SLOWEST_MAX]; /* of computed answers, slowest first */
    int n_slowest;
};

/* Fills the resps of every request. MU_ECANCELED, MU_ENOSPC and the like leave what is finished in the journal. A
 * request that can never run (continuation longer than the context) fails the run before anything is computed, naming
 * task and document. */
int mu_run(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, const struct mu_run_opts *o,
           struct mu_run_audit *audit, struct mu_err *e);

#endif
