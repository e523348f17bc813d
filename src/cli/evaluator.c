/* evaluator.c - see evaluator.h */
#include "cli/evaluator.h"

#include <inttypes.h>
#include <stdio.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/interrupt.h"
#include "plan/bill.h"

#define BYTES_A_TOKEN 4   /* of English text, roughly */
#define OUTPUT_TOKENS 256 /* a task's limit where it names none */

struct evaluator {
    const struct mu_eval_args *args;
    const struct mu_evaluate_opts *o;
    struct mu_session *s;
    struct mu_model_args model;
    struct mu_eval_asked asked;
    mu_eval *ev;
    struct mu_eval_plan plan;
    struct mu_eval_progress now;
    struct mu_progress progress;
    bool has_begun;
};

/* ---- while it runs ---- */

static void on_note(void *arg, const char *sentence)
{
    (void)arg;
    fprintf(stderr, "note: %s\n", sentence);
}

static void on_warning(void *arg, const char *sentence)
{
    (void)arg;
    fprintf(stderr, "warning: %s\n", sentence);
}

static void on_plan(void *arg, const struct mu_eval_plan *p)
{
    struct evaluator *x = arg;
    x->plan = *p;
    if (x->s->quiet)
        return;
    if (p->n_journal == p->n_unique) {
        fprintf(stderr, "all %" PRId64 " answers were in the journal%s\n", p->n_unique,
                x->s->eng ? "" : "; the model was not loaded");
        return;
    }
    fprintf(stderr,
            "plan: %" PRId64 " tokens for %" PRId64 " distinct answers; %" PRId64
            " if every request were computed alone (%.2f times)\n",
            p->tokens_shared, p->n_unique, p->tokens_naive,
            p->tokens_shared > 0 ? (double)p->tokens_naive / (double)p->tokens_shared : 1.0);
    if (p->n_journal > 0)
        fprintf(stderr, "in the journal already: %" PRId64 " answers; left to compute: at most %" PRId64 " tokens\n",
                p->n_journal, p->tokens_left);
}

static int on_progress(void *arg, const struct mu_eval_progress *p)
{
    struct evaluator *x = arg;
    x->now = *p;
    if (p->tokens_total > 0 && !x->has_begun && x->o->on_begun)
        x->o->on_begun(x->o->arg, p->n_done, x->plan.n_numbered);
    x->has_begun |= p->tokens_total > 0;
    if (x->o->on_progress)
        x->o->on_progress(x->o->arg, p->n_done, p->n_total);
    if (!x->s->quiet && p->tokens_total > 0 && x->progress.what)
        mu_progress_update(&x->progress, (uint64_t)p->tokens_done, (uint64_t)p->tokens_total);
    return mu_interrupted();
}

static int open_tasks(struct evaluator *x, struct mu_err *e)
{
    struct mu_eval_plan p;
    x->asked.o.on_note = x->s->quiet ? NULL : on_note;
    x->asked.o.on_warning = on_warning;
    x->asked.o.on_plan = on_plan;
    x->asked.o.on_progress = on_progress;
    x->asked.o.arg = x;
    MU_TRY_RETURN(mu_eval_open(&x->ev, &x->asked.o, x->s->tok, e));
    mu_eval_planned(x->ev, &p);
    if (x->o->on_progress)
        x->o->on_progress(x->o->arg, 0, p.n_requests);
    if (!x->s->quiet)
        fprintf(stderr, "%" PRId64 " task%s, %" PRId64 " documents, %" PRId64 " requests\n", p.n_tasks,
                p.n_tasks == 1 ? "" : "s", p.n_documents, p.n_requests);
    return MU_OK;
}

/* For the planner, the batch and the cache: how many requests, and about how long; of a small evaluation exactly.
 * Never what the journal left of it, so that a run that goes on chooses what the first one did. Outputs count with the
 * room they have. */
static struct mu_engine_work work_of(const struct evaluator *x)
{
    struct mu_eval_plan p;
    struct mu_eval_size size;
    mu_eval_planned(x->ev, &p);
    mu_eval_measure(x->ev, x->model.context, &size);
    struct mu_engine_work w = {.requests = p.n_requests};
    if (p.n_requests > 0)
        w.prompt = MU_MAX(1, p.text_bytes / p.n_requests / BYTES_A_TOKEN);
    if (p.n_tasks > 0)
        w.output = OUTPUT_TOKENS * p.n_generating / p.n_tasks;
    w.requests = MU_MAX(w.requests, size.n);
    w.longest = size.longest;
    w.tokens = size.tokens;
    return w;
}

