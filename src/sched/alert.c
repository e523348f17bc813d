/* alert.c - queues of alerts, and the threads that empty them (alert.h) */
#include "sched/alert.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "sched/alert_int.h"

#define NS_PER_S 1000000000ll

/* Two alerts in a row that could not be told are enough to leave a target alone. */
static const struct mu_breaker_rule breaker_rule = {.failures_max = 2, .rest = {15 * NS_PER_S, 600 * NS_PER_S}};
static const struct mu_backoff default_wait = {NS_PER_S, 8 * NS_PER_S};

/* When an alert of a kind and thing was last sent, and how many since were not. */
struct recent {
    uint64_t which;
    int64_t sent_ns, repeats;
};

struct mu_alerts {
    struct mu_alerts_opts o;
    struct mu_alert_target target[MU_ALERT_TARGETS_MAX];
    int n_targets;
    atomic_int_fast64_t until_ns; /* of the real clock: when all sends must have ended; INT64_MAX: nobody waits */

    pthread_mutex_t lock; /* guards what follows, and the targets' queues */
    pthread_cond_t changed;
    bool is_ending;
    struct recent *recent; /* [MU_ALERT_THINGS_MAX] */
    int n_recent;
    struct mu_alert_told *told; /* a ring of MU_ALERT_TOLD_MAX */
    int64_t n_told, n_polled;
    struct mu_alerts_counts counts;
};

int64_t mu_alert_until_ns(const struct mu_alert_target *t, int64_t begin_ns)
{
    int64_t own = begin_ns + (int64_t)(t->all->o.campaign->alerts.timeout_s * 1e9);
    return MU_MIN(own, (int64_t)atomic_load(&t->all->until_ns));
}

/* ---- a queue ---- */

/* The order is one of all slots, so that one that is taken out is free behind the others. */
static void take_out(struct mu_alert_target *t, int i)
{
    int slot = t->order[i];
    memmove(t->order + i, t->order + i + 1, (MU_ALERT_QUEUE_MAX - 1 - (size_t)i) * sizeof t->order[0]);
    t->order[MU_ALERT_QUEUE_MAX - 1] = slot;
    t->n--;
}

static int oldest_of_least(const struct mu_alert_target *t)
{
    int least = 0;
    for (int i = 1; i < t->n; i++)
        if (t->note[t->order[i]].severity < t->note[t->order[least]].severity)
            least = i;
    return least;
}

/* In a full queue something is dropped: it, if all others say more. */
static void put(struct mu_alert_target *t, const struct mu_alert_note *n)
{
    if (t->n == MU_ALERT_QUEUE_MAX) {
        int least = oldest_of_least(t);
        t->all->counts.dropped++;
        if (t->note[t->order[least]].severity > n->severity)
            return;
        take_out(t, least);
    }
    t->note[t->order[t->n++]] = *n;
}

/* ---- repeats ---- */

/* A hash of kind and thing; what is about no thing goes by its sentence. */
static uint64_t which_of(const struct mu_alert_note *n)
{
    uint64_t h = mu_hash64(n->task, strlen(n->task), (uint64_t)n->kind);
    h = mu_hash64(n->about, strlen(n->about), h);
    return n->task[0] || n->about[0] ? h : mu_hash64(n->sentence, strlen(n->sentence), h);
}

/* A place for this kind and thing: its own, a free one, or that of the one sent longest ago. */
static struct recent *recent_of(struct mu_alerts *a, uint64_t which)
{
    struct recent *oldest = a->recent;
    for (int i = 0; i < a->n_recent; i++) {
        if (a->recent[i].which == which)
            return &a->recent[i];
        if (a->recent[i].sent_ns < oldest->sent_ns)
            oldest = &a->recent[i];
    }
    if (a->n_recent < MU_ALERT_THINGS_MAX)
        oldest = &a->recent[a->n_recent++];
    *oldest = (struct recent){.which = which, .sent_ns = INT64_MIN};
    return oldest;
}

