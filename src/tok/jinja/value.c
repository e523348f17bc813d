/* value.c - making values, truth, type names, undefined; and the dict */
#include "tok/jinja/value.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

/* ---- lists ---- */

int mu_j_new_list(struct mu_jin *J, enum mu_jtype t, size_t cap, struct mu_jv *out)
{
    struct mu_jlist *l = mu_j_alloc(J, 1, sizeof *l);
    MU_J_NEED(J, l);
    if (cap > 0) {
        l->v = mu_j_alloc(J, cap, sizeof *l->v);
        MU_J_NEED(J, l->v);
    }
    l->cap = cap;
    *out = (struct mu_jv){.t = t, .list = l};
    return MU_OK;
}

int mu_j_push(struct mu_jin *J, struct mu_jlist *l, struct mu_jv v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct mu_jv *p = mu_j_alloc(J, cap, sizeof *p);
        MU_J_NEED(J, p);
        if (l->n > 0)
            memcpy(p, l->v, l->n * sizeof *p);
        l->v = p;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return mu_j_work(J, 1);
}

int mu_j_pair(struct mu_jin *J, struct mu_jv a, struct mu_jv b, struct mu_jv *out)
{
    MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, 2, out));
    MU_TRY_RETURN(mu_j_push(J, out->list, a));
    return mu_j_push(J, out->list, b);
}

int mu_j_new_gen(struct mu_jin *J, struct mu_jlist *items, struct mu_jv *out)
{
    struct mu_jgen *g = mu_j_alloc(J, 1, sizeof *g);
    MU_J_NEED(J, g);
    g->list = *items;
    *out = (struct mu_jv){.t = J_GEN, .gen = g};
    return MU_OK;
}

/* ---- undefined ---- */

static int new_undefined(struct mu_jin *J, struct mu_jundef u, struct mu_jv *out)
{
    out->undef = mu_j_alloc(J, 1, sizeof *out->undef);
    MU_J_NEED(J, out->undef);
    *out->undef = u;
    out->t = J_UNDEFINED;
    return MU_OK;
}

int mu_j_undefined_name(struct mu_jin *J, struct mu_str name, struct mu_jv *out)
{
    return new_undefined(J, (struct mu_jundef){.key = mu_j_string(name), .is_strict = J->t->o.strict_undefined}, out);
}

int mu_j_undefined_member(struct mu_jin *J, struct mu_jv obj, struct mu_jv key, struct mu_jv *out)
{
    return new_undefined(J, (struct mu_jundef){.key = key, .obj = obj, .is_strict = J->t->o.strict_undefined}, out);
}

int mu_j_undefined_hint(struct mu_jin *J, const char *hint, struct mu_jv *out)
{
    return new_undefined(J, (struct mu_jundef){.hint = hint, .is_strict = J->t->o.strict_undefined}, out);
}

/* How Jinja2 names an object in these sentences. */
static const char *object_name(const struct mu_jv *v)
{
    switch (v->t) {
    case J_NONE:
        return "None";
    case J_NAMESPACE:
        return "jinja2.utils.Namespace object";
    case J_LOOP:
        return "jinja2.runtime.LoopContext object";
    case J_MACRO:
        return "jinja2.runtime.Macro object";
    case J_CYCLER:
        return "jinja2.utils.Cycler object";
    case J_JOINER:
        return "jinja2.utils.Joiner object";
    default:
        return NULL;
    }
}

int mu_j_fail_undefined(struct mu_jin *J, const struct mu_jv *undef)
{
    const struct mu_jundef *u = undef->undef;
    char obj[64];
    struct mu_jv key;

    if (u->hint)
        return mu_j_fail(J, MU_EINVAL, "%s", u->hint);
    size_t mark = mu_j_mark(J);
    MU_TRY_RETURN(mu_j_print(J, &u->key, true));
    MU_TRY_RETURN(mu_j_take(J, mark, &key));
    if (u->obj.t == J_MISSING)
        return mu_j_fail(J, MU_EINVAL, "%.*s is undefined", MU_STR_ARG(key.s));
    const char *name = object_name(&u->obj);
    if (!name) {
        snprintf(obj, sizeof obj, "%s object", mu_j_type_name(&u->obj));
        name = obj;
    }
    if (u->key.t != J_STR)
        return mu_j_fail(J, MU_EINVAL, "%s has no element %.*s", name, MU_STR_ARG(key.s));
    return mu_j_fail(J, MU_EINVAL, "'%s' has no attribute %.*s", name, MU_STR_ARG(key.s));
}

/* ---- asking ---- */

