/* cmd_services.c - `muster services`: which shared servers there are, and whether they live */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/harmless.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/print_json.h"
#include "engine/service/folder.h"
#include "engine/service/watch.h"

#define LOOK_NS ((int64_t)500000000)

struct services_args {
    bool json;
    double wait;
};

struct service {
    struct mu_service_record r;
    struct mu_service_watch watch;
    enum mu_service_state state;
    struct mu_err why; /* it could not be read; code 0: it was */
};

struct look {
    struct mu_service_folder folder;
    char (*names)[MU_SERVICE_NAME_MAX + 1];
    struct service *service;
    int n;
};

/* ---- looking ---- */

static int open_folder(struct look *l, const char *path, struct mu_err *e)
{
    char usual[MU_SERVICE_PATH_MAX];
    struct mu_err why = MU_ERR_INIT;
    if (path)
        return mu_service_folder_open(&l->folder, path, false, e);
    MU_TRY_RETURN(mu_service_usual_folder(usual, e));
    int rc = mu_service_folder_open(&l->folder, usual, false, &why);
    return rc == MU_OK || rc == MU_ENOENT ? MU_OK : mu_fail(e, rc, "%s", why.text); /* nobody has made it yet */
}

/* One that ended meanwhile is as one that was never there. */
static void look_at(struct look *l, int i)
{
    struct service *v = &l->service[i];
    int64_t now = mu_now_ns(mu_clock_real());
    v->why = (struct mu_err)MU_ERR_INIT;
    if (mu_service_read(&l->folder, l->names[i], &v->r, &v->why) != MU_OK)
        return;
    mu_service_watch_see(&v->watch, &v->r, now);
    v->state = mu_service_state(&v->watch, &v->r, now, INT64_MAX);
    explicit_bzero(v->r.token, sizeof v->r.token);
}

static bool is_open(const struct service *v)
{
    return v->why.code == MU_OK && v->state == MU_SERVICE_UNKNOWN;
}

/* Until each is known to live or to be gone, or the time is up. */
static void look_at_all(struct look *l, double seconds)
{
    struct timespec t = {0, LOOK_NS};
    int64_t until = mu_now_ns(mu_clock_real()) + (int64_t)(seconds * 1e9);
    for (int i = 0; i < l->n; i++)
        look_at(l, i);
    for (;;) {
        int n_open = 0;
        for (int i = 0; i < l->n; i++)
            n_open += is_open(&l->service[i]);
        if (n_open == 0 || mu_now_ns(mu_clock_real()) >= until || mu_interrupted())
            return;
        nanosleep(&t, NULL);
        for (int i = 0; i < l->n; i++) {
            if (is_open(&l->service[i]))
                look_at(l, i);
        }
    }
}

/* ---- telling ---- */

static const char *state_name(const struct service *v)
{
    static const char *const names[] = {[MU_SERVICE_UNKNOWN] = "silent",
                                        [MU_SERVICE_LIVE] = "live",
                                        [MU_SERVICE_SILENT] = "silent",
                                        [MU_SERVICE_GONE] = "gone"};
    return v->why.code != MU_OK ? "refused" : names[v->state];
}

static int add_json(json_t *all, const char *name, const struct service *v, struct mu_err *e)
{
    json_t *o = NULL;
    char why[MU_ERR_TEXT_MAX];
    if (v->why.code != MU_OK)
        o = json_pack("{s:s, s:s}", "name", name, "why", mu_harmless(why, sizeof why, v->why.text));
    else
        MU_TRY_RETURN(mu_service_record_json(&v->r, false, &o, e));
    if (!o || json_object_set_new(o, "state", json_string(state_name(v))) != 0 || json_array_append_new(all, o) != 0)
        return mu_fail_nomem(e, 1024, "the list of services");
    return MU_OK;
}

static int print_json(const struct look *l, struct mu_err *e)
{
    json_t *all = json_array();
    for (int i = 0; i < l->n; i++) {
        if (l->service[i].why.code == MU_ENOENT)
            continue;
        int rc = add_json(all, l->names[i], &l->service[i], e);
        if (rc != MU_OK) {
            json_decref(all);
            return rc;
        }
    }
    return mu_print_json(all, "the list of services", e);
}

static void print_one(const char *name, const struct service *v)
{
    const struct mu_service_record *r = &v->r;
    char since[32] = "-", where[sizeof r->address + 32], text[MU_ERR_TEXT_MAX];
    time_t at = (time_t)r->since;
    struct tm tm;
    if (v->why.code != MU_OK) {
        printf("%-20s %-8s %s\n", name, state_name(v), mu_harmless(text, sizeof text, v->why.text));
        return;
    }
    if (gmtime_r(&at, &tm))
        strftime(since, sizeof since, "%Y-%m-%dT%H:%MZ", &tm);
    snprintf(where, sizeof where, "%s:%" PRId64, r->address, r->port);
    printf("%-20s %-8s %-24s %-20s %-5s %.12s %8" PRId64 "  %s\n", name, state_name(v), where, r->model, r->weights,
           r->weights_hash, r->context, since);
}

static void print_table(const struct look *l)
{
    if (l->n > 0)
        printf("%-20s %-8s %-24s %-20s %-5s %-12s %8s  %s\n", "service", "state", "address", "model", "form", "hash",
               "context", "since");
    for (int i = 0; i < l->n; i++) {
        if (l->service[i].why.code != MU_ENOENT)
            print_one(l->names[i], &l->service[i]);
    }
}

static int services_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct services_args *a = args;
    struct look l = {.folder = MU_SERVICE_FOLDER_INIT};
    int rc = MU_OK;
    if (n_operands > 1)
        return mu_fail(e, MU_EUSAGE, "services takes one folder, %d were given", n_operands);
    mu_json_init();
    MU_TRY(open_folder(&l, n_operands ? operands[0] : NULL, e));
    if (l.folder.fd >= 0)
        MU_TRY(mu_service_names(&l.folder, &l.names, &l.n, e));
    MU_TRY(MU_NEW_ARRAY(&l.service, MU_MAX(l.n, 1), "the services", e));
    look_at_all(&l, a->wait);
    if (a->json)
        rc = print_json(&l, e);
    else
        print_table(&l);
out:
    mu_service_folder_close(&l.folder);
    mu_free(l.names);
    mu_free(l.service);
    return rc;
}

static void services_defaults(void *p)
{
    *(struct services_args *)p = (struct services_args){.wait = 12};
}

static const struct mu_opt services_opts[] = {
    {MU_OPT_FLAG, "json", 0, offsetof(struct services_args, json), .help = "Print JSON."},
    {MU_OPT_REAL, "wait", 0, offsetof(struct services_args, wait), "SECONDS", .lo = 0, .hi = 3600,
     .help = "Longest time to wait for a sign of life of those on other machines.", .dflt = "12"},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_services = {
    .name = "services",
    .summary = "list the servers that jobs share",
    .operands = "[FOLDER]",
    .story =
        "Shows what `muster serve --service` has registered in FOLDER, or in the usual one ($MUSTER_SERVICES, else "
        "~/.local/state/muster/services): address, model, format and hash of its weights, context, since when.\n\n"
        "A service is live when its process is there or its record is renewed while one looks, gone when its process "
        "is no more, and silent when nothing was seen within --wait; clocks of other nodes are not trusted. Refused is "
        "a record that is not to be trusted, with the reason. Tokens are not shown.",
    .examples = "  muster services\n"
                "  muster services --json | jq '.[] | select(.state == \"live\") | .name'\n",
    .opts = services_opts,
    .args_size = sizeof(struct services_args),
    .defaults = services_defaults,
    .run = services_run,
};
