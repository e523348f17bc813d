/* eval.c - an evaluation from options to results: the order of the steps, and what is kept between them */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <time.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/file.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/build.h"
#include "eval/eval_int.h"
#include "eval/py/value.h"
#include "eval/results_int.h"
#include "eval/score.h"

#define PATH_BYTES_MAX 65536
#define MAX_GEN_TOKS   256                  /* of a task that says nothing: the harness's default */
#define MEASURED_BYTES ((int64_t)256 << 10) /* of all texts: tokenised in some hundredths of a second */

static void tell(const struct mu_eval *ev, void (*to)(void *arg, const char *sentence), const char *fmt, va_list ap)
{
    char text[MU_ERR_TEXT_MAX];
    if (!to)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    to(ev->o.arg, text);
}

void mu_eval_note(const struct mu_eval *ev, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(ev, ev->o.on_note, fmt, ap);
    va_end(ap);
}

void mu_eval_warn(const struct mu_eval *ev, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(ev, ev->o.on_warning ? ev->o.on_warning : ev->o.on_note, fmt, ap);
    va_end(ap);
}

/* ---- opening: options ---- */

static int check_opts(const struct mu_eval_opts *o, struct mu_err *e)
{
    if (!o->model || !o->model[0])
        return mu_fail(e, MU_EINVAL, "an evaluation needs a model");
    if ((o->n_tasks > 0) == (o->bundle != NULL))
        return mu_fail(e, MU_EINVAL,
                       o->bundle ? "tasks and a bundle exclude each other: the bundle names its tasks"
                                 : "no tasks are named: give names, groups, or YAML files");
    if (!(o->limit >= 0))
        return mu_fail(e, MU_EINVAL, "limit %g: it is a share of the documents below 1, or how many of them", o->limit);
    if (o->limit > 0 && o->samples)
        return mu_fail(e, MU_EINVAL, "limit and samples exclude each other");
    if ((o->log_samples || o->predict_only) && !o->output_path)
        return mu_fail(e, MU_EINVAL, "%s needs an output path to write samples to",
                       o->predict_only ? "predict_only" : "log_samples");
    if (o->bundle && (o->samples || o->limit > 0 || o->num_fewshot >= 0 || o->apply_chat_template ||
                      o->system_instruction || o->gen_kwargs))
        return mu_fail(e, MU_EINVAL,
                       "the requests of a bundle are final: limit, samples, num_fewshot, chat template, system "
                       "instruction and gen_kwargs are chosen when it is exported");
    if (o->part && !o->output_path)
        return mu_fail(e, MU_EINVAL, "part needs an output path, whose journal keeps its answers");
    if (o->bootstrap_iters < 0 || o->max_length < 0)
        return mu_fail(e, MU_EINVAL, "bootstrap_iters and max_length cannot be negative");
    return MU_OK;
}

static int check_samples(const struct mu_eval *ev, struct mu_err *e)
{
    const char *task;
    json_t *v;
    json_object_foreach(ev->samples, task, v)
    {
        bool is_there = false;
        for (int i = 0; i < ev->set->n_tasks; i++)
            is_there |= strcmp(ev->set->task[i]->name, task) == 0;
        if (!is_there)
            return mu_fail(e, MU_EINVAL, "samples of %s were chosen, and that task is not evaluated", task);
    }
    return MU_OK;
}

/* ---- opening: tasks and requests ---- */

static int select_tasks(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_eval_opts *o = &ev->o;
    if (o->bundle)
        return mu_bundle_load(o->bundle, &ev->set, &ev->works, e);
    MU_TRY_RETURN(mu_task_index_open(&ev->index, o->include_path, o->n_include_path, e));
    return mu_task_index_select(ev->index, o->tasks, o->n_tasks, &ev->set, e);
}

