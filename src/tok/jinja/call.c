/* call.c - calling: built-in functions with their arguments bound, macros, joiners */
#include "tok/jinja/render.h"

/* ---- built-in functions ---- */

/* The next word of "old new count?"; *is_optional by its question mark. */
static const char *next_param(const char *p, struct mu_str *name, bool *is_optional)
{
    size_t n = strcspn(p, " ");
    *is_optional = n > 0 && p[n - 1] == '?';
    *name = (struct mu_str){p, n - *is_optional};
    p += n;
    return *p == ' ' ? p + 1 : p;
}

static int bind_keyword(struct mu_jin *J, const struct mu_jfn *fn, const struct mu_jkw *kw, struct mu_jcall *c)
{
    struct mu_str name;
    bool is_optional;
    int i = 0;
    for (const char *p = fn->params; *p; i++) {
        p = next_param(p, &name, &is_optional);
        if (!mu_str_eq(name, kw->name))
            continue;
        if (c->arg[i].t != J_MISSING)
            return mu_j_fail(J, MU_EINVAL, "%s() got multiple values for argument '%.*s'", fn->name, MU_STR_ARG(name));
        c->arg[i] = kw->value;
        return MU_OK;
    }
    return mu_j_fail(J, MU_EINVAL, "%s() got an unexpected keyword argument '%.*s'", fn->name, MU_STR_ARG(kw->name));
}

static int bind(struct mu_jin *J, const struct mu_jfn *fn, struct mu_jcall *c)
{
    struct mu_str name;
    bool is_optional;
    size_t n = 0;

    for (const char *p = fn->params; *p; n++) {
        p = next_param(p, &name, &is_optional);
        if (n < c->n_pos)
            c->arg[n] = c->pos[n];
    }
    if (c->n_pos > n)
        return mu_j_fail(J, MU_EINVAL, "%s() takes at most %zu arguments (%zu given)", fn->name, n, c->n_pos);
    for (size_t k = 0; k < c->n_kw; k++)
        MU_TRY_RETURN(bind_keyword(J, fn, &c->kw[k], c));
    n = 0;
    for (const char *p = fn->params; *p; n++) {
        p = next_param(p, &name, &is_optional);
        if (!is_optional && c->arg[n].t == J_MISSING)
            return mu_j_fail(J, MU_EINVAL, "%s() misses its argument '%.*s'", fn->name, MU_STR_ARG(name));
    }
    return MU_OK;
}

int mu_j_run(struct mu_jin *J, const struct mu_jfn *fn, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)
{
    if (fn->params[0] != '*')
        MU_TRY_RETURN(bind(J, fn, c));
    MU_TRY_RETURN(mu_j_enter(J));
    MU_TRY_RETURN(fn->run(J, self, c, out));
    J->depth--;
    return MU_OK;
}

int mu_j_want_str(struct mu_jin *J, const struct mu_jv *v, const char *what, struct mu_str *out)
{
    if (v->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, v);
    if (v->t != J_STR)
        return mu_j_fail(J, MU_EINVAL, "%s must be a string, not %s", what, mu_j_type_name(v));
    *out = v->s;
    return MU_OK;
}

int mu_j_want_int(struct mu_jin *J, const struct mu_jv *v, const char *what, int64_t *out)
{
    if (v->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, v);
    if (!mu_j_as_int(v, out))
        return mu_j_fail(J, MU_EINVAL, "%s must be an integer, not %s", what, mu_j_type_name(v));
    return MU_OK;
}

/* ---- macros ---- */

/* Take the keyword argument out of the call. */
static bool pop_kw(struct mu_jcall *c, struct mu_str name, struct mu_jv *out)
{
    for (size_t i = 0; i < c->n_kw; i++) {
        if (!mu_str_eq(c->kw[i].name, name))
            continue;
        *out = c->kw[i].value;
        c->n_kw--;
        memmove(&c->kw[i], &c->kw[i + 1], (c->n_kw - i) * sizeof *c->kw);
        return true;
    }
    return false;
}

