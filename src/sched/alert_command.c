/* alert_command.c - an alert on the standard input of a shell's command (alert.h)
 *
 * The alert is whole before the command begins, in a file without a name: a command that does not read it holds nobody
 * up. What it writes is read, and the last line told where it fails. At its deadline it is killed with all that it
 * started in its process group, which goes with it in the end however it ended.
 *
 * The group's first process is a guard, a fork of ours that runs no program: it starts the shell, and holds the read
 * end of a pipe whose write end only we have. When that closes we are gone, killed or not, and it kills the group. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "sched/alert_int.h"

#define LAST_BYTES 512 /* of what it wrote */
#define READS_MAX  64  /* at a time, of what may never end */
#define ALIVE      3   /* the guard's end of the pipe */

struct command {
    pid_t pid;
    int pidfd, said; /* said: what it writes, not blocking */
    int alive;       /* closes with us */
    char last[LAST_BYTES];
    size_t n_last;
};

/* ---- the guard; in the child of a process with threads: nothing but system calls ---- */

static void be_plain(void)
{
    sigset_t none;
    static const int ours[] = {SIGINT, SIGTERM, SIGUSR1, SIGPIPE};
    for (size_t i = 0; i < MU_COUNT(ours); i++)
        signal(ours[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The files are the shell's input, output and complaints, and the guard's pipe; nothing else of ours stays open. */
static bool keep_files(int in, int out, int alive)
{
    int high = fcntl(alive, F_DUPFD_CLOEXEC, ALIVE + 1); /* out of the way of the others */
    return high >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0 &&
           dup3(high, ALIVE, O_CLOEXEC) >= 0 && close_range(ALIVE + 1, ~0u, 0) == 0;
}

/* Ends as the shell did. */
static _Noreturn void end_as(pid_t shell)
{
    int status = 0;
    while (waitpid(shell, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    prctl(PR_SET_DUMPABLE, 0); /* one core is enough */
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

static _Noreturn void guard(const char *text, int in, int out, int alive)
{
    const char *const argv[] = {"sh", "-c", text, NULL};
    setpgid(0, 0);
    be_plain();
    pid_t shell = keep_files(in, out, alive) ? _Fork() : -1;
    if (shell == 0) {
        execv("/bin/sh", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (shell < 0)
        _exit(127);
    struct pollfd fd[2] = {{.fd = ALIVE, .events = POLLIN}, {.fd = pidfd_open(shell, 0), .events = POLLIN}};
    (void)close_range(0, 2, 0);
    while (fd[1].fd >= 0 && poll(fd, 2, -1) < 0 && errno == EINTR)
        ;
    if (fd[0].revents)
        kill(0, SIGKILL);
    end_as(shell);
}

/* ---- starting ---- */

static int input_of(struct mu_str body, int *in, struct mu_err *e)
{
    *in = memfd_create("alert", MFD_CLOEXEC);
    if (*in < 0)
        return mu_fail(e, MU_EIO, "there is no file for its input: %s", strerror(errno));
    if (write(*in, body.p, body.n) != (ssize_t)body.n || lseek(*in, 0, SEEK_SET) != 0)
        return mu_fail(e, MU_EIO, "its input could not be written: %s", strerror(errno));
    return MU_OK;
}

static int start(struct command *c, const char *text, struct mu_str body, struct mu_err *e)
{
    int said[2] = {-1, -1}, alive[2] = {-1, -1}, in = -1, rc = MU_OK;
    MU_TRY(input_of(body, &in, e));
    if (pipe2(said, O_CLOEXEC) != 0 || pipe2(alive, O_CLOEXEC) != 0 || fcntl(said[0], F_SETFL, O_NONBLOCK) != 0)
        MU_TRY(mu_fail(e, MU_EIO, "a pipe to it: %s", strerror(errno)));
    c->pid = fork();
    if (c->pid == 0)
        guard(text, in, said[1], alive[0]);
    if (c->pid < 0)
        MU_TRY(mu_fail(e, MU_EIO, "it could not be started: %s", strerror(errno)));
    setpgid(c->pid, c->pid); /* as the child does: whoever comes first */
    c->pidfd = pidfd_open(c->pid, 0);
    c->said = said[0];
    c->alive = alive[1];
    said[0] = alive[1] = -1;
out:
    if (in >= 0)
        close(in);
    for (int i = 0; i < 2; i++) {
        if (said[i] >= 0)
            close(said[i]);
        if (alive[i] >= 0)
            close(alive[i]);
    }
    return rc;
}

/* Keeps the end of what it writes. False: it has closed its output. */
static bool listen_to(struct command *c)
{
    char piece[LAST_BYTES / 2];
    ssize_t n = 1;
    for (int i = 0; i < READS_MAX && (n = read(c->said, piece, sizeof piece)) > 0; i++) {
        size_t keep = MU_MIN(c->n_last, LAST_BYTES - 1 - (size_t)n);
        memmove(c->last, c->last + c->n_last - keep, keep);
        memcpy(c->last + keep, piece, (size_t)n);
        c->n_last = keep + (size_t)n;
    }
    return n != 0;
}

/* True: it has ended, false: its time was over. */
static bool wait_for_end(const struct mu_alert_target *t, struct command *c, int64_t begin_ns)
{
    struct pollfd fd[2] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = c->said, .events = POLLIN}};
    int64_t left;
    while ((left = mu_alert_until_ns(t, begin_ns) - mu_now_ns(mu_clock_real())) > 0) {
        poll(fd, 2, (int)(MU_MIN(left, MU_ALERT_LOOK_NS) / 1000000) + 1);
        if (fd[1].fd >= 0 && fd[1].revents && !listen_to(c))
            fd[1].fd = -1;
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid)
            return true;
    }
    return false;
}

static const char *last_line(struct command *c)
{
    while (c->n_last > 0 && (unsigned char)c->last[c->n_last - 1] <= ' ')
        c->n_last--;
    c->last[c->n_last] = 0;
    const char *begin = strrchr(c->last, '\n');
    return begin ? begin + 1 : c->last;
}

static int judge(struct command *c, bool has_ended, int status, struct mu_err *e)
{
    const char *line = last_line(c), *colon = line[0] ? ": " : "";
    if (!has_ended)
        return mu_fail(e, MU_ETIMEDOUT, "it did not end in time and was killed%s%s", colon, line);
    if (WIFSIGNALED(status))
        return mu_fail(e, MU_EPEER, "it was ended by signal %d%s%s", WTERMSIG(status), colon, line);
    if (WEXITSTATUS(status) != 0)
        return mu_fail(e, MU_EPEER, "it ended with status %d%s%s", WEXITSTATUS(status), colon, line);
    return MU_OK;
}

int mu_alert_send_command(struct mu_alert_target *t, struct mu_str body, int64_t begin_ns, bool *may_again,
                          struct mu_err *e)
{
    struct command c = {.pidfd = -1, .said = -1, .alive = -1};
    int status = 0;
    *may_again = false;
    MU_TRY_RETURN(start(&c, t->where, body, e));
    bool has_ended = wait_for_end(t, &c, begin_ns);
    kill(-c.pid, SIGKILL);
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
        ;
    listen_to(&c);
    close(c.said);
    close(c.alive);
    if (c.pidfd >= 0)
        close(c.pidfd);
    return judge(&c, has_ended, status, e);
}
