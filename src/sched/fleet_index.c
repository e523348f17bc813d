/* fleet_index.c - open devices as bits, their room as a tree, the open copies of each model as a list
 *
 * The tree is the tournament of Knuth, volume 3, 5.2.3: a node holds the most of its two children, so that the next
 * device with enough room is found in O(log devices), and that there is none by one look at the root. */
#include "base/check.h"
#include "sched/fleet_int.h"

static bool is_open(const struct mu_fleet_device *d)
{
    return mu_fleet_is_there(d) && d->n_tasks < d->tasks_max;
}

/* ---- copies ---- */

static void list_copy(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    c->previous = -1;
    c->next = f->model_copies[c->model];
    if (c->next >= 0)
        f->copies[c->next].previous = copy;
    f->model_copies[c->model] = copy;
}

static void unlist_copy(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    if (c->previous >= 0)
        f->copies[c->previous].next = c->next;
    else
        f->model_copies[c->model] = c->next;
    if (c->next >= 0)
        f->copies[c->next].previous = c->previous;
}

static void list_with_all(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    c->all_previous = -1;
    c->all_next = f->model_all[c->model];
    if (c->all_next >= 0)
        f->copies[c->all_next].all_previous = copy;
    f->model_all[c->model] = copy;
}

static void unlist_from_all(struct mu_fleet *f, const struct mu_copy *c)
{
    if (c->all_previous >= 0)
        f->copies[c->all_previous].all_next = c->all_next;
    else
        f->model_all[c->model] = c->all_next;
    if (c->all_next >= 0)
        f->copies[c->all_next].all_previous = c->all_previous;
}

void index_add_copy(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    list_with_all(f, copy);
    c->n_closed = 0;
    for (int i = 0; i < c->n; i++)
        c->n_closed += (f->open[c->device[i] / 64] >> (c->device[i] % 64) & 1) == 0;
    if (c->n_closed == 0)
        list_copy(f, copy);
}

void index_drop_copy(struct mu_fleet *f, int copy)
{
    if (f->copies[copy].n_closed == 0)
        unlist_copy(f, copy);
    unlist_from_all(f, &f->copies[copy]);
}

static void close_copies(struct mu_fleet *f, const struct mu_fleet_device *d)
{
    for (int i = 0; i < d->n_copies; i++)
        if (f->copies[d->copies[i]].n_closed++ == 0)
            unlist_copy(f, d->copies[i]);
}

static void open_copies(struct mu_fleet *f, const struct mu_fleet_device *d)
{
    for (int i = 0; i < d->n_copies; i++)
        if (--f->copies[d->copies[i]].n_closed == 0)
            list_copy(f, d->copies[i]);
}

/* ---- devices ---- */

static void set_bit(struct mu_fleet *f, int device)
{
    const struct mu_fleet_device *d = &f->devices[device];
    uint64_t bit = UINT64_C(1) << (device % 64), *word = &f->open[device / 64];
    bool was = (*word & bit) != 0, is = is_open(d);
    if (was == is)
        return;
    *word ^= bit;
    f->n_open += is ? 1 : -1;
    if (is)
        open_copies(f, d);
    else
        close_copies(f, d);
}

void index_update(struct mu_fleet *f, int device)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int at = f->n_leaves + device;
    int64_t most = is_open(d) ? d->free + d->idle : -1;
    set_bit(f, device);
    while (at > 0 && f->room[at] != most) {
        f->room[at] = most;
        at /= 2;
        most = MU_MAX(f->room[2 * at], f->room[2 * at + 1]);
    }
}

int mu_fleet_next_open(const struct mu_fleet *f, int from, int end)
{
    while (from < end) {
        uint64_t rest = f->open[from / 64] >> (from % 64);
        if (rest != 0)
            return MU_MIN(from + __builtin_ctzll(rest), end);
        from = (from / 64 + 1) * 64;
    }
    return end;
}

int mu_fleet_next_room(const struct mu_fleet *f, int from, int end, int64_t bytes)
{
    if (from >= end)
        return end;
    int at = f->n_leaves + from;
    while (f->room[at] < bytes) { /* up while it is a right child, then one to the right */
        for (; at & 1; at /= 2)
            if (at == 1)
                return end;
        at++;
    }
    while (at < f->n_leaves)
        at = f->room[2 * at] >= bytes ? 2 * at : 2 * at + 1;
    return MU_MIN(at - f->n_leaves, end);
}

/* ---- checking ---- */

static int check_copy(const struct mu_fleet *f, int copy, struct mu_err *e)
{
    const struct mu_copy *c = &f->copies[copy];
    int closed = 0, listed = 0, in_all = 0;
    for (int i = 0; i < c->n; i++)
        closed += !is_open(&f->devices[c->device[i]]);
    for (int at = f->model_copies[c->model]; at >= 0; at = f->copies[at].next)
        listed += at == copy;
    for (int at = f->model_all[c->model]; at >= 0; at = f->copies[at].all_next)
        in_all += at == copy;
    if (in_all != 1)
        return mu_fail(e, MU_EINTERNAL, "copy %d is %d times among all of its model", copy, in_all);
    if (closed != c->n_closed || listed != (closed == 0))
        return mu_fail(e, MU_EINTERNAL, "copy %d has %d closed devices, counted %d, and is listed %d times", copy,
                       closed, c->n_closed, listed);
    return MU_OK;
}

int index_check(const struct mu_fleet *f, struct mu_err *e)
{
    for (int i = 0; i < f->n_devices; i++) {
        const struct mu_fleet_device *d = &f->devices[i];
        if (f->room[f->n_leaves + i] != (is_open(d) ? d->free + d->idle : -1))
            return mu_fail(e, MU_EINTERNAL, "device %d has a wrong leaf", i);
        for (int k = 0; k < d->n_copies; k++)
            MU_TRY_RETURN(check_copy(f, d->copies[k], e));
    }
    for (int i = 1; i < f->n_leaves; i++)
        if (f->room[i] != MU_MAX(f->room[2 * i], f->room[2 * i + 1]))
            return mu_fail(e, MU_EINTERNAL, "node %d of the tree of room is wrong", i);
    return MU_OK;
}
