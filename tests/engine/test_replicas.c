/* test_replicas.c - one queue over many replicas: the same bits, spread work, streams, cancels, and ends
 *
 * Each replica is one fake rank with a fake model; replicas of many ranks are in test_ranks_golden.c. */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "comm/fake/fake.h"
#include "engine/ranks/replicas.h"
#include "fake_engine.h"
#include "request_set.h"

#define RANKS_MAX 8

struct cast {
    struct fake_setup setup;
    int n;
    bool has_parts; /* a lost replica is not the end of the others */
    struct mu_fake_opts_comm comm;
    int (*drive)(void *arg, struct mu_replicas *p, struct mu_err *e);
    void *arg;
    struct mu_fake_counts counts[RANKS_MAX];
    int rc[RANKS_MAX];
    struct mu_err errs[RANKS_MAX];
};

static struct cast cast_of(int n)
{
    struct cast c = {.setup = FAKE_SETUP_INIT, .n = n};
    c.comm.comm.timeout_ns = 20000000000ll;
    return c;
}

static int peaks(void *arg, uint64_t *peak, struct mu_err *e)
{
    (void)e;
    *peak = 1000 + (uint64_t) * (const int *)arg;
    return MU_OK;
}

static int on_rank(void *arg, struct mu_comm *world, struct mu_err *e)
{
    struct cast *c = arg;
    struct fake_setup setup = c->setup;
    struct mu_replicas *p = NULL;
    mu_engine *eng = NULL;
    int rank = mu_comm_rank(world);
    struct mu_replica_opts serve = {.world = world, .ranks = 1, .peaks = peaks, .arg = &rank};
    struct mu_replicas_opts o = {.world = world, .n = c->n, .ranks_each = 1, .opts = &setup.opts};
    int rc;

    MU_TRY(fake_engine_open(&eng, &setup, e));
    if (c->has_parts)
        MU_TRY(mu_comm_set_parts(world, rank, e));
    o.local = serve.local = eng;
    if (rank > 0) {
        rc = mu_replica_serve(&serve, e);
    } else {
        MU_TRY(mu_replicas_open(&p, &o, e));
        rc = c->drive(c->arg, p, e);
    }
    c->counts[rank] = *mu_fake_runner_counts(setup.runner);
out:
    mu_replicas_close(p);
    mu_engine_close(eng);
    return rc;
}

static void play(struct cast *c)
{
    struct mu_fake_world *w = NULL;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_fake_world_open(&w, c->n, &c->comm, &err));
    mu_fake_world_run(w, on_rank, c, c->rc, c->errs);
    mu_fake_world_close(w);
}

static void check_no_failure(const struct cast *c)
{
    for (int r = 0; r < c->n; r++)
        XT_CHECKF(c->rc[r] == MU_OK, "%d replicas, rank %d: %s", c->n, r, c->errs[r].text);
}

/* ---- the same bits, spread ---- */

struct mixed {
    struct request_set set;
    struct mu_result *one[N_REQUESTS], *many[N_REQUESTS];
};

static int run_set(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    struct mixed *m = arg;
    uint64_t id, first = 0;
    struct mu_result *r;
    struct mu_engine_status st;
    for (int i = 0; i < N_REQUESTS; i++) {
        MU_TRY_RETURN(mu_replicas_submit(p, &m->set.r[i], &id, e));
        first = i == 0 ? id : first;
        m->many[i] = NULL;
    }
    for (int i = 0; i < N_REQUESTS; i++) {
        MU_TRY_RETURN(mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e));
        XT_CHECK(r && r->id >= first && r->id < first + N_REQUESTS && !m->many[r->id - first]);
        m->many[r->id - first] = r;
    }
    MU_TRY_RETURN(mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e));
    XT_CHECK(!r); /* idle */
    mu_replicas_status(p, &st);
    XT_EQ(st.requests_done, N_REQUESTS);
    XT_EQ(st.n_queued + st.n_running + st.n_done, 0);
    return MU_OK;
}

