/* drill.c - the drills one after the other, each in a process of its own, and the report (drill.h) */
#include "cli/drill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/harmless.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/plan_inputs.h"
#include "cli/print_json.h"
#include "comm/launch.h"
#include "comm/mpi/mpi.h"

#define PATH_BYTES 4096
#define OWN_RANK   "MUSTER_DRILL_RANK" /* holds the scratch folder of the drill that started this rank */
#define END_NS     2000000000ll        /* for what a drill started and left */
#define LOOK_MS    100

static const struct mu_drill *const drills[] = {
    &mu_drill_products, &mu_drill_memory, &mu_drill_storage, &mu_drill_ranks, &mu_drill_kill,
    &mu_drill_stop,     &mu_drill_link,   &mu_drill_disk,    &mu_drill_slurm,
};
#define N_DRILLS (int)MU_COUNT(drills)

static const char *const verdicts[] = {"pass", "slow", "broken", "skipped"};

/* ---- for drills ---- */

int mu_drill_say(struct mu_drill_result *r, enum mu_drill_verdict v, const char *fmt, ...)
{
    va_list args;
    r->verdict = v;
    va_start(args, fmt);
    vsnprintf(r->text, sizeof r->text, fmt, args);
    va_end(args);
    mu_harmless(r->text, sizeof r->text, r->text); /* `ip` and `srun` say what they like */
    return MU_OK;
}

void mu_drill_rate(struct mu_drill_result *r, double value, double baseline, double scale, const char *unit,
                   const char *what)
{
    bool is_slow = baseline > 0 && value < MU_DRILL_SLOW_RATE * baseline;
    char beside[96] = ", and no calibration to hold it against";
    if (baseline > 0)
        snprintf(beside, sizeof beside, ", %.0f%% of the calibrated %.1f", 100 * value / baseline, baseline / scale);
    mu_drill_say(r, is_slow ? MU_DRILL_SLOW : MU_DRILL_PASS, "%s %.1f %s%s", what, value / scale, unit, beside);
    r->value = value;
    r->baseline = baseline;
    snprintf(r->unit, sizeof r->unit, "%s", strcmp(unit, "GB/s") == 0 ? "B/s" : "FLOP/s");
}

bool mu_drill_start_ranks(const struct mu_drill_args *a, const char *name, int ranks, struct mu_drill_result *r,
                          int *status)
{
    char number[16];
    const char *argv[] = {mu_command_line()[0],
                          "doctor",
                          "--drill",
                          "--only",
                          name,
                          "--ranks",
                          number,
                          "--scratch",
                          a->scratch,
                          a->baseline ? "--baseline" : NULL,
                          a->baseline,
                          NULL};
    struct mu_launch_opts o = {.ranks = ranks, .argv = (char **)(uintptr_t)argv};
    struct mu_err why = MU_ERR_INIT;
    struct mu_comm *world = NULL;
    bool is_guardian = false;
    snprintf(number, sizeof number, "%d", ranks);
    setenv(OWN_RANK, a->scratch, 1); /* this process is the drill's alone */
    int rc = mu_launch(&world, &o, &is_guardian, status, &why);
    if (rc == MU_OK)
        return true;
    mu_drill_say(r, rc == MU_EUNSUPPORTED ? MU_DRILL_SKIPPED : MU_DRILL_BROKEN, "%s", why.text);
    return false;
}

int mu_drill_write(const struct mu_drill_args *a, const char *name, const char *text, struct mu_err *e)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", a->scratch, name);
    return mu_file_write_all(path, text, strlen(text), e);
}

bool mu_drill_read(const struct mu_drill_args *a, const char *name, char *text, size_t bytes)
{
    char path[PATH_BYTES];
    struct mu_buf b = MU_BUF_INIT("what a rank saw", bytes - 1);
    snprintf(path, sizeof path, "%s/%s", a->scratch, name);
    bool is_there = mu_file_read_all(&b, path, NULL) == MU_OK;
    snprintf(text, bytes, "%s", is_there && b.p ? b.p : "");
    mu_buf_fini(&b);
    return is_there;
}

/* ---- one, in its own process ---- */

static _Noreturn void run_child(const struct mu_drill *d, const struct mu_drill_args *a, int tell)
{
    struct mu_drill_result r = {.verdict = MU_DRILL_BROKEN};
    struct mu_err e = MU_ERR_INIT;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        (void)dup2(null, i); /* ranks and tools speak on their own */
    if (d->run(a, &r, &e) != MU_OK)
        mu_drill_say(&r, MU_DRILL_BROKEN, "%s", e.text);
    (void)!write(tell, &r, sizeof r);
    _exit(0);
}

/* Until it has told, has ended, its time is over or somebody wants to stop. */
static bool hear(int from, int deadline_s, struct mu_drill_result *r)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    int64_t until = mu_now_ns(mu_clock_real()) + deadline_s * 1000000000ll;
    while (!mu_interrupted() && mu_now_ns(mu_clock_real()) < until)
        if (poll(&p, 1, LOOK_MS) > 0)
            return read(from, r, sizeof *r) == (ssize_t)sizeof *r;
    return false;
}

