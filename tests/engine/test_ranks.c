/* test_ranks.c - a model held by many ranks: the same bits as one rank for every cut, and an end for all when one fails
 *
 * The model is the fake one, which finds wrong pages, positions and rows; what real layers add is in
 * test_ranks_golden.c. */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "compacting.h"
#include "fake_replica.h"
#include "request_set.h"

/* ---- the same bits ---- */

struct mixed {
    struct request_set set;
    struct mu_result *one[N_REQUESTS], *many[N_REQUESTS];
    struct mu_engine_status status;
    int64_t n_moved;
};

static int run_set(void *arg, mu_engine *eng, struct mu_err *e)
{
    struct mixed *m = arg;
    MU_TRY_RETURN(mu_engine_run(eng, m->set.r, N_REQUESTS, m->many, e));
    mu_engine_status(eng, &m->status);
    return MU_OK;
}

static struct fake_replica replica_of(int stages, int lanes, int tp)
{
    struct fake_replica f = {.setup = FAKE_SETUP_INIT, .stages = stages, .lanes = lanes, .tp = tp};
    f.comm.comm.timeout_ns = 20000000000ll;
    return f;
}

static void check_no_failure(const struct fake_replica *f)
{
    for (int r = 0; r < f->stages * f->lanes * f->tp; r++)
        XT_CHECKF(f->rc[r] == MU_OK, "%dx%dx%d rank %d: %s", f->stages, f->lanes, f->tp, r, f->errs[r].text);
}

static void check_cut(struct mixed *m, int stages, int lanes, int tp, int v, int64_t short_max)
{
    struct fake_replica f = replica_of(stages, lanes, tp);
    f.setup.model.short_max = short_max;
    f.setup.opts.sequences_max = v & 1 ? 7 : 0;
    f.setup.opts.rows_max = v & 2 ? 40 : 0;
    f.setup.opts.kv_tokens_max = v & 2 ? FAKE_CONTEXT + 32 : 4096; /* tight: evictions */
    f.setup.opts.no_prefix_sharing = v & 4;
    f.setup.opts.prefill_chunk = v & 8 ? 5 : 0;
    f.agrees = v & 1;
    f.drive = run_set;
    f.arg = m;
    fake_replica_run(&f);
    check_no_failure(&f);
    XT_EQ(m->status.pages_used, 0);
    XT_EQ(m->status.requests_done, N_REQUESTS);
    results_check_equal(m->one, m->many);
    results_free(m->many);
}

static void check_cuts(int64_t short_max)
{
    static const int cuts[][3] = {{1, 1, 1}, {1, 1, 3}, {2, 1, 1}, {3, 1, 1}, {5, 1, 2},
                                  {1, 2, 1}, {1, 3, 2}, {2, 2, 1}, {2, 4, 1}, {3, 2, 2}};
    static struct mixed m;
    request_set_make(&m.set, 11);
    request_set_run_one(&m.set, short_max, m.one);
    for (size_t i = 0; i < MU_COUNT(cuts); i++) {
        for (int v = 0; v < 16; v += 3 * XT_STRIDE) {
            if (!XT_ASAN || xt_takes(i, (size_t)v / 3))
                check_cut(&m, cuts[i][0], cuts[i][1], cuts[i][2], v, short_max);
        }
    }
    results_free(m.one);
}

XT_TEST(the_same_bits_for_every_cut_of_a_replica)
{
    check_cuts(0);
}

XT_TEST(requests_whose_length_changes_their_keys_keep_it_on_every_rank)
{
    check_cuts(60);
}

static int run_set_moving(void *arg, mu_engine *eng, struct mu_err *e)
{
    struct mixed *m = arg;
    struct compacting how = {.pages_max = 3, .optimizes = true};
    MU_TRY_RETURN(compacting_run(eng, &m->set, m->many, &how, e));
    m->n_moved += how.n_moved;
    mu_engine_status(eng, &m->status);
    return MU_OK;
}

