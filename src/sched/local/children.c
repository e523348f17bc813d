/* children.c - see children.h */
#include "sched/local/children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define TAIL_BYTES 4096
#define PRESS_NS   100000000ll
#define KILL_NS    3000000000ll
#define CLOSE_NS   5000000000ll /* for all that were killed at the end */

int mu_children_open(struct mu_children *c, struct mu_err *e)
{
    *c = (struct mu_children){0};
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&c->child, MU_WORKERS_MAX, "workers", e));
    MU_TRY(MU_NEW_ARRAY(&c->fd, 2 * MU_WORKERS_MAX, "workers", e));
    return MU_OK;
out:
    mu_children_close(c);
    return rc;
}

/* ---- starting ---- */

/* A child's ends of what is between us, and a pipe that tells what kept it from running. */
struct ends {
    int in, out, log, tell;
};

/* In the child; what `tell` leads to closes by itself when the program runs. */
static _Noreturn void become(const char *const *argv, const struct ends *theirs, pid_t parent)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < MU_COUNT(ours); i++) /* the parent's handlers would only take a note */
        signal(ours[i], SIG_DFL);
    setpgid(0, 0);
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* what libraries opened is not the worker's */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(theirs->in, 0) >= 0 && dup2(theirs->out, 1) >= 0 && dup2(theirs->log, 2) >= 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    int error = errno;
    (void)!write(theirs->tell, &error, sizeof error);
    _exit(127);
}

static int fork_one(struct mu_child *p, const char *const *argv, struct ends *theirs, int told, struct mu_err *e)
{
    int error = 0;
    ssize_t n = -1;
    pid_t parent = getpid();
    p->pid = fork();
    if (p->pid == 0)
        become(argv, theirs, parent);
    if (p->pid < 0)
        error = errno;
    close(theirs->tell);
    theirs->tell = -1;
    while (p->pid > 0 && (n = read(told, &error, sizeof error)) < 0 && errno == EINTR)
        ;
    if (p->pid > 0 && n != (ssize_t)sizeof error)
        return MU_OK;
    if (p->pid > 0)
        waitpid(p->pid, NULL, 0);
    return mu_fail(e, MU_EIO, "%s could not be started: %s", argv[0], strerror(error));
}

