/* main.c - the list of commands, and the only place that ends the process */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/harmless.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/lost_page.h"
#include "comm/launch.h"

static const struct mu_cmd *const commands[] = {
#define MU_CMD_ROW(name) &mu_cmd_##name,
    MU_CMD_MAP(MU_CMD_ROW)
#undef MU_CMD_ROW
        NULL};

static char **command_line;

char **mu_command_line(void)
{
    return command_line;
}

const struct mu_cmd *const *mu_commands(void)
{
    return commands;
}

static const struct mu_cmd *command_find(const char *name)
{
    for (const struct mu_cmd *const *c = commands; *c; c++) {
        if (strcmp((*c)->name, name) == 0)
            return *c;
    }
    return NULL;
}

static void usage(FILE *f)
{
    fprintf(f,
            "muster %s - evaluate large language models, the same bits on any layout\n\n"
            "Usage: muster COMMAND [options]\n\nCommands:\n",
            MU_VERSION);
    for (const struct mu_cmd *const *c = commands; *c; c++)
        fprintf(f, "  %-12s %s\n", (*c)->name, (*c)->summary);
    fprintf(f, "\n`muster COMMAND --help` tells the options of each.\n");
}

/* Whether all that was printed arrived. */
static int output_flush(struct mu_err *e)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? MU_OK : mu_fail(e, MU_EIO, "cannot write to standard output");
}

/* What the user sees of a failure; the status is the code's. Without a sentence another process has told it. */
static int report(const struct mu_cmd *cmd, int code, const struct mu_err *e)
{
    char text[MU_ERR_TEXT_MAX];
    if (e->text[0])
        fprintf(stderr, "muster%s%s: %s\n", cmd ? " " : "", cmd ? cmd->name : "",
                mu_harmless(text, sizeof text, e->text));
    return mu_code_exit_status(code);
}

static int run(const struct mu_cmd *cmd, int argc, char **argv)
{
    struct mu_err err = MU_ERR_INIT;
    int n_operands;
    bool wants_help;
    void *args = mu_calloc(1, cmd->args_size);

    if (!args)
        return report(cmd, mu_fail_nomem(&err, cmd->args_size, "the options"), &err);
    if (cmd->defaults)
        cmd->defaults(args);
    int rc = cmd->prepare ? cmd->prepare(args, argc, argv, &err) : MU_OK;
    if (rc == MU_OK)
        rc = mu_opt_parse(cmd, args, argc, argv, &n_operands, &wants_help, &err);
    if (rc == MU_OK && wants_help)
        mu_help_print(stdout, cmd);
    else if (rc == MU_OK)
        rc = cmd->run(args, n_operands, argv, &err);
    if (cmd->release)
        cmd->release(args);
    mu_free(args);
    if (rc == MU_OK)
        rc = output_flush(&err);
    return rc == MU_OK ? 0 : report(cmd, rc, &err);
}

/* The status of what printed something and cannot fail otherwise. */
static int finish(void)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = output_flush(&err);
    return rc == MU_OK ? 0 : report(NULL, rc, &err);
}

static int unknown_command(const char *name)
{
    fprintf(stderr, "muster: there is no command \"%s\"; `muster --help` lists them\n", name);
    return mu_code_exit_status(MU_EUSAGE);
}

static int help(const char *name)
{
    const struct mu_cmd *cmd = command_find(name);
    if (!cmd)
        return unknown_command(name);
    mu_help_print(stdout, cmd);
    return finish();
}

static int muster(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a sentence */
    signal(SIGXFSZ, SIG_IGN); /* so is a file above the size limit */
    /* Without /sys hwloc would speak on its own; `muster doctor` tells what is missing. */
    setenv("HWLOC_HIDE_ERRORS", "2", 0);
    mu_interrupt_watch();
    mu_lost_page_watch();
    mu_json_init(); /* before the first tree is made by hand */
    if (argc < 2) {
        usage(stderr);
        return mu_code_exit_status(MU_EUSAGE);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        if (argc > 2)
            return help(argv[2]);
        usage(stdout);
        return finish();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("muster %s\n", MU_VERSION);
        return finish();
    }
    const struct mu_cmd *cmd = command_find(argv[1]);
    return cmd ? run(cmd, argc - 2, argv + 2) : unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    command_line = argv;
    int status = muster(argc, argv);
    mu_launch_end(status);
    return status;
}
