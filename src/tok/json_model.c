/* json_model.c - the "model" section of tokenizer.json: BPE, Unigram, WordPiece, WordLevel
 *
 * Old files have no "type"; what the section holds tells the model then. */
#include "tok/tok_int.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "tok/json_tables.h"

#define UNK_NAMED_ABSENT (-2) /* the file names an unknown token that its vocabulary lacks: an error when needed */

/* ---- vocabulary of token: id ---- */

static int take_token(struct mu_tokenizer *t, struct mu_json_scan *scan, const char *where, struct mu_err *e)
{
    struct mu_str s;
    uint64_t id;
    MU_TRY_RETURN(mu_scan_string(scan, &s, e));
    MU_TRY_RETURN(mu_scan_expect(scan, ':', e));
    if (!mu_scan_number(scan, &id))
        return mu_scan_fail(scan, "an id", e);
    return mu_vocab_add(&t->vocab, (int64_t)MU_MIN(id, (uint64_t)INT64_MAX), s, where, e);
}

/* The table cut out of the file; 16 bytes a token at least, so its size bounds their number. */
static int walk_vocab(struct mu_tokenizer *t, const struct mu_json_tables *tables, const char *where, struct mu_err *e)
{
    struct mu_json_scan scan;
    size_t bytes = tables->vocab.n;
    int rc = MU_OK;
    mu_json_tables_scan(&scan, tables, tables->vocab, where);
    MU_TRY(mu_vocab_reserve(&t->vocab, MU_MIN(bytes / 20, (size_t)1 << 18), bytes / 2, e));
    MU_TRY(mu_scan_expect(&scan, '{', e));
    if (!mu_scan_accept(&scan, '}')) {
        do
            MU_TRY(take_token(t, &scan, where, e));
        while (mu_scan_accept(&scan, ','));
        MU_TRY(mu_scan_expect(&scan, '}', e));
    }
    MU_TRY(mu_scan_end(&scan, e));
out:
    mu_scan_fini(&scan);
    return rc;
}

static int load_vocab(struct mu_tokenizer *t, json_t *vocab, const char *where, struct mu_err *e)
{
    const char *key;
    size_t key_n;
    json_t *v;
    if (!json_is_object(vocab))
        return mu_fail(e, MU_EFORMAT, "%s: \"vocab\" must be an object of token: id", where);
    MU_TRY_RETURN(mu_vocab_reserve(&t->vocab, json_object_size(vocab), 8 * json_object_size(vocab), e));
    json_object_keylen_foreach(vocab, key, key_n, v)
    {
        if (!json_is_integer(v))
            return mu_fail(e, MU_EFORMAT, "%s: the id of token \"%.60s\" is no integer", where, key);
        MU_TRY_RETURN(mu_vocab_add(&t->vocab, json_integer_value(v), (struct mu_str){key, key_n}, where, e));
    }
    return MU_OK;
}

static int unk_id(const struct mu_tokenizer *t, json_t *model)
{
    const json_t *v = json_object_get(model, "unk_token");
    if (!json_is_string(v))
        return -1;
    int32_t id = mu_vocab_find(&t->vocab, json_string_value(v), json_string_length(v));
    return id >= 0 ? id : UNK_NAMED_ABSENT;
}

/* ---- BPE ---- */

