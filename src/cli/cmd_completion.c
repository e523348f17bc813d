/* cmd_completion.c - `muster completion`: the shell's completion script */
#include "cli/cmd.h"

static int completion_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    (void)args, (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "completion takes no operands, %d were given", n_operands);
    mu_completion_print(stdout, mu_commands());
    return MU_OK;
}

static const struct mu_opt completion_opts[] = {{.type = MU_OPT_END}};

const struct mu_cmd mu_cmd_completion = {
    .name = "completion",
    .summary = "print the completion script for bash",
    .operands = "",
    .story = "Prints a script that completes commands, options and their choices. Load it with "
             "eval \"$(muster completion)\", or save it under bash-completion's folder.",
    .opts = completion_opts,
    .args_size = 1,
    .run = completion_run,
};
