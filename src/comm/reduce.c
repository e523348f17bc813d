/* reduce.c - adding up roots in the shape of the tree
 *
 * A sum runs over blocks of elements, so that what is added lies in the cache from the first leaf to the last. */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

#define BLOCK_BYTES 8192

size_t mu_reduce_bytes(enum mu_reduce op)
{
    return op == MU_REDUCE_SUM_I64 || op == MU_REDUCE_MAX_I64 ? sizeof(int64_t) : sizeof(float);
}

/* Three times each: into a third place, and into that of a or b, so that the compiler knows what overlaps. */
#define COMBINE(name, type, expression)                                                                                \
    static void name(type *restrict out, const type *restrict a, const type *restrict b, int64_t n)                    \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type x = a[i], y = b[i];                                                                                   \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_into_a(type *restrict a, const type *restrict b, int64_t n)                                     \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type x = a[i], y = b[i];                                                                                   \
            a[i] = (expression);                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_into_b(const type *restrict a, type *restrict b, int64_t n)                                     \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type x = a[i], y = b[i];                                                                                   \
            b[i] = (expression);                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_any(void *out, void *a, void *b, int64_t n)                                                     \
    {                                                                                                                  \
        if (out == a)                                                                                                  \
            name##_into_a(a, b, n);                                                                                    \
        else if (out == b)                                                                                             \
            name##_into_b(a, b, n);                                                                                    \
        else                                                                                                           \
            name(out, a, b, n);                                                                                        \
    }

COMBINE(add_f32, float, x + y)
COMBINE(add_i64, uint64_t, x + y) /* wraps */
COMBINE(max_i64, int64_t, x > y ? x : y)
COMBINE(or_u32, uint32_t, x | y)

static void combine(enum mu_reduce op, void *out, void *a, void *b, int64_t n)
{
    switch (op) {
    case MU_REDUCE_SUM_F32:
        add_f32_any(out, a, b, n);
        break;
    case MU_REDUCE_SUM_I64:
        add_i64_any(out, a, b, n);
        break;
    case MU_REDUCE_MAX_I64:
        max_i64_any(out, a, b, n);
        break;
    case MU_REDUCE_OR_U32:
        or_u32_any(out, a, b, n);
        break;
    }
}

/* ---- one block ---- */

struct state {
    const struct mu_fold *f;
    int next;  /* root */
    size_t at; /* bytes into each root */
    int64_t n; /* elements */
};

static unsigned char *take(struct state *s)
{
    const struct mu_fold *f = s->f;
    int k = s->next++;
    if (k >= f->own_first && k < f->own_first + f->n_own)
        return f->own + (size_t)(k - f->own_first) * f->own_stride + s->at;
    return f->items + (size_t)k * f->stride + s->at;
}

static bool is_root(const struct state *s, int32_t lo, int32_t hi)
{
    const struct mu_span *root = &s->f->root[s->next];
    return hi - lo <= 1 || (root->begin == lo && root->end == hi);
}

/* The sum of [lo, hi), in the place of its first root. */
static unsigned char *sum(struct state *s, int32_t lo, int32_t hi)
{
    if (is_root(s, lo, hi))
        return take(s);
    int32_t mid = mu_tree_middle(lo, hi);
    unsigned char *left = sum(s, lo, mid), *right = sum(s, mid, hi);
    combine(s->f->op, left, left, right, s->n);
    return left;
}

static void sum_to(struct state *s, int32_t lo, int32_t hi, unsigned char *out)
{
    if (is_root(s, lo, hi)) {
        unsigned char *only = take(s);
        if (only != out)
            memcpy(out, only, (size_t)s->n * mu_reduce_bytes(s->f->op));
        return;
    }
    int32_t mid = mu_tree_middle(lo, hi);
    unsigned char *left = sum(s, lo, mid), *right = sum(s, mid, hi);
    combine(s->f->op, out, left, right, s->n);
}

int mu_fold(const struct mu_fold *f, int first, int32_t lo, int32_t hi, void *out, int64_t n)
{
    size_t bytes = mu_reduce_bytes(f->op);
    int64_t block = BLOCK_BYTES / (int64_t)bytes;
    struct state s = {.f = f, .next = first};
    for (int64_t i = 0; i < n; i += block) {
        s = (struct state){.f = f, .next = first, .at = (size_t)i * bytes, .n = MU_MIN(block, n - i)};
        sum_to(&s, lo, hi, (unsigned char *)out + s.at);
    }
    return s.next - first;
}