static void judge_silence(struct mu_drill_result *r, const struct mu_drill *d, int status, bool has_ended)
{
    if (mu_interrupted())
        mu_drill_say(r, MU_DRILL_SKIPPED, "stopped on request");
    else if (!has_ended)
        mu_drill_say(r, MU_DRILL_BROKEN, "not done within %d s", d->deadline_s);
    else if (WIFSIGNALED(status))
        mu_drill_say(r, MU_DRILL_BROKEN, "the drill's process was ended by signal %d%s", WTERMSIG(status),
                     WTERMSIG(status) == SIGKILL  ? ", as the kernel does when memory runs out"
                     : WTERMSIG(status) == SIGBUS ? ", as the kernel does where memory or storage is broken"
                                                  : "");
    else
        mu_drill_say(r, MU_DRILL_BROKEN, "the drill's process ended with status %d", WEXITSTATUS(status));
}

/* Of processes that lost their parents to a drill: ours by now. */
static void kill_children(void)
{
    char path[64], word[32];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%31s", word) == 1)
        kill((pid_t)atoi(word), SIGKILL);
    if (f)
        fclose(f);
}

/* All that the drill started has ended when the next begins; what does not end by itself is ended. */
static void end_all(void)
{
    int64_t begin = mu_now_ns(mu_clock_real()), now;
    pid_t got;
    while ((got = waitpid(-1, NULL, WNOHANG)) >= 0 || errno == EINTR) {
        if (got > 0)
            continue;
        if ((now = mu_now_ns(mu_clock_real())) - begin > 2 * END_NS)
            return; /* the kernel holds it: of a disk or driver that does not answer */
        if (now - begin > END_NS || mu_interrupted())
            kill_children();
        poll(NULL, 0, 10);
    }
}

static int run_one(const struct mu_drill *d, const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    int fd[2], status = 0;
    int64_t begin = mu_now_ns(mu_clock_real());
    *r = (struct mu_drill_result){0};
    if (pipe2(fd, O_CLOEXEC) != 0)
        return mu_fail(e, MU_EIO, "a pipe to a drill: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_child(d, a, fd[1]);
    close(fd[1]);
    if (pid < 0) {
        close(fd[0]);
        return mu_fail(e, MU_EIO, "a drill's process: %s", strerror(errno));
    }
    setpgid(pid, pid);
    bool has_told = hear(fd[0], d->deadline_s, r);
    bool has_ended = !has_told && poll(NULL, 0, LOOK_MS) == 0 && waitpid(pid, &status, WNOHANG) == pid;
    kill(-pid, SIGKILL);
    while (!has_ended && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    end_all();
    close(fd[0]);
    if (!has_told)
        judge_silence(r, d, status, has_ended);
    r->seconds = (double)(mu_now_ns(mu_clock_real()) - begin) * 1e-9;
    return MU_OK;
}

/* ---- all ---- */

static bool is_wanted(const struct mu_drill *d, const struct mu_opt_list *only)
{
    for (int i = 0; i < only->n; i++)
        if (strcmp(only->item[i], d->name) == 0)
            return true;
    return only->n == 0;
}

static int check_names(const struct mu_opt_list *only, struct mu_err *e)
{
    const char *names[MU_COUNT(drills) + 1] = {NULL};
    char list[256] = "";
    for (int i = 0; i < N_DRILLS; i++) {
        size_t n = strlen(list);
        names[i] = drills[i]->name;
        snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", drills[i]->name);
    }
    for (int i = 0; i < only->n; i++) {
        int k = 0;
        while (k < N_DRILLS && strcmp(names[k], only->item[i]) != 0)
            k++;
        const char *near = k < N_DRILLS ? NULL : mu_name_nearest(names, only->item[i]);
        if (k == N_DRILLS)
            return mu_fail(e, MU_EUSAGE, "--only %s: there is no such drill%s%s%s It is one of %s", only->item[i],
                           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : ".", list);
    }
    return MU_OK;
}

static int add_row(json_t *rows, const struct mu_drill *d, const struct mu_drill_result *r, struct mu_err *e)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:f}", "drill", d->name, "verdict", verdicts[r->verdict], "text", r->text,
                            "seconds", r->seconds);
    if (row && r->value > 0)
        json_object_set_new(row, "value", json_real(r->value));
    if (row && r->value > 0)
        json_object_set_new(row, "baseline", r->baseline > 0 ? json_real(r->baseline) : json_null());
    if (row && r->value > 0)
        json_object_set_new(row, "unit", json_string(r->unit));
    return row && json_array_append_new(rows, row) == 0 ? MU_OK : mu_fail_nomem(e, 0, "the report");
}

static int run_all(const struct mu_drill_args *a, json_t *rows, int n[4], struct mu_err *e)
{
    for (int i = 0; i < N_DRILLS && !mu_interrupted(); i++) {
        struct mu_drill_result r;
        if (!is_wanted(drills[i], &a->only))
            continue;
        MU_TRY_RETURN(run_one(drills[i], a, &r, e));
        n[r.verdict]++;
        MU_TRY_RETURN(add_row(rows, drills[i], &r, e));
        if (!a->json)
            printf("%-9s %-8s %s\n", drills[i]->name, verdicts[r.verdict], r.text);
        fflush(stdout);
    }
    return mu_interrupted() ? mu_fail(e, MU_ECANCELED, "stopped on request") : MU_OK;
}

