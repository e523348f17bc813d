/* launch_guard.c - the guardian: mpirun as a child, a seat for each rank, one loop until all have ended
 *
 * mpirun starts the processes and is asked for nothing else: with recovery on it neither kills the others when a rank
 * dies nor tells. Each rank takes its seat by connecting here; who has it is known from the kernel, and its end from
 * the connection's. mpirun's own words are kept for the case that no rank comes to life.
 *
 *   guardian -(killed: SIGTERM)-> mpirun -(killed: SIGKILL)-> ranks */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "comm/launch_int.h"

#define TURN_MS    200
#define TAIL_BYTES 600
#define MPIRUN_NS  2000000000ll /* for mpirun to end after its ranks; twice that after SIGTERM */

struct seat {
    int fd;   /* -1: nobody */
    int rank; /* -1: has not said it yet */
    pid_t pid;
};

/* How a rank fared. */
struct fate {
    bool has_come, has_ended, has_told;
    int status;
};

struct guard {
    const struct mu_launch_opts *o;
    char name[48];
    int listener, signals, words; /* words: what mpirun says */
    pid_t mpirun;
    bool has_mpirun; /* it has not ended */
    int mpirun_status;
    struct seat *seat; /* [n_seats] */
    struct fate *fate; /* [ranks] */
    struct pollfd *poll;
    int n_seats, n_come, n_ended;
    uint32_t job;
    bool spares_others; /* rank 0 does: its end is the job's, not theirs */
    int first;          /* the first rank that failed; -1 */
    pid_t first_pid;
    int signal;               /* the first that asked us to stop; 0 */
    int64_t kill_ns, term_ns; /* when what remains is killed; when mpirun is; 0: not yet */
    int64_t stopped_ns;       /* since when a rank 0 that is alone has been seen stopped; 0: it is not */
    bool is_late, is_termed;
    char tail[TAIL_BYTES + 1];
    size_t n_tail;
};

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* ---- starting ---- */

static int find_mpirun(char path[PATH_MAX], struct mu_err *e)
{
    static const char *const names[] = {"mpirun.openmpi", "mpirun"};
    const char *folders = getenv("PATH");
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        for (const char *at = folders ? folders : "/usr/bin:/bin"; *at;) {
            size_t n = strcspn(at, ":");
            (void)snprintf(path, PATH_MAX, "%.*s/%s", (int)MU_MIN(n, (size_t)PATH_MAX / 2), at, names[i]);
            if (n > 0 && access(path, X_OK) == 0)
                return MU_OK;
            at += n + (at[n] == ':');
        }
    }
    return mu_fail(e, MU_EUNSUPPORTED, "no mpirun.openmpi in PATH: ranks need Open MPI (Debian's package openmpi-bin)");
}

static int open_listener(struct guard *g, struct mu_err *e)
{
    struct sockaddr_un a;
    uint64_t secret[2];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
        return mu_fail(e, MU_EIO, "no random bytes for the ranks' guardian: %s", strerror(errno));
    (void)snprintf(g->name, sizeof g->name, "muster-%016llx%016llx", (unsigned long long)secret[0],
                   (unsigned long long)secret[1]);
    socklen_t n = mu_launch_address(&a, g->name);
    g->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (g->listener < 0 || bind(g->listener, (struct sockaddr *)&a, n) != 0 || listen(g->listener, g->o->ranks) != 0)
        return mu_fail(e, MU_EIO, "the ranks' guardian cannot listen: %s", strerror(errno));
    return MU_OK;
}

