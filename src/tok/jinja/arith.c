/* arith.c - binary operators with Python's rules; integers stay within 64 bits */
#include <math.h>

#include "tok/jinja/render.h"

static const char *op_name(int op)
{
    switch (op) {
    case OP2('*', '*'):
        return "** or pow()";
    case OP2('/', '/'):
        return "//";
    case '+':
        return "+";
    case '-':
        return "-";
    case '*':
        return "*";
    case '/':
        return "/";
    default:
        return "%";
    }
}

static int fail_types(struct mu_jin *J, int op, const struct mu_jv *a, const struct mu_jv *b)
{
    if (op == '+' && a->t == J_STR)
        return mu_j_fail(J, MU_EINVAL, "can only concatenate str (not \"%s\") to str", mu_j_type_name(b));
    if (op == '+' && (a->t == J_LIST || a->t == J_TUPLE))
        return mu_j_fail(J, MU_EINVAL, "can only concatenate %s (not \"%s\") to %s", mu_j_type_name(a),
                         mu_j_type_name(b), mu_j_type_name(a));
    return mu_j_fail(J, MU_EINVAL, "unsupported operand type(s) for %s: '%s' and '%s'", op_name(op), mu_j_type_name(a),
                     mu_j_type_name(b));
}

/* ---- numbers ---- */

static int int_power(int64_t base, int64_t exponent, int64_t *out)
{
    int64_t r = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1 && __builtin_mul_overflow(r, base, &r))
            return -1;
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
            return -1;
    }
    *out = r;
    return 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static int int_op(struct mu_jin *J, int op, int64_t a, int64_t b, struct mu_jv *out)
{
    int64_t r = 0;
    int overflow = 0;

    if ((op == '/' || op == OP2('/', '/') || op == '%') && b == 0)
        return mu_j_fail(J, MU_EINVAL, op == '/' ? "division by zero" : "integer division or modulo by zero");
    switch (op) {
    case '+':
        overflow = __builtin_add_overflow(a, b, &r);
        break;
    case '-':
        overflow = __builtin_sub_overflow(a, b, &r);
        break;
    case '*':
        overflow = __builtin_mul_overflow(a, b, &r);
        break;
    case '/':
        *out = mu_j_float((double)a / (double)b);
        return MU_OK;
    case '%':
        r = b == -1 ? 0 : a - floor_div(a, b) * b;
        break;
    case OP2('/', '/'):
        overflow = a == INT64_MIN && b == -1;
        r = overflow ? 0 : floor_div(a, b);
        break;
    default:
        if (b < 0) {
            if (a == 0)
                return mu_j_fail(J, MU_EINVAL, "0.0 cannot be raised to a negative power");
            *out = mu_j_float(pow((double)a, (double)b));
            return MU_OK;
        }
        overflow = int_power(a, b, &r);
    }
    if (overflow)
        return mu_j_fail(J, MU_EINVAL, "the result of %lld %s %lld does not fit in 64 bits", (long long)a, op_name(op),
                         (long long)b);
    *out = mu_j_int(r);
    return MU_OK;
}

static double float_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0 && (r < 0) != (b < 0))
        r += b;
    return r != 0 ? r : copysign(0, b);
}

static double float_floor_div(double a, double b)
{
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0 && (mod < 0) != (b < 0))
        div -= 1;
    if (div == 0)
        return copysign(0, a / b);
    double floored = floor(div);
    return div - floored > 0.5 ? floored + 1 : floored;
}

static int float_op(struct mu_jin *J, int op, double a, double b, struct mu_jv *out)
{
    double r = 0;
    if ((op == '/' || op == OP2('/', '/') || op == '%') && b == 0)
        return mu_j_fail(J, MU_EINVAL, op == '/' ? "float division by zero" : "float floor division by zero");
    switch (op) {
    case '+':
        r = a + b;
        break;
    case '-':
        r = a - b;
        break;
    case '*':
        r = a * b;
        break;
    case '/':
        r = a / b;
        break;
    case '%':
        r = float_mod(a, b);
        break;
    case OP2('/', '/'):
        r = float_floor_div(a, b);
        break;
    default:
        if (a == 0 && b < 0)
            return mu_j_fail(J, MU_EINVAL, "0.0 cannot be raised to a negative power");
        if (a < 0 && isfinite(b) && b != floor(b))
            return mu_j_fail(J, MU_EUNSUPPORTED, "a negative number to a power that is not whole is complex");
        r = pow(a, b);
        if (isinf(r) && isfinite(a) && isfinite(b))
            return mu_j_fail(J, MU_EINVAL, "the result of ** is too large for a float");
    }
    *out = mu_j_float(r);
    return MU_OK;
}

