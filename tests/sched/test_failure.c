/* test_failure.c - evidence to class, class and history to action, and who is guilty among many */
#include "sched/failure.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "xt.h"

#define SEC 1000000000ll

XT_TEST(words_lead_back_to_classes_and_actions)
{
    for (int f = 0; f < MU_FAILURES; f++)
        XT_EQ(mu_failure_find(mu_failure_name(f)), f);
    for (int a = 0; a < MU_ACTIONS; a++)
        XT_EQ(mu_action_find(mu_action_name(a)), a);
    XT_EQ(mu_failure_find("bad_luck"), -1);
    XT_EQ(mu_action_find("pray"), -1);
    XT_STREQ(mu_failure_name(MU_FAILURES), "?");
    XT_STREQ(mu_failure_name(-1), "?");
    XT_STREQ(mu_action_name(99), "?");
}

/* Status numbers are those of include/muster/err.h and of every manual page, written out: they are a promise. */
XT_TEST(evidence_tells_the_class)
{
    static const char silent[] = "rank 3 on node7 (process 4711) has been silent for 5.0 s: it was stopped, or the "
                                 "network to node7 is cut";
    static const char ended[] = "rank 3 on node7 (process 4711) ended";
    static const char gave_up[] = "rank 1 on node2 (process 12) gave up: the task holds a NaN";
    static const char memory[] = "rank 1 on node2 (process 12) gave up: out of memory: 8 bytes for a key";
    static const struct {
        struct mu_evidence ev;
        enum mu_failure want;
        const char *why;
    } cases[] = {
        {{0}, MU_FAILURE_NONE, "nothing tells"},
        {{.has_exit = true, .exit_status = 0}, MU_FAILURE_NONE, ""},
        {{.has_exit = true, .exit_status = 1}, MU_FAILURE_APPLICATION, "status 1"},
        {{.has_exit = true, .exit_status = 2}, MU_FAILURE_APPLICATION, ""},
        {{.has_exit = true, .exit_status = 3}, MU_FAILURE_APPLICATION, ""},
        {{.has_exit = true, .exit_status = 4}, MU_FAILURE_STORAGE, ""},
        {{.has_exit = true, .exit_status = 5}, MU_FAILURE_APPLICATION, ""},
        {{.has_exit = true, .exit_status = 7}, MU_FAILURE_MEMORY, ""},
        {{.has_exit = true, .exit_status = 9}, MU_FAILURE_STORAGE, ""},
        {{.has_exit = true, .exit_status = 11}, MU_FAILURE_APPLICATION, ""},
        {{.has_exit = true, .exit_status = 12}, MU_FAILURE_LINK, ""},
        {{.has_exit = true, .exit_status = 13}, MU_FAILURE_CANCELLED, ""},
        {{.has_exit = true, .exit_status = 13, .is_warned = true}, MU_FAILURE_WALLTIME, ""},
        {{.has_exit = true, .exit_status = 14}, MU_FAILURE_LINK, ""},
        {{.has_exit = true, .exit_status = 14, .sentence = ended}, MU_FAILURE_KILLED, "ended"},
        {{.has_exit = true, .exit_status = 14, .sentence = gave_up}, MU_FAILURE_APPLICATION, "NaN"},
        {{.has_exit = true, .exit_status = 14, .sentence = memory}, MU_FAILURE_MEMORY, "out of memory"},
        {{.has_exit = true, .exit_status = 14, .sentence = silent}, MU_FAILURE_PARTITION, "silent for"},
        {{.has_exit = true, .exit_status = 14, .sentence = silent, .is_peer_reachable = true}, MU_FAILURE_LINK, ""},
        {{.has_exit = true, .exit_status = 14, .sentence = silent, .is_node_down = true}, MU_FAILURE_NODE, "down"},
        {{.has_exit = true, .exit_status = 77}, MU_FAILURE_APPLICATION, "status 77"},
        {{.signal = SIGSEGV}, MU_FAILURE_APPLICATION, "signal 11"},
        {{.has_exit = true, .exit_status = 139}, MU_FAILURE_APPLICATION, "signal 11"},
        {{.signal = SIGKILL}, MU_FAILURE_KILLED, "signal 9"},
        {{.has_exit = true, .exit_status = 137}, MU_FAILURE_KILLED, "signal 9"},
        {{.signal = SIGKILL, .is_oom_killed = true}, MU_FAILURE_MEMORY, "the kernel"},
        {{.signal = SIGKILL, .is_asked = true}, MU_FAILURE_CANCELLED, "on request"},
        {{.signal = SIGTERM}, MU_FAILURE_KILLED, ""},
        {{.signal = SIGTERM, .job = "RUNNING"}, MU_FAILURE_PREEMPTION, ""},
        {{.signal = SIGTERM, .job = "RUNNING", .is_warned = true}, MU_FAILURE_WALLTIME, ""},
        {{.signal = SIGXCPU}, MU_FAILURE_WALLTIME, ""},
        {{.signal = SIGXFSZ}, MU_FAILURE_STORAGE, ""},
        {{.signal = SIGABRT, .device = "Xid 79: fallen off the bus"}, MU_FAILURE_DEVICE, "Xid 79"},
        {{.signal = SIGABRT, .device = "CUDA_ERROR_OUT_OF_MEMORY"}, MU_FAILURE_MEMORY, "CUDA_ERROR"},
        {{.signal = SIGKILL, .job = "TIMEOUT"}, MU_FAILURE_WALLTIME, "TIMEOUT"},
        {{.signal = SIGKILL, .job = "DEADLINE"}, MU_FAILURE_WALLTIME, ""},
        {{.signal = SIGKILL, .job = "NODE_FAIL"}, MU_FAILURE_NODE, ""},
        {{.signal = SIGKILL, .job = "BOOT_FAIL"}, MU_FAILURE_NODE, ""},
        {{.signal = SIGKILL, .job = "PREEMPTED"}, MU_FAILURE_PREEMPTION, ""},
        {{.signal = SIGKILL, .job = "OUT_OF_MEMORY"}, MU_FAILURE_MEMORY, ""},
        {{.signal = SIGKILL, .job = "CANCELLED by 1000"}, MU_FAILURE_CANCELLED, "by 1000"},
        {{.has_exit = true, .exit_status = 7, .job = "FAILED"}, MU_FAILURE_MEMORY, ""},
        {{.has_exit = true, .exit_status = 0, .job = "COMPLETED"}, MU_FAILURE_NONE, ""},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char why[MU_WHY_MAX];
        enum mu_failure f = mu_failure_classify(&cases[i].ev, why);
        XT_CHECKF(f == cases[i].want, "case %d is %s, not %s: %s", (int)i, mu_failure_name(f),
                  mu_failure_name(cases[i].want), why);
        XT_CHECKF(strstr(why, cases[i].why), "case %d: \"%s\" lacks \"%s\"", (int)i, why, cases[i].why);
        XT_EQ(mu_failure_classify(&cases[i].ev, NULL), f);
    }
}

