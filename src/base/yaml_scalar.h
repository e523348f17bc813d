/* yaml_scalar.h - the type of a plain YAML scalar, by YAML 1.1 as PyYAML reads it; for yaml.c only */
#ifndef MU_BASE_YAML_SCALAR_H
#define MU_BASE_YAML_SCALAR_H

#include <stdint.h>

#include "base/buf.h"

enum mu_yaml_type { MU_YAML_STR, MU_YAML_NULL, MU_YAML_BOOL, MU_YAML_INT, MU_YAML_FLOAT, MU_YAML_MERGE };

/* What PyYAML's resolver takes plain text for. */
enum mu_yaml_type mu_yaml_resolve(struct mu_str s);

/* Values of texts of these types; -1: the text is none (tag !!int on other text), 1: an integer beyond 64 bits, given
 * as *real instead. */
int mu_yaml_bool(struct mu_str s, int *out);
int mu_yaml_int(struct mu_str s, int64_t *out, double *real);
int mu_yaml_float(struct mu_str s, double *out);

#endif
