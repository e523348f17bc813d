/* parse_expr.c - expressions, by Jinja2's grammar and its precedence
 *
 *   expression: or [if or [else expression]]     or: and {or and}      and: not {and not}     not: not not | compare
 *   compare: sum {== != < <= > >= in | not in, sum}                    sum: concat {+ - concat}
 *   concat: product {~ product}    product: power {* / // % power}     power: unary {** unary}, from the left
 *   unary: - + unary | primary, each with its postfixes .name [index] (call); then filters and tests */
#include "tok/jinja/parse_int.h"

static int parse_unary(struct mu_jparser *p, bool with_filter, struct mu_jnode **out);
static int parse_primary(struct mu_jparser *p, bool with_namespace, struct mu_jnode **out);

static int new_node(struct mu_jparser *p, enum mu_jkind kind, int line, struct mu_jnode **out)
{
    *out = mu_jp_node(p, kind, line);
    return *out ? MU_OK : p->e->code;
}

static int new_pair(struct mu_jparser *p, enum mu_jkind kind, int line, struct mu_jnode *a, struct mu_jnode *b,
                    struct mu_jnode **out)
{
    MU_TRY_RETURN(new_node(p, kind, line, out));
    (*out)->a = a;
    (*out)->b = b;
    return MU_OK;
}

/* ---- operators ---- */

static int parse_power(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *right;
    int line = p->at->line;
    MU_TRY_RETURN(parse_unary(p, true, out));
    while (mu_jp_skip_op(p, OP2('*', '*'))) {
        MU_TRY_RETURN(parse_unary(p, true, &right));
        MU_TRY_RETURN(new_pair(p, N_BINARY, line, *out, right, out));
        (*out)->op = OP2('*', '*');
    }
    return MU_OK;
}

static int parse_product(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *right;
    int line = p->at->line;
    MU_TRY_RETURN(parse_power(p, out));
    while (mu_jp_is_op(p, '*') || mu_jp_is_op(p, '/') || mu_jp_is_op(p, '%') || mu_jp_is_op(p, OP2('/', '/'))) {
        int op = (p->at++)->op;
        MU_TRY_RETURN(parse_power(p, &right));
        MU_TRY_RETURN(new_pair(p, N_BINARY, line, *out, right, out));
        (*out)->op = op;
    }
    return MU_OK;
}

static int parse_concat(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *part, *concat;
    int line = p->at->line;
    MU_TRY_RETURN(parse_product(p, out));
    if (!mu_jp_is_op(p, '~'))
        return MU_OK;
    MU_TRY_RETURN(new_node(p, N_CONCAT, line, &concat));
    struct mu_jchain parts = {NULL, &concat->list};
    mu_jchain_add(&parts, *out);
    while (mu_jp_skip_op(p, '~')) {
        MU_TRY_RETURN(parse_product(p, &part));
        mu_jchain_add(&parts, part);
    }
    *out = concat;
    return MU_OK;
}

static int parse_sum(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *right;
    int line = p->at->line;
    MU_TRY_RETURN(parse_concat(p, out));
    while (mu_jp_is_op(p, '+') || mu_jp_is_op(p, '-')) {
        int op = (p->at++)->op;
        MU_TRY_RETURN(parse_concat(p, &right));
        MU_TRY_RETURN(new_pair(p, N_BINARY, line, *out, right, out));
        (*out)->op = op;
    }
    return MU_OK;
}

/* The comparison at the current token, or 0; skips it. */
static int comparison(struct mu_jparser *p)
{
    if (mu_jp_skip_name(p, "in"))
        return OP_IN;
    if (mu_jp_is_name(p, "not") && p->at[1].t == T_NAME && mu_str_eq(p->at[1].s, MU_STR("in"))) {
        p->at += 2;
        return OP_NOT_IN;
    }
    static const int ops[] = {OP2('=', '='), OP2('!', '='), '<', OP2('<', '='), '>', OP2('>', '=')};
    for (size_t i = 0; i < MU_COUNT(ops); i++)
        if (mu_jp_skip_op(p, ops[i]))
            return ops[i];
    return 0;
}