/* Programs that a model wrote run when asked by name only, and never outside the sandbox. */
static int open_sandbox(struct mu_eval *ev, struct mu_err *e)
{
    struct mu_sandbox_opts so = {.parallel = 0};
    for (int i = 0; i < ev->set->n_tasks && !ev->sandbox && !ev->o.predict_only; i++) {
        if (!ev->set->task[i]->unsafe_code)
            continue;
        if (!ev->o.confirm_run_unsafe_code)
            return mu_fail(e, MU_EINVAL,
                           "scoring task %s runs programs that the model wrote: --confirm-run-unsafe-code allows it, "
                           "inside a sandbox",
                           ev->set->task[i]->name);
        MU_TRY_RETURN(mu_sandbox_open(&ev->sandbox, &so, e));
    }
    return MU_OK;
}

static int build_one(struct mu_eval *ev, int i, struct mu_build_opts *bo, struct mu_err *e)
{
    int64_t *ids = NULL;
    MU_TRY_RETURN(mu_eval_samples_of(ev->samples, ev->set->task[i]->name, &ids, &bo->n_doc_ids, e));
    bo->doc_ids = ids;
    int rc = mu_work_build(ev->set->task[i], bo, &ev->works[i], e);
    mu_free(ids);
    return rc;
}

static int build_all(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_eval_opts *o = &ev->o;
    struct mu_build_opts bo = MU_BUILD_OPTS_INIT;
    if (o->bundle)
        return MU_OK;
    bo.num_fewshot = o->num_fewshot;
    bo.limit = o->limit;
    bo.fewshot_seed = o->seed[3];
    bo.system_instruction = o->system_instruction;
    bo.chat = ev->chat;
    bo.fewshot_as_multiturn = o->fewshot_as_multiturn;
    bo.gen_kwargs = ev->gen_kwargs;
    bo.predict_only = o->predict_only;
    bo.data_dirs = o->data_dir;
    bo.n_data_dirs = o->n_data_dir;
    MU_TRY_RETURN(MU_NEW_ARRAY(&ev->works, ev->set->n_tasks, "the requests of tasks", e));
    for (int i = 0; i < ev->set->n_tasks; i++)
        MU_TRY_RETURN(build_one(ev, i, &bo, e));
    return MU_OK;
}

/* ---- opening: the output folder ---- */

/* The folder that the journal lies in: the output path, or that of the file it names. */
static int journal_path(const char *output_path, struct mu_buf *out, struct mu_err *e)
{
    const char *slash = strrchr(output_path, '/');
    if (!mu_results_is_file_name(output_path))
        MU_TRY_RETURN(mu_buf_printf(out, e, "%s/", output_path));
    else if (slash)
        MU_TRY_RETURN(mu_buf_add(out, output_path, (size_t)(slash + 1 - output_path), e));
    if (out->n > 0)
        MU_TRY_RETURN(mu_path_make_folders(out->p, e));
    return mu_buf_puts(out, "journal.sqlite", e);
}

static int count_sessions(struct mu_eval *ev, struct mu_err *e)
{
    json_t *n = NULL;
    MU_TRY_RETURN(mu_journal_noted(ev->journal, "sessions", &n, e));
    ev->n_sessions = json_integer_value(n);
    json_decref(n);
    n = json_integer(ev->n_sessions + 1);
    int rc = n ? mu_journal_note(ev->journal, "sessions", n, e) : mu_fail_nomem(e, sizeof(json_t), "a note");
    json_decref(n);
    return rc;
}

static int open_journal(struct mu_eval *ev, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    int rc = MU_OK;

    if (!ev->o.output_path)
        return MU_OK;
    MU_TRY(journal_path(ev->o.output_path, &path, e));
    MU_TRY(mu_journal_open(&ev->journal, path.p, ev->o.fresh ? MU_JOURNAL_FRESH : MU_JOURNAL_RESUME, e));
    MU_TRY(count_sessions(ev, e));
out:
    mu_buf_fini(&path);
    return rc;
}

static void note_limit(const struct mu_eval *ev)
{
    double limit = ev->o.limit;
    if (limit > 1 && floor(limit) < limit)
        mu_eval_note(ev, "limit %g is a count, of which the whole part is taken: %.0f document%s of a task", limit,
                     floor(limit), limit < 2 ? "" : "s");
}

