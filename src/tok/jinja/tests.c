/* tests.c - what may follow `is` */
#include <math.h>

#include "tok/jinja/case.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define TEST(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

/* A test that only looks at the type. */
#define TYPE_TEST(name, claim)                                                                                         \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        (void)J;                                                                                                       \
        (void)self;                                                                                                    \
        (void)c;                                                                                                       \
        *out = mu_j_bool(claim);                                                                                       \
        return MU_OK;                                                                                                  \
    }
TYPE_TEST(is_defined, self->t != J_UNDEFINED)
TYPE_TEST(is_undefined, self->t == J_UNDEFINED)
TYPE_TEST(is_none, self->t == J_NONE)
TYPE_TEST(is_boolean, self->t == J_BOOL)
TYPE_TEST(is_false, self->t == J_BOOL && !self->b)
TYPE_TEST(is_true, self->t == J_BOOL && self->b)
TYPE_TEST(is_integer, self->t == J_INT)
TYPE_TEST(is_float, self->t == J_FLOAT)
TYPE_TEST(is_number, self->t == J_INT || self->t == J_FLOAT || self->t == J_BOOL)
TYPE_TEST(is_string, self->t == J_STR)
TYPE_TEST(is_mapping, self->t == J_DICT)
TYPE_TEST(is_escaped, false)
TYPE_TEST(is_sequence, self->t == J_STR || self->t == J_LIST || self->t == J_TUPLE || self->t == J_DICT ||
                           self->t == J_RANGE || (self->t == J_UNDEFINED && !self->undef->is_strict))
TYPE_TEST(is_callable, self->t == J_FUNC || self->t == J_METHOD || self->t == J_MACRO || self->t == J_LOOP ||
                           self->t == J_JOINER || self->t == J_UNDEFINED)

TEST(is_iterable)
{
    (void)c;
    if (self->t == J_UNDEFINED && self->undef->is_strict)
        return mu_j_fail_undefined(J, self);
    *out = mu_j_bool(mu_j_iterable(self) || self->t == J_LOOP);
    return MU_OK;
}

/* The object itself, not an equal one; small numbers, none and booleans are one object each, as in CPython. */
TEST(is_sameas)
{
    const struct mu_jv *other = &c->arg[0];
    bool is_same = self->t == other->t;
    (void)J;
    if (is_same && (self->t == J_BOOL || self->t == J_INT))
        is_same = self->t == J_BOOL ? self->b == other->b : self->i == other->i;
    else if (is_same && self->t == J_STR)
        is_same = mu_str_eq(self->s, other->s);
    else if (is_same && self->t == J_FLOAT)
        is_same = self->f == other->f;
    else if (is_same && self->t != J_NONE)
        is_same = self->list == other->list;
    *out = mu_j_bool(is_same);
    return MU_OK;
}

/* ---- numbers ---- */

static int remainder_is(struct mu_jin *J, const struct mu_jv *self, struct mu_jv by, int64_t want, struct mu_jv *out)
{
    struct mu_jv rest, wanted = mu_j_int(want);
    bool is_same;
    MU_TRY_RETURN(mu_j_binary(J, '%', self, &by, &rest));
    MU_TRY_RETURN(mu_j_equal(J, &rest, &wanted, &is_same));
    *out = mu_j_bool(is_same);
    return MU_OK;
}

TEST(is_odd)
{
    (void)c;
    return remainder_is(J, self, mu_j_int(2), 1, out);
}

TEST(is_even)
{
    (void)c;
    return remainder_is(J, self, mu_j_int(2), 0, out);
}

TEST(is_divisibleby)
{
    return remainder_is(J, self, c->arg[0], 0, out);
}

/* ---- text ---- */

TEST(is_lower)
{
    struct mu_str s;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    *out = mu_j_bool(mu_j_is_cased(s, mu_t_is_lower, mu_t_is_upper));
    return MU_OK;
}

TEST(is_upper)
{
    struct mu_str s;
    (void)c;
    MU_TRY_RETURN(mu_j_str(J, self, &s));
    *out = mu_j_bool(mu_j_is_cased(s, mu_t_is_upper, mu_t_is_lower));
    return MU_OK;
}

TEST(is_filter)
{
    (void)J;
    (void)c;
    *out = mu_j_bool(self->t == J_STR && mu_j_find_filter(J->t, self->s));
    return MU_OK;
}

TEST(is_test)
{
    (void)J;
    (void)c;
    *out = mu_j_bool(self->t == J_STR && mu_j_find_test(J->t, self->s));
    return MU_OK;
}

/* ---- comparisons ---- */

static int made(struct mu_jv *out, int rc, bool claim)
{
    *out = mu_j_bool(claim);
    return rc;
}

TEST(is_eq)
{
    bool is_true = false;
    int rc = mu_j_equal(J, self, &c->arg[0], &is_true);
    return made(out, rc, is_true);
}

TEST(is_ne)
{
    bool is_true = false;
    int rc = mu_j_equal(J, self, &c->arg[0], &is_true);
    return made(out, rc, !is_true);
}

TEST(is_in)
{
    bool is_true = false;
    int rc = mu_j_contains(J, &c->arg[0], self, &is_true);
    return made(out, rc, is_true);
}

#define ORDER_TEST(name, op)                                                                                           \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        bool is_true = false;                                                                                          \
        int rc = mu_j_less(J, self, &c->arg[0], op, &is_true);                                                         \
        return made(out, rc, is_true);                                                                                 \
    }
ORDER_TEST(is_lt, "<")
ORDER_TEST(is_le, "<=")
ORDER_TEST(is_gt, ">")
ORDER_TEST(is_ge, ">=")

const struct mu_jfn mu_j_tests[] = {
    {"defined", "", is_defined, 0},
    {"undefined", "", is_undefined, 0},
    {"none", "", is_none, 0},
    {"boolean", "", is_boolean, 0},
    {"false", "", is_false, 0},
    {"true", "", is_true, 0},
    {"integer", "", is_integer, 0},
    {"float", "", is_float, 0},
    {"number", "", is_number, 0},
    {"string", "", is_string, 0},
    {"mapping", "", is_mapping, 0},
    {"sequence", "", is_sequence, 0},
    {"iterable", "", is_iterable, 0},
    {"callable", "", is_callable, 0},
    {"escaped", "", is_escaped, 0},
    {"sameas", "other", is_sameas, 0},
    {"odd", "", is_odd, 0},
    {"even", "", is_even, 0},
    {"divisibleby", "num", is_divisibleby, 0},
    {"lower", "", is_lower, 0},
    {"upper", "", is_upper, 0},
    {"filter", "", is_filter, 0},
    {"test", "", is_test, 0},
    {"in", "seq", is_in, 0},
    {"eq", "other", is_eq, 0},
    {"==", "other", is_eq, 0},
    {"equalto", "other", is_eq, 0},
    {"ne", "other", is_ne, 0},
    {"!=", "other", is_ne, 0},
    {"lt", "other", is_lt, 0},
    {"<", "other", is_lt, 0},
    {"lessthan", "other", is_lt, 0},
    {"le", "other", is_le, 0},
    {"<=", "other", is_le, 0},
    {"gt", "other", is_gt, 0},
    {">", "other", is_gt, 0},
    {"greaterthan", "other", is_gt, 0},
    {"ge", "other", is_ge, 0},
    {">=", "other", is_ge, 0},
    {NULL, NULL, NULL, 0},
};

const struct mu_jfn *mu_j_find_test(const struct mu_jinja *t, struct mu_str name)
{
    (void)t;
    return mu_j_find(mu_j_tests, name);
}
