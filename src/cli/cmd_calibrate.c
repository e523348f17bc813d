/* cmd_calibrate.c - `muster calibrate`: measures this machine and keeps the numbers for the planner */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cli/calibrate.h"
#include "cli/cmd.h"
#include "cli/plan_inputs.h"
#include "cli/print_json.h"
#include "comm/launch.h"
#include "tensor/ops.h"

#define PATH_MAX_BYTES 4096
#define CROWD_MAX      64

struct calibrate_args {
    bool json, quick;
    const char *output, *level;
    int64_t threads, ranks;
};

/* ---- where the file goes ---- */

/* Where runs look for it; folders are made when they are not there. */
static int kept_path(struct mu_buf *path, struct mu_buf *folder, struct mu_err *e)
{
    struct mu_err none = MU_ERR_INIT;
    if (mu_machine_kept_path(path, folder, &none) != MU_OK)
        return mu_fail(e, MU_EUSAGE, "%s; --output FILE does", none.text);
    int rc = mu_path_make_folders(folder->p, &none);
    return rc == MU_OK ? rc : mu_fail(e, rc, "%s; --output FILE names another place", none.text);
}

/* The file, and the folder it stands in: that is where reading is measured. */
static int choose_path(const struct calibrate_args *args, struct mu_buf *path, struct mu_buf *folder, struct mu_err *e)
{
    if (!args->output)
        return kept_path(path, folder, e);
    MU_TRY_RETURN(mu_buf_puts(path, args->output, e));
    const char *slash = strrchr(path->p, '/');
    if (slash)
        MU_TRY_RETURN(mu_buf_add(folder, path->p, slash == path->p ? 1 : (size_t)(slash - path->p), e));
    else
        MU_TRY_RETURN(mu_buf_puts(folder, ".", e));
    if (!mu_path_is_dir(folder->p))
        return mu_fail(e, MU_EIO, "--output %s: there is no folder %s", args->output, folder->p);
    return MU_OK;
}

static int write_machine(const struct mu_machine *m, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the machine file", 1 << 20);
    json_t *tree = mu_machine_json(m);
    int rc = MU_OK;
    if (!tree)
        MU_TRY(mu_fail_nomem(e, 0, "the machine file"));
    MU_TRY(mu_json_dump(&text, tree, true, e));
    MU_TRY(mu_buf_putc(&text, '\n', e));
    MU_TRY(mu_file_write_all(path, text.p, text.n, e));
out:
    mu_buf_fini(&text);
    json_decref(tree);
    return rc;
}

/* ---- sums between ranks ---- */

/* Each of the ranks; rank 0 has the file. */
static int play_rank(struct mu_comm *world, const char *path, bool is_quick, struct mu_err *e)
{
    struct mu_machine m = {.nodes = 1};
    bool is_there = true;
    int rc = MU_OK;
    if (mu_comm_rank(world) == 0)
        rc = mu_machine_kept(&m, path, &is_there, e);
    if (rc == MU_OK)
        rc = mu_calibrate_sums(&m, world, is_quick, e);
    if (rc != MU_OK)
        mu_comm_abort(world, e->text);
    if (rc != MU_OK || mu_comm_rank(world) > 0)
        return rc;
    fprintf(stderr, "sums between %d ranks take %.1f us\n", mu_comm_size(world),
            1e6 * (mu_comm_size(world) > m.host_cores ? m.inside.crowded_s : m.inside.latency_s));
    return write_machine(&m, path, e);
}

/* With --ranks: started by hand, or by a calibration of all. */
static int run_ranks(const struct calibrate_args *args, const char *path, struct mu_err *e)
{
    struct mu_launch_opts o = {.ranks = (int)args->ranks, .argv = mu_command_line()};
    struct mu_comm *world = NULL;
    bool is_guardian = false;
    int status = 0, rc;
    MU_TRY_RETURN(mu_launch(&world, &o, &is_guardian, &status, e));
    if (is_guardian)
        return status == 0 ? MU_OK : mu_fail(e, MU_EPEER, "a rank ended with status %d", status);
    rc = play_rank(world, path, args->quick, e);
    mu_comm_close(world);
    return rc;
}

/* Two ranks, and twice as many as there are cores. Where ranks cannot be started the threads' numbers stay. */
static void add_ranks(const char *path, int cores, bool is_quick)
{
    int counts[] = {2, MU_MIN(2 * cores, CROWD_MAX)};
    char *self = mu_command_line()[0], number[16];
    for (size_t i = 0; i < MU_COUNT(counts); i++) {
        char *argv[] = {
            self, "calibrate", "--ranks", number, "--output", (char *)(uintptr_t)path, is_quick ? "--quick" : NULL,
            NULL};
        struct mu_launch_opts o = {.ranks = counts[i], .argv = argv};
        struct mu_err why = MU_ERR_INIT;
        struct mu_comm *world = NULL;
        bool is_guardian = false;
        int status = 0;
        snprintf(number, sizeof number, "%d", counts[i]);
        int rc = mu_launch(&world, &o, &is_guardian, &status, &why);
        if (rc != MU_OK || status != 0) {
            fprintf(stderr, "sums were measured between threads: %s\n", rc != MU_OK ? why.text : "ranks failed");
            return;
        }
    }
}

/* ---- measuring ---- */

static int start_machine(struct mu_machine *m, struct mu_err *e)
{
    struct mu_host h;
    MU_TRY_RETURN(mu_host_discover(&h, e));
    *m = (struct mu_machine){.nodes = 1, .devices = 1, .is_host = true, .host_memory = (double)h.memory_bytes};
    m->device.memory = (double)h.memory_available;
    snprintf(m->name, sizeof m->name, "host");
    snprintf(m->device.name, sizeof m->device.name, "CPU");
    return MU_OK;
}