static int open_chat(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_eval_opts *o = &ev->o;
    const char *name = o->chat_template;
    if (name && mu_eval_chat_is_single(o->model)) {
        mu_eval_note(ev, "%s has one chat template, which is taken; none is named \"%s\"", o->model, name);
        name = NULL;
    }
    return mu_eval_chat_open(&ev->chat, &ev->chat_text, o->model, name, ev->tok, e);
}

static int open_all(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_eval_opts *o = &ev->o;
    note_limit(ev);
    MU_TRY_RETURN(mu_eval_parse_gen_kwargs(o->gen_kwargs, &ev->gen_kwargs, e));
    MU_TRY_RETURN(mu_eval_parse_samples(o->samples, &ev->samples, e));
    MU_TRY_RETURN(select_tasks(ev, e));
    MU_TRY_RETURN(check_samples(ev, e));
    MU_TRY_RETURN(open_sandbox(ev, e));
    if (o->apply_chat_template)
        MU_TRY_RETURN(open_chat(ev, e));
    MU_TRY_RETURN(build_all(ev, e));
    MU_TRY_RETURN(mu_eval_leave_out(ev, e));
    return open_journal(ev, e);
}

int mu_eval_open(mu_eval **out, const struct mu_eval_opts *o, const mu_tokenizer *tok, struct mu_err *e)
{
    struct mu_eval *ev = NULL;
    struct timespec now;
    int rc;

    *out = NULL;
    mu_json_init();
    MU_TRY_RETURN(check_opts(o, e));
    MU_TRY_RETURN(MU_NEW(&ev, "an evaluation", e));
    clock_gettime(CLOCK_REALTIME, &now);
    ev->date = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    ev->start_ns = mu_now_ns(mu_clock_real());
    ev->o = *o;
    ev->tok = tok;
    ev->text = (struct mu_buf)MU_BUF_INIT("the results", MU_RESULTS_BYTES_MAX);
    ev->path = (struct mu_buf)MU_BUF_INIT("a path", PATH_BYTES_MAX);
    rc = open_all(ev, e);
    if (rc == MU_OK)
        *out = ev;
    else
        mu_eval_close(ev);
    return rc;
}

void mu_eval_close(mu_eval *ev)
{
    if (!ev)
        return;
    mu_journal_close(ev->journal);
    mu_sandbox_close(ev->sandbox);
    for (int i = 0; ev->works && i < ev->set->n_tasks; i++)
        mu_work_free(ev->works[i]);
    mu_free(ev->works);
    mu_task_set_free(ev->set);
    mu_task_index_close(ev->index);
    mu_chat_close(ev->chat);
    mu_free(ev->chat_text);
    json_decref(ev->model.note);
    json_t *const trees[] = {ev->gen_kwargs,  ev->samples, ev->skipped,   ev->config,
                             ev->audit_extra, ev->run,     ev->tokenizer, ev->results};
    for (size_t i = 0; i < MU_COUNT(trees); i++)
        json_decref(trees[i]);
    mu_buf_fini(&ev->text);
    mu_buf_fini(&ev->path);
    mu_free(ev);
}

static int64_t text_bytes(const struct mu_work *w)
{
    size_t n = 0;
    for (int i = 0; i < w->n_requests; i++) {
        const struct mu_ask_request *r = &w->request[i];
        n += (r->context ? r->context->n : 0) + (r->continuation ? r->continuation->n : 0);
    }
    return (int64_t)n;
}

void mu_eval_planned(const mu_eval *ev, struct mu_eval_plan *out)
{
    *out = (struct mu_eval_plan){.n_tasks = ev->set->n_tasks, .n_numbered = ev->n_numbered};
    for (int i = 0; i < ev->set->n_tasks; i++) {
        out->n_documents += ev->works[i]->n_docs;
        out->n_generating += ev->set->task[i]->output_type == MU_OUTPUT_GENERATE;
        int repeats = MU_MAX(1, ev->set->task[i]->repeats);
        out->n_requests += (int64_t)ev->works[i]->n_requests * repeats;
        out->text_bytes += text_bytes(ev->works[i]) * repeats;
    }
}

