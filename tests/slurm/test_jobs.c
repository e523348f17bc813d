/* test_jobs.c - what squeue, sacct and sbatch print, what their complaints mean, and commands inside a deadline */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "sched/slurm/here.h"
#include "sched/slurm/jobs.h"
#include "xt.h"

#define SECOND ((int64_t)1000000000)

static struct mu_err err;

/* ---- texts, as Slurm 22.05.8 prints them ---- */

#define ROW(id, state, code, restarts, reason) id "     " state "      " code "     " restarts "     " reason "\n"

XT_TEST(a_job_as_squeue_prints_it)
{
    struct mu_slurm_job j;
    XT_OK(mu_slurm_look_parse(&j, MU_STR(ROW("71", "PENDING", "0", "0", "Resources")), &err));
    XT_STREQ(j.id, "71");
    XT_EQ(j.state, MU_SLURM_PENDING);
    XT_STREQ(j.reason, "Resources");
    XT_OK(mu_slurm_look_parse(&j, MU_STR("\n" ROW("71", "FAILED", "3328", "4", "NonZeroExitCode")), &err));
    XT_EQ(j.state, MU_SLURM_FAILED);
    XT_EQ(j.status, 13);
    XT_EQ(j.signal, 0);
    XT_EQ(j.restarts, 4);
    XT_STREQ(j.reason, "NonZeroExitCode");
    XT_OK(mu_slurm_look_parse(&j, MU_STR(ROW("7", "CONFIGURING", "9", "0", "None")), &err));
    XT_EQ(j.state, MU_SLURM_OTHER);
    XT_STREQ(j.word, "CONFIGURING");
    XT_EQ(j.signal, 9);
    XT_EQ(j.status, 0);
    XT_STREQ(j.reason, "");
    XT_FAILS(mu_slurm_look_parse(&j, MU_STR("\n  \n"), &err), MU_ENOENT, "no such job");
    XT_FAILS(mu_slurm_look_parse(&j, MU_STR("what\n"), &err), MU_EFORMAT, "\"what\", which tells of no job");
}

/* Of an array what still runs, then what went wrong. */
XT_TEST(the_part_that_says_most)
{
    struct mu_slurm_job j;
    XT_OK(mu_slurm_look_parse(&j,
                              MU_STR(ROW("7_0", "FAILED", "1280", "0", "None") ROW("7_1", "RUNNING", "0", "0", "None")
                                         ROW("7_2", "COMPLETED", "0", "0", "None")),
                              &err));
    XT_STREQ(j.id, "7_1");
    XT_OK(mu_slurm_look_parse(&j,
                              MU_STR(ROW("7_0", "COMPLETED", "0", "0", "None") ROW("7_1", "FAILED", "1280", "0", "None")
                                         ROW("7_2", "COMPLETED", "0", "0", "None")),
                              &err));
    XT_STREQ(j.id, "7_1");
}

XT_TEST(a_job_as_sacct_prints_it)
{
    struct mu_slurm_job j;
    XT_OK(mu_slurm_accounting_parse(&j, MU_STR("71|CANCELLED by 0|0:15\n"), &err));
    XT_EQ(j.state, MU_SLURM_CANCELLED);
    XT_EQ(j.signal, 15);
    XT_OK(mu_slurm_accounting_parse(&j, MU_STR("71|OUT_OF_MEMORY|0:125\n"), &err));
    XT_EQ(j.state, MU_SLURM_OUT_OF_MEMORY);
    XT_FAILS(mu_slurm_accounting_parse(&j, MU_STR(""), &err), MU_ENOENT, "no such job");
    XT_FAILS(mu_slurm_accounting_parse(&j, MU_STR("71|COMPLETED\n"), &err), MU_EFORMAT, "tells of no job");
}

XT_TEST(a_job_s_number)
{
    char id[MU_SLURM_ID_MAX];
    XT_OK(mu_slurm_submit_parse(id, MU_STR("71\n"), &err));
    XT_STREQ(id, "71");
    XT_OK(mu_slurm_submit_parse(id, MU_STR("72;cluster\n"), &err));
    XT_STREQ(id, "72");
    XT_FAILS(mu_slurm_submit_parse(id, MU_STR("Submitted batch job 71\n"), &err), MU_EFORMAT, "is no job");
    XT_FAILS(mu_slurm_submit_parse(id, MU_STR(""), &err), MU_EFORMAT, "is no job");
    XT_FAILS(mu_slurm_submit_parse(id, MU_STR("7111111111111111111111111111111111111111111"), &err), MU_EFORMAT,
             "no job");
}

