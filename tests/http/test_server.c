/* test_server.c - the HTTP server over real sockets: well-behaved, slow, vanishing and hostile clients */
#include "http_client.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/server.h"

#define SECOND_NS 1000000000ll

/* ---- handlers ---- */

struct state {
    atomic_int n_handled, n_gone;
    atomic_size_t fed;
    pthread_t thread[64];
    atomic_int n_threads;
};

static void hello(void *arg, struct mu_http_request *r)
{
    struct state *s = arg;
    const char *name = mu_http_query(r, "name");
    char text[128];
    atomic_fetch_add(&s->n_handled, 1);
    mu_http_header_add(r, "X-Test", "yes");
    snprintf(text, sizeof text, "hello %s", name ? name : "nobody");
    mu_http_respond(r, 200, "text/plain", mu_str(text));
}

static void echo(void *arg, struct mu_http_request *r)
{
    struct state *s = arg;
    atomic_fetch_add(&s->n_handled, 1);
    mu_http_respond(r, 200, "application/json", mu_http_body(r));
}

static void run_later(struct state *s, struct mu_http_request *r, void *(*fn)(void *))
{
    int i = atomic_fetch_add(&s->n_threads, 1);
    if (i >= 64 || pthread_create(&s->thread[i], NULL, fn, r) != 0)
        abort();
}

static void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

static void *answer_later(void *r)
{
    sleep_ms(100);
    mu_http_respond(r, 200, "text/plain", MU_STR("later"));
    return NULL;
}

static void later(void *arg, struct mu_http_request *r)
{
    run_later(arg, r, answer_later);
}

static struct state *the_state; /* for threads that have only the request */

/* Gives up when the client has left. */
static void *wait_until_gone(void *r)
{
    while (!mu_http_is_gone(r))
        sleep_ms(5);
    atomic_fetch_add(&the_state->n_gone, 1);
    mu_http_respond(r, 200, "text/plain", MU_STR("too late"));
    return NULL;
}

static void forever(void *arg, struct mu_http_request *r)
{
    run_later(arg, r, wait_until_gone);
}

static void *feed_lines(void *r)
{
    char line[32];
    mu_http_stream_begin(r, 200, "text/event-stream");
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        mu_http_stream_feed(r, mu_str(line));
        if (i % 10 == 0)
            sleep_ms(2);
    }
    mu_http_stream_end(r);
    return NULL;
}

static void lines(void *arg, struct mu_http_request *r)
{
    run_later(arg, r, feed_lines);
}

static void *feed_flood(void *r)
{
    static char block[65536];
    memset(block, 'x', sizeof block);
    mu_http_stream_begin(r, 200, "text/event-stream");
    while (mu_http_stream_feed(r, (struct mu_str){block, sizeof block})) {
        if (atomic_fetch_add(&the_state->fed, sizeof block) > ((size_t)1 << 30))
            abort();
    }
    atomic_fetch_add(&the_state->n_gone, 1);
    mu_http_stream_end(r);
    return NULL;
}

static void flood(void *arg, struct mu_http_request *r)
{
    run_later(arg, r, feed_flood);
}

/* Whom the server takes the client for. */
static void client(void *arg, struct mu_http_request *r)
{
    char text[32];
    (void)arg;
    snprintf(text, sizeof text, "client %016llx", (unsigned long long)mu_http_client(r));
    mu_http_respond(r, 200, "text/plain", mu_str(text));
}

static const struct mu_http_route routes[] = {
    {"GET", "/client", client, false}, {"GET", "/hello", hello, false}, {"GET", "/open", hello, true},
    {"POST", "/echo", echo, false},    {"GET", "/later", later, false}, {"GET", "/forever", forever, false},
    {"GET", "/lines", lines, false},   {"GET", "/flood", flood, false}, {"GET", "/tree/*", hello, false},
    {NULL, NULL, NULL, false},
};

/* ---- a server for a test ---- */

struct fixture {
    struct state state;
    struct mu_http_server *server;
    int port;
    size_t heap;
};