const char *mu_j_type_name(const struct mu_jv *v)
{
    static const char *const names[] = {
        [J_MISSING] = "missing", [J_UNDEFINED] = "Undefined", [J_NONE] = "NoneType",  [J_BOOL] = "bool",
        [J_INT] = "int",         [J_FLOAT] = "float",         [J_STR] = "str",        [J_LIST] = "list",
        [J_TUPLE] = "tuple",     [J_DICT] = "dict",           [J_VIEW] = "dict_view", [J_RANGE] = "range",
        [J_GEN] = "generator",   [J_NAMESPACE] = "Namespace", [J_MACRO] = "Macro",    [J_FUNC] = "function",
        [J_METHOD] = "method",   [J_LOOP] = "LoopContext",    [J_CYCLER] = "Cycler",  [J_JOINER] = "Joiner",
    };
    return v->t == J_VIEW ? v->list->view : names[v->t];
}

bool mu_j_as_float(const struct mu_jv *v, double *f)
{
    int64_t i;
    if (mu_j_as_int(v, &i))
        *f = (double)i;
    else if (v->t == J_FLOAT)
        *f = v->f;
    else
        return false;
    return true;
}

int mu_j_length(struct mu_jin *J, const struct mu_jv *v, int64_t *out)
{
    switch (v->t) {
    case J_STR:
        *out = (int64_t)mu_t_chars(v->s);
        return mu_j_work(J, v->s.n / 64);
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
        *out = (int64_t)v->list->n;
        return MU_OK;
    case J_DICT:
        *out = (int64_t)v->dict->n;
        return MU_OK;
    case J_RANGE:
        *out = v->range->n;
        return MU_OK;
    case J_LOOP:
        return mu_j_loop_length(J, v->loop, out);
    case J_UNDEFINED:
        if (v->undef->is_strict)
            return mu_j_fail_undefined(J, v);
        *out = 0;
        return MU_OK;
    default:
        return mu_j_fail(J, MU_EINVAL, "object of type '%s' has no len()", mu_j_type_name(v));
    }
}

int mu_j_truth(struct mu_jin *J, const struct mu_jv *v, bool *out)
{
    int64_t n = 1;
    switch (v->t) {
    case J_NONE:
        n = 0;
        break;
    case J_BOOL:
        n = v->b;
        break;
    case J_INT:
        n = v->i != 0;
        break;
    case J_FLOAT:
        n = v->f != 0;
        break;
    case J_STR:
        n = v->s.n > 0;
        break;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
    case J_DICT:
    case J_RANGE:
    case J_LOOP:
    case J_UNDEFINED:
        MU_TRY_RETURN(mu_j_length(J, v, &n));
        break;
    default:
        break;
    }
    *out = n != 0;
    return MU_OK;
}

/* ---- dict ---- */

#define SLOTS_FROM 9 /* entries from which on a table pays */

int mu_j_new_dict(struct mu_jin *J, struct mu_jv *out)
{
    out->dict = mu_j_alloc(J, 1, sizeof *out->dict);
    MU_J_NEED(J, out->dict);
    out->t = J_DICT;
    return MU_OK;
}

static uint64_t hash_int(int64_t i)
{
    return mu_hash64(&i, sizeof i, 1);
}

/* Equal keys hash equally: 1, 1.0 and true are one key. */
int mu_j_hash(struct mu_jin *J, const struct mu_jv *key, uint64_t *out)
{
    int64_t i;
    if (mu_j_as_int(key, &i)) {
        *out = hash_int(i);
    } else if (key->t == J_FLOAT) {
        bool is_whole = key->f == floor(key->f) && fabs(key->f) < 9e18;
        *out = is_whole ? hash_int((int64_t)key->f) : mu_hash64(&key->f, sizeof key->f, 2);
    } else if (key->t == J_STR) {
        *out = mu_hash64(key->s.p, key->s.n, 3);
        return mu_j_work(J, key->s.n / 64);
    } else if (key->t == J_NONE) {
        *out = 4;
    } else if (key->t == J_TUPLE) {
        uint64_t h = 5, one;
        MU_TRY_RETURN(mu_j_enter(J));
        for (size_t n = 0; n < key->list->n; n++) {
            MU_TRY_RETURN(mu_j_work(J, 1));
            MU_TRY_RETURN(mu_j_hash(J, &key->list->v[n], &one));
            h = mu_hash64(&one, sizeof one, h);
        }
        J->depth--;
        *out = h;
    } else if (key->t == J_UNDEFINED && key->undef->is_strict) {
        return mu_j_fail_undefined(J, key);
    } else if (key->t == J_UNDEFINED) {
        *out = 6;
    } else if (key->t == J_LIST || key->t == J_DICT || key->t == J_VIEW) {
        return mu_j_fail(J, MU_EINVAL, "unhashable type: '%s'", mu_j_type_name(key));
    } else {
        *out = mu_hash64(&key->list, sizeof key->list, 7);
    }
    return MU_OK;
}

