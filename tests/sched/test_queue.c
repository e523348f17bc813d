/* test_queue.c - whose turn it is, against cases worked out by hand, a plain list, and bounds that are counted */
#include "xt.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/queue.h"

static struct mu_queue *queue_of(int tasks, int campaigns, double age_s)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue *q;
    XT_OK(mu_queue_open(&q, &(struct mu_queue_limits){tasks, 4 * tasks, campaigns, age_s}, &err));
    return q;
}

static int campaign(struct mu_queue *q, double weight)
{
    struct mu_err err = MU_ERR_INIT;
    int id;
    XT_OK(mu_queue_campaign(q, weight, &id, &err));
    return id;
}

static struct mu_queue_task task_of(int c, enum mu_priority p, double run_s)
{
    return (struct mu_queue_task){
        .campaign = c, .priority = p, .run_s = run_s, .devices = 1, .deadline_s = INFINITY, .ready_s = -INFINITY};
}

static int add_task(struct mu_queue *q, const struct mu_queue_task *t, double now_s)
{
    struct mu_err err = MU_ERR_INIT;
    int id;
    XT_OK(mu_queue_add(q, t, now_s, &id, &err));
    return id;
}

static int add(struct mu_queue *q, int c, enum mu_priority p, double now_s)
{
    struct mu_queue_task t = task_of(c, p, 10);
    return add_task(q, &t, now_s);
}

static int add_after(struct mu_queue *q, int c, int before, enum mu_queue_after policy)
{
    struct mu_queue_task t = task_of(c, MU_PRIORITY_NORMAL, 10);
    t.before = &before;
    t.n_before = 1;
    t.if_failed = policy;
    return add_task(q, &t, 0);
}

/* Take and start; -1: none is ready. */
static int next(struct mu_queue *q, double now_s)
{
    enum mu_priority level;
    int id;
    if (!mu_queue_take(q, now_s, &id, &level))
        return -1;
    mu_queue_start(q, id, now_s);
    return id;
}

/* ---- order ---- */

XT_TEST(priorities_then_time)
{
    struct mu_queue *q = queue_of(10, 1, 900);
    int c = campaign(q, 1);
    int low = add(q, c, MU_PRIORITY_LOW, 0), normal = add(q, c, MU_PRIORITY_NORMAL, 1);
    int second = add(q, c, MU_PRIORITY_NORMAL, 2), critical = add(q, c, MU_PRIORITY_CRITICAL, 3);
    XT_EQ(next(q, 4), critical);
    XT_EQ(next(q, 4), normal);
    XT_EQ(next(q, 4), second);
    XT_EQ(next(q, 4), low);
    XT_EQ(next(q, 4), -1);
    mu_queue_free(q);
}

/* Ageing time 100 s: a background task that was added at 0 stands at low from 100, normal 200, high 300, critical 400.
 * From 300 on it goes before high tasks that came later, for of one campaign the one waiting longest is first. */
XT_TEST(ageing_by_hand)
{
    struct mu_queue *q = queue_of(10, 1, 100);
    int c = campaign(q, 1);
    int old = add(q, c, MU_PRIORITY_BACKGROUND, 0), low = add(q, c, MU_PRIORITY_LOW, 50);
    enum mu_priority level;
    int id;
    XT_CHECK(mu_queue_take(q, 99, &id, &level));
    XT_EQ(id, low);
    XT_EQ(level, MU_PRIORITY_LOW);
    mu_queue_put_back(q, id);
    XT_CHECK(mu_queue_take(q, 100, &id, &level)); /* both stand at low now; old waits longer */
    XT_EQ(id, old);
    XT_EQ(level, MU_PRIORITY_LOW);
    mu_queue_put_back(q, id);
    add(q, c, MU_PRIORITY_HIGH, 290);
    XT_CHECK(mu_queue_take(q, 299, &id, &level)); /* old stands at normal, low, which waits since 50, at high */
    XT_EQ(id, low);
    XT_EQ(level, MU_PRIORITY_HIGH);
    mu_queue_put_back(q, id);
    XT_CHECK(mu_queue_take(q, 300, &id, &level));
    XT_EQ(id, old);
    XT_EQ(level, MU_PRIORITY_HIGH);
    mu_queue_free(q);
}

