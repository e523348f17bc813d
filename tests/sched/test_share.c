/* test_share.c - what is due to campaigns that share devices: the rule by itself, and played over hours */
#include "sched/share.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "xt.h"

/* ---- one look ---- */

static struct mu_share_member wants(double weight, int held, int want)
{
    return (struct mu_share_member){
        .weight = weight, .held = held, .busy = MU_MIN(held, want), .want = want, .narrow = 1, .has_waited = true};
}

static struct mu_share_due decide(const struct mu_share_member *m, int n, int self, int n_devices)
{
    struct mu_share_due d;
    mu_share_decide(&d, m, n, self, n_devices);
    return d;
}

XT_TEST(who_is_alone_has_all_that_it_wants)
{
    struct mu_share_member m[] = {wants(1, 0, 3)};
    XT_EQ(decide(m, 1, 0, 4).take, 3);
    m[0] = wants(1, 0, 9);
    XT_EQ(decide(m, 1, 0, 4).take, 4);
}

XT_TEST(shares_go_by_weight_and_what_one_does_not_want_to_the_rest)
{
    const struct mu_share_member m[] = {wants(1, 0, 12), wants(2, 0, 12), wants(1, 0, 12), wants(4, 0, 1)};
    const int due[] = {3, 5, 3, 1}; /* 12 devices: 1, then 11 as 2.75, 5.5, 2.75 with the odd ones to the first two */
    int sum = 0;
    XT_EQ(decide(m, 3, 0, 12).due, 3); /* without the last: 3, 6, 3 */
    XT_EQ(decide(m, 3, 1, 12).due, 6);
    for (int i = 0; i < 4; i++)
        sum += decide(m, 4, i, 12).due;
    XT_EQ(sum, 12);
    for (int i = 0; i < 4; i++)
        XT_CHECKF(abs(decide(m, 4, i, 12).due - due[i]) <= 1, "%d: %d", i, decide(m, 4, i, 12).due);
    XT_EQ(decide(m, 4, 3, 12).due, 1);
}

XT_TEST(who_wants_nothing_gets_nothing_and_gives_when_asked)
{
    struct mu_share_member m[] = {wants(1, 2, 0), wants(1, 0, 0)};
    XT_EQ(decide(m, 2, 1, 2).take, 0);
    XT_EQ(decide(m, 2, 0, 2).give, 0); /* it keeps what nobody wants: its models stay loaded */
    m[1].want = 1;
    XT_EQ(decide(m, 2, 0, 2).give, 1);
    XT_EQ(decide(m, 2, 1, 2).due, 1);
    XT_EQ(decide(m, 2, 1, 2).take, 0); /* none is free yet */
}

XT_TEST(nobody_gives_more_than_is_lacking)
{
    struct mu_share_member m[] = {wants(1, 4, 8), wants(1, 0, 1)};
    struct mu_share_due d = decide(m, 2, 0, 4);
    XT_EQ(d.give, 1);
    XT_CHECK(d.is_pressed); /* the other has nothing */
    m[1] = wants(1, 1, 2);
    m[0] = wants(1, 3, 8);
    d = decide(m, 2, 0, 4);
    XT_EQ(d.give, 1);
    XT_CHECK(!d.is_pressed); /* it has half */
}

XT_TEST(the_odd_device_stays_until_its_holder_is_a_lag_ahead)
{
    struct mu_share_member m[] = {wants(1, 2, 9), wants(1, 1, 9)}; /* a lag: 60 s of 3 devices over weights of 2 */
    m[0].pass_s = 80;
    XT_EQ(decide(m, 2, 0, 3).due, 2);
    XT_EQ(decide(m, 2, 1, 3).due, 1);
    m[0].pass_s = 91;
    XT_EQ(decide(m, 2, 0, 3).due, 1);
    XT_EQ(decide(m, 2, 0, 3).give, 1);
    XT_EQ(decide(m, 2, 1, 3).due, 2);
}

XT_TEST(who_owes_counts_half_until_it_has_paid)
{
    struct mu_share_member m[] = {wants(1, 3, 9), wants(1, 3, 9)};
    m[0].pass_s = 1000;
    XT_CHECK(decide(m, 2, 0, 6).owes);
    XT_CHECK(!decide(m, 2, 1, 6).owes);
    m[0].owes = true;
    XT_EQ(decide(m, 2, 0, 6).due, 2);
    XT_EQ(decide(m, 2, 1, 6).due, 4);
    m[1].pass_s = 990; /* within a lag: not paid yet */
    XT_CHECK(decide(m, 2, 0, 6).owes);
    m[1].pass_s = 1000;
    XT_CHECK(!decide(m, 2, 0, 6).owes);
}

