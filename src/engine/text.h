/* text.h - output tokens as text: decoding, stop strings, what may be shown
 *
 * struct mu_detok_ops is the little the engine needs of a tokenizer; detok_tokenizer.c is its real member, tests bring
 * their own. One scratch buffer serves all requests, reserved at open. */
#ifndef MU_ENGINE_TEXT_H
#define MU_ENGINE_TEXT_H

#include "engine/stop.h"

#define MU_DETOK_STATE_BYTES 256 /* room for any member's stream state, checked at compile time there */

/* Longest text of one step of one request: a token's text (published vocabularies stay below 1 KB) and held bytes. */
#define MU_PIECE_BYTES_MAX 16384

struct mu_detok;

struct mu_detok_ops {
    void (*begin)(const struct mu_detok *d, void *state);
    /* Append the whole characters that id completes; what is left of one waits in state. Allocates nothing else. */
    int (*add)(const struct mu_detok *d, void *state, int32_t id, struct mu_buf *out, struct mu_err *e);
    int (*end)(const struct mu_detok *d, void *state, struct mu_buf *out, struct mu_err *e);
};

struct mu_detok {
    const struct mu_detok_ops *ops;
    const void *arg;
};

/* Text of one request. */
struct mu_text {
    struct mu_stop stop;
    size_t bytes; /* shown so far */
    _Alignas(16) char state[MU_DETOK_STATE_BYTES];
};

struct mu_text_scratch {
    const struct mu_detok *detok; /* NULL: no text */
    struct mu_buf piece;
    struct mu_buf out;
};

#define MU_TEXT_SCRATCH_INIT                                                                                           \
    {                                                                                                                  \
        NULL, MU_BUF_INIT("text of a token", MU_PIECE_BYTES_MAX),                                                      \
            MU_BUF_INIT("text of a step", 2 * MU_PIECE_BYTES_MAX)                                                      \
    }

size_t mu_text_scratch_bytes(void);
int mu_text_scratch_open(struct mu_text_scratch *s, const struct mu_detok *detok, struct mu_err *e);
void mu_text_scratch_close(struct mu_text_scratch *s);

/* The prompt's last tokens are decoded first and not shown: decoders drop a leading space only where a text begins, and
 * a character may begin in the prompt and end in the output. */
#define MU_DETOK_LEAD 8

int mu_text_begin(struct mu_text *t, struct mu_text_scratch *s, const int32_t *prompt, int n_prompt,
                  const struct mu_str *stops, int n_stops, struct mu_err *e);

/* Token id in; s->out is what may be shown. *stop: index of the stop string that ended the text, or -1. Without a
 * tokenizer s->out is empty. */
int mu_text_add(struct mu_text *t, struct mu_text_scratch *s, int32_t id, int *stop, struct mu_err *e);

/* The output ended for another reason: s->out is what was held back. */
int mu_text_end(struct mu_text *t, struct mu_text_scratch *s, int *stop, struct mu_err *e);

/* The first `bytes` bytes of the output's text, NUL-terminated, the caller's to mu_free: ids[0..n_prompt) is the
 * prompt, the output follows to ids[n). */
int mu_text_whole(const struct mu_detok *d, const int32_t *ids, int n_prompt, int n, size_t bytes, char **out,
                  struct mu_err *e);

#endif
