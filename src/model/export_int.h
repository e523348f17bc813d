/* export_int.h - what export.c (tensors) and export_config.c share */
#ifndef MU_MODEL_EXPORT_INT_H
#define MU_MODEL_EXPORT_INT_H

#include "base/arena.h"
#include "model/arch.h"
#include "model/export.h"
#include "model/source.h"

/* One tensor of the GGUF file. */
struct mu_export_tensor {
    const char *from, *to;         /* its name there, and in the output */
    enum mu_part part;             /* how its rows lie there: WHOLE, PAIRED_ROPE or BLOCKS */
    const struct mu_layer_spec *l; /* NULL outside the layers */
};

struct mu_export {
    struct mu_spec spec;
    const struct mu_arch *arch;
    struct mu_weights *w;
    struct mu_names names;
    struct mu_arena strings;
    struct mu_export_tensor *v; /* by `from` */
    int64_t n, cap;
    const struct mu_tensor_info *asked; /* by the last call for a row, */
    const struct mu_export_tensor *at;  /* and which tensor it is */
};

#endif
