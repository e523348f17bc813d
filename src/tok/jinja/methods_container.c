/* methods_container.c - the methods of list, tuple, dict and cycler; those that change are refused in the sandbox */
#include "tok/jinja/render.h"

#define METHOD(name) static int name(struct mu_jin *J, const struct mu_jv *self, struct mu_jcall *c, struct mu_jv *out)

/* ---- list and tuple ---- */

/* Position of the item, or n. */
static int position(struct mu_jin *J, const struct mu_jlist *l, const struct mu_jv *item, size_t *at)
{
    bool is_same = false;
    for (*at = 0; *at < l->n; ++*at) {
        MU_TRY_RETURN(mu_j_equal(J, &l->v[*at], item, &is_same));
        if (is_same)
            break;
    }
    return MU_OK;
}

METHOD(list_index)
{
    size_t at;
    MU_TRY_RETURN(position(J, self->list, &c->arg[0], &at));
    if (at == self->list->n)
        return mu_j_fail(J, MU_EINVAL, "the value is not in the %s", mu_j_type_name(self));
    *out = mu_j_int((int64_t)at);
    return MU_OK;
}

METHOD(list_count)
{
    int64_t n = 0;
    bool is_same;
    for (size_t i = 0; i < self->list->n; i++) {
        MU_TRY_RETURN(mu_j_equal(J, &self->list->v[i], &c->arg[0], &is_same));
        n += is_same;
    }
    *out = mu_j_int(n);
    return MU_OK;
}

METHOD(list_copy)
{
    (void)c;
    MU_TRY_RETURN(mu_j_new_list(J, J_LIST, self->list->n, out));
    for (size_t i = 0; i < self->list->n; i++)
        MU_TRY_RETURN(mu_j_push(J, out->list, self->list->v[i]));
    return MU_OK;
}

METHOD(list_append)
{
    *out = mu_j_none();
    return mu_j_push(J, self->list, c->arg[0]);
}

METHOD(list_extend)
{
    struct mu_jlist *items;
    *out = mu_j_none();
    MU_TRY_RETURN(mu_j_items(J, &c->arg[0], &items));
    for (size_t i = 0, n = items->n; i < n; i++)
        MU_TRY_RETURN(mu_j_push(J, self->list, items->v[i]));
    return MU_OK;
}

METHOD(list_insert)
{
    struct mu_jlist *l = self->list;
    int64_t at, n = (int64_t)l->n;
    MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "the position", &at));
    at = at < 0 ? MU_MAX(at + n, 0) : MU_MIN(at, n);
    MU_TRY_RETURN(mu_j_push(J, l, c->arg[1]));
    memmove(&l->v[at + 1], &l->v[at], (size_t)(n - at) * sizeof *l->v);
    l->v[at] = c->arg[1];
    *out = mu_j_none();
    return mu_j_work(J, (size_t)(n - at) / 8);
}

static void remove_at(struct mu_jlist *l, size_t at)
{
    l->n--;
    memmove(&l->v[at], &l->v[at + 1], (l->n - at) * sizeof *l->v);
}

METHOD(list_pop)
{
    int64_t at = -1, n = (int64_t)self->list->n;
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_want_int(J, &c->arg[0], "the position", &at));
    at += at < 0 ? n : 0;
    if (at < 0 || at >= n)
        return mu_j_fail(J, MU_EINVAL, n == 0 ? "pop from empty list" : "pop index out of range");
    *out = self->list->v[at];
    remove_at(self->list, (size_t)at);
    return mu_j_work(J, (size_t)(n - at) / 8);
}

METHOD(list_remove)
{
    size_t at;
    MU_TRY_RETURN(position(J, self->list, &c->arg[0], &at));
    if (at == self->list->n)
        return mu_j_fail(J, MU_EINVAL, "list.remove(x): x not in list");
    remove_at(self->list, at);
    *out = mu_j_none();
    return MU_OK;
}

METHOD(list_clear)
{
    (void)J;
    (void)c;
    self->list->n = 0;
    *out = mu_j_none();
    return MU_OK;
}

