/* share.c - joining, looking, leaving (share.h) */
#include "sched/share.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "sched/share_int.h"

#define PATH_MAX_BYTES ((size_t)4000)
#define WAIT_NS        200000000ll /* between two looks of one that waits to join */

static int64_t now_of(const struct mu_share *s)
{
    return mu_now_ns(s->o.clock);
}

/* ---- who is gone ---- */

static struct mu_share_watch *watch_of(struct mu_share *s, const struct mu_share_row *r)
{
    struct mu_share_watch *w = NULL;
    for (int i = 0; i < s->n_watch; i++)
        if (s->watch[i].id == r->id)
            w = &s->watch[i];
    if (!w)
        w = &s->watch[s->n_watch < MU_SHARE_MEMBERS_MAX ? s->n_watch++ : 0];
    if (w->id != r->id || w->beat != r->beat)
        *w = (struct mu_share_watch){r->id, r->beat, now_of(s)};
    return w;
}

static bool is_dead(struct mu_share *s, const struct mu_share_row *r)
{
    int64_t silent_ns = now_of(s) - watch_of(s, r)->seen_ns;
    return mu_owner_is_gone(&s->self.who, &r->who) || silent_ns >= r->span_ns + r->span_ns / 8;
}

/* Forgets the watches of those that are not there any more. */
static void tidy_watches(struct mu_share *s)
{
    int n = 0;
    for (int i = 0; i < s->n_watch; i++)
        for (int k = 0; k < s->n_rows; k++)
            if (s->row[k].id == s->watch[i].id) {
                s->watch[n++] = s->watch[i];
                break;
            }
    s->n_watch = n;
}

/* The dead leave: their rows, and in the books. This one's own row stays. */
static int bury(struct mu_share *s, struct mu_err *e)
{
    int n = 0;
    tidy_watches(s);
    for (int i = 0; i < s->n_rows; i++) {
        bool is_own = strcmp(s->row[i].key, s->self.key) == 0;
        if (!is_own && is_dead(s, &s->row[i]))
            MU_TRY_RETURN(mu_share_end(s, s->row[i].id, e));
        else
            s->row[n++] = s->row[i];
    }
    s->n_rows = n;
    return MU_OK;
}

/* ---- joining ---- */

static int count_of_node(const struct mu_share *s, const char *node)
{
    int n = 0;
    for (int i = 0; i < s->o.n_devices; i++)
        n += strcmp(s->device[i].node, node) == 0;
    return n;
}

static int fail_other_devices(struct mu_share *s, const struct mu_share_row *other, struct mu_err *e)
{
    static const char sql[] = "SELECT count(*) || ' devices there, ' || (SELECT count(*) FROM device WHERE node = "
                              "(SELECT min(node) FROM device)) || ' of node ' || min(node) FROM device";
    char there[400] = "others there";
    (void)mu_db_ask(&s->db, sql, NULL, there, sizeof there, NULL);
    return mu_fail(e, MU_EINVAL,
                   "%s: campaign %s (process %lld on %s) shares %s, and this one has %d, %d of node %s: give the same "
                   "--devices, or name another folder",
                   s->path.p, other->campaign, (long long)other->who.pub.pid, other->who.pub.host, there,
                   s->o.n_devices, count_of_node(s, s->device[0].node), s->device[0].node);
}

/* Inside a transaction, with the members read and the dead buried: the devices of the store are this member's, or
 * become so where nobody else is there. */
static int agree_on_devices(struct mu_share *s, struct mu_err *e)
{
    bool is_same;
    MU_TRY_RETURN(mu_share_read_devices(s, &is_same, e));
    if (is_same)
        return MU_OK;
    for (int i = 0; i < s->n_rows; i++)
        if (strcmp(s->row[i].key, s->self.key) != 0)
            return fail_other_devices(s, &s->row[i], e);
    return mu_share_set_devices(s, e);
}

