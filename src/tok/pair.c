/* pair.c - context and continuation to ids */
#include "tok/pair.h"

#include <stdint.h>

#include "base/check.h"
#include "base/utf8.h"

/* White space as Python's str.isspace() has it: bidirectional type WS, B or S, or category Zs. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Length of the text without the white space at its end. */
static size_t rstrip(struct mu_str s)
{
    while (s.n > 0) {
        size_t at = s.n - 1;
        uint32_t c;
        while (at > 0 && s.n - at < 4 && ((unsigned char)s.p[at] & 0xC0) == 0x80)
            at--;
        if (mu_utf8_decode(s.p + at, s.n - at, &c) != (int)(s.n - at) || !is_space(c))
            break;
        s.n = at;
    }
    return s.n;
}

static int add_prefix_token(const mu_tokenizer *t, struct mu_ids *ids, struct mu_err *e)
{
    struct mu_tokenizer_info info;
    mu_tokenizer_info(t, &info);
    int32_t id = info.bos >= 0 ? info.bos : info.eos;
    if (id < 0)
        return mu_fail(e, MU_EINVAL,
                       "the context is empty and the tokenizer has neither a BOS nor an EOS to stand for it");
    return mu_ids_add(ids, id, e);
}

static int encode_after_nothing(const mu_tokenizer *t, struct mu_str continuation, struct mu_pair *out,
                                struct mu_err *e)
{
    MU_TRY_RETURN(add_prefix_token(t, &out->context, e));
    MU_TRY_RETURN(mu_tokenizer_encode(t, continuation.p, continuation.n, MU_TOK_PARSE_SPECIAL, &out->continuation, e));
    /* A continuation that begins with the prefix token is not asked for it twice. */
    if (out->continuation.n > 1 && out->continuation.v[0] == out->context.v[0]) {
        memmove(out->continuation.v, out->continuation.v + 1, (out->continuation.n - 1) * sizeof(int32_t));
        out->continuation.n--;
    }
    return MU_OK;
}

/* A context that spells the BOS itself is not given a second one. */
static unsigned encode_flags(const mu_tokenizer *t, struct mu_str context)
{
    struct mu_tokenizer_info info;
    size_t n = 0;
    mu_tokenizer_info(t, &info);
    const char *bos = info.bos >= 0 ? mu_tokenizer_piece(t, info.bos, &n) : NULL;
    bool has_bos = bos && n > 0 && context.n >= n && memcmp(context.p, bos, n) == 0;
    return has_bos ? MU_TOK_PARSE_SPECIAL : MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL;
}

static int encode_both(const mu_tokenizer *t, struct mu_str context, struct mu_str continuation, struct mu_pair *out,
                       struct mu_err *e)
{
    const unsigned flags = encode_flags(t, context);
    struct mu_buf whole = MU_BUF_INIT("context and continuation", MU_TOK_TEXT_BYTES_MAX);
    struct mu_ids ids = MU_IDS_INIT(out->context.max);
    int rc = MU_OK;

    MU_TRY(mu_buf_add(&whole, context.p, context.n, e));
    MU_TRY(mu_buf_add(&whole, continuation.p, continuation.n, e));
    MU_TRY(mu_tokenizer_encode(t, context.p, rstrip(context), flags, &out->context, e));
    MU_TRY(mu_tokenizer_encode(t, whole.p, whole.n, flags, &ids, e));
    for (size_t i = out->context.n; i < ids.n; i++)
        MU_TRY(mu_ids_add(&out->continuation, ids.v[i], e));
out:
    mu_ids_fini(&ids);
    mu_buf_fini(&whole);
    return rc;
}

int mu_pair_encode(const mu_tokenizer *t, struct mu_str context, struct mu_str continuation, struct mu_pair *out,
                   struct mu_err *e)
{
    out->context.n = out->continuation.n = 0;
    if (continuation.n == 0)
        return mu_fail(e, MU_EINVAL, "the continuation is empty: there is nothing to score");
    if (context.n == 0)
        MU_TRY_RETURN(encode_after_nothing(t, continuation, out, e));
    else
        MU_TRY_RETURN(encode_both(t, context, continuation, out, e));
    if (out->continuation.n == 0)
        return mu_fail(e, MU_EINVAL, "the continuation comes to no tokens of its own after this context");
    if (out->context.n == 0)
        MU_TRY_RETURN(add_prefix_token(t, &out->context, e));
    return MU_OK;
}

void mu_pair_fini(struct mu_pair *p)
{
    mu_ids_fini(&p->context);
    mu_ids_fini(&p->continuation);
}
