/* docs_int.h - what the functions of data sets share: fields of a document, text as Python's str changes it, json */
#ifndef MU_EVAL_DOCS_INT_H
#define MU_EVAL_DOCS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "eval/docs/processor.h"
#include <muster/err.h>

#define MU_DOC_TEXT_MAX ((size_t)64 << 20) /* a whole book stays below 4 MB */

/* A required member of a document; MU_EINVAL names it when it is absent or of another type. */
int mu_doc_text(const json_t *doc, const char *key, struct mu_str *out, struct mu_err *e);
int mu_doc_array(const json_t *doc, const char *key, const json_t **out, struct mu_err *e);
int mu_doc_object(const json_t *doc, const char *key, const json_t **out, struct mu_err *e);
struct mu_str mu_doc_str(const json_t *v);                                            /* "" when v is no text */
int mu_doc_item(const json_t *array, size_t i, struct mu_str *out, struct mu_err *e); /* a text in an array */

/* New values: out of memory is told, never an absent member. put and push take v, NULL included. */
int mu_doc_string(json_t **out, struct mu_str s, struct mu_err *e);
int mu_doc_put(json_t *object, const char *key, json_t *v, struct mu_err *e);
int mu_doc_push(json_t *array, json_t *v, struct mu_err *e);
int mu_doc_put_text(json_t *object, const char *key, struct mu_str s, struct mu_err *e);
int mu_doc_push_text(json_t *array, struct mu_str s, struct mu_err *e);

/* dataset.map(fn): every document copied, `into` being the copy that fn adds its columns to. */
int mu_doc_map(const json_t *docs, int (*fn)(const json_t *doc, json_t *into, struct mu_err *e), json_t **out,
               struct mu_err *e);

/* What a filter does to one response: the new text appended to out. */
typedef int (*mu_doc_response_fn)(void *arg, const json_t *doc, struct mu_str response, struct mu_buf *out,
                                  struct mu_err *e);
/* A filter over the responses of all documents. */
int mu_doc_filter(const json_t *resps, const json_t *docs, mu_doc_response_fn fn, void *arg, json_t **out,
                  struct mu_err *e);

/* Text in a buffer, changed in place. */
int mu_doc_set(struct mu_buf *b, struct mu_str s, struct mu_err *e);                       /* b = s */
int mu_doc_replace(struct mu_buf *b, const char *old, const char *with, struct mu_err *e); /* str.replace */
int mu_doc_capitalize(struct mu_buf *out, struct mu_str s, struct mu_err *e);              /* appended */
struct mu_str mu_doc_strip(struct mu_str s);                                               /* str.strip() */
bool mu_doc_next_word(struct mu_str s, size_t *at, struct mu_str *word);                   /* str.split() */

/* Whether float(s) takes it, and its value (infinities and NaN too). */
bool mu_doc_float(struct mu_str s, double *out);

/* pass@k over programs run in the sandbox (pass_at_k.c): references are tests, predictions lists of candidates, k an
 * array of counts. *out: object "pass@k" -> share. */
int mu_doc_pass_at_k(const json_t *references, const json_t *predictions, const json_t *k, struct mu_sandbox *sandbox,
                     json_t **out, struct mu_err *e);

#endif