static void open_server(struct fixture *f, const struct mu_http_opts *o, const char *const *keys)
{
    struct mu_err err = MU_ERR_INIT;
    memset(f, 0, sizeof *f);
    the_state = &f->state;
    f->heap = mu_mem_bytes_used();
    XT_OK(mu_http_open(&f->server, o, routes, keys, &f->state, &err));
    f->port = mu_http_port(f->server);
}

static void close_server(struct fixture *f)
{
    mu_http_close(f->server);
    for (int i = 0; i < f->state.n_threads; i++)
        pthread_join(f->state.thread[i], NULL);
    XT_EQ(mu_mem_bytes_used(), f->heap);
}

static const struct mu_http_opts plain = {.body_bytes_max = 100000, .header_bytes_max = 4096};

static void check_alive(const struct fixture *f)
{
    struct hc_reply r = hc_get(f->port, "/hello");
    XT_EQ(r.status, 200);
    hc_free(&r);
}

static void check_status(const struct fixture *f, const char *raw, int status, const char *part)
{
    struct hc_reply r = hc_exchange(f->port, raw);
    XT_CHECKF(r.status == status && strstr(r.text, part), "status %d, not %d with \"%s\": %s", r.status, status, part,
              r.text);
    hc_free(&r);
}

/* ---- routes and keys ---- */

