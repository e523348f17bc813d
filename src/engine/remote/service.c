/* service.c - see service.h */
#include "engine/remote/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include <muster/model.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/remote/remote.h"
#include "tensor/numerics.h"

#define LOOK_NS         ((int64_t)2000000000)  /* between looks while requests are under way */
#define GRACE_NS        ((int64_t)30000000000) /* for the answers of a life that has a successor */
#define HASH_DIGITS_MIN 8                      /* of a hash that the caller gives */

/* ---- opening ---- */

bool mu_remote_service_is_named(const char *endpoint)
{
    return strncmp(endpoint, MU_SERVICE_SCHEME, strlen(MU_SERVICE_SCHEME)) == 0;
}

static int check_options(const struct mu_engine_opts *o, struct mu_err *e)
{
    if (o->api_key_file)
        return mu_fail(e, MU_EUSAGE, "%.200s has its token in its record: leave the key file out", o->endpoint);
    if (o->endpoint_hash && strlen(o->endpoint_hash) < HASH_DIGITS_MIN)
        return mu_fail(e, MU_EUSAGE, "the hash %s is too short to tell models apart: %d digits at least",
                       o->endpoint_hash, HASH_DIGITS_MIN);
    return MU_OK;
}

int mu_remote_service_open(struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_remote_service *v = NULL;
    char folder[MU_SERVICE_PATH_MAX];
    uint64_t id = 0;
    MU_TRY_RETURN(check_options(o, e));
    MU_TRY_RETURN(MU_NEW(&v, "a service", e));
    r->service = v;
    v->folder = (struct mu_service_folder)MU_SERVICE_FOLDER_INIT;
    MU_TRY_RETURN(mu_service_place(o->endpoint + strlen(MU_SERVICE_SCHEME), folder, v->name, e));
    snprintf(v->title, sizeof v->title, "service %s", v->name);
    r->title = v->title;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        id = (uint64_t)mu_now_ns(mu_clock_real());
    snprintf(v->client_line, sizeof v->client_line, MU_SERVICE_CLIENT_HEADER ": %016" PRIx64, id);
    return mu_service_folder_open(&v->folder, folder, false, e);
}

void mu_remote_service_close(struct mu_remote *r)
{
    if (!r->service)
        return;
    mu_service_folder_close(&r->service->folder);
    explicit_bzero(r->service, sizeof *r->service);
    mu_free(r->service);
    r->service = NULL;
}

/* ---- what it is ---- */

struct trait {
    const char *what, *was, *is;
};

static const struct trait *differs(const struct trait *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (t[i].was && strcmp(t[i].was, t[i].is) != 0)
            return &t[i];
    }
    return NULL;
}

/* Of a later life. */
static int check_same(const struct mu_remote *r, const struct mu_service_record *now, struct mu_err *e)
{
    const struct mu_service_record *was = &r->service->first;
    const struct trait traits[] = {
        {"weights", was->weights_hash, now->weights_hash},     {"format of weights", was->weights, now->weights},
        {"format of the cache", was->kv_dtype, now->kv_dtype}, {"form of latent attention", was->mla, now->mla},
        {"tokenizer", was->tokenizer, now->tokenizer},         {"name of the model", was->model, now->model}};
    const struct trait *t = differs(traits, MU_COUNT(traits));
    if (t)
        return mu_fail(
            e, MU_EINVAL,
            "it was started again with another %s (%s, it was %s): numbers of both would be mixed; start it as "
            "it was, or evaluate anew",
            t->what, t->is, t->was);
    if (was->numerics != now->numerics)
        return mu_fail(e, MU_EINVAL,
                       "it was started again by a muster of numerics %" PRId64 ", it was %" PRId64
                       ": numbers of both would be mixed",
                       now->numerics, was->numerics);
    if (now->context < r->job_limits.context_max)
        return mu_fail(e, MU_EINVAL,
                       "it was started again with a context of %" PRId64 " tokens, and %" PRId64 " are needed",
                       now->context, r->job_limits.context_max);
    return MU_OK;
}

