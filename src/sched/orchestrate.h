/* orchestrate.h - brings a campaign home: which task runs now, where, and what becomes of it when it fails
 *
 * State is the event log beside the results (state_log.h); every decision stands there before it is acted on, so a
 * killed orchestrator is started again and goes on: what had ended has ended, what ran is run again and takes the
 * answers that its journal holds. Queue, fleet and strategy (dispatch.h) say who is next, policies (failure.h) what
 * follows a failure, a launcher (launcher.h) where workers run: `muster work`, which does what `muster eval` would and
 * keeps its model for the next task of it. A worker that says nothing for MU_WORKER_SILENT_NS is ended.
 *
 *   OUTPUT/campaign.sqlite            the events
 *   OUTPUT/now.json                   what runs where, each second (cli/campaign_now.h)
 *   OUTPUT/workers/<group>.log        what a worker printed
 *   OUTPUT/<model>/<suite>/task.json  a task's options, as of `muster eval --config`
 *   OUTPUT/<model>/<suite>/...        its results and journal
 *
 * Single-threaded; waits are bounded by a second, so that stopping, time-outs and retries are met in time. */
#ifndef MU_SCHED_ORCHESTRATE_H
#define MU_SCHED_ORCHESTRATE_H

#include "base/clock.h"
#include "sched/campaign.h"
#include "sched/fleet.h"
#include "sched/launcher.h"
#include "sched/state.h"

#define MU_ORCHESTRA_STORE "campaign.sqlite"
#define MU_ORCHESTRA_NOW   "now.json"

/* What has just happened, for people; borrowed for the call. */
struct mu_news {
    int kind;             /* enum mu_event_kind: TASK_STARTED, TASK_FINISHED, ATTEMPT_FAILED, TASK_FAILED, TASK_SKIPPED,
                           * TASK_CANCELLED, PAUSED, RESUMED, CANCELLED, DEGRADED, SEARCH_BEGUN, PROBE_ENDED, SEARCH_ENDED,
                           * REQUEST_SKIPPED, NODE_QUARANTINED, NODE_BACK, DEVICE_QUARANTINED, SCALED */
    const char *task;     /* NULL of nodes, devices and the campaign */
    const char *about;    /* the node, "device 3 of n7", or the model; NULL */
    const char *why;      /* of failures, skips and what was given up: a sentence; NULL */
    double seconds;       /* that the attempt took */
    double retry_s;       /* ATTEMPT_FAILED: until it is tried again */
    int running;          /* now */
    struct mu_counts now; /* of the whole campaign */
};

struct mu_orchestra {
    const struct mu_campaign *campaign;
    const char *output;  /* a folder that is there */
    const char *program; /* muster */
    struct mu_launcher *launcher;
    const char *job; /* of a batch system, that this runs in, and which turn of it (event_log.h); NULL: none */
    int turn;
    struct mu_clock *clock;
    const char *const *nodes; /* their names, by the numbers devices have them */
    const struct mu_fleet_device *devices;
    int n_devices;
    const char *share;             /* folder of those that share the devices (share.h); NULL: they are all its own */
    const int64_t *weights;        /* bytes of each model of the campaign, 0: not known; may be NULL */
    double (*left_s)(void *arg);   /* until the job that this runs in is warned of its end; NULL: there is none */
    int cores;                     /* of a device, shared among its tasks that name no number of threads */
    bool (*is_stopped)(void *arg); /* may be NULL, as the next */
    void (*told)(void *arg, const struct mu_news *news);
    void *arg;
};

/* Returns when every task has ended, well or not: *out has the counts. MU_ECANCELED: stopped, what ran was asked to end
 * and waits for the next start. MU_EPEER: another orchestrator has the store, or
 * a later turn of the job wants it. MU_EINVAL: the store is another
 * campaign's. MU_ELIMIT: the budget of walltime is spent. */
int mu_orchestrate(const struct mu_orchestra *o, struct mu_counts *out, struct mu_err *e);

#endif
