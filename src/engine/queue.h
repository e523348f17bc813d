/* queue.h - requests in flight: their line, their number, the room they may take
 *
 * A request is in flight from mu_job_queue_add() to mu_job_queue_forget(). The owner guards the queue with its lock and
 * moves jobs out of `pending` as it starts them. */
#ifndef MU_ENGINE_QUEUE_H
#define MU_ENGINE_QUEUE_H

#include "engine/job.h"

struct mu_job_list {
    struct mu_job *head, *tail;
    int n;
};

void mu_job_list_append(struct mu_job_list *l, struct mu_job *j);
void mu_job_list_insert(struct mu_job_list *l, struct mu_job *before, struct mu_job *j); /* NULL: at the end */
void mu_job_list_remove(struct mu_job_list *l, struct mu_job *j);
void mu_job_list_free(struct mu_job_list *l); /* the jobs in it */

struct mu_job_queue {
    enum mu_order order;
    int max;
    size_t bytes_max;

    struct mu_job_list pending;
    struct mu_job *all; /* in flight, the newest first */
    int n;              /* in flight */
    int n_cancels;      /* asked for, not yet seen to */
    size_t bytes;
    uint64_t last_id;
};

void mu_job_queue_init(struct mu_job_queue *q, const struct mu_engine_opts *o);
size_t mu_queue_bytes_max(const struct mu_engine_opts *o); /* for the bill */

/* Number the job (id 0: the next number) and put it in line. MU_ENOMEM: no room, poll first. */
int mu_job_queue_add(struct mu_job_queue *q, struct mu_job *j, uint64_t id, struct mu_err *e);
void mu_job_queue_forget(struct mu_job_queue *q, struct mu_job *j);

/* One job stands for another from here on: both are of one request. */
void mu_job_queue_swap(struct mu_job_queue *q, struct mu_job *old, struct mu_job *j);

/* Mark it; MU_ENOENT when it is not in flight. */
int mu_job_queue_cancel(struct mu_job_queue *q, uint64_t id, struct mu_err *e);

#endif
