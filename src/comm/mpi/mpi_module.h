/* mpi_module.h - what muster_mpi.so gives: one table of plain C functions, no MPI types
 *
 * The module keeps everything of MPI to itself and needs nothing of libmuster. It has one state a process, one thread
 * at a time is inside it, and none of its functions waits but init, finalize and those of `own`. They return 0, or -1
 * with fault() saying why. */
#ifndef MU_COMM_MPI_MODULE_H
#define MU_COMM_MPI_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_MPI_MODULE_NAME   "muster_mpi.so"
#define MU_MPI_MODULE_SYMBOL "muster_mpi_table"
#define MU_MPI_MODULE_ABI    1
#define MU_MPI_SLOTS         1160 /* calls under way: MU_COMM_POOL_MAX and a few */

struct mu_mpi_done {
    int slot;
    size_t bytes; /* of a receive: the message's true size, also when it was larger than the buffer */
};

/* MPI's own blocking collectives over the world, for benchmarks to hold ours against. bytes: each rank's piece. */
struct mu_mpi_own {
    int (*broadcast)(void *p, int bytes);
    int (*all_gather)(void *all, int bytes);
    int (*all_to_all)(const void *send, void *recv, int bytes);
    int (*all_reduce_f32)(const float *in, float *out, int n);
};

struct mu_mpi_table {
    int abi, slots;
    const char *(*library)(void); /* "Open MPI v4.1.4, ..." */
    int (*init)(int *rank, int *size);
    int (*finalize)(void);
    const char *(*fault)(void);

    /* slot is free, and is the call's until progress() names it. Tags are below 2^30; any number of bytes. */
    int (*start_send)(int slot, const void *p, size_t bytes, int to, int tag);
    int (*start_recv)(int slot, void *p, size_t bytes, int from, int tag);
    int (*start_broadcast)(int slot, void *p, int bytes);    /* from rank 0 of the world */
    int (*start_all_gather)(int slot, void *all, int bytes); /* own piece in place */

    int (*progress)(struct mu_mpi_done done[MU_MPI_SLOTS], int *n); /* what is done since; frees the slots */
    void (*forget)(int slot); /* not named by progress any more; the buffer must stay while calls follow */
    int (*probe)(int from, int tag, bool *found, int *sender, size_t *bytes); /* from -1: anybody */

    struct mu_mpi_own own;
};

#endif
