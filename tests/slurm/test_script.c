/* test_script.c - job scripts: every form against a kept one, and texts that try to break out of theirs
 *
 * tests/slurm/golden/forms/ holds the scripts; RECORD=1 writes them anew: read the difference before committing it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "sched/slurm/command.h"
#include "sched/slurm/script.h"
#include "xt.h"

#define FORMS  "tests/slurm/golden/forms/"
#define SECOND ((int64_t)1000000000)

static struct mu_err err;

static const char site_text[] =
    "name: test\naccount: acc\nmodules: [mpi/4, \"odd name\"]\nprolog: [\"export X=$HOME\"]\n"
    "gres: {a100: \"gpu:a100\"}\nlaunch: {by: %s, options: [--quiet]}\nrestarts: %d\npartitions:\n"
    "  - {name: gpu, nodes: 8, cpus: 64, constraint: fast, constraint_linked: nvlink,\n"
    "     machine: {gpus: {kind: a100, count: 4}}}\n"
    "  - {name: cpu, cpus: 16, asks_memory: false, qos: low,\n"
    "     machine: {gpus: {name: CPU, count: 1, memory: 1GB, memory_rate: 1GB/s, f32: 1GFLOPS}, host: {is_device: "
    "true}}}\n";

static struct mu_site *open_site(const char *by, int restarts)
{
    struct mu_site *s;
    char text[1024];
    snprintf(text, sizeof text, site_text, by, restarts);
    XT_OK(mu_site_parse(&s, mu_str(text), "site", &err));
    return s;
}

static const char *const command[] = {"muster", "eval", "--model", "/models/a b", NULL};
static const char *const other[] = {"muster", "serve", NULL};

/* One rank on one GPU. */
static struct mu_slurm_script one_gpu(const struct mu_site *s)
{
    struct mu_slurm_script x = {
        .site = s, .title = "a test", .name = "job", .folder = "/work/out", .time_s = 5400, .n_parts = 1};
    x.part[0] = (struct mu_slurm_part){.partition = &s->partition[0],
                                       .nodes = 1,
                                       .tasks = 1,
                                       .tasks_per_node = 1,
                                       .cpus_per_task = 16,
                                       .memory_mib = 9000,
                                       .argv = command};
    return x;
}

static void same_as_kept(const struct mu_slurm_script *x, const char *form)
{
    struct mu_buf got = MU_BUF_INIT("a script", MU_SLURM_SCRIPT_MAX), want = MU_BUF_INIT("a kept one", 1 << 20);
    char path[256];
    snprintf(path, sizeof path, FORMS "%s.sh", form);
    XT_OK(mu_slurm_script_write(&got, x, &err));
    if (getenv("RECORD")) {
        struct mu_outfile o = MU_OUTFILE_INIT;
        XT_OK(mu_outfile_open(&o, path, &err));
        XT_OK(mu_outfile_write(&o, got.p, got.n, &err));
        XT_OK(mu_outfile_commit(&o, &err));
    }
    XT_OK(mu_file_read_all(&want, path, &err));
    XT_STREQ(got.p, want.p);
    mu_buf_fini(&got);
    mu_buf_fini(&want);
}

XT_TEST(one_node)
{
    struct mu_site *s = open_site("srun", 20);
    struct mu_slurm_script x = one_gpu(s);
    same_as_kept(&x, "one_node");
    mu_site_free(s);
}

XT_TEST(many_nodes)
{
    struct mu_site *s = open_site("srun", 0);
    struct mu_slurm_script x = one_gpu(s);
    struct mu_slurm_part *p = &x.part[0];
    p->nodes = 3;
    p->tasks = 11;
    p->tasks_per_node = 4;
    p->is_whole = p->is_linked = true;
    x.dependency = "afterok:12:13";
    same_as_kept(&x, "many_nodes");
    mu_site_free(s);
}

XT_TEST(mpirun)
{
    struct mu_site *s = open_site("mpirun", 3);
    struct mu_slurm_script x = one_gpu(s);
    x.part[0].tasks = x.part[0].tasks_per_node = 4;
    same_as_kept(&x, "mpirun");
    mu_site_free(s);
}

