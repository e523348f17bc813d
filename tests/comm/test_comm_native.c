/* test_comm_native.c - a transport with collectives and groups of its own: used, declined, failing
 *
 * The fake one, with what it lacks put in front. A collective here moves its bytes when it is started, and is done only
 * in a later progress(). */
#include <stdatomic.h>

#include "comm/comm_int.h"
#include "comm_checks.h"

static const struct mu_comm_transport *fake; /* the transport underneath */
static struct mu_comm_transport ours;
static atomic_int n_used, n_declined, n_groups;
static _Thread_local struct mu_comm_op *pending;
static _Thread_local bool must_fail;

/* One message to each who wants one, one from each who gives one. */
static int move(struct mu_comm *c, const void *send, const size_t *send_bytes, void *recv, const size_t *recv_bytes,
                struct mu_err *e)
{
    const unsigned char *s = send;
    unsigned char *r = recv;
    for (int i = 0; i < c->size; s += send_bytes[i], r += recv_bytes[i], i++) {
        struct mu_comm_op *ops[2];
        if (i == c->rank)
            memmove(r, s, send_bytes[i]);
        if (i == c->rank)
            continue;
        MU_TRY_RETURN(mu_comm_post_send(&ops[0], c, i, MU_COMM_TAG_GROUP, s, send_bytes[i], e));
        MU_TRY_RETURN(mu_comm_post_recv(&ops[1], c, i, MU_COMM_TAG_GROUP, r, recv_bytes[i], e));
        MU_TRY_RETURN(mu_comm_await(c, ops, 2, e));
    }
    return MU_OK;
}

static int begin(struct mu_comm_op *op, struct mu_err *e)
{
    if (must_fail)
        return mu_fail(e, MU_EIO, "the wire is torn");
    pending = op;
    atomic_fetch_add(&n_used, 1);
    return MU_OK;
}

static int own_all_to_all(struct mu_comm *c, struct mu_comm_op *op, const void *send, const size_t *send_bytes,
                          void *recv, const size_t *recv_bytes, struct mu_err *e)
{
    MU_TRY_RETURN(begin(op, e));
    return move(c, send, send_bytes, recv, recv_bytes, e);
}

static int own_barrier(struct mu_comm *c, struct mu_comm_op *op, struct mu_err *e)
{
    size_t nothing[RANKS_MAX] = {0};
    char dummy = 0;
    MU_TRY_RETURN(begin(op, e));
    return move(c, &dummy, nothing, &dummy, nothing, e);
}

/* Odd sizes are declined: every rank sees the same size. */
static int own_broadcast(struct mu_comm *c, struct mu_comm_op *op, void *p, size_t bytes, int root, struct mu_err *e)
{
    struct mu_comm_op *one = NULL;
    if (bytes % 2) {
        atomic_fetch_add(&n_declined, 1);
        return MU_EUNSUPPORTED;
    }
    MU_TRY_RETURN(begin(op, e));
    for (int i = 0; i < c->size; i++) {
        if (i == root || (c->rank != root && c->rank != i))
            continue;
        if (c->rank == root)
            MU_TRY_RETURN(mu_comm_post_send(&one, c, i, MU_COMM_TAG_GROUP, p, bytes, e));
        else
            MU_TRY_RETURN(mu_comm_post_recv(&one, c, root, MU_COMM_TAG_GROUP, p, bytes, e));
        MU_TRY_RETURN(mu_comm_await(c, &one, 1, e));
    }
    return MU_OK;
}

static int own_gather(struct mu_comm *c, struct mu_comm_op *op, void *all, const void *own, const size_t *bytes,
                      int root, struct mu_err *e)
{
    unsigned char *at = all;
    struct mu_comm_op *one = NULL;
    MU_TRY_RETURN(begin(op, e));
    if (c->rank != root) {
        MU_TRY_RETURN(mu_comm_post_send(&one, c, root, MU_COMM_TAG_GROUP, own, bytes[c->rank], e));
        return mu_comm_await(c, &one, 1, e);
    }
    for (int i = 0; i < c->size; at += bytes[i++]) {
        if (i == root)
            memmove(at, own, bytes[i]);
        if (i == root)
            continue;
        MU_TRY_RETURN(mu_comm_post_recv(&one, c, i, MU_COMM_TAG_GROUP, at, bytes[i], e));
        MU_TRY_RETURN(mu_comm_await(c, &one, 1, e));
    }
    return MU_OK;
}

static int own_all_gather(struct mu_comm *c, struct mu_comm_op *op, void *all, const size_t *bytes, struct mu_err *e)
{
    unsigned char *at = all;
    MU_TRY_RETURN(begin(op, e));
    for (int root = 0; root < c->size; at += bytes[root++]) {
        for (int i = 0; i < c->size; i++) {
            struct mu_comm_op *one = NULL;
            if (i == root || (c->rank != root && c->rank != i))
                continue;
            if (c->rank == root)
                MU_TRY_RETURN(mu_comm_post_send(&one, c, i, MU_COMM_TAG_GROUP, at, bytes[root], e));
            else
                MU_TRY_RETURN(mu_comm_post_recv(&one, c, root, MU_COMM_TAG_GROUP, at, bytes[root], e));
            MU_TRY_RETURN(mu_comm_await(c, &one, 1, e));
        }
    }
    return MU_OK;
}

