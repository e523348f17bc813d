/* wire.c - see wire.h */
#include "base/wire.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"

_Static_assert(sizeof((struct mu_exchange *)0)->curl_text >= CURL_ERROR_SIZE, "libcurl's sentence has room");

#define NS_PER_MS       1000000
#define RETRY_AFTER_MAX 86400 /* s; above it the number only has to be too long */

struct mu_wire {
    CURLM *multi;
    char *key;
    struct mu_wire_opts o;
};

/* 404 stands for a wrong path or model; 501 is how some servers say that they do not know a field. */
enum mu_verdict mu_verdict_of_status(int s)
{
    if (s == 200)
        return MU_VERDICT_GOOD;
    if (s == 408 || s == 425 || s == 429 || (s >= 500 && s != 501 && s != 505))
        return MU_VERDICT_RETRY;
    if (s == 400 || s == 413 || s == 422 || s == 501)
        return MU_VERDICT_REFUSED;
    return MU_VERDICT_ENDPOINT;
}

/* ---- opening ---- */

static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int add_line(struct mu_exchange *x, const char *line, struct mu_err *e)
{
    struct curl_slist *more = curl_slist_append(x->lines, line);
    if (!more)
        return mu_fail_nomem(e, strlen(line), "a header");
    x->lines = more;
    return MU_OK;
}

/* Each exchange has its own, so that the key may be another one before it ends. */
static int add_lines(struct mu_exchange *x, struct mu_err *e)
{
    const struct mu_wire *w = x->wire;
    struct mu_buf line = MU_BUF_INIT("a header", MU_WIRE_KEY_BYTES_MAX + 64);
    int rc;
    MU_TRY(add_line(x, "Content-Type: application/json", e));
    MU_TRY(add_line(x, "Expect:", e)); /* no round trip before a long body */
    if (w->o.header)
        MU_TRY(add_line(x, w->o.header, e));
    if (w->key) {
        MU_TRY(mu_buf_printf(&line, e, "Authorization: Bearer %s", w->key));
        rc = add_line(x, line.p, e);
        explicit_bzero(line.p, line.n);
    }
out:
    mu_buf_fini(&line);
    return rc;
}

static void drop_lines(struct mu_exchange *x)
{
    for (struct curl_slist *h = x->lines; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data)); /* the key is in one of them */
    curl_slist_free_all(x->lines);
    x->lines = NULL;
}

static void drop_key(struct mu_wire *w)
{
    if (w->key)
        explicit_bzero(w->key, strlen(w->key));
    mu_free(w->key);
    w->key = NULL;
}

int mu_wire_rekey(struct mu_wire *w, const char *key, struct mu_err *e)
{
    char *copy = key ? mu_strdup(key) : NULL;
    if (key && !copy)
        return mu_fail_nomem(e, strlen(key), "a key");
    drop_key(w);
    w->key = copy;
    return MU_OK;
}

int mu_wire_open(struct mu_wire **out, const struct mu_wire_opts *o, struct mu_err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct mu_wire *w = NULL;
    int rc;

    pthread_once(&once, global_init);
    if (global_code != CURLE_OK)
        return mu_fail(e, MU_EPEER, "libcurl does not start: %s", curl_easy_strerror(global_code));
    MU_TRY_RETURN(MU_NEW(&w, "a connection to a server", e));
    w->o = *o;
    w->o.key = NULL;
    w->multi = curl_multi_init();
    if (!w->multi) {
        rc = mu_fail_nomem(e, sizeof *w, "libcurl");
        goto out;
    }
    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)o->exchanges_max);
    MU_TRY(mu_wire_rekey(w, o->key, e));
    *out = w;
    w = NULL;
out:
    mu_wire_close(w);
    return rc;
}

void mu_wire_close(struct mu_wire *w)
{
    if (!w)
        return;
    drop_key(w);
    curl_multi_cleanup(w->multi);
    mu_free(w);
}

/* ---- what comes in ---- */

/* "Name: value" and the end of the line; the last one of its name counts. */
static void keep_header(struct mu_exchange *x, struct mu_str line)
{
    size_t n = strlen(x->wanted);
    if (line.n <= n || strncasecmp(line.p, x->wanted, n) != 0 || line.p[n] != ':')
        return;
    struct mu_str v = {line.p + n + 1, line.n - n - 1};
    while (v.n > 0 && strchr(" \t", v.p[0]))
        v.p++, v.n--;
    while (v.n > 0 && strchr(" \t\r\n", v.p[v.n - 1]))
        v.n--;
    v.n = v.n < sizeof x->header ? v.n : 0;
    memcpy(x->header, v.p, v.n);
    x->header[v.n] = 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct mu_exchange *x = arg;
    if (x->wanted)
        keep_header(x, (struct mu_str){p, size * n});
    x->moved_ns = mu_now_ns(x->wire->o.clock);
    x->header_bytes += size * n;
    if (x->header_bytes <= MU_WIRE_HEADER_BYTES_MAX)
        return size * n;
    x->code =
        mu_fail(&x->err, MU_ELIMIT, "the headers of the answer are longer than %zu bytes", MU_WIRE_HEADER_BYTES_MAX);
    return 0;
}

