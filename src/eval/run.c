/* run.c - see run.h */
#include "eval/run.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/run_int.h"
#include "tensor/ops.h"

#define TELL_NS ((int64_t)100000000)

int mu_run_tell(struct mu_run_state *s, bool now, struct mu_err *e)
{
    int64_t t = mu_now_ns(mu_clock_real());
    if (!s->o->on_progress || (!now && t - s->progress_ns < TELL_NS))
        return MU_OK;
    s->progress_ns = t;
    if (s->o->on_progress(s->o->arg, &s->progress) == 0)
        return MU_OK;
    return mu_fail(e, MU_ECANCELED, "stopped with %" PRId64 " of %" PRId64 " requests done%s", s->progress.n_done,
                   s->progress.n_total, s->o->journal ? "; the journal keeps them" : "");
}

/* ---- the journal, before anything is computed ---- */

static int look_up(struct mu_run_state *s, struct mu_run_item *it, struct mu_err *e)
{
    json_t *v = NULL;
    MU_TRY_RETURN(mu_journal_get(s->o->journal, &it->key, &v, e));
    int rc = v ? mu_run_answer_load(it, v, e) : MU_OK;
    json_decref(v);
    if (rc != MU_OK || !it->has_answer)
        return rc;
    s->audit->n_from_journal++;
    mu_run_count_done(s, it, false);
    return MU_OK;
}

static int look_up_all(struct mu_run_state *s, struct mu_err *e)
{
    for (int64_t i = 0; i < s->n_slots; i++) {
        s->slot[i].n_left = s->slot[i].n_parts;
        s->progress.n_done += s->slot[i].n_parts == 0; /* an empty text rolls to nothing */
    }
    for (int64_t i = 0; s->o->journal && i < s->n_ordered; i++) {
        MU_TRY_RETURN(look_up(s, &s->item[s->order[i]], e));
        MU_TRY_RETURN(mu_run_tell(s, false, e));
    }
    return MU_OK;
}

/* ---- all ---- */

static int check(const struct mu_run_state *s, struct mu_err *e)
{
    const struct mu_run_engine *g = s->eng;
    if (g->max_length < 1 || g->max_length > s->info.context_max)
        return mu_fail(e, MU_EINVAL,
                       "windows of %" PRId64 " tokens were asked for and the engine has room for %" PRId64,
                       g->max_length, s->info.context_max);
    if (!g->weights_hash || !g->numerics || (s->o->journal && !g->weights_hash[0]))
        return mu_fail(e, MU_EINVAL, "a journal needs the hash of the weights and the numeric configuration");
    if (s->progress.n_total > MU_WORK_REQUESTS_MAX)
        return mu_fail(e, MU_ELIMIT, "%" PRId64 " requests, repeats counted: at most %d can be run at a time",
                       s->progress.n_total, MU_WORK_REQUESTS_MAX);
    return MU_OK;
}

static int look_at_engine(struct mu_run_state *s, struct mu_err *e)
{
    const struct mu_run_engine *g = s->eng;
    if (g->eng) {
        mu_engine_info(g->eng, &s->info);
        mu_engine_status(g->eng, &s->at_start);
        return MU_OK;
    }
    if (!g->info || !g->open || !s->o->journal)
        return mu_fail(e, MU_EINVAL, "without an engine a journal is needed, and what is known of the engine");
    s->info = *g->info;
    return MU_OK;
}

static int begin(struct mu_run_state *s, struct mu_err *e)
{
    const mu_tokenizer *tok = s->eng->tok;
    struct mu_buf spelling = MU_BUF_INIT("the end token", MU_TOK_PIECE_BYTES_MAX);

    mu_json_init();
    MU_TRY_RETURN(mu_run_time_init(s, e));
    mu_tokenizer_info(tok, &s->tok);
    s->prefix = s->tok.bos >= 0 ? s->tok.bos : s->tok.eos;
    s->ids = (struct mu_ids)MU_IDS_INIT(MU_RUN_IDS_MAX);
    for (int i = 0; i < s->n_works; i++)
        s->progress.n_total += (int64_t)s->works[i]->n_requests * MU_MAX(1, s->works[i]->task->repeats);
    s->audit->n_requests = s->progress.n_total;
    MU_TRY_RETURN(check(s, e));
    if (s->tok.eos < 0)
        return MU_OK;
    int rc = mu_tokenizer_decode(tok, &s->tok.eos, 1, 0, &spelling, e);
    if (rc == MU_OK && spelling.n > 0 && spelling.n <= MU_STOP_BYTES_MAX && strlen(spelling.p) == spelling.n)
        s->eos_spelling = mu_buf_take(&spelling);
    mu_buf_fini(&spelling);
    return rc;
}

static void finish(struct mu_run_state *s)
{
    for (int64_t i = 0; i < s->n_items; i++)
        mu_free(s->item[i].answer.text);
    for (int64_t i = 0; i < s->n_params; i++)
        mu_free(s->params[i]);
    mu_free(s->params);
    mu_free(s->item);
    mu_free(s->part);
    mu_free(s->slot);
    mu_free(s->order);
    mu_free(s->common);
    mu_free(s->group);
    mu_free(s->time);
    mu_free(s->first_time);
    mu_free(s->eos_spelling);
    mu_ids_fini(&s->ids);
}

static bool is_same_model(const struct mu_run_engine *a, const struct mu_engine_info *ai, const struct mu_run_engine *b,
                          const struct mu_engine_info *bi)
{
    return strcmp(a->weights_hash, b->weights_hash) == 0 && strcmp(a->numerics, b->numerics) == 0 &&
           a->max_length == b->max_length && ai->context_max == bi->context_max && ai->vocab == bi->vocab &&
           ai->repetition == bi->repetition && ai->n_eos == bi->n_eos &&
           memcmp(ai->eos, bi->eos, (size_t)MU_MAX(0, ai->n_eos) * sizeof ai->eos[0]) == 0;
}

