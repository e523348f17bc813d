/* gguf_vocab.c - the vocabulary inside a GGUF file, by llama.cpp's rules
 *
 * tokenizer.ggml.model: "llama" is SentencePiece BPE by scores, "gpt2" byte-level BPE split as tokenizer.ggml.pre says,
 * "bert" WordPiece with U+2581 marking word beginnings, "t5" unigram. */
#include "tok/tok_int.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "fmt/gguf.h"

enum token_type { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

struct ggml_vocab {
    const struct mu_gguf *g;
    const char *where;
    int32_t n;
    struct mu_gguf_array tokens, types, scores; /* types, scores: n = 0 when absent */
};

static int type_of(const struct ggml_vocab *v, int32_t i)
{
    return v->types.n ? (int)mu_gguf_int_at(&v->types, (uint64_t)i) : NORMAL;
}

static int read_arrays(struct ggml_vocab *v, struct mu_err *e)
{
    MU_TRY_RETURN(mu_gguf_strings(v->g, "tokenizer.ggml.tokens", &v->tokens, e));
    if (v->tokens.n == 0 || v->tokens.n > MU_TOK_VOCAB_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: %" PRIu64 " tokens, 1..%d are supported", v->where, v->tokens.n,
                       MU_TOK_VOCAB_MAX);
    v->n = (int32_t)v->tokens.n;
    if (mu_gguf_find(v->g, "tokenizer.ggml.token_type"))
        MU_TRY_RETURN(mu_gguf_ints(v->g, "tokenizer.ggml.token_type", &v->types, e));
    if (mu_gguf_find(v->g, "tokenizer.ggml.scores"))
        MU_TRY_RETURN(mu_gguf_reals(v->g, "tokenizer.ggml.scores", &v->scores, e));
    if ((v->types.n && v->types.n != v->tokens.n) || (v->scores.n && v->scores.n != v->tokens.n))
        return mu_fail(e, MU_EFORMAT, "%s: %" PRIu64 " tokens, but %" PRIu64 " types and %" PRIu64 " scores", v->where,
                       v->tokens.n, v->types.n, v->scores.n);
    return MU_OK;
}

/* Every token with its type: control and user-defined ones are sought in the text, byte ones are bytes. */
static int add_tokens(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    struct mu_gguf_array left = v->tokens;
    MU_TRY_RETURN(mu_vocab_reserve(&t->vocab, (size_t)v->n, (size_t)v->n * 8, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->raw_kinds, v->n, "byte tokens", e));
    for (int32_t i = 0; i < v->n; i++) {
        int type = type_of(v, i);
        struct mu_str s;
        if (!mu_gguf_next_string(&left, &s))
            return mu_fail(e, MU_EFORMAT, "%s: the tokens end at number %d of %d", v->where, i, v->n);
        if (type == CONTROL || type == UNKNOWN)
            MU_TRY_RETURN(mu_vocab_add_hidden(&t->vocab, i, s, v->where, e));
        else
            MU_TRY_RETURN(mu_vocab_add(&t->vocab, i, s, v->where, e));
        bool is_special = type == CONTROL || type == UNKNOWN;
        if (type == BYTE && mu_byte_token(s) >= 0)
            t->raw_kinds[i] = MU_RAW_BYTE;
        else if (is_special || type == USER_DEFINED)
            t->raw_kinds[i] = MU_RAW_LITERAL;
        if (s.n > 0 && (is_special || type == USER_DEFINED))
            MU_TRY_RETURN(mu_added_add(t, (struct mu_added){i, s, .is_special = is_special}, e));
        mu_tok_hash(t, &type, sizeof type);
    }
    return MU_OK;
}

/* ---- llama: SentencePiece BPE ---- */

static int make_llama(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    struct mu_bpe *b = &t->bpe;
    float *scores = NULL;
    bool add_space = true;
    int rc = MU_OK;

    t->model = MU_MODEL_BPE;
    b->by_text = true;
    b->has_byte_fallback = true;
    b->unk = t->unk;
    mu_vocab_byte_ids(&t->vocab, b->byte_ids);
    MU_TRY(MU_NEW_ARRAY(&scores, v->n, "token scores", e));
    for (int32_t i = 0; i < v->n; i++)
        scores[i] = v->scores.n ? (float)mu_gguf_real_at(&v->scores, (uint64_t)i) : 0;
    for (int32_t i = 0; i < v->n; i++)
        scores[i] = isnan(scores[i]) ? -INFINITY : scores[i];
    mu_tok_hash(t, scores, (size_t)v->n * sizeof *scores);
    MU_TRY(mu_bpe_ranks_by_score(b, scores, v->n, e));
    if (mu_gguf_find(v->g, "tokenizer.ggml.add_space_prefix"))
        MU_TRY(mu_gguf_bool(v->g, "tokenizer.ggml.add_space_prefix", &add_space, e));
    MU_TRY(MU_NEW_ARRAY(&t->norms, 1, "the normalizer", e));
    t->norms[t->n_norms++] =
        (struct mu_norm){.kind = MU_NORM_SENTENCEPIECE, .dummy_prefix = add_space, .escape_spaces = true};
    t->decoder.is_raw = t->decoder.raw_spaces = true;
    t->decoder.raw_strip = add_space;
    mu_tok_hash(t, &add_space, sizeof add_space);
out:
    mu_free(scores);
    return rc;
}

/* ---- gpt2: byte-level BPE ---- */

static int add_merges(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    struct mu_gguf_array merges;
    struct mu_str s;
    MU_TRY_RETURN(mu_gguf_strings(v->g, "tokenizer.ggml.merges", &merges, e));
    if (merges.n > UINT32_MAX / 4)
        return mu_fail(e, MU_ELIMIT, "%s: %" PRIu64 " merges, at most %u are supported", v->where, merges.n,
                       UINT32_MAX / 4);
    MU_TRY_RETURN(mu_bpe_reserve(&t->bpe, (size_t)merges.n, e));
    for (uint64_t i = 0; mu_gguf_next_string(&merges, &s); i++) {
        const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
        if (!space)
            return mu_fail(e, MU_EFORMAT, "%s: merge %" PRIu64 " is not two tokens parted by a space", v->where, i);
        struct mu_str left = {s.p, (size_t)(space - s.p)}, right = {space + 1, s.n - left.n - 1};
        MU_TRY_RETURN(mu_tok_bpe_merge(t, left, right, (uint32_t)i, v->where, e));
    }
    return MU_OK;
}

static int make_gpt2(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    char name[64] = "default";
    struct mu_str pre;
    t->model = MU_MODEL_BPE;
    mu_vocab_byte_ids(&t->vocab, t->bpe.byte_ids);
    if (mu_gguf_find(v->g, "tokenizer.ggml.pre")) {
        MU_TRY_RETURN(mu_gguf_string(v->g, "tokenizer.ggml.pre", &pre, e));
        snprintf(name, sizeof name, "%.*s", (int)MU_MIN(pre.n, sizeof name - 1), pre.p);
    }
    const struct mu_split_set *set = mu_split_set_find(name);
    if (!set)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: pre-tokenizer \"%s\" is not known", v->where, name);
    MU_TRY_RETURN(mu_tok_add_split(t, set->patterns, set->n, v->where, e));
    t->pres[t->n_pres++] = (struct mu_pre){.kind = MU_PRE_BYTE_LEVEL};
    static const char *const whole_words[] = {"llama3",  "llama-bpe", "llama-v3", "falcon3",
                                              "pixtral", "tekken",    "youtu"};
    for (size_t i = 0; i < MU_COUNT(whole_words); i++)
        t->bpe.ignore_merges |= strcmp(name, whole_words[i]) == 0;
    mu_tok_hash(t, set->name, strlen(set->name));
    t->decoder.is_raw = t->decoder.raw_mapped = true;
    return add_merges(t, v, e);
}