/* ---- smaller ---- */

XT_TEST(steps_down_come_in_their_order_and_end)
{
    struct mu_room r = {.ranks = 4, .ranks_min = 3, .batch = 20, .batch_min = 4, .may_int8 = true};
    static const struct {
        enum mu_shrink step;
        int value;
    } want[] = {
        {MU_SHRINK_RANKS, 3}, {MU_SHRINK_INT8, 8}, {MU_SHRINK_BATCH, 10}, {MU_SHRINK_BATCH, 5}, {MU_SHRINK_BATCH, 4}};
    enum mu_shrink step;
    int32_t value;
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        XT_CHECK(mu_shrink_next(&r, MU_FAILURE_DEVICE, &step, &value));
        XT_STREQ(mu_shrink_name(step), mu_shrink_name(want[i].step));
        XT_EQ(value, want[i].value);
        r.ranks = step == MU_SHRINK_RANKS ? value : r.ranks;
        r.is_int8 = r.is_int8 || step == MU_SHRINK_INT8;
        r.batch = step == MU_SHRINK_BATCH ? value : r.batch;
    }
    XT_CHECK(!mu_shrink_next(&r, MU_FAILURE_DEVICE, &step, &value));
    /* Other numbers only where they are allowed; fewer ranks need more memory each. */
    r = (struct mu_room){.ranks = 4, .batch = 2, .batch_min = 2};
    XT_CHECK(!mu_shrink_next(&r, MU_FAILURE_MEMORY, &step, &value));
    r.may_int8 = true;
    XT_CHECK(mu_shrink_next(&r, MU_FAILURE_MEMORY, &step, &value) && step == MU_SHRINK_INT8);
    r.batch = 3;
    XT_CHECK(mu_shrink_next(&r, MU_FAILURE_MEMORY, &step, &value) && step == MU_SHRINK_BATCH && value == 2);
    r = (struct mu_room){.ranks = 1, .batch = 1};
    XT_CHECK(!mu_shrink_next(&r, MU_FAILURE_NODE, &step, &value));
}

