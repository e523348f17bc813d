/* print_json.h - what --json prints */
#ifndef MU_CLI_PRINT_JSON_H
#define MU_CLI_PRINT_JSON_H

#include <jansson.h>

#include <muster/err.h>

/* Indented, on standard output, with a newline; v is released. v NULL: there was no memory for it. what: "the plan" */
int mu_print_json(json_t *v, const char *what, struct mu_err *e);

#endif
