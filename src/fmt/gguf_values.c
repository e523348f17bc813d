/* gguf_values.c - reading metadata out of a parsed GGUF head; all bounds were checked by gguf.c */
#include <endian.h>
#include <inttypes.h>

#include "base/check.h"
#include "fmt/gguf_int.h"

static const struct {
    const char *name;
    uint64_t bytes;
} types[MU_GGUF_TYPE_N] = {
    [MU_GGUF_U8] = {"u8", 1},       [MU_GGUF_I8] = {"i8", 1},     [MU_GGUF_U16] = {"u16", 2},
    [MU_GGUF_I16] = {"i16", 2},     [MU_GGUF_U32] = {"u32", 4},   [MU_GGUF_I32] = {"i32", 4},
    [MU_GGUF_F32] = {"f32", 4},     [MU_GGUF_BOOL] = {"bool", 1}, [MU_GGUF_STRING] = {"string", 0},
    [MU_GGUF_ARRAY] = {"array", 0}, [MU_GGUF_U64] = {"u64", 8},   [MU_GGUF_I64] = {"i64", 8},
    [MU_GGUF_F64] = {"f64", 8},
};

enum { INTS = 1, REALS = 2, BOOLS = 4, STRINGS = 8 };

static int kind_of(enum mu_gguf_type t)
{
    switch (t) {
    case MU_GGUF_STRING:
        return STRINGS;
    case MU_GGUF_BOOL:
        return BOOLS;
    case MU_GGUF_F32:
    case MU_GGUF_F64:
        return REALS;
    case MU_GGUF_ARRAY:
        return 0;
    default:
        return INTS;
    }
}

uint64_t mu_gguf_type_bytes(enum mu_gguf_type t)
{
    return types[t].bytes;
}

int mu_gguf_version(const struct mu_gguf *g)
{
    return (int)g->version;
}

int64_t mu_gguf_count(const struct mu_gguf *g)
{
    return g->n_values;
}

const struct mu_gguf_value *mu_gguf_at(const struct mu_gguf *g, int64_t i)
{
    return &g->values[i];
}

const struct mu_gguf_value *mu_gguf_find(const struct mu_gguf *g, const char *key)
{
    struct mu_str k = mu_str(key);
    for (int64_t i = 0; i < g->n_values; i++)
        if (mu_str_eq(g->values[i].key, k))
            return &g->values[i];
    return NULL;
}

/* ---- one element ---- */

static uint64_t load(const unsigned char *p, uint64_t bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes);
    return le64toh(v);
}

int64_t mu_gguf_int_at(const struct mu_gguf_array *a, uint64_t i)
{
    uint64_t bytes = types[a->type].bytes, v = load(a->p + i * bytes, bytes);
    switch (a->type) {
    case MU_GGUF_I8:
        return (int8_t)v;
    case MU_GGUF_I16:
        return (int16_t)v;
    case MU_GGUF_I32:
        return (int32_t)v;
    default:
        return (int64_t)v;
    }
}