static int parse_compare(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *compare, *operand;
    int line = p->at->line, op;
    MU_TRY_RETURN(parse_sum(p, out));
    op = comparison(p);
    if (op == 0)
        return MU_OK;
    MU_TRY_RETURN(new_pair(p, N_COMPARE, line, *out, NULL, &compare));
    struct mu_jchain operands = {NULL, &compare->list};
    for (; op != 0; op = comparison(p)) {
        MU_TRY_RETURN(new_node(p, N_OPERAND, p->at->line, &operand));
        operand->op = op;
        MU_TRY_RETURN(parse_sum(p, &operand->a));
        mu_jchain_add(&operands, operand);
    }
    *out = compare;
    return MU_OK;
}

static int parse_not(struct mu_jparser *p, struct mu_jnode **out)
{
    int line = p->at->line;
    if (!mu_jp_skip_name(p, "not"))
        return parse_compare(p, out);
    MU_TRY_RETURN(mu_jp_deeper(p));
    struct mu_jnode *inner;
    MU_TRY_RETURN(parse_not(p, &inner));
    p->depth--;
    return new_pair(p, N_NOT, line, inner, NULL, out);
}

static int parse_and(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *right;
    int line = p->at->line;
    MU_TRY_RETURN(parse_not(p, out));
    while (mu_jp_skip_name(p, "and")) {
        MU_TRY_RETURN(parse_not(p, &right));
        MU_TRY_RETURN(new_pair(p, N_AND, line, *out, right, out));
    }
    return MU_OK;
}

static int parse_or(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *right;
    int line = p->at->line;
    MU_TRY_RETURN(parse_and(p, out));
    while (mu_jp_skip_name(p, "or")) {
        MU_TRY_RETURN(parse_and(p, &right));
        MU_TRY_RETURN(new_pair(p, N_OR, line, *out, right, out));
    }
    return MU_OK;
}

static int parse_cond(struct mu_jparser *p, struct mu_jnode **out)
{
    const struct mu_jnode *unknown = p->unknown;
    int line = p->at->line;
    MU_TRY_RETURN(parse_or(p, out));
    while (mu_jp_skip_name(p, "if")) {
        struct mu_jnode *test, *other = NULL;
        MU_TRY_RETURN(parse_or(p, &test));
        if (mu_jp_skip_name(p, "else"))
            MU_TRY_RETURN(mu_jp_expression(p, true, &other));
        MU_TRY_RETURN(new_pair(p, N_COND, line, *out, test, out));
        (*out)->c = other;
        p->unknown = unknown; /* parts of an inline if may never be reached */
    }
    return MU_OK;
}

int mu_jp_expression(struct mu_jparser *p, bool with_cond, struct mu_jnode **out)
{
    MU_TRY_RETURN(mu_jp_deeper(p));
    MU_TRY_RETURN(with_cond ? parse_cond(p, out) : parse_or(p, out));
    p->depth--;
    return MU_OK;
}

/* ---- calls, filters, tests ---- */

#define CALL_FAIL(p) P_FAIL(p, "invalid syntax for function call expression")

