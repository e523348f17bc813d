/* ter.c - translation edit rate of a corpus as sacrebleu gives it: no normalisation, letters lowered
 *
 * Snover et al. 2006, with tercom's limits: shifts of at most 10 words by at most 50, an edit distance within 25 words
 * of the diagonal (more when the lengths differ much), and sacrebleu's end after 1000 shifts tried. Among shifts of
 * equal gain the longest counts, then the one that begins first, then the one that goes to the earliest place. */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/metric/corpus_work.h"
#include "eval/py/case.h"
#include "tok/jinja/text.h"

#define SHIFT_WORDS_MAX    10
#define SHIFT_DISTANCE_MAX 50
#define SHIFTS_TRIED_MAX   1000
#define BEAM               25
#define WORDS_MAX          65536 /* of one text */
#define FAR                (1 << 28)

enum { EDITS, LENGTH, COUNTS };

struct row {
    int32_t *cost; /* of columns [lo, hi) */
    int lo, hi;
};

struct ter {
    const uint32_t *ref;
    uint32_t *hyp, *shifted, *best; /* the words of the prediction, of a shift tried, of the best one */
    int n_ref, n_hyp;
    struct row *row; /* edit distances of hyp: n_hyp + 1 rows */
    struct row tried[2];
    int *align;                 /* of each word of ref: the word of hyp it stands at, -1: before the first */
    int *hyp_wrong, *ref_wrong; /* how many of the first i words are wrong */
    int n_tried;
    int32_t *costs; /* what the rows above live in */
};

/* ---- edit distance near the diagonal ---- */

static void bounds(const struct ter *t, int i, int *lo, int *hi)
{
    double ratio = (double)t->n_ref / t->n_hyp;
    int beam = BEAM < ratio / 2 ? (int)ceil(ratio / 2 + BEAM) : BEAM;
    int diagonal = (int)floor(i * ratio);

    *lo = MU_MAX(0, diagonal - beam);
    *hi = i == t->n_hyp ? t->n_ref + 1 : MU_MIN(t->n_ref + 1, diagonal + beam);
    if (i == 0) {
        *lo = 0;
        *hi = t->n_ref + 1;
    }
}

static int32_t cost_at(const struct row *r, int j)
{
    return j >= r->lo && j < r->hi ? r->cost[j - r->lo] : FAR;
}

/* Row i of the distances to ref of a text whose word i - 1 is `word`. */
static void fill_row(const struct ter *t, const struct row *above, uint32_t word, struct row *r)
{
    int32_t left = FAR;
    for (int j = r->lo; j < r->hi; j++) {
        int32_t c = cost_at(above, j) + 1;
        if (j > 0)
            c = MU_MIN(c, cost_at(above, j - 1) + (word != t->ref[j - 1]));
        c = MU_MIN(MU_MIN(c, left + 1), FAR);
        r->cost[j - r->lo] = left = c;
    }
}

static int32_t fill_all(struct ter *t)
{
    for (int j = 0; j <= t->n_ref; j++)
        t->row[0].cost[j] = j;
    for (int i = 1; i <= t->n_hyp; i++)
        fill_row(t, &t->row[i - 1], t->hyp[i - 1], &t->row[i]);
    return cost_at(&t->row[t->n_hyp], t->n_ref);
}

/* The distance of t->shifted, which equals hyp in its first `same` words. */
static int32_t distance_of_shifted(struct ter *t, int same)
{
    const struct row *above = &t->row[same];
    for (int i = same + 1; i <= t->n_hyp; i++) {
        struct row *r = &t->tried[i & 1];
        bounds(t, i, &r->lo, &r->hi);
        fill_row(t, above, t->shifted[i - 1], r);
        above = r;
    }
    return cost_at(above, t->n_ref);
}

/* ---- alignment ---- */

