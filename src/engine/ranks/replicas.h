/* replicas.h - one queue, many replicas that do not wait for each other
 *
 * The world's rank 0 holds the queue and drives replica 0 itself; the other replicas' drivers take requests and give
 * results by message (request_message.h). A replica has at most a window of requests; it gets more as it gives results
 * back, so a slow one gets fewer. Requests with a common beginning go to the same replica while it has room: their
 * beginning is computed once there. Towards the end of the queue windows shrink, so that all end together.
 *
 * A lost rank is the end of its replica, and where replicas are parts of the world (comm.h) of that alone: what it had
 * in hand goes back to the head of the queue, and what it may still send is not looked at, so every request is answered
 * once. Any replica may be lost but rank 0's own: then every request in flight fails with the sentence that names the
 * rank. A stream goes on where it was: the same tokens come again, and those shown are left out. */
#ifndef MU_ENGINE_REPLICAS_H
#define MU_ENGINE_REPLICAS_H

#include "comm/comm.h"
#include "engine/light.h"

#define MU_REPLICAS_MAX 1024

struct mu_replicas;

struct mu_replicas_opts {
    struct mu_comm *world; /* borrowed */
    mu_engine *local;      /* borrowed: the light engine of replica 0 */
    int n;                 /* replicas; the driver of replica r is world rank r * ranks_each */
    int ranks_each;
    const struct mu_engine_opts *opts; /* needed while opening only */
};

int mu_replicas_open(struct mu_replicas **out, const struct mu_replicas_opts *o, struct mu_err *e);
void mu_replicas_close(struct mu_replicas *p); /* ends the other drivers; NULL is fine */

/* As struct mu_engine_ops has them. */
int mu_replicas_submit(struct mu_replicas *p, const struct mu_request *r, uint64_t *id, struct mu_err *e);
int mu_replicas_poll(struct mu_replicas *p, struct mu_result **out, int64_t timeout_ns, struct mu_err *e);
int mu_replicas_cancel(struct mu_replicas *p, uint64_t id, struct mu_err *e);
int mu_replicas_drop_cached(struct mu_replicas *p, struct mu_err *e);
void mu_replicas_status(struct mu_replicas *p, struct mu_engine_status *out);

/* Peaks of every rank of the world, by rank; own: replica 0's, known already. Ranks of a lost replica have 0. */
int mu_replicas_peaks(struct mu_replicas *p, uint64_t *peak, struct mu_err *e);

/* On the driver of another replica: serve until rank 0 ends it. */
struct mu_replica_opts {
    struct mu_comm *world;
    mu_engine *local;
    int ranks;                                                 /* of the replica */
    int (*peaks)(void *arg, uint64_t *peak, struct mu_err *e); /* of the replica's ranks */
    void *arg;
};
int mu_replica_serve(const struct mu_replica_opts *o, struct mu_err *e);

#endif
