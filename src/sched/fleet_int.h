/* fleet_int.h - inside of the view */
#ifndef MU_SCHED_FLEET_INT_H
#define MU_SCHED_FLEET_INT_H

#include "sched/fleet.h"

/* fleet_copy.c: copies of models on devices */
int copy_add(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s);
void copy_use(struct mu_fleet *f, int copy);
void copy_leave(struct mu_fleet *f, int copy, double now_s);
void copy_drop(struct mu_fleet *f, int copy); /* must be idle */

/* Drop idle copies of the device, the one unused for longest first, until so many bytes and a place for a copy are
 * free. */
void copy_make_room(struct mu_fleet *f, int device, int64_t bytes, bool wants_place);

/* fleet_index.c: what lets choosing look only at devices and copies that may do. After each change of a device: */
void index_update(struct mu_fleet *f, int device);
void index_add_copy(struct mu_fleet *f, int copy); /* its devices are known */
void index_drop_copy(struct mu_fleet *f, int copy);
int index_check(const struct mu_fleet *f, struct mu_err *e);

/* Bytes the device could have free, the copy that is to be used again (or -1) left alone. */
int64_t fleet_room(const struct mu_fleet *f, const struct mu_fleet_device *d, int copy);

/* Whether one more copy can have a place on the device. */
bool fleet_has_place(const struct mu_fleet *f, const struct mu_fleet_device *d);

#endif
