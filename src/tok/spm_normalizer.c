/* spm_normalizer.c - SentencePiece's normalizer: character map, extra spaces, the space put first, U+2581 for spaces
 *
 * User-defined symbols pass untouched. Source: the rules of SentencePiece's normalizer, version 0.2. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

/* What the text at in[at..) becomes first, and how many bytes that takes. */
static struct mu_str prefix_of(const struct mu_norm *s, struct mu_str in, size_t at, size_t *taken)
{
    uint32_t cp;
    size_t len;
    struct mu_str rest = {in.p + at, in.n - at};
    if (s->keep && mu_trie_longest(s->keep, rest.p, rest.n, &len) >= 0) {
        *taken = len;
        return (struct mu_str){rest.p, len};
    }
    if (s->map) {
        struct mu_str to = mu_charsmap_find(s->map, rest.p, rest.n, true, &len);
        if (len > 0) {
            *taken = len;
            return to;
        }
    }
    int n = mu_utf8_decode(rest.p, rest.n, &cp);
    *taken = n > 0 ? (size_t)n : 1;
    return (struct mu_str){rest.p, *taken};
}

static int add_space(const struct mu_norm *s, struct mu_buf *out, struct mu_err *e)
{
    return s->escape_spaces ? mu_buf_puts(out, MU_SPACE_MARK, e) : mu_buf_putc(out, ' ', e);
}

static int add_escaped(const struct mu_norm *s, struct mu_str text, struct mu_buf *out, struct mu_err *e)
{
    for (size_t i = 0, from = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] != ' ')
            continue;
        MU_TRY_RETURN(mu_tok_add_lossy(out, text.p + from, i - from, e));
        if (i < text.n)
            MU_TRY_RETURN(add_space(s, out, e));
        from = i + 1;
    }
    return MU_OK;
}

static void drop_last_spaces(const struct mu_norm *s, struct mu_buf *out)
{
    struct mu_str space = s->escape_spaces ? MU_STR(MU_SPACE_MARK) : MU_STR(" ");
    while (out->n >= space.n && memcmp(out->p + out->n - space.n, space.p, space.n) == 0)
        out->n -= space.n;
}

int mu_tok_norm_sentencepiece(const struct mu_norm *s, struct mu_str in, struct mu_buf *out, struct mu_err *e)
{
    size_t at = 0, taken;
    while (s->extra_spaces && at < in.n) {
        struct mu_str to = prefix_of(s, in, at, &taken);
        if (!mu_str_eq(to, MU_STR(" ")))
            break;
        at += taken;
    }
    if (at == in.n)
        return MU_OK;
    if (s->dummy_prefix && !s->as_suffix)
        MU_TRY_RETURN(add_space(s, out, e));
    bool after_space = s->extra_spaces;
    for (; at < in.n; at += taken) {
        struct mu_str to = prefix_of(s, in, at, &taken);
        for (; after_space && to.n > 0 && to.p[0] == ' '; to.p++)
            to.n--;
        if (to.n > 0) {
            MU_TRY_RETURN(add_escaped(s, to, out, e));
            after_space = to.p[to.n - 1] == ' ';
        }
        after_space = after_space && s->extra_spaces;
    }
    if (s->extra_spaces)
        drop_last_spaces(s, out);
    return s->dummy_prefix && s->as_suffix ? add_space(s, out, e) : MU_OK;
}
