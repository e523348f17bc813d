/* test_dispatch.c - a round of decisions: what starts, in what order, and how much is looked at for it */
#include "xt.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/sim.h"

struct rig {
    struct mu_queue *q;
    struct mu_fleet *f;
    struct mu_dispatch *d;
    struct mu_need *needs; /* by id in the queue */
    int *runs, *ids;       /* that run */
    int n_runs;
    int impossible, preempted;
    struct mu_preemption proposal;
    char why[MU_STRATEGY_TEXT_MAX];
};

static const struct mu_need *need(void *arg, int id)
{
    return &((struct rig *)arg)->needs[id];
}

static void started(void *arg, int id, int run, const struct mu_choice *c)
{
    struct rig *r = arg;
    (void)c;
    r->ids[r->n_runs] = id;
    r->runs[r->n_runs++] = run;
}

static void impossible(void *arg, int id, const struct mu_refusal *why)
{
    struct rig *r = arg;
    mu_refusal_text(r->why, why, &r->needs[id], 0);
    mu_queue_end(r->q, id, false, 0);
    r->impossible++;
}

static void preempt(void *arg, int id, const struct mu_preemption *p)
{
    struct rig *r = arg;
    (void)id;
    r->proposal = *p;
    r->preempted++;
}

static void open_rig(struct rig *r, const struct mu_dispatch_options *o, int tasks, int devices, int per_node)
{
    static struct mu_fleet_device d[1000];
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue_limits l = {tasks, 0, 3, 900};
    int campaign;
    *r = (struct rig){0};
    for (int i = 0; i < devices; i++)
        d[i] = (struct mu_fleet_device){.node = i / per_node, .tasks_max = 2, .memory = 100, .speed = 1};
    XT_OK(mu_queue_open(&r->q, &l, &err));
    XT_OK(mu_fleet_open(&r->f, d, devices, 40, &err));
    XT_OK(mu_dispatch_open(&r->d, o, r->q, r->f, &l, &err));
    XT_OK(MU_NEW_ARRAY(&r->needs, tasks, "needs", &err));
    XT_OK(MU_NEW_ARRAY(&r->runs, 2 * devices, "runs", &err));
    XT_OK(MU_NEW_ARRAY(&r->ids, 2 * devices, "runs", &err));
    for (int i = 0; i < 3; i++)
        XT_OK(mu_queue_campaign(r->q, 1 + i, &campaign, &err));
}

static void close_rig(struct rig *r)
{
    mu_queue_free(r->q);
    mu_fleet_free(r->f);
    mu_dispatch_free(r->d);
    mu_free(r->needs);
    mu_free(r->runs);
    mu_free(r->ids);
}

static int add(struct rig *r, int campaign, const struct mu_need *n, double now_s)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue_task t = {.campaign = campaign,
                              .priority = (enum mu_priority)n->priority,
                              .run_s = n->run_s,
                              .devices = n->devices,
                              .deadline_s = INFINITY,
                              .ready_s = -INFINITY};
    int id;
    XT_OK(mu_queue_add(r->q, &t, now_s, &id, &err));
    r->needs[id] = *n;
    return id;
}

static struct mu_dispatch_stats dispatch(struct rig *r, double now_s)
{
    const struct mu_dispatch_calls calls = {
        .arg = r, .need = need, .started = started, .impossible = impossible, .preempt = preempt};
    struct mu_err err = MU_ERR_INIT;
    struct mu_dispatch_stats s;
    int run;
    XT_OK(mu_dispatch(r->d, &calls, now_s, &s, &err));
    while (mu_fleet_next_touched(r->f, &run))
        continue;
    XT_EQ(mu_queue_count(r->q, MU_QUEUE_HELD), 0);
    return s;
}

static struct mu_need need_of(int devices, int model, int64_t bytes, double run_s)
{
    return (struct mu_need){.devices = devices,
                            .model = model,
                            .weights = bytes,
                            .work = 10,
                            .run_s = run_s,
                            .load_s = 5,
                            .deadline_s = INFINITY,
                            .priority = MU_PRIORITY_NORMAL,
                            .is_preemptible = true};
}

/* ---- by hand ---- */

