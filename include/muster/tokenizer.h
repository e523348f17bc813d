/* tokenizer.h - text to token ids and back, as the model's publisher does it
 *
 * A tokenizer is opened from what the publisher ships: tokenizer.json, a SentencePiece tokenizer.model, tiktoken
 * ranks, vocab.json with merges.txt, or the vocabulary inside a GGUF file. It is immutable after open: any number of
 * threads may use it at once. Strings it hands out live as long as it does.
 *
 *     mu_tokenizer_open(&tok, "models/muster-llama-tiny", NULL, &err);
 *     struct mu_ids ids = MU_IDS_INIT(4096);
 *     mu_tokenizer_encode(tok, text, n, MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL, &ids, &err);
 *     mu_tokenizer_decode(tok, ids.v, ids.n, MU_TOK_SKIP_SPECIAL, &buf, &err);
 *     mu_ids_fini(&ids);
 *     mu_tokenizer_close(tok);
 *
 * Text is UTF-8; bytes that are not are read as U+FFFD, one for each maximal subpart (Python's errors="replace").
 * Decoded text is always valid UTF-8 by the same rule.
 *
 * The rules are those of Hugging Face tokenizers for tokenizer.json, of SentencePiece for tokenizer.model, of tiktoken
 * for ranks and of llama.cpp for GGUF. */
#ifndef MUSTER_TOKENIZER_H
#define MUSTER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

typedef struct mu_tokenizer mu_tokenizer;

struct mu_buf; /* base/buf.h: growable bytes with a maximum */

/* Limits; each is refused with its sentence. */
#define MU_TOK_TEXT_BYTES_MAX  ((size_t)1 << 29) /* one encode: half a GiB; larger texts come in parts */
#define MU_TOK_VOCAB_MAX       (1 << 22)         /* ids: 16 times the largest published vocabulary */
#define MU_TOK_PIECE_BYTES_MAX (1 << 16)         /* one token: the longest published is below 1 KiB */

/* ---- token ids ---- */

struct mu_ids {
    int32_t *v; /* owned; NULL until the first id */
    size_t n, cap;
    size_t max; /* n never exceeds it */
};

#define MU_IDS_INIT(max_ids)                                                                                           \
    {                                                                                                                  \
        NULL, 0, 0, (max_ids)                                                                                          \
    }

int mu_ids_add(struct mu_ids *ids, int32_t id, struct mu_err *e); /* MU_ELIMIT past max */
void mu_ids_fini(struct mu_ids *ids);                             /* frees; can be used again */

/* ---- opening ---- */

/* Whether encode puts begin and end of sequence around a text when asked for special tokens. */
enum mu_tok_choice { MU_TOK_AUTO, MU_TOK_NO, MU_TOK_YES };

struct mu_tokenizer_opts {
    enum mu_tok_choice add_bos, add_eos; /* MU_TOK_AUTO: as the files say */
    const char *pattern;                 /* tiktoken ranks: split pattern by name ("llama3", "qwen2", "gpt2", "cl100k",
                                          * "o200k", ...); NULL: found from size and tokenizer_config.json */
};

#define MU_TOKENIZER_OPTS_INIT                                                                                         \
    {                                                                                                                  \
        MU_TOK_AUTO, MU_TOK_AUTO, NULL                                                                                 \
    }

/* path is a folder or a file; in a folder tokenizer.json is preferred, then tokenizer.model, *.tiktoken, vocab.json
 * with merges.txt, *.gguf. o may be NULL. MU_ENOENT when there is none; the sentence says what was looked for. */
int mu_tokenizer_open(mu_tokenizer **out, const char *path, const struct mu_tokenizer_opts *o, struct mu_err *e);
void mu_tokenizer_close(mu_tokenizer *t); /* NULL is fine */

/* The name of split pattern i, counting from 0; NULL past the last. */
const char *mu_tokenizer_pattern_name(size_t i);

/* ---- text to ids ---- */

enum mu_tok_flag {
    MU_TOK_ADD_SPECIAL = 1,   /* encode: what the post-processor adds (BOS, EOS, [CLS] ...) */
    MU_TOK_PARSE_SPECIAL = 2, /* encode: special tokens spelled in the text become their ids; else they are text */
    MU_TOK_SKIP_SPECIAL = 4   /* decode: special tokens yield nothing */
};

/* Append the ids of text[0..n). On failure ids may hold a part. */
int mu_tokenizer_encode(const mu_tokenizer *t, const char *text, size_t n, unsigned flags, struct mu_ids *ids,
                        struct mu_err *e);

/* ---- ids to text ---- */

/* Append the text of ids[0..n). An id outside the vocabulary is MU_EINVAL. */
int mu_tokenizer_decode(const mu_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, struct mu_buf *out,
                        struct mu_err *e);

/* Decoding one token at a time: each add appends the characters that the token completes, never a part of one; end
 * appends what is left, bytes that are no character as U+FFFD. All of it together is what decode gives, with one
 * exception: SentencePiece-like decoders turn a whole run of byte tokens into U+FFFD when any part of it is invalid,
 * and a stream has by then shown the valid beginning. Plain memory: copy it, drop it, no release needed. The
 * tokenizer must outlive it. */
#define MU_TOK_STREAM_IDS 24

struct mu_tok_stream {
    const mu_tokenizer *t;
    unsigned flags;
    unsigned char bytes[4]; /* a character not yet complete */
    int n_bytes;
    int32_t n_ids, n_shown; /* decoders that look back: ids held, and how many of them are shown */
    int32_t ids[MU_TOK_STREAM_IDS];
    bool has_begun; /* a token has been decoded: the first one may lose its leading space */
};

void mu_tok_stream_begin(struct mu_tok_stream *s, const mu_tokenizer *t, unsigned flags);
int mu_tok_stream_add(struct mu_tok_stream *s, int32_t id, struct mu_buf *out, struct mu_err *e);
int mu_tok_stream_end(struct mu_tok_stream *s, struct mu_buf *out, struct mu_err *e);

/* ---- the vocabulary ---- */

struct mu_tokenizer_info {
    const char *source;         /* "tokenizer.json", "sentencepiece", "tiktoken", "vocab+merges", "gguf" */
    const char *model;          /* "BPE", "Unigram", "WordPiece", "WordLevel" */
    int32_t n_vocab;            /* one more than the largest id */
    int32_t bos, eos, unk, pad; /* -1: none */
    bool adds_bos, adds_eos;    /* what MU_TOK_ADD_SPECIAL puts around an ordinary text */
    uint64_t hash;              /* of everything that decides encodings: same hash, same ids */
};

void mu_tokenizer_info(const mu_tokenizer *t, struct mu_tokenizer_info *out);

/* The token as the vocabulary spells it ("Ġhello", "▁the", "<0x0A>"), n its length; NULL for an id without one. */
const char *mu_tokenizer_piece(const mu_tokenizer *t, int32_t id, size_t *n);
int32_t mu_tokenizer_find(const mu_tokenizer *t, const char *piece, size_t n); /* -1: none */
bool mu_tokenizer_is_special(const mu_tokenizer *t, int32_t id);

/* Append the bytes the token stands for inside a text (may be part of a character; leading space kept). */
int mu_tokenizer_token_bytes(const mu_tokenizer *t, int32_t id, struct mu_buf *out, struct mu_err *e);

#endif
