/* parse.c - statements: tokens to the tree of a template */
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tok/jinja/parse_int.h"

/* ---- helpers ---- */

struct mu_jnode *mu_jp_node(struct mu_jparser *p, enum mu_jkind kind, int line)
{
    struct mu_jnode *n = mu_arena_alloc(&p->t->arena, sizeof *n, p->e);
    if (n) {
        n->kind = kind;
        n->line = line;
    }
    return n;
}

int mu_jp_intern(struct mu_jparser *p, struct mu_str *name)
{
    struct mu_jnames *names = p->names;
    size_t mask = MU_COUNT(names->slots) - 1, i = mu_hash64(name->p, name->n, 0) & mask;

    for (; names->slots[i] != 0; i = (i + 1) & mask)
        if (mu_str_eq(names->at[names->slots[i] - 1], *name)) {
            *name = names->at[names->slots[i] - 1];
            return MU_OK;
        }
    if (names->n == MU_JNAMES_MAX)
        return mu_fail(p->e, MU_ELIMIT, "template %s: more than %d different names", p->t->name, MU_JNAMES_MAX);
    names->at[names->n++] = *name;
    names->slots[i] = (uint16_t)names->n;
    return MU_OK;
}

int mu_jp_deeper(struct mu_jparser *p)
{
    if (p->depth == MU_JINJA_PARSE_DEPTH_MAX)
        return mu_j_syntax(p->t, p->at->line, p->e, MU_ELIMIT, "nested deeper than %d levels",
                           MU_JINJA_PARSE_DEPTH_MAX);
    p->depth++;
    return MU_OK;
}

bool mu_jp_is_name(const struct mu_jparser *p, const char *name)
{
    return p->at->t == T_NAME && mu_str_eq(p->at->s, mu_str(name));
}

bool mu_jp_skip_op(struct mu_jparser *p, int op)
{
    bool is_it = mu_jp_is_op(p, op);
    p->at += is_it;
    return is_it;
}

bool mu_jp_skip_name(struct mu_jparser *p, const char *name)
{
    bool is_it = mu_jp_is_name(p, name);
    p->at += is_it;
    return is_it;
}

static const char *op_text(int op, char text[8])
{
    if (op > 255)
        snprintf(text, 8, "%c%c", op >> 8, op & 255);
    else
        snprintf(text, 8, "%c", op);
    return text;
}

const char *mu_jp_describe(const struct mu_jtoken *t, char text[64])
{
    static const char *const what[] = {
        [T_EOF] = "end of template",
        [T_DATA] = "template data",
        [T_VAR_BEGIN] = "begin of print statement",
        [T_VAR_END] = "end of print statement",
        [T_BLOCK_BEGIN] = "begin of statement block",
        [T_BLOCK_END] = "end of statement block",
        [T_STRING] = "string",
        [T_INT] = "integer",
        [T_FLOAT] = "float",
    };
    char op[8];
    if (t->t == T_NAME)
        snprintf(text, 64, "'%.*s'", (int)MU_MIN(t->s.n, (size_t)50), t->s.p);
    else if (t->t == T_OP)
        snprintf(text, 64, "'%s'", op_text(t->op, op));
    else
        snprintf(text, 64, "%s", what[t->t]);
    return text;
}

static int fail_expected(struct mu_jparser *p, const char *what)
{
    char text[64];
    if (p->at->t == T_EOF)
        return P_FAIL(p, "unexpected end of template, expected %s", what);
    return P_FAIL(p, "expected token %s, got %s", what, mu_jp_describe(p->at, text));
}

int mu_jp_expect_op(struct mu_jparser *p, int op)
{
    char text[8], what[16];
    if (mu_jp_skip_op(p, op))
        return MU_OK;
    snprintf(what, sizeof what, "'%s'", op_text(op, text));
    return fail_expected(p, what);
}

int mu_jp_expect_name(struct mu_jparser *p, struct mu_str *name)
{
    if (p->at->t != T_NAME)
        return fail_expected(p, "'name'");
    *name = (p->at++)->s;
    return mu_jp_intern(p, name);
}

