/* transfer.h - bytes that move while a rank computes: copies, sends and receives in a queue
 *
 * What is submitted goes in order of priority, then of submission, cut in chunks, so that an urgent transfer waits for
 * a chunk of another and not for all of it. A cap on the rate keeps room for the collectives of a step.
 *
 * The queue has no thread: mu_transfer_progress() moves it on, called between the operations of a step. A rank has one
 * thread inside its world at a time (MPI without MPI_THREAD_MULTIPLE), all its cores compute, and what happens when is
 * the same in every run and can be tested with a clock that is moved by hand. Messages move by themselves once
 * started, as far as the transport lets them; a copy is done by progress, a chunk a call.
 *
 * Both ends of a message submit it, with the same size, tag and chunk size; transfers to one peer with one tag follow
 * each other in order of submission. A group given to a queue carries nothing else. A message that misses its deadline
 * after it was started ends the world like any other call: the other side waits for the rest. Others fail alone.
 *
 * One thread at a time. Nothing is allocated after open. */
#ifndef MU_COMM_TRANSFER_H
#define MU_COMM_TRANSFER_H

#include "base/clock.h"
#include "comm/comm.h"

#define MU_TRANSFERS_MAX        256 /* of one queue, done ones nobody has waited for included */
#define MU_TRANSFER_CHUNK_BYTES ((size_t)256 << 10)
#define MU_TRANSFER_IN_FLIGHT   4          /* chunks of sends on their way at once */
#define MU_TRANSFER_STALL_NS    10000000ll /* a chunk that is longer on its way no longer keeps others back */

struct mu_transfer_queue;

struct mu_transfer_opts {
    int capacity;                 /* 0: 64 */
    size_t chunk_bytes;           /* 0: MU_TRANSFER_CHUNK_BYTES */
    int in_flight;                /* 0: MU_TRANSFER_IN_FLIGHT */
    double bytes_per_s;           /* of copies and sends together; 0: no cap */
    int64_t timeout_ns;           /* of a transfer, from its submission; 0: MU_COMM_TIMEOUT_NS */
    const struct mu_clock *clock; /* NULL: the machine's */
};

enum mu_transfer_kind { MU_TRANSFER_COPY, MU_TRANSFER_SEND, MU_TRANSFER_RECV };

struct mu_transfer {
    enum mu_transfer_kind kind;
    void *dst;       /* of a copy and a receive */
    const void *src; /* of a copy and a send */
    size_t bytes;
    int peer, tag;      /* of a message */
    int priority;       /* higher goes first */
    int64_t timeout_ns; /* 0: the queue's */
};

/* c may be NULL: copies only. o may be NULL. */
int mu_transfer_open(struct mu_transfer_queue **out, struct mu_comm *c, const struct mu_transfer_opts *o,
                     struct mu_err *e);

/* NULL is fine. Ends the world when messages are on their way. */
void mu_transfer_close(struct mu_transfer_queue *q);

/* The buffers are the queue's until mu_transfer_wait(), which must be called once. MU_ELIMIT: the queue is full, wait
 * for something. Starts nothing. */
int mu_transfer_submit(struct mu_transfer_queue *q, const struct mu_transfer *t, uint64_t *id, struct mu_err *e);

/* Never waits. Fails only when the world is dead. */
int mu_transfer_progress(struct mu_transfer_queue *q, struct mu_err *e);

bool mu_transfer_is_done(const struct mu_transfer_queue *q, uint64_t id);         /* or failed */
int mu_transfer_wait(struct mu_transfer_queue *q, uint64_t id, struct mu_err *e); /* its own failure, if it had one */

struct mu_transfer_stats {
    uint64_t submitted, done, failed;
    uint64_t bytes_copied, bytes_sent, bytes_received;
    int64_t latency_sum_ns, latency_max_ns; /* submission to end, of those done */
    int64_t busy_ns;                        /* while anything was unfinished */
    int64_t blocked_ns;                     /* of these, inside wait and progress */
    double bytes_per_s;                     /* achieved while busy */
    double overlap;                         /* share of the busy time that the caller spent elsewhere */
};
void mu_transfer_stats(const struct mu_transfer_queue *q, struct mu_transfer_stats *out);

#endif
