/* test_strategy.c - places worked out by hand, and what must hold of every strategy on any fleet */
#include "xt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sched/strategy.h"

static struct mu_fleet *fleet_of(int nodes, int per_node, int tasks_max, int64_t memory)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet_device d[1024] = {{0}};
    struct mu_fleet *f;
    for (int i = 0; i < nodes * per_node; i++)
        d[i] = (struct mu_fleet_device){.node = i / per_node, .tasks_max = tasks_max, .memory = memory, .speed = 1};
    XT_OK(mu_fleet_open(&f, d, nodes * per_node, 16, &err));
    return f;
}

/* 40 bytes of weights and 10 of work on each device; 40 s after 20 s of loading. */
static struct mu_need need_of(int devices, int model)
{
    return (struct mu_need){.devices = devices,
                            .model = model,
                            .weights = 40,
                            .work = 10,
                            .run_s = 40,
                            .load_s = 20,
                            .batch_s = 5,
                            .deadline_s = INFINITY,
                            .priority = MU_PRIORITY_NORMAL,
                            .is_preemptible = true};
}

static int start_at(struct mu_fleet *f, const struct mu_need *n, const struct mu_seats *s, double now_s)
{
    struct mu_err err = MU_ERR_INIT;
    int run;
    XT_OK(mu_fleet_start(f, n, s, 0, now_s, &run, &err));
    XT_OK(mu_fleet_check(f, &err));
    return run;
}

static int start_on(struct mu_fleet *f, const struct mu_need *n, int first, double now_s)
{
    struct mu_seats s = {.n = n->devices, .nodes = 1, .copy = -1};
    for (int i = 0; i < n->devices; i++)
        s.device[i] = first + i;
    return start_at(f, n, &s, now_s);
}

static struct mu_choice choose(const struct mu_strategy_kind *k, const struct mu_fleet *f, const struct mu_need *n,
                               double now_s)
{
    struct mu_choice c;
    XT_CHECK(mu_choose(&c, k, f, n, now_s));
    return c;
}

/* ---- the view ---- */

/* Two tasks of 60 s share a device from 30 on: the first has 30 done, each then does half a second a second. */
XT_TEST(tasks_share_a_device)
{
    struct mu_fleet *f = fleet_of(1, 1, 4, 100);
    struct mu_need n = need_of(1, 0), m = need_of(1, -1);
    m.weights = 0;
    int a = start_on(f, &n, 0, 0), b = start_on(f, &m, 0, 30);
    XT_NEAR(mu_fleet_done(f, a, 50), 40, 1e-9);
    XT_NEAR(mu_fleet_done(f, b, 50), 10, 1e-9);
    XT_NEAR(f->devices[0].ends_s[0], 90, 1e-9);  /* 30 left at half speed */
    XT_NEAR(f->devices[0].ends_s[1], 150, 1e-9); /* 60 left */
    XT_NEAR(mu_fleet_load(f, 0, 30), 90, 1e-9);  /* 30 + 60 */
    mu_fleet_end(f, a, 90);
    XT_NEAR(f->devices[0].ends_s[0], 120, 1e-9); /* 30 left alone */
    XT_EQ(f->devices[0].free, 50);               /* the copy stays, idle */
    XT_EQ(f->devices[0].idle, 40);
    mu_fleet_end(f, b, 120);
    XT_EQ(f->devices[0].free, 60);
    mu_fleet_free(f);
}

/* A task goes at the speed of its slowest device. */
XT_TEST(a_group_goes_at_its_slowest)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet_device d[2] = {{.tasks_max = 2, .memory = 100, .speed = 2},
                                   {.tasks_max = 2, .memory = 100, .speed = 0.5}};
    struct mu_fleet *f;
    XT_OK(mu_fleet_open(&f, d, 2, 1, &err));
    struct mu_need n = need_of(2, 0);
    int a = start_on(f, &n, 0, 0);
    XT_NEAR(mu_fleet_done(f, a, 10), 5, 1e-9);
    mu_fleet_progress(f, a, 10, 10);
    XT_NEAR(f->devices[1].ends_s[0], 30, 1e-9);
    mu_fleet_free(f);
}