void mu_eval_measure(const mu_eval *ev, int64_t context, struct mu_eval_size *out)
{
    struct mu_run_engine re = {.tok = ev->tok, .max_gen_toks = MAX_GEN_TOKS};
    struct mu_err unused = MU_ERR_INIT;
    struct mu_eval_plan p;
    struct mu_run_size size;

    *out = (struct mu_eval_size){.n = 0};
    mu_eval_planned(ev, &p);
    re.max_length = ev->o.max_length ? ev->o.max_length : context;
    if (p.text_bytes > MEASURED_BYTES || re.max_length < 1)
        return;
    if (mu_run_measure(&re, ev->works, ev->set->n_tasks, &size, &unused) == MU_OK)
        *out = (struct mu_eval_size){size.n, size.longest, size.tokens};
}

int mu_eval_count(const mu_eval *ev, int64_t context, struct mu_eval_count *out, struct mu_err *e)
{
    struct mu_run_engine re = {.tok = ev->tok, .max_gen_toks = MAX_GEN_TOKS};
    struct mu_run_size size;
    *out = (struct mu_eval_count){.rows = 0};
    re.max_length = ev->o.max_length ? ev->o.max_length : context;
    MU_TRY_RETURN(mu_run_count(&re, ev->works, ev->set->n_tasks, &size, e));
    *out = (struct mu_eval_count){size.n_unique, size.n_outputs, size.rows, size.drawn};
    return MU_OK;
}

/* ---- running ---- */

static void tell_plan(struct mu_eval *ev)
{
    struct mu_eval_plan p;
    if (ev->plan_is_told || !ev->o.on_plan)
        return;
    ev->plan_is_told = true;
    mu_eval_planned(ev, &p);
    p.n_unique = ev->audit.n_unique;
    p.n_journal = ev->audit.n_from_journal;
    p.tokens_naive = ev->audit.tokens_naive;
    p.tokens_shared = ev->audit.tokens_shared;
    p.tokens_left = ev->progress.tokens_total;
    ev->o.on_plan(ev->o.arg, &p);
}

/* tokens_total is known once the plan is made and the journal was read. */
static int on_progress(void *arg, const struct mu_run_progress *p)
{
    struct mu_eval *ev = arg;
    struct mu_eval_progress out = {p->n_done, p->n_total, p->tokens_done, p->tokens_total};
    ev->progress = *p;
    if (p->tokens_total > 0)
        tell_plan(ev);
    return ev->o.on_progress ? ev->o.on_progress(ev->o.arg, &out) : 0;
}

static void set_numerics(struct mu_eval *ev)
{
    const struct mu_engine_info *info = &ev->model.info;
    char *text = ev->numerics_texts[ev->model.eng != NULL];
    ev->numerics = text;
    if (mu_eval_is_remote(ev)) { /* the rest is the server's own affair, and nothing we know */
        snprintf(text, sizeof ev->numerics_texts[0], "remote v1");
        return;
    }
    snprintf(text, sizeof ev->numerics_texts[0], "%s weights=%s act=f32 kv=%s mla=%s v%d",
             ev->o.backend ? ev->o.backend : "cpu", info->weights, info->kv_dtype, ev->o.mla ? ev->o.mla : "absorbed",
             MU_NUMERICS_VERSION);
}

/* The harness's windows have the model's whole context; a shorter one cuts long documents elsewhere. */
static void note_length(const struct mu_eval *ev)
{
    struct mu_err quiet = MU_ERR_INIT;
    mu_model_card *card = NULL;
    if (ev->o.max_length == 0 && mu_model_card_open(&card, ev->o.model, &quiet) == MU_OK &&
        mu_model_card_facts(card)->context > ev->max_length)
        mu_eval_warn(ev,
                     "the model takes %" PRId64 " tokens and the engine was opened for %" PRId64
                     ": longer documents are cut there; max_length names the length the numbers are for",
                     mu_model_card_facts(card)->context, ev->max_length);
    mu_model_card_close(card);
}

