/* serve_answer.c - the end of a call: an answer, a refusal, or nothing for a client that left */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/serve_int.h"

static const char out_of_memory[] = "{\"error\": {\"message\": \"there is no memory for the answer\", \"type\": "
                                    "\"server_error\", \"param\": null, \"code\": \"overloaded\"}}";

void mu_http_refuse(struct mu_http_request *r, const struct mu_api_error *x)
{
    struct mu_buf out = MU_BUF_INIT("an error answer", 16 * MU_ERR_TEXT_MAX);
    struct mu_err err;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", MU_MAX(1, x->retry_s));
    if (x->status == 503 && x->retry_s >= 0)
        mu_http_header_add(r, "Retry-After", seconds);
    bool is_good = mu_write_error(x, &out, &err) == MU_OK;
    mu_http_respond(r, x->status, "application/json", is_good ? mu_buf_str(&out) : mu_str(out_of_memory));
    mu_buf_fini(&out);
}

void mu_call_refuse(struct mu_call *c, const struct mu_api_error *x)
{
    mu_http_refuse(c->http, x);
    mu_call_free(c);
}

void mu_call_respond(struct mu_call *c, int status, struct mu_str json)
{
    mu_http_respond(c->http, status, "application/json", json);
    mu_call_free(c);
}

/* ---- the whole answer ---- */

static int write_answer(const struct mu_call *c, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_write_head(c, out, e));
    for (int i = 0; i < c->n_parts; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i ? ", " : "", e));
        MU_TRY_RETURN(mu_write_choice(&c->parts[i], out, e));
    }
    MU_TRY_RETURN(mu_buf_puts(out, "], \"usage\": ", e));
    MU_TRY_RETURN(mu_write_usage(c, out, e));
    return mu_buf_puts(out, "}", e);
}

static void answer(struct mu_call *c)
{
    struct mu_buf out = MU_BUF_INIT("an answer", MU_SERVE_REPLY_MAX);
    struct mu_err err = MU_ERR_INIT;
    int rc = write_answer(c, &out, &err);
    if (rc != MU_OK) {
        mu_api_fail(&c->fail, rc == MU_ENOMEM ? 503 : 500, NULL, "answer_failed", "%s", err.text);
        mu_call_refuse(c, &c->fail);
    } else {
        mu_call_respond(c, 200, mu_buf_str(&out));
    }
    mu_buf_fini(&out);
}

static void measure(struct mu_call *c)
{
    struct mu_serve_metrics *m = &c->served->metrics;
    int64_t now = mu_serve_now_ns();
    pthread_mutex_lock(&c->s->lock);
    m->calls_gone += c->is_gone;
    if (c->first_ns)
        mu_histogram_add(&m->first_token, (double)(c->first_ns - c->start_ns) * 1e-9);
    if (!c->is_gone && !c->has_failed)
        mu_histogram_add(&m->whole, (double)(now - c->start_ns) * 1e-9);
    pthread_mutex_unlock(&c->s->lock);
}

void mu_call_finish(struct mu_call *c)
{
    measure(c);
    if (c->is_streaming || (c->ask.is_stream && !c->is_gone && !c->has_failed)) {
        mu_stream_end(c);
        mu_call_free(c);
    } else if (c->is_gone || c->has_failed) {
        if (!c->has_failed)
            mu_api_fail(&c->fail, 503, NULL, "client_gone", "the client left before the answer was done");
        mu_call_refuse(c, &c->fail);
    } else {
        answer(c);
    }
}
