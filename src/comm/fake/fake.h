/* fake.h - ranks as threads of one process, with faults and delays on order
 *
 * The same calls with the same results as processes under MPI; what differs is the transport (copies between threads)
 * and that a rank can be killed, stopped or cut off at a chosen call. */
#ifndef MU_COMM_FAKE_FAKE_H
#define MU_COMM_FAKE_FAKE_H

#include "base/clock.h"
#include "comm/comm.h"

enum mu_fake_fault {
    MU_FAKE_NONE,
    MU_FAKE_KILL, /* the rank's call never returns to its peers: it fails on the rank with MU_ECANCELED */
    MU_FAKE_STOP, /* the rank hangs until all others of the run have ended (or its deadline), then as KILL */
    MU_FAKE_SLOW, /* the call starts delay_ns late */
    MU_FAKE_CUT   /* messages of the rank are lost from here on */
};

struct mu_fake_order {
    enum mu_fake_fault fault;
    int rank;
    uint64_t at_call; /* the nth call of that rank, from 1, over all groups */
    int64_t delay_ns;
};

struct mu_fake_opts_comm {
    struct mu_comm_opts comm;
    const struct mu_fake_order *orders; /* borrowed until close */
    int n_orders;
    int ranks_per_node;           /* 0: all on one node */
    int64_t notice_ns;            /* how long until a killed, stopped or cut rank is noticed; 0: 10 ms */
    int64_t latency_ns;           /* of every message */
    double bytes_per_s;           /* of every message; 0: no limit */
    size_t shared_bytes_max;      /* of a block that ranks of a node share; 0: no limit */
    const struct mu_clock *clock; /* NULL: the machine's */
};

struct mu_fake_world;

/* o may be NULL. The world's comms stay the world's: not to be closed one by one. */
int mu_fake_world_open(struct mu_fake_world **out, int n_ranks, const struct mu_fake_opts_comm *o, struct mu_err *e);
void mu_fake_world_close(struct mu_fake_world *w); /* after the ranks' threads have ended */
struct mu_comm *mu_fake_world_comm(struct mu_fake_world *w, int rank);

/* Run fn once a rank, each on a thread of its own; rc[r] and errs[r] (may be NULL) are what they returned. A rank whose
 * fn fails ends the world, as a process that ends would. Returns the first rank's failure, in rank order, or MU_OK. */
typedef int (*mu_fake_fn)(void *arg, struct mu_comm *world, struct mu_err *e);
int mu_fake_world_run(struct mu_fake_world *w, mu_fake_fn fn, void *arg, int *rc, struct mu_err *errs);

#endif