static int expect(struct mu_jparser *p, enum mu_jtoken_type t, const char *what)
{
    if (p->at->t != t)
        return fail_expected(p, what);
    p->at++;
    return MU_OK;
}

/* ---- bodies ---- */

static int parse_statement(struct mu_jparser *p, struct mu_jchain *out);

/* Nodes until a tag named in ends (up to three, NULL ends the list), which becomes the current token. */
static int parse_body(struct mu_jparser *p, const char *const *ends, struct mu_jnode **out)
{
    struct mu_jchain body = {NULL, out};
    struct mu_jnode *n;

    *out = NULL;
    for (;;) {
        const struct mu_jtoken *t = p->at;
        if (t->t == T_EOF)
            return ends ? P_FAIL(p, "Unexpected end of template. Jinja was looking for '%s'", ends[0]) : MU_OK;
        p->at++;
        if (t->t == T_DATA) {
            P_NEED(n = mu_jp_node(p, N_DATA, t->line));
            n->value = mu_j_string(t->s);
            mu_jchain_add(&body, n);
        } else if (t->t == T_VAR_BEGIN) {
            P_NEED(n = mu_jp_node(p, N_OUTPUT, t->line));
            MU_TRY_RETURN(mu_jp_tuple(p, 0, &n->a));
            MU_TRY_RETURN(expect(p, T_VAR_END, "'end of print statement'"));
            mu_jchain_add(&body, n);
        } else { /* T_BLOCK_BEGIN */
            for (const char *const *end = ends; end && *end; end++)
                if (mu_jp_is_name(p, *end))
                    return MU_OK;
            MU_TRY_RETURN(parse_statement(p, &body));
            MU_TRY_RETURN(expect(p, T_BLOCK_END, "'end of statement block'"));
        }
    }
}

#define ENDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The rest of an opening tag, then the body. */
static int parse_block(struct mu_jparser *p, const char *const *ends, struct mu_jnode **out)
{
    mu_jp_skip_op(p, ':');
    MU_TRY_RETURN(expect(p, T_BLOCK_END, "'end of statement block'"));
    MU_TRY_RETURN(mu_jp_deeper(p));
    MU_TRY_RETURN(parse_body(p, ends, out));
    p->depth--;
    return MU_OK;
}

/* The same for a body that ends in one way; its end tag is skipped. */
static int parse_block_to(struct mu_jparser *p, const char *end, struct mu_jnode **out)
{
    MU_TRY_RETURN(parse_block(p, ENDS(end), out));
    p->at++;
    return MU_OK;
}

/* ---- targets of assignments ---- */

static int check_target(struct mu_jparser *p, const struct mu_jnode *n)
{
    if (n->kind == N_TUPLE) {
        for (const struct mu_jnode *item = n->list; item; item = item->next)
            MU_TRY_RETURN(check_target(p, item));
        return MU_OK;
    }
    if (n->kind == N_NAME || n->kind == N_NSREF)
        return MU_OK;
    return P_FAIL(p, "can't assign to %s",
                  n->kind == N_CONST  ? "'const'"
                  : n->kind == N_LIST ? "'list'"
                  : n->kind == N_DICT ? "'dict'"
                                      : "this");
}

int mu_jp_target(struct mu_jparser *p, int flags, struct mu_jnode **out)
{
    MU_TRY_RETURN(mu_jp_tuple(p, flags | TUPLE_TARGET, out));
    return check_target(p, *out);
}

/* ---- statements ---- */

static int parse_for(struct mu_jparser *p, struct mu_jnode *n)
{
    bool was_soft = p->is_soft;
    MU_TRY_RETURN(mu_jp_target(p, TUPLE_FOR, &n->a));
    if (!mu_jp_skip_name(p, "in"))
        return fail_expected(p, "'in'");
    MU_TRY_RETURN(mu_jp_tuple(p, TUPLE_FOR | TUPLE_NO_COND, &n->b));
    p->is_soft = false;
    if (mu_jp_skip_name(p, "if"))
        MU_TRY_RETURN(mu_jp_expression(p, true, &n->c));
    n->flag = mu_jp_skip_name(p, "recursive");
    p->loops++;
    MU_TRY_RETURN(parse_block(p, ENDS("endfor", "else"), &n->list));
    p->loops--;
    if (mu_jp_skip_name(p, "else"))
        MU_TRY_RETURN(parse_block(p, ENDS("endfor"), &n->other));
    p->at++;
    p->is_soft = was_soft;
    return MU_OK;
}

