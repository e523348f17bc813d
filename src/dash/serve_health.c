/* serve_health.c - GET /health and /version */
#include "base/check.h"
#include "dash/serve_int.h"

#define HEALTH_BYTES_MAX ((size_t)256 << 10) /* 64 names of 255 bytes, each of six as JSON at most */

/* No sentences: they name paths, and nobody needs a key here. */
static int write_failed(const struct mu_resident_info *info, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"model\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(info->name), e));
    MU_TRY_RETURN(mu_buf_puts(out, ", ", e));
    MU_TRY_RETURN(mu_write_retry(info, out, e));
    return mu_buf_putc(out, '}', e);
}

static int write_health(struct mu_serve *s, struct mu_buf *out, struct mu_err *e)
{
    struct mu_resident_info info;
    int n = 0;
    for (int i = 0; mu_residents_info(s->residents, i, &info); i++) {
        if (info.state != MU_RESIDENT_FAILED)
            continue;
        MU_TRY_RETURN(mu_buf_puts(out, n++ == 0 ? "{\"status\": \"degraded\", \"failed\": [" : ", ", e));
        MU_TRY_RETURN(write_failed(&info, out, e));
    }
    return mu_buf_puts(out, n > 0 ? "]}" : "{\"status\": \"ok\"}", e);
}

/* 200 as long as a model is left that can be asked for. */
void mu_route_health(void *arg, struct mu_http_request *r)
{
    struct mu_serve *s = arg;
    struct mu_buf out = MU_BUF_INIT("the health", HEALTH_BYTES_MAX);
    struct mu_err err = MU_ERR_INIT;
    struct mu_api_error x;
    if (mu_serve_death(s, &err) != MU_OK) {
        mu_api_fail(&x, 503, NULL, "engine_error", "%s", err.text);
        x.retry_s = -1;
        mu_http_refuse(r, &x);
    } else if (write_health(s, &out, &err) == MU_OK) {
        mu_http_respond(r, 200, "application/json", mu_buf_str(&out));
    } else {
        mu_http_respond(r, 200, "application/json", MU_STR("{\"status\": \"ok\"}"));
    }
    mu_buf_fini(&out);
}

void mu_route_version(void *arg, struct mu_http_request *r)
{
    (void)arg;
    mu_http_respond(r, 200, "application/json", MU_STR("{\"version\": \"" MU_VERSION "\"}"));
}
