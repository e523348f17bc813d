/* test_fake_faults.c - a rank lost at any call: every other one is told who, in which call, and nothing hangs */
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "comm/fake/fake.h"
#include "ranks.h"

#define RANKS      4
#define N          3000 /* floats: more than a mailbox slot, so that sends stay open */
#define TIMEOUT_NS 20000000000ll

/* A fixed program with every kind of call. Its calls are numbered 1 to N_CALLS on every rank. */
enum { N_CALLS = 13 };

static int program(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *tp = NULL;
    struct mu_comm_op *ops[2] = {NULL, NULL};
    size_t bytes[RANKS];
    int64_t n[RANKS];
    float *a = NULL, *b = NULL;
    int me = mu_comm_rank(world), next = (me + 1) % RANKS, last = (me + RANKS - 1) % RANKS, rc = MU_OK;

    (void)arg;
    MU_TRY(MU_NEW_ARRAY(&a, RANKS * N, "a message", e));
    MU_TRY(MU_NEW_ARRAY(&b, RANKS * N, "a message", e));
    for (int r = 0; r < RANKS; r++) {
        bytes[r] = N * sizeof(float);
        n[r] = N;
    }
    MU_TRY(mu_comm_barrier(world, e));
    MU_TRY(mu_comm_split(&tp, world, me / 2, 0, "tp", e));
    MU_TRY(mu_comm_all_reduce(world, a, N, MU_REDUCE_SUM_F32, e));
    MU_TRY(mu_comm_broadcast(world, a, bytes[0], 1, e));
    MU_TRY(mu_comm_all_gather(world, a, bytes, e));
    MU_TRY(mu_comm_all_reduce(tp, a, N, MU_REDUCE_SUM_F32, e));
    MU_TRY(mu_comm_all_to_all(world, a, bytes, b, bytes, e));
    MU_TRY(mu_comm_reduce_scatter(world, b, a, n, MU_REDUCE_SUM_F32, e));
    MU_TRY(mu_comm_gather(world, me == 2 ? b : NULL, a, bytes, 2, e));
    MU_TRY(mu_comm_start_send(&ops[0], world, next, 1, a, bytes[0], e));
    MU_TRY(mu_comm_start_recv(&ops[1], world, last, 1, b, bytes[0], e));
    MU_TRY(mu_comm_barrier(tp, e));
out:
    for (int i = 0; i < 2; i++) {
        int rc_wait = mu_comm_wait(ops[i], rc ? NULL : e);
        rc = rc ? rc : rc_wait;
    }
    if (rc == MU_OK)
        rc = mu_comm_barrier(world, e);
    mu_comm_close(tp);
    mu_free(a);
    mu_free(b);
    return rc;
}

static double now_s(void)
{
    return (double)mu_now_ns(mu_clock_real()) / 1e9;
}

/* What the others say: "rank 2 on node0 (process 4711) was lost while group tp ran all_reduce, call 1". */
static bool names(const char *text, int rank)
{
    char who[32];
    snprintf(who, sizeof who, "rank %d on node", rank);
    return strncmp(text, who, strlen(who)) == 0 && strstr(text, "(process ") && strstr(text, "while group ") &&
           strstr(text, " ran ") && strstr(text, ", call ");
}

