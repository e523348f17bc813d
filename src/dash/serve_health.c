/* serve_health.c - GET /health and /version */
#include "base/check.h"
#include "dash/serve_int.h"

void mu_route_health(void *arg, struct mu_http_request *r)
{
    struct mu_serve *s = arg;
    struct mu_api_error x;
    if (!atomic_load(&s->is_dead)) {
        mu_http_respond(r, 200, "application/json", MU_STR("{\"status\": \"ok\"}"));
        return;
    }
    mu_api_fail(&x, 503, NULL, "engine_error", "the engine failed: %s", s->death);
    mu_http_refuse(r, &x);
}

void mu_route_version(void *arg, struct mu_http_request *r)
{
    (void)arg;
    mu_http_respond(r, 200, "application/json", MU_STR("{\"version\": \"" MU_VERSION "\"}"));
}
