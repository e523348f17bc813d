/* orchestrate_int.h - what the orchestrator's files share */
#ifndef MU_SCHED_ORCHESTRATE_INT_H
#define MU_SCHED_ORCHESTRATE_INT_H

#include <jansson.h>

#include "sched/control.h"
#include "sched/dispatch.h"
#include "sched/orchestrate.h"
#include "sched/orchestrate_alert.h"
#include "sched/orchestrate_share.h"
#include "sched/state_log.h"
#include "sched/worker_line.h"

#define MU_ORCHESTRA_LINE_BYTES ((size_t)8192) /* to a worker: a path, as JSON */
#define MU_ORCHESTRA_STOP_NS    30000000000ll  /* from asking a worker to end to ending it */
#define MU_ORCHESTRA_LEASE_NS   60000000000ll  /* of a task, for those who read the log */
#define MU_ORCHESTRA_RUN_S      600            /* a task's length, where nothing is known yet */

/* Why a running task was asked to end. */
enum mu_asked {
    MU_ASKED_NOT,
    MU_ASKED_LATE,      /* it had its time */
    MU_ASKED_SILENT,    /* its worker gave no sign of life: ended at once */
    MU_ASKED_STOP,      /* the orchestrator stops */
    MU_ASKED_MOVED,     /* its device or node is out: it goes elsewhere */
    MU_ASKED_PREEMPTED, /* for one of higher priority: it waits for its turn again */
    MU_ASKED_CANCELLED, /* somebody wanted it */
    MU_ASKED_LENT,      /* for another campaign that had waited: it waits for its turn again */
};

/* Of a task's workers, while they computed; since this start, or since a document of it was searched for. */
struct mu_deaths {
    int n;
    int32_t documents; /* of the task; 0: not known */
};

/* A task as this orchestrator has it. */
struct mu_work {
    int id;         /* in the queue; -1: it had ended before */
    int32_t number; /* in the log */
    int hand;       /* that runs it; -1 */
    int last_hand;  /* that ran it last, while its place is not another's */
    int run;        /* in the fleet */
    int64_t started_ns;
    int64_t charged_ns; /* of its time, that is in the log already */
    int64_t busy_ns;    /* since when its worker computes; 0: not yet, as far as is known */
    enum mu_asked asked;
    double done, total, per_s; /* requests, as its worker said last; total 0: not known yet */
    bool has_begun, has_died;  /* to compute, and while it did: this try */
    double begun_done;         /* of done, at that time */
    struct mu_deaths deaths;
    struct mu_need need;
};

/* A worker: `muster work`, with one task or none. */
struct mu_hand {
    int64_t worker; /* of the launcher; 0: this place is free */
    int32_t group;  /* in the log */
    int task;       /* -1: none */
    int model;      /* of the fleet, that it holds; -1: nothing another task could use */
    int n;          /* devices */
    int device[MU_TASK_DEVICES_MAX];
    int node;                     /* of the first; index of x->node */
    int64_t started_ns, heard_ns; /* heard_ns 0: not yet */
    int64_t left_ns;              /* since when it is leaving */
    bool is_working;              /* its model is loaded: requests were done */
    bool is_leaving;              /* was asked to end, or ended: it is given nothing more */
    bool is_killed;
};

/* A node of the machine or allocation. */
struct mu_place {
    const char *name;
    int32_t number;  /* in the log */
    int first, n;    /* devices of the fleet */
    bool is_down;    /* in quarantine */
    int64_t seen_ns; /* when it was last looked at */
};

struct mu_mean {
    double mean; /* seconds */
    int n;
};

/* A model as this orchestrator has it. */
struct mu_model_now {
    struct mu_mean load; /* that opening it took */
    /* Where the campaign scales, as of the last look: */
    struct mu_scale scale;
    struct mu_scale_decision last;
    int hands, working, running; /* workers that hold it; that have shown it; that have a task */
    int ready, devices;          /* tasks that wait for one, and devices of such a task */
    double queued, in_work;      /* requests of these, and of tasks that run, as far as they are not done */
    double done, busy_s;         /* requests since then, and seconds of workers */
};

/* What a round of the dispatcher decided. */
struct mu_start {
    int task, run;
    struct mu_seats seats;
};

