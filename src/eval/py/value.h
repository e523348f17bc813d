/* value.h - JSON trees as Python values: str(), repr(), json.dumps(), ast.literal_eval(), and text as Python sees it */
#ifndef MU_EVAL_PY_VALUE_H
#define MU_EVAL_PY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

/* Appended to out. Texts as they are under str(), quoted inside lists and under repr(). */
int mu_py_str(struct mu_buf *out, const json_t *v, struct mu_err *e);
int mu_py_repr(struct mu_buf *out, const json_t *v, struct mu_err *e);

/* json.dumps(v, indent=indent, ensure_ascii=False); indent < 0: on one line with ", " and ": ". Reals by repr,
 * NaN and infinities cannot occur. */
int mu_py_dumps(struct mu_buf *out, const json_t *v, int indent, struct mu_err *e);

/* ast.literal_eval(text): numbers, texts (all quotings and escapes), True, False, None, lists, tuples and dicts with
 * text keys. MU_EINVAL when it is none; numbers beyond 64 bits too. */
int mu_py_literal(struct mu_str text, json_t **out, struct mu_err *e);

size_t mu_py_len(struct mu_str s);                                 /* len(): code points */
bool mu_py_isdigit(struct mu_str s);                               /* str.isdigit() */
bool mu_py_isspace(uint32_t c);                                    /* one character's str.isspace() */
struct mu_str mu_py_strip(struct mu_str s, bool left, bool right); /* white space */
int64_t mu_py_words(struct mu_str s);                              /* len(re.split(r"\s+", s)) */

/* 64 hexadecimal digits and a NUL: hashlib.sha256(s).hexdigest() */
void mu_sha256_hex(struct mu_str s, char out[65]);

#endif
