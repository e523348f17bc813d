/* comm.h - ranks that work together: groups, collectives, point to point
 *
 * A rank is one process (mpi/), one thread (fake/) or all there is (self/). A struct mu_comm is a group as one of its
 * ranks sees it; the first one is the world, others are split off. One thread of a rank is inside its groups' calls at
 * a time, and every rank of a group makes the same collective calls in the same order, also with nothing to send.
 *
 * Buffers are host memory and sizes are bytes unless said; nothing is allocated after a group is open but for what a
 * header says. Results of a collective are the same bits on every rank, backend and algorithm.
 *
 * Failures. Each call has a deadline (struct mu_comm_opts); a rank that died, was stopped or cannot be reached is found
 * by the liveness watch (live.h) long before. Either way the call returns MU_EPEER (or MU_ETIMEDOUT) with a sentence
 * that names the lost rank, its host, the group, and the call with its number. After that the world is dead: every
 * call on any of its groups fails at once with the same sentence, no buffer of a started call is touched any more, and
 * closing it does not wait for anybody.
 *
 * Where the world is cut into parts (mu_comm_set_parts) this holds for a loss in a rank's own part and in rank 0's. Of
 * any other part a loss is the end of that part alone: a call that needs one of its ranks fails with MU_EPEER and such
 * a sentence, everything else goes on. */
#ifndef MU_COMM_COMM_H
#define MU_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_COMM_RANKS_MAX  4096
#define MU_COMM_GROUPS_MAX 64   /* of one world, on one rank */
#define MU_COMM_OPS_MAX    1024 /* started and not yet waited for, on one rank */
#define MU_COMM_NAME_MAX   24
#define MU_COMM_TIMEOUT_NS 600000000000ll /* ten minutes: a step of a slow peer is no fault */
#define MU_COMM_WORK_BYTES ((size_t)8 << 20)

struct mu_comm;
struct mu_comm_op; /* a started call */

struct mu_comm_opts {
    int64_t timeout_ns; /* of every call; 0: MU_COMM_TIMEOUT_NS */
    /* Scratch of a world's collectives; 0: MU_COMM_WORK_BYTES. Larger sums go in pieces; the same on all ranks. */
    size_t work_bytes;
};

/* ---- groups ---- */

int mu_comm_open_self(struct mu_comm **out, struct mu_err *e);
void mu_comm_close(struct mu_comm *c); /* NULL is fine; groups before their world. Frees, never waits for peers */

int mu_comm_rank(const struct mu_comm *c);                 /* NULL: 0 */
int mu_comm_size(const struct mu_comm *c);                 /* NULL: 1 */
int mu_comm_world_rank(const struct mu_comm *c, int rank); /* of a member */
const char *mu_comm_name(const struct mu_comm *c);         /* "world", "tp" */
const char *mu_comm_backend(const struct mu_comm *c);      /* "self", "fake", "mpi" */

/* Where members run. A node is what shares memory; nodes are numbered from 0 in order of their first member. */
int mu_comm_node(const struct mu_comm *c, int rank);
int mu_comm_nodes(const struct mu_comm *c);
const char *mu_comm_host(const struct mu_comm *c, int rank);

/* Members with one color make a group, ordered by key, then rank. color < 0: *out is NULL. Collective over c. */
int mu_comm_split(struct mu_comm **out, struct mu_comm *c, int color, int key, const char *name, struct mu_err *e);

/* ---- collectives ---- */

/* Up to so many bytes, of all ranks' pieces together, latency counts: they take the way with fewest rounds. Of a sum's
 * roots two ranks exchange more so, where it costs adding twice but no more bytes. plan/cost_comm.c reckons with both.
 */
#define MU_COMM_SHORT_BYTES ((size_t)65536)
#define MU_COMM_PAIR_BYTES  ((size_t)262144)

int mu_comm_barrier(struct mu_comm *c, struct mu_err *e);
int mu_comm_broadcast(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e);

/* all holds every rank's piece, side by side in rank order; this rank's own is in place. bytes[size]. */
int mu_comm_all_gather(struct mu_comm *c, void *all, const size_t *bytes, struct mu_err *e);

/* The same, on root only; others give their piece in own. all is NULL but on root, where own may lie in its place. */
int mu_comm_gather(struct mu_comm *c, void *all, const void *own, const size_t *bytes, int root, struct mu_err *e);

/* Pieces side by side in rank order in both buffers; any of them may be empty. The counts must agree pairwise. */
int mu_comm_all_to_all(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv,
                       const size_t *recv_bytes, struct mu_err *e);

