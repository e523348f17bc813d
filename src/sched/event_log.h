/* event_log.h - a campaign's events in one SQLite file, appended by one orchestrator at a time
 *
 * What append has returned survives kill -9 and power loss; a batch is there whole or not at all. Nothing is ever
 * changed or taken away. Every row has a sum: a byte that went bad on disk is found when it is read.
 *
 * Owning. Whoever appends owns the log: its host, process, boot and a random token stand in the file, with a number
 * (the fence) that is one higher for every new owner. Each append looks, inside its own transaction, whether the fence
 * is still its own, so a late append of an owner that was taken over fails and changes nothing. That alone keeps the
 * log right, whatever any clock says. It does not call back what an old owner has started: work carries the fence too.
 *
 * The lease only says when another may take over:
 *  - the owner has given it up;
 *  - its process is gone: told by the pid and its start time, on the same boot and in the same pid namespace;
 *  - it has not renewed for as long as it promised to, and an eighth more. Others do not compare clocks: they watch its
 *    count of renewals, by their own monotonic clock. So jumps of wall clocks do nothing, and a watch takes a whole
 * span. Owners renew by appending, or by mu_event_log_renew(), before a third of the span is over by their monotonic
 * clock. A machine that sleeps stops that clock: it wakes up as an owner that was taken over, and its next append says
 * so.
 *
 * Turns. A job of a batch system that is queued again has another turn. The processes of the one before may go on all
 * the same, where its node was cut off from the batch system and not from the storage. So a turn claims the log, in the
 * file, before it asks for it. An owner of an earlier turn finds that when it renews: it fails as if it had been taken
 * over, ends its work and gives up; the later turn waits for that, within MU_OWNER_AWAY_NS in any case. An earlier turn
 * that asks is refused.
 *
 * Several processes may read while one appends. On this machine's own file systems the file is in WAL mode; WAL's
 * shared memory does not reach other nodes, so on all others it has a rollback journal, with which a reader may hold an
 * append up. Assumed there: fcntl locks that hold between nodes, and fsync that is done when it returns (NFS from
 * version 4, Lustre with -o flock, GPFS, BeeGFS with locking on; not Lustre with -o localflock).
 *
 * One thread at a time. */
#ifndef MU_SCHED_EVENT_LOG_H
#define MU_SCHED_EVENT_LOG_H

#include "base/clock.h"
#include "sched/event.h"

#define MU_EVENT_LOG_VERSION 2
#define MU_EVENT_LOG_SPAN_NS 20000000000ll /* a lease, where no span is given */
#define MU_EVENTS_MAX        ((int64_t)1 << 26)
#define MU_EVENT_BATCH_MAX   (1 << 20)
#define MU_OWNER_HOST_MAX    256

struct mu_event_log;

struct mu_event_log_opts {
    int64_t span_ns;        /* of this process's lease; 0: MU_EVENT_LOG_SPAN_NS */
    bool is_reader;         /* owns and appends nothing; the file must be there, and nothing of it is changed */
    bool is_many_nodes;     /* a rollback journal whatever the file system says */
    bool was_checked;       /* the file as a whole, a moment ago: rows only as they are read. For who looks often */
    struct mu_clock *clock; /* borrowed; NULL: the machine's */
    const char *job;        /* that this process is in, by a name that no other job has; NULL: in none */
    int turn;               /* of the job: how often it was queued again */
};

/* Creates the file when there is none. MU_EFORMAT: another program's, or damaged; MU_EUNSUPPORTED: of another
 * version. NULL options are all zero. */
int mu_event_log_open(struct mu_event_log **out, const char *path, const struct mu_event_log_opts *o, struct mu_err *e);
void mu_event_log_close(struct mu_event_log *l); /* gives up owning; NULL is fine */

/* All events after number `after`, in order. The text and key of an event live until fn returns; what fn returns other
 * than MU_OK ends it. MU_EFORMAT: damage, a gap, an unknown kind. */
typedef int mu_event_fn(void *arg, const struct mu_event *ev, struct mu_err *e);
int mu_event_log_replay(struct mu_event_log *l, int64_t after, mu_event_fn *fn, void *arg, struct mu_err *e);

/* Durable when it returns, all of them or none. Events whose key is there already are left out, if they tell of the
 * same action; MU_EINVAL if not. fn sees each of the others, numbered, before it counts; when it fails, or the disk is
 * full (MU_ENOSPC), nothing is appended, though fn has seen some. MU_EPEER: another owns the log. fn may be NULL. */
int mu_event_log_append(struct mu_event_log *l, const struct mu_event *ev, int n, mu_event_fn *fn, void *arg,
                        struct mu_err *e);
const char *mu_event_log_path(const struct mu_event_log *l);
int64_t mu_event_log_last(const struct mu_event_log *l); /* the last number that was appended or replayed here */

/* ---- owning ---- */

struct mu_owner {
    int64_t fence; /* 0: nobody ever */
    int64_t pid;
    int64_t span_ns;
    int64_t renewals;
    int64_t renewed_wall_ns; /* by its clock, for people */
    bool has_given_up;
    char host[MU_OWNER_HOST_MAX];
};

/* One look: owns it, or MU_EPEER with who has it. Looks of one log add up to a watch, so ask again. */
int mu_event_log_try_own(struct mu_event_log *l, struct mu_err *e);
/* The same until wait_ns are over, or it is clear before that an owner is at work: one that lives on this machine is
 * given MU_OWNER_HERE_NS to end, one elsewhere until it renews. A job's second turn and later ones wait on.
 * MU_OWNER_AWAY_NS is enough to see that a lease of the usual span has run out. */
#define MU_OWNER_HERE_NS 2000000000ll
#define MU_OWNER_AWAY_NS (MU_EVENT_LOG_SPAN_NS + MU_EVENT_LOG_SPAN_NS / 4)
int mu_event_log_own(struct mu_event_log *l, int64_t wait_ns, struct mu_err *e);
int mu_event_log_renew(struct mu_event_log *l, struct mu_err *e);
int mu_event_log_disown(struct mu_event_log *l, struct mu_err *e); /* not owning is fine */

int64_t mu_event_log_fence(const struct mu_event_log *l);       /* 0: does not own it */
int64_t mu_event_log_renew_in_ns(const struct mu_event_log *l); /* until a renewal is due; 0: now */
int mu_event_log_owner(struct mu_event_log *l, struct mu_owner *out, struct mu_err *e);

/* The same, and what one look tells of it. AWAY: it does not live where this process could see it; whether its
 * renewals go on is for who looks twice. */
enum mu_owner_life { MU_OWNER_NOBODY, MU_OWNER_ALIVE, MU_OWNER_GONE, MU_OWNER_AWAY };
int mu_event_log_look(struct mu_event_log *l, struct mu_owner *out, enum mu_owner_life *life, struct mu_err *e);

#endif
