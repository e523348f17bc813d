/* bundle.h - frozen requests: what lm-evaluation-harness built, run without Python
 *
 * JSON Lines, written by tools/export_bundle.py where lm-eval is installed; the format is docs/bundle.md. A bundle
 * holds tasks and groups with their scoring rules, documents with doc_id, doc, target and hashes, and requests with
 * their final texts. */
#ifndef MU_EVAL_BUNDLE_H
#define MU_EVAL_BUNDLE_H

#include "eval/work.h"

/* *works: array of (*set)->n_tasks works, each the caller's; free the set after them. */
int mu_bundle_load(const char *path, struct mu_task_set **set, struct mu_work ***works, struct mu_err *e);
void mu_works_free(struct mu_work **works, int n);

#endif
