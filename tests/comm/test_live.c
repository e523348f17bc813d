/* test_live.c - the liveness watch: orderly ends, deaths, stopped processes, strangers
 *
 * Ranks are processes where one has to die or stop, else several watches of this process. Bounds on time are those the
 * header promises, with a second for a busy machine. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/live_int.h"
#include "xt.h"

#define SLACK_NS  1500000000ll
#define AT_ONCE   SLACK_NS
#define IN_A_BEAT (MU_LIVE_SILENCE_NS + 2 * MU_LIVE_BEAT_NS + SLACK_NS)
#define RANKS     4

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

static void sleep_ms(int ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static int await_lost(const struct mu_live *l, int64_t ns, const char **sentence)
{
    int64_t until = now_ns() + ns;
    int lost;
    while ((lost = mu_live_lost(l, sentence)) < 0 && now_ns() < until)
        sleep_ms(2);
    return lost;
}

/* ---- ranks of this process ---- */

struct band {
    int n;
    char where[MU_LIVE_WHERE_MAX];
    struct mu_live *live[RANKS];
};

static void open_band(struct band *b, int n)
{
    struct mu_err err = MU_ERR_INIT;
    char host[16];
    *b = (struct band){.n = n};
    XT_OK(mu_live_open_hub(&b->live[0], n, "host0", true, b->where, &err));
    for (int r = 1; r < n; r++) {
        (void)snprintf(host, sizeof host, "host%d", r);
        XT_OK(mu_live_open_rank(&b->live[r], r, n, host, b->where, &err));
    }
    XT_OK(mu_live_await_all(b->live[0], MU_LIVE_JOIN_NS, &err));
}

static void close_band(struct band *b)
{
    for (int r = b->n - 1; r >= 0; r--)
        mu_live_close(b->live[r]);
}

static bool have_all_left(const struct band *b, int64_t ns)
{
    int64_t until = now_ns() + ns;
    for (int r = 0; r < b->n; r++)
        while (!mu_live_have_all_left(b->live[r])) {
            if (now_ns() > until)
                return false;
            sleep_ms(2);
        }
    return true;
}

XT_TEST(all_leave_and_nobody_is_lost)
{
    struct band b;
    open_band(&b, RANKS);
    for (int r = 0; r < RANKS - 1; r++)
        mu_live_leave(b.live[r]);
    sleep_ms(300);
    XT_CHECK(!mu_live_have_all_left(b.live[0]) && !mu_live_have_all_left(b.live[1]));
    mu_live_leave(b.live[RANKS - 1]);
    XT_CHECK(have_all_left(&b, AT_ONCE));
    for (int r = 0; r < RANKS; r++)
        XT_EQ(mu_live_lost(b.live[r], NULL), -1);
    close_band(&b);
}

XT_TEST(a_goodbye_is_no_death)
{
    struct band b;
    open_band(&b, RANKS);
    mu_live_close(b.live[2]);
    b.live[2] = NULL;
    sleep_ms(300);
    for (int r = 0; r < RANKS; r++)
        XT_CHECK(!b.live[r] || mu_live_lost(b.live[r], NULL) == -1);
    mu_live_close(b.live[0]); /* the hub's neither */
    b.live[0] = NULL;
    sleep_ms(300);
    XT_EQ(mu_live_lost(b.live[1], NULL), -1);
    close_band(&b);
}

XT_TEST(one_rank_needs_nobody)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_live *l;
    char where[MU_LIVE_WHERE_MAX];
    XT_OK(mu_live_open_hub(&l, 1, "host0", false, where, &err));
    XT_OK(mu_live_await_all(l, 1, &err));
    mu_live_leave(l);
    sleep_ms(100);
    XT_CHECK(mu_live_have_all_left(l));
    mu_live_close(l);
    mu_live_close(NULL);
}

