/* lines.h - reading text for a command: whole files, standard input as "-", and JSON lines */
#ifndef MU_CLI_LINES_H
#define MU_CLI_LINES_H

#include <stdio.h>

#include "base/json.h"
#include <muster/err.h>

#define MU_LINE_BYTES_MAX ((size_t)64 << 20) /* one line of JSON */
#define MU_TEXT_BYTES_MAX ((size_t)1 << 30)  /* one text file */

struct mu_lines {
    FILE *f;
    const char *name; /* for sentences: the path, or "standard input" */
    struct mu_buf line;
    int64_t number; /* of the line read last, from 1 */
};

int mu_lines_open(struct mu_lines *l, const char *path, struct mu_err *e); /* "-": standard input */
void mu_lines_close(struct mu_lines *l);

/* Next line that is not blank, without its newline; *has_line false at the end. */
int mu_lines_next(struct mu_lines *l, bool *has_line, struct mu_err *e);

/* The same as JSON; *out is the caller's, NULL at the end. Syntax errors name file and line. */
int mu_lines_next_json(struct mu_lines *l, json_t **out, struct mu_err *e);

/* All of a file, pipe or standard input. */
int mu_text_read(struct mu_buf *out, const char *path, struct mu_err *e);

/* "FILE, line N" in a static buffer: where the line read last came from. */
const char *mu_lines_where(const struct mu_lines *l);

#endif