XT_TEST(the_same_bits_for_any_number_of_replicas)
{
    static struct mixed m;
    request_set_make(&m.set, 11);
    request_set_run_one(&m.set, 0, m.one);
    for (int n = 2; n <= RANKS_MAX; n += 3) {
        for (int sequences = 1; sequences <= 64; sequences *= 8) {
            struct cast c = cast_of(n);
            c.setup.opts.sequences_max = sequences;
            c.drive = run_set;
            c.arg = &m;
            play(&c);
            check_no_failure(&c);
            results_check_equal(m.one, m.many);
            results_free(m.many);
            for (int r = 0; r < n; r++)
                XT_CHECKF(c.counts[r].steps > 0, "replica %d of %d was given nothing", r, n);
        }
    }
    results_free(m.one);
}

static int run_families(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    enum { FAMILIES = 8, EACH = 8, CONTEXT = 97 };
    static int32_t ids[FAMILIES][CONTEXT];
    struct mu_request r = MU_REQUEST_INIT;
    struct mu_result *result;
    uint64_t id;
    (void)arg;
    for (int f = 0; f < FAMILIES; f++) {
        for (int i = 0; i < CONTEXT; i++)
            ids[f][i] = (i * 7 + f * 13) % 90;
        for (int k = 0; k < EACH; k++) {
            int32_t cont = 20 + k;
            r.ids = ids[f], r.n_ids = CONTEXT;
            r.continuation = &cont, r.n_continuation = 1;
            MU_TRY_RETURN(mu_replicas_submit(p, &r, &id, e));
        }
    }
    for (;;) {
        MU_TRY_RETURN(mu_replicas_poll(p, &result, MU_WAIT_FOREVER, e));
        if (!result)
            return MU_OK;
        XT_EQ(result->code, MU_OK);
        mu_result_free(result);
    }
}

XT_TEST(requests_with_one_beginning_stay_together)
{
    struct cast c = cast_of(2);
    c.drive = run_families;
    play(&c);
    check_no_failure(&c);
    /* Each beginning of 96 rows once; at the border between the replicas one of them twice. */
    XT_CHECKF(c.counts[0].rows + c.counts[1].rows <= 9 * 96 + 64, "%d and %d rows", (int)c.counts[0].rows,
              (int)c.counts[1].rows);
    XT_CHECK(c.counts[1].rows >= 3 * 96);
}

/* ---- streams and cancels ---- */

struct stream {
    int n_tokens, n_last, stop_after;
    int32_t ids[64];
    size_t bytes;
    enum mu_finish finish;
};

static int on_token(void *arg, const struct mu_token_event *ev)
{
    struct stream *s = arg;
    s->bytes += ev->text_bytes;
    if (ev->is_last) {
        s->n_last++;
        s->finish = ev->finish;
        return 0;
    }
    XT_EQ(ev->index, s->n_tokens);
    s->ids[s->n_tokens++] = ev->id;
    return s->n_tokens == s->stop_after;
}

#define N_STREAMS 12

static int run_streams(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    struct stream *s = arg;
    static int32_t ids[N_STREAMS][3];
    struct mu_result *r;
    uint64_t id;
    for (int i = 0; i < N_STREAMS; i++) {
        struct mu_request q = MU_REQUEST_INIT;
        memcpy(ids[i], (int32_t[]){5 + i, 50, 51}, sizeof ids[i]);
        q.kind = MU_REQUEST_GENERATE;
        q.ids = ids[i], q.n_ids = 3;
        q.max_tokens = 40;
        q.on_token = on_token;
        q.on_token_arg = q.user = &s[i];
        s[i] = (struct stream){.stop_after = i % 3 == 2 ? 7 : 0};
        MU_TRY_RETURN(mu_replicas_submit(p, &q, &id, e));
    }
    for (int i = 0; i < N_STREAMS; i++) {
        MU_TRY_RETURN(mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e));
        const struct stream *t = r->user;
        bool was_enough = t->stop_after > 0;
        XT_EQ(t->n_last, 1);
        XT_EQ(t->n_tokens, was_enough ? 7 : 40);
        XT_EQ(r->code, was_enough ? MU_ECANCELED : MU_OK);
        XT_EQ(t->finish, was_enough ? MU_FINISH_CANCELLED : MU_FINISH_LENGTH);
        XT_EQ(r->tokens.n, t->n_tokens);
        XT_CHECK(memcmp(r->tokens.ids, t->ids, (size_t)t->n_tokens * sizeof *t->ids) == 0);
        XT_EQ(r->text_bytes, t->bytes);
        XT_EQ(strlen(r->text), t->bytes);
        mu_result_free(r);
    }
    return MU_OK;
}

