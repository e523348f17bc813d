/* mpi_int.h - a world under MPI: the module (mpi_load.c), the messages (mpi.c), the memory of a node (mpi_shared.c) */
#ifndef MU_COMM_MPI_INT_H
#define MU_COMM_MPI_INT_H

#include "comm/comm_int.h"
#include "comm/live.h"
#include "comm/mpi/mpi.h"
#include "comm/mpi/mpi_module.h"

/* The table of muster_mpi.so, loaded once and kept. */
int mu_mpi_load(const struct mu_mpi_table **out, struct mu_err *e);

int mu_mpi_shared_open(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e);
void mu_mpi_shared_close(struct mu_comm_world *w, void *p, size_t bytes, void *own);
void mu_mpi_shared_seal(struct mu_comm_world *w, void *p, size_t bytes);

#endif
