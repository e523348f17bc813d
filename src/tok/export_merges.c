/* export_merges.c - a vocabulary with scores as a list of merges
 *
 * SentencePiece merges the two neighbours whose joined text has the best score, whatever the cut; a list of merges
 * names each cut. Of several cuts the longest left side comes first: left to right, runs of one character leave the
 * shorter piece at the right. */
#include "tok/export_json.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tok/tok_int.h"

struct merge {
    uint32_t rank; /* of the token it makes; 0 is best */
    int32_t id, left, right;
    uint32_t n_left, n_right; /* characters */
};

static size_t char_length(const char *p, size_t n)
{
    uint32_t cp;
    int len = mu_utf8_decode(p, n, &cp);
    return len > 0 ? (size_t)len : 1;
}

static uint32_t n_chars(struct mu_str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i += char_length(s.p + i, s.n - i))
        n++;
    return n;
}

/* The cuts of one token into `out`, which may be NULL; returns their number. */
static size_t cuts_of(const mu_tokenizer *t, int32_t id, struct merge *out)
{
    struct mu_str s = mu_vocab_piece(&t->vocab, id);
    uint32_t all = n_chars(s), done = 1;
    size_t n = 0;
    for (size_t k = char_length(s.p, s.n); k < s.n; k += char_length(s.p + k, s.n - k), done++) {
        int32_t left = mu_vocab_find(&t->vocab, s.p, k), right = mu_vocab_find(&t->vocab, s.p + k, s.n - k);
        if (left < 0 || right < 0)
            continue;
        if (out)
            out[n] = (struct merge){t->bpe.ranks[id], id, left, right, done, all - done};
        n++;
    }
    return n;
}

static size_t all_cuts(const mu_tokenizer *t, struct merge *out)
{
    size_t n = 0;
    for (int32_t id = 0; id < t->vocab.n; id++) {
        if (!mu_vocab_has(&t->vocab, id) || t->bpe.ranks[id] == UINT32_MAX)
            continue;
        struct mu_str s = mu_vocab_piece(&t->vocab, id);
        if (s.n > 1 && mu_vocab_find(&t->vocab, s.p, s.n) == id) /* control tokens are not found */
            n += cuts_of(t, id, out ? out + n : NULL);
    }
    return n;
}

static int down(uint32_t a, uint32_t b)
{
    return a > b ? -1 : a < b;
}

static int in_order(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    if (x->rank != y->rank)
        return -down(x->rank, y->rank);
    if (x->n_left != y->n_left)
        return down(x->n_left, y->n_left);
    if (x->n_right != y->n_right)
        return down(x->n_right, y->n_right);
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->left > y->left) - (x->left < y->left);
}

int mu_tok_export_merges(const mu_tokenizer *t, struct mu_buf *out, struct mu_err *e)
{
    size_t n = all_cuts(t, NULL);
    struct merge *v = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&v, n, "the merges of a vocabulary", e));
    all_cuts(t, v);
    qsort(v, n, sizeof *v, in_order);
    MU_TRY(mu_buf_putc(out, '[', e));
    for (size_t i = 0; i < n; i++) {
        MU_TRY(mu_buf_puts(out, i ? ",\n[" : "\n[", e));
        MU_TRY(mu_json_dump_string(out, mu_vocab_piece(&t->vocab, v[i].left), e));
        MU_TRY(mu_buf_puts(out, ", ", e));
        MU_TRY(mu_json_dump_string(out, mu_vocab_piece(&t->vocab, v[i].right), e));
        MU_TRY(mu_buf_putc(out, ']', e));
    }
    MU_TRY(mu_buf_puts(out, "\n]", e));
out:
    mu_free(v);
    return rc;
}
