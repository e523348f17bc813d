/* test_transfer.c - the transfer queue: order, cap and deadlines by a clock moved by hand; messages between ranks */
#include "comm/transfer.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "ranks.h"

#define SECOND 1000000000ll

/* ---- copies, and a clock that moves when told ---- */

struct bench {
    struct mu_clock clock;
    struct mu_transfer_queue *q;
    char src[3][100], dst[3][100];
    uint64_t id[3];
};

/* Chunks of 10 bytes at 10 bytes a second: one a second. */
static void open_bench(struct bench *b, int capacity)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_transfer_opts o = {.capacity = capacity, .chunk_bytes = 10, .bytes_per_s = 10, .clock = &b->clock};
    memset(b, 0, sizeof *b);
    mu_clock_fake_init(&b->clock, 5 * SECOND);
    for (int i = 0; i < 3; i++)
        memset(b->src[i], 'a' + i, sizeof b->src[i]);
    XT_OK(mu_transfer_open(&b->q, NULL, &o, &err));
}

static void submit(struct bench *b, int i, size_t bytes, int priority, int64_t timeout_ns)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_transfer t = {MU_TRANSFER_COPY, b->dst[i], b->src[i], bytes, 0, 0, priority, timeout_ns};
    XT_OK(mu_transfer_submit(b->q, &t, &b->id[i], &err));
}

static int n_copied(const struct bench *b, int i)
{
    int n = 0;
    while (n < 100 && b->dst[i][n])
        n++;
    return n;
}

static void step(struct bench *b, int64_t ns)
{
    struct mu_err err = MU_ERR_INIT;
    mu_clock_fake_advance(&b->clock, ns);
    for (int i = 0; i < 3; i++) /* more often changes nothing */
        XT_OK(mu_transfer_progress(b->q, &err));
}

static void expect(const struct bench *b, int n0, int n1, int n2)
{
    XT_EQ(n_copied(b, 0), n0);
    XT_EQ(n_copied(b, 1), n1);
    XT_EQ(n_copied(b, 2), n2);
}

XT_TEST(urgent_goes_first_and_waits_for_a_chunk_only)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_transfer_stats stats;
    static struct bench b;
    open_bench(&b, 0);
    submit(&b, 0, 30, 1, 0);
    submit(&b, 1, 15, 1, 0);
    step(&b, 0);
    expect(&b, 10, 0, 0);
    submit(&b, 2, 20, 7, 0);
    step(&b, SECOND - 1);
    expect(&b, 10, 0, 0); /* the cap */
    step(&b, 1);
    expect(&b, 10, 0, 10);
    step(&b, SECOND);
    expect(&b, 10, 0, 20);
    XT_CHECK(mu_transfer_is_done(b.q, b.id[2]) && !mu_transfer_is_done(b.q, b.id[0]));
    step(&b, SECOND);
    expect(&b, 20, 0, 20);
    step(&b, SECOND);
    expect(&b, 30, 0, 20);
    step(&b, SECOND);
    expect(&b, 30, 10, 20);
    step(&b, SECOND);
    expect(&b, 30, 15, 20);
    for (int i = 0; i < 3; i++)
        XT_OK(mu_transfer_wait(b.q, b.id[i], &err));
    mu_transfer_stats(b.q, &stats);
    XT_EQ(stats.submitted, 3);
    XT_EQ(stats.done, 3);
    XT_EQ(stats.bytes_copied, 65);
    XT_EQ(stats.busy_ns, 6 * SECOND);
    XT_EQ(stats.latency_max_ns, 6 * SECOND);
    XT_EQ(stats.latency_sum_ns, (4 + 6 + 2) * SECOND);
    XT_NEAR(stats.bytes_per_s, 65 / 6.0, 1e-9);
    XT_NEAR(stats.overlap, 1, 0); /* the clock stood still inside calls */
    mu_transfer_close(b.q);
}