/* A line that was served falls back: the second background task does not ride on the age of the first. */
XT_TEST(a_served_line_falls_back)
{
    struct mu_queue *q = queue_of(10, 1, 100);
    int c = campaign(q, 1);
    int first = add(q, c, MU_PRIORITY_BACKGROUND, 0), second = add(q, c, MU_PRIORITY_BACKGROUND, 0);
    int high = add(q, c, MU_PRIORITY_HIGH, 390), other = add(q, c, MU_PRIORITY_HIGH, 390);
    XT_EQ(next(q, 400), first);
    XT_EQ(next(q, 400), high);
    XT_EQ(next(q, 401), other);
    XT_EQ(next(q, 401), second);
    mu_queue_free(q);
}

/* One critical task always waits, one starts every second for hours: ten background tasks get through, each within
 * 4 ageing times of the last and the 4 turns that the other campaign's weight gives it. */
XT_TEST(none_starves_behind_a_stream)
{
    struct mu_queue *q = queue_of(100, 2, 60);
    struct mu_err err = MU_ERR_INIT;
    int rich = campaign(q, 4), poor = campaign(q, 1), got = 0, last = 0;
    for (int i = 0; i < 10; i++)
        add(q, poor, MU_PRIORITY_BACKGROUND, 0);
    add(q, rich, MU_PRIORITY_CRITICAL, 0);
    for (int now = 0; now < 4000 && got < 10; now++) {
        add(q, rich, MU_PRIORITY_CRITICAL, now);
        int id = next(q, now);
        if (mu_queue_campaign_of(q, id) == poor) {
            XT_CHECKF(now - last <= 4 * 60 + 5, "waited from %d to %d", last, now);
            last = now;
            got++;
        }
        mu_queue_end(q, id, true, now);
        XT_OK(mu_queue_forget(q, id, &err));
    }
    XT_EQ(got, 10);
    mu_queue_free(q);
}

/* Weights 3 and 1, equal tasks: of any 4 in a row 3 are of the first, give or take one. Tasks of 40 s count as four
 * of 10. */
XT_TEST(shares_by_weight_and_seconds)
{
    struct mu_queue *q = queue_of(1000, 2, 1e6);
    int a = campaign(q, 3), b = campaign(q, 1), n[2] = {0};
    double seconds[2] = {0};
    for (int i = 0; i < 400; i++) {
        struct mu_queue_task t = task_of(a, MU_PRIORITY_NORMAL, 10), u = task_of(b, MU_PRIORITY_NORMAL, 40);
        add_task(q, &t, 0);
        if (i < 100)
            add_task(q, &u, 0);
    }
    for (int i = 0; i < 260; i++) {
        int c = mu_queue_campaign_of(q, next(q, i));
        n[c]++;
        seconds[c] += c == a ? 10 : 40;
        /* what each has had over its weight differs by one stride of either at most: 40 / 1 */
        XT_CHECKF(fabs(seconds[0] / 3 - seconds[1]) <= 40 + 1e-9, "after %d: %g and %g", i, seconds[0], seconds[1]);
    }
    XT_NEAR((double)n[0] / n[1], 12, 1.0); /* 3 times the seconds in tasks of a quarter */
    mu_queue_free(q);
}

/* A campaign that comes late starts level with the others: it is not owed the time it was not there. */
XT_TEST(a_late_campaign_gets_its_share_and_no_more)
{
    struct mu_queue *q = queue_of(1000, 2, 1e6);
    int a = campaign(q, 1), b = campaign(q, 1), n[2] = {0};
    for (int i = 0; i < 400; i++)
        add(q, a, MU_PRIORITY_NORMAL, 0);
    for (int i = 0; i < 200; i++)
        next(q, i);
    for (int i = 0; i < 200; i++)
        add(q, b, MU_PRIORITY_NORMAL, 200);
    for (int i = 0; i < 100; i++)
        n[mu_queue_campaign_of(q, next(q, 200))]++;
    XT_CHECKF(n[b] >= 49 && n[b] <= 52, "%d of 100", n[b]);
    mu_queue_free(q);
}