static void lose(enum mu_fake_fault fault, int rank, uint64_t at_call, int ranks_per_node)
{
    struct mu_err err = MU_ERR_INIT, errs[RANKS];
    struct mu_fake_order order = {.fault = fault, .rank = rank, .at_call = at_call};
    struct mu_fake_opts_comm o = {.orders = &order, .n_orders = 1, .notice_ns = 2000000};
    struct mu_fake_world *w = NULL;
    int rc[RANKS];
    o.comm.timeout_ns = TIMEOUT_NS;
    o.ranks_per_node = ranks_per_node;
    XT_OK(mu_fake_world_open(&w, RANKS, &o, &err));
    double start = now_s();
    mu_fake_world_run(w, program, NULL, rc, errs);
    double took = now_s() - start;
    mu_fake_world_close(w);
    XT_CHECKF(took < 5, "%.1f s", took);
    for (int r = 0; r < RANKS; r++) {
        int want = r == rank && fault != MU_FAKE_CUT ? MU_ECANCELED : MU_EPEER;
        bool has_ended = at_call >= N_CALLS && rc[r] == MU_OK; /* the last barrier let some go */
        XT_CHECKF(rc[r] == want || has_ended, "fault %d of rank %d at call %d: rank %d: %s: %s", fault, rank,
                  (int)at_call, r, mu_code_name(rc[r]), errs[r].text);
        XT_CHECKF(has_ended || r == rank || names(errs[r].text, rank), "rank %d: %s", r, errs[r].text);
    }
}

static void lose_everywhere(enum mu_fake_fault fault)
{
    for (uint64_t call = 1; call <= N_CALLS; call++)
        for (int rank = 0; rank < RANKS; rank += XT_TSAN ? 3 : 1)
            lose(fault, rank, call, call % 2 ? 2 : 0);
}

XT_TEST(the_program_runs_without_faults)
{
    run_ranks(RANKS, NULL, program, NULL);
    run_ranks(RANKS, &(struct mu_fake_opts_comm){.latency_ns = 100000, .bytes_per_s = 1e9}, program, NULL);
}

XT_TEST(a_killed_rank_is_named)
{
    lose_everywhere(MU_FAKE_KILL);
}

XT_TEST(a_stopped_rank_is_named)
{
    lose_everywhere(MU_FAKE_STOP);
}

XT_TEST(a_cut_rank_is_named)
{
    lose_everywhere(MU_FAKE_CUT);
}

XT_TEST(a_slow_rank_is_no_fault)
{
    struct mu_fake_order orders[N_CALLS];
    for (int i = 0; i < N_CALLS; i++)
        orders[i] = (struct mu_fake_order){MU_FAKE_SLOW, i % RANKS, (uint64_t)i + 1, 3000000};
    run_ranks(RANKS, &(struct mu_fake_opts_comm){.orders = orders, .n_orders = N_CALLS}, program, NULL);
}

/* ---- parts: ranks 0 1 | 2 3 | 4 5, whose first ranks exchange messages with rank 0 ---- */

#define PARTS      3
#define PART_TURNS 6

enum { N_PART_CALLS = 2 + 5 * PART_TURNS }; /* of rank 0; others have fewer */