XT_TEST(parts)
{
    struct mu_site *s = open_site("srun", 20);
    struct mu_slurm_script x = one_gpu(s);
    x.n_parts = 2;
    x.part[1] = x.part[0];
    x.part[1].partition = &s->partition[1];
    x.part[1].argv = other;
    same_as_kept(&x, "parts");
    mu_site_free(s);
}

XT_TEST(array)
{
    static const char *const *const commands[] = {command, other, command};
    struct mu_site *s = open_site("srun", 20);
    struct mu_slurm_script x = one_gpu(s);
    x.part[0].argv = NULL;
    x.commands = commands;
    x.n_commands = 3;
    x.at_once = 2;
    same_as_kept(&x, "array");
    mu_site_free(s);
}

XT_TEST(what_cannot_be_asked)
{
    struct mu_site *s = open_site("srun", 20);
    struct mu_buf out = MU_BUF_INIT("a script", MU_SLURM_SCRIPT_MAX);
    struct mu_slurm_script x = one_gpu(s);
    x.part[0].tasks = 2;
    XT_FAILS(mu_slurm_script_write(&out, &x, &err), MU_EINVAL, "2 tasks on 1 nodes, at most 1");
    x = one_gpu(s);
    x.dependency = "afterok:1 --uid=0";
    XT_FAILS(mu_slurm_script_write(&out, &x, &err), MU_EINVAL, "is no dependency");
    x = one_gpu(s);
    x.folder = "/a\nb";
    XT_FAILS(mu_slurm_script_write(&out, &x, &err), MU_EINVAL, "control character");
    x.folder = "/a\\b";
    XT_FAILS(mu_slurm_script_write(&out, &x, &err), MU_EINVAL, "backslash");
    x = one_gpu(s);
    x.n_parts = MU_SLURM_PARTS_MAX + 1;
    XT_FAILS(mu_slurm_script_write(&out, &x, &err), MU_ELIMIT, "parts");
    mu_buf_fini(&out);
    mu_site_free(s);
}

/* ---- texts that try to break out ---- */

static const char *const hostile[] = {"$(touch pwned)",
                                      "`touch pwned`",
                                      "a'; touch pwned; '",
                                      "a\"; touch pwned; \"",
                                      "a\ntouch pwned\n",
                                      "'",
                                      "''",
                                      "\\",
                                      "\\'",
                                      "",
                                      " ",
                                      "*",
                                      "~",
                                      "a|b&c;d>e<f",
                                      "!!",
                                      "#",
                                      "-n",
                                      "--",
                                      "$HOME",
                                      "${x}",
                                      "{a,b}",
                                      "\xff\xfe",
                                      "\t",
                                      "a=b",
                                      "x\r\n#SBATCH --uid=0"};

static void run_bash(struct mu_command_end *end, const char *const *argv)
{
    XT_OK(mu_command_run(end, argv, 20 * SECOND, &err));
    XT_CHECKF(end->status == 0, "status %d: %s", end->status, end->err.p ? end->err.p : "");
}

/* bash itself says what a quoted word means. */
XT_TEST(quoted_words)
{
    for (size_t i = 0; i < MU_COUNT(hostile); i++) {
        struct mu_buf line = MU_BUF_INIT("a line", 4096);
        struct mu_command_end end = MU_COMMAND_END_INIT;
        XT_OK(mu_buf_puts(&line, "printf '<%s>' ", &err));
        XT_OK(mu_slurm_quote(&line, hostile[i], &err));
        const char *const argv[] = {"bash", "-c", line.p, NULL};
        run_bash(&end, argv);
        char want[128];
        snprintf(want, sizeof want, "<%s>", hostile[i]);
        XT_STREQ(end.out.p, want);
        mu_command_end_fini(&end);
        mu_buf_fini(&line);
    }
}

