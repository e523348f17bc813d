/* corpus.c - from items to texts, from the documents' counts to the score of the corpus */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/metric/corpus_work.h"
#include "eval/py/random.h"
#include "eval/stats/corpus.h"
#include "tok/jinja/text.h"

bool mu_corpus_word(struct mu_str s, size_t *at, struct mu_str *word)
{
    size_t len, i = *at;
    while (i < s.n && mu_t_is_space(mu_t_at(s, i, &len)))
        i += len;
    size_t begin = i;
    while (i < s.n && !mu_t_is_space(mu_t_at(s, i, &len)))
        i += len;
    *word = mu_t_sub(s, begin, i);
    *at = i;
    return i > begin;
}

static int number(struct mu_corpus_work *w, struct mu_str text, struct mu_units *u, struct mu_err *e)
{
    struct mu_str word;
    u->n = 0;
    for (size_t at = 0; mu_corpus_word(text, &at, &word);)
        MU_TRY_RETURN(mu_units_add(u, mu_words_number(&w->words, word), e));
    return MU_OK;
}

int mu_corpus_words(struct mu_corpus_work *w,
                    int (*tokenise)(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e), struct mu_err *e)
{
    mu_buf_clear(&w->all);
    for (size_t i = 0; i <= w->n_references; i++) {
        MU_TRY_RETURN(tokenise(w, i == 0 ? w->prediction : w->reference[i - 1], e));
        MU_TRY_RETURN(mu_buf_add(&w->all, mu_buf_str(&w->text).p, w->text.n, e));
        w->end[i] = w->all.n;
    }
    MU_TRY_RETURN(mu_words_begin(&w->words, w->all.n / 2 + w->n_references + 1, e));
    for (size_t i = 0; i <= w->n_references; i++)
        MU_TRY_RETURN(number(w, mu_t_sub(mu_buf_str(&w->all), i == 0 ? 0 : w->end[i - 1], w->end[i]),
                             i == 0 ? &w->units : &w->reference_units[i - 1], e));
    return MU_OK;
}

static struct mu_str text_of(const json_t *v)
{
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

/* How many references of each document count. */
static int count_references(const json_t *items, const char *name, size_t *n, struct mu_err *e)
{
    bool is_list = json_is_array(json_array_get(json_array_get(items, 0), 0));
    size_t i;
    json_t *item;

    *n = is_list ? SIZE_MAX : 1;
    json_array_foreach(items, i, item)
    {
        const json_t *refs = json_array_get(item, 0);
        if (json_array_size(item) != 2 || json_is_array(refs) != is_list || (!is_list && !json_is_string(refs)))
            return mu_fail(e, MU_EINVAL,
                           "%s: item %zu is not a pair of reference and prediction where references are all texts "
                           "or all arrays of texts",
                           name, i);
        if (is_list)
            *n = MU_MIN(*n, json_array_size(refs));
    }
    if (*n == 0)
        return mu_fail(e, MU_EINVAL, "%s: a document has no reference to compare with", name);
    if (*n > MU_CORPUS_REFERENCES_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: the documents have %zu references; the most is %d", name, *n,
                       MU_CORPUS_REFERENCES_MAX);
    return MU_OK;
}

static int take_texts(struct mu_corpus_work *w, const json_t *item, size_t n_references, const char *name, size_t i,
                      struct mu_err *e)
{
    const json_t *refs = json_array_get(item, 0), *prediction = json_array_get(item, 1);

    if (json_array_size(prediction) == 1)
        prediction = json_array_get(prediction, 0);
    if (!json_is_string(prediction))
        return mu_fail(e, MU_EINVAL, "%s: the prediction of item %zu is not one text", name, i);
    w->prediction = text_of(prediction);
    w->n_references = 0;
    for (size_t k = 0; k < n_references; k++) {
        const json_t *ref = json_is_array(refs) ? json_array_get(refs, k) : refs;
        if (json_is_null(ref))
            continue;
        if (!json_is_string(ref))
            return mu_fail(e, MU_EINVAL, "%s: reference %zu of item %zu is not a text", name, k, i);
        w->reference[w->n_references++] = text_of(ref);
    }
    if (w->n_references == 0)
        return mu_fail(e, MU_EINVAL, "%s: item %zu has no reference to compare with", name, i);
    return MU_OK;
}

static void work_free(struct mu_corpus_work *w)
{
    if (!w)
        return;
    mu_buf_fini(&w->text);
    mu_buf_fini(&w->spare);
    mu_buf_fini(&w->all);
    mu_units_fini(&w->units);
    for (size_t i = 0; i < MU_CORPUS_REFERENCES_MAX; i++)
        mu_units_fini(&w->reference_units[i]);
    for (size_t i = 0; i < MU_COUNT(w->character_units); i++)
        mu_units_fini(&w->character_units[i]);
    mu_words_fini(&w->words);
    mu_ngrams_fini(&w->grams);
    mu_free(w);
}

static int work_new(struct mu_corpus_work **out, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW(out, "the comparison of texts", e));
    (*out)->text = (struct mu_buf)MU_BUF_INIT("a tokenised text", MU_CORPUS_TEXT_MAX);
    (*out)->spare = (*out)->all = (*out)->text;
    return MU_OK;
}