static int parse_argument(struct mu_jparser *p, struct mu_jnode *call, struct mu_jchain *args, struct mu_jchain *kwargs)
{
    struct mu_jnode *n;
    if (mu_jp_skip_op(p, '*'))
        return call->b || call->c ? CALL_FAIL(p) : mu_jp_expression(p, true, &call->b);
    if (mu_jp_skip_op(p, OP2('*', '*')))
        return call->c ? CALL_FAIL(p) : mu_jp_expression(p, true, &call->c);
    if (p->at->t == T_NAME && p->at[1].t == T_OP && p->at[1].op == '=') {
        if (call->c)
            return CALL_FAIL(p);
        MU_TRY_RETURN(new_node(p, N_KEYWORD, p->at->line, &n));
        MU_TRY_RETURN(mu_jp_expect_name(p, &n->name));
        p->at++;
        MU_TRY_RETURN(mu_jp_expression(p, true, &n->a));
        mu_jchain_add(kwargs, n);
        return MU_OK;
    }
    if (call->b || call->c || call->kwargs)
        return CALL_FAIL(p);
    MU_TRY_RETURN(mu_jp_expression(p, true, &n));
    mu_jchain_add(args, n);
    return MU_OK;
}

/* (a, b, name=c, *d, **e) into call */
static int parse_arguments(struct mu_jparser *p, struct mu_jnode *call)
{
    struct mu_jchain args = {NULL, &call->list}, kwargs = {NULL, &call->kwargs};
    bool is_first = true;
    MU_TRY_RETURN(mu_jp_expect_op(p, '('));
    while (!mu_jp_is_op(p, ')')) {
        if (!is_first) {
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
            if (mu_jp_is_op(p, ')'))
                break;
        }
        is_first = false;
        MU_TRY_RETURN(parse_argument(p, call, &args, &kwargs));
    }
    return mu_jp_expect_op(p, ')');
}

static int parse_call(struct mu_jparser *p, struct mu_jnode *callee, struct mu_jnode **out)
{
    struct mu_jnode *call;
    MU_TRY_RETURN(new_pair(p, N_CALL, p->at->line, callee, NULL, &call));
    MU_TRY_RETURN(parse_arguments(p, call));
    *out = call;
    return MU_OK;
}

/* name or dotted.name; the dots become part of it */
static int parse_dotted(struct mu_jparser *p, struct mu_str *name)
{
    MU_TRY_RETURN(mu_jp_expect_name(p, name));
    if (mu_jp_is_op(p, '.'))
        return P_FAIL(p, "No filter or test named '%.*s. ...'", MU_STR_ARG(*name));
    return MU_OK;
}

/* A filter or test that does not exist is an error at once, unless an if may keep it from being reached. */
static void note_unknown(struct mu_jparser *p, const struct mu_jnode *n)
{
    if (!n->fn && !p->is_soft && !p->unknown)
        p->unknown = n;
}

int mu_jp_filters(struct mu_jparser *p, struct mu_jnode *input, bool is_inline, struct mu_jnode **out)
{
    struct mu_jnode *n;
    *out = input;
    while (is_inline || mu_jp_skip_op(p, '|')) {
        is_inline = false;
        MU_TRY_RETURN(new_pair(p, N_FILTER, p->at->line, *out, NULL, &n));
        MU_TRY_RETURN(parse_dotted(p, &n->name));
        n->fn = mu_j_find_filter(p->t, n->name);
        note_unknown(p, n);
        if (mu_jp_is_op(p, '('))
            MU_TRY_RETURN(parse_arguments(p, n));
        *out = n;
    }
    return MU_OK;
}

static int parse_postfix(struct mu_jparser *p, struct mu_jnode **out);

/* Whether the current token begins the one argument a test takes without brackets. */
static bool begins_test_argument(const struct mu_jparser *p)
{
    if (p->at->t == T_NAME)
        return !mu_jp_is_name(p, "else") && !mu_jp_is_name(p, "or") && !mu_jp_is_name(p, "and");
    return p->at->t == T_STRING || p->at->t == T_INT || p->at->t == T_FLOAT || mu_jp_is_op(p, '[') ||
           mu_jp_is_op(p, '{');
}

