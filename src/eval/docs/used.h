/* used.h - the built-in functions that one task uses in place of its file's Python
 *
 * Functions of metrics, aggregations, filters and doc_to_* fields hang on those (eval/task.h). */
#ifndef MU_EVAL_DOCS_USED_H
#define MU_EVAL_DOCS_USED_H

#include "eval/docs/processor.h"

struct mu_processor {
    const struct mu_function *docs;         /* process_docs; each NULL when the file says nothing of it */
    const struct mu_function *fewshot_docs; /* fewshot_config.process_docs */
    const struct mu_function *results;      /* process_results */
    const struct mu_function *samples;      /* fewshot_config.samples */
};

#endif
