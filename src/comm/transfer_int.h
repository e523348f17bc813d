/* transfer_int.h - the queue inside: transfer.c takes and gives, transfer_run.c moves */
#ifndef MU_COMM_TRANSFER_INT_H
#define MU_COMM_TRANSFER_INT_H

#include "comm/comm_int.h"
#include "comm/transfer.h"

#define MU_TRANSFER_OPS 2 /* chunks of one transfer on their way, so that the next is there when one is done */

struct mu_transfer_slot {
    struct mu_transfer t;
    uint64_t id; /* 0: free; increasing in order of submission */
    bool is_done;
    size_t n_started, n_moved;               /* bytes */
    struct mu_comm_op *ops[MU_TRANSFER_OPS]; /* NULL: free */
    int64_t op_began_ns[MU_TRANSFER_OPS];
    int64_t submitted_ns, deadline_ns;
    struct mu_err err; /* code MU_OK, or why it failed */
};

struct mu_transfer_queue {
    struct mu_comm *c;
    struct mu_transfer_opts o; /* defaults filled in */
    struct mu_transfer_slot *slots;
    uint64_t last_id;
    int n_unfinished;
    int64_t busy_since_ns; /* when n_unfinished left 0 */
    int64_t open_ns;       /* when the cap lets the next chunk start */
    struct mu_transfer_stats stats;
};

static inline int64_t mu_transfer_now(const struct mu_transfer_queue *q)
{
    return mu_now_ns(q->o.clock);
}

/* One round: what is done, what is too late, what may start. */
int mu_transfer_run(struct mu_transfer_queue *q, struct mu_err *e);

/* The transfer has ended, with err or well when err is NULL. */
void mu_transfer_finish(struct mu_transfer_queue *q, struct mu_transfer_slot *s, const struct mu_err *err);

#endif