XT_TEST(the_longest_idle_copy_goes_first)
{
    struct mu_fleet *f = fleet_of(1, 1, 2, 100);
    struct mu_need n = need_of(1, 0), m = need_of(1, 1), o = need_of(1, 2);
    mu_fleet_end(f, start_on(f, &n, 0, 0), 20);
    mu_fleet_end(f, start_on(f, &m, 0, 20), 40);
    struct mu_choice c = choose(&mu_balanced, f, &n, 45);
    XT_EQ(c.fit, MU_FIT_COPY);
    mu_fleet_end(f, start_at(f, &n, &c.seats, 45), 50); /* model 0 was used last */
    c = choose(&mu_balanced, f, &o, 60);
    XT_EQ(c.fit, MU_FIT_EVICT);
    start_at(f, &o, &c.seats, 60);
    XT_EQ(f->model_copies[1], -1);
    XT_CHECK(f->model_copies[0] >= 0);
    XT_EQ(f->loads, 3);
    XT_EQ(f->reuses, 1);
    XT_EQ(f->evicted, 1);
    mu_fleet_free(f);
}

/* Loading takes 20 s. A task that joins after 15 waits for the other 5, at half speed; when the first is stopped while
 * it loads, the copy is the other's to load, and when that is stopped too, there is none. */
XT_TEST(a_copy_counts_when_it_is_loaded)
{
    struct mu_fleet *f = fleet_of(1, 1, 2, 100);
    struct mu_need n = need_of(1, 0);
    int first = start_on(f, &n, 0, 0);
    struct mu_choice c = choose(&mu_balanced, f, &n, 15);
    XT_EQ(c.fit, MU_FIT_COPY);
    int second = start_at(f, &n, &c.seats, 15);
    XT_NEAR(f->running[second].work_s, 45, 1e-9);
    mu_fleet_end(f, first, 19); /* 17 s of loading done, 2 by the second task */
    XT_NEAR(mu_fleet_copy_rest(f, c.seats.copy, 19), 3, 1e-9);
    XT_NEAR(mu_fleet_copy_rest(f, c.seats.copy, 22), 0, 1e-9);
    mu_fleet_end(f, second, 20);
    XT_EQ(f->model_copies[0], -1);
    XT_EQ(f->devices[0].free, 100);
    mu_fleet_end(f, start_on(f, &n, 0, 30), 50);
    XT_EQ(f->devices[0].idle, 40);
    mu_fleet_free(f);
}

XT_TEST(seats_that_do_not_hold_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet *f = fleet_of(1, 2, 1, 100);
    struct mu_need n = need_of(1, 0), two = need_of(2, 0), big = need_of(1, 0);
    struct mu_seats s = {.n = 1, .copy = -1}, twice = {.n = 2, .copy = -1};
    int run;
    big.weights = 100;
    XT_FAILS(mu_fleet_start(f, &big, &s, 0, 0, &run, &err), MU_EINVAL, "room for 100 bytes, not for 110");
    XT_FAILS(mu_fleet_start(f, &two, &s, 0, 0, &run, &err), MU_EINVAL, "1 devices");
    XT_FAILS(mu_fleet_start(f, &two, &twice, 0, 0, &run, &err), MU_EINVAL, "2 devices");
    start_on(f, &n, 0, 0);
    XT_FAILS(mu_fleet_start(f, &n, &s, 0, 0, &run, &err), MU_EINVAL, "all the tasks it may have");
    XT_FAILS(mu_fleet_set_healthy(f, 0, false, 0, &err), MU_EINVAL, "still runs 1 task");
    XT_OK(mu_fleet_set_healthy(f, 1, false, 0, &err));
    s.device[0] = 1;
    XT_FAILS(mu_fleet_start(f, &n, &s, 0, 0, &run, &err), MU_EINVAL, "not healthy");
    XT_OK(mu_fleet_check(f, &err));
    mu_fleet_free(f);
}

/* ---- one device ---- */