XT_TEST(tokens_stream_from_every_replica_until_the_receiver_has_enough)
{
    static struct stream s[N_STREAMS];
    struct cast c = cast_of(3);
    c.setup.has_text = true;
    c.drive = run_streams;
    c.arg = s;
    play(&c);
    check_no_failure(&c);
    XT_CHECK(c.counts[1].steps > 0 && c.counts[2].steps > 0);
}

static int run_cancels(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    enum { N = 30 };
    struct mu_request q = MU_REQUEST_INIT;
    int32_t ids[] = {5, 6, 7};
    uint64_t id[N];
    struct mu_result *r;
    int *n_cancelled = arg;
    q.kind = MU_REQUEST_GENERATE;
    q.ids = ids, q.n_ids = 3;
    q.max_tokens = 200;
    q.sampling.temperature = 1;
    for (int i = 0; i < N; i++) {
        q.sampling.seed = (uint64_t)i;
        MU_TRY_RETURN(mu_replicas_submit(p, &q, &id[i], e));
    }
    int rc = mu_replicas_poll(p, &r, 0, e); /* all have work; on a busy machine one is done already */
    int n_done = rc == MU_OK && r;
    XT_CHECK(n_done || rc == MU_ETIMEDOUT);
    mu_result_free(r);
    for (int i = 0; i < N; i += 2)
        mu_replicas_cancel(p, id[i], NULL);
    for (int i = n_done; i < N; i++) {
        MU_TRY_RETURN(mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e));
        XT_CHECK(r->code == MU_OK || (r->code == MU_ECANCELED && (r->id - id[0]) % 2 == 0));
        *n_cancelled += r->code == MU_ECANCELED;
        mu_result_free(r);
    }
    XT_EQ(mu_replicas_cancel(p, id[0], NULL), MU_ENOENT);
    return MU_OK;
}

XT_TEST(requests_are_cancelled_wherever_they_are)
{
    int n_cancelled = 0;
    struct cast c = cast_of(3);
    c.setup.opts.sequences_max = 4;
    c.drive = run_cancels;
    c.arg = &n_cancelled;
    play(&c);
    check_no_failure(&c);
    XT_CHECKF(n_cancelled >= 10, "%d of 15 were cancelled in time", n_cancelled);
}

/* ---- what others tell ---- */

static int run_peaks(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    return mu_replicas_peaks(p, arg, e);
}

XT_TEST(peaks_come_from_every_rank)
{
    uint64_t peak[4] = {0};
    struct cast c = cast_of(4);
    c.drive = run_peaks;
    c.arg = peak;
    play(&c);
    check_no_failure(&c);
    for (uint64_t r = 1; r < 4; r++)
        XT_EQ(peak[r], 1000 + r);
}

/* ---- replicas that are lost ---- */

static int run_to_the_end(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    static struct request_set set;
    struct ending *end = arg;
    struct mu_result *r;
    uint64_t id;
    request_set_make(&set, 7);
    for (int i = 0; i < N_REQUESTS; i++)
        MU_TRY_RETURN(mu_replicas_submit(p, &set.r[i], &id, e));
    while (ending_take(end, mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e), &r))
        ;
    return end->code;
}

static int lose_one(enum mu_fake_fault fault, int rank, uint64_t at)
{
    struct ending end = {0};
    struct mu_fake_order order = {.fault = fault, .rank = rank, .at_call = at};
    struct cast c = cast_of(3);
    c.comm.orders = &order;
    c.comm.n_orders = 1;
    c.setup.opts.sequences_max = 4;
    c.drive = run_to_the_end;
    c.arg = &end;
    play(&c);
    if (c.rc[rank] == MU_OK)
        return 0;
    ending_check_ranks(&end, c.n, c.rc, c.errs, &order);
    if (rank > 0 && c.rc[0] != MU_OK)
        XT_EQ(end.n_done + end.n_failed, N_REQUESTS);
    return 1;
}