/* Slurm's own sentences. */
XT_TEST(complaints)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } cases[] = {
        {"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", MU_EPEER, "does not answer"},
        {"sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n", MU_EPEER,
         "does not answer"},
        {"squeue: error: Socket timed out on send/recv operation\n", MU_EPEER, "Socket timed out"},
        {"slurm_load_jobs error: Zero Bytes were transmitted or received\n", MU_EPEER, "does not answer"},
        {"slurm_load_jobs error: Invalid job id specified\n", MU_ENOENT, "no such job"},
        {"scancel: error: Kill job error on job id 99: Invalid job id specified\n", MU_ENOENT, "no such job"},
        {"sbatch: error: Batch job submission failed: Requested node configuration is not available\n", MU_EINVAL,
         "sbatch: Batch job submission failed: Requested node configuration is not available"},
        {"sbatch: error: invalid partition specified: x\nsbatch: error: second\n", MU_EINVAL,
         "invalid partition specified: x"},
        {"", MU_EINVAL, "it says nothing"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        XT_FAILS(mu_slurm_fail(&err, "sbatch", mu_str(cases[i].text)), cases[i].code, cases[i].part);
}

XT_TEST(ends_of_jobs)
{
    struct mu_slurm_job j = {.id = "7", .state = MU_SLURM_COMPLETED};
    XT_OK(mu_slurm_job_code(&j, &err));
    j.state = MU_SLURM_FAILED;
    j.status = 7;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_ENOMEM, "job 7 ended with status 7");
    j.status = 99;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_EPEER, "status 99");
    j.status = 0;
    j.signal = 9;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_EPEER, "signal 9");
    j.state = MU_SLURM_TIMEOUT;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_ETIMEDOUT, "end of its time");
    j.state = MU_SLURM_CANCELLED;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_ECANCELED, "cancelled");
    j.state = MU_SLURM_OUT_OF_MEMORY;
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_ENOMEM, "more memory");
    j.state = MU_SLURM_NODE_FAIL;
    snprintf(j.word, sizeof j.word, "NODE_FAIL");
    XT_FAILS(mu_slurm_job_code(&j, &err), MU_EPEER, "NODE_FAIL");
    XT_CHECK(!mu_slurm_state_is_over(MU_SLURM_RUNNING) && mu_slurm_state_is_over(MU_SLURM_TIMEOUT));
    XT_EQ(mu_slurm_state_of(MU_STR("REQUEUED")), MU_SLURM_OTHER);
}

/* ---- commands ---- */

static int run(struct mu_command_end *end, const char *line, int64_t timeout_ns)
{
    const char *const argv[] = {"sh", "-c", line, NULL};
    return mu_command_run(end, argv, timeout_ns, &err);
}

XT_TEST(a_command_s_end)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *const none[] = {"no-such-program-anywhere", NULL};
    XT_OK(run(&end, "echo out; echo $LC_ALL >&2; exit 3", 20 * SECOND));
    XT_EQ(end.status, 3);
    XT_STREQ(end.out.p, "out\n");
    XT_STREQ(end.err.p, "C\n");
    XT_OK(run(&end, "kill -9 $$", 20 * SECOND));
    XT_EQ(end.status, 137);
    XT_EQ(end.out.n, 0);
    XT_OK(run(&end, "cat; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", 20 * SECOND));
    XT_EQ(end.out.n, 300000);
    XT_EQ(end.err.n, MU_COMMAND_ERR_MAX);
    XT_FAILS(mu_command_run(&end, none, SECOND, &err), MU_ENOENT, "no program no-such-program-anywhere");
    mu_command_end_fini(&end);
}

/* Also what closes its output and stays. */
XT_TEST(a_command_that_does_not_end)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    XT_FAILS(run(&end, "sleep 100", SECOND / 5), MU_ETIMEDOUT, "did not end in its time");
    XT_FAILS(run(&end, "exec >/dev/null 2>&1; sleep 100", SECOND / 5), MU_ETIMEDOUT, "did not end in its time");
    XT_FAILS(run(&end, "trap '' TERM; yes >/dev/null", SECOND / 5), MU_ETIMEDOUT, "did not end in its time");
    clock_gettime(CLOCK_MONOTONIC, &now);
    XT_CHECK(now.tv_sec - begin.tv_sec < 30);
    mu_command_end_fini(&end);
}