XT_TEST(round_robin_goes_round)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet *f = fleet_of(1, 4, 8, 1000);
    struct mu_need n = need_of(1, 0);
    static const int want[] = {0, 1, 3, 0, 1, 3};
    XT_OK(mu_fleet_set_healthy(f, 2, false, 0, &err));
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        struct mu_choice c = choose(&mu_round_robin, f, &n, 0);
        XT_EQ(c.seats.device[0], want[i]);
        start_at(f, &n, &c.seats, 0);
    }
    mu_fleet_free(f);
}

/* Loads 60, 30, 50 s: the second; when it has ended too, the first of the empty ones. */
XT_TEST(least_loaded_by_hand)
{
    struct mu_fleet *f = fleet_of(1, 3, 8, 1000);
    struct mu_need n = need_of(1, 0);
    start_on(f, &n, 0, 0);
    n.run_s = 10;
    start_on(f, &n, 1, 0);
    n.run_s = 30;
    start_on(f, &n, 2, 0);
    XT_EQ(choose(&mu_least_loaded, f, &n, 0).seats.device[0], 1);
    XT_NEAR(choose(&mu_least_loaded, f, &n, 0).cost, 30, 1e-9);
    XT_NEAR(choose(&mu_least_loaded, f, &n, 0).next_cost, 50, 1e-9);
    XT_EQ(choose(&mu_least_loaded, f, &n, 100).seats.device[0], 0);
    mu_fleet_free(f);
}

/* Free 100, 70, 55: 50 bytes go where 5 are left. A copy goes before any fit. */
XT_TEST(memory_aware_by_hand)
{
    struct mu_fleet *f = fleet_of(1, 3, 8, 100);
    struct mu_need n = need_of(1, 0), other = need_of(1, -1);
    other.weights = 0;
    other.work = 30;
    start_on(f, &other, 1, 0);
    other.work = 45;
    start_on(f, &other, 2, 0);
    XT_EQ(choose(&mu_memory_aware, f, &n, 0).seats.device[0], 2);
    XT_NEAR(choose(&mu_memory_aware, f, &n, 0).cost, 2.05, 1e-9);
    mu_fleet_end(f, start_on(f, &n, 0, 0), 20);
    struct mu_choice c = choose(&mu_memory_aware, f, &n, 20);
    XT_EQ(c.seats.device[0], 0);
    XT_EQ(c.fit, MU_FIT_COPY);
    mu_fleet_free(f);
}

/* Device 0 has the model and a task with 30 s left, device 1 nothing. A run of 40 s costs on device 0: 80 s shared, 30
 * s that the other loses, and 0.1 x 40 x 0.4 for memory: 111.6. On device 1: 40, loading, 0.1 x 40 x 0.5. */
XT_TEST(balanced_by_hand)
{
    struct mu_fleet *f = fleet_of(1, 2, 8, 100);
    struct mu_need n = need_of(1, 0), far = need_of(1, 0);
    n.run_s = 10;
    start_on(f, &n, 0, 0); /* 20 s loading and 10 s */
    n.run_s = 40;
    far.load_s = 100;
    struct mu_choice c = choose(&mu_balanced, f, &n, 0);
    XT_EQ(c.seats.device[0], 1);
    XT_NEAR(c.cost, 62, 1e-9);
    XT_NEAR(c.next_cost, 111.6, 1e-9);
    XT_NEAR(c.ends_s, 60, 1e-9);
    XT_EQ(choose(&mu_balanced, f, &far, 0).seats.device[0], 0);
    XT_NEAR(choose(&mu_balanced, f, &far, 0).next_cost, 142, 1e-9);
    n.deadline_s = 50; /* 10 s late on device 1: 40 more; 30 s late on device 0: 120 more */
    c = choose(&mu_balanced, f, &n, 0);
    XT_EQ(c.seats.device[0], 1);
    XT_NEAR(c.cost, 102, 1e-9);
    XT_NEAR(c.late_s, 10, 1e-9);
    mu_fleet_free(f);
}

