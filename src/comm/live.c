/* live.c - the liveness watch: one thread that beats, listens and judges
 *
 * The thread alone touches the connections. The owner asks by flags (`wants_*`) and the eventfd `wake`; what the thread
 * finds out goes the other way through `lost`, `n_joined` and `have_left`. The hub tells everybody of a loss before its
 * own owner can see it and end: a closed hub would be the news otherwise.
 *
 * Silence counts only while this thread itself was awake: after a gap of its own (the machine slept, the process was
 * stopped) everybody gets a fresh start. */
#include "comm/live.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/live_int.h"

#define STRANGERS_MAX 32
#define STRANGER_NS   2000000000ll /* for a connection to show the token */
#define GAP_NS        (3 * MU_LIVE_BEAT_NS)
#define SENT_NS       1000000000ll /* an abort or goodbye waits so long for the thread */
#define PAUSE_NS      1000000
#define RANKS_MAX     4096

struct loss {
    int rank;
    char sentence[MU_LIVE_TEXT_MAX + 1];
};

struct mu_live {
    int rank, n_ranks;
    char host[MU_LIVE_HOST_MAX];
    struct mu_live_where where; /* the hub's */
    int listener;               /* -1: listens no more, or no hub */
    int wake;
    struct mu_live_link *link; /* the hub's: [n_ranks], its own unused; a rank's: [1], the hub */
    int n_links;
    struct mu_live_link stranger[STRANGERS_MAX];
    int64_t stranger_since_ns[STRANGERS_MAX];
    struct pollfd *poll; /* wake, listener, strangers, links */
    int n_poll;
    int64_t beat_ns, awake_ns; /* next beat; last turn of the loop */
    pthread_t thread;
    bool has_thread, has_told_all_left;

    atomic_bool wants_leave, wants_abort, wants_end;
    atomic_bool is_abort_sent, have_left;
    atomic_int n_joined;  /* of the hub, itself counted */
    pthread_mutex_t lock; /* guards part, and whose turn it is to write a loss */
    int *part;            /* [n_ranks]; all 0 at first */
    struct loss *loss;    /* [n_ranks]: of a part the first, in the order of their coming */
    atomic_int n_losses;  /* published after the loss */
    atomic_int end;       /* the loss that ends this rank; -1: none */
};

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

static bool is_hub(const struct mu_live *l)
{
    return l->rank == 0;
}

/* Under the lock. What follows from a loss in its own part is no news, nor is anything after one in the hub's. */
static bool is_news(const struct mu_live *l, int rank)
{
    int n = atomic_load(&l->n_losses);
    for (int i = 0; i < n; i++) {
        int part = l->part[l->loss[i].rank];
        if (part == l->part[rank] || part == l->part[0])
            return false;
    }
    return true;
}

static const char *end_sentence(const struct mu_live *l)
{
    return l->loss[atomic_load(&l->end)].sentence;
}

/* Under the lock. */
static void find_end(struct mu_live *l)
{
    int n = atomic_load(&l->n_losses), end = -1;
    for (int i = n - 1; i >= 0; i--) {
        int part = l->part[l->loss[i].rank];
        if (part == l->part[l->rank] || part == l->part[0])
            end = i;
    }
    atomic_store(&l->end, end);
}

static void publish(struct mu_live *l, int rank, const char *sentence)
{
    pthread_mutex_lock(&l->lock);
    if (is_news(l, rank)) {
        int i = atomic_load(&l->n_losses);
        l->loss[i].rank = rank;
        (void)snprintf(l->loss[i].sentence, sizeof l->loss[i].sentence, "%s", sentence);
        atomic_store(&l->n_losses, i + 1);
        find_end(l);
    }
    pthread_mutex_unlock(&l->lock);
}

static void lose(struct mu_live *l, int rank, const char *sentence)
{
    pthread_mutex_lock(&l->lock);
    bool is_told = !is_news(l, rank);
    pthread_mutex_unlock(&l->lock);
    if (is_told)
        return;
    for (int i = 0; is_hub(l) && i < l->n_links; i++)
        (void)mu_live_link_say(&l->link[i], MU_LIVE_LOST, rank, sentence);
    publish(l, rank, sentence);
}

