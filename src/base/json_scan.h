/* json_scan.h - reading large JSON of a known shape without building a tree
 *
 * The header or index of 100,000 tensors and the tables of a tokenizer.json are 10 MB of JSON with a million values; a
 * tree of them takes a second and a gigabyte. This reads forward over the text and hands out what those have: strings
 * and whole numbers. What returns int is MU_OK or MU_EFORMAT with file and byte; strings with escapes may also give
 * MU_ELIMIT and MU_ENOMEM. Small JSON goes through json.h. */
#ifndef MU_BASE_JSON_SCAN_H
#define MU_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define MU_SCAN_STRING_BYTES_MAX ((size_t)1 << 20) /* of a string with escapes; names and tokens are far shorter */

struct mu_json_scan {
    struct mu_str text;         /* borrowed, and so are path and what */
    size_t at;                  /* byte of the text that comes next */
    const char *path;           /* of the file */
    const char *what;           /* the text's name in sentences: "header" */
    struct mu_buf unescaped[2]; /* strings that had escapes, in turns */
    int turn;
};

void mu_scan_begin(struct mu_json_scan *t, struct mu_str text, const char *path, const char *what);
void mu_scan_fini(struct mu_json_scan *t);

/* MU_EFORMAT: what comes next is not `want` ("a string"). */
int mu_scan_fail(const struct mu_json_scan *t, const char *want, struct mu_err *e);

/* The next character that is not white space must be c. */
int mu_scan_expect(struct mu_json_scan *t, char c, struct mu_err *e);

/* Whether the next character that is not white space is c; if so, steps over it. */
bool mu_scan_accept(struct mu_json_scan *t, char c);

/* A string, UTF-8 checked, escapes resolved; valid until the next but one is taken. */
int mu_scan_string(struct mu_json_scan *t, struct mu_str *out, struct mu_err *e);

/* A whole number of 0 or more, below 2^64; false, and nothing is stepped over, when something else comes. */
bool mu_scan_number(struct mu_json_scan *t, uint64_t *out);

/* Steps over any value, whose text is *out; only strings and brackets are looked at, so that text is not known to be
 * JSON yet. */
int mu_scan_value(struct mu_json_scan *t, struct mu_str *out, struct mu_err *e);

/* Nothing but white space may follow. */
int mu_scan_end(struct mu_json_scan *t, struct mu_err *e);

#endif