static int parse_test(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *n;
    int line = (p->at++)->line;
    bool is_not = mu_jp_skip_name(p, "not");

    MU_TRY_RETURN(new_pair(p, N_TEST, line, *out, NULL, &n));
    MU_TRY_RETURN(parse_dotted(p, &n->name));
    n->fn = mu_j_find_test(p->t, n->name);
    note_unknown(p, n);
    if (mu_jp_is_op(p, '(')) {
        MU_TRY_RETURN(parse_arguments(p, n));
    } else if (begins_test_argument(p)) {
        if (mu_jp_is_name(p, "is"))
            return P_FAIL(p, "You cannot chain multiple tests with is");
        MU_TRY_RETURN(mu_jp_deeper(p));
        MU_TRY_RETURN(parse_primary(p, false, &n->list));
        MU_TRY_RETURN(parse_postfix(p, &n->list));
        p->depth--;
    }
    *out = n;
    return is_not ? new_pair(p, N_NOT, line, n, NULL, out) : MU_OK;
}

static int parse_filter_expr(struct mu_jparser *p, struct mu_jnode **out)
{
    for (;;) {
        if (mu_jp_is_op(p, '|'))
            MU_TRY_RETURN(mu_jp_filters(p, *out, false, out));
        else if (mu_jp_is_name(p, "is"))
            MU_TRY_RETURN(parse_test(p, out));
        else if (mu_jp_is_op(p, '('))
            MU_TRY_RETURN(parse_call(p, *out, out));
        else
            return MU_OK;
    }
}

/* ---- subscripts ---- */

/* One of a:b:c, or a plain index. */
static int parse_subscribed(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *part[3] = {NULL, NULL, NULL};
    int line = p->at->line;

    if (!mu_jp_is_op(p, ':')) {
        MU_TRY_RETURN(mu_jp_expression(p, true, &part[0]));
        if (!mu_jp_is_op(p, ':')) {
            *out = part[0];
            return MU_OK;
        }
    }
    p->at++;
    if (!mu_jp_is_op(p, ':') && !mu_jp_is_op(p, ']') && !mu_jp_is_op(p, ','))
        MU_TRY_RETURN(mu_jp_expression(p, true, &part[1]));
    if (mu_jp_skip_op(p, ':') && !mu_jp_is_op(p, ']') && !mu_jp_is_op(p, ','))
        MU_TRY_RETURN(mu_jp_expression(p, true, &part[2]));
    MU_TRY_RETURN(new_pair(p, N_SLICE, line, part[0], part[1], out));
    (*out)->c = part[2];
    return MU_OK;
}

static int parse_brackets(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *arg, *tuple;
    int line = (p->at++)->line;

    MU_TRY_RETURN(new_node(p, N_TUPLE, line, &tuple));
    struct mu_jchain args = {NULL, &tuple->list};
    while (!mu_jp_is_op(p, ']')) {
        if (tuple->list)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        MU_TRY_RETURN(parse_subscribed(p, &arg));
        if (arg->kind == N_SLICE && (tuple->list || mu_jp_is_op(p, ',')))
            return P_FAIL(p, "several slices in one subscript are not supported");
        mu_jchain_add(&args, arg);
    }
    p->at++;
    bool is_single = tuple->list && !tuple->list->next;
    return new_pair(p, N_ITEM, line, *out, is_single ? tuple->list : tuple, out);
}

static int parse_dot(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *n;
    int line = (p->at++)->line;

    if (p->at->t == T_NAME) {
        MU_TRY_RETURN(new_pair(p, N_ATTR, line, *out, NULL, out));
        return mu_jp_expect_name(p, &(*out)->name);
    }
    if (p->at->t != T_INT)
        return P_FAIL(p, "expected name or number");
    MU_TRY_RETURN(new_node(p, N_CONST, p->at->line, &n));
    n->value = mu_j_int((p->at++)->i);
    return new_pair(p, N_ITEM, line, *out, n, out);
}