/* A message there and back; of any of the two a loss is no failure. */
static int exchange(struct mu_comm *world, int other, bool sends_first, float *a, struct mu_err *e)
{
    for (int i = 0; i < 2; i++) {
        bool sends = (i == 0) == sends_first;
        int rc = sends ? mu_comm_send(world, other, 3, a, N * sizeof *a, e)
                       : mu_comm_recv(world, other, 3, a, N * sizeof *a, e);
        if (rc == MU_EPEER && !mu_comm_is_dead(world)) {
            TRUE_OR_FAIL(mu_comm_is_lost(world, other, NULL));
            TRUE_OR_FAIL(mu_comm_n_lost(world) == 1);
            return MU_OK;
        }
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

/* What cannot be done any more fails at once, and again, and ends nothing. */
static int check_broken(struct mu_comm *world, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    for (int i = 0; i < 2 && mu_comm_n_lost(world) > 0; i++) {
        SAME(mu_comm_barrier(world, &why), MU_EPEER);
        TRUE_OR_FAIL(strstr(why.text, "was lost") && strstr(why.text, "group world"));
        TRUE_OR_FAIL(!mu_comm_is_dead(world));
    }
    return MU_OK;
}

static int apart_with(struct mu_comm *world, struct mu_comm *part, float *a, struct mu_err *e)
{
    int me = mu_comm_rank(world);
    for (int i = 0; i < PART_TURNS; i++) {
        for (int p = 1; p < PARTS && me == 0; p++)
            MU_TRY_RETURN(exchange(world, 2 * p, true, a, e));
        if (me > 0 && me % 2 == 0)
            MU_TRY_RETURN(exchange(world, 0, false, a, e));
        MU_TRY_RETURN(mu_comm_all_reduce(part, a, N, MU_REDUCE_SUM_F32, e));
    }
    return check_broken(world, e);
}

static int apart(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *part = NULL;
    float *a = NULL;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(MU_NEW_ARRAY(&a, N, "a message", e));
    MU_TRY(mu_comm_split(&part, world, mu_comm_rank(world) / 2, 0, "part", e));
    MU_TRY(mu_comm_set_parts(world, mu_comm_rank(world) / 2, e));
    MU_TRY(apart_with(world, part, a, e));
out:
    if (rc == MU_EPEER && mu_comm_died_apart(world))
        rc = mu_fail(e, MU_EPEER, "apart");
    mu_comm_close(part);
    mu_free(a);
    return rc;
}

static void lose_apart(enum mu_fake_fault fault, int rank, uint64_t at_call, int64_t notice_ns)
{
    struct mu_err err = MU_ERR_INIT, errs[2 * PARTS];
    struct mu_fake_order order = {.fault = fault, .rank = rank, .at_call = at_call};
    struct mu_fake_opts_comm o = {.orders = &order, .n_orders = 1, .notice_ns = notice_ns, .ranks_per_node = 2};
    struct mu_fake_world *w = NULL;
    int rc[2 * PARTS];
    o.comm.timeout_ns = TIMEOUT_NS;
    o.comm.work_bytes = 65536;
    XT_OK(mu_fake_world_open(&w, 2 * PARTS, &o, &err));
    mu_fake_world_run(w, apart, NULL, rc, errs);
    mu_fake_world_close(w);
    for (int r = 0; r < 2 * PARTS; r++) {
        bool is_ended = rank < 2 || r / 2 == rank / 2;
        if (r == rank || rc[r] == MU_OK)
            continue;
        XT_CHECKF(is_ended && rc[r] == MU_EPEER, "fault %d of rank %d at call %d: rank %d: %s", fault, rank,
                  (int)at_call, r, errs[r].text);
        XT_CHECKF(rank < 2 ? names(errs[r].text, rank) : strcmp(errs[r].text, "apart") == 0, "rank %d: %s", r,
                  errs[r].text);
    }
    XT_CHECKF(rc[rank] == MU_OK || rc[rank ^ 1] != MU_OK, "fault %d of rank %d at call %d: its part goes on", fault,
              rank, (int)at_call);
}

XT_TEST(parts_go_on_without_each_other)
{
    run_ranks(2 * PARTS, NULL, apart, NULL);
    static const enum mu_fake_fault faults[] = {MU_FAKE_KILL, MU_FAKE_STOP, MU_FAKE_CUT};
    for (uint64_t call = 3; call <= N_PART_CALLS; call++)
        for (int rank = 0; rank < 2 * PARTS; rank += XT_TSAN ? 3 : 1)
            lose_apart(faults[(call + (uint64_t)rank) % 3], rank, call, 1000000);
}

/* Noticed at once: by ranks that are still on their way out of set_parts. */
XT_TEST(a_loss_right_after_the_cut_is_one_of_its_part)
{
    for (int i = 0; i < (XT_TSAN ? 20 : 200); i++)
        lose_apart(i % 2 ? MU_FAKE_CUT : MU_FAKE_KILL, 2 + i % 4, 3, 1);
}

/* Everybody's barrier cannot be passed any more; ranks that only wait for ranks that live must come to know as well. */
static int all_meet(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    (void)arg;
    MU_TRY_RETURN(mu_comm_set_parts(world, mu_comm_rank(world) / 2, e));
    int rc = mu_comm_barrier(world, &why);
    if (rc == MU_ECANCELED || mu_comm_is_dead(world))
        return mu_fail(e, rc, "%s", why.text);
    SAME(rc, MU_EPEER);
    TRUE_OR_FAIL(strncmp(why.text, "rank 5 on node2 ", 16) == 0);
    TRUE_OR_FAIL(strstr(why.text, "was lost before group world ran barrier, call 2"));
    return MU_OK;
}

XT_TEST(a_collective_with_a_lost_part_ends_for_all)
{
    struct mu_err err = MU_ERR_INIT, errs[2 * PARTS];
    struct mu_fake_order order = {.fault = MU_FAKE_KILL, .rank = 5, .at_call = 2};
    struct mu_fake_opts_comm o = {.orders = &order, .n_orders = 1, .ranks_per_node = 2, .comm.timeout_ns = TIMEOUT_NS};
    struct mu_fake_world *w = NULL;
    int rc[2 * PARTS];
    XT_OK(mu_fake_world_open(&w, 2 * PARTS, &o, &err));
    mu_fake_world_run(w, all_meet, NULL, rc, errs);
    mu_fake_world_close(w);
    for (int r = 0; r < 4; r++)
        XT_CHECKF(rc[r] == MU_OK, "rank %d: %s", r, errs[r].text);
    XT_EQ(rc[4], MU_EPEER); /* of the lost rank's part */
    XT_EQ(rc[5], MU_ECANCELED);
}

static int wrong_part(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *g = NULL;
    (void)arg;
    SAME(mu_comm_set_parts(world, mu_comm_rank(world) ? 7 : 0, e), MU_EINVAL);
    MU_TRY_RETURN(mu_comm_split(&g, world, 0, 0, "tp", e));
    SAME(mu_comm_set_parts(g, 0, e), MU_EINVAL);
    mu_comm_close(g);
    return MU_OK;
}

XT_TEST(only_the_world_has_parts)
{
    run_ranks(2, NULL, wrong_part, NULL);
}

/* ---- sentences ---- */

static int two_all_reduces(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct mu_comm *tp = NULL;
    int64_t v = 1;
    (void)arg;
    int rc = mu_comm_split(&tp, world, 0, 0, "tp", e);
    for (int i = 0; i < 9 && rc == MU_OK; i++)
        rc = mu_comm_all_reduce(tp, &v, 1, MU_REDUCE_SUM_I64, e);
    if (rc == MU_EPEER) { /* the world is dead: every group says the same at once */
        struct mu_err again = MU_ERR_INIT;
        SAME(mu_comm_barrier(world, &again), MU_EPEER);
        TRUE_OR_FAIL(strcmp(again.text, e->text) == 0);
    }
    mu_comm_close(tp);
    return rc;
}

XT_TEST(the_sentence_names_rank_host_group_and_call)
{
    struct mu_err err = MU_ERR_INIT, errs[3];
    struct mu_fake_order order = {.fault = MU_FAKE_KILL, .rank = 2, .at_call = 6}; /* a split, then the 5th of tp */
    struct mu_fake_world *w = NULL;
    int rc[3];
    struct mu_fake_opts_comm o = {.orders = &order, .n_orders = 1, .ranks_per_node = 1};
    XT_OK(mu_fake_world_open(&w, 3, &o, &err));
    XT_EQ(mu_fake_world_run(w, two_all_reduces, NULL, rc, errs), MU_EPEER);
    mu_fake_world_close(w);
    for (int r = 0; r < 2; r++) {
        XT_EQ(rc[r], MU_EPEER);
        XT_CHECKF(strncmp(errs[r].text, "rank 2 on node2 (process ", 25) == 0, "%s", errs[r].text);
        XT_CHECKF(strstr(errs[r].text, ") was lost while group tp ran all_reduce, call 5"), "%s", errs[r].text);
    }
    XT_EQ(rc[2], MU_ECANCELED);
}

static int one_is_absent(void *arg, struct mu_comm *world, struct mu_err *e)
{
    (void)arg;
    if (mu_comm_rank(world) != 1)
        return mu_comm_barrier(world, e);
    struct timespec t = {.tv_nsec = 300000000};
    nanosleep(&t, NULL);
    return mu_comm_barrier(world, e);
}

XT_TEST(a_deadline_passes)
{
    struct mu_err err = MU_ERR_INIT, errs[2];
    struct mu_fake_world *w = NULL;
    int rc[2];
    XT_OK(mu_fake_world_open(&w, 2, &(struct mu_fake_opts_comm){.comm.timeout_ns = 50000000}, &err));
    mu_fake_world_run(w, one_is_absent, NULL, rc, errs);
    mu_fake_world_close(w);
    XT_EQ(rc[0], MU_ETIMEDOUT);
    XT_CHECKF(strstr(errs[0].text, "rank 1 on node0") && strstr(errs[0].text, "did not answer for 0.05 s"), "%s",
              errs[0].text);
    XT_EQ(rc[1], MU_EPEER); /* it is told that the other gave up */
    XT_CHECKF(strstr(errs[1].text, "gave up"), "%s", errs[1].text);
}

static int one_fails_by_itself(void *arg, struct mu_comm *world, struct mu_err *e)
{
    (void)arg;
    if (mu_comm_rank(world) == 1)
        return mu_fail(e, MU_ENOSPC, "no space left on /scratch");
    return mu_comm_barrier(world, e);
}

XT_TEST(a_rank_that_fails_takes_the_others_along)
{
    struct mu_err err = MU_ERR_INIT, errs[3];
    struct mu_fake_world *w = NULL;
    int rc[3];
    XT_OK(mu_fake_world_open(&w, 3, NULL, &err));
    mu_fake_world_run(w, one_fails_by_itself, NULL, rc, errs);
    mu_fake_world_close(w);
    XT_EQ(rc[1], MU_ENOSPC);
    for (int r = 0; r < 3; r += 2) {
        XT_EQ(rc[r], MU_EPEER);
        XT_CHECKF(strstr(errs[r].text, "rank 1 on node0") && strstr(errs[r].text, "no space left on /scratch"), "%s",
                  errs[r].text);
    }
}

static int wrong_size(void *arg, struct mu_comm *world, struct mu_err *e)
{
    char p[8] = "";
    (void)arg;
    if (mu_comm_rank(world) == 0)
        MU_TRY_RETURN(mu_comm_send(world, 1, 0, p, 8, e));
    else
        MU_TRY_RETURN(mu_comm_recv(world, 0, 0, p, 5, e));
    return mu_comm_barrier(world, e);
}

XT_TEST(a_message_of_another_size_is_a_mistake)
{
    struct mu_err err = MU_ERR_INIT, errs[2];
    struct mu_fake_world *w = NULL;
    int rc[2];
    XT_OK(mu_fake_world_open(&w, 2, NULL, &err));
    mu_fake_world_run(w, wrong_size, NULL, rc, errs);
    mu_fake_world_close(w);
    XT_EQ(rc[1], MU_EINTERNAL);
    XT_CHECKF(strstr(errs[1].text, "sent 8 bytes where 5 were expected"), "%s", errs[1].text);
    XT_EQ(rc[0], MU_EPEER);
}

static int too_many_started(void *arg, struct mu_comm *world, struct mu_err *e)
{
    static struct mu_comm_op *ops[MU_COMM_OPS_MAX];
    struct mu_comm_op *one_more = NULL;
    char p = 0;
    int n = 0, rc = MU_OK, other = 1 - mu_comm_rank(world);
    (void)arg;
    if (mu_comm_rank(world) == 0) {
        for (n = 0; n < MU_COMM_OPS_MAX; n++)
            MU_TRY(mu_comm_start_recv(&ops[n], world, other, 0, &p, 1, e));
        SAME(mu_comm_start_recv(&one_more, world, other, 0, &p, 1, e), MU_ELIMIT);
    }
    MU_TRY(mu_comm_barrier(world, e)); /* collectives still have room */
    for (int i = 0; mu_comm_rank(world) == 1 && i < MU_COMM_OPS_MAX; i++)
        MU_TRY(mu_comm_send(world, other, 0, &p, 1, e)); /* more than the mailbox holds */
out:
    while (n > 0 && rc == MU_OK)
        rc = mu_comm_wait(ops[--n], e);
    return rc;
}

XT_TEST(started_messages_have_a_limit)
{
    run_ranks(2, NULL, too_many_started, NULL);
}

/* ---- time ---- */

static int timed_message(void *arg, struct mu_comm *world, struct mu_err *e)
{
    static char p[2][100000];
    struct mu_clock *clock = arg;
    struct mu_comm_op *op = NULL;
    bool is_done = true;
    size_t bytes = 0;
    if (mu_comm_rank(world) == 0)
        return mu_comm_send(world, 1, 0, p[0], sizeof p[0], e);
    MU_TRY_RETURN(mu_comm_start_recv(&op, world, 0, 0, p[1], sizeof p[1], e));
    struct timespec t = {.tv_nsec = 20000000};
    nanosleep(&t, NULL); /* long enough in the machine's time, nothing in the clock's */
    MU_TRY_RETURN(mu_comm_test(op, &is_done, e));
    TRUE_OR_FAIL(!is_done);
    SAME(mu_comm_probe(world, 0, 0, 0, NULL, &bytes, e), MU_ETIMEDOUT);
    mu_clock_fake_advance(clock, 1099999);
    MU_TRY_RETURN(mu_comm_test(op, &is_done, e));
    TRUE_OR_FAIL(!is_done);
    mu_clock_fake_advance(clock, 1);
    MU_TRY_RETURN(mu_comm_test(op, &is_done, e));
    TRUE_OR_FAIL(is_done);
    return mu_comm_wait(op, e);
}

struct noticing {
    struct mu_clock clock;
    atomic_bool is_dead;
};

static int look_until_noticed(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct noticing *t = arg;
    if (mu_comm_rank(world) == 1) {
        int rc = mu_comm_barrier(world, e); /* killed here */
        atomic_store(&t->is_dead, true);
        return rc;
    }
    while (!atomic_load(&t->is_dead))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    mu_clock_fake_advance(&t->clock, 4999999);
    SAME(mu_comm_probe(world, 1, 0, 0, NULL, NULL, e), MU_ETIMEDOUT);
    mu_clock_fake_advance(&t->clock, 1);
    SAME(mu_comm_probe(world, 1, 0, 0, NULL, NULL, e), MU_EPEER);
    return MU_OK;
}

XT_TEST(a_loss_is_noticed_after_a_while)
{
    static struct noticing t;
    struct mu_fake_order order = {.fault = MU_FAKE_KILL, .rank = 1, .at_call = 1};
    struct mu_fake_opts_comm o = {.orders = &order, .n_orders = 1, .notice_ns = 5000000, .clock = &t.clock};
    struct mu_err err = MU_ERR_INIT, errs[2];
    struct mu_fake_world *w = NULL;
    int rc[2];
    mu_clock_fake_init(&t.clock, 1000);
    XT_OK(mu_fake_world_open(&w, 2, &o, &err));
    mu_fake_world_run(w, look_until_noticed, &t, rc, errs);
    mu_fake_world_close(w);
    XT_CHECKF(rc[0] == MU_OK, "%s", errs[0].text);
    XT_EQ(rc[1], MU_ECANCELED);
}

/* 1 ms and 100000 bytes at 1 GB/s: 1.1 ms of a clock that moves when told. */
XT_TEST(messages_take_their_time)
{
    struct mu_clock clock;
    mu_clock_fake_init(&clock, 1000);
    struct mu_fake_opts_comm o = {.latency_ns = 1000000, .bytes_per_s = 1e9, .clock = &clock};
    run_ranks(2, &o, timed_message, &clock);
}

XT_MAIN()
