/* serve_write.c - answers as JSON, written straight into a buffer: a tree of a long answer would take many times more
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/utf8.h"
#include "dash/serve_int.h"

/* ---- what a part came to ---- */

const char *mu_part_finish(const struct mu_part *p)
{
    return p->has_ended || (p->result && p->result->finish == MU_FINISH_STOP) ? "stop" : "length";
}

int mu_part_drawn(const struct mu_part *p)
{
    const struct mu_result *r = p->result;
    if (!r || r->kind != MU_REQUEST_GENERATE)
        return 0;
    return r->tokens.n + (r->stop_id >= 0);
}

/* An end token that is not special has a text of its own, which the engine could not know to leave out. */
static size_t end_bytes(const struct mu_part *p)
{
    const mu_tokenizer *tok = p->call->api.tok;
    const struct mu_result *r = p->result;
    struct mu_buf piece = MU_BUF_INIT("a token", MU_TOK_PIECE_BYTES_MAX);
    struct mu_err err;
    size_t n = 0;
    if (!p->has_ended || r->tokens.n == 0 || mu_tokenizer_is_special(tok, r->tokens.ids[r->tokens.n - 1]))
        return 0;
    if (mu_tokenizer_token_bytes(tok, r->tokens.ids[r->tokens.n - 1], &piece, &err) == MU_OK &&
        piece.n <= r->text_bytes && memcmp(r->text + r->text_bytes - piece.n, piece.p ? piece.p : "", piece.n) == 0)
        n = piece.n;
    mu_buf_fini(&piece);
    return n;
}

struct mu_str mu_part_text(const struct mu_part *p)
{
    if (!p->result || !p->result->text)
        return MU_STR("");
    return (struct mu_str){p->result->text, p->result->text_bytes - end_bytes(p)};
}

/* ---- the frame ---- */

int mu_write_head(const struct mu_call *c, struct mu_buf *out, struct mu_err *e)
{
    const char *object = !c->ask.is_chat    ? "text_completion"
                         : c->ask.is_stream ? "chat.completion.chunk"
                                            : "chat.completion";
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"id\": \"%s\", \"object\": \"%s\", \"created\": %" PRId64 ", \"model\": ",
                                c->id, object, c->created));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(c->api.model), e));
    return mu_buf_puts(out, ", \"choices\": [", e);
}

/* A prompt counts once, however many choices follow it. */
int mu_write_usage(const struct mu_call *c, struct mu_buf *out, struct mu_err *e)
{
    int64_t n_prompt = 0, n_cached = 0, n_output = 0;
    for (int i = 0; i < c->n_parts; i++) {
        const struct mu_part *p = &c->parts[i];
        n_output += mu_part_drawn(p);
        if (i % c->ask.n == 0) {
            n_prompt += (int64_t)p->prompt->ids.n;
            n_cached += p->result ? p->result->n_prompt_cached : 0;
        }
    }
    return mu_buf_printf(out, e,
                         "{\"prompt_tokens\": %" PRId64 ", \"completion_tokens\": %" PRId64
                         ", \"total_tokens\": %" PRId64 ", \"prompt_tokens_details\": {\"cached_tokens\": %" PRId64
                         "}}",
                         n_prompt, n_output, n_prompt + n_output, n_cached);
}

/* Refusals repeat what clients and files say: bytes that are no UTF-8, or a character cut in the middle, show as "?".
 */
int mu_write_sentence(const char *text, struct mu_buf *out, struct mu_err *e)
{
    char clean[MU_ERR_TEXT_MAX];
    size_t n = 0;
    while (text[n] && n < sizeof clean) {
        uint32_t cp;
        int len = mu_utf8_decode(text + n, strlen(text + n), &cp);
        if (len > 0)
            memcpy(clean + n, text + n, (size_t)len);
        else
            clean[n] = '?';
        n += len > 0 ? (size_t)len : 1;
    }
    return mu_json_dump_string(out, (struct mu_str){clean, n}, e);
}

int mu_write_error(const struct mu_api_error *x, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"error\": {\"message\": ", e));
    MU_TRY_RETURN(mu_write_sentence(x->err.text, out, e));
    MU_TRY_RETURN(mu_buf_printf(
        out, e, ", \"type\": \"%s\", \"param\": ", x->status >= 500 ? "server_error" : "invalid_request_error"));
    MU_TRY_RETURN(mu_buf_printf(out, e, x->param ? "\"%s\"" : "null", x->param ? x->param : ""));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"code\": ", e));
    return mu_buf_printf(out, e, x->code ? "\"%s\"}}" : "null}}", x->code ? x->code : "");
}

/* ---- choices ---- */

static int write_completion_text(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    struct mu_buf whole = MU_BUF_INIT("an echoed answer", MU_SERVE_REPLY_MAX);
    struct mu_str text = mu_part_text(p);
    int rc = MU_OK;

    if (p->call->ask.is_echo)
        MU_TRY(mu_buf_add(&whole, p->prompt->text, p->prompt->text_bytes, e));
    MU_TRY(mu_buf_add(&whole, text.p, text.n, e));
    MU_TRY(mu_buf_puts(out, "\"text\": ", e));
    MU_TRY(mu_json_dump_string(out, mu_buf_str(&whole), e));
out:
    mu_buf_fini(&whole);
    return rc;
}

static int write_message(const struct mu_part *p, const char *key, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "\"%s\": {\"role\": \"assistant\", \"content\": ", key));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_part_text(p), e));
    return mu_buf_puts(out, "}", e);
}

static int write_logprobs(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, ", \"logprobs\": ", e));
    if (!p->call->ask.wants_logprobs)
        return mu_buf_puts(out, "null", e);
    return p->call->ask.is_chat ? mu_write_chat_logprobs(p, out, e) : mu_write_logprobs(p, out, e);
}

static int write_choice(const struct mu_part *p, const char *key, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"index\": %d, ", p->index));
    if (p->call->ask.is_chat)
        MU_TRY_RETURN(write_message(p, key, out, e));
    else
        MU_TRY_RETURN(write_completion_text(p, out, e));
    MU_TRY_RETURN(write_logprobs(p, out, e));
    return mu_buf_printf(out, e, ", \"finish_reason\": \"%s\"}", mu_part_finish(p));
}

int mu_write_choice(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    return write_choice(p, "message", out, e);
}

int mu_write_delta(const struct mu_part *p, struct mu_buf *out, struct mu_err *e)
{
    return write_choice(p, "delta", out, e);
}
