/* render.h - one render: its memory, output, scopes and limits; and what functions, filters and tests are
 *
 * Everything a render allocates is in its arena. Text is built at the end of the one output buffer: mu_j_mark() notes
 * where, mu_j_take() cuts it off again as a string. A failure leaves its sentence in J->err and returns its code. */
#ifndef MU_TOK_JINJA_RENDER_H
#define MU_TOK_JINJA_RENDER_H

#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "tok/jinja/ast.h"
#include "tok/jinja/jinja.h"
#include "tok/jinja/value.h"

/* Names set in a block; its parents are the blocks around it in the text. */
struct mu_jscope {
    struct mu_jscope *parent;
    struct mu_jvar {
        struct mu_str name; /* interned by the template: same name, same pointer */
        struct mu_jv value;
    } * vars;
    size_t n, cap;
    bool is_captured; /* a macro was defined here: it may outlive the block */
};

enum mu_jflow { J_FLOW_ON, J_FLOW_BREAK, J_FLOW_CONTINUE };

struct mu_jin {
    const struct mu_jinja *t;
    const json_t *context;
    const struct tm *now;
    struct mu_arena arena;
    struct mu_buf out;
    struct mu_jscope *scope; /* innermost */
    struct mu_jscope root;   /* what the template sets at its top */
    struct mu_jscope given;  /* members of the context and globals met so far */
    struct mu_jv piped;      /* text of the block a filter block or a set block with filters works on */
    enum mu_jflow flow;
    int64_t steps;
    int depth;
    int line; /* of the node at work */
    struct mu_err err;
};

int mu_j_fail(struct mu_jin *J, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void *mu_j_alloc(struct mu_jin *J, size_t n, size_t size); /* zeroed; NULL leaves the sentence in J->err */
#define MU_J_NEED(J, p)                                                                                                \
    do {                                                                                                               \
        if (!(p))                                                                                                      \
            return (J)->err.code;                                                                                      \
    } while (0)

int mu_j_work(struct mu_jin *J, size_t n); /* count n steps against the maximum */
int mu_j_enter(struct mu_jin *J);          /* one level deeper; after success leave with J->depth-- */

static inline size_t mu_j_mark(const struct mu_jin *J)
{
    return J->out.n;
}
int mu_j_add(struct mu_jin *J, struct mu_str s);
int mu_j_addf(struct mu_jin *J, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int mu_j_take(struct mu_jin *J, size_t mark, struct mu_jv *out);

/* ---- names ---- */

int mu_j_set(struct mu_jin *J, struct mu_jscope *s, struct mu_str name, struct mu_jv v);
int mu_j_lookup(struct mu_jin *J, struct mu_str name, struct mu_jv *out);
void mu_j_capture(struct mu_jin *J); /* a macro made here keeps the scopes around it */
int mu_j_assign(struct mu_jin *J, const struct mu_jnode *target, struct mu_jv v);

/* ---- calls ---- */

#define MU_J_ARGS_MAX 8 /* parameters a built-in function may have */

struct mu_jkw {
    struct mu_str name;
    struct mu_jv value;
};

struct mu_jcall {
    struct mu_jv *pos;
    size_t n_pos;
    struct mu_jkw *kw;
    size_t n_kw;
    struct mu_jv arg[MU_J_ARGS_MAX]; /* bound to the parameters; J_MISSING when not given */
};

/* A built-in function, method, filter or test. params: names in order, "old new count?", ? is optional; "*" takes
 * the call as it is. self: the object of a method, the value piped into a filter or tested. */
struct mu_jfn {
    const char *name;
    const char *params;
    int (*run)(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out);
    int only; /* 0, or MU_J_CHAT, MU_J_TASK: there only in such templates; MU_J_CHANGES: refused in the sandbox */
};
enum { MU_J_CHAT = 1, MU_J_TASK, MU_J_CHANGES };

const struct mu_jfn *mu_j_find(const struct mu_jfn *table, struct mu_str name); /* tables end with a NULL name */
int mu_j_run(struct mu_jin *J, const struct mu_jfn *fn, const struct mu_jv *self, struct mu_jcall *c,
             struct mu_jv *out);
int mu_j_call(struct mu_jin *J, const struct mu_jv *callee, struct mu_jcall *c, struct mu_jv *out);
int mu_j_call_macro(struct mu_jin *J, const struct mu_jmacro *m, struct mu_jcall *c, struct mu_jv *out);
int mu_j_call_loop(struct mu_jin *J, struct mu_jloop *loop, struct mu_jcall *c, struct mu_jv *out);
int mu_j_loop_attr(struct mu_jin *J, struct mu_jloop *loop, struct mu_str name, struct mu_jv *out, bool *is_found);
int mu_j_loop_length(struct mu_jin *J, struct mu_jloop *loop, int64_t *out);

extern const struct mu_jfn mu_j_str_methods[], mu_j_list_methods[], mu_j_tuple_methods[], mu_j_dict_methods[];
extern const struct mu_jfn mu_j_loop_methods[], mu_j_cycler_methods[], mu_j_globals[];
extern const struct mu_jfn mu_j_filters_text[], mu_j_filters_sequence[], mu_j_filters_value[], mu_j_tests[];

const struct mu_jfn *mu_j_find_filter(const struct mu_jinja *t, struct mu_str name);
const struct mu_jfn *mu_j_find_test(const struct mu_jinja *t, struct mu_str name);

/* Arguments by type, or a sentence that names the function. */
int mu_j_want_str(struct mu_jin *J, const struct mu_jv *v, const char *what, struct mu_str *out);
int mu_j_want_int(struct mu_jin *J, const struct mu_jv *v, const char *what, int64_t *out);

/* ---- expressions ---- */

int mu_j_eval(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out);
int mu_j_eval_call_block(struct mu_jin *J, const struct mu_jnode *n, struct mu_jv *out);
int mu_j_exec_body(struct mu_jin *J, const struct mu_jnode *first);
int mu_j_binary(struct mu_jin *J, int op, const struct mu_jv *a, const struct mu_jv *b, struct mu_jv *out);
int mu_j_attr(struct mu_jin *J, const struct mu_jv *obj, struct mu_str name, struct mu_jv *out);
int mu_j_item(struct mu_jin *J, const struct mu_jv *obj, const struct mu_jv *key, struct mu_jv *out);
int mu_j_slice(struct mu_jin *J, const struct mu_jv *obj, const struct mu_jv part[3], struct mu_jv *out);

int mu_j_dict_update(struct mu_jin *J, struct mu_jdict *d, const struct mu_jcall *c);

/* sorted(): stable; key j belongs to item j and moves with it */
int mu_j_sort(struct mu_jin *J, struct mu_jv *items, struct mu_jv *keys, size_t n, bool is_reverse);

/* "..." % values, "...".format(...), format(v, spec) */
int mu_j_percent(struct mu_jin *J, struct mu_str format, const struct mu_jv *values, struct mu_jv *out);
int mu_j_format(struct mu_jin *J, struct mu_str format, struct mu_jcall *c, struct mu_jv *out);

/* re.sub() */
int mu_j_regex_sub(struct mu_jin *J, struct mu_str pattern, struct mu_str replacement, struct mu_str text,
                   int64_t count, struct mu_jv *out);

#endif
