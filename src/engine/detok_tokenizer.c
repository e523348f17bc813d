/* detok_tokenizer.c - the tokenizer as the engine's source of text */
#include "engine/detok_tokenizer.h"

#include <muster/tokenizer.h>

_Static_assert(sizeof(struct mu_tok_stream) <= MU_DETOK_STATE_BYTES, "a stream fits into the state of a request");

static void begin(const struct mu_detok *d, void *state)
{
    mu_tok_stream_begin(state, d->arg, MU_TOK_SKIP_SPECIAL);
}

static int add(const struct mu_detok *d, void *state, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    (void)d;
    return mu_tok_stream_add(state, id, out, e);
}

static int end(const struct mu_detok *d, void *state, struct mu_buf *out, struct mu_err *e)
{
    (void)d;
    return mu_tok_stream_end(state, out, e);
}

const struct mu_detok_ops mu_detok_tokenizer_ops = {begin, add, end};