/* ---- policy ---- */

static struct mu_action decide(const struct mu_tried *tried, int n, const struct mu_room *room)
{
    struct mu_policy p;
    struct mu_action a;
    uint64_t random = 1;
    mu_policy_default(&p);
    mu_policy_decide(&p, tried, n, room, &random, &a);
    XT_CHECKF(strstr(a.why, mu_failure_name(a.failure)) && strstr(a.why, mu_action_name(a.kind)), "%s", a.why);
    return a;
}

static struct mu_tried failed(enum mu_failure f)
{
    return (struct mu_tried){.failure = f, .device = -1};
}

XT_TEST(each_class_has_its_policy)
{
    static const struct {
        enum mu_failure failure;
        enum mu_action_kind first;
        int tries; /* from which on it is another: 0: never */
        enum mu_action_kind then;
    } want[] = {
        {MU_FAILURE_APPLICATION, MU_ACTION_RETRY, 2, MU_ACTION_GIVE_UP},
        {MU_FAILURE_KILLED, MU_ACTION_RETRY, 6, MU_ACTION_GIVE_UP},
        {MU_FAILURE_DEVICE, MU_ACTION_REPLAN, 12, MU_ACTION_GIVE_UP},
        {MU_FAILURE_LINK, MU_ACTION_RETRY, 3, MU_ACTION_REPLAN},
        {MU_FAILURE_NODE, MU_ACTION_REPLAN, 0, 0},
        {MU_FAILURE_PARTITION, MU_ACTION_REJOIN, 3, MU_ACTION_REPLAN},
        {MU_FAILURE_WALLTIME, MU_ACTION_RESUBMIT, 0, 0},
        {MU_FAILURE_PREEMPTION, MU_ACTION_RESUBMIT, 0, 0},
        {MU_FAILURE_STORAGE, MU_ACTION_RETRY, 8, MU_ACTION_GIVE_UP},
        {MU_FAILURE_CANCELLED, MU_ACTION_STOP, 0, 0},
    };
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        struct mu_tried tried[40];
        for (int n = 1; n <= 40; n++) {
            tried[n - 1] = failed(want[i].failure);
            struct mu_action a = decide(tried, n, NULL);
            enum mu_action_kind kind = want[i].tries && n >= want[i].tries ? want[i].then : want[i].first;
            if (want[i].failure == MU_FAILURE_LINK && n >= 12)
                kind = MU_ACTION_GIVE_UP; /* no task has more attempts */
            XT_CHECKF(a.kind == kind, "%s, %d times: %s", mu_failure_name(want[i].failure), n, a.why);
            XT_EQ(a.failure, want[i].failure);
        }
    }
}

XT_TEST(memory_makes_it_smaller_until_nothing_is_left)
{
    struct mu_tried tried[8];
    struct mu_room room = {.ranks = 4, .batch = 8, .batch_min = 2};
    int want[] = {4, 2, 0};
    for (int n = 1; n <= 3; n++) {
        tried[n - 1] = failed(MU_FAILURE_MEMORY);
        struct mu_action a = decide(tried, n, &room);
        if (n == 3) {
            XT_EQ(a.kind, MU_ACTION_GIVE_UP);
            XT_CHECKF(strstr(a.why, "cannot be made smaller"), "%s", a.why);
            break;
        }
        XT_EQ(a.kind, MU_ACTION_DEGRADE);
        XT_EQ(a.step, MU_SHRINK_BATCH);
        XT_EQ(a.value, want[n - 1]);
        room.batch = a.value;
    }
    XT_EQ(decide(tried, 1, NULL).kind, MU_ACTION_GIVE_UP);
}

XT_TEST(progress_and_what_was_taken_away_begin_the_count_anew)
{
    struct mu_tried tried[] = {failed(MU_FAILURE_APPLICATION), failed(MU_FAILURE_PREEMPTION),
                               failed(MU_FAILURE_APPLICATION)};
    XT_EQ(decide(tried, 3, NULL).kind, MU_ACTION_GIVE_UP); /* a preemption between them is no excuse */
    tried[2].has_progressed = true;
    XT_EQ(decide(tried, 3, NULL).kind, MU_ACTION_RETRY);
    tried[2].has_progressed = false;
    tried[1] = failed(MU_FAILURE_LINK); /* another failure is: the row is broken */
    XT_EQ(decide(tried, 3, NULL).kind, MU_ACTION_RETRY);
    struct mu_tried taken[30];
    for (int i = 0; i < 30; i++)
        taken[i] = failed(i % 2 ? MU_FAILURE_PREEMPTION : MU_FAILURE_WALLTIME);
    XT_EQ(decide(taken, 30, NULL).kind, MU_ACTION_RESUBMIT);
    taken[29] = failed(MU_FAILURE_KILLED);
    XT_EQ(decide(taken, 30, NULL).kind, MU_ACTION_RETRY);
}