/* Walk back from the end, substitutions first, then words too many, then words missing; wrong words are marked. */
static void trace_back(struct ter *t)
{
    int i = t->n_hyp, j = t->n_ref;

    while (i > 0 || j > 0) {
        int32_t c = cost_at(&t->row[i], j);
        bool differ = i > 0 && j > 0 && t->hyp[i - 1] != t->ref[j - 1];
        if (i > 0 && j > 0 && cost_at(&t->row[i - 1], j - 1) + differ == c) {
            t->hyp_wrong[i--] = t->ref_wrong[j] = differ;
            t->align[--j] = i;
        } else if (i > 0 && (j == 0 || cost_at(&t->row[i - 1], j) + 1 == c)) {
            t->hyp_wrong[i--] = 1;
        } else {
            t->ref_wrong[j] = 1;
            t->align[--j] = i - 1;
        }
    }
}

static void align(struct ter *t)
{
    trace_back(t);
    t->hyp_wrong[0] = t->ref_wrong[0] = 0;
    for (int i = 1; i <= t->n_hyp; i++)
        t->hyp_wrong[i] += t->hyp_wrong[i - 1];
    for (int j = 1; j <= t->n_ref; j++)
        t->ref_wrong[j] += t->ref_wrong[j - 1];
}

/* ---- shifts ---- */

struct shift {
    int gain, length, start, target;
};

static bool is_better(struct shift a, struct shift b)
{
    if (a.gain != b.gain)
        return a.gain > b.gain;
    if (a.length != b.length)
        return a.length > b.length;
    return a.start != b.start ? a.start < b.start : a.target < b.target;
}

/* hyp with `length` words from start on moved to before target into t->shifted. A target within or right after the
 * moved words counts from their end. */
static void perform(struct ter *t, struct shift s)
{
    int to = s.target < s.start ? s.target : s.target > s.start + s.length ? s.target - s.length : s.target;
    int n = 0;

    for (int i = 0; i < t->n_hyp; i++) {
        if (n == to)
            for (int k = 0; k < s.length; k++)
                t->shifted[n++] = t->hyp[s.start + k];
        if (i < s.start || i >= s.start + s.length)
            t->shifted[n++] = t->hyp[i];
    }
    for (int k = 0; n < t->n_hyp; k++)
        t->shifted[n++] = t->hyp[s.start + k];
}

static void try_shift(struct ter *t, struct shift s, int32_t distance, struct shift *best, bool *has_best)
{
    perform(t, s);
    s.gain = distance - distance_of_shifted(t, MU_MIN(s.start, s.target));
    t->n_tried++;
    if (*has_best && !is_better(s, *best))
        return;
    *best = s;
    *has_best = true;
    memcpy(t->best, t->shifted, (size_t)t->n_hyp * sizeof *t->best);
}

/* hyp[start ...) equals ref[at ...) for `length` words: move it to where ref has it. */
static void try_targets(struct ter *t, int start, int at, int length, int32_t distance, struct shift *best,
                        bool *has_best)
{
    if (t->hyp_wrong[start + length] == t->hyp_wrong[start] || t->ref_wrong[at + length] == t->ref_wrong[at])
        return;
    if (t->align[at] >= start && t->align[at] < start + length)
        return;
    for (int k = -1, last = -1; k < length; k++) {
        int target = at + k < 0 ? 0 : t->align[at + k] + 1;
        if (target != last)
            try_shift(t, (struct shift){0, length, start, target}, distance, best, has_best);
        last = target;
    }
}

/* The best shift into t->best; false: none tried. */
static bool find_shift(struct ter *t, int32_t distance, int *gain)
{
    struct shift best = {0};
    bool has_best = false;

    align(t);
    for (int start = 0; start < t->n_hyp; start++) {
        int from = MU_MAX(0, start - SHIFT_DISTANCE_MAX), to = MU_MIN(t->n_ref - 1, start + SHIFT_DISTANCE_MAX);
        for (int at = from; at <= to; at++)
            for (int length = 1; length <= SHIFT_WORDS_MAX; length++) {
                if (start + length > t->n_hyp || at + length > t->n_ref ||
                    t->hyp[start + length - 1] != t->ref[at + length - 1])
                    break;
                int before = t->n_tried;
                try_targets(t, start, at, length, distance, &best, &has_best);
                if (t->n_tried > before && t->n_tried >= SHIFTS_TRIED_MAX)
                    goto out;
            }
    }
out:
    *gain = best.gain;
    return has_best;
}