static void close_all(int *fd, int n)
{
    for (int i = 0; i < n; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

/* Its input is a socket, for a write to a pipe that nobody reads any more would be a signal. */
static int open_ends(struct mu_child *p, struct ends *theirs, int *told, const char *log, struct mu_err *e)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, tell[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
        pipe2(tell, O_CLOEXEC) != 0) {
        int error = errno;
        close_all(in, 2);
        close_all(out, 2);
        return mu_fail(e, MU_EIO, "pipes to a worker: %s", strerror(error));
    }
    p->in = in[0];
    p->out = out[0];
    *told = tell[0];
    *theirs = (struct ends){.in = in[1], .out = out[1], .tell = tell[1]};
    fcntl(p->out, F_SETFL, O_NONBLOCK);
    theirs->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (theirs->log < 0)
        return mu_fail(e, MU_EIO, "%s cannot be written: %s", log, strerror(errno));
    p->log_from = lseek(theirs->log, 0, SEEK_END);
    snprintf(p->log, sizeof p->log, "%s", log);
    return MU_OK;
}

static int start(struct mu_child *p, const char *const *argv, const char *log, struct mu_err *e)
{
    struct ends theirs = {-1, -1, -1, -1};
    int told = -1, rc = MU_OK;
    MU_TRY(open_ends(p, &theirs, &told, log, e));
    MU_TRY(fork_one(p, argv, &theirs, told, e));
    p->watch = pidfd_open(p->pid, 0);
    if (p->watch < 0) {
        rc = mu_fail(e, MU_EIO, "worker %d cannot be watched: %s", (int)p->pid, strerror(errno));
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
out:
    close_all((int[]){theirs.in, theirs.out, theirs.log, theirs.tell, told}, 5);
    if (rc != MU_OK)
        close_all((int[]){p->in, p->out}, 2);
    return rc;
}

int mu_children_start(struct mu_children *c, const char *const *argv, const char *log, bool has_own, pid_t *pid,
                      struct mu_err *e)
{
    struct mu_child *p = &c->child[c->n];
    if (c->n == MU_WORKERS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d workers at a time, no more", MU_WORKERS_MAX);
    if (strlen(log) >= sizeof p->log)
        return mu_fail(e, MU_ELIMIT, "the path of a worker's log is longer than %zu bytes", sizeof p->log - 1);
    *p = (struct mu_child){.watch = -1, .in = -1, .out = -1, .has_own = has_own};
    MU_TRY_RETURN(start(p, argv, log, e));
    *pid = p->pid;
    c->n++;
    return MU_OK;
}

/* ---- speaking and hearing ---- */

static struct mu_child *find(struct mu_children *c, pid_t pid)
{
    for (int i = 0; i < c->n; i++)
        if (c->child[i].pid == pid)
            return &c->child[i];
    return NULL;
}

void mu_children_say(struct mu_children *c, pid_t pid, const char *line)
{
    struct mu_child *p = find(c, pid);
    struct iovec part[] = {{(void *)(uintptr_t)line, strlen(line)}, {(void *)(uintptr_t) "\n", 1}};
    struct msghdr all = {.msg_iov = part, .msg_iovlen = 2};
    if (p)
        (void)!sendmsg(p->in, &all, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void mu_children_hang_up(struct mu_children *c, pid_t pid)
{
    struct mu_child *p = find(c, pid);
    if (p)
        shutdown(p->in, SHUT_WR);
}

/* More of its output, as far as there is room. */
static void read_more(struct mu_child *p)
{
    ssize_t n = read(p->out, p->text + p->n_text, sizeof p->text - 1 - p->n_text);
    if (n > 0) {
        p->n_text += (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(p->out);
        p->out = -1;
    }
}

static void drop(struct mu_child *p, size_t n)
{
    p->n_text -= n;
    memmove(p->text, p->text + n, p->n_text);
}

/* A line that is whole, or as much of it as there is room for. */
static bool next_line(struct mu_child *p, struct mu_worker_told *out)
{
    for (;;) {
        char *end = memchr(p->text, '\n', p->n_text);
        bool is_full = p->n_text == sizeof p->text - 1, was_cut = p->is_cut;
        size_t n = end ? (size_t)(end - p->text) : p->n_text;
        if (!end && !is_full && !(p->out < 0 && p->n_text > 0))
            return false;
        p->is_cut = !end && is_full;
        memcpy(out->line, p->text, n);
        out->line[n] = 0;
        drop(p, end ? n + 1 : n);
        if (was_cut || n == 0)
            continue;
        out->kind = MU_WORKER_SAID;
        out->worker = p->pid;
        return true;
    }
}

/* ---- ends ---- */

static bool is_own(const struct mu_children *c, const char *line)
{
    for (int i = 0; c->not_own && c->not_own[i]; i++)
        if (strncmp(line, c->not_own[i], strlen(c->not_own[i])) == 0)
            return false;
    return true;
}

/* What a person would read first: the last line of its own that is not empty. Cuts the text up. */
static const char *last_line(const struct mu_children *c, char *text)
{
    const char *last = "";
    for (;;) {
        size_t n = strlen(text);
        while (n > 0 && (unsigned char)text[n - 1] <= ' ')
            n--;
        text[n] = 0;
        if (n == 0)
            return last;
        char *end = strrchr(text, '\n'), *line = end ? end + 1 : text;
        if (is_own(c, line))
            return line;
        if (!*last)
            last = line;
        if (!end)
            return last;
        *end = 0;
    }
}

static void read_tail(const struct mu_children *c, const struct mu_child *p, char line[MU_WORKER_LINE_BYTES])
{
    char tail[TAIL_BYTES + 1];
    int fd = open(p->log, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = MU_MAX(MU_MAX(end - TAIL_BYTES, p->log_from), 0);
    ssize_t n = fd < 0 ? 0 : pread(fd, tail, TAIL_BYTES, from);
    if (fd >= 0)
        close(fd);
    tail[MU_MAX(n, 0)] = 0;
    snprintf(line, MU_WORKER_LINE_BYTES, "%.*s", MU_WORKER_LINE_BYTES - 1, last_line(c, tail));
}

/* What it has started and left running goes with it. */
static void take_end(struct mu_children *c, struct mu_child *p, struct mu_worker_told *out)
{
    int status = 0;
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    *out = (struct mu_worker_told){.kind = MU_WORKER_ENDED, .worker = p->pid};
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    out->exit_status = out->signal ? 128 + out->signal : WEXITSTATUS(status);
    read_tail(c, p, out->line);
    close_all((int[]){p->watch, p->in, p->out}, 3);
    *p = c->child[--c->n];
}

/* One that has ended says no more than what is in its pipe: whoever else may hold that open is killed. */
static bool take_news(struct mu_children *c, struct mu_child *p, bool has_ended, struct mu_worker_told *out)
{
    size_t before = SIZE_MAX;
    if (has_ended)
        kill(-p->pid, SIGKILL);
    while (p->out >= 0 && p->n_text != before && p->n_text < sizeof p->text - 1) {
        before = p->n_text;
        read_more(p);
    }
    if (next_line(p, out))
        return true;
    if (!has_ended)
        return false;
    take_end(c, p, out);
    return true;
}

void mu_children_end(struct mu_children *c, pid_t pid)
{
    struct mu_child *p = find(c, pid);
    if (p && !p->has_own)
        kill(-pid, SIGKILL);
    if (!p || !p->has_own || p->doomed_ns)
        return;
    p->doomed_ns = mu_now_ns(mu_clock_real());
    kill(pid, SIGTERM);
    kill(pid, SIGCONT);
}

/* Those that are being ended: the next step of it. ms until there is one more. */
static int press(struct mu_children *c, int ms)
{
    for (int i = 0; i < c->n; i++) {
        struct mu_child *p = &c->child[i];
        int64_t since = mu_now_ns(mu_clock_real()) - p->doomed_ns;
        if (!p->doomed_ns)
            continue;
        if (!p->is_pressed && since >= PRESS_NS)
            p->is_pressed = kill(p->pid, SIGTERM) == 0;
        if (since >= KILL_NS)
            kill(-p->pid, SIGKILL);
        ms = MU_MIN(ms, (int)(PRESS_NS / 1000000));
    }
    return ms;
}

bool mu_children_wait(struct mu_children *c, int64_t timeout_ns, struct mu_worker_told *out)
{
    int ms = (int)MU_MIN((timeout_ns + 999999) / 1000000, 60000);
    for (int i = 0; i < c->n; i++)
        if (next_line(&c->child[i], out))
            return true;
    for (int i = 0; i < c->n; i++) {
        c->fd[2 * i] = (struct pollfd){.fd = c->child[i].watch, .events = POLLIN};
        c->fd[2 * i + 1] = (struct pollfd){.fd = c->child[i].out, .events = POLLIN};
    }
    if (poll(c->fd, 2 * (nfds_t)c->n, press(c, MU_MAX(ms, 0))) <= 0)
        return false;
    for (int i = 0, n = c->n; i < n; i++)
        if ((c->fd[2 * i].revents || c->fd[2 * i + 1].revents) &&
            take_news(c, &c->child[i], c->fd[2 * i].revents != 0, out))
            return true;
    return false;
}

void mu_children_signal(struct mu_children *c, pid_t pid, int signal, bool is_group)
{
    if (find(c, pid))
        kill(is_group ? -pid : pid, signal);
}

static bool ends_by(const struct mu_child *p, int64_t until_ns)
{
    struct pollfd end = {.fd = p->watch, .events = POLLIN};
    int got;
    do {
        int64_t left = MU_MAX(until_ns - mu_now_ns(mu_clock_real()), 0);
        got = poll(&end, 1, (int)((left + 999999) / 1000000));
    } while (got < 0 && errno == EINTR);
    return got > 0;
}

/* One that hangs in the kernel, on a file server that is gone, cannot be waited for: it is left, killed. */
void mu_children_close(struct mu_children *c)
{
    struct mu_worker_told told;
    int64_t until_ns = mu_now_ns(mu_clock_real()) + CLOSE_NS;
    for (int i = 0; i < c->n; i++)
        kill(-c->child[i].pid, SIGKILL);
    while (c->n > 0) {
        struct mu_child *last = &c->child[c->n - 1];
        if (ends_by(last, until_ns)) {
            take_end(c, last, &told);
            continue;
        }
        close_all((int[]){last->watch, last->in, last->out}, 3);
        c->n--;
    }
    mu_free(c->child);
    mu_free(c->fd);
    *c = (struct mu_children){0};
}
