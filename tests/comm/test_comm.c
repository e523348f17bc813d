/* test_comm.c - every collective against what it means, computed plainly by every rank for itself
 *
 * The bytes a rank brings are a function of (call, rank, place), so each rank can work out what any other brought. */
#include "comm/comm.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "comm_checks.h"

XT_TEST(random_calls_of_every_size_of_world)
{
    for (int n = 1; n <= RANKS_MAX; n++) {
        struct setting s = {.seed = (uint64_t)n * 101, .n_calls = 120 / XT_STRIDE};
        run_ranks(n, NULL, play_world, &s);
    }
}

XT_TEST(large_messages_go_in_pieces)
{
    for (int n = 2; n <= RANKS_MAX; n += 1 + XT_TSAN) {
        struct setting s = {.seed = (uint64_t)n * 7, .n_calls = 16 / (1 + XT_TSAN), .is_large = true};
        run_ranks(n, &(struct mu_fake_opts_comm){.comm.work_bytes = 1}, play_world, &s);
        run_ranks(n, &(struct mu_fake_opts_comm){.comm.work_bytes = 100000}, play_world, &s);
    }
}

XT_TEST(groups_over_several_nodes)
{
    for (int n = 2; n <= RANKS_MAX; n++)
        for (int per_node = 1; per_node <= 4; per_node++) {
            struct setting s = {.seed = (uint64_t)(n * 10 + per_node), .n_calls = 60 / XT_STRIDE};
            struct mu_fake_opts_comm o = {.ranks_per_node = per_node};
            run_ranks(n, &o, play_world, &s);
            s.is_large = true;
            s.n_calls = 6;
            o.comm.work_bytes = per_node % 2 ? 0 : 20000;
            run_ranks(n, &o, play_world, &s);
        }
}

XT_TEST(groups_of_groups)
{
    for (int n = 1; n <= RANKS_MAX; n += 1 + XT_TSAN)
        for (int per_node = 0; per_node <= 3; per_node += 3) {
            struct setting s = {.seed = 31, .n_calls = 20 / XT_STRIDE};
            run_ranks(n, &(struct mu_fake_opts_comm){.ranks_per_node = per_node}, play_groups, &s);
        }
}

/* One rank has no memory for a group or a shared block: nobody gets it, and the world lives on. */
static int without_memory_on_one(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *c = NULL;
    struct mu_comm_shared *s = NULL;
    void *p = NULL;
    int64_t failed = 0;
    (void)arg;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        if (mu_comm_rank(world) == 1)
            mu_mem_fail_at(nth);
        int rc = mu_comm_split(&c, world, 0, 0, "tp", e);
        int rc_shared = rc ? MU_OK : mu_comm_shared_open(&s, c, 100, &p, e);
        mu_mem_fail_at(0);
        TRUE_OR_FAIL((rc == MU_OK || rc == MU_ENOMEM) && (rc_shared == MU_OK || rc_shared == MU_ENOMEM));
        mu_comm_shared_close(s);
        mu_comm_close(c);
        int64_t all[2] = {rc + rc_shared, -(rc + rc_shared)};
        MU_TRY_RETURN(mu_comm_all_reduce(world, all, 2, MU_REDUCE_MAX_I64, e));
        SAME(all[0], -all[1]); /* the same everywhere */
        failed += all[0] != MU_OK;
    }
    TRUE_OR_FAIL(failed >= 4);
    return MU_OK;
}

XT_TEST(a_group_is_opened_by_all_or_none)
{
    run_ranks(3, NULL, without_memory_on_one, NULL);
}

XT_TEST(groups_have_a_limit_and_are_used_again)
{
    run_ranks(1, NULL, many_groups, NULL);
    run_ranks(3, NULL, many_groups, NULL);
}

static int open_and_split(void *arg, struct mu_err *e)
{
    struct mu_comm *c = NULL, *group = NULL;
    struct mu_comm_shared *s = NULL;
    void *p = NULL;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(mu_comm_open_self(&c, e));
    MU_TRY(mu_comm_split(&group, c, 0, 0, "tp", e));
    MU_TRY(mu_comm_shared_open(&s, group, 1000, &p, e));
out:
    mu_comm_shared_close(s);
    mu_comm_close(group);
    mu_comm_close(c);
    return rc;
}

