/* scale.h - how many replicas: rules over queue, throughput and utilisation
 *
 * Pure: called with a sample and the time, answers a number of replicas. From samples come, smoothed,
 *   capacity  requests a second that one replica does when it is busy: throughput / (replicas x utilisation)
 *   demand    requests a second that come: throughput and what grows of those that wait or are under way
 *   load(n)   demand / (n x capacity)
 * More, when load(now) is above busy_high or the queue would take all replicas longer than drain_s: to the fewest with
 * load(n) at most busy_high that also work the queue off in drain_s. One fewer, when load(now - 1) is at most busy_low,
 * what was busy since the last look would be no more of one fewer, and the queue is short. Either only after `stable`
 * evaluations in a row that want it, and after the cooldown.
 *
 * Why it holds still on a steady load: after a step up load(n - 1) is above busy_high, or there was a queue; after a
 * step down load(n) is at most busy_low, below busy_high. So on one demand it goes up at most once, then down, then
 * rests. */
#ifndef MU_SCHED_SCALE_H
#define MU_SCHED_SCALE_H

#include <stdbool.h>

#include <muster/err.h>

#define MU_SCALE_REPLICAS_MAX 4096
#define MU_SCALE_GAP          0.1 /* least distance of busy_low below busy_high: noise of a tenth moves nothing */

struct mu_scale_rules {
    int least, most;            /* replicas */
    double interval_s;          /* between evaluations; samples that come sooner are not looked at */
    double up_cooldown_s;       /* from any change to the next step up */
    double down_cooldown_s;     /* and to the next step down */
    int stable;                 /* evaluations in a row that want the same */
    double busy_high, busy_low; /* of load, 0 to 1 */
    double drain_s;             /* a queue is short when all replicas work it off in that time */
    int step_most;              /* replicas added at a time */
    double smooth;              /* weight of the newest sample, above 0 to 1 */
    double capacity;            /* requests a second of a replica, predicted: until it has been measured */
    double start_s;             /* replicas that are not there by then are no longer waited for */
};

#define MU_SCALE_DEFAULT                                                                                               \
    {                                                                                                                  \
        .least = 1, .most = 64, .interval_s = 10, .up_cooldown_s = 30, .down_cooldown_s = 300, .stable = 3,            \
        .busy_high = 0.85, .busy_low = 0.65, .drain_s = 60, .step_most = 16, .smooth = 0.3, .capacity = 1,             \
        .start_s = 600                                                                                                 \
    }

struct mu_scale_sample {
    double now_s;
    int replicas;       /* that take requests now */
    double queued;      /* requests that wait */
    double throughput;  /* requests done a second since the last sample */
    double utilisation; /* share of that time replicas were busy, 0 to 1 */
    int useful;         /* replicas that there is work and room for: more are not asked for; 0: not known */
    double in_work;     /* requests that a replica has taken and not done, where it takes many at once */
};

/* The numbers stand in event logs. */
enum mu_scale_why {
    MU_SCALE_HOLD,     /* the load is between the bounds */
    MU_SCALE_EARLY,    /* the interval is not over; nothing was looked at */
    MU_SCALE_STARTING, /* replicas asked for are not there yet */
    MU_SCALE_UNSTABLE, /* it would, but not often enough in a row */
    MU_SCALE_COOLDOWN, /* it would, but too soon after a change */
    MU_SCALE_LIMIT,    /* it would, but the least or the most is reached */
    MU_SCALE_BUSY,     /* up, for load */
    MU_SCALE_QUEUE,    /* up, for the queue */
    MU_SCALE_IDLE,     /* down */
    MU_SCALE_REFUSED,  /* the callback failed */
    MU_SCALE_USELESS,  /* it would, but there is no work or no room for more */
    MU_SCALE_LOST,     /* replicas that were asked for are not there */
    MU_SCALE_WHYS
};

struct mu_scale_decision {
    enum mu_scale_why why;
    int from, to; /* equal: no change */
    double demand, capacity, load;
    double queued;
};

/* Called with each change before it counts; anything but MU_OK and it does not. May be NULL. */
typedef int (*mu_scale_call)(void *arg, const struct mu_scale_decision *d, struct mu_err *e);

struct mu_scale {
    struct mu_scale_rules rules;
    mu_scale_call call;
    void *arg;
    int target;               /* replicas asked for */
    double demand, capacity;  /* smoothed; demand below 0: no sample yet */
    double last_s, last_open; /* sample looked at: its time, requests that were waiting or under way */
    double changed_s;
    int wants, wants_n; /* direction, how often in a row */
    int changes;
};

int mu_scale_init(struct mu_scale *s, const struct mu_scale_rules *r, int replicas, mu_scale_call call, void *arg,
                  struct mu_err *e);

/* MU_EINVAL: a sample that cannot be; the callback's code where that failed. The decision is filled either way. */
int mu_scale_evaluate(struct mu_scale *s, const struct mu_scale_sample *x, struct mu_scale_decision *out,
                      struct mu_err *e);

const char *mu_scale_why_text(int why); /* "the load is too high"; "?" */

#define MU_SCALE_TEXT_MAX 256
const char *mu_scale_text(char text[MU_SCALE_TEXT_MAX], const struct mu_scale_decision *d);

#endif