static int judge_all(const int n[4], struct mu_err *e)
{
    if (n[MU_DRILL_BROKEN] > 0)
        return mu_fail(e, MU_EPEER, "%d broken, %d slow, %d passed, %d skipped", n[MU_DRILL_BROKEN], n[MU_DRILL_SLOW],
                       n[MU_DRILL_PASS], n[MU_DRILL_SKIPPED]);
    if (n[MU_DRILL_SLOW] > 0)
        return mu_fail(e, MU_ELIMIT, "%d slow, %d passed, %d skipped", n[MU_DRILL_SLOW], n[MU_DRILL_PASS],
                       n[MU_DRILL_SKIPPED]);
    return MU_OK;
}

/* ---- the scratch folder ---- */

/* What is in it, and in folders of it down to a depth. Takes fd. */
static void empty_folder(int fd, int depth)
{
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *at;
    while (d && (at = readdir(d)) != NULL) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0 || unlinkat(fd, at->d_name, 0) == 0)
            continue;
        if (depth > 0)
            empty_folder(openat(fd, at->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), depth - 1);
        unlinkat(fd, at->d_name, AT_REMOVEDIR);
    }
    if (d)
        closedir(d);
}

static void remove_folder(const char *path)
{
    empty_folder(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1);
    rmdir(path);
}

static int make_scratch(const char *given, char path[PATH_BYTES], struct mu_err *e)
{
    const char *tmp = given ? given : getenv("TMPDIR");
    snprintf(path, PATH_BYTES, "%s/muster-drill-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(path))
        return MU_OK;
    return mu_fail(e, MU_EIO, "%s cannot be made: %s; --scratch DIR names a folder for it", path, strerror(errno));
}

static void on_signal(int sig)
{
    mu_interrupt_ask(sig == SIGHUP ? "the end of the terminal" : "a signal");
}

/* What a drill starts comes to us when the drill ends. The first signal is enough to end all that within seconds; a
 * second one would leave it behind. */
static void watch_over(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal}, old;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (size_t i = 0; i < MU_COUNT(ends); i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* as under nohup */
            sigaction(ends[i], &sa, NULL);
}

static int drill_here(struct mu_drill_args *a, struct mu_err *e)
{
    char scratch[PATH_BYTES];
    watch_over();
    json_t *rows = json_array();
    int n[4] = {0}, rc = rows ? MU_OK : mu_fail_nomem(e, 0, "the report");
    MU_TRY_RETURN(rc);
    rc = make_scratch(a->scratch, scratch, e);
    if (rc == MU_OK) {
        a->scratch = scratch;
        rc = run_all(a, rows, n, e);
        remove_folder(scratch);
    }
    if (rc == MU_OK && a->json)
        rc = mu_print_json(json_incref(rows), "the report", e);
    json_decref(rows);
    return rc == MU_OK ? judge_all(n, e) : rc;
}

/* One of the ranks: of a drill of ours, or of a launcher's job, which has the one over ranks alone and is told so by
 * nothing on the command line: what is there may be anybody's. */
static int drill_rank(struct mu_drill_args *a, struct mu_err *e)
{
    const struct mu_drill *d = &mu_drill_ranks;
    const char *own = getenv(OWN_RANK);
    struct mu_launch_opts o = {.ranks = 0, .argv = mu_command_line()};
    struct mu_comm *world = NULL;
    bool is_guardian = false;
    int status = 0;
    for (int i = 0; i < N_DRILLS; i++)
        if (a->only.n == 1 && strcmp(drills[i]->name, a->only.item[0]) == 0)
            d = drills[i];
    if (!own || !a->scratch || strcmp(own, a->scratch) != 0)
        a->scratch = NULL;
    if (!d->rank || (d != &mu_drill_ranks && !a->scratch))
        return mu_fail(e, MU_EUSAGE, "--only %s starts what it needs itself: run it outside of mpirun and srun",
                       d->name);
    MU_TRY_RETURN(mu_launch(&world, &o, &is_guardian, &status, e));
    int rc = d->rank(a, world, e);
    if (rc != MU_OK && world && !mu_comm_is_dead(world))
        mu_comm_abort(world, e->text);
    mu_comm_close(world);
    return rc;
}

int mu_drill_run(struct mu_drill_args *a, struct mu_err *e)
{
    struct mu_machine machine;
    bool is_there = false;
    int rank, size;
    MU_TRY_RETURN(check_names(&a->only, e));
    MU_TRY_RETURN(mu_machine_kept(&machine, a->baseline, &is_there, e));
    a->machine = is_there ? &machine : NULL;
    int rc = mu_mpi_is_launched(&rank, &size) ? drill_rank(a, e) : drill_here(a, e);
    a->machine = NULL;
    return rc;
}
