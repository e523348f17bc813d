/* fake_int.h - a fake world: one lock, a mailbox a rank
 *
 * A message is an envelope in the receiver's box. Short ones are copied into one of the box's slots and their send is
 * done; a long one, or any when the slots are full, stays with the sender until the receiver has copied it. Only the
 * receiver copies, in its progress(); the lock is not held meanwhile. */
#ifndef MU_COMM_FAKE_FAKE_INT_H
#define MU_COMM_FAKE_FAKE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "comm/comm_int.h"
#include "comm/fake/fake.h"

#define MU_FAKE_SLOTS      128
#define MU_FAKE_SLOT_BYTES 2048
#define MU_FAKE_NOTICE_NS  10000000ll

enum mu_fake_state { MU_FAKE_IDLE, MU_FAKE_WAITING, MU_FAKE_COPYING, MU_FAKE_DONE };

struct mu_fake_envelope {
    struct mu_fake_envelope *next;
    int from, context, tag;
    size_t bytes;
    const void *p;
    int64_t ready_ns;            /* not seen by the receiver before */
    struct mu_fake_rank *sender; /* who waits for the copy; NULL: the message lies in a slot */
    enum mu_fake_state state;    /* of a message that stays with its sender */
};

struct mu_fake_slot {
    struct mu_fake_envelope envelope; /* first: a slot is found by it */
    unsigned char bytes[MU_FAKE_SLOT_BYTES];
};

struct mu_fake_rank {
    struct mu_comm_world base;
    struct mu_fake_world *world;
    struct mu_comm *comm;
    struct mu_comm_op *sends, *recvs; /* started, oldest first; only this rank's thread looks at them */

    pthread_cond_t wake;           /* something happened for this rank; all below is the world's lock's */
    struct mu_fake_envelope *box;  /* oldest first */
    struct mu_fake_envelope *free; /* slots */
    struct mu_fake_slot *slots;
    struct mu_fake_envelope *own; /* [MU_COMM_POOL_MAX] of sends that stay here, by the call's index */
    enum mu_fake_fault fault;
    bool is_gone;                                                    /* killed, stopped, cut or given up */
    int number;                                                      /* of those gone, from 0 */
    int64_t notice_ns;                                               /* when the others see it */
    char clause[MU_COMM_CLAUSE_MAX], own_clause[MU_COMM_CLAUSE_MAX]; /* for the others, for itself (cut) */
};

/* Memory that ranks share; what they see begins MU_MEM_ALIGN after its head. */
struct mu_fake_block {
    struct mu_fake_block *next;
    int users;
};

struct mu_fake_world {
    struct mu_fake_opts_comm o;
    const struct mu_clock *clock;
    int n_ranks, n_opened;
    struct mu_fake_rank *ranks;
    pthread_mutex_t lock;
    atomic_int n_gone;
    int n_running, n_stopped; /* threads of mu_fake_world_run() */
    struct mu_fake_block *blocks;
};

/* fake_messages.c */
int mu_fake_start_send(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e);
int mu_fake_start_recv(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e);
int mu_fake_progress(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e);
void mu_fake_cancel(struct mu_comm_world *w, struct mu_comm_op *op);
int mu_fake_probe(struct mu_comm_world *w, int from, int context, int tag, bool *found, int *sender, size_t *bytes,
                  struct mu_err *e);

/* With the lock held: until at_ns or a wake. May return early. */
void mu_fake_wait(struct mu_fake_rank *r, int64_t at_ns);

/* fake_faults.c */
int mu_fake_on_call(struct mu_comm_world *w, uint64_t number, struct mu_err *e);
int mu_fake_lost(struct mu_comm_world *w, int nth, const char **clause);
void mu_fake_abort(struct mu_comm_world *w, const char *sentence);
int64_t
mu_fake_next_notice(const struct mu_fake_rank *r); /* of what it has not looked at; lock held; INT64_MAX: none */
void mu_fake_wake_all(struct mu_fake_world *w);    /* lock held */

/* fake_shared.c */
int mu_fake_shared_open(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e);
void mu_fake_shared_close(struct mu_comm_world *w, void *p, size_t bytes, void *own);
void mu_fake_shared_free_all(struct mu_fake_world *w); /* after the ranks' threads have ended */

#endif
