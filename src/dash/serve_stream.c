/* serve_stream.c - server-sent events of a call: one chunk a piece of text, then the reason of the end, then [DONE] */
#include "base/check.h"
#include "dash/serve_int.h"

static bool open_stream(struct mu_call *c)
{
    if (c->is_streaming)
        return true;
    c->is_streaming = true;
    mu_http_stream_begin(c->http, 200, "text/event-stream; charset=utf-8");
    return true;
}

static bool send(struct mu_call *c, int rc)
{
    return rc == MU_OK && open_stream(c) && mu_http_stream_feed(c->http, mu_buf_str(&c->chunk));
}

static int begin_chunk(struct mu_call *c, struct mu_err *e)
{
    mu_buf_clear(&c->chunk);
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

static bool begin_part(struct mu_part *p)
{
    struct mu_call *c = p->call;
    struct mu_err err;
    if (p->has_begun)
        return true;
    p->has_begun = true;
    if (c->ask.is_chat)
        return send(c, write_role(p, &err));
    if (c->ask.is_echo)
        return send(c, write_text(p, (struct mu_str){p->prompt->text, p->prompt->text_bytes}, NULL, &err));
    return true;
}

/* ---- chunks ---- */

bool mu_stream_text(struct mu_part *p, struct mu_str text)
{
    struct mu_err err;
    return begin_part(p) && send(p->call, write_text(p, text, NULL, &err));
}

bool mu_stream_finish(struct mu_part *p)
{
    struct mu_err err;
    return begin_part(p) && send(p->call, write_text(p, MU_STR(""), mu_part_finish(p), &err));
}

/* A choice with log-probabilities goes out in one piece when it is complete. */
static int write_whole(struct mu_part *p, struct mu_err *e)
{
    MU_TRY_RETURN(begin_chunk(p->call, e));
    MU_TRY_RETURN(mu_write_delta(p, &p->call->chunk, e));
    return end_chunk(p->call, e);
}

static bool send_wholes(struct mu_call *c)
{
    struct mu_err err;
    bool is_good = true;
    for (int i = 0; i < c->n_parts && is_good; i++)
        is_good = send(c, write_whole(&c->parts[i], &err));
    return is_good;
}

/* Choices that need no engine have not been sent by its thread. */
static bool send_unneeded(struct mu_call *c)
{
    bool is_good = true;
    for (int i = 0; i < c->n_parts && is_good; i++)
        is_good = c->parts[i].needs_engine || mu_stream_finish(&c->parts[i]);
    return is_good;
}

static int write_usage_chunk(struct mu_call *c, struct mu_err *e)
{
    MU_TRY_RETURN(begin_chunk(c, e));
    MU_TRY_RETURN(mu_buf_puts(&c->chunk, "], \"usage\": ", e));
    MU_TRY_RETURN(mu_write_usage(c, &c->chunk, e));
    return mu_buf_puts(&c->chunk, "}\n\n", e);
}

static int write_failure(struct mu_call *c, struct mu_err *e)
{
    mu_buf_clear(&c->chunk);
    MU_TRY_RETURN(mu_buf_puts(&c->chunk, "data: ", e));
    MU_TRY_RETURN(mu_write_error(&c->fail, &c->chunk, e));
    return mu_buf_puts(&c->chunk, "\n\n", e);
}

void mu_stream_end(struct mu_call *c)
{
    struct mu_err err;
    bool is_good = !c->is_gone;
    if (is_good && c->has_failed)
        is_good = send(c, write_failure(c, &err));
    else if (is_good)
        is_good = c->ask.wants_logprobs ? send_wholes(c) : send_unneeded(c);
    if (is_good && c->ask.wants_usage && !c->has_failed)
        is_good = send(c, write_usage_chunk(c, &err));
    open_stream(c);
    if (is_good)
        mu_http_stream_feed(c->http, MU_STR("data: [DONE]\n\n"));
    mu_http_stream_end(c->http);
    c->http = NULL;
}
