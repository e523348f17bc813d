/* parse_int.h - what parse.c (statements) and parse_expr.c (expressions) share */
#ifndef MU_TOK_JINJA_PARSE_INT_H
#define MU_TOK_JINJA_PARSE_INT_H

#include "base/check.h"
#include "tok/jinja/ast.h"
#include "tok/jinja/render.h"

#define MU_JNAMES_MAX 4096 /* different names in one template; the longest published one has 80 */

/* Every name once: nodes of the same name share the pointer. */
struct mu_jnames {
    struct mu_str at[MU_JNAMES_MAX];
    uint16_t slots[2 * MU_JNAMES_MAX]; /* by hash: position + 1, 0 is empty */
    size_t n;
};

struct mu_jparser {
    struct mu_jinja *t;
    const struct mu_jtoken *at; /* the current token */
    struct mu_err *e;
    struct mu_jnames *names;
    const struct mu_jnode *unknown; /* the first filter or test that does not exist */
    int depth;
    int loops;    /* for loops around, in the same macro */
    bool is_soft; /* inside an if: unknown filters fail only when they are reached */
    bool uses_caller, uses_kwargs, uses_varargs;
};

/* A list under construction. */
struct mu_jchain {
    struct mu_jnode *first, **end;
};
#define MU_JCHAIN_INIT(c)                                                                                              \
    {                                                                                                                  \
        NULL, &(c).first                                                                                               \
    }

static inline void mu_jchain_add(struct mu_jchain *c, struct mu_jnode *n)
{
    *c->end = n;
    c->end = &n->next;
}

#define P_FAIL(p, ...) mu_j_syntax((p)->t, (p)->at->line, (p)->e, MU_EFORMAT, __VA_ARGS__)
#define P_NEED(ptr)                                                                                                    \
    do {                                                                                                               \
        if (!(ptr))                                                                                                    \
            return (p)->e->code;                                                                                       \
    } while (0)

struct mu_jnode *mu_jp_node(struct mu_jparser *p, enum mu_jkind kind, int line); /* NULL when there is no memory */
int mu_jp_intern(struct mu_jparser *p, struct mu_str *name);
int mu_jp_deeper(struct mu_jparser *p); /* leave with p->depth-- */

static inline bool mu_jp_is_op(const struct mu_jparser *p, int op)
{
    return p->at->t == T_OP && p->at->op == op;
}
bool mu_jp_is_name(const struct mu_jparser *p, const char *name);
bool mu_jp_skip_op(struct mu_jparser *p, int op);
bool mu_jp_skip_name(struct mu_jparser *p, const char *name);
int mu_jp_expect_op(struct mu_jparser *p, int op);
int mu_jp_expect_name(struct mu_jparser *p, struct mu_str *name); /* any name, interned */
const char *mu_jp_describe(const struct mu_jtoken *t, char text[64]);

/* Where a list of expressions without brackets ends besides the end of a tag. */
enum mu_jtuple_flags { TUPLE_NO_COND = 1, TUPLE_PAREN = 2, TUPLE_TARGET = 4, TUPLE_NAMESPACE = 8, TUPLE_FOR = 16 };

int mu_jp_expression(struct mu_jparser *p, bool with_cond, struct mu_jnode **out);
int mu_jp_tuple(struct mu_jparser *p, int flags, struct mu_jnode **out);
int mu_jp_filters(struct mu_jparser *p, struct mu_jnode *input, bool is_inline, struct mu_jnode **out);
int mu_jp_target(struct mu_jparser *p, int flags, struct mu_jnode **out);

#endif
