/* tok_int.h - the parts of an open tokenizer, and what one call of encode or decode works in
 *
 * Text passes: added tokens cut out -> normalizer -> pre-tokenizer (spans) -> model (ids) -> post-processor. The
 * loaders (json_file.c, spm_file.c, ...) fill a struct mu_tokenizer; after open nobody writes to it. */
#ifndef MU_TOK_INT_H
#define MU_TOK_INT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "tok/regex.h"
#include "tok/trie.h"
#include "tok/vocab.h"
#include <muster/tokenizer.h>

#define MU_TOK_STEPS_MAX   64 /* steps of one normalizer, pre-tokenizer or decoder; published: below 10 */
#define MU_TOK_WORK_MAX    ((size_t)3 << 30) /* bytes of a text while normalized: charsmaps grow text a few fold */
#define MU_TOK_SPECIAL_MAX 64                /* ids a post-processor puts around a text */

#define MU_SPACE_MARK "\xE2\x96\x81" /* U+2581, which SentencePiece puts for a space */

/* ---- one call's working memory ---- */

/* A part of the text on its way to ids: bytes of the current text, or an added token. */
struct mu_span {
    size_t off, n;
    int32_t id;    /* >= 0: an added token; -1: text */
    bool is_start; /* it begins where the whole text begins */
};

struct mu_spans {
    struct mu_span *v;
    size_t n, cap;
};

int mu_spans_add(struct mu_spans *s, struct mu_span span, struct mu_err *e); /* empty texts are left out */
void mu_spans_fini(struct mu_spans *s);

/* A symbol of a word while BPE merges it: a doubly linked list in an array. */
struct mu_bpe_symbol {
    int32_t id;
    int32_t prev, next; /* -1: none */
    uint32_t off, n;    /* bytes in the word; n = 0: merged away */
};

struct mu_bpe_merge {
    uint32_t rank;
    int32_t at; /* left symbol */
    int32_t id; /* what the two become */
};

struct mu_word_cache;

struct mu_tok_work {
    struct mu_buf text, spare; /* the current text, and where a step writes the next */
    struct mu_spans spans, next;
    struct mu_matcher matcher;
    struct mu_bpe_symbol *symbols;
    size_t n_symbols, cap_symbols;
    struct mu_bpe_merge *heap;
    size_t n_heap, cap_heap;
    struct mu_viterbi *viterbi;
    size_t cap_viterbi;
    struct mu_word_cache *cache; /* NULL for short texts */
};

void mu_tok_work_init(struct mu_tok_work *w);
void mu_tok_work_fini(struct mu_tok_work *w);
void mu_tok_work_flip(struct mu_tok_work *w); /* spans = next, next empty */

/* ---- patterns: a literal string or a regex ---- */

struct mu_tok_pattern {
    struct mu_str literal; /* in the tokenizer's arena; used when regex is NULL */
    struct mu_regex *regex;
};

/* The first match at or after from. Literal matches do not overlap; an empty literal never matches. */
int mu_tok_pattern_find(const struct mu_tok_pattern *p, struct mu_matcher *m, const char *text, size_t n, size_t from,
                        bool *found, size_t *begin, size_t *end, struct mu_err *e);

/* ---- normalizer ---- */

enum mu_norm_kind {
    MU_NORM_NFC,
    MU_NORM_NFD,
    MU_NORM_NFKC,
    MU_NORM_NFKD,
    MU_NORM_LOWERCASE,
    MU_NORM_STRIP,
    MU_NORM_STRIP_ACCENTS,
    MU_NORM_REPLACE,
    MU_NORM_PREPEND,
    MU_NORM_APPEND,
    MU_NORM_PRECOMPILED,
    MU_NORM_BERT,
    MU_NORM_NMT,
    MU_NORM_BYTE_LEVEL,
    MU_NORM_SENTENCEPIECE
};

struct mu_charsmap;

struct mu_norm {
    enum mu_norm_kind kind;
    bool left, right;                                          /* Strip */
    bool clean_text, chinese_chars, strip_accents, lowercase;  /* Bert */
    bool dummy_prefix, extra_spaces, escape_spaces, as_suffix; /* SentencePiece; extra_spaces: removed */
    struct mu_tok_pattern pattern;                             /* Replace */
    struct mu_str content;                                     /* Replace, Prepend, Append */
    struct mu_charsmap *map;                                   /* Precompiled, SentencePiece (or NULL) */
    const struct mu_trie *keep;                                /* SentencePiece: user-defined symbols, or NULL */
};

/* text -> normalized text, in place; spare is scratch. *front_lost: characters at the front went away. */
int mu_tok_normalize(const struct mu_tokenizer *t, struct mu_matcher *m, struct mu_buf *text, struct mu_buf *spare,
                     bool *front_lost, struct mu_err *e);

