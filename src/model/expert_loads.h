/* expert_loads.h - how many rows each expert of each layer computed, as a run counts them and a later one reads them
 *
 * A file is JSON: {"muster": "expert loads", "version": 1, "weights": HASH, "layers": [{"layer": 3, "rows": [12, 0]}]},
 * one entry for each layer that has experts, in order. The hash (mu_model_content_hash()) says whose rows they were. */
#ifndef MU_MODEL_EXPERT_LOADS_H
#define MU_MODEL_EXPERT_LOADS_H

#include "model/spec.h"

#define MU_EXPERT_LOADS_VERSION 1
#define MU_EXPERT_LOADS_HASH    64 /* bytes that a hash in a file may have, its NUL among them */

struct mu_expert_loads {
    int n_layers, stride; /* stride: the most experts of a layer */
    double *rows;         /* [n_layers][stride] */
    char weights_hash[MU_EXPERT_LOADS_HASH];
};

/* The most experts of a layer: 0 for a network without. */
int mu_experts_most(const struct mu_spec *s);

/* All rows 0. */
int mu_expert_loads_new(struct mu_expert_loads *out, const struct mu_spec *s, struct mu_err *e);
void mu_expert_loads_fini(struct mu_expert_loads *l);

/* MU_EFORMAT when the file is no such file or counts other layers and experts than the network has. */
int mu_expert_loads_read(struct mu_expert_loads *out, const char *path, const struct mu_spec *s, struct mu_err *e);
int mu_expert_loads_parse(struct mu_expert_loads *out, struct mu_str text, const char *where, const struct mu_spec *s,
                          struct mu_err *e);

/* rows [n_layers][mu_experts_most()]. */
int mu_expert_loads_write(const char *path, const struct mu_spec *s, const int64_t *rows, const char *weights_hash,
                          struct mu_err *e);

#endif
