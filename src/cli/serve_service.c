/* serve_service.c - see serve_service.h */
#include "cli/serve_service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/interrupt.h"
#include "comm/mpi/mpi.h"
#include "tensor/numerics.h"

static bool is_stopped(void)
{
    return mu_interrupted() != 0;
}

static void on_wait(void *arg, const struct mu_service_record *other, double seconds)
{
    const struct mu_serve_service *v = arg;
    if (!v->quiet)
        fprintf(stderr,
                "service %s: its record is process %" PRId64 "'s on %s; taken over if that shows no life for %.0f s\n",
                other->name, other->pid, other->host, seconds);
}

int mu_serve_service_open(struct mu_serve_service *v, const char *place, bool quiet, struct mu_err *e)
{
    struct mu_announce_opts o = {.is_stopped = is_stopped, .on_wait = on_wait, .arg = v};
    int rank = 0, size = 1;
    v->quiet = quiet;
    if (mu_mpi_is_launched(&rank, &size) && rank > 0)
        return MU_OK;
    return mu_announce_open(&v->announce, place, &o, e);
}

/* ---- the record ---- */

static bool is_every_address(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static int set_address(struct mu_service_record *r, const struct mu_serve_facts *f, struct mu_err *e)
{
    const char *address = f->address ? f->address : f->host;
    if (!f->address && is_every_address(f->host)) {
        if (gethostname(r->address, sizeof r->address - 1) != 0)
            return mu_fail(e, MU_EIO, "this node does not know its name: give --advertise");
        return MU_OK;
    }
    if (strlen(address) >= sizeof r->address)
        return mu_fail(e, MU_EUSAGE, "the address %.100s... has more than %zu bytes", address, sizeof r->address - 1);
    memcpy(r->address, address, strlen(address) + 1);
    return MU_OK;
}

static int copy(char *to, size_t bytes, const char *from, const char *what, struct mu_err *e)
{
    if (strlen(from) >= bytes)
        return mu_fail(e, MU_ELIMIT, "the %s %.100s has more than %zu bytes, so no service's record holds it", what,
                       from, bytes - 1);
    memcpy(to, from, strlen(from) + 1);
    return MU_OK;
}

#define COPY(field, from, what) MU_TRY_RETURN(copy(r->field, sizeof r->field, (from), (what), e))

static int set_model(struct mu_service_record *r, const struct mu_serve_facts *f, struct mu_err *e)
{
    struct mu_engine_info info;
    struct mu_tokenizer_info tok;
    mu_engine_info(f->model->eng, &info);
    mu_tokenizer_info(f->model->tok, &tok);
    COPY(model, f->name, "model's name");
    COPY(engine, info.engine, "engine");
    COPY(arch, info.arch, "architecture");
    COPY(weights_hash, info.weights_hash, "hash");
    COPY(weights, info.weights, "format of weights");
    COPY(kv_dtype, info.kv_dtype, "format of the cache");
    COPY(mla, f->mla ? f->mla : "absorbed", "form of latent attention");
    snprintf(r->tokenizer, sizeof r->tokenizer, "%016" PRIx64, tok.hash);
    r->numerics = MU_NUMERICS_VERSION;
    r->params = info.n_params;
    r->context = info.context_max;
    return MU_OK;
}

int mu_serve_service_publish(struct mu_serve_service *v, const struct mu_serve_facts *f, struct mu_err *e)
{
    struct mu_service_record r = {.port = f->port};
    if (!v->announce)
        return MU_OK;
    MU_TRY_RETURN(set_address(&r, f, e));
    MU_TRY_RETURN(set_model(&r, f, e));
    MU_TRY_RETURN(mu_announce_publish(v->announce, &r, e));
    if (!v->quiet)
        fprintf(stderr, "service %s: in %s, as %s port %d; jobs of this user ask --endpoint service:%s\n",
                mu_announce_name(v->announce), mu_announce_folder(v->announce), r.address, f->port,
                mu_announce_name(v->announce));
    return MU_OK;
}

/* ---- while it serves ---- */

int mu_serve_service_check(struct mu_serve_service *v, struct mu_err *e)
{
    if (!v->announce)
        return MU_OK;
    const char *trouble = mu_announce_trouble(v->announce);
    if (trouble && strcmp(trouble, v->trouble) != 0)
        fprintf(stderr, "warning: the service's record is not renewed: %s\n", trouble);
    snprintf(v->trouble, sizeof v->trouble, "%s", trouble ? trouble : "");
    return mu_announce_check(v->announce, e);
}

void mu_serve_service_close(struct mu_serve_service *v)
{
    mu_announce_close(v->announce);
    v->announce = NULL;
}
