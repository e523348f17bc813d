/* protobuf.h - reading the fields of one message, with every length checked
 *
 * Enough for SentencePiece models: varints, 32- and 64-bit values, bytes. Source: the protobuf encoding guide. */
#ifndef MU_TOK_PROTOBUF_H
#define MU_TOK_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_pb {
    struct mu_str left; /* what is not read yet */
    const char *where;
};

struct mu_pb_field {
    uint32_t number;
    int wire;            /* 0 varint, 1 64-bit, 2 bytes, 5 32-bit */
    uint64_t value;      /* of 0, 1 and 5 */
    struct mu_str bytes; /* of 2, borrowed */
};

/* The next field; *more false at the end. */
int mu_pb_next(struct mu_pb *pb, struct mu_pb_field *f, bool *more, struct mu_err *e);
float mu_pb_float(const struct mu_pb_field *f);

#endif
