/* remote_server.h - a scripted HTTP server for tests: says whatever a test wants, at the pace it wants
 *
 * Every connection has a thread of its own and carries one request. GET .../models is answered by `models`, everything
 * else by the test's function. */
#ifndef TESTS_ENGINE_REMOTE_SERVER_H
#define TESTS_ENGINE_REMOTE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define RS_CONNECTIONS_MAX 2048

struct remote_server {
    /* n: counts requests from 0. request: head and body, NUL-terminated; body leads into it. */
    void (*answer)(struct remote_server *s, int n, int fd, const char *request, const char *body);
    const char *models; /* a whole HTTP answer; NULL: one model of 4096 tokens */
    const char *props;  /* to GET /props; NULL: there is none */
    void *arg;

    int fd, port;
    atomic_int n_requests;
    atomic_bool is_stopping;
    pthread_t acceptor, threads[RS_CONNECTIONS_MAX];
    int n_threads;
    char endpoint[64];
};

void rs_start(struct remote_server *s);
void rs_stop(struct remote_server *s);

void rs_send(int fd, const char *text); /* raw bytes */
void rs_reply(int fd, int status, const char *headers, const char *body);
void rs_hang(const struct remote_server *s); /* until the server is stopped */

#endif
