/* bleu.c - BLEU of a corpus as sacrebleu gives it: tokenizer 13a, up to 4-grams, exponential smoothing
 *
 * Papineni et al. 2002; brevity penalty with the closest reference length; smoothing: method 3 of Chen and Cherry 2014
 * (NIST's mteval-v13a.pl); tokenizer: mteval-v13a.pl's international-free rules. */
#include <math.h>

#include "base/check.h"
#include "eval/metric/corpus_work.h"
#include "tok/jinja/text.h"

#define ORDER 4

/* counts: length of the prediction, closest reference length, matched n-grams, n-grams */
enum { PREDICTED, REFERENCED, MATCHED, TOTAL = MATCHED + ORDER, COUNTS = TOTAL + ORDER };

/* ---- tokenizer 13a ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ASCII punctuation that is always a token of its own: all but ' , - . */
static bool is_mark(char c)
{
    return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~') || c == '/';
}

static int replace(struct mu_buf *text, struct mu_buf *spare, struct mu_str old, struct mu_str with, struct mu_err *e)
{
    struct mu_str s = mu_buf_str(text);
    size_t from = 0, at = mu_t_find(s, old, 0);
    if (at == SIZE_MAX)
        return MU_OK;
    mu_buf_clear(spare);
    for (; at != SIZE_MAX; from = at + old.n, at = mu_t_find(s, old, from)) {
        MU_TRY_RETURN(mu_buf_add(spare, s.p + from, at - from, e));
        MU_TRY_RETURN(mu_buf_add(spare, with.p, with.n, e));
    }
    MU_TRY_RETURN(mu_buf_add(spare, s.p + from, s.n - from, e));
    struct mu_buf keep = *text;
    *text = *spare;
    *spare = keep;
    return MU_OK;
}

/* Line breaks and escaped characters, then a space on either side. */
static int unescape(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e)
{
    struct mu_buf *t = &w->text, *spare = &w->spare;
    mu_buf_clear(t);
    MU_TRY_RETURN(mu_buf_add(t, s.p, s.n, e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("<skipped>"), MU_STR(""), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("-\n"), MU_STR(""), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("\n"), MU_STR(" "), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("&quot;"), MU_STR("\""), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("&amp;"), MU_STR("&"), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("&lt;"), MU_STR("<"), e));
    MU_TRY_RETURN(replace(t, spare, MU_STR("&gt;"), MU_STR(">"), e));
    return MU_OK;
}

/* Each rule looks at one or two bytes and copies them with spaces between; whole characters need not be known, for what
 * is looked for is ASCII. Returns how many bytes the rule takes at p, or 0; *split tells where the spaces go. */
struct split {
    bool before, between, after;
};

static size_t rule_marks(const char *p, size_t n, struct split *s)
{
    (void)n;
    *s = (struct split){true, false, true};
    return is_mark(p[0]) ? 1 : 0;
}

static size_t rule_stop_after(const char *p, size_t n, struct split *s)
{
    *s = (struct split){false, true, true};
    return n > 1 && !is_digit(p[0]) && (p[1] == '.' || p[1] == ',') ? 2 : 0;
}

static size_t rule_stop_before(const char *p, size_t n, struct split *s)
{
    *s = (struct split){true, true, false};
    return n > 1 && (p[0] == '.' || p[0] == ',') && !is_digit(p[1]) ? 2 : 0;
}

static size_t rule_dash(const char *p, size_t n, struct split *s)
{
    *s = (struct split){false, true, true};
    return n > 1 && is_digit(p[0]) && p[1] == '-' ? 2 : 0;
}

static int space_if(struct mu_buf *b, bool want, struct mu_err *e)
{
    return want ? mu_buf_putc(b, ' ', e) : MU_OK;
}