int mu_charsmap_new(struct mu_charsmap **out, struct mu_str blob, const char *where, struct mu_err *e);
void mu_charsmap_free(struct mu_charsmap *m);
/* What p[0..n) begins with, longest or shortest entry: its replacement, and its length (0: no entry). */
struct mu_str mu_charsmap_find(const struct mu_charsmap *m, const char *p, size_t n, bool longest, size_t *len);
int mu_tok_norm_precompiled(const struct mu_charsmap *m, struct mu_str in, struct mu_buf *out, struct mu_err *e);
int mu_tok_norm_sentencepiece(const struct mu_norm *s, struct mu_str in, struct mu_buf *out, struct mu_err *e);

/* ---- pre-tokenizer ---- */

enum mu_pre_kind {
    MU_PRE_BYTE_LEVEL,
    MU_PRE_SPLIT,
    MU_PRE_WHITESPACE,
    MU_PRE_WHITESPACE_SPLIT,
    MU_PRE_PUNCTUATION,
    MU_PRE_DIGITS,
    MU_PRE_METASPACE,
    MU_PRE_BERT,
    MU_PRE_DELIMITER,
    MU_PRE_SCRIPTS,
    MU_PRE_FIXED_LENGTH
};

enum mu_behaviour { MU_REMOVED, MU_ISOLATED, MU_MERGED_PREVIOUS, MU_MERGED_NEXT, MU_CONTIGUOUS };
enum mu_prepend { MU_PREPEND_ALWAYS, MU_PREPEND_NEVER, MU_PREPEND_FIRST };

struct mu_pre {
    enum mu_pre_kind kind;
    enum mu_behaviour behaviour;
    bool invert;
    struct mu_tok_pattern pattern; /* Split, ByteLevel's own */
    bool prefix_space;             /* ByteLevel */
    bool do_split;                 /* ByteLevel: by its pattern; Metaspace: at every mark; Digits: each alone */
    enum mu_prepend prepend;       /* Metaspace */
    struct mu_str mark;            /* Metaspace, Delimiter: one character */
    int64_t length;                /* FixedLength, in characters */
};

int mu_tok_pretokenize(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_err *e);
/* The span cut by a step's matches; writes to w->next. */
int mu_tok_split_span(const struct mu_pre *p, struct mu_tok_work *w, struct mu_span span, struct mu_err *e);

/* The 256 characters that stand for bytes in byte-level vocabularies (GPT-2's table). */
int mu_byte_char(unsigned char byte, char out[4]); /* length, 1 or 2 */
int mu_char_byte(uint32_t cp);                     /* the byte, or -1 */

/* Characters as Rust's char and the regexes class them. */
bool mu_char_is_space(uint32_t cp); /* White_Space */
bool mu_char_is_word(uint32_t cp);  /* Rust's \w */
bool mu_char_is_punctuation(uint32_t cp);
bool mu_char_is_numeric(uint32_t cp);

/* ---- models ---- */

enum mu_tok_model { MU_MODEL_BPE, MU_MODEL_UNIGRAM, MU_MODEL_WORDPIECE, MU_MODEL_WORDLEVEL };

struct mu_bpe_pair {
    uint64_t key; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank;
    int32_t id;
};

struct mu_bpe {
    /* Pairs come from the list of merges, or (by_text) any two neighbours whose bytes together are a token merge,
     * lowest ranks[id] first: SentencePiece and tiktoken. */
    bool by_text;
    bool by_byte; /* a word begins as bytes, not as characters: tiktoken */
    bool has_byte_fallback, fuse_unk, ignore_merges;
    int32_t unk;
    struct mu_str prefix, suffix; /* continuing_subword_prefix, end_of_word_suffix */
    int32_t byte_ids[256];
    struct mu_bpe_pair *pairs;
    size_t n_pair_slots, n_pairs;
    uint32_t *ranks;            /* by_text: by id; UINT32_MAX: nothing merges into it */
    bool *is_unused;            /* by_text, SentencePiece: taken apart again at the end; or NULL */
    const struct mu_trie *keep; /* SentencePiece user-defined symbols: never cut; or NULL */
};

int mu_bpe_reserve(struct mu_bpe *b, size_t n_pairs, struct mu_err *e);
int mu_bpe_add_pair(struct mu_bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id, struct mu_err *e);
int mu_bpe_ranks_by_score(struct mu_bpe *b, const float *scores, int32_t n, struct mu_err *e);
void mu_bpe_fini(struct mu_bpe *b);
/* Whether no token goes on with U+2581 after another character: then no merge crosses the beginning of a run of them,
 * and a text without pre-tokenizer can be merged word by word. */
bool mu_bpe_cuts_at_marks(const struct mu_tokenizer *t);
int mu_bpe_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                  struct mu_err *e);