/* ---- one pair of texts ---- */

static int make_rows(struct ter *t, struct mu_err *e)
{
    size_t n = 0;
    for (int i = 0; i <= t->n_hyp; i++) {
        bounds(t, i, &t->row[i].lo, &t->row[i].hi);
        n += (size_t)(t->row[i].hi - t->row[i].lo);
    }
    size_t whole = (size_t)t->n_ref + 1;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->costs, n + 2 * whole, "edit distances", e));
    int32_t *p = t->costs;
    for (int i = 0; i <= t->n_hyp; p += t->row[i].hi - t->row[i].lo, i++)
        t->row[i].cost = p;
    t->tried[0].cost = p;
    t->tried[1].cost = p + whole;
    return MU_OK;
}

static void ter_free(struct ter *t)
{
    mu_free(t->hyp);
    mu_free(t->shifted);
    mu_free(t->best);
    mu_free(t->row);
    mu_free(t->align);
    mu_free(t->hyp_wrong);
    mu_free(t->ref_wrong);
    mu_free(t->costs);
}

static int ter_make(struct ter *t, const struct mu_units *hyp, const struct mu_units *ref, struct mu_err *e)
{
    t->ref = ref->p;
    t->n_ref = (int)ref->n;
    t->n_hyp = (int)hyp->n;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->hyp, hyp->n, "words", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->shifted, hyp->n, "words", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->best, hyp->n, "words", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->row, hyp->n + 1, "edit distances", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->align, ref->n, "an alignment", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->hyp_wrong, hyp->n + 1, "an alignment", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->ref_wrong, ref->n + 1, "an alignment", e));
    memcpy(t->hyp, hyp->p, hyp->n * sizeof *t->hyp);
    return make_rows(t, e);
}

/* Shift while that brings hyp nearer to ref; what is left is edited word by word. */
static double edits(struct ter *t)
{
    int shifts = 0, gain;
    for (;;) {
        int32_t distance = fill_all(t);
        bool has = find_shift(t, distance, &gain);
        if (t->n_tried >= SHIFTS_TRIED_MAX || !has || gain <= 0)
            return shifts + distance;
        shifts++;
        uint32_t *keep = t->hyp;
        t->hyp = t->best;
        t->best = keep;
    }
}

static int compare(const struct mu_units *hyp, const struct mu_units *ref, double *out, struct mu_err *e)
{
    struct ter t = {0};
    int rc;

    if (hyp->n == 0 || ref->n == 0) {
        *out = (double)MU_MAX(hyp->n, ref->n);
        return MU_OK;
    }
    if (hyp->n > WORDS_MAX || ref->n > WORDS_MAX)
        return mu_fail(e, MU_ELIMIT, "ter: a text has %zu words; the most is %d", MU_MAX(hyp->n, ref->n), WORDS_MAX);
    MU_TRY(ter_make(&t, hyp, ref, e));
    *out = edits(&t);
out:
    ter_free(&t);
    return rc;
}

/* ---- counting and scoring ---- */

static int tokenise(struct mu_corpus_work *w, struct mu_str s, struct mu_err *e)
{
    mu_buf_clear(&w->text);
    return mu_py_lower(&w->text, mu_t_rstrip(s, (struct mu_str){0}), e);
}

static int count(struct mu_corpus_work *w, double *counts, struct mu_err *e)
{
    double length = 0;

    MU_TRY_RETURN(mu_corpus_words(w, tokenise, e));
    for (size_t i = 0; i < w->n_references; i++) {
        double n = 0;
        MU_TRY_RETURN(compare(&w->units, &w->reference_units[i], &n, e));
        counts[EDITS] = i == 0 ? n : MU_MIN(counts[EDITS], n);
        length += (double)w->reference_units[i].n;
    }
    counts[LENGTH] = length / (double)w->n_references;
    return MU_OK;
}

static double score(const double *counts)
{
    if (counts[LENGTH] > 0)
        return 100 * (counts[EDITS] / counts[LENGTH]);
    return counts[EDITS] > 0 ? 100 : 0;
}

const struct mu_corpus_metric mu_corpus_ter = {"ter", COUNTS, count, score};