/* The same for one that higher priorities went before. */
XT_TEST(an_outranked_campaign_saves_up_no_claim)
{
    struct mu_queue *q = queue_of(1000, 2, 1e6);
    int a = campaign(q, 1), b = campaign(q, 1), n[2] = {0};
    for (int i = 0; i < 200; i++) {
        add(q, b, MU_PRIORITY_NORMAL, 0);
        add(q, a, MU_PRIORITY_HIGH, 0);
        add(q, a, MU_PRIORITY_NORMAL, 0);
    }
    for (int i = 0; i < 200; i++)
        XT_EQ(mu_queue_campaign_of(q, next(q, i)), a);
    for (int i = 0; i < 100; i++)
        n[mu_queue_campaign_of(q, next(q, 200))]++;
    XT_CHECKF(n[b] >= 49 && n[b] <= 52, "%d of 100", n[b]);
    mu_queue_free(q);
}

/* Looking at tasks and putting them back changes nothing, in whatever order. */
XT_TEST(put_back_is_as_if_never_taken)
{
    enum mu_priority level;
    int order[2][60], held[20];
    for (int pass = 0; pass < 2; pass++) {
        struct mu_queue *q = queue_of(100, 3, 50);
        uint64_t seed = 5;
        for (int c = 0; c < 3; c++)
            campaign(q, c + 1);
        for (int i = 0; i < 60; i++)
            add(q, (int)(xt_rand(&seed) % 3), (enum mu_priority)(xt_rand(&seed) % MU_PRIORITY_N), i);
        for (int i = 0; i < 60; i++) {
            int n = 0;
            while (pass == 1 && n < 20 && mu_queue_take(q, 60 + i, &held[n], &level))
                n++;
            for (int k = 0; k < n; k++)
                mu_queue_put_back(q, held[k]);
            order[pass][i] = next(q, 60 + i);
        }
        mu_queue_free(q);
    }
    XT_CHECK(memcmp(order[0], order[1], sizeof order[0]) == 0);
}

/* ---- times ---- */

XT_TEST(retries_come_back_at_their_time)
{
    struct mu_queue *q = queue_of(10, 1, 900);
    int c = campaign(q, 1), id = add(q, c, MU_PRIORITY_NORMAL, 0);
    XT_EQ(next(q, 1), id);
    mu_queue_again(q, id, 10, 31, 1);
    XT_EQ(mu_queue_state(q, id), MU_QUEUE_WAITING);
    XT_NEAR(mu_queue_next_time(q), 31, 0);
    XT_EQ(next(q, 30.9), -1);
    XT_EQ(next(q, 31), id);
    XT_EQ(mu_queue_tries(q, id), 2);
    mu_queue_free(q);
}

/* Due at 100 with 20 s to run: critical from 60 on. */
XT_TEST(a_near_deadline_makes_critical)
{
    struct mu_queue *q = queue_of(10, 1, 1e6);
    int c = campaign(q, 1);
    struct mu_queue_task t = task_of(c, MU_PRIORITY_BACKGROUND, 20);
    t.deadline_s = 100;
    int late = add_task(q, &t, 0), a = add(q, c, MU_PRIORITY_HIGH, 0), b = add(q, c, MU_PRIORITY_HIGH, 0);
    XT_EQ(next(q, 59.9), a);
    XT_EQ(next(q, 60), late);
    XT_EQ(next(q, 60), b);
    mu_queue_free(q);
}

/* Stopped after half: back to its old place, its campaign has paid for the half. */
XT_TEST(a_stopped_task_keeps_its_place)
{
    struct mu_queue *q = queue_of(10, 2, 1e6);
    int a = campaign(q, 1), b = campaign(q, 1);
    int first = add(q, a, MU_PRIORITY_NORMAL, 0), second = add(q, a, MU_PRIORITY_NORMAL, 1);
    int other = add(q, b, MU_PRIORITY_NORMAL, 2);
    XT_EQ(next(q, 3), first); /* a has had 10 s */
    mu_queue_again(q, first, 6, -INFINITY, 7);
    XT_EQ(next(q, 7), other); /* a has had 4 s, b none */
    XT_EQ(next(q, 7), first); /* before second */
    XT_EQ(next(q, 7), second);
    mu_queue_free(q);
}

/* ---- dependencies ---- */