static int parse_if(struct mu_jparser *p, struct mu_jnode *n)
{
    struct mu_jchain branches = {NULL, &n->list};
    struct mu_jnode *branch;
    bool was_soft = p->is_soft, is_else = false;

    p->is_soft = true;
    do {
        P_NEED(branch = mu_jp_node(p, N_BRANCH, p->at->line));
        mu_jchain_add(&branches, branch);
        if (!is_else)
            MU_TRY_RETURN(mu_jp_tuple(p, TUPLE_NO_COND, &branch->a));
        MU_TRY_RETURN(parse_block(p, is_else ? ENDS("endif") : ENDS("elif", "else", "endif"), &branch->list));
        is_else = mu_jp_is_name(p, "else");
    } while (!mu_str_eq((p->at++)->s, MU_STR("endif")));
    p->is_soft = was_soft;
    return MU_OK;
}

static int parse_set(struct mu_jparser *p, struct mu_jnode *n)
{
    bool was_soft = p->is_soft;
    MU_TRY_RETURN(mu_jp_target(p, TUPLE_NAMESPACE, &n->a));
    if (mu_jp_skip_op(p, '='))
        return mu_jp_tuple(p, 0, &n->b);
    n->kind = N_SETBLOCK;
    p->is_soft = false;
    MU_TRY_RETURN(mu_jp_filters(p, NULL, false, &n->b));
    MU_TRY_RETURN(parse_block_to(p, "endset", &n->list));
    p->is_soft = was_soft;
    return MU_OK;
}

static int parse_with(struct mu_jparser *p, struct mu_jnode *n)
{
    struct mu_jchain pairs = {NULL, &n->kwargs};
    struct mu_jnode *pair;
    while (p->at->t != T_BLOCK_END && p->at->t != T_EOF) {
        if (n->kwargs)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        P_NEED(pair = mu_jp_node(p, N_PAIR, p->at->line));
        MU_TRY_RETURN(mu_jp_target(p, 0, &pair->a));
        MU_TRY_RETURN(mu_jp_expect_op(p, '='));
        MU_TRY_RETURN(mu_jp_expression(p, true, &pair->b));
        mu_jchain_add(&pairs, pair);
    }
    return parse_block_to(p, "endwith", &n->list);
}

/* (a, b=1) of a macro or call block */
static int parse_signature(struct mu_jparser *p, struct mu_jnode *n)
{
    struct mu_jchain params = {NULL, &n->kwargs};
    struct mu_jnode *param;
    bool has_default = false;

    MU_TRY_RETURN(mu_jp_expect_op(p, '('));
    while (!mu_jp_is_op(p, ')')) {
        if (n->kwargs)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        P_NEED(param = mu_jp_node(p, N_PARAM, p->at->line));
        MU_TRY_RETURN(mu_jp_expect_name(p, &param->name));
        if (mu_jp_skip_op(p, '=')) {
            MU_TRY_RETURN(mu_jp_expression(p, true, &param->a));
            has_default = true;
        } else if (has_default) {
            return P_FAIL(p, "non-default argument follows default argument");
        }
        mu_jchain_add(&params, param);
    }
    return mu_jp_expect_op(p, ')');
}

/* A body that becomes a function: notes which special names it uses; break does not reach out of it. */
static int parse_function(struct mu_jparser *p, const char *end, struct mu_jnode *n)
{
    struct mu_jparser outer = *p;
    p->uses_caller = p->uses_kwargs = p->uses_varargs = p->is_soft = false;
    p->loops = 0;
    MU_TRY_RETURN(parse_block_to(p, end, &n->list));
    n->has_caller = p->uses_caller;
    n->has_kwargs = p->uses_kwargs;
    n->has_varargs = p->uses_varargs;
    for (const struct mu_jnode *param = n->kwargs; param; param = param->next) {
        n->has_kwargs &= !mu_str_eq(param->name, MU_STR("kwargs"));
        n->has_varargs &= !mu_str_eq(param->name, MU_STR("varargs"));
        if (!mu_str_eq(param->name, MU_STR("caller")) || !n->has_caller)
            continue;
        if (!param->a)
            return P_FAIL(p, "the special \"caller\" argument must be omitted or be given a default");
        n->has_caller = false;
    }
    p->uses_caller |= outer.uses_caller;
    p->uses_kwargs |= outer.uses_kwargs;
    p->uses_varargs |= outer.uses_varargs;
    p->is_soft = outer.is_soft;
    p->loops = outer.loops;
    return MU_OK;
}

