/* mpi_load.c - finding the module, and the launcher's word on who we are */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "comm/mpi/mpi_int.h"

#ifndef MU_MPI_MODULE_DIR
#define MU_MPI_MODULE_DIR "/usr/lib/muster"
#endif

#define NEEDED "ranks need Open MPI, Debian's packages openmpi-bin and libopenmpi-dev, when muster is built and run"

static const struct mu_mpi_table *table;

/* The folder of the running program. */
static const char *own_folder(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0)
        return ".";
    path[n] = '\0';
    return dirname(path);
}

/* Global, because Open MPI's plugins expect its symbols there. Never closed: MPI can be started once only. */
static int open_file(const char *file, struct mu_err *e)
{
    void *lib = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
    if (!lib)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: " NEEDED, dlerror());
    const struct mu_mpi_table *t = dlsym(lib, MU_MPI_MODULE_SYMBOL);
    if (!t || t->abi != MU_MPI_MODULE_ABI || t->slots < MU_COMM_POOL_MAX)
        return mu_fail(e, MU_EUNSUPPORTED, "%s is of another build of muster: install both together", file);
    table = t;
    return MU_OK;
}

int mu_mpi_load(const struct mu_mpi_table **out, struct mu_err *e)
{
    char exe[PATH_MAX], file[PATH_MAX + 64];
    const char *folder = own_folder(exe);
    const char *const places[][2] = {{folder, "/"}, {folder, "/../lib/muster/"}, {MU_MPI_MODULE_DIR, "/"}};
    for (size_t i = 0; i < MU_COUNT(places) && !table; i++) {
        (void)snprintf(file, sizeof file, "%s%s" MU_MPI_MODULE_NAME, places[i][0], places[i][1]);
        if (access(file, R_OK) == 0)
            MU_TRY_RETURN(open_file(file, e));
    }
    *out = table;
    return table ? MU_OK
                 : mu_fail(e, MU_EUNSUPPORTED, "this muster has no %s, neither in %s nor in %s: " NEEDED,
                           MU_MPI_MODULE_NAME, folder, MU_MPI_MODULE_DIR);
}

bool mu_mpi_is_available(struct mu_err *why)
{
    const struct mu_mpi_table *t;
    return mu_mpi_load(&t, why) == MU_OK;
}

const struct mu_mpi_own *mu_mpi_own(void)
{
    return table ? &table->own : NULL;
}

static bool read_number(const char *name, int *value)
{
    const char *text = getenv(name);
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || n < 0 || n > INT_MAX)
        return false;
    *value = (int)n;
    return true;
}

/* mpirun names rank and size; srun --mpi=pmix the rank, and how many tasks the step has. */
bool mu_mpi_is_launched(int *rank, int *size)
{
    int r = 0, n = 0;
    bool is_mpirun = read_number("OMPI_COMM_WORLD_RANK", &r) && read_number("OMPI_COMM_WORLD_SIZE", &n);
    bool is_srun = !is_mpirun && read_number("PMIX_RANK", &r) && read_number("SLURM_STEP_NUM_TASKS", &n);
    if (!(is_mpirun || is_srun) || n < 2 || r >= n)
        return false;
    *rank = r;
    *size = n;
    return true;
}
