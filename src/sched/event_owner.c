/* event_owner.c - who may append, see event_log.h */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/process.h"
#include "sched/event_log_int.h"

#define LOOK_NS_MAX 200000000ll /* between two looks of a watch */

/* ---- this process and others of this machine ---- */

static int make_token(char token[MU_OWNER_WORD_MAX], struct mu_err *e)
{
    unsigned char raw[16];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return mu_fail(e, MU_EIO, "no random bytes for the token of an orchestrator: %s", strerror(errno));
    for (int i = 0; i < (int)sizeof raw; i++)
        snprintf(token + 2 * i, 3, "%02x", raw[i]);
    return MU_OK;
}

int mu_owner_know_self(struct mu_owner_self *self, int64_t span_ns, struct mu_err *e)
{
    *self = (struct mu_owner_self){.pub = {.pid = getpid(), .span_ns = span_ns}};
    if (gethostname(self->pub.host, sizeof self->pub.host - 1) != 0 || !self->pub.host[0])
        snprintf(self->pub.host, sizeof self->pub.host, "?");
    self->start = mu_process_start(self->pub.pid);
    mu_proc_line("/proc/sys/kernel/random/boot_id", self->boot, sizeof self->boot);
    ssize_t n = readlink("/proc/self/ns/pid", self->space, sizeof self->space - 1);
    self->space[n > 0 ? n : 0] = '\0';
    return make_token(self->token, e);
}

bool mu_owner_is_gone(const struct mu_owner_self *self, const struct mu_owner_self *o)
{
    if (!self->boot[0] || !self->space[0] || strcmp(self->boot, o->boot) != 0 || strcmp(self->space, o->space) != 0)
        return false;
    int64_t start = mu_process_start(o->pub.pid);
    return start == -1 || (start > 0 && o->start > 0 && start != o->start);
}

/* ---- the row ---- */

static void copy_text(sqlite3_stmt *s, int column, char *out, size_t bytes)
{
    const char *p = (const char *)sqlite3_column_text(s, column);
    snprintf(out, bytes, "%s", p ? p : "");
}

static int read_owner(struct mu_event_log *l, struct mu_owner_self *o, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_OWNER];
    int rc = sqlite3_step(s);
    *o = (struct mu_owner_self){0};
    if (rc == SQLITE_ROW) {
        o->pub = (struct mu_owner){.fence = sqlite3_column_int64(s, 0),
                                   .pid = sqlite3_column_int64(s, 1),
                                   .span_ns = sqlite3_column_int64(s, 2),
                                   .renewals = sqlite3_column_int64(s, 3),
                                   .renewed_wall_ns = sqlite3_column_int64(s, 4),
                                   .has_given_up = sqlite3_column_int(s, 5) != 0};
        o->start = sqlite3_column_int64(s, 7);
        copy_text(s, 6, o->pub.host, sizeof o->pub.host);
        copy_text(s, 8, o->boot, sizeof o->boot);
        copy_text(s, 9, o->space, sizeof o->space);
        copy_text(s, 10, o->token, sizeof o->token);
    }
    int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? MU_OK : mu_db_fail(&l->db, rc, e);
    mu_db_reset(s);
    return result;
}

static int fail_taken_over(struct mu_event_log *l, struct mu_err *e)
{
    struct mu_owner_self o;
    MU_TRY_RETURN(read_owner(l, &o, e));
    int64_t fence = l->self.pub.fence;
    l->self.pub.fence = 0;
    return mu_fail(e, MU_EPEER,
                   "%s was taken over by process %" PRId64 " on %s (orchestrator %" PRId64 ") from this one (%" PRId64
                   "), whose lease had run out: this one must stop",
                   l->db.path, o.pub.pid, o.pub.host, o.pub.fence, fence);
}

static int write_renewal(struct mu_event_log *l, bool gives_up, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_RENEW];
    if (!gives_up)
        MU_TRY_RETURN(mu_turn_check(l, e));
    const int64_t n[] = {l->self.pub.renewals + 1, mu_event_wall_ns(), gives_up};
    int rc = sqlite3_bind_int64(s, 1, l->self.pub.fence);
    if (rc == SQLITE_OK)
        rc = mu_db_bind_text(s, 2, l->self.token, strlen(l->self.token));
    for (int i = 0; i < 3 && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_int64(s, 3 + i, n[i]);
    if (rc != SQLITE_OK) {
        mu_db_reset(s);
        return mu_db_fail(&l->db, rc, e);
    }
    MU_TRY_RETURN(mu_db_run(&l->db, s, e));
    if (sqlite3_changes(l->db.sqlite) == 0)
        return fail_taken_over(l, e);
    l->self.pub.renewals++;
    return MU_OK;
}