XT_TEST(tasks_wait_for_those_before)
{
    struct mu_queue *q = queue_of(10, 1, 900);
    int c = campaign(q, 1), both[2] = {add(q, c, MU_PRIORITY_NORMAL, 0), add(q, c, MU_PRIORITY_NORMAL, 0)};
    struct mu_queue_task t = task_of(c, MU_PRIORITY_CRITICAL, 1);
    t.before = both;
    t.n_before = 2;
    int last = add_task(q, &t, 0);
    XT_EQ(mu_queue_state(q, last), MU_QUEUE_BLOCKED);
    XT_EQ(next(q, 0), both[0]);
    XT_EQ(next(q, 0), both[1]);
    mu_queue_end(q, both[1], true, 5);
    XT_EQ(next(q, 5), -1);
    mu_queue_end(q, both[0], true, 6);
    XT_EQ(next(q, 6), last);
    int late = add_after(q, c, both[0], MU_AFTER_SKIP); /* what has ended well holds nobody up */
    XT_EQ(mu_queue_state(q, late), MU_QUEUE_READY);
    mu_queue_free(q);
}

XT_TEST(failures_reach_dependents_by_policy)
{
    struct mu_queue *q = queue_of(20, 1, 900);
    int c = campaign(q, 1), root = add(q, c, MU_PRIORITY_NORMAL, 0), id;
    int skip = add_after(q, c, root, MU_AFTER_SKIP), fail = add_after(q, c, root, MU_AFTER_FAIL);
    int anyway = add_after(q, c, root, MU_AFTER_ANYWAY), deep = add_after(q, c, skip, MU_AFTER_FAIL);
    int deeper = add_after(q, c, deep, MU_AFTER_ANYWAY);
    XT_EQ(next(q, 0), root);
    mu_queue_end(q, root, false, 1);
    XT_EQ(mu_queue_state(q, skip), MU_QUEUE_SKIPPED);
    XT_EQ(mu_queue_state(q, fail), MU_QUEUE_FAILED);
    XT_EQ(mu_queue_state(q, anyway), MU_QUEUE_READY);
    XT_EQ(mu_queue_state(q, deep), MU_QUEUE_FAILED);
    XT_EQ(mu_queue_state(q, deeper), MU_QUEUE_READY);
    int told = 0;
    while (mu_queue_next_ended(q, &id))
        told |= 1 << id;
    XT_EQ(told, 1 << skip | 1 << fail | 1 << deep);
    int late = add_after(q, c, root, MU_AFTER_SKIP); /* added behind a failure */
    XT_EQ(mu_queue_state(q, late), MU_QUEUE_SKIPPED);
    XT_CHECK(mu_queue_next_ended(q, &id) && id == late);
    mu_queue_free(q);
}

/* A chain of 100,000: its end is told without recursion. */
XT_TEST(a_long_chain_ends)
{
    enum { N = 100000 };
    struct mu_queue *q = queue_of(N, 1, 900);
    int c = campaign(q, 1), first = add(q, c, MU_PRIORITY_NORMAL, 0), last = first, n = 0, id;
    for (int i = 1; i < N; i++)
        last = add_after(q, c, last, MU_AFTER_SKIP);
    XT_EQ(next(q, 0), first);
    mu_queue_end(q, first, false, 0);
    for (; mu_queue_next_ended(q, &id); n++)
        XT_CHECK(mu_queue_state(q, id) == MU_QUEUE_SKIPPED);
    XT_EQ(n, N - 1);
    mu_queue_free(q);
}

/* ---- cancelling and changing ---- */

XT_TEST(cancel_and_re_prioritise)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue *q = queue_of(10, 1, 900);
    int c = campaign(q, 1), a = add(q, c, MU_PRIORITY_NORMAL, 0), b = add(q, c, MU_PRIORITY_NORMAL, 0);
    int low = add(q, c, MU_PRIORITY_LOW, 0), after = add_after(q, c, a, MU_AFTER_SKIP);
    XT_OK(mu_queue_set_priority(q, low, MU_PRIORITY_HIGH, 1, &err));
    XT_OK(mu_queue_cancel(q, a, 1, &err));
    XT_EQ(mu_queue_state(q, after), MU_QUEUE_SKIPPED);
    XT_EQ(next(q, 1), low);
    XT_EQ(next(q, 1), b);
    XT_EQ(next(q, 1), -1);
    XT_OK(mu_queue_cancel(q, b, 2, &err)); /* a running one */
    XT_FAILS(mu_queue_cancel(q, b, 2, &err), MU_EINVAL, "cancelled already");
    XT_FAILS(mu_queue_set_priority(q, b, MU_PRIORITY_LOW, 2, &err), MU_EINVAL, "cancelled already");
    XT_FAILS(mu_queue_forget(q, low, &err), MU_EINVAL, "running");
    XT_FAILS(mu_queue_forget(q, after, &err), MU_EINVAL, "not asked for");
    XT_OK(mu_queue_forget(q, a, &err));
    XT_EQ(mu_queue_state(q, a), MU_QUEUE_FREE);
    mu_queue_free(q);
}