struct mu_orchestration {
    const struct mu_orchestra *o;
    struct mu_state_log log;
    struct mu_queue *queue;
    struct mu_fleet *fleet;
    struct mu_dispatch *dispatch;
    struct mu_policy policy;
    struct mu_work *work;  /* [n_tasks], as the campaign lists them */
    struct mu_hand *hand;  /* [MU_WORKERS_MAX] */
    struct mu_place *node; /* [n_nodes] */
    int n_nodes;
    int *running; /* tasks, n_running of them */
    int n_running;
    int *followers;             /* [n_tasks] scratch: those that ended because of another */
    uint8_t *urgency;           /* [n_tasks] enum mu_priority, as priorities are now */
    struct mu_control *control; /* NULL: it could not be opened */
    struct mu_mean *length;     /* [n_suites], of tasks that have finished, without loading */
    double *requests;           /* [n_suites], of a task; 0: not known yet */
    struct mu_model_now *model; /* [n_models] */
    int64_t scaled_ns;          /* when models were last looked at */
    uint64_t random;
    int64_t start_ns, shown_ns, waited_ns, charged_ns;
    struct mu_start *start; /* [MU_WORKERS_MAX], n_starts: of this round */
    int n_starts;
    struct mu_orchestra_alerts alert;
    struct mu_orchestra_share share;
    struct mu_err failed; /* inside a call that cannot return it */
};

static inline double mu_orchestra_now(const struct mu_orchestration *x)
{
    return (double)(mu_now_ns(x->o->clock) - x->start_ns) * 1e-9;
}

static inline const struct mu_campaign_task *mu_orchestra_task(const struct mu_orchestration *x, int task)
{
    return &x->o->campaign->task[task];
}

/* Of its predicted length. */
static inline double mu_orchestra_left_s(const struct mu_work *w)
{
    return w->total > w->done ? w->need.run_s * (1 - w->done / w->total) : w->need.run_s;
}

/* What happened last has a place in the log: the attempt that runs, or ran last. */
static inline int32_t mu_orchestra_attempt(const struct mu_orchestration *x, int task)
{
    return x->log.state.tasks[x->work[task].number].attempts;
}

void mu_orchestra_tell(struct mu_orchestration *x, int kind, int task, const char *why, double seconds, double retry_s);
void mu_orchestra_tell_of(struct mu_orchestration *x, int kind, const char *about, const char *why);

/* orchestrate_open.c: the log, its campaign and who is left over from before; the queue and the fleet. */
int mu_orchestra_open(struct mu_orchestration *x, struct mu_err *e);
void mu_orchestra_close(struct mu_orchestration *x);
void mu_orchestra_need(struct mu_orchestration *x, int task); /* anew, after it became smaller */

/* orchestrate_length.c: how long tasks take. */
int mu_orchestra_open_lengths(struct mu_orchestration *x,
                              struct mu_err *e); /* the log is open, and tasks are numbered */
void mu_orchestra_learn(struct mu_orchestration *x, int task, double seconds, double load_s);
bool mu_orchestra_knows_length(const struct mu_orchestration *x, int task);
double mu_orchestra_length(const struct mu_orchestration *x, int task, double unknown); /* seconds */
double mu_orchestra_load_s(const struct mu_orchestration *x, int task); /* as measured, else predicted */

/* orchestrate_scale.c: replicas of models. */
int mu_orchestra_open_scales(struct mu_orchestration *x, struct mu_err *e); /* the log and the fleet are open */
/* Lines of the queue: one, or one of each model; and which of them tasks may be taken from now. */
int mu_orchestra_lines(const struct mu_orchestration *x);
int mu_orchestra_line(const struct mu_orchestration *x, int task);
void mu_orchestra_open_lines(struct mu_orchestration *x);
/* What a task's worker does, before the task's own numbers are renewed; and how it ended. */
void mu_orchestra_count_progress(struct mu_orchestration *x, int task, double done, double total);
void mu_orchestra_count_end(struct mu_orchestration *x, int task, bool is_good, double load_s);
/* Once a round: changes what is due, and ends idle workers that are too many. */
int mu_orchestra_scale(struct mu_orchestration *x, struct mu_err *e);

/* orchestrate_node.c: nodes in the log; those that are gone, and that are back. */
int mu_orchestra_meet_nodes(struct mu_orchestration *x, struct mu_err *e);
int mu_orchestra_node_down(struct mu_orchestration *x, int node, const char *why, struct mu_err *e);
/* Whether what is out now may come back by itself. */
bool mu_orchestra_may_come_back(const struct mu_orchestration *x);
int mu_orchestra_look_at_nodes(struct mu_orchestration *x, struct mu_err *e);
/* Workers on these devices end at once, and their tasks go elsewhere: it is not counted against them. */
void mu_orchestra_stop_on(struct mu_orchestration *x, int first, int n);
/* A device that failed: nothing is put there again. */
int mu_orchestra_device_down(struct mu_orchestration *x, int device, const char *why, struct mu_err *e);
int32_t mu_orchestra_device_number(const struct mu_orchestration *x, int device); /* in the log */

/* orchestrate_options.c: writes what the task is to be run with, OUTPUT/<task>/task.json; *path (replaced) says where.
 */
int mu_orchestra_write_options(struct mu_orchestration *x, int task, struct mu_buf *path, struct mu_err *e);

/* orchestrate_worker.c: workers. */

/* One that is idle and has the model on exactly these devices; -1: none. */
int mu_orchestra_idle_hand(const struct mu_orchestration *x, int model, const struct mu_seats *seats);

