/* models_fixture.h - one server with several models over real sockets, and what tests ask of it */
#ifndef TESTS_SERVE_MODELS_FIXTURE_H
#define TESTS_SERVE_MODELS_FIXTURE_H

#include "../http/http_client.h"

#include <stdatomic.h>

#include "base/json.h"
#include "cli/serve_open.h"
#include "failing_engine.h"

#define LLAMA   "muster-llama-tiny"
#define DSV3    "muster-dsv3-tiny"
#define CONTEXT 128
#define MS      1000000ll

/* The program's own opener; opens can be held up, the machine can want memory, and engines break down on order. */
struct fixture {
    struct mu_serve_opener x; /* the first member: the opener's functions are given the whole */
    atomic_bool is_stuck;
    atomic_size_t wanted;
    struct mu_residents *r;
    struct mu_serve *serve;
    struct mu_serve_opts o;
    void *one;                                 /* the only model, of models_begin_one() */
    struct fail_order order[MU_RESIDENTS_MAX]; /* by the models' order */
    int64_t retry_ns;
    int breaks_max, open_max, port;
    size_t heap;
};

extern const struct mu_resident_ops models_ops;

void models_init(struct fixture *f);
void models_add(struct fixture *f, const char *text); /* [NAME=]PATH */
void models_init_both(struct fixture *f);             /* llama and dsv3 */
void models_begin(struct fixture *f);
void models_begin_both(struct fixture *f);
void models_begin_tight(struct fixture *f); /* both, in the room of one of them */
void models_end(struct fixture *f);

/* A server with one model, open from the start to the end. */
void models_begin_one(struct fixture *f, const char *model);
void models_end_one(struct fixture *f);

void sleep_ms(int ms);
json_t *parse(const char *text);

/* What an answer says, as text of its choices: what must not depend on anything else. The caller frees. */
int ask_begin(const struct fixture *f, const char *model, int first);
char *choices_of(int fd);
char *ask(const struct fixture *f, const char *model, int first);
void ask_ok(const struct fixture *f, const char *model);
void ask_refused(const struct fixture *f, const char *model, int status, const char *part);
int ask_waiting(const struct fixture *f, const char *model); /* until the request waits for its model, alone */

void check_refused(struct hc_reply r, int status, const char *part);
double metric(const struct fixture *f, const char *name, const char *model); /* NULL: of the server */
void await_metric(const struct fixture *f, const char *name, const char *model, double v);
void check_state(const struct fixture *f, const char *model, const char *part); /* in what /v1/models says */

#endif