/* Every rank's pages move alike, or the fake model would find a position where another should be. */
XT_TEST(the_same_bits_when_pages_move_after_every_step_on_all_ranks)
{
    static const int cuts[][3] = {{1, 1, 2}, {3, 1, 1}, {1, 2, 1}, {2, 2, 2}};
    static struct mixed m;
    request_set_make(&m.set, 11);
    request_set_run_one(&m.set, 60, m.one);
    for (size_t i = 0; i < MU_COUNT(cuts); i++) {
        for (int v = 0; v < 2; v++) {
            struct fake_replica f = replica_of(cuts[i][0], cuts[i][1], cuts[i][2]);
            f.setup.model.short_max = 60;
            f.setup.opts.kv_tokens_max = v ? FAKE_CONTEXT + 32 : 4096;
            f.setup.opts.rows_max = 40;
            f.setup.opts.no_prefix_sharing = v;
            f.drive = run_set_moving;
            f.arg = &m;
            fake_replica_run(&f);
            check_no_failure(&f);
            results_check_equal(m.one, m.many);
            results_free(m.many);
        }
    }
    XT_CHECK(m.n_moved > 100);
    results_free(m.one);
}

/* ---- sharing in lanes ---- */

static int run_same_beginning(void *arg, mu_engine *eng, struct mu_err *e)
{
    enum { N = 12, CONTEXT = 101 };
    struct mu_engine_status *st = arg;
    struct mu_request r[N];
    struct mu_result *results[N];
    int32_t ids[CONTEXT], cont[N][2];
    for (int i = 0; i < CONTEXT; i++)
        ids[i] = i % 90;
    for (int i = 0; i < N; i++) {
        cont[i][0] = cont[i][1] = 20 + i;
        r[i] = (struct mu_request)MU_REQUEST_INIT;
        r[i].ids = ids, r[i].n_ids = CONTEXT;
        r[i].continuation = cont[i], r[i].n_continuation = 2;
    }
    MU_TRY_RETURN(mu_engine_run(eng, r, N, results, e));
    for (int i = 0; i < N; i++)
        mu_result_free(results[i]);
    mu_engine_status(eng, st);
    return MU_OK;
}

XT_TEST(a_shared_beginning_is_computed_once_in_one_lane)
{
    struct mu_engine_status st;
    struct fake_replica f = replica_of(1, 2, 1);
    f.drive = run_same_beginning;
    f.arg = &st;
    fake_replica_run(&f);
    check_no_failure(&f);
    XT_EQ(st.tokens_cached, 11 * 101);
}

/* ---- numbers that overflow ---- */

static int run_dizzy(void *arg, mu_engine *eng, struct mu_err *e)
{
    enum { N = 6 };
    struct mu_request r[N];
    struct mu_result *results[N];
    int32_t ids[N][4], cont = 9;
    int *n_failed = arg;
    for (int i = 0; i < N; i++) {
        memcpy(ids[i], (int32_t[]){10, 11, 12 + i, 13}, sizeof ids[i]);
        r[i] = (struct mu_request)MU_REQUEST_INIT;
        r[i].ids = ids[i], r[i].n_ids = 4;
        r[i].continuation = &cont, r[i].n_continuation = 1;
    }
    MU_TRY_RETURN(mu_engine_run(eng, r, N, results, e));
    for (int i = 0; i < N; i++) {
        XT_EQ(results[i]->code, i == 3 ? MU_ENUMERIC : MU_OK);
        *n_failed += results[i]->code != MU_OK;
        mu_result_free(results[i]);
    }
    return MU_OK;
}

XT_TEST(a_step_that_overflows_on_one_rank_fails_its_request_alone)
{
    static const int cuts[][3] = {{1, 1, 2}, {3, 1, 1}, {1, 3, 1}, {2, 2, 2}};
    for (size_t i = 0; i < MU_COUNT(cuts); i++) {
        int n_failed = 0;
        struct fake_replica f = replica_of(cuts[i][0], cuts[i][1], cuts[i][2]);
        f.setup.model.dizzy_token = 15;
        f.agrees = cuts[i][0] * cuts[i][1] > 1;
        f.drive = run_dizzy;
        f.arg = &n_failed;
        fake_replica_run(&f);
        check_no_failure(&f);
        XT_EQ(n_failed, 1);
    }
}

