/* filter.h - what stands between a response and its measure
 *
 * A filter takes the responses of all documents at once: an array over requests, each an array over repeats (or what
 * an earlier step made of it), and the documents of those requests; it yields the same outer shape. Names and
 * behaviour: lm_eval/filters. One file a filter. */
#ifndef MU_EVAL_FILTER_FILTER_H
#define MU_EVAL_FILTER_FILTER_H

#include <jansson.h>

#include <muster/err.h>

struct mu_filter {
    const char *name;
    /* Whether kwargs (object or NULL) are ones it knows and can use: a pattern compiles, a name is known. The sentence
     * names the field. NULL: it takes none. */
    int (*check)(const json_t *kwargs, struct mu_err *e);
    int (*apply)(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e);
};

const struct mu_filter *mu_filter_find(const char *name); /* NULL: unknown */
const struct mu_filter *mu_filter_at(int i);              /* NULL past the last */

#endif
