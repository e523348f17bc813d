/* cmd_manual.c - `muster manual [COMMAND]`: the manual pages, out of the option tables */
#include <string.h>

#include "cli/cmd.h"

static int manual_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    (void)args;
    if (n_operands == 0) {
        mu_man_print_main(stdout, mu_commands());
        return MU_OK;
    }
    if (n_operands > 1)
        return mu_fail(e, MU_EUSAGE, "manual takes one command, %d were given", n_operands);
    for (const struct mu_cmd *const *c = mu_commands(); *c; c++) {
        if (strcmp((*c)->name, operands[0]) == 0) {
            mu_man_print(stdout, *c);
            return MU_OK;
        }
    }
    return mu_fail(e, MU_EUSAGE, "there is no command \"%s\"; `muster --help` lists them", operands[0]);
}

static const struct mu_opt manual_opts[] = {{.type = MU_OPT_END}};

const struct mu_cmd mu_cmd_manual = {
    .name = "manual",
    .summary = "print a manual page in man(7) form",
    .operands = "[COMMAND]",
    .story = "Prints muster(1), or the page of one command, made from the same tables that parse the command line. "
             "`make install` puts the pages where man(1) finds them.",
    .examples = "  muster manual generate | man -l -\n",
    .opts = manual_opts,
    .args_size = 1,
    .run = manual_run,
};
