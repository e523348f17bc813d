/* host.h - the computer we run on: what it is, and what it can do when asked
 *
 * Discovery reads /proc, cgroup files, hwloc and the dynamic loader; nothing is assumed present. Measurements take a
 * fraction of a second each and are noisy on shared machines: they are for shares and warnings, never for tests. */
#ifndef MU_BASE_HOST_H
#define MU_BASE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

struct mu_pool;

struct mu_host {
    char cpu_model[96];
    int sockets, cores, numa_nodes; /* of the machine, by hwloc */
    int cores_allowed;              /* this process may use */
    uint64_t l2_bytes, l3_bytes;    /* of one cache; 0 unknown */
    uint64_t memory_bytes;          /* of the machine */
    uint64_t memory_available;      /* what can still be taken: MemAvailable, cut by the cgroup's limit */
    bool is_memory_limited;         /* the cgroup's limit is the lower one */
};

int mu_host_discover(struct mu_host *m, struct mu_err *e);

/* The most resident memory this process has had, in bytes (VmHWM); of memory that it shares with other processes now,
 * its share alone (Pss), so that such processes' figures add up. 0 where /proc does not tell. */
uint64_t mu_process_peak_bytes(void);

/* From here on the peak counts anew, where the system lets it. */
void mu_process_peak_reset(void);

/* Bytes a second that the pool's threads read together from memory, best of a few passes over more than caches hold. */
int mu_measure_read_bandwidth(struct mu_pool *pool, double *bytes_per_s, struct mu_err *e);

/* f32 multiply-adds, counted as two operations each, that the pool's threads do together in registers, with the widest
 * vectors of this CPU. */
int mu_measure_fma_rate(struct mu_pool *pool, double *flop_per_s, struct mu_err *e);

/* The same of products of int8 added in 32 bits (VNNI where there is). */
int mu_measure_int8_rate(struct mu_pool *pool, double *op_per_s, struct mu_err *e);

#endif
