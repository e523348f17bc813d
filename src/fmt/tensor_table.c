/* tensor_table.c - see tensor_table.h */
#include "fmt/tensor_table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#define FIRST_CAP 64

static int grow(struct mu_tensor_table *t, struct mu_err *e)
{
    int64_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
    size_t bytes = (size_t)cap * sizeof *t->items;
    struct mu_tensor_info *items = mu_realloc(t->items, bytes);
    if (!items)
        return mu_fail_nomem(e, bytes, "the list of tensors");
    t->items = items;
    t->cap = cap;
    return MU_OK;
}

int mu_tensor_table_add(struct mu_tensor_table *t, const struct mu_tensor_info *info, struct mu_str name,
                        const char *where, struct mu_err *e)
{
    if (t->n >= MU_TENSORS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s holds more than %d tensors", where, MU_TENSORS_MAX);
    if (t->n == t->cap)
        MU_TRY_RETURN(grow(t, e));
    char *copy = mu_arena_strdup(&t->names, name, e);
    if (!copy)
        return name.n + 1 > t->names.bytes_max - t->names.bytes_used ? MU_ELIMIT : MU_ENOMEM;
    t->items[t->n] = *info;
    t->items[t->n++].name = copy;
    return MU_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct mu_tensor_info *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->n_bytes != y->n_bytes) /* an empty tensor lies before the one that starts at the same byte */
        return x->n_bytes < y->n_bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The slot of `name`, or the empty one where it belongs. */
static uint32_t *slot_of(const struct mu_tensor_table *t, const char *name)
{
    uint64_t i = mu_hash64(name, strlen(name), 0) & (t->n_slots - 1);
    while (t->slots[i] && strcmp(t->items[t->slots[i] - 1].name, name) != 0)
        i = (i + 1) & (t->n_slots - 1);
    return &t->slots[i];
}

int mu_tensor_table_finish(struct mu_tensor_table *t, const char *where, struct mu_err *e)
{
    if (t->n > 1)
        qsort(t->items, (size_t)t->n, sizeof *t->items, by_place);
    t->n_slots = FIRST_CAP;
    while (t->n_slots < (uint64_t)t->n * 2)
        t->n_slots *= 2;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->slots, t->n_slots, "the index of tensor names", e));
    for (int64_t i = 0; i < t->n; i++) {
        uint32_t *slot = slot_of(t, t->items[i].name);
        if (*slot)
            return mu_fail(e, MU_EFORMAT, "%s holds tensor \"%s\" twice", where, t->items[i].name);
        *slot = (uint32_t)i + 1;
    }
    return MU_OK;
}

const struct mu_tensor_info *mu_tensor_table_find(const struct mu_tensor_table *t, const char *name)
{
    uint32_t at = t->slots ? *slot_of(t, name) : 0;
    return at ? &t->items[at - 1] : NULL;
}

void mu_tensor_table_fini(struct mu_tensor_table *t)
{
    mu_free(t->items);
    mu_free(t->slots);
    mu_arena_fini(&t->names);
    *t = (struct mu_tensor_table)MU_TENSOR_TABLE_INIT;
}

bool mu_tensor_info_measure_blocks(struct mu_tensor_info *info, uint64_t block_elems, uint64_t block_bytes)
{
    info->n_elems = 1;
    for (int i = 0; i < info->n_dims; i++)
        if (__builtin_mul_overflow(info->n_elems, info->dims[i], &info->n_elems))
            return false;
    uint64_t row = info->n_dims ? info->dims[info->n_dims - 1] : 1;
    return row % block_elems == 0 &&
           !__builtin_mul_overflow(info->n_elems / block_elems, block_bytes, &info->n_bytes) &&
           info->n_bytes <= INT64_MAX;
}

bool mu_tensor_info_measure(struct mu_tensor_info *info)
{
    return mu_tensor_info_measure_blocks(info, mu_dtype_block_elems(info->dtype), mu_dtype_block_bytes(info->dtype));
}
