/* compare.c - equality, order, membership, going through values, sorting: Python's rules */
#include <math.h>

#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

/* ---- equality ---- */

static int lists_equal(struct mu_jin *J, const struct mu_jlist *a, const struct mu_jlist *b, bool *out)
{
    *out = a->n == b->n;
    MU_TRY_RETURN(mu_j_enter(J));
    for (size_t i = 0; i < a->n && i < b->n && *out; i++)
        MU_TRY_RETURN(mu_j_equal(J, &a->v[i], &b->v[i], out));
    J->depth--;
    return MU_OK;
}

static int dicts_equal(struct mu_jin *J, const struct mu_jdict *a, const struct mu_jdict *b, bool *out)
{
    struct mu_jv other;
    *out = a->n == b->n;
    MU_TRY_RETURN(mu_j_enter(J));
    for (size_t i = 0; i < a->n && *out; i++) {
        MU_TRY_RETURN(mu_j_dict_get(J, b, &a->at[i].key, &other, out));
        if (*out)
            MU_TRY_RETURN(mu_j_equal(J, &a->at[i].value, &other, out));
    }
    J->depth--;
    return MU_OK;
}

static int strict(struct mu_jin *J, const struct mu_jv *v)
{
    return v->t == J_UNDEFINED && v->undef->is_strict ? mu_j_fail_undefined(J, v) : MU_OK;
}

static bool ranges_equal(const struct mu_jrange *a, const struct mu_jrange *b)
{
    return a->n == b->n && (a->n == 0 || (a->start == b->start && (a->n == 1 || a->step == b->step)));
}

int mu_j_equal(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, bool *out)
{
    int64_t i, j;
    double x, y;

    MU_TRY_RETURN(mu_j_work(J, 1));
    MU_TRY_RETURN(strict(J, a));
    MU_TRY_RETURN(strict(J, b));
    *out = false;
    if (mu_j_as_int(a, &i) && mu_j_as_int(b, &j)) {
        *out = i == j;
    } else if (mu_j_as_float(a, &x) && mu_j_as_float(b, &y)) {
        *out = x == y;
    } else if (a->t == b->t) {
        switch (a->t) {
        case J_STR:
            *out = mu_str_eq(a->s, b->s);
            return mu_j_work(J, *out ? a->s.n / 64 : 0);
        case J_LIST:
        case J_TUPLE:
            return lists_equal(J, a->list, b->list, out);
        case J_DICT:
            return dicts_equal(J, a->dict, b->dict, out);
        case J_NONE:
        case J_UNDEFINED:
            *out = true;
            break;
        case J_RANGE:
            *out = ranges_equal(a->range, b->range);
            break;
        default:
            *out = a->list == b->list;
        }
    }
    return MU_OK;
}

/* ---- order ---- */

static int order_of_strings(struct mu_str a, struct mu_str b)
{
    int c = memcmp(a.p ? a.p : "", b.p ? b.p : "", MU_MIN(a.n, b.n));
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

/* -1, 0, 1; 2 for NaN */
static int order_of_numbers(const struct mu_jv *a, const struct mu_jv *b)
{
    int64_t i, j;
    double x = 0, y = 0;
    if (mu_j_as_int(a, &i) && mu_j_as_int(b, &j))
        return (i > j) - (i < j);
    mu_j_as_float(a, &x);
    mu_j_as_float(b, &y);
    return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
}

static int order(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, const char *op, int *out);

static int order_of_lists(struct mu_jin *J, const struct mu_jlist *a, const struct mu_jlist *b, const char *op,
                          int *out)
{
    bool is_same;
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        MU_TRY_RETURN(mu_j_equal(J, &a->v[i], &b->v[i], &is_same));
        if (is_same)
            continue;
        MU_TRY_RETURN(mu_j_enter(J));
        MU_TRY_RETURN(order(J, &a->v[i], &b->v[i], op, out));
        J->depth--;
        return MU_OK;
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return MU_OK;
}

static int order(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, const char *op, int *out)
{
    double x;
    MU_TRY_RETURN(mu_j_work(J, 1));
    if (a->t == J_UNDEFINED || b->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, a->t == J_UNDEFINED ? a : b);
    if (mu_j_as_float(a, &x) && mu_j_as_float(b, &x)) {
        *out = order_of_numbers(a, b);
        return MU_OK;
    }
    if (a->t == J_STR && b->t == J_STR) {
        *out = order_of_strings(a->s, b->s);
        return mu_j_work(J, MU_MIN(a->s.n, b->s.n) / 64);
    }
    if ((a->t == J_LIST || a->t == J_TUPLE) && a->t == b->t)
        return order_of_lists(J, a->list, b->list, op, out);
    return mu_j_fail(J, MU_EINVAL, "'%s' not supported between instances of '%s' and '%s'", op, mu_j_type_name(a),
                     mu_j_type_name(b));
}

int mu_j_less(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, const char *op, bool *out)
{
    int c;
    MU_TRY_RETURN(order(J, a, b, op, &c));
    if (c == 2)
        *out = false;
    else if (op[0] == '<')
        *out = c < 0 || (op[1] == '=' && c == 0);
    else
        *out = c > 0 || (op[1] == '=' && c == 0);
    return MU_OK;
}

/* ---- going through ---- */

bool mu_j_iterable(const struct mu_jv *v)
{
    switch (v->t) {
    case J_STR:
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
    case J_DICT:
    case J_RANGE:
    case J_GEN:
    case J_UNDEFINED:
        return true;
    default:
        return false;
    }
}

int mu_j_iter(struct mu_jin *J, const struct mu_jv *v, struct mu_jiter *it)
{
    MU_TRY_RETURN(strict(J, v));
    if (!mu_j_iterable(v))
        return mu_j_fail(J, MU_EINVAL, "'%s' object is not iterable", mu_j_type_name(v));
    *it = (struct mu_jiter){.of = *v};
    return MU_OK;
}

int mu_j_next(struct mu_jin *J, struct mu_jiter *it, struct mu_jv *out, bool *is_end)
{
    const struct mu_jv *of = &it->of;
    size_t n = of->t == J_STR         ? of->s.n
               : of->t == J_DICT      ? of->dict->n
               : of->t == J_RANGE     ? (size_t)of->range->n
               : of->t == J_GEN       ? of->gen->list.n
               : of->t == J_UNDEFINED ? 0
                                      : of->list->n;
    size_t *pos = of->t == J_GEN ? &of->gen->pos : &it->pos, at = *pos, len = 1;

    MU_TRY_RETURN(mu_j_work(J, 1));
    *is_end = at >= n;
    if (*is_end)
        return MU_OK;
    if (of->t == J_STR) {
        mu_t_at(of->s, at, &len);
        *out = mu_j_string(mu_t_sub(of->s, at, at + len));
    } else if (of->t == J_DICT) {
        *out = of->dict->at[at].key;
    } else if (of->t == J_RANGE) {
        *out = mu_j_int(of->range->start + (int64_t)at * of->range->step);
    } else {
        *out = of->t == J_GEN ? of->gen->list.v[at] : of->list->v[at];
    }
    *pos = at + len;
    return MU_OK;
}

int mu_j_items(struct mu_jin *J, const struct mu_jv *v, struct mu_jlist **out)
{
    struct mu_jiter it;
    struct mu_jv list, item;
    bool is_end;

    if (v->t == J_LIST || v->t == J_TUPLE || v->t == J_VIEW) {
        *out = v->list;
        return mu_j_work(J, v->list->n);
    }
    MU_TRY_RETURN(mu_j_iter(J, v, &it));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &list));
    for (;;) {
        MU_TRY_RETURN(mu_j_next(J, &it, &item, &is_end));
        if (is_end)
            break;
        MU_TRY_RETURN(mu_j_push(J, list.list, item));
    }
    *out = list.list;
    return MU_OK;
}

