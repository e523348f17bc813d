/* children.h - processes that launchers start: lines to them and from them, their ends
 *
 * A child leads a process group, so that what it starts ends with it. The kernel kills it when the process that started
 * it dies: an orchestrator that is killed leaves nobody behind that would write beside its successor's workers. Waiting
 * is a poll over process descriptors and pipes: no signal handler, no other child touched. */
#ifndef MU_SCHED_LOCAL_CHILDREN_H
#define MU_SCHED_LOCAL_CHILDREN_H

#include <sys/types.h>

#include "sched/launcher.h"

#define MU_CHILD_LOG_BYTES 4096 /* of a path */

struct mu_child {
    pid_t pid;
    int watch, in, out; /* its end; a socket to its input; a pipe from its output, -1: closed */
    off_t log_from;     /* what stood in its log before */
    char log[MU_CHILD_LOG_BYTES];
    char text[MU_WORKER_LINE_BYTES]; /* of its output, from here on: n_text bytes, lines not yet told */
    size_t n_text;
    bool has_own;      /* processes in groups of their own */
    int64_t doomed_ns; /* since when it is being ended; 0: not */
    bool is_pressed;   /* was asked a second time */
    bool is_cut;       /* the rest of a line that was too long is left out */
};

struct mu_children {
    struct mu_child *child; /* [MU_WORKERS_MAX], n of them */
    struct pollfd *fd;      /* two of each */
    int n;
    const char *const *not_own; /* how lines of a log begin that are a launcher's, told only where there are no others;
                                 * ends with NULL; NULL: none */
};

int mu_children_open(struct mu_children *c, struct mu_err *e);
void mu_children_close(struct mu_children *c); /* kills what still runs */

/* argv[0] is looked for in PATH. has_own: it will have processes in groups of their own. */
int mu_children_start(struct mu_children *c, const char *const *argv, const char *log, bool has_own, pid_t *pid,
                      struct mu_err *e);
void mu_children_say(struct mu_children *c, pid_t pid, const char *line);
void mu_children_hang_up(struct mu_children *c, pid_t pid); /* its input ends */
bool mu_children_wait(struct mu_children *c, int64_t timeout_ns, struct mu_worker_told *out);

/* Ends it and what it started: its group is killed. One that has processes in other groups gets SIGTERM, and once more,
 * which to a guardian of ranks means at once (comm/launch.h); what is left after three seconds is killed. By and by,
 * within wait. */
void mu_children_end(struct mu_children *c, pid_t pid);
void mu_children_signal(struct mu_children *c, pid_t pid, int signal, bool is_group);

#endif
