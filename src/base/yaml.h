/* yaml.h - the one YAML reader (libyaml): a json_t tree that knows where it came from
 *
 * Reads what PyYAML's safe_load reads and gives plain scalars the same types (YAML 1.1: yes, no, on and off are
 * booleans, 010 is 8, 1:30 is 90, 1e3 is text); dates stay text. Keys become text: 1 is "1", true is "true", null is
 * "null". Of equal keys the last one wins. Anchors, aliases and merge keys (<<) are followed; a node used twice is one
 * json_t twice. A scalar with a tag of its own (!function utils.process) is text, its tag is kept beside it. Infinities
 * and NaN are refused: JSON has none. One document a file. Errors: "FILE, line N, column M: ...".
 *
 * Lines count from 1. The singletons true, false and null have no line of their own: ask by key or index. */
#ifndef MU_BASE_YAML_H
#define MU_BASE_YAML_H

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_YAML_BYTES_MAX ((size_t)16 << 20) /* task files with all their shots written out stay below 1 MB */
#define MU_YAML_NODES_MAX 1000000            /* with aliases expanded: a bomb of nine lines has 10^9 */
#define MU_YAML_DEPTH_MAX 100

struct mu_yaml;

int mu_yaml_load(struct mu_yaml **out, const char *path, struct mu_err *e);
int mu_yaml_parse(struct mu_yaml **out, struct mu_str text, const char *name,
                  struct mu_err *e);  /* name: in sentences */
void mu_yaml_free(struct mu_yaml *y); /* NULL is fine */

json_t *mu_yaml_root(const struct mu_yaml *y); /* borrowed until free; an empty document is null */

/* Where a node, the key of a member, or an item of an array stands; 0 when not known. */
int mu_yaml_line(const struct mu_yaml *y, const json_t *node);
int mu_yaml_key_line(const struct mu_yaml *y, const json_t *object, const char *key);
int mu_yaml_item_line(const struct mu_yaml *y, const json_t *array, size_t i);

/* "!function" of a node written with such a tag, else NULL. Borrowed until free. */
const char *mu_yaml_tag(const struct mu_yaml *y, const json_t *node);

#endif
