/* comm_int.h - inside a group: worlds, transports, started calls
 *
 * A backend is a transport: it moves messages between ranks of the world, says who is lost, and may have collectives of
 * its own. Groups, algorithms, deadlines, sentences and counts stand above it and are the same for all (comm.c,
 * call.c, split.c, collective_*.c, tree_all_reduce.c).
 *
 *   mu_comm_*()  ->  call.c: number, deadline, who is lost  ->  collective_*.c: which messages  ->  transport: how
 *
 * One thread of a rank is inside its world's calls at a time, so nothing here takes a lock. */
#ifndef MU_COMM_COMM_INT_H
#define MU_COMM_COMM_INT_H

#include "base/clock.h"
#include "comm/comm.h"
#include "comm/tree.h"

#define MU_COMM_HOST_MAX    64
#define MU_COMM_WHO_MAX     128 /* "rank 3 on node7 (process 4711)" */
#define MU_COMM_CLAUSE_MAX  640 /* of what is told about a lost rank */
#define MU_COMM_SPLIT_BYTES 16  /* what each rank tells in a split */

/* Tags above the callers'. Messages of a collective arrive in order, so one is enough for all of them. */
#define MU_COMM_TAG_COLLECTIVE (MU_COMM_TAG_MAX + 1)
#define MU_COMM_TAG_GROUP      (MU_COMM_TAG_MAX + 2) /* free for a transport's group_open */
#define MU_COMM_TAG_PARTS      (MU_COMM_TAG_MAX + 3) /* of part.c: no collective, it outlives lost parts */
#define MU_COMM_TAGS           (MU_COMM_TAG_MAX + 4) /* tags lie below */

/* A few messages at once, see struct mu_comm_batch. The pool has room for them beside what callers started. */
#define MU_COMM_BATCH_MAX 64
#define MU_COMM_POOL_MAX  (MU_COMM_OPS_MAX + 2 * MU_COMM_BATCH_MAX)

/* ---- a started call ---- */

/* Belongs to the world's pool. The transport reads what it is about and sets is_done (and got of a receive) inside
 * progress() or the start call itself. index is its place in the pool: what a transport keeps for a started call, such
 * as an MPI_Request, goes into an array of MU_COMM_POOL_MAX of its own. */
struct mu_comm_op {
    struct mu_comm *group; /* NULL: free */
    int index;
    bool is_send;
    bool is_native;   /* a collective of the transport's own; only group and index are set */
    bool is_callers;  /* from mu_comm_start_*() */
    int peer;         /* world rank */
    int context, tag; /* the group's, the message's: a message is found by (sender, context, tag), in order */
    void *p;          /* never written to when is_send */
    size_t bytes;     /* may exceed INT_MAX */
    bool is_done;
    bool is_lost;            /* its peer's part was lost first: it has no effect, and its wait fails */
    size_t got;              /* of a receive: the message's true size; no more than bytes are written */
    const char *call;        /* "send", "all_reduce": for sentences */
    uint64_t number;         /* of the call in its group */
    struct mu_comm_op *next; /* free list, or messages to oneself; else the transport's */
};

/* ---- the world ---- */

/* Where a world rank runs. */
struct mu_comm_place {
    int node; /* ranks with one number share memory; any numbers */
    int pid;
    char host[MU_COMM_HOST_MAX];
};

struct mu_comm_transport;

/* The world as one of its ranks has it. A transport's own struct begins with one. */
struct mu_comm_world {
    /* Filled in by the transport before mu_comm_world_open(). */
    const struct mu_comm_transport *ops;
    const struct mu_clock *clock;
    int rank, size;
    struct mu_comm_place *place; /* [size], from mu_alloc; freed with the world */

    /* Owned by comm.c and call.c from here. */
    int64_t timeout_ns;
    unsigned char *work; /* scratch of the collective that runs */
    size_t work_bytes;
    struct mu_comm *group; /* the world itself as a group */
    uint64_t contexts;     /* bit i: context i is taken on this rank */
    struct mu_comm_op *pool, *free;
    struct mu_comm_op *to_self, *from_self; /* to oneself: sends and receives that have not met, oldest first */
    int n_started;                          /* by callers, not yet waited for */
    const char *call;                       /* that runs or ran last: its name, its number in its group */
    uint64_t number;
    int64_t began_ns, deadline_ns;
    struct mu_comm_counts counts; /* counts.calls is the number that on_call() gets */
    struct mu_err death;          /* code MU_OK: alive */