XT_TEST(a_lost_replica_ends_all_and_every_request_says_why)
{
    int n_lost = 0;
    for (int rank = 0; rank < 3; rank++) {
        for (uint64_t at = 1; at < 120; at += 5 * XT_STRIDE) {
            n_lost += lose_one(MU_FAKE_KILL, rank, at);
            if (at % 3 == 0)
                n_lost += lose_one(at % 2 ? MU_FAKE_STOP : MU_FAKE_CUT, rank, at);
        }
    }
    XT_CHECKF(n_lost * XT_STRIDE > 20, "%d faults came about", n_lost);
}

/* ---- replicas that are parts of the world ---- */

#define N_PARTS 3

/* All requests, whatever happens on the way; *arg: a struct mixed. */
static int run_mixed(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    struct mixed *m = arg;
    uint64_t id, first = 0;
    struct mu_result *r;
    memset(m->many, 0, sizeof m->many);
    for (int i = 0; i < N_REQUESTS; i++) {
        MU_TRY_RETURN(mu_replicas_submit(p, &m->set.r[i], &id, e));
        first = i == 0 ? id : first;
    }
    for (;;) {
        MU_TRY_RETURN(mu_replicas_poll(p, &r, MU_WAIT_FOREVER, e));
        if (!r)
            return MU_OK;
        if (r->id < first || r->id >= first + N_REQUESTS || m->many[r->id - first])
            return mu_fail(e, MU_EINTERNAL, "request %d is answered twice", (int)(r->id - first));
        m->many[r->id - first] = r;
    }
}

static struct cast parts_of(int n_orders, const struct mu_fake_order *orders)
{
    struct cast c = cast_of(N_PARTS);
    c.has_parts = true;
    c.comm.orders = orders;
    c.comm.n_orders = n_orders;
    c.comm.notice_ns = 1000000;
    c.setup.opts.sequences_max = 4;
    return c;
}

/* Whether the fault came about. Ranks other than the lost ones have nothing to complain of. */
static bool check_others(const struct cast *c)
{
    bool is_lost[RANKS_MAX] = {false}, has_happened = false;
    for (int i = 0; i < c->comm.n_orders; i++)
        is_lost[c->comm.orders[i].rank] = true;
    for (int r = 0; r < c->n; r++) {
        XT_CHECKF(is_lost[r] || c->rc[r] == MU_OK, "call %d: rank %d: %s", (int)c->comm.orders->at_call, r,
                  c->errs[r].text);
        has_happened |= c->rc[r] != MU_OK;
    }
    return has_happened;
}

static int lose_of_mixed(struct mixed *m, enum mu_fake_fault fault, int rank, uint64_t at)
{
    struct mu_fake_order order = {.fault = fault, .rank = rank, .at_call = at};
    struct cast c = parts_of(1, &order);
    c.drive = run_mixed;
    c.arg = m;
    play(&c);
    bool has_happened = check_others(&c);
    for (int i = 0; i < N_REQUESTS; i++)
        XT_CHECKF(m->many[i], "fault %d of rank %d at call %d: request %d has no answer", fault, rank, (int)at, i);
    results_check_equal(m->one, m->many);
    results_free(m->many);
    return has_happened;
}

XT_TEST(the_others_answer_what_a_lost_replica_had)
{
    static struct mixed m;
    int n_lost = 0;
    request_set_make(&m.set, 7);
    request_set_run_one(&m.set, 0, m.one);
    for (int rank = 1; rank < N_PARTS; rank++) {
        for (uint64_t at = 2; at < 120; at += 3 * XT_STRIDE) {
            n_lost += lose_of_mixed(&m, MU_FAKE_KILL, rank, at);
            if (at % 4 == 0)
                n_lost += lose_of_mixed(&m, at % 8 ? MU_FAKE_STOP : MU_FAKE_CUT, rank, at);
        }
    }
    results_free(m.one);
    XT_CHECKF(n_lost * XT_STRIDE > 30, "%d faults came about", n_lost);
}

