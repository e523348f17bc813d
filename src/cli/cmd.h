/* cmd.h - the commands; each is one cmd_<verb>.c that defines its struct mu_cmd */
#ifndef MU_CLI_CMD_H
#define MU_CLI_CMD_H

#include "cli/opt.h"

/* X(name): in the order in which `muster --help` shows them */
#define MU_CMD_MAP(X)                                                                                                  \
    X(eval)                                                                                                            \
    X(generate)                                                                                                        \
    X(score)                                                                                                           \
    X(serve)                                                                                                           \
    X(services)                                                                                                        \
    X(tokenize)                                                                                                        \
    X(detokenize)                                                                                                      \
    X(report)                                                                                                          \
    X(tasks)                                                                                                           \
    X(models)                                                                                                          \
    X(plan)                                                                                                            \
    X(sim)                                                                                                             \
    X(run)                                                                                                             \
    X(work)                                                                                                            \
    X(status)                                                                                                          \
    X(top)                                                                                                             \
    X(control)                                                                                                         \
    X(submit)                                                                                                          \
    X(convert)                                                                                                         \
    X(bench)                                                                                                           \
    X(calibrate)                                                                                                       \
    X(doctor)                                                                                                          \
    X(manual)                                                                                                          \
    X(completion)

#define MU_CMD_DECLARE(name) extern const struct mu_cmd mu_cmd_##name;
MU_CMD_MAP(MU_CMD_DECLARE)
#undef MU_CMD_DECLARE

const struct mu_cmd *const *mu_commands(void); /* NULL-terminated */
char **mu_command_line(void);                  /* as main was given it, NULL-terminated */

#endif