/* One merge by the spellings of its two sides. */
int mu_tok_bpe_merge(struct mu_tokenizer *t, struct mu_str left, struct mu_str right, uint32_t rank, const char *where,
                     struct mu_err *e)
{
    int32_t l = mu_vocab_find(&t->vocab, left.p, left.n), r = mu_vocab_find(&t->vocab, right.p, right.n);
    struct mu_str tail = right;
    if (t->bpe.prefix.n <= tail.n) { /* "##b" after "a" makes "ab" */
        tail.p += t->bpe.prefix.n;
        tail.n -= t->bpe.prefix.n;
    }
    int32_t id = l < 0 || r < 0 ? -1 : mu_vocab_find2(&t->vocab, left, tail);
    if (id < 0) {
        struct mu_str missing = l < 0 ? left : r < 0 ? right : tail;
        return mu_fail(e, MU_EFORMAT,
                       "%s: merge %" PRIu32 " (\"%.*s\" \"%.*s\") names the token \"%.*s%.*s\", which the "
                       "vocabulary lacks",
                       where, rank, (int)MU_MIN(left.n, 60), left.p, (int)MU_MIN(right.n, 60), right.p,
                       l >= 0 && r >= 0 ? (int)MU_MIN(left.n, 60) : 0, left.p, (int)MU_MIN(missing.n, 60), missing.p);
    }
    int32_t pair[2] = {l, r};
    mu_tok_hash(t, pair, sizeof pair);
    return mu_bpe_add_pair(&t->bpe, l, r, rank, id, e);
}

/* "a b" in *left becomes its two sides. */
static int halves(struct mu_str *left, struct mu_str *right, uint32_t rank, const char *where, struct mu_err *e)
{
    struct mu_str s = *left;
    const char *space = memchr(s.p, ' ', s.n);
    if (!space || memchr(space + 1, ' ', s.n - (size_t)(space + 1 - s.p)))
        return mu_fail(e, MU_EFORMAT, "%s: merge %" PRIu32 " (\"%.*s\") is not two tokens parted by one space", where,
                       rank, (int)MU_MIN(s.n, 60), s.p);
    left->n = (size_t)(space - s.p);
    *right = (struct mu_str){space + 1, s.n - left->n - 1};
    return MU_OK;
}

static int load_merge(struct mu_tokenizer *t, json_t *v, uint32_t rank, const char *where, struct mu_err *e)
{
    if (json_is_string(v)) {
        struct mu_str left = {json_string_value(v), json_string_length(v)}, right;
        MU_TRY_RETURN(halves(&left, &right, rank, where, e));
        return mu_tok_bpe_merge(t, left, right, rank, where, e);
    }
    json_t *l = json_array_get(v, 0), *r = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_string(l) || !json_is_string(r))
        return mu_fail(e, MU_EFORMAT, "%s: merge %" PRIu32 " is neither \"a b\" nor [\"a\", \"b\"]", where, rank);
    return mu_tok_bpe_merge(t, (struct mu_str){json_string_value(l), json_string_length(l)},
                            (struct mu_str){json_string_value(r), json_string_length(r)}, rank, where, e);
}

static int load_merges(struct mu_tokenizer *t, json_t *merges, const char *where, struct mu_err *e)
{
    size_t i;
    json_t *v;
    if (!json_is_array(merges))
        return mu_fail(e, MU_EFORMAT, "%s: \"merges\" must be an array", where);
    if (json_array_size(merges) > UINT32_MAX / 4)
        return mu_fail(e, MU_ELIMIT, "%s: %zu merges, at most %u are supported", where, json_array_size(merges),
                       UINT32_MAX / 4);
    MU_TRY_RETURN(mu_bpe_reserve(&t->bpe, json_array_size(merges), e));
    json_array_foreach(merges, i, v) MU_TRY_RETURN(load_merge(t, v, (uint32_t)i, where, e));
    return MU_OK;
}

static int take_merge(struct mu_tokenizer *t, struct mu_json_scan *scan, uint32_t rank, const char *where,
                      struct mu_err *e)
{
    struct mu_str left, right;
    bool is_pair = mu_scan_accept(scan, '[');
    MU_TRY_RETURN(mu_scan_string(scan, &left, e));
    if (is_pair) {
        MU_TRY_RETURN(mu_scan_expect(scan, ',', e));
        MU_TRY_RETURN(mu_scan_string(scan, &right, e));
        MU_TRY_RETURN(mu_scan_expect(scan, ']', e));
    } else {
        MU_TRY_RETURN(halves(&left, &right, rank, where, e));
    }
    return mu_tok_bpe_merge(t, left, right, rank, where, e);
}

