/* watch.h - whether the service of a record lives
 *
 * Clocks of two nodes are never compared: what counts is that the record's count moved, by the looker's own clock.
 * Where the record was written on this very machine its process tells at once.
 *
 * MU_SERVICE_SILENT_NS is longer than a minute because clients of network storage may be shown an old file under the
 * same name for so long (acdirmax of nfs(5), 60 s). */
#ifndef MU_ENGINE_SERVICE_WATCH_H
#define MU_ENGINE_SERVICE_WATCH_H

#include "engine/service/record.h"

#define MU_SERVICE_EVERY_NS  ((int64_t)5000000000)  /* between two renewals */
#define MU_SERVICE_SILENT_NS ((int64_t)90000000000) /* without one the service counts as lost */

enum mu_service_state {
    MU_SERVICE_UNKNOWN, /* not looked at for long enough */
    MU_SERVICE_LIVE,
    MU_SERVICE_SILENT, /* no renewal for as long as is waited for */
    MU_SERVICE_GONE    /* its process is no more */
};

/* Zero at first. */
struct mu_service_watch {
    char id[MU_SERVICE_ID_BYTES]; /* "": nothing seen yet */
    int64_t beats;
    int64_t met_ns;   /* when this life was first seen */
    int64_t moved_ns; /* when its count was last seen to be another */
    bool has_moved;   /* since it was first seen */
};

void mu_service_watch_see(struct mu_service_watch *w, const struct mu_service_record *r, int64_t now_ns);

/* r: the record last seen. */
enum mu_service_state mu_service_state(const struct mu_service_watch *w, const struct mu_service_record *r,
                                       int64_t now_ns, int64_t silent_ns);

/* This process, as records tell of one: host, boot, space, pid, start. */
void mu_service_know_self(struct mu_service_record *r);

#endif