static bool is_repeat(struct mu_alerts *a, struct mu_alert_note *n)
{
    struct recent *r = recent_of(a, which_of(n));
    int64_t now = mu_now_ns(a->o.clock);
    if (r->sent_ns != INT64_MIN && now - r->sent_ns < MU_ALERT_REPEAT_NS) {
        r->repeats++;
        a->counts.repeated++;
        return true;
    }
    n->repeats = r->repeats;
    r->repeats = 0;
    r->sent_ns = now;
    return false;
}

void mu_alert(struct mu_alerts *a, const struct mu_alert *alert)
{
    struct mu_alert_note n;
    if (!a || (unsigned)alert->kind >= MU_ALERT_KINDS)
        return;
    mu_alert_note_fill(&n, alert);
    pthread_mutex_lock(&a->lock);
    if (!a->is_ending && !is_repeat(a, &n)) {
        for (int i = 0; i < a->n_targets; i++)
            put(&a->target[i], &n);
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

/* ---- a target's thread ---- */

static void tell(struct mu_alert_target *t, const struct mu_alert_note *n, int rc, const struct mu_err *why)
{
    struct mu_alerts *a = t->all;
    struct mu_alert_told *told = &a->told[a->n_told % MU_ALERT_TOLD_MAX];
    char text[sizeof told->text + MU_ERR_TEXT_MAX];
    snprintf(text, sizeof text, "%s%s%s%s%s, to %s%s%s", mu_alert_kind_name(n->kind), n->task[0] ? " of " : "", n->task,
             n->about[0] ? " of " : "", n->about, t->name, rc == MU_OK ? "" : ": ", rc == MU_OK ? "" : why->text);
    told->kind = n->kind;
    told->has_failed = rc != MU_OK;
    told->target = (int)(t - a->target);
    mu_alert_copy(told->text, sizeof told->text, text);
    a->n_told++;
    a->n_polled = MU_MAX(a->n_polled, a->n_told - MU_ALERT_TOLD_MAX);
    *(rc == MU_OK ? &a->counts.sent : &a->counts.failed) += 1;
}

/* With the lock held: until something has changed, or for so long. */
static void wait_for(struct mu_alerts *a, int64_t ns)
{
    struct timespec at;
    int64_t end = mu_now_ns(mu_clock_real()) + MU_MAX(ns, 0);
    at = (struct timespec){.tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S};
    pthread_cond_timedwait(&a->changed, &a->lock, &at);
}

/* Between two tries; false: the end comes first. */
static bool rest(struct mu_alert_target *t, int n_failed)
{
    struct mu_alerts *a = t->all;
    int64_t due = mu_now_ns(mu_clock_real()) + mu_backoff_jittered_ns(&a->o.wait, n_failed, &t->random);
    bool has_time = true;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        int64_t left = due - mu_now_ns(mu_clock_real());
        has_time = due < (int64_t)atomic_load(&a->until_ns);
        if (left <= 0 || !has_time)
            break;
        wait_for(a, left);
    }
    pthread_mutex_unlock(&a->lock);
    return has_time;
}

static int send_all_tries(struct mu_alert_target *t, const struct mu_alert_note *n, struct mu_err *e)
{
    const struct mu_alerts_opts *o = &t->all->o;
    bool may_again = true;
    int tries = 0, rc;
    MU_TRY_RETURN(mu_alert_json(&t->body, n, o->campaign->name, o->host, e));
    do
        rc = t->send(t, mu_buf_str(&t->body), mu_now_ns(mu_clock_real()), &may_again, e);
    while (rc != MU_OK && may_again && ++tries < t->tries_max && rest(t, tries));
    if (rc != MU_OK && tries > 1)
        mu_err_while(e, rc, "at try %d of %d", MU_MIN(tries, t->tries_max), t->tries_max);
    return rc;
}

static void drop_all(struct mu_alert_target *t)
{
    t->all->counts.dropped += t->n;
    t->n = 0;
}

/* With the lock held, which it leaves for the time of the send. */
static void send_one(struct mu_alert_target *t)
{
    struct mu_alerts *a = t->all;
    struct mu_alert_note n = t->note[t->order[0]];
    struct mu_err why = MU_ERR_INIT;
    take_out(t, 0);
    t->is_sending = true;
    pthread_mutex_unlock(&a->lock);
    int rc = send_all_tries(t, &n, &why);
    pthread_mutex_lock(&a->lock);
    t->is_sending = false;
    if (rc == MU_OK)
        mu_breaker_worked(&t->breaker);
    else
        mu_breaker_failed(&t->breaker, mu_now_ns(mu_clock_real()), false);
    tell(t, &n, rc, &why);
    pthread_cond_broadcast(&a->changed);
}

static void *serve(void *arg)
{
    struct mu_alert_target *t = arg;
    struct mu_alerts *a = t->all;
    pthread_mutex_lock(&a->lock);
    while (t->n > 0 || !a->is_ending) {
        int64_t now = mu_now_ns(mu_clock_real());
        if (t->n == 0)
            pthread_cond_wait(&a->changed, &a->lock);
        else if (a->is_ending && now >= (int64_t)atomic_load(&a->until_ns))
            drop_all(t);
        else if (mu_breaker_admits(&t->breaker, now))
            send_one(t);
        else if (a->is_ending)
            drop_all(t); /* it has not answered for a while: it is not waited for now */
        else
            wait_for(a, mu_breaker_wait_ns(&t->breaker, now));
    }
    t->has_ended = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- opening and closing ---- */

/* Signals are for the threads that were there before. */
static int start_thread(struct mu_alert_target *t, struct mu_err *e)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&t->thread, NULL, serve, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    t->has_thread = error == 0;
    return error == 0 ? MU_OK : mu_fail(e, MU_ENOMEM, "a thread for alerts: %s", strerror(error));
}

static struct mu_alert_target *add_target(struct mu_alerts *a, const char *where)
{
    struct mu_alert_target *t = &a->target[a->n_targets++];
    *t = (struct mu_alert_target){
        .all = a, .where = where, .body = MU_BUF_INIT("an alert", MU_ALERT_BODY_BYTES), .tries_max = 1};
    t->random = (uint64_t)mu_now_ns(mu_clock_real());
    for (int i = 0; i < MU_ALERT_QUEUE_MAX; i++)
        t->order[i] = i;
    mu_breaker_init(&t->breaker, &breaker_rule, t->random | 1);
    return t;
}

static int add_targets(struct mu_alerts *a, struct mu_err *e)
{
    const struct mu_campaign_alerts *c = &a->o.campaign->alerts;
    if (c->command) {
        struct mu_alert_target *t = add_target(a, c->command);
        t->send = mu_alert_send_command;
        snprintf(t->name, sizeof t->name, "the command");
    }
    if (c->webhook) {
        struct mu_alert_target *t = add_target(a, c->webhook);
        char name[MU_ALERT_NAME_BYTES - 32];
        t->send = mu_alert_send_webhook;
        t->tries_max = MU_ALERT_TRIES;
        if (!mu_alert_webhook_name(c->webhook, name, sizeof name))
            return mu_fail(e, MU_EUSAGE, "alerts.webhook is no URL that begins with http:// or https:// and a host");
        snprintf(t->name, sizeof t->name, "the webhook at %s", name);
    }
    return MU_OK;
}

int mu_alerts_open(struct mu_alerts **out, const struct mu_alerts_opts *o, struct mu_err *e)
{
    struct mu_alerts *a = NULL;
    int rc = MU_OK;
    *out = NULL;
    if (!o->campaign->alerts.command && !o->campaign->alerts.webhook)
        return MU_OK;
    mu_json_init();
    MU_TRY_RETURN(MU_NEW(&a, "alerts", e));
    a->o = *o;
    a->o.clock = o->clock ? o->clock : mu_clock_real();
    a->o.wait = o->wait.first_ns > 0 ? o->wait : default_wait;
    atomic_init(&a->until_ns, INT64_MAX);
    pthread_mutex_init(&a->lock, NULL);
    mu_cond_init(&a->changed);
    MU_TRY(add_targets(a, e));
    MU_TRY(MU_NEW_ARRAY(&a->recent, MU_ALERT_THINGS_MAX, "alerts", e));
    MU_TRY(MU_NEW_ARRAY(&a->told, MU_ALERT_TOLD_MAX, "alerts", e));
    for (int i = 0; i < a->n_targets; i++)
        MU_TRY(MU_NEW_ARRAY(&a->target[i].note, MU_ALERT_QUEUE_MAX, "alerts", e));
    for (int i = 0; i < a->n_targets; i++)
        MU_TRY(start_thread(&a->target[i], e));
    *out = a;
    a = NULL;
out:
    mu_alerts_close(a);
    return rc;
}

bool mu_alerts_poll(struct mu_alerts *a, struct mu_alert_told *out)
{
    if (!a)
        return false;
    pthread_mutex_lock(&a->lock);
    bool is_new = a->n_polled < a->n_told;
    if (is_new)
        *out = a->told[a->n_polled++ % MU_ALERT_TOLD_MAX];
    pthread_mutex_unlock(&a->lock);
    return is_new;
}

void mu_alerts_counts(struct mu_alerts *a, struct mu_alerts_counts *out)
{
    *out = (struct mu_alerts_counts){0};
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    *out = a->counts;
    for (int i = 0; i < a->n_targets; i++)
        out->waiting += a->target[i].n + a->target[i].is_sending;
    pthread_mutex_unlock(&a->lock);
}

/* ---- the end ---- */

/* With the lock held: never later than before. */
static void end_within(struct mu_alerts *a, int64_t ns)
{
    int64_t until = mu_now_ns(mu_clock_real()) + ns;
    atomic_store(&a->until_ns, MU_MIN(until, (int64_t)atomic_load(&a->until_ns)));
    a->is_ending = true;
    pthread_cond_broadcast(&a->changed);
}

void mu_alerts_begin_end(struct mu_alerts *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    if (!a->is_ending)
        end_within(a, (int64_t)(a->o.campaign->alerts.timeout_s * 1e9));
    pthread_mutex_unlock(&a->lock);
}

void mu_alerts_cut_end(struct mu_alerts *a, int64_t left_ns)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    end_within(a, left_ns);
    pthread_mutex_unlock(&a->lock);
}

