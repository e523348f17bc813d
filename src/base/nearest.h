/* nearest.h - the known name that looks most like an unknown one, for "did you mean" */
#ifndef MU_BASE_NEAREST_H
#define MU_BASE_NEAREST_H

#include "base/buf.h"

#define MU_NAME_FAR 40 /* the distance of names longer than this */

int mu_name_distance(struct mu_str a, const char *b); /* Levenshtein's, in bytes */

/* Of a list ended by NULL; NULL when none is near: more than a third of the letters would be wrong. */
const char *mu_name_nearest(const char *const *names, const char *name);

#endif
