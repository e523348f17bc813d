/* resident.c - see resident.h
 *
 * The lock guards the table. Who opens, closes or trims sets is_busy and lets go of the lock meanwhile: entries that
 * others see in between are opening or closing, and theirs alone to change. */
#include "engine/resident/resident.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/retry.h"

struct resident {
    struct mu_resident_info info;
    void *model;       /* READY: the opener's; FAILED: broken and not closed yet */
    int64_t opened_ns; /* at this moment */
    int64_t retry_ns;  /* FAILED: not before this moment */
    int breaks_in_row;
    bool is_trimmed; /* since its last use */
};

struct mu_residents {
    struct mu_resident_opts o;
    const struct mu_clock *clock;
    pthread_mutex_t lock;
    pthread_cond_t has_changed;
    struct resident table[MU_RESIDENTS_MAX];
    struct mu_resident_totals totals;
    bool is_busy;
    int64_t looked_ns;            /* at the machine */
    bool has_looked, has_trimmed; /* trimmed: the last look, which wanted memory */
};

const char *mu_resident_state_name(enum mu_resident_state s)
{
    static const char *const names[] = {"absent", "opening", "ready", "closing", "failed"};
    return (unsigned)s < MU_COUNT(names) ? names[s] : "?";
}

/* ---- the table ---- */

int mu_residents_open(struct mu_residents **out, const struct mu_resident_opts *o, struct mu_err *e)
{
    struct mu_residents *r = NULL;
    MU_TRY_RETURN(MU_NEW(&r, "the table of models", e));
    r->o = *o;
    r->o.waiting_max = o->waiting_max > 0 ? o->waiting_max : MU_RESIDENT_WAITING;
    r->o.retry_ns = o->retry_ns > 0 ? o->retry_ns : MU_RESIDENT_RETRY_NS;
    r->o.breaks_max = o->breaks_max > 0 ? o->breaks_max : MU_RESIDENT_BREAKS;
    r->clock = o->clock ? o->clock : mu_clock_real();
    r->totals.bytes_max = o->bytes_max;
    pthread_mutex_init(&r->lock, NULL);
    mu_cond_init(&r->has_changed);
    *out = r;
    return MU_OK;
}

void mu_residents_close(struct mu_residents *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->totals.n; i++) {
        if (r->table[i].model)
            r->o.ops->close(r->o.arg, r->table[i].model);
    }
    pthread_cond_destroy(&r->has_changed);
    pthread_mutex_destroy(&r->lock);
    mu_free(r);
}

static struct resident *find(struct mu_residents *r, const char *name)
{
    for (int i = 0; i < r->totals.n; i++) {
        if (strcmp(r->table[i].info.name, name) == 0)
            return &r->table[i];
    }
    return NULL;
}

static int find_or_fail(struct mu_residents *r, const char *name, struct resident **m, struct mu_err *e)
{
    *m = find(r, name);
    return *m ? MU_OK : mu_fail(e, MU_ENOENT, "there is no model \"%.200s\" among the %d known", name, r->totals.n);
}

