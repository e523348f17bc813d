/* queue.c - see queue.h */
#include "engine/queue.h"

#include <inttypes.h>

#include "base/check.h"

#define QUEUE_WANTED         4096
#define REQUEST_BYTES_WANTED ((size_t)64 << 20)

void mu_job_list_insert(struct mu_job_list *l, struct mu_job *before, struct mu_job *j)
{
    j->next = before;
    j->prev = before ? before->prev : l->tail;
    *(j->prev ? &j->prev->next : &l->head) = j;
    *(before ? &before->prev : &l->tail) = j;
    l->n++;
}

void mu_job_list_append(struct mu_job_list *l, struct mu_job *j)
{
    mu_job_list_insert(l, NULL, j);
}

void mu_job_list_remove(struct mu_job_list *l, struct mu_job *j)
{
    *(j->prev ? &j->prev->next : &l->head) = j->next;
    *(j->next ? &j->next->prev : &l->tail) = j->prev;
    j->prev = j->next = NULL;
    l->n--;
}

void mu_job_list_free(struct mu_job_list *l)
{
    for (struct mu_job *j; (j = l->head) != NULL;) {
        mu_job_list_remove(l, j);
        mu_job_free(j);
    }
}

size_t mu_queue_bytes_max(const struct mu_engine_opts *o)
{
    return o->request_bytes ? o->request_bytes : REQUEST_BYTES_WANTED;
}

void mu_job_queue_init(struct mu_job_queue *q, const struct mu_engine_opts *o)
{
    *q = (struct mu_job_queue){
        .order = o->order, .max = o->queue_max ? o->queue_max : QUEUE_WANTED, .bytes_max = mu_queue_bytes_max(o)};
}

/* Whether a goes before b, which came earlier. */
static bool goes_before(const struct mu_job_queue *q, const struct mu_job *a, const struct mu_job *b)
{
    if (q->order == MU_ORDER_SUBMITTED)
        return false;
    if (a->result.n_prompt != b->result.n_prompt)
        return a->result.n_prompt > b->result.n_prompt;
    return memcmp(a->ids, b->ids, (size_t)a->result.n_prompt * sizeof *a->ids) < 0;
}

static void link_job(struct mu_job_queue *q, struct mu_job *j)
{
    j->all_prev = NULL;
    j->all_next = q->all;
    if (q->all)
        q->all->all_prev = j;
    q->all = j;
}

static void unlink_job(struct mu_job_queue *q, struct mu_job *j)
{
    *(j->all_prev ? &j->all_prev->all_next : &q->all) = j->all_next;
    if (j->all_next)
        j->all_next->all_prev = j->all_prev;
}

int mu_job_queue_add(struct mu_job_queue *q, struct mu_job *j, uint64_t id, struct mu_err *e)
{
    if (q->n >= q->max)
        return mu_fail(e, MU_ENOMEM, "the queue is full with %d requests: poll for results first", q->n);
    if (q->bytes + j->bytes > q->bytes_max)
        return mu_fail(e, MU_ENOMEM,
                       "requests in flight would take %zu bytes, %zu are reserved: poll for results first, or reserve "
                       "more",
                       q->bytes + j->bytes, q->bytes_max);
    j->result.id = id ? id : q->last_id + 1;
    q->last_id = j->result.id;
    struct mu_job *before = NULL, *last = q->pending.tail;
    for (; last && goes_before(q, j, last); last = last->prev)
        before = last;
    mu_job_list_insert(&q->pending, before, j);
    link_job(q, j);
    q->n++;
    q->bytes += j->bytes;
    return MU_OK;
}

void mu_job_queue_forget(struct mu_job_queue *q, struct mu_job *j)
{
    unlink_job(q, j);
    q->n--;
    q->bytes -= j->bytes;
}

void mu_job_queue_swap(struct mu_job_queue *q, struct mu_job *old, struct mu_job *j)
{
    unlink_job(q, old);
    link_job(q, j);
    q->bytes += j->bytes - old->bytes;
}

int mu_job_queue_cancel(struct mu_job_queue *q, uint64_t id, struct mu_err *e)
{
    for (struct mu_job *j = q->all; j; j = j->all_next) {
        if (j->result.id != id)
            continue;
        if (!atomic_exchange(&j->is_cancelled, true))
            q->n_cancels++;
        return MU_OK;
    }
    return mu_fail(e, MU_ENOENT, "request %" PRIu64 " is not in flight", id);
}