XT_TEST(an_abort_is_told_to_all)
{
    const char *text = "";
    struct band b;
    open_band(&b, RANKS);
    mu_live_abort(b.live[2], "no space left on /scratch\nand more");
    for (int r = 0; r < RANKS; r++)
        XT_EQ(await_lost(b.live[r], AT_ONCE, &text), 2);
    XT_CHECK(strstr(text, "rank 2 on host2 (process ") && strstr(text, " gave up: no space left on /scratch and more"));
    mu_live_abort(b.live[1], "a second reason"); /* the first loss stays */
    XT_EQ(await_lost(b.live[3], AT_ONCE, &text), 2);
    close_band(&b);
    open_band(&b, RANKS);
    mu_live_abort(b.live[0], "asked to");
    for (int r = 0; r < RANKS; r++)
        XT_EQ(await_lost(b.live[r], AT_ONCE, &text), 0);
    XT_CHECK(strstr(text, "rank 0 on host0 (process ") && strstr(text, "gave up: asked to"));
    close_band(&b);
}

XT_TEST(a_part_is_lost_alone)
{
    static const int part[RANKS] = {0, 0, 1, 1};
    const char *text = "";
    struct band b;
    open_band(&b, RANKS);
    for (int r = 0; r < RANKS; r++)
        mu_live_set_parts(b.live[r], part);
    mu_live_abort(b.live[3], "out of memory");
    XT_EQ(await_lost(b.live[2], AT_ONCE, &text), 3);
    XT_CHECK(strstr(text, "rank 3 on host3 (process ") && strstr(text, "out of memory"));
    mu_live_close(b.live[2]); /* ends of it, which is no news */
    b.live[2] = NULL;
    sleep_ms(300);
    for (int r = 0; r < 2; r++) {
        XT_EQ(mu_live_lost(b.live[r], NULL), -1);
        XT_EQ(mu_live_loss(b.live[r], 0, &text), 3);
        XT_EQ(mu_live_loss(b.live[r], 1, NULL), -1);
        mu_live_leave(b.live[r]);
    }
    for (int r = 0; r < 2; r++)
        while (!mu_live_have_all_left(b.live[r]))
            sleep_ms(2); /* nobody waits for a broken part */
    close_band(&b);
}

XT_TEST(the_hubs_part_is_everybodys)
{
    static const int part[RANKS] = {0, 0, 1, 2};
    struct band b;
    open_band(&b, RANKS);
    for (int r = 0; r < RANKS; r++)
        mu_live_set_parts(b.live[r], part);
    mu_live_abort(b.live[3], "one");
    mu_live_abort(b.live[1], "two");
    for (int r = 0; r < 3; r++)
        XT_EQ(await_lost(b.live[r], AT_ONCE, NULL), 1);
    mu_live_abort(b.live[2], "three"); /* after the end nothing is news */
    sleep_ms(100);
    XT_EQ(mu_live_loss(b.live[0], 2, NULL), -1);
    close_band(&b);
}

XT_TEST(who_comes_after_a_loss_hears_of_it)
{
    struct mu_err err = MU_ERR_INIT;
    struct band b = {.n = 3};
    XT_OK(mu_live_open_hub(&b.live[0], 3, "host0", true, b.where, &err));
    XT_OK(mu_live_open_rank(&b.live[1], 1, 3, "host1", b.where, &err));
    mu_live_abort(b.live[1], "out of memory");
    XT_EQ(await_lost(b.live[0], AT_ONCE, NULL), 1);
    XT_FAILS(mu_live_await_all(b.live[0], MU_LIVE_JOIN_NS, &err), MU_EPEER, "out of memory");
    XT_OK(mu_live_open_rank(&b.live[2], 2, 3, "host2", b.where, &err));
    XT_EQ(await_lost(b.live[2], AT_ONCE, NULL), 1);
    close_band(&b);
}

/* ---- ranks that are processes ---- */

struct told {
    int lost;
    int64_t at_ns; /* CLOCK_MONOTONIC is one for all processes */
    char text[MU_ERR_TEXT_MAX];
};

struct child {
    pid_t pid;
    int where_fd, told_fd; /* where goes in (out, of a hub), what it learned comes out */
};