XT_TEST(delays_double_within_their_bounds)
{
    struct mu_tried tried[7];
    int64_t whole[] = {10, 20, 40, 80, 160, 320, 600};
    for (int n = 1; n <= 7; n++) {
        tried[n - 1] = failed(MU_FAILURE_STORAGE);
        int64_t ns = decide(tried, n, NULL).delay_ns;
        XT_CHECKF(ns >= whole[n - 1] * SEC / 2 && ns <= whole[n - 1] * SEC, "wait %d is %lld ns", n, (long long)ns);
    }
    XT_EQ(decide(&(struct mu_tried){.failure = MU_FAILURE_DEVICE, .device = 1}, 1, NULL).delay_ns, 0);
}

XT_TEST(a_policy_is_overridden_by_writing_into_it)
{
    struct mu_policy p;
    struct mu_action a;
    uint64_t random = 1;
    struct mu_tried tried[] = {failed(MU_FAILURE_APPLICATION)};
    mu_policy_default(&p);
    p.rule[MU_FAILURE_APPLICATION].tries_max = 1;
    mu_policy_decide(&p, tried, 1, NULL, &random, &a);
    XT_EQ(a.kind, MU_ACTION_GIVE_UP);
    p.rule[MU_FAILURE_APPLICATION] = (struct mu_policy_rule){MU_ACTION_REPLAN, INT_MAX, MU_ACTION_REPLAN, {0, 0}};
    mu_policy_decide(&p, tried, 1, NULL, &random, &a);
    XT_EQ(a.kind, MU_ACTION_REPLAN);
}

/* ---- poison ---- */

XT_TEST(a_request_in_hand_at_two_deaths_is_suspected)
{
    static const int64_t first[] = {1, 5, 9}, second[] = {2, 5, 8}, other[] = {3, 4};
    struct mu_tried tried[] = {failed(MU_FAILURE_APPLICATION), failed(MU_FAILURE_MEMORY)};
    tried[0].in_hand = first, tried[0].n_in_hand = 3;
    tried[1].in_hand = second, tried[1].n_in_hand = 3;
    struct mu_action a = decide(tried, 2, NULL);
    XT_EQ(a.kind, MU_ACTION_ISOLATE);
    XT_EQ(a.failure, MU_FAILURE_POISON);
    tried[1].in_hand = other, tried[1].n_in_hand = 2;
    XT_EQ(decide(tried, 2, NULL).failure, MU_FAILURE_MEMORY);
    tried[1].in_hand = second, tried[1].n_in_hand = 3;
    /* Who kills from outside, or what takes the machine away, says nothing about requests. */
    static const enum mu_failure innocent[] = {MU_FAILURE_KILLED,    MU_FAILURE_LINK,     MU_FAILURE_NODE,
                                               MU_FAILURE_PARTITION, MU_FAILURE_WALLTIME, MU_FAILURE_PREEMPTION,
                                               MU_FAILURE_STORAGE};
    for (size_t i = 0; i < MU_COUNT(innocent); i++) {
        tried[1].failure = innocent[i];
        XT_EQ(decide(tried, 2, NULL).failure, innocent[i]);
    }
    /* Devices that break under it one after the other are its work; the same one twice is that one's. */
    tried[0].failure = tried[1].failure = MU_FAILURE_DEVICE;
    tried[0].device = tried[1].device = 3;
    XT_EQ(decide(tried, 2, NULL).kind, MU_ACTION_REPLAN);
    tried[1].device = 4;
    XT_EQ(decide(tried, 2, NULL).kind, MU_ACTION_ISOLATE);
}

XT_TEST(suspects_are_those_of_both_lists)
{
    static const int64_t a[] = {1, 2, 5, 7, 9}, b[] = {2, 3, 7, 9, 12};
    int64_t out[5];
    XT_EQ(mu_suspects_meet(a, 5, b, 5, out), 3);
    XT_CHECK(out[0] == 2 && out[1] == 7 && out[2] == 9);
    XT_EQ(mu_suspects_meet(a, 5, b, 0, out), 0);
}

