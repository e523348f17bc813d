/* sandbox_run.c - processes of a sandbox: started several at a time, listened to, ended in time
 *
 * One loop, no threads. A process is ended by killing bubblewrap: it asked the kernel to be followed by the first
 * process of its PID namespace (--die-with-parent), and with that one everything in the namespace dies, whatever
 * signals it ignores and however it forked. Our other descriptors stay out: all above 4 are closed before the command
 * starts. */
#include "eval/sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TAIL_BYTES   512
#define GRACE_NS     ((int64_t)5000000000) /* from SIGKILL to the end of everything; a loaded machine takes its time */
#define PAUSE_NS     1000000
#define PARALLEL_MAX 1024

struct job {
    pid_t pid; /* 0: free */
    int fd;    /* what it says */
    int status_fd;
    int index; /* of the program */
    int64_t deadline_ns;
    size_t said;
    bool is_killed;
    enum mu_sandbox_end why; /* when killed */
    pid_t first;             /* of its PID namespace; 0: unknown */
    bool was_run;
    char tail[TAIL_BYTES]; /* the end of what it said */
    size_t n_tail;
};

struct batch {
    const struct mu_sandbox_command *c;
    const struct mu_str *programs;
    struct mu_sandbox_outcome *outcomes;
    struct mu_buf *outputs;
    struct job *job;
    struct pollfd *poll;
    int n_jobs;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Out of the way of 0 to 4, which the command gets. */
static int raise_fd(int *fd)
{
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, 10);
    close_fd(fd);
    *fd = high;
    return high;
}

static int fail_errno(struct mu_err *e, const char *what)
{
    int code = errno == ENOMEM ? MU_ENOMEM : MU_EIO;
    return mu_fail(e, code, "the sandbox: %s: %s", what, strerror(errno));
}

static int open_pipe(int fd[2], struct mu_err *e)
{
    if (pipe2(fd, O_CLOEXEC) < 0)
        return fail_errno(e, "making a pipe");
    return raise_fd(&fd[0]) < 0 || raise_fd(&fd[1]) < 0 ? fail_errno(e, "making a pipe") : MU_OK;
}