static int open_engine(void *arg, mu_engine **eng, struct mu_err *e)
{
    struct evaluator *x = arg;
    struct mu_eval_plan p;
    mu_eval_planned(x->ev, &p);
    x->model.will_score = p.n_generating < p.n_tasks;
    x->model.will_generate = p.n_generating > 0;
    x->model.work = work_of(x);
    MU_TRY_RETURN(mu_session_open_engine(x->s, &x->model, e));
    *eng = x->s->eng;
    mu_progress_start(&x->progress, "evaluating", "tokens");
    return MU_OK;
}

static int run_tasks(struct evaluator *x, struct mu_err *e)
{
    const struct mu_engine_opts o = mu_session_engine_opts(&x->model);
    int rc = mu_eval_run_lazy(x->ev, &o, open_engine, x, e);
    mu_progress_end(&x->progress);
    if (rc != MU_ECANCELED)
        return rc;
    return mu_fail(e, rc, "stopped by %s with %" PRId64 " of %" PRId64 " requests done; %s", mu_interrupt_cause(),
                   x->now.n_done, x->now.n_total,
                   x->args->output ? "the same command goes on from there"
                                   : "nothing of them is kept without --output DIR");
}

static int show(struct evaluator *x, struct mu_err *e)
{
    const char *text, *path;
    if (x->args->part) {
        if (!x->s->quiet)
            fprintf(stderr, "the answers of documents %s are in the journal\n", x->args->part);
        return MU_OK;
    }
    if (x->args->output) {
        MU_TRY_RETURN(mu_eval_write(x->ev, &path, e));
        if (!x->s->quiet)
            fprintf(stderr, "results: %s\n", path);
    }
    if (!x->o->results)
        return MU_OK;
    if (!x->args->json)
        return mu_eval_print(x->ev, x->o->results, e);
    MU_TRY_RETURN(mu_eval_json(x->ev, &text, e));
    return fprintf(x->o->results, "%s\n", text) >= 0 ? MU_OK : mu_fail(e, MU_EIO, "cannot write the results");
}

/* A number of the model's, not of the memory that is free just now: longer texts are cut there, which shows in the
 * results. What is asked for by number is had or refused. */
static int choose_context(struct mu_model_args *m, int64_t max_length, struct mu_err *e)
{
    mu_model_card *card;
    if (m->context == 0)
        m->context = max_length;
    if (m->context != 0 || m->endpoint)
        return MU_OK;
    MU_TRY_RETURN(mu_model_card_open(&card, m->model, e));
    m->context = MU_MIN(mu_model_card_facts(card)->context, MU_BILL_CONTEXT_WANTED);
    mu_model_card_close(card);
    return MU_OK;
}

static int evaluate(struct evaluator *x, struct mu_err *e)
{
    x->model = x->args->model;
    MU_TRY_RETURN(mu_eval_args_read(&x->asked, x->args, e));
    x->model.no_prefix_sharing |= x->asked.o.naive_work;
    MU_TRY_RETURN(mu_session_open_tokenizer(x->s, &x->model, true, e));
    MU_TRY_RETURN(choose_context(&x->model, x->args->max_length, e));
    MU_TRY_RETURN(open_tasks(x, e));
    MU_TRY_RETURN(run_tasks(x, e));
    MU_TRY_RETURN(show(x, e));
    MU_TRY_RETURN(mu_session_write_expert_loads(x->s, e));
    mu_session_report(x->s);
    return MU_OK;
}

int mu_evaluate(struct mu_session *s, const struct mu_eval_args *a, const struct mu_evaluate_opts *o, struct mu_err *e)
{
    struct evaluator *x = NULL;
    MU_TRY_RETURN(MU_NEW(&x, "the evaluation", e));
    x->args = a;
    x->o = o;
    x->s = s;
    int rc = evaluate(x, e);
    s->write_expert_loads = NULL; /* of these options, which are not the session's */
    mu_eval_close(x->ev);
    mu_eval_asked_release(&x->asked);
    mu_free(x);
    return rc;
}