/* From what is known of the model, open or not. */
static void describe(struct mu_eval *ev, struct mu_run_engine *g)
{
    const struct mu_engine_info *info = &ev->model.info;
    set_numerics(ev);
    ev->max_length = ev->o.max_length ? ev->o.max_length : info->context_max;
    g->eng = ev->model.eng;
    g->weights_hash = info->weights_hash;
    g->numerics = ev->numerics;
    g->max_length = ev->max_length;
}

static int open_engine(struct mu_eval *ev, struct mu_err *e)
{
    struct mu_eval_model *m = &ev->model;
    MU_TRY_RETURN(m->open(m->arg, &m->eng, e));
    mu_engine_info(m->eng, &m->info);
    mu_engine_seen(m->eng, &m->seen);
    return mu_eval_model_remember(ev, e);
}

static int open_when_missing(void *arg, struct mu_run_engine *g, struct mu_err *e)
{
    struct mu_eval *ev = arg;
    MU_TRY_RETURN(open_engine(ev, e));
    describe(ev, g);
    return MU_OK;
}

static int run_requests(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_engine_info noted = ev->model.info;
    struct mu_run_engine re = {
        .tok = ev->tok, .max_gen_toks = MAX_GEN_TOKS, .info = &noted, .open = open_when_missing, .open_arg = ev};
    struct mu_run_opts ro = {.naive = ev->o.naive_work,
                             .journal = ev->journal,
                             .seed = ev->o.seed[2],
                             .on_progress = on_progress,
                             .arg = ev};
    describe(ev, &re);
    note_length(ev);
    MU_TRY_RETURN(mu_run(&re, ev->works, ev->set->n_tasks, &ro, &ev->audit, e));
    tell_plan(ev);
    return MU_OK;
}

static int score_all(struct mu_eval *ev, struct mu_err *e)
{
    struct mu_score_opts so = {
        .bootstrap_iters = ev->o.bootstrap_iters, .predict_only = ev->o.predict_only, .sandbox = ev->sandbox};
    struct mu_pool_opts po = {.n_threads = 0};
    int rc = MU_OK;

    MU_TRY(mu_pool_open(&so.pool, &po, e));
    for (int i = 0; i < ev->set->n_tasks; i++)
        MU_TRY(mu_work_score(ev->works[i], &so, e));
out:
    mu_pool_close(so.pool);
    return rc;
}

static struct mu_results_facts facts_of(const struct mu_eval *ev)
{
    return (struct mu_results_facts){.set = ev->set,
                                     .works = ev->works,
                                     .audit = &ev->audit,
                                     .model_name = ev->o.model,
                                     .config = ev->config,
                                     .audit_extra = ev->audit_extra,
                                     .skipped = ev->skipped,
                                     .run = ev->run,
                                     .tokenizer = ev->tokenizer,
                                     .system_instruction = ev->o.system_instruction,
                                     .chat_template = ev->chat_text,
                                     .fewshot_as_multiturn = ev->chat && ev->o.fewshot_as_multiturn,
                                     .predict_only = ev->o.predict_only,
                                     .date = ev->date,
                                     .seconds = (double)(mu_now_ns(mu_clock_real()) - ev->start_ns) * 1e-9,
                                     .log_samples = ev->o.log_samples || ev->o.predict_only};
}

