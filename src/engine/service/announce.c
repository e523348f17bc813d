/* announce.c - see announce.h */
#include "engine/service/announce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/service/folder.h"
#include "engine/service/watch.h"

#define LOOK_NS   ((int64_t)200000000) /* between looks at a record that may be left behind */
#define SECOND_NS ((int64_t)1000000000)

struct mu_announce {
    struct mu_service_folder folder;
    struct mu_announce_opts o;
    struct mu_service_record r;
    struct mu_service_watch other; /* who had the name when this one came */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, is_stopping;
    struct mu_err lost, trouble;
    char told[MU_ERR_TEXT_MAX]; /* trouble, as it was last handed out */
};

/* ---- secrets ---- */

static int make_secret(char *out, size_t bytes, struct mu_err *e)
{
    unsigned char raw[(MU_SERVICE_TOKEN_BYTES - 1) / 2];
    size_t n = (bytes - 1) / 2;
    if (getrandom(raw, n, 0) != (ssize_t)n)
        return mu_fail(e, MU_EIO, "no random bytes for the token of a service: %s", strerror(errno));
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
    explicit_bzero(raw, sizeof raw);
    return MU_OK;
}

/* ---- who has the name ---- */

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* *state GONE also where there is no record. */
static int look(struct mu_announce *a, struct mu_service_record *r, enum mu_service_state *state, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    int64_t now = now_ns();
    int rc = mu_service_read(&a->folder, a->r.name, r, &why);
    *state = MU_SERVICE_GONE;
    if (rc == MU_ENOENT)
        return MU_OK;
    if (rc != MU_OK)
        return mu_fail(e, rc, "%s", why.text);
    mu_service_watch_see(&a->other, r, now);
    *state = mu_service_state(&a->other, r, now, a->o.silent_ns);
    if (*state == MU_SERVICE_LIVE)
        return mu_fail(e, MU_EINVAL,
                       "the service %s is up already: process %" PRId64 " on %s, port %" PRId64
                       "; end that one first, or give this one another name",
                       r->name, r->pid, r->host, r->port);
    return MU_OK;
}

static void rest(int64_t ns)
{
    struct timespec t = {ns / SECOND_NS, ns % SECOND_NS};
    nanosleep(&t, NULL);
}

/* Until the name is free: nobody's, or that of one that is no more. */
static int await_name(struct mu_announce *a, struct mu_err *e)
{
    struct mu_service_record r;
    enum mu_service_state state;
    for (bool has_told = false;; has_told = true) {
        MU_TRY_RETURN(look(a, &r, &state, e));
        if (state != MU_SERVICE_UNKNOWN)
            break;
        double left = (double)(a->o.silent_ns - (now_ns() - a->other.moved_ns)) * 1e-9;
        if (!has_told && a->o.on_wait)
            a->o.on_wait(a->o.arg, &r, left);
        if (a->o.is_stopped && a->o.is_stopped())
            return mu_fail(e, MU_ECANCELED, "stopped by a signal");
        rest(LOOK_NS);
    }
    if (a->other.id[0])
        mu_service_remove(&a->folder, a->r.name, a->other.id);
    return MU_OK;
}

/* ---- renewing ---- */

/* One that somebody took away by hand is written again. */
static int renew(struct mu_announce *a, struct mu_err *e)
{
    struct mu_service_record there;
    int rc = mu_service_read(&a->folder, a->r.name, &there, e);
    if (rc != MU_OK && rc != MU_ENOENT)
        return rc;
    if (rc == MU_OK && strcmp(there.id, a->r.id) != 0) {
        rc = mu_fail(e, MU_EPEER,
                     "process %" PRId64 " on %s has taken over the service %s, whose record showed no life of this one",
                     there.pid, there.host, a->r.name);
        explicit_bzero(there.token, sizeof there.token);
        return rc;
    }
    a->r.beats++;
    a->r.heartbeat = (int64_t)time(NULL);
    return mu_service_write(&a->folder, &a->r, rc == MU_ENOENT, e);
}

/* Until it is time to renew, or to stop: true. Under the lock. */
static bool await_turn(struct mu_announce *a)
{
    int64_t until = now_ns() + a->o.every_ns;
    struct timespec t = {until / SECOND_NS, until % SECOND_NS};
    int rc = 0;
    while (!a->is_stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&a->changed, &a->lock, &t);
    return a->is_stopping;
}

