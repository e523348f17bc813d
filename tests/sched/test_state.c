/* test_state.c - the fold against a plain slow model, on random histories of legal and illegal events */
#include "sched/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "state_model.h"
#include "xt.h"

#define SEC 1000000000ll

static int n_done[MU_EVENT_KIND_END];

static int run_history(uint64_t seed, int n_events, int *n_refused)
{
    struct mu_state s;
    uint64_t r = seed;
    char text[48];
    int64_t fence = 1, mono = 0;
    memset(&m, 0, sizeof m);
    mu_state_init(&s);
    for (int i = 0; i < n_events && m.n_attempts < MODEL_MAX - 1 && m.n_tasks < MODEL_MAX - 1; i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_event ev = model_random(&r, text);
        int64_t passed = model_below(&r, 1000);
        if (model_below(&r, 200) == 0) { /* another orchestrator, another clock */
            fence++;
            mono = model_below(&r, 1000000);
            passed = 0;
        }
        ev.seq = s.seq + 1;
        ev.fence = fence;
        ev.mono_ns = mono + passed;
        ev.wall_ns = model_below(&r, 1000000) * SEC; /* as wild as it may be */
        int64_t active = m.active;
        bool is_legal = model_is_legal(&ev);
        bool is_same_writer = s.fence == fence;
        int rc = mu_state_apply(&s, &ev, &err);
        XT_CHECKF((rc == MU_OK) == is_legal, "seed %d, event %d (%s): %s: %s", (int)seed, i,
                  mu_event_kind_words(ev.kind), mu_code_name(rc), err.text);
        if (is_legal) {
            m.active = active + (is_same_writer ? ev.mono_ns - mono : 0);
            model_do(&ev);
            n_done[ev.kind]++;
            mono = ev.mono_ns;
        } else {
            XT_EQ(rc, MU_EINVAL);
            XT_CHECKF(strstr(err.text, mu_event_kind_words(ev.kind)), "%s", err.text);
            ++*n_refused;
            if (!is_same_writer)
                fence = s.fence ? s.fence : 1, mono = s.mono_ns; /* that one never wrote anything */
        }
        if (i % 97 == 0)
            model_compare(&s);
    }
    model_compare(&s);
    int n = (int)s.seq;
    mu_state_fini(&s);
    return n;
}

XT_TEST(random_histories_fold_to_what_a_plain_model_says)
{
    int n = 0, n_refused = 0, n_seeds = 60;
    for (uint64_t seed = 1; seed <= (uint64_t)n_seeds; seed++)
        n += run_history(seed, 3000, &n_refused);
    xt_note("%d events, %d refused ones between them", n, n_refused);
    XT_CHECK(n > 20000 && n_refused > 20000);
    for (int kind = 0; kind < MU_EVENT_KIND_END; kind++)
        XT_CHECKF(mu_event_members(kind) < 0 || n_done[kind] > 10, "%d times: %s", n_done[kind],
                  mu_event_kind_words(kind));
}

/* ---- sentences ---- */

static int apply(struct mu_state *s, struct mu_event ev, struct mu_err *e)
{
    ev.seq = s->seq + 1;
    ev.fence = 1;
    return mu_state_apply(s, &ev, e);
}

static struct mu_state begun(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_state s;
    mu_state_init(&s);
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_OPENED, .text = "hash"}, &err));
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_NODE_SEEN, .amount = 4, .text = "node1"}, &err));
    for (int g = 0; g < 2; g++)
        XT_OK(apply(
            &s, (struct mu_event){.kind = MU_EVENT_GROUP_STARTED, .group = g, .job = -1, .value = 2, .text = "0-1,3"},
            &err));
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .value = 2, .text = "llama-7b/arc"}, &err));
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_READY, .attempt = 1}, &err));
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_STARTED, .attempt = 1, .group = 1, .amount = SEC}, &err));
    return s;
}

XT_TEST(what_cannot_be_names_task_state_and_event)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_state s = begun();
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_STARTED, .attempt = 2, .group = 0}, &err), MU_EINVAL,
             "event 8 (task started) cannot be: task 0 (llama-7b/arc) is running");
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_LEASE_RENEWED, .group = 0}, &err), MU_EINVAL,
             "group 0 does not hold task 0 (llama-7b/arc), which is running with group 1");
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .attempt = 2}, &err), MU_EINVAL,
             "attempt 2 of task 0 (llama-7b/arc), which is running and at attempt 1");
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_GROUP_DRAINED, .group = 1}, &err), MU_EINVAL,
             "group 1 still holds 1 tasks");
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .attempt = 1}, &err));
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_FINISHED, .attempt = 1}, &err), MU_EINVAL,
             "event 9 (task finished) cannot be: task 0 (llama-7b/arc) is finished");
    XT_FAILS(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_READY, .task = 5, .attempt = 1}, &err), MU_EINVAL,
             "there is no task 5");
    XT_FAILS(apply(&s,
                   (struct mu_event){.kind = MU_EVENT_GROUP_STARTED, .group = 2, .job = -1, .value = 1, .text = "2-4"},
                   &err),
             MU_EINVAL, "\"2-4\" is no rising list of devices from 0 to 3");
    struct mu_event gap = {.kind = MU_EVENT_PAUSED, .seq = s.seq + 2, .fence = 1};
    XT_FAILS(mu_state_apply(&s, &gap, &err), MU_EINVAL, "some are missing");
    XT_OK(apply(&s, (struct mu_event){.kind = MU_EVENT_PAUSED}, &err));
    struct mu_event late = {.kind = MU_EVENT_RESUMED, .seq = s.seq + 1, .fence = 0};
    XT_FAILS(mu_state_apply(&s, &late, &err), MU_EINVAL, "orchestrator 0 wrote it after 1 had taken over");
    mu_state_fini(&s);
}