XT_TEST(who_had_nothing_waiting_saves_up_no_claim)
{
    struct mu_share_member m[] = {wants(1, 1, 1), wants(1, 3, 9)};
    m[1].pass_s = 5000;
    m[0].has_waited = false;
    XT_NEAR(decide(m, 2, 0, 4).pass_s, 5000, 0);
    m[0].has_waited = true;
    XT_NEAR(decide(m, 2, 0, 4).pass_s, 0, 0);
}

/* Two devices for a task of two: half a share is of no use to it. */
XT_TEST(what_one_can_do_nothing_with_goes_to_others)
{
    struct mu_share_member m[] = {wants(1, 2, 9), wants(1, 0, 2)};
    m[1].narrow = m[1].wide = 2;
    m[1].owes = true; /* so it has no turn either */
    m[1].pass_s = 1;
    XT_EQ(decide(m, 2, 1, 2).due, 0);
    XT_EQ(decide(m, 2, 0, 2).due, 2);
}

XT_TEST(one_turn_at_a_time_for_who_had_least)
{
    struct mu_share_member m[] = {wants(1, 4, 9), wants(1, 0, 4), wants(1, 0, 4)};
    m[1].narrow = m[1].wide = m[2].narrow = m[2].wide = 4;
    m[0].pass_s = m[1].pass_s = 10;
    XT_CHECK(!decide(m, 3, 1, 4).has_turn); /* the other had less */
    XT_CHECK(decide(m, 3, 2, 4).has_turn);
    m[2].has_turn = true;
    XT_EQ(decide(m, 3, 2, 4).due, 4);
    XT_EQ(decide(m, 3, 1, 4).due, 0);
    XT_EQ(decide(m, 3, 0, 4).give, 4);
    m[1].pass_s = 0;
    XT_CHECK(!decide(m, 3, 1, 4).has_turn);
}

/* ---- any members ---- */

static int next(uint64_t *r, int below)
{
    *r = *r * 6364136223846793005u + 1442695040888963407u;
    return (int)((*r >> 33) % (uint64_t)below);
}

static int make_any(struct mu_share_member *m, uint64_t *r, int n_devices, int narrow_most)
{
    int n = 1 + next(r, 8), left = n_devices;
    for (int i = 0; i < n; i++) {
        int held = next(r, left + 1), busy = held > 0 ? next(r, held + 1) : 0;
        m[i] = (struct mu_share_member){.weight = 0.1 * (1 + next(r, 50)),
                                        .held = held,
                                        .busy = busy,
                                        .narrow = next(r, narrow_most + 1),
                                        .pass_s = next(r, 1000),
                                        .owes = next(r, 4) == 0,
                                        .has_waited = next(r, 2) == 0};
        m[i].want = m[i].narrow > 0 ? MU_MIN(busy + m[i].narrow * next(r, 4), n_devices) : busy;
        m[i].wide = next(r, 3) == 0 ? next(r, n_devices + 1) : 0;
        m[i].has_turn = m[i].wide > 0 && next(r, 6) == 0;
        left -= held;
    }
    return n;
}

static int count_free(const struct mu_share_member *m, int n, int n_devices)
{
    for (int i = 0; i < n; i++)
        n_devices -= m[i].held;
    return n_devices;
}

XT_TEST(dues_add_up_whoever_decides)
{
    uint64_t r = 11;
    for (int round = 0; round < 20000; round++) {
        struct mu_share_member m[8];
        int n_devices = 1 + next(&r, 16), n = make_any(m, &r, n_devices, 1), due = 0, want = 0;
        int free = count_free(m, n, n_devices);
        bool has_turn = false;
        for (int i = 0; i < n; i++) {
            struct mu_share_due d = decide(m, n, i, n_devices);
            XT_CHECKF(d.due >= 0 && d.take >= 0 && d.take <= free && d.give >= 0 && d.give <= m[i].held &&
                          (!d.take || !d.give),
                      "round %d: due %d take %d give %d", round, d.due, d.take, d.give);
            has_turn |= d.has_turn;
            due += d.due;
            want += m[i].want;
        }
        XT_CHECKF(has_turn || due == MU_MIN(want, n_devices), "round %d: %d due, %d wanted, %d there", round, due, want,
                  n_devices);
    }
}

/* ---- hours of it ---- */

#define PLAYERS 4
#define RUNS    64

struct run {
    int width;
    double ends_s;
};