XT_TEST(a_copy_that_is_late_fails_alone)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_transfer_stats stats;
    static struct bench b;
    open_bench(&b, 0);
    submit(&b, 0, 30, 1, 2 * SECOND);
    submit(&b, 1, 10, 0, 0);
    step(&b, 0);
    step(&b, SECOND);
    step(&b, SECOND);
    expect(&b, 20, 10, 0);
    XT_FAILS(mu_transfer_wait(b.q, b.id[0], &err), MU_ETIMEDOUT, "a copy of 30 bytes had moved 20");
    XT_OK(mu_transfer_wait(b.q, b.id[1], &err));
    XT_FAILS(mu_transfer_wait(b.q, b.id[1], &err), MU_EINVAL, "waited for already");
    mu_transfer_stats(b.q, &stats);
    XT_EQ(stats.failed, 1);
    XT_EQ(stats.done, 1);
    mu_transfer_close(b.q);
}

XT_TEST(a_full_queue_refuses)
{
    struct mu_err err = MU_ERR_INIT;
    static struct bench b;
    uint64_t id = 0;
    open_bench(&b, 2);
    submit(&b, 0, 0, 0, 0); /* nothing to move: done at once */
    XT_CHECK(mu_transfer_is_done(b.q, b.id[0]));
    submit(&b, 1, 10, 0, 0);
    struct mu_transfer t = {.kind = MU_TRANSFER_COPY, .dst = b.dst[2], .src = b.src[2], .bytes = 1};
    XT_FAILS(mu_transfer_submit(b.q, &t, &id, &err), MU_ELIMIT, "holds 2");
    XT_OK(mu_transfer_wait(b.q, b.id[0], &err));
    XT_OK(mu_transfer_submit(b.q, &t, &id, &err));
    t.kind = MU_TRANSFER_SEND;
    XT_FAILS(mu_transfer_submit(b.q, &t, &id, &err), MU_EINVAL, "without a group");
    mu_transfer_close(b.q);
    XT_FAILS(mu_transfer_open(&b.q, NULL, &(struct mu_transfer_opts){.capacity = 257}, &err), MU_ELIMIT, "257");
}

/* ---- messages ---- */

#define MANY 40

/* The i-th transfer of a seed: from whom to whom, how long. The same on all ranks. Two by two they have ends and tag in
 * common, so that one must follow the other. */
struct plan {
    int from, to;
    size_t bytes;
};

static struct plan plan_of(uint64_t seed, int i, int size)
{
    uint64_t z = seed * 1000 + (uint64_t)(i / 2);
    int from = (int)(xt_rand(&z) % (uint64_t)size);
    int to = (from + 1 + (int)(xt_rand(&z) % (uint64_t)(size - 1))) % size;
    z += (uint64_t)(i % 2);
    return (struct plan){from, to, (size_t)(xt_rand(&z) % 9000)};
}

static char byte_of(int i, size_t at)
{
    return (char)(i * 37 + (int)(at % 251));
}

struct many {
    uint64_t seed;
    struct mu_transfer_opts o;
};

static int submit_many(struct mu_transfer_queue *q, struct mu_comm *c, const struct many *m, char **p, uint64_t *id,
                       struct mu_err *e)
{
    int me = mu_comm_rank(c), size = mu_comm_size(c);
    for (int j = 0; j < MANY; j++) {
        int i = me % 2 ? MANY - 2 - j / 2 * 2 + j % 2 : j; /* the pairs not in one order everywhere */
        struct plan f = plan_of(m->seed, i, size);
        struct mu_transfer t = {.bytes = f.bytes, .tag = i / 2, .priority = (i * 7 + me) % 5};
        if (f.from != me && f.to != me)
            continue;
        p[i] = mu_alloc(f.bytes);
        for (size_t at = 0; at < f.bytes; at++)
            p[i][at] = f.from == me ? byte_of(i, at) : 0;
        t.kind = f.from == me ? MU_TRANSFER_SEND : MU_TRANSFER_RECV;
        t.peer = f.from == me ? f.to : f.from;
        t.src = t.dst = p[i];
        MU_TRY_RETURN(mu_transfer_submit(q, &t, &id[i], e));
        MU_TRY_RETURN(mu_transfer_progress(q, e));
    }
    return MU_OK;
}

static int check_many(struct mu_transfer_queue *q, struct mu_comm *c, const struct many *m, char **p,
                      const uint64_t *id, struct mu_err *e)
{
    for (int i = 0; i < MANY; i++) {
        struct plan f = plan_of(m->seed, i, mu_comm_size(c));
        if (id[i])
            MU_TRY_RETURN(mu_transfer_wait(q, id[i], e));
        for (size_t at = 0; id[i] && at < f.bytes; at++)
            TRUE_OR_FAIL(p[i][at] == byte_of(i, at));
    }
    return MU_OK;
}