/* Where the folder has no readable model, a tokenizer alone for one, there is nothing to compare. */
static int check_card(const struct mu_service_record *now, const char *model, struct mu_err *e)
{
    mu_model_card *card = NULL;
    struct mu_err none = MU_ERR_INIT;
    int rc = MU_OK;
    if (!model || mu_model_card_open(&card, model, &none) != MU_OK)
        return MU_OK;
    const struct mu_model_facts *f = mu_model_card_facts(card);
    if (strcmp(f->architecture, now->arch) != 0 || (now->params > 0 && f->n_params != now->params))
        rc = mu_fail(e, MU_EINVAL, "it has a %s of %" PRId64 " parameters, and %s is a %s of %" PRId64, now->arch,
                     now->params, model, f->architecture, f->n_params);
    mu_model_card_close(card);
    return rc;
}

static int check_tokenizer(const struct mu_remote *r, const struct mu_service_record *now, struct mu_err *e)
{
    struct mu_tokenizer_info tok;
    char hash[17];
    if (!r->tok)
        return MU_OK;
    mu_tokenizer_info(r->tok, &tok);
    snprintf(hash, sizeof hash, "%016" PRIx64, tok.hash);
    if (strcmp(hash, now->tokenizer) == 0)
        return MU_OK;
    return mu_fail(
        e, MU_EINVAL,
        "its model %s has another tokenizer (%s) than the one given here (%s), and it is asked in token ids: "
        "name the folder of its model",
        now->model, now->tokenizer, hash);
}

int mu_remote_service_check(const struct mu_remote *r, const struct mu_engine_opts *o, struct mu_err *e)
{
    const struct mu_service_record *now = &r->service->now;
    const struct trait traits[] = {{"weights", o->weights, now->weights},
                                   {"the KV cache", o->kv_dtype, now->kv_dtype},
                                   {"latent attention", o->mla, now->mla}};
    const struct trait *t = differs(traits, MU_COUNT(traits));
    if (t)
        return mu_fail(e, MU_EINVAL, "it has %s in %s, and %s was asked for", t->what, t->is, t->was);
    if (o->endpoint_hash && strncmp(now->weights_hash, o->endpoint_hash, strlen(o->endpoint_hash)) != 0)
        return mu_fail(e, MU_EINVAL, "its weights have the hash %s, and %s was asked for", now->weights_hash,
                       o->endpoint_hash);
    MU_TRY_RETURN(check_tokenizer(r, now, e));
    return check_card(now, o->model, e);
}

/* ---- its lives ---- */

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static int check_reach(const struct mu_service_record *now, struct mu_err *e)
{
    struct mu_service_record self = {.port = 0};
    mu_service_know_self(&self);
    if (!is_loopback(now->address) || !now->boot[0] || strcmp(now->boot, self.boot) == 0)
        return MU_OK;
    return mu_fail(e, MU_EPEER,
                   "it listens on %s of %s alone, which this machine does not reach: start it with --host 0.0.0.0",
                   now->address, now->host);
}

static void tell(struct mu_remote_service *v)
{
    v->told = (struct mu_engine_service){.name = v->name,
                                         .host = v->now.host,
                                         .model = v->now.model,
                                         .weights_hash = v->now.weights_hash,
                                         .weights = v->now.weights,
                                         .kv_dtype = v->now.kv_dtype,
                                         .mla = v->now.mla,
                                         .numerics = (int)v->now.numerics,
                                         .lives = v->lives};
}