static int apply(struct mu_corpus_work *w, size_t (*rule)(const char *, size_t, struct split *), struct mu_err *e)
{
    struct mu_buf *to = &w->spare;
    struct mu_str s = mu_buf_str(&w->text);
    struct split how;

    mu_buf_clear(to);
    for (size_t i = 0; i < s.n;) {
        size_t n = rule(s.p + i, s.n - i, &how);
        if (n > 0)
            MU_TRY_RETURN(space_if(to, how.before, e));
        MU_TRY_RETURN(mu_buf_putc(to, s.p[i], e));
        if (n > 1) {
            MU_TRY_RETURN(space_if(to, how.between, e));
            MU_TRY_RETURN(mu_buf_putc(to, s.p[i + 1], e));
        }
        if (n > 0)
            MU_TRY_RETURN(space_if(to, how.after, e));
        i += n ? n : 1;
    }
    struct mu_buf keep = w->text;
    w->text = w->spare;
    w->spare = keep;
    return MU_OK;
}

/* Into w->text, tokens between white space. */
static int tokenise(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e)
{
    struct mu_buf *t = &w->text;

    MU_TRY_RETURN(unescape(w, mu_t_rstrip(s, (struct mu_str){0}), e));
    mu_buf_clear(&w->spare);
    MU_TRY_RETURN(mu_buf_putc(&w->spare, ' ', e));
    MU_TRY_RETURN(mu_buf_add(&w->spare, mu_buf_str(t).p, t->n, e));
    MU_TRY_RETURN(mu_buf_putc(&w->spare, ' ', e));
    struct mu_buf keep = *t;
    *t = w->spare;
    w->spare = keep;
    MU_TRY_RETURN(apply(w, rule_marks, e));
    MU_TRY_RETURN(apply(w, rule_stop_after, e));
    MU_TRY_RETURN(apply(w, rule_stop_before, e));
    return apply(w, rule_dash, e);
}

/* ---- counting and scoring ---- */

static double closest_length(const struct mu_corpus_work *w)
{
    size_t best = w->reference_units[0].n, n = w->units.n;
    for (size_t i = 1; i < w->n_references; i++) {
        size_t len = w->reference_units[i].n;
        size_t gap = len > n ? len - n : n - len, best_gap = best > n ? best - n : n - best;
        if (gap < best_gap || (gap == best_gap && len < best))
            best = len;
    }
    return (double)best;
}

static int count(struct mu_corpus_work *w, double *counts, struct mu_err *e)
{
    int64_t matched[ORDER] = {0};
    size_t units = 0;

    MU_TRY_RETURN(mu_corpus_words(w, tokenise, e));
    for (size_t i = 0; i < w->n_references; i++)
        units += w->reference_units[i].n;
    MU_TRY_RETURN(mu_ngrams_begin(&w->grams, units, ORDER, e));
    for (size_t i = 0; i < w->n_references; i++)
        mu_ngrams_reference(&w->grams, &w->reference_units[i], ORDER);
    mu_ngrams_match(&w->grams, &w->units, ORDER, matched);
    counts[PREDICTED] = (double)w->units.n;
    counts[REFERENCED] = closest_length(w);
    for (int n = 0; n < ORDER; n++) {
        counts[MATCHED + n] = (double)matched[n];
        counts[TOTAL + n] = (double)mu_ngram_count(w->units.n, n + 1);
    }
    return MU_OK;
}

static double brevity(double predicted, double referenced)
{
    if (predicted >= referenced)
        return 1;
    return predicted > 0 ? exp(1 - referenced / predicted) : 0;
}

static double score(const double *counts)
{
    double logs = 0, halved = 1, matches = 0;

    for (int n = 0; n < ORDER; n++)
        matches += counts[MATCHED + n];
    if (matches == 0)
        return 0;
    for (int n = 0; n < ORDER; n++) {
        double total = counts[TOTAL + n], matched = counts[MATCHED + n];
        if (total == 0)
            return 0; /* no n-gram that long in the whole corpus */
        if (matched == 0)
            halved *= 2;
        logs += log(matched == 0 ? 100 / (halved * total) : 100 * matched / total);
    }
    return brevity(counts[PREDICTED], counts[REFERENCED]) * exp(logs / ORDER);
}

const struct mu_corpus_metric mu_corpus_bleu = {"bleu", COUNTS, count, score};