XT_TEST(paused_campaigns_wait)
{
    struct mu_queue *q = queue_of(10, 2, 900);
    int a = campaign(q, 1), b = campaign(q, 1);
    int x = add(q, a, MU_PRIORITY_CRITICAL, 0), y = add(q, b, MU_PRIORITY_LOW, 0);
    mu_queue_pause(q, a, true);
    XT_EQ(next(q, 0), y);
    XT_EQ(next(q, 0), -1);
    mu_queue_pause(q, a, false);
    XT_EQ(next(q, 0), x);
    mu_queue_free(q);
}

XT_TEST(bounds_are_said)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue *q;
    int id;
    XT_FAILS(mu_queue_open(&q, &(struct mu_queue_limits){0, 1, 1, 1}, &err), MU_ELIMIT, "0 tasks");
    XT_FAILS(mu_queue_open(&q, &(struct mu_queue_limits){1, 1, 1, 0}, &err), MU_EINVAL, "ageing");
    q = queue_of(1, 1, 900);
    int c = campaign(q, 1);
    XT_FAILS(mu_queue_campaign(q, 1, &id, &err), MU_ELIMIT, "at most 1");
    XT_FAILS(mu_queue_set_weight(q, c, 0, &err), MU_EINVAL, "weight");
    struct mu_queue_task t = task_of(c, MU_PRIORITY_NORMAL, NAN), ok = task_of(c, MU_PRIORITY_NORMAL, 1);
    XT_FAILS(mu_queue_add(q, &t, 0, &id, &err), MU_EINVAL, "nan s");
    add_task(q, &ok, 0);
    XT_FAILS(mu_queue_add(q, &ok, 0, &id, &err), MU_ELIMIT, "at most 1 tasks");
    mu_queue_free(q);
    q = queue_of(2, 1, 900);
    campaign(q, 1);
    int none = 1;
    ok.before = &none;
    ok.n_before = 1;
    XT_FAILS(mu_queue_add(q, &ok, 0, &id, &err), MU_EINVAL, "after task 1, which is not in the queue");
    XT_EQ(mu_queue_count(q, MU_QUEUE_FREE), 2);
    mu_queue_free(q);
}

static int open_fails(void *arg, struct mu_err *e)
{
    struct mu_queue *q;
    (void)arg;
    int rc = mu_queue_open(&q, &(struct mu_queue_limits){100, 100, 2, 900}, e);
    if (rc == MU_OK)
        mu_queue_free(q);
    return rc;
}

XT_TEST(no_memory_is_an_error)
{
    xt_each_alloc_fails(open_fails, NULL);
}

/* ---- against a plain list ---- */

struct plain {
    int n;
    struct {
        bool is_ready;
        int priority;
        double ready_s;
    } at[400];
};

/* One campaign and no ageing: the least priority, then time, then number. */
static int plain_next(const struct plain *p)
{
    int best = -1;
    for (int i = 0; i < p->n; i++) {
        if (!p->at[i].is_ready)
            continue;
        if (best < 0 || p->at[i].priority < p->at[best].priority ||
            (p->at[i].priority == p->at[best].priority && p->at[i].ready_s < p->at[best].ready_s))
            best = i;
    }
    return best;
}

