/* exec.c - statements */
#include "tok/jinja/loop.h"

/* ---- assignment ---- */

static int assign_attribute(struct mu_jin *J, const struct mu_jnode *target, struct mu_jv v)
{
    struct mu_jv ns;
    MU_TRY_RETURN(mu_j_lookup(J, target->name, &ns));
    if (ns.t != J_NAMESPACE)
        return mu_j_fail(J, MU_EINVAL, "cannot assign attribute on non-namespace object");
    if (J->t->o.chat && target->value.s.n > 0 && target->value.s.p[0] == '_')
        return mu_j_fail(J, MU_EINVAL, "a namespace cannot have the attribute '%.*s': rename it without underscore",
                         MU_STR_ARG(target->value.s));
    return mu_j_dict_put(J, ns.dict, target->value, v);
}

static int unpack(struct mu_jin *J, const struct mu_jnode *target, struct mu_jv v)
{
    struct mu_jlist *items;
    size_t want = 0;
    MU_TRY_RETURN(mu_j_items(J, &v, &items));
    for (const struct mu_jnode *t = target->list; t; t = t->next)
        want++;
    if (items->n > want)
        return mu_j_fail(J, MU_EINVAL, "too many values to unpack (expected %zu)", want);
    if (items->n < want)
        return mu_j_fail(J, MU_EINVAL, "not enough values to unpack (expected %zu, got %zu)", want, items->n);
    size_t i = 0;
    for (const struct mu_jnode *t = target->list; t; t = t->next)
        MU_TRY_RETURN(mu_j_assign(J, t, items->v[i++]));
    return MU_OK;
}

int mu_j_assign(struct mu_jin *J, const struct mu_jnode *target, struct mu_jv v)
{
    if (target->kind == N_NAME)
        return mu_j_set(J, J->scope, target->name, v);
    return target->kind == N_NSREF ? assign_attribute(J, target, v) : unpack(J, target, v);
}

/* ---- statements ---- */

static int exec_if(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jv test;
    bool is_true = true;
    for (const struct mu_jnode *branch = n->list; branch; branch = branch->next) {
        if (branch->a) {
            MU_TRY_RETURN(mu_j_eval(J, branch->a, &test));
            MU_TRY_RETURN(mu_j_truth(J, &test, &is_true));
        }
        if (!branch->a || is_true)
            return mu_j_exec_body(J, branch->list);
    }
    return MU_OK;
}

static int exec_for(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jv over;
    MU_TRY_RETURN(mu_j_eval(J, n->b, &over));
    J->line = n->line;
    return mu_j_run_loop(J, n, J->scope, &over, 0);
}

static int inner_scope(struct mu_jin *J, struct mu_jscope **s)
{
    *s = mu_j_alloc(J, 1, sizeof **s);
    MU_J_NEED(J, *s);
    (*s)->parent = J->scope;
    return MU_OK;
}

/* {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}: the text of the body, filtered. A break or
 * continue in the body throws the text away. */
static int exec_captured(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jscope *outer = J->scope, *s;
    size_t mark = mu_j_mark(J);
    struct mu_jv text;

    MU_TRY_RETURN(inner_scope(J, &s));
    J->scope = s;
    MU_TRY_RETURN(mu_j_exec_body(J, n->list));
    MU_TRY_RETURN(mu_j_take(J, mark, &text));
    if (J->flow == J_FLOW_ON && n->b) {
        J->piped = text;
        MU_TRY_RETURN(mu_j_eval(J, n->b, &text));
    }
    J->scope = outer;
    if (J->flow != J_FLOW_ON)
        return MU_OK;
    return n->a ? mu_j_assign(J, n->a, text) : mu_j_print(J, &text, false);
}

static int exec_with(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jscope *outer = J->scope, *s;
    struct mu_jv v;

    MU_TRY_RETURN(inner_scope(J, &s));
    for (const struct mu_jnode *pair = n->kwargs; pair; pair = pair->next) {
        MU_TRY_RETURN(mu_j_eval(J, pair->b, &v));
        J->scope = s;
        MU_TRY_RETURN(mu_j_assign(J, pair->a, v));
        J->scope = outer;
    }
    J->scope = s;
    MU_TRY_RETURN(mu_j_exec_body(J, n->list));
    J->scope = outer;
    return MU_OK;
}

static int exec_macro(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jv m;
    m.macro = mu_j_alloc(J, 1, sizeof *m.macro);
    MU_J_NEED(J, m.macro);
    *m.macro = (struct mu_jmacro){n, J->scope};
    m.t = J_MACRO;
    mu_j_capture(J);
    return mu_j_set(J, J->scope, n->name, m);
}

static int exec_output(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jv v;
    MU_TRY_RETURN(n->kind == N_OUTPUT ? mu_j_eval(J, n->a, &v) : mu_j_eval_call_block(J, n, &v));
    J->line = n->line;
    return mu_j_print(J, &v, false);
}

static int exec_set(struct mu_jin *J, const struct mu_jnode *n)
{
    struct mu_jv v;
    MU_TRY_RETURN(mu_j_eval(J, n->b, &v));
    J->line = n->line;
    return mu_j_assign(J, n->a, v);
}

static int exec(struct mu_jin *J, const struct mu_jnode *n)
{
    J->line = n->line;
    switch (n->kind) {
    case N_DATA:
        return mu_j_add(J, n->value.s);
    case N_OUTPUT:
    case N_CALLBLOCK:
        return exec_output(J, n);
    case N_IF:
        return exec_if(J, n);
    case N_FOR:
        return exec_for(J, n);
    case N_SET:
        return exec_set(J, n);
    case N_SETBLOCK:
    case N_FILTERBLOCK:
        return exec_captured(J, n);
    case N_WITH:
    case N_SCOPE:
        return exec_with(J, n);
    case N_MACRO:
        return exec_macro(J, n);
    case N_BREAK:
    case N_CONTINUE:
        J->flow = n->kind == N_BREAK ? J_FLOW_BREAK : J_FLOW_CONTINUE;
        return MU_OK;
    default:
        return mu_j_fail(J, MU_EINTERNAL, "node %d is no statement", (int)n->kind);
    }
}

int mu_j_exec_body(struct mu_jin *J, const struct mu_jnode *first)
{
    MU_TRY_RETURN(mu_j_enter(J));
    for (const struct mu_jnode *n = first; n && J->flow == J_FLOW_ON; n = n->next) {
        MU_TRY_RETURN(mu_j_work(J, 1));
        MU_TRY_RETURN(exec(J, n));
    }
    J->depth--;
    return MU_OK;
}
