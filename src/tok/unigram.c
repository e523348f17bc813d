/* unigram.c - the best segmentation of a text under a unigram model: Viterbi over character positions
 *
 * A character that begins no token of its own length is an unknown of score min - 10. Runs of unknowns become one
 * token, unless the run is itself spelled in the vocabulary or falls back to bytes. Source: Kudo 2018,
 * "Subword Regularization"; rules as in SentencePiece and Hugging Face tokenizers. */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

/* The best way to reach a position. */
struct mu_viterbi {
    double score;
    int64_t from; /* -1: not reached */
    int32_t id;
    int32_t next_len; /* while the path is read back: length of the token that follows */
};

void mu_unigram_fini(struct mu_unigram *u)
{
    mu_free(u->scores);
    mu_free(u->is_user);
    mu_trie_fini(&u->trie);
}

static int reserve(struct mu_tok_work *w, size_t n, struct mu_err *e)
{
    if (n > w->cap_viterbi) {
        size_t cap = MU_MAX(n, w->cap_viterbi * 2);
        struct mu_viterbi *v = mu_realloc(w->viterbi, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "the segmentation of a text");
        w->viterbi = v;
        w->cap_viterbi = cap;
    }
    for (size_t i = 0; i < n; i++)
        w->viterbi[i] = (struct mu_viterbi){0, -1, -1, 0};
    return MU_OK;
}

static void reach(const struct mu_unigram *u, struct mu_viterbi *best, size_t from, size_t to, double score, int32_t id)
{
    double sum = best[from].score + score;
    if (u->is_f32)
        sum = (double)((float)best[from].score + (float)score);
    if (best[to].from < 0 || sum > best[to].score)
        best[to] = (struct mu_viterbi){sum, (int64_t)from, id, 0};
}

static double score_of(const struct mu_unigram *u, int32_t id, size_t len)
{
    if (u->is_user && u->is_user[id])
        return (double)(float)((double)len * u->score_max - 0.1);
    return u->scores[id];
}

static int forward(const struct mu_unigram *u, struct mu_viterbi *best, struct mu_str text, struct mu_err *e)
{
    uint32_t cp;
    best[0].from = 0;
    for (size_t at = 0; at < text.n;) {
        int got = mu_utf8_decode(text.p + at, text.n - at, &cp);
        size_t char_len = got > 0 ? (size_t)got : 1;
        bool has_single = false;
        uint32_t node = 0;
        for (size_t k = at; k < text.n && mu_trie_step(&u->trie, &node, (unsigned char)text.p[k]); k++) {
            int32_t id = mu_trie_value(&u->trie, node);
            if (id < 0)
                continue;
            reach(u, best, at, k + 1, score_of(u, id, k + 1 - at), id);
            has_single |= k + 1 - at == char_len;
        }
        if (!has_single) {
            if (u->unk < 0)
                return mu_fail(e, MU_EINVAL,
                               "the text holds \"%.*s\", which the vocabulary cannot spell and it has no "
                               "unknown token",
                               (int)char_len, text.p + at);
            reach(u, best, at, at + char_len, u->unk_score, u->unk);
        }
        at += char_len;
    }
    return MU_OK;
}

static int token_out(const struct mu_tokenizer *t, struct mu_str s, int32_t id, struct mu_ids *ids, struct mu_err *e)
{
    const struct mu_unigram *u = &t->unigram;
    if (id != u->unk)
        return mu_ids_add(ids, id, e);
    int32_t whole = u->is_f32 ? -1 : mu_vocab_find(&t->vocab, s.p, s.n);
    if (whole >= 0)
        return mu_ids_add(ids, whole, e);
    bool has_all = u->has_byte_fallback;
    for (size_t i = 0; has_all && i < s.n; i++)
        has_all = u->byte_ids[(unsigned char)s.p[i]] >= 0;
    if (!has_all)
        return mu_ids_add(ids, u->unk, e);
    for (size_t i = 0; i < s.n; i++)
        MU_TRY_RETURN(mu_ids_add(ids, u->byte_ids[(unsigned char)s.p[i]], e));
    return MU_OK;
}

int mu_unigram_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str text, struct mu_ids *ids,
                      struct mu_err *e)
{
    const struct mu_unigram *u = &t->unigram;
    if (text.n > INT32_MAX)
        return mu_fail(e, MU_ELIMIT, "a word of %zu bytes, at most %d are supported", text.n, INT32_MAX);
    MU_TRY_RETURN(reserve(w, text.n + 1, e));
    struct mu_viterbi *best = w->viterbi;
    MU_TRY_RETURN(forward(u, best, text, e));

    /* Backwards, leaving at each start on the path the length of its token. */
    for (size_t to = text.n; to > 0;) {
        size_t from = (size_t)best[to].from;
        best[from].next_len = (int32_t)(to - from);
        to = from;
    }
    for (size_t at = 0; at < text.n;) {
        size_t end = at + (size_t)best[at].next_len;
        int32_t id = best[end].id;
        while (id == u->unk && end < text.n && best[end + (size_t)best[end].next_len].id == u->unk)
            end += (size_t)best[end].next_len;
        MU_TRY_RETURN(token_out(t, (struct mu_str){text.p + at, end - at}, id, ids, e));
        at = end;
    }
    return MU_OK;
}