/* A descriptor from which the program is read once. */
static int open_program(int *fd, struct mu_str program, struct mu_err *e)
{
    *fd = memfd_create("muster-program", MFD_CLOEXEC);
    if (*fd < 0 || raise_fd(fd) < 0)
        return fail_errno(e, "keeping a program in memory");
    for (size_t at = 0; at < program.n;) {
        ssize_t n = write(*fd, program.p + at, program.n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_errno(e, "keeping a program in memory");
        at += (size_t)n;
    }
    return lseek(*fd, 0, SEEK_SET) == 0 ? MU_OK : fail_errno(e, "keeping a program in memory");
}

static int fill_actions(posix_spawn_file_actions_t *a, int program, int out, int status)
{
    int rc = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(a, out, 1);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(a, out, 2);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(a, program, 3);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(a, status, 4);
    return rc ? rc : posix_spawn_file_actions_addclosefrom_np(a, 5);
}

/* No signal is blocked or ignored in what we start, whatever our caller does with them. A process group of its own:
 * what is typed at the terminal is for us, and must not end programs that then count as failed. */
static int fill_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int rc = posix_spawnattr_setsigmask(a, &none);
    rc = rc ? rc : posix_spawnattr_setsigdefault(a, &all);
    rc = rc ? rc : posix_spawnattr_setpgroup(a, 0);
    return rc ? rc
              : posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int spawn(const struct mu_sandbox_command *c, int program, int out, int status, pid_t *pid, struct mu_err *e)
{
    /* A fixed hash seed: sets of texts come out in one order, so that a program passes always or never. One thread for
     * numerical libraries, which would otherwise start one a core. */
    static const char *const environment[] = {
        "PATH=/usr/bin:/bin",     "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "PYTHONHASHSEED=0", "OMP_NUM_THREADS=1",
        "OPENBLAS_NUM_THREADS=1", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        rc = posix_spawnattr_init(&attributes);
        if (rc == 0) {
            rc = fill_actions(&actions, program, out, status);
            rc = rc ? rc : fill_attributes(&attributes);
            rc = rc ? rc
                    : posix_spawn(pid, c->argv[0], &actions, &attributes, (char *const *)c->argv,
                                  (char *const *)environment);
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    return rc == 0 ? MU_OK : mu_fail(e, MU_EPEER, "the sandbox: starting %s: %s", c->argv[0], strerror(rc));
}

static int start(struct batch *b, struct job *j, int index, struct mu_err *e)
{
    int out[2] = {-1, -1}, status[2] = {-1, -1}, program = -1, rc = MU_OK;
    MU_TRY(open_pipe(out, e));
    MU_TRY(open_pipe(status, e));
    (void)fcntl(status[0], F_SETFL, O_NONBLOCK); /* read once, whatever is there */
    MU_TRY(open_program(&program, b->programs[index], e));
    *j = (struct job){.index = index, .fd = out[0], .status_fd = status[0]};
    MU_TRY(spawn(b->c, program, out[1], status[1], &j->pid, e));
    j->deadline_ns = mu_now_ns(mu_clock_real()) + b->c->timeout_ns;
out:
    close_fd(&out[1]);
    close_fd(&status[1]);
    close_fd(&program);
    if (rc != MU_OK) {
        close_fd(&out[0]);
        close_fd(&status[0]);
        j->pid = 0;
    }
    return rc;
}

static void end_job(struct job *j, enum mu_sandbox_end why)
{
    (void)kill(j->pid, SIGKILL);
    j->is_killed = true;
    j->why = why;
    j->deadline_ns = mu_now_ns(mu_clock_real()) + GRACE_NS;
}

static void keep_tail(struct job *j, const char *p, size_t n)
{
    if (n >= TAIL_BYTES) {
        memcpy(j->tail, p + n - TAIL_BYTES, TAIL_BYTES);
        j->n_tail = TAIL_BYTES;
        return;
    }
    size_t kept = MU_MIN(j->n_tail, TAIL_BYTES - n);
    memmove(j->tail, j->tail + j->n_tail - kept, kept);
    memcpy(j->tail + kept, p, n);
    j->n_tail = kept + n;
}

/* *is_over: nobody can say more. */
static int listen_to(struct batch *b, struct job *j, bool *is_over, struct mu_err *e)
{
    char p[16384];
    ssize_t n = read(j->fd, p, sizeof p);
    *is_over = n == 0;
    if (n < 0)
        return errno == EINTR ? MU_OK : fail_errno(e, "listening to a program");
    if (j->is_killed || n == 0)
        return MU_OK;
    size_t room = b->c->output_bytes - MU_MIN(j->said, b->c->output_bytes), fits = MU_MIN((size_t)n, room);
    j->said += (size_t)n;
    keep_tail(j, p, (size_t)n);
    if (b->outputs)
        MU_TRY_RETURN(mu_buf_add(&b->outputs[j->index], p, fits, e));
    if (j->said > b->c->output_bytes)
        end_job(j, MU_SANDBOX_OUTPUT);
    return MU_OK;
}

/* The last line that is not empty; bytes that are no UTF-8 become "?". */
static void take_last_line(const struct job *j, char *line, size_t room)
{
    size_t end = j->n_tail, from, n = 0;
    while (end > 0 && (j->tail[end - 1] == '\n' || j->tail[end - 1] == '\r'))
        end--;
    for (from = end; from > 0 && j->tail[from - 1] != '\n';)
        from--;
    while (from < end) {
        uint32_t cp;
        int len = mu_utf8_decode(j->tail + from, end - from, &cp);
        size_t step = len > 0 ? (size_t)len : 1;
        if (n + step >= room)
            break;
        if (len > 0 && cp >= ' ')
            memcpy(line + n, j->tail + from, step);
        else
            memset(line + n, '?', step);
        n += step;
        from += step;
    }
    line[n] = '\0';
}

/* What bubblewrap reported: the first process of the namespace, and the exit code when it came as far as running the
 * program. */
static void read_status(struct job *j)
{
    char p[1024];
    ssize_t n = read(j->status_fd, p, sizeof p - 1);
    p[n > 0 ? n : 0] = '\0';
    const char *at = strstr(p, "\"child-pid\":");
    j->first = at ? (pid_t)strtol(at + sizeof "\"child-pid\":" - 1, NULL, 10) : 0;
    j->was_run = strstr(p, "\"exit-code\"") != NULL;
}

static int judge(const struct batch *b, const struct job *j, int status, struct mu_err *e)
{
    struct mu_sandbox_outcome *o = &b->outcomes[j->index];
    *o = (struct mu_sandbox_outcome){.end = MU_SANDBOX_KILLED};
    take_last_line(j, o->last_line, sizeof o->last_line);
    if (j->is_killed) {
        o->end = j->why;
        o->status = SIGKILL;
        return MU_OK;
    }
    if (WIFSIGNALED(status)) {
        o->status = WTERMSIG(status);
        return MU_OK;
    }
    int code = WEXITSTATUS(status);
    if (b->c->has_status && !j->was_run)
        return mu_fail(e, MU_EPEER, "the sandbox did not start: %s",
                       o->last_line[0] ? o->last_line : "bubblewrap said nothing");
    o->end = code == 0 ? MU_SANDBOX_PASSED : code > 128 ? MU_SANDBOX_KILLED : MU_SANDBOX_FAILED;
    o->status = code > 128 ? code - 128 : code;
    return MU_OK;
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* Bubblewrap ends before the first process of its namespace, which comes to us (see mu_sandbox_execute) and has been
 * killed, and with it all that was left there. */
static void reap_first(const struct job *j)
{
    const struct timespec pause = {0, PAUSE_NS};
    int64_t until = mu_now_ns(mu_clock_real()) + GRACE_NS;
    if (j->first <= 1)
        return;
    while (waitpid(j->first, NULL, WNOHANG) == 0 && mu_now_ns(mu_clock_real()) < until)
        (void)nanosleep(&pause, NULL);
}

static int finish(struct batch *b, struct job *j, struct mu_err *e)
{
    int status = reap(j->pid);
    if (b->c->has_status) {
        read_status(j);
        reap_first(j);
    }
    int rc = judge(b, j, status, e);
    close_fd(&j->fd);
    close_fd(&j->status_fd);
    j->pid = 0;
    return rc;
}

static int next_wait_ms(const struct batch *b)
{
    int64_t first = INT64_MAX, now = mu_now_ns(mu_clock_real());
    for (int i = 0; i < b->n_jobs; i++)
        if (b->job[i].pid)
            first = MU_MIN(first, b->job[i].deadline_ns);
    return first <= now ? 0 : (int)MU_MIN((first - now) / 1000000 + 1, 60000);
}

/* Ended by itself: what it said may still be unread, when we were stopped or had to wait for a core. */
static bool has_ended(const struct job *j)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)j->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == j->pid;
}

/* Waits for something to happen and deals with it; *n_over: programs that ended. */
static int serve(struct batch *b, int *n_over, struct mu_err *e)
{
    for (int i = 0; i < b->n_jobs; i++)
        b->poll[i] = (struct pollfd){.fd = b->job[i].pid ? b->job[i].fd : -1, .events = POLLIN};
    if (poll(b->poll, (nfds_t)b->n_jobs, next_wait_ms(b)) < 0 && errno != EINTR)
        return fail_errno(e, "waiting for programs");
    int64_t now = mu_now_ns(mu_clock_real());
    for (int i = 0; i < b->n_jobs; i++) {
        struct job *j = &b->job[i];
        bool is_over = false;
        if (!j->pid)
            continue;
        if (b->poll[i].revents)
            MU_TRY_RETURN(listen_to(b, j, &is_over, e));
        if (!is_over && now >= j->deadline_ns) {
            is_over = j->is_killed;
            if (!is_over && !has_ended(j))
                end_job(j, MU_SANDBOX_TIMED_OUT);
        }
        if (is_over) {
            MU_TRY_RETURN(finish(b, j, e));
            ++*n_over;
        }
    }
    return MU_OK;
}

static int run_batch(struct batch *b, int n, struct mu_err *e)
{
    for (int begun = 0, over = 0; over < n;) {
        for (int i = 0; i < b->n_jobs && begun < n; i++)
            if (!b->job[i].pid)
                MU_TRY_RETURN(start(b, &b->job[i], begun++, e));
        MU_TRY_RETURN(serve(b, &over, e));
    }
    return MU_OK;
}

int mu_sandbox_execute(const struct mu_sandbox_command *c, const struct mu_str *programs, int n,
                       struct mu_sandbox_outcome *outcomes, struct mu_buf *outputs, struct mu_err *e)
{
    struct batch b = {.c = c, .programs = programs, .outcomes = outcomes, .outputs = outputs};
    int rc = MU_OK, was_subreaper = 0;
    b.n_jobs = MU_MAX(1, MU_MIN(MU_MIN(c->parallel, n), PARALLEL_MAX));
    MU_TRY(MU_NEW_ARRAY(&b.job, b.n_jobs, "programs that run", e));
    MU_TRY(MU_NEW_ARRAY(&b.poll, b.n_jobs, "programs that run", e));
    /* Orphans are ours for the while: else they go to the first process of the machine or container, and one that does
     * not wait for them keeps a zombie of every program. */
    (void)prctl(PR_GET_CHILD_SUBREAPER, &was_subreaper);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    rc = run_batch(&b, n, e);
    for (int i = 0; i < b.n_jobs; i++)
        if (b.job[i].pid) { /* an error on the way: nothing stays behind */
            end_job(&b.job[i], MU_SANDBOX_KILLED);
            (void)finish(&b, &b.job[i], NULL);
        }
    (void)prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)was_subreaper);
out:
    mu_free(b.job);
    mu_free(b.poll);
    return rc;
}
