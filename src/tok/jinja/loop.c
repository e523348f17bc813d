/* loop.c - for loops: items one by one, filtered as they come, and the object `loop`
 *
 * As in Jinja2 the filter of a loop runs when the loop reaches an item, so it sees what the body has done; asking for
 * loop.last or loop.nextitem looks one item ahead, asking for loop.length of a filtered loop reads all the rest. */
#include "tok/jinja/loop.h"

/* Whether the loop's own `if` lets this item through. */
static int passes(struct mu_jin *J, struct mu_jloop *loop, const struct mu_jv *item, bool *out)
{
    struct mu_jscope own = {.parent = loop->scope, .is_captured = true}, *outer = J->scope;
    struct mu_jv test;
    *out = true;
    if (!loop->node->c)
        return MU_OK;
    J->scope = &own;
    MU_TRY_RETURN(mu_j_assign(J, loop->node->a, *item));
    MU_TRY_RETURN(mu_j_eval(J, loop->node->c, &test));
    J->scope = outer;
    return mu_j_truth(J, &test, out);
}

/* The next item that passes, from the source or from what was read ahead. */
static int pull(struct mu_jin *J, struct mu_jloop *loop, struct mu_jv *out, bool *is_end)
{
    bool is_in = false;
    if (loop->rest) {
        *is_end = loop->rest_at >= loop->rest->n;
        if (!*is_end)
            *out = loop->rest->v[loop->rest_at++];
        return MU_OK;
    }
    do {
        MU_TRY_RETURN(mu_j_next(J, &loop->it, out, is_end));
        if (*is_end)
            return MU_OK;
        MU_TRY_RETURN(passes(J, loop, out, &is_in));
    } while (!is_in);
    return MU_OK;
}

int mu_j_loop_step(struct mu_jin *J, struct mu_jloop *loop, bool *is_end)
{
    struct mu_jv item = loop->after;
    *is_end = false;
    if (!loop->has_after)
        MU_TRY_RETURN(pull(J, loop, &item, is_end));
    if (*is_end)
        return MU_OK;
    loop->has_after = false;
    loop->index0++;
    loop->previous = loop->current;
    loop->current = item;
    return MU_OK;
}

static int peek(struct mu_jin *J, struct mu_jloop *loop, bool *is_last)
{
    bool is_end = false;
    if (!loop->has_after) {
        MU_TRY_RETURN(pull(J, loop, &loop->after, &is_end));
        loop->has_after = !is_end;
    }
    *is_last = is_end;
    return MU_OK;
}

int mu_j_loop_length(struct mu_jin *J, struct mu_jloop *loop, int64_t *out)
{
    struct mu_jv rest, item;
    bool is_end;

    if (loop->length < 0 && !loop->node->c && loop->over.t != J_GEN) {
        MU_TRY_RETURN(mu_j_length(J, &loop->over, &loop->length));
    } else if (loop->length < 0) {
        MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &rest));
        for (;;) {
            MU_TRY_RETURN(pull(J, loop, &item, &is_end));
            if (is_end)
                break;
            MU_TRY_RETURN(mu_j_push(J, rest.list, item));
        }
        loop->rest = rest.list;
        loop->length = (int64_t)rest.list->n + loop->index0 + 1 + loop->has_after;
    }
    *out = loop->length;
    return MU_OK;
}

/* ---- attributes and methods ---- */

static int neighbour(struct mu_jin *J, struct mu_jloop *loop, bool is_next, struct mu_jv *out)
{
    bool is_last;
    if (!is_next) {
        *out = loop->previous;
        return loop->index0 > 0 ? MU_OK : mu_j_undefined_hint(J, "there is no previous item", out);
    }
    MU_TRY_RETURN(peek(J, loop, &is_last));
    *out = loop->after;
    return is_last ? mu_j_undefined_hint(J, "there is no next item", out) : MU_OK;
}

int mu_j_loop_attr(struct mu_jin *J, struct mu_jloop *loop, struct mu_str name, struct mu_jv *out, bool *is_found)
{
    static const char *const names[] = {"index",  "index0",    "first",    "depth",    "depth0",  "last",
                                        "length", "revindex0", "revindex", "previtem", "nextitem"};
    int64_t n;
    bool is_last;
    size_t i = 0;

    while (i < MU_COUNT(names) && !mu_str_eq(name, mu_str(names[i])))
        i++;
    *is_found = i < MU_COUNT(names);
    switch (i) {
    case 0:
        *out = mu_j_int(loop->index0 + 1);
        return MU_OK;
    case 1:
        *out = mu_j_int(loop->index0);
        return MU_OK;
    case 2:
        *out = mu_j_bool(loop->index0 == 0);
        return MU_OK;
    case 3:
    case 4:
        *out = mu_j_int(loop->depth0 + (i == 3));
        return MU_OK;
    case 5:
        MU_TRY_RETURN(peek(J, loop, &is_last));
        *out = mu_j_bool(is_last);
        return MU_OK;
    case 6:
    case 7:
    case 8:
        MU_TRY_RETURN(mu_j_loop_length(J, loop, &n));
        *out = mu_j_int(i == 6 ? n : n - loop->index0 - (i == 7));
        return MU_OK;
    case 9:
    case 10:
        return neighbour(J, loop, i == 10, out);
    default:
        return MU_OK;
    }
}