static void write_file(const char *folder, const char *name, const char *text)
{
    struct mu_outfile o = MU_OUTFILE_INIT;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    XT_OK(mu_outfile_open(&o, path, &err));
    XT_OK(mu_outfile_write(&o, text, strlen(text), &err));
    XT_OK(mu_outfile_commit(&o, &err));
    XT_CHECK(chmod(path, 0755) == 0);
}

/* A whole script, with an srun that prints what it is given: the command's words arrive as they are, and nothing else
 * happens. */
XT_TEST(a_hostile_script)
{
    struct mu_site *s = open_site("srun", 20);
    struct mu_slurm_script x = one_gpu(s);
    struct mu_buf script = MU_BUF_INIT("a script", MU_SLURM_SCRIPT_MAX);
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *argv[MU_COUNT(hostile) + 2] = {"muster"};
    const char *folder = xt_tmpdir();
    char line[600], pwned[512];
    memcpy(argv + 1, hostile, sizeof hostile);
    x.title = "a\ntouch pwned\n";
    x.name = "n\n#SBATCH --uid=0\n$(touch pwned)";
    x.folder = "/x y/$(touch pwned)#'\"%j";
    x.part[0].argv = argv;
    XT_OK(mu_slurm_script_write(&script, &x, &err));
    XT_CHECK(strstr(script.p, "#SBATCH --job-name=n__SBATCH_--uid_0___touch_pwned_\n"));
    XT_CHECK(strstr(script.p, "#SBATCH --output='/x y/$(touch pwned)#'\\''\"%%j'/%x-%j.log\n"));
    /* sbatch reads options up to the first line that is no comment; a word may hold such a line behind that. */
    const char *uid = strstr(script.p, "\n#SBATCH --uid"), *first_command = strstr(script.p, "\nmodule load");
    XT_CHECK(uid && first_command && uid > first_command);
    write_file(folder, "job.sh", script.p);
    write_file(folder, "srun", "#!/bin/bash\nwhile [ \"$1\" != muster ]; do shift; done\nprintf '<%s>' \"$@\"\n");
    snprintf(line, sizeof line, "cd '%s' && module() { :; } && export -f module && PATH=.:$PATH bash job.sh", folder);
    const char *const shell[] = {"bash", "-c", line, NULL};
    run_bash(&end, shell);
    const char *at = end.out.p;
    for (size_t i = 0; i < MU_COUNT(hostile) + 1; i++) {
        size_t n = strlen(argv[i]);
        XT_CHECKF(at[0] == '<' && strncmp(at + 1, argv[i], n) == 0 && at[n + 1] == '>', "word %zu", i);
        at += n + 2;
    }
    XT_CHECK(*at == 0);
    snprintf(pwned, sizeof pwned, "%s/pwned", folder);
    XT_CHECK(!mu_path_exists(pwned));
    mu_command_end_fini(&end);
    mu_buf_fini(&script);
    mu_site_free(s);
}

/* ---- what the body does ---- */

/* Runs the job x in a folder with the programs srun and `muster`, both `step`, in a shell that goes through
 * `while_it_runs` meanwhile ($job is the script's process). again: what scontrol was told. */
static int run_script(struct mu_slurm_script *x, const char *step, const char *while_it_runs, char again[64])
{
    struct mu_buf script = MU_BUF_INIT("a script", MU_SLURM_SCRIPT_MAX);
    struct mu_command_end end = MU_COMMAND_END_INIT;
    const char *folder = xt_tmpdir();
    char line[1024];
    XT_OK(mu_slurm_script_write(&script, x, &err));
    write_file(folder, "job.sh", script.p);
    write_file(folder, "srun", step);
    write_file(folder, "muster", step);
    write_file(folder, "scontrol", "#!/bin/bash\necho \"$@\" >again\nexit 1\n");
    snprintf(line, sizeof line,
             "cd '%s' && rm -f again begun; module() { :; }; export -f module; export SLURM_JOB_ID=71 PATH=.:$PATH\n"
             "bash job.sh >/dev/null 2>&1 & job=$!\n%s\nwait $job; got=$?; cat again 2>/dev/null; exit $got",
             folder, while_it_runs);
    const char *const shell[] = {"bash", "-c", line, NULL};
    XT_OK(mu_command_run(&end, shell, 20 * SECOND, &err));
    snprintf(again, 64, "%s", end.out.p ? end.out.p : "");
    int status = end.status;
    mu_command_end_fini(&end);
    mu_buf_fini(&script);
    return status;
}

