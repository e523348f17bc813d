/* measure_choice.c - which of several choices the model finds likeliest, and whether that is the right one
 *
 * Source: lm_eval/api/task.py, process_results for multiple_choice. The first of equal maxima wins. acc_norm divides by
 * the code points of a choice, acc_bytes by its bytes; both leave the delimiter out. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/build_int.h"
#include "eval/measure.h"
#include "eval/py/value.h"

#define NO_CHOICE (-100) /* what a gold answer outside the choices becomes */

struct choices {
    int n, n_answered;            /* twice n when the choices were also asked for without their question */
    double *ll;                   /* n_answered */
    bool *greedy;                 /* n_answered */
    double *chars, *bytes, *gain; /* n; gain: over the choice without its question */
    json_t *gold;                 /* an int, or an array of them; owned */
};

static void choices_fini(struct choices *c)
{
    mu_free(c->ll);
    mu_free(c->greedy);
    mu_free(c->chars);
    mu_free(c->bytes);
    mu_free(c->gain);
    json_decref(c->gold);
}

/* ---- reading ---- */

static int read_answers(struct choices *c, const json_t *results, struct mu_err *e)
{
    json_t *pair;
    size_t i;

    MU_TRY_RETURN(MU_NEW_ARRAY(&c->ll, c->n_answered, "log-likelihoods", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&c->greedy, c->n_answered, "log-likelihoods", e));
    json_array_foreach(results, i, pair)
    {
        if (!json_is_number(json_array_get(pair, 0)) || !json_array_get(pair, 1))
            return mu_fail(e, MU_EINVAL,
                           "the filtered response of choice %zu is no log-likelihood; multiple choice tasks need "
                           "take_first",
                           i);
        c->ll[i] = json_number_value(json_array_get(pair, 0));
        c->greedy[i] = json_is_true(json_array_get(pair, 1));
    }
    return MU_OK;
}

static int read_lengths(struct choices *c, const json_t *choices, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(&c->chars, c->n, "lengths of choices", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&c->bytes, c->n, "lengths of choices", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&c->gain, c->n, "log-likelihoods", e));
    for (int i = 0; i < c->n; i++) {
        const json_t *choice = json_array_get(choices, (size_t)i);
        if (!json_is_string(choice))
            return mu_fail(e, MU_EINVAL, "doc_to_choice: choice %d is not a text", i);
        struct mu_str s = {json_string_value(choice), json_string_length(choice)};
        c->chars[i] = (double)mu_py_len(s);
        c->bytes[i] = (double)s.n;
        c->gain[i] = c->n_answered == 2 * c->n ? c->ll[i] - c->ll[c->n + i] : 0;
    }
    return MU_OK;
}

static int64_t int_of(const json_t *v)
{
    return json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
}

/* The place of a gold answer among the choices, given as a number or as the choice itself; a new reference. */
static int place_of(const json_t *gold, const json_t *choices, json_t **out, struct mu_err *e)
{
    int64_t n = (int64_t)json_array_size(choices), at = NO_CHOICE;

    if (mu_py_is_int(gold) && int_of(gold) < n) {
        *out = json_incref((json_t *)gold);
        return MU_OK;
    }
    if (!mu_py_is_int(gold) && !json_is_string(gold))
        return mu_fail(e, MU_EINVAL, "doc_to_target gives neither a number nor a text for the right choice");
    for (int64_t i = n - 1; json_is_string(gold) && i >= 0; i--)
        if (json_equal(gold, json_array_get(choices, (size_t)i)))
            at = i;
    *out = json_integer(at);
    return *out ? MU_OK : mu_fail_nomem(e, sizeof(void *), "the right choice");
}

static int read_gold(struct choices *c, const json_t *gold, const json_t *choices, struct mu_err *e)
{
    json_t *one, *place;
    size_t i;

    if (!json_is_array(gold))
        return place_of(gold, choices, &c->gold, e);
    c->gold = json_array();
    if (!c->gold)
        return mu_fail_nomem(e, sizeof(void *), "the right choices");
    json_array_foreach(gold, i, one)
    {
        MU_TRY_RETURN(place_of(one, choices, &place, e));
        if (json_array_append_new(c->gold, place) != 0)
            return mu_fail_nomem(e, sizeof(void *), "the right choices");
    }
    return MU_OK;
}

static int read_all(struct choices *c, const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                    struct mu_err *e)
{
    c->n = (int)json_array_size(d->choices);
    c->n_answered = (int)json_array_size(results);
    if (c->n == 0 || (c->n_answered != c->n && c->n_answered != 2 * c->n))
        return mu_fail(e, MU_EINVAL, "there are %d responses for %d choices", c->n_answered, c->n);
    MU_TRY_RETURN(read_answers(c, results, e));
    MU_TRY_RETURN(read_lengths(c, d->choices, e));
    return read_gold(c, w->is_multiple_input ? d->text : d->target, d->choices, e);
}