/* What a reader of the numbers should hear of beside them. */
static void note_oddities(const struct mu_eval *ev)
{
    const json_t *tasks = json_object_get(json_object_get(ev->results, "audit"), "tasks");
    const char *task;
    json_t *v;
    if (json_array_size(ev->skipped) > 0)
        mu_eval_warn(ev, "documents that were left out by --skip: %zu of %" PRId64 "; the scores are those of the rest",
                     json_array_size(ev->skipped), ev->n_numbered);
    json_object_foreach((json_t *)(uintptr_t)tasks, task, v)
    {
        int64_t n_cut = json_integer_value(json_object_get(v, "truncated"));
        int64_t n_long = json_integer_value(json_object_get(v, "ended_by_max_tokens"));
        int64_t n_odd = json_integer_value(json_object_get(v, "labels_out_of_range"));
        int64_t n_docs = json_integer_value(json_object_get(v, "documents"));
        if (n_cut > 0)
            mu_eval_note(
                ev, "%s: requests longer than %" PRId64 " tokens have lost their beginning: %" PRId64 " of %" PRId64,
                task, ev->max_length, n_cut, (int64_t)json_integer_value(json_object_get(v, "requests")));
        if (n_long > 0)
            mu_eval_note(ev, "%s: answers that reached max_gen_toks before their end: %" PRId64 " of %" PRId64, task,
                         n_long, n_docs);
        if (n_odd > 0)
            mu_eval_warn(ev,
                         "%s: documents whose label is none of their choices count as wrong: %" PRId64 " of %" PRId64,
                         task, n_odd, n_docs);
    }
}

static int run(struct mu_eval *ev, struct mu_err *e)
{
    MU_TRY_RETURN(run_requests(ev, e));
    if (ev->o.part)
        return MU_OK;
    MU_TRY_RETURN(score_all(ev, e));
    MU_TRY_RETURN(mu_eval_facts_make(ev, e));
    struct mu_results_facts f = facts_of(ev);
    json_decref(ev->results);
    ev->results = NULL;
    MU_TRY_RETURN(mu_results_make(&f, &ev->results, e));
    note_oddities(ev);
    return MU_OK;
}

static void set_model(struct mu_eval *ev, struct mu_eval_model m)
{
    json_decref(ev->model.note);
    ev->model = m;
}

int mu_eval_run(mu_eval *ev, mu_engine *eng, struct mu_err *e)
{
    set_model(ev, (struct mu_eval_model){.eng = eng});
    mu_engine_info(eng, &ev->model.info);
    mu_engine_seen(eng, &ev->model.seen);
    return run(ev, e);
}

int mu_eval_run_lazy(mu_eval *ev, const struct mu_engine_opts *o,
                     int (*open)(void *arg, mu_engine **eng, struct mu_err *e), void *arg, struct mu_err *e)
{
    bool is_known = false;
    set_model(ev, (struct mu_eval_model){.opts = o, .open = open, .arg = arg});
    if (ev->journal)
        MU_TRY_RETURN(mu_eval_model_recall(ev, &is_known, e));
    if (!is_known)
        MU_TRY_RETURN(open_engine(ev, e));
    return run(ev, e);
}

/* ---- results ---- */

static int check_ran(const struct mu_eval *ev, struct mu_err *e)
{
    if (ev->o.part)
        return mu_fail(e, MU_EINVAL, "a part of an evaluation has no results: the answers are in its journal");
    return ev->results ? MU_OK : mu_fail(e, MU_EINVAL, "the evaluation has not run: there are no results yet");
}

int mu_eval_json(mu_eval *ev, const char **text, struct mu_err *e)
{
    MU_TRY_RETURN(check_ran(ev, e));
    mu_buf_clear(&ev->text);
    MU_TRY_RETURN(mu_py_dumps(&ev->text, ev->results, 2, e));
    *text = ev->text.p;
    return MU_OK;
}

int mu_eval_print(mu_eval *ev, FILE *f, struct mu_err *e)
{
    MU_TRY_RETURN(check_ran(ev, e));
    return mu_results_table(ev->results, f, e);
}

int mu_eval_write(mu_eval *ev, const char **path, struct mu_err *e)
{
    MU_TRY_RETURN(check_ran(ev, e));
    if (!ev->o.output_path)
        return mu_fail(e, MU_EINVAL, "the evaluation has no output path to write to");
    struct mu_results_facts f = facts_of(ev);
    mu_buf_clear(&ev->path);
    MU_TRY_RETURN(mu_results_write(&f, ev->results, ev->o.output_path, &ev->path, e));
    *path = ev->path.p;
    return MU_OK;
}
