/* command.c - see command.h */
#include "sched/slurm/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define ENVIRON_MAX 65536
#define END_NS      ((int64_t)2000000000) /* for one that was killed */

extern char **environ;

struct run {
    const char *const *argv;
    struct mu_command_end *end;
    pid_t pid;
    int fd[2]; /* what it prints, what it complains; -1: closed */
    int watch; /* its end */
    int64_t deadline_ns;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* What people set for their own use of these commands would change what is printed: SQUEUE_STATES=PENDING, and no
 * running job has nodes. */
static bool is_kept(const char *variable)
{
    static const char *const left_out[] = {"LC_ALL=", "SQUEUE_", "SINFO_", "SACCT_", "SCONTROL_", "SCANCEL_"};
    for (size_t i = 0; i < MU_COUNT(left_out); i++) {
        if (strncmp(variable, left_out[i], strlen(left_out[i])) == 0)
            return false;
    }
    return true;
}

/* LC_ALL=C, then what is kept of the caller's. The array is the caller's to free. */
static int make_environment(char ***out, struct mu_err *e)
{
    int n = 0, kept = 0;
    while (environ && environ[n] && n < ENVIRON_MAX)
        n++;
    MU_TRY_RETURN(MU_NEW_ARRAY(out, n + 2, "an environment", e));
    (*out)[kept++] = "LC_ALL=C";
    for (int i = 0; i < n; i++) {
        if (is_kept(environ[i]))
            (*out)[kept++] = environ[i];
    }
    return MU_OK;
}

static int fill(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int out, int err)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, out, 1);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, err, 2);
    rc = rc ? rc : posix_spawnattr_setsigmask(attributes, &none);
    rc = rc ? rc : posix_spawnattr_setsigdefault(attributes, &all);
    rc = rc ? rc : posix_spawnattr_setpgroup(attributes, 0);
    return rc ? rc
              : posix_spawnattr_setflags(attributes,
                                         POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

/* An errno. */
static int spawn(struct run *r, int out, int err, char *const *environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = fill(&actions, &attributes, out, err);
        rc = rc ? rc
                : posix_spawnp(&r->pid, r->argv[0], &actions, &attributes, (char *const *)(uintptr_t)r->argv,
                               environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int begin(struct run *r, struct mu_err *e)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, rc = MU_OK;
    char **environment = NULL;
    MU_TRY(make_environment(&environment, e));
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        rc = mu_fail_errno(e, errno, "make a pipe for", r->argv[0]);
        goto out;
    }
    int why = spawn(r, out[1], err[1], environment);
    if (why != 0)
        rc = why == ENOENT ? mu_fail(e, MU_ENOENT, "there is no program %s here", r->argv[0])
                           : mu_fail_errno(e, why, "run", r->argv[0]);
out:
    mu_free(environment);
    close_fd(&out[1]);
    close_fd(&err[1]);
    r->fd[0] = out[0];
    r->fd[1] = err[0];
    for (int i = 0; i < 2 && rc == MU_OK; i++)
        (void)fcntl(r->fd[i], F_SETFL, O_NONBLOCK);
    if (rc == MU_OK)
        r->watch = pidfd_open(r->pid, 0); /* -1: the ends of its pipes tell */
    return rc;
}

/* What stands in the pipe, some of it. Of complaints only the beginning is kept. */
static int take(struct run *r, int which, bool *has_more, struct mu_err *e)
{
    char p[65536];
    ssize_t n = r->fd[which] < 0 ? -1 : read(r->fd[which], p, sizeof p);
    *has_more = n > 0 || (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return MU_OK;
    if (n <= 0) {
        close_fd(&r->fd[which]);
        return MU_OK;
    }
    if (which == 0)
        return mu_buf_add(&r->end->out, p, (size_t)n, e);
    return mu_buf_add(&r->end->err, p, MU_MIN((size_t)n, r->end->err.max - r->end->err.n), e);
}

static int fail_late(const struct run *r, struct mu_err *e)
{
    return mu_fail(e, MU_ETIMEDOUT, "%s did not end in its time and was stopped", r->argv[0]);
}

/* Until both pipes are closed, or it has ended: then what stands in them is all, whoever else may hold them open. */
static int listen_to(struct run *r, struct mu_err *e)
{
    bool has_ended = false, has_more;
    while (!has_ended && (r->fd[0] >= 0 || r->fd[1] >= 0)) {
        struct pollfd p[3] = {{r->fd[0], POLLIN, 0}, {r->fd[1], POLLIN, 0}, {r->watch, POLLIN, 0}};
        int64_t left = r->deadline_ns - mu_now_ns(mu_clock_real());
        if (left <= 0)
            return fail_late(r, e);
        if (poll(p, 3, (int)MU_MIN(left / 1000000 + 1, 1000)) < 0 && errno != EINTR)
            return mu_fail_errno(e, errno, "listen to", r->argv[0]);
        has_ended = (p[2].revents & POLLIN) != 0;
        for (int i = 0; i < 2; i++) {
            do
                MU_TRY_RETURN(take(r, i, &has_more, e));
            while (has_ended && has_more);
        }
    }
    return MU_OK;
}

/* It has closed its output; it may still run. */
static int await_end(struct run *r, struct mu_err *e)
{
    int status = 0;
    for (;;) {
        pid_t got = waitpid(r->pid, &status, WNOHANG);
        if (got == r->pid)
            break;
        if (got < 0 && errno != EINTR)
            return mu_fail_errno(e, errno, "wait for", r->argv[0]);
        if (mu_now_ns(mu_clock_real()) >= r->deadline_ns)
            return fail_late(r, e);
        (void)poll(NULL, 0, 1);
    }
    r->pid = 0;
    r->end->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return MU_OK;
}

/* One that hangs in the kernel, on a file server that is gone, cannot be waited for: it is left. */
static void end_it(struct run *r)
{
    int64_t until = mu_now_ns(mu_clock_real()) + END_NS;
    (void)kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, NULL, WNOHANG) == 0 && mu_now_ns(mu_clock_real()) < until)
        (void)poll(NULL, 0, 1);
}

int mu_command_run(struct mu_command_end *end, const char *const *argv, int64_t timeout_ns, struct mu_err *e)
{
    struct run r = {.argv = argv, .end = end, .fd = {-1, -1}, .watch = -1};
    int rc = MU_OK;
    mu_buf_clear(&end->out);
    mu_buf_clear(&end->err);
    r.deadline_ns = mu_now_ns(mu_clock_real()) + timeout_ns;
    MU_TRY(begin(&r, e));
    MU_TRY(listen_to(&r, e));
    MU_TRY(await_end(&r, e));
out:
    if (r.pid > 0)
        end_it(&r);
    close_fd(&r.fd[0]);
    close_fd(&r.fd[1]);
    close_fd(&r.watch);
    return rc;
}

void mu_command_end_fini(struct mu_command_end *end)
{
    mu_buf_fini(&end->out);
    mu_buf_fini(&end->err);
}