/* Where key is, or d->n. */
static int dict_find(struct mu_jin *J, const struct mu_jdict *d, const struct mu_jv *key, uint64_t hash, size_t *at)
{
    bool is_same;
    *at = d->n;
    if (d->n_slots == 0) {
        for (size_t i = 0; i < d->n; i++) {
            if (d->at[i].hash != hash)
                continue;
            MU_TRY_RETURN(mu_j_equal(J, &d->at[i].key, key, &is_same));
            if (is_same) {
                *at = i;
                return MU_OK;
            }
        }
        return MU_OK;
    }
    for (size_t s = hash & (d->n_slots - 1); d->slots[s] != 0; s = (s + 1) & (d->n_slots - 1)) {
        size_t i = d->slots[s] - 1;
        if (d->at[i].hash != hash)
            continue;
        MU_TRY_RETURN(mu_j_equal(J, &d->at[i].key, key, &is_same));
        if (is_same) {
            *at = i;
            return MU_OK;
        }
    }
    return MU_OK;
}

static void slot_put(struct mu_jdict *d, size_t i)
{
    size_t s = d->at[i].hash & (d->n_slots - 1);
    while (d->slots[s] != 0)
        s = (s + 1) & (d->n_slots - 1);
    d->slots[s] = (uint32_t)(i + 1);
}

static void slots_fill(struct mu_jdict *d)
{
    memset(d->slots, 0, d->n_slots * sizeof *d->slots);
    for (size_t i = 0; i < d->n; i++)
        slot_put(d, i);
}

/* Room for one more entry; the table is kept at most half full. */
static int dict_grow(struct mu_jin *J, struct mu_jdict *d)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 8;
        struct mu_jentry *at = mu_j_alloc(J, cap, sizeof *at);
        MU_J_NEED(J, at);
        if (d->n > 0)
            memcpy(at, d->at, d->n * sizeof *at);
        d->at = at;
        d->cap = cap;
    }
    if (d->n + 1 < SLOTS_FROM || (d->n + 1) * 2 <= d->n_slots)
        return MU_OK;
    size_t n_slots = d->n_slots ? d->n_slots * 2 : 32;
    uint32_t *slots = mu_j_alloc(J, n_slots, sizeof *slots);
    MU_J_NEED(J, slots);
    d->slots = slots;
    d->n_slots = n_slots;
    slots_fill(d);
    return MU_OK;
}

int mu_j_dict_get(struct mu_jin *J, const struct mu_jdict *d, const struct mu_jv *key, struct mu_jv *out,
                  bool *is_found)
{
    uint64_t hash = 0;
    size_t at;
    MU_TRY_RETURN(mu_j_hash(J, key, &hash));
    MU_TRY_RETURN(dict_find(J, d, key, hash, &at));
    *is_found = at < d->n;
    if (*is_found)
        *out = d->at[at].value;
    return MU_OK;
}

bool mu_j_dict_get_str(const struct mu_jdict *d, struct mu_str key, struct mu_jv *out)
{
    uint64_t hash = mu_hash64(key.p, key.n, 3);
    size_t mask = d->n_slots - 1;
    for (size_t s = d->n_slots ? hash & mask : 0;; s++) {
        size_t i = d->n_slots ? (size_t)d->slots[s & mask] - 1 : s;
        if (i >= d->n)
            return false;
        if (d->at[i].hash != hash || d->at[i].key.t != J_STR || !mu_str_eq(d->at[i].key.s, key))
            continue;
        *out = d->at[i].value;
        return true;
    }
}

int mu_j_dict_put(struct mu_jin *J, struct mu_jdict *d, struct mu_jv key, struct mu_jv value)
{
    uint64_t hash = 0;
    size_t at;
    MU_TRY_RETURN(mu_j_work(J, 1));
    MU_TRY_RETURN(mu_j_hash(J, &key, &hash));
    MU_TRY_RETURN(dict_find(J, d, &key, hash, &at));
    if (at < d->n) {
        d->at[at].value = value;
        return MU_OK;
    }
    MU_TRY_RETURN(dict_grow(J, d));
    d->at[d->n++] = (struct mu_jentry){key, value, hash};
    if (d->n_slots > 0)
        slot_put(d, d->n - 1);
    return MU_OK;
}

int mu_j_dict_remove(struct mu_jin *J, struct mu_jdict *d, const struct mu_jv *key, struct mu_jv *out, bool *is_found)
{
    uint64_t hash = 0;
    size_t at;
    MU_TRY_RETURN(mu_j_hash(J, key, &hash));
    MU_TRY_RETURN(dict_find(J, d, key, hash, &at));
    *is_found = at < d->n;
    if (!*is_found)
        return MU_OK;
    *out = d->at[at].value;
    d->n--;
    memmove(d->at + at, d->at + at + 1, (d->n - at) * sizeof *d->at);
    if (d->n_slots > 0)
        slots_fill(d);
    return mu_j_work(J, d->n);
}
