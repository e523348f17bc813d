/* test_steps.c - the nodes and steps of an allocation as Slurm prints them; and, inside a Slurm job (steps.sh starts
 * one), workers as real job steps: side by side, asked to end, killed, left behind, on a node that goes down */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "sched/slurm/doomed.h"
#include "xt.h"

#define SECOND ((int64_t)1000000000)
#define LONG   (40 * SECOND) /* the machine may be busy */

static struct mu_err err;

/* ---- texts, as Slurm 22.05.8 prints them ---- */

#define NODE(name, state)                                                                                              \
    "NodeName=" name " Arch=x86_64 CoresPerSocket=16 CPUAlloc=16 CPUTot=16 RealMemory=20000 State=" state              \
    " Partitions=cpu Reason=DOWN is what it was\n"

static const char *gone_of(const char *kept, const char *state)
{
    static char text[256];
    struct mu_slurm_hosts nodes = MU_SLURM_HOSTS_INIT, gone = MU_SLURM_HOSTS_INIT;
    text[0] = 0;
    XT_OK(mu_slurm_hosts_expand(&nodes, MU_STR("c[1-3]"), &err));
    XT_OK(mu_slurm_nodes_gone(&gone, &nodes, mu_str(kept), mu_str(state), &err));
    for (const char *p = NULL; (p = mu_slurm_hosts_next(&gone, p)) != NULL;)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", p);
    mu_slurm_hosts_fini(&nodes);
    mu_slurm_hosts_fini(&gone);
    return text;
}

XT_TEST(a_node_is_gone_when_the_job_has_lost_it_or_it_is_silent)
{
    XT_STREQ(gone_of("c[1-3]\n", NODE("c1", "ALLOCATED") NODE("c2", "MIXED") NODE("c3", "IDLE")), "");
    XT_STREQ(gone_of("c[1,3]\n", NODE("c1", "ALLOCATED") NODE("c2", "IDLE") NODE("c3", "ALLOCATED")), "c2 ");
    XT_STREQ(gone_of("c[1-3]\n", NODE("c1", "ALLOCATED*") NODE("c2", "DOWN*+DRAIN") NODE("c3", "MIXED+DRAIN")),
             "c1 c2 ");
    XT_STREQ(gone_of("\n", NODE("c1", "IDLE")), "c1 c2 c3 ");
    XT_STREQ(gone_of("c[1-3]\n", NODE("c1", "MIXED+NOT_RESPONDING") NODE("c2", "IDLE") NODE("c3", "IDLE")), "c1 ");
}

XT_TEST(steps_as_squeue_prints_them)
{
    struct mu_str rest = MU_STR("5.0     muster:host:12:34:1      \n\n5.batch   batch\n5.1 \n5.2  x y"), id, name;
    XT_CHECK(mu_slurm_step_next(&rest, &id, &name));
    XT_CHECK(mu_str_eq(id, MU_STR("5.0")) && mu_str_eq(name, MU_STR("muster:host:12:34:1")));
    XT_CHECK(mu_slurm_step_next(&rest, &id, &name) && mu_str_eq(name, MU_STR("batch")));
    XT_CHECK(mu_slurm_step_next(&rest, &id, &name) && mu_str_eq(id, MU_STR("5.2")));
    XT_CHECK(!mu_slurm_step_next(&rest, &id, &name));
}

/* What was seen stays when a later answer makes no sense. */
XT_TEST(an_answer_that_makes_no_sense_changes_nothing)
{
    struct mu_slurm_hosts nodes = MU_SLURM_HOSTS_INIT, gone = MU_SLURM_HOSTS_INIT;
    XT_OK(mu_slurm_hosts_expand(&nodes, MU_STR("c[1-2]"), &err));
    XT_OK(mu_slurm_nodes_gone(&gone, &nodes, MU_STR("c1\n"), MU_STR(NODE("c1", "IDLE")), &err));
    XT_FAILS(mu_slurm_nodes_gone(&gone, &nodes, MU_STR("c[1-2]\n"), MU_STR("NodeName=c1 State=IDLE\n"), &err),
             MU_EFORMAT, "no CPUTot");
    XT_EQ(gone.n, 1);
    XT_STREQ(mu_slurm_hosts_next(&gone, NULL), "c2");
    mu_slurm_hosts_fini(&nodes);
    mu_slurm_hosts_fini(&gone);
}