/* ---- bert and t5 ---- */

static int make_bert(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    (void)v;
    t->model = MU_MODEL_WORDPIECE;
    t->wordpiece.unk = t->unk;
    t->wordpiece.chars_max = INT32_MAX;
    t->wordpiece.prefix = MU_STR("");
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->norms, 2, "the normalizer", e));
    t->norms[t->n_norms++] = (struct mu_norm){
        .kind = MU_NORM_BERT, .clean_text = true, .chinese_chars = true, .strip_accents = true, .lowercase = true};
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->pres, 2, "the pre-tokenizer", e));
    t->pres[t->n_pres++] = (struct mu_pre){.kind = MU_PRE_BERT};
    /* The file marks beginnings of words; a word of one mark is put before each by the pre-tokenizer. */
    t->pres[t->n_pres++] = (struct mu_pre){.kind = MU_PRE_METASPACE, .mark = MU_STR("\xE2\x96\x81")};
    t->decoder.is_raw = t->decoder.raw_spaces = t->decoder.raw_strip = true;
    return MU_OK;
}

static int t5_charsmap(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    const struct mu_gguf_value *map = mu_gguf_find(v->g, "tokenizer.ggml.precompiled_charsmap");
    bool has_bytes = map && map->type == MU_GGUF_ARRAY &&
                     (map->items.type == MU_GGUF_U8 || map->items.type == MU_GGUF_I8) && map->items.n > 0;
    if (!has_bytes)
        return MU_OK;
    struct mu_str blob = {(const char *)map->items.p, (size_t)map->items.n};
    return mu_charsmap_new(&t->norms[0].map, blob, v->where, e);
}

