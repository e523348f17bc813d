/* open_memory.h - a tokenizer from bytes in memory: tokenizer.json, or a tokenizer.model of either kind */
#ifndef MU_TOK_OPEN_MEMORY_H
#define MU_TOK_OPEN_MEMORY_H

#include <muster/tokenizer.h>

int mu_tokenizer_open_memory(mu_tokenizer **out, const void *p, size_t n, struct mu_err *e);

#endif