/* ---- what srun is told ---- */

static const char *words_of(const struct mu_worker_order *o)
{
    static char text[2048];
    struct mu_step_words w = MU_STEP_WORDS_INIT;
    XT_OK(mu_step_words_make(&w, o, "muster:x:1:2:3", "here", &err));
    XT_CHECK(w.argv[w.n] == NULL);
    text[0] = 0;
    for (int i = 10; i < w.n; i++) /* behind those that are always there */
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", w.argv[i]);
    snprintf(text + strlen(text), sizeof text - strlen(text), "[%s]", w.nodes.p);
    mu_step_words_fini(&w);
    return text;
}

static const char *const three[] = {"c1", "c2", "c3"};

XT_TEST(words_of_srun)
{
    const int even[] = {2, 2};
    unsetenv("SLURM_MPI_TYPE");
    XT_STREQ(words_of(&(struct mu_worker_order){.ranks = 1}),
             "--job-name=muster:x:1:2:3 --nodelist=here --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 "
             "--mpi=none -- [here]");
    XT_STREQ(words_of(&(struct mu_worker_order){.node = three, .n_nodes = 2, .ranks = 4, .share = even, .cpus = 3}),
             "--job-name=muster:x:1:2:3 --nodelist=c1,c2 --nodes=2 --ntasks=4 --ntasks-per-node=2 --cpus-per-task=3 "
             "--mpi=pmix -- [c1,c2]");
    setenv("SLURM_MPI_TYPE", "pmi2", 1);
    XT_CHECK(!strstr(words_of(&(struct mu_worker_order){.node = three, .n_nodes = 3, .ranks = 3}), "--mpi"));
    unsetenv("SLURM_MPI_TYPE");
}

/* Ranks go where their devices are, not where srun would put them. */
XT_TEST(words_of_ranks_that_nodes_share_unevenly)
{
    const int share[] = {1, 2, 1}, short_of[] = {1, 1, 1}, none[] = {0, 2, 2};
    struct mu_step_words w = MU_STEP_WORDS_INIT;
    struct mu_worker_order o = {.node = three, .n_nodes = 3, .ranks = 4, .share = share};
    XT_STREQ(words_of(&o), "--job-name=muster:x:1:2:3 --nodelist=c1,c2,c2,c3 --nodes=3 --ntasks=4 "
                           "--distribution=arbitrary --cpus-per-task=1 --export=ALL,SLURM_PMIX_DIRECT_CONN=false "
                           "--mpi=pmix -- [c1,c2,c3]");
    o.share = short_of;
    XT_FAILS(mu_step_words_make(&w, &o, "x", "here", &err), MU_EINVAL, "4 ranks, but the shares of 3 nodes come to 3");
    o.share = none;
    XT_FAILS(mu_step_words_make(&w, &o, "x", "here", &err), MU_EINVAL, "the least of them to 0");
    o = (struct mu_worker_order){.node = three, .n_nodes = 3, .ranks = 2};
    XT_FAILS(mu_step_words_make(&w, &o, "x", "here", &err), MU_EINVAL, "2 ranks on 3 nodes");
    mu_step_words_fini(&w);
}

/* Of this host and a process that is no more; a number that another process has by now is no proof of life. */
XT_TEST(whose_a_step_is)
{
    struct mu_doomed d;
    char host[65] = "", name[MU_STEP_NAME_BYTES];
    int64_t start = mu_process_start(getpid());
    gethostname(host, 64);
    XT_OK(mu_doomed_open(&d, &err));
    mu_doomed_name(&d, 7, name);
    XT_CHECK(!mu_doomed_is_left_behind(&d, mu_str(name))); /* our own */
    snprintf(name, sizeof name, "muster:%s:%d:%lld:7", host, (int)getpid(), (long long)start + 1);
    XT_CHECK(mu_doomed_is_left_behind(&d, mu_str(name)));
    snprintf(name, sizeof name, "muster:%s:%d:%lld:7", host, (int)getppid(), (long long)mu_process_start(getppid()));
    XT_CHECK(!mu_doomed_is_left_behind(&d, mu_str(name))); /* another launcher, which lives */
    snprintf(name, sizeof name, "muster:%sx:%d:%lld:7", host, (int)getpid(), (long long)start + 1);
    XT_CHECK(!mu_doomed_is_left_behind(&d, mu_str(name))); /* of another host */
    XT_CHECK(!mu_doomed_is_left_behind(&d, MU_STR("muster:")));
    XT_CHECK(!mu_doomed_is_left_behind(&d, MU_STR("batch")));
    mu_doomed_close(&d);
}

