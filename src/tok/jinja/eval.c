/* eval.c - the value of an expression */
#include "tok/jinja/render.h"

static int eval_items(struct mu_jin *J, const struct mu_jnode *n, enum mu_jtype t, struct mu_jv *out)
{
    struct mu_jv v;
    MU_TRY_RETURN(mu_j_new_list(J, t, 0, out));
    for (const struct mu_jnode *item = n->list; item; item = item->next) {
        MU_TRY_RETURN(mu_j_eval(J, item, &v));
        MU_TRY_RETURN(mu_j_push(J, out->list, v));
    }
    return MU_OK;
}

static int eval_dict(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv key, value;
    MU_TRY_RETURN(mu_j_new_dict(J, out));
    for (const struct mu_jnode *pair = n->list; pair; pair = pair->next) {
        MU_TRY_RETURN(mu_j_eval(J, pair->a, &key));
        MU_TRY_RETURN(mu_j_eval(J, pair->b, &value));
        MU_TRY_RETURN(mu_j_dict_put(J, out->dict, key, value));
    }
    return MU_OK;
}

static int eval_item(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv obj, key, part[3] = {0};
    MU_TRY_RETURN(mu_j_eval(J, n->a, &obj));
    if (n->b->kind != N_SLICE) {
        MU_TRY_RETURN(mu_j_eval(J, n->b, &key));
        J->line = n->line;
        return mu_j_item(J, &obj, &key, out);
    }
    const struct mu_jnode *bounds[] = {n->b->a, n->b->b, n->b->c};
    for (int i = 0; i < 3; i++)
        if (bounds[i])
            MU_TRY_RETURN(mu_j_eval(J, bounds[i], &part[i]));
    J->line = n->line;
    return mu_j_slice(J, &obj, part, out);
}

static int eval_cond(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv test;
    bool is_true;
    MU_TRY_RETURN(mu_j_eval(J, n->b, &test));
    MU_TRY_RETURN(mu_j_truth(J, &test, &is_true));
    if (is_true)
        return mu_j_eval(J, n->a, out);
    if (n->c)
        return mu_j_eval(J, n->c, out);
    MU_TRY_RETURN(
        mu_j_undefined_hint(J, "the inline if-expression evaluated to false and no else section was defined.", out));
    out->undef->is_strict = false; /* Jinja2 is lenient here, whatever it is set to */
    return MU_OK;
}

/* and, or: the operand that decides */
static int eval_logic(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    bool is_true;
    MU_TRY_RETURN(mu_j_eval(J, n->a, out));
    MU_TRY_RETURN(mu_j_truth(J, out, &is_true));
    return is_true == (n->kind == N_AND) ? mu_j_eval(J, n->b, out) : MU_OK;
}

static int eval_sign(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv v, zero = mu_j_int(0);
    double f;
    MU_TRY_RETURN(mu_j_eval(J, n->a, &v));
    J->line = n->line;
    if (v.t == J_UNDEFINED)
        return mu_j_fail_undefined(J, &v);
    if (v.t == J_FLOAT) {
        *out = mu_j_float(n->kind == N_NEG ? -v.f : v.f);
        return MU_OK;
    }
    if (!mu_j_as_float(&v, &f))
        return mu_j_fail(J, MU_EINVAL, "bad operand type for unary %c: '%s'", n->kind == N_NEG ? '-' : '+',
                         mu_j_type_name(&v));
    return mu_j_binary(J, n->kind == N_NEG ? '-' : '+', &zero, &v, out);
}

static int compare_one(struct mu_jin *J, int op, const struct mu_jv *a, const struct mu_jv *b, bool *out)
{
    switch (op) {
    case OP_IN:
    case OP_NOT_IN:
        MU_TRY_RETURN(mu_j_contains(J, b, a, out));
        *out = *out == (op == OP_IN);
        return MU_OK;
    case OP2('=', '='):
        return mu_j_equal(J, a, b, out);
    case OP2('!', '='):
        MU_TRY_RETURN(mu_j_equal(J, a, b, out));
        *out = !*out;
        return MU_OK;
    case '<':
        return mu_j_less(J, a, b, "<", out);
    case '>':
        return mu_j_less(J, a, b, ">", out);
    case OP2('<', '='):
        return mu_j_less(J, a, b, "<=", out);
    default:
        return mu_j_less(J, a, b, ">=", out);
    }
}

