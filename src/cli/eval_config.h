/* eval_config.h - options of a command from a YAML file that holds them by the names of the command line */
#ifndef MU_CLI_EVAL_CONFIG_H
#define MU_CLI_EVAL_CONFIG_H

#include <jansson.h>

#include "cli/opt.h"

/* Looks for --config FILE among argv; sets args from it before the command line is read. *keep: what the texts in args
 * lie in, the caller's to json_decref() when args are done with; may be NULL. */
int mu_eval_config_apply(const struct mu_cmd *cmd, void *args, int argc, char **argv, json_t **keep, struct mu_err *e);

/* Sets args from an object of options by name; where: what sentences call it. keep: an array, which the texts are added
 * to. */
int mu_eval_config_set(const struct mu_cmd *cmd, void *args, const json_t *options, const char *where, json_t *keep,
                       struct mu_err *e);

#endif