/* It has ended, and what it left behind holds our pipes open. */
XT_TEST(a_command_that_leaves_something_behind)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    XT_OK(run(&end, "sleep 15 & echo 71; echo why >&2; exit 3", 12 * SECOND));
    clock_gettime(CLOCK_MONOTONIC, &now);
    XT_CHECK(now.tv_sec - begin.tv_sec < 10);
    XT_EQ(end.status, 3);
    XT_STREQ(end.out.p, "71\n");
    XT_STREQ(end.err.p, "why\n");
    mu_command_end_fini(&end);
}

XT_TEST(too_much_output)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    end.out.max = 1000;
    XT_FAILS(run(&end, "yes", 20 * SECOND), MU_ELIMIT, "what a command printed");
    mu_command_end_fini(&end);
}

/* ---- Slurm's commands stood in for by programs that print what they would ---- */

static char path_kept[4096];

static void stand_in(const char *name, const char *script)
{
    char path[512], text[1024];
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), name);
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
    XT_OK(mu_file_write_all(path, text, strlen(text), &err));
    XT_CHECK(chmod(path, 0755) == 0);
    snprintf(path_kept, sizeof path_kept, "%s", getenv("PATH") ? getenv("PATH") : "");
    snprintf(path, sizeof path, "%s:/bin:/usr/bin", xt_tmpdir());
    setenv("PATH", path, 1);
}

static void stand_back(void)
{
    setenv("PATH", path_kept, 1);
}

XT_TEST(a_job_is_looked_at)
{
    struct mu_slurm_job j, none;
    stand_in("squeue", "case \"$*\" in *\"--jobs 99 \"*) echo 'slurm_load_jobs error: Invalid job id specified' >&2; "
                       "exit 1;; *) echo '71 RUNNING 0 1 None';; esac");
    int rc = mu_slurm_look(&j, "71", false, &err), gone = mu_slurm_look(&none, "99", false, &err);
    stand_back();
    XT_EQ(rc, MU_OK);
    XT_EQ(j.state, MU_SLURM_RUNNING);
    XT_EQ(gone, MU_ENOENT);
}

/* The next submission would double it. */
XT_TEST(a_job_that_may_have_been_taken)
{
    char id[MU_SLURM_ID_MAX];
    stand_in("sbatch",
             "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1");
    int rc = mu_slurm_submit(id, "job.sh", &err);
    stand_back();
    XT_EQ(rc, MU_EPEER);
    XT_CHECKF(strstr(err.text, "squeue --me"), "%s", err.text);
    stand_in("sbatch", "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1");
    rc = mu_slurm_submit(id, "job.sh", &err);
    stand_back();
    XT_EQ(rc, MU_EPEER);
    XT_CHECKF(!strstr(err.text, "squeue --me"), "%s", err.text);
}

/* An orchestrator asks it between two looks at its workers. */
XT_TEST(time_left_is_not_waited_for)
{
    struct mu_slurm_here h = MU_SLURM_HERE_INIT;
    struct timespec begin, now;
    int64_t left = 0;
    h.job = 71;
    h.end_unix = (int64_t)time(NULL) + 1000;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    stand_in("squeue", "exec sleep 30");
    int rc = mu_slurm_time_left(&left, &h, &err);
    stand_back();
    clock_gettime(CLOCK_MONOTONIC, &now);
    XT_EQ(rc, MU_OK);
    XT_CHECKF(left > 900 && left <= 1000, "%lld s", (long long)left);
    XT_CHECK(now.tv_sec - begin.tv_sec < 15);
}

XT_TEST(a_person_s_own_defaults_are_left_out)
{
    struct mu_command_end end = MU_COMMAND_END_INIT;
    setenv("SQUEUE_STATES", "PENDING", 1);
    setenv("SINFO_PARTITION", "x", 1);
    setenv("MUSTER_TEST_KEPT", "y", 1);
    XT_OK(run(&end, "echo \"${SQUEUE_STATES:-}${SINFO_PARTITION:-}$MUSTER_TEST_KEPT\"", 20 * SECOND));
    unsetenv("SQUEUE_STATES");
    unsetenv("SINFO_PARTITION");
    unsetenv("MUSTER_TEST_KEPT");
    XT_STREQ(end.out.p, "y\n");
    mu_command_end_fini(&end);
}

XT_MAIN()
