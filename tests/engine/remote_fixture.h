/* remote_fixture.h - a remote engine, a scripted server and a clock that moves while the engine polls */
#ifndef TESTS_ENGINE_REMOTE_FIXTURE_H
#define TESTS_ENGINE_REMOTE_FIXTURE_H

#include "base/clock.h"
#include "remote_server.h"
#include <muster/engine.h>

#define SECOND_NS 1000000000ll
#define RF_BEST   900 /* the most likely token wherever the one sent is not */

struct rf {
    struct remote_server server;
    struct mu_clock clock;
    struct mu_engine_opts opts;
    mu_engine *eng;
    size_t heap;
};

void rf_begin(struct rf *f, void (*answer)(struct remote_server *, int, int, const char *, const char *));
void rf_open(struct rf *f);
void rf_end(struct rf *f);                /* nothing may have leaked */
struct mu_result *rf_drive(struct rf *f); /* the next result, the fake clock moving; NULL: nothing in flight */
struct mu_result *rf_ask(struct rf *f, const struct mu_request *q);

/* All of it for one request: a server that sends text, or what `answer` makes of it. */
struct mu_result *rf_play(struct rf *f, void (*answer)(struct remote_server *, int, int, const char *, const char *),
                          const char *text, const struct mu_request *q);

extern const int32_t rf_context[3], rf_continuation[3];
struct mu_request rf_score_request(void);
struct mu_request rf_generate_request(int max_tokens);

/* A server that scores in the form that s->arg names: token t costs t / 10, and is the most likely one when it is even.
 */
void rf_answer_scores(struct remote_server *s, int n, int fd, const char *request, const char *body);
void rf_answer_nothing(struct remote_server *s, int n, int fd, const char *request, const char *body); /* ever */
double rf_cost(int id);
extern const char rf_refused[]; /* a refusal's body */
/* The result of rf_score_request() with n_top 2. */
void rf_check_score(const struct mu_result *r, bool has_ids);

/* Answers as bytes on the wire. */
#define OK_HEAD    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define BODY(text) OK_HEAD "Connection: close\r\n\r\n" text

#endif