/* The command line: mpirun and what makes it quiet and local, then this program with our arguments. */
static int make_command(const struct guard *g, char *mpirun, char *exe, char ***out, struct mu_err *e)
{
    static const char *const options[] = {"--oversubscribe",
                                          "--bind-to",
                                          "none",              /* more ranks than cores is fine */
                                          "--enable-recovery", /* survivors say who was lost */
                                          "--mca",
                                          "plm",
                                          "isolated", /* here, whatever allocation we are in */
                                          "--mca",
                                          "ras",
                                          "^slurm,gridengine,tm,alps",
                                          "--mca",
                                          "pml",
                                          "ob1", /* shared memory: no network, no probing for one */
                                          "--mca",
                                          "btl",
                                          "self,vader",
                                          "--mca",
                                          "orte_base_help_aggregate",
                                          "0",
                                          "-n"};
    static char count[16];
    int n = 0, n_args = 0;
    char **argv = NULL;
    while (g->o->argv[n_args])
        if (strcmp(g->o->argv[n_args++], ":") == 0)
            return mu_fail(e, MU_EUSAGE, "an argument that is a colon alone cannot be passed to ranks by mpirun");
    MU_TRY_RETURN(MU_NEW_ARRAY(&argv, (int)MU_COUNT(options) + n_args + 4, "mpirun's command line", e));
    (void)snprintf(count, sizeof count, "%d", g->o->ranks);
    argv[n++] = mpirun;
    for (size_t i = 0; i < MU_COUNT(options); i++)
        argv[n++] = (char *)(uintptr_t)options[i];
    argv[n++] = count;
    argv[n++] = exe;
    for (int i = 1; i < n_args; i++)
        argv[n++] = g->o->argv[i];
    *out = argv;
    return MU_OK;
}

static void set_environment(const struct guard *g)
{
    (void)setenv(MU_LAUNCH_VARIABLE, g->name, 1);
    (void)setenv("HWLOC_HIDE_ERRORS", "2", 0); /* MPI's own complains in every rank where there is no /sys */
    if (geteuid() == 0) {
        (void)setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        (void)setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
}

/* The child: a process group of its own, so that what is typed at the terminal is ours to pass on. */
static void become_mpirun(const struct guard *g, char **argv, const sigset_t *mask, int words, pid_t parent)
{
    int nothing = open("/dev/null", O_RDONLY);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || nothing < 0)
        _exit(126);
    (void)setpgid(0, 0);
    (void)dup2(nothing, 0);
    (void)dup2(words, 1);
    (void)dup2(words, 2);
    set_environment(g);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    (void)execv(argv[0], argv);
    _exit(127);
}

static int start(struct guard *g, const sigset_t *mask, struct mu_err *e)
{
    char mpirun[PATH_MAX], exe[PATH_MAX];
    int words[2] = {-1, -1}, rc = MU_OK;
    char **argv = NULL;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    pid_t self = getpid();
    if (n <= 0)
        return mu_fail(e, MU_EIO, "where this program lies: %s", strerror(errno));
    exe[n] = '\0';
    MU_TRY_RETURN(find_mpirun(mpirun, e));
    MU_TRY_RETURN(make_command(g, mpirun, exe, &argv, e));
    if (pipe2(words, O_CLOEXEC) != 0 || fcntl(words[0], F_SETFL, O_NONBLOCK) != 0)
        MU_TRY(mu_fail(e, MU_EIO, "no pipe for mpirun: %s", strerror(errno)));
    g->words = words[0];
    g->mpirun = fork();
    if (g->mpirun == 0)
        become_mpirun(g, argv, mask, words[1], self);
    g->has_mpirun = g->mpirun > 0;
    if (!g->has_mpirun)
        rc = mu_fail(e, MU_ENOMEM, "starting mpirun: %s", strerror(errno));
out:
    if (words[1] >= 0)
        close(words[1]);
    mu_free(argv);
    return rc;
}

/* ---- seats ---- */

static void clear_seat(struct seat *s)
{
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct seat){.fd = -1, .rank = -1};
}

static void seat_newcomers(struct guard *g)
{
    for (int i = 0; i < g->n_seats; i++) {
        struct ucred who;
        socklen_t n = sizeof who;
        if (g->seat[i].fd >= 0)
            continue;
        int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        g->seat[i] = (struct seat){.fd = fd, .rank = -1};
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0 || who.uid != geteuid())
            clear_seat(&g->seat[i]);
        else
            g->seat[i].pid = who.pid;
    }
}

