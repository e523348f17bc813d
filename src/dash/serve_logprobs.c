/* serve_logprobs.c - log-probabilities in the two shapes of OpenAI's API
 *
 * Completions: four lists side by side; the alternatives of a position are an object keyed by token text. Two tokens
 * may have one text: the first (the more likely) keeps it, a later one is named "token_id:N", so that the most likely
 * one and the actual one are always there, and `token_logprob == max(top_logprobs.values())` says whether it was the
 * most likely. A token that is a part of a character is spelled "bytes:\xe2\x80", as OpenAI does. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/utf8.h"
#include "dash/serve_int.h"

#define NAME_BYTES_MAX (8 * (size_t)MU_TOK_PIECE_BYTES_MAX)
#define KEYS_MAX       (MU_TOP_MAX + 1)
#define LOGPROB_MIN    (-9999.0) /* what JSON shows of minus infinity, as vLLM */

/* ---- positions ---- */

struct position {
    int32_t id;
    bool has_logprob; /* the first token of a prompt has none */
    double logprob;
    const struct mu_token_logprob *top;
    int n_top;
};

static int n_prompt_positions(const struct mu_part *p)
{
    return p->call->ask.is_echo ? (int)p->prompt->ids.n : 0;
}

static int n_positions(const struct mu_part *p)
{
    bool is_generate = p->result && p->result->kind == MU_REQUEST_GENERATE;
    return n_prompt_positions(p) + (is_generate ? p->result->tokens.n : 0);
}

static struct position position_at(const struct mu_part *p, int i)
{
    const struct mu_result *r = p->result;
    int n_prompt = n_prompt_positions(p), k = i < n_prompt ? i - 1 : i - n_prompt;
    if (k < 0)
        return (struct position){.id = p->prompt->ids.v[0]};
    const struct mu_logprobs *l = i < n_prompt && r->kind == MU_REQUEST_GENERATE ? &r->prompt : &r->tokens;
    return (struct position){l->ids[k], true, l->logprob[k], l->n_top ? l->top + (int64_t)k * l->n_top : NULL,
                             l->n_top};
}

/* ---- names ---- */

static int add_bytes(struct mu_buf *out, const struct mu_buf *piece, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "bytes:", e));
    for (size_t i = 0; i < piece->n; i++)
        MU_TRY_RETURN(mu_buf_printf(out, e, "\\x%02x", (unsigned char)piece->p[i]));
    return MU_OK;
}

/* name: as it is shown; piece: its bytes. Both are appended to. A model may have more ids than its tokenizer, to fill
 * up a matrix; they are as likely as any other and have no text. */
static int name_token(const struct mu_call *c, int32_t id, struct mu_buf *piece, struct mu_buf *name, struct mu_err *e)
{
    bool has_text = mu_tokenizer_piece(c->api.tok, id, NULL) != NULL;
    if (has_text)
        MU_TRY_RETURN(mu_tokenizer_token_bytes(c->api.tok, id, piece, e));
    if (!has_text || c->ask.names_ids)
        return mu_buf_printf(name, e, "token_id:%" PRId32, id);
    if (mu_utf8_valid_prefix(piece->p ? piece->p : "", piece->n) != piece->n)
        return add_bytes(name, piece, e);
    return mu_buf_add(name, piece->p ? piece->p : "", piece->n, e);
}

/* Scratch of one answer. */
struct names {
    const struct mu_call *c;
    struct mu_buf piece, name, keys;
    size_t key_end[KEYS_MAX];
    int n_keys;
};

static struct names names_begin(const struct mu_call *c)
{
    return (struct names){.c = c,
                          .piece = MU_BUF_INIT("a token", MU_TOK_PIECE_BYTES_MAX),
                          .name = MU_BUF_INIT("a token's name", NAME_BYTES_MAX),
                          .keys = MU_BUF_INIT("the names of alternatives", KEYS_MAX * NAME_BYTES_MAX)};
}

static void names_end(struct names *n)
{
    mu_buf_fini(&n->piece);
    mu_buf_fini(&n->name);
    mu_buf_fini(&n->keys);
}

static int name_of(struct names *n, int32_t id, struct mu_err *e)
{
    mu_buf_clear(&n->piece);
    mu_buf_clear(&n->name);
    return name_token(n->c, id, &n->piece, &n->name, e);
}

static int write_name(struct names *n, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(name_of(n, id, e));
    return mu_json_dump_string(out, mu_buf_str(&n->name), e);
}

static int write_number(struct mu_buf *out, double v, struct mu_err *e)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", v > LOGPROB_MIN ? v : LOGPROB_MIN);
    MU_TRY_RETURN(mu_buf_puts(out, text, e));
    return strpbrk(text, ".e") ? MU_OK : mu_buf_puts(out, ".0", e); /* a real stays a real in every reader */
}

/* ---- completions ---- */

static bool has_key(const struct names *n)
{
    size_t begin = 0;
    for (int i = 0; i < n->n_keys; i++) {
        struct mu_str key = {n->keys.p + begin, n->key_end[i] - begin};
        if (mu_str_eq(key, mu_buf_str(&n->name)))
            return true;
        begin = n->key_end[i];
    }
    return false;
}