static int move_many(void *arg, struct mu_comm *world, struct mu_err *e)
{
    const struct many *m = arg;
    struct mu_transfer_queue *q = NULL;
    struct mu_comm *c = NULL;
    char *p[MANY] = {NULL};
    uint64_t id[MANY] = {0};
    int rc = MU_OK;
    MU_TRY(mu_comm_split(&c, world, 0, 0, "transfers", e));
    MU_TRY(mu_transfer_open(&q, c, &m->o, e));
    MU_TRY(submit_many(q, c, m, p, id, e));
    MU_TRY(mu_comm_barrier(world, e)); /* other groups work on meanwhile */
    MU_TRY(check_many(q, c, m, p, id, e));
out:
    mu_transfer_close(q);
    mu_comm_close(c);
    for (int i = 0; i < MANY; i++)
        mu_free(p[i]);
    return rc;
}

XT_TEST(messages_arrive_whole)
{
    for (int n = 2; n <= 4; n++)
        for (uint64_t seed = 1; seed <= 12; seed += XT_STRIDE) {
            struct many m = {.seed = seed};
            m.o = (struct mu_transfer_opts){.chunk_bytes = 100 + seed * 700, .in_flight = 1 + (int)seed % 3};
            m.o.bytes_per_s = seed % 4 ? 0 : 50e6;
            run_ranks(n, NULL, move_many, &m);
        }
}

/* One send at a time, and the receiver asks for the second first: what stalls must not keep the other back. */
static int in_the_wrong_order(void *arg, struct mu_comm *world, struct mu_err *e)
{
    static char a[2][50000], b[2][50000];
    struct mu_transfer_queue *q = NULL;
    uint64_t id[2] = {0};
    bool is_sender = mu_comm_rank(world) == 0;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(mu_transfer_open(&q, world, &(struct mu_transfer_opts){.in_flight = 1, .chunk_bytes = 10000}, e));
    for (int k = 0; k < 2; k++) {
        int i = is_sender ? k : 1 - k;
        struct mu_transfer t = {
            is_sender ? MU_TRANSFER_SEND : MU_TRANSFER_RECV, b[i], a[i], sizeof a[i], is_sender, i, 0, 0};
        MU_TRY(mu_transfer_submit(q, &t, &id[i], e));
        if (!is_sender)
            MU_TRY(mu_transfer_wait(q, id[i], e));
    }
    for (int i = 0; is_sender && i < 2; i++)
        MU_TRY(mu_transfer_wait(q, id[i], e));
out:
    mu_transfer_close(q);
    return rc;
}

XT_TEST(what_stalls_keeps_nothing_back)
{
    run_ranks(2, NULL, in_the_wrong_order, NULL);
}

/* ---- beside computing ---- */

static int compute_meanwhile(void *arg, struct mu_comm *world, struct mu_err *e)
{
    static char a[400000], b[400000];
    struct mu_transfer_stats *stats = arg;
    struct mu_transfer_queue *q = NULL;
    bool is_sender = mu_comm_rank(world) == 0;
    struct mu_transfer t = {is_sender ? MU_TRANSFER_SEND : MU_TRANSFER_RECV, b, a, sizeof a, is_sender, 0, 0, 0};
    uint64_t id = 0;
    int rc = MU_OK;
    MU_TRY(mu_transfer_open(&q, world, &(struct mu_transfer_opts){.chunk_bytes = 100000}, e));
    MU_TRY(mu_transfer_submit(q, &t, &id, e));
    while (!mu_transfer_is_done(q, id)) {
        MU_TRY(mu_transfer_progress(q, e));
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* the step */
    }
    MU_TRY(mu_transfer_wait(q, id, e));
    mu_transfer_stats(q, &stats[mu_comm_rank(world)]);
out:
    mu_transfer_close(q);
    return rc;
}