XT_TEST(one_rank_alone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_comm *c = NULL;
    struct mu_comm_counts counts;
    struct setting s = {.seed = 5, .n_calls = 50};
    int got = 0, sender = -1, value = 7;
    size_t bytes = 0;
    struct mu_comm_op *op = NULL;
    XT_OK(mu_comm_open_self(&c, &err));
    XT_STREQ(mu_comm_backend(c), "self");
    XT_STREQ(mu_comm_name(c), "world");
    XT_EQ(mu_comm_size(c), 1);
    XT_OK(play(&s, c, s.seed, &err));
    mu_comm_counts(c, &counts);
    XT_CHECK(counts.calls > 50);
    XT_OK(mu_comm_start_send(&op, c, 0, 3, &value, sizeof value, &err));
    XT_OK(mu_comm_probe(c, -1, 3, 0, &sender, &bytes, &err));
    XT_EQ(sender, 0);
    XT_EQ(bytes, sizeof value);
    XT_FAILS(mu_comm_probe(c, -1, 4, 2000000, &sender, &bytes, &err), MU_ETIMEDOUT, "tag 4");
    XT_OK(mu_comm_recv(c, 0, 3, &got, sizeof got, &err));
    XT_OK(mu_comm_wait(op, &err));
    XT_EQ(got, 7);
    struct mu_comm_op *two[2];
    int sent[2] = {8, 9};
    for (int i = 0; i < 2; i++)
        XT_OK(mu_comm_start_send(&two[i], c, 0, i, &sent[i], sizeof sent[i], &err));
    for (int i = 1; i >= 0; i--) { /* found by tag, not by order */
        XT_OK(mu_comm_recv(c, 0, i, &got, sizeof got, &err));
        XT_EQ(got, sent[i]);
        XT_OK(mu_comm_wait(two[i], &err));
    }
    XT_FAILS(mu_comm_recv(c, 1, 3, &got, sizeof got, &err), MU_EINVAL, "ranks 0 to 0");
    XT_FAILS(mu_comm_send(c, 0, 4096, &got, sizeof got, &err), MU_EINVAL, "0 to 4095");
    XT_FAILS(mu_comm_recv(c, 0, 3, &got, sizeof got, &err), MU_EINTERNAL, "waits for itself");
    XT_FAILS(mu_comm_barrier(c, &err), MU_EINTERNAL, "waits for itself"); /* dead, same sentence */
    mu_comm_close(c);
    xt_each_alloc_fails(open_and_split, NULL);
}

static int open_fake(void *arg, struct mu_err *e)
{
    struct mu_fake_world *w = NULL;
    (void)arg;
    MU_TRY_RETURN(mu_fake_world_open(&w, 3, NULL, e));
    mu_fake_world_close(w);
    return MU_OK;
}

XT_TEST(a_fake_world_without_memory)
{
    xt_each_alloc_fails(open_fake, NULL);
}

/* ---- messages that wait ---- */

/* Rank 0 takes from everybody what comes first, not knowing how much it is. */
static int take_from_anybody(void *arg, struct mu_comm *world, struct mu_err *e)
{
    int me = mu_comm_rank(world), size = mu_comm_size(world), sender = -1;
    unsigned char p[RANKS_MAX * 3000];
    size_t bytes = 0;
    (void)arg;
    fill(p, sizeof p, 1, me, 0);
    if (me > 0)
        return mu_comm_send(world, 0, 5, p, (size_t)me * 3000, e); /* some above a mailbox slot */
    for (int i = 1; i < size; i++) {
        MU_TRY_RETURN(mu_comm_probe(world, -1, 5, 1000000000, &sender, &bytes, e));
        SAME(bytes, sender * 3000);
        MU_TRY_RETURN(mu_comm_recv(world, sender, 5, p, bytes, e));
        TRUE_OR_FAIL(holds(p, bytes, 1, sender, 0));
    }
    SAME(mu_comm_probe(world, -1, 5, 0, &sender, &bytes, e), MU_ETIMEDOUT);
    return MU_OK;
}

XT_TEST(messages_from_anybody)
{
    for (int n = 1; n <= RANKS_MAX; n += 4)
        run_ranks(n, NULL, take_from_anybody, NULL);
}

