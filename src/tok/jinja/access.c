/* access.c - obj.name, obj[key], obj[a:b:c]
 *
 * Jinja2's order: obj.name looks for an attribute, then for an item; obj[key] the other way round. */
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

const struct mu_jfn *mu_j_find(const struct mu_jfn *table, struct mu_str name)
{
    for (const struct mu_jfn *f = table; f->name; f++)
        if (mu_str_eq(name, mu_str(f->name)))
            return f;
    return NULL;
}

static const struct mu_jfn *methods_of(const struct mu_jv *obj)
{
    switch (obj->t) {
    case J_STR:
        return mu_j_str_methods;
    case J_LIST:
        return mu_j_list_methods;
    case J_TUPLE:
        return mu_j_tuple_methods;
    case J_DICT:
        return mu_j_dict_methods;
    case J_LOOP:
        return mu_j_loop_methods;
    case J_CYCLER:
        return mu_j_cycler_methods;
    default:
        return NULL;
    }
}

static int unsafe(struct mu_jin *J, const struct mu_jv *obj, struct mu_str name, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J);
    struct mu_jv hint;
    MU_TRY_RETURN(mu_j_addf(J, "access to attribute '%.*s' of '%s' object is unsafe.", (int)MU_MIN(name.n, 100u),
                            name.p, mu_j_type_name(obj)));
    MU_TRY_RETURN(mu_j_take(J, mark, &hint));
    char *text = mu_arena_strdup(&J->arena, hint.s, &J->err);
    MU_J_NEED(J, text);
    return mu_j_undefined_hint(J, text, out);
}

static int macro_attr(struct mu_jin *J, const struct mu_jmacro *m, struct mu_str name, struct mu_jv *out, bool *found)
{
    *found = true;
    if (mu_str_eq(name, MU_STR("name"))) {
        *out = m->node->kind == N_MACRO ? mu_j_string(m->node->name) : mu_j_none();
    } else if (mu_str_eq(name, MU_STR("caller"))) {
        *out = mu_j_bool(m->node->has_caller);
    } else if (mu_str_eq(name, MU_STR("catch_kwargs"))) {
        *out = mu_j_bool(m->node->has_kwargs);
    } else if (mu_str_eq(name, MU_STR("catch_varargs"))) {
        *out = mu_j_bool(m->node->has_varargs);
    } else if (mu_str_eq(name, MU_STR("arguments"))) {
        MU_TRY_RETURN(mu_j_new_list(J, J_TUPLE, 0, out));
        for (const struct mu_jnode *p = m->node->kwargs; p; p = p->next)
            MU_TRY_RETURN(mu_j_push(J, out->list, mu_j_string(p->name)));
    } else {
        *found = false;
    }
    return MU_OK;
}

/* An attribute proper: method, member of a namespace, of the loop, of a macro. */
static int attribute(struct mu_jin *J, const struct mu_jv *obj, struct mu_str name, struct mu_jv *out, bool *found)
{
    const struct mu_jfn *methods = methods_of(obj);
    const struct mu_jfn *fn = methods ? mu_j_find(methods, name) : NULL;

    *found = true;
    if (fn && fn->only == MU_J_CHANGES && J->t->o.sandbox)
        return unsafe(J, obj, name, out);
    if (fn) {
        out->method = mu_j_alloc(J, 1, sizeof *out->method);
        MU_J_NEED(J, out->method);
        *out->method = (struct mu_jmethod){fn, *obj};
        out->t = J_METHOD;
        return MU_OK;
    }
    if (name.n > 4 && mu_t_starts(name, MU_STR("__")) && mu_t_ends(name, MU_STR("__")))
        return unsafe(J, obj, name, out);
    if (obj->t == J_NAMESPACE) {
        *found = mu_j_dict_get_str(obj->dict, name, out);
        return MU_OK;
    }
    if (obj->t == J_LOOP)
        return mu_j_loop_attr(J, obj->loop, name, out, found);
    if (obj->t == J_MACRO)
        return macro_attr(J, obj->macro, name, out, found);
    if (obj->t == J_CYCLER && mu_str_eq(name, MU_STR("current"))) {
        *out = obj->cycler->items.v[obj->cycler->pos];
        return MU_OK;
    }
    if (obj->t == J_TUPLE && obj->list->view && obj->list->n == 2) { /* of groupby */
        *found = mu_str_eq(name, MU_STR("grouper")) || mu_str_eq(name, MU_STR("list"));
        *out = obj->list->v[mu_str_eq(name, MU_STR("list"))];
        return MU_OK;
    }
    *found = false;
    return MU_OK;
}

/* obj[key] as Python has it; not found covers every reason Jinja2 takes for undefined. */
static int item(struct mu_jin *J, const struct mu_jv *obj, const struct mu_jv *key, struct mu_jv *out, bool *found)
{
    int64_t i, n;
    *found = false;
    if (obj->t == J_DICT) {
        if (key->t == J_LIST || key->t == J_DICT)
            return MU_OK; /* unhashable: no such item */
        return mu_j_dict_get(J, obj->dict, key, out, found);
    }
    if (!mu_j_as_int(key, &i) || (obj->t != J_STR && obj->t != J_LIST && obj->t != J_TUPLE && obj->t != J_RANGE))
        return MU_OK;
    MU_TRY_RETURN(mu_j_length(J, obj, &n));
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return MU_OK;
    *found = true;
    if (obj->t == J_RANGE) {
        *out = mu_j_int(obj->range->start + i * obj->range->step);
    } else if (obj->t == J_STR) {
        size_t at = (size_t)n == obj->s.n ? (size_t)i : mu_t_byte_of(obj->s, (size_t)i), len;
        mu_t_at(obj->s, at, &len);
        *out = mu_j_string(mu_t_sub(obj->s, at, at + len));
    } else {
        *out = obj->list->v[i];
    }
    return MU_OK;
}

