/* serve_models.c - GET /v1/models and /v1/models/NAME: the one model this server has */
#include <inttypes.h>

#include "base/check.h"
#include "dash/serve_int.h"

#define ANSWER_BYTES_MAX 65536
#define MODELS_PATH      "/v1/models/"

static int write_model(const struct mu_api *api, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"id\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(api->model), e));
    return mu_buf_printf(out, e,
                         ", \"object\": \"model\", \"created\": %" PRId64
                         ", \"owned_by\": \"muster\", \"max_model_len\": %" PRId64 "}",
                         api->created, api->context_max);
}

static int write_list(const struct mu_api *api, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"object\": \"list\", \"data\": [", e));
    MU_TRY_RETURN(write_model(api, out, e));
    return mu_buf_puts(out, "]}", e);
}

static void answer(struct mu_serve *s, struct mu_http_request *r,
                   int (*write)(const struct mu_api *, struct mu_buf *, struct mu_err *))
{
    struct mu_buf out = MU_BUF_INIT("an answer", ANSWER_BYTES_MAX);
    struct mu_err err = MU_ERR_INIT;
    struct mu_api_error x;
    if (write(&s->api, &out, &err) == MU_OK) {
        mu_http_respond(r, 200, "application/json", mu_buf_str(&out));
    } else {
        mu_api_fail(&x, 503, NULL, "overloaded", "%s", err.text);
        mu_http_refuse(r, &x);
    }
    mu_buf_fini(&out);
}

void mu_route_models(void *arg, struct mu_http_request *r)
{
    answer(arg, r, write_list);
}

void mu_route_model(void *arg, struct mu_http_request *r)
{
    struct mu_serve *s = arg;
    struct mu_api_error x;
    const char *name = mu_http_path(r) + sizeof MODELS_PATH - 1;
    if (strcmp(name, s->api.model) == 0) {
        answer(s, r, write_model);
        return;
    }
    mu_api_fail(&x, 404, "model", "model_not_found", "the model %.200s is not here; this server has %s", name,
                s->api.model);
    mu_http_refuse(r, &x);
}