/* ---- memory of a node ---- */

static int share_across(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    struct mu_comm *node = NULL;
    void *p = NULL;
    (void)arg;
    SAME(mu_comm_shared_open(&s, world, 8, &p, e), MU_EINVAL);
    TRUE_OR_FAIL(strstr(e->text, "2 nodes"));
    MU_TRY_RETURN(mu_comm_split(&node, world, mu_comm_node(world, mu_comm_rank(world)), 0, "node", e));
    int rc = share(NULL, node, e);
    mu_comm_close(node);
    return rc;
}

/* One rank would look past the end of another's. */
static int share_unequally(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    void *p = NULL;
    (void)arg;
    SAME(mu_comm_shared_open(&s, world, mu_comm_rank(world) == 1 ? 64 : 65, &p, e), MU_EINTERNAL);
    TRUE_OR_FAIL(!s && strstr(e->text, "ask for 64 and for 65 bytes"));
    return mu_comm_barrier(world, e); /* refused, not dead */
}

static int share_too_much(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm_shared *s = NULL;
    void *p = NULL;
    SAME(mu_comm_shared_open(&s, world, 65, &p, e), MU_ENOMEM);
    TRUE_OR_FAIL(!s && strstr(e->text, "a fake node has 64 for a block"));
    MU_TRY_RETURN(mu_comm_shared_open(&s, world, 64, &p, e));
    mu_comm_shared_seal(s);
    mu_comm_shared_seal(NULL);
    mu_comm_shared_close(s);
    return share(arg, world, e) == MU_ENOMEM ? mu_comm_barrier(world, e) : MU_EINTERNAL;
}

XT_TEST(memory_that_cannot_be_shared)
{
    run_ranks(3, NULL, share_unequally, NULL);
    run_ranks(2, &(struct mu_fake_opts_comm){.shared_bytes_max = 64}, share_too_much, NULL);
}

XT_TEST(memory_of_a_node)
{
    for (int n = 1; n <= 5; n++)
        run_ranks(n, NULL, share, NULL);
    run_ranks(4, &(struct mu_fake_opts_comm){.ranks_per_node = 2}, share_across, NULL);
}

/* ---- where bytes go ---- */

struct crossing {
    int n, per_node;
    size_t bytes;
    atomic_uint_fast64_t broadcast, all_gather, all_reduce;
};

static uint64_t off_node(struct mu_comm *c, uint64_t *before)
{
    struct mu_comm_counts now;
    mu_comm_counts(c, &now);
    uint64_t n = now.bytes_off_node - *before;
    *before = now.bytes_off_node;
    return n;
}

static int cross(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct crossing *x = arg;
    uint64_t before = 0;
    size_t pieces[RANKS_MAX];
    float *p = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&p, x->bytes / 4, "a message", e));
    for (int r = 0; r < x->n; r++)
        pieces[r] = x->bytes / (size_t)x->n;
    MU_TRY(mu_comm_broadcast(world, p, x->bytes, x->n - 1, e));
    atomic_fetch_add(&x->broadcast, off_node(world, &before));
    MU_TRY(mu_comm_all_gather(world, p, pieces, e));
    atomic_fetch_add(&x->all_gather, off_node(world, &before));
    MU_TRY(mu_comm_all_reduce(world, p, (int64_t)(x->bytes / 4), MU_REDUCE_SUM_F32, e));
    atomic_fetch_add(&x->all_reduce, off_node(world, &before));
out:
    mu_free(p);
    return rc;
}

/* Two nodes: a broadcast and an all-gather cross with what the other node lacks and no more; of an all-reduce each node
 * sends its sum once (in slices: half of it, and half of the result). */
XT_TEST(bytes_between_nodes_are_few)
{
    static const size_t sizes[] = {4800, 480000};
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        struct crossing x = {.n = 8, .per_node = 4, .bytes = sizes[i]};
        run_ranks(8, &(struct mu_fake_opts_comm){.ranks_per_node = 4}, cross, &x);
        XT_EQ(atomic_load(&x.broadcast), sizes[i]);
        XT_EQ(atomic_load(&x.all_gather), sizes[i]);
        XT_EQ(atomic_load(&x.all_reduce), 2 * sizes[i]);
    }
}

XT_MAIN()