static int run_body(const char *step, const char *while_it_runs, char again[64])
{
    struct mu_site *s = open_site("srun", 2);
    struct mu_slurm_script x = one_gpu(s);
    int status = run_script(&x, step, while_it_runs, again);
    mu_site_free(s);
    return status;
}

/* The same for a job that is one process and starts its own steps. */
static int run_direct(const char *step, const char *while_it_runs, char again[64])
{
    struct mu_site *s = open_site("srun", 2);
    struct mu_slurm_script x = one_gpu(s);
    x.part[0].is_direct = true;
    int status = run_script(&x, step, while_it_runs, again);
    mu_site_free(s);
    return status;
}

/* As muster does: it ends by itself when it is warned, some time later. */
#define WARNED(status)                                                                                                 \
    "#!/bin/bash\ntrap 'sleep 0.3; exit " status "' USR1\ntouch begun\nwhile :; do sleep 0.05; done\n"
#define WARN "until [ -e begun ]; do sleep 0.02; done; kill -USR1 $job"

XT_TEST(the_status_of_the_step_is_that_of_the_job)
{
    char again[64];
    XT_EQ(run_body("#!/bin/bash\nexit 0\n", "", again), 0);
    XT_EQ(run_body("#!/bin/bash\nexit 5\n", "", again), 5);
    XT_STREQ(again, "");
    /* 13 without a warning is somebody's Ctrl-C or scancel: the job stays ended. */
    XT_EQ(run_body("#!/bin/bash\nexit 13\n", "", again), 13);
    XT_STREQ(again, "");
}

XT_TEST(a_drained_job_is_queued_again)
{
    char again[64];
    XT_EQ(run_body(WARNED("13"), WARN, again), 13);
    XT_STREQ(again, "requeue 71\n");
    XT_EQ(run_body(WARNED("13"), WARN "; sleep 0.1; kill -USR1 $job", again), 13); /* preempted after a warning */
    XT_STREQ(again, "requeue 71\n");
    XT_EQ(run_body(WARNED("0"), WARN, again), 0); /* it was done by then */
    XT_STREQ(again, "");
    XT_EQ(run_body(WARNED("5"), WARN, again), 5); /* and a failure is one */
    XT_STREQ(again, "");
}

XT_TEST(but_not_for_ever)
{
    char again[64];
    setenv("SLURM_RESTART_COUNT", "1", 1);
    XT_EQ(run_body(WARNED("13"), WARN, again), 13);
    XT_STREQ(again, "requeue 71\n");
    setenv("SLURM_RESTART_COUNT", "2", 1);
    XT_EQ(run_body(WARNED("13"), WARN, again), 13);
    XT_STREQ(again, "");
    unsetenv("SLURM_RESTART_COUNT");
}

XT_TEST(what_starts_its_own_steps_is_started_again_when_killed)
{
    char again[64];
    XT_EQ(run_direct("#!/bin/bash\n[ -e begun ] && exit 5\ntouch begun\nkill -9 $$\n", "", again), 5);
    XT_STREQ(again, "");
    XT_EQ(run_direct("#!/bin/bash\n[ -e begun ] && exit 0\ntouch begun\nexit 14\n", "", again), 14); /* by itself */
    XT_EQ(run_direct(WARNED("13"), WARN, again), 13);
    XT_STREQ(again, "requeue 71\n");
    /* Killed after the warning, before it had drained: what is left is done by the next run. */
    XT_EQ(run_direct("#!/bin/bash\ntrap 'kill -9 $$' USR1\ntouch begun\nwhile :; do sleep 0.05; done\n", WARN, again),
          137);
    XT_STREQ(again, "requeue 71\n");
}

XT_MAIN()
