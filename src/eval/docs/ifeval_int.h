/* ifeval_int.h - IFEval's kinds of instruction: does a response follow one? */
#ifndef MU_EVAL_DOCS_IFEVAL_INT_H
#define MU_EVAL_DOCS_IFEVAL_INT_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

/* kwargs: of the instruction. *follows is set when the code is MU_OK. */
typedef int (*mu_ifeval_check)(const json_t *kwargs, struct mu_str response, bool *follows, struct mu_err *e);

struct mu_ifeval_kind {
    const char *id;        /* "keywords:existence" */
    mu_ifeval_check check; /* NULL: needs what is not here; `missing` says what */
    const char *missing;
};

/* Ended by a row without id. */
extern const struct mu_ifeval_kind mu_ifeval_words[], mu_ifeval_format[];

/* An argument; MU_EINVAL when it is absent or empty, where the reference draws one at random. */
int mu_ifeval_text(const json_t *kwargs, const char *key, struct mu_str *out, struct mu_err *e);
int mu_ifeval_count(const json_t *kwargs, const char *key, int64_t *out, struct mu_err *e);

/* How often a pattern (re.findall) is found. */
int mu_ifeval_find_all(struct mu_str pattern, unsigned flags, struct mu_str s, int64_t *n, struct mu_err *e);

/* Whether json.loads() takes it. */
bool mu_ifeval_is_json(struct mu_str s);

#endif
