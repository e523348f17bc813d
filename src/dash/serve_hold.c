/* serve_hold.c - which model a call is for, and holding it while the call needs it
 *
 * What is open is held at once. What is not is the opener's work (serve_opener.c): the call waits there and comes back
 * to a worker, holding its model. A body is read a second time then; its tree would be much larger than its bytes. */
#include "base/check.h"
#include "dash/serve_int.h"

#define NAMES_BYTES_MAX 512 /* of the known names in a refusal */

/* ---- by name ---- */

/* "a, b and 3 more" */
static const char *names_of(const struct mu_serve *s, char *text, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < s->n_served; i++) {
        const char *name = s->served[i].name;
        if (n + strlen(name) + 32 > size) {
            snprintf(text + n, size - n, " and %d more", s->n_served - i);
            break;
        }
        n += (size_t)snprintf(text + n, size - n, i ? ", %s" : "%s", name);
    }
    return text;
}

struct mu_served *mu_serve_find(struct mu_serve *s, const char *name, struct mu_api_error *x)
{
    char names[NAMES_BYTES_MAX];
    if (!name && s->n_served == 1)
        return &s->served[0];
    for (int i = 0; name && i < s->n_served; i++) {
        if (strcmp(s->served[i].name, name) == 0)
            return &s->served[i];
    }
    if (name)
        mu_api_fail(x, 404, "model", "model_not_found", "the model %.200s is not here; this server has %s", name,
                    names_of(s, names, sizeof names));
    else
        mu_api_fail(x, 400, "model", "missing_required_parameter", "model is needed: this server has %s",
                    names_of(s, names, sizeof names));
    return NULL;
}

static int find_of_body(struct mu_call *c, const json_t *o, struct mu_api_error *x)
{
    const char *name = NULL;
    size_t n = 0;
    MU_TRY_RETURN(mu_field_string(o, "model", &name, &n, x));
    if (name && strlen(name) != n)
        return mu_api_fail(x, 404, "model", "model_not_found", "no model has a name with a zero byte");
    c->served = mu_serve_find(c->s, name, x);
    return c->served ? MU_OK : MU_EINVAL;
}

/* ---- one that failed ---- */

int mu_serve_retry_s(const struct mu_resident_info *info)
{
    return info->is_given_up ? -1 : (int)((info->wait_ns + 999999999) / 1000000000);
}

/* While it is not to be tried again nobody waits for it: the opener may be busy with another for long. */
static bool has_failed(const struct mu_call *c, struct mu_api_error *x)
{
    struct mu_resident_info info;
    if (!mu_residents_info(c->s->residents, (int)(c->served - c->s->served), &info) ||
        info.state != MU_RESIDENT_FAILED || (info.wait_ns == 0 && !info.is_given_up))
        return false;
    mu_api_fail(x, 503, NULL, "model_not_loaded", "%s", info.why.text);
    x->retry_s = mu_serve_retry_s(&info);
    return true;
}

/* ---- holding ---- */

static void describe(struct mu_call *c)
{
    const struct mu_serve_model *m = c->model;
    struct mu_engine_info info;
    mu_engine_info(m->eng, &info);
    c->api = (struct mu_api){.tok = m->tok,
                             .chat = m->chat,
                             .chat_template = m->chat_template,
                             .model = c->served->name,
                             .context_max = info.context_max,
                             .vocab = info.vocab,
                             .n_eos = info.n_eos};
    memcpy(c->api.eos, info.eos, sizeof c->api.eos);
    pthread_mutex_lock(&c->s->lock);
    c->served->context_max = info.context_max;
    pthread_mutex_unlock(&c->s->lock);
}

enum hold { HELD, WAITS, REFUSED };

/* Whoever may leave leaves the room to the one whose turn it is. */
static bool must_stand_back(const struct mu_call *c)
{
    const struct mu_served *turn = c->s->turn;
    return turn && turn != c->served && !c->served->is_kept;
}

static enum hold hold_now(struct mu_call *c)
{
    struct mu_serve *s = c->s;
    void *model = NULL;
    if (!must_stand_back(c) && mu_residents_take(s->residents, c->served->name, &model)) {
        c->model = model;
        return HELD;
    }
    return mu_call_await_model(c) ? WAITS : REFUSED;
}

static enum hold hold(struct mu_call *c, struct mu_api_error *x)
{
    struct mu_serve *s = c->s;
    if (c->model)
        return HELD;
    bool is_failed = has_failed(c, x);
    pthread_mutex_lock(&s->lock);
    bool is_stopping = s->is_stopping;
    enum hold h = is_stopping || is_failed ? REFUSED : hold_now(c);
    s->n_refused += h == REFUSED;
    pthread_mutex_unlock(&s->lock);
    if (h == REFUSED && !is_failed)
        mu_api_fail(x, 503, NULL, "overloaded", "%s",
                    is_stopping ? "this server is about to stop"
                                : "too many requests wait for models to be opened; try again a little later");
    return h;
}

/* rc: of finding it. */
static bool begin(struct mu_call *c, int rc, struct mu_api_error *x)
{
    enum hold h = rc == MU_OK ? hold(c, x) : REFUSED; /* one that waits may be gone already */
    if (h == HELD)
        describe(c);
    else if (h == REFUSED)
        mu_call_refuse(c, x);
    return h == HELD;
}

bool mu_call_begin(struct mu_call *c, json_t **o)
{
    struct mu_api_error x = {.status = 500};
    *o = NULL;
    int rc = mu_body_parse(o, mu_http_body(c->http), &x);
    if (rc == MU_OK && !c->served)
        rc = find_of_body(c, *o, &x);
    if (begin(c, rc, &x)) {
        mu_http_body_drop(c->http);
        return true;
    }
    json_decref(*o);
    *o = NULL;
    return false;
}

bool mu_call_begin_named(struct mu_call *c, const char *name)
{
    struct mu_api_error x = {.status = 500};
    if (!c->served)
        c->served = mu_serve_find(c->s, name, &x);
    return begin(c, c->served ? MU_OK : MU_EINVAL, &x);
}