struct mu_unigram {
    double *scores; /* by id */
    double unk_score;
    int32_t unk; /* -1: an unknown character is an error */
    bool has_byte_fallback;
    bool is_f32;   /* sums round to float, as SentencePiece's do */
    bool *is_user; /* by id: SentencePiece user-defined, scored by length; or NULL */
    double score_max;
    int32_t byte_ids[256];
    struct mu_trie trie;
};

void mu_unigram_fini(struct mu_unigram *u);
int mu_unigram_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                      struct mu_err *e);

struct mu_wordpiece {
    int32_t unk; /* -1: an unknown word is an error */
    struct mu_str prefix;
    int64_t chars_max;
};

int mu_wordpiece_encode(const struct mu_tokenizer *t, struct mu_str word, struct mu_ids *ids, struct mu_err *e);
int mu_wordlevel_encode(const struct mu_tokenizer *t, struct mu_str word, struct mu_ids *ids, struct mu_err *e);

int mu_tok_model_encode(const struct mu_tokenizer *t, struct mu_tok_work *w, struct mu_str word, struct mu_ids *ids,
                        struct mu_err *e);

/* ---- added tokens ---- */

struct mu_added {
    int32_t id;
    struct mu_str content; /* as written */
    bool is_special, single_word, lstrip, rstrip, normalized;
};

#define MU_TOK_ADDED_MAX (1 << 20)

struct mu_added_tokens {
    struct mu_added *v;
    int32_t n, cap;
    /* Tries over index into v: tokens found before and after normalization; the same without special ones. */
    struct mu_trie raw[2], normal[2];
};

/* The id must have a piece in the vocabulary. */
int mu_added_add(struct mu_tokenizer *t, struct mu_added a, struct mu_err *e);
int mu_added_build(struct mu_tokenizer *t, struct mu_err *e); /* tries; after the normalizer is known */
void mu_added_fini(struct mu_added_tokens *a);

/* text[off, off+n) cut at the tokens of a trie into w->next (positions absolute). */
int mu_added_split(const struct mu_tokenizer *t, const struct mu_trie *trie, const char *text, struct mu_span whole,
                   struct mu_spans *out, struct mu_err *e);

/* ---- decoder ---- */

enum mu_dec_kind {
    MU_DEC_BYTE_LEVEL,
    MU_DEC_BYTE_FALLBACK,
    MU_DEC_METASPACE,
    MU_DEC_WORDPIECE,
    MU_DEC_FUSE,
    MU_DEC_STRIP,
    MU_DEC_REPLACE,
    MU_DEC_BPE,
    MU_DEC_CTC
};

struct mu_dec {
    enum mu_dec_kind kind;
    struct mu_tok_pattern pattern; /* Replace */
    struct mu_str content;    /* Replace: put instead; Strip, Metaspace: the character; WordPiece, BPE, CTC: affix */
    struct mu_str delimiter;  /* CTC */
    int64_t start, stop;      /* Strip */
    bool cleanup, keep_first; /* WordPiece, CTC; Metaspace: prepend_scheme never */
};

/* How a stream may go token by token. */
enum mu_stream_kind {
    MU_STREAM_BYTES,  /* every token is bytes */
    MU_STREAM_PIECES, /* every token is text or one byte; the first may lose its leading space */
    MU_STREAM_WINDOW  /* tokens are decoded with their neighbours */
};

struct mu_decoder {
    struct mu_dec *v;
    int n;
    bool is_none;       /* tokenizer.json without decoder: pieces joined by spaces */
    bool is_raw;        /* not tokenizer.json: pieces are bytes, or as the flags below say */
    bool raw_mapped;    /* is_raw: pieces are spelled in the byte-level alphabet */
    bool raw_spaces;    /* is_raw: U+2581 is a space */
    bool raw_strip;     /* is_raw: the first token loses one leading space */
    bool raw_strip_all; /* ... and so do the following until text appears (SentencePiece with extra spaces removed) */
    struct mu_str unk_text; /* is_raw: what the unknown token reads as, e.g. " \u2047 " */
    bool has_cleanup;       /* clean_up_tokenization_spaces */
    enum mu_stream_kind stream;
};

enum mu_raw_kind {
    MU_RAW_TEXT,
    MU_RAW_BYTE,   /* <0xHH> is that byte */
    MU_RAW_LITERAL /* stands for its own spelling, whatever the alphabet of the others */
};

/* The token as it is shown and decoded; the id must be there. */
struct mu_str mu_tok_piece(const struct mu_tokenizer *t, int32_t id);

void mu_tok_decoder_finish(struct mu_tokenizer *t); /* choose the stream kind */
int mu_tok_decode_chain(const struct mu_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, struct mu_buf *out,
                        struct mu_err *e);