static void be_rank(int rank, int where_fd, int told_fd)
{
    struct told t = {.lost = -2};
    struct mu_live *l = NULL;
    struct mu_err err = MU_ERR_INIT;
    char where[MU_LIVE_WHERE_MAX];
    const char *text = "";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (rank == 0) {
        if (mu_live_open_hub(&l, RANKS, "host0", true, where, &err) == MU_OK &&
            write(told_fd, where, sizeof where) == (ssize_t)sizeof where)
            t.lost = await_lost(l, 30000000000ll, &text);
    } else if (read(where_fd, where, sizeof where) == (ssize_t)sizeof where &&
               mu_live_open_rank(&l, rank, RANKS, "elsewhere", where, &err) == MU_OK) {
        t.lost = await_lost(l, 30000000000ll, &text);
    }
    t.at_ns = now_ns();
    (void)snprintf(t.text, sizeof t.text, "%s", l ? text : err.text);
    (void)!write(told_fd, &t, sizeof t);
    _exit(0);
}

static struct child start_rank(int rank)
{
    int in[2], out[2];
    XT_CHECK(pipe(in) == 0 && pipe(out) == 0);
    pid_t pid = fork();
    if (pid == 0)
        be_rank(rank, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    return (struct child){.pid = pid, .where_fd = in[1], .told_fd = out[0]};
}

static void read_all(int fd, void *p, size_t n)
{
    struct pollfd w = {.fd = fd, .events = POLLIN};
    XT_CHECKF(poll(&w, 1, 20000) == 1 && read(fd, p, n) == (ssize_t)n, "a rank said nothing");
}

static void end_child(struct child *c)
{
    (void)kill(c->pid, SIGKILL);
    (void)waitpid(c->pid, NULL, 0);
    close(c->where_fd);
    close(c->told_fd);
}

/* Four processes; victim gets the signal after a moment; all others must name it within `bound`. */
static void lose_one(int victim, int sig, int64_t bound, const char *part)
{
    struct child c[RANKS];
    char where[MU_LIVE_WHERE_MAX], name[64];
    for (int r = 0; r < RANKS; r++)
        c[r] = start_rank(r);
    read_all(c[0].told_fd, where, sizeof where);
    for (int r = 1; r < RANKS; r++)
        XT_CHECK(write(c[r].where_fd, where, sizeof where) == (ssize_t)sizeof where);
    sleep_ms(1200); /* joined, and some beats old */
    int64_t began = now_ns();
    (void)kill(c[victim].pid, sig);
    (void)snprintf(name, sizeof name, "rank %d on %s (process %d)", victim, victim ? "elsewhere" : "host0",
                   (int)c[victim].pid);
    for (int r = 0; r < RANKS; r++) {
        struct told t;
        if (r == victim)
            continue;
        read_all(c[r].told_fd, &t, sizeof t);
        XT_CHECKF(t.lost == victim, "rank %d lost rank %d: %s", r, t.lost, t.text);
        XT_CHECKF(strstr(t.text, name) && strstr(t.text, part), "rank %d: %s", r, t.text);
        XT_CHECKF(t.at_ns - began < bound, "rank %d noticed after %.2f s", r, (double)(t.at_ns - began) / 1e9);
    }
    for (int r = 0; r < RANKS; r++)
        end_child(&c[r]);
}

XT_TEST(a_killed_rank_is_noticed_at_once)
{
    lose_one(2, SIGKILL, AT_ONCE, "ended");
}

XT_TEST(a_killed_hub_is_noticed_at_once)
{
    lose_one(0, SIGKILL, AT_ONCE, "ended");
}

XT_TEST(a_stopped_rank_is_noticed_by_its_silence)
{
    lose_one(3, SIGSTOP, IN_A_BEAT, "has been silent for 5");
}

XT_TEST(a_stopped_hub_is_noticed_by_its_silence)
{
    lose_one(0, SIGSTOP, IN_A_BEAT, "has been silent for 5");
}

/* ---- strangers ---- */

static int knock(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    XT_CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool is_sent_away(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, ms) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static int door(const char *where)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_live_where w;
    XT_OK(mu_live_where_parse(&w, where, &err));
    return w.port;
}

XT_TEST(strangers_are_sent_away)
{
    struct mu_err err = MU_ERR_INIT;
    struct band b = {.n = 2};
    unsigned char hello[MU_LIVE_FRAME_MAX];
    XT_OK(mu_live_open_hub(&b.live[0], 2, "host0", true, b.where, &err));
    int port = door(b.where);
    int nonsense = knock(port), wrong = knock(port), silent = knock(port), half = knock(port);
    XT_CHECK(send(nonsense, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    size_t n = mu_live_frame_write(hello, MU_LIVE_HELLO, 1, "00000000000000000000000000000000 2 1 elsewhere");
    XT_CHECK(send(wrong, hello, n, MSG_NOSIGNAL) == (ssize_t)n);
    XT_CHECK(send(half, hello, 5, MSG_NOSIGNAL) == 5);
    XT_CHECK(is_sent_away(nonsense, 1500));
    XT_CHECK(is_sent_away(wrong, 1500));
    XT_CHECK(is_sent_away(silent, 4000)); /* two seconds to say a word */
    XT_CHECK(is_sent_away(half, 4000));
    XT_OK(mu_live_open_rank(&b.live[1], 1, 2, "host1", b.where, &err));
    XT_OK(mu_live_await_all(b.live[0], AT_ONCE, &err));
    sleep_ms(50);
    XT_EQ(knock(port), -1); /* complete: nobody listens */
    XT_EQ(mu_live_lost(b.live[0], NULL), -1);
    close(nonsense), close(wrong), close(silent), close(half);
    close_band(&b);
}

static void *flood(void *arg)
{
    int fd[400];
    for (int i = 0; i < 400; i++) {
        fd[i] = knock(*(int *)arg);
        if (fd[i] >= 0)
            (void)send(fd[i], "\377\377\377\377\377\377\377\377\377\377", (size_t)(i % 11), MSG_NOSIGNAL);
    }
    for (int i = 0; i < 400; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return NULL;
}

XT_TEST(a_flood_keeps_nobody_out)
{
    struct mu_err err = MU_ERR_INIT;
    struct band b = {.n = RANKS};
    pthread_t thread;
    XT_OK(mu_live_open_hub(&b.live[0], RANKS, "host0", true, b.where, &err));
    int port = door(b.where);
    XT_EQ(pthread_create(&thread, NULL, flood, &port), 0);
    for (int r = 1; r < RANKS; r++)
        XT_OK(mu_live_open_rank(&b.live[r], r, RANKS, "host1", b.where, &err));
    XT_OK(mu_live_await_all(b.live[0], AT_ONCE, &err));
    pthread_join(thread, NULL);
    for (int r = 0; r < RANKS; r++)
        XT_EQ(mu_live_lost(b.live[r], NULL), -1);
    close_band(&b);
}

/* A hub that is none: it accepts and talks. */
static void *false_hub(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    unsigned char p[MU_LIVE_FRAME_MAX];
    size_t n = mu_live_frame_write(p, MU_LIVE_WELCOME, 0, "00000000000000000000000000000000 1 elsewhere");
    (void)send(fd, p, n, MSG_NOSIGNAL);
    sleep_ms(200);
    close(fd);
    return NULL;
}

XT_TEST(a_rank_believes_no_false_hub)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_live_where w;
    struct mu_live_link k = {.fd = -1};
    pthread_t thread;
    int listener;
    XT_OK(mu_live_where_make(&w, "host0", true, &listener, &err));
    (void)fcntl(listener, F_SETFL, 0); /* to wait in accept() */
    XT_EQ(pthread_create(&thread, NULL, false_hub, &listener), 0);
    XT_FAILS(mu_live_find_hub(&k, &w, 1, 2, "host1", now_ns() + 400000000, &err), MU_EPEER,
             "rank 1 on host1 cannot reach the liveness watch of rank 0 on host0");
    pthread_join(thread, NULL);
    close(listener);
}

/* ---- refusals, and what is read ---- */

XT_TEST(who_does_not_come_is_missed)
{
    struct mu_err err = MU_ERR_INIT;
    struct band b = {.n = 3};
    XT_OK(mu_live_open_hub(&b.live[0], 3, "host0", true, b.where, &err));
    XT_OK(mu_live_open_rank(&b.live[1], 1, 3, "host1", b.where, &err));
    XT_FAILS(mu_live_await_all(b.live[0], 200000000, &err), MU_ETIMEDOUT, "2 of 3 ranks");
    close_band(&b);
}

XT_TEST(what_is_no_place_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_live *l = NULL;
    XT_FAILS(mu_live_open_rank(&l, 1, 2, "host1", "", &err), MU_EFORMAT, "rank 0 told no place");
    XT_FAILS(mu_live_open_rank(&l, 1, 2, "host1", "muster-live-2 x", &err), MU_EFORMAT, "rank 0 told no place");
    XT_FAILS(mu_live_open_rank(&l, 2, 2, "host1", "", &err), MU_EINVAL, "rank 2 of 2");
    XT_FAILS(mu_live_open_rank(&l, 0, 2, "host1", "", &err), MU_EINVAL, "rank 0 is the hub");
    XT_CHECK(!l);
}

XT_TEST(a_place_is_what_was_printed)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_live_where w = {.host = "node7", .port = 4711, .n_addrs = MU_LIVE_ADDRS_MAX}, back;
    char text[MU_LIVE_WHERE_MAX];
    memset(w.token, 'a', MU_LIVE_TOKEN_CHARS);
    memset(w.answer, '5', MU_LIVE_TOKEN_CHARS);
    for (int i = 0; i < w.n_addrs; i++)
        (void)snprintf(w.addr[i], sizeof w.addr[i], "2001:db8:1111:2222:3333:4444:5555:66%02x", i & 0xff);
    (void)snprintf(w.addr[w.n_addrs - 1], sizeof w.addr[0], "127.0.0.1");
    mu_live_where_print(&w, text);
    XT_OK(mu_live_where_parse(&back, text, &err));
    XT_STREQ(back.host, "node7");
    XT_STREQ(back.token, w.token);
    XT_EQ(back.port, 4711);
    XT_CHECK(back.n_addrs > 8 && back.n_addrs < MU_LIVE_ADDRS_MAX); /* not all fit, the last one does */
    XT_STREQ(back.addr[0], w.addr[0]);
    XT_STREQ(back.addr[back.n_addrs - 1], "127.0.0.1");
}

XT_TEST(frames_are_read_as_written)
{
    unsigned char p[MU_LIVE_FRAME_MAX];
    struct mu_live_frame f;
    size_t n = mu_live_frame_write(p, MU_LIVE_LOST, 70000, "tab\tand bell\a");
    for (size_t i = 0; i < n; i++)
        XT_EQ(mu_live_frame_read(&f, p, i), 0);
    XT_EQ(mu_live_frame_read(&f, p, n), (int)n);
    XT_EQ(f.rank, 70000);
    XT_STREQ(f.text, "tab and bell ");
    p[n - 1] = 7;
    XT_EQ(mu_live_frame_read(&f, p, n), -1); /* nothing that moves a terminal's cursor */
    n = mu_live_frame_write(p, MU_LIVE_BEAT, 1, NULL);
    p[1] = MU_LIVE_KINDS;
    XT_EQ(mu_live_frame_read(&f, p, n), -1);
    n = mu_live_frame_write(p, MU_LIVE_BEAT, 1, NULL);
    p[2] = 0xff; /* a text of 65280 bytes */
    XT_EQ(mu_live_frame_read(&f, p, n), -1);
}

static int open_and_close(void *arg, struct mu_err *e)
{
    struct mu_live *hub = NULL, *rank = NULL;
    char where[MU_LIVE_WHERE_MAX];
    int rc = mu_live_open_hub(&hub, 2, "host0", true, where, e);
    (void)arg;
    if (rc == MU_OK)
        rc = mu_live_open_rank(&rank, 1, 2, "host1", where, e);
    mu_live_close(rank);
    mu_live_close(hub);
    return rc;
}

XT_TEST(each_allocation_may_fail)
{
    xt_each_alloc_fails(open_and_close, NULL);
}

XT_MAIN()
