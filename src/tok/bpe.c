/* bpe.c - byte-pair encoding of one word in O(n log n)
 *
 * A word is a linked list of symbols; a heap holds the pairs that can merge, lowest rank first and leftmost of equals.
 * A heap entry whose pair has changed since is recognised when it is taken (its two symbols no longer make the id it
 * names) and dropped, so nothing is ever searched for.
 *
 * Two sources of pairs: a list of merges (Hugging Face, GPT-2), or the vocabulary itself (SentencePiece by score,
 * tiktoken by rank): two neighbours merge when their bytes together are a token. */
#include "tok/tok_int.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

#define PAIR_FREE UINT64_MAX
#define WORD_MAX  ((size_t)INT32_MAX) /* symbols are numbered by int32 */

/* ---- the table of pairs ---- */

static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t pair_place(uint64_t key, size_t n_slots)
{
    key ^= key >> 29;
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key >> 24) & (n_slots - 1);
}

static struct mu_bpe_pair *pair_slot(struct mu_bpe_pair *pairs, size_t n_slots, uint64_t key)
{
    size_t i = pair_place(key, n_slots);
    while (pairs[i].key != PAIR_FREE && pairs[i].key != key)
        i = (i + 1) & (n_slots - 1);
    return &pairs[i];
}

int mu_bpe_reserve(struct mu_bpe *b, size_t n_pairs, struct mu_err *e)
{
    size_t n = b->n_pair_slots ? b->n_pair_slots : 256;
    while (n < n_pairs * 2)
        n *= 2;
    if (n == b->n_pair_slots)
        return MU_OK;
    struct mu_bpe_pair *pairs = mu_alloc(n * sizeof *pairs);
    if (!pairs)
        return mu_fail_nomem(e, n * sizeof *pairs, "the table of merges");
    for (size_t i = 0; i < n; i++)
        pairs[i].key = PAIR_FREE;
    for (size_t i = 0; i < b->n_pair_slots; i++)
        if (b->pairs[i].key != PAIR_FREE)
            *pair_slot(pairs, n, b->pairs[i].key) = b->pairs[i];
    mu_free(b->pairs);
    b->pairs = pairs;
    b->n_pair_slots = n;
    return MU_OK;
}

int mu_bpe_add_pair(struct mu_bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id, struct mu_err *e)
{
    MU_TRY_RETURN(mu_bpe_reserve(b, b->n_pairs + 1, e));
    uint64_t key = pair_key(left, right);
    struct mu_bpe_pair *slot = pair_slot(b->pairs, b->n_pair_slots, key);
    b->n_pairs += slot->key == PAIR_FREE;
    *slot = (struct mu_bpe_pair){key, rank, id}; /* of two equal merges the later counts, as in a map */
    return MU_OK;
}

struct scored {
    float score;
    int32_t id;
};

static int by_score_down(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

int mu_bpe_ranks_by_score(struct mu_bpe *b, const float *scores, int32_t n, struct mu_err *e)
{
    struct scored *order = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&order, n, "token scores", e));
    MU_TRY(MU_NEW_ARRAY(&b->ranks, n, "token ranks", e));
    for (int32_t i = 0; i < n; i++)
        order[i] = (struct scored){scores[i], i};
    qsort(order, (size_t)n, sizeof *order, by_score_down);
    uint32_t rank = 0;
    for (int32_t i = 0; i < n; i++) {
        rank += i > 0 && order[i].score < order[i - 1].score;
        b->ranks[order[i].id] = rank;
    }
out:
    mu_free(order);
    return rc;
}

void mu_bpe_fini(struct mu_bpe *b)
{
    mu_free(b->pairs);
    mu_free(b->ranks);
    mu_free(b->is_unused);
}

bool mu_bpe_cuts_at_marks(const struct mu_tokenizer *t)
{
    const struct mu_bpe *b = &t->bpe;
    if (t->model != MU_MODEL_BPE || b->ignore_merges || b->by_byte || b->prefix.n || b->suffix.n ||
        mu_vocab_find(&t->vocab, MU_SPACE_MARK, 3) < 0)
        return false;
    for (int32_t id = 0; id < t->vocab.n; id++) {
        if (!mu_vocab_has(&t->vocab, id))
            continue;
        struct mu_str s = mu_vocab_piece(&t->vocab, id);
        size_t run = 0;
        while (run + 3 <= s.n && memcmp(s.p + run, MU_SPACE_MARK, 3) == 0)
            run += 3;
        if (memmem(s.p + run, s.n - run, MU_SPACE_MARK, 3))
            return false;
    }
    return true;
}