/* step: how far the counts of a document are from those of the one before; 0: all are summed. */
static int count_all(const struct mu_corpus_metric *m, const json_t *items, size_t step, double *counts,
                     struct mu_err *e)
{
    struct mu_corpus_work *w = NULL;
    size_t i, n_references;
    json_t *item;
    int rc;

    MU_TRY(count_references(items, m->name, &n_references, e));
    MU_TRY(work_new(&w, e));
    json_array_foreach(items, i, item)
    {
        double one[MU_CORPUS_COUNTS_MAX] = {0};
        MU_TRY(take_texts(w, item, n_references, m->name, i, e));
        MU_TRY(m->count(w, one, e));
        for (int k = 0; k < m->n_counts; k++)
            counts[i * step + (size_t)k] += one[k];
    }
out:
    work_free(w);
    return rc;
}

int mu_corpus_score(const struct mu_corpus_metric *m, const json_t *items, double *out, struct mu_err *e)
{
    double counts[MU_CORPUS_COUNTS_MAX] = {0};
    if (json_array_size(items) == 0)
        return mu_fail(e, MU_EINVAL, "%s: there are no documents to score", m->name);
    MU_TRY_RETURN(count_all(m, items, 0, counts, e));
    *out = m->score(counts);
    return MU_OK;
}

/* ---- standard errors: lm_eval/api/metrics.py, bootstrap_stderr ---- */

#define CHUNK 1000 /* replicates of one seed */

static bool have_equal_references(const json_t *items)
{
    size_t i, n = json_array_size(json_array_get(json_array_get(items, 0), 0));
    json_t *item;
    json_array_foreach(items, i, item) if (json_array_size(json_array_get(item, 0)) != n) return false;
    return true;
}

static double replicate(const struct mu_corpus_metric *m, const double *counts, const uint32_t *drawn, size_t n)
{
    double sum[MU_CORPUS_COUNTS_MAX] = {0};
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < m->n_counts; k++)
            sum[k] += counts[drawn[i] * (size_t)m->n_counts + (size_t)k];
    return m->score(sum);
}

static double sample_deviation(const double *v, int64_t n)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        mean += v[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (v[i] - mean) * (v[i] - mean);
    return sqrt(squares / (double)(n - 1));
}

static int bootstrap(const struct mu_corpus_metric *m, const json_t *items, int64_t iters, double *out,
                     struct mu_err *e)
{
    size_t n = json_array_size(items);
    int64_t chunk = MU_MIN(iters, CHUNK), n_values = iters / chunk * chunk;
    double *counts = NULL, *value = NULL;
    uint32_t *drawn = NULL;
    struct mu_pyrandom r;
    int rc;

    MU_TRY(MU_NEW_ARRAY(&counts, n * (size_t)m->n_counts, "counts of documents", e));
    MU_TRY(MU_NEW_ARRAY(&value, n_values, "replicates", e));
    MU_TRY(MU_NEW_ARRAY(&drawn, n, "drawn documents", e));
    MU_TRY(count_all(m, items, (size_t)m->n_counts, counts, e));
    for (int64_t i = 0; i < n_values; i++) {
        if (i % chunk == 0)
            mu_pyrandom_seed(&r, i / chunk);
        mu_pyrandom_choices(&r, (uint32_t)n, (int64_t)n, drawn);
        value[i] = replicate(m, counts, drawn, n);
    }
    *out = sample_deviation(value, n_values);
out:
    mu_free(counts);
    mu_free(value);
    mu_free(drawn);
    return rc;
}

int mu_corpus_stderr(const char *aggregation, const json_t *items, int64_t iters, double *out, bool *done,
                     struct mu_err *e)
{
    static const struct mu_corpus_metric *const metrics[] = {&mu_corpus_bleu, &mu_corpus_chrf, &mu_corpus_chrfpp,
                                                             &mu_corpus_ter};

    *done = false;
    for (size_t i = 0; i < MU_COUNT(metrics) && !*done; i++) {
        if (strcmp(metrics[i]->name, aggregation) != 0 || !have_equal_references(items))
            continue;
        MU_TRY_RETURN(bootstrap(metrics[i], items, iters, out, e));
        *done = true;
    }
    return MU_OK;
}

int mu_bleu_corpus(const json_t *items, double *out, struct mu_err *e)
{
    return mu_corpus_score(&mu_corpus_bleu, items, out, e);
}

int mu_chrf_corpus(const json_t *items, double *out, struct mu_err *e)
{
    return mu_corpus_score(&mu_corpus_chrf, items, out, e);
}

int mu_chrfpp_corpus(const json_t *items, double *out, struct mu_err *e)
{
    return mu_corpus_score(&mu_corpus_chrfpp, items, out, e);
}

int mu_ter_corpus(const json_t *items, double *out, struct mu_err *e)
{
    return mu_corpus_score(&mu_corpus_ter, items, out, e);
}