static int bind_params(struct mu_jin *J, const struct mu_jmacro *m, struct mu_jcall *c, struct mu_jscope *s)
{
    struct mu_jv v;
    size_t i = 0;
    for (const struct mu_jnode *p = m->node->kwargs; p; p = p->next, i++) {
        bool is_given = i < c->n_pos || pop_kw(c, p->name, &v);
        if (i < c->n_pos)
            v = c->pos[i];
        if (!is_given && p->a) {
            MU_TRY_RETURN(mu_j_eval(J, p->a, &v));
        } else if (!is_given) {
            size_t mark = mu_j_mark(J);
            MU_TRY_RETURN(mu_j_addf(J, "parameter '%.*s' was not provided", (int)MU_MIN(p->name.n, 100u), p->name.p));
            MU_TRY_RETURN(mu_j_take(J, mark, &v));
            char *hint = mu_arena_strdup(&J->arena, v.s, &J->err);
            MU_J_NEED(J, hint);
            MU_TRY_RETURN(mu_j_undefined_hint(J, hint, &v));
        }
        MU_TRY_RETURN(mu_j_set(J, s, p->name, v));
    }
    return MU_OK;
}

/* caller, kwargs and varargs, where the body uses them; else what is left over is too much. */
static int bind_special(struct mu_jin *J, const struct mu_jmacro *m, struct mu_jcall *c, struct mu_jscope *s,
                        size_t n_params)
{
    const struct mu_jnode *node = m->node;
    struct mu_jv v;

    if (node->has_caller) {
        if (!pop_kw(c, J->t->caller, &v) || v.t == J_NONE)
            MU_TRY_RETURN(mu_j_undefined_hint(J, "No caller defined", &v));
        MU_TRY_RETURN(mu_j_set(J, s, J->t->caller, v));
    }
    if (node->has_kwargs) {
        MU_TRY_RETURN(mu_j_new_dict(J, &v));
        for (size_t i = 0; i < c->n_kw; i++)
            MU_TRY_RETURN(mu_j_dict_put(J, v.dict, mu_j_string(c->kw[i].name), c->kw[i].value));
        MU_TRY_RETURN(mu_j_set(J, s, J->t->kwargs, v));
    } else if (c->n_kw > 0) {
        return mu_j_fail(J, MU_EINVAL, "macro '%.*s' takes no keyword argument '%.*s'", MU_STR_ARG(node->name),
                         MU_STR_ARG(c->kw[0].name));
    }
    if (node->has_varargs) {
        MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, 0, &v));
        for (size_t i = n_params; i < c->n_pos; i++)
            MU_TRY_RETURN(mu_j_push(J, v.list, c->pos[i]));
        MU_TRY_RETURN(mu_j_set(J, s, J->t->varargs, v));
    } else if (c->n_pos > n_params) {
        return mu_j_fail(J, MU_EINVAL, "macro '%.*s' takes not more than %zu argument(s)", MU_STR_ARG(node->name),
                         n_params);
    }
    return MU_OK;
}

int mu_j_call_macro(struct mu_jin *J, const struct mu_jmacro *m, struct mu_jcall *c, struct mu_jv *out)
{
    struct mu_jscope *outer = J->scope, *s = mu_j_alloc(J, 1, sizeof *s);
    size_t n_params = 0, mark = mu_j_mark(J);

    MU_J_NEED(J, s);
    for (const struct mu_jnode *p = m->node->kwargs; p; p = p->next)
        n_params++;
    s->parent = m->scope;
    J->scope = s;
    MU_TRY_RETURN(mu_j_enter(J));
    MU_TRY_RETURN(bind_params(J, m, c, s));
    MU_TRY_RETURN(bind_special(J, m, c, s, n_params));
    MU_TRY_RETURN(mu_j_exec_body(J, m->node->list));
    J->depth--;
    J->scope = outer;
    return mu_j_take(J, mark, out);
}

int mu_j_call(struct mu_jin *J, const struct mu_jv *callee, struct mu_jcall *c, struct mu_jv *out)
{
    switch (callee->t) {
    case J_FUNC:
        return mu_j_run(J, callee->fn, callee, c, out);
    case J_METHOD:
        return mu_j_run(J, callee->method->fn, &callee->method->self, c, out);
    case J_MACRO:
        return mu_j_call_macro(J, callee->macro, c, out);
    case J_LOOP:
        return mu_j_call_loop(J, callee->loop, c, out);
    case J_JOINER:
        *out = mu_j_string(callee->joiner->is_used ? callee->joiner->separator : MU_STR(""));
        callee->joiner->is_used = true;
        return MU_OK;
    case J_UNDEFINED:
        return mu_j_fail_undefined(J, callee);
    default:
        return mu_j_fail(J, MU_EINVAL, "'%s' object is not callable", mu_j_type_name(callee));
    }
}
