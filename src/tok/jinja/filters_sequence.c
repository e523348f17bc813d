/* filters_sequence.c - filters over lists, and the search of a filter by name */
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define FILTER(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

#define SLICES_MAX 100000 /* lists that slice and batch make at a time */

/* ---- attributes of items ---- */

/* item.a.b.0 for attribute "a.b.0" or an integer; attr J_MISSING or none: the item itself. */
static int attribute_of(struct mu_jin *J, const struct mu_jv *item, const struct mu_jv *attr,
                        const struct mu_jv *otherwise, struct mu_jv *out)
{
    struct mu_jv key;
    *out = *item;
    if (attr->t == J_MISSING || attr->t == J_NONE)
        return MU_OK;
    struct mu_str rest = attr->t == J_STR ? attr->s : MU_STR("");
    for (bool is_last = false; !is_last;) {
        size_t dot = mu_t_find(rest, MU_STR("."), 0), end = dot == SIZE_MAX ? rest.n : dot;
        struct mu_str part = mu_t_sub(rest, 0, end);
        int64_t index = 0;
        bool is_index = part.n > 0 && part.n < 10;
        for (size_t i = 0; i < part.n && is_index; i++) {
            is_index = part.p[i] >= '0' && part.p[i] <= '9';
            index = index * 10 + part.p[i] - '0';
        }
        key = attr->t != J_STR ? *attr : is_index ? mu_j_int(index) : mu_j_string(part);
        MU_TRY_RETURN(mu_j_work(J, 1));
        struct mu_jv owner = *out;
        MU_TRY_RETURN(mu_j_item(J, &owner, &key, out));
        if (out->t == J_UNDEFINED && otherwise && otherwise->t != J_MISSING && otherwise->t != J_NONE)
            *out = *otherwise;
        is_last = dot == SIZE_MAX;
        rest = is_last ? rest : mu_t_sub(rest, dot + 1, rest.n);
    }
    return MU_OK;
}

static int lowered(struct mu_jin *J, struct mu_jv *v)
{
    struct mu_jcall none = {0};
    struct mu_jv text = *v;
    if (v->t != J_STR)
        return MU_OK;
    return mu_j_run(J, mu_j_find(mu_j_str_methods, MU_STR("lower")), &text, &none, v);
}

/* Keys to compare items by: their attribute, strings in lower case unless case matters. */
static int keys_of(struct mu_jin *J, const struct mu_jlist *items, const struct mu_jv *attr,
                   const struct mu_jv *otherwise, bool is_cased, struct mu_jv **out)
{
    struct mu_jv *keys = mu_j_alloc(J, items->n, sizeof *keys);
    MU_J_NEED(J, keys);
    for (size_t i = 0; i < items->n; i++) {
        MU_TRY_RETURN(attribute_of(J, &items->v[i], attr, otherwise, &keys[i]));
        if (!is_cased)
            MU_TRY_RETURN(lowered(J, &keys[i]));
    }
    *out = keys;
    return MU_OK;
}

static int truth_of(struct mu_jin *J, const struct mu_jv *arg, bool *out)
{
    *out = false;
    return arg->t == J_MISSING ? MU_OK : mu_j_truth(J, arg, out);
}

/* Its own list of the items, free to be changed. */
static int copy_items(struct mu_jin *J, const struct mu_jv *v, struct mu_jv *out)
{
    struct mu_jlist *items;
    MU_TRY_RETURN(mu_j_items(J, v, &items));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, items->n, out));
    if (items->n > 0)
        memcpy(out->list->v, items->v, items->n * sizeof *items->v);
    out->list->n = items->n;
    return MU_OK;
}

/* ---- ends, length, copies ---- */

FILTER(filter_length)
{
    int64_t n;
    (void)c;
    MU_TRY_RETURN(mu_j_length(J, self, &n));
    *out = mu_j_int(n);
    return MU_OK;
}

FILTER(filter_first)
{
    struct mu_jiter it;
    bool is_end;
    (void)c;
    MU_TRY_RETURN(mu_j_iter(J, self, &it));
    MU_TRY_RETURN(mu_j_next(J, &it, out, &is_end));
    return is_end ? mu_j_undefined_hint(J, "No first item, sequence was empty.", out) : MU_OK;
}

FILTER(filter_last)
{
    struct mu_jlist *items;
    (void)c;
    if (self->t == J_GEN)
        return mu_j_fail(J, MU_EINVAL, "'generator' object is not reversible");
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    if (items->n == 0)
        return mu_j_undefined_hint(J, "No last item, sequence was empty.", out);
    *out = items->v[items->n - 1];
    return MU_OK;
}

