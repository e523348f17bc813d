/* failure.h - what went wrong, and what to do about it
 *
 * Pure: evidence in, class out; class and history in, action out, with the reason in a sentence. Nothing here does
 * anything: the orchestrator records the action as events and carries it out. */
#ifndef MU_SCHED_FAILURE_H
#define MU_SCHED_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/retry.h"
#include <muster/err.h>

/* Stored in events: a class is never given another number. X(name, word in campaign files, what it means) */
#define MU_FAILURE_MAP(X)                                                                                              \
    X(NONE, "none", "nothing failed")                                                                                  \
    X(APPLICATION, "application", "the work itself: wrong input, or a mistake in muster")                              \
    X(KILLED, "killed", "something outside ended it, and nobody knows why")                                            \
    X(MEMORY, "out_of_memory", "it needed more memory than there was")                                                 \
    X(DEVICE, "device", "a device failed")                                                                             \
    X(LINK, "link", "a link between ranks failed, both ends alive")                                                    \
    X(NODE, "node", "a node failed or was taken away")                                                                 \
    X(PARTITION, "network_partition", "ranks that may well be alive cannot be reached")                                \
    X(WALLTIME, "walltime", "the job's time was over")                                                                 \
    X(PREEMPTION, "preemption", "the job had to make room for another")                                                \
    X(POISON, "poison_request", "one request kills whoever runs it")                                                   \
    X(STORAGE, "storage", "a disk was full, or reading or writing failed")                                             \
    X(CANCELLED, "cancelled", "somebody asked for it")

enum mu_failure {
#define MU_FAILURE_ENUM(name, word, meaning) MU_FAILURE_##name,
    MU_FAILURE_MAP(MU_FAILURE_ENUM)
#undef MU_FAILURE_ENUM
        MU_FAILURES
};

const char *mu_failure_name(int f); /* "out_of_memory"; "?" */
const char *mu_failure_meaning(int f);
int mu_failure_find(const char *name); /* -1: no such word */

/* Whether a request can bring it about by itself, and requests in hand make it one's. Not one that was killed: who
 * kills at random must not make a request look guilty, for one that is skipped changes the results. A search (below)
 * takes kills too, for it accuses nobody who does not die again and again, alone. */
bool mu_failure_can_be_poison(int f);

/* ---- evidence ---- */

/* What is known of how a group, or an attempt, ended. All zero is nothing. */
struct mu_evidence {
    bool has_exit;
    int exit_status;        /* of the program or its launcher: 128 + n stands for signal n */
    int signal;             /* it was killed by; 0: not by one */
    bool is_oom_killed;     /* the kernel's killer was seen at work: memory.events, dmesg, OUT_OF_MEMORY */
    bool is_asked;          /* we sent the signal, or somebody cancelled the task */
    bool is_warned;         /* the job's warning signal had come, or its time was over */
    bool is_node_down;      /* Slurm or a drill says so */
    bool is_peer_reachable; /* the silent rank's node answers on another way */
    const char *sentence;   /* what the watch over ranks said, or muster's last line; NULL */
    const char *device;     /* an error of a device: "Xid 79", "uncorrectable ECC error"; NULL */
    const char *job;        /* Slurm's word for the job it ran in: "NODE_FAIL", "CANCELLED by 0"; NULL */
};

/* Whether a sentence is a device's error, such as belongs into `device` above. */
bool mu_failure_names_device(const char *sentence);

/* The class, and in why (which may be NULL) what it was told by. */
#define MU_WHY_MAX 320
enum mu_failure mu_failure_classify(const struct mu_evidence *ev, char why[MU_WHY_MAX]);

/* ---- degradation ---- */

/* In the order in which they are tried; stored in events. int8 changes the numbers, so it is tried only where it is
 * allowed; the other two give the same bits. */
enum mu_shrink { MU_SHRINK_RANKS, MU_SHRINK_INT8, MU_SHRINK_BATCH, MU_SHRINKS };

struct mu_room {
    int32_t ranks, ranks_min; /* now, and the fewest that can hold the model */
    int32_t batch, batch_min;
    bool is_int8, may_int8;
};

const char *mu_shrink_name(int step); /* "fewer_ranks" */
/* The next step with its new value (ranks, 8 or batch); false: there is none left. Where memory was short fewer ranks
 * are no help: they hold more each. There the order is a smaller batch, which costs nothing but time, then int8. */
bool mu_shrink_next(const struct mu_room *r, enum mu_failure f, enum mu_shrink *step, int32_t *value);

/* ---- policy ---- */

