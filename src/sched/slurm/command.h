/* command.h - one command run to its end, inside a deadline
 *
 * No shell: arguments go to the program as they are. The environment is the caller's, in the C locale and without the
 * defaults that people set for Slurm's commands, so that what is printed can be read. Past the deadline the command and
 * what it started in its process group are killed; what it leaves behind when it ends in time is left alone, and not
 * waited for. */
#ifndef MU_SCHED_SLURM_COMMAND_H
#define MU_SCHED_SLURM_COMMAND_H

#include <stdint.h>

#include "base/buf.h"

#define MU_COMMAND_OUT_MAX ((size_t)64 << 20) /* a node's line is below 2 KiB, and there may be thousands */
#define MU_COMMAND_ERR_MAX ((size_t)4096)     /* the end of it is dropped */

struct mu_command_end {
    int status; /* 128 and the signal where one ended it */
    struct mu_buf out, err;
};
#define MU_COMMAND_END_INIT                                                                                            \
    {                                                                                                                  \
        0, MU_BUF_INIT("what a command printed", MU_COMMAND_OUT_MAX),                                                  \
            MU_BUF_INIT("what a command complained", MU_COMMAND_ERR_MAX)                                               \
    }

/* argv[0] is looked for in PATH. MU_ENOENT: it is not there; MU_ETIMEDOUT: killed at the deadline. A status other than
 * 0 is no error here. */
int mu_command_run(struct mu_command_end *end, const char *const *argv, int64_t timeout_ns, struct mu_err *e);
void mu_command_end_fini(struct mu_command_end *end);

#endif
