/* truncate.c - min-p, top-k, top-p
 *
 * Top-k and top-p need the best candidates in order; a heap gives as many as needed without sorting the vocabulary:
 * O(V + k log V). */
#include "engine/sample/sampler.h"

#include "base/check.h"

/* Better: more weight, or the lower id. */
static bool is_better(const struct mu_sampler *s, int32_t a, int32_t b)
{
    return s->x[a] > s->x[b] || (s->x[a] == s->x[b] && a < b);
}

static void sift_down(struct mu_sampler *s, int64_t at, int64_t n)
{
    int32_t *h = s->candidates;
    int32_t id = h[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_better(s, h[child + 1], h[child]))
            child++;
        if (!is_better(s, h[child], id))
            break;
        h[at] = h[child];
    }
    h[at] = id;
}

/* min-p: weights are relative to the best one's, which is 1. Increasing id. */
static int64_t keep_min_p(struct mu_sampler *s, double min_p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->vocab; i++) {
        if (s->x[i] > 0 && s->x[i] >= min_p)
            s->candidates[n++] = (int32_t)i;
    }
    return n;
}

static double sum_of(const struct mu_sampler *s, const int32_t *ids, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s->x[ids[i]];
    return sum;
}

/* Move the k best of the n candidates behind the rest, the best last: the heap shrinks from its end. */
static void pop_best(struct mu_sampler *s, int64_t n, int64_t k)
{
    int32_t *h = s->candidates;
    for (int64_t end = n - 1; end >= n - k; end--) {
        int32_t best = h[0];
        h[0] = h[end];
        h[end] = best;
        sift_down(s, 0, end);
    }
}

static void reverse(int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n / 2; i++) {
        int32_t id = ids[i];
        ids[i] = ids[n - 1 - i];
        ids[n - 1 - i] = id;
    }
}

/* The k best of n to the front, best first. */
static void best_first(struct mu_sampler *s, int64_t n, int64_t k)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift_down(s, i, n);
    pop_best(s, n, k);
    reverse(s->candidates, n); /* the best were last */
}

/* How many of the first n, best first, reach the share top_p of total; at least 1. */
static int64_t reach(const struct mu_sampler *s, int64_t n, double share)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += s->x[s->candidates[i]];
        if (sum >= share)
            return i + 1;
    }
    return n;
}

/* Top-p without top-k: take the best by doubling numbers until their weights reach the share. The rest stays behind
 * them in some order, which the next round puts right. */
static int64_t nucleus(struct mu_sampler *s, int64_t n, double share)
{
    for (int64_t k = 64;; k *= 4) {
        k = MU_MIN(k, n);
        best_first(s, n, k);
        int64_t kept = reach(s, k, share);
        if (k == n || kept < k)
            return kept;
    }
}

int64_t mu_truncate(struct mu_sampler *s, const struct mu_sampling *o, double *sum)
{
    int64_t n = keep_min_p(s, o->min_p);
    bool has_top_k = o->top_k > 0 && o->top_k < n;
    if (has_top_k) {
        best_first(s, n, o->top_k);
        n = o->top_k;
    }
    if (o->top_p < 1) {
        double share = o->top_p * sum_of(s, s->candidates, n);
        n = has_top_k ? reach(s, n, share) : nucleus(s, n, share);
    }
    *sum = sum_of(s, s->candidates, n);
    return n;
}