XT_TEST(choices_explain_themselves)
{
    struct mu_fleet *f = fleet_of(1, 2, 8, 100);
    struct mu_need n = need_of(1, 0);
    char text[MU_STRATEGY_TEXT_MAX];
    n.run_s = 10;
    start_on(f, &n, 0, 0);
    n.run_s = 40;
    n.deadline_s = 50;
    struct mu_choice c = choose(&mu_balanced, f, &n, 0);
    XT_STREQ(
        mu_choice_text(text, &c, f, &n, 0),
        "device 1 of node 0, with free memory, by balanced: 102 seconds in all: 40 running, at this device's speed "
        "and shared with what runs there; 20 loading the model; 2 the run, times the share of memory left unused; "
        "40 behind its deadline; next best of 2, device 0, 231.6; predicted to end in 60 s, 10 s behind its "
        "deadline");
    c = choose(&mu_least_loaded, f, &n, 0);
    XT_STREQ(mu_choice_text(text, &c, f, &n, 0),
             "device 1 of node 0, with free memory, by least-loaded: 0 predicted seconds until the tasks there have "
             "ended; next best of 2, device 0, 30; predicted to end in 60 s, 10 s behind its deadline");
    mu_fleet_free(f);
}

/* ---- groups ---- */

/* Node 0 has 3 devices to spare, node 1 four: four together go to node 1, for every strategy. */
XT_TEST(groups_keep_to_a_node)
{
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_fleet *f = fleet_of(2, 4, 1, 100);
        struct mu_need one = need_of(1, 1), four = need_of(4, 0);
        four.may_span = true;
        start_on(f, &one, 1, 0);
        struct mu_choice c = choose(mu_strategies[k], f, &four, 0);
        XT_EQ(c.seats.n, 4);
        XT_EQ(c.seats.nodes, 1);
        for (int i = 0; i < 4; i++)
            XT_EQ(c.seats.device[i], 4 + i);
        mu_fleet_free(f);
    }
}

/* Of 8 devices on two nodes 6 are wanted: only across, where that is allowed; the fuller node gives all it has. */
XT_TEST(groups_span_nodes_where_they_must)
{
    char text[MU_STRATEGY_TEXT_MAX];
    for (int k = 0; mu_strategies[k]; k++) {
        struct mu_fleet *f = fleet_of(2, 4, 1, 100);
        struct mu_need one = need_of(1, 1), six = need_of(6, 0);
        struct mu_choice c;
        struct mu_refusal r;
        start_on(f, &one, 0, 0);
        XT_CHECK(!mu_choose(&c, mu_strategies[k], f, &six, 0));
        mu_refuse(&r, f, &six, 0);
        XT_EQ(r.why, MU_REFUSED_DEVICES);
        XT_STREQ(mu_refusal_text(text, &r, &six, 0),
                 "needs 6 devices with 50 bytes each on one node: there are at most 4 on a node; the nearest that "
                 "would do is a layout of 4");
        six.may_span = true;
        c = choose(mu_strategies[k], f, &six, 0);
        XT_EQ(c.seats.nodes, 2);
        for (int i = 0; i < 4; i++)
            XT_EQ(c.seats.device[2 + i], 4 + i);
        start_at(f, &six, &c.seats, 0);
        mu_fleet_free(f);
    }
}

/* Two of four devices hold the model together: the next task of two goes there, though others are as free. */
XT_TEST(groups_use_their_copy_again)
{
    static const struct mu_strategy_kind *const seekers[] = {&mu_memory_aware, &mu_balanced};
    for (size_t k = 0; k < MU_COUNT(seekers); k++) {
        struct mu_fleet *f = fleet_of(1, 4, 2, 100);
        struct mu_need n = need_of(2, 0);
        mu_fleet_end(f, start_on(f, &n, 2, 0), 60);
        struct mu_choice c = choose(seekers[k], f, &n, 60);
        XT_EQ(c.fit, MU_FIT_COPY);
        XT_EQ(c.seats.device[0], 2);
        XT_EQ(c.seats.device[1], 3);
        start_at(f, &n, &c.seats, 60);
        XT_EQ(f->loads, 1);
        mu_fleet_free(f);
    }
}

/* ---- refusals ---- */

