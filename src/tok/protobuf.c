/* protobuf.c - wire format reader */
#include "tok/protobuf.h"

#include <string.h>

#include "base/check.h"

#define VARINT_BYTES_MAX 10

static int fail_cut(const struct mu_pb *pb, const char *what, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT,
                   "%s: %s runs past the end of its message (%zu bytes left); the file is cut short or "
                   "no SentencePiece model",
                   pb->where, what, pb->left.n);
}

static int varint(struct mu_pb *pb, uint64_t *out, struct mu_err *e)
{
    uint64_t v = 0;
    for (size_t i = 0; i < VARINT_BYTES_MAX; i++) {
        if (i == pb->left.n)
            return fail_cut(pb, "a number", e);
        unsigned char byte = (unsigned char)pb->left.p[i];
        v |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            pb->left.p += i + 1;
            pb->left.n -= i + 1;
            *out = v;
            return MU_OK;
        }
    }
    return mu_fail(e, MU_EFORMAT, "%s: a number has more than %d bytes; the file is no SentencePiece model", pb->where,
                   VARINT_BYTES_MAX);
}

static int take(struct mu_pb *pb, uint64_t n, struct mu_str *out, const char *what, struct mu_err *e)
{
    if (n > pb->left.n)
        return fail_cut(pb, what, e);
    *out = (struct mu_str){pb->left.p, (size_t)n};
    pb->left.p += n;
    pb->left.n -= (size_t)n;
    return MU_OK;
}

int mu_pb_next(struct mu_pb *pb, struct mu_pb_field *f, bool *more, struct mu_err *e)
{
    uint64_t key, n;
    *more = pb->left.n > 0;
    if (!*more)
        return MU_OK;
    MU_TRY_RETURN(varint(pb, &key, e));
    *f = (struct mu_pb_field){.number = (uint32_t)(key >> 3), .wire = (int)(key & 7)};
    switch (f->wire) {
    case 0:
        return varint(pb, &f->value, e);
    case 1:
        MU_TRY_RETURN(take(pb, 8, &f->bytes, "a 64-bit value", e));
        memcpy(&f->value, f->bytes.p, 8);
        return MU_OK;
    case 2:
        MU_TRY_RETURN(varint(pb, &n, e));
        return take(pb, n, &f->bytes, "a field", e);
    case 5:
        MU_TRY_RETURN(take(pb, 4, &f->bytes, "a 32-bit value", e));
        memcpy(&f->value, f->bytes.p, 4);
        return MU_OK;
    default:
        return mu_fail(e, MU_EFORMAT, "%s: wire type %d is not known; the file is no SentencePiece model", pb->where,
                       f->wire);
    }
}

float mu_pb_float(const struct mu_pb_field *f)
{
    float v;
    uint32_t bits = (uint32_t)f->value;
    memcpy(&v, &bits, 4);
    return v;
}