/* Rank 0 gets our own files; the others nothing to read, and nowhere to print but to standard error. */
static bool answer(const struct guard *g, const struct seat *s)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct mu_launch_packet p = {.kind = MU_LAUNCH_ANSWER, .pid = g->mpirun};
    struct iovec io = {.iov_base = &p, .iov_len = sizeof p};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fds[3] = {s->rank == 0 ? 0 : nothing, s->rank == 0 ? 1 : nothing, 2};
    memset(&control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)};
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    bool is_sent = nothing >= 0 && sendmsg(s->fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof p;
    if (nothing >= 0)
        close(nothing);
    return is_sent;
}

static void welcome(struct guard *g, struct seat *s, const struct mu_launch_packet *p)
{
    if (p->rank < 0 || p->rank >= g->o->ranks || p->size != g->o->ranks || g->fate[p->rank].has_come) {
        clear_seat(s);
        return;
    }
    s->rank = p->rank;
    if (!answer(g, s)) {
        clear_seat(s);
        return;
    }
    g->job = p->job;
    g->fate[s->rank].has_come = true;
    g->n_come++;
    if (g->signal)
        (void)kill(s->pid, g->signal);
}

/* What remains has a while to end by itself. */
static void begin_grace(struct guard *g)
{
    g->kill_ns = g->kill_ns ? g->kill_ns : now_ns() + MU_LAUNCH_GRACE_NS;
}

/* A failure that came before rank 0's word, and is nobody's end either, does not count any more. */
static void spare_others(struct guard *g)
{
    g->spares_others = true;
    if (!g->signal && !g->is_late && !g->fate[0].has_ended)
        g->kill_ns = 0;
}

static void note_end(struct guard *g, struct seat *s)
{
    struct fate *f = &g->fate[s->rank];
    if (!f->has_told)
        f->status = mu_code_exit_status(MU_EPEER);
    f->has_ended = true;
    g->n_ended++;
    if (f->status != 0 && g->first < 0) {
        g->first = s->rank;
        g->first_pid = s->pid;
    }
    if (g->spares_others ? s->rank == 0 : f->status != 0)
        begin_grace(g);
    clear_seat(s);
}

static void hear_seat(struct guard *g, struct seat *s)
{
    struct mu_launch_packet p;
    for (;;) {
        ssize_t n = recv(s->fd, &p, sizeof p, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n == (ssize_t)sizeof p && s->rank < 0) {
            welcome(g, s, &p);
        } else if (n == (ssize_t)sizeof p && p.kind == MU_LAUNCH_SPARE) {
            if (s->rank == 0)
                spare_others(g);
        } else if (n == (ssize_t)sizeof p) {
            g->fate[s->rank].has_told = true;
            g->fate[s->rank].status = p.status;
        } else if (s->rank >= 0) {
            note_end(g, s);
        } else {
            clear_seat(s);
        }
        if (s->fd < 0)
            return;
    }
}

/* ---- the loop ---- */

static void signal_ranks(const struct guard *g, int sig)
{
    for (int i = 0; i < g->n_seats; i++)
        if (g->seat[i].fd >= 0 && g->seat[i].rank >= 0)
            (void)kill(g->seat[i].pid, sig);
}