int mu_owner_hold(struct mu_event_log *l, struct mu_err *e)
{
    if (l->self.pub.fence == 0)
        return mu_fail(e, MU_EPEER, "this process does not own %s, so it may not append to it", l->db.path);
    return write_renewal(l, false, e);
}

static int renew(struct mu_event_log *l, bool gives_up, struct mu_err *e)
{
    int rc = MU_OK;
    int64_t begun_ns = mu_now_ns(l->clock);
    MU_TRY_RETURN(mu_event_log_run(l, MU_LOG_BEGIN, e));
    MU_TRY(write_renewal(l, gives_up, e));
    MU_TRY(mu_event_log_run(l, MU_LOG_COMMIT, e));
    l->renewed_ns = begun_ns;
    return MU_OK;
out:
    return mu_event_log_undo(l, rc);
}

int mu_event_log_renew(struct mu_event_log *l, struct mu_err *e)
{
    if (l->self.pub.fence == 0)
        return mu_fail(e, MU_EPEER, "this process does not own %s, so there is nothing to renew", l->db.path);
    return renew(l, false, e);
}

int mu_event_log_disown(struct mu_event_log *l, struct mu_err *e)
{
    if (l->self.pub.fence == 0)
        return MU_OK;
    int rc = renew(l, true, e);
    l->self.pub.fence = 0;
    return rc;
}

/* ---- taking ---- */

/* Whether its renewals have stood still for a span and an eighth, by our own clock. */
static bool is_silent(struct mu_event_log *l, const struct mu_owner *o)
{
    int64_t now = mu_now_ns(l->clock);
    if (o->fence != l->seen.fence || o->renewals != l->seen.renewals) {
        l->seen = *o;
        l->seen_ns = now;
    }
    return now - l->seen_ns >= o->span_ns + o->span_ns / 8;
}

static int fail_owned(struct mu_event_log *l, const struct mu_owner *o, struct mu_err *e)
{
    double quiet_s = (double)(mu_now_ns(l->clock) - l->seen_ns) / 1e9;
    return mu_fail(e, MU_EPEER,
                   "%s is in use by process %" PRId64 " on %s: wait for it, stop it, or name another folder; it is "
                   "taken over after %.0f s of silence, and has been silent for %.0f s",
                   l->db.path, o->pid, o->host, (double)(o->span_ns + o->span_ns / 8) / 1e9, quiet_s);
}

static int insert_owner(struct mu_event_log *l, int64_t fence, struct mu_err *e)
{
    sqlite3_stmt *s = l->statement[MU_LOG_OWN];
    const struct mu_owner_self *o = &l->self;
    const char *const texts[] = {o->boot, o->space, o->token};
    int rc = sqlite3_bind_int64(s, 1, fence);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 2, o->pub.pid);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 3, o->pub.span_ns);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 4, mu_event_wall_ns());
    if (rc == SQLITE_OK)
        rc = mu_db_bind_text(s, 5, o->pub.host, strlen(o->pub.host));
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, 6, o->start);
    for (int i = 0; i < 3 && rc == SQLITE_OK; i++)
        rc = mu_db_bind_text(s, 7 + i, texts[i], strlen(texts[i]));
    if (rc == SQLITE_OK)
        return mu_db_run(&l->db, s, e);
    mu_db_reset(s);
    return mu_db_fail(&l->db, rc, e);
}

/* Inside a transaction. */
static int take_if_free(struct mu_event_log *l, int64_t *fence, struct mu_err *e)
{
    struct mu_owner_self o;
    MU_TRY_RETURN(mu_turn_check(l, e));
    MU_TRY_RETURN(read_owner(l, &o, e));
    bool is_free = o.pub.fence == 0 || o.pub.has_given_up || mu_owner_is_gone(&l->self, &o);
    if (!is_silent(l, &o.pub) && !is_free)
        return fail_owned(l, &o.pub, e);
    *fence = o.pub.fence + 1;
    return insert_owner(l, *fence, e);
}