/* ---- sequences ---- */

static int concat_lists(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, struct mu_jv *out)
{
    size_t n = a->list->n + b->list->n;
    MU_TRY_RETURN(mu_j_work(J, n));
    MU_TRY_RETURN(mu_j_new_list(J, a->t, n, out));
    if (a->list->n > 0)
        memcpy(out->list->v, a->list->v, a->list->n * sizeof *out->list->v);
    if (b->list->n > 0)
        memcpy(out->list->v + a->list->n, b->list->v, b->list->n * sizeof *out->list->v);
    out->list->n = n;
    return MU_OK;
}

static int concat_strings(struct mu_jin *J, struct mu_str a, struct mu_str b, struct mu_jv *out)
{
    char *p = mu_arena_alloc_aligned(&J->arena, a.n + b.n + 1, 1, &J->err);
    MU_J_NEED(J, p);
    if (a.n > 0)
        memcpy(p, a.p, a.n);
    if (b.n > 0)
        memcpy(p + a.n, b.p, b.n);
    *out = mu_j_string((struct mu_str){p, a.n + b.n});
    return mu_j_work(J, out->s.n / 64);
}

static int repeat(struct mu_jin *J, const struct mu_jv *seq, int64_t times, struct mu_jv *out)
{
    size_t n = seq->t == J_STR ? seq->s.n : seq->list->n, k = times < 0 || n == 0 ? 0 : (size_t)times;
    if (seq->t == J_STR) {
        size_t total;
        if (__builtin_mul_overflow(n, k, &total) || total > MU_JINJA_MEMORY_MAX)
            return mu_j_fail(J, MU_ELIMIT, "a string of %zu bytes %zu times, at most %zu bytes are allowed", n, k,
                             MU_JINJA_MEMORY_MAX);
        char *p = mu_arena_alloc_aligned(&J->arena, total + 1, 1, &J->err);
        MU_J_NEED(J, p);
        for (size_t i = 0; i < k; i++)
            memcpy(p + i * n, seq->s.p, n);
        *out = mu_j_string((struct mu_str){p, total});
        return mu_j_work(J, total / 64 + k);
    }
    MU_TRY_RETURN(mu_j_new_list(J, seq->t, 0, out));
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < n; j++)
            MU_TRY_RETURN(mu_j_push(J, out->list, seq->list->v[j]));
    return MU_OK;
}

static bool is_sequence(const struct mu_jv *v)
{
    return v->t == J_STR || v->t == J_LIST || v->t == J_TUPLE;
}

int mu_j_binary(struct mu_jin *J, int op, const struct mu_jv *a, const struct mu_jv *b, struct mu_jv *out)
{
    int64_t i, j;
    double x, y;

    if (op == '%' && a->t == J_STR)
        return mu_j_percent(J, a->s, b, out);
    if (a->t == J_UNDEFINED || b->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, a->t == J_UNDEFINED ? a : b);
    if (mu_j_as_int(a, &i) && mu_j_as_int(b, &j))
        return int_op(J, op, i, j, out);
    if (mu_j_as_float(a, &x) && mu_j_as_float(b, &y))
        return float_op(J, op, x, y, out);
    if (op == '+' && a->t == J_STR && b->t == J_STR)
        return concat_strings(J, a->s, b->s, out);
    if (op == '+' && a->t == b->t && (a->t == J_LIST || a->t == J_TUPLE))
        return concat_lists(J, a, b, out);
    if (op == '*' && is_sequence(a) && mu_j_as_int(b, &j))
        return repeat(J, a, j, out);
    if (op == '*' && is_sequence(b) && mu_j_as_int(a, &i))
        return repeat(J, b, i, out);
    return fail_types(J, op, a, b);
}