int mu_j_contains(struct mu_jin *J, const struct mu_jv *in, const struct mu_jv *item, bool *out)
{
    struct mu_jiter it;
    struct mu_jv one, value;
    bool is_end;

    if (in->t == J_STR) {
        if (item->t == J_UNDEFINED)
            return mu_j_fail(J, MU_EINVAL, "'in <string>' requires string as left operand, not Undefined");
        if (item->t != J_STR)
            return mu_j_fail(J, MU_EINVAL, "'in <string>' requires string as left operand, not %s",
                             mu_j_type_name(item));
        *out = mu_t_find(in->s, item->s, 0) != SIZE_MAX;
        return mu_j_work(J, in->s.n / 64);
    }
    if (in->t == J_DICT)
        return mu_j_dict_get(J, in->dict, item, &value, out);
    if (!mu_j_iterable(in))
        return mu_j_fail(J, MU_EINVAL, "argument of type '%s' is not iterable", mu_j_type_name(in));
    MU_TRY_RETURN(mu_j_iter(J, in, &it));
    for (*out = false; !*out;) {
        MU_TRY_RETURN(mu_j_next(J, &it, &one, &is_end));
        if (is_end)
            break;
        MU_TRY_RETURN(mu_j_equal(J, &one, item, out));
    }
    return MU_OK;
}

/* ---- sorting ---- */

struct pair {
    struct mu_jv item, key;
};

/* Merge p[0..half) and p[half..n) through spare; reverse keeps equal items in their order, as Python does. */
static int merge(struct mu_jin *J, struct pair *p, size_t half, size_t n, struct pair *spare, bool is_reverse)
{
    size_t i = 0, j = half, k = 0;
    bool is_later_first;
    memcpy(spare, p, half * sizeof *p);
    while (i < half && j < n) {
        const struct mu_jv *late = &p[j].key, *early = &spare[i].key;
        MU_TRY_RETURN(is_reverse ? mu_j_less(J, early, late, "<", &is_later_first)
                                 : mu_j_less(J, late, early, "<", &is_later_first));
        p[k++] = is_later_first ? p[j++] : spare[i++];
    }
    while (i < half)
        p[k++] = spare[i++];
    return MU_OK;
}

static int merge_sort(struct mu_jin *J, struct pair *p, size_t n, struct pair *spare, bool is_reverse)
{
    if (n < 2)
        return MU_OK;
    MU_TRY_RETURN(merge_sort(J, p, n / 2, spare, is_reverse));
    MU_TRY_RETURN(merge_sort(J, p + n / 2, n - n / 2, spare, is_reverse));
    return merge(J, p, n / 2, n, spare, is_reverse);
}

int mu_j_sort(struct mu_jin *J, struct mu_jv *items, struct mu_jv *keys, size_t n, bool is_reverse)
{
    struct pair *p = mu_j_alloc(J, 2 * n + 1, sizeof *p);
    MU_J_NEED(J, p);
    for (size_t i = 0; i < n; i++)
        p[i] = (struct pair){items[i], keys[i]};
    MU_TRY_RETURN(merge_sort(J, p, n, p + n, is_reverse));
    for (size_t i = 0; i < n; i++) {
        items[i] = p[i].item;
        keys[i] = p[i].key;
    }
    return MU_OK;
}