XT_TEST(refusals_by_hand)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet *f = fleet_of(1, 4, 1, 4LL << 30);
    struct mu_need n = need_of(2, 0), big = need_of(1, 0);
    struct mu_refusal r;
    char text[MU_STRATEGY_TEXT_MAX];
    n.weights = 1LL << 30, n.work = 1LL << 29;
    big.weights = 5LL << 30, big.work = 0;
    mu_refuse(&r, f, &big, 0);
    XT_CHECK(mu_refusal_is_final(&r));
    XT_STREQ(mu_refusal_text(text, &r, &big, 0),
             "needs 1 device with 5 GiB: none is so large; the largest one, device 0, lacks 1 GiB even when empty");
    n.run_s = 10;
    start_on(f, &n, 0, 0); /* until 30 */
    n.run_s = 40;
    int last = start_on(f, &n, 2, 0); /* until 60 */
    mu_refuse(&r, f, &n, 5);
    XT_EQ(r.why, MU_REFUSED_BUSY);
    XT_NEAR(r.free_s, 30, 1e-9);
    XT_STREQ(
        mu_refusal_text(text, &r, &n, 5),
        "needs 2 devices with 1.5 GiB each on one node: 0 would do now; nearest are devices 0-1, predicted free in "
        "25 s");
    mu_fleet_end(f, last, 5);
    XT_OK(mu_fleet_set_healthy(f, 2, false, 5, &err));
    XT_OK(mu_fleet_set_healthy(f, 3, false, 5, &err));
    n.devices = 3;
    mu_refuse(&r, f, &n, 5);
    XT_EQ(r.why, MU_REFUSED_DOWN);
    XT_EQ(r.most, 2);
    XT_CHECK(!mu_refusal_is_final(&r));
    mu_fleet_free(f);
}

/* Memory that two running tasks hold: enough is free when the second has ended, at 60. */
XT_TEST(memory_is_waited_for)
{
    struct mu_fleet *f = fleet_of(1, 1, 4, 100);
    struct mu_need a = need_of(1, -1), b = need_of(1, -1), n = need_of(1, 0);
    struct mu_refusal r;
    a.weights = b.weights = 0, a.load_s = b.load_s = 0;
    a.work = 20, a.run_s = 10;
    b.work = 60, b.run_s = 50;
    start_on(f, &a, 0, 0);
    start_on(f, &b, 0, 0);
    n.weights = 50,
    n.work = 10; /* 20 are free; 40 with a's, from 20 on; 100 with both, from 60 on at half speed: 100 */
    mu_refuse(&r, f, &n, 0);
    XT_EQ(r.why, MU_REFUSED_BUSY);
    XT_NEAR(r.free_s, 100, 1e-9); /* by the rates of now: b has 50 s left at half speed */
    XT_EQ(r.missing_bytes, 40);
    mu_fleet_free(f);
}

/* ---- preemption ---- */

static int start_low(struct mu_fleet *f, int first, int devices, int priority, double batch_s)
{
    struct mu_need n = need_of(devices, -1);
    n.weights = 0;
    n.priority = priority;
    n.batch_s = batch_s;
    return start_on(f, &n, first, 0);
}

/* Four devices, one task each, batches of 9, 4, 2 and 3 s. Two devices for a critical task: the cheapest two that may
 * be stopped are devices 1 and 3, for the task on device 2 is high: less than two priorities below. */
XT_TEST(preemption_by_hand)
{
    struct mu_fleet *f = fleet_of(1, 4, 1, 100);
    struct mu_need n = need_of(2, 0);
    struct mu_preemption p;
    char text[MU_STRATEGY_TEXT_MAX];
    start_low(f, 0, 1, MU_PRIORITY_NORMAL, 9);
    int b = start_low(f, 1, 1, MU_PRIORITY_NORMAL, 4);
    start_low(f, 2, 1, MU_PRIORITY_HIGH, 2);
    int d = start_low(f, 3, 1, MU_PRIORITY_BACKGROUND, 3);
    n.priority = MU_PRIORITY_CRITICAL;
    XT_CHECK(mu_preempt(&p, f, &n, 2, 0));
    XT_EQ(p.n, 2);
    XT_CHECK((p.run[0] == b && p.run[1] == d) || (p.run[0] == d && p.run[1] == b));
    XT_NEAR(p.loses_s, 7, 1e-9);
    XT_NEAR(p.drains_s, 4, 1e-9);
    XT_CHECK(strstr(mu_preemption_text(text, &p, f), "gives devices 1,3; they drain in at most 4 s"));
    n.priority = MU_PRIORITY_HIGH;
    XT_CHECK(!mu_preempt(&p, f, &n, 2, 0)); /* only the background one is two below */
    mu_fleet_free(f);
}

