/* packed.h - packed model files (fmt/packed.h): how one is written, and whether one is what this program would write
 *
 * The block is the memory of a loaded whole model: every use of mu_slots_each() where loading would place it, tables
 * left out, then the routers' correction biases, which live in host memory. Tables (rotary, ALiBi) depend on the
 * context that a run asks for and cost milliseconds: they are made anew by each run and are not in the file.
 *
 * What decides the bytes is in three names of the head: the network's description, the content of the checkpoint, and
 * the layout. The layout's is a hash over all uses with their shapes, formats and tiles, over the constants of
 * matrix.h, and over what this program makes of a small matrix in every format: packing that moves a byte gives another
 * name without anybody thinking of it. */
#ifndef MU_MODEL_PACKED_H
#define MU_MODEL_PACKED_H

#include "fmt/packed.h"
#include "model/model.h"

/* Raised when the loader puts other numbers at the same places (tests/model/packed.txt finds the one that forgot). */
#define MU_PACKED_LOADER_VERSION 1

/* The formats that a head names. */
int mu_packed_formats(const struct mu_packed_head *h, enum mu_wformat *format, enum mu_mla_form *mla, const char *where,
                      struct mu_err *e);

/* Whether the file is of this spec, in these formats, laid out as this program does; `where` names it. */
int mu_packed_check(const struct mu_packed_head *h, const struct mu_spec *s, enum mu_wformat format,
                    enum mu_mla_form mla, const char *where, struct mu_err *e);

/* Of a whole model: bytes of its memory without tables, and of the biases behind it. */
void mu_packed_sizes(const struct mu_spec *s, enum mu_wformat format, enum mu_mla_form mla, size_t *block,
                     size_t *biases);

/* The layout's name: sixteen hexadecimal digits. */
void mu_packed_layout(const struct mu_spec *s, enum mu_wformat format, enum mu_mla_form mla, char out[17]);

struct mu_pack_opts {
    enum mu_wformat format;
    enum mu_mla_form mla;
    mu_progress_fn progress; /* bytes read and written together; NULL: none */
    void *progress_arg;
};

/* Loads the checkpoint and writes it to path, whole or not at all; *head is what was written. Needs the memory of the
 * model. Takes the spec's content (moved). */
int mu_model_pack(const char *path, struct mu_packed_head *head, struct mu_spec *s, struct mu_weights *w,
                  struct mu_device *d, const struct mu_pack_opts *o, struct mu_err *e);

#endif