static int join_once(struct mu_share *s, struct mu_err *e)
{
    int rc = MU_OK;
    bool is_there;
    MU_TRY_RETURN(mu_share_run(s, MU_SHARE_BEGIN, e));
    MU_TRY(mu_share_read_members(s, &is_there, e));
    MU_TRY(bury(s, e));
    MU_TRY(agree_on_devices(s, e));
    MU_TRY(mu_share_enter(s, e));
    MU_TRY(mu_share_run(s, MU_SHARE_COMMIT, e));
    return MU_OK;
out:
    return mu_share_undo(s, rc);
}

static int64_t away_ns(const struct mu_share *s)
{
    return s->self.span_ns + s->self.span_ns / 4;
}

/* Of the others: it changes while one of them lives. */
static int64_t beats_of(const struct mu_share *s)
{
    int64_t sum = 0;
    for (int i = 0; i < s->n_rows; i++)
        sum += strcmp(s->row[i].key, s->self.key) != 0 ? s->row[i].beat : 0;
    return sum;
}

static bool has_neighbour(const struct mu_share *s)
{
    for (int i = 0; i < s->n_rows; i++)
        if (strcmp(s->row[i].key, s->self.key) != 0 && mu_owner_is_here(&s->self.who, &s->row[i].who))
            return true;
    return false;
}