/* ---- the word as symbols ---- */

static int symbol_add(struct mu_tok_work *w, int32_t id, size_t off, size_t n, struct mu_err *e)
{
    if (w->n_symbols == w->cap_symbols) {
        size_t cap = w->cap_symbols ? w->cap_symbols * 2 : 64;
        struct mu_bpe_symbol *v = mu_realloc(w->symbols, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "the symbols of a word");
        w->symbols = v;
        w->cap_symbols = cap;
    }
    int32_t i = (int32_t)w->n_symbols++;
    w->symbols[i] = (struct mu_bpe_symbol){id, i - 1, i + 1, (uint32_t)off, (uint32_t)n};
    return MU_OK;
}

/* An unknown run not yet written out. */
struct pending {
    bool is_there;
    size_t off, n;
};

static int pending_out(const struct mu_bpe *b, struct mu_tok_work *w, struct pending *p, struct mu_err *e)
{
    if (!p->is_there)
        return MU_OK;
    p->is_there = false;
    return symbol_add(w, b->unk, p->off, p->n, e);
}

static bool has_bytes(const struct mu_bpe *b, struct mu_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (b->byte_ids[(unsigned char)s.p[i]] < 0)
            return false;
    return true;
}

/* A character that is no token: bytes, the unknown token, or nothing. As in Hugging Face, bytes do not end a pending
 * unknown run. */
static int unknown_char(const struct mu_bpe *b, struct mu_tok_work *w, struct mu_str s, size_t off, size_t n,
                        struct pending *p, struct mu_err *e)
{
    if (b->has_byte_fallback && has_bytes(b, s)) {
        for (size_t i = 0; i < s.n; i++)
            MU_TRY_RETURN(symbol_add(w, b->byte_ids[(unsigned char)s.p[i]], off, 1, e));
        return MU_OK;
    }
    if (b->unk < 0)
        return MU_OK;
    if (p->is_there && b->fuse_unk) {
        p->n += n;
        return MU_OK;
    }
    MU_TRY_RETURN(pending_out(b, w, p, e));
    *p = (struct pending){true, off, n};
    return MU_OK;
}

static size_t char_length(const char *p, size_t n)
{
    uint32_t cp;
    int len = mu_utf8_decode(p, n, &cp);
    return len > 0 ? (size_t)len : 1;
}

/* One character with the affixes its place in the word gives it; spelled is scratch. */
static struct mu_str spell(const struct mu_bpe *b, struct mu_str word, size_t off, size_t n, struct mu_buf *spelled,
                           int *rc, struct mu_err *e)
{
    struct mu_str s = {word.p + off, n};
    bool has_prefix = off > 0 && b->prefix.n > 0, has_suffix = off + n == word.n && b->suffix.n > 0;
    if (!has_prefix && !has_suffix)
        return s;
    mu_buf_clear(spelled);
    *rc = has_prefix ? mu_buf_add(spelled, b->prefix.p, b->prefix.n, e) : MU_OK;
    if (*rc == MU_OK)
        *rc = mu_buf_add(spelled, s.p, s.n, e);
    if (*rc == MU_OK && has_suffix)
        *rc = mu_buf_add(spelled, b->suffix.p, b->suffix.n, e);
    return mu_buf_str(spelled);
}

static int symbols_of(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_err *e)
{
    const struct mu_bpe *b = &t->bpe;
    struct pending p = {false, 0, 0};
    struct mu_buf spelled = MU_BUF_INIT("a character", MU_TOK_PIECE_BYTES_MAX * 3);
    int rc = MU_OK;

    w->n_symbols = 0;
    for (size_t off = 0, n; off < word.n; off += n) {
        n = b->by_byte ? 1 : char_length(word.p + off, word.n - off);
        struct mu_str s = spell(b, word, off, n, &spelled, &rc, e);
        if (rc != MU_OK)
            goto out;
        int32_t id = mu_vocab_find(&t->vocab, s.p, s.n);
        if (id < 0) {
            MU_TRY(unknown_char(b, w, s, off, n, &p, e));
            continue;
        }
        MU_TRY(pending_out(b, w, &p, e));
        MU_TRY(symbol_add(w, id, off, n, e));
    }
    MU_TRY(pending_out(b, w, &p, e));
out:
    mu_buf_fini(&spelled);
    return rc;
}

