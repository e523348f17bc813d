/* announce.h - a server's side of a service: the name taken, the record written and renewed, and taken away again
 *
 *     mu_announce_open(&a, "nightly", &opts, &err);        at once: the folder, the name, the secrets
 *     ... listen, with mu_announce_secrets(a) as key and as header of answers ...
 *     mu_announce_publish(a, &record, &err);               from here on clients find it
 *     while (mu_announce_check(a, &err) == MU_OK) ...      MU_EPEER: another server has the name now
 *     mu_announce_close(a);                                first the record goes, then the server may
 *
 * A name that a live service has is refused. A record left behind is taken over: at once where its process is known to
 * be gone, else after it was silent for MU_SERVICE_SILENT_NS. Of two servers that begin at one moment the one whose
 * record stands in the end goes on, and the other one is told. A thread of its own renews the record. */
#ifndef MU_ENGINE_SERVICE_ANNOUNCE_H
#define MU_ENGINE_SERVICE_ANNOUNCE_H

#include <stdbool.h>

#include "base/clock.h"
#include "engine/service/record.h"

struct mu_announce;

struct mu_announce_opts {
    int64_t every_ns, silent_ns; /* 0: watch.h's */
    /* Asked while publishing waits for a silent record: true ends it with MU_ECANCELED. May be NULL. */
    bool (*is_stopped)(void);
    /* Told once, before that wait. May be NULL. */
    void (*on_wait)(void *arg, const struct mu_service_record *other, double seconds);
    void *arg;
};

/* place: "NAME" or "FOLDER/NAME" (folder.h). MU_EINVAL: the name is that of a live service. */
int mu_announce_open(struct mu_announce **out, const char *place, const struct mu_announce_opts *o, struct mu_err *e);

const char *mu_announce_name(const struct mu_announce *a);
const char *mu_announce_folder(const struct mu_announce *a);
const char *mu_announce_token(const struct mu_announce *a); /* requests carry it */
const char *mu_announce_id(const struct mu_announce *a);    /* answers do */

/* facts: all that is not the announcer's own, which is name, secrets, process and times. Once. */
int mu_announce_publish(struct mu_announce *a, const struct mu_service_record *facts, struct mu_err *e);

int mu_announce_check(struct mu_announce *a, struct mu_err *e);
/* The last renewal failed: its sentence. NULL: it did not. Valid until the next call. */
const char *mu_announce_trouble(struct mu_announce *a);

void mu_announce_close(struct mu_announce *a); /* NULL is fine */

#endif
