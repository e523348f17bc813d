/* alert_command.c - an alert on the standard input of a shell's command (alert.h)
 *
 * The alert is whole before the command begins, in a file without a name: a command that does not read it holds nobody
 * up. What it writes is read, and the last line told where it fails. At its deadline it is killed with all that it
 * started in its process group, which goes with it in the end however it ended. */
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

struct command {
    pid_t pid;
    int pidfd, said; /* said: what it writes, not blocking */
    char last[LAST_BYTES];
    size_t n_last;
};

/* In the child of a process with threads: nothing but system calls. */
static _Noreturn void become(const char *text, int in, int out, pid_t parent)
{
    const char *const argv[] = {"sh", "-c", text, NULL};
    sigset_t none;
    static const int ours[] = {SIGINT, SIGTERM, SIGUSR1, SIGPIPE};
    for (size_t i = 0; i < MU_COUNT(ours); i++)
        signal(ours[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
        execv("/bin/sh", (char *const *)(uintptr_t)argv);
    _exit(127);
}

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
    int said[2] = {-1, -1}, in = -1, rc = MU_OK;
    pid_t parent = getpid();
    MU_TRY(input_of(body, &in, e));
    if (pipe2(said, O_CLOEXEC) != 0 || fcntl(said[0], F_SETFL, O_NONBLOCK) != 0)
        MU_TRY(mu_fail(e, MU_EIO, "a pipe to it: %s", strerror(errno)));
    c->pid = fork();
    if (c->pid == 0)
        become(text, in, said[1], parent);
    if (c->pid < 0)
        MU_TRY(mu_fail(e, MU_EIO, "it could not be started: %s", strerror(errno)));
    setpgid(c->pid, c->pid); /* as the child does: whoever comes first */
    c->pidfd = pidfd_open(c->pid, 0);
    c->said = said[0];
    said[0] = -1;
out:
    if (in >= 0)
        close(in);
    for (int i = 0; i < 2; i++)
        if (said[i] >= 0)
            close(said[i]);
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
    struct command c = {.pidfd = -1, .said = -1};
    int status = 0;
    *may_again = false;
    MU_TRY_RETURN(start(&c, t->where, body, e));
    bool has_ended = wait_for_end(t, &c, begin_ns);
    kill(-c.pid, SIGKILL);
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
        ;
    listen_to(&c);
    close(c.said);
    if (c.pidfd >= 0)
        close(c.pidfd);
    return judge(&c, has_ended, status, e);
}
