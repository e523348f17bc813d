/* eval_facts.c - what the results tell about the model, the numbers and this process */
#include <inttypes.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/pool.h"
#include "engine/kv/pool_json.h"
#include "eval/eval_int.h"
#include "eval/results_int.h"
#include "plan/bill.h"

static int set_text(json_t *o, const char *key, const char *v, struct mu_err *e)
{
    return mu_results_set(o, key, v ? json_string(v) : json_null(), e);
}

static int set_int(json_t *o, const char *key, int64_t v, struct mu_err *e)
{
    return mu_results_set(o, key, json_integer(v), e);
}

/* ---- "config" ---- */

static int set_model_args(json_t *config, const struct mu_eval *ev, const struct mu_engine_info *info, struct mu_err *e)
{
    json_t *o = json_object();
    MU_TRY_RETURN(mu_results_set(config, "model_args", o, e));
    if (mu_eval_is_remote(ev)) {
        MU_TRY_RETURN(set_text(o, "model", info->arch, e)); /* as the server knows it */
        MU_TRY_RETURN(set_text(o, "base_url", ev->model.opts ? ev->model.opts->endpoint : NULL, e));
        return set_text(o, "tokenizer", ev->o.model, e);
    }
    MU_TRY_RETURN(set_text(o, "pretrained", ev->o.model, e));
    MU_TRY_RETURN(set_text(o, "weights", info->weights, e));
    MU_TRY_RETURN(set_text(o, "dtype", "f32", e));
    return set_text(o, "kv_dtype", info->kv_dtype, e);
}

static json_t *limit_json(double limit)
{
    return limit > 0 ? json_real(limit) : json_null();
}

static int make_config(struct mu_eval *ev, const struct mu_engine_info *info, const struct mu_model_facts *card,
                       struct mu_err *e)
{
    static const char *const seeds[] = {"random_seed", "numpy_seed", "torch_seed", "fewshot_seed"};
    json_t *o = ev->config = json_object();
    MU_TRY_RETURN(set_text(o, "model", "muster", e));
    MU_TRY_RETURN(set_model_args(o, ev, info, e));
    MU_TRY_RETURN(set_int(o, "model_num_parameters", info->n_params, e));
    MU_TRY_RETURN(set_text(o, "model_dtype", card ? card->dtype : "", e));
    MU_TRY_RETURN(set_text(o, "model_revision", "", e));
    MU_TRY_RETURN(set_text(o, "model_sha", info->weights_hash, e));
    MU_TRY_RETURN(set_text(o, "batch_size", NULL, e)); /* changes nothing: see "run" */
    MU_TRY_RETURN(mu_results_set(o, "batch_sizes", json_array(), e));
    MU_TRY_RETURN(set_text(o, "device", ev->o.backend, e));
    MU_TRY_RETURN(set_text(o, "use_cache", NULL, e));
    MU_TRY_RETURN(mu_results_set(o, "limit", limit_json(ev->o.limit), e));
    MU_TRY_RETURN(set_int(o, "bootstrap_iters", ev->o.bootstrap_iters, e));
    MU_TRY_RETURN(mu_results_set(o, "gen_kwargs", ev->gen_kwargs ? json_incref(ev->gen_kwargs) : json_object(), e));
    for (int i = 0; i < 4; i++)
        MU_TRY_RETURN(set_int(o, seeds[i], ev->o.seed[i], e));
    return MU_OK;
}

/* ---- "audit" ---- */

/* What the checkpoint asks of texts that its task does not. */
static int set_generation(json_t *audit, const struct mu_engine_info *info, struct mu_err *e)
{
    json_t *o;
    if (info->repetition == 1)
        return MU_OK;
    o = json_object();
    MU_TRY_RETURN(mu_results_set(audit, "generation", o, e));
    return mu_results_set(o, "repetition_penalty", mu_results_number(info->repetition), e);
}

