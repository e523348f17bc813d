/* config.h - typed reading of a config.json for the architecture readers
 *
 * Every getter leaves its default when the key is absent or null, and names file, key, value and bounds when it
 * refuses. Bounds are far above any published model; they keep every later product inside 64 bits. Internal to
 * src/model. */
#ifndef MU_MODEL_CONFIG_H
#define MU_MODEL_CONFIG_H

#include "model/spec.h"

#define MU_HIDDEN_MAX    (1 << 20) /* hidden size, ffn size, heads x head dim */
#define MU_VOCAB_MAX     (1 << 24)
#define MU_POSITIONS_MAX (1 << 30) /* positions are int32 */
#define MU_HEADS_MAX     4096
#define MU_HEAD_DIM_MAX  4096

struct mu_config {
    const json_t *o;
    const char *where;
    struct mu_err *e;
};

/* The first of two keys that is there and not null; b may be NULL. */
const char *mu_config_key(const struct mu_config *c, const char *a, const char *b);

int mu_config_need(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int *out); /* required */
int mu_config_int(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int *out);
int mu_config_int64(const struct mu_config *c, const char *key, int64_t lo, int64_t hi, int64_t *out);
int mu_config_real(const struct mu_config *c, const char *key, double lo, double hi, double *out);
int mu_config_float(const struct mu_config *c, const char *key, double lo, double hi, float *out);
int mu_config_bool(const struct mu_config *c, const char *key, bool *out);
int mu_config_string(const struct mu_config *c, const char *key, const char **out);
int mu_config_act(const struct mu_config *c, const char *key, enum mu_act *out);

/* The names transformers gives activations: "silu", "gelu_new", ... */
bool mu_act_from_name(enum mu_act *out, const char *name);

/* Rotary embedding from `rope_parameters` (transformers 5) or `rope_scaling`, `rope_theta` (before). The caller has
 * set s->context (max_position_embeddings), which YaRN and dynamic scaling may extend. */
int mu_config_rope(const struct mu_config *c, struct mu_spec *s, enum mu_rope_style style, int dim,
                   double default_theta);

/* mscale^2 by which DeepSeek's attention scales q·k under YaRN; 1 without. */
int mu_config_mscale(const struct mu_config *c, double *out);

/* n_layers copies of *layer. */
int mu_spec_new_layers(struct mu_spec *s, const struct mu_layer_spec *layer, struct mu_err *e);

#endif