/* libcurl 7.88 opens sockets that programs started meanwhile would keep. Between the two calls one may slip through:
 * who starts programs closes what is not theirs besides. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)purpose;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static int keep(struct mu_exchange *x, struct mu_str piece)
{
    size_t room = x->answer.max - x->answer.n;
    return mu_buf_add(&x->answer, piece.p, x->drops_rest ? MU_MIN(piece.n, room) : piece.n, &x->err);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct mu_exchange *x = arg;
    struct mu_str piece = {p, size * n};
    long status = 0;
    x->moved_ns = mu_now_ns(x->wire->o.clock);
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    if (x->is_stream && status == 200)
        x->code = x->on_data(x->arg, piece, &x->err);
    else
        x->code = keep(x, piece);
    return x->code == MU_OK ? piece.n : piece.n + 1; /* another number than given: libcurl stops */
}

/* ---- one exchange ---- */

#define SET(option, value)                                                                                             \
    do {                                                                                                               \
        CURLcode code_ = curl_easy_setopt(x->easy, option, value);                                                     \
        if (code_ != CURLE_OK)                                                                                         \
            return mu_fail(e, MU_EPEER, "%s: %s", x->url, curl_easy_strerror(code_));                                  \
    } while (0)

static int set_up(struct mu_exchange *x, struct mu_err *e)
{
    SET(CURLOPT_URL, x->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs does not hold up who stops the exchange */
    SET(CURLOPT_HTTPHEADER, x->lines);
    if (x->wire->o.no_proxy)
        SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_USERAGENT, "muster/" MU_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(x->wire->o.connect_ns / NS_PER_MS));
    SET(CURLOPT_ERRORBUFFER, x->curl_text);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
    SET(CURLOPT_PRIVATE, x);
    if (x->body.p) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.n);
        SET(CURLOPT_POSTFIELDS, x->body.p); /* borrowed */
    }
    return MU_OK;
}

int mu_wire_start(struct mu_wire *w, struct mu_exchange *x, struct mu_err *e)
{
    int rc;
    x->wire = w;
    x->code = MU_OK;
    x->err = (struct mu_err)MU_ERR_INIT;
    x->verdict = MU_VERDICT_GOOD;
    x->status = 0;
    x->told_ns = 0;
    x->header_bytes = 0;
    x->is_done = false;
    x->curl_text[0] = x->header[0] = 0;
    x->start_ns = x->moved_ns = mu_now_ns(w->o.clock);
    mu_buf_clear(&x->answer);
    x->easy = curl_easy_init();
    if (!x->easy)
        return mu_fail_nomem(e, sizeof *x, "libcurl");
    MU_TRY(add_lines(x, e));
    MU_TRY(set_up(x, e));
    if (curl_multi_add_handle(w->multi, x->easy) != CURLM_OK)
        rc = mu_fail_nomem(e, sizeof *x, "libcurl");
out:
    if (rc != MU_OK) {
        curl_easy_cleanup(x->easy);
        x->easy = NULL;
        drop_lines(x);
    }
    return rc;
}

void mu_wire_stop(struct mu_exchange *x)
{
    if (!x->easy)
        return;
    curl_multi_remove_handle(x->wire->multi, x->easy);
    curl_easy_cleanup(x->easy);
    x->easy = NULL;
    drop_lines(x);
}

/* A certificate that is not trusted or a URL that is none will be so next time. */
static enum mu_verdict verdict_of_curl(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return MU_VERDICT_ENDPOINT;
    default:
        return MU_VERDICT_RETRY;
    }
}

/* libcurl's sentence, and the system's reason where it keeps that to itself. */
static int say(struct mu_exchange *x, CURLcode code)
{
    const char *text = x->curl_text[0] ? x->curl_text : curl_easy_strerror(code);
    long system = 0;
    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &system);
    if (system) {
        errno = (int)system;
        return mu_fail(&x->err, MU_EPEER, "%s (%m)", text);
    }
    return mu_fail(&x->err, code == CURLE_OPERATION_TIMEDOUT ? MU_ETIMEDOUT : MU_EPEER, "%s", text);
}

static void finish(struct mu_exchange *x, CURLcode code)
{
    long status = 0;
    curl_off_t told = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &told);
    x->status = (int)status;
    x->told_ns = (int64_t)MU_MIN(told, (curl_off_t)RETRY_AFTER_MAX) * 1000 * NS_PER_MS;
    x->verdict = mu_verdict_of_status(x->status);
    if (x->code != MU_OK) { /* said by the function that stopped it */
        x->verdict = MU_VERDICT_REFUSED;
    } else if (code != CURLE_OK) {
        x->verdict = verdict_of_curl(code);
        x->code = say(x, code);
    }
    x->is_done = true;
    mu_wire_stop(x);
}

/* ---- all of them ---- */

int mu_wire_pump(struct mu_wire *w, struct mu_err *e)
{
    CURLMsg *m;
    int n_running, n_left;
    CURLMcode code = curl_multi_perform(w->multi, &n_running);
    if (code != CURLM_OK)
        return mu_fail(e, MU_EPEER, "libcurl: %s", curl_multi_strerror(code));
    while ((m = curl_multi_info_read(w->multi, &n_left)) != NULL) {
        struct mu_exchange *x = NULL;
        CURLcode result = m->data.result;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x) == CURLE_OK)
            finish(x, result);
    }
    return MU_OK;
}

int mu_wire_wait(struct mu_wire *w, int64_t ns, struct mu_err *e)
{
    int64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
    CURLMcode code = curl_multi_poll(w->multi, NULL, 0, (int)MU_MAX((int64_t)0, MU_MIN(ms, 1000)), NULL);
    return code == CURLM_OK ? MU_OK : mu_fail(e, MU_EPEER, "libcurl: %s", curl_multi_strerror(code));
}

void mu_wire_wake(struct mu_wire *w)
{
    curl_multi_wakeup(w->multi);
}