static int eval_compare(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv a, b;
    bool is_true = true;
    MU_TRY_RETURN(mu_j_eval(J, n->a, &a));
    for (const struct mu_jnode *operand = n->list; operand && is_true; operand = operand->next) {
        MU_TRY_RETURN(mu_j_eval(J, operand->a, &b));
        J->line = n->line;
        MU_TRY_RETURN(compare_one(J, operand->op, &a, &b, &is_true));
        a = b;
    }
    *out = mu_j_bool(is_true);
    return MU_OK;
}

static int eval_concat(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv parts, text;
    MU_TRY_RETURN(eval_items(J, n, J_LIST, &parts));
    size_t mark = mu_j_mark(J);
    for (size_t i = 0; i < parts.list->n; i++)
        MU_TRY_RETURN(mu_j_print(J, &parts.list->v[i], false));
    MU_TRY_RETURN(mu_j_take(J, mark, &text));
    *out = text;
    return MU_OK;
}

/* ---- calls ---- */

static int add_kw(struct mu_jin *J, struct mu_jcall *c, size_t cap, struct mu_str name, struct mu_jv v)
{
    for (size_t i = 0; i < c->n_kw; i++)
        if (mu_str_eq(c->kw[i].name, name))
            return mu_j_fail(J, MU_EINVAL, "got multiple values for keyword argument '%.*s'", MU_STR_ARG(name));
    if (c->n_kw < cap)
        c->kw[c->n_kw++] = (struct mu_jkw){name, v};
    return MU_OK;
}

static int eval_kwargs(struct mu_jin *J, const struct mu_jnode *n, struct mu_jcall *c)
{
    struct mu_jv more = {0}, v;
    size_t cap = 1; /* room for caller */
    for (const struct mu_jnode *k = n->kwargs; k; k = k->next)
        cap++;
    if (n->c) {
        MU_TRY_RETURN(mu_j_eval(J, n->c, &more));
        if (more.t != J_DICT)
            return mu_j_fail(J, MU_EINVAL, "argument after ** must be a mapping, not %s", mu_j_type_name(&more));
        cap += more.dict->n;
    }
    c->kw = mu_j_alloc(J, cap, sizeof *c->kw);
    MU_J_NEED(J, c->kw);
    for (const struct mu_jnode *k = n->kwargs; k; k = k->next) {
        MU_TRY_RETURN(mu_j_eval(J, k->a, &v));
        MU_TRY_RETURN(add_kw(J, c, cap, k->name, v));
    }
    for (size_t i = 0; n->c && i < more.dict->n; i++) {
        if (more.dict->at[i].key.t != J_STR)
            return mu_j_fail(J, MU_EINVAL, "keywords must be strings");
        MU_TRY_RETURN(mu_j_work(J, c->n_kw));
        MU_TRY_RETURN(add_kw(J, c, cap, more.dict->at[i].key.s, more.dict->at[i].value));
    }
    return MU_OK;
}

/* The arguments of a call, filter or test. */
static int eval_arguments(struct mu_jin *J, const struct mu_jnode *n, struct mu_jcall *c)
{
    struct mu_jv pos = {0}, more;
    struct mu_jlist *items;

    *c = (struct mu_jcall){0};
    if (n->list || n->b) {
        MU_TRY_RETURN(eval_items(J, n, J_LIST, &pos));
        if (n->b) {
            MU_TRY_RETURN(mu_j_eval(J, n->b, &more));
            MU_TRY_RETURN(mu_j_items(J, &more, &items));
            for (size_t i = 0; i < items->n; i++)
                MU_TRY_RETURN(mu_j_push(J, pos.list, items->v[i]));
        }
        c->pos = pos.list->v;
        c->n_pos = pos.list->n;
    }
    return n->kwargs || n->c ? eval_kwargs(J, n, c) : MU_OK;
}