static void lose_link(struct mu_live *l, struct mu_live_link *k, const char *how)
{
    char text[MU_LIVE_TEXT_MAX + 1];
    (void)snprintf(text, sizeof text, "rank %d on %s (process %ld) %s", k->rank, k->host, k->pid, how);
    mu_live_link_close(k);
    lose(l, k->rank, text);
}

/* ---- what the peers say ---- */

static void on_end(struct mu_live *l, struct mu_live_link *k)
{
    char how[160];
    int why = errno;
    if (k->has_left) {
        mu_live_link_close(k);
    } else if (why == 0 || why == ECONNRESET || why == EPIPE) {
        lose_link(l, k, "ended");
    } else {
        (void)snprintf(how, sizeof how, "cannot be reached from %s: %s", l->host, strerror(why));
        lose_link(l, k, how);
    }
}

static void on_abort(struct mu_live *l, struct mu_live_link *k, const char *why)
{
    char how[MU_LIVE_TEXT_MAX + 1];
    (void)snprintf(how, sizeof how, "gave up: %.*s", MU_LIVE_TEXT_MAX - 200, why);
    lose_link(l, k, how);
}

static void obey(struct mu_live *l, struct mu_live_link *k, const struct mu_live_frame *f)
{
    switch (f->kind) {
    case MU_LIVE_LEAVING:
        k->is_leaving = true;
        break;
    case MU_LIVE_ALL_LEFT:
        k->has_left = true; /* the hub may go from now on */
        atomic_store(&l->have_left, true);
        break;
    case MU_LIVE_BYE:
        k->is_leaving = k->has_left = true;
        break;
    case MU_LIVE_ABORT:
        on_abort(l, k, f->text);
        break;
    case MU_LIVE_LOST:
        if (f->rank < l->n_ranks)
            lose(l, f->rank, f->text);
        break;
    default:
        break; /* a beat */
    }
}

static void hear_link(struct mu_live *l, struct mu_live_link *k)
{
    struct mu_live_frame f;
    while (k->fd >= 0) {
        switch (mu_live_link_hear(k, &f)) {
        case MU_LIVE_FRAME:
            k->heard_ns = now_ns();
            obey(l, k, &f);
            break;
        case MU_LIVE_NOTHING:
            return;
        case MU_LIVE_END:
            on_end(l, k);
            return;
        case MU_LIVE_NONSENSE:
            lose_link(l, k, "sent what its liveness watch cannot mean");
            return;
        }
    }
}

/* ---- the hub's door ---- */

static void admit(struct mu_live *l, struct mu_live_link *s, const struct mu_live_frame *f)
{
    char token[MU_LIVE_TOKEN_CHARS + 1], text[MU_LIVE_TEXT_MAX];
    int n_ranks = 0;
    bool is_ours = f->kind == MU_LIVE_HELLO && f->rank > 0 && f->rank < l->n_ranks && l->link[f->rank].fd < 0 &&
                   sscanf(f->text, "%32s %d %ld %63s", token, &n_ranks, &s->pid, s->host) == 4 &&
                   strcmp(token, l->where.token) == 0 && n_ranks == l->n_ranks;
    (void)snprintf(text, sizeof text, "%s %ld %s", l->where.answer, (long)getpid(), l->host);
    if (!is_ours || !mu_live_link_say(s, MU_LIVE_WELCOME, 0, text)) {
        mu_live_link_close(s);
        return;
    }
    struct mu_live_link *k = &l->link[f->rank];
    *k = *s;
    k->rank = f->rank;
    k->heard_ns = now_ns();
    s->fd = -1;
    atomic_fetch_add(&l->n_joined, 1);
    if (atomic_load(&l->end) >= 0)
        (void)mu_live_link_say(k, MU_LIVE_LOST, l->loss[atomic_load(&l->end)].rank, end_sentence(l));
    hear_link(l, k); /* what came with the first frame */
}

static void hear_stranger(struct mu_live *l, int i)
{
    struct mu_live_frame f;
    struct mu_live_link *s = &l->stranger[i];
    switch (mu_live_link_hear(s, &f)) {
    case MU_LIVE_FRAME:
        admit(l, s, &f);
        break;
    case MU_LIVE_NOTHING:
        if (now_ns() - l->stranger_since_ns[i] > STRANGER_NS)
            mu_live_link_close(s);
        break;
    default:
        mu_live_link_close(s);
    }
}