static int measure(struct mu_calibration *c, const char *folder, struct mu_err *e)
{
    mu_progress_start(&c->progress, "calibrating", "turns");
    int rc = MU_OK;
    MU_TRY(mu_calibrate_products(c, e));
    MU_TRY(mu_calibrate_attention(c, e));
    MU_TRY(mu_calibrate_links(c, e));
    MU_TRY(mu_calibrate_storage(c, folder, e));
    MU_TRY(mu_machine_check(&c->machine, "the calibration", e));
out:
    mu_progress_end(&c->progress);
    return rc;
}

/* ---- telling ---- */

static void print_people(const struct mu_machine *m, const char *level, const char *path)
{
    const struct mu_device_spec *d = &m->device;
    printf("%d threads, level %s\n", m->host_cores, level);
    printf("  products     %7.1f GFLOP/s f32, %.1f bf16, %.1f int8\n", d->flops[MU_RATE_F32] * 1e-9,
           d->flops[MU_RATE_BF16] * 1e-9, d->flops[MU_RATE_INT8] * 1e-9);
    printf("  one row      %7.0f%% of that, attention %.0f%%\n", 100 * mu_curve_at(&d->rows, 1),
           100 * mu_curve_at(&d->attention, 1));
    printf("  memory       %7.1f GB/s, weights at %.0f%% of it\n", d->memory_rate * 1e-9,
           100 * mu_curve_at(&d->copy, 1e9));
    printf("  an operation %7.2f us to start\n", d->launch_s * 1e6);
    printf("  sums         %7.2f us, then %.1f GB/s\n", m->inside.latency_s * 1e6, m->inside.rate * 1e-9);
    printf("  files        %7.2f GB/s\n", m->storage_rate * 1e-9);
    printf("kept in %s\n", path);
}

static int calibrate_all(const struct calibrate_args *args, const char *path, const char *folder, struct mu_err *e)
{
    struct mu_calibration c = {.clock = mu_clock_real(), .is_quick = args->quick};
    bool is_there;
    int rc = MU_OK;

    MU_TRY(mu_device_open_default(&c.dev, args->level, (int)args->threads, e));
    MU_TRY(start_machine(&c.machine, e));
    MU_TRY(measure(&c, folder, e));
    MU_TRY(write_machine(&c.machine, path, e));
    const char *level = c.dev->ops->level; /* static */
    mu_device_close(c.dev);                /* its threads would be in the ranks' way */
    c.dev = NULL;
    add_ranks(path, c.machine.host_cores, args->quick);
    MU_TRY(mu_machine_kept(&c.machine, path, &is_there, e));
    if (args->json)
        MU_TRY(mu_print_json(mu_machine_json(&c.machine), "the machine", e));
    else
        print_people(&c.machine, level, path);
out:
    mu_device_close(c.dev);
    return rc;
}

static int calibrate_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct calibrate_args *args = p;
    struct mu_buf path = MU_BUF_INIT("a path", PATH_MAX_BYTES), folder = MU_BUF_INIT("a path", PATH_MAX_BYTES);
    int rc = MU_OK;

    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "calibrate takes no operands, %d were given", n_operands);
    MU_TRY(choose_path(args, &path, &folder, e));
    if (args->ranks > 1)
        rc = run_ranks(args, path.p, e);
    else
        rc = calibrate_all(args, path.p, folder.p, e);
out:
    mu_buf_fini(&folder);
    mu_buf_fini(&path);
    return rc;
}

#define FIELD(name) offsetof(struct calibrate_args, name)

static const struct mu_opt calibrate_opts[] = {
    {MU_OPT_TEXT, "output", 'o', FIELD(output), "FILE", .help = "Write the machine file here.",
     .dflt = "~/.cache/muster/machine.json"},
    {MU_OPT_FLAG, "quick", 0, FIELD(quick), .help = "Shorter rounds: some ten seconds, less exact."},
    {MU_OPT_INT, "threads", 't', FIELD(threads), "N", .lo = 0, .hi = MU_POOL_THREADS_MAX,
     .help = "Threads to measure with.", .dflt = "all cores allowed"},
    {MU_OPT_INT, "ranks", 0, FIELD(ranks), "N", .lo = 0, .hi = MU_COMM_RANKS_MAX,
     .help = "Measure sums between so many processes alone, and put them into the file, which must be there.",
     .dflt = "everything, with sums between 2 and between twice as many as there are cores"},
    {MU_OPT_TEXT, "level", 0, FIELD(level), "NAME", .choices = "auto|ref|avx2|avx512", .help = "CPU level.",
     .dflt = "auto"},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print the machine file."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_calibrate = {
    .name = "calibrate",
    .summary = "measure this machine for the planner",
    .operands = "",
    .story =
        "Measures products of several shapes and weight formats, attention, what weights reach of the memory's "
        "bandwidth, sums between ranks and reading files, all with the code that runs models, and keeps the numbers "
        "as a machine file of the form that clusters are described in.\n\n"
        "The file stands for all cores together; a plan for several ranks shares it among them. On a machine that "
        "others use at the same time every figure is too low: calibrate when it is idle.",
    .examples = "  muster calibrate\n  muster calibrate --quick --json\n",
    .opts = calibrate_opts,
    .args_size = sizeof(struct calibrate_args),
    .run = calibrate_run,
};
