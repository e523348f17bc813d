/* stream.h - server-sent events out of pieces of bytes
 *
 * Source: the event stream format of the HTML standard, as far as these servers use it: lines end with LF or CRLF,
 * "data:" lines up to an empty line are one event, other fields and comments are passed over. */
#ifndef MU_ENGINE_REMOTE_STREAM_H
#define MU_ENGINE_REMOTE_STREAM_H

#include "base/buf.h"

#define MU_STREAM_EVENT_BYTES_MAX ((size_t)4 << 20)

struct mu_event_stream {
    struct mu_buf line, event;
    bool has_event; /* a data line came since the last empty one */
    int (*on_event)(void *arg, struct mu_str data, struct mu_err *e);
    void *arg;
};

#define MU_EVENT_STREAM_INIT(fn, fn_arg)                                                                               \
    {                                                                                                                  \
        MU_BUF_INIT("a line of the stream", MU_STREAM_EVENT_BYTES_MAX),                                                \
            MU_BUF_INIT("an event of the stream", MU_STREAM_EVENT_BYTES_MAX), false, fn, fn_arg                        \
    }

/* Calls on_event for every event that the piece completes; what it returns stops the reading. */
int mu_event_stream_add(struct mu_event_stream *s, struct mu_str piece, struct mu_err *e);
void mu_event_stream_clear(struct mu_event_stream *s);
void mu_event_stream_fini(struct mu_event_stream *s);

#endif
