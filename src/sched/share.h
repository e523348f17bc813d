/* share.h - several campaigns on the same devices: who has which, and what is due to whom
 *
 * There is no server. Campaigns that share devices name one folder; in its SQLite file stand the members, one row a
 * campaign that runs, and the devices, each with the member that has it. Once a second a member looks (mu_share_look):
 * in one transaction it renews its beat, says what it could use, reads what the others said, and takes or gives
 * devices. What it decides is a pure function of what stands there (mu_share_decide), so all come to the same answer.
 *
 * What is due:
 *  1. Devices are shared out by weight among those that want some, none gets more than it wants, and what one does not
 *     want is shared among the rest: weighted max-min fairness (Bertsekas and Gallager, "Data Networks", 6.5.2).
 *  2. Shares are seldom whole. The odd devices go to who has had least: a member's pass is the device-seconds it had
 *     over its weight, as in stride scheduling (Waldspurger and Weihl, MIT/LCS/TM-528, 1995). Who has an odd device
 *     keeps it until its pass is a lag ahead: MU_SHARE_LAG_S of an even share, so that devices do not wander.
 *  3. Who is a lag ahead of another that wants devices owes, and counts with half its weight until it has paid back.
 *  4. Who has no task that waits saves up no claim: its pass follows those of the others.
 *  5. A task that needs more devices than are due to its member gets a turn: of the members that wait so and owe
 *     nothing the one with the lowest pass, one at a time. While it has the turn all that it needs is due to it, and is
 *     collected as others' tasks end; what it had so it owes afterwards. So wide tasks do not starve, nor do the
 * others. Nothing is taken away: a member that has more than its due gives devices back when the tasks on them end, and
 * only those that somebody wants.
 *
 * Losing devices. Nobody compares clocks: a member watches the beats of the others by its own monotonic clock. One
 * whose beat has stood still for the span of a lease and an eighth more, or whose process is seen to be gone from this
 * machine, has lost its devices to whoever takes them. If it was only stopped it finds that out at its next look, and
 * ends what it has there. It starts nothing without a look when its own lease is over by its own clock
 * (mu_share_is_fresh).
 *
 * A store that cannot be read or written changes nothing: each goes on with what it has and takes nothing more. One
 * that is cut off alone, from a folder that the others still see, loses its devices to them as if it were stopped.
 *
 * One thread at a time. */
#ifndef MU_SCHED_SHARE_H
#define MU_SCHED_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include <muster/err.h>

#define MU_SHARE_STORE       "share.sqlite"
#define MU_SHARE_MEMBERS_MAX 64
#define MU_SHARE_NAME_MAX    129 /* of a campaign, its NUL counted; a longer one is cut */
#define MU_SHARE_LOOK_NS     1000000000ll
#define MU_SHARE_LAG_S       60.0

/* ---- deciding: pure ---- */

/* A campaign as the others see it. */
struct mu_share_member {
    double weight; /* above 0 */
    int held;      /* devices that it has, */
    int busy;      /* those of them with work on them, */
    int want;      /* all it could use now, the busy ones counted, */
    int narrow;    /* those of its narrowest task that waits; 0: none waits */
    int wide;      /* those of the task whose turn it is, and that has too few; 0: there is none */
    double pass_s; /* device-seconds over weight */
    bool owes, has_turn;
    bool has_waited; /* at its last look a task of it waited for devices; read of oneself only */
};

struct mu_share_due {
    int due;  /* devices that one should have */
    int take; /* of the free ones */
    int give; /* as soon as nothing runs on them */
    /* Somebody has less than half of what is due to it, and waits for what this one has too much. */
    bool is_pressed;
    double pass_s; /* these three as they are from now on */
    bool owes, has_turn;
};

/* n members, this one is number `self`. O(n^3), n at most MU_SHARE_MEMBERS_MAX. */
void mu_share_decide(struct mu_share_due *out, const struct mu_share_member *member, int n, int self, int n_devices);

/* ---- the store ---- */

struct mu_share;

/* folder, nodes and clock live as long as the share, the rest is borrowed for the call. */
struct mu_share_opts {
    const char *folder;   /* made when it is not there */
    const char *campaign; /* its name, for people */
    const char *key;      /* what it is known by over restarts; no other campaign has it */
    double weight;
    const char *const *nodes;
    const int *node; /* [n_devices] of each device, an index of nodes; a node's devices side by side */
    int n_devices;
    int64_t span_ns; /* of the lease; 0: MU_EVENT_LOG_SPAN_NS */
    struct mu_clock *clock;
};

/* MU_EINVAL: other members share other devices there. Waits for those to be seen as gone, as long as that may take. The
 * devices that an earlier start of the same campaign had are free. */
int mu_share_join(struct mu_share **out, const struct mu_share_opts *o, struct mu_err *e);
void mu_share_leave(struct mu_share *s); /* all devices are given back; NULL is fine */

/* What this member does with a device. */
enum mu_share_use {
    MU_SHARE_MAY,  /* take it, or keep it */
    MU_SHARE_GIVE, /* give it back: nothing runs there */
    MU_SHARE_NOT,  /* do not take it; keep it, for something runs there */
};

struct mu_share_ask {
    int busy, want, narrow, wide; /* as of a member */
    int64_t wide_task;            /* any number that tells the task of `wide` from the next one */
    const uint8_t *use;           /* [n_devices] enum mu_share_use */
};

/* One look. After MU_OK mu_share_has() tells of each device, and *due what follows; what was to be taken and given is
 * done. MU_ECHANGED: another start of the same campaign has taken this one's place; MU_EINVAL: other members share
 * other devices by now; in both cases this one must stop. All else: the store could not be asked, and nothing has
 * changed. */
int mu_share_look(struct mu_share *s, const struct mu_share_ask *a, struct mu_share_due *due, struct mu_err *e);

bool mu_share_has(const struct mu_share *s, int device);
bool mu_share_is_fresh(const struct mu_share *s); /* its lease is not over by its own clock */

/* The others that had devices at the last look: their names and how many. */
struct mu_share_other {
    const char *campaign; /* lives until the next look */
    int held;
};
int mu_share_others(const struct mu_share *s, struct mu_share_other other[MU_SHARE_MEMBERS_MAX]);
double mu_share_used_s(const struct mu_share *s); /* device-seconds that it had, earlier starts counted */

#endif