/* A place at the door: a free one, else that of who has been standing there longest. */
static int place_at_door(struct mu_live *l)
{
    int oldest = 0;
    for (int i = 0; i < STRANGERS_MAX; i++) {
        if (l->stranger[i].fd < 0)
            return i;
        if (l->stranger_since_ns[i] < l->stranger_since_ns[oldest])
            oldest = i;
    }
    mu_live_link_close(&l->stranger[oldest]);
    return oldest;
}

static void shut_door(struct mu_live *l)
{
    for (int i = 0; i < STRANGERS_MAX; i++)
        mu_live_link_close(&l->stranger[i]);
    if (l->listener >= 0)
        close(l->listener);
    l->listener = -1;
}

static void mind_door(struct mu_live *l)
{
    if (l->listener < 0)
        return;
    for (int n = 0; n < STRANGERS_MAX; n++) { /* a flood must not keep the loop from its other work */
        int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        int i = place_at_door(l);
        mu_live_link_open(&l->stranger[i], fd, now_ns());
        l->stranger_since_ns[i] = now_ns();
        hear_stranger(l, i);
    }
    for (int i = 0; i < STRANGERS_MAX; i++)
        if (l->stranger[i].fd >= 0)
            hear_stranger(l, i);
    if (atomic_load(&l->n_joined) == l->n_ranks)
        shut_door(l);
}

/* ---- what the owner wants ---- */

static void say_to_all(struct mu_live *l, int kind, const char *text)
{
    for (int i = 0; i < l->n_links; i++)
        (void)mu_live_link_say(&l->link[i], kind, l->rank, text);
}

static void obey_owner(struct mu_live *l)
{
    uint64_t n;
    (void)!read(l->wake, &n, sizeof n);
    if (atomic_load(&l->wants_abort) && !atomic_load(&l->is_abort_sent)) {
        if (is_hub(l))
            say_to_all(l, MU_LIVE_LOST, end_sentence(l));
        else
            say_to_all(l, MU_LIVE_ABORT, end_sentence(l));
        atomic_store(&l->is_abort_sent, true);
    }
    if (atomic_load(&l->wants_leave) && !is_hub(l) && !l->has_told_all_left) {
        say_to_all(l, MU_LIVE_LEAVING, NULL);
        l->has_told_all_left = true;
    }
}

/* Nobody waits for what is left of a broken part. */
static bool is_part_lost(struct mu_live *l, int rank)
{
    pthread_mutex_lock(&l->lock);
    bool is_lost = !is_news(l, rank);
    pthread_mutex_unlock(&l->lock);
    return is_lost;
}

static void see_whether_all_left(struct mu_live *l)
{
    if (!is_hub(l) || l->has_told_all_left || !atomic_load(&l->wants_leave) || atomic_load(&l->n_joined) < l->n_ranks ||
        atomic_load(&l->end) >= 0)
        return;
    for (int i = 1; i < l->n_links; i++)
        if (!l->link[i].is_leaving && !is_part_lost(l, i))
            return;
    for (int i = 1; i < l->n_links; i++) {
        (void)mu_live_link_say(&l->link[i], MU_LIVE_ALL_LEFT, 0, NULL);
        l->link[i].has_left = true;
    }
    l->has_told_all_left = true;
    atomic_store(&l->have_left, true);
}

/* ---- the loop ---- */

static void judge_silence(struct mu_live *l, int64_t now)
{
    char how[160];
    bool was_away = now - l->awake_ns > GAP_NS;
    for (int i = 0; i < l->n_links; i++) {
        struct mu_live_link *k = &l->link[i];
        if (was_away)
            k->heard_ns = now;
        if (k->fd < 0 || k->has_left || now - k->heard_ns <= MU_LIVE_SILENCE_NS)
            continue;
        (void)snprintf(how, sizeof how, "has been silent for %.1f s: it was stopped, or the network to %s is cut",
                       (double)(now - k->heard_ns) / 1e9, l->host);
        lose_link(l, k, how);
    }
}

static void beat(struct mu_live *l, int64_t now)
{
    if (now < l->beat_ns)
        return;
    say_to_all(l, MU_LIVE_BEAT, NULL);
    l->beat_ns = now + MU_LIVE_BEAT_NS;
}

