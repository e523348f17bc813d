/* stream.c - answers that grow: bytes fed by any thread, read by the connection's thread when the client takes them
 *
 * An exchange with nothing to send is suspended and costs no thread. A client that leaves too much unread is cut off by
 * shutting its socket: libmicrohttpd sees the end, whatever it was waiting for. */
#include <sys/socket.h>

#include "base/check.h"
#include "base/mem.h"
#include "http/http_int.h"

#define BLOCK_BYTES     16384
#define KEEP_BYTES      65536               /* an empty buffer above this is given back */
#define FEED_BYTES_MAX  ((size_t)256 << 20) /* one feed */
#define TOTAL_BYTES_MAX ((size_t)512 << 20) /* unread bytes of all streams */

static ssize_t on_read(void *arg, uint64_t pos, char *p, size_t max)
{
    struct mu_http_request *r = arg;
    ssize_t n = 0;
    (void)pos;
    pthread_mutex_lock(&r->lock);
    if (r->out.n > r->n_read && !r->is_cut) {
        n = (ssize_t)MU_MIN(max, r->out.n - r->n_read);
        memcpy(p, r->out.p + r->n_read, (size_t)n);
        r->n_read += (size_t)n;
        atomic_fetch_sub(&r->s->stream_bytes, (size_t)n);
    } else if (r->is_ended || r->is_cut || atomic_load(&r->s->is_closing)) {
        n = r->is_ended && !r->is_cut ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    } else {
        r->is_suspended = true;
        MHD_suspend_connection(r->c);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void on_free(void *arg)
{
    mu_http_unref(arg);
}

void mu_http_stream_begin(struct mu_http_request *r, int status, const char *content_type)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, r, on_free);
    if (response)
        atomic_fetch_add(&r->refs, 1);
    if (response && (!mu_http_add_headers(r, response, content_type) ||
                     MHD_add_response_header(response, "Cache-Control", "no-cache") != MHD_YES)) {
        MHD_destroy_response(response);
        response = NULL;
    }
    mu_http_answer(r, status, response);
}

/* Room at the front is used again; memory of a burst is given back. */
static void compact(struct mu_http_request *r)
{
    if (r->n_read == 0)
        return;
    if (r->n_read == r->out.n && r->out.cap > KEEP_BYTES)
        mu_buf_fini(&r->out);
    else if (r->n_read == r->out.n)
        mu_buf_clear(&r->out);
    else {
        memmove(r->out.p, r->out.p + r->n_read, r->out.n - r->n_read);
        r->out.n -= r->n_read;
    }
    r->n_read = 0;
}

static bool append(struct mu_http_request *r, struct mu_str bytes)
{
    struct mu_err err;
    if (bytes.n > FEED_BYTES_MAX)
        return false;
    if (r->out.n - r->n_read > MU_HTTP_STREAM_BYTES_MAX + r->n_largest ||
        atomic_load(&r->s->stream_bytes) + bytes.n > TOTAL_BYTES_MAX)
        return false;
    if (r->n_read >= r->out.n / 2)
        compact(r);
    r->out.max = MU_HTTP_STREAM_BYTES_MAX * 3 + 4 * FEED_BYTES_MAX;
    if (mu_buf_add(&r->out, bytes.p, bytes.n, &err) != MU_OK)
        return false;
    atomic_fetch_add(&r->s->stream_bytes, bytes.n);
    r->n_largest = MU_MAX(r->n_largest, bytes.n);
    return true;
}

static void wake(struct mu_http_request *r)
{
    if (!r->is_suspended)
        return;
    r->is_suspended = false;
    MHD_resume_connection(r->c);
}

bool mu_http_stream_feed(struct mu_http_request *r, struct mu_str bytes)
{
    pthread_mutex_lock(&r->lock);
    bool is_open = r->c && !r->is_cut && !r->is_dropped;
    if (is_open && !append(r, bytes)) {
        r->is_cut = true;
        is_open = false;
        shutdown(r->conn->fd, SHUT_RDWR);
    }
    if (r->c)
        wake(r);
    pthread_mutex_unlock(&r->lock);
    return is_open;
}

void mu_http_stream_end(struct mu_http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->is_ended = true;
    if (r->c)
        wake(r);
    pthread_mutex_unlock(&r->lock);
    mu_http_release(r);
}