static int own_progress(struct mu_comm_world *w, int64_t wait_ns, struct mu_err *e)
{
    if (pending && w->pool[pending->index].group) {
        pending->is_done = true;
        pending = NULL;
    }
    return fake->progress(w, MU_MIN(wait_ns, (int64_t)1000000), e);
}

static void own_cancel(struct mu_comm_world *w, struct mu_comm_op *op)
{
    if (op->is_native)
        pending = NULL;
    else
        fake->cancel(w, op);
}

static int own_group_open(struct mu_comm *c, struct mu_err *e)
{
    if (must_fail)
        return mu_fail(e, MU_ENOMEM, "no communicator is left");
    c->own = &n_groups;
    atomic_fetch_add(&n_groups, 1);
    return MU_OK;
}

static void own_group_close(struct mu_comm *c)
{
    if (c->own == &n_groups) /* the world was opened by the fake */
        atomic_fetch_sub(&n_groups, 1);
}

/* Before the threads start: the worlds' tables are read by their ranks only. */
static void put_in_front(struct mu_fake_world *w, int n)
{
    fake = mu_fake_world_comm(w, 0)->world->ops;
    ours = *fake;
    ours.progress = own_progress;
    ours.cancel = own_cancel;
    ours.barrier = own_barrier;
    ours.broadcast = own_broadcast;
    ours.all_gather = own_all_gather;
    ours.gather = own_gather;
    ours.all_to_all = own_all_to_all;
    ours.group_open = own_group_open;
    ours.group_close = own_group_close;
    for (int r = 0; r < n; r++)
        mu_fake_world_comm(w, r)->world->ops = &ours;
}

static void run_natives(int n, mu_fake_fn fn, void *arg, int *rc, struct mu_err *errs)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fake_world *w = NULL;
    XT_OK(mu_fake_world_open(&w, n, NULL, &err));
    put_in_front(w, n);
    mu_fake_world_run(w, fn, arg, rc, errs);
    mu_fake_world_close(w);
}

XT_TEST(collectives_of_the_transport_are_used)
{
    struct mu_err errs[4];
    int rc[4];
    for (int n = 2; n <= 4; n++) {
        struct setting s = {.seed = (uint64_t)n, .n_calls = 60};
        atomic_store(&n_used, 0);
        run_natives(n, play_world, &s, rc, errs);
        for (int r = 0; r < n; r++)
            XT_CHECKF(rc[r] == MU_OK, "%d ranks, rank %d: %s", n, r, errs[r].text);
        XT_CHECK(atomic_load(&n_used) > 20 * n);
    }
    XT_CHECK(atomic_load(&n_declined) > 0);
}

XT_TEST(groups_of_the_transport_come_and_go)
{
    struct setting s = {.seed = 3, .n_calls = 10};
    struct mu_err errs[4];
    int rc[4];
    run_natives(4, play_groups, &s, rc, errs);
    for (int r = 0; r < 4; r++)
        XT_CHECKF(rc[r] == MU_OK, "rank %d: %s", r, errs[r].text);
    XT_EQ(atomic_load(&n_groups), 0);
}

static int fail_on_one(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *c = NULL;
    (void)arg;
    must_fail = mu_comm_rank(world) == 1;
    pending = NULL;
    int rc = mu_comm_split(&c, world, 0, 0, "tp", e);
    TRUE_OR_FAIL(c == NULL);
    return rc;
}

/* A collective that fails on one rank ends the world for all. */
XT_TEST(a_failing_collective_ends_the_world)
{
    struct mu_err errs[3];
    int rc[3];
    run_natives(3, fail_on_one, NULL, rc, errs);
    XT_EQ(rc[1], MU_EIO);
    XT_CHECKF(strstr(errs[1].text, "the wire is torn"), "%s", errs[1].text);
    for (int r = 0; r < 3; r += 2) {
        XT_EQ(rc[r], MU_EPEER);
        XT_CHECKF(strstr(errs[r].text, "rank 1 on node0") && strstr(errs[r].text, "the wire is torn"), "%s",
                  errs[r].text);
    }
    XT_EQ(atomic_load(&n_groups), 0);
}

/* The group's own part fails on one rank: nobody gets the group, the world lives on. */
static int no_group_on_one(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm_transport *few = arg;
    struct mu_comm *c = NULL;
    world->world->ops = few;
    must_fail = mu_comm_rank(world) == 1;
    SAME(mu_comm_split(&c, world, 0, 0, "tp", e), MU_ENOMEM);
    TRUE_OR_FAIL(c == NULL && strstr(e->text, must_fail ? "no communicator" : "rank 1 on node0 could not"));
    must_fail = false;
    return mu_comm_barrier(world, e);
}

XT_TEST(a_group_that_fails_on_one_is_nobodys)
{
    static struct mu_comm_transport few;
    struct mu_err err = MU_ERR_INIT, errs[3];
    struct mu_fake_world *w = NULL;
    int rc[3];
    XT_OK(mu_fake_world_open(&w, 3, NULL, &err));
    few = *mu_fake_world_comm(w, 0)->world->ops;
    few.group_open = own_group_open;
    few.group_close = own_group_close;
    mu_fake_world_run(w, no_group_on_one, &few, rc, errs);
    mu_fake_world_close(w);
    for (int r = 0; r < 3; r++)
        XT_CHECKF(rc[r] == MU_OK, "rank %d: %s", r, errs[r].text);
    XT_EQ(atomic_load(&n_groups), 0);
}

XT_MAIN()
