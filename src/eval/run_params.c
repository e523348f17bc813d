/* run_params.c - generation arguments of a task to what an engine is asked
 *
 * Source: lm_eval/models/utils.py normalize_gen_kwargs and handle_stop_sequences, huggingface.py _model_generate.
 * Arguments that only shape a draw (temperature, top_p, top_k, min_p, seed) count when it is one: with do_sample, or
 * with a temperature above 0 where do_sample is not given. An argument that is not known is refused: leaving it out
 * would be another evaluation. Limits of top_k and the like that a backend would bring along are not applied. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "eval/py/value.h"
#include "eval/run_int.h"

#define VALUE_BYTES_MAX ((size_t)1 << 20) /* of one that is told */

static int refuse(const char *key, const json_t *v, const char *what, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a generation argument", VALUE_BYTES_MAX);
    bool is_told = mu_py_dumps(&text, v, -1, NULL) == MU_OK;
    int rc =
        mu_fail(e, MU_EINVAL, "generation argument %s is %.200s: %s", key, is_told ? text.p : "too long to tell", what);
    mu_buf_fini(&text);
    return rc;
}

/* A number, whatever its JSON kind; absent or null: *out as it is. */
static int number(const json_t *kwargs, const char *key, double lo, double hi, double *out, struct mu_err *e)
{
    const json_t *v = json_object_get(kwargs, key);
    if (!v || json_is_null(v))
        return MU_OK;
    double x = json_is_true(v) ? 1 : json_is_false(v) ? 0 : json_number_value(v);
    if (!(json_is_number(v) || json_is_boolean(v)) || !(x >= lo && x <= hi)) {
        char what[96];
        snprintf(what, sizeof what, "a number from %g to %g is needed", lo, hi);
        return refuse(key, v, what, e);
    }
    *out = x;
    return MU_OK;
}

/* ---- how long ---- */

static int read_max_tokens(const struct mu_run_state *s, const json_t *kwargs, struct mu_run_params *p,
                           struct mu_err *e)
{
    static const char *const keys[] = {"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"};
    double n = (double)s->eng->max_gen_toks;
    for (size_t i = 0; i < MU_COUNT(keys); i++) {
        const json_t *v = json_object_get(kwargs, keys[i]);
        if (!v || json_is_null(v))
            continue;
        MU_TRY_RETURN(number(kwargs, keys[i], 1, INT32_MAX, &n, e));
        break;
    }
    p->max_tokens = (int)n;
    if (p->max_tokens >= s->eng->max_length)
        return mu_fail(e, MU_ELIMIT,
                       "%d tokens may be generated (max_gen_toks), which leaves no room for a prompt in %" PRId64
                       " tokens: ask for fewer with gen_kwargs, or for a longer context",
                       p->max_tokens, s->eng->max_length);
    return MU_OK;
}

/* ---- where it ends ---- */

static void add_stop_id(struct mu_run_params *p, int32_t id)
{
    for (int i = 0; i < p->n_stop_ids; i++) {
        if (p->stop_id[i] == id)
            return;
    }
    if (id >= 0 && p->n_stop_ids < MU_STOP_MAX)
        p->stop_id[p->n_stop_ids++] = id;
}

/* A stop string that spells a special token ends the output at that token, which text does not show. */
static int add_stop(const struct mu_run_state *s, struct mu_run_params *p, const json_t *v, struct mu_err *e)
{
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);

    if (!text)
        return refuse("until", v, "a text or a list of texts is needed", e);
    if (n == 0)
        return MU_OK; /* the harness cuts at no empty text either */
    if (strlen(text) != n)
        return mu_fail(e, MU_EUNSUPPORTED, "a stop string of \"until\" holds a NUL character");
    if (n > MU_STOP_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT, "a stop string of \"until\" has %zu bytes: at most %d are possible", n,
                       MU_STOP_BYTES_MAX);
    if (p->n_stop == MU_STOP_MAX)
        return mu_fail(e, MU_ELIMIT, "\"until\" lists more than %d stop strings", MU_STOP_MAX);
    p->stop[p->n_stop++] = text;
    int32_t id = mu_tokenizer_find(s->eng->tok, text, n);
    if (id >= 0 && mu_tokenizer_is_special(s->eng->tok, id))
        add_stop_id(p, id);
    return MU_OK;
}

static int read_stops(const struct mu_run_state *s, const json_t *kwargs, struct mu_run_params *p, struct mu_err *e)
{
    const json_t *until = json_object_get(kwargs, "until");
    bool has_eos = false;

    add_stop_id(p, s->tok.eos);
    if (json_is_array(until)) {
        for (size_t i = 0; i < json_array_size(until); i++)
            MU_TRY_RETURN(add_stop(s, p, json_array_get(until, i), e));
    } else if (until && !json_is_null(until)) {
        MU_TRY_RETURN(add_stop(s, p, until, e));
    }
    for (int i = 0; i < p->n_stop; i++)
        has_eos |= s->eos_spelling && strcmp(p->stop[i], s->eos_spelling) == 0;
    if (s->eos_spelling && !has_eos)
        p->stop[p->n_stop++] = s->eos_spelling;
    return MU_OK;
}

