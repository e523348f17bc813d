/* local.c - workers as processes of this machine (sched/launcher.h)
 *
 * A worker leads a process group, so that what it starts (ranks) ends with it. The kernel kills it when the process
 * that started it dies: an orchestrator that is killed leaves nobody behind that would write beside its successor's
 * workers, and what a worker had finished is in its journal. Waiting is a poll over process descriptors: no signal
 * handler, no other child touched. */
#include "sched/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define TAIL_BYTES 4096
#define LOG_BYTES  4096 /* of a path */

struct process {
    pid_t pid;
    off_t log_from; /* what stood in it before */
    char log[LOG_BYTES];
};

struct local {
    struct mu_launcher l; /* first */
    struct process *process;
    struct pollfd *fd; /* the same order */
    int n;
};

static struct local *local_of(struct mu_launcher *l)
{
    return (struct local *)l;
}

/* ---- starting ---- */

/* In the child; says through `tell` what went wrong, which closes by itself when the program runs. */
static _Noreturn void become(const char *const *argv, int log, pid_t parent, int tell)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    static const int ours[] = {SIGINT, SIGTERM, SIGUSR1};
    for (size_t i = 0; i < MU_COUNT(ours); i++) /* the parent's handlers would only take a note */
        signal(ours[i], SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && null >= 0 && dup2(null, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0)
        execv(argv[0], (char *const *)(uintptr_t)argv);
    int error = errno;
    (void)!write(tell, &error, sizeof error);
    _exit(127);
}

static int run(pid_t *pid, const char *const *argv, int log, struct mu_err *e)
{
    int tell[2], error = 0;
    ssize_t told = -1;
    pid_t parent = getpid();
    if (pipe2(tell, O_CLOEXEC) != 0)
        return mu_fail(e, MU_EIO, "a pipe to a worker: %s", strerror(errno));
    *pid = fork();
    if (*pid == 0)
        become(argv, log, parent, tell[1]);
    close(tell[1]);
    if (*pid < 0)
        error = errno;
    while (*pid > 0 && (told = read(tell[0], &error, sizeof error)) < 0 && errno == EINTR)
        ;
    if (*pid > 0 && told != (ssize_t)sizeof error)
        error = 0;
    close(tell[0]);
    if (error == 0)
        return MU_OK;
    if (*pid > 0)
        waitpid(*pid, NULL, 0);
    return mu_fail(e, MU_EIO, "%s could not be started: %s", argv[0], strerror(error));
}

static int start(struct mu_launcher *l, const char *const *argv, const char *log, int64_t *worker, struct mu_err *e)
{
    struct local *m = local_of(l);
    struct process *p = &m->process[m->n];
    if (m->n == MU_WORKERS_MAX)
        return mu_fail(e, MU_ELIMIT, "%d workers at a time, no more", MU_WORKERS_MAX);
    if (strlen(log) >= sizeof p->log)
        return mu_fail(e, MU_ELIMIT, "the path of a worker's log is longer than %zu bytes", sizeof p->log - 1);
    snprintf(p->log, sizeof p->log, "%s", log);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return mu_fail(e, MU_EIO, "%s cannot be written: %s", log, strerror(errno));
    p->log_from = lseek(fd, 0, SEEK_END);
    int rc = run(&p->pid, argv, fd, e);
    close(fd);
    if (rc != MU_OK)
        return rc;
    m->fd[m->n] = (struct pollfd){.fd = pidfd_open(p->pid, 0), .events = POLLIN};
    if (m->fd[m->n].fd < 0) {
        rc = mu_fail(e, MU_EIO, "worker %d cannot be watched: %s", (int)p->pid, strerror(errno));
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        return rc;
    }
    *worker = p->pid;
    m->n++;
    return MU_OK;
}

/* ---- ends ---- */

/* What a person would read first: the last line of its own that is not empty. */
static void last_line(const char *path, off_t own_from, char line[MU_WORKER_LINE_BYTES])
{
    char tail[TAIL_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = MU_MAX(MU_MAX(end - TAIL_BYTES, own_from), 0);
    ssize_t n = fd < 0 ? 0 : pread(fd, tail, TAIL_BYTES, from);
    if (fd >= 0)
        close(fd);
    n = MU_MAX(n, 0);
    while (n > 0 && (unsigned char)tail[n - 1] <= ' ')
        n--;
    tail[n] = 0;
    const char *begin = strrchr(tail, '\n');
    snprintf(line, MU_WORKER_LINE_BYTES, "%.*s", MU_WORKER_LINE_BYTES - 1, begin ? begin + 1 : tail);
}

/* What it has started and left running goes with it. */
static void take_end(struct local *m, int i, struct mu_worker_end *out)
{
    int status = 0;
    pid_t pid = m->process[i].pid;
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *out = (struct mu_worker_end){.worker = pid};
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    out->exit_status = out->signal ? 128 + out->signal : WEXITSTATUS(status);
    last_line(m->process[i].log, m->process[i].log_from, out->line);
    close(m->fd[i].fd);
    m->n--;
    m->process[i] = m->process[m->n];
    m->fd[i] = m->fd[m->n];
}

static bool wait_for_one(struct mu_launcher *l, int64_t timeout_ns, struct mu_worker_end *out)
{
    struct local *m = local_of(l);
    int ms = (int)MU_MIN((timeout_ns + 999999) / 1000000, 60000);
    if (poll(m->fd, (nfds_t)m->n, MU_MAX(ms, 0)) <= 0)
        return false;
    for (int i = 0; i < m->n; i++) {
        if (m->fd[i].revents) {
            take_end(m, i, out);
            return true;
        }
    }
    return false;
}

static void stop(struct mu_launcher *l, int64_t worker, bool at_once)
{
    struct local *m = local_of(l);
    for (int i = 0; i < m->n; i++)
        if (m->process[i].pid == worker)
            kill(at_once ? -(pid_t)worker : (pid_t)worker, at_once ? SIGKILL : SIGTERM);
}

static void close_local(struct mu_launcher *l)
{
    struct local *m = local_of(l);
    struct mu_worker_end end;
    while (m->n > 0)
        take_end(m, m->n - 1, &end);
    mu_free(m->process);
    mu_free(m->fd);
    mu_free(m);
}

static const struct mu_launcher_ops local_ops = {
    .name = "local", .start = start, .wait = wait_for_one, .stop = stop, .close = close_local};

int mu_launcher_open_local(struct mu_launcher **out, struct mu_err *e)
{
    struct local *m = NULL;
    int rc = MU_OK;
    *out = NULL;
    MU_TRY_RETURN(MU_NEW(&m, "a launcher", e));
    MU_TRY(MU_NEW_ARRAY(&m->process, MU_WORKERS_MAX, "workers", e));
    MU_TRY(MU_NEW_ARRAY(&m->fd, MU_WORKERS_MAX, "workers", e));
    m->l.ops = &local_ops;
    *out = &m->l;
    return MU_OK;
out:
    mu_free(m->process);
    mu_free(m);
    return rc;
}