int mu_j_attr(struct mu_jin *J, const struct mu_jv *obj, struct mu_str name, struct mu_jv *out)
{
    struct mu_jv key = mu_j_string(name);
    bool found;

    if (obj->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, obj);
    MU_TRY_RETURN(attribute(J, obj, name, out, &found));
    if (!found)
        MU_TRY_RETURN(item(J, obj, &key, out, &found));
    return found ? MU_OK : mu_j_undefined_member(J, *obj, key, out);
}

int mu_j_item(struct mu_jin *J, const struct mu_jv *obj, const struct mu_jv *key, struct mu_jv *out)
{
    bool found;
    if (obj->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, obj);
    MU_TRY_RETURN(item(J, obj, key, out, &found));
    if (!found && key->t == J_STR)
        MU_TRY_RETURN(attribute(J, obj, key->s, out, &found));
    return found ? MU_OK : mu_j_undefined_member(J, *obj, *key, out);
}

/* ---- slices ---- */

static int slice_bound(struct mu_jin *J, const struct mu_jv *v, int64_t missing, int64_t *out)
{
    *out = missing;
    if (v->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, v);
    if (v->t == J_MISSING || v->t == J_NONE || mu_j_as_int(v, out))
        return MU_OK;
    return mu_j_fail(J, MU_EINVAL, "slice indices must be integers or None, not %s", mu_j_type_name(v));
}

/* Python's slice.indices(): clamp start and stop for a length of n. */
static int64_t clamp(int64_t i, int64_t n, int64_t lo, int64_t hi)
{
    if (i < 0)
        i = i < -n ? lo : i + n;
    return MU_MIN(MU_MAX(i, lo), hi);
}

static int slice_string(struct mu_jin *J, struct mu_str s, int64_t n, int64_t start, int64_t step, int64_t count,
                        struct mu_jv *out)
{
    bool is_ascii = (size_t)n == s.n;
    if (step == 1) {
        size_t from = is_ascii ? (size_t)start : mu_t_byte_of(s, (size_t)start);
        struct mu_str rest = mu_t_sub(s, from, s.n);
        *out = mu_j_string(mu_t_sub(rest, 0, is_ascii ? (size_t)count : mu_t_byte_of(rest, (size_t)count)));
        return mu_j_work(J, s.n / 64);
    }
    size_t *offsets = mu_j_alloc(J, (size_t)n + 1, sizeof *offsets), len, at = 0;
    MU_J_NEED(J, offsets);
    for (int64_t i = 0; i < n; i++, at += len) {
        offsets[i] = at;
        mu_t_at(s, at, &len);
    }
    offsets[n] = s.n;
    size_t mark = mu_j_mark(J);
    for (int64_t k = 0; k < count; k++) {
        int64_t i = start + k * step;
        MU_TRY_RETURN(mu_j_add(J, mu_t_sub(s, offsets[i], offsets[i + 1])));
    }
    return mu_j_take(J, mark, out);
}

int mu_j_slice(struct mu_jin *J, const struct mu_jv *obj, const struct mu_jv part[3], struct mu_jv *out)
{
    int64_t n, start, stop, step;

    if (obj->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, obj);
    if (obj->t != J_STR && obj->t != J_LIST && obj->t != J_TUPLE && obj->t != J_RANGE)
        return mu_j_fail(J, MU_EINVAL, "'%s' object cannot be sliced", mu_j_type_name(obj));
    MU_TRY_RETURN(mu_j_length(J, obj, &n));
    MU_TRY_RETURN(slice_bound(J, &part[2], 1, &step));
    if (step == 0)
        return mu_j_fail(J, MU_EINVAL, "slice step cannot be zero");
    int64_t lo = step < 0 ? -1 : 0, hi = step < 0 ? n - 1 : n;
    MU_TRY_RETURN(slice_bound(J, &part[0], step < 0 ? INT64_MAX : 0, &start));
    MU_TRY_RETURN(slice_bound(J, &part[1], step < 0 ? INT64_MIN : INT64_MAX, &stop));
    start = clamp(start, n, lo, hi);
    stop = clamp(stop, n, lo, hi);
    step = MU_MIN(MU_MAX(step, -n - 1), n + 1);
    int64_t span = step > 0 ? stop - start : start - stop, stride = step > 0 ? step : -step;
    int64_t count = span > 0 ? (span + stride - 1) / stride : 0;

    if (obj->t == J_STR)
        return slice_string(J, obj->s, n, count ? start : 0, step, count, out);
    if (obj->t == J_RANGE) {
        const struct mu_jrange *r = obj->range;
        out->range = mu_j_alloc(J, 1, sizeof *out->range);
        MU_J_NEED(J, out->range);
        *out->range = (struct mu_jrange){r->start + start * r->step, r->start + stop * r->step, r->step * step, count};
        out->t = J_RANGE;
        return MU_OK;
    }
    MU_TRY_RETURN(mu_j_new_list(J, obj->t, (size_t)count, out));
    for (int64_t k = 0; k < count; k++)
        MU_TRY_RETURN(mu_j_push(J, out->list, obj->list->v[start + k * step]));
    return MU_OK;
}