struct player {
    struct mu_share_member m;
    double task_s;          /* how long a task takes */
    int width;              /* of each task, */
    int every, every_width; /* but for each so many: that one's; 0: none */
    double from_s, to_s;    /* has tasks in that time */
    struct run run[RUNS];
    int n_runs, n_started, n_wide, closing;
    int64_t turn_task;
    double used_s, first_s, wide_wait_s, wide_since_s, wide_most_s;
};

struct world {
    struct player p[PLAYERS];
    int n, n_devices;
    double now_s, idle_s;
    int moves;
};

static int width_of(const struct player *p)
{
    return p->every > 0 && p->n_started % p->every == p->every - 1 ? p->every_width : p->width;
}

static bool has_tasks(const struct world *w, const struct player *p)
{
    return w->now_s >= p->from_s && w->now_s < p->to_s;
}

static void end_tasks(struct world *w, struct player *p)
{
    for (int i = 0; i < p->n_runs; i++)
        if (p->run[i].ends_s <= w->now_s) {
            p->m.busy -= p->run[i].width;
            p->run[i--] = p->run[--p->n_runs];
        }
}

static void start_tasks(struct world *w, struct player *p)
{
    while (has_tasks(w, p) && p->n_runs < RUNS) {
        int width = width_of(p);
        if (p->m.held - p->m.busy - p->closing < width)
            return;
        if (p->n_started == 0)
            p->first_s = w->now_s;
        if (p->every > 0 && width == p->every_width) {
            p->n_wide++;
            p->wide_most_s = fmax(p->wide_most_s, w->now_s - p->wide_since_s);
        }
        p->run[p->n_runs++] = (struct run){width, w->now_s + p->task_s * (0.7 + 0.1 * (p->n_started % 7))};
        p->m.busy += width;
        p->n_started++;
        p->wide_since_s = w->now_s;
    }
}

/* What a member does in a round: it starts what it can, looks (see mu_share_look), and starts what it can now. */
static void play_round(struct world *w, int self)
{
    struct mu_share_member all[PLAYERS];
    struct player *p = &w->p[self];
    struct mu_share_due d;
    bool waits = has_tasks(w, p);
    start_tasks(w, p);
    int width = width_of(p), idle = p->m.held - p->m.busy;
    p->m.want = waits ? w->n_devices : p->m.busy;
    p->m.narrow = waits ? width : 0;
    p->m.wide = waits && idle < width ? width : 0;
    p->m.has_turn = p->m.has_turn && p->m.wide > 0 && p->turn_task == p->n_started;
    p->m.pass_s += p->m.held / p->m.weight;
    p->used_s += p->m.held;
    for (int i = 0; i < w->n; i++)
        all[i] = w->p[i].m;
    mu_share_decide(&d, all, w->n, self, w->n_devices);
    int gives = MU_MIN(d.give, idle);
    w->moves += d.take + gives;
    p->turn_task = p->n_started;
    p->m.held += d.take - gives;
    p->m.pass_s = d.pass_s;
    p->m.owes = d.owes;
    p->m.has_turn = d.has_turn;
    p->m.has_waited = waits;
    p->closing = d.give - gives;
    start_tasks(w, p);
}

static void play(struct world *w, double seconds)
{
    for (double until = w->now_s + seconds; w->now_s < until; w->now_s++) {
        int held = 0, busy = 0;
        bool is_wanted = false;
        for (int i = 0; i < w->n; i++)
            end_tasks(w, &w->p[i]);
        for (int i = 0; i < w->n; i++)
            play_round(w, i);
        for (int i = 0; i < w->n; i++) {
            held += w->p[i].m.held;
            busy += w->p[i].m.busy;
            is_wanted |= has_tasks(w, &w->p[i]);
        }
        XT_CHECKF(held <= w->n_devices, "%d of %d devices held", held, w->n_devices);
        w->idle_s += is_wanted ? w->n_devices - busy : 0;
    }
}

static struct player player(double weight, double task_s, int width)
{
    return (struct player){.m = {.weight = weight}, .task_s = task_s, .width = width, .to_s = INFINITY};
}

#define HOUR 3600.0

static void converges(int n_devices, double a, double b, double task_s)
{
    struct world w = {.p = {player(a, task_s, 1), player(b, task_s * 1.3, 1)}, .n = 2, .n_devices = n_devices};
    play(&w, 4 * HOUR);
    double ratio = w.p[1].used_s / w.p[0].used_s;
    XT_CHECKF(fabs(ratio / (b / a) - 1) < 0.05, "%d devices, weights %g:%g, tasks of %g s: device-seconds %.3f",
              n_devices, a, b, task_s, ratio);
    XT_CHECKF(w.idle_s < 0.03 * 4 * HOUR * n_devices, "%d devices: idle for %.0f s of them", n_devices, w.idle_s);
}

