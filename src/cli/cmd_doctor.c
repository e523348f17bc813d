/* cmd_doctor.c - `muster doctor`: what this machine has, and what is missing and where to get it */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>
#include <xxhash.h>
#include <yaml.h>

#include "base/check.h"
#include "base/json.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cli/cmd.h"
#include "cli/drill.h"
#include "comm/mpi/mpi.h"
#include "tensor/ops.h"

struct doctor_args {
    bool quick, drill;
    int64_t threads;
    struct mu_drill_args drills;
};

/* A report is a JSON array of {item, state, text, ...}; people see one line each. */

static int add(json_t *report, const char *item, const char *state, const char *text)
{
    json_t *row = json_pack("{s:s, s:s, s:s}", "item", item, "state", state, "text", text);
    return row && json_array_append_new(report, row) == 0 ? MU_OK : MU_ENOMEM;
}

static int add_number(json_t *report, const char *key, double v)
{
    json_t *row = json_array_get(report, json_array_size(report) - 1);
    return json_object_set_new(row, key, json_real(v)) == 0 ? MU_OK : MU_ENOMEM;
}

/* ---- the machine ---- */

static int look_machine(json_t *report, struct mu_err *e)
{
    struct mu_host m;
    char text[256];

    MU_TRY_RETURN(mu_host_discover(&m, e));
    snprintf(text, sizeof text, "%s, %d socket%s, %d cores, %d of them for this process, %d NUMA node%s", m.cpu_model,
             m.sockets, m.sockets > 1 ? "s" : "", m.cores, m.cores_allowed, m.numa_nodes, m.numa_nodes > 1 ? "s" : "");
    MU_TRY_RETURN(add(report, "cpu", "found", text));
    snprintf(text, sizeof text, "%.1f GiB, %.1f GiB available%s", (double)m.memory_bytes * 0x1p-30,
             (double)m.memory_available * 0x1p-30, m.is_memory_limited ? " (limited by the cgroup)" : "");
    MU_TRY_RETURN(add(report, "memory", "found", text));
    MU_TRY_RETURN(add_number(report, "bytes", (double)m.memory_bytes));
    return add_number(report, "bytes_available", (double)m.memory_available);
}

static int look_levels(json_t *report)
{
    char text[256] = "";
    const char *best = NULL;
    for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
        bool has = (*l)->is_available();
        if (has && !best)
            best = (*l)->level;
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s%s", n ? ", " : "", has ? "" : "no ", (*l)->level);
    }
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "; --level auto takes %s", best ? best : "none");
    return add(report, "cpu level", best ? "found" : "missing", text);
}

static int measure(json_t *report, int64_t threads, struct mu_err *e)
{
    struct mu_pool *pool = NULL;
    double bandwidth, rate, int8_rate;
    char text[128];
    int rc = MU_OK;

    MU_TRY(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = (int)threads}, e));
    MU_TRY(mu_measure_read_bandwidth(pool, &bandwidth, e));
    MU_TRY(mu_measure_fma_rate(pool, &rate, e));
    MU_TRY(mu_measure_int8_rate(pool, &int8_rate, e));
    snprintf(text, sizeof text, "%.1f GB/s read by %d threads", bandwidth * 1e-9, mu_pool_threads(pool));
    MU_TRY(add(report, "memory bandwidth", "measured", text));
    MU_TRY(add_number(report, "bytes_per_s", bandwidth));
    snprintf(text, sizeof text, "%.0f GFLOP/s f32 and %.0f GOP/s int8 multiply-add by %d threads", rate * 1e-9,
             int8_rate * 1e-9, mu_pool_threads(pool));
    MU_TRY(add(report, "arithmetic", "measured", text));
    MU_TRY(add_number(report, "flop_per_s", rate));
    MU_TRY(add_number(report, "int8_op_per_s", int8_rate));
out:
    mu_pool_close(pool);
    return rc;
}

/* ---- libraries of this build ---- */

static int look_libraries(json_t *report)
{
    char pcre[64] = "?", text[256];
    uint32_t jit = 0;
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    pcre2_config(PCRE2_CONFIG_JIT, &jit);
    pcre[strcspn(pcre, " ")] = 0;
    snprintf(text, sizeof text, "jansson %s, libyaml %s, PCRE2 %s%s, utf8proc %s, xxHash %u.%u.%u",
             jansson_version_str(), yaml_get_version_string(), pcre, jit ? " with JIT" : " without JIT",
             utf8proc_version(), XXH_versionNumber() / 10000, XXH_versionNumber() / 100 % 100,
             XXH_versionNumber() % 100);
    return add(report, "libraries", "found", text);
}

/* ---- things that may be absent: muster runs without them and says so ---- */

/* First line of a command's output, or false when it cannot run. The commands are our own constants. */
static bool first_line(const char *command, char *out, size_t n)
{
    FILE *p = popen(command, "r");
    bool got = p && fgets(out, (int)n, p);
    int status = p ? pclose(p) : -1;
    if (!got || status != 0)
        return false;
    out[strcspn(out, "\n")] = 0;
    return true;
}

static int look_command(json_t *report, const char *item, const char *command, const char *absent)
{
    char line[256];
    if (first_line(command, line, sizeof line))
        return add(report, item, "found", line);
    return add(report, item, "missing", absent);
}