enum mu_action_kind {
    MU_ACTION_RETRY,    /* the same again, after a delay */
    MU_ACTION_DEGRADE,  /* again, one step smaller */
    MU_ACTION_REPLAN,   /* the failed device or node in quarantine, again on the survivors */
    MU_ACTION_REJOIN,   /* wait for the lost to come back; re-plan when they have not after the delay */
    MU_ACTION_RESUBMIT, /* drain, and a new job for what is left */
    MU_ACTION_ISOLATE,  /* find the request (mu_search), skip and record it */
    MU_ACTION_GIVE_UP,  /* the task ends as failed, recorded; the campaign goes on */
    MU_ACTION_STOP,     /* somebody wanted it: nothing more */
    MU_ACTIONS
};

const char *mu_action_name(int kind);
int mu_action_find(const char *name); /* -1: no such word */

struct mu_policy_rule {
    enum mu_action_kind first; /* while fewer than tries_max attempts in all have failed so */
    int tries_max;             /* POISON: while fewer requests of the task are skipped */
    enum mu_action_kind then;  /* after that */
    struct mu_backoff backoff;
};

struct mu_policy {
    struct mu_policy_rule rule[MU_FAILURES];
    int attempts_max; /* of a task, whatever the classes; work that was taken away from it does not count */
};

void mu_policy_default(struct mu_policy *p); /* to be overridden by writing into it */

struct mu_tried {
    enum mu_failure failure;
    int32_t device;         /* that failed; -1: none known */
    bool has_progressed;    /* requests were finished in it */
    const int64_t *in_hand; /* requests in flight when it ended, ascending; borrowed */
    int n_in_hand;
};

struct mu_action {
    enum mu_action_kind kind;
    enum mu_failure failure; /* as decided: POISON may take the place of the last one's */
    int64_t delay_ns;
    enum mu_shrink step; /* DEGRADE */
    int32_t value;
    char why[MU_WHY_MAX];
};

/* tried[n]: the task's attempts so far that failed, the last one last; n is 1 or more. room may be NULL: nothing can be
 * made smaller. random: for the jitter of delays. */
void mu_policy_decide(const struct mu_policy *p, const struct mu_tried *tried, int n, const struct mu_room *room,
                      uint64_t *random, struct mu_action *out);

/* ---- bisection ---- */

/* Which of n suspects kills: the first half is run alone; if it dies it is cut further, if it lives the other is. The
 * last one left is guilty when it dies alone, so one that had died of something else, or two that must meet to kill,
 * end with nobody. At most log2(n), rounded up, and one probe. */
struct mu_bisect {
    int32_t lo, hi; /* the culprit, if there is one, is in [lo, hi) */
    bool is_over;
    int32_t culprit; /* once over; -1: none of them alone */
    int probes;
};

void mu_bisect_begin(struct mu_bisect *b, int32_t n);
/* The suspects to run alone now: [*lo, *hi); false: it is over. */
bool mu_bisect_probe(const struct mu_bisect *b, int32_t *lo, int32_t *hi);
/* has_died: of a class that can be poison. */
void mu_bisect_told(struct mu_bisect *b, bool has_died);

/* ---- the search ---- */

/* Bisection, and two proofs before anybody is accused: who is left must die alone once more; and unless other requests
 * were answered since the search began, and on the device that it died on, the one farthest from it is run alone too:
 * if that does not live there it was no request. So nobody is found where all die, or where there is one alone. */
enum mu_probe {
    MU_PROBE_IDLE,         /* all it was to run had been answered; or that it was proves nothing about the device */
    MU_PROBE_LIVED,        /* all of it was answered */
    MU_PROBE_DIED,         /* before any answer */
    MU_PROBE_DIED_LATE,    /* after some */
    MU_PROBE_DIED_DOUBTED, /* on a device on which nothing has gone well of late */
    MU_PROBES
};

bool mu_probe_has_died(enum mu_probe how);

enum mu_search_stage { MU_SEARCH_HALVES, MU_SEARCH_AGAIN, MU_SEARCH_OTHER, MU_SEARCH_OVER };

struct mu_search {
    struct mu_bisect halves;
    int32_t n;
    uint8_t stage;    /* enum mu_search_stage */
    bool has_answers; /* given since it began */
    int32_t culprit;  /* once over; -1: nobody */
};

void mu_search_begin(struct mu_search *s, int32_t n);
bool mu_search_probe(const struct mu_search *s, int32_t *lo, int32_t *hi); /* as mu_bisect_probe */
void mu_search_told(struct mu_search *s, enum mu_probe how);

/* What both lists, ascending, have: into out[min(na, nb)]. */
int mu_suspects_meet(const int64_t *a, int na, const int64_t *b, int nb, int64_t *out);

#endif