XT_TEST(the_first_replica_goes_on_alone)
{
    static struct mixed m;
    int n_lost = 0;
    request_set_make(&m.set, 9);
    request_set_run_one(&m.set, 0, m.one);
    for (uint64_t at = 2; at < 60; at += 7 * XT_STRIDE) {
        struct mu_fake_order orders[] = {{MU_FAKE_KILL, 1, at, 0}, {MU_FAKE_STOP, 2, at + at % 5, 0}};
        struct cast c = parts_of(2, orders);
        c.drive = run_mixed;
        c.arg = &m;
        play(&c);
        n_lost += check_others(&c);
        results_check_equal(m.one, m.many);
        results_free(m.many);
    }
    results_free(m.one);
    XT_CHECKF(n_lost * XT_STRIDE > 3, "%d faults came about", n_lost);
}

static int run_and_count(void *arg, struct mu_replicas *p, struct mu_err *e)
{
    struct mixed *m = arg;
    struct mu_engine_status st;
    uint64_t peak[N_PARTS] = {1, 1, 1};
    MU_TRY_RETURN(run_mixed(m, p, e));
    mu_replicas_status(p, &st);
    XT_EQ(st.replicas_lost, 1);
    XT_CHECKF(st.requests_given_back > 0 && st.requests_given_back < N_REQUESTS, "%d given back",
              (int)st.requests_given_back);
    XT_EQ(st.n_queued + st.n_running + st.n_done, 0);
    MU_TRY_RETURN(mu_replicas_drop_cached(p, e));
    MU_TRY_RETURN(mu_replicas_peaks(p, peak, e));
    XT_EQ(peak[1], 0);
    XT_EQ(peak[2], 1002);
    return MU_OK;
}

XT_TEST(a_loss_is_counted_and_the_rest_is_still_an_engine)
{
    static struct mixed m;
    struct mu_fake_order order = {MU_FAKE_KILL, 1, 12, 0};
    struct cast c = parts_of(1, &order);
    request_set_make(&m.set, 7);
    c.drive = run_and_count;
    c.arg = &m;
    play(&c);
    XT_CHECK(check_others(&c));
    results_free(m.many);
}

XT_TEST(a_stream_goes_on_where_a_lost_replica_left_it)
{
    static struct stream s[N_STREAMS];
    int n_lost = 0;
    for (uint64_t at = 2; at < 260; at += 9 * XT_STRIDE) {
        struct mu_fake_order orders[] = {{MU_FAKE_KILL, 1, at, 0}, {MU_FAKE_KILL, 2, 2 * at, 0}};
        struct cast c = parts_of(1 + at % 2, orders);
        c.setup.has_text = true;
        c.drive = run_streams;
        c.arg = s;
        play(&c);
        n_lost += check_others(&c);
    }
    XT_CHECKF(n_lost * XT_STRIDE > 10, "%d faults came about", n_lost);
}

XT_TEST(cancels_reach_what_was_given_back)
{
    for (uint64_t at = 2; at < 90; at += 11 * XT_STRIDE) {
        int n_cancelled = 0;
        struct mu_fake_order order = {MU_FAKE_KILL, 2, at, 0};
        struct cast c = parts_of(1, &order);
        c.drive = run_cancels;
        c.arg = &n_cancelled;
        play(&c);
        check_others(&c);
    }
}

XT_TEST(the_first_replica_is_everybodys)
{
    int n_lost = 0;
    for (uint64_t at = 2; at < 60; at += 6 * XT_STRIDE) {
        static struct mixed m;
        struct mu_fake_order order = {MU_FAKE_KILL, 0, at, 0};
        struct cast c = parts_of(1, &order);
        request_set_make(&m.set, 7);
        c.drive = run_mixed;
        c.arg = &m;
        play(&c);
        for (int r = 1; r < c.n && c.rc[0] != MU_OK; r++) {
            XT_EQ(c.rc[r], MU_EPEER);
            XT_CHECKF(strstr(c.errs[r].text, "rank 0 "), "rank %d: %s", r, c.errs[r].text);
        }
        n_lost += c.rc[0] != MU_OK;
        results_free(m.many);
    }
    XT_CHECK(n_lost * XT_STRIDE > 4);
}
