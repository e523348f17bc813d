/* map_copy.h - copying out of a mapped file that may be cut short at any moment */
#ifndef MU_FMT_MAP_COPY_H
#define MU_FMT_MAP_COPY_H

#include "base/file.h"

/* n bytes of f from offset, through its map. Exact, or the error that reading the file gives. Any thread. */
int mu_map_copy(void *dst, const struct mu_map *m, const struct mu_file *f, uint64_t offset, size_t n,
                struct mu_err *e);

#endif