/* The merges cut out of the file. */
static int walk_merges(struct mu_tokenizer *t, const struct mu_json_tables *tables, const char *where, struct mu_err *e)
{
    struct mu_json_scan scan;
    uint32_t rank = 0;
    int rc = MU_OK;
    mu_json_tables_scan(&scan, tables, tables->merges, where);
    MU_TRY(mu_bpe_reserve(&t->bpe, MU_MIN(tables->merges.n / 24, (size_t)1 << 18), e));
    MU_TRY(mu_scan_expect(&scan, '[', e));
    if (!mu_scan_accept(&scan, ']')) {
        do
            MU_TRY(take_merge(t, &scan, rank++, where, e));
        while (mu_scan_accept(&scan, ','));
        MU_TRY(mu_scan_expect(&scan, ']', e));
    }
    MU_TRY(mu_scan_end(&scan, e));
out:
    mu_scan_fini(&scan);
    return rc;
}

static int load_bpe(struct mu_tokenizer *t, json_t *model, const struct mu_json_tables *tables, const char *where,
                    struct mu_err *e)
{
    struct mu_bpe *b = &t->bpe;
    double dropout = 0;
    t->model = MU_MODEL_BPE;
    if (mu_json_has(model, "dropout"))
        MU_TRY_RETURN(mu_json_real(model, "dropout", 0, 1, &dropout, where, e));
    if (dropout > 0)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s: BPE with dropout %g gives other ids on every run; set \"dropout\" to null", where, dropout);
    if (tables)
        MU_TRY_RETURN(walk_vocab(t, tables, where, e));
    else
        MU_TRY_RETURN(load_vocab(t, json_object_get(model, "vocab"), where, e));
    MU_TRY_RETURN(mu_tok_json_flag(model, "byte_fallback", false, &b->has_byte_fallback, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(model, "fuse_unk", false, &b->fuse_unk, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(model, "ignore_merges", false, &b->ignore_merges, where, e));
    MU_TRY_RETURN(mu_tok_json_str(t, model, "continuing_subword_prefix", "", &b->prefix, where, e));
    MU_TRY_RETURN(mu_tok_json_str(t, model, "end_of_word_suffix", "", &b->suffix, where, e));
    b->unk = unk_id(t, model);
    mu_vocab_byte_ids(&t->vocab, b->byte_ids);
    bool flags[] = {b->has_byte_fallback, b->fuse_unk, b->ignore_merges};
    mu_tok_hash(t, flags, sizeof flags);
    mu_tok_hash(t, b->prefix.p, b->prefix.n);
    mu_tok_hash(t, b->suffix.p, b->suffix.n);
    mu_tok_hash(t, &b->unk, sizeof b->unk);
    if (tables)
        return walk_merges(t, tables, where, e);
    return load_merges(t, json_object_get(model, "merges"), where, e);
}

/* ---- Unigram ---- */

#define UNK_PENALTY 10.0 /* below the least likely token, as SentencePiece has it */

static int load_piece(struct mu_tokenizer *t, json_t *v, int32_t id, const char *where, struct mu_err *e)
{
    json_t *text = json_array_get(v, 0), *score = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_string(text) || !json_is_number(score))
        return mu_fail(e, MU_EFORMAT, "%s: entry %d of the vocabulary is not [\"token\", score]", where, id);
    struct mu_str s = {json_string_value(text), json_string_length(text)};
    t->unigram.scores[id] = json_number_value(score);
    MU_TRY_RETURN(mu_vocab_add(&t->vocab, id, s, where, e));
    return mu_trie_add(&t->unigram.trie, s, id, e);
}