    /* Parts of the world; owned by part.c. */
    int *part;           /* [size]; NULL: it is one */
    const char **lost;   /* [size], by part: the clause of its first loss; NULL: nobody is lost */
    int n_lost;          /* parts of others */
    int n_losses;        /* of the transport's, looked at so far */
    bool has_died_apart; /* of a loss in its own part, which is not rank 0's */
};

/* What a backend is. None of these blocks but for progress(), group_open(), shared_open() and close(). Nothing of it
 * is called for messages to oneself. A failure of any of them but group_open and shared_open ends the world with its
 * sentence. */
struct mu_comm_transport {
    const char *name;

    /* Messages between two ranks with one (context, tag) arrive in the order they were sent in. Of any size, also 0. A
     * send need not be buffered: it may stay open until the receiver has started its call. */
    int (*start_send)(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e);
    int (*start_recv)(struct mu_comm_world *w, struct mu_comm_op *op, struct mu_err *e);

    /* Moves what can be moved and marks what is done. If nothing moved it waits for something to, at most wait_ns (0:
     * not at all); it returns early when a rank is lost, and may for no reason. */
    int (*progress)(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e);

    /* op will not be waited for: its world is dead, or its peer's part. Afterwards neither it nor its buffer is
     * touched. */
    void (*cancel)(struct mu_comm_world *w, struct mu_comm_op *op);

    /* The oldest message that waits for (from, context, tag), without taking it; from -1: anybody's. */
    int (*probe)(struct mu_comm_world *w, int from, int context, int tag, bool *found, int *sender, size_t *bytes,
                 struct mu_err *e);

    /* The nth lost rank in the order they came to be known here, or -1; cheap: it is asked in every turn of a wait. Of
     * a part the first is enough. clause: "rank 3 on node7 (process 4711) was lost", valid until close, to which "
     * while group tp ran all_reduce, call 812" is added. */
    int (*lost)(struct mu_comm_world *w, int nth, const char **clause);

    /* This rank ends; others' lost() is to say so with the sentence. Called once, before close. */
    void (*abort)(struct mu_comm_world *w, const char *sentence);

    /* The world ends, in order or dead, without waiting for peers: frees what the transport's struct owns and the
     * struct itself. Groups are closed already. */
    void (*close)(struct mu_comm_world *w);

    /* ---- what follows may be NULL ---- */

    /* A call begins on this rank, the number-th: faults on order. A failure ends the world. */
    int (*on_call)(struct mu_comm_world *w, uint64_t number, struct mu_err *e);

    /* The world was cut into parts, or anew: w->part. */
    void (*set_parts)(struct mu_comm_world *w);

    /* A group of more than one rank came to be (its fields are filled in; collective over its members) or goes. c->own
     * is the transport's. Also called for the world itself. */
    int (*group_open)(struct mu_comm *c, struct mu_err *e);
    void (*group_close)(struct mu_comm *c);

    /* Collectives of the transport's own: start one into op, which progress() marks as done. MU_EUNSUPPORTED, without
     * a sentence and before anything was started, leaves it to ours; every rank must come to the same decision. Called
     * for groups of more than one rank. Arguments as in comm.h. */
    int (*barrier)(struct mu_comm *c, struct mu_comm_op *op, struct mu_err *e);
    int (*broadcast)(struct mu_comm *c, struct mu_comm_op *op, void *p, size_t bytes, int root, struct mu_err *e);
    int (*all_gather)(struct mu_comm *c, struct mu_comm_op *op, void *all, const size_t *bytes, struct mu_err *e);
    int (*gather)(struct mu_comm *c, struct mu_comm_op *op, void *all, const void *own, const size_t *bytes, int root,
                  struct mu_err *e);
    int (*all_to_all)(struct mu_comm *c, struct mu_comm_op *op, const void *send, const size_t *send_bytes, void *recv,
                      const size_t *recv_bytes, struct mu_err *e);

    /* One zeroed block for all members of c, who share a node; collective, all or none succeed. It may use
     * mu_comm_in_*(). *own is the transport's. NULL: MU_EUNSUPPORTED. */
    int (*shared_open)(struct mu_comm *c, size_t bytes, void **p, void **own, struct mu_err *e);
    void (*shared_close)(struct mu_comm_world *w, void *p, size_t bytes, void *own);
    void (*shared_seal)(struct mu_comm_world *w, void *p, size_t bytes); /* NULL: nothing is done */
};

/* ---- a group ---- */

/* Some ranks of a group that run an algorithm among themselves: rank i of the team is group rank rank[i]. */
struct mu_comm_team {
    int n, me;
    const int *rank; /* NULL: i itself */
};