double mu_gguf_real_at(const struct mu_gguf_array *a, uint64_t i)
{
    if (a->type == MU_GGUF_F32) {
        uint32_t bits = (uint32_t)load(a->p + i * 4, 4);
        float v;
        memcpy(&v, &bits, sizeof v);
        return (double)v;
    }
    if (a->type == MU_GGUF_F64) {
        uint64_t bits = load(a->p + i * 8, 8);
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    if (a->type == MU_GGUF_U64)
        return (double)load(a->p + i * 8, 8);
    return (double)mu_gguf_int_at(a, i);
}

bool mu_gguf_next_string(struct mu_gguf_array *a, struct mu_str *out)
{
    if (a->n == 0)
        return false;
    uint64_t n = load(a->p, 8);
    *out = (struct mu_str){(const char *)a->p + 8, (size_t)n};
    a->p += 8 + n;
    a->n--;
    return true;
}

const unsigned char *mu_gguf_array_end(struct mu_gguf_array a)
{
    struct mu_gguf_array sub;
    struct mu_str s;
    if (types[a.type].bytes)
        return a.p + a.n * types[a.type].bytes;
    while (a.type == MU_GGUF_STRING ? mu_gguf_next_string(&a, &s) : mu_gguf_next_array(&a, &sub))
        ;
    return a.p;
}

bool mu_gguf_next_array(struct mu_gguf_array *a, struct mu_gguf_array *out)
{
    if (a->n == 0)
        return false;
    *out = (struct mu_gguf_array){(enum mu_gguf_type)load(a->p, 4), load(a->p + 4, 8), a->p + 12};
    a->p = mu_gguf_array_end(*out);
    a->n--;
    return true;
}

/* ---- by key ---- */

/* The value under key, of one of the kinds, an array or not. */
static int get(const struct mu_gguf *g, const char *key, int kinds, bool is_array, const char *want,
               struct mu_gguf_array *out, struct mu_err *e)
{
    const struct mu_gguf_value *v = mu_gguf_find(g, key);
    if (!v)
        return mu_fail(e, MU_ENOENT, "%s has no metadata key \"%s\", %s is needed", g->path, key, want);
    if ((v->type == MU_GGUF_ARRAY) != is_array || !(kind_of(v->items.type) & kinds))
        return mu_fail(e, MU_EFORMAT, "%s: metadata key \"%s\" is of type %s%s, %s is needed", g->path, key,
                       v->type == MU_GGUF_ARRAY ? "array of " : "", types[v->items.type].name, want);
    *out = v->items;
    return MU_OK;
}

int mu_gguf_string(const struct mu_gguf *g, const char *key, struct mu_str *out, struct mu_err *e)
{
    struct mu_gguf_array a = {MU_GGUF_U8, 0, NULL};
    MU_TRY_RETURN(get(g, key, STRINGS, false, "a string", &a, e));
    mu_gguf_next_string(&a, out);
    return MU_OK;
}

int mu_gguf_int(const struct mu_gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct mu_err *e)
{
    struct mu_gguf_array a = {MU_GGUF_U8, 0, NULL};
    MU_TRY_RETURN(get(g, key, INTS, false, "an integer", &a, e));
    int64_t v = mu_gguf_int_at(&a, 0);
    if (v < 0 && a.type == MU_GGUF_U64)
        v = INT64_MAX;
    if (v < lo || v > hi)
        return mu_fail(e, MU_EFORMAT, "%s: metadata key \"%s\" is %" PRId64 ", it must lie in %" PRId64 "..%" PRId64,
                       g->path, key, v, lo, hi);
    *out = v;
    return MU_OK;
}

int mu_gguf_real(const struct mu_gguf *g, const char *key, double *out, struct mu_err *e)
{
    struct mu_gguf_array a = {MU_GGUF_U8, 0, NULL};
    MU_TRY_RETURN(get(g, key, INTS | REALS, false, "a number", &a, e));
    *out = mu_gguf_real_at(&a, 0);
    return MU_OK;
}

int mu_gguf_bool(const struct mu_gguf *g, const char *key, bool *out, struct mu_err *e)
{
    struct mu_gguf_array a = {MU_GGUF_U8, 0, NULL};
    MU_TRY_RETURN(get(g, key, BOOLS, false, "a bool", &a, e));
    *out = a.p[0] != 0;
    return MU_OK;
}

int mu_gguf_strings(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e)
{
    return get(g, key, STRINGS, true, "an array of strings", out, e);
}

int mu_gguf_ints(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e)
{
    return get(g, key, INTS | BOOLS, true, "an array of integers", out, e);
}

int mu_gguf_reals(const struct mu_gguf *g, const char *key, struct mu_gguf_array *out, struct mu_err *e)
{
    return get(g, key, INTS | REALS, true, "an array of numbers", out, e);
}