FILTER(filter_list)
{
    (void)c;
    return copy_items(J, self, out);
}

FILTER(filter_items)
{
    struct mu_jlist none = {0};
    struct mu_jv view;
    struct mu_jcall no_args = {0};
    (void)c;
    if (self->t == J_UNDEFINED)
        return mu_j_new_gen(J, &none, out);
    if (self->t != J_DICT)
        return mu_j_fail(J, MU_EINVAL, "Can only get item pairs from a mapping.");
    MU_TRY_RETURN(mu_j_run(J, mu_j_find(mu_j_dict_methods, MU_STR("items")), self, &no_args, &view));
    return mu_j_new_gen(J, view.list, out);
}

FILTER(filter_reverse)
{
    struct mu_jv step[3] = {[2] = mu_j_int(-1)}, list, reversed;
    (void)c;
    if (self->t == J_STR)
        return mu_j_slice(J, self, step, out);
    if (!mu_j_iterable(self))
        return mu_j_fail(J, MU_EINVAL, "argument must be iterable");
    MU_TRY_RETURN(copy_items(J, self, &list));
    MU_TRY_RETURN(mu_j_slice(J, &list, step, &reversed));
    return mu_j_new_gen(J, reversed.list, out);
}

FILTER(filter_join)
{
    struct mu_str by = MU_STR("");
    struct mu_jlist *items;
    struct mu_jv v;
    struct mu_jv text;

    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_str(J, &c->arg[0], &by));
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    size_t mark = mu_j_mark(J);
    for (size_t i = 0; i < items->n; i++) {
        if (i > 0)
            MU_TRY_RETURN(mu_j_add(J, by));
        MU_TRY_RETURN(attribute_of(J, &items->v[i], &c->arg[1], NULL, &v));
        MU_TRY_RETURN(mu_j_print(J, &v, false));
    }
    MU_TRY_RETURN(mu_j_take(J, mark, &text));
    *out = text;
    return MU_OK;
}

FILTER(filter_sum)
{
    struct mu_jlist *items;
    struct mu_jv v;
    *out = c->arg[1].t == J_MISSING ? mu_j_int(0) : c->arg[1];
    if (out->t == J_STR)
        return mu_j_fail(J, MU_EINVAL, "sum() can't sum strings [use ''.join(seq) instead]");
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    for (size_t i = 0; i < items->n; i++) {
        MU_TRY_RETURN(attribute_of(J, &items->v[i], &c->arg[0], NULL, &v));
        struct mu_jv before = *out;
        MU_TRY_RETURN(mu_j_binary(J, '+', &before, &v, out));
    }
    return MU_OK;
}

/* ---- order ---- */

/* Attributes "a,b" make pairs to compare by. */
static int sort_keys(struct mu_jin *J, const struct mu_jlist *items, const struct mu_jv *attr, bool is_cased,
                     struct mu_jv **out)
{
    struct mu_jv *part, key;
    if (attr->t != J_STR || mu_t_find(attr->s, MU_STR(","), 0) == SIZE_MAX)
        return keys_of(J, items, attr, NULL, is_cased, out);
    *out = mu_j_alloc(J, items->n, sizeof **out);
    MU_J_NEED(J, *out);
    for (size_t i = 0; i < items->n; i++)
        MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &(*out)[i]));
    for (struct mu_str rest = attr->s; rest.p;) {
        size_t comma = mu_t_find(rest, MU_STR(","), 0);
        key = mu_j_string(mu_t_sub(rest, 0, comma == SIZE_MAX ? rest.n : comma));
        rest = comma == SIZE_MAX ? (struct mu_str){0} : mu_t_sub(rest, comma + 1, rest.n);
        MU_TRY_RETURN(keys_of(J, items, &key, NULL, is_cased, &part));
        for (size_t i = 0; i < items->n; i++)
            MU_TRY_RETURN(mu_j_push(J, (*out)[i].list, part[i]));
    }
    return MU_OK;
}

FILTER(filter_sort)
{
    struct mu_jv *keys = NULL;
    bool is_reverse, is_cased;
    MU_TRY_RETURN(truth_of(J, &c->arg[0], &is_reverse));
    MU_TRY_RETURN(truth_of(J, &c->arg[1], &is_cased));
    MU_TRY_RETURN(copy_items(J, self, out));
    MU_TRY_RETURN(sort_keys(J, out->list, &c->arg[2], is_cased, &keys));
    return mu_j_sort(J, out->list->v, keys, out->list->n, is_reverse);
}

