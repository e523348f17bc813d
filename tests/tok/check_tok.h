/* check_tok.h - encodings and decodings against expected ones, shared by the tokenizer tests */
#ifndef CHECK_TOK_H
#define CHECK_TOK_H

#include <jansson.h>

#include "base/buf.h"
#include "base/json.h"
#include "xt.h"
#include <muster/tokenizer.h>

/* The ids of text must be those of the JSON array. */
void check_encode(const mu_tokenizer *t, const char *name, struct mu_str text, unsigned flags, const json_t *want);
/* Decoded whole and as a stream, ids must read as want. */
void check_decode(const mu_tokenizer *t, const char *name, const json_t *ids, unsigned flags, struct mu_str want);
void check_stream(const mu_tokenizer *t, const char *name, const json_t *ids, unsigned flags, struct mu_str want);
/* A llama.cpp pair of files: texts parted by a line, ids a line for each. roundtrip: decoding gives the text back. */
void check_inp_out(const mu_tokenizer *t, const char *inp, const char *out, int skip, bool roundtrip);

static inline struct mu_str json_str(const json_t *v)
{
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

#endif