XT_TEST(lists_of_devices_are_read_with_suspicion)
{
    struct mu_err err = MU_ERR_INIT;
    static const char *const bad[] = {
        "4",   "1-0",  "0,0", "1,0", "0-", "-1", ",", "0,", "0,,1", "a", "0 1", "0-1-2", "99999999999999999999",
        "0x1", "0-3,2"};
    static const char *const good[] = {"", "0", "3", "0-3", "0,1,2,3", "0-1,3", "00"};
    struct mu_state s = begun();
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        XT_FAILS(apply(&s,
                       (struct mu_event){
                           .kind = MU_EVENT_GROUP_STARTED, .group = s.n_groups, .job = -1, .value = 1, .text = bad[i]},
                       &err),
                 MU_EINVAL, "no rising list");
    for (size_t i = 0; i < MU_COUNT(good); i++)
        XT_OK(apply(&s,
                    (struct mu_event){
                        .kind = MU_EVENT_GROUP_STARTED, .group = s.n_groups, .job = -1, .value = 1, .text = good[i]},
                    &err));
    XT_EQ(s.groups[s.n_groups - 4].n_devices, 4);
    mu_state_fini(&s);
}

XT_TEST(rates_are_of_active_time_whatever_the_wall_clock_does)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_counts c;
    struct mu_state s = begun();
    int64_t mono = 0;
    for (int t = 1; t <= 20; t++) { /* one finish in two seconds, ten tasks are left */
        char name[24];
        snprintf(name, sizeof name, "t%d", t);
        struct mu_event list[] = {
            {.kind = MU_EVENT_TASK_ADDED, .task = t, .value = 1, .text = name},
            {.kind = MU_EVENT_TASK_READY, .task = t, .attempt = 1},
            {.kind = MU_EVENT_TASK_STARTED, .task = t, .attempt = 1, .group = 0, .amount = SEC},
            {.kind = MU_EVENT_TASK_FINISHED, .task = t, .attempt = 1},
        };
        mono += 2 * SEC;
        for (int i = 0; i < (t <= 10 ? 4 : 1); i++) {
            list[i].seq = s.seq + 1;
            list[i].fence = 1;
            list[i].mono_ns = mono;
            list[i].wall_ns = (t % 2 ? 1 : 1000) * 1000000 * SEC;
            XT_OK(mu_state_apply(&s, &list[i], &err));
        }
        mu_state_counts(&s, 0, &c);
        XT_CHECK(t > 7 || (c.finished_per_s == 0 && c.left_s == -1));
        if (t == 10)
            XT_NEAR(c.finished_per_s, 0.5, 1e-9);
    }
    XT_EQ(c.left, 11); /* with the one that runs */
    XT_NEAR(c.finished_per_s, 9.0 / 38.0, 1e-9);
    XT_NEAR(c.left_s, 11 * 38.0 / 9.0, 1e-6);
    mu_state_counts(&s, 38 * SEC, &c);
    XT_NEAR(c.finished_per_s, 9.0 / 76.0, 1e-9);
    mu_state_fini(&s);
}

static int fold_some(void *arg, struct mu_err *e)
{
    struct mu_state s;
    int rc = MU_OK;
    (void)arg;
    mu_state_init(&s);
    MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_OPENED, .text = "hash"}, e));
    MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_NODE_SEEN, .amount = 20, .text = "n"}, e));
    MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_GROUP_STARTED, .job = -1, .value = 1, .text = "0-19"}, e));
    MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_JOB_SUBMITTED, .text = "71"}, e));
    for (int t = 0; t < 20; t++) {
        MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_ADDED, .task = t, .text = "t"}, e));
        MU_TRY(apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_READY, .task = t, .attempt = 1}, e));
        int rc_start = apply(&s, (struct mu_event){.kind = MU_EVENT_TASK_STARTED, .task = t, .attempt = 1}, e);
        if (rc_start != MU_OK && (s.tasks[t].state != MU_TASK_READY || s.tasks[t].group != -1))
            rc_start = mu_fail(e, MU_EINTERNAL, "a failed start has changed the task");
        MU_TRY(rc_start);
    }
out:
    mu_state_fini(&s);
    return rc;
}

XT_TEST(no_failing_allocation_leaks_or_changes_the_state)
{
    xt_each_alloc_fails(fold_some, NULL);
}

XT_MAIN()