XT_TEST(device_seconds_come_to_be_as_weights)
{
    const int devices[] = {1, 2, 3, 4, 8};
    for (size_t i = 0; i < MU_COUNT(devices); i++) {
        converges(devices[i], 1, 2, 20);
        converges(devices[i], 1, 1, 45);
        converges(devices[i], 3, 1, 90);
    }
}

XT_TEST(who_comes_late_gets_its_share_soon_and_no_more)
{
    struct world w = {.p = {player(1, 20, 1), player(1, 20, 1)}, .n = 2, .n_devices = 4};
    w.p[1].from_s = HOUR;
    play(&w, HOUR);
    XT_EQ(w.p[1].used_s, 0);
    XT_EQ(w.p[0].m.held, 4);
    play(&w, HOUR);
    XT_CHECKF(w.p[1].first_s < HOUR + 30, "first task %.0f s after it came", w.p[1].first_s - HOUR);
    XT_CHECKF(fabs(w.p[1].used_s / (2 * HOUR) - 1) < 0.05, "%.0f device-seconds in an hour", w.p[1].used_s);
}

/* One that wants a device only now and then leaves the rest alone, and has it soon. */
XT_TEST(what_nobody_wants_is_not_taken)
{
    struct world w = {.p = {player(1, 30, 1), player(5, 30, 1)}, .n = 2, .n_devices = 3};
    w.p[1].to_s = 0;
    play(&w, HOUR);
    XT_EQ(w.p[1].used_s, 0);
    XT_EQ(w.p[1].m.held, 0);
    XT_CHECK(w.p[0].used_s > 2.9 * HOUR);
}

XT_TEST(a_steady_load_holds_still)
{
    struct world w = {.p = {player(1, 20, 1), player(1, 33, 1)}, .n = 2, .n_devices = 4};
    play(&w, HOUR / 4);
    w.moves = 0;
    play(&w, 2 * HOUR);
    XT_EQ(w.moves, 0);
    struct world odd = {.p = {player(1, 20, 1), player(1, 33, 1)}, .n = 2, .n_devices = 3};
    play(&odd, 2 * HOUR);
    XT_CHECKF(odd.moves <= 4 + 2 * 2 * 60, "%d moves of the odd device in two hours", odd.moves);
    XT_CHECK(odd.moves >= 10);
}

/* Tasks of all devices beside one that fills every gap. */
XT_TEST(a_wide_task_does_not_starve)
{
    struct world w = {.p = {player(1, 20, 1), player(1, 60, 4)}, .n = 2, .n_devices = 4};
    w.p[1].every = 1;
    w.p[1].every_width = 4;
    play(&w, 4 * HOUR);
    double ratio = w.p[1].used_s / w.p[0].used_s;
    XT_CHECKF(w.p[1].first_s < 60, "first after %.0f s", w.p[1].first_s);
    XT_CHECKF(w.p[1].n_wide > 50, "%d wide tasks in four hours", w.p[1].n_wide);
    XT_CHECKF(w.p[1].wide_most_s < 600, "one waited for %.0f s", w.p[1].wide_most_s);
    XT_CHECKF(fabs(ratio - 1) < 0.15, "device-seconds of who has wide tasks: %.3f of the other's", ratio);
}

XT_TEST(wide_tasks_among_narrow_ones_have_their_turn)
{
    struct world w = {.p = {player(1, 20, 1), player(1, 20, 1), player(2, 40, 1)}, .n = 3, .n_devices = 4};
    w.p[1].every = 20;
    w.p[1].every_width = 4;
    play(&w, 4 * HOUR);
    XT_CHECKF(w.p[1].n_wide > 20, "%d wide tasks in four hours", w.p[1].n_wide);
    XT_CHECKF(w.p[1].wide_most_s < 900, "one waited for %.0f s", w.p[1].wide_most_s);
    XT_CHECKF(w.p[0].used_s > 2.5 * HOUR && w.p[2].used_s > 5 * HOUR, "%.0f and %.0f device-seconds of the others",
              w.p[0].used_s, w.p[2].used_s);
}

XT_TEST(two_with_wide_tasks_take_turns)
{
    struct world w = {.p = {player(1, 30, 4), player(1, 50, 4)}, .n = 2, .n_devices = 4};
    play(&w, 4 * HOUR);
    double ratio = w.p[1].used_s / w.p[0].used_s;
    XT_CHECKF(fabs(ratio - 1) < 0.1, "device-seconds %.3f", ratio);
    XT_CHECKF(w.idle_s < 0.1 * 16 * HOUR, "idle for %.0f s", w.idle_s);
}

XT_MAIN()
