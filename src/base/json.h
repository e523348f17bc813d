/* json.h - the one JSON reader (jansson) and typed getters whose errors name file, key and value
 *
 * Trees are jansson's json_t; free with json_decref(). Integers beyond 64 bits (tokenizer_config.json holds
 * 1e30 as model_max_length) are read as reals. Getters: `where` is the file or object named in the sentence. */
#ifndef MU_BASE_JSON_H
#define MU_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

#define MU_JSON_BYTES_MAX ((size_t)256 << 20) /* the largest published tokenizer.json is 35 MB */

/* Trees made with jansson's own calls before anything was read must be on our heap too: call this first. */
void mu_json_init(void);

int mu_json_parse(json_t **out, struct mu_str text, const char *where, struct mu_err *e);
int mu_json_load(json_t **out, const char *path, struct mu_err *e);

/* As mu_json_parse(), but a key that an object holds twice is MU_EFORMAT, and so is an integer beyond 64 bits. */
int mu_json_parse_strict(json_t **out, struct mu_str text, const char *where, struct mu_err *e);

/* Text of a tree, compact or indented by two, keys in insertion order, UTF-8 unescaped, reals in the shortest
 * form that reads back the same. */
int mu_json_dump(struct mu_buf *out, const json_t *v, bool indent, struct mu_err *e);
int mu_json_dump_string(struct mu_buf *out, struct mu_str s, struct mu_err *e); /* quoted and escaped */

/* A required member. MU_EFORMAT when absent, of another type or outside [lo, hi]. */
int mu_json_int(const json_t *obj, const char *key, int64_t lo, int64_t hi, int64_t *out, const char *where,
                struct mu_err *e);
int mu_json_real(const json_t *obj, const char *key, double lo, double hi, double *out, const char *where,
                 struct mu_err *e);
int mu_json_bool(const json_t *obj, const char *key, bool *out, const char *where, struct mu_err *e);
int mu_json_string(const json_t *obj, const char *key, const char **out, const char *where, struct mu_err *e);
int mu_json_object(const json_t *obj, const char *key, json_t **out, const char *where, struct mu_err *e);
int mu_json_array(const json_t *obj, const char *key, json_t **out, const char *where, struct mu_err *e);

/* Whether the member is there and not null: `if (mu_json_has(o, k)) MU_TRY(mu_json_int(...))` leaves a default. */
bool mu_json_has(const json_t *obj, const char *key);

#endif