/* An engine that is not open yet, when an answer is missing. */
static int open_when_missing(struct mu_run_state *s, struct mu_err *e)
{
    struct mu_run_engine noted = *s->eng;
    struct mu_engine_info info;
    if (noted.eng || s->n_groups == 0)
        return MU_OK;
    MU_TRY_RETURN(noted.open(noted.open_arg, s->eng, e));
    mu_engine_info(s->eng->eng, &info);
    mu_engine_status(s->eng->eng, &s->at_start);
    s->is_other_model = !is_same_model(&noted, &s->info, s->eng, &info) || s->longest > info.kv_pages * MU_KV_PAGE;
    s->info = info;
    return MU_OK;
}

static int compute(struct mu_run_state *s, struct mu_err *e)
{
    int64_t start_ns = mu_now_ns(mu_clock_real());
    int rc = mu_run_tell(s, true, e); /* tokens_total is known, the engine is open: it begins */
    if (rc == MU_OK)
        rc = mu_run_submit(s, e);
    s->audit->run_ns = mu_now_ns(mu_clock_real()) - start_ns;
    return rc;
}

static int run(struct mu_run_state *s, struct mu_err *e)
{
    MU_TRY_RETURN(look_at_engine(s, e));
    MU_TRY_RETURN(begin(s, e));
    MU_TRY_RETURN(mu_run_tell(s, true, e));
    MU_TRY_RETURN(mu_run_tokens(s, e));
    MU_TRY_RETURN(mu_run_merge(s, e));
    MU_TRY_RETURN(mu_run_plan(s, e));
    MU_TRY_RETURN(look_up_all(s, e));
    MU_TRY_RETURN(mu_run_group_missing(s, e));
    MU_TRY_RETURN(open_when_missing(s, e));
    if (s->is_other_model)
        return MU_OK;
    MU_TRY_RETURN(compute(s, e));
    mu_run_time_audit(s);
    return mu_run_respond(s, e);
}

static int count(struct mu_run_state *s, struct mu_run_size *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_run_merge(s, e));
    MU_TRY_RETURN(mu_run_plan(s, e));
    out->rows = s->audit->tokens_shared;
    for (int64_t i = 0; i < s->n_items; i++) {
        const struct mu_run_item *it = &s->item[i];
        if (!it->is_unique)
            continue;
        out->n_unique++;
        out->n_outputs += it->params >= 0;
        out->drawn += it->params >= 0 ? s->params[it->params]->max_tokens : 0;
    }
    return MU_OK;
}

/* Whatever model may come: any token is one, and no answer is kept under the keys. */
static int measure(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, bool counts,
                   struct mu_run_size *out, struct mu_err *e)
{
    const struct mu_run_opts plain = {.naive = false};
    struct mu_run_engine g = *eng;
    struct mu_run_audit audit = {.n_requests = 0};
    struct mu_run_state s = {.eng = &g, .works = works, .n_works = n_works, .o = &plain, .audit = &audit};

    *out = (struct mu_run_size){.n = 0};
    g.eng = NULL;
    g.weights_hash = g.numerics = "";
    s.info = (struct mu_engine_info){.vocab = INT64_MAX, .context_max = g.max_length, .threads = 1, .repetition = 1};
    int rc = begin(&s, e);
    if (rc == MU_OK)
        rc = mu_run_tokens(&s, e);
    for (int64_t i = 0; rc == MU_OK && i < s.n_items; i++)
        out->tokens += mu_run_item_tokens(&s, &s.item[i]);
    out->n = rc == MU_OK ? s.n_items : 0;
    out->longest = rc == MU_OK ? s.longest : 0;
    if (rc == MU_OK && counts)
        rc = count(&s, out, e);
    finish(&s);
    return rc;
}

int mu_run_measure(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, struct mu_run_size *out,
                   struct mu_err *e)
{
    return measure(eng, works, n_works, false, out, e);
}

int mu_run_count(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, struct mu_run_size *out,
                 struct mu_err *e)
{
    return measure(eng, works, n_works, true, out, e);
}

static void audit_engine(const struct mu_run_state *s)
{
    struct mu_engine_status now;
    if (!s->eng->eng)
        return;
    mu_engine_status(s->eng->eng, &now);
    s->audit->tokens_computed = (int64_t)(now.tokens_prompt - s->at_start.tokens_prompt) +
                                (int64_t)(now.tokens_output - s->at_start.tokens_output);
    s->audit->tokens_cached = (int64_t)(now.tokens_cached - s->at_start.tokens_cached);
    s->audit->n_replicas_lost = now.replicas_lost;
    s->audit->n_given_back = (int64_t)now.requests_given_back;
}

int mu_run(const struct mu_run_engine *eng, struct mu_work *const *works, int n_works, const struct mu_run_opts *o,
           struct mu_run_audit *audit, struct mu_err *e)
{
    struct mu_run_engine g = *eng;
    struct mu_run_state s = {.eng = &g, .works = works, .n_works = n_works, .o = o, .audit = audit};
    const struct mu_run_state unplanned = s;

    *audit = (struct mu_run_audit){.n_requests = 0};
    int rc = run(&s, e);
    if (rc == MU_OK && s.is_other_model) {
        finish(&s);
        s = unplanned;
        *audit = (struct mu_run_audit){.n_requests = 0};
        rc = run(&s, e);
    }
    audit_engine(&s);
    finish(&s);
    return rc;
}