/* Who answered; where it ran and how often it was started is the run's affair. */
static int set_service(json_t *audit, const struct mu_engine_service *v, struct mu_err *e)
{
    json_t *o;
    if (!v)
        return MU_OK;
    o = json_object();
    MU_TRY_RETURN(mu_results_set(audit, "service", o, e));
    MU_TRY_RETURN(set_text(o, "name", v->name, e));
    MU_TRY_RETURN(set_text(o, "model", v->model, e));
    MU_TRY_RETURN(set_text(o, "weights_hash", v->weights_hash, e));
    MU_TRY_RETURN(set_text(o, "weights", v->weights, e));
    MU_TRY_RETURN(set_text(o, "kv_dtype", v->kv_dtype, e));
    MU_TRY_RETURN(set_text(o, "mla", v->mla, e));
    return set_int(o, "numerics_version", v->numerics, e);
}

/* How the numbers come about; of a server's nothing is known but what we do with them. */
static int set_arithmetic(json_t *o, const struct mu_eval *ev, const struct mu_engine_info *info, struct mu_err *e)
{
    if (mu_eval_is_remote(ev))
        return set_text(o, "sums", "the server's log-probabilities, added in order in f64", e);
    MU_TRY_RETURN(set_text(o, "activations", "f32", e));
    MU_TRY_RETURN(set_text(o, "kv_dtype", info->kv_dtype, e));
    MU_TRY_RETURN(set_text(o, "mla", ev->o.mla ? ev->o.mla : "absorbed", e));
    MU_TRY_RETURN(
        set_text(o, "log_softmax", "f32 logits over the whole vocabulary, log-probabilities added in order in f64", e));
    return set_text(o, "sums",
                    "one stated order: the same bits for any batch, neighbours, chunks, sharing, threads and CPU level",
                    e);
}

static int make_audit(struct mu_eval *ev, const struct mu_engine_info *info, struct mu_err *e)
{
    struct mu_tokenizer_info tok;
    json_t *o = ev->audit_extra = json_object(), *bos = json_object();
    char hash[17];

    mu_tokenizer_info(ev->tok, &tok);
    snprintf(hash, sizeof hash, "%016" PRIx64, tok.hash);
    MU_TRY_RETURN(mu_results_set(o, "bos", bos, e));
    MU_TRY_RETURN(mu_results_set(bos, "added_by_tokenizer", json_boolean(tok.adds_bos), e));
    MU_TRY_RETURN(set_int(bos, "prefix_token_id", tok.bos >= 0 ? tok.bos : tok.eos, e));
    MU_TRY_RETURN(set_text(o, "backend", ev->o.backend, e));
    MU_TRY_RETURN(set_text(o, "architecture", info->arch, e));
    MU_TRY_RETURN(set_text(o, "weights", info->weights, e));
    MU_TRY_RETURN(set_text(o, "weights_hash", info->weights_hash, e));
    MU_TRY_RETURN(set_service(o, info->service, e));
    MU_TRY_RETURN(set_arithmetic(o, ev, info, e));
    MU_TRY_RETURN(set_text(o, "numerics", ev->numerics, e)); /* part of the journal's keys */
    MU_TRY_RETURN(set_text(o, "journal_key", MU_RUN_KEY_VERSION, e));
    MU_TRY_RETURN(set_text(o, "tokenizer_hash", hash, e));
    MU_TRY_RETURN(set_int(o, "max_length", ev->max_length, e));
    MU_TRY_RETURN(set_generation(o, info, e));
    return mu_results_set(o, "predict_only", json_boolean(ev->o.predict_only), e);
}

/* ---- "run" ---- */

static int set_machine(json_t *o, struct mu_err *e)
{
    struct mu_host m;
    struct mu_err quiet = MU_ERR_INIT;
    bool is_known = mu_host_discover(&m, &quiet) == MU_OK;
    MU_TRY_RETURN(set_text(o, "machine", is_known ? m.cpu_model : NULL, e));
    return set_int(o, "cores_allowed", mu_cores_allowed(), e);
}

