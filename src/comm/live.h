/* live.h - who is still there: heartbeats beside MPI, which never tells
 *
 * Rank 0 is the hub; every rank keeps one TCP connection to it, watched by one thread a process. A closed connection is
 * a death, known at once; silence of MU_LIVE_SILENCE_NS is one as well (stopped process, cut cable). The hub tells all
 * others; a rank that loses the hub knows that itself. Works on one node and across nodes.
 *
 * Ranks may be cut into parts; at first they are one. Of each part the first loss stays, whatever follows from it in
 * that part; after a loss in the hub's part nothing is news. A rank is ended by a loss in its own part or in the hub's.
 *
 * Strangers may connect until all ranks have: one that does not show the token soon is sent away, and there is room for
 * a few only. After that the hub listens no more. */
#ifndef MU_COMM_LIVE_H
#define MU_COMM_LIVE_H

#include <muster/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_LIVE_BEAT_NS    500000000ll
#define MU_LIVE_SILENCE_NS 5000000000ll
#define MU_LIVE_JOIN_NS    30000000000ll /* for all ranks to find the hub */
#define MU_LIVE_WHERE_MAX  512
#define MU_LIVE_HOST_MAX   64

struct mu_live;

/* The hub listens and fills where[] (addresses and port, a token against strangers), which the caller brings to all
 * others; they connect. host: told in sentences. is_one_node: listen on the loopback interface only. */
int mu_live_open_hub(struct mu_live **out, int n_ranks, const char *host, bool is_one_node,
                     char where[MU_LIVE_WHERE_MAX], struct mu_err *e);
int mu_live_open_rank(struct mu_live **out, int rank, int n_ranks, const char *host, const char *where,
                      struct mu_err *e);
int mu_live_await_all(struct mu_live *l, int64_t timeout_ns, struct mu_err *e); /* hub: everybody has connected */

/* The lost rank that ends this one, or -1; cheap, any thread. sentence: "rank 3 on node7 (process 4711) ended", or what
 * it said itself; lives as long as l. */
int mu_live_lost(const struct mu_live *l, const char **sentence);

/* The i-th loss in the order they came to be known here, others' parts' too; -1: there are no more. */
int mu_live_loss(const struct mu_live *l, int i, const char **sentence);

/* part[n_ranks], copied; the same on all ranks. */
void mu_live_set_parts(struct mu_live *l, const int *part);

/* Tells everybody that this rank ends because of sentence. Returns when that has gone out, within a second. */
void mu_live_abort(struct mu_live *l, const char *sentence);

/* An orderly end in two steps, for a world whose ranks must be there until the last is done: leave says that this rank
 * is done and returns at once; a death still is one until all have left. Ranks of a lost part are not waited for: who
 * has left with others knows of the same losses as they do. */
void mu_live_leave(struct mu_live *l);
bool mu_live_have_all_left(const struct mu_live *l);

/* Says goodbye first, so that an orderly end is no death; not after a loss that ends this rank. */
void mu_live_close(struct mu_live *l); /* NULL is fine */

#endif