/* Those whose place the fleet has given away end before another begins. */
void mu_orchestra_make_room(struct mu_orchestration *x);

/* A place for one more; -1: none is free. */
int mu_orchestra_free_hand(const struct mu_orchestration *x);

/* Starts a worker in that place, which has devices and group; what it prints goes to OUTPUT/workers/<group>.log. */
int mu_orchestra_start_hand(struct mu_orchestration *x, int hand, struct mu_err *e);

/* Asks it to end, after its step; or ends it. */
void mu_orchestra_stop_hand(struct mu_orchestration *x, int hand, bool at_once);

/* Waits so long for what workers say and for their ends, and acts on it. */
int mu_orchestra_hear(struct mu_orchestration *x, int64_t ns, struct mu_err *e);

/* Who said nothing for too long, or was asked to end and has not, is ended. */
void mu_orchestra_end_silent(struct mu_orchestration *x);

/* Time in which nobody could be heard, since all were stopped: nobody is blamed for it. */
void mu_orchestra_forgive(struct mu_orchestration *x, int64_t ns);

/* For how long this one may say nothing. */
int64_t mu_orchestra_silence_ns(const struct mu_hand *h);

/* No work for it is left: idle ones end. */
int mu_orchestra_dismiss(struct mu_orchestration *x, struct mu_err *e);

/* orchestrate_task.c: starts a task on its seats, in a worker that has its model or a new one; stands in the log first.
 */
int mu_orchestra_start(struct mu_orchestration *x, int task, int run, const struct mu_seats *seats, struct mu_err *e);

/* What a program printed may be anything; events hold UTF-8: other bytes become '?'. */
void mu_orchestra_make_valid(char *text);

/* Asks a running task to end. */
void mu_orchestra_ask(struct mu_orchestration *x, int task, enum mu_asked why);

/* How a task has ended. group_is_over: its worker has ended with it. */
struct mu_task_end {
    int exit_status, signal;
    double load_s;    /* of its time, that opening the model took */
    const char *line; /* the last it said */
    bool group_is_over, is_node_down, is_refused;
};
int mu_orchestra_ended(struct mu_orchestration *x, int task, const struct mu_task_end *end, struct mu_err *e);

/* The task's end, in the queue and, as own[0..n_own), in the log, with the ends of those that waited for it. */
int mu_orchestra_end_task(struct mu_orchestration *x, int task, bool is_good, const struct mu_event *own, int n_own,
                          struct mu_err *e);

/* The ends own[0..n_own), which the queue knows, in the log with those of the tasks that waited for them: one append.
 */
int mu_orchestra_append_ends(struct mu_orchestration *x, const struct mu_event *own, int n_own, struct mu_err *e);

/* orchestrate_control.c: requests from outside, once a round; never waits. */
void mu_orchestra_listen(struct mu_orchestration *x);
int mu_orchestra_serve(struct mu_orchestration *x, struct mu_err *e);
/* Of every task: its priority in the file, or as it was changed since, or that of the most urgent that waits for it. */
int mu_orchestra_settle_urgency(struct mu_orchestration *x, struct mu_err *e);

/* orchestrate_fail.c: what follows a failed attempt. */
int mu_orchestra_fail_attempt(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, double seconds,
                              struct mu_err *e);

/* orchestrate_poison.c: documents that kill. */

/* What its worker said, and how its worker ended. */
void mu_orchestra_begun(struct mu_orchestration *x, int task, const struct mu_worker_line *l);
void mu_orchestra_note_death(struct mu_orchestration *x, int task, const struct mu_task_end *end, enum mu_failure f);

/* Whether its failed try, which a says what to do about, is to begin a search; goes_on: it would be tried again. */
bool mu_orchestra_is_suspect(const struct mu_orchestration *x, int task, const struct mu_action *a, bool goes_on);
int mu_orchestra_begin_search(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, double seconds,
                              struct mu_err *e);

/* Its tries are of parts of it; one of them has ended. */
bool mu_orchestra_is_probe(const struct mu_orchestration *x, int task);
int mu_orchestra_probe_lived(struct mu_orchestration *x, int task, double seconds, struct mu_err *e);
int mu_orchestra_probe_died(struct mu_orchestration *x, int task, const char *why, double seconds, struct mu_err *e);

/* What it leaves out, and the part of it that is run now. */
int mu_orchestra_set_part(const struct mu_orchestration *x, int task, json_t *options, struct mu_err *e);

/* It can never run here, or has nothing to run with: ends as failed. */
int mu_orchestra_fail(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, struct mu_err *e);

/* orchestrate_now.c: OUTPUT/now.json, once a second: what runs where, for those who look. */
void mu_orchestra_show(struct mu_orchestration *x);
void mu_orchestra_hide(struct mu_orchestration *x); /* nothing runs any more */

#endif
