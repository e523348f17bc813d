/* http_client.h - a raw client for tests: sockets that can be slow, rude and many */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xt.h"

#define HC_WAIT_MS 120000 /* far above anything a test waits for, even on a busy machine */

static inline int hc_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    XT_CHECK(fd >= 0);
    XT_CHECKF(connect(fd, (struct sockaddr *)&a, sizeof a) == 0, "cannot connect to port %d", port);
    return fd;
}

/* False when the server closed first, which it may. */
static inline bool hc_send(int fd, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = send(fd, (const char *)p + done, n - done, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

static inline bool hc_puts(int fd, const char *s)
{
    return hc_send(fd, s, strlen(s));
}

/* Reads to the end or until `until` has come; the caller frees. *is_closed: the server closed. */
static inline char *hc_read(int fd, const char *until, bool *is_closed)
{
    size_t n = 0, cap = 4096;
    char *text = malloc(cap + 1);
    *is_closed = false;
    text[0] = 0;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (n == cap)
            text = realloc(text, (cap *= 2) + 1);
        if (poll(&p, 1, HC_WAIT_MS) <= 0)
            break;
        ssize_t k = recv(fd, text + n, cap - n, 0);
        *is_closed = k <= 0;
        if (k <= 0)
            break;
        n += (size_t)k;
        text[n] = 0;
        if (until && strstr(text, until))
            break;
    }
    return text;
}

struct hc_reply {
    char *text; /* all of it */
    char *body;
    int status; /* 0: none */
};

static inline struct hc_reply hc_parse(char *text)
{
    struct hc_reply r = {text, strstr(text, "\r\n\r\n"), 0};
    if (sscanf(text, "HTTP/1.1 %d", &r.status) != 1)
        r.status = 0;
    r.body = r.body ? r.body + 4 : text + strlen(text);
    return r;
}

static inline void hc_free(struct hc_reply *r)
{
    free(r->text);
    r->text = NULL;
}

/* One exchange on a connection of its own; raw must ask for it to be closed. */
static inline struct hc_reply hc_exchange(int port, const char *raw)
{
    bool is_closed;
    int fd = hc_connect(port);
    hc_puts(fd, raw);
    struct hc_reply r = hc_parse(hc_read(fd, NULL, &is_closed));
    close(fd);
    return r;
}

static inline int hc_post_begin(int port, const char *path, const char *body)
{
    int fd = hc_connect(port);
    size_t n = strlen(body);
    char *head = malloc(n + 512);
    snprintf(head, n + 512,
             "POST %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             path, n, body);
    hc_puts(fd, head);
    free(head);
    return fd;
}

static inline struct hc_reply hc_end(int fd)
{
    bool is_closed;
    struct hc_reply r = hc_parse(hc_read(fd, NULL, &is_closed));
    close(fd);
    return r;
}

static inline struct hc_reply hc_post(int port, const char *path, const char *body)
{
    return hc_end(hc_post_begin(port, path, body));
}

static inline struct hc_reply hc_get(int port, const char *path)
{
    char raw[512];
    snprintf(raw, sizeof raw, "GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", path);
    return hc_exchange(port, raw);
}

#endif
