/* wordpiece.c - WordPiece (the longest token first, from the left) and WordLevel (whole words) */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

static int unknown(int32_t unk, struct mu_str word, struct mu_ids *ids, struct mu_err *e)
{
    if (unk < 0)
        return mu_fail(e, MU_EINVAL, "the word \"%.*s\" is not in the vocabulary, which has no unknown token",
                       (int)MU_MIN(word.n, 60), word.p);
    return mu_ids_add(ids, unk, e);
}

static size_t count_chars(struct mu_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* The longest token that word[from..) begins with; -1: none. */
static int32_t longest(const struct mu_tokenizer *t, struct mu_str word, size_t from, size_t *end)
{
    struct mu_str prefix = from > 0 ? t->wordpiece.prefix : (struct mu_str){"", 0};
    size_t to = MU_MIN(word.n, from + t->vocab.piece_bytes_max);
    while (to < word.n && ((unsigned char)word.p[to] & 0xC0) == 0x80)
        to--;
    while (to > from) {
        int32_t id = mu_vocab_find2(&t->vocab, prefix, (struct mu_str){word.p + from, to - from});
        if (id >= 0) {
            *end = to;
            return id;
        }
        do
            to--;
        while (to > from && ((unsigned char)word.p[to] & 0xC0) == 0x80);
    }
    return -1;
}

int mu_wordpiece_encode(const struct mu_tokenizer *t, struct mu_str word, struct mu_ids *ids, struct mu_err *e)
{
    size_t n_before = ids->n;
    if (count_chars(word) > (size_t)t->wordpiece.chars_max)
        return unknown(t->wordpiece.unk, word, ids, e);
    for (size_t at = 0, end; at < word.n; at = end) {
        int32_t id = longest(t, word, at, &end);
        if (id < 0) {
            ids->n = n_before;
            return unknown(t->wordpiece.unk, word, ids, e);
        }
        MU_TRY_RETURN(mu_ids_add(ids, id, e));
    }
    return MU_OK;
}

int mu_wordlevel_encode(const struct mu_tokenizer *t, struct mu_str word, struct mu_ids *ids, struct mu_err *e)
{
    int32_t id = mu_vocab_find(&t->vocab, word.p, word.n);
    return id >= 0 ? mu_ids_add(ids, id, e) : unknown(t->wordpiece.unk, word, ids, e);
}
