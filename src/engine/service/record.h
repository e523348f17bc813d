/* record.h - what a shared server says of itself in one small file, by which jobs find it
 *
 * A service is a `muster serve` with a name. Its record is FOLDER/NAME.json: where it listens, the token that it asks
 * for, what it computes with, and a count that grows every few seconds while it lives. Whoever can read the record may
 * use the service, so it is its owner's alone.
 *
 * A service that is started again is the same name and another life: another id, another token. Requests carry the
 * token, answers to them the id; who listens at an old address by chance knows neither. */
#ifndef MU_ENGINE_SERVICE_RECORD_H
#define MU_ENGINE_SERVICE_RECORD_H

#include <stdint.h>

#include "base/json.h"

#define MU_SERVICE_RECORD_BYTES_MAX 16384
#define MU_SERVICE_NAME_MAX         64               /* bytes of a name */
#define MU_SERVICE_ID_BYTES         33               /* 128 bits in hexadecimal */
#define MU_SERVICE_TOKEN_BYTES      65               /* 256 bits */
#define MU_SERVICE_HEADER           "Muster-Service" /* of answers: the id */
#define MU_SERVICE_CLIENT_HEADER    "Muster-Client"  /* of requests: who asks, for turns (http/server.h) */

struct mu_service_record {
    char name[MU_SERVICE_NAME_MAX + 1];
    char id[MU_SERVICE_ID_BYTES];
    char token[MU_SERVICE_TOKEN_BYTES];

    char host[256];    /* the node's own name */
    char address[256]; /* where clients connect: a name or a number */
    int64_t port;

    char model[256]; /* the name that requests give */
    char engine[32], arch[128];
    char weights_hash[64];                   /* of the content: struct mu_engine_info */
    char weights[16], kv_dtype[16], mla[16]; /* formats */
    char tokenizer[17];                      /* its hash */
    int64_t numerics;                        /* MU_NUMERICS_VERSION */
    int64_t params, context;

    char boot[64], space[64]; /* of the machine, and of its process numbers: where both are ours, so is the pid */
    int64_t pid, start;       /* start: mu_process_start(), 0: not known */
    int64_t since, heartbeat; /* Unix seconds by the node's clock: for people, never compared */
    int64_t beats;            /* grows with each renewal */
    int64_t every;            /* seconds between two */
};

/* A name is letters, digits, ".", "_" and "-", begins with a letter or digit, and is a file's name so. */
bool mu_service_name_is_good(const char *name);

/* MU_EFORMAT: not a record; the sentence names the member and never its value. */
int mu_service_record_parse(struct mu_service_record *r, struct mu_str text, struct mu_err *e);

/* The caller releases the tree; without secrets there is neither token nor id. */
int mu_service_record_json(const struct mu_service_record *r, bool with_secrets, json_t **out, struct mu_err *e);

#endif