static int set_slowest(json_t *run, const struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_run_audit *a = &ev->audit;
    json_t *list = json_array();
    MU_TRY_RETURN(mu_results_set(run, "slowest", list, e));
    for (int i = 0; i < a->n_slowest; i++) {
        const struct mu_run_slow *d = &a->slowest[i];
        json_t *o = json_object();
        MU_TRY_RETURN(mu_results_append(list, o, e));
        MU_TRY_RETURN(set_text(o, "task", ev->set->task[d->work]->name, e));
        MU_TRY_RETURN(set_int(o, "doc_id", d->doc_id, e));
        MU_TRY_RETURN(mu_results_set(o, "seconds", mu_results_number((double)d->ns * 1e-9), e));
        MU_TRY_RETURN(set_int(o, "tokens", d->tokens, e));
    }
    return MU_OK;
}

/* null where no engine was opened. */
static int set_engine(json_t *o, const struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_engine_info *info = &ev->model.info;
    const mu_engine *eng = ev->model.eng;
    const struct mu_bill *bill = eng ? mu_engine_bill(eng) : NULL; /* a server's memory is another machine's */
    MU_TRY_RETURN(mu_results_set(o, "model_loaded", json_boolean(eng != NULL), e));
    MU_TRY_RETURN(set_int(o, "weight_bytes_read", eng ? (int64_t)info->weight_bytes_read : 0, e));
    MU_TRY_RETURN(
        mu_results_set(o, "memory_predicted_bytes", bill ? json_integer((int64_t)bill->bytes_peak) : json_null(), e));
    MU_TRY_RETURN(set_int(o, "memory_peak_bytes", (int64_t)mu_process_peak_bytes(), e));
    MU_TRY_RETURN(set_machine(o, e));
    MU_TRY_RETURN(set_text(o, "level", eng ? info->level : NULL, e));
    MU_TRY_RETURN(mu_results_set(o, "threads", eng ? json_integer(info->threads) : json_null(), e));
    MU_TRY_RETURN(set_text(o, "layout", eng && info->layout ? info->layout : NULL, e));
    if (eng && info->service) {
        MU_TRY_RETURN(set_text(o, "service_host", info->service->host, e)); /* the last one */
        MU_TRY_RETURN(set_int(o, "service_lives", info->service->lives, e));
    }
    MU_TRY_RETURN(mu_results_set(o, "ranks", eng ? json_integer(MU_MAX(info->ranks, 1)) : json_null(), e));
    MU_TRY_RETURN(mu_results_set(o, "batch_size", eng ? json_integer(info->sequences_max) : json_null(), e));
    return mu_results_set(o, "batch_tokens", eng ? json_integer(info->rows_max) : json_null(), e);
}

/* The cache when it was fullest; null without one. */
static int set_pool(json_t *o, const struct mu_eval *ev, struct mu_err *e)
{
    struct mu_engine_status st = {.kv_fullest = {.pages = 0}};
    if (ev->model.eng)
        mu_engine_status(ev->model.eng, &st);
    return mu_results_set(o, "kv_cache", mu_kv_stats_json(&st.kv_fullest), e);
}

static int set_real(json_t *o, const char *key, double v, bool is_known, struct mu_err *e)
{
    return mu_results_set(o, key, is_known ? mu_results_number(v) : json_null(), e);
}

/* The steps' time, predicted for the rows that ran and measured. */
static int set_seen(json_t *o, const struct mu_eval *ev, struct mu_err *e)
{
    struct mu_engine_seen seen = {0};
    if (ev->model.eng)
        mu_engine_seen(ev->model.eng, &seen);
    seen.rows -= ev->model.seen.rows;
    seen.predicted_s -= ev->model.seen.predicted_s;
    seen.measured_s -= ev->model.seen.measured_s;
    bool is_known = seen.predicted_s > 0 && seen.measured_s > 0;
    MU_TRY_RETURN(set_real(o, "step_seconds_predicted", seen.predicted_s, is_known, e));
    MU_TRY_RETURN(set_real(o, "step_seconds_measured", seen.measured_s, is_known, e));
    MU_TRY_RETURN(
        set_real(o, "tokens_per_second_predicted", is_known ? (double)seen.rows / seen.predicted_s : 0, is_known, e));
    MU_TRY_RETURN(
        set_real(o, "tokens_per_second_measured", is_known ? (double)seen.rows / seen.measured_s : 0, is_known, e));
    return mu_results_set(o, "prediction_is_calibrated", json_boolean(seen.is_calibrated), e);
}

