/* campaign_table.c - names to indices, arrays that grow */
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

int mu_campaign_grow(void *array, size_t *cap, size_t n, size_t size, size_t max, const char *what, struct mu_err *e)
{
    void **at = array;
    if (n < *cap)
        return MU_OK;
    if (n >= max)
        return mu_fail(e, MU_ELIMIT, "more than %zu %s", max, what);
    size_t more = MU_MIN(MU_MAX(2 * *cap, 64), max);
    void *p = mu_realloc(*at, more * size);
    if (!p)
        return mu_fail_nomem(e, more * size, what);
    *at = p;
    *cap = more;
    return MU_OK;
}

int mu_campaign_list_add(struct mu_campaign_list *l, int32_t v, size_t max, const char *what, struct mu_err *e)
{
    MU_TRY_RETURN(mu_campaign_grow(&l->p, &l->cap, l->n, sizeof *l->p, max, what, e));
    l->p[l->n++] = v;
    return MU_OK;
}

static uint64_t hash_of(const char *name)
{
    return mu_hash64(name, strlen(name), 0);
}

int mu_campaign_table_find(const struct mu_campaign_table *t, const struct mu_campaign *c, const char *name)
{
    uint64_t hash = hash_of(name);
    size_t mask = t->n_slots - 1;
    for (size_t i = hash & mask; t->n_slots && t->slot[i].index_1; i = (i + 1) & mask) {
        if (t->slot[i].hash == hash && strcmp(t->name(c, t->slot[i].index_1 - 1), name) == 0)
            return t->slot[i].index_1 - 1;
    }
    return -1;
}

static void put(struct mu_campaign_table *t, struct mu_campaign_slot s)
{
    size_t mask = t->n_slots - 1, i = s.hash & mask;
    while (t->slot[i].index_1)
        i = (i + 1) & mask;
    t->slot[i] = s;
}

static int rehash(struct mu_campaign_table *t, struct mu_err *e)
{
    struct mu_campaign_table more = {.n_slots = MU_MAX(2 * t->n_slots, 256)};
    MU_TRY_RETURN(MU_NEW_ARRAY(&more.slot, more.n_slots, "names of a campaign", e));
    for (size_t i = 0; i < t->n_slots; i++) {
        if (t->slot[i].index_1)
            put(&more, t->slot[i]);
    }
    mu_free(t->slot);
    t->slot = more.slot;
    t->n_slots = more.n_slots;
    return MU_OK;
}

int mu_campaign_table_add(struct mu_campaign_table *t, const char *name, int32_t index, struct mu_err *e)
{
    if (2 * (t->n + 1) > t->n_slots)
        MU_TRY_RETURN(rehash(t, e));
    put(t, (struct mu_campaign_slot){hash_of(name), index + 1});
    t->n++;
    return MU_OK;
}
