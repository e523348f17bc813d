/* mpi.h - ranks as processes under MPI
 *
 * MPI is a module of its own (mpi_module.c, the only file that includes <mpi.h>), loaded when ranks are asked for: the
 * program runs where there is none. Open MPI 4.1 is what it is built and tested with. MPI says nothing when a peer
 * dies, so a liveness watch (comm/live.h) runs beside it over TCP.
 *
 * Closing the world. In order, ranks leave together, as MPI_Finalize() has it: a rank that closes waits until all do or
 * one is lost. A rank that fails on its own therefore calls mu_comm_abort() first. A dead world is closed at once and
 * MPI is left as it is, for MPI_Finalize() would wait for the dead: the program then ends by _exit(), never through
 * MPI. So is a world that has lost a part: the others leave together, without MPI. Every command closes its world on
 * its way out. */
#ifndef MU_COMM_MPI_MPI_H
#define MU_COMM_MPI_MPI_H

#include "comm/comm.h"

/* Joins the job this process was started in (mpirun, srun --mpi=pmix). MU_EUNSUPPORTED where the module or MPI is
 * missing, with the package's name. Once a process, and from the thread that will make the calls. */
int mu_comm_open_mpi(struct mu_comm **out, const struct mu_comm_opts *o, struct mu_err *e);

bool mu_mpi_is_available(struct mu_err *why);

/* Whether a launcher started this process as one of several ranks, without touching MPI. */
bool mu_mpi_is_launched(int *rank, int *size);

/* MPI's own collectives, for benchmarks; NULL before a world is open. */
struct mu_mpi_own;
const struct mu_mpi_own *mu_mpi_own(void);

#endif
