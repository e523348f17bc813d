/* resident.h - a table of opened models: preload, keep, evict by pressure
 *
 * Models are known by name. One that is used is opened on demand, or was opened ahead (preload), and stays until its
 * memory is wanted: by an open that would not fit the limit, or by the machine (pressure.h). The longest
 * unused goes first; one that is in use or kept never goes.
 *
 *     absent -> opening -> ready -> closing -> absent
 *
 * One that cannot be opened is failed, and so is one that broke down, which its users find out. Its sentence is told
 * to whoever asks until a wait is over, then it is tried again: after retry_ns for the first failure, twice as long for
 * each more in a row, up to MU_RESIDENT_RETRY_NS_MAX. A first breakdown is tried again at once. After breaks_max of
 * them in a row it is given up: an open that fails costs little, one that breaks down each time takes the others' room.
 * A row ends when a model has been open for MU_RESIDENT_WELL_NS.
 *
 * One model is opened or closed at a time. Who needs another meanwhile waits, at most waiting_max of them, each until
 * its deadline. A model's bytes are measured before each open: what lies under a name may have changed.
 *
 * Not here: what a model is. The opener is a table of functions (engine.h is the real one).
 * Threads: any; calls that open may take as long as an open does. */
#ifndef MU_ENGINE_RESIDENT_H
#define MU_ENGINE_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include <muster/err.h>

#define MU_RESIDENTS_MAX          64
#define MU_RESIDENT_NAME_MAX      256
#define MU_RESIDENT_WAITING       64            /* where no number is given */
#define MU_RESIDENT_RETRY_NS      10000000000ll /* the same */
#define MU_RESIDENT_RETRY_NS_MAX  300000000000ll
#define MU_RESIDENT_BREAKS        5 /* where no number is given */
#define MU_RESIDENT_WELL_NS       600000000000ll
#define MU_RESIDENT_PRESSURE_NS   1000000000ll /* between two looks at the machine */
#define MU_RESIDENT_WAIT_SLICE_NS 10000000ll   /* a wait looks at its clock so often */

struct mu_residents;

/* Calls come from one thread at a time, none under the table's lock. */
struct mu_resident_ops {
    int (*measure)(void *arg, const char *name, size_t *bytes, struct mu_err *e); /* what an open will take */
    int (*open)(void *arg, const char *name, void **model, struct mu_err *e);
    void (*close)(void *arg, void *model);
    int (*trim)(void *arg, void *model, struct mu_err *e); /* give up what is kept for later only. NULL: nothing is */
    size_t (*pressure)(void *arg);                         /* bytes that the machine wants back now. NULL: never any */
};

struct mu_resident_opts {
    const struct mu_resident_ops *ops;
    void *arg;
    size_t bytes_max; /* of all together; 0: no limit but the opener's own */
    int open_max;     /* models open at a time; 0: as many as fit */
    int waiting_max;
    int64_t retry_ns;
    int breaks_max;
    const struct mu_clock *clock; /* borrowed; NULL: the machine's */
};

int mu_residents_open(struct mu_residents **out, const struct mu_resident_opts *o, struct mu_err *e);
void mu_residents_close(struct mu_residents *r); /* nobody uses or waits for any; NULL is fine */

/* A name that may be used from now on. Kept: never evicted once it is open. */
int mu_residents_add(struct mu_residents *r, const char *name, bool is_kept, struct mu_err *e);
int mu_residents_keep(struct mu_residents *r, const char *name, bool is_kept, struct mu_err *e);

/* Open it ahead; MU_OK when it is ready. */
int mu_residents_preload(struct mu_residents *r, const char *name, int64_t wait_ns, struct mu_err *e);

/* The model, ready, and held until as many calls of done. MU_ENOENT: no such name. MU_ENOMEM: it cannot fit, whoever
 * leaves. MU_ETIMEDOUT: not within wait_ns. MU_ELIMIT: too many wait. Else why it cannot be opened. */
int mu_residents_use(struct mu_residents *r, const char *name, int64_t wait_ns, void **model, struct mu_err *e);
/* The same for one that is ready now; false: it is not, and nothing is opened for it. */
bool mu_residents_take(struct mu_residents *r, const char *name, void **model);
void mu_residents_done(struct mu_residents *r, void *model);
/* Its user, who holds it, found it broken: nobody else gets it, and it is closed some time after its last user is done.
 */
void mu_residents_break(struct mu_residents *r, void *model, const struct mu_err *why);

/* Make at least so many bytes free: all that are idle are trimmed, then evicted until enough are gone. *freed counts
 * models that were closed; less than was asked for when the rest is in use or kept. */
void mu_residents_relieve(struct mu_residents *r, size_t bytes, size_t *freed);
/* Broken models are closed. By what the machine wants, looked at once a second at most: idle models are trimmed first,
 * once after each use; when it still wants memory at the next look, they are evicted until as much is freed. */
void mu_residents_tick(struct mu_residents *r);

/* ---- looking in ---- */

enum mu_resident_state {
    MU_RESIDENT_ABSENT,
    MU_RESIDENT_OPENING,
    MU_RESIDENT_READY,
    MU_RESIDENT_CLOSING,
    MU_RESIDENT_FAILED
};
const char *mu_resident_state_name(enum mu_resident_state s);

struct mu_resident_info {
    char name[MU_RESIDENT_NAME_MAX];
    enum mu_resident_state state;
    bool is_kept;
    int users;
    size_t bytes;    /* 0: not measured yet */
    int64_t open_ns; /* the last open took */
    int64_t used_ns; /* on the clock: last use begun or ended */
    uint64_t uses, opens, evictions;
    uint64_t failures, breaks; /* opens that failed; breakdowns */
    int failures_in_row;       /* of both */

    /* FAILED */
    struct mu_err why;
    bool is_given_up;
    int64_t wait_ns; /* until it may be tried again, unless it is given up */
};

struct mu_resident_totals {
    int n, n_ready, n_waiting;
    size_t bytes, bytes_peak, bytes_max; /* of those that are open or being opened */
    uint64_t hits, misses;               /* uses that found it ready, that did not */
    uint64_t opens, failures, trims;
    uint64_t evictions_room, evictions_pressure;
};

/* Entry i in the order in which they were added; false past the last. */
bool mu_residents_info(struct mu_residents *r, int i, struct mu_resident_info *out);
/* Entry i's model, if it is ready: fn looks at it under the table's lock. That is no use, and whose turn it is to go
 * does not change. */
bool mu_residents_look(struct mu_residents *r, int i, void (*fn)(void *arg, void *model), void *arg);
void mu_residents_totals(struct mu_residents *r, struct mu_resident_totals *out);

#endif
