/* ast.h - a compiled template: nodes in one arena, never changed once made
 *
 * Which members a node uses; [x] is a list linked by next.
 *
 *   CONST value          NAME name            LIST, TUPLE [list]     DICT [list of PAIR a: b]
 *   ATTR a.name          ITEM a[b]            SLICE a:b:c (only as b of ITEM)
 *   CALL a([list], [kwargs of KEYWORD name=a], *b, **c)
 *   FILTER a|name(...)   TEST a is name(...)  arguments as CALL; fn is the row; a NULL is the text of the block
 *   COND b if a else c   AND, OR a b          NOT, NEG, POS a        BINARY a op b
 *   COMPARE a [list of OPERAND op a]          CONCAT [list]          NSREF name.value (target of set)
 *
 *   DATA value           OUTPUT a             IF [list of BRANCH a: [list]; else has a NULL]
 *   FOR a in b if c [list] else [other], flag recursive              SET a = b
 *   SETBLOCK a | b [list]   FILTERBLOCK | b [list]   WITH [kwargs of PAIR a = b] [list]   SCOPE [list]
 *   MACRO name([kwargs of PARAM name = a]) [list]    CALLBLOCK a, ([kwargs]) [list]   BREAK   CONTINUE */
#ifndef MU_TOK_JINJA_AST_H
#define MU_TOK_JINJA_AST_H

#include "base/arena.h"
#include "tok/jinja/jinja.h"
#include "tok/jinja/value.h"

enum mu_jkind {
    N_CONST,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT,
    N_PAIR,
    N_ATTR,
    N_ITEM,
    N_SLICE,
    N_CALL,
    N_KEYWORD,
    N_FILTER,
    N_TEST,
    N_COND,
    N_AND,
    N_OR,
    N_NOT,
    N_NEG,
    N_POS,
    N_BINARY,
    N_COMPARE,
    N_OPERAND,
    N_CONCAT,
    N_NSREF,
    N_DATA,
    N_OUTPUT,
    N_IF,
    N_BRANCH,
    N_FOR,
    N_SET,
    N_SETBLOCK,
    N_FILTERBLOCK,
    N_WITH,
    N_SCOPE,
    N_MACRO,
    N_PARAM,
    N_CALLBLOCK,
    N_BREAK,
    N_CONTINUE
};

/* Operators of two characters are both of them: OP2('*', '*'). in and not in have numbers of their own. */
#define OP2(a, b) ((a) << 8 | (b))
enum { OP_IN = 1, OP_NOT_IN = 2 };

struct mu_jnode {
    enum mu_jkind kind;
    int line;
    int op;
    bool flag;
    bool has_caller, has_kwargs, has_varargs; /* MACRO, CALLBLOCK: the body uses these names */
    struct mu_str name;
    struct mu_jv value;
    struct mu_jnode *a, *b, *c;
    struct mu_jnode *list, *other, *kwargs;
    struct mu_jnode *next;
    const struct mu_jfn *fn;
};

struct mu_jinja {
    struct mu_arena arena;
    struct mu_jinja_opts o;
    char *name;
    struct mu_jnode *body;
    struct mu_str loop, caller, kwargs, varargs; /* names the interpreter sets itself, interned */
};

/* ---- tokens ---- */

enum mu_jtoken_type {
    T_EOF,
    T_DATA,
    T_VAR_BEGIN,
    T_VAR_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OP
};

struct mu_jtoken {
    enum mu_jtoken_type t;
    int line;
    int op;
    struct mu_str s; /* data, name, string: in the template's arena */
    int64_t i;
    double f;
};

/* Tokens of a source, ended by T_EOF: the caller frees *out with mu_free(), their text is in the arena of t. */
int mu_j_lex(struct mu_jinja *t, struct mu_str source, struct mu_jtoken **out, struct mu_err *e);
int mu_j_parse(struct mu_jinja *t, const struct mu_jtoken *tokens, struct mu_err *e);
int mu_j_syntax(const struct mu_jinja *t, int line, struct mu_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