METHOD(list_reverse)
{
    struct mu_jlist *l = self->list;
    (void)c;
    for (size_t i = 0; i < l->n / 2; i++) {
        struct mu_jv v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    *out = mu_j_none();
    return mu_j_work(J, l->n);
}

METHOD(list_sort)
{
    struct mu_jlist *l = self->list;
    bool is_reverse = false;
    struct mu_jv *keys = mu_j_alloc(J, l->n, sizeof *keys);
    MU_J_NEED(J, keys);
    if (c->arg[0].t != J_MISSING)
        MU_TRY_RETURN(mu_j_truth(J, &c->arg[0], &is_reverse));
    if (l->n > 0)
        memcpy(keys, l->v, l->n * sizeof *keys);
    *out = mu_j_none();
    return mu_j_sort(J, l->v, keys, l->n, is_reverse);
}

const struct mu_jfn mu_j_list_methods[] = {
    {"index", "value", list_index, 0},
    {"count", "value", list_count, 0},
    {"copy", "", list_copy, 0},
    {"append", "object", list_append, MU_J_CHANGES},
    {"extend", "iterable", list_extend, MU_J_CHANGES},
    {"insert", "index object", list_insert, MU_J_CHANGES},
    {"pop", "index?", list_pop, MU_J_CHANGES},
    {"remove", "value", list_remove, MU_J_CHANGES},
    {"clear", "", list_clear, MU_J_CHANGES},
    {"reverse", "", list_reverse, MU_J_CHANGES},
    {"sort", "reverse?", list_sort, MU_J_CHANGES},
    {NULL, NULL, NULL, 0},
};

const struct mu_jfn mu_j_tuple_methods[] = {
    {"index", "value", list_index, 0},
    {"count", "value", list_count, 0},
    {NULL, NULL, NULL, 0},
};

/* ---- dict ---- */

METHOD(dict_get)
{
    bool is_found;
    MU_TRY_RETURN(mu_j_dict_get(J, self->dict, &c->arg[0], out, &is_found));
    if (!is_found)
        *out = c->arg[1].t == J_MISSING ? mu_j_none() : c->arg[1];
    return MU_OK;
}

static int view(struct mu_jin *J, const struct mu_jv *self, const char *name, struct mu_jv *out)
{
    const struct mu_jdict *d = self->dict;
    struct mu_jv item;
    MU_TRY_RETURN(mu_j_new_list(J, J_VIEW, d->n, out));
    out->list->view = name;
    for (size_t i = 0; i < d->n; i++) {
        item = name[5] == 'k' ? d->at[i].key : d->at[i].value;
        if (name[5] == 'i')
            MU_TRY_RETURN(mu_j_pair(J, d->at[i].key, d->at[i].value, &item));
        MU_TRY_RETURN(mu_j_push(J, out->list, item));
    }
    return MU_OK;
}

METHOD(dict_keys)
{
    (void)c;
    return view(J, self, "dict_keys", out);
}

METHOD(dict_values)
{
    (void)c;
    return view(J, self, "dict_values", out);
}

METHOD(dict_items)
{
    (void)c;
    return view(J, self, "dict_items", out);
}

METHOD(dict_copy)
{
    (void)c;
    MU_TRY_RETURN(mu_j_new_dict(J, out));
    for (size_t i = 0; i < self->dict->n; i++)
        MU_TRY_RETURN(mu_j_dict_put(J, out->dict, self->dict->at[i].key, self->dict->at[i].value));
    return MU_OK;
}

METHOD(dict_pop)
{
    bool is_found;
    MU_TRY_RETURN(mu_j_dict_remove(J, self->dict, &c->arg[0], out, &is_found));
    if (!is_found && c->arg[1].t == J_MISSING)
        return mu_j_fail(J, MU_EINVAL, "pop(): the dict has no such key");
    if (!is_found)
        *out = c->arg[1];
    return MU_OK;
}

METHOD(dict_popitem)
{
    const struct mu_jdict *d = self->dict;
    struct mu_jv value;
    bool is_found;
    (void)c;
    if (d->n == 0)
        return mu_j_fail(J, MU_EINVAL, "popitem(): dictionary is empty");
    struct mu_jentry last = d->at[d->n - 1];
    MU_TRY_RETURN(mu_j_dict_remove(J, self->dict, &last.key, &value, &is_found));
    return mu_j_pair(J, last.key, last.value, out);
}

METHOD(dict_setdefault)
{
    bool is_found;
    MU_TRY_RETURN(mu_j_dict_get(J, self->dict, &c->arg[0], out, &is_found));
    if (is_found)
        return MU_OK;
    *out = c->arg[1].t == J_MISSING ? mu_j_none() : c->arg[1];
    return mu_j_dict_put(J, self->dict, c->arg[0], *out);
}

/* Pairs of a mapping or of an iterable of pairs, and keyword arguments, into d: dict() and dict.update(). */
int mu_j_dict_update(struct mu_jin *J, struct mu_jdict *d, const struct mu_jcall *c)
{
    struct mu_jlist *pairs, *pair;
    if (c->n_pos > 1)
        return mu_j_fail(J, MU_EINVAL, "dict expected at most 1 argument, got %zu", c->n_pos);
    if (c->n_pos == 1 && (c->pos[0].t == J_DICT || c->pos[0].t == J_NAMESPACE)) {
        const struct mu_jdict *from = c->pos[0].dict;
        for (size_t i = 0, n = from->n; i < n; i++)
            MU_TRY_RETURN(mu_j_dict_put(J, d, from->at[i].key, from->at[i].value));
    } else if (c->n_pos == 1) {
        MU_TRY_RETURN(mu_j_items(J, &c->pos[0], &pairs));
        for (size_t i = 0; i < pairs->n; i++) {
            MU_TRY_RETURN(mu_j_items(J, &pairs->v[i], &pair));
            if (pair->n != 2)
                return mu_j_fail(J, MU_EINVAL, "dictionary update sequence element #%zu has length %zu; 2 is required",
                                 i, pair->n);
            MU_TRY_RETURN(mu_j_dict_put(J, d, pair->v[0], pair->v[1]));
        }
    }
    for (size_t i = 0; i < c->n_kw; i++)
        MU_TRY_RETURN(mu_j_dict_put(J, d, mu_j_string(c->kw[i].name), c->kw[i].value));
    return MU_OK;
}

METHOD(dict_update)
{
    *out = mu_j_none();
    return mu_j_dict_update(J, self->dict, c);
}

METHOD(dict_clear)
{
    (void)J;
    (void)c;
    self->dict->n = self->dict->n_slots = 0;
    *out = mu_j_none();
    return MU_OK;
}

const struct mu_jfn mu_j_dict_methods[] = {
    {"get", "key default?", dict_get, 0},
    {"keys", "", dict_keys, 0},
    {"values", "", dict_values, 0},
    {"items", "", dict_items, 0},
    {"copy", "", dict_copy, 0},
    {"pop", "key default?", dict_pop, MU_J_CHANGES},
    {"popitem", "", dict_popitem, MU_J_CHANGES},
    {"setdefault", "key default?", dict_setdefault, MU_J_CHANGES},
    {"update", "*", dict_update, MU_J_CHANGES},
    {"clear", "", dict_clear, MU_J_CHANGES},
    {NULL, NULL, NULL, 0},
};

/* ---- cycler ---- */

METHOD(cycler_next)
{
    struct mu_jcycler *cycler = self->cycler;
    (void)J;
    (void)c;
    *out = cycler->items.v[cycler->pos];
    cycler->pos = (cycler->pos + 1) % cycler->items.n;
    return MU_OK;
}

METHOD(cycler_reset)
{
    (void)J;
    (void)c;
    self->cycler->pos = 0;
    *out = mu_j_none();
    return MU_OK;
}

const struct mu_jfn mu_j_cycler_methods[] = {
    {"next", "", cycler_next, 0},
    {"reset", "", cycler_reset, 0},
    {NULL, NULL, NULL, 0},
};