static int make_run(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_run_audit *a = &ev->audit;
    json_t *o = ev->run = json_object();
    double seconds = (double)a->run_ns * 1e-9;
    MU_TRY_RETURN(mu_results_set(o, "seconds", mu_results_number(seconds), e));
    MU_TRY_RETURN(set_text(o, "work", ev->o.naive_work ? "naive" : "shared", e));
    MU_TRY_RETURN(set_int(o, "from_journal", a->n_from_journal, e));
    MU_TRY_RETURN(set_int(o, "computed", a->n_computed, e));
    MU_TRY_RETURN(set_int(o, "tokens_computed", a->tokens_computed, e));
    MU_TRY_RETURN(set_int(o, "tokens_cached", a->tokens_cached, e));
    MU_TRY_RETURN(set_int(o, "replicas_lost", a->n_replicas_lost, e));
    MU_TRY_RETURN(set_int(o, "requests_given_back", a->n_given_back, e));
    MU_TRY_RETURN(set_int(o, "runs_before", ev->n_sessions, e));
    MU_TRY_RETURN(set_engine(o, ev, e));
    MU_TRY_RETURN(set_pool(o, ev, e));
    MU_TRY_RETURN(set_seen(o, ev, e));
    return set_slowest(o, ev, e);
}

/* ---- tokenizer ---- */

/* [token, "id"], as the harness writes it: [null, "None"] without one. */
static int set_token(json_t *o, const char *key, const mu_tokenizer *tok, int32_t id, struct mu_err *e)
{
    size_t n = 0;
    const char *piece = id >= 0 ? mu_tokenizer_piece(tok, id, &n) : NULL;
    char number[16] = "None";
    json_t *pair = json_array();
    if (id >= 0)
        snprintf(number, sizeof number, "%" PRId32, id);
    MU_TRY_RETURN(mu_results_set(o, key, pair, e));
    MU_TRY_RETURN(mu_results_append(pair, piece ? json_stringn(piece, n) : json_null(), e));
    return mu_results_append(pair, json_string(number), e);
}

static int make_tokenizer(struct mu_eval *ev, struct mu_err *e)
{
    struct mu_tokenizer_info tok;
    json_t *o = ev->tokenizer = json_object();
    mu_tokenizer_info(ev->tok, &tok);
    MU_TRY_RETURN(set_token(o, "tokenizer_pad_token", ev->tok, tok.pad, e));
    MU_TRY_RETURN(set_token(o, "tokenizer_eos_token", ev->tok, tok.eos, e));
    MU_TRY_RETURN(set_token(o, "tokenizer_bos_token", ev->tok, tok.bos, e));
    MU_TRY_RETURN(mu_results_set(o, "eot_token_id", tok.eos >= 0 ? json_integer(tok.eos) : json_null(), e));
    return set_int(o, "max_length", ev->max_length, e);
}

static void drop(json_t **v)
{
    json_decref(*v);
    *v = NULL;
}

int mu_eval_facts_make(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_engine_info *info = &ev->model.info;
    struct mu_err quiet = MU_ERR_INIT;
    mu_model_card *card = NULL; /* names the type the weights were published in; the evaluation can do without */
    int rc = MU_OK;

    drop(&ev->config);
    drop(&ev->audit_extra);
    drop(&ev->run);
    drop(&ev->tokenizer);
    if (ev->o.model && mu_model_card_open(&card, ev->o.model, &quiet) != MU_OK)
        card = NULL;
    MU_TRY(make_config(ev, info, card ? mu_model_card_facts(card) : NULL, e));
    MU_TRY(make_audit(ev, info, e));
    MU_TRY(make_run(ev, e));
    MU_TRY(make_tokenizer(ev, e));
out:
    mu_model_card_close(card);
    return rc;
}
