/* drill_link.c - a cable is cut between two machines made of network namespaces: both ends tell (drill.h)
 *
 * Two processes, each in a namespace of its own, a pair of virtual cards between them, and the watch over ranks
 * (comm/live.h) at both ends. Namespaces without a name end with their processes, cards with their namespaces: nothing
 * stays. Only root may make them. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/drill.h"
#include "comm/live.h"
#include "sched/slurm/command.h"

#define TOOL_NS  10000000000ll
#define LOOK_MS  20
#define ARGS_MAX 16

/* `ip` with the words of a line. */
static int ip(const char *line, struct mu_err *e)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *argv[ARGS_MAX + 2] = {"ip"};
    char words[256], *save = NULL;
    int n = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &save); w && n <= ARGS_MAX; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    int rc = mu_command_run(&end, argv, TOOL_NS, e);
    if (rc == MU_OK && end.status != 0)
        rc = mu_fail(e, MU_EPEER, "ip %s: %.200s", line, end.err.p ? end.err.p : "");
    mu_command_end_fini(&end);
    return rc;
}

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* When the other one was found lost; 0: not within the time. */
static int64_t await_loss(struct mu_live *l)
{
    const char *why;
    int64_t until = now_ns() + 2 * MU_DRILL_FOUND_S * 1000000000ll;
    while (now_ns() < until) {
        if (mu_live_lost(l, &why) >= 0)
            return now_ns();
        poll(NULL, 0, LOOK_MS);
    }
    return 0;
}

/* ---- the far machine: rank 1 ---- */

/* Says that it has its namespace, hears where the hub is, joins it, and says when that was lost. */
static _Noreturn void be_far(int from, int to)
{
    struct mu_live *l = NULL;
    struct mu_err e = MU_ERR_INIT;
    char where[MU_LIVE_WHERE_MAX];
    int64_t found = 0;
    bool is_there = unshare(CLONE_NEWNET) == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(to, &is_there, sizeof is_there) != sizeof is_there || !is_there)
        _exit(1);
    if (read(from, where, sizeof where) != (ssize_t)sizeof where)
        _exit(1);
    int rc = ip("addr add 10.213.7.2/24 dev mudrill1", &e);
    if (rc == MU_OK)
        rc = ip("link set mudrill1 up", &e);
    if (rc == MU_OK)
        rc = mu_live_open_rank(&l, 1, 2, "far", where, &e);
    if (rc == MU_OK)
        found = await_loss(l);
    (void)!write(to, &found, sizeof found);
    _exit(0);
}

/* ---- the near one: the hub ---- */

static int make_cable(pid_t far, struct mu_err *e)
{
    char line[128];
    snprintf(line, sizeof line, "link add mudrill0 type veth peer name mudrill1 netns %d", (int)far);
    MU_TRY_RETURN(ip(line, e));
    MU_TRY_RETURN(ip("addr add 10.213.7.1/24 dev mudrill0", e));
    return ip("link set mudrill0 up", e);
}

static int tell_times(struct mu_drill_result *r, int64_t cut, int64_t near, int64_t far, struct mu_err *e)
{
    double near_s = (double)(near - cut) * 1e-9, far_s = (double)(far - cut) * 1e-9;
    if (near == 0 || far == 0)
        return mu_fail(e, MU_EPEER, "a cut link was not found out by the %s end", near == 0 ? "near" : "far");
    return mu_drill_say(r, MU_MAX(near_s, far_s) > MU_DRILL_FOUND_S ? MU_DRILL_SLOW : MU_DRILL_PASS,
                        "a cut link was found out after %.1f s at one end and %.1f s at the other (%d s are allowed)",
                        near_s, far_s, MU_DRILL_FOUND_S);
}

static int be_near(pid_t far, int from, int to, struct mu_drill_result *r, struct mu_err *e)
{
    struct mu_live *l = NULL;
    char where[MU_LIVE_WHERE_MAX] = "";
    int64_t far_found = 0;
    int rc = make_cable(far, e);
    if (rc != MU_OK)
        return mu_drill_say(r, MU_DRILL_SKIPPED, "%s",
                            rc == MU_ENOENT ? "there is no program ip to cut it with (Debian: iproute2)" : e->text);
    MU_TRY_RETURN(mu_live_open_hub(&l, 2, "near", false, where, e));
    if (write(to, where, sizeof where) != (ssize_t)sizeof where)
        return mu_fail(e, MU_EPEER, "the far process has ended");
    MU_TRY_RETURN(mu_live_await_all(l, MU_LIVE_JOIN_NS, e));
    MU_TRY_RETURN(ip("link set mudrill0 down", e));
    int64_t cut = now_ns(), found = await_loss(l);
    if (read(from, &far_found, sizeof far_found) != (ssize_t)sizeof far_found)
        return mu_fail(e, MU_EPEER, "the far process has ended");
    return tell_times(r, cut, found, far_found, e); /* the watch ends with this process */
}

/* ---- the drill ---- */

static int run(const struct mu_drill_args *a, struct mu_drill_result *r, struct mu_err *e)
{
    int there[2], back[2];
    bool is_there = false;
    (void)a;
    if (geteuid() != 0)
        return mu_drill_say(r, MU_DRILL_SKIPPED, "only root may make the network namespaces between which it cuts");
    if (pipe(there) != 0 || pipe(back) != 0)
        return mu_fail(e, MU_EIO, "a pipe: %s", strerror(errno));
    pid_t far = fork();
    if (far == 0)
        be_far(there[0], back[1]);
    close(back[1]);
    if (far < 0 || read(back[0], &is_there, sizeof is_there) != (ssize_t)sizeof is_there || !is_there ||
        unshare(CLONE_NEWNET) != 0)
        return mu_drill_say(r, MU_DRILL_SKIPPED, "this system gives no network namespaces");
    int rc = be_near(far, back[0], there[1], r, e);
    kill(far, SIGKILL);
    waitpid(far, NULL, 0);
    return rc;
}

const struct mu_drill mu_drill_link = {.name = "link", .deadline_s = 90, .run = run};
