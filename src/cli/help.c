/* help.c - `muster COMMAND --help`, out of the command's table */
#include <string.h>

#include "cli/opt.h"

#define HELP_COLUMN 30 /* where the explanations begin */
#define HELP_WIDTH  100

/* Print text from column `at`, broken at spaces before HELP_WIDTH. */
static void print_wrapped(FILE *f, const char *text, int at)
{
    int column = at;
    while (*text) {
        int word = (int)strcspn(text, " \n");
        if (column > at && column + word > HELP_WIDTH) {
            fprintf(f, "\n%*s", at, "");
            column = at;
        }
        fprintf(f, "%.*s", word, text);
        column += word;
        text += word;
        if (*text == '\n') {
            fprintf(f, "\n%*s", text[1] ? at : 0, "");
            column = at;
            text++;
        } else if (*text == ' ') {
            fputc(' ', f);
            column++;
            text++;
        }
    }
    fputc('\n', f);
}

static void print_option(void *arg, const struct mu_opt *o)
{
    FILE *f = arg;
    char left[128];
    int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                     o->letter ? "," : " ", o->name,
                     o->value_optional ? "[="
                     : o->arg          ? " "
                                       : "",
                     o->arg ? o->arg : "", o->value_optional ? "]" : "");
    fprintf(f, "%s", left);
    if (n >= HELP_COLUMN)
        fprintf(f, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(f, "%*s", HELP_COLUMN - n, "");
    char text[1024];
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", o->help, o->choices ? " One of " : "", o->choices ? o->choices : "",
             o->choices ? "." : "", o->dflt ? " Default: " : "", o->dflt ? o->dflt : "", o->dflt ? "." : "");
    print_wrapped(f, text, HELP_COLUMN);
}

void mu_help_print(FILE *f, const struct mu_cmd *cmd)
{
    fprintf(f, "muster %s - %s\n\nUsage: muster %s [options]%s%s\n\n", cmd->name, cmd->summary, cmd->name,
            cmd->operands[0] ? " " : "", cmd->operands);
    print_wrapped(f, cmd->story, 0);
    fprintf(f, "\nOptions:\n");
    mu_opt_each(cmd->opts, print_option, f);
    fprintf(f, "  -h, --help                  Show this text.\n");
    if (cmd->examples)
        fprintf(f, "\nExamples:\n%s", cmd->examples);
}
