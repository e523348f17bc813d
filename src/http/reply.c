/* reply.c - whole answers: the handler's, and the refusals the server makes itself, in the error shape of OpenAI's API
 */
#include <stdio.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/http_int.h"

#define ERROR_BYTES_MAX 4096

struct reply {
    struct mu_http_server *s;
    size_t n;
    char bytes[];
};

static void free_reply(void *p)
{
    struct reply *reply = p;
    atomic_fetch_sub(&reply->s->reply_bytes, reply->n);
    mu_free(reply);
}

/* A copy counted against what clients may leave unread; NULL when there is no room. */
static struct MHD_Response *whole_response(struct mu_http_server *s, struct mu_str body)
{
    struct reply *reply = NULL;
    struct MHD_Response *response = NULL;
    if (atomic_fetch_add(&s->reply_bytes, body.n) + body.n <= MU_HTTP_REPLY_BYTES_MAX)
        reply = mu_alloc(sizeof *reply + body.n);
    if (!reply) {
        atomic_fetch_sub(&s->reply_bytes, body.n);
        return NULL;
    }
    reply->s = s;
    reply->n = body.n;
    if (body.n > 0)
        memcpy(reply->bytes, body.p, body.n);
    response = MHD_create_response_from_buffer_with_free_callback_cls(body.n, reply->bytes, free_reply, reply);
    if (!response)
        free_reply(reply);
    return response;
}

bool mu_http_add_headers(const struct mu_http_request *r, struct MHD_Response *response, const char *content_type)
{
    bool is_good = MHD_add_response_header(response, "Content-Type", content_type) == MHD_YES &&
                   MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    if (is_good && r->is_known && r->s->o.mark[0])
        is_good = MHD_add_response_header(response, r->s->o.mark[0], r->s->o.mark[1]) == MHD_YES;
    for (int i = 0; i < r->n_header && is_good; i++)
        is_good = MHD_add_response_header(response, r->header[i][0], r->header[i][1]) == MHD_YES;
    return is_good;
}

static struct MHD_Response *finished(const struct mu_http_request *r, struct MHD_Response *response, const char *type)
{
    if (response && !mu_http_add_headers(r, response, type)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

static int write_error(struct mu_buf *out, const struct mu_http_request *r, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"error\": {\"message\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(r->refusal), e));
    return mu_buf_printf(out, e, ", \"type\": \"%s\", \"param\": null, \"code\": \"%s\"}}\n",
                         r->refused >= 500 ? "server_error" : "invalid_request_error", r->refusal_code);
}

struct MHD_Response *mu_http_error_response(const struct mu_http_request *r)
{
    struct mu_buf text = MU_BUF_INIT("an error answer", ERROR_BYTES_MAX);
    struct mu_err err;
    struct MHD_Response *response = NULL;
    if (write_error(&text, r, &err) == MU_OK)
        response = finished(r, whole_response(r->s, mu_buf_str(&text)), "application/json");
    mu_buf_fini(&text);
    if (response && r->refused == 401)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (response && r->refused == 405)
        MHD_add_response_header(response, "Allow", r->allow);
    if (response && r->refused == 503)
        MHD_add_response_header(response, "Retry-After", "1");
    return response;
}

void mu_http_answer(struct mu_http_request *r, int status, struct MHD_Response *response)
{
    struct MHD_Response *unused = NULL;
    pthread_mutex_lock(&r->lock);
    r->is_answered = true;
    r->is_dropped = !response;
    r->status = status;
    if (r->c)
        r->response = response;
    else
        unused = response;
    if (r->is_suspended) {
        r->is_suspended = false;
        MHD_resume_connection(r->c);
    }
    pthread_mutex_unlock(&r->lock);
    if (unused)
        MHD_destroy_response(unused);
}

void mu_http_respond(struct mu_http_request *r, int status, const char *content_type, struct mu_str body)
{
    mu_http_answer(r, status, finished(r, whole_response(r->s, body), content_type));
    mu_http_release(r);
}

void mu_http_header_add(struct mu_http_request *r, const char *name, const char *value)
{
    if (r->n_header < MU_HTTP_HEADERS_MAX) {
        r->header[r->n_header][0] = name;
        r->header[r->n_header][1] = value;
        r->n_header++;
    }
}
