/* stream.c - see stream.h */
#include "engine/remote/stream.h"

#include "base/check.h"

static int end_event(struct mu_event_stream *s, struct mu_err *e)
{
    if (!s->has_event)
        return MU_OK;
    int rc = s->on_event(s->arg, mu_buf_str(&s->event), e);
    s->has_event = false;
    mu_buf_clear(&s->event);
    return rc;
}

static int end_line(struct mu_event_stream *s, struct mu_err *e)
{
    struct mu_str line = mu_buf_str(&s->line);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return end_event(s, e);
    if (line.n < 5 || memcmp(line.p, "data:", 5) != 0)
        return MU_OK;
    size_t skip = line.n > 5 && line.p[5] == ' ' ? 6 : 5;
    if (s->has_event)
        MU_TRY_RETURN(mu_buf_putc(&s->event, '\n', e));
    s->has_event = true;
    return mu_buf_add(&s->event, line.p + skip, line.n - skip, e);
}

int mu_event_stream_add(struct mu_event_stream *s, struct mu_str piece, struct mu_err *e)
{
    while (piece.n > 0) {
        const char *end = memchr(piece.p, '\n', piece.n);
        size_t n = end ? (size_t)(end - piece.p) : piece.n;
        MU_TRY_RETURN(mu_buf_add(&s->line, piece.p, n, e));
        if (!end)
            return MU_OK;
        MU_TRY_RETURN(end_line(s, e));
        mu_buf_clear(&s->line);
        piece.p += n + 1;
        piece.n -= n + 1;
    }
    return MU_OK;
}

void mu_event_stream_clear(struct mu_event_stream *s)
{
    mu_buf_clear(&s->line);
    mu_buf_clear(&s->event);
    s->has_event = false;
}

void mu_event_stream_fini(struct mu_event_stream *s)
{
    mu_buf_fini(&s->line);
    mu_buf_fini(&s->event);
}