bool mu_tok_is_skipped(const struct mu_tokenizer *t, int32_t id, unsigned flags);
/* A literal Replace over one token. */
int mu_tok_replace(const struct mu_tok_pattern *p, struct mu_matcher *m, struct mu_str in, struct mu_str content,
                   struct mu_buf *out, struct mu_err *e);
int mu_byte_token(struct mu_str piece); /* <0xHH>: the byte; else -1 */

/* Append bytes as UTF-8, invalid ones as U+FFFD, a maximal subpart each. */
int mu_tok_add_lossy(struct mu_buf *out, const char *p, size_t n, struct mu_err *e);

/* ---- the whole ---- */

struct mu_tokenizer {
    const char *source;
    struct mu_arena arena; /* strings of the configuration */
    struct mu_vocab vocab;
    struct mu_added_tokens added;
    uint8_t *is_special;   /* by id */
    uint8_t *raw_kinds;    /* by id, enum mu_raw_kind, of a raw decoder; or NULL: all text */
    struct mu_vocab shown; /* tokens that read otherwise than the vocabulary spells them */

    struct mu_norm *norms;
    int n_norms;
    struct mu_pre *pres;
    int n_pres;

    enum mu_tok_model model;
    bool cuts_at_marks; /* a span may be given to the model in words that begin with U+2581: same ids, sooner */
    struct mu_bpe bpe;
    struct mu_unigram unigram;
    struct mu_wordpiece wordpiece;
    struct mu_trie keep; /* SentencePiece user-defined symbols */

    int32_t before[MU_TOK_SPECIAL_MAX], after[MU_TOK_SPECIAL_MAX];
    int n_before, n_after;

    struct mu_decoder decoder;
    int32_t bos, eos, unk, pad;
    uint64_t hash;
};

#define MU_TOK_ARENA_MAX ((size_t)64 << 20) /* configuration strings; published: below 1 MB */

/* Chain a run of bytes, or a number, into the tokenizer's hash. */
void mu_tok_hash(struct mu_tokenizer *t, const void *p, size_t n);
void mu_tok_hash_vocab(struct mu_tokenizer *t);

/* Mark special; grows the table as needed. */
int mu_tok_special_set(struct mu_tokenizer *t, int32_t id, struct mu_err *e);
int mu_tok_string(struct mu_tokenizer *t, struct mu_str s, struct mu_str *out, struct mu_err *e); /* arena copy */
int mu_tok_add_split(struct mu_tokenizer *t, const char *const *patterns, int n, const char *where, struct mu_err *e);

/* Loaders fill an empty tokenizer. */
int mu_tok_load_json(struct mu_tokenizer *t, const char *path, struct mu_err *e);
int mu_tok_load_json_text(struct mu_tokenizer *t, struct mu_str text, const char *where, struct mu_err *e);
int mu_tok_load_config(struct mu_tokenizer *t, const char *dir, struct mu_err *e); /* tokenizer_config.json, if there */
int mu_tok_load_spm(struct mu_tokenizer *t, struct mu_str blob, const char *where, struct mu_err *e);
int mu_tok_load_tiktoken(struct mu_tokenizer *t, struct mu_str text, const char *where, const char *dir,
                         const char *pattern, struct mu_err *e);
int mu_tok_load_vocab_merges(struct mu_tokenizer *t, const char *vocab_path, const char *merges_path, struct mu_err *e);
int mu_tok_load_gguf(struct mu_tokenizer *t, const char *path, struct mu_err *e);

/* tokenizer.json sections (json_*.c). */
struct mu_json_tables; /* json_tables.h; NULL: the tree has them */
int mu_tok_json_model(struct mu_tokenizer *t, json_t *model, const struct mu_json_tables *tables, const char *where,
                      struct mu_err *e);
int mu_tok_json_normalizer(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e);
int mu_tok_json_pretokenizer(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e);
int mu_tok_json_postprocessor(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e);
int mu_tok_json_decoder(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e);
int mu_tok_json_pattern(struct mu_tokenizer *t, json_t *owner, struct mu_tok_pattern *out, const char *where,
                        struct mu_err *e);
int mu_tok_json_str(struct mu_tokenizer *t, json_t *owner, const char *key, const char *dflt, struct mu_str *out,
                    const char *where, struct mu_err *e); /* absent: dflt; NULL dflt: required */
int mu_tok_json_flag(json_t *owner, const char *key, bool dflt, bool *out, const char *where, struct mu_err *e);
int mu_tok_bpe_merge(struct mu_tokenizer *t, struct mu_str left, struct mu_str right, uint32_t rank, const char *where,
                     struct mu_err *e);

/* Named split patterns: regexes applied one after another; NULL name unknown. */
struct mu_split_set {
    const char *name;
    const char *const *patterns;
    int n;
};
const struct mu_split_set *mu_split_set_find(const char *name);

#endif