static int write_alternative(struct names *n, int32_t id, double logprob, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(name_of(n, id, e));
    if (has_key(n)) {
        mu_buf_clear(&n->name);
        MU_TRY_RETURN(mu_buf_printf(&n->name, e, "token_id:%" PRId32, id));
    }
    MU_TRY_RETURN(mu_buf_add(&n->keys, n->name.p ? n->name.p : "", n->name.n, e));
    n->key_end[n->n_keys++] = n->keys.n;
    MU_TRY_RETURN(mu_buf_puts(out, n->n_keys > 1 ? ", " : "", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_buf_str(&n->name), e));
    MU_TRY_RETURN(mu_buf_puts(out, ": ", e));
    return write_number(out, logprob, e);
}

static int write_alternatives(struct names *n, const struct position *at, struct mu_buf *out, struct mu_err *e)
{
    bool has_own = false;
    if (!at->has_logprob)
        return mu_buf_puts(out, "null", e);
    n->n_keys = 0;
    mu_buf_clear(&n->keys);
    MU_TRY_RETURN(mu_buf_puts(out, "{", e));
    for (int i = 0; i < at->n_top; i++) {
        has_own = has_own || at->top[i].id == at->id;
        if (at->top[i].id >= 0)
            MU_TRY_RETURN(write_alternative(n, at->top[i].id, at->top[i].logprob, out, e));
    }
    if (!has_own)
        MU_TRY_RETURN(write_alternative(n, at->id, at->logprob, out, e));
    return mu_buf_puts(out, "}", e);
}

/* A special token that the tokenizer put before a text has no place in it. */
static bool is_in_text(const struct mu_part *p, int i, const struct mu_buf *piece, size_t byte)
{
    const struct mu_prompt *q = p->prompt;
    if (i >= n_prompt_positions(p) || !mu_tokenizer_is_special(p->call->api.tok, q->ids.v[i]))
        return true;
    return byte + piece->n <= q->text_bytes && memcmp(q->text + byte, piece->p ? piece->p : "", piece->n) == 0;
}

static int64_t characters(const struct mu_buf *piece)
{
    int64_t n = 0;
    for (size_t i = 0; i < piece->n; i++)
        n += ((unsigned char)piece->p[i] & 0xc0) != 0x80;
    return n;
}

enum column { TOKENS, TOKEN_LOGPROBS, TOP_LOGPROBS, COLUMNS };

static int write_cell(struct names *n, enum column column, const struct position *at, struct mu_buf *out,
                      struct mu_err *e)
{
    switch (column) {
    case TOKENS:
        return write_name(n, at->id, out, e);
    case TOKEN_LOGPROBS:
        return at->has_logprob ? write_number(out, at->logprob, e) : mu_buf_puts(out, "null", e);
    default:
        return write_alternatives(n, at, out, e);
    }
}

/* Where each token begins in the text, in characters. */
static int write_offsets(struct names *n, const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    int64_t offset = 0;
    size_t byte = 0;
    for (int i = 0; i < n_positions(p); i++) {
        MU_TRY_RETURN(name_of(n, position_at(p, i).id, e));
        MU_TRY_RETURN(mu_buf_printf(out, e, i ? ", %" PRId64 : "%" PRId64, offset));
        if (!is_in_text(p, i, &n->piece, byte))
            continue;
        offset += characters(&n->piece);
        byte += n->piece.n;
    }
    return MU_OK;
}

int mu_write_logprobs(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    static const char *const titles[COLUMNS] = {"{\"tokens\": [", "], \"token_logprobs\": [", "], \"top_logprobs\": ["};
    struct names n = names_begin(p->call);
    int rc = MU_OK;
    for (int column = TOKENS; column < COLUMNS; column++) {
        MU_TRY(mu_buf_puts(out, titles[column], e));
        for (int i = 0; i < n_positions(p); i++) {
            struct position at = position_at(p, i);
            MU_TRY(mu_buf_puts(out, i ? ", " : "", e));
            MU_TRY(write_cell(&n, (enum column)column, &at, out, e));
        }
    }
    MU_TRY(mu_buf_puts(out, "], \"text_offset\": [", e));
    MU_TRY(write_offsets(&n, p, out, e));
    MU_TRY(mu_buf_puts(out, "]}", e));
out:
    names_end(&n);
    return rc;
}

/* ---- chats ---- */

/* Without the closing brace. */
static int write_token(struct names *n, int32_t id, double logprob, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"token\": ", e));
    MU_TRY_RETURN(write_name(n, id, out, e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"logprob\": ", e));
    MU_TRY_RETURN(write_number(out, logprob, e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"bytes\": [", e));
    for (size_t i = 0; i < n->piece.n; i++)
        MU_TRY_RETURN(mu_buf_printf(out, e, i ? ", %d" : "%d", (unsigned char)n->piece.p[i]));
    return mu_buf_puts(out, "]", e);
}

static int write_chat_position(struct names *n, const struct position *at, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(write_token(n, at->id, at->logprob, out, e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"top_logprobs\": [", e));
    for (int i = 0; i < at->n_top && at->top[i].id >= 0; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ", " : "", e));
        MU_TRY_RETURN(write_token(n, at->top[i].id, at->top[i].logprob, out, e));
        MU_TRY_RETURN(mu_buf_puts(out, "}", e));
    }
    return mu_buf_puts(out, "]}", e);
}

int mu_write_chat_logprobs(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    struct names n = names_begin(p->call);
    int rc = MU_OK;
    MU_TRY(mu_buf_puts(out, "{\"content\": [", e));
    for (int i = 0; i < n_positions(p); i++) {
        struct position at = position_at(p, i);
        MU_TRY(mu_buf_puts(out, i ? ", " : "", e));
        MU_TRY(write_chat_position(&n, &at, out, e));
    }
    MU_TRY(mu_buf_puts(out, "]}", e));
out:
    names_end(&n);
    return rc;
}