/* Who shares other devices may have died with its node: that shows in time, and that it lives does so too. */
static int join(struct mu_share *s, struct mu_err *e)
{
    int64_t until = now_of(s) + away_ns(s), beats = 0;
    for (int i = 0;; i++) {
        int rc = join_once(s, e);
        if (rc != MU_EINVAL || now_of(s) >= until || has_neighbour(s) || (i > 0 && beats_of(s) != beats))
            return rc;
        beats = beats_of(s);
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
}

/* Opened or opened again: the place in the books is a new one. */
static int open_and_join(struct mu_share *s, bool waits, struct mu_err *e)
{
    MU_TRY_RETURN(mu_share_open_store(s, e));
    int rc = waits ? join(s, e) : join_once(s, e);
    if (rc != MU_OK)
        mu_share_close_store(s);
    return rc;
}

static void name_devices(struct mu_share *s, const int *node)
{
    for (int i = 0; i < s->o.n_devices; i++) {
        bool is_first = i == 0 || node[i] != node[i - 1];
        s->device[i].node = s->o.nodes[node[i]];
        s->device[i].number = is_first ? 0 : s->device[i - 1].number + 1;
    }
}

int mu_share_join(struct mu_share **out, const struct mu_share_opts *o, struct mu_err *e)
{
    struct mu_share *s = NULL;
    int rc = MU_OK;
    *out = NULL;
    MU_TRY(MU_NEW(&s, "a share of devices", e));
    s->o = *o;
    s->o.campaign = s->o.key = NULL; /* copied */
    s->o.node = NULL;                /* read here only */
    s->path = (struct mu_buf)MU_BUF_INIT("a path", PATH_MAX_BYTES);
    MU_TRY(mu_owner_know_self(&s->self.who, 0, e));
    s->self.span_ns = o->span_ns > 0 ? o->span_ns : MU_EVENT_LOG_SPAN_NS;
    snprintf(s->self.campaign, sizeof s->self.campaign, "%s", o->campaign);
    snprintf(s->self.key, sizeof s->self.key, "%s", o->key);
    MU_TRY(MU_NEW_ARRAY(&s->device, o->n_devices, "shared devices", e));
    MU_TRY(MU_NEW_ARRAY(&s->holder, o->n_devices, "shared devices", e));
    MU_TRY(MU_NEW_ARRAY(&s->next, o->n_devices, "shared devices", e));
    MU_TRY(mu_path_join(&s->path, o->folder, MU_SHARE_STORE, e));
    name_devices(s, o->node);
    s->renewed_ns = s->charged_ns = now_of(s);
    MU_TRY(open_and_join(s, true, e));
    *out = s;
    s = NULL;
out:
    mu_share_leave(s);
    return rc;
}

static void go(struct mu_share *s)
{
    if (!mu_share_is_open(s) || s->self.id == 0 || mu_share_run(s, MU_SHARE_BEGIN, NULL) != MU_OK)
        return;
    bool is_there;
    int rc = mu_share_read_members(s, &is_there, NULL);
    bool is_own = rc == MU_OK && is_there && strcmp(s->row[0].who.token, s->self.who.token) == 0;
    if (is_own && mu_share_end(s, s->self.id, NULL) == MU_OK)
        (void)mu_share_run(s, MU_SHARE_COMMIT, NULL);
    (void)mu_share_undo(s, MU_OK);
}

void mu_share_leave(struct mu_share *s)
{
    if (!s)
        return;
    go(s);
    mu_share_close_store(s);
    mu_buf_fini(&s->path);
    mu_free(s->device);
    mu_free(s->holder);
    mu_free(s->next);
    mu_free(s);
}

/* ---- looking ---- */

/* Where this member's row went. One that others took for dead is its own still. */
static int find_self(struct mu_share *s, bool is_there, struct mu_err *e)
{
    const struct mu_share_row *r = &s->row[0];
    if (!is_there)
        return mu_share_enter(s, e); /* forgotten among many */
    if (strcmp(r->who.token, s->self.who.token) != 0)
        return mu_fail(e, MU_ECHANGED,
                       "%s: process %lld on %s runs this campaign by now, and has its devices: this one must stop",
                       s->path.p, (long long)r->who.pub.pid, r->who.pub.host);
    s->self.id = r->id;
    return MU_OK;
}

static int check_devices(struct mu_share *s, struct mu_err *e)
{
    bool is_same;
    MU_TRY_RETURN(mu_share_read_devices(s, &is_same, e));
    if (is_same)
        return MU_OK;
    for (int i = 1; i < s->n_rows; i++)
        return fail_other_devices(s, &s->row[i], e);
    return mu_share_set_devices(s, e);
}

/* Its devices that nobody has taken while it was thought dead are its own again; those that it gives are free. */
static int settle(struct mu_share *s, const struct mu_share_ask *a, int64_t id_before, struct mu_err *e)
{
    for (int i = 0; i < s->o.n_devices; i++) {
        bool was_own = id_before > 0 && s->holder[i] == id_before, gives = a->use[i] == MU_SHARE_GIVE;
        if (s->next[i] == 0 && was_own && !gives)
            MU_TRY_RETURN(mu_share_hold(s, i, s->self.id, e));
        if (s->next[i] == s->self.id && gives)
            MU_TRY_RETURN(mu_share_hold(s, i, 0, e));
    }
    return MU_OK;
}

static int count_held(const struct mu_share *s, int64_t id)
{
    int n = 0;
    for (int i = 0; i < s->o.n_devices; i++)
        n += s->next[i] == id;
    return n;
}

/* The time since the last look, of the devices it had all that time. One that was stopped is charged a lease. */
static void charge(struct mu_share *s, int held, int64_t now, struct mu_share_row *self)
{
    double seconds = (double)MU_MIN(MU_MAX(now - s->charged_ns, 0), s->self.span_ns) * 1e-9 * held;
    self->used_s += seconds;
    self->member.pass_s += seconds / self->member.weight;
}

static void decide(struct mu_share *s, struct mu_share_due *due)
{
    struct mu_share_member all[MU_SHARE_MEMBERS_MAX];
    int n = 0;
    all[n++] = s->self.member;
    for (int i = 0; i < s->n_rows; i++) {
        if (s->row[i].id == s->self.id || s->row[i].has_left)
            continue;
        s->row[i].member.held = count_held(s, s->row[i].id);
        all[n++] = s->row[i].member;
    }
    mu_share_decide(due, all, n, 0, s->o.n_devices);
}

static int take(struct mu_share *s, const struct mu_share_ask *a, int n, struct mu_err *e)
{
    for (int i = 0; i < s->o.n_devices && n > 0; i++)
        if (s->next[i] == 0 && a->use[i] == MU_SHARE_MAY) {
            MU_TRY_RETURN(mu_share_hold(s, i, s->self.id, e));
            n--;
        }
    return MU_OK;
}

/* What this member says of itself from now on. */
static void set_self(struct mu_share *s, const struct mu_share_ask *a, int64_t now, int held)
{
    struct mu_share_member *m = &s->self.member;
    m->weight = s->o.weight;
    m->has_turn = m->has_turn && a->wide > 0 && a->wide_task == s->wide_task;
    m->held = held;
    m->busy = a->busy;
    m->want = a->want;
    m->narrow = a->narrow;
    m->wide = a->wide;
    charge(s, held, now, &s->self);
}

static int look(struct mu_share *s, const struct mu_share_ask *a, struct mu_share_due *due, int64_t now,
                struct mu_err *e)
{
    bool is_there;
    int64_t id_before = s->self.id;
    MU_TRY_RETURN(mu_share_read_members(s, &is_there, e));
    MU_TRY_RETURN(find_self(s, is_there, e));
    MU_TRY_RETURN(bury(s, e));
    MU_TRY_RETURN(check_devices(s, e));
    MU_TRY_RETURN(settle(s, a, id_before, e));
    set_self(s, a, now, count_held(s, s->self.id));
    decide(s, due);
    MU_TRY_RETURN(take(s, a, now < s->takes_ns ? 0 : due->take, e));
    struct mu_share_member *m = &s->self.member;
    s->wide_task = due->has_turn ? a->wide_task : -1;
    m->pass_s = due->pass_s;
    m->owes = due->owes;
    m->has_turn = due->has_turn;
    m->held = count_held(s, s->self.id);
    m->has_waited = m->narrow > 0;
    s->self.beat = s->row[0].beat + 1;
    return mu_share_renew(s, e);
}

static int transact(struct mu_share *s, const struct mu_share_ask *a, struct mu_share_due *due, struct mu_err *e)
{
    struct mu_share_row before = s->self;
    int64_t wide_task = s->wide_task, now = now_of(s);
    int rc = MU_OK;
    MU_TRY_RETURN(mu_share_run(s, MU_SHARE_BEGIN, e));
    MU_TRY(look(s, a, due, now, e));
    MU_TRY(mu_share_run(s, MU_SHARE_COMMIT, e));
    memcpy(s->holder, s->next, (size_t)s->o.n_devices * sizeof *s->holder);
    s->renewed_ns = s->charged_ns = now;
    return MU_OK;
out:
    s->self = before;
    s->wide_task = wide_task;
    return mu_share_undo(s, rc);
}

/* In another file its number is another one, and its devices are those it had. The others are given time to say there
 * what they have. */
static int reopen(struct mu_share *s, struct mu_err *e)
{
    struct mu_share_row before = s->self;
    int rc = open_and_join(s, false, e);
    if (rc != MU_OK) {
        s->self = before;
        return rc;
    }
    for (int i = 0; i < s->o.n_devices; i++)
        s->holder[i] = s->holder[i] == before.id ? s->self.id : -1;
    s->takes_ns = now_of(s) + away_ns(s);
    return MU_OK;
}

int mu_share_look(struct mu_share *s, const struct mu_share_ask *a, struct mu_share_due *due, struct mu_err *e)
{
    *due = (struct mu_share_due){0};
    if (mu_share_is_open(s) && mu_share_has_moved(s))
        mu_share_close_store(s);
    if (!mu_share_is_open(s))
        MU_TRY_RETURN(reopen(s, e));
    return transact(s, a, due, e);
}

bool mu_share_has(const struct mu_share *s, int device)
{
    return s->self.id > 0 && s->holder[device] == s->self.id;
}

bool mu_share_is_fresh(const struct mu_share *s)
{
    return now_of(s) - s->renewed_ns < s->self.span_ns;
}

int mu_share_others(const struct mu_share *s, struct mu_share_other other[MU_SHARE_MEMBERS_MAX])
{
    int n = 0;
    for (int i = 0; i < s->n_rows; i++)
        if (s->row[i].id != s->self.id && s->row[i].member.held > 0)
            other[n++] = (struct mu_share_other){s->row[i].campaign, s->row[i].member.held};
    return n;
}

double mu_share_used_s(const struct mu_share *s)
{
    return s->self.used_s;
}
