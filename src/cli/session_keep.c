/* session_keep.c - a session that many evaluations have one after another: what stays open between them
 *
 * The same model is: the same options that decide the engine, and the same files by what the file system says of them.
 * Both are one hash. Files too young to be told apart by their times, or none that can be looked at, are never the
 * same. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/session_int.h"
#include "eval/model_files.h"

#define SETTLED_S 2 /* the coarsest clock of a file system in use */

/* ---- what is the same ---- */

static void add_text(struct mu_key_maker *k, const char *text)
{
    mu_key_text(k, text ? text : "");
}

/* *is_known false: nothing the same can be said of it later. NULL is known. */
static int add_files(struct mu_key_maker *k, const char *path, bool *is_known, struct mu_err *e)
{
    struct mu_model_files f;
    add_text(k, path);
    if (!path)
        return MU_OK;
    MU_TRY_RETURN(mu_model_files_look(&f, path, e));
    *is_known &= f.is_whole && (int64_t)time(NULL) - f.newest_s >= SETTLED_S;
    mu_key_text(k, f.path);
    mu_key_bytes(k, &f.sum, sizeof f.sum);
    return MU_OK;
}

static void spell(char out[MU_SESSION_KEY_MAX], const struct mu_key *key, bool is_known)
{
    out[0] = '\0';
    for (size_t i = 0; is_known && i < sizeof key->b; i++)
        snprintf(out + 2 * i, 3, "%02x", key->b[i]);
}

/* Of the tokenizer: it lies with the model where no other is named. */
static int text_key(char out[MU_SESSION_KEY_MAX], const struct mu_model_args *a, struct mu_err *e)
{
    struct mu_key_maker k;
    struct mu_key key;
    bool is_known = true;
    MU_TRY_RETURN(mu_key_begin(&k, e));
    int rc = add_files(&k, a->tokenizer ? a->tokenizer : a->model, &is_known, e);
    mu_key_end(&k, &key);
    spell(out, &key, is_known);
    return rc;
}

/* Batch, memory and threads change no result, but say how the engine is to be. A server is tried for what the task
 * will ask of it. */
static void add_options(struct mu_key_maker *k, const struct mu_model_args *a)
{
    const char *const texts[] = {a->dtype,    a->weights,        a->kv_dtype,      a->mla,          a->level,
                                 a->layout,   a->cluster,        a->weights_from,  a->expert_loads, a->engine,
                                 a->endpoint, a->endpoint_model, a->endpoint_hash, a->api_key_file};
    const int64_t numbers[] = {a->threads,
                               a->batch_size,
                               a->batch_tokens,
                               a->context,
                               a->ranks,
                               (int64_t)a->max_memory,
                               (int64_t)a->request_bytes,
                               a->no_prefix_sharing,
                               a->concurrency,
                               a->redundant_experts,
                               a->endpoint && a->will_score,
                               a->endpoint && a->will_generate};
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        add_text(k, texts[i]);
    mu_key_bytes(k, numbers, sizeof numbers);
}

static int engine_key(char out[MU_SESSION_KEY_MAX], const struct mu_model_args *a, struct mu_err *e)
{
    struct mu_key_maker k;
    struct mu_key key;
    bool is_known = !a->write_expert_loads;
    MU_TRY_RETURN(mu_key_begin(&k, e));
    add_options(&k, a);
    int rc = add_files(&k, a->model, &is_known, e);
    if (rc == MU_OK)
        rc = add_files(&k, a->expert_loads, &is_known, e);
    mu_key_end(&k, &key);
    spell(out, &key, is_known);
    return rc;
}

static bool is_same(const char *kept, const char *wanted)
{
    return wanted[0] && strcmp(kept, wanted) == 0;
}

/* ---- opened, or found open ---- */

int mu_session_keep_texts(struct mu_session *s, const struct mu_model_args *args, bool needs_tok, struct mu_err *e)
{
    char key[MU_SESSION_KEY_MAX];
    MU_TRY_RETURN(text_key(key, args, e));
    if (s->tok && is_same(s->keep.text_key, key))
        return MU_OK;
    mu_session_drop(s);
    MU_TRY_RETURN(mu_session_open_texts(s, args, needs_tok, e));
    memcpy(s->keep.text_key, key, sizeof key);
    return MU_OK;
}

static bool has_room(const struct mu_session *s, const struct mu_engine_work *work)
{
    int64_t longest = s->keep.work.longest;
    return longest == 0 || (work->longest > 0 && work->longest <= longest);
}

static void say(const struct mu_session *s, const char *model, const char *what)
{
    if (!s->quiet)
        fprintf(stderr, "model   %s: %s\n", model, what);
}

static int load_for(struct mu_session *s, const struct mu_model_args *args, const struct mu_engine_work *work,
                    struct mu_err *e)
{
    struct mu_model_args a = *args;
    a.work = *work;
    int rc = mu_session_load(s, &a, e);
    if (rc != MU_OK)
        mu_session_drop_engine(s);
    s->keep.work = *work;
    return rc;
}

/* For requests as long as those at hand, however many. */
static int load_for_any(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    struct mu_engine_work any = args->work;
    struct mu_err why = MU_ERR_INIT;
    any.requests = any.longest = any.tokens = 0;
    int rc = load_for(s, args, &any, &why);
    if (rc == MU_ENOMEM && args->work.longest > 0 && !mu_session_is_broken(s)) {
        say(s, args->model, "no room for every request of the context; for those of this task alone:");
        return load_for(s, args, &args->work, e);
    }
    return rc == MU_OK ? MU_OK : mu_fail(e, rc, "%s", why.text);
}

int mu_session_keep_engine(struct mu_session *s, const struct mu_model_args *args, struct mu_err *e)
{
    char key[MU_SESSION_KEY_MAX];
    MU_TRY_RETURN(engine_key(key, args, e));
    if (s->eng && is_same(s->keep.engine_key, key) && has_room(s, &args->work)) {
        say(s, args->model, "kept from the task before");
        return MU_OK;
    }
    mu_session_drop_engine(s);
    int64_t from = mu_now_ns(mu_clock_real());
    MU_TRY_RETURN(load_for_any(s, args, e));
    s->keep.load_s += (double)(mu_now_ns(mu_clock_real()) - from) * 1e-9;
    say(s, args->model, "loaded, and kept for the next task");
    memcpy(s->keep.engine_key, key, sizeof key);
    return MU_OK;
}

bool mu_session_is_broken(const struct mu_session *s)
{
    struct mu_result *r = NULL;
    if (mu_comm_is_dead(s->world) || (!s->eng && mu_comm_n_lost(s->world) > 0))
        return true;
    if (!s->eng)
        return false;
    int rc = mu_engine_poll(s->eng, &r, 0, NULL);
    bool is_idle = rc == MU_OK && !r;
    mu_result_free(r);
    return !is_idle;
}