static int64_t last_of(struct mu_event_log *l)
{
    sqlite3_stmt *s = l->statement[MU_LOG_LAST];
    int64_t last = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    mu_db_reset(s);
    return last;
}

int mu_event_log_try_own(struct mu_event_log *l, struct mu_err *e)
{
    int rc = MU_OK;
    int64_t fence = 0, last = 0, begun_ns = mu_now_ns(l->clock);

    if (l->self.pub.fence > 0)
        return mu_event_log_renew(l, e);
    MU_TRY_RETURN(mu_event_log_run(l, MU_LOG_BEGIN, e));
    MU_TRY(take_if_free(l, &fence, e));
    last = last_of(l);
    if (last < 0)
        MU_TRY(mu_db_fail(&l->db, SQLITE_CORRUPT, e));
    MU_TRY(mu_event_log_run(l, MU_LOG_COMMIT, e));
    l->self.pub.fence = fence;
    l->self.pub.renewals = 0;
    l->renewed_ns = begun_ns;
    l->last = last;
    return MU_OK;
out:
    return mu_event_log_undo(l, rc);
}

bool mu_owner_is_here(const struct mu_owner_self *self, const struct mu_owner_self *o)
{
    return self->boot[0] && self->space[0] && strcmp(self->boot, o->boot) == 0 && strcmp(self->space, o->space) == 0 &&
           o->start > 0 && mu_process_start(o->pub.pid) == o->start;
}

/* Whether to wait on is no use: it lives here and had its time, or it has renewed while we looked. One of an earlier
 * turn ends when it renews next, and what else an earlier turn has left may take its time to end. */
static bool is_owned_still(struct mu_event_log *l, const struct mu_owner_self *first, int64_t begin_ns)
{
    struct mu_owner_self now;
    if (l->turn > 0)
        return mu_turn_check(l, NULL) != MU_OK;
    if (read_owner(l, &now, NULL) != MU_OK)
        return false;
    if (mu_owner_is_here(&l->self, &now))
        return mu_now_ns(l->clock) - begin_ns >= MU_OWNER_HERE_NS;
    return now.pub.fence != first->pub.fence || now.pub.renewals != first->pub.renewals;
}

int mu_event_log_own(struct mu_event_log *l, int64_t wait_ns, struct mu_err *e)
{
    int64_t begin_ns = mu_now_ns(l->clock), until_ns = begin_ns + wait_ns;
    struct mu_owner_self first;
    MU_TRY_RETURN(mu_turn_claim(l, e));
    MU_TRY_RETURN(read_owner(l, &first, e));
    for (;;) {
        int rc = mu_event_log_try_own(l, e);
        int64_t left = until_ns - mu_now_ns(l->clock);
        if (rc != MU_EPEER || left <= 0 || is_owned_still(l, &first, begin_ns))
            return rc;
        int64_t look_ns = MU_MIN(left, MU_MIN(LOOK_NS_MAX, MU_MAX(l->seen.span_ns / 10, 1)));
        struct timespec t = {look_ns / 1000000000, look_ns % 1000000000};
        nanosleep(&t, NULL);
    }
}

/* ---- looking ---- */

int64_t mu_event_log_fence(const struct mu_event_log *l)
{
    return l->self.pub.fence;
}

int64_t mu_event_log_renew_in_ns(const struct mu_event_log *l)
{
    return MU_MAX(0, l->renewed_ns + l->self.pub.span_ns / 3 - mu_now_ns(l->clock));
}

int mu_event_log_owner(struct mu_event_log *l, struct mu_owner *out, struct mu_err *e)
{
    struct mu_owner_self o;
    MU_TRY_RETURN(read_owner(l, &o, e));
    *out = o.pub;
    return MU_OK;
}

static enum mu_owner_life life_of(const struct mu_event_log *l, const struct mu_owner_self *o)
{
    if (o->pub.fence == 0 || o->pub.has_given_up)
        return MU_OWNER_NOBODY;
    if (mu_owner_is_gone(&l->self, o))
        return MU_OWNER_GONE;
    return mu_owner_is_here(&l->self, o) ? MU_OWNER_ALIVE : MU_OWNER_AWAY;
}

int mu_event_log_look(struct mu_event_log *l, struct mu_owner *out, enum mu_owner_life *life, struct mu_err *e)
{
    struct mu_owner_self o;
    MU_TRY_RETURN(read_owner(l, &o, e));
    *out = o.pub;
    *life = life_of(l, &o);
    return MU_OK;
}