static int adopt(struct mu_remote *r, const struct mu_service_record *now, struct mu_err *e)
{
    struct mu_remote_service *v = r->service;
    bool is_v6 = strchr(now->address, ':') != NULL;
    char url[sizeof now->address + 32];
    snprintf(url, sizeof url, "http://%s%s%s:%" PRId64 "/v1", is_v6 ? "[" : "", now->address, is_v6 ? "]" : "",
             now->port);
    MU_TRY_RETURN(check_reach(now, e));
    if (v->lives > 0)
        MU_TRY_RETURN(check_same(r, now, e));
    MU_TRY_RETURN(mu_remote_set_address(r, url, e));
    MU_TRY_RETURN(mu_remote_set_key(r, now->token, e));
    v->now = *now;
    if (v->lives++ == 0)
        v->first = *now;
    tell(v);
    return MU_OK;
}

static int check_state(const struct mu_remote_service *v, const struct mu_service_record *now, struct mu_err *e)
{
    if (v->state == MU_SERVICE_GONE)
        return mu_fail(e, MU_EPEER, "its process %" PRId64 " on %s is no more, and no other has taken its place",
                       now->pid, now->host);
    if (v->state == MU_SERVICE_SILENT)
        return mu_fail(e, MU_EPEER, "process %" PRId64 " on %s has not renewed its record for %.0f s", now->pid,
                       now->host, (double)MU_SERVICE_SILENT_NS * 1e-9);
    return MU_OK;
}

static void see(struct mu_remote *r, const struct mu_service_record *now)
{
    struct mu_remote_service *v = r->service;
    int64_t at = mu_now_ns(r->clock);
    mu_service_watch_see(&v->watch, now, at);
    v->state = mu_service_state(&v->watch, now, at, MU_SERVICE_SILENT_NS);
    v->looked_ns = at;
}

int mu_remote_service_look(struct mu_remote *r, bool *may_pass, struct mu_err *e)
{
    struct mu_remote_service *v = r->service;
    struct mu_service_record now;
    struct mu_err why = MU_ERR_INIT;
    int rc = mu_service_read(&v->folder, v->name, &now, &why);
    *may_pass = rc == MU_ENOENT || rc == MU_EIO;
    if (rc != MU_OK) /* that it is not there is a server's failure, as any other of its absences */
        return mu_fail(e, rc == MU_ENOENT ? MU_EPEER : rc, "%s", why.text);
    see(r, &now);
    rc = check_state(v, &now, e);
    *may_pass = rc != MU_OK;
    if (rc == MU_OK && strcmp(now.id, v->now.id) != 0)
        rc = adopt(r, &now, e);
    explicit_bzero(now.token, sizeof now.token);
    v->is_doubted = v->is_doubted && rc != MU_OK;
    return rc;
}

/* ---- while requests are under way ---- */

int mu_remote_service_answered(const struct mu_remote *r, const struct mu_exchange *x, const char *life,
                               struct mu_err *e)
{
    if (strcmp(x->header, life) == 0)
        return MU_OK;
    return mu_fail(e, MU_EPEER, "another server answers at %s (status %d)", r->base_url, x->status);
}

void mu_remote_service_tick(struct mu_remote *r)
{
    struct mu_remote_service *v = r->service;
    struct mu_service_record now;
    if (mu_now_ns(r->clock) - v->looked_ns < LOOK_NS)
        return;
    v->looked_ns = mu_now_ns(r->clock);
    if (mu_service_read(&v->folder, v->name, &now, NULL) != MU_OK)
        return;
    see(r, &now);
    v->is_doubted = v->is_doubted || strcmp(now.id, v->now.id) != 0;
    explicit_bzero(now.token, sizeof now.token);
}

int mu_remote_service_lives(const struct mu_remote *r, const char *life, struct mu_err *e)
{
    const struct mu_remote_service *v = r->service;
    if (strcmp(v->watch.id, life) == 0)
        return check_state(v, &v->now, e);
    if (mu_now_ns(r->clock) - v->watch.met_ns < GRACE_NS)
        return MU_OK;
    return mu_fail(e, MU_EPEER, "it was started again %.0f s ago, and the one before has not answered",
                   (double)GRACE_NS * 1e-9);
}
