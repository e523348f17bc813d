/* worker_line.h - what an orchestrator and its workers say to each other: JSON, one object a line
 *
 * To a worker, `muster work`:
 *   {"task": 17, "config": "/runs/a/mmlu/task.json"}   run this; the file is as of `muster eval --config`
 * From it:
 *   {"alive": 17, "done": 120, "total": 400, "per_s": 3.5}   every second, while it lives: task (-1: none), requests,
 *                                                            rate; total 0: not known yet
 *   {"begun": 17, "done": 40, "documents": 100}              its model is open and requests are computed from now on:
 *                                                            40 had their answers, of a task of 100 documents
 *   {"ended": 17, "status": 0, "why": ""}                    the task's exit status (docs), and its last sentence;
 *                                                            with "load_s": 2.5 where it had to open its model
 *
 * The next sign of life after the first new answer comes at once. One task at a time. A worker keeps its model between
 * tasks of the same model options. It ends when its input ends, or by SIGTERM, SIGINT and SIGUSR1 after the running
 * step, with the task's answers so far in its journal. */
#ifndef MU_SCHED_WORKER_LINE_H
#define MU_SCHED_WORKER_LINE_H

#include <stdint.h>

#include "base/buf.h"

#define MU_WORKER_BEAT_NS    1000000000ll  /* between signs of life */
#define MU_WORKER_SILENT_NS  10000000000ll /* one that says nothing for so long is taken for lost */
#define MU_WORKER_WHY_BYTES  512
#define MU_WORKER_TASK_BYTES ((size_t)64 << 10) /* of a line to a worker */

enum mu_worker_line_kind { MU_LINE_TASK, MU_LINE_ALIVE, MU_LINE_BEGUN, MU_LINE_ENDED, MU_LINE_OTHER };

struct mu_worker_line {
    enum mu_worker_line_kind kind; /* OTHER: not one of ours, such as what a library prints; to be left alone */
    int64_t task;
    const char *config; /* TASK; owned by the line */
    double done, total, per_s;
    double documents; /* BEGUN: of the whole task, also where a part of it runs */
    int status;
    double load_s;                 /* ENDED: that opening the model took; 0: it was open */
    char why[MU_WORKER_WHY_BYTES]; /* valid UTF-8 */
    struct mu_buf text;            /* what config lies in */
};

/* Replaces out: one line without its end. ENDED: why is cut at a character so that the line is shorter than
 * MU_WORKER_LINE_BYTES (launcher.h); bytes of it that are no UTF-8 are left out. */
int mu_worker_line_print(struct mu_buf *out, const struct mu_worker_line *l, struct mu_err *e);

/* Never fails for what stands in the line: that is OTHER. Only a want of memory is an error. */
int mu_worker_line_parse(struct mu_worker_line *out, const char *line, struct mu_err *e);
void mu_worker_line_fini(struct mu_worker_line *l);

#endif