XT_TEST(what_can_never_run_is_said)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct rig r;
    open_rig(&r, &o, 10, 4, 2);
    struct mu_need big = need_of(1, 0, 200, 1), wide = need_of(3, 0, 10, 1), ok = need_of(2, 0, 10, 1);
    add(&r, 0, &big, 0);
    add(&r, 0, &wide, 0);
    int id = add(&r, 0, &ok, 0);
    XT_EQ(dispatch(&r, 0).started, 1);
    XT_EQ(r.impossible, 2);
    XT_EQ(mu_queue_state(r.q, id), MU_QUEUE_RUNNING);
    XT_STREQ(r.why,
             "needs 3 devices with 20 bytes each on one node: there are at most 2 on a node; the nearest that would "
             "do is a layout of 2");
    close_rig(&r);
}

/* Two background tasks of 1,000 s fill the only device; a critical one is offered the room of one of them, whose copy
 * is dropped then. A normal one, two priorities above too, waits 0 s less than is worth it when the tasks are short. */
XT_TEST(the_urgent_are_offered_room)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct rig r;
    open_rig(&r, &o, 10, 1, 1);
    struct mu_need low = need_of(1, 0, 40, 1000), urgent = need_of(1, 1, 50, 10);
    low.priority = MU_PRIORITY_BACKGROUND;
    low.batch_s = 7;
    urgent.priority = MU_PRIORITY_CRITICAL;
    add(&r, 0, &low, 0);
    add(&r, 0, &low, 0);
    XT_EQ(dispatch(&r, 0).started, 2);
    add(&r, 0, &urgent, 1);
    XT_EQ(dispatch(&r, 1).started, 0);
    XT_EQ(r.preempted, 1);
    XT_EQ(r.proposal.n, 2); /* one leaves its 10 bytes of work only, for both use the copy */
    XT_NEAR(r.proposal.loses_s, 14, 1e-9);
    XT_NEAR(r.proposal.drains_s, 14, 1e-9); /* at half speed */
    close_rig(&r);
}

/* Devices that a wide task waits for: promised to it alone, and only while it waits. */
XT_TEST(promises_end_with_the_round)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct rig r;
    open_rig(&r, &o, 20, 2, 2);
    struct mu_need filler = need_of(1, -1, 0, 100), wide = need_of(2, 1, 80, 10), small = need_of(1, -1, 0, 500);
    filler.work = 60;
    small.work = 30;
    add(&r, 0, &filler, 0);
    XT_EQ(dispatch(&r, 0).started, 1);
    add(&r, 0, &wide, 0);
    int id = add(&r, 0, &small, 0);
    XT_EQ(dispatch(&r, 1).started, 0); /* small would be in the way until 500 */
    XT_CHECK(r.f->devices[0].reserved_s == INFINITY && r.f->devices[1].reserved_s == INFINITY);
    mu_fleet_end(r.f, r.runs[0], 100);
    mu_queue_end(r.q, r.ids[0], true, 100);
    XT_EQ(dispatch(&r, 100).started, 1);
    XT_EQ(mu_queue_state(r.q, id), MU_QUEUE_READY);
    close_rig(&r);
}

/* A model that may have one copy: its tasks follow each other, those of another model do not wait for that, and a
 * further copy comes when it may. */
XT_TEST(a_model_has_no_more_copies_than_it_may)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct rig r;
    open_rig(&r, &o, 1000, 4, 4);
    for (int i = 0; i < 4; i++)
        r.f->devices[i].tasks_max = 1;
    r.f->model_most[0] = 1;
    struct mu_need limited = need_of(1, 0, 50, 1000), other = need_of(1, 1, 50, 1000);
    for (int i = 0; i < 100; i++)
        add(&r, 0, &limited, 0);
    int last = add(&r, 0, &other, 0);
    XT_EQ(dispatch(&r, 0).started, 2);
    XT_EQ(mu_queue_state(r.q, last), MU_QUEUE_RUNNING);
    XT_EQ(dispatch(&r, 1).started, 0);
    r.f->model_most[0] = 2;
    XT_EQ(dispatch(&r, 2).started, 1);
    XT_EQ(dispatch(&r, 3).started, 0);
    mu_fleet_end(r.f, r.runs[0], 10); /* its model was loaded at 5 */
    mu_queue_end(r.q, r.ids[0], true, 10);
    r.f->model_most[0] = 1; /* fewer than there are: what is idle is used all the same */
    XT_EQ(dispatch(&r, 10).started, 1);
    XT_EQ(r.f->loads, 3);
    close_rig(&r);
}

