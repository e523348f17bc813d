/* dataset_columns.c - one table out of the documents: the same columns everywhere, whole numbers real beside reals
 *
 * The datasets library keeps a table of columns, so a member that a document lacks is null and a column of 1 and 2.5
 * reads 1.0 and 2.5; inside lists and nested objects numbers are made alike in the same way. */
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "eval/dataset_int.h"

enum seen { SEEN_INT = 1, SEEN_REAL = 2, SEEN_OTHER = 4 };

/* What stands at one place of all documents. */
struct shape {
    unsigned seen;
    json_t *keys; /* of objects: name -> index in child; owned by table */
    struct shape **child;
    size_t n, cap;
    struct shape *item; /* of arrays */
};

struct table {
    struct mu_arena arena;
    json_t *keep; /* array of the keys objects */
    struct mu_err *e;
};

static struct shape *shape_new(struct table *t)
{
    return mu_arena_alloc(&t->arena, sizeof(struct shape), t->e);
}

static struct shape *child_at(const struct shape *s, const char *key)
{
    const json_t *at = s->keys ? json_object_get(s->keys, key) : NULL;
    return at ? s->child[json_integer_value(at)] : NULL;
}

static int child_of(struct table *t, struct shape *s, const char *key, struct shape **out)
{
    if ((*out = child_at(s, key)))
        return MU_OK;
    if (!s->keys && (!(s->keys = json_object()) || json_array_append_new(t->keep, s->keys) != 0)) {
        s->keys = NULL;
        return mu_fail_nomem(t->e, sizeof(void *), "columns");
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct shape **more = mu_arena_array(&t->arena, cap, sizeof *more, t->e);
        if (!more)
            return MU_ENOMEM;
        if (s->n)
            memcpy(more, s->child, s->n * sizeof *more);
        s->child = more;
        s->cap = cap;
    }
    *out = shape_new(t);
    if (!*out)
        return MU_ENOMEM;
    if (json_object_set_new(s->keys, key, json_integer((json_int_t)s->n)) != 0)
        return mu_fail_nomem(t->e, strlen(key), "columns");
    s->child[s->n++] = *out;
    return MU_OK;
}

static int look(struct table *t, struct shape *s, json_t *v)
{
    struct shape *below;
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_integer(v) || json_is_real(v)) {
        s->seen |= json_is_real(v) ? SEEN_REAL : SEEN_INT;
    } else if (json_is_object(v)) {
        json_object_foreach(v, key, child)
        {
            MU_TRY_RETURN(child_of(t, s, key, &below));
            MU_TRY_RETURN(look(t, below, child));
        }
    } else if (json_is_array(v)) {
        if (!s->item && !(s->item = shape_new(t)))
            return MU_ENOMEM;
        json_array_foreach(v, i, child) MU_TRY_RETURN(look(t, s->item, child));
    } else if (!json_is_null(v)) {
        s->seen |= SEEN_OTHER;
    }
    return MU_OK;
}

/* Whether anything at this place or below is to be changed. */
static bool must_change(const struct shape *s)
{
    if (s->seen == (SEEN_INT | SEEN_REAL) || (s->item && must_change(s->item)))
        return true;
    for (size_t i = 0; i < s->n; i++)
        if (must_change(s->child[i]))
            return true;
    return false;
}

/* Whole numbers of mixed places become reals, in place: nodes of a document belong to it alone. */
static int make_real(struct table *t, const struct shape *s, json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;
    int bad = 0;
    json_object_foreach(v, key, child)
    {
        const struct shape *below = child_at(s, key);
        if (json_is_integer(child) && below->seen == (SEEN_INT | SEEN_REAL))
            bad |= json_object_set_new(v, key, json_real((double)json_integer_value(child)));
        else
            MU_TRY_RETURN(make_real(t, below, child));
    }
    json_array_foreach(v, i, child)
    {
        if (json_is_integer(child) && s->item->seen == (SEEN_INT | SEEN_REAL))
            bad |= json_array_set_new(v, i, json_real((double)json_integer_value(child)));
        else
            MU_TRY_RETURN(make_real(t, s->item, child));
    }
    return bad ? mu_fail_nomem(t->e, sizeof(void *), "documents") : MU_OK;
}

/* Whether the row has just the columns, in their order. */
static bool has_columns(const json_t *columns, json_t *row)
{
    const char *key;
    json_t *value;
    json_int_t i = 0;
    json_object_foreach(row, key, value) if (json_integer_value(json_object_get(columns, key)) != i++) return false;
    return (size_t)i == json_object_size(columns);
}

static int complete(struct table *t, const json_t *columns, json_t *rows, size_t at)
{
    json_t *row = json_array_get(rows, at), *full, *value, *any;
    const char *key;
    int bad;
    if (has_columns(columns, row))
        return MU_OK;
    full = json_object();
    bad = !full;
    json_object_foreach((json_t *)(uintptr_t)columns, key, any)
    {
        value = json_object_get(row, key);
        bad = bad || json_object_set(full, key, value ? value : json_null());
    }
    if (bad)
        json_decref(full);
    bad = bad || json_array_set_new(rows, at, full);
    return bad ? mu_fail_nomem(t->e, sizeof(void *), "documents") : MU_OK;
}

int mu_dataset_columns(json_t *rows, struct mu_err *e)
{
    struct table t = {.arena = MU_ARENA_INIT("the columns of a data set", (size_t)256 << 20), .e = e};
    struct shape all = {0};
    json_t *row;
    size_t i;
    int rc = MU_OK;

    if (!(t.keep = json_array()))
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "columns"));
    json_array_foreach(rows, i, row) MU_TRY(look(&t, &all, row));
    if (must_change(&all))
        json_array_foreach(rows, i, row) MU_TRY(make_real(&t, &all, row));
    json_array_foreach(rows, i, row) if (all.keys) MU_TRY(complete(&t, all.keys, rows, i));
out:
    json_decref(t.keep);
    mu_arena_fini(&t.arena);
    return rc;
}