/* Runs a plan against a world in which `guilty` kills; -1: nobody does. */
static int find_guilty(int n, int guilty, int *probes)
{
    struct mu_bisect b;
    int32_t lo, hi;
    mu_bisect_begin(&b, n);
    while (mu_bisect_probe(&b, &lo, &hi)) {
        XT_CHECKF(lo >= 0 && lo < hi && hi <= n, "a probe of [%d, %d) of %d", lo, hi, n);
        mu_bisect_told(&b, guilty >= lo && guilty < hi);
        XT_CHECK(b.probes < 100);
    }
    *probes = b.probes;
    return b.culprit;
}

XT_TEST(bisection_finds_every_culprit_in_few_probes_and_accuses_nobody_else)
{
    int probes;
    for (int n = 1; n <= 130; n++) {
        int most = 1;
        while (1 << (most - 1) < n)
            most++; /* log2 rounded up, and one */
        for (int guilty = -1; guilty < n; guilty++) {
            XT_EQ(find_guilty(n, guilty, &probes), guilty);
            XT_CHECKF(probes <= most, "%d of %d took %d probes", guilty, n, probes);
        }
    }
    XT_EQ(find_guilty(0, -1, &probes), -1);
    XT_EQ(probes, 0);
}

/* The same for a search: `guilty` kills, or `all` do; `answers`: others have theirs before it does. */
static int search_guilty(int n, int guilty, bool all, bool answers, int *probes)
{
    struct mu_search s;
    int32_t lo, hi;
    mu_search_begin(&s, n);
    for (*probes = 0; mu_search_probe(&s, &lo, &hi); ++*probes) {
        XT_CHECKF(lo >= 0 && lo < hi && hi <= n, "a probe of [%d, %d) of %d", lo, hi, n);
        bool dies = all || (guilty >= lo && guilty < hi);
        bool has_others = hi - lo > 1;
        mu_search_told(&s, !dies ? MU_PROBE_LIVED : answers && has_others ? MU_PROBE_DIED_LATE : MU_PROBE_DIED);
        XT_CHECK(*probes < 100);
    }
    return s.culprit;
}

XT_TEST(a_search_wants_two_proofs)
{
    int probes;
    for (int n = 2; n <= 70; n++) {
        int most = 3;
        while (1 << (most - 3) < n)
            most++; /* log2 rounded up, and three */
        for (int guilty = -1; guilty < n; guilty++)
            for (int answers = 0; answers < 2; answers++) {
                XT_EQ(search_guilty(n, guilty, false, answers, &probes), guilty);
                XT_CHECKF(probes <= most, "%d of %d took %d probes", guilty, n, probes);
            }
        XT_EQ(search_guilty(n, -1, true, false, &probes), -1); /* a machine on which all die */
    }
    XT_EQ(search_guilty(1, 0, false, false, &probes), -1); /* with nobody to compare it with */
    XT_EQ(probes, 0);
    XT_EQ(search_guilty(0, 0, false, false, &probes), -1);
}

/* Who died alone once, of something else, or where all die, is not guilty. */
XT_TEST(a_death_alone_is_asked_again)
{
    static const struct {
        int n;
        enum mu_probe how[4];
        int culprit;
    } cases[] = {
        {3, {MU_PROBE_DIED, MU_PROBE_DIED, MU_PROBE_LIVED}, -1},
        {3, {MU_PROBE_DIED_LATE, MU_PROBE_DIED, MU_PROBE_DIED}, 0},
        {4, {MU_PROBE_DIED_LATE, MU_PROBE_DIED, MU_PROBE_DIED_DOUBTED, MU_PROBE_LIVED}, 0},
        {4, {MU_PROBE_DIED_LATE, MU_PROBE_DIED, MU_PROBE_DIED_DOUBTED, MU_PROBE_IDLE}, -1},
        {4, {MU_PROBE_DIED, MU_PROBE_DIED, MU_PROBE_DIED, MU_PROBE_DIED}, -1},
    };
    for (size_t c = 0; c < MU_COUNT(cases); c++) {
        struct mu_search s;
        int32_t lo, hi;
        mu_search_begin(&s, 4);
        for (int i = 0; i < cases[c].n; i++) {
            XT_CHECK(mu_search_probe(&s, &lo, &hi));
            mu_search_told(&s, cases[c].how[i]);
        }
        XT_CHECK(!mu_search_probe(&s, &lo, &hi));
        XT_EQ(s.culprit, cases[c].culprit);
    }
}

XT_MAIN()
