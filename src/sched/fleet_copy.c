/* fleet_copy.c - copies of models: loaded, used, idle, dropped */
#include <string.h>

#include "sched/fleet_int.h"

static void add_idle(struct mu_fleet *f, const struct mu_copy *c, int64_t sign)
{
    for (int i = 0; i < c->n; i++) {
        f->devices[c->device[i]].idle += sign * c->weights;
        index_update(f, c->device[i]);
    }
}

int copy_add(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s)
{
    int id = f->free_copies;
    struct mu_copy *c = &f->copies[id];
    f->free_copies = c->next;
    *c = (struct mu_copy){.model = n->model, .n = s->n, .users = 1, .loader = -1, .weights = n->weights};
    for (int i = 0; i < s->n; i++) {
        struct mu_fleet_device *d = &f->devices[s->device[i]];
        c->device[i] = s->device[i];
        d->free -= c->weights;
        d->models[d->n_copies] = s->n == 1 ? n->model : -1;
        d->copies[d->n_copies++] = id;
        index_update(f, s->device[i]);
    }
    index_add_copy(f, id);
    f->loads++;
    return id;
}

void copy_use(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    if (c->users++ == 0)
        add_idle(f, c, -1);
    f->reuses++;
}

void copy_leave(struct mu_fleet *f, int copy, double now_s)
{
    struct mu_copy *c = &f->copies[copy];
    if (--c->users == 0)
        add_idle(f, c, 1);
    c->used_s = now_s;
}

static void remove_from_device(struct mu_fleet_device *d, int copy)
{
    for (int i = 0; i < d->n_copies; i++) {
        if (d->copies[i] == copy) {
            d->n_copies--;
            d->copies[i] = d->copies[d->n_copies];
            d->models[i] = d->models[d->n_copies];
            return;
        }
    }
}

void copy_drop(struct mu_fleet *f, int copy)
{
    struct mu_copy *c = &f->copies[copy];
    index_drop_copy(f, copy);
    for (int i = 0; i < c->n; i++) {
        struct mu_fleet_device *d = &f->devices[c->device[i]];
        remove_from_device(d, copy);
        d->idle -= c->weights;
        d->free += c->weights;
        index_update(f, c->device[i]);
    }
    c->model = -1;
    c->next = f->free_copies;
    f->free_copies = copy;
}

static int longest_idle(const struct mu_fleet *f, const struct mu_fleet_device *d)
{
    int best = -1;
    for (int i = 0; i < d->n_copies; i++) {
        const struct mu_copy *c = &f->copies[d->copies[i]];
        if (c->users > 0)
            continue;
        if (best < 0 || c->used_s < f->copies[best].used_s ||
            (c->used_s == f->copies[best].used_s && d->copies[i] < best))
            best = d->copies[i];
    }
    return best;
}

void copy_make_room(struct mu_fleet *f, int device, int64_t bytes, bool wants_place)
{
    struct mu_fleet_device *d = &f->devices[device];
    while (d->free < bytes || (wants_place && d->n_copies == MU_DEVICE_COPIES_MAX)) {
        int copy = longest_idle(f, d);
        if (copy < 0)
            return;
        copy_drop(f, copy);
        f->evicted++;
    }
}

void mu_fleet_forget(struct mu_fleet *f, int model, const int *device, int n)
{
    const struct mu_fleet_device *d = &f->devices[device[0]];
    for (int i = 0; i < d->n_copies && model >= 0; i++) {
        const struct mu_copy *c = &f->copies[d->copies[i]];
        if (c->model != model || c->users > 0 || c->n != n ||
            memcmp(c->device, device, (size_t)n * sizeof *device) != 0)
            continue;
        copy_drop(f, d->copies[i]);
        return;
    }
}