static void sleep_a_while(struct mu_live *l)
{
    struct pollfd *p = l->poll;
    *p++ = (struct pollfd){.fd = l->wake, .events = POLLIN};
    *p++ = (struct pollfd){.fd = l->listener, .events = POLLIN};
    for (int i = 0; i < STRANGERS_MAX; i++)
        *p++ = (struct pollfd){.fd = l->stranger[i].fd, .events = POLLIN};
    for (int i = 0; i < l->n_links; i++)
        *p++ = (struct pollfd){.fd = l->link[i].fd, .events = POLLIN};
    int64_t left = l->beat_ns - now_ns();
    (void)poll(l->poll, (nfds_t)l->n_poll, left > 0 ? (int)(left / 1000000 + 1) : 0);
}

static void *watch(void *arg)
{
    struct mu_live *l = arg;
    for (bool is_over = false; !is_over;) {
        is_over = atomic_load(&l->wants_end); /* one more turn, for what the owner asked before */
        if (!is_over)
            sleep_a_while(l);
        obey_owner(l);
        mind_door(l);
        for (int i = 0; i < l->n_links; i++)
            hear_link(l, &l->link[i]);
        see_whether_all_left(l);
        int64_t now = now_ns();
        judge_silence(l, now);
        beat(l, now);
        l->awake_ns = now;
    }
    if (atomic_load(&l->end) < 0)
        say_to_all(l, MU_LIVE_BYE, NULL); /* who ends of a loss is one: not all need to know of the first */
    return NULL;
}

/* No signal is for this thread. */
static int start_thread(struct mu_live *l, struct mu_err *e)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    l->awake_ns = now_ns();
    l->beat_ns = l->awake_ns;
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&l->thread, NULL, watch, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->has_thread = err == 0;
    return err == 0 ? MU_OK : mu_fail(e, MU_ENOMEM, "cannot start the liveness watch: %s", strerror(err));
}

/* ---- the face ---- */

static int new_live(struct mu_live **out, int rank, int n_ranks, const char *host, struct mu_err *e)
{
    struct mu_live *l = NULL;
    int rc = MU_OK;
    if (n_ranks < 1 || n_ranks > RANKS_MAX || rank < 0 || rank >= n_ranks)
        return mu_fail(e, MU_EINVAL, "rank %d of %d: a liveness watch is for 1..%d ranks", rank, n_ranks, RANKS_MAX);
    MU_TRY(MU_NEW(&l, "the liveness watch", e));
    l->rank = rank;
    l->n_ranks = n_ranks;
    l->listener = l->wake = -1;
    for (int i = 0; i < STRANGERS_MAX; i++)
        l->stranger[i].fd = -1;
    atomic_store(&l->end, -1);
    atomic_store(&l->n_joined, 1);
    pthread_mutex_init(&l->lock, NULL);
    (void)snprintf(l->host, sizeof l->host, "%s", host && *host ? host : "?");
    *out = l;
    MU_TRY(MU_NEW_ARRAY(&l->link, rank == 0 ? n_ranks : 1, "the liveness watch", e));
    l->n_links = rank == 0 ? n_ranks : 1;
    for (int i = 0; i < l->n_links; i++)
        l->link[i] = (struct mu_live_link){.fd = -1, .rank = i};
    MU_TRY(MU_NEW_ARRAY(&l->part, n_ranks, "the liveness watch", e));
    MU_TRY(MU_NEW_ARRAY(&l->loss, n_ranks, "the liveness watch", e));
    l->n_poll = 2 + STRANGERS_MAX + l->n_links;
    MU_TRY(MU_NEW_ARRAY(&l->poll, l->n_poll, "the liveness watch", e));
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake < 0)
        rc = mu_fail(e, MU_EIO, "the liveness watch gets no eventfd: %s", strerror(errno));
out:
    return rc;
}

int mu_live_open_hub(struct mu_live **out, int n_ranks, const char *host, bool is_one_node,
                     char where[MU_LIVE_WHERE_MAX], struct mu_err *e)
{
    struct mu_live *l = NULL;
    int rc = MU_OK;
    MU_TRY(new_live(&l, 0, n_ranks, host, e));
    MU_TRY(mu_live_where_make(&l->where, l->host, is_one_node, &l->listener, e));
    mu_live_where_print(&l->where, where);
    MU_TRY(start_thread(l, e));
    *out = l;
    l = NULL;
out:
    mu_live_close(l);
    return rc;
}