/* As above for a vocabulary whose merges go by text: unknown characters stay symbols and may merge. */
static int symbols_by_text(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_err *e)
{
    const struct mu_bpe *b = &t->bpe;
    w->n_symbols = 0;
    for (size_t off = 0, n; off < word.n; off += n) {
        n = b->by_byte ? 1 : char_length(word.p + off, word.n - off);
        if (b->keep)
            mu_trie_longest(b->keep, word.p + off, word.n - off, &n);
        MU_TRY_RETURN(symbol_add(w, mu_vocab_find(&t->vocab, word.p + off, n), off, n, e));
    }
    return MU_OK;
}

/* ---- merging ---- */

static bool before(const struct mu_bpe_merge *a, const struct mu_bpe_merge *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static int heap_push(struct mu_tok_work *w, struct mu_bpe_merge m, struct mu_err *e)
{
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? w->cap_heap * 2 : 64;
        struct mu_bpe_merge *v = mu_realloc(w->heap, cap * sizeof *v);
        if (!v)
            return mu_fail_nomem(e, cap * sizeof *v, "the merges of a word");
        w->heap = v;
        w->cap_heap = cap;
    }
    size_t i = w->n_heap++;
    for (; i > 0 && before(&m, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = m;
    return MU_OK;
}

static struct mu_bpe_merge heap_pop(struct mu_tok_work *w)
{
    struct mu_bpe_merge top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->n_heap)
            break;
        if (child + 1 < w->n_heap && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* Whether the symbols at i and its next merge, into what and with which rank. User-defined symbols never do. */
static bool pair_at(const struct mu_tokenizer *t, const struct mu_tok_work *w, const char *word, int32_t i,
                    struct mu_bpe_merge *out)
{
    const struct mu_bpe *b = &t->bpe;
    const struct mu_bpe_symbol *left = &w->symbols[i], *right = &w->symbols[left->next];
    if (!b->by_text) {
        uint64_t key = pair_key(left->id, right->id);
        const struct mu_bpe_pair *p = pair_slot(b->pairs, b->n_pair_slots, key);
        *out = (struct mu_bpe_merge){p->rank, i, p->id};
        return p->key == key;
    }
    size_t len;
    if (b->keep && (mu_trie_longest(b->keep, word + left->off, left->n, &len) >= 0 && len == left->n))
        return false;
    if (b->keep && (mu_trie_longest(b->keep, word + right->off, right->n, &len) >= 0 && len == right->n))
        return false;
    int32_t id = mu_vocab_find(&t->vocab, word + left->off, (size_t)left->n + right->n);
    if (id < 0 || b->ranks[id] == UINT32_MAX)
        return false;
    *out = (struct mu_bpe_merge){b->ranks[id], i, id};
    return true;
}

static int try_pair(const struct mu_tokenizer *t, struct mu_tok_work *w, const char *word, int32_t i, struct mu_err *e)
{
    struct mu_bpe_merge m;
    if (i < 0 || w->symbols[i].next < 0 || !pair_at(t, w, word, i, &m))
        return MU_OK;
    return heap_push(w, m, e);
}

static int merge_all(const struct mu_tokenizer *t, struct mu_tok_work *w, const char *word, struct mu_err *e)
{
    if (w->n_symbols == 0 || (!t->bpe.by_text && t->bpe.n_pair_slots == 0))
        return MU_OK;
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < w->n_symbols; i++)
        MU_TRY_RETURN(try_pair(t, w, word, (int32_t)i, e));
    while (w->n_heap > 0) {
        struct mu_bpe_merge m = heap_pop(w), now;
        struct mu_bpe_symbol *left = &w->symbols[m.at];
        if (left->n == 0 || left->next < 0 || !pair_at(t, w, word, m.at, &now) || now.id != m.id)
            continue;
        struct mu_bpe_symbol *right = &w->symbols[left->next];
        left->id = m.id;
        left->n += right->n;
        left->next = right->next;
        right->n = 0;
        if (left->next >= 0)
            w->symbols[left->next].prev = m.at;
        MU_TRY_RETURN(try_pair(t, w, word, left->prev, e));
        MU_TRY_RETURN(try_pair(t, w, word, m.at, e));
    }
    return MU_OK;
}

/* ---- ids out ---- */

/* A symbol that is no token, of a vocabulary that merges by text: bytes, or one unknown for a run of them. */
static int unknown_out(const struct mu_bpe *b, struct mu_str s, bool *after_unk, struct mu_ids *ids, struct mu_err *e)
{
    if (b->has_byte_fallback && has_bytes(b, s)) {
        for (size_t i = 0; i < s.n; i++)
            MU_TRY_RETURN(mu_ids_add(ids, b->byte_ids[(unsigned char)s.p[i]], e));
        return MU_OK;
    }
    if (b->unk < 0)
        return mu_fail(e, MU_EINVAL, "the text holds \"%.*s\", which the vocabulary cannot spell", (int)MU_MIN(s.n, 40),
                       s.p);
    if (*after_unk && b->fuse_unk)
        return MU_OK;
    *after_unk = true;
    return mu_ids_add(ids, b->unk, e);
}

/* Unused pieces of SentencePiece serve only on the way: take them apart into the best-ranked two tokens. */
static int split_unused(const struct mu_tokenizer *t, struct mu_str s, bool *after_unk, struct mu_ids *ids,
                        struct mu_err *e)
{
    const struct mu_bpe *b = &t->bpe;
    int32_t id = mu_vocab_find(&t->vocab, s.p, s.n);
    if (id < 0 || b->ranks[id] == UINT32_MAX)
        return unknown_out(b, s, after_unk, ids, e);
    if (!b->is_unused[id]) {
        *after_unk = false;
        return mu_ids_add(ids, id, e);
    }
    size_t cut = 0;
    uint32_t best = UINT32_MAX;
    for (size_t k = char_length(s.p, s.n); k < s.n; k += char_length(s.p + k, s.n - k)) {
        int32_t l = mu_vocab_find(&t->vocab, s.p, k), r = mu_vocab_find(&t->vocab, s.p + k, s.n - k);
        if (l < 0 || r < 0)
            continue;
        uint32_t worse = MU_MAX(b->ranks[l], b->ranks[r]);
        if (worse < best) {
            best = worse;
            cut = k;
        }
    }
    if (cut == 0)
        return unknown_out(b, s, after_unk, ids, e);
    MU_TRY_RETURN(split_unused(t, (struct mu_str){s.p, cut}, after_unk, ids, e));
    return split_unused(t, (struct mu_str){s.p + cut, s.n - cut}, after_unk, ids, e);
}

static int ids_out(const struct mu_tokenizer *t, const struct mu_tok_work *w, const char *word, struct mu_ids *ids,
                   struct mu_err *e)
{
    const struct mu_bpe *b = &t->bpe;
    bool after_unk = false;
    for (int32_t i = w->n_symbols > 0 ? 0 : -1; i >= 0; i = w->symbols[i].next) {
        const struct mu_bpe_symbol *s = &w->symbols[i];
        struct mu_str text = {word + s->off, s->n};
        if (b->by_text && s->id < 0) {
            MU_TRY_RETURN(unknown_out(b, text, &after_unk, ids, e));
        } else if (b->is_unused && b->is_unused[s->id]) {
            MU_TRY_RETURN(split_unused(t, text, &after_unk, ids, e));
        } else {
            after_unk = false;
            MU_TRY_RETURN(mu_ids_add(ids, s->id, e));
        }
    }
    return MU_OK;
}

int mu_bpe_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                  struct mu_err *e)
{
    if (word.n > WORD_MAX)
        return mu_fail(e, MU_ELIMIT, "a word of %zu bytes, at most %zu are supported", word.n, WORD_MAX);
    if (t->bpe.ignore_merges || t->bpe.by_byte) {
        int32_t id = mu_vocab_find(&t->vocab, word.p, word.n);
        if (id >= 0)
            return mu_ids_add(ids, id, e);
    }
    if (t->bpe.by_text)
        MU_TRY_RETURN(symbols_by_text(t, w, word, e));
    else
        MU_TRY_RETURN(symbols_of(t, w, word, e));
    if (w->n_symbols > 0)
        w->symbols[w->n_symbols - 1].next = -1;
    MU_TRY_RETURN(merge_all(t, w, word.p, e));
    return ids_out(t, w, word.p, ids, e);
}
