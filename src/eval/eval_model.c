/* eval_model.c - what a journal knows of a model without opening it
 *
 * A note says what was true of the model when these files, as they are now (model_files.h), were last loaded: the hash
 * of the content, the end tokens, the repetition penalty, the context. What stat cannot tell goes unseen: bytes changed
 * below the file system, or within the tick of its clock (files changed in the last SETTLED_S seconds are therefore not
 * noted). As far as it goes, it can only make a finished run repeat its old numbers: before anything is computed the
 * model is open and its own hash makes the keys. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/eval_int.h"
#include "eval/model_files.h"

#define NOTE_VERSION "muster model 1"
#define SETTLED_S    2   /* the coarsest clock of a file system in use: FAT's */
#define NAME_BYTES   128 /* of a note */

bool mu_eval_is_remote(const struct mu_eval *ev)
{
    const char *engine = ev->model.info.engine; /* NULL: as noted, from files */
    return engine && strcmp(engine, "remote") == 0;
}

/* ---- identity ---- */

/* Options that decide what the engine says of itself. */
static void add_options(struct mu_key_maker *m, const struct mu_engine_opts *o, const char *backend)
{
    const char *const texts[] = {o->weights, o->kv_dtype, o->mla, backend};
    const int64_t numbers[] = {o->context_max, o->kv_tokens_max, (int64_t)o->memory_bytes_max, o->sequences_max,
                               o->rows_max,    o->prefill_chunk, (int64_t)o->request_bytes};
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        mu_key_text(m, texts[i] ? texts[i] : "");
    mu_key_bytes(m, numbers, sizeof numbers);
}

static int identify(const struct mu_eval *ev, char out[2 * sizeof(struct mu_key) + 1], struct mu_err *e)
{
    const struct mu_engine_opts *o = ev->model.opts;
    struct mu_model_files f;
    struct mu_key_maker m;
    struct mu_key key;

    out[0] = '\0';
    if (o->endpoint) /* what a server computes with no file here tells; asking it costs nothing */
        return MU_OK;
    MU_TRY_RETURN(mu_model_files_look(&f, o->model, e));
    if (!f.is_whole || (int64_t)time(NULL) - f.newest_s < SETTLED_S)
        return MU_OK;
    MU_TRY_RETURN(mu_key_begin(&m, e));
    mu_key_text(&m, f.path);
    mu_key_bytes(&m, &f.sum, sizeof f.sum);
    add_options(&m, o, ev->o.backend);
    mu_key_end(&m, &key);
    for (size_t i = 0; i < sizeof key.b; i++)
        snprintf(out + 2 * i, 3, "%02x", key.b[i]);
    return MU_OK;
}

/* ---- the note ---- */

static void name_note(const struct mu_eval *ev, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s %s", NOTE_VERSION, ev->model.identity);
}

static bool read_eos(const json_t *list, struct mu_engine_info *info)
{
    if (!json_is_array(list) || json_array_size(list) > MU_ENGINE_EOS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return false;
        info->eos[info->n_eos++] = (int32_t)json_integer_value(v);
    }
    return true;
}

/* A note that is not as remember() writes it counts as none. */
static bool read_note(json_t *note, struct mu_engine_info *info)
{
    const char *hash, *arch, *weights, *kv_dtype;
    json_int_t context, vocab, params;
    double repetition;
    json_t *eos;
    *info = (struct mu_engine_info){.bos = -1};
    if (!note || json_unpack(note, "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:F,s:o}", "weights_hash", &hash, "arch", &arch,
                             "weights", &weights, "kv_dtype", &kv_dtype, "context", &context, "vocab", &vocab,
                             "parameters", &params, "repetition_penalty", &repetition, "eos", &eos) != 0)
        return false;
    info->weights_hash = hash;
    info->arch = arch;
    info->weights = weights;
    info->kv_dtype = kv_dtype;
    info->context_max = context;
    info->vocab = vocab;
    info->n_params = params;
    info->repetition = repetition;
    return hash[0] && context > 0 && vocab > 0 && repetition > 0 && read_eos(eos, info);
}

int mu_eval_model_recall(struct mu_eval *ev, bool *is_known, struct mu_err *e)
{
    struct mu_eval_model *m = &ev->model;
    char name[NAME_BYTES];

    *is_known = false;
    MU_TRY_RETURN(identify(ev, m->identity, e));
    if (!m->identity[0])
        return MU_OK;
    name_note(ev, name);
    MU_TRY_RETURN(mu_journal_noted(ev->journal, name, &m->note, e));
    *is_known = read_note(m->note, &m->info);
    m->info.threads = m->opts->threads;
    return MU_OK;
}

static int make_note(const struct mu_engine_info *info, json_t **out, struct mu_err *e)
{
    json_t *eos = json_array();
    for (int i = 0; eos && i < info->n_eos; i++) {
        if (json_array_append_new(eos, json_integer(info->eos[i])) == 0)
            continue;
        json_decref(eos);
        eos = NULL;
    }
    *out = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:f,s:o}", "weights_hash", info->weights_hash, "arch", info->arch,
                     "weights", info->weights, "kv_dtype", info->kv_dtype, "context", (json_int_t)info->context_max,
                     "vocab", (json_int_t)info->vocab, "parameters", (json_int_t)info->n_params, "repetition_penalty",
                     info->repetition, "eos", eos);
    return *out ? MU_OK : mu_fail_nomem(e, 512, "a note");
}

/* Files that changed while they were read are not noted. */
int mu_eval_model_remember(struct mu_eval *ev, struct mu_err *e)
{
    const struct mu_eval_model *m = &ev->model;
    char name[NAME_BYTES], now[sizeof m->identity];
    json_t *note = NULL;

    if (!ev->journal || !m->identity[0])
        return MU_OK;
    MU_TRY_RETURN(identify(ev, now, e));
    if (strcmp(now, m->identity) != 0)
        return MU_OK;
    name_note(ev, name);
    MU_TRY_RETURN(make_note(&m->info, &note, e));
    int rc = mu_journal_note(ev->journal, name, note, e);
    json_decref(note);
    return rc;
}
