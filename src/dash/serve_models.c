/* serve_models.c - GET /v1/models and /v1/models/NAME: the models this server has, and whether they are open */
#include <inttypes.h>

#include "base/check.h"
#include "dash/serve_int.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 20)
#define MODELS_PATH      "/v1/models/"

int mu_write_retry(const struct mu_resident_info *info, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "\"failures_in_row\": %d, \"given_up\": %s", info->failures_in_row,
                                info->is_given_up ? "true" : "false"));
    return info->is_given_up ? MU_OK : mu_buf_printf(out, e, ", \"retry_after\": %d", mu_serve_retry_s(info));
}

/* Beside OpenAI's fields: state, whether it is kept, what it takes of memory while open; why it failed, and when it is
 * tried again. */
static int write_state(const struct mu_resident_info *info, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"state\": \"%s\", \"kept\": %s", mu_resident_state_name(info->state),
                                info->is_kept ? "true" : "false"));
    if (info->bytes > 1)
        MU_TRY_RETURN(mu_buf_printf(out, e, ", \"memory_bytes\": %zu", info->bytes));
    if (info->state != MU_RESIDENT_FAILED)
        return MU_OK;
    MU_TRY_RETURN(mu_buf_puts(out, ", ", e));
    MU_TRY_RETURN(mu_write_retry(info, out, e));
    MU_TRY_RETURN(mu_buf_puts(out, ", \"error\": ", e));
    return mu_write_sentence(info->why.text, out, e);
}

static int write_model(struct mu_serve *s, const struct mu_served *m, struct mu_buf *out, struct mu_err *e)
{
    struct mu_resident_info info;
    pthread_mutex_lock(&s->lock);
    int64_t context = m->context_max;
    pthread_mutex_unlock(&s->lock);
    mu_residents_info(s->residents, (int)(m - s->served), &info);
    MU_TRY_RETURN(mu_buf_puts(out, "{\"id\": ", e));
    MU_TRY_RETURN(mu_json_dump_string(out, mu_str(m->name), e));
    MU_TRY_RETURN(mu_buf_printf(out, e, ", \"object\": \"model\", \"created\": %" PRId64 ", \"owned_by\": \"muster\"",
                                s->created));
    if (context > 0)
        MU_TRY_RETURN(mu_buf_printf(out, e, ", \"max_model_len\": %" PRId64, context));
    MU_TRY_RETURN(write_state(&info, out, e));
    return mu_buf_putc(out, '}', e);
}

static int write_list(struct mu_serve *s, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "{\"object\": \"list\", \"data\": [", e));
    for (int i = 0; i < s->n_served; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ", " : "", e));
        MU_TRY_RETURN(write_model(s, &s->served[i], out, e));
    }
    return mu_buf_puts(out, "]}", e);
}

/* m: NULL for the list. */
static void answer(struct mu_serve *s, const struct mu_served *m, struct mu_http_request *r)
{
    struct mu_buf out = MU_BUF_INIT("an answer", ANSWER_BYTES_MAX);
    struct mu_err err = MU_ERR_INIT;
    struct mu_api_error x;
    int rc = m ? write_model(s, m, &out, &err) : write_list(s, &out, &err);
    if (rc == MU_OK) {
        mu_http_respond(r, 200, "application/json", mu_buf_str(&out));
    } else {
        mu_api_fail(&x, 503, NULL, "overloaded", "%s", err.text);
        mu_http_refuse(r, &x);
    }
    mu_buf_fini(&out);
}

void mu_route_models(void *arg, struct mu_http_request *r)
{
    answer(arg, NULL, r);
}

void mu_route_model(void *arg, struct mu_http_request *r)
{
    struct mu_api_error x;
    const struct mu_served *m = mu_serve_find(arg, mu_http_path(r) + sizeof MODELS_PATH - 1, &x);
    if (m)
        answer(arg, m, r);
    else
        mu_http_refuse(r, &x);
}
