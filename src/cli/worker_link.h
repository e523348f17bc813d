/* worker_link.h - a worker's talk with the orchestrator that started it (sched/worker_line.h)
 *
 * A thread reads standard input and says every second that this process lives, whatever else it does: load a model,
 * run a step, score. Standard input and output are the link's alone: what others print there goes to standard error.
 *
 * When the input ends, nobody is there to work for: the process is asked to stop (interrupt.h), and ended if it has not
 * within MU_WORKER_GRACE_NS; the journal has what was finished. */
#ifndef MU_CLI_WORKER_LINK_H
#define MU_CLI_WORKER_LINK_H

#include <stdbool.h>

#include "sched/worker_line.h"

#define MU_WORKER_GRACE_NS 10000000000ll

struct mu_worker_link;

int mu_worker_link_open(struct mu_worker_link **out, struct mu_err *e);
void mu_worker_link_close(struct mu_worker_link *l); /* NULL is fine */

/* Waits for a task, the caller's to mu_worker_line_fini(). false: none comes any more, or an interrupt. One that comes
 * while another runs is refused. */
bool mu_worker_link_next(struct mu_worker_link *l, struct mu_worker_line *task);

/* Of the running task: requests, of all. */
void mu_worker_link_progress(struct mu_worker_link *l, int64_t done, int64_t total);

/* It computes from now on: done requests had their answers; documents: of the whole task. Said at once, as is the first
 * progress after it. */
void mu_worker_link_begun(struct mu_worker_link *l, int64_t done, int64_t documents);

/* How the running task ended; load_s: that opening its model took. Somebody who does not listen any more is no error.
 */
void mu_worker_link_ended(struct mu_worker_link *l, int status, double load_s, const char *why);

#endif