static int load_unigram(struct mu_tokenizer *t, json_t *model, const char *where, struct mu_err *e)
{
    struct mu_unigram *u = &t->unigram;
    json_t *vocab, *v;
    size_t i;
    int64_t unk = -1;

    t->model = MU_MODEL_UNIGRAM;
    MU_TRY_RETURN(mu_json_array(model, "vocab", &vocab, where, e));
    size_t n = json_array_size(vocab);
    if (n == 0)
        return mu_fail(e, MU_EFORMAT, "%s: the unigram vocabulary is empty", where);
    MU_TRY_RETURN(mu_vocab_reserve(&t->vocab, n, 8 * n, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&u->scores, n, "token scores", e));
    double least = 0;
    json_array_foreach(vocab, i, v)
    {
        MU_TRY_RETURN(load_piece(t, v, (int32_t)i, where, e));
        least = i == 0 ? u->scores[i] : MU_MIN(least, u->scores[i]);
    }
    u->unk_score = least - UNK_PENALTY;
    if (mu_json_has(model, "unk_id"))
        MU_TRY_RETURN(mu_json_int(model, "unk_id", 0, (int64_t)n - 1, &unk, where, e));
    u->unk = (int32_t)unk;
    MU_TRY_RETURN(mu_tok_json_flag(model, "byte_fallback", false, &u->has_byte_fallback, where, e));
    mu_vocab_byte_ids(&t->vocab, u->byte_ids);
    mu_tok_hash(t, u->scores, n * sizeof *u->scores);
    mu_tok_hash(t, &u->unk, sizeof u->unk);
    mu_tok_hash(t, &u->has_byte_fallback, sizeof u->has_byte_fallback);
    return MU_OK;
}

/* ---- WordPiece and WordLevel ---- */

static int load_words(struct mu_tokenizer *t, json_t *model, enum mu_tok_model kind, const char *where,
                      struct mu_err *e)
{
    struct mu_wordpiece *m = &t->wordpiece;
    t->model = kind;
    m->chars_max = 100;
    MU_TRY_RETURN(load_vocab(t, json_object_get(model, "vocab"), where, e));
    m->unk = MU_MAX(unk_id(t, model), -1);
    if (kind == MU_MODEL_WORDPIECE) {
        MU_TRY_RETURN(mu_tok_json_str(t, model, "continuing_subword_prefix", "##", &m->prefix, where, e));
        if (mu_json_has(model, "max_input_chars_per_word"))
            MU_TRY_RETURN(mu_json_int(model, "max_input_chars_per_word", 0, INT32_MAX, &m->chars_max, where, e));
    }
    mu_tok_hash(t, &m->unk, sizeof m->unk);
    mu_tok_hash(t, &m->chars_max, sizeof m->chars_max);
    mu_tok_hash(t, m->prefix.p, m->prefix.n);
    return MU_OK;
}

static const char *model_type(json_t *model)
{
    const char *type = json_string_value(json_object_get(model, "type"));
    if (type)
        return type;
    if (json_is_array(json_object_get(model, "vocab")))
        return "Unigram";
    if (json_object_get(model, "merges"))
        return "BPE";
    return json_object_get(model, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

int mu_tok_json_model(struct mu_tokenizer *t, json_t *model, const struct mu_json_tables *tables, const char *where,
                      struct mu_err *e)
{
    const char *type = model_type(model);
    mu_tok_hash(t, type, strlen(type));
    if (strcmp(type, "BPE") == 0)
        return load_bpe(t, model, tables, where, e);
    if (tables)
        return mu_fail(e, MU_EFORMAT, "%s: a %.60s model has no merges", where, type);
    if (strcmp(type, "Unigram") == 0)
        return load_unigram(t, model, where, e);
    if (strcmp(type, "WordPiece") == 0)
        return load_words(t, model, MU_MODEL_WORDPIECE, where, e);
    if (strcmp(type, "WordLevel") == 0)
        return load_words(t, model, MU_MODEL_WORDLEVEL, where, e);
    return mu_fail(e, MU_EUNSUPPORTED, "%s: model type \"%.60s\" is none of BPE, Unigram, WordPiece, WordLevel", where,
                   type);
}