int mu_live_open_rank(struct mu_live **out, int rank, int n_ranks, const char *host, const char *where,
                      struct mu_err *e)
{
    struct mu_live *l = NULL;
    int rc = MU_OK;
    if (rank == 0)
        return mu_fail(e, MU_EINVAL, "rank 0 is the hub of the liveness watch and cannot join it");
    MU_TRY(new_live(&l, rank, n_ranks, host, e));
    MU_TRY(mu_live_where_parse(&l->where, where, e));
    MU_TRY(mu_live_find_hub(&l->link[0], &l->where, rank, n_ranks, l->host, now_ns() + MU_LIVE_JOIN_NS, e));
    MU_TRY(start_thread(l, e));
    *out = l;
    l = NULL;
out:
    mu_live_close(l);
    return rc;
}

static void nap(void)
{
    const struct timespec pause = {0, PAUSE_NS};
    (void)nanosleep(&pause, NULL);
}

int mu_live_await_all(struct mu_live *l, int64_t timeout_ns, struct mu_err *e)
{
    int64_t deadline = now_ns() + timeout_ns;
    while (atomic_load(&l->n_joined) < l->n_ranks && atomic_load(&l->end) < 0) {
        if (now_ns() >= deadline)
            return mu_fail(e, MU_ETIMEDOUT,
                           "%d of %d ranks have found the liveness watch of rank 0 on %s after %.1f s: the others "
                           "ended, or a firewall keeps them away",
                           atomic_load(&l->n_joined), l->n_ranks, l->host, (double)timeout_ns / 1e9);
        nap();
    }
    return atomic_load(&l->end) < 0 ? MU_OK : mu_fail(e, MU_EPEER, "%s", end_sentence(l));
}

int mu_live_lost(const struct mu_live *l, const char **sentence)
{
    int i = atomic_load_explicit(&l->end, memory_order_acquire);
    return i < 0 ? -1 : mu_live_loss(l, i, sentence);
}

int mu_live_loss(const struct mu_live *l, int i, const char **sentence)
{
    if (i >= atomic_load_explicit(&l->n_losses, memory_order_acquire))
        return -1;
    if (sentence)
        *sentence = l->loss[i].sentence;
    return l->loss[i].rank;
}

void mu_live_set_parts(struct mu_live *l, const int *part)
{
    pthread_mutex_lock(&l->lock);
    memcpy(l->part, part, (size_t)l->n_ranks * sizeof *part);
    find_end(l);
    pthread_mutex_unlock(&l->lock);
}

static void wake(struct mu_live *l)
{
    uint64_t one = 1;
    (void)!write(l->wake, &one, sizeof one);
}

void mu_live_abort(struct mu_live *l, const char *sentence)
{
    char text[MU_LIVE_TEXT_MAX + 1];
    int64_t deadline = now_ns() + SENT_NS;
    if (atomic_load(&l->end) >= 0)
        return; /* there is a reason already */
    /* The hub's own is told as it stands; a rank's gets its name from the hub. */
    if (is_hub(l))
        (void)snprintf(text, sizeof text, "rank 0 on %s (process %ld) gave up: %.*s", l->host, (long)getpid(),
                       MU_LIVE_TEXT_MAX - 200, sentence);
    else
        (void)snprintf(text, sizeof text, "%.*s", MU_LIVE_TEXT_MAX - 200, sentence);
    publish(l, l->rank, text);
    atomic_store(&l->wants_abort, mu_live_lost(l, NULL) == l->rank);
    wake(l);
    while (atomic_load(&l->wants_abort) && !atomic_load(&l->is_abort_sent) && now_ns() < deadline)
        nap();
}

void mu_live_leave(struct mu_live *l)
{
    atomic_store(&l->wants_leave, true);
    wake(l);
}

bool mu_live_have_all_left(const struct mu_live *l)
{
    return atomic_load(&l->have_left);
}

void mu_live_close(struct mu_live *l)
{
    if (!l)
        return;
    if (l->has_thread) {
        atomic_store(&l->wants_end, true);
        wake(l);
        pthread_join(l->thread, NULL);
    }
    shut_door(l);
    for (int i = 0; i < l->n_links; i++)
        mu_live_link_close(&l->link[i]);
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->lock);
    mu_free(l->part);
    mu_free(l->loss);
    mu_free(l->poll);
    mu_free(l->link);
    mu_free(l);
}
