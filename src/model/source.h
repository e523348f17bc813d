/* source.h - where in a checkpoint a slot's numbers lie; internal to src/model */
#ifndef MU_MODEL_SOURCE_H
#define MU_MODEL_SOURCE_H

#include "model/arch.h"

/* A tensor seen as a matrix [rows, cols] (stacks flattened, vectors one column). Row r of the slot is row
 * first + r / run * stride + r % run of it. Transposed: row r is the column of that number, and input k is row
 * row0 + k. */
struct mu_source {
    const struct mu_tensor_info *t;
    const struct mu_tensor_info *scale; /* of F8 blocks, or NULL */
    int64_t rows, cols;
    int64_t first, run, stride;
    bool is_transposed;
    int64_t row0;
    int paired_head; /* > 0: rows of a head of this size lie in rotation pairs */
};

/* The names in use for one checkpoint. */
struct mu_names {
    const struct mu_spec *s;
    const struct mu_weights *w;
    const struct mu_slot_name *rows;
    const char *prefix; /* or NULL */
    bool is_absorbed;
};

#define MU_SLOT_NAME_BYTES 160 /* the longest pattern with its numbers is under 80 */

/* The pattern with {l} and {e} filled in, and ".bias" for ".weight" where asked; out has MU_SLOT_NAME_BYTES. */
void mu_slot_name_fill(char *out, const char *pattern, const struct mu_slot_use *u);

void mu_names_init(struct mu_names *n, const struct mu_spec *s, const struct mu_weights *w, enum mu_mla_form mla);

/* MU_ENOENT naming what was looked for, MU_EFORMAT when the shape is not the spec's. */
int mu_source_find(const struct mu_names *n, const struct mu_slot_use *u, struct mu_source *out, struct mu_err *e);

#endif
