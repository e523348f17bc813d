/* bundle_int.h - between the lines of a bundle and the tasks and works they become */
#ifndef MU_EVAL_BUNDLE_INT_H
#define MU_EVAL_BUNDLE_INT_H

#include "base/file.h"
#include "eval/build_int.h"
#include "eval/bundle.h"
#include "eval/task_int.h"

#define MU_BUNDLE_VERSION        1
#define MU_BUNDLE_LINE_BYTES_MAX ((size_t)256 << 20) /* one document with its requests */
#define MU_BUNDLE_REQUESTS_MAX   100000              /* of one document */

struct mu_bundle {
    const char *path;
    int64_t line; /* from 1 */
    bool is_ended;
    struct mu_err *e;
    struct mu_loader *l;
    struct mu_task_set *set;
    struct mu_arena *arena;     /* the set's */
    struct mu_builder *builder; /* one a task */
    json_t *task_at, *group_at; /* name -> index */
    int cap_tasks, cap_groups;
};

/* Whether the line has `key`, and its value or NULL. */
const char *mu_bundle_text(const json_t *line, const char *key);

int mu_bundle_task(struct mu_bundle *b, const json_t *line); /* bundle_task.c */
int mu_bundle_group(struct mu_bundle *b, json_t *line);      /* bundle_group.c */
int mu_bundle_groups_end(struct mu_bundle *b);               /* children by index; no group is inside itself */
int mu_bundle_doc(struct mu_bundle *b, const json_t *line);  /* bundle_doc.c */

/* Room for one more of n items of `size` bytes, zeroed. */
int mu_bundle_grow(void *array, int *cap, int n, size_t size, const char *what, struct mu_err *e);

#endif
