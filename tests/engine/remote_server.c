/* remote_server.c - see remote_server.h */
#include "remote_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xt.h"

#define REQUEST_BYTES_MAX (1 << 20)

struct connection {
    struct remote_server *s;
    int fd;
};

void rs_send(int fd, const char *text)
{
    for (size_t n = strlen(text), done = 0; done < n;) {
        ssize_t k = send(fd, text + done, n - done, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        done += (size_t)k;
    }
}

void rs_reply(int fd, int status, const char *headers, const char *body)
{
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
             status, strlen(body), headers ? headers : "");
    rs_send(fd, head);
    rs_send(fd, body);
}

void rs_hang(const struct remote_server *s)
{
    while (!atomic_load(&s->is_stopping))
        poll(NULL, 0, 5);
}

/* Head and body of one request; false: the client left. */
static bool read_request(const struct connection *c, char *text, char **body)
{
    size_t n = 0, want = 0;
    *body = NULL;
    while (n < REQUEST_BYTES_MAX && (!*body || n < want)) {
        struct pollfd p = {c->fd, POLLIN, 0};
        if (atomic_load(&c->s->is_stopping))
            return false;
        if (poll(&p, 1, 20) <= 0)
            continue;
        ssize_t k = recv(c->fd, text + n, REQUEST_BYTES_MAX - n, 0);
        if (k <= 0)
            return false;
        n += (size_t)k;
        text[n] = 0;
        char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (end && !*body) {
            *body = end + 4;
            want = (size_t)(*body - text) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
        }
    }
    return *body != NULL;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct remote_server *s = c->s;
    char *text = malloc(REQUEST_BYTES_MAX + 1), *body;
    if (text && read_request(c, text, &body)) {
        if (strncmp(text, "GET ", 4) != 0)
            s->answer(s, atomic_fetch_add(&s->n_requests, 1), c->fd, text, body);
        else if (strncmp(text, "GET /props ", 11) == 0)
            rs_send(c->fd, s->props ? s->props : "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
        else if (s->models)
            rs_send(c->fd, s->models);
        else
            rs_reply(c->fd, 200, "Connection: close\r\n", "{\"data\": [{\"id\": \"m\", \"max_model_len\": 4096}]}");
    }
    shutdown(c->fd, SHUT_RDWR);
    close(c->fd);
    free(text);
    free(c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct remote_server *s = arg;
    while (!atomic_load(&s->is_stopping)) {
        struct pollfd p = {s->fd, POLLIN, 0};
        if (poll(&p, 1, 20) <= 0 || s->n_threads == RS_CONNECTIONS_MAX)
            continue;
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){s, accept(s->fd, NULL, NULL)};
        if (c->fd < 0 || pthread_create(&s->threads[s->n_threads], NULL, serve, c) != 0)
            free(c);
        else
            s->n_threads++;
    }
    return NULL;
}

void rs_start(struct remote_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    XT_CHECK(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, n) == 0 && listen(s->fd, 64) == 0);
    XT_CHECK(getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
    s->port = ntohs(a.sin_port);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d/v1", s->port);
    XT_CHECK(pthread_create(&s->acceptor, NULL, accept_all, s) == 0);
}

void rs_stop(struct remote_server *s)
{
    atomic_store(&s->is_stopping, true);
    pthread_join(s->acceptor, NULL);
    for (int i = 0; i < s->n_threads; i++)
        pthread_join(s->threads[i], NULL);
    close(s->fd);
}