FILTER(filter_dictsort)
{
    struct mu_jv items, *keys, at = mu_j_int(0);
    bool is_cased, is_reverse;
    struct mu_str by = MU_STR("key");

    MU_TRY_RETURN(truth_of(J, &c->arg[0], &is_cased));
    if (c->arg[1].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_str(J, &c->arg[1], "by", &by));
    MU_TRY_RETURN(truth_of(J, &c->arg[2], &is_reverse));
    if (mu_str_eq(by, MU_STR("value")))
        at.i = 1;
    else if (!mu_str_eq(by, MU_STR("key")))
        return mu_j_fail(J, MU_EINVAL, "You can only sort by either \"key\" or \"value\"");
    if (self->t == J_UNDEFINED)
        return mu_j_fail_undefined(J, self);
    if (self->t != J_DICT)
        return mu_j_fail(J, MU_EINVAL, "'%s' object has no attribute 'items'", mu_j_type_name(self));
    MU_TRY_RETURN(filter_items(J, self, c, &items));
    MU_TRY_RETURN(copy_items(J, &items, out));
    MU_TRY_RETURN(keys_of(J, out->list, &at, NULL, is_cased, &keys));
    return mu_j_sort(J, out->list->v, keys, out->list->n, is_reverse);
}

static int least(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, const char *op, struct mu_jv *out)
{
    struct mu_jlist *items;
    struct mu_jv *keys = NULL;
    bool is_cased, is_better;
    size_t best = 0;

    MU_TRY_RETURN(truth_of(J, &c->arg[0], &is_cased));
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    if (items->n == 0)
        return mu_j_undefined_hint(J, "No aggregated item, sequence was empty.", out);
    MU_TRY_RETURN(keys_of(J, items, &c->arg[1], NULL, is_cased, &keys));
    for (size_t i = 1; i < items->n; i++) {
        MU_TRY_RETURN(mu_j_less(J, &keys[i], &keys[best], op, &is_better));
        best = is_better ? i : best;
    }
    *out = items->v[best];
    return MU_OK;
}

FILTER(filter_min)
{
    return least(J, self, c, "<", out);
}

FILTER(filter_max)
{
    return least(J, self, c, ">", out);
}

FILTER(filter_unique)
{
    struct mu_jlist *items;
    struct mu_jv *keys, seen, value, kept;
    bool is_cased, is_seen;

    MU_TRY_RETURN(truth_of(J, &c->arg[0], &is_cased));
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    MU_TRY_RETURN(keys_of(J, items, &c->arg[1], NULL, is_cased, &keys));
    MU_TRY_RETURN(mu_j_new_dict(J, &seen));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &kept));
    for (size_t i = 0; i < items->n; i++) {
        MU_TRY_RETURN(mu_j_dict_get(J, seen.dict, &keys[i], &value, &is_seen));
        if (is_seen)
            continue;
        MU_TRY_RETURN(mu_j_dict_put(J, seen.dict, keys[i], mu_j_none()));
        MU_TRY_RETURN(mu_j_push(J, kept.list, items->v[i]));
    }
    return mu_j_new_gen(J, kept.list, out);
}

/* ---- groups ---- */

FILTER(filter_groupby)
{
    struct mu_jv items, *keys = NULL, group, list, grouper;
    const struct mu_jv *attr = &c->arg[0], *otherwise = &c->arg[1];
    bool is_cased, is_same;

    MU_TRY_RETURN(truth_of(J, &c->arg[2], &is_cased));
    MU_TRY_RETURN(copy_items(J, self, &items));
    MU_TRY_RETURN(keys_of(J, items.list, attr, otherwise, is_cased, &keys));
    MU_TRY_RETURN(mu_j_sort(J, items.list->v, keys, items.list->n, false));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, out));
    for (size_t i = 0, from = 0; i < items.list->n; i++) {
        is_same = i > 0;
        if (is_same)
            MU_TRY_RETURN(mu_j_equal(J, &keys[from], &keys[i], &is_same));
        if (!is_same) {
            from = i;
            MU_TRY_RETURN(attribute_of(J, &items.list->v[i], attr, otherwise, &grouper));
            MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &list));
            MU_TRY_RETURN(mu_j_pair(J, is_cased ? keys[i] : grouper, list, &group));
            group.list->view = "group";
            MU_TRY_RETURN(mu_j_push(J, out->list, group));
        }
        MU_TRY_RETURN(mu_j_push(J, list.list, items.list->v[i]));
    }
    return MU_OK;
}

static int want_count(struct mu_jin *J, const struct mu_jv *v, const char *what, int64_t *out)
{
    MU_TRY_RETURN(mu_j_want_int(J, v, what, out));
    if (*out > SLICES_MAX)
        return mu_j_fail(J, MU_ELIMIT, "%s is %lld, at most %d is supported", what, (long long)*out, SLICES_MAX);
    return MU_OK;
}

