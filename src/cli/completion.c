/* completion.c - bash completion, out of the same tables as the help */
#include <string.h>

#include "cli/opt.h"

static void print_name(void *arg, const struct mu_opt *o)
{
    fprintf(arg, " --%s", o->name);
}

static void print_choices(void *arg, const struct mu_opt *o)
{
    FILE *f = arg;
    if (!o->choices)
        return;
    fprintf(f, "    --%s) COMPREPLY=($(compgen -W \"", o->name);
    for (const char *p = o->choices; *p; p++)
        fputc(*p == '|' ? ' ' : *p, f);
    fputs("\" -- \"$cur\")); return ;;\n", f);
}

void mu_completion_print(FILE *f, const struct mu_cmd *const *cmds)
{
    fputs("# bash completion for muster: eval \"$(muster completion)\"\n"
          "_muster()\n{\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"help",
          f);
    for (const struct mu_cmd *const *c = cmds; *c; c++)
        fprintf(f, " %s", (*c)->name);
    fputs("\" -- \"$cur\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n", f);
    for (const struct mu_cmd *const *c = cmds; *c; c++) {
        fprintf(f, "  %s)\n    case $prev in\n", (*c)->name);
        mu_opt_each((*c)->opts, print_choices, f);
        fputs("    esac\n    [[ $cur == -* ]] && COMPREPLY=($(compgen -W \"--help", f);
        mu_opt_each((*c)->opts, print_name, f);
        fputs("\" -- \"$cur\")) ;;\n", f);
    }
    fputs("  esac\n}\ncomplete -o default -F _muster muster\n", f);
}
