/* opt.h - one table of options per command, read by the parser, --help, the man page and the completion
 *
 * A command is a row in main.c's list; its options are rows here-declared with the offset of the field they fill in the
 * command's own struct. Groups (how to open a model, how to sample) are shared tables nested by MU_OPT_GROUP.
 * Field types: FLAG bool, INT int64_t, REAL double, TEXT const char *, SIZE uint64_t bytes ("12GB", "512MiB"),
 * LIST struct mu_opt_list (the option may be given many times). Texts are borrowed from argv. In long names _ is as
 * good as -. */
#ifndef MU_CLI_OPT_H
#define MU_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <muster/err.h>

enum mu_opt_type {
    MU_OPT_END,
    MU_OPT_FLAG,
    MU_OPT_INT,
    MU_OPT_REAL,
    MU_OPT_TEXT,
    MU_OPT_SIZE,
    MU_OPT_LIST,
    MU_OPT_GROUP
};

#define MU_OPT_LIST_MAX 256

struct mu_opt_list {
    int n;
    const char *item[MU_OPT_LIST_MAX];
};

struct mu_opt {
    enum mu_opt_type type;
    const char *name;    /* without the dashes */
    char letter;         /* short form or 0 */
    size_t offset;       /* of the field in the command's struct */
    const char *arg;     /* what the value is called in help: "FILE", "N" */
    const char *choices; /* "f32|bf16|f16": nothing else is accepted; NULL: free */
    double lo, hi;       /* bounds of INT and REAL when lo < hi */
    const char *help;    /* one sentence */
    const char *dflt;    /* how the default reads in help, or NULL */
    const struct mu_opt *group;
    bool takes_auto;     /* INT: the word auto (auto:N too) is 0 */
    bool value_optional; /* TEXT: only --name=value brings a value; --name alone is the empty text */
};

struct mu_cmd {
    const char *name;
    const char *summary;  /* one line */
    const char *operands; /* "[FILE...]" or "" */
    const char *story;    /* paragraphs for the man page and long help, separated by blank lines */
    const char *examples; /* lines of shell */
    const struct mu_opt *opts;
    size_t args_size; /* of the command's struct */
    void (*defaults)(void *args);
    int (*run)(void *args, int n_operands, char **operands, struct mu_err *e);
    /* Between defaults and the command line: options from elsewhere. May be NULL. */
    int (*prepare)(void *args, int argc, char **argv, struct mu_err *e);
    void (*release)(void *args); /* what args own, whatever happened. May be NULL */
};

/* Fill args from argv[0..argc); operands are moved to the front of argv and counted. MU_EUSAGE names option and value
 * and, for an unknown name, the nearest known one. *wants_help is set by --help. */
int mu_opt_parse(const struct mu_cmd *cmd, void *args, int argc, char **argv, int *n_operands, bool *wants_help,
                 struct mu_err *e);

/* Set one option by name, as --name TEXT does; a flag takes true or false. `where` begins the sentence of a mistake:
 * "run.yaml, line 3". text is borrowed. */
int mu_opt_set(const struct mu_cmd *cmd, void *args, const char *where, const char *name, const char *text,
               struct mu_err *e);

/* Call fn for every option of the command, groups unfolded, in table order. */
void mu_opt_each(const struct mu_opt *opts, void (*fn)(void *arg, const struct mu_opt *o), void *arg);

int mu_size_parse(const char *text, uint64_t *bytes, struct mu_err *e);

void mu_help_print(FILE *f, const struct mu_cmd *cmd);               /* help.c */
void mu_man_print(FILE *f, const struct mu_cmd *cmd);                /* man.c: one command */
void mu_man_print_main(FILE *f, const struct mu_cmd *const *cmds);   /* man.c: muster(1) */
void mu_completion_print(FILE *f, const struct mu_cmd *const *cmds); /* completion.c: bash */

#endif