static void *keep(void *arg)
{
    struct mu_announce *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!await_turn(a) && a->lost.code == MU_OK) {
        struct mu_err why = MU_ERR_INIT;
        pthread_mutex_unlock(&a->lock);
        int rc = renew(a, &why);
        pthread_mutex_lock(&a->lock);
        if (rc == MU_EPEER)
            a->lost = why;
        a->trouble = why;
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int mu_announce_publish(struct mu_announce *a, const struct mu_service_record *facts, struct mu_err *e)
{
    struct mu_service_record own = a->r;
    MU_TRY_RETURN(await_name(a, e));
    a->r = *facts;
    memcpy(a->r.name, own.name, sizeof own.name);
    memcpy(a->r.id, own.id, sizeof own.id);
    memcpy(a->r.token, own.token, sizeof own.token);
    explicit_bzero(own.token, sizeof own.token);
    mu_service_know_self(&a->r);
    a->r.since = a->r.heartbeat = (int64_t)time(NULL);
    a->r.beats = 0;
    a->r.every = MU_MAX(a->o.every_ns / SECOND_NS, (int64_t)1);
    MU_TRY_RETURN(mu_service_write(&a->folder, &a->r, true, e));
    if (pthread_create(&a->thread, NULL, keep, a) != 0)
        return mu_fail(e, MU_ENOMEM, "cannot start the thread that renews a service's record");
    a->has_thread = true;
    return MU_OK;
}

/* ---- the rest ---- */

static int set_up(struct mu_announce *a, const char *place, struct mu_err *e)
{
    char folder[MU_SERVICE_PATH_MAX];
    struct mu_service_record r;
    enum mu_service_state state;
    MU_TRY_RETURN(mu_service_place(place, folder, a->r.name, e));
    MU_TRY_RETURN(mu_service_folder_open(&a->folder, folder, true, e));
    MU_TRY_RETURN(make_secret(a->r.id, sizeof a->r.id, e));
    MU_TRY_RETURN(make_secret(a->r.token, sizeof a->r.token, e));
    return look(a, &r, &state, e); /* the waiting is left to publish: a model is read meanwhile */
}

int mu_announce_open(struct mu_announce **out, const char *place, const struct mu_announce_opts *o, struct mu_err *e)
{
    struct mu_announce *a = NULL;
    mu_json_init();
    *out = NULL;
    MU_TRY_RETURN(MU_NEW(&a, "a service's record", e));
    a->folder = (struct mu_service_folder)MU_SERVICE_FOLDER_INIT;
    a->o = *o;
    a->o.every_ns = o->every_ns ? o->every_ns : MU_SERVICE_EVERY_NS;
    a->o.silent_ns = o->silent_ns ? o->silent_ns : MU_SERVICE_SILENT_NS;
    pthread_mutex_init(&a->lock, NULL);
    mu_cond_init(&a->changed);
    int rc = set_up(a, place, e);
    if (rc == MU_OK)
        *out = a;
    else
        mu_announce_close(a);
    return rc;
}

const char *mu_announce_name(const struct mu_announce *a)
{
    return a->r.name;
}

const char *mu_announce_folder(const struct mu_announce *a)
{
    return a->folder.path;
}

const char *mu_announce_token(const struct mu_announce *a)
{
    return a->r.token;
}

const char *mu_announce_id(const struct mu_announce *a)
{
    return a->r.id;
}

int mu_announce_check(struct mu_announce *a, struct mu_err *e)
{
    pthread_mutex_lock(&a->lock);
    int rc = a->lost.code == MU_OK ? MU_OK : mu_fail(e, a->lost.code, "%s", a->lost.text);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

const char *mu_announce_trouble(struct mu_announce *a)
{
    pthread_mutex_lock(&a->lock);
    bool has_trouble = a->trouble.code != MU_OK;
    memcpy(a->told, a->trouble.text, sizeof a->told);
    pthread_mutex_unlock(&a->lock);
    return has_trouble ? a->told : NULL;
}

void mu_announce_close(struct mu_announce *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->is_stopping = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->has_thread)
        pthread_join(a->thread, NULL);
    if (a->folder.fd >= 0)
        mu_service_remove(&a->folder, a->r.name, a->r.id);
    mu_service_folder_close(&a->folder);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    explicit_bzero(a->r.token, sizeof a->r.token);
    mu_free(a);
}
