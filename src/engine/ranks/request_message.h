/* request_message.h - requests, results and token events as they travel between rank 0 and the replicas' drivers
 *
 * A head, then fixed numbers, then arrays, each aligned to 8 bytes, in the machine's byte order. Reading checks every
 * length against the message's end and, for a result, against the room its request has: what a message says is never
 * believed beyond that. Whether a request makes sense is decided where it is submitted (job.h). */
#ifndef MU_ENGINE_REQUEST_MESSAGE_H
#define MU_ENGINE_REQUEST_MESSAGE_H

#include "base/buf.h"
#include "engine/job.h"

#define MU_REQUEST_MESSAGE_MAX ((size_t)256 << 20) /* of any message: a million tokens with alternatives */

enum mu_mail_kind {
    /* to a replica */
    MU_MAIL_REQUEST = 1,
    MU_MAIL_CANCEL,
    MU_MAIL_DROP_CACHED,
    MU_MAIL_PEAKS,
    MU_MAIL_END,
    /* from a replica */
    MU_MAIL_RESULT,
    MU_MAIL_EVENT,
    MU_MAIL_PEAKS_ARE
};

struct mu_mail_head {
    uint32_t magic, kind;
    uint64_t id; /* of the request */
};

/* The head of any message. */
int mu_mail_read_head(struct mu_mail_head *out, const void *p, size_t bytes, struct mu_err *e);
int mu_mail_write_head(struct mu_buf *b, enum mu_mail_kind kind, uint64_t id, struct mu_err *e);

/* A request out of the job that holds its copy. The request read leads into the message, which is aligned to 8 bytes;
 * on_token, its argument and user are NULL. */
struct mu_request_view {
    struct mu_request req;
    bool is_streaming;
    const char *stops[MU_STOP_MAX];
};
int mu_request_write(struct mu_buf *b, const struct mu_job *j, struct mu_err *e);
int mu_request_read(struct mu_request_view *out, const void *p, size_t bytes, struct mu_err *e);

/* A result, with what the replica's engine stands at. Read into the job that holds the request: MU_EFORMAT when there
 * is more than it has room for. */
int mu_result_write(struct mu_buf *b, const struct mu_result *r, const struct mu_engine_status *st, struct mu_err *e);
int mu_result_read(struct mu_job *j, struct mu_engine_status *st, const void *p, size_t bytes, struct mu_err *e);

/* A request that the replica's engine refused, as a result of nothing. */
int mu_refusal_write(struct mu_buf *b, uint64_t id, const struct mu_err *why, const struct mu_engine_status *st,
                     struct mu_err *e);

/* The event read leads into the message; request and user are left out. */
int mu_event_write(struct mu_buf *b, const struct mu_token_event *ev, struct mu_err *e);
int mu_event_read(struct mu_token_event *out, const void *p, size_t bytes, struct mu_err *e);

#endif
