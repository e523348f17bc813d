/* collective_reduce_scatter.c - each rank gets its run of the reduced values
 *
 * Every rank sends each other one that one's run, in pieces that fit the scratch side by side, and adds up its own. */
#include <string.h>

#include "base/check.h"
#include "comm/comm_int.h"

struct job {
    struct mu_comm *c;
    unsigned char *out;
    const unsigned char *in;
    const int64_t *n;
    enum mu_reduce op;
    size_t width; /* bytes of an element */
};

static int64_t offset(const int64_t *n, int rank)
{
    int64_t at = 0;
    for (int r = 0; r < rank; r++)
        at += n[r];
    return at;
}

/* Elements [at, at + step) of a run, as far as it goes. */
static int64_t length(const struct job *j, int rank, int64_t at, int64_t step)
{
    return MU_MAX((int64_t)0, MU_MIN(step, j->n[rank] - at));
}

static const unsigned char *place(const struct job *j, int rank, int64_t at)
{
    return j->in + (size_t)(offset(j->n, rank) + at) * j->width;
}

static int exchange(const struct job *j, int64_t at, int64_t step, struct mu_err *e)
{
    struct mu_comm *c = j->c;
    struct mu_comm_team team = mu_comm_team_all(c);
    struct mu_comm_batch b = {.c = c, .team = &team};
    size_t bytes = (size_t)length(j, c->rank, at, step) * j->width;
    unsigned char *items = c->world->work;
    int rc = MU_OK;
    for (int i = 1; i < c->size && rc == MU_OK; i++) {
        int to = (c->rank + i) % c->size, from = (c->rank - i + c->size) % c->size;
        size_t bytes_to = (size_t)length(j, to, at, step) * j->width;
        rc = mu_comm_batch_recv(&b, from, items + (size_t)from * bytes, bytes, e);
        if (rc == MU_OK && bytes_to > 0)
            rc = mu_comm_batch_send(&b, to, place(j, to, at), bytes_to, e);
    }
    if (bytes > 0)
        memcpy(items + (size_t)c->rank * bytes, place(j, c->rank, at), bytes);
    return mu_comm_batch_end(&b, rc, e);
}

static int in_pieces(const struct job *j, struct mu_err *e)
{
    struct mu_comm *c = j->c;
    int64_t longest = 0, step = (int64_t)(c->world->work_bytes / ((size_t)c->size * j->width));
    for (int r = 0; r < c->size; r++)
        longest = MU_MAX(longest, j->n[r]);
    for (int64_t at = 0; at < longest; at += step) {
        int64_t n = length(j, c->rank, at, step);
        struct mu_fold f = {
            .op = j->op, .root = c->by_rank.root, .items = c->world->work, .stride = (size_t)n * j->width};
        MU_TRY_RETURN(exchange(j, at, step, e));
        mu_fold(&f, 0, 0, c->size, j->out + (size_t)at * j->width, n);
    }
    return MU_OK;
}

static int reduce_scatter(const struct job *j, struct mu_err *e)
{
    if (j->c->size > 1)
        return in_pieces(j, e);
    if (j->n[0] > 0)
        memcpy(j->out, j->in, (size_t)j->n[0] * j->width);
    return MU_OK;
}

int mu_comm_reduce_scatter(struct mu_comm *c, void *out, const void *in, const int64_t *n, enum mu_reduce op,
                           struct mu_err *e)
{
    struct job j = {c, out, in, n, op, mu_reduce_bytes(op)};
    MU_TRY_RETURN(mu_comm_begin(c, "reduce_scatter", e));
    return mu_comm_end(c, reduce_scatter(&j, e));
}