static int add(struct mu_residents *r, const char *name, bool is_kept, struct mu_err *e)
{
    if (strlen(name) >= MU_RESIDENT_NAME_MAX)
        return mu_fail(e, MU_ELIMIT, "the model's name \"%.100s...\" is longer than %d bytes", name,
                       MU_RESIDENT_NAME_MAX - 1);
    if (find(r, name))
        return mu_fail(e, MU_EUSAGE, "the model \"%s\" is named twice", name);
    if (r->totals.n == MU_RESIDENTS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d models are known, and no more can be", MU_RESIDENTS_MAX);
    struct resident *m = &r->table[r->totals.n++];
    snprintf(m->info.name, sizeof m->info.name, "%s", name);
    m->info.is_kept = is_kept;
    return MU_OK;
}

int mu_residents_add(struct mu_residents *r, const char *name, bool is_kept, struct mu_err *e)
{
    pthread_mutex_lock(&r->lock);
    int rc = add(r, name, is_kept, e);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

int mu_residents_keep(struct mu_residents *r, const char *name, bool is_kept, struct mu_err *e)
{
    struct resident *m;
    pthread_mutex_lock(&r->lock);
    int rc = find_or_fail(r, name, &m, e);
    if (rc == MU_OK)
        m->info.is_kept = is_kept;
    pthread_cond_broadcast(&r->has_changed);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* ---- waiting ---- */

static void end_busy(struct mu_residents *r)
{
    r->is_busy = false;
    pthread_cond_broadcast(&r->has_changed);
}

/* Until something changes, or a moment; the caller looks again. */
static int wait_a_moment(struct mu_residents *r, const struct resident *m, int64_t deadline_ns, struct mu_err *e)
{
    struct timespec t;
    if (mu_now_ns(r->clock) >= deadline_ns)
        return mu_fail(e, MU_ETIMEDOUT, "the model \"%s\" (%s) was not ready in time; %d wait for models", m->info.name,
                       mu_resident_state_name(m->info.state), r->totals.n_waiting);
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += MU_RESIDENT_WAIT_SLICE_NS;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&r->has_changed, &r->lock, &t);
    return MU_OK;
}

/* ---- failing ---- */

/* The wait after n failures in a row. */
static int64_t wait_after(const struct mu_residents *r, int n)
{
    const struct mu_backoff b = {r->o.retry_ns, MU_MAX(r->o.retry_ns, MU_RESIDENT_RETRY_NS_MAX)};
    return mu_backoff_ns(&b, n);
}

static void end_row(struct resident *m, int64_t now)
{
    if (now - m->opened_ns < MU_RESIDENT_WELL_NS)
        return;
    m->info.failures_in_row = 0;
    m->breaks_in_row = 0;
}

static void fail(struct resident *m, const struct mu_err *why, int64_t retry_ns)
{
    m->info.state = MU_RESIDENT_FAILED;
    m->info.failures_in_row++;
    m->info.why = *why;
    m->retry_ns = retry_ns;
}

static int note_failure(struct mu_residents *r, struct resident *m, int rc, struct mu_err *why, struct mu_err *e)
{
    why->code = rc == MU_ETIMEDOUT ? MU_EPEER : rc; /* a wait that was too short is another thing */
    fail(m, why, mu_now_ns(r->clock) + wait_after(r, m->info.failures_in_row + 1));
    m->info.failures++;
    r->totals.failures++;
    return mu_fail(e, why->code, "%s", why->text);
}

static void break_down(struct mu_residents *r, struct resident *m, const struct mu_err *why)
{
    int64_t now = mu_now_ns(r->clock);
    end_row(m, now);
    fail(m, why, now + wait_after(r, m->info.failures_in_row));
    m->info.breaks++;
    m->breaks_in_row++;
    m->info.is_given_up = m->breaks_in_row >= r->o.breaks_max;
}

void mu_residents_break(struct mu_residents *r, void *model, const struct mu_err *why)
{
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->totals.n; i++) {
        struct resident *m = &r->table[i];
        if (m->model == model && m->info.state == MU_RESIDENT_READY)
            break_down(r, m, why);
    }
    pthread_cond_broadcast(&r->has_changed);
    pthread_mutex_unlock(&r->lock);
}

/* ---- closing ---- */

static bool can_go(const struct resident *m)
{
    return m->info.state == MU_RESIDENT_READY && m->info.users == 0 && !m->info.is_kept;
}

/* The longest unused; NULL: all are in use or kept. */
static struct resident *next_to_go(struct mu_residents *r)
{
    struct resident *oldest = NULL;
    for (int i = 0; i < r->totals.n; i++) {
        struct resident *m = &r->table[i];
        if (can_go(m) && (!oldest || m->info.used_ns < oldest->info.used_ns))
            oldest = m;
    }
    return oldest;
}

/* Busy, under the lock, which is let go meanwhile; so are the two below. */
static void shut(struct mu_residents *r, struct resident *m)
{
    void *model = m->model;
    m->model = NULL;
    pthread_mutex_unlock(&r->lock);
    r->o.ops->close(r->o.arg, model);
    pthread_mutex_lock(&r->lock);
    r->totals.bytes -= m->info.bytes;
}

static void evict(struct mu_residents *r, struct resident *m, uint64_t *count)
{
    end_row(m, mu_now_ns(r->clock));
    m->info.state = MU_RESIDENT_CLOSING;
    shut(r, m);
    m->info.state = MU_RESIDENT_ABSENT;
    m->info.evictions++;
    ++*count;
}

/* Broken, and nobody's any more. */
static bool is_to_shut(const struct resident *m)
{
    return m->info.state == MU_RESIDENT_FAILED && m->model && m->info.users == 0;
}

/* The bytes that became free. */
static size_t shut_broken(struct mu_residents *r)
{
    size_t freed = 0;
    for (int i = 0; i < r->totals.n; i++) {
        struct resident *m = &r->table[i];
        if (!is_to_shut(m))
            continue;
        freed += m->info.bytes;
        shut(r, m);
    }
    return freed;
}

/* ---- opening ---- */

struct sums {
    size_t stays, goes; /* bytes of those that are kept, in whatever use; of idle ones */
    int n_stays, n_goes, n;
};

static struct sums add_up(const struct mu_residents *r)
{
    struct sums s = {0};
    for (int i = 0; i < r->totals.n; i++) {
        const struct resident *m = &r->table[i];
        if (m->info.state != MU_RESIDENT_READY)
            continue; /* busy: nobody else opens or closes */
        s.n++;
        if (m->info.is_kept) {
            s.n_stays++;
            s.stays += m->info.bytes;
        } else if (can_go(m)) {
            s.n_goes++;
            s.goes += m->info.bytes;
        }
    }
    return s;
}

/* Whether it could ever be opened beside those that are kept. */
static int check_room(const struct mu_residents *r, const struct resident *m, const struct sums *s, struct mu_err *e)
{
    size_t max = r->o.bytes_max, need = m->info.bytes;
    if (max > 0 && (need > max || s->stays > max - need))
        return mu_fail(e, MU_ENOMEM,
                       "the model \"%s\" takes %zu bytes; %zu are allowed for all models, of which %zu are kept: allow "
                       "more, or keep fewer",
                       m->info.name, need, max, s->stays);
    if (r->o.open_max > 0 && s->n_stays >= r->o.open_max)
        return mu_fail(e, MU_ENOMEM,
                       "%d models may be open at a time, and as many are kept: the model \"%s\" has no place; allow "
                       "more, or keep fewer",
                       r->o.open_max, m->info.name);
    return MU_OK;
}

/* Whether it fits once `goes` bytes of n_goes models are gone. */
static bool has_room(const struct mu_residents *r, const struct resident *m, size_t goes, int n_goes)
{
    bool fits = r->o.bytes_max == 0 || r->totals.bytes - goes <= r->o.bytes_max - m->info.bytes;
    return fits && (r->o.open_max == 0 || add_up(r).n - n_goes < r->o.open_max);
}

/* *must_wait: it fits once others are done. Nothing is evicted before enough can be. */
static int make_room(struct mu_residents *r, const struct resident *m, bool *must_wait, struct mu_err *e)
{
    struct sums s = add_up(r);
    *must_wait = false;
    MU_TRY_RETURN(check_room(r, m, &s, e));
    if (!has_room(r, m, s.goes, s.n_goes)) {
        *must_wait = true;
        return MU_OK;
    }
    for (struct resident *old; !has_room(r, m, 0, 0) && (old = next_to_go(r)) != NULL;)
        evict(r, old, &r->totals.evictions_room);
    *must_wait = !has_room(r, m, 0, 0); /* one was taken into use while another was closed */
    return MU_OK;
}

static int measure(struct mu_residents *r, struct resident *m, struct mu_err *e)
{
    size_t bytes = 0;
    pthread_mutex_unlock(&r->lock);
    int rc = r->o.ops->measure(r->o.arg, m->info.name, &bytes, e);
    pthread_mutex_lock(&r->lock);
    if (rc == MU_OK)
        m->info.bytes = MU_MAX(bytes, 1);
    return rc;
}

static int open_model(struct mu_residents *r, struct resident *m, struct mu_err *e)
{
    int64_t start_ns = mu_now_ns(r->clock);
    void *model = NULL;
    m->info.state = MU_RESIDENT_OPENING;
    r->totals.bytes += m->info.bytes;
    r->totals.bytes_peak = MU_MAX(r->totals.bytes_peak, r->totals.bytes);
    pthread_mutex_unlock(&r->lock);
    int rc = r->o.ops->open(r->o.arg, m->info.name, &model, e);
    pthread_mutex_lock(&r->lock);
    if (rc != MU_OK) {
        m->info.state = MU_RESIDENT_ABSENT;
        r->totals.bytes -= m->info.bytes;
        return rc;
    }
    m->info.state = MU_RESIDENT_READY;
    m->model = model;
    m->info.opens++;
    m->is_trimmed = false;
    r->totals.opens++;
    m->opened_ns = m->info.used_ns = mu_now_ns(r->clock);
    m->info.open_ns = m->opened_ns - start_ns;
    return MU_OK;
}

/* Where the machine has less than was thought, idle models go one by one. */
static int open_or_wait(struct mu_residents *r, struct resident *m, bool *must_wait, struct mu_err *e)
{
    struct resident *old;
    shut_broken(r);
    *must_wait = m->model != NULL; /* broken, and still in use */
    if (*must_wait)
        return MU_OK;
    MU_TRY_RETURN(measure(r, m, e));
    MU_TRY_RETURN(make_room(r, m, must_wait, e));
    if (*must_wait)
        return MU_OK;
    int rc = open_model(r, m, e);
    while (rc == MU_ENOMEM && (old = next_to_go(r)) != NULL) {
        evict(r, old, &r->totals.evictions_room);
        rc = open_model(r, m, e);
    }
    return rc;
}

static int open_here(struct mu_residents *r, struct resident *m, bool *must_wait, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    r->is_busy = true;
    int rc = open_or_wait(r, m, must_wait, &why);
    if (rc != MU_OK)
        rc = note_failure(r, m, rc, &why, e);
    end_busy(r);
    return rc;
}

static bool may_not_yet(const struct mu_residents *r, const struct resident *m)
{
    return m->info.state == MU_RESIDENT_FAILED && (m->info.is_given_up || mu_now_ns(r->clock) < m->retry_ns);
}

/* Under the lock: until it is ready. */
static int bring(struct mu_residents *r, struct resident *m, int64_t deadline_ns, struct mu_err *e)
{
    for (;;) {
        bool must_wait = true;
        if (m->info.state == MU_RESIDENT_READY)
            return MU_OK;
        if (may_not_yet(r, m))
            return mu_fail(e, m->info.why.code, "%s", m->info.why.text);
        if (!r->is_busy)
            MU_TRY_RETURN(open_here(r, m, &must_wait, e));
        if (must_wait)
            MU_TRY_RETURN(wait_a_moment(r, m, deadline_ns, e));
    }
}

static int64_t deadline_of(const struct mu_residents *r, int64_t wait_ns)
{
    int64_t now = mu_now_ns(r->clock);
    return wait_ns > INT64_MAX - now ? INT64_MAX : now + wait_ns;
}

/* Under the lock. */
static int bring_in_line(struct mu_residents *r, struct resident *m, int64_t wait_ns, struct mu_err *e)
{
    if (m->info.state == MU_RESIDENT_READY) {
        r->totals.hits++;
        return MU_OK;
    }
    r->totals.misses++;
    if (r->totals.n_waiting == r->o.waiting_max)
        return mu_fail(e, MU_ELIMIT, "%d wait for models to be opened, and no more may: try again later",
                       r->totals.n_waiting);
    r->totals.n_waiting++;
    int rc = bring(r, m, deadline_of(r, wait_ns), e);
    r->totals.n_waiting--;
    return rc;
}

int mu_residents_preload(struct mu_residents *r, const char *name, int64_t wait_ns, struct mu_err *e)
{
    struct resident *m;
    pthread_mutex_lock(&r->lock);
    int rc = find_or_fail(r, name, &m, e);
    if (rc == MU_OK)
        rc = bring_in_line(r, m, wait_ns, e);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static void begin_use(struct mu_residents *r, struct resident *m, void **model)
{
    m->info.users++;
    m->info.uses++;
    m->info.used_ns = mu_now_ns(r->clock);
    m->is_trimmed = false;
    *model = m->model;
}

int mu_residents_use(struct mu_residents *r, const char *name, int64_t wait_ns, void **model, struct mu_err *e)
{
    struct resident *m;
    pthread_mutex_lock(&r->lock);
    int rc = find_or_fail(r, name, &m, e);
    if (rc == MU_OK)
        rc = bring_in_line(r, m, wait_ns, e);
    if (rc == MU_OK)
        begin_use(r, m, model);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

bool mu_residents_take(struct mu_residents *r, const char *name, void **model)
{
    pthread_mutex_lock(&r->lock);
    struct resident *m = find(r, name);
    bool is_ready = m && m->info.state == MU_RESIDENT_READY;
    if (is_ready) {
        r->totals.hits++;
        begin_use(r, m, model);
    }
    pthread_mutex_unlock(&r->lock);
    return is_ready;
}

void mu_residents_done(struct mu_residents *r, void *model)
{
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->totals.n; i++) {
        struct resident *m = &r->table[i];
        if (m->model != model || m->info.users == 0)
            continue;
        m->info.users--;
        m->info.used_ns = mu_now_ns(r->clock);
        break;
    }
    pthread_cond_broadcast(&r->has_changed);
    pthread_mutex_unlock(&r->lock);
}

/* ---- pressure ---- */

/* Those that are idle and were used since they were trimmed last, kept ones too; none can be used meanwhile. Busy. */
static void trim_idle(struct mu_residents *r)
{
    for (int i = 0; r->o.ops->trim && i < r->totals.n; i++) {
        struct resident *m = &r->table[i];
        if (m->info.state != MU_RESIDENT_READY || m->info.users > 0 || m->is_trimmed)
            continue;
        m->info.state = MU_RESIDENT_OPENING;
        pthread_mutex_unlock(&r->lock);
        r->o.ops->trim(r->o.arg, m->model, NULL); /* one that fails will tell its next user */
        pthread_mutex_lock(&r->lock);
        m->info.state = MU_RESIDENT_READY;
        m->is_trimmed = true;
        r->totals.trims++;
    }
}

/* Under the lock. Nothing when another opens or closes just now: it will look again. */
static size_t relieve(struct mu_residents *r, size_t bytes, bool trims, bool evicts)
{
    if (r->is_busy || bytes == 0)
        return 0;
    r->is_busy = true;
    size_t freed = shut_broken(r);
    if (trims)
        trim_idle(r);
    for (struct resident *old; evicts && freed < bytes && (old = next_to_go(r)) != NULL;) {
        freed += old->info.bytes;
        evict(r, old, &r->totals.evictions_pressure);
    }
    end_busy(r);
    return freed;
}

void mu_residents_relieve(struct mu_residents *r, size_t bytes, size_t *freed)
{
    pthread_mutex_lock(&r->lock);
    *freed = relieve(r, bytes, true, true);
    pthread_mutex_unlock(&r->lock);
}

static void tidy_up(struct mu_residents *r)
{
    pthread_mutex_lock(&r->lock);
    if (!r->is_busy) {
        r->is_busy = true;
        shut_broken(r);
        end_busy(r);
    }
    pthread_mutex_unlock(&r->lock);
}

static bool is_look_due(struct mu_residents *r)
{
    pthread_mutex_lock(&r->lock);
    int64_t now = mu_now_ns(r->clock);
    bool is_due = r->o.ops->pressure && (!r->has_looked || now - r->looked_ns >= MU_RESIDENT_PRESSURE_NS);
    if (is_due) {
        r->has_looked = true;
        r->looked_ns = now;
    }
    pthread_mutex_unlock(&r->lock);
    return is_due;
}

void mu_residents_tick(struct mu_residents *r)
{
    tidy_up(r);
    if (!is_look_due(r))
        return;
    size_t wanted = r->o.ops->pressure(r->o.arg);
    pthread_mutex_lock(&r->lock);
    relieve(r, wanted, true, r->has_trimmed || !r->o.ops->trim);
    r->has_trimmed = wanted > 0;
    pthread_mutex_unlock(&r->lock);
}

/* ---- looking in ---- */

bool mu_residents_info(struct mu_residents *r, int i, struct mu_resident_info *out)
{
    pthread_mutex_lock(&r->lock);
    bool is_there = i >= 0 && i < r->totals.n;
    if (is_there) {
        *out = r->table[i].info;
        out->wait_ns = MU_MAX(0, r->table[i].retry_ns - mu_now_ns(r->clock));
    }
    pthread_mutex_unlock(&r->lock);
    return is_there;
}

bool mu_residents_look(struct mu_residents *r, int i, void (*fn)(void *arg, void *model), void *arg)
{
    pthread_mutex_lock(&r->lock);
    bool is_ready = i >= 0 && i < r->totals.n && r->table[i].info.state == MU_RESIDENT_READY;
    if (is_ready)
        fn(arg, r->table[i].model);
    pthread_mutex_unlock(&r->lock);
    return is_ready;
}

void mu_residents_totals(struct mu_residents *r, struct mu_resident_totals *out)
{
    pthread_mutex_lock(&r->lock);
    r->totals.n_ready = 0;
    for (int i = 0; i < r->totals.n; i++)
        r->totals.n_ready += r->table[i].info.state == MU_RESIDENT_READY;
    *out = r->totals;
    pthread_mutex_unlock(&r->lock);
}