struct mu_comm {
    struct mu_comm_world *world;
    char name[MU_COMM_NAME_MAX];
    int rank, size;
    int context;
    uint64_t n_calls;
    int n_lost_seen; /* of world->n_lost when is_broken was found out */
    bool is_broken;  /* has members of a lost part: no collective can be run any more */
    int next;        /* of a broken world: whom a probe of anybody asks first */
    void *own;       /* the transport's */
    int *member;     /* [size] world ranks */
    int *node;       /* [size] node of a member, counted inside the group */
    int n_nodes;
    int *node_first;        /* [n_nodes + 1] where a node's members begin in by_node */
    int *by_node;           /* [size] group ranks ordered by node, then rank */
    int *leader;            /* [n_nodes] first member of each node */
    bool is_cut_by_node;    /* members of a node are neighbours in rank order */
    size_t *sizes[3];       /* [size] each, for algorithms; sizes[0] begins the block of all arrays */
    struct mu_tree by_rank; /* leaf r is rank r */
};

/* The first group of a world whose transport fields are set. On failure the transport frees its struct itself, and w
 * owns nothing but place. o may be NULL. */
int mu_comm_world_open(struct mu_comm **out, struct mu_comm_world *w, const struct mu_comm_opts *o, struct mu_err *e);

/* members in group order, copied; context agreed on by all. split.c and mu_comm_world_open(). */
int mu_comm_group_open(struct mu_comm **out, struct mu_comm_world *w, const int *member, int size, int context,
                       const char *name, struct mu_err *e);
void mu_comm_group_close(struct mu_comm *c); /* without group_close() of the transport; NULL is fine */

/* "rank 3 on node7 (process 4711)" of a world rank. */
void mu_comm_describe(const struct mu_comm_world *w, int rank, char *out, size_t n);

/* ---- call.c: begin, wait, end ----
 *
 * A failure between begin and end that peers cannot know of ends the world: w->death keeps its sentence, peers are
 * told by the transport's abort, and every later call fails with it. */

/* Every public call runs between these two. begin fails when the world is dead, end hands rc on. A collective's fails
 * as well when a member is lost, a message's does not. */
int mu_comm_begin(struct mu_comm *c, const char *call, struct mu_err *e);
int mu_comm_begin_message(struct mu_comm *c, const char *call, struct mu_err *e);
int mu_comm_end(struct mu_comm *c, int rc);

