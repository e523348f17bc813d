/* tensor_table.h - the tensors of one or more files: a list in file and offset order, found by name
 *
 * Add all, then finish once: that sorts the list, builds the index and refuses names that are there twice.
 * Names are copied into the table. Inside src/fmt only. */
#ifndef MU_FMT_TENSOR_TABLE_H
#define MU_FMT_TENSOR_TABLE_H

#include "base/arena.h"
#include "fmt/weights.h"

#define MU_TENSOR_NAMES_BYTES_MAX ((size_t)256 << 20) /* a million names of 256 bytes */

struct mu_tensor_table {
    struct mu_tensor_info *items;
    int64_t n, cap;
    uint32_t *slots; /* open addressing by XXH3 of the name: position + 1, 0 is empty */
    uint64_t n_slots;
    struct mu_arena names;
};

#define MU_TENSOR_TABLE_INIT                                                                                           \
    {                                                                                                                  \
        NULL, 0, 0, NULL, 0, MU_ARENA_INIT("tensor names", MU_TENSOR_NAMES_BYTES_MAX)                                  \
    }

/* Appends a copy of *info under `name` (info->name is not looked at). MU_ELIMIT above MU_TENSORS_MAX; `where` is the
 * file named in the sentence. */
int mu_tensor_table_add(struct mu_tensor_table *t, const struct mu_tensor_info *info, struct mu_str name,
                        const char *where, struct mu_err *e);

/* Sorts by file, offset, size and name and builds the index. MU_EFORMAT when a name is there twice. */
int mu_tensor_table_finish(struct mu_tensor_table *t, const char *where, struct mu_err *e);

const struct mu_tensor_info *mu_tensor_table_find(const struct mu_tensor_table *t, const char *name); /* after finish */
void mu_tensor_table_fini(struct mu_tensor_table *t);

/* info->n_elems and info->n_bytes from dims and dtype: false when a product overflows 63 bits or a row (the last
 * dimension) does not hold whole blocks. */
bool mu_tensor_info_measure(struct mu_tensor_info *info);
bool mu_tensor_info_measure_blocks(struct mu_tensor_info *info, uint64_t block_elems, uint64_t block_bytes);

#endif