FILTER(filter_batch)
{
    struct mu_jlist *items;
    struct mu_jv rows, row = {0};
    int64_t size;
    bool has_fill = c->arg[1].t != J_MISSING && c->arg[1].t != J_NONE;

    MU_TRY_RETURN(want_count(J, &c->arg[0], "linecount", &size));
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &rows));
    for (size_t i = 0; i < items->n; i++) {
        if (i == 0 || (int64_t)row.list->n == size) {
            if (i == 0 && size == 0) { /* as Jinja2: an empty row first, then everything */
                MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &row));
                MU_TRY_RETURN(mu_j_push(J, rows.list, row));
            }
            MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &row));
            MU_TRY_RETURN(mu_j_push(J, rows.list, row));
        }
        MU_TRY_RETURN(mu_j_push(J, row.list, items->v[i]));
    }
    while (has_fill && items->n > 0 && (int64_t)row.list->n < size)
        MU_TRY_RETURN(mu_j_push(J, row.list, c->arg[1]));
    return mu_j_new_gen(J, rows.list, out);
}

FILTER(filter_slice)
{
    struct mu_jlist *items;
    struct mu_jv rows, row;
    int64_t slices;
    bool has_fill = c->arg[1].t != J_MISSING && c->arg[1].t != J_NONE;

    MU_TRY_RETURN(want_count(J, &c->arg[0], "slices", &slices));
    if (slices == 0)
        return mu_j_fail(J, MU_EINVAL, "integer division or modulo by zero");
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &rows));
    for (int64_t s = 0, at = 0; s < slices; s++) {
        bool is_longer = s < (int64_t)items->n % slices;
        int64_t n = (int64_t)items->n / slices + is_longer;
        MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &row));
        for (int64_t i = 0; i < n; i++)
            MU_TRY_RETURN(mu_j_push(J, row.list, items->v[at++]));
        if (has_fill && !is_longer)
            MU_TRY_RETURN(mu_j_push(J, row.list, c->arg[1]));
        MU_TRY_RETURN(mu_j_push(J, rows.list, row));
    }
    return mu_j_new_gen(J, rows.list, out);
}

/* ---- map, select, reject ---- */

/* The call without its first n positional arguments. Fresh each time: a call binds its arguments in place. */
static struct mu_jcall rest_of(const struct mu_jcall *c, size_t n)
{
    return (struct mu_jcall){.pos = c->pos + n, .n_pos = c->n_pos - n, .kw = c->kw, .n_kw = c->n_kw};
}

static const struct mu_jv *keyword(const struct mu_jcall *c, const char *name)
{
    for (size_t i = 0; i < c->n_kw; i++)
        if (mu_str_eq(c->kw[i].name, mu_str(name)))
            return &c->kw[i].value;
    return NULL;
}

static int map_attribute(struct mu_jin *J, const struct mu_jlist *items, const struct mu_jcall *c, struct mu_jlist *out)
{
    const struct mu_jv *attr = keyword(c, "attribute"), *otherwise = keyword(c, "default");
    struct mu_jv v;
    if (c->n_kw != 1u + (otherwise != NULL))
        return mu_j_fail(J, MU_EINVAL, "map(attribute=...) takes no other argument than default");
    for (size_t i = 0; i < items->n; i++) {
        MU_TRY_RETURN(attribute_of(J, &items->v[i], attr, otherwise, &v));
        MU_TRY_RETURN(mu_j_push(J, out, v));
    }
    return MU_OK;
}

static int map_filter(struct mu_jin *J, const struct mu_jlist *items, const struct mu_jcall *c, struct mu_jlist *out)
{
    struct mu_str name;
    struct mu_jv v;
    if (c->n_pos == 0)
        return mu_j_fail(J, MU_EINVAL, "map requires a filter argument");
    MU_TRY_RETURN(mu_j_want_str(J, &c->pos[0], "the filter of map", &name));
    const struct mu_jfn *fn = mu_j_find_filter(J->t, name);
    if (!fn)
        return mu_j_fail(J, MU_EINVAL, "No filter named '%.*s'.", MU_STR_ARG(name));
    for (size_t i = 0; i < items->n; i++) {
        struct mu_jcall rest = rest_of(c, 1);
        MU_TRY_RETURN(mu_j_run(J, fn, &items->v[i], &rest, &v));
        MU_TRY_RETURN(mu_j_push(J, out, v));
    }
    return MU_OK;
}