static char *no_variable(const char *name)
{
    (void)name;
    return NULL;
}

XT_TEST(outside_of_a_job_there_are_no_steps)
{
    struct mu_slurm_allocation a = MU_SLURM_ALLOCATION_INIT;
    XT_FAILS(mu_slurm_allocation_open(&a, no_variable, &err), MU_EINVAL, "in no Slurm job");
    mu_slurm_allocation_fini(&a);
}

/* ---- real steps: the job has nodes c1 and c2 and is kept when one fails ---- */

static struct mu_launcher *l;

static void open_real(void)
{
    if (!getenv("MUSTER_STEP_WORKER"))
        xt_skip("in no job of steps.sh");
    XT_OK(mu_launcher_open_steps(&l, &err));
}

static void close_real(void)
{
    l->ops->close(l);
    l = NULL;
}

static char log_path[4096]; /* of the worker that was started last */

static int64_t start_spread(const char *const *node, int n_nodes, int ranks, const int *share)
{
    static int n_logs;
    const char *const argv[] = {getenv("MUSTER_STEP_WORKER"), NULL};
    snprintf(log_path, sizeof log_path, "%s/log.%d", xt_tmpdir(), n_logs++);
    struct mu_worker_order o = {
        .argv = argv, .log = log_path, .node = node, .n_nodes = n_nodes, .ranks = ranks, .share = share, .cpus = 2};
    int64_t worker = 0;
    XT_OK(l->ops->start(l, &o, &worker, &err));
    XT_CHECK(worker > 0);
    return worker;
}

static int64_t start_on(const char *const *node, int n_nodes, int ranks)
{
    return start_spread(node, n_nodes, ranks, NULL);
}

/* The next that the worker tells; others are not heard. */
static void await(int64_t worker, struct mu_worker_told *told)
{
    int64_t until = mu_now_ns(mu_clock_real()) + LONG;
    do {
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "worker %d says nothing", (int)worker);
    } while (!l->ops->wait(l, SECOND, told) || told->worker != worker);
}

static void await_line(int64_t worker, const char *begin)
{
    struct mu_worker_told told;
    await(worker, &told);
    XT_CHECKF(told.kind == MU_WORKER_SAID && strncmp(told.line, begin, strlen(begin)) == 0,
              "\"%s\", kind %d, status %d, not \"%s\"", told.line, told.kind, told.exit_status, begin);
}

static struct mu_worker_told await_end(int64_t worker)
{
    struct mu_worker_told told;
    do {
        await(worker, &told);
    } while (told.kind != MU_WORKER_ENDED);
    return told;
}

static int look_for_steps(void)
{
    struct mu_slurm_allocation a = MU_SLURM_ALLOCATION_INIT;
    struct mu_command_end end = MU_COMMAND_END_INIT;
    struct mu_str rest, id, name;
    int n = 0;
    XT_OK(mu_slurm_allocation_open(&a, getenv, &err));
    XT_OK(mu_slurm_steps_list(&a, &end, &err));
    for (rest = mu_buf_str(&end.out); mu_slurm_step_next(&rest, &id, &name);)
        n += name.n > 7 && strncmp(name.p, "muster:", 7) == 0;
    mu_command_end_fini(&end);
    mu_slurm_allocation_fini(&a);
    return n;
}