/* Ends the world: e and w->death become the sentence; returns code. */
int mu_comm_die(struct mu_comm_world *w, struct mu_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

int mu_comm_end_world(struct mu_comm_world *w, struct mu_err *e); /* the same, w->death being filled in */

/* ---- part.c: parts of the world ---- */

static inline bool mu_comm_is_apart(const struct mu_comm_world *w, int rank) /* in another part than this rank */
{
    return w->part && w->part[rank] != w->part[w->rank];
}

/* What was lost since the last look: MU_OK, or the world is dead. */
int mu_comm_look_for_lost(struct mu_comm *c, struct mu_err *e);

/* MU_EPEER with the sentence, when the part of a world rank is lost; else MU_OK. The world lives. */
int mu_comm_check_peer(const struct mu_comm *c, int world_rank, struct mu_err *e);
int mu_comm_check_members(struct mu_comm *c, struct mu_err *e);

/* ---- op.c: started calls ---- */

struct mu_comm_op *mu_comm_take(struct mu_comm *c); /* NULL: the pool is empty */
void mu_comm_withdraw_all(struct mu_comm_world *w); /* the world died: no buffer is touched from here on */
void mu_comm_withdraw_part(struct mu_comm_world *w, int part);
void mu_comm_put_back(struct mu_comm_world *w, struct mu_comm_op *op);
bool mu_comm_is_to_self(const struct mu_comm_world *w, const struct mu_comm_op *op);

/* Messages of algorithms, by group rank. A started call is put back by await. */
int mu_comm_post_send(struct mu_comm_op **out, struct mu_comm *c, int to, int tag, const void *p, size_t bytes,
                      struct mu_err *e);
int mu_comm_post_recv(struct mu_comm_op **out, struct mu_comm *c, int from, int tag, void *p, size_t bytes,
                      struct mu_err *e);

/* Until all are done, the deadline of the running call, or a loss. Puts all of them back. */
int mu_comm_await(struct mu_comm *c, struct mu_comm_op **ops, int n, struct mu_err *e);

/* One look, without waiting. */
int mu_comm_look(struct mu_comm *c, struct mu_err *e);

/* Messages of zero bytes are left out: both sides know the sizes. A full batch is waited for before the next message
 * is started, so messages that depend on each other are given in rounds. */
struct mu_comm_batch {
    struct mu_comm *c;
    const struct mu_comm_team *team; /* whose ranks to and from are */
    int n;
    struct mu_comm_op *ops[MU_COMM_BATCH_MAX];
};
int mu_comm_batch_send(struct mu_comm_batch *b, int to, const void *p, size_t bytes, struct mu_err *e);
int mu_comm_batch_recv(struct mu_comm_batch *b, int from, void *p, size_t bytes, struct mu_err *e);
int mu_comm_batch_end(struct mu_comm_batch *b, int rc, struct mu_err *e); /* waits; puts back after a failure rc */

/* A collective of the transport's own: op for it (NULL: the world is dead, e says so), then `rc` of starting it. */
struct mu_comm_op *mu_comm_native_op(struct mu_comm *c, struct mu_err *e);
int mu_comm_native_end(struct mu_comm *c, struct mu_comm_op *op, int rc, struct mu_err *e);

/* What a transport's own collective moved, as far as this rank's arguments tell. */
void mu_comm_count(struct mu_comm *c, size_t sent, size_t received);

/* ---- collectives inside a call: no number of their own, no check of arguments ---- */

int mu_comm_in_barrier(struct mu_comm *c, struct mu_err *e);
int mu_comm_in_broadcast(struct mu_comm *c, void *p, size_t bytes, int root, struct mu_err *e);
int mu_comm_in_all_gather(struct mu_comm *c, void *all, const size_t *bytes, struct mu_err *e);
int mu_comm_in_all_to_all(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv,
                          const size_t *recv_bytes, struct mu_err *e);
int mu_comm_in_all_reduce(struct mu_comm *c, void *p, int64_t n, enum mu_reduce op, struct mu_err *e);

/* Over a team, by messages. Pieces lie side by side in team order. */
int mu_comm_team_broadcast(struct mu_comm *c, const struct mu_comm_team *t, void *p, size_t bytes, int root,
                           struct mu_err *e);
int mu_comm_team_all_gather(struct mu_comm *c, const struct mu_comm_team *t, void *all, const size_t *bytes,
                            struct mu_err *e);

static inline int mu_comm_team_rank(const struct mu_comm_team *t, int i)
{
    return t->rank ? t->rank[i] : i;
}

/* All members; those of this rank's node; the nodes' first members (me -1 for others). */
struct mu_comm_team mu_comm_team_all(const struct mu_comm *c);
struct mu_comm_team mu_comm_team_local(const struct mu_comm *c);
struct mu_comm_team mu_comm_team_leaders(const struct mu_comm *c);

/* ---- reduce.c: sums of roots ---- */

size_t mu_reduce_bytes(enum mu_reduce op); /* of an element */

/* What one fold works on: root k's elements at items + k * stride, but those of [own_first, own_first + n_own), which
 * lie at own + (k - own_first) * own_stride. All of them may be overwritten. */
struct mu_fold {
    enum mu_reduce op;
    const struct mu_span *root;
    unsigned char *items;
    size_t stride; /* bytes */
    int own_first, n_own;
    unsigned char *own;
    size_t own_stride;
};

/* out [n] = the tree's sum over leaves [lo, hi), whose roots begin with the first-th; returns how many these were. out
 * may be the place of one of them. */
int mu_fold(const struct mu_fold *f, int first, int32_t lo, int32_t hi, void *out, int64_t n);

/* Memory of an algorithm: a part of the world's scratch. */
struct mu_comm_scratch {
    unsigned char *p;
    size_t bytes;
};

/* mu_tree_all_reduce() for any operation, inside a call. */
int mu_comm_in_tree(struct mu_comm *c, const struct mu_tree *t, enum mu_reduce op, void *y, void *own, int64_t n,
                    struct mu_err *e);

/* What one of a group came to, in a number that grows with the code: the largest of all names a rank that failed. */
static inline int64_t mu_comm_fault(const struct mu_comm *c, int rc)
{
    return rc == MU_OK ? 0 : (int64_t)rc * MU_COMM_RANKS_MAX + c->member[c->rank];
}

static inline int mu_comm_fault_code(int64_t fault, int *world_rank)
{
    *world_rank = (int)(fault % MU_COMM_RANKS_MAX);
    return (int)(fault / MU_COMM_RANKS_MAX);
}

struct mu_comm_shared {
    struct mu_comm_world *world;
    void *p, *own;
    size_t bytes;
    bool is_alone; /* one rank: p is from the heap */
};

#endif