static bool has_ended(const struct mu_alerts *a)
{
    for (int i = 0; i < a->n_targets; i++)
        if (a->target[i].has_thread && !a->target[i].has_ended)
            return false;
    return true;
}

bool mu_alerts_wait_end(struct mu_alerts *a, int64_t ns)
{
    int64_t until = mu_now_ns(mu_clock_real()) + ns, left;
    if (!a)
        return true;
    pthread_mutex_lock(&a->lock);
    while (!has_ended(a) && (left = until - mu_now_ns(mu_clock_real())) > 0)
        wait_for(a, left);
    bool is_over = has_ended(a);
    pthread_mutex_unlock(&a->lock);
    return is_over;
}

void mu_alerts_drain(struct mu_alerts *a)
{
    if (!a)
        return;
    mu_alerts_begin_end(a);
    for (int i = 0; i < a->n_targets; i++) {
        if (a->target[i].has_thread)
            pthread_join(a->target[i].thread, NULL);
        a->target[i].has_thread = false;
    }
}

void mu_alerts_close(struct mu_alerts *a)
{
    if (!a)
        return;
    mu_alerts_drain(a);
    for (int i = 0; i < a->n_targets; i++) {
        mu_buf_fini(&a->target[i].body);
        mu_free(a->target[i].note);
    }
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    mu_free(a->recent);
    mu_free(a->told);
    mu_free(a);
}