/* A crowded machine may take the processor away inside a call: one quiet run of five is enough. */
XT_TEST(messages_move_beside_computing)
{
    struct mu_transfer_stats s[2];
    double overlap = 0;
    for (int try = 0; try < 5 && overlap <= 0.5; try++) {
        run_ranks(2, &(struct mu_fake_opts_comm){.latency_ns = 3000000}, compute_meanwhile, s);
        overlap = MU_MIN(s[0].overlap, s[1].overlap);
        for (int r = 0; r < 2; r++) {
            XT_EQ(s[r].done, 1);
            XT_EQ(s[r].bytes_sent + s[r].bytes_received, 400000);
            XT_CHECK(s[r].bytes_per_s > 0 && s[r].latency_max_ns >= 3000000);
        }
    }
    XT_CHECKF(overlap > 0.5, "overlap %.2f", overlap);
}

/* ---- faults ---- */

struct fault_test {
    int64_t timeout_ns;
    int rc[3];
    struct mu_err err[3];
};

/* Rank 0 sends to 1 and copies; what becomes of it is noted. */
static int send_to_the_lost(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct fault_test *f = arg;
    char *a = NULL, *b = NULL;
    struct mu_transfer_queue *q = NULL;
    uint64_t id[2] = {0};
    int me = mu_comm_rank(world), rc = MU_OK;
    if (me == 1)
        return mu_comm_barrier(world, e); /* where an order may hit it; it never receives */
    MU_TRY(MU_NEW_ARRAY(&a, 1000000, "a message", e));
    MU_TRY(MU_NEW_ARRAY(&b, 1000000, "a message", e));
    MU_TRY(mu_transfer_open(&q, world, &(struct mu_transfer_opts){.timeout_ns = f->timeout_ns}, e));
    struct mu_transfer t = {MU_TRANSFER_SEND, NULL, a, 1000000, 1, me, 0, 0};
    struct mu_transfer copy = {MU_TRANSFER_COPY, b, a, 1000000, 0, 0, -1, 0};
    MU_TRY(mu_transfer_submit(q, &t, &id[0], e));
    MU_TRY(mu_transfer_submit(q, &copy, &id[1], e));
    f->rc[me] = mu_transfer_wait(q, id[0], &f->err[me]);
    MU_TRY(mu_transfer_wait(q, id[1], e)); /* a copy needs no world */
out:
    mu_transfer_close(q);
    mu_free(a);
    mu_free(b);
    return rc;
}

XT_TEST(a_lost_peer_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fake_order order = {.fault = MU_FAKE_KILL, .rank = 1, .at_call = 1};
    struct mu_fake_world *w = NULL;
    struct fault_test f = {0};
    XT_OK(mu_fake_world_open(&w, 3, &(struct mu_fake_opts_comm){.orders = &order, .n_orders = 1}, &err));
    mu_fake_world_run(w, send_to_the_lost, &f, NULL, NULL);
    mu_fake_world_close(w);
    for (int r = 0; r < 3; r += 2) {
        XT_EQ(f.rc[r], MU_EPEER);
        XT_CHECKF(strstr(f.err[r].text, "rank 1 on node0") && strstr(f.err[r].text, "was lost"), "%s", f.err[r].text);
    }
}

XT_TEST(a_message_that_is_late_ends_the_world)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fake_world *w = NULL;
    struct fault_test f = {.timeout_ns = 50000000};
    int rc[3];
    struct mu_err errs[3];
    XT_OK(mu_fake_world_open(&w, 2, NULL, &err));
    mu_fake_world_run(w, send_to_the_lost, &f, rc, errs);
    mu_fake_world_close(w);
    XT_EQ(f.rc[0], MU_ETIMEDOUT);
    XT_CHECKF(strstr(f.err[0].text, "a send of 1000000 bytes had moved 0") && strstr(f.err[0].text, "rank 1 on node0"),
              "%s", f.err[0].text);
    XT_EQ(rc[1], MU_EPEER);
    XT_CHECKF(strstr(errs[1].text, "rank 0 on node0") && strstr(errs[1].text, "gave up"), "%s", errs[1].text);
}

static int open_queue(void *arg, struct mu_err *e)
{
    struct mu_transfer_queue *q = NULL;
    (void)arg;
    int rc = mu_transfer_open(&q, NULL, NULL, e);
    mu_transfer_close(q);
    return rc;
}

XT_TEST(a_queue_without_memory)
{
    xt_each_alloc_fails(open_queue, NULL);
}

XT_MAIN()