XT_TEST(routes_are_found_by_method_and_path)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    check_status(&f, "GET /hello?name=you HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200, "hello you");
    check_status(&f, "GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200, "X-Test: yes");
    check_status(&f, "GET /tree/a/b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200, "hello nobody");
    check_status(&f, "GET /none HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 404, "\"code\": \"not_found\"");
    check_status(&f, "DELETE /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 405, "Allow: GET");
    check_status(&f, "GET /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 405, "Allow: POST");
    check_status(&f, "GET /later HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200, "later");
    struct hc_reply r = hc_exchange(f.port, "HEAD /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    XT_EQ(r.status, 200);
    XT_CHECK(strstr(r.text, "Content-Length: 12"));
    XT_STREQ(r.body, "");
    hc_free(&r);
    close_server(&f);
}

/* The mark is a secret between the server and who gave a key. */
XT_TEST(who_gave_a_key_gets_the_mark_and_nobody_else)
{
    struct fixture f;
    const char *const keys[] = {"first", NULL};
    struct mu_http_opts o = plain;
    o.mark[0] = "X-Mark";
    o.mark[1] = "secret";
    open_server(&f, &o, keys);
    static const struct {
        const char *request;
        int status;
        bool has_mark;
    } cases[] = {{"GET /hello HTTP/1.1\r\n", 401, false},
                 {"GET /hello HTTP/1.1\r\nAuthorization: Bearer other\r\n", 401, false},
                 {"GET /hello HTTP/1.1\r\nAuthorization: Bearer first\r\n", 200, true},
                 {"GET /lines HTTP/1.1\r\nAuthorization: Bearer first\r\n", 200, true},
                 {"GET /nowhere HTTP/1.1\r\n", 404, false},
                 {"POST /echo HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n", 401, false},
                 {"POST /echo HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
                  "Authorization: Bearer first\r\n",
                  415, true},
                 {"GET /open HTTP/1.1\r\n", 200, false},
                 {"GET /open HTTP/1.1\r\nAuthorization: Bearer first\r\n", 200, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char raw[256];
        snprintf(raw, sizeof raw, "%sHost: t\r\nConnection: close\r\n\r\n", cases[i].request);
        struct hc_reply r = hc_exchange(f.port, raw);
        XT_CHECKF(r.status == cases[i].status, "%s: %s", cases[i].request, r.text);
        XT_CHECKF((strstr(r.text, "X-Mark: secret") != NULL) == cases[i].has_mark, "%s: %s", cases[i].request, r.text);
        hc_free(&r);
    }
    close_server(&f);
}

static unsigned long long ask_client(const struct fixture *f, const char *headers)
{
    unsigned long long who = 0;
    char raw[256];
    snprintf(raw, sizeof raw, "GET /client HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%s\r\n", headers);
    struct hc_reply r = hc_exchange(f->port, raw);
    XT_CHECKF(sscanf(r.body, "client %llx", &who) == 1, "%s", r.text);
    hc_free(&r);
    return who;
}

XT_TEST(clients_are_told_apart_by_key_and_name_or_address)
{
    struct fixture f;
    const char *const keys[] = {"first", "second", NULL};
    struct mu_http_opts o = plain;
    o.client_header = "X-Who";
    open_server(&f, &o, keys);
    unsigned long long a = ask_client(&f, "Authorization: Bearer first\r\nX-Who: a\r\n"),
                       b = ask_client(&f, "Authorization: Bearer first\r\nX-Who: b\r\n"),
                       other_key = ask_client(&f, "Authorization: Bearer second\r\nX-Who: a\r\n"),
                       address = ask_client(&f, "Authorization: Bearer first\r\n");
    XT_CHECK(a != b && a != other_key && a != address && b != address);
    XT_CHECK(a == ask_client(&f, "Authorization: Bearer first\r\nX-Who: a\r\n"));
    XT_CHECK(address == ask_client(&f, "Authorization: Bearer first\r\n"));
    close_server(&f);
}

XT_TEST(keys_are_asked_for)
{
    struct fixture f;
    const char *const keys[] = {"first", "second key", NULL};
    open_server(&f, &plain, keys);
    const char *get = "GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%s\r\n";
    static const struct {
        const char *header;
        int status;
    } cases[] = {{"", 401},
                 {"Authorization: Bearer first\r\n", 200},
                 {"Authorization: bearer second key\r\n", 200},
                 {"Authorization: Bearer firs\r\n", 401},
                 {"Authorization: Bearer firstt\r\n", 401},
                 {"Authorization: Bearer \r\n", 401},
                 {"Authorization: Basic first\r\n", 401},
                 {"Authorization: first\r\n", 401}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char raw[256];
        snprintf(raw, sizeof raw, get, cases[i].header);
        check_status(&f, raw, cases[i].status, cases[i].status == 401 ? "WWW-Authenticate: Bearer" : "hello");
    }
    check_status(&f, "GET /open HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200, "hello");
    check_status(&f, "POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", 401, "key");
    XT_EQ(f.state.n_handled, 3);
    close_server(&f);
}

/* ---- bodies ---- */

#define POST "POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
#define JSON "Content-Type: application/json\r\n"

XT_TEST(bodies_come_in_many_ways)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    check_status(&f, POST JSON "Content-Length: 5\r\n\r\nabcde", 200, "\r\n\r\nabcde");
    check_status(&f, POST JSON "Content-Length: 0\r\n\r\n", 200, "Content-Length: 0");
    check_status(&f, POST "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 1\r\n\r\na", 200,
                 "\r\n\r\na");
    check_status(&f, POST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", 200,
                 "\r\n\r\nabcde");
    check_status(&f, POST JSON "\r\n", 411, "length_required");
    check_status(&f, POST "Content-Length: 2\r\n\r\n{}", 415, "application/json");
    check_status(&f, POST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, "application/json");
    check_status(&f, POST JSON "Transfer-Encoding: gzip\r\n\r\n", 501, "chunked");
    close_server(&f);
}

XT_TEST(a_body_byte_by_byte_and_a_pipeline)
{
    struct fixture f;
    bool is_closed;
    open_server(&f, &plain, NULL);
    const char *raw = POST JSON "Content-Length: 5\r\n\r\nabcde";
    int fd = hc_connect(f.port);
    for (const char *c = raw; *c; c++) {
        XT_CHECK(hc_send(fd, c, 1));
        if (c - raw > 100)
            sleep_ms(1);
    }
    struct hc_reply r = hc_end(fd);
    XT_STREQ(r.body, "abcde");
    hc_free(&r);

    fd = hc_connect(f.port);
    XT_CHECK(hc_puts(fd, "GET /hello?name=1 HTTP/1.1\r\nHost: t\r\n\r\n"
                         "GET /later HTTP/1.1\r\nHost: t\r\n\r\n"
                         "GET /hello?name=3 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
    char *text = hc_read(fd, NULL, &is_closed);
    char *first = strstr(text, "hello 1"), *second = strstr(text, "later"), *third = strstr(text, "hello 3");
    XT_CHECK(first && second && third && first < second && second < third);
    free(text);
    close(fd);
    close_server(&f);
}

static char *big_post(size_t n, bool is_chunked)
{
    char *raw = malloc(n + 512);
    int head = is_chunked ? sprintf(raw, POST JSON "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", n)
                          : sprintf(raw, POST JSON "Content-Length: %zu\r\n\r\n", n);
    memset(raw + head, 'x', n);
    strcpy(raw + head + n, is_chunked ? "\r\n0\r\n\r\n" : "");
    return raw;
}

XT_TEST(too_much_is_refused)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    for (int i = 0; i < 2; i++) {
        char *fits = big_post(plain.body_bytes_max, i), *more = big_post(plain.body_bytes_max + 1, i);
        check_status(&f, fits, 200, "xxx");
        check_status(&f, more, 413, "body_too_large");
        free(fits);
        free(more);
    }
    check_status(&f, POST JSON "Expect: 100-continue\r\nContent-Length: 900000\r\n\r\n", 413, "body_too_large");
    check_status(&f, POST JSON "Content-Length: 99999999999\r\n\r\nabc", 413, "body_too_large");
    char *long_header = malloc(6000);
    int n = sprintf(long_header, "GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX: ");
    memset(long_header + n, 'y', 4500);
    strcpy(long_header + n + 4500, "\r\n\r\n");
    check_status(&f, long_header, 431, "headers_too_large");
    free(long_header);
    check_alive(&f);
    close_server(&f);
}

/* ---- rude clients ---- */

XT_TEST(aborted_uploads_leave_nothing)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    for (int i = 0; i < 60; i++) {
        int fd = hc_connect(f.port);
        struct linger reset = {1, 0};
        hc_puts(fd, POST JSON "Content-Length: 90000\r\n\r\nabc");
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    check_alive(&f);
    close_server(&f);
}

static const char *const garbage[] = {
    "",
    "\r\n\r\n\r\n",
    "GET\r\n\r\n",
    "GET / \r\n\r\n",
    "GET /hello HTTP/9.9\r\nHost: t\r\n\r\n",
    "GET /hello HTTP/1.1\r\n\r\n",
    "GET /%00%ff%zz HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /../../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /hello?a=%\x01&&&=&b HTTP/1.1\r\nHost: t\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    POST JSON "Content-Length: -5\r\n\r\nabc",
    POST JSON "Content-Length: 5abc\r\n\r\nabcde",
    POST JSON "Content-Length: 3\r\nContent-Length: 300\r\n\r\nabc",
    POST JSON "Content-Length: 18446744073709551616\r\n\r\nabc",
    POST JSON "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST JSON "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    POST JSON "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
    POST JSON "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost t\r\n\r\n",
    "GET /hello HTTP/1.1\r\n Host: folded\r\n\tmore\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost: t\r\nX: a\x01\x02\x7f\r\n\r\n",
    "GET /hello HTTP/1.0\r\n\r\n",
    "BREW /hello HTTP/1.1\r\nHost: t\r\n\r\n",
};

/* Whatever comes back, the server goes on, and nothing hangs: the sending half is closed, which ends any wait. */
static void throw_at(const struct fixture *f, const char *p, size_t n)
{
    bool is_closed;
    int fd = hc_connect(f->port);
    hc_send(fd, p, n);
    shutdown(fd, SHUT_WR);
    char *text = hc_read(fd, NULL, &is_closed);
    XT_CHECKF(is_closed, "no end after %.*s", (int)n, p);
    free(text);
    close(fd);
}

XT_TEST(garbage_harms_nobody)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
        throw_at(&f, garbage[i], strlen(garbage[i]));
    check_alive(&f);
    uint64_t seed = 17;
    const char *good = POST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
    for (int i = 0; i < 250; i++) {
        char raw[512];
        size_t n = strlen(good);
        memcpy(raw, good, n);
        for (int k = 0; k < 1 + i % 4; k++)
            raw[xt_rand(&seed) % n] = (char)xt_rand(&seed);
        throw_at(&f, raw, i % 7 ? n : xt_rand(&seed) % n);
    }
    check_alive(&f);
    close_server(&f);
}

XT_TEST(requests_that_never_become_whole_are_ended)
{
    struct fixture f;
    struct mu_http_opts o = plain;
    o.idle_ns = SECOND_NS;
    open_server(&f, &o, NULL);
    int64_t start = mu_now_ns(mu_clock_real());
    int silent = hc_connect(f.port), slow = hc_connect(f.port);
    const char *raw = "GET /hello HTTP/1.1\r\nHost: t\r\nX-Very-Long-Header-That-Never-Ends: ";
    hc_puts(silent, raw);
    hc_puts(slow, raw);
    bool slow_is_open = true;
    while (slow_is_open && mu_now_ns(mu_clock_real()) - start < 15 * SECOND_NS) {
        sleep_ms(100);
        slow_is_open = hc_puts(slow, "z");
    }
    int64_t took = mu_now_ns(mu_clock_real()) - start;
    XT_CHECKF(!slow_is_open, "a byte now and then held a connection for 15 s");
    XT_CHECKF(took >= 4 * SECOND_NS, "ended after %.1f s already", (double)took * 1e-9);
    bool is_closed;
    free(hc_read(silent, NULL, &is_closed));
    XT_CHECK(is_closed);
    close(silent);
    close(slow);
    check_alive(&f);
    close_server(&f);
}

XT_TEST(more_connections_than_allowed_are_closed_at_once)
{
    struct fixture f;
    struct mu_http_opts o = plain;
    o.connections_max = 4;
    open_server(&f, &o, NULL);
    int fd[4];
    bool is_closed;
    for (int i = 0; i < 4; i++) {
        fd[i] = hc_connect(f.port);
        hc_puts(fd[i], "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
        free(hc_read(fd[i], "hello", &is_closed)); /* and stays open */
    }
    int extra = hc_connect(f.port);
    hc_puts(extra, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    char *text = hc_read(extra, NULL, &is_closed);
    XT_CHECK(is_closed);
    XT_STREQ(text, "");
    free(text);
    close(extra);
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    for (int tries = 0; tries < 100; tries++) { /* room again as soon as the server has seen them go */
        struct hc_reply r = hc_get(f.port, "/hello");
        int status = r.status;
        hc_free(&r);
        if (status == 200)
            break;
        sleep_ms(20);
    }
    check_alive(&f);
    close_server(&f);
}

/* ---- streams ---- */

XT_TEST(a_stream_arrives_whole_and_in_order)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    struct hc_reply r = hc_exchange(f.port, "GET /lines HTTP/1.0\r\nHost: t\r\n\r\n"); /* 1.0: no chunks around it */
    const char *at = r.text;
    for (int i = 0; i < 100; i++) {
        char line[32];
        snprintf(line, sizeof line, "line %d\n", i);
        at = strstr(at, line);
        XT_CHECKF(at != NULL, "line %d is missing", i);
    }
    hc_free(&r);
    int fd[20];
    for (int i = 0; i < 20; i++) {
        fd[i] = hc_connect(f.port);
        hc_puts(fd[i], "GET /lines HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    }
    for (int i = 0; i < 20; i++) {
        r = hc_end(fd[i]);
        XT_CHECK(strstr(r.text, "Transfer-Encoding: chunked") && strstr(r.text, "line 99\n"));
        hc_free(&r);
    }
    close_server(&f);
}

static void wait_gone(struct fixture *f, int n)
{
    for (int i = 0; i < 1000 && f->state.n_gone < n; i++)
        sleep_ms(10);
    XT_EQ(f->state.n_gone, n);
}

XT_TEST(a_reader_that_does_not_read_is_cut)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    int fd = hc_connect(f.port), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    hc_puts(fd, "GET /flood HTTP/1.1\r\nHost: t\r\n\r\n");
    wait_gone(&f, 1);
    check_alive(&f);
    XT_CHECKF(f.state.fed < ((size_t)64 << 20), "%zu bytes were taken", (size_t)f.state.fed);
    close(fd);
    close_server(&f);
}

XT_TEST(a_client_that_leaves_is_noticed)
{
    struct fixture f;
    bool is_closed;
    open_server(&f, &plain, NULL);
    int waits = hc_connect(f.port), streams = hc_connect(f.port);
    hc_puts(waits, "GET /forever HTTP/1.1\r\nHost: t\r\n\r\n");
    hc_puts(streams, "GET /flood HTTP/1.1\r\nHost: t\r\n\r\n");
    free(hc_read(streams, "xxxx", &is_closed));
    close(waits);
    close(streams);
    wait_gone(&f, 2);
    check_alive(&f);
    close_server(&f);
}

/* Again and again: an answer that comes while the daemon shuts down must not suspend its connection. */
XT_TEST(closing_ends_what_waits)
{
    for (int round = 0; round < 40; round++) {
        struct fixture f;
        open_server(&f, &plain, NULL);
        int fd[10];
        for (int i = 0; i < 10; i++) {
            fd[i] = hc_connect(f.port);
            hc_puts(fd[i], "GET /forever HTTP/1.1\r\nHost: t\r\n\r\n");
        }
        for (int i = 0; i < 500 && f.state.n_threads < 10; i++)
            sleep_ms(10);
        close_server(&f);
        for (int i = 0; i < 10; i++)
            close(fd[i]);
    }
}

XT_TEST(stopping_refuses_newcomers_only)
{
    struct fixture f;
    open_server(&f, &plain, NULL);
    int fd = hc_connect(f.port);
    hc_puts(fd, "GET /later HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    while (f.state.n_threads < 1)
        sleep_ms(5);
    mu_http_stop(f.server);
    XT_CHECK(mu_http_drain(f.server, 60 * SECOND_NS));
    struct hc_reply r = hc_end(fd);
    XT_EQ(r.status, 200);
    hc_free(&r);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    XT_CHECK(connect(fd, (struct sockaddr *)&a, sizeof a) != 0);
    close(fd);
    close_server(&f);
}

/* ---- opening ---- */

XT_TEST(impossible_servers_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_http_server *s = NULL;
    struct fixture f;
    struct mu_http_opts o = {.port = 70000};
    XT_FAILS(mu_http_open(&s, &o, routes, NULL, NULL, &err), MU_EINVAL, "70000");
    o = (struct mu_http_opts){.address = "no such address"};
    XT_FAILS(mu_http_open(&s, &o, routes, NULL, NULL, &err), MU_EINVAL, "no such address");
    o = (struct mu_http_opts){.threads = 1000};
    XT_FAILS(mu_http_open(&s, &o, routes, NULL, NULL, &err), MU_ELIMIT, "1000");
    const char *const empty[] = {"", NULL};
    o = (struct mu_http_opts){.port = 0};
    XT_FAILS(mu_http_open(&s, &o, routes, empty, NULL, &err), MU_EINVAL, "empty");
    open_server(&f, &plain, NULL);
    o.port = f.port;
    XT_FAILS(mu_http_open(&s, &o, routes, NULL, NULL, &err), MU_EIO, "cannot listen");
    close_server(&f);
}

static int open_and_close(void *arg, struct mu_err *e)
{
    static const char *const keys[] = {"k", NULL};
    struct mu_http_server *s = NULL;
    int rc = mu_http_open(&s, arg, routes, keys, NULL, e);
    if (rc == MU_OK)
        mu_http_close(s);
    return rc;
}

XT_TEST(opening_survives_a_lack_of_memory)
{
    struct mu_http_opts o = {.port = 0};
    xt_each_alloc_fails(open_and_close, &o);
}

XT_MAIN()
