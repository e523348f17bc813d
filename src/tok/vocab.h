/* vocab.h - tokens by id and ids by token: one run of bytes, one table
 *
 * Ids may have holes. A token spelled twice belongs to the id added last. */
#ifndef MU_TOK_VOCAB_H
#define MU_TOK_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/tokenizer.h>

#define MU_VOCAB_TEXT_BYTES_MAX ((size_t)1 << 30) /* offsets are 32 bits */

struct mu_vocab_piece {
    uint32_t off, n; /* n = MU_VOCAB_HOLE: no token has this id */
};
#define MU_VOCAB_HOLE UINT32_MAX

struct mu_vocab_slot {
    uint32_t tag; /* high bits of the token's hash */
    int32_t id;   /* -1: free */
};

struct mu_vocab {
    struct mu_buf text;
    struct mu_vocab_piece *pieces;
    int32_t n, cap; /* n: one more than the largest id */
    struct mu_vocab_slot *slots;
    size_t n_slots, n_used; /* n_slots is a power of two, at least twice n_used */
    uint32_t piece_bytes_max;
};

#define MU_VOCAB_INIT                                                                                                  \
    {                                                                                                                  \
        .text = MU_BUF_INIT("token texts", MU_VOCAB_TEXT_BYTES_MAX)                                                    \
    }

int mu_vocab_reserve(struct mu_vocab *v, size_t n_tokens, size_t text_bytes, struct mu_err *e);
int mu_vocab_add(struct mu_vocab *v, int64_t id, struct mu_str piece, const char *where, struct mu_err *e);
/* The same for a token that no search shall find: a model must not spell it by accident. */
int mu_vocab_add_hidden(struct mu_vocab *v, int64_t id, struct mu_str piece, const char *where, struct mu_err *e);
void mu_vocab_fini(struct mu_vocab *v);

int32_t mu_vocab_find(const struct mu_vocab *v, const char *p, size_t n);           /* -1: none */
int32_t mu_vocab_find2(const struct mu_vocab *v, struct mu_str a, struct mu_str b); /* of a followed by b */
bool mu_vocab_has(const struct mu_vocab *v, int32_t id);
struct mu_str mu_vocab_piece(const struct mu_vocab *v, int32_t id); /* the id must be there */

/* Ids of <0x00> .. <0xFF>, -1 where absent. */
void mu_vocab_byte_ids(const struct mu_vocab *v, int32_t ids[256]);

#endif