/* One that has just ended may be listed for a moment. */
static void await_steps(int wanted)
{
    int64_t until = mu_now_ns(mu_clock_real()) + LONG;
    int n;
    while ((n = look_for_steps()) != wanted) {
        struct timespec pause = {.tv_nsec = 100000000};
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "%d steps, not %d", n, wanted);
        nanosleep(&pause, NULL);
    }
}

/* ---- refusals, by commands of our own in place of Slurm's ---- */

static void write_command(const char *name, const char *body)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), name);
    FILE *f = fopen(path, "w");
    XT_CHECK(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    XT_EQ(chmod(path, 0755), 0);
}

static struct mu_worker_told end_of_srun(const char *body)
{
    const char *const c1 = "c1";
    write_command("srun", body);
    struct mu_worker_told told = await_end(start_on(&c1, 1, 1));
    return told;
}

XT_TEST(what_srun_cannot_have_is_no_failure_of_the_work)
{
    char path[8192], *before = strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s:%s", xt_tmpdir(), before);
    write_command("squeue", "");
    write_command("scontrol", "");
    write_command("scancel", "");
    setenv("PATH", path, 1);
    setenv("SLURM_JOB_ID", "71", 1);
    setenv("SLURM_JOB_NODELIST", "c[1-2]", 1);
    XT_OK(mu_launcher_open_steps(&l, &err));
    XT_CHECK(end_of_srun("echo 'srun: error: Unable to create step for job 71: Busy' >&2; exit 1").is_refused);
    XT_CHECK(
        end_of_srun("echo 'srun: error: Unable to confirm allocation for job 71: Job is pending execution' >&2; exit 1")
            .is_refused);
    XT_CHECK(!end_of_srun("echo 'srun: error: c1: task 0: Exited with exit code 1' >&2; exit 1").is_refused);
    close_real();
    setenv("PATH", before, 1);
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_JOB_NODELIST");
    free(before);
}

XT_TEST(real_workers_side_by_side_hear_and_are_heard)
{
    const char *const c1 = "c1", *const both[] = {"c1", "c2"};
    open_real();
    int64_t a = start_on(&c1, 1, 1), b = start_on(&c1, 1, 1), two = start_on(both, 2, 2);
    await_line(two, "rank 0 on c1"); /* and nothing of rank 1 */
    l->ops->say(l, two, "both");
    await_line(two, "heard both");
    l->ops->say(l, a, "exit 7");
    struct mu_worker_told told = await_end(a);
    XT_EQ(told.exit_status, 7);
    XT_STREQ(told.line, "its last words"); /* not srun's */
    XT_CHECK(!told.is_node_down);
    l->ops->stop(l, b, false);
    told = await_end(b);
    XT_CHECKF(told.exit_status == 13 || told.exit_status == 0, "status %d", told.exit_status);
    await_steps(1);
    l->ops->stop(l, two, false);
    (void)await_end(two);
    await_steps(0);
    close_real();
}

static int times_in(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

/* One rank on the first node, two on the second; each is shown all GPUs that the job has on its node. */
XT_TEST(real_ranks_where_their_devices_are)
{
    const char *const both[] = {"c1", "c2"};
    const int share[] = {1, 2};
    struct mu_buf log = MU_BUF_INIT("a log", 1 << 16);
    open_real();
    int64_t spread = start_spread(both, 2, 3, share), until = mu_now_ns(mu_clock_real()) + LONG;
    await_line(spread, "rank 0 on c1");
    do {
        mu_buf_clear(&log);
        XT_OK(mu_file_read_all(&log, log_path, &err));
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "three ranks do not come: %s", log.p);
    } while (times_in(log.p, " sees ") < 3);
    XT_CHECKF(times_in(log.p, "on c1 sees ") == 1 && times_in(log.p, "on c2 sees ") == 2, "%s", log.p);
    if (getenv("SLURM_GPUS_ON_NODE"))
        XT_CHECKF(times_in(log.p, " sees 0,1\n") == 3, "%s", log.p);
    mu_buf_fini(&log);
    close_real();
    await_steps(0);
}

static pid_t pid_in(const char *line)
{
    const char *p = strstr(line, "pid ");
    XT_CHECK(p);
    return (pid_t)atoi(p + 4);
}