static int parse_macro(struct mu_jparser *p, struct mu_jnode *n)
{
    MU_TRY_RETURN(mu_jp_expect_name(p, &n->name));
    MU_TRY_RETURN(parse_signature(p, n));
    return parse_function(p, "endmacro", n);
}

static int parse_call_block(struct mu_jparser *p, struct mu_jnode *n)
{
    if (mu_jp_is_op(p, '('))
        MU_TRY_RETURN(parse_signature(p, n));
    MU_TRY_RETURN(mu_jp_expression(p, true, &n->a));
    if (n->a->kind != N_CALL)
        return P_FAIL(p, "expected call");
    n->name = MU_STR("caller");
    MU_TRY_RETURN(mu_jp_intern(p, &n->name));
    return parse_function(p, "endcall", n);
}

static int parse_filter_block(struct mu_jparser *p, struct mu_jnode *n)
{
    bool was_soft = p->is_soft;
    p->is_soft = false;
    MU_TRY_RETURN(mu_jp_filters(p, NULL, true, &n->b));
    MU_TRY_RETURN(parse_block_to(p, "endfilter", &n->list));
    p->is_soft = was_soft;
    return MU_OK;
}

static int parse_named_block(struct mu_jparser *p, struct mu_jnode *n)
{
    MU_TRY_RETURN(mu_jp_expect_name(p, &n->name));
    mu_jp_skip_name(p, "scoped");
    mu_jp_skip_name(p, "required");
    MU_TRY_RETURN(parse_block_to(p, "endblock", &n->list));
    if (p->at->t == T_NAME && mu_str_eq(p->at->s, n->name))
        p->at++;
    return MU_OK;
}

static int parse_generation(struct mu_jparser *p, struct mu_jnode *n)
{
    int loops = p->loops;
    p->loops = 0;
    MU_TRY_RETURN(parse_block_to(p, "endgeneration", &n->list));
    p->loops = loops;
    return MU_OK;
}

static int parse_jump(struct mu_jparser *p, struct mu_jnode *n)
{
    if (p->loops == 0)
        return P_FAIL(p, "'%s' outside loop", n->kind == N_BREAK ? "break" : "continue");
    return MU_OK;
}

static int parse_print(struct mu_jparser *p, struct mu_jchain *out)
{
    struct mu_jnode *n;
    bool is_first = true;
    while (p->at->t != T_BLOCK_END) {
        if (!is_first)
            MU_TRY_RETURN(mu_jp_expect_op(p, ','));
        is_first = false;
        P_NEED(n = mu_jp_node(p, N_OUTPUT, p->at->line));
        MU_TRY_RETURN(mu_jp_expression(p, true, &n->a));
        mu_jchain_add(out, n);
    }
    return MU_OK;
}

/* One row a tag. */
static const struct tag {
    const char *name;
    enum mu_jkind kind;
    int (*parse)(struct mu_jparser *p, struct mu_jnode *n);
    bool chat_only;
} tags[] = {
    {"for", N_FOR, parse_for, false},
    {"if", N_IF, parse_if, false},
    {"set", N_SET, parse_set, false},
    {"with", N_WITH, parse_with, false},
    {"macro", N_MACRO, parse_macro, false},
    {"call", N_CALLBLOCK, parse_call_block, false},
    {"filter", N_FILTERBLOCK, parse_filter_block, false},
    {"block", N_SCOPE, parse_named_block, false},
    {"generation", N_SCOPE, parse_generation, true},
    {"break", N_BREAK, parse_jump, true},
    {"continue", N_CONTINUE, parse_jump, true},
};

