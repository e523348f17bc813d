/* added.c - tokens that are found in the text as they are spelled, before the model sees it
 *
 * Leftmost match, longest of those; then the token's own rules: single_word refuses a match inside a word, lstrip and
 * rstrip take the spaces beside it. Tokens with `normalized` are sought in normalized text, by their normalized
 * spelling, and read so when decoded. Special ones can be left out, so that text from a user stays text. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

int mu_added_add(struct mu_tokenizer *t, struct mu_added a, struct mu_err *e)
{
    struct mu_added_tokens *list = &t->added;
    if (list->n == MU_TOK_ADDED_MAX)
        return mu_fail(e, MU_ELIMIT, "more than %d added tokens", MU_TOK_ADDED_MAX);
    if (list->n == list->cap) {
        int32_t cap = list->cap ? list->cap * 2 : 64;
        struct mu_added *v = mu_realloc(list->v, (size_t)cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, (size_t)cap * sizeof *v, "the added tokens");
        list->v = v;
        list->cap = cap;
    }
    MU_TRY_RETURN(mu_tok_string(t, a.content, &a.content, e));
    list->v[list->n++] = a;
    return a.is_special ? mu_tok_special_set(t, a.id, e) : MU_OK;
}

int mu_added_build(struct mu_tokenizer *t, struct mu_err *e)
{
    struct mu_added_tokens *list = &t->added;
    struct mu_buf text = MU_BUF_INIT("an added token", MU_TOK_PIECE_BYTES_MAX * 4),
                  spare = MU_BUF_INIT("an added token", MU_TOK_PIECE_BYTES_MAX * 4);
    struct mu_matcher m = MU_MATCHER_INIT;
    int rc = MU_OK;

    for (int32_t i = 0; i < list->n; i++) {
        const struct mu_added *a = &list->v[i];
        bool front_lost;
        mu_buf_clear(&text);
        MU_TRY(mu_buf_add(&text, a->content.p, a->content.n, e));
        if (a->normalized)
            MU_TRY(mu_tok_normalize(t, &m, &text, &spare, &front_lost, e));
        if (!mu_str_eq(mu_buf_str(&text), a->content) && !mu_vocab_has(&t->shown, a->id))
            MU_TRY(mu_vocab_add_hidden(&t->shown, a->id, mu_buf_str(&text), "the added tokens", e));
        struct mu_trie *tries = a->normalized ? list->normal : list->raw;
        MU_TRY(mu_trie_add(&tries[0], mu_buf_str(&text), i, e));
        if (!a->is_special)
            MU_TRY(mu_trie_add(&tries[1], mu_buf_str(&text), i, e));
    }
out:
    mu_buf_fini(&text);
    mu_buf_fini(&spare);
    mu_matcher_fini(&m);
    return rc;
}

void mu_added_fini(struct mu_added_tokens *a)
{
    mu_free(a->v);
    for (int i = 0; i < 2; i++) {
        mu_trie_fini(&a->raw[i]);
        mu_trie_fini(&a->normal[i]);
    }
}

/* ---- beside a match ---- */

static size_t char_before(const char *p, size_t at)
{
    size_t from = at - 1;
    while (from > 0 && ((unsigned char)p[from] & 0xC0) == 0x80)
        from--;
    return from;
}

static bool ends_with_word(const char *p, size_t n)
{
    uint32_t cp;
    if (n == 0)
        return false;
    size_t from = char_before(p, n);
    return mu_utf8_decode(p + from, n - from, &cp) > 0 && mu_char_is_word(cp);
}

static bool starts_with_word(const char *p, size_t n)
{
    uint32_t cp;
    return n > 0 && mu_utf8_decode(p, n, &cp) > 0 && mu_char_is_word(cp);
}

/* Where the spaces that end p[0..n) begin, not before lo. */
static size_t spaces_before(const char *p, size_t n, size_t lo)
{
    uint32_t cp;
    while (n > lo) {
        size_t from = char_before(p, n);
        if (mu_utf8_decode(p + from, n - from, &cp) <= 0 || !mu_char_is_space(cp))
            break;
        n = from;
    }
    return n < lo ? lo : n;
}

static size_t spaces_after(const char *p, size_t at, size_t n)
{
    uint32_t cp;
    while (at < n) {
        int len = mu_utf8_decode(p + at, n - at, &cp);
        if (len <= 0 || !mu_char_is_space(cp))
            break;
        at += (size_t)len;
    }
    return at;
}

/* ---- cutting ---- */

static int add_text(struct mu_spans *out, struct mu_span whole, size_t from, size_t to, struct mu_err *e)
{
    if (from >= to)
        return MU_OK;
    struct mu_span s = {whole.off + from, to - from, -1, whole.is_start && from == 0};
    return mu_spans_add(out, s, e);
}

int mu_added_split(const struct mu_tokenizer *t, const struct mu_trie *trie, const char *text, struct mu_span whole,
                   struct mu_spans *out, struct mu_err *e)
{
    const char *p = text + whole.off;
    size_t n = whole.n, done = 0, len;
    for (size_t at = 0; trie->n_nodes > 0 && at < n;) {
        int32_t which = mu_trie_longest(trie, p + at, n - at, &len);
        if (which < 0) {
            at++;
            continue;
        }
        const struct mu_added *a = &t->added.v[which];
        size_t start = at, stop = at + len;
        at = stop;
        if (a->single_word && (ends_with_word(p, start) || starts_with_word(p + stop, n - stop)))
            continue;
        if (a->lstrip)
            start = spaces_before(p, start, MU_MIN(done, start));
        if (a->rstrip)
            stop = spaces_after(p, stop, n);
        MU_TRY_RETURN(add_text(out, whole, done, start, e));
        MU_TRY_RETURN(mu_spans_add(out, (struct mu_span){whole.off + start, stop - start, a->id, false}, e));
        done = stop;
    }
    return add_text(out, whole, done, n, e);
}