static pid_t await_pid(int64_t worker)
{
    struct mu_worker_told told;
    await(worker, &told);
    XT_CHECKF(told.kind == MU_WORKER_SAID, "it ended with %d: %s", told.exit_status, told.line);
    return pid_in(told.line);
}

XT_TEST(real_workers_that_are_killed)
{
    const char *const c2 = "c2";
    open_real();
    int64_t a = start_on(&c2, 1, 1), b = start_on(&c2, 1, 1);
    pid_t pid = await_pid(a);
    kill(pid, SIGKILL);
    struct mu_worker_told told = await_end(a);
    XT_EQ(told.exit_status, 137);
    XT_EQ(told.signal, 9);
    XT_STREQ(told.line, "a line of rank 0");
    l->ops->say(l, b, "x");
    do {
        await(b, &told);
    } while (strcmp(told.line, "heard x") != 0);
    l->ops->stop(l, b, true);
    told = await_end(b);
    XT_CHECK(told.exit_status != 0);
    close_real();
    await_steps(0);
}

/* srun hangs, and the worker hears nothing any more: the controller ends the one, we the other. */
XT_TEST(real_sruns_that_hang)
{
    const char *const c2 = "c2";
    char command[128];
    open_real();
    int64_t a = start_on(&c2, 1, 1);
    pid_t pid = await_pid(a);
    l->ops->say(l, a, "deaf");
    await_line(a, "deaf");
    snprintf(command, sizeof command, "pkill -STOP -P %d -x srun", (int)getpid());
    XT_EQ(system(command), 0);
    l->ops->stop(l, a, true);
    struct mu_worker_told told = await_end(a);
    XT_EQ(told.signal, 9);
    close_real();
    await_steps(0);
    XT_CHECK(kill(pid, 0) != 0);
}

/* An orchestrator that is killed leaves a worker that does not mind: the next launcher of the job ends it. */
XT_TEST(real_steps_left_behind)
{
    const char *const c1 = "c1";
    int tell[2];
    pid_t pid = 0;
    if (!getenv("MUSTER_STEP_WORKER"))
        xt_skip("in no job of steps.sh");
    XT_EQ(pipe(tell), 0);
    pid_t child = fork();
    if (child == 0) {
        open_real();
        int64_t a = start_on(&c1, 1, 1);
        pid = await_pid(a);
        l->ops->say(l, a, "deaf");
        await_line(a, "deaf");
        (void)!write(tell[1], &pid, sizeof pid);
        raise(SIGKILL);
    }
    close(tell[1]);
    XT_EQ(read(tell[0], &pid, sizeof pid), (long long)sizeof pid);
    close(tell[0]);
    waitpid(child, NULL, 0);
    XT_EQ(kill(pid, 0), 0);
    await_steps(1);
    open_real();
    XT_EQ(look_for_steps(), 0); /* by now */
    close_real();
}

/* The last one: the job has one node less from here on. */
XT_TEST(real_workers_of_a_node_that_goes_down)
{
    const char *const c1 = "c1", *const c2 = "c2";
    open_real();
    int64_t stays = start_on(&c1, 1, 1), lost = start_on(&c2, 1, 1);
    (void)await_pid(lost);
    XT_CHECK(!l->ops->is_node_down(l, "c2"));
    XT_EQ(system("scontrol update NodeName=c2 State=DOWN Reason=test"), 0);
    struct mu_worker_told told = await_end(lost);
    XT_CHECK(told.is_node_down);
    XT_EQ(told.exit_status, 14);
    XT_CHECK(l->ops->is_node_down(l, "c2"));
    XT_CHECK(!l->ops->is_node_down(l, "c1"));
    int64_t late = start_on(&c2, 1, 1);
    told = await_end(late);
    XT_CHECKF(told.is_node_down && told.exit_status != 0, "status %d: %s", told.exit_status, told.line);
    l->ops->say(l, stays, "still there");
    do {
        await(stays, &told);
        XT_EQ(told.kind, MU_WORKER_SAID);
    } while (strcmp(told.line, "heard still there") != 0);
    close_real();
}

XT_MAIN()
