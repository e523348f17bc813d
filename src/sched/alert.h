/* alert.h - a campaign tells people what happens: as JSON to a command, to a webhook, or both
 *
 * mu_alert() only takes a note: it neither waits nor fails. Each target has one thread and one queue, so that what
 * hangs holds up neither the orchestrator nor the other target. When a queue is full the oldest alert of the least
 * severity is dropped and counted. A send has the campaign's time-out as its deadline; a webhook that fails for now is
 * asked again a few times after growing waits. A target that keeps failing is left alone for a while (base/breaker.h);
 * what comes for it waits in its queue.
 *
 * The command and all that it starts in its process group end with it, at its deadline, and with this process, however
 * that ends: a guard between the two sees to it. What leaves the group (setsid) is on its own.
 *
 * Sentences name a webhook by scheme, host and port alone: what stands behind them in its URL is often a secret.
 *
 *   {"campaign": "nightly", "time": "2026-11-22T09:10:04Z", "kind": "task_failed", "severity": "critical",
 *    "task": "llama-7b/mmlu", "about": null, "sentence": "...", "text": "nightly: ...", "repeats": 0, "host": "node7",
 *    "counts": {"tasks": 12, "left": 3, "running": 1, "finished": 8, "failed": 1, "skipped": 0,
 *               "cancelled": 0}}
 *
 * about: the device, node, model or budget; repeats: alerts of the same kind and thing that were not sent since the
 * last one; text: what chat programs show of a webhook's message. */
#ifndef MU_SCHED_ALERT_H
#define MU_SCHED_ALERT_H

#include "base/clock.h"
#include "base/retry.h"
#include "sched/campaign.h"
#include "sched/state.h"

#define MU_ALERT_TARGETS_MAX 2
#define MU_ALERT_QUEUE_MAX   256               /* of a target */
#define MU_ALERT_THINGS_MAX  512               /* kinds and things whose repeats are known; the oldest is forgotten */
#define MU_ALERT_REPEAT_NS   60000000000ll     /* the same is not sent again within it */
#define MU_ALERT_TRIES       4                 /* of one alert to a webhook; a command is run once */
#define MU_ALERT_TOLD_MAX    256               /* outcomes not yet asked for; the oldest is forgotten */
#define MU_ALERT_TEXT_BYTES  MU_EVENT_TEXT_MAX /* of a sentence; a longer one is cut */

enum mu_alert_severity { MU_ALERT_INFO = 1, MU_ALERT_WARNING, MU_ALERT_CRITICAL };

/* X(name, word, severity) */
#define MU_ALERT_MAP(X)                                                                                                \
    X(TASK_FAILED, "task_failed", CRITICAL)      /* for good */                                                        \
    X(ATTEMPT_FAILED, "attempt_failed", WARNING) /* of a class that tells of the machine: device, node, link, ... */   \
    X(DEVICE_QUARANTINED, "device_quarantined", CRITICAL)                                                              \
    X(NODE_QUARANTINED, "node_quarantined", CRITICAL)                                                                  \
    X(DEGRADED, "degraded", WARNING)                                                                                   \
    X(REQUEST_SKIPPED, "request_skipped", WARNING) /* it killed each worker that computed it */                        \
    X(SCALED, "scaled", INFO)                      /* a model may have more or fewer workers */                        \
    X(BUDGET_NEAR, "budget_near", WARNING)         /* nine tenths of it are spent */                                   \
    X(BUDGET_SPENT, "budget_spent", CRITICAL)                                                                          \
    X(DEADLINE_NEAR, "deadline_near", WARNING) /* it will be missed, as things stand */                                \
    X(DEADLINE_MISSED, "deadline_missed", CRITICAL)                                                                    \
    X(RESTARTED, "restarted", INFO)      /* the orchestrator, where it had stopped */                                  \
    X(TAKEN_OVER, "taken_over", WARNING) /* from one that was lost */                                                  \
    X(DRAINED, "drained", INFO)          /* asked to stop, or a budget spent: what is left waits */                    \
    X(CANCELLED, "cancelled", WARNING)   /* the whole campaign, by somebody's wish */                                  \
    X(STOPPED, "stopped", CRITICAL)      /* the orchestrator, by an error */                                           \
    X(FINISHED, "finished", INFO)

enum mu_alert_kind {
#define MU_ALERT_ENUM(name, word, severity) MU_ALERT_##name,
    MU_ALERT_MAP(MU_ALERT_ENUM)
#undef MU_ALERT_ENUM
        MU_ALERT_KINDS
};

const char *mu_alert_kind_name(int kind); /* "task_failed"; "?" */
const char *mu_alert_severity_name(int severity);

/* All is borrowed for the call. */
struct mu_alert {
    enum mu_alert_kind kind;
    enum mu_alert_severity severity; /* 0: the kind's own */
    const char *task;                /* NULL: of none */
    const char *about;               /* the device, node, model or budget; NULL: none */
    const char *sentence;
    const struct mu_counts *counts; /* NULL: not known */
};

struct mu_alerts;

struct mu_alerts_opts {
    const struct mu_campaign *campaign; /* name and alerts; borrowed until the close */
    const char *host;                   /* where the orchestrator is; borrowed likewise */
    const struct mu_clock *clock;       /* of repeats; NULL: the machine's */
    struct mu_backoff wait;             /* between tries of a webhook; 0: from a second to eight */
};

/* *out is NULL where the campaign names no target, and every other call takes that. MU_EUSAGE: a webhook that is no
 * http or https URL. */
int mu_alerts_open(struct mu_alerts **out, const struct mu_alerts_opts *o, struct mu_err *e);
void mu_alert(struct mu_alerts *a, const struct mu_alert *alert); /* any thread */

/* How a send ended, for the event log. */
struct mu_alert_told {
    enum mu_alert_kind kind;
    bool has_failed;
    int target;                     /* 0 ... MU_ALERT_TARGETS_MAX - 1 */
    char text[MU_ALERT_TEXT_BYTES]; /* "task_failed of llama-7b/mmlu, to the webhook at https://hooks.example.com"; with
                                     * ": " and why when it failed */
};
bool mu_alerts_poll(struct mu_alerts *a, struct mu_alert_told *out); /* never waits; false: nothing new */

struct mu_alerts_counts {
    int64_t sent, failed, dropped, repeated;
    int waiting; /* queued or under way */
};
void mu_alerts_counts(struct mu_alerts *a, struct mu_alerts_counts *out);

/* The end, in three steps. What mu_alert() is told from the first on goes nowhere; outcomes may still be polled.
 * begin_end: what is queued has the time-out left, then it is dropped. Waits for nothing.
 * wait_end: so long for it; true when all is sent or dropped.
 * cut_end: only so much time is left. */
void mu_alerts_begin_end(struct mu_alerts *a);
bool mu_alerts_wait_end(struct mu_alerts *a, int64_t ns);
void mu_alerts_cut_end(struct mu_alerts *a, int64_t left_ns);

void mu_alerts_drain(struct mu_alerts *a); /* begins the end and waits for it */
void mu_alerts_close(struct mu_alerts *a); /* drains first */

#endif