enum mu_reduce {
    MU_REDUCE_SUM_F32, /* the tree of tree.h over ranks: leaf r is rank r's value */
    MU_REDUCE_SUM_I64,
    MU_REDUCE_MAX_I64,
    MU_REDUCE_OR_U32 /* bits: puts together what is zero everywhere but on one rank */
};
/* n elements, in place. */
int mu_comm_all_reduce(struct mu_comm *c, void *p, int64_t n, enum mu_reduce op, struct mu_err *e);

/* out [n[rank]]: this rank's run of the reduced [sum of n]. in is left as it is. n[size]. */
int mu_comm_reduce_scatter(struct mu_comm *c, void *out, const void *in, const int64_t *n, enum mu_reduce op,
                           struct mu_err *e);

/* ---- point to point ---- */

/* Messages between two ranks with one tag arrive in order. A receive states the exact size; another one is
 * MU_EINTERNAL naming both. tag: 0 .. MU_COMM_TAG_MAX. */
#define MU_COMM_TAG_MAX 4095
int mu_comm_send(struct mu_comm *c, int to, int tag, const void *p, size_t bytes, struct mu_err *e);
int mu_comm_recv(struct mu_comm *c, int from, int tag, void *p, size_t bytes, struct mu_err *e);

/* The same without waiting. The buffer is the call's until mu_comm_wait(), which must be called once; test says
 * whether it would return at once. */
int mu_comm_start_send(struct mu_comm_op **out, struct mu_comm *c, int to, int tag, const void *p, size_t bytes,
                       struct mu_err *e);
int mu_comm_start_recv(struct mu_comm_op **out, struct mu_comm *c, int from, int tag, void *p, size_t bytes,
                       struct mu_err *e);
int mu_comm_test(struct mu_comm_op *op, bool *is_done, struct mu_err *e);
int mu_comm_wait(struct mu_comm_op *op, struct mu_err *e); /* NULL is fine */

/* A message that waits to be received: from whom (from -1: anybody) and how large. MU_ETIMEDOUT after timeout_ns. */
int mu_comm_probe(struct mu_comm *c, int from, int tag, int64_t timeout_ns, int *sender, size_t *bytes,
                  struct mu_err *e);

/* ---- memory of a node ---- */

/* One block that all ranks of c see, which must run on one node; zeroed, 64-byte aligned, a large one so that large
 * pages fit it. Memory is taken as it is touched. Collective. Stores become visible to others at the next collective of
 * c. Freed by the last, also when ranks are killed. */
struct mu_comm_shared;
int mu_comm_shared_open(struct mu_comm_shared **out, struct mu_comm *c, size_t bytes, void **p, struct mu_err *e);
void mu_comm_shared_seal(struct mu_comm_shared *s);  /* this rank only reads it from here on, and is held to that where
                                                        ranks are processes; NULL is fine */
void mu_comm_shared_close(struct mu_comm_shared *s); /* NULL is fine */

/* ---- parts ---- */

/* Cuts the world into parts that do not die with each other, until it is cut anew. Collective over the world; part is
 * this rank's, 0 .. MU_COMM_RANKS_MAX - 1. A part with a lost rank is lost as a whole, and never comes back: its ranks
 * find out and end, its messages are not looked at any more. Messages between parts are copied on both sides. */
int mu_comm_set_parts(struct mu_comm *world, int part, struct mu_err *e);

int mu_comm_n_lost(const struct mu_comm *c); /* other parts lost so far: grows inside calls */
/* Whether a member is of a part that is lost. clause: "rank 3 on node7 (process 4711) ended"; lives as long as the
 * world. */
bool mu_comm_is_lost(const struct mu_comm *c, int rank, const char **clause);
bool mu_comm_is_dead(const struct mu_comm *c);
/* This rank's world died of a loss in its own part: rank 0 lives, knows of it and tells. */
bool mu_comm_died_apart(const struct mu_comm *c);

/* ---- counts ---- */

struct mu_comm_counts {
    uint64_t calls, bytes_sent, bytes_received; /* of this rank, over all groups of the world */
    uint64_t bytes_off_node;                    /* of those sent: to ranks on other nodes */
    int64_t wait_ns;                            /* spent inside calls */
};
void mu_comm_counts(const struct mu_comm *c, struct mu_comm_counts *out);

/* Ends the world on purpose, as a lost rank would: every peer's calls fail naming this rank and the sentence. */
void mu_comm_abort(struct mu_comm *c, const char *sentence);

#endif
