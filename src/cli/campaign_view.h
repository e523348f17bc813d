/* campaign_view.h - all there is to see of a campaign: the fold of its events, what was told last, and what runs now
 *
 * Opened on the output folder of a campaign; only ever looks. A refresh costs what has happened since the last one. The
 * log is open during a refresh only, for it cannot be set aside (`muster run --again`) while others have it open; one
 * that was begun anew is folded anew. now.json is a help: while
 * it is missing, old or damaged the view says so and goes on without it. */
#ifndef MU_CLI_CAMPAIGN_VIEW_H
#define MU_CLI_CAMPAIGN_VIEW_H

#include <sys/types.h>

#include "cli/campaign_now.h"
#include "sched/event_log.h"
#include "sched/state.h"

#define MU_VIEW_EVENTS     64 /* kept, the last ones */
#define MU_VIEW_TEXT_BYTES 512
#define MU_VIEW_LIST_BYTES 64 /* of a list of devices */

/* An event that people want to hear of. Many alike, such as all that waited for a task that failed, are one. */
struct mu_view_event {
    int64_t seq, wall_ns;
    int kind; /* enum mu_event_kind */
    int32_t task, group, node, device, job, value;
    int64_t amount;
    int32_t more;                  /* of the same kind and text that came right after */
    char text[MU_VIEW_TEXT_BYTES]; /* valid UTF-8, cut to fit */
};

struct mu_view_run {
    int32_t task; /* in the state */
    const char *name, *node;
    char devices[MU_VIEW_LIST_BYTES];
    double seconds;
    double done, total, per_s; /* total 0: not known */
    double left_s;             /* -1: not known */
    double silent_s;           /* since its last sign of life; -1: not known */
};

/* ALIVE: its process is, or its renewals go on. SILENT: they have stood still as long as another would wait to take
 * over. UNSURE: on another machine, and not watched for so long yet. */
enum mu_view_life { MU_LIFE_NOBODY, MU_LIFE_ALIVE, MU_LIFE_GONE, MU_LIFE_SILENT, MU_LIFE_UNSURE };

struct mu_view {
    struct mu_buf log_path, now_path;
    struct mu_state state;
    dev_t device; /* of the log's file */
    ino_t inode;
    struct mu_owner owner;
    enum mu_view_life life;
    int64_t heard_ns; /* when the owner's renewals were seen to change, or first seen; monotonic */
    bool was_heard;   /* they were seen to change */

    struct mu_now now;
    struct mu_err now_failed; /* code MU_OK: read; MU_ENOENT: there is none */
    double now_age_s;
    double now_last_at; /* of the one before */
    int64_t now_new_ns; /* when it was seen to change, monotonic; 0: never */

    int64_t wall_ns; /* of the last refresh */
    struct mu_counts counts;
    double left_s; /* of the whole; -1: not known */
    double share;  /* that is done, running ones by their parts */

    struct mu_view_event *events; /* a ring: number i is at i % MU_VIEW_EVENTS */
    int64_t n_events;
    struct mu_view_run *runs; /* running tasks, in the order of the campaign; none where nobody runs it */
    int n_runs, cap_runs;
};

/* Folds all there is so far. MU_ENOENT: no campaign was ever run there. After a failure there is nothing to close.
 * Times: since 1970, and monotonic (mu_clock_real()). */
int mu_view_open(struct mu_view *v, const char *folder, int64_t wall_ns, int64_t mono_ns, struct mu_err *e);
void mu_view_close(struct mu_view *v);

/* What has happened since. After a failure the view shows what could be read, and the next refresh may well succeed. */
int mu_view_refresh(struct mu_view *v, int64_t wall_ns, int64_t mono_ns, struct mu_err *e);

int64_t mu_wall_ns(void); /* now, since 1970 */

/* The order of runs, until the next refresh: the least time left first (those not known last), the longest at work
 * first, or names. Equal ones stay in the order of the campaign. */
enum mu_view_order { MU_ORDER_LEFT, MU_ORDER_TIME, MU_ORDER_NAME, MU_ORDERS };
void mu_view_sort(struct mu_view *v, enum mu_view_order order);

/* Whether nothing is left to run. */
bool mu_view_is_over(const struct mu_view *v);
/* Whether now.json tells of now. */
bool mu_view_has_now(const struct mu_view *v);

/* How long a task's last try took, or has taken so far; 0: it had none. */
double mu_view_last_s(const struct mu_view *v, const struct mu_state_task *t);

/* "a/mmlu", "node n1", "device 3 of n1": what an event is about; "" for the campaign itself. */
void mu_view_subject(const struct mu_view *v, const struct mu_view_event *ev, char *out, size_t bytes);
/* Who runs the campaign, and what is wrong with now.json ("" for nothing), as sentences. */
void mu_view_owner_text(const struct mu_view *v, char *out, size_t bytes);
void mu_view_now_text(const struct mu_view *v, char *out, size_t bytes);
const char *mu_view_life_name(int life); /* "alive" */

#endif