static int parse_postfix(struct mu_jparser *p, struct mu_jnode **out)
{
    for (;;) {
        if (mu_jp_is_op(p, '.'))
            MU_TRY_RETURN(parse_dot(p, out));
        else if (mu_jp_is_op(p, '['))
            MU_TRY_RETURN(parse_brackets(p, out));
        else if (mu_jp_is_op(p, '('))
            MU_TRY_RETURN(parse_call(p, *out, out));
        else
            return MU_OK;
    }
}

static int parse_unary(struct mu_jparser *p, bool with_filter, struct mu_jnode **out)
{
    int line = p->at->line;
    if (mu_jp_is_op(p, '-') || mu_jp_is_op(p, '+')) {
        struct mu_jnode *inner;
        enum mu_jkind kind = (p->at++)->op == '-' ? N_NEG : N_POS;
        MU_TRY_RETURN(mu_jp_deeper(p));
        MU_TRY_RETURN(parse_unary(p, false, &inner));
        p->depth--;
        MU_TRY_RETURN(new_pair(p, kind, line, inner, NULL, out));
    } else {
        MU_TRY_RETURN(parse_primary(p, false, out));
    }
    MU_TRY_RETURN(parse_postfix(p, out));
    return with_filter ? parse_filter_expr(p, out) : MU_OK;
}

/* ---- primaries ---- */

static int parse_strings(struct mu_jparser *p, struct mu_jnode **out)
{
    const struct mu_jtoken *first = p->at;
    size_t n = 0;
    MU_TRY_RETURN(new_node(p, N_CONST, first->line, out));
    for (; p->at->t == T_STRING; p->at++)
        n += p->at->s.n;
    if (p->at == first + 1) {
        (*out)->value = mu_j_string(first->s);
        return MU_OK;
    }
    char *text = mu_arena_alloc_aligned(&p->t->arena, n + 1, 1, p->e);
    P_NEED(text);
    n = 0;
    for (const struct mu_jtoken *t = first; t < p->at; n += t->s.n, t++)
        memcpy(text + n, t->s.p, t->s.n);
    (*out)->value = mu_j_string((struct mu_str){text, n});
    return MU_OK;
}

static int parse_list(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *item;
    MU_TRY_RETURN(new_node(p, N_LIST, (p->at++)->line, out));
    struct mu_jchain items = {NULL, &(*out)->list};
    while (!mu_jp_is_op(p, ']')) {
        if ((*out)->list)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        if (mu_jp_is_op(p, ']'))
            break;
        MU_TRY_RETURN(mu_jp_expression(p, true, &item));
        mu_jchain_add(&items, item);
    }
    return mu_jp_expect_op(p, ']');
}

static int parse_dict(struct mu_jparser *p, struct mu_jnode **out)
{
    struct mu_jnode *pair;
    MU_TRY_RETURN(new_node(p, N_DICT, (p->at++)->line, out));
    struct mu_jchain items = {NULL, &(*out)->list};
    while (!mu_jp_is_op(p, '}')) {
        if ((*out)->list)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        if (mu_jp_is_op(p, '}'))
            break;
        MU_TRY_RETURN(new_node(p, N_PAIR, p->at->line, &pair));
        MU_TRY_RETURN(mu_jp_expression(p, true, &pair->a));
        MU_TRY_RETURN(mu_jp_expect_op(p, ':'));
        MU_TRY_RETURN(mu_jp_expression(p, true, &pair->b));
        mu_jchain_add(&items, pair);
    }
    return mu_jp_expect_op(p, '}');
}

static bool constant_of(struct mu_str name, struct mu_jv *out)
{
    bool is_true = mu_str_eq(name, MU_STR("true")) || mu_str_eq(name, MU_STR("True"));
    bool is_none = mu_str_eq(name, MU_STR("none")) || mu_str_eq(name, MU_STR("None"));
    if (!is_true && !is_none && !mu_str_eq(name, MU_STR("false")) && !mu_str_eq(name, MU_STR("False")))
        return false;
    *out = is_none ? mu_j_none() : mu_j_bool(is_true);
    return true;
}