static int look_gpus(json_t *report)
{
    char line[256];
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!nvml)
        return add(report, "gpu", "missing",
                   "no NVIDIA driver (libnvidia-ml.so.1 is not there); models run on the CPU");
    dlclose(nvml);
    if (first_line("nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>/dev/null", line, sizeof line))
        return add(report, "gpu", "found", line);
    return add(report, "gpu", "missing", "the NVIDIA driver is there but lists no GPU; models run on the CPU");
}

/* Ranks need the launcher and this build's module. */
static int look_mpi(json_t *report)
{
    struct mu_err why = MU_ERR_INIT;
    if (!mu_mpi_is_available(&why))
        return add(report, "mpi", "missing", why.text);
    return look_command(report, "mpi", "mpirun --version 2>/dev/null",
                        "no mpirun; --ranks cannot start processes here (Debian: openmpi-bin)");
}

static int look_around(json_t *report)
{
    MU_TRY_RETURN(look_gpus(report));
    MU_TRY_RETURN(look_mpi(report));
    return look_command(report, "slurm", "sinfo --version 2>/dev/null",
                        "no sinfo; nothing is submitted to a cluster from here (Debian: slurm-client)");
}

static int print_report(const json_t *report, bool as_json, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("the report", 1 << 20);
    size_t i;
    json_t *row;
    int rc = MU_OK;

    if (as_json) {
        MU_TRY(mu_json_dump(&out, report, true, e));
        printf("%s\n", out.p);
    } else {
        json_array_foreach(report, i, row)
            printf("%-17s %-9s %s\n", json_string_value(json_object_get(row, "item")),
                   json_string_value(json_object_get(row, "state")), json_string_value(json_object_get(row, "text")));
    }
out:
    mu_buf_fini(&out);
    return rc;
}

static int doctor_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct doctor_args *args = p;
    json_t *report = NULL;
    int rc = MU_OK;

    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "doctor takes no operands, %d were given", n_operands);
    if (args->drill)
        return mu_drill_run(&args->drills, e);
    report = json_array();
    MU_TRY(look_machine(report, e));
    MU_TRY(look_levels(report));
    if (!args->quick)
        MU_TRY(measure(report, args->threads, e));
    MU_TRY(look_libraries(report));
    MU_TRY(look_around(report));
    MU_TRY(print_report(report, args->drills.json, e));
out:
    if (rc == MU_ENOMEM && e->code == 0)
        mu_fail_nomem(e, 0, "the report");
    json_decref(report);
    return rc;
}

#define FIELD(name) offsetof(struct doctor_args, name)
#define DRILL(name) FIELD(drills.name)

static const struct mu_opt doctor_opts[] = {
    {MU_OPT_FLAG, "quick", 'q', FIELD(quick), .help = "Leave out the measurements, which take about a second."},
    {MU_OPT_INT, "threads", 't', FIELD(threads), "N", .lo = 0, .hi = 1024, .help = "Threads that measure.",
     .dflt = "the cores this process may use"},
    {MU_OPT_FLAG, "drill", 0, FIELD(drill),
     .help = "Try the hardware out and break things on purpose, each part pass, slow or broken."},
    {MU_OPT_LIST, "only", 0, DRILL(only), "NAME",
     .help = "Drills to run: products, memory, storage, ranks, kill, stop, link, disk, slurm. May be given again.",
     .dflt = "all"},
    {MU_OPT_INT, "ranks", 0, DRILL(ranks), "N", .lo = 0, .hi = 64,
     .help = "Ranks of the drills that have some; under mpirun or srun those it started.",
     .dflt = "2, or 3 to lose one"},
    {MU_OPT_SIZE, "memory", 0, DRILL(memory), "SIZE", .help = "Memory to write and read back.",
     .dflt = "three quarters of what is free"},
    {MU_OPT_TEXT, "storage", 0, DRILL(storage), "DIR", .help = "Folder whose storage is tried.",
     .dflt = "where calibrate measured"},
    {MU_OPT_FLAG, "slurm", 0, DRILL(slurm), .help = "Outside of a job, ask Slurm for a node and try that."},
    {MU_OPT_TEXT, "baseline", 0, DRILL(baseline), "FILE", .help = "What muster calibrate measured here.",
     .dflt = "~/.cache/muster/machine.json"},
    {MU_OPT_TEXT, "scratch", 0, DRILL(scratch), "DIR",
     .help = "Folder for what drills write down; a folder of their own in it is removed.", .dflt = "$TMPDIR, or /tmp"},
    {MU_OPT_FLAG, "json", 0, DRILL(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_doctor = {
    .name = "doctor",
    .summary = "tell what this machine has and what is missing",
    .operands = "",
    .story =
        "Looks at the CPU and its instruction levels, memory, bandwidth and arithmetic rate, the libraries of this "
        "build, GPUs, MPI and Slurm. What is missing is said with what it is good for; muster runs without it.\n\n"
        "With --drill it tries the hardware out against what muster calibrate measured: products on all cores, "
        "memory, storage, messages between ranks, the nodes of a Slurm job. And it breaks things of its own to see "
        "that they are found out: a rank is killed, another is stopped, a link is cut (as root), a disk fills up. "
        "Each part is told as pass, slow, broken or skipped (docs/doctor.md). The exit status is 0 when none is slow "
        "or broken, 8 when one is slow, 14 when one is broken.",
    .examples = "  muster doctor\n  muster doctor --json | jq '.[] | select(.state == \"missing\")'\n"
                "  muster doctor --drill --memory 4GB\n  muster doctor --drill --only kill --only disk\n",
    .opts = doctor_opts,
    .args_size = sizeof(struct doctor_args),
    .run = doctor_run,
};