/* One task on both devices is stopped once, and one that may not be stopped never. */
XT_TEST(a_victim_counts_once)
{
    struct mu_fleet *f = fleet_of(1, 2, 1, 100);
    struct mu_need n = need_of(2, 0);
    struct mu_preemption p;
    int run = start_low(f, 0, 2, MU_PRIORITY_LOW, 3);
    n.priority = MU_PRIORITY_CRITICAL;
    XT_CHECK(mu_preempt(&p, f, &n, 2, 0));
    XT_EQ(p.n, 1);
    XT_EQ(p.run[0], run);
    f->running[run].need.is_preemptible = false;
    XT_CHECK(!mu_preempt(&p, f, &n, 2, 0));
    mu_fleet_free(f);
}

/* ---- migration ---- */

/* Two tasks of 200 s share device 0; device 1 is empty. Staying: 400 s. Moving: a batch of 5 s at half speed, 20 s of
 * loading and 195 s: 225 s. With loading of 200 s it would gain 0 s, and stays. */
XT_TEST(migration_by_hand)
{
    struct mu_fleet *f = fleet_of(1, 2, 2, 100);
    struct mu_need n = need_of(1, -1);
    struct mu_migration m;
    n.weights = 0;
    n.run_s = 180;
    start_on(f, &n, 0, 0);
    start_on(f, &n, 0, 0);
    XT_CHECK(mu_migrate(&m, f, 0));
    XT_NEAR(m.stays_s, 400, 1e-9);
    XT_NEAR(m.moves_s, 225, 1e-9);
    XT_EQ(m.seats.device[0], 1);
    XT_EQ(m.from, 0);
    f->running[m.run].need.load_s = 200;
    XT_CHECK(!mu_migrate(&m, f, 0));
    mu_fleet_free(f);
}

/* ---- what holds of every strategy ---- */

/* The devices that can take a task of one, worked out from the books alone. */
static bool plain_fits(const struct mu_fleet *f, const struct mu_need *n, int device)
{
    const struct mu_fleet_device *d = &f->devices[device];
    int64_t used = 0;
    bool has_copy = false;
    if (!d->is_healthy || d->n_tasks >= d->tasks_max)
        return false;
    for (int i = 0; i < d->n_tasks; i++)
        used += f->running[d->tasks[i]].need.work;
    for (int i = 0; i < d->n_copies; i++) {
        const struct mu_copy *c = &f->copies[d->copies[i]];
        bool is_ours = c->model == n->model && c->n == 1;
        has_copy = has_copy || is_ours;
        used += c->users > 0 || is_ours ? c->weights : 0;
    }
    int64_t with_copy = used + n->work, fresh = n->work + n->weights;
    for (int i = 0; i < d->n_tasks; i++)
        fresh += f->running[d->tasks[i]].need.work;
    for (int i = 0; i < d->n_copies; i++)
        fresh += f->copies[d->copies[i]].users > 0 ? f->copies[d->copies[i]].weights : 0;
    return (has_copy && with_copy <= d->memory) || fresh <= d->memory;
}

static struct mu_need random_need(uint64_t *seed)
{
    static const int devices[] = {1, 1, 1, 1, 2, 4};
    int model = (int)(xt_rand(seed) % 12), n = devices[model % 6];
    struct mu_need need = need_of(n, model);
    need.weights = 10 + model * 4;
    need.work = 1 + (int64_t)(xt_rand(seed) % 20);
    need.run_s = 1 + (double)(xt_rand(seed) % 100);
    need.load_s = (double)need.weights;
    need.priority = (int)(xt_rand(seed) % MU_PRIORITY_N);
    need.may_span = xt_rand(seed) % 4 == 0;
    return need;
}

