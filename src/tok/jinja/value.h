/* value.h - what templates compute with: Python's values, as far as templates see them
 *
 * A value is a small struct passed by copy; what it points at lives in the arena of its render, in the template's
 * arena (literals) or in the JSON context, all of which outlive the render. Nothing is freed singly. Strings are UTF-8
 * without surrogates, indexed by character as Python does.
 *
 * All bits zero is J_MISSING: an argument that was not given. It never reaches a template. */
#ifndef MU_TOK_JINJA_VALUE_H
#define MU_TOK_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"

struct mu_jin;
struct mu_jnode;
struct mu_jscope;
struct mu_jfn;

enum mu_jtype {
    J_MISSING,
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_VIEW,  /* dict.keys(), .values(), .items() */
    J_RANGE, /* range() */
    J_GEN,   /* what map and the like return: read once */
    J_NAMESPACE,
    J_MACRO,
    J_FUNC,
    J_METHOD,
    J_LOOP,
    J_CYCLER,
    J_JOINER
};

struct mu_jv {
    enum mu_jtype t;
    union {
        bool b;
        int64_t i;
        double f;
        struct mu_str s;
        struct mu_jlist *list; /* list, tuple, view */
        struct mu_jdict *dict; /* dict, namespace */
        struct mu_jrange *range;
        struct mu_jgen *gen;
        struct mu_jundef *undef;
        struct mu_jmacro *macro;
        const struct mu_jfn *fn;
        struct mu_jmethod *method;
        struct mu_jloop *loop;
        struct mu_jcycler *cycler;
        struct mu_jjoiner *joiner;
    };
};

struct mu_jlist {
    struct mu_jv *v;
    size_t n, cap;
    const char *view; /* J_VIEW: "dict_keys", ...; J_TUPLE: "group" for a tuple of groupby */
};

struct mu_jentry {
    struct mu_jv key, value;
    uint64_t hash;
};

/* Keys in the order they were put in; a table of positions beside them once there are many. */
struct mu_jdict {
    struct mu_jentry *at;
    size_t n, cap;
    uint32_t *slots; /* position + 1, 0 is empty; a power of two of them */
    size_t n_slots;
};

struct mu_jrange {
    int64_t start, stop, step, n;
};

struct mu_jgen {
    struct mu_jlist list;
    size_t pos; /* shared by everyone who reads it */
};

/* Why a value is undefined: a hint, or a name that is nowhere, or a member that an object lacks. */
struct mu_jundef {
    const char *hint;
    struct mu_jv key, obj; /* obj J_MISSING: key is the name of a variable */
    bool is_strict;
};

struct mu_jmacro {
    const struct mu_jnode *node; /* a macro, or a call block as caller() */
    struct mu_jscope *scope;     /* where it was defined */
};

struct mu_jmethod {
    const struct mu_jfn *fn;
    struct mu_jv self;
};

struct mu_jcycler {
    struct mu_jlist items;
    size_t pos;
};

struct mu_jjoiner {
    struct mu_str separator;
    bool is_used;
};

/* ---- making ---- */

static inline struct mu_jv mu_j_none(void)
{
    return (struct mu_jv){.t = J_NONE};
}

static inline struct mu_jv mu_j_bool(bool b)
{
    return (struct mu_jv){.t = J_BOOL, .b = b};
}

static inline struct mu_jv mu_j_int(int64_t i)
{
    return (struct mu_jv){.t = J_INT, .i = i};
}

static inline struct mu_jv mu_j_float(double f)
{
    return (struct mu_jv){.t = J_FLOAT, .f = f};
}

static inline struct mu_jv mu_j_string(struct mu_str s)
{
    return (struct mu_jv){.t = J_STR, .s = s};
}

static inline bool mu_j_is(const struct mu_jv *v, const char *text)
{
    return v->t == J_STR && mu_str_eq(v->s, mu_str(text));
}