XT_TEST(random_calls_as_a_plain_list)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue *q = queue_of(400, 1, 1e9);
    struct plain p = {0};
    uint64_t seed = 11;
    campaign(q, 1);
    for (int step = 0; step < 4000; step++) {
        double now = step;
        int what = (int)(xt_rand(&seed) % 8), pick = p.n > 0 ? (int)(xt_rand(&seed) % (uint64_t)p.n) : 0;
        enum mu_priority pr = (enum mu_priority)(xt_rand(&seed) % MU_PRIORITY_N);
        if (what < 3 && p.n < 400) {
            XT_EQ(add(q, 0, pr, now), p.n);
            p.at[p.n].is_ready = true, p.at[p.n].priority = (int)pr, p.at[p.n++].ready_s = now;
        } else if (what < 5) {
            int want = plain_next(&p), got = next(q, now);
            XT_EQ(got, want);
            if (want >= 0)
                p.at[want].is_ready = false;
        } else if (what == 5 && p.n > 0 && p.at[pick].is_ready) {
            XT_OK(mu_queue_cancel(q, pick, now, &err));
            p.at[pick].is_ready = false;
        } else if (what == 6 && p.n > 0 && p.at[pick].is_ready) {
            XT_OK(mu_queue_set_priority(q, pick, pr, now, &err));
            p.at[pick].priority = (int)pr;
        } else if (what == 7 && mu_queue_state(q, pick) == MU_QUEUE_RUNNING) {
            mu_queue_again(q, pick, 10, now, now);
            p.at[pick].is_ready = true, p.at[pick].ready_s = now;
        }
    }
    mu_queue_free(q);
}

/* ---- bounds ---- */

/* Nodes looked at in one call on a queue of n: 6 log2(n) of heaps and a few lines. */
XT_TEST(calls_cost_log_n)
{
    enum { N = 100000 };
    struct mu_err err = MU_ERR_INIT;
    struct mu_queue *q = queue_of(N, 3, 900);
    uint64_t seed = 3, worst[5] = {0}, before;
    double bound = 6 * log2(N) + 15;
    for (int c = 0; c < 3; c++)
        campaign(q, 1);
    for (int i = 0; i < N; i++) {
        struct mu_queue_task t = task_of((int)(xt_rand(&seed) % 3), (enum mu_priority)(xt_rand(&seed) % 5), 1 + i % 7);
        t.deadline_s = i % 2 ? 1e9 - i : INFINITY;
        before = mu_queue_visits(q);
        add_task(q, &t, (double)(xt_rand(&seed) % 1000));
        worst[0] = MU_MAX(worst[0], mu_queue_visits(q) - before);
    }
    for (int i = 0; i < 20000; i++) {
        int pick = (int)(xt_rand(&seed) % N), id;
        enum mu_priority level;
        before = mu_queue_visits(q);
        XT_CHECK(mu_queue_take(q, 1000 + i, &id, &level));
        worst[1] = MU_MAX(worst[1], mu_queue_visits(q) - before);
        before = mu_queue_visits(q);
        mu_queue_put_back(q, id);
        worst[2] = MU_MAX(worst[2], mu_queue_visits(q) - before);
        before = mu_queue_visits(q);
        if (mu_queue_state(q, pick) == MU_QUEUE_READY)
            XT_OK(i % 2 ? mu_queue_cancel(q, pick, 1000 + i, &err)
                        : mu_queue_set_priority(q, pick, (enum mu_priority)(xt_rand(&seed) % 5), 1000 + i, &err));
        worst[3] = MU_MAX(worst[3], mu_queue_visits(q) - before);
    }
    for (int i = 0; i < 4; i++)
        XT_CHECKF((double)worst[i] <= bound, "kind %d looked at %llu, bound %g", i, (unsigned long long)worst[i],
                  bound);
    xt_note("of 100000 tasks at most %llu are looked at to add, %llu to take, %llu to put back, %llu to cancel or move",
            (unsigned long long)worst[0], (unsigned long long)worst[1], (unsigned long long)worst[2],
            (unsigned long long)worst[3]);
    mu_queue_free(q);
}

/* After open nothing is allocated. */
XT_TEST(nothing_is_allocated_after_open)
{
    struct mu_queue *q = queue_of(1000, 1, 900);
    int c = campaign(q, 1);
    uint64_t before = mu_mem_allocs();
    for (int i = 0; i < 500; i++)
        add_after(q, c, add(q, c, MU_PRIORITY_NORMAL, i), MU_AFTER_SKIP);
    for (int i = 0, id; (id = next(q, 1000)) >= 0; i++)
        mu_queue_end(q, id, true, 1000 + i);
    XT_EQ(mu_queue_count(q, MU_QUEUE_DONE), 1000);
    XT_EQ(mu_mem_allocs(), before);
    mu_queue_free(q);
}

XT_MAIN()
