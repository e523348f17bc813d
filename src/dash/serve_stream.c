/* serve_stream.c - server-sent events of a call: one chunk a piece of text, then the reason of the end, then [DONE]
 *
 * What is made at once goes out in one feed: the bound on unread bytes is for readers that are too slow, and between
 * two feeds the fastest has had no time to read. */
#include "base/check.h"
#include "dash/serve_int.h"

static void open_stream(struct mu_call *c)
{
    if (c->is_streaming)
        return;
    c->is_streaming = true;
    mu_http_stream_begin(c->http, 200, "text/event-stream; charset=utf-8");
}

/* What was written since mu_buf_clear. */
static bool send(struct mu_call *c, int rc)
{
    if (rc != MU_OK)
        return false;
    open_stream(c);
    return c->chunk.n == 0 || mu_http_stream_feed(c->http, mu_buf_str(&c->chunk));
}

static int begin_chunk(struct mu_call *c, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(&c->chunk, "data: ", e));
    return mu_write_head(c, &c->chunk, e);
}

static int end_chunk(struct mu_call *c, struct mu_err *e)
{
    return mu_buf_puts(&c->chunk, c->ask.wants_usage ? "], \"usage\": null}\n\n" : "]}\n\n", e);
}

/* ---- what comes before the first token of a choice: the role, or the echoed prompt ---- */

static int write_text(struct mu_part *p, struct mu_str text, const char *finish, struct mu_err *e)
{
    struct mu_call *c = p->call;
    struct mu_buf *out = &c->chunk;
    MU_TRY_RETURN(begin_chunk(c, e));
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"index\": %d, ", p->index));
    if (c->ask.is_chat && finish) {
        MU_TRY_RETURN(mu_buf_puts(out, "\"delta\": {}", e));
    } else {
        MU_TRY_RETURN(mu_buf_puts(out, c->ask.is_chat ? "\"delta\": {\"content\": " : "\"text\": ", e));
        MU_TRY_RETURN(mu_json_dump_string(out, text, e));
        MU_TRY_RETURN(mu_buf_puts(out, c->ask.is_chat ? "}" : "", e));
    }
    MU_TRY_RETURN(mu_buf_puts(out, ", \"logprobs\": null, \"finish_reason\": ", e));
    MU_TRY_RETURN(mu_buf_printf(out, e, finish ? "\"%s\"}" : "null}", finish ? finish : ""));
    return end_chunk(c, e);
}

static int write_role(struct mu_part *p, struct mu_err *e)
{
    MU_TRY_RETURN(begin_chunk(p->call, e));
    MU_TRY_RETURN(mu_buf_printf(&p->call->chunk, e,
                                "{\"index\": %d, \"delta\": {\"role\": \"assistant\", \"content\": \"\"}, "
                                "\"logprobs\": null, \"finish_reason\": null}",
                                p->index));
    return end_chunk(p->call, e);
}

static int begin_part(struct mu_part *p, struct mu_err *e)
{
    struct mu_call *c = p->call;
    if (p->has_begun)
        return MU_OK;
    p->has_begun = true;
    if (c->ask.is_chat)
        return write_role(p, e);
    if (c->ask.is_echo)
        return write_text(p, (struct mu_str){p->prompt->text, p->prompt->text_bytes}, NULL, e);
    return MU_OK;
}

/* ---- chunks ---- */

static int write_piece(struct mu_part *p, struct mu_str text, const char *finish, struct mu_err *e)
{
    MU_TRY_RETURN(begin_part(p, e));
    return write_text(p, text, finish, e);
}

bool mu_stream_text(struct mu_part *p, struct mu_str text)
{
    struct mu_err err;
    mu_buf_clear(&p->call->chunk);
    return send(p->call, write_piece(p, text, NULL, &err));
}

bool mu_stream_finish(struct mu_part *p)
{
    struct mu_err err;
    mu_buf_clear(&p->call->chunk);
    return send(p->call, write_piece(p, MU_STR(""), mu_part_finish(p), &err));
}

/* ---- the end ---- */

/* Choices with log-probabilities go out in one piece each when all are complete; those that need no engine have not
 * been sent by its thread. */
static int write_rest(struct mu_part *p, struct mu_err *e)
{
    struct mu_call *c = p->call;
    if (!c->ask.wants_logprobs)
        return p->needs_engine ? MU_OK : write_piece(p, MU_STR(""), mu_part_finish(p), e);
    MU_TRY_RETURN(begin_chunk(c, e));
    MU_TRY_RETURN(mu_write_delta(p, &c->chunk, e));
    return end_chunk(c, e);
}

static int write_usage_chunk(struct mu_call *c, struct mu_err *e)
{
    MU_TRY_RETURN(begin_chunk(c, e));
    MU_TRY_RETURN(mu_buf_puts(&c->chunk, "], \"usage\": ", e));
    MU_TRY_RETURN(mu_write_usage(c, &c->chunk, e));
    return mu_buf_puts(&c->chunk, "}\n\n", e);
}

static int write_end(struct mu_call *c, struct mu_err *e)
{
    mu_buf_clear(&c->chunk);
    for (int i = 0; i < c->n_parts; i++)
        MU_TRY_RETURN(write_rest(&c->parts[i], e));
    if (c->ask.wants_usage)
        MU_TRY_RETURN(write_usage_chunk(c, e));
    return mu_buf_puts(&c->chunk, "data: [DONE]\n\n", e);
}

static int write_failure(struct mu_call *c, struct mu_err *e)
{
    mu_buf_clear(&c->chunk);
    MU_TRY_RETURN(mu_buf_puts(&c->chunk, "data: ", e));
    MU_TRY_RETURN(mu_write_error(&c->fail, &c->chunk, e));
    return mu_buf_puts(&c->chunk, "\n\ndata: [DONE]\n\n", e);
}

void mu_stream_end(struct mu_call *c)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = c->is_gone || c->has_failed ? MU_OK : write_end(c, &err);
    if (rc != MU_OK) {
        mu_api_fail(&c->fail, rc == MU_ENOMEM ? 503 : 500, NULL, "answer_failed", "%s", err.text);
        c->has_failed = true;
    }
    if (c->has_failed)
        rc = write_failure(c, &err);
    open_stream(c);
    if (!c->is_gone)
        send(c, rc);
    mu_http_stream_end(c->http);
    c->http = NULL;
}