int mu_j_new_list(struct mu_jin *J, enum mu_jtype t, size_t cap, struct mu_jv *out); /* list or tuple, empty */
int mu_j_push(struct mu_jin *J, struct mu_jlist *l, struct mu_jv v);
int mu_j_pair(struct mu_jin *J, struct mu_jv a, struct mu_jv b, struct mu_jv *out); /* a tuple of two */
int mu_j_new_dict(struct mu_jin *J, struct mu_jv *out);
int mu_j_new_gen(struct mu_jin *J, struct mu_jlist *items, struct mu_jv *out);

/* A variable that is nowhere; a member that obj has not; any other reason. */
int mu_j_undefined_name(struct mu_jin *J, struct mu_str name, struct mu_jv *out);
int mu_j_undefined_member(struct mu_jin *J, struct mu_jv obj, struct mu_jv key, struct mu_jv *out);
int mu_j_undefined_hint(struct mu_jin *J, const char *hint, struct mu_jv *out);
int mu_j_fail_undefined(struct mu_jin *J, const struct mu_jv *undef); /* its sentence */

/* ---- dicts ---- */

int mu_j_hash(struct mu_jin *J, const struct mu_jv *key, uint64_t *out); /* fails for lists and dicts */
int mu_j_dict_get(struct mu_jin *J, const struct mu_jdict *d, const struct mu_jv *key, struct mu_jv *out,
                  bool *is_found);
int mu_j_dict_put(struct mu_jin *J, struct mu_jdict *d, struct mu_jv key, struct mu_jv value);
int mu_j_dict_remove(struct mu_jin *J, struct mu_jdict *d, const struct mu_jv *key, struct mu_jv *out, bool *is_found);
bool mu_j_dict_get_str(const struct mu_jdict *d, struct mu_str key, struct mu_jv *out);

/* ---- asking: the result is never one of the operands in memory ---- */

const char *mu_j_type_name(const struct mu_jv *v); /* Python's: "str", "dict", "NoneType" */
int mu_j_truth(struct mu_jin *J, const struct mu_jv *v, bool *out);
int mu_j_equal(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, bool *out);
int mu_j_less(struct mu_jin *J, const struct mu_jv *a, const struct mu_jv *b, const char *op, bool *out);
int mu_j_contains(struct mu_jin *J, const struct mu_jv *in, const struct mu_jv *item, bool *out);
int mu_j_length(struct mu_jin *J, const struct mu_jv *v, int64_t *out);

/* bool and int as a number; false for every other type */
static inline bool mu_j_as_int(const struct mu_jv *v, int64_t *i)
{
    if (v->t != J_INT && v->t != J_BOOL)
        return false;
    *i = v->t == J_INT ? v->i : v->b;
    return true;
}

bool mu_j_as_float(const struct mu_jv *v, double *f); /* bool, int and float */

/* ---- going through ---- */

struct mu_jiter {
    struct mu_jv of;
    size_t pos;
};

bool mu_j_iterable(const struct mu_jv *v);
int mu_j_iter(struct mu_jin *J, const struct mu_jv *v, struct mu_jiter *it);
int mu_j_next(struct mu_jin *J, struct mu_jiter *it, struct mu_jv *out, bool *is_end);
int mu_j_items(struct mu_jin *J, const struct mu_jv *v, struct mu_jlist **out); /* all of them; lists are borrowed */

/* ---- text ---- */

int mu_j_print(struct mu_jin *J, const struct mu_jv *v, bool is_repr); /* str() or repr() to the output */
int mu_j_str(struct mu_jin *J, const struct mu_jv *v, struct mu_str *out);
void mu_j_float_text(double f, char text[40]); /* Python's repr of a float */

/* ---- JSON ---- */

struct mu_jdumps {
    bool ensure_ascii, sort_keys, is_html_safe;
    bool has_indent;
    struct mu_str indent; /* one level */
    struct mu_str comma, colon;
};

int mu_j_dumps(struct mu_jin *J, const struct mu_jv *v, const struct mu_jdumps *how); /* to the output */
int mu_j_from_json(struct mu_jin *J, const json_t *json, struct mu_jv *out);
int mu_j_to_json(struct mu_jin *J, const struct mu_jv *v, json_t **out);

#endif
