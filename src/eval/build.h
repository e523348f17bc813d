/* build.h - documents to requests: fields, few-shot prompts, chat templates
 *
 * Source: lm_eval/api/task.py (fewshot_context, build_qa_turn, construct_requests), lm_eval/api/samplers.py,
 * lm_eval/api/utils.py (maybe_delimit, requires_delimiter, multiturn_to_singleturn). World size 1. */
#ifndef MU_EVAL_BUILD_H
#define MU_EVAL_BUILD_H

#include "eval/work.h"

struct mu_chat; /* tok/chat.h */

#define MU_BUILD_TEXT_BYTES_MAX                                                                                        \
    ((size_t)8 << 30) /* different texts of one task: 500 prompts of 128k tokens have 0.3 GB */

struct mu_build_opts {
    int num_fewshot;        /* -1: the task's own. A task whose file says 0 keeps 0 */
    double limit;           /* 0: all; below 1 a share, rounded up; else a count */
    const int64_t *doc_ids; /* evaluate these documents only (then limit is 0), or NULL; increasing */
    int n_doc_ids;
    int64_t fewshot_seed;           /* 1234 */
    const char *system_instruction; /* NULL: none */
    const struct mu_chat *chat;     /* NULL: no chat template */
    const json_t *chat_variables;   /* for the template, or NULL */
    bool fewshot_as_multiturn;      /* shots as turns; the harness's default with a chat template */
    const json_t *gen_kwargs;       /* object laid over the task's generation_kwargs, or NULL */
    bool predict_only;              /* every metric becomes "bypass" */
    const char *const *data_dirs;
    int n_data_dirs;
};

#define MU_BUILD_OPTS_INIT                                                                                             \
    {                                                                                                                  \
        .num_fewshot = -1, .fewshot_seed = 1234, .fewshot_as_multiturn = true                                          \
    }

/* Errors name task, document and field: "task arc_easy, document 4711, doc_to_text: ...". */
int mu_work_build(const struct mu_task *t, const struct mu_build_opts *o, struct mu_work **out, struct mu_err *e);

/* The same with documents at hand: docs begins with the first document of the evaluated split, which has n_original of
 * them; fewshot_docs (NULL when no shots are asked for) is the pool of shots. Both are arrays, borrowed. */
int mu_work_build_from(const struct mu_task *t, const struct mu_build_opts *o, const json_t *docs,
                       const json_t *fewshot_docs, int64_t n_original, struct mu_work **out, struct mu_err *e);

#endif
