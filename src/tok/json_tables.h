/* json_tables.h - the two large tables of a tokenizer.json, read where they lie
 *
 * "vocab" and "merges" of a BPE model are 99% of the file: a tree of a million nodes costs seconds and half a gigabyte.
 * They are cut out of the text and read in one pass; the rest goes through the JSON reader as usual. */
#ifndef MU_TOK_JSON_TABLES_H
#define MU_TOK_JSON_TABLES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json_scan.h"

struct mu_json_tables {
    struct mu_str text;          /* of the whole file, borrowed */
    struct mu_str vocab, merges; /* inside it, {...} and [...]; n = 0: not cut out */
};

/* Find model.vocab (an object) and model.merges (an array) in a JSON text; rest gets the text with empty ones in their
 * places. found false: not both there, or the text is no JSON; read it whole then. */
int mu_json_tables_cut(struct mu_json_tables *out, struct mu_buf *rest, struct mu_str text, bool *found,
                       struct mu_err *e);

/* A scan of one of the tables, which counts bytes in the file. End with mu_scan_fini(). */
void mu_json_tables_scan(struct mu_json_scan *s, const struct mu_json_tables *t, struct mu_str table,
                         const char *where);

#endif