/* A choice is sound, the view is left as it was, and asking again gives the same. */
static bool check_choice(const struct mu_strategy_kind *k, const struct mu_fleet *f, const struct mu_need *n,
                         double now, struct mu_choice *c)
{
    struct mu_choice again;
    bool found = mu_choose(c, k, f, n, now), any = false;
    XT_EQ(mu_choose(&again, k, f, n, now), found);
    for (int i = 0; i < f->n_devices && n->devices == 1; i++)
        any = any || plain_fits(f, n, i);
    if (n->devices == 1)
        XT_CHECKF(any == found, "%s: %d where a plain look says %d", k->name, found, any);
    if (!found)
        return false;
    XT_EQ(memcmp(again.seats.device, c->seats.device, (size_t)c->seats.n * sizeof(int)), 0);
    XT_EQ(c->seats.n, n->devices);
    XT_CHECK(n->may_span || c->seats.nodes == 1);
    XT_CHECKF(c->visits <= 2 * f->n_devices * (n->may_span ? 2 : 1) + f->n_devices, "%d devices looked at", c->visits);
    if (n->devices == 1)
        XT_CHECK(plain_fits(f, n, c->seats.device[0]));
    return true;
}

static void random_fleet(const struct mu_strategy_kind *k, uint64_t seed)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_fleet *f = fleet_of(6, 8, 3, 150);
    int runs[200], n_runs = 0, started = 0;
    for (int step = 0; step < 3000; step++) {
        struct mu_need n = random_need(&seed);
        struct mu_choice c;
        uint64_t what = xt_rand(&seed) % 16;
        if (what < 9 && check_choice(k, f, &n, step, &c)) {
            XT_OK(mu_fleet_start(f, &n, &c.seats, 0, step, &runs[n_runs++], &err));
            started++;
        } else if (what < 15 && n_runs > 0) {
            int pick = (int)(xt_rand(&seed) % (uint64_t)n_runs);
            mu_fleet_end(f, runs[pick], step);
            runs[pick] = runs[--n_runs];
        } else if (what == 15) {
            int d = (int)(xt_rand(&seed) % 48);
            if (f->devices[d].n_tasks == 0)
                XT_OK(mu_fleet_set_healthy(f, d, !f->devices[d].is_healthy, step, &err));
        }
        XT_OK(mu_fleet_check(f, &err));
    }
    XT_CHECK(started > 500);
    mu_fleet_free(f);
}

XT_TEST(random_fleets_stay_in_their_bounds)
{
    for (int k = 0; mu_strategies[k]; k++)
        for (uint64_t seed = 1; seed <= 4; seed++)
            random_fleet(mu_strategies[k], seed);
}

XT_TEST(strategies_by_name)
{
    struct mu_err err = MU_ERR_INIT;
    const struct mu_strategy_kind *k;
    XT_OK(mu_strategy_kind_find(&k, "memory-aware", &err));
    XT_CHECK(k == &mu_memory_aware);
    XT_FAILS(mu_strategy_kind_find(&k, "balance", &err), MU_EINVAL, "did you mean \"balanced\"?");
}

static int open_fails(void *arg, struct mu_err *e)
{
    struct mu_fleet_device d[3] = {{.tasks_max = 1, .memory = 1, .speed = 1},
                                   {.tasks_max = 1, .memory = 1, .speed = 1},
                                   {.node = 1, .tasks_max = 1, .memory = 1, .speed = 1}};
    struct mu_fleet *f;
    (void)arg;
    int rc = mu_fleet_open(&f, d, 3, 2, e);
    if (rc == MU_OK)
        mu_fleet_free(f);
    return rc;
}

XT_TEST(no_memory_is_an_error)
{
    xt_each_alloc_fails(open_fails, NULL);
}

XT_MAIN()