static int eval_call(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv callee;
    struct mu_jcall c;
    MU_TRY_RETURN(mu_j_eval(J, n->a, &callee));
    MU_TRY_RETURN(eval_arguments(J, n, &c));
    J->line = n->line;
    return mu_j_call(J, &callee, &c, out);
}

/* {% call macro(...) %}: as a call with the block as keyword argument caller. */
int mu_j_eval_call_block(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    const struct mu_jnode *call = n->a;
    struct mu_jv callee, caller;
    struct mu_jcall c;

    caller.macro = mu_j_alloc(J, 1, sizeof *caller.macro);
    MU_J_NEED(J, caller.macro);
    *caller.macro = (struct mu_jmacro){n, J->scope};
    caller.t = J_MACRO;
    mu_j_capture(J);
    MU_TRY_RETURN(mu_j_eval(J, call->a, &callee));
    MU_TRY_RETURN(eval_arguments(J, call, &c));
    if (!c.kw) {
        c.kw = mu_j_alloc(J, 1, sizeof *c.kw);
        MU_J_NEED(J, c.kw);
    }
    J->line = n->line;
    MU_TRY_RETURN(add_kw(J, &c, SIZE_MAX, MU_STR("caller"), caller));
    return mu_j_call(J, &callee, &c, out);
}

static int eval_filter_or_test(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv self = J->piped;
    struct mu_jcall c;
    if (n->a)
        MU_TRY_RETURN(mu_j_eval(J, n->a, &self));
    J->line = n->line;
    if (!n->fn)
        return mu_j_fail(J, MU_EINVAL, "No %s named '%.*s' found.", n->kind == N_FILTER ? "filter" : "test",
                         MU_STR_ARG(n->name));
    MU_TRY_RETURN(eval_arguments(J, n, &c));
    J->line = n->line;
    return mu_j_run(J, n->fn, &self, &c, out);
}

/* ---- all of it ---- */

static int eval_unary(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv v;
    bool is_true;
    MU_TRY_RETURN(mu_j_eval(J, n->a, &v));
    J->line = n->line;
    if (n->kind == N_ATTR)
        return mu_j_attr(J, &v, n->name, out);
    MU_TRY_RETURN(mu_j_truth(J, &v, &is_true));
    *out = mu_j_bool(!is_true);
    return MU_OK;
}

static int eval_binary(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv a, b;
    MU_TRY_RETURN(mu_j_eval(J, n->a, &a));
    MU_TRY_RETURN(mu_j_eval(J, n->b, &b));
    J->line = n->line;
    return mu_j_binary(J, n->op, &a, &b, out);
}

static int eval_kind(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    switch (n->kind) {
    case N_CONST:
        *out = n->value;
        return MU_OK;
    case N_NAME:
        return mu_j_lookup(J, n->name, out);
    case N_LIST:
    case N_TUPLE:
        return eval_items(J, n, n->kind == N_LIST ? J_LIST : J_TUPLE, out);
    case N_DICT:
        return eval_dict(J, n, out);
    case N_ATTR:
    case N_NOT:
        return eval_unary(J, n, out);
    case N_ITEM:
        return eval_item(J, n, out);
    case N_CALL:
        return eval_call(J, n, out);
    case N_FILTER:
    case N_TEST:
        return eval_filter_or_test(J, n, out);
    case N_COND:
        return eval_cond(J, n, out);
    case N_AND:
    case N_OR:
        return eval_logic(J, n, out);
    case N_NEG:
    case N_POS:
        return eval_sign(J, n, out);
    case N_BINARY:
        return eval_binary(J, n, out);
    case N_COMPARE:
        return eval_compare(J, n, out);
    case N_CONCAT:
        return eval_concat(J, n, out);
    default:
        return mu_j_fail(J, MU_EINTERNAL, "node %d is no expression", (int)n->kind);
    }
}

int mu_j_eval(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out)
{
    struct mu_jv v = {0};
    J->line = n->line;
    MU_TRY_RETURN(mu_j_work(J, 1));
    MU_TRY_RETURN(mu_j_enter(J));
    MU_TRY_RETURN(eval_kind(J, n, &v));
    J->depth--;
    *out = v;
    return MU_OK;
}