FILTER(filter_map)
{
    struct mu_jv mapped;
    struct mu_jlist *items;
    bool is_any;
    MU_TRY_RETURN(mu_j_truth(J, self, &is_any));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &mapped));
    if (is_any) {
        MU_TRY_RETURN(mu_j_items(J, self, &items));
        MU_TRY_RETURN(c->n_pos == 0 && keyword(c, "attribute") ? map_attribute(J, items, c, mapped.list)
                                                               : map_filter(J, items, c, mapped.list));
    }
    return mu_j_new_gen(J, mapped.list, out);
}

/* Items for which the test, of the item or of an attribute, says `want`. */
static int choose(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, bool by_attribute, bool want,
                  struct mu_jv *out)
{
    const struct mu_jfn *fn = NULL;
    struct mu_jlist *items, none = {0};
    struct mu_jv attr = {0}, chosen, v, verdict;
    struct mu_str name;
    size_t skip = by_attribute;
    bool is_true;

    MU_TRY_RETURN(mu_j_truth(J, self, &is_true));
    if (!is_true)
        return mu_j_new_gen(J, &none, out);
    if (by_attribute && c->n_pos == 0)
        return mu_j_fail(J, MU_EINVAL, "Missing parameter for attribute name");
    if (by_attribute)
        attr = c->pos[0];
    if (c->n_pos > skip) {
        MU_TRY_RETURN(mu_j_want_str(J, &c->pos[skip], "the name of a test", &name));
        fn = mu_j_find_test(J->t, name);
        if (!fn)
            return mu_j_fail(J, MU_EINVAL, "No test named '%.*s'.", MU_STR_ARG(name));
    }
    MU_TRY_RETURN(mu_j_items(J, self, &items));
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, 0, &chosen));
    for (size_t i = 0; i < items->n; i++) {
        MU_TRY_RETURN(attribute_of(J, &items->v[i], &attr, NULL, &v));
        verdict = v;
        if (fn) {
            struct mu_jcall rest = rest_of(c, skip + 1);
            MU_TRY_RETURN(mu_j_run(J, fn, &v, &rest, &verdict));
        }
        MU_TRY_RETURN(mu_j_truth(J, &verdict, &is_true));
        if (is_true == want)
            MU_TRY_RETURN(mu_j_push(J, chosen.list, items->v[i]));
    }
    return mu_j_new_gen(J, chosen.list, out);
}

FILTER(filter_select)
{
    return choose(J, self, c, false, true, out);
}

FILTER(filter_reject)
{
    return choose(J, self, c, false, false, out);
}

FILTER(filter_selectattr)
{
    return choose(J, self, c, true, true, out);
}

FILTER(filter_rejectattr)
{
    return choose(J, self, c, true, false, out);
}

const struct mu_jfn mu_j_filters_sequence[] = {
    {"length", "", filter_length, 0},
    {"count", "", filter_length, 0},
    {"first", "", filter_first, 0},
    {"last", "", filter_last, 0},
    {"list", "", filter_list, 0},
    {"items", "", filter_items, 0},
    {"reverse", "", filter_reverse, 0},
    {"join", "d? attribute?", filter_join, 0},
    {"sum", "attribute? start?", filter_sum, 0},
    {"sort", "reverse? case_sensitive? attribute?", filter_sort, 0},
    {"dictsort", "case_sensitive? by? reverse?", filter_dictsort, 0},
    {"min", "case_sensitive? attribute?", filter_min, 0},
    {"max", "case_sensitive? attribute?", filter_max, 0},
    {"unique", "case_sensitive? attribute?", filter_unique, 0},
    {"groupby", "attribute default? case_sensitive?", filter_groupby, 0},
    {"batch", "linecount fill_with?", filter_batch, 0},
    {"slice", "slices fill_with?", filter_slice, 0},
    {"map", "*", filter_map, 0},
    {"select", "*", filter_select, 0},
    {"reject", "*", filter_reject, 0},
    {"selectattr", "*", filter_selectattr, 0},
    {"rejectattr", "*", filter_rejectattr, 0},
    {NULL, NULL, NULL, 0},
};

const struct mu_jfn *mu_j_find_filter(const struct mu_jinja *t, struct mu_str name)
{
    const struct mu_jfn *tables[] = {mu_j_filters_text, mu_j_filters_sequence, mu_j_filters_value};
    for (size_t i = 0; i < MU_COUNT(tables); i++)
        for (const struct mu_jfn *f = tables[i]; f->name; f++) {
            bool is_here = f->only == MU_J_CHAT ? t->o.chat : f->only == MU_J_TASK ? t->o.task : true;
            if (is_here && mu_str_eq(name, mu_str(f->name)))
                return f;
        }
    return NULL;
}