static void take_signals(struct guard *g)
{
    struct signalfd_siginfo s;
    while (read(g->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        if (s.ssi_signo == SIGCHLD)
            continue;
        if (g->signal)
            g->kill_ns = now_ns(); /* asked twice */
        g->signal = (int)s.ssi_signo;
        signal_ranks(g, g->signal);
    }
}

static void hear_mpirun(struct guard *g)
{
    char p[1024];
    for (ssize_t n; (n = read(g->words, p, sizeof p)) > 0;) {
        size_t fits = MU_MIN((size_t)n, TAIL_BYTES), kept = MU_MIN(g->n_tail, TAIL_BYTES - fits);
        memmove(g->tail, g->tail + g->n_tail - kept, kept);
        memcpy(g->tail + kept, p + (size_t)n - fits, fits);
        g->n_tail = kept + fits;
    }
}

static bool is_stopped(pid_t pid)
{
    char path[48], state = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (f)
        (void)fclose(f);
    return state == 'T';
}

/* Rank 0 may go on alone. When it is stopped the others have ended because of it, and nobody else would end it. */
static void look_at_last(struct guard *g, int64_t now)
{
    if (!g->spares_others || g->n_ended + 1 < g->o->ranks || g->fate[0].has_ended)
        return;
    for (int i = 0; i < g->n_seats; i++) {
        if (g->seat[i].fd < 0 || g->seat[i].rank != 0)
            continue;
        if (!is_stopped(g->seat[i].pid))
            g->stopped_ns = 0;
        else if (g->stopped_ns == 0)
            g->stopped_ns = now;
        else if (now - g->stopped_ns > MU_LAUNCH_GRACE_NS && g->kill_ns == 0)
            g->kill_ns = now;
    }
}

/* mpirun ends when its ranks have; else it is helped to. */
static void see_to_end(struct guard *g, int64_t began_ns)
{
    int64_t now = now_ns();
    if (g->n_come < g->o->ranks && now - began_ns > MU_LAUNCH_START_NS && g->kill_ns == 0) {
        g->is_late = true;
        g->kill_ns = now;
    }
    look_at_last(g, now);
    if (g->kill_ns && now >= g->kill_ns) {
        signal_ranks(g, SIGKILL);
        g->term_ns = g->term_ns ? g->term_ns : now + (g->n_come < g->o->ranks ? 0 : MPIRUN_NS);
    }
    if (g->n_ended == g->o->ranks && !g->term_ns)
        g->term_ns = now + MPIRUN_NS;
    if (g->term_ns && now >= g->term_ns && !g->is_termed) {
        (void)kill(g->mpirun, SIGTERM); /* once: a second one keeps it from sweeping up */
        g->is_termed = true;
    }
    if (g->term_ns && now >= g->term_ns + 2 * MPIRUN_NS)
        (void)kill(g->mpirun, SIGKILL);
    if (g->has_mpirun && waitpid(g->mpirun, &g->mpirun_status, WNOHANG) == g->mpirun)
        g->has_mpirun = false;
}

static void turn(struct guard *g)
{
    struct pollfd *p = g->poll;
    p[0] = (struct pollfd){.fd = g->signals, .events = POLLIN};
    p[1] = (struct pollfd){.fd = g->listener, .events = POLLIN};
    p[2] = (struct pollfd){.fd = g->words, .events = POLLIN};
    for (int i = 0; i < g->n_seats; i++)
        p[3 + i] = (struct pollfd){.fd = g->seat[i].fd, .events = POLLIN};
    (void)poll(p, (nfds_t)(3 + g->n_seats), TURN_MS);
    if (p[2].revents & (POLLHUP | POLLERR)) {
        hear_mpirun(g);
        close(g->words);
        g->words = -1; /* a closed pipe would be news for ever */
    }
    take_signals(g);
    hear_mpirun(g);
    seat_newcomers(g);
    for (int i = 0; i < g->n_seats; i++)
        if (g->seat[i].fd >= 0)
            hear_seat(g, &g->seat[i]);
}

/* Rank 0's, where it can go on without others. Else the cause before its consequences: the lowest rank that failed for
 * another reason than a lost peer. */
static int status_of_all(const struct guard *g)
{
    int status = 0, peer = mu_code_exit_status(MU_EPEER);
    if (g->spares_others && g->fate[0].has_told)
        return g->fate[0].status;
    for (int r = 0; r < g->o->ranks; r++) {
        int s = g->fate[r].has_ended ? g->fate[r].status : peer;
        if (s != 0 && s != peer)
            return s;
        status = status ? status : s;
    }
    return status;
}

static void one_line(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

/* Whether a rank that failed could say so itself. */
static bool has_been_said(const struct guard *g)
{
    for (int r = 0; r < g->o->ranks; r++)
        if (g->fate[r].has_told && g->fate[r].status != 0)
            return true;
    return false;
}

static int judge_start(const struct guard *g, struct mu_err *e)
{
    int status = g->mpirun_status;
    if (g->is_late)
        return mu_fail(e, MU_ETIMEDOUT, "%d of %d ranks had come to life after %lld s, and were ended: %s", g->n_come,
                       g->o->ranks, MU_LAUNCH_START_NS / 1000000000, g->tail);
    return mu_fail(e, MU_EPEER, "mpirun ended (status %d) when %d of %d ranks had come to life: %s",
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), g->n_come, g->o->ranks,
                   g->tail[0] ? g->tail : "it said nothing");
}

static int judge(struct guard *g, int *status, struct mu_err *e)
{
    one_line(g->tail);
    *status = status_of_all(g);
    if (*status == 0 || has_been_said(g))
        return MU_OK;
    if (g->signal)
        return mu_fail(e, MU_ECANCELED, "the ranks were ended by signal %d", g->signal);
    if (g->n_come < g->o->ranks)
        return judge_start(g, e);
    if (WIFSIGNALED(g->mpirun_status) && !g->term_ns)
        return mu_fail(e, MU_EPEER, "mpirun, which the ranks depend on, was killed by signal %d",
                       WTERMSIG(g->mpirun_status));
    return mu_fail(e, MU_EPEER, "rank %d (process %d) ended without a word, as one that is killed does",
                   MU_MAX(g->first, 0), (int)g->first_pid);
}

static int run(struct guard *g, const sigset_t *mask, int *status, struct mu_err *e)
{
    int64_t began_ns = now_ns();
    MU_TRY_RETURN(start(g, mask, e));
    while (g->has_mpirun) {
        turn(g);
        see_to_end(g, began_ns);
    }
    turn(g); /* what the ranks said last */
    signal_ranks(g, SIGKILL);
    if (WIFSIGNALED(g->mpirun_status) || g->is_termed)
        mu_launch_sweep(g->mpirun, g->job, g->o->ranks);
    return judge(g, status, e);
}

static int open_guard(struct guard *g, struct mu_err *e)
{
    g->n_seats = g->o->ranks + 4; /* and a few who have not said who they are */
    MU_TRY_RETURN(MU_NEW_ARRAY(&g->fate, g->o->ranks, "the ranks' guardian", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&g->poll, g->n_seats + 3, "the ranks' guardian", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&g->seat, g->n_seats, "the ranks' guardian", e));
    for (int i = 0; i < g->n_seats; i++)
        g->seat[i] = (struct seat){.fd = -1, .rank = -1};
    return open_listener(g, e);
}

static void close_guard(struct guard *g)
{
    for (int i = 0; g->seat && i < g->n_seats; i++)
        clear_seat(&g->seat[i]);
    if (g->words >= 0)
        close(g->words);
    if (g->listener >= 0)
        close(g->listener);
    if (g->signals >= 0)
        close(g->signals);
    mu_free(g->seat);
    mu_free(g->poll);
    mu_free(g->fate);
}

int mu_launch_guard(const struct mu_launch_opts *o, int *status, struct mu_err *e)
{
    struct guard g = {.o = o, .listener = -1, .signals = -1, .words = -1, .first = -1};
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    sigset_t mask, before;
    int rc = MU_OK;
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < MU_COUNT(ours); i++)
        (void)sigaddset(&mask, ours[i]);
    (void)sigprocmask(SIG_BLOCK, &mask, &before);
    MU_TRY(mu_launch_check_room(e));
    MU_TRY(open_guard(&g, e));
    g.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g.signals < 0)
        MU_TRY(mu_fail(e, MU_EIO, "the ranks' guardian gets no signals: %s", strerror(errno)));
    MU_TRY(run(&g, &before, status, e));
out:
    close_guard(&g);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