static int loop_cycle(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)
{
    if (c->n_pos == 0)
        return mu_j_fail(J, MU_EINVAL, "no items for cycling given");
    *out = c->pos[(size_t)self->loop->index0 % c->n_pos];
    return MU_OK;
}

static int loop_changed(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)
{
    struct mu_jv last = {.t = J_TUPLE, .list = self->loop->changed}, now;
    bool is_same = false;
    MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, c->n_pos, &now));
    for (size_t i = 0; i < c->n_pos; i++)
        MU_TRY_RETURN(mu_j_push(J, now.list, c->pos[i]));
    if (last.list)
        MU_TRY_RETURN(mu_j_equal(J, &last, &now, &is_same));
    if (!is_same)
        self->loop->changed = now.list;
    *out = mu_j_bool(!is_same);
    return MU_OK;
}

const struct mu_jfn mu_j_loop_methods[] = {
    {"cycle", "*", loop_cycle, 0},
    {"changed", "*", loop_changed, 0},
    {NULL, NULL, NULL, 0},
};

/* ---- running ---- */

/* A scope for one turn: the one before again, unless a macro holds on to it. */
static int turn_scope(struct mu_jin *J, struct mu_jscope **s, struct mu_jscope *parent)
{
    if (!*s || (*s)->is_captured) {
        *s = mu_j_alloc(J, 1, sizeof **s);
        MU_J_NEED(J, *s);
        (*s)->parent = parent;
    }
    (*s)->n = 0;
    J->scope = *s;
    return MU_OK;
}

static int run_turns(struct mu_jin *J, struct mu_jloop *loop, bool *is_else)
{
    struct mu_jv self = {.t = J_LOOP, .loop = loop};
    struct mu_jscope *s = NULL;
    bool is_end;

    *is_else = true;
    for (;;) {
        MU_TRY_RETURN(mu_j_loop_step(J, loop, &is_end));
        if (is_end)
            return MU_OK;
        MU_TRY_RETURN(turn_scope(J, &s, loop->scope));
        MU_TRY_RETURN(mu_j_assign(J, loop->node->a, loop->current));
        MU_TRY_RETURN(mu_j_set(J, s, J->t->loop, self));
        MU_TRY_RETURN(mu_j_exec_body(J, loop->node->list));
        J->scope = loop->scope;
        enum mu_jflow flow = J->flow;
        J->flow = J_FLOW_ON;
        if (flow == J_FLOW_BREAK)
            return MU_OK;
        if (flow == J_FLOW_ON)
            *is_else = false; /* Jinja2 counts a turn when it runs to its end */
    }
}

int mu_j_run_loop(struct mu_jin *J, const struct mu_jnode *n, struct mu_jscope *scope, const struct mu_jv *over,
                  int64_t depth0)
{
    struct mu_jscope *outer = J->scope, *s = NULL;
    struct mu_jloop *loop = mu_j_alloc(J, 1, sizeof *loop);
    bool is_else;

    MU_J_NEED(J, loop);
    *loop = (struct mu_jloop){.node = n, .scope = scope, .over = *over, .index0 = -1, .length = -1, .depth0 = depth0};
    MU_TRY_RETURN(mu_j_iter(J, over, &loop->it));
    J->scope = scope;
    MU_TRY_RETURN(run_turns(J, loop, &is_else));
    if (is_else && n->other) {
        MU_TRY_RETURN(turn_scope(J, &s, scope));
        MU_TRY_RETURN(mu_j_exec_body(J, n->other));
    }
    J->scope = outer;
    return MU_OK;
}

int mu_j_call_loop(struct mu_jin *J, struct mu_jloop *loop, struct mu_jcall *c, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J);
    if (!loop->node->flag)
        return mu_j_fail(J, MU_EINVAL, "The loop must have the 'recursive' marker to be called recursively.");
    if (c->n_pos != 1 || c->n_kw != 0)
        return mu_j_fail(J, MU_EINVAL, "loop() takes one argument, %zu given", c->n_pos + c->n_kw);
    MU_TRY_RETURN(mu_j_enter(J));
    MU_TRY_RETURN(mu_j_run_loop(J, loop->node, loop->scope, &c->pos[0], loop->depth0 + 1));
    J->depth--;
    return mu_j_take(J, mark, out);
}