/* ---- judging ---- */

/* numpy's argmax: the first maximum; a NaN, which 0 / 0 gives, is larger than anything. */
static int likeliest(const double *ll, const double *length, int n)
{
    int best = 0;
    double most = 0;
    for (int i = 0; i < n; i++) {
        double v = length ? ll[i] / length[i] : ll[i];
        if (isnan(v))
            return i;
        if (i == 0 || v > most) {
            most = v;
            best = i;
        }
    }
    return best;
}

static bool is_gold(const struct choices *c, int predicted)
{
    json_t *one;
    size_t i;
    if (!json_is_array(c->gold))
        return int_of(c->gold) == predicted;
    json_array_foreach(c->gold, i, one) if (int_of(one) == predicted) return true;
    return false;
}

static bool is_greedy_at(const struct choices *c, int64_t i)
{
    if (i < 0 && i != NO_CHOICE)
        i += c->n_answered;
    return i >= 0 && i < c->n_answered && c->greedy[i];
}

static bool is_gold_greedy(const struct choices *c)
{
    json_t *one;
    size_t i;
    if (!json_is_array(c->gold))
        return is_greedy_at(c, int_of(c->gold));
    json_array_foreach(c->gold, i, one) if (is_greedy_at(c, int_of(one))) return true;
    return false;
}

static json_t *reals(const double *v, int n)
{
    json_t *a = json_array();
    for (int i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_real(v[i])) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

/* The choices' log-likelihoods, or with soft-max their probabilities among each other. */
static json_t *distribution(const struct choices *c, bool softmax)
{
    double most = c->ll[0], sum = 0, *p = c->chars; /* lengths are not needed any more */

    for (int i = 0; i < c->n; i++)
        most = fmax(most, c->ll[i]);
    for (int i = 0; i < c->n; i++)
        sum += p[i] = softmax ? exp(c->ll[i] - most) : c->ll[i];
    for (int i = 0; softmax && i < c->n; i++)
        p[i] /= sum;
    return reals(p, c->n);
}

static json_t *beside_gold(const struct choices *c, json_t *value)
{
    return value ? json_pack("[O, o]", c->gold, value) : NULL;
}

struct verdict {
    int plain, by_chars, by_bytes, by_gain;
};

static json_t *make(const struct choices *c, const char *name, const struct verdict *v)
{
    if (strcmp(name, "acc") == 0)
        return json_real(is_gold(c, v->plain));
    if (strcmp(name, "f1") == 0 || strcmp(name, "mcc") == 0)
        return beside_gold(c, json_integer(v->plain));
    if (strcmp(name, "acc_norm") == 0)
        return json_real(is_gold(c, v->by_chars));
    if (strcmp(name, "acc_bytes") == 0)
        return json_real(is_gold(c, v->by_bytes));
    if (strcmp(name, "exact_match") == 0)
        return json_integer(is_gold_greedy(c));
    if (strcmp(name, "acc_mutual_info") == 0)
        return json_real(is_gold(c, v->by_gain));
    return beside_gold(c, distribution(c, strcmp(name, "brier_score") == 0));
}

int mu_measure_choice(const struct mu_work *w, const struct mu_work_doc *d, const json_t *results,
                      const struct mu_task_metric *metric, int n_metrics, json_t *to, struct mu_err *e)
{
    static const char *const names[] = {"acc",         "f1",          "mcc",        "acc_norm",       "acc_bytes",
                                        "exact_match", "brier_score", "likelihood", "acc_mutual_info"};
    struct choices c = {0};
    int rc;

    MU_TRY(read_all(&c, w, d, results, e));
    if ((c.n_answered == 2 * c.n) != mu_measure_has(metric, n_metrics, "acc_mutual_info") && n_metrics > 0 &&
        strcmp(metric[0].name, "bypass") != 0)
        MU_TRY(mu_fail(e, MU_EINVAL, "there are %d responses for %d choices%s", c.n_answered, c.n,
                       c.n_answered == c.n ? ", and acc_mutual_info needs twice as many" : ""));
    struct verdict v = {likeliest(c.ll, NULL, c.n), likeliest(c.ll, c.chars, c.n), likeliest(c.ll, c.bytes, c.n),
                        likeliest(c.gain, NULL, c.n)};
    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (mu_measure_has(metric, n_metrics, names[i]))
            MU_TRY(mu_measure_put(to, names[i], make(&c, names[i], &v), e));
out:
    choices_fini(&c);
    return rc;
}