static int parse_statement(struct mu_jparser *p, struct mu_jchain *out)
{
    static const char *const refused[] = {"include", "import", "from", "extends", "autoescape"};
    int line = p->at->line;

    if (p->at->t != T_NAME)
        return P_FAIL(p, "tag name expected");
    struct mu_str name = (p->at++)->s;
    if (mu_str_eq(name, MU_STR("print")))
        return parse_print(p, out);
    for (size_t i = 0; i < MU_COUNT(tags); i++) {
        if (!mu_str_eq(name, mu_str(tags[i].name)) || (tags[i].chat_only && !p->t->o.chat))
            continue;
        struct mu_jnode *n = mu_jp_node(p, tags[i].kind, line);
        P_NEED(n);
        MU_TRY_RETURN(tags[i].parse(p, n));
        mu_jchain_add(out, n);
        return MU_OK;
    }
    for (size_t i = 0; i < MU_COUNT(refused); i++)
        if (mu_str_eq(name, mu_str(refused[i])))
            return mu_j_syntax(p->t, line, p->e, MU_EUNSUPPORTED,
                               "the tag '%s' is not supported: a template stands alone", refused[i]);
    return mu_j_syntax(p->t, line, p->e, MU_EFORMAT, "Encountered unknown tag '%.*s'", MU_STR_ARG(name));
}

static int intern_special(struct mu_jparser *p)
{
    p->t->loop = MU_STR("loop");
    p->t->caller = MU_STR("caller");
    p->t->kwargs = MU_STR("kwargs");
    p->t->varargs = MU_STR("varargs");
    MU_TRY_RETURN(mu_jp_intern(p, &p->t->loop));
    MU_TRY_RETURN(mu_jp_intern(p, &p->t->caller));
    MU_TRY_RETURN(mu_jp_intern(p, &p->t->kwargs));
    return mu_jp_intern(p, &p->t->varargs);
}

int mu_j_parse(struct mu_jinja *t, const struct mu_jtoken *tokens, struct mu_err *e)
{
    struct mu_jparser p = {.t = t, .at = tokens, .e = e};
    int rc;
    MU_TRY(MU_NEW(&p.names, "names of a template", e));
    MU_TRY(intern_special(&p));
    MU_TRY(parse_body(&p, NULL, &t->body));
    if (p.unknown)
        rc = mu_j_syntax(t, p.unknown->line, e, MU_EFORMAT, "No %s named '%.*s'",
                         p.unknown->kind == N_FILTER ? "filter" : "test", MU_STR_ARG(p.unknown->name));
out:
    mu_free(p.names);
    return rc;
}

/* ---- compile ---- */

int mu_jinja_compile(struct mu_jinja **out, struct mu_str source, const struct mu_jinja_opts *o, struct mu_err *e)
{
    struct mu_jinja *t = NULL;
    struct mu_jtoken *tokens = NULL;
    struct mu_err own;
    int rc;

    e = e ? e : &own; /* the arena tells its code through it */
    if (source.n > MU_JINJA_SOURCE_MAX)
        return mu_fail(e, MU_ELIMIT, "template %s: %zu bytes, at most %zu are allowed", o->name ? o->name : "text",
                       source.n, MU_JINJA_SOURCE_MAX);
    MU_TRY(MU_NEW(&t, "a template", e));
    t->arena = (struct mu_arena)MU_ARENA_INIT("the tree of a template", MU_JINJA_MEMORY_MAX);
    t->o = *o;
    t->name = mu_arena_strdup(&t->arena, mu_str(o->name ? o->name : "text"), e);
    if (!t->name) {
        rc = e->code;
        goto out;
    }
    t->o.name = t->name;
    MU_TRY(mu_j_lex(t, source, &tokens, e));
    MU_TRY(mu_j_parse(t, tokens, e));
    *out = t;
    t = NULL;
out:
    mu_free(tokens);
    mu_jinja_free(t);
    return rc;
}

void mu_jinja_free(struct mu_jinja *t)
{
    if (!t)
        return;
    mu_arena_fini(&t->arena);
    mu_free(t);
}
