/* split.c - groups out of a group
 *
 * Members tell each other color, key and which contexts they have free; the lowest that all members of a new group have
 * free becomes its address. Groups without a common member may have the same one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/comm_int.h"

struct wish {
    int32_t color, key;
    uint64_t contexts; /* taken */
};
_Static_assert(sizeof(struct wish) <= MU_COMM_SPLIT_BYTES, "a split gathers wishes in the scratch");

struct candidate {
    int32_t key, rank;
};

static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int gather_wishes(struct mu_comm *c, int color, int key, struct wish *wishes, struct mu_err *e)
{
    wishes[c->rank] = (struct wish){color, key, c->world->contexts};
    for (int r = 0; r < c->size; r++)
        c->sizes[0][r] = sizeof *wishes;
    return mu_comm_in_all_gather(c, wishes, c->sizes[0], e);
}

/* This rank's new group. */
static int form(struct mu_comm **out, struct mu_comm *c, const struct wish *wishes, const char *name, struct mu_err *e)
{
    struct candidate *who = NULL;
    int *member = NULL;
    uint64_t taken = 0;
    int n = 0, rc = MU_OK, color = wishes[c->rank].color;

    MU_TRY(MU_NEW_ARRAY(&who, c->size, "the members of a group", e));
    MU_TRY(MU_NEW_ARRAY(&member, c->size, "the members of a group", e));
    for (int r = 0; r < c->size; r++) {
        if (wishes[r].color != color)
            continue;
        taken |= wishes[r].contexts;
        who[n++] = (struct candidate){wishes[r].key, r};
    }
    qsort(who, (size_t)n, sizeof *who, compare);
    for (int i = 0; i < n; i++)
        member[i] = c->member[who[i].rank];
    if (taken == UINT64_MAX) {
        rc = mu_fail(e, MU_ELIMIT, "group %s: its members have %d groups, the most there can be", name,
                     MU_COMM_GROUPS_MAX);
        goto out;
    }
    MU_TRY(mu_comm_group_open(out, c->world, member, n, __builtin_ctzll(~taken), name, e));
out:
    mu_free(who);
    mu_free(member);
    return rc;
}

/* All or none: a member that could not open the group would leave the others waiting for it. */
static int agree(struct mu_comm *c, int rc, const char *name, struct mu_err *e)
{
    int64_t worst = mu_comm_fault(c, rc);
    int rank, code;
    if (c->world->death.code)
        return rc;
    MU_TRY_RETURN(mu_comm_in_all_reduce(c, &worst, 1, MU_REDUCE_MAX_I64, e));
    code = mu_comm_fault_code(worst, &rank);
    if (rc != MU_OK || code == MU_OK)
        return rc;
    return mu_fail(e, code, "group %s was not opened: rank %d on %s could not (%s)", name, rank,
                   c->world->place[rank].host, mu_code_meaning(code));
}

static int split_in(struct mu_comm **out, struct mu_comm *c, int color, int key, const char *name, struct mu_err *e)
{
    struct mu_comm_world *w = c->world;
    struct wish alone, *wishes = c->size == 1 ? &alone : (struct wish *)w->work;
    struct mu_comm *group = NULL;
    bool is_open = false;
    int rc = MU_OK;

    MU_TRY_RETURN(gather_wishes(c, color, key, wishes, e));
    if (color >= 0)
        rc = form(&group, c, wishes, name, e);
    MU_TRY(agree(c, rc, name, e));
    if (w->ops->group_open) {
        if (group && group->size > 1)
            rc = w->ops->group_open(group, e);
        is_open = group && group->size > 1 && rc == MU_OK;
        MU_TRY(agree(c, rc, name, e));
    }
    *out = group;
    return MU_OK;
out:
    if (is_open && w->ops->group_close)
        w->ops->group_close(group);
    mu_comm_group_close(group);
    return rc;
}

int mu_comm_split(struct mu_comm **out, struct mu_comm *c, int color, int key, const char *name, struct mu_err *e)
{
    *out = NULL;
    MU_TRY_RETURN(mu_comm_begin(c, "split", e));
    return mu_comm_end(c, split_in(out, c, color, key, name, e));
}