static int make_t5(struct mu_tokenizer *t, const struct ggml_vocab *v, struct mu_err *e)
{
    struct mu_unigram *u = &t->unigram;
    bool add_space = true, extra_spaces = true;
    double least = 0, most = 0;
    t->model = MU_MODEL_UNIGRAM;
    u->unk = t->unk;
    u->is_f32 = true;
    if (!v->scores.n)
        return mu_fail(e, MU_EFORMAT, "%s: a unigram vocabulary without scores", v->where);
    if (mu_gguf_find(v->g, "tokenizer.ggml.add_space_prefix"))
        MU_TRY_RETURN(mu_gguf_bool(v->g, "tokenizer.ggml.add_space_prefix", &add_space, e));
    if (mu_gguf_find(v->g, "tokenizer.ggml.remove_extra_whitespaces"))
        MU_TRY_RETURN(mu_gguf_bool(v->g, "tokenizer.ggml.remove_extra_whitespaces", &extra_spaces, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&u->scores, v->n, "token scores", e));
    bool is_first = true;
    for (int32_t i = 0; i < v->n; i++) {
        u->scores[i] = mu_gguf_real_at(&v->scores, (uint64_t)i);
        if (!isfinite(u->scores[i]))
            return mu_fail(e, MU_EFORMAT, "%s: the score of token %d is no finite number", v->where, i);
        int type = type_of(v, i);
        if (type == NORMAL) {
            least = is_first ? u->scores[i] : MU_MIN(least, u->scores[i]);
            most = is_first ? u->scores[i] : MU_MAX(most, u->scores[i]);
            is_first = false;
        }
        if (type == NORMAL || type == USER_DEFINED)
            MU_TRY_RETURN(mu_trie_add(&u->trie, mu_vocab_piece(&t->vocab, i), i, e));
    }
    u->unk_score = least - 10;
    u->score_max = most;
    mu_tok_hash(t, u->scores, (size_t)v->n * sizeof *u->scores);
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->norms, 1, "the normalizer", e));
    t->norms[t->n_norms++] = (struct mu_norm){
        .kind = MU_NORM_SENTENCEPIECE, .dummy_prefix = add_space, .extra_spaces = extra_spaces, .escape_spaces = true};
    t->decoder.is_raw = t->decoder.raw_spaces = true;
    t->decoder.raw_strip = add_space;
    return t5_charsmap(t, v, e);
}

/* ---- special tokens ---- */