/* ---- how tokens are drawn ---- */

static int read_draw(const json_t *kwargs, struct mu_run_params *p, struct mu_err *e)
{
    double top_k = 0, seed = 0;
    MU_TRY_RETURN(number(kwargs, "top_p", 1e-9, 1, &p->sampling.top_p, e));
    MU_TRY_RETURN(number(kwargs, "min_p", 0, 1, &p->sampling.min_p, e));
    MU_TRY_RETURN(number(kwargs, "top_k", -1, INT32_MAX, &top_k, e)); /* -1: off, as vLLM has it */
    MU_TRY_RETURN(number(kwargs, "seed", 0, 9007199254740992.0, &seed, e));
    p->sampling.top_k = top_k > 0 ? (int)top_k : 0;
    p->sampling.seed = (uint64_t)seed;
    p->has_seed = json_is_number(json_object_get(kwargs, "seed"));
    return MU_OK;
}

/* The checkpoint's own repetition penalty holds where the arguments name none: transformers takes it from
 * generation_config.json, greedy or not. */
static int read_sampling(const struct mu_run_state *s, const json_t *kwargs, struct mu_run_params *p, struct mu_err *e)
{
    const json_t *do_sample = json_object_get(kwargs, "do_sample");
    double temperature = 0;

    p->sampling = (struct mu_sampling)MU_SAMPLING_GREEDY;
    p->sampling.repetition = s->info.repetition;
    if (do_sample && !json_is_boolean(do_sample) && !json_is_null(do_sample))
        return refuse("do_sample", do_sample, "true or false is needed", e);
    MU_TRY_RETURN(number(kwargs, "repetition_penalty", 1e-3, 1e3, &p->sampling.repetition, e));
    MU_TRY_RETURN(number(kwargs, "temperature", 0, 1e3, &temperature, e));
    p->is_sampled = temperature > 0 && !json_is_false(do_sample);
    if (!p->is_sampled)
        return MU_OK;
    p->sampling.temperature = temperature;
    return read_draw(kwargs, p, e);
}

static const char *const known[] = {"until",
                                    "max_gen_toks",
                                    "max_new_tokens",
                                    "max_tokens",
                                    "do_sample",
                                    "temperature",
                                    "top_p",
                                    "top_k",
                                    "min_p",
                                    "seed",
                                    "use_cache",
                                    "max_completion_tokens",
                                    "repetition_penalty",
                                    NULL};

static int refuse_unknown(const char *key, const json_t *v, struct mu_err *e)
{
    char what[160];
    const char *nearest = mu_name_nearest(known, key);
    snprintf(what, sizeof what, "muster does not do this; %s%s%sleave it out with gen_kwargs, or take it from the task",
             nearest ? "did you mean " : "", nearest ? nearest : "", nearest ? "? Else " : "");
    int rc = refuse(key, v, what, e);
    if (e)
        e->code = MU_EUNSUPPORTED;
    return rc == MU_EINVAL ? MU_EUNSUPPORTED : rc;
}

/* Arguments that mean one output by plain decoding are fine when that is what they say. */
static int check_known(const json_t *kwargs, struct mu_err *e)
{
    static const char *const one[] = {"num_beams", "num_return_sequences", "n", "best_of"};
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)kwargs, key, v)
    {
        bool is_fine = false;
        for (size_t i = 0; known[i]; i++)
            is_fine |= strcmp(key, known[i]) == 0;
        for (size_t i = 0; i < MU_COUNT(one); i++)
            is_fine |= strcmp(key, one[i]) == 0 && json_is_number(v) && fabs(json_number_value(v) - 1) < 1e-9;
        if (!is_fine && !json_is_null(v))
            return refuse_unknown(key, v, e);
    }
    return MU_OK;
}

static int read_params(const struct mu_run_state *s, const json_t *kwargs, struct mu_run_params *p, struct mu_err *e)
{
    p->source = kwargs;
    MU_TRY_RETURN(check_known(kwargs, e));
    MU_TRY_RETURN(read_max_tokens(s, kwargs, p, e));
    MU_TRY_RETURN(read_stops(s, kwargs, p, e));
    return read_sampling(s, kwargs, p, e);
}

int mu_run_params_of(struct mu_run_state *s, const json_t *kwargs, int32_t *index, struct mu_err *e)
{
    struct mu_run_params *p = NULL;
    int rc = MU_OK;

    /* Requests of a task come one after the other: the last arguments are most often these. */
    const json_t *last = s->n_params > 0 ? s->params[s->n_params - 1]->source : NULL;
    *index = (int32_t)s->n_params - 1;
    if (last && (last == kwargs || json_equal(last, kwargs)))
        return MU_OK;
    MU_TRY(mu_run_grow(&s->params, &s->params_cap, s->n_params, sizeof *s->params, "generation arguments", e));
    MU_TRY(MU_NEW(&p, "generation arguments", e));
    MU_TRY(read_params(s, kwargs, p, e));
    *index = (int32_t)s->n_params;
    s->params[s->n_params++] = p;
    p = NULL;
out:
    mu_free(p);
    return rc;
}