/* ---- ranks that are lost ---- */

/* Polls to the end: good results first, then those that the loss ended, then the loss itself. */
static int run_to_the_end(void *arg, mu_engine *eng, struct mu_err *e)
{
    static struct request_set set;
    struct ending *end = arg;
    struct mu_result *r;
    uint64_t id;
    request_set_make(&set, 7);
    for (int i = 0; i < N_REQUESTS; i++)
        MU_TRY_RETURN(mu_engine_submit(eng, &set.r[i], &id, e));
    while (ending_take(end, mu_engine_poll(eng, &r, MU_WAIT_FOREVER, e), &r))
        ;
    if (end->code != MU_OK) {
        struct mu_err again = MU_ERR_INIT;
        XT_EQ(mu_engine_submit(eng, &set.r[0], &id, &again), end->code);
    }
    return end->code;
}

/* Every rank ends, in time; all but the lost one name it. 0: the fault was ordered for later than the end. */
static int check_loss(struct fake_replica *f, int rank, enum mu_fake_fault fault, uint64_t at)
{
    struct ending end = {0};
    struct mu_fake_order order = {.fault = fault, .rank = rank, .at_call = at};
    f->comm.orders = &order;
    f->comm.n_orders = 1;
    f->arg = &end;
    f->drive = run_to_the_end;
    fake_replica_run(f);
    if (f->rc[rank] == MU_OK) {
        check_no_failure(f);
        return 0;
    }
    ending_check_ranks(&end, f->stages * f->lanes * f->tp, f->rc, f->errs, &order);
    return 1;
}

/* Under ASan every other call, those between them on the next rank. */
static void check_losses(enum mu_fake_fault fault, int stages, int lanes, int tp, uint64_t calls, uint64_t step)
{
    int n_lost = 0;
    for (int rank = 0; rank < stages * lanes * tp; rank++) {
        uint64_t first = XT_ASAN ? 1 + (uint64_t)(rank % 2) * step : 1;
        for (uint64_t at = first; at <= calls; at += step * (XT_ASAN ? 2 : XT_STRIDE)) {
            struct fake_replica f = replica_of(stages, lanes, tp);
            f.setup.opts.sequences_max = 16;
            n_lost += check_loss(&f, rank, fault, at);
        }
    }
    XT_CHECKF(n_lost * XT_STRIDE >= 2 * stages * lanes * tp, "%d faults came about", n_lost);
}

XT_TEST(a_rank_killed_at_any_call_ends_all)
{
    check_losses(MU_FAKE_KILL, 2, 1, 1, 40, 1);
    check_losses(MU_FAKE_KILL, 1, 2, 2, 60, 3);
    check_losses(MU_FAKE_KILL, 3, 1, 1, 400, 37);
}

XT_TEST(a_rank_that_stops_or_is_cut_off_ends_all)
{
    check_losses(MU_FAKE_STOP, 2, 1, 1, 60, 7);
    check_losses(MU_FAKE_CUT, 2, 2, 1, 60, 11);
}

XT_TEST(a_slow_rank_is_waited_for)
{
    static struct mixed m;
    struct mu_fake_order order = {.fault = MU_FAKE_SLOW, .rank = 1, .at_call = 20, .delay_ns = 200000000};
    struct fake_replica f = replica_of(2, 1, 1);
    request_set_make(&m.set, 11);
    request_set_run_one(&m.set, 0, m.one);
    f.comm.orders = &order;
    f.comm.n_orders = 1;
    f.drive = run_set;
    f.arg = &m;
    fake_replica_run(&f);
    check_no_failure(&f);
    results_check_equal(m.one, m.many);
    results_free(m.many);
    results_free(m.one);
}
