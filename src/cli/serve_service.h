/* serve_service.h - `muster serve --service`: the server as a service that other jobs find (engine/service/announce.h)
 */
#ifndef MU_CLI_SERVE_SERVICE_H
#define MU_CLI_SERVE_SERVICE_H

#include "dash/serve.h"
#include "engine/service/announce.h"

struct mu_serve_service {
    struct mu_announce *announce; /* NULL: it is no service, or this rank does not serve */
    bool quiet;
    char trouble[MU_ERR_TEXT_MAX]; /* as it was last told */
};

/* What the record says beside what the engine knows. */
struct mu_serve_facts {
    const struct mu_serve_model *model;
    const char *name;    /* as clients call the model */
    const char *mla;     /* NULL: absorbed */
    const char *host;    /* the address listened on */
    const char *address; /* where clients connect; NULL: host, or this node's name where host is every address */
    int port;
};

/* place: "NAME" or "FOLDER/NAME". Looks whether the name is free, and makes the token. */
int mu_serve_service_open(struct mu_serve_service *v, const char *place, bool quiet, struct mu_err *e);

/* From here on it is found; may wait for a record that was left behind. */
int mu_serve_service_publish(struct mu_serve_service *v, const struct mu_serve_facts *f, struct mu_err *e);

/* MU_EPEER: another server has the name. Warns of renewals that fail. MU_OK where it is no service. */
int mu_serve_service_check(struct mu_serve_service *v, struct mu_err *e);

void mu_serve_service_close(struct mu_serve_service *v); /* it is found no more */

#endif