/* ---- bounds ---- */

struct counts {
    double looked, devices, queue;
    int most_looked;
};

/* n tasks queued on 1,000 devices that are full: one task ends, one round. */
static struct counts count(const struct mu_strategy_kind *k, int n, int rounds)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct mu_err err = MU_ERR_INIT;
    struct counts c = {0};
    struct rig r;
    uint64_t seed = 1;
    o.strategy = k;
    open_rig(&r, &o, n + 1, 1000, 8);
    for (int i = 0; i < n; i++) {
        static const int devices[] = {1, 1, 1, 1, 1, 1, 2, 2, 4, 8};
        int model = (int)(xt_rand(&seed) % 40);
        struct mu_need x = need_of(devices[model % 10], model, 20 + model, 10 + (double)(xt_rand(&seed) % 100));
        x.priority = (int)(xt_rand(&seed) % MU_PRIORITY_N);
        add(&r, (int)(xt_rand(&seed) % 3), &x, 0);
    }
    dispatch(&r, 0);
    for (int i = 0; i < rounds; i++) {
        int pick = (int)(xt_rand(&seed) % (uint64_t)r.n_runs), id = r.ids[pick];
        struct mu_need again = r.needs[id];
        double now = 0.1 * i;
        mu_fleet_end(r.f, r.runs[pick], now);
        mu_queue_end(r.q, id, true, now);
        XT_OK(mu_queue_forget(r.q, id, &err));
        r.n_runs--;
        r.runs[pick] = r.runs[r.n_runs], r.ids[pick] = r.ids[r.n_runs];
        add(&r, i % 3, &again, now);
        uint64_t before = mu_queue_visits(r.q);
        struct mu_dispatch_stats s = dispatch(&r, now);
        c.queue += (double)(mu_queue_visits(r.q) - before) / rounds;
        c.looked += (double)s.looked_at / rounds;
        c.devices += (double)s.visits / rounds;
        c.most_looked = MU_MAX(c.most_looked, s.looked_at - 2 * s.started);
    }
    close_rig(&r);
    return c;
}

/* What a decision looks at does not grow with the queue but by its heaps, and is less than one look at all devices. */
XT_TEST(a_decision_looks_at_little)
{
    for (int k = 0; mu_strategies[k]; k++) {
        struct counts small = count(mu_strategies[k], 10000, 300), large = count(mu_strategies[k], 100000, 300);
        XT_CHECKF(large.most_looked <= 2 * 32, "%d tasks looked at beside those that start", large.most_looked);
        XT_CHECKF(large.devices <= 1000, "%s: %g devices looked at", mu_strategies[k]->name, large.devices);
        XT_CHECKF(large.devices <= 4 * small.devices + 50, "%s: %g devices for ten times the queue, not %g",
                  mu_strategies[k]->name, large.devices, small.devices);
        XT_CHECKF(large.queue <= 40 * (6 * log2(100000) + 15), "%s: %g of the queue looked at", mu_strategies[k]->name,
                  large.queue);
        xt_note("%-12s of 100000 tasks and 1000 devices: %.0f tasks, %.0f devices, %.0f places of the queue looked at",
                mu_strategies[k]->name, large.looked, large.devices, large.queue);
    }
}

XT_TEST(a_round_allocates_nothing)
{
    struct mu_dispatch_options o = MU_DISPATCH_DEFAULT;
    struct rig r;
    open_rig(&r, &o, 100, 8, 8);
    for (int i = 0; i < 50; i++) {
        struct mu_need n = need_of(1 + i % 3, i % 5, 40, 10);
        add(&r, 0, &n, 0);
    }
    uint64_t before = mu_mem_allocs();
    dispatch(&r, 0);
    XT_CHECK(r.n_runs > 3);
    XT_EQ(mu_mem_allocs(), before);
    close_rig(&r);
}

XT_MAIN()