static int parse_name(struct mu_jparser *p, bool with_namespace, struct mu_jnode **out)
{
    MU_TRY_RETURN(new_node(p, N_NAME, p->at->line, out));
    MU_TRY_RETURN(mu_jp_expect_name(p, &(*out)->name));
    if (constant_of((*out)->name, &(*out)->value)) {
        (*out)->kind = N_CONST;
        return MU_OK;
    }
    p->uses_caller |= mu_str_eq((*out)->name, MU_STR("caller"));
    p->uses_kwargs |= mu_str_eq((*out)->name, MU_STR("kwargs"));
    p->uses_varargs |= mu_str_eq((*out)->name, MU_STR("varargs"));
    if (with_namespace && mu_jp_skip_op(p, '.')) {
        struct mu_str attr;
        MU_TRY_RETURN(mu_jp_expect_name(p, &attr));
        (*out)->kind = N_NSREF;
        (*out)->value = mu_j_string(attr);
    }
    return MU_OK;
}

static int parse_primary(struct mu_jparser *p, bool with_namespace, struct mu_jnode **out)
{
    char text[64];
    const struct mu_jtoken *t = p->at;

    if (t->t == T_NAME)
        return parse_name(p, with_namespace, out);
    if (t->t == T_STRING)
        return parse_strings(p, out);
    if (t->t == T_INT || t->t == T_FLOAT) {
        p->at++;
        MU_TRY_RETURN(new_node(p, N_CONST, t->line, out));
        (*out)->value = t->t == T_INT ? mu_j_int(t->i) : mu_j_float(t->f);
        return MU_OK;
    }
    if (mu_jp_is_op(p, '(')) {
        p->at++;
        MU_TRY_RETURN(mu_jp_tuple(p, TUPLE_PAREN, out));
        return mu_jp_expect_op(p, ')');
    }
    if (mu_jp_is_op(p, '['))
        return parse_list(p, out);
    if (mu_jp_is_op(p, '{'))
        return parse_dict(p, out);
    return P_FAIL(p, "unexpected %s", mu_jp_describe(t, text));
}

static bool is_tuple_end(const struct mu_jparser *p, int flags)
{
    if (p->at->t == T_VAR_END || p->at->t == T_BLOCK_END || mu_jp_is_op(p, ')'))
        return true;
    return flags & TUPLE_FOR && (mu_jp_is_name(p, "in") || mu_jp_is_name(p, "recursive"));
}

static int tuple_item(struct mu_jparser *p, int flags, struct mu_jnode **out)
{
    if (!(flags & TUPLE_TARGET))
        return mu_jp_expression(p, !(flags & TUPLE_NO_COND), out);
    MU_TRY_RETURN(mu_jp_deeper(p));
    MU_TRY_RETURN(parse_primary(p, flags & TUPLE_NAMESPACE, out));
    p->depth--;
    return MU_OK;
}

int mu_jp_tuple(struct mu_jparser *p, int flags, struct mu_jnode **out)
{
    char text[64];
    struct mu_jnode *tuple, *item;
    bool is_tuple = false;

    MU_TRY_RETURN(new_node(p, N_TUPLE, p->at->line, &tuple));
    struct mu_jchain items = {NULL, &tuple->list};
    for (;;) {
        if (tuple->list)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        if (is_tuple_end(p, flags))
            break;
        MU_TRY_RETURN(tuple_item(p, flags, &item));
        mu_jchain_add(&items, item);
        if (!mu_jp_is_op(p, ','))
            break;
        is_tuple = true;
    }
    if (!is_tuple && tuple->list) {
        *out = tuple->list;
        return MU_OK;
    }
    if (!is_tuple && !(flags & TUPLE_PAREN))
        return P_FAIL(p, "Expected an expression, got %s", mu_jp_describe(p->at, text));
    *out = tuple;
    return MU_OK;
}
