/* sandbox_int.h - the ready command line of a sandbox, and running it over programs */
#ifndef MU_EVAL_SANDBOX_INT_H
#define MU_EVAL_SANDBOX_INT_H

#include "base/arena.h"
#include "eval/sandbox.h"

#define MU_SANDBOX_SECOND_NS ((int64_t)1000000000)

/* A command that reads a program at descriptor 3 and, when it is bubblewrap, tells at 4 how it ended. */
struct mu_sandbox_command {
    const char *const *argv;
    bool has_status; /* writes bubblewrap's --json-status-fd */
    int64_t timeout_ns;
    size_t output_bytes;
    int parallel;
};

struct mu_sandbox {
    struct mu_arena arena; /* owns the texts of argv */
    struct mu_sandbox_command command;
};

/* Runs the command once a program. outputs: NULL, or one buffer a program. MU_EPEER when the command could not start
 * a program at all. */
int mu_sandbox_execute(const struct mu_sandbox_command *c, const struct mu_str *programs, int n,
                       struct mu_sandbox_outcome *outcomes, struct mu_buf *outputs, struct mu_err *e);

/* Fills s->command.argv from the options: what is bound, unshared and limited (sandbox_args.c). */
int mu_sandbox_build_argv(struct mu_sandbox *s, const struct mu_sandbox_opts *o, struct mu_err *e);

#endif
