/* man.c - manual pages in man(7) form, out of the same tables as the help */
#include <string.h>

#include "cli/opt.h"

/* Text with the characters roff reads as its own escaped. */
static void print_roff(FILE *f, const char *text)
{
    bool at_start = true;
    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", f);
        at_start = *text == '\n';
        if (*text == '\\')
            fputs("\\e", f);
        else if (*text == '-')
            fputs("\\-", f);
        else
            fputc(*text, f);
    }
}

static void print_option(void *arg, const struct mu_opt *o)
{
    FILE *f = arg;
    fputs(".TP\n", f);
    if (o->letter)
        fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", f);
    print_roff(f, o->name);
    fputs("\\fR", f);
    if (o->arg)
        fprintf(f, o->value_optional ? "[=\\fI%s\\fR]" : " \\fI%s\\fR", o->arg);
    fputc('\n', f);
    print_roff(f, o->help);
    if (o->choices) {
        fputs(" One of ", f);
        print_roff(f, o->choices);
        fputc('.', f);
    }
    if (o->dflt) {
        fputs(" Default: ", f);
        print_roff(f, o->dflt);
        fputc('.', f);
    }
    fputc('\n', f);
}

static void print_story(FILE *f, const char *story)
{
    for (const char *p = story; *p;) {
        const char *gap = strstr(p, "\n\n");
        size_t n = gap ? (size_t)(gap - p) : strlen(p);
        char part[2048];
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        fputs(".PP\n", f);
        print_roff(f, part);
        fputc('\n', f);
        p += n + (gap ? 2 : 0);
    }
}

static void print_exit_statuses(FILE *f)
{
    fputs(".SH EXIT STATUS\n", f);
    for (int code = 0; code < MU_CODE_N; code++) {
        fprintf(f, ".TP\n.B %d\n", mu_code_exit_status(code));
        print_roff(f, mu_code_meaning(code));
        fputs(".\n", f);
    }
}

static void print_examples(FILE *f, const char *examples)
{
    if (!examples)
        return;
    fputs(".SH EXAMPLES\n.nf\n", f);
    print_roff(f, examples);
    fputs(".fi\n", f);
}

void mu_man_print(FILE *f, const struct mu_cmd *cmd)
{
    fprintf(f, ".TH MUSTER-%s 1 \"\" \"muster %s\" \"muster manual\"\n.SH NAME\nmuster\\-%s \\- ", cmd->name,
            MU_VERSION, cmd->name);
    print_roff(f, cmd->summary);
    fprintf(f, "\n.SH SYNOPSIS\n.B muster %s\n[options]", cmd->name);
    if (cmd->operands[0]) {
        fputc(' ', f);
        print_roff(f, cmd->operands);
    }
    fputs("\n.SH DESCRIPTION\n", f);
    print_story(f, cmd->story);
    fputs(".SH OPTIONS\n", f);
    mu_opt_each(cmd->opts, print_option, f);
    print_exit_statuses(f);
    print_examples(f, cmd->examples);
    fputs(".SH SEE ALSO\n.BR muster (1)\n", f);
}

void mu_man_print_main(FILE *f, const struct mu_cmd *const *cmds)
{
    fprintf(f, ".TH MUSTER 1 \"\" \"muster %s\" \"muster manual\"\n", MU_VERSION);
    fputs(".SH NAME\nmuster \\- evaluate large language models, the same bits on any layout\n"
          ".SH SYNOPSIS\n.B muster\n.I command\n[options]\n.SH COMMANDS\n",
          f);
    for (; *cmds; cmds++) {
        fprintf(f, ".TP\n.BR muster\\-%s (1)\n", (*cmds)->name);
        print_roff(f, (*cmds)->summary);
        fputs(".\n", f);
    }
    print_exit_statuses(f);
}