static int special_id(const struct ggml_vocab *v, const char *key, int32_t dflt, int32_t *out, struct mu_err *e)
{
    int64_t id = dflt < v->n ? dflt : -1;
    if (mu_gguf_find(v->g, key))
        MU_TRY_RETURN(mu_gguf_int(v->g, key, 0, v->n - 1, &id, e));
    *out = (int32_t)id;
    return MU_OK;
}

static int read_specials(struct mu_tokenizer *t, const struct ggml_vocab *v, bool is_llama, struct mu_err *e)
{
    MU_TRY_RETURN(special_id(v, "tokenizer.ggml.bos_token_id", is_llama ? 1 : -1, &t->bos, e));
    MU_TRY_RETURN(special_id(v, "tokenizer.ggml.eos_token_id", is_llama ? 2 : -1, &t->eos, e));
    MU_TRY_RETURN(special_id(v, "tokenizer.ggml.unknown_token_id", is_llama ? 0 : -1, &t->unk, e));
    return special_id(v, "tokenizer.ggml.padding_token_id", -1, &t->pad, e);
}

static int read_affixes(struct mu_tokenizer *t, const struct ggml_vocab *v, const char *model, struct mu_err *e)
{
    bool add_bos = strcmp(model, "llama") == 0 || strcmp(model, "bert") == 0;
    bool add_eos = strcmp(model, "t5") == 0 || strcmp(model, "bert") == 0;
    int32_t bos = t->bos, eos = t->eos;
    if (mu_gguf_find(v->g, "tokenizer.ggml.add_bos_token"))
        MU_TRY_RETURN(mu_gguf_bool(v->g, "tokenizer.ggml.add_bos_token", &add_bos, e));
    if (mu_gguf_find(v->g, "tokenizer.ggml.add_eos_token"))
        MU_TRY_RETURN(mu_gguf_bool(v->g, "tokenizer.ggml.add_eos_token", &add_eos, e));
    if (strcmp(model, "bert") == 0) {
        MU_TRY_RETURN(special_id(v, "tokenizer.ggml.cls_token_id", bos, &bos, e));
        MU_TRY_RETURN(special_id(v, "tokenizer.ggml.seperator_token_id", eos, &eos, e));
    }
    if (add_bos && bos >= 0)
        t->before[t->n_before++] = bos;
    if (add_eos && eos >= 0)
        t->after[t->n_after++] = eos;
    return MU_OK;
}

static int load(struct mu_tokenizer *t, struct ggml_vocab *v, struct mu_err *e)
{
    char model[32];
    struct mu_str s;
    MU_TRY_RETURN(mu_gguf_string(v->g, "tokenizer.ggml.model", &s, e));
    snprintf(model, sizeof model, "%.*s", (int)MU_MIN(s.n, sizeof model - 1), s.p);
    mu_tok_hash(t, model, strlen(model));
    MU_TRY_RETURN(read_arrays(v, e));
    MU_TRY_RETURN(read_specials(t, v, strcmp(model, "llama") == 0, e));
    MU_TRY_RETURN(add_tokens(t, v, e));
    MU_TRY_RETURN(read_affixes(t, v, model, e));
    if (strcmp(model, "llama") == 0)
        return make_llama(t, v, e);
    if (strcmp(model, "gpt2") == 0)
        return make_gpt2(t, v, e);
    if (strcmp(model, "bert") == 0)
        return make_bert(t, v, e);
    if (strcmp(model, "t5") == 0)
        return make_t5(t, v, e);
    return mu_fail(e, MU_EUNSUPPORTED, "%s: tokenizer model \"%s\" is none of llama, gpt2, bert, t5", v->where, model);
}

int mu_tok_load_gguf(struct mu_tokenizer *t, const char *path, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    int rc = MU_OK;
    t->source = "gguf";
    MU_TRY(mu_gguf_open(&g, path, e));
    struct ggml_vocab v = {.g = g, .where = path};
    MU_TRY(load(t, &v, e));
out:
    mu_gguf_free(g);
    return rc;
}
