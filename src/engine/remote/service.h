/* service.h - a server that is found by the record of a service (engine/service/record.h), and found again
 *
 * An endpoint "service:NAME" or "service:FOLDER/NAME" names a service and no address. Address and token are its
 * record's. When an attempt fails the record is read again before the next one, with the waits and the patience of any
 * endpoint: a service that was started elsewhere is asked there. Its weights, formats, tokenizer and numerics must be
 * those of the life that was met first, or the request fails: numbers of two models are not mixed.
 *
 * Every answer must carry the life's id, which only the record tells: another server that came to have the address is
 * noticed, and its answers are not read. While requests are under way the record is watched, so that a node that is
 * lost is noticed without waiting for its silence. */
#ifndef MU_ENGINE_REMOTE_SERVICE_H
#define MU_ENGINE_REMOTE_SERVICE_H

#include <stdbool.h>

#include "base/wire.h"
#include "engine/service/folder.h"
#include "engine/service/watch.h"
#include <muster/engine.h>

struct mu_remote;

struct mu_remote_service {
    struct mu_service_folder folder;
    char name[MU_SERVICE_NAME_MAX + 1];
    char title[MU_SERVICE_NAME_MAX + 16]; /* "service NAME": before sentences */
    char client_line[64];                 /* the header that says who asks */
    struct mu_service_record first, now;  /* the life that was met first, and the one that is asked */
    struct mu_service_watch watch;        /* of the record as it was last read */
    enum mu_service_state state;
    struct mu_engine_service told; /* for mu_engine_info */
    int lives;                     /* met so far */
    bool is_doubted;               /* the record is read before the next request */
    int64_t looked_ns;
};

bool mu_remote_service_is_named(const char *endpoint);

/* The folder and the name; asks and reads nothing of the service yet. r->service is set. */
int mu_remote_service_open(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e);
void mu_remote_service_close(struct mu_remote *r);

/* Reads the record; a life that is new is the one to ask from now on. *may_pass: the same may work later. */
int mu_remote_service_look(struct mu_remote *r, bool *may_pass, struct mu_err *e);

/* Whether it is what the options say of the model: hash, formats, tokenizer, architecture. */
int mu_remote_service_check(const struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e);

/* The answer is by this life, else a sentence. */
int mu_remote_service_answered(const struct mu_remote *r, const struct mu_exchange *x, const char *life,
                               struct mu_err *e);

/* Now and then while exchanges are under way; and whether one that asked this life need not be waited for. */
void mu_remote_service_tick(struct mu_remote *r);
int mu_remote_service_lives(const struct mu_remote *r, const char *life, struct mu_err *e);

#endif
