/* failure_policy.c - from a class of failure and what was tried already to the next action */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sched/failure.h"

#define SECOND 1000000000ll
#define MINUTE (60 * SECOND)

static const char *const actions[MU_ACTIONS] = {"retry",    "degrade", "replan",  "rejoin",
                                                "resubmit", "isolate", "give_up", "stop"};

const char *mu_action_name(int kind)
{
    return kind >= 0 && kind < MU_ACTIONS ? actions[kind] : "?";
}

int mu_action_find(const char *name)
{
    for (int i = 0; i < MU_ACTIONS; i++)
        if (strcmp(actions[i], name) == 0)
            return i;
    return -1;
}

/* ---- smaller ---- */

const char *mu_shrink_name(int step)
{
    static const char *const names[MU_SHRINKS] = {"fewer_ranks", "int8", "smaller_batch"};
    return step >= 0 && step < MU_SHRINKS ? names[step] : "?";
}

static bool shrink(const struct mu_room *r, enum mu_shrink step, int32_t *value)
{
    switch (step) {
    case MU_SHRINK_RANKS:
        *value = r->ranks - 1;
        return r->ranks > MU_MAX(r->ranks_min, 1);
    case MU_SHRINK_INT8:
        *value = 8;
        return r->may_int8 && !r->is_int8;
    case MU_SHRINK_BATCH:
        *value = MU_MAX(r->batch / 2, r->batch_min);
        return r->batch > MU_MAX(r->batch_min, 1);
    default:
        return false;
    }
}

bool mu_shrink_next(const struct mu_room *r, enum mu_failure f, enum mu_shrink *step, int32_t *value)
{
    static const enum mu_shrink usual[] = {MU_SHRINK_RANKS, MU_SHRINK_INT8, MU_SHRINK_BATCH, MU_SHRINKS};
    static const enum mu_shrink memory[] = {MU_SHRINK_BATCH, MU_SHRINK_INT8, MU_SHRINKS};
    for (const enum mu_shrink *s = f == MU_FAILURE_MEMORY ? memory : usual; *s != MU_SHRINKS; s++) {
        *step = *s;
        if (shrink(r, *s, value))
            return true;
    }
    return false;
}

/* ---- the rules ---- */

void mu_policy_default(struct mu_policy *p)
{
    static const struct mu_policy dflt = {
        .attempts_max = 12,
        .rule = {
            [MU_FAILURE_NONE] = {MU_ACTION_STOP, INT_MAX, MU_ACTION_STOP, {0, 0}},
            [MU_FAILURE_APPLICATION] = {MU_ACTION_RETRY, 2, MU_ACTION_GIVE_UP, {5 * SECOND, MINUTE}},
            [MU_FAILURE_KILLED] = {MU_ACTION_RETRY, 6, MU_ACTION_GIVE_UP, {SECOND, MINUTE}},
            [MU_FAILURE_MEMORY] = {MU_ACTION_DEGRADE, INT_MAX, MU_ACTION_GIVE_UP, {0, 0}},
            [MU_FAILURE_DEVICE] = {MU_ACTION_REPLAN, INT_MAX, MU_ACTION_GIVE_UP, {0, 0}},
            [MU_FAILURE_LINK] = {MU_ACTION_RETRY, 3, MU_ACTION_REPLAN, {2 * SECOND, MINUTE}},
            [MU_FAILURE_NODE] = {MU_ACTION_REPLAN, INT_MAX, MU_ACTION_GIVE_UP, {0, 0}},
            [MU_FAILURE_PARTITION] = {MU_ACTION_REJOIN, 3, MU_ACTION_REPLAN, {10 * SECOND, 2 * MINUTE}},
            [MU_FAILURE_WALLTIME] = {MU_ACTION_RESUBMIT, INT_MAX, MU_ACTION_RESUBMIT, {0, 0}},
            [MU_FAILURE_PREEMPTION] = {MU_ACTION_RESUBMIT, INT_MAX, MU_ACTION_RESUBMIT, {0, 0}},
            [MU_FAILURE_POISON] = {MU_ACTION_ISOLATE, 8, MU_ACTION_GIVE_UP, {0, 0}},
            [MU_FAILURE_STORAGE] = {MU_ACTION_RETRY, 8, MU_ACTION_GIVE_UP, {10 * SECOND, 10 * MINUTE}},
            [MU_FAILURE_CANCELLED] = {MU_ACTION_STOP, INT_MAX, MU_ACTION_STOP, {0, 0}},
        }};
    *p = dflt;
}

/* Work was taken away from the task, through no fault of its own: not counted against it. */
static bool is_taken_away(enum mu_failure f)
{
    return f == MU_FAILURE_WALLTIME || f == MU_FAILURE_PREEMPTION || f == MU_FAILURE_NODE ||
           f == MU_FAILURE_PARTITION || f == MU_FAILURE_CANCELLED;
}

bool mu_failure_can_be_poison(int f)
{
    return f == MU_FAILURE_APPLICATION || f == MU_FAILURE_MEMORY || f == MU_FAILURE_DEVICE;
}

static bool do_meet(const struct mu_tried *a, const struct mu_tried *b)
{
    for (int i = 0, k = 0; i < a->n_in_hand && k < b->n_in_hand;) {
        if (a->in_hand[i] == b->in_hand[k])
            return true;
        if (a->in_hand[i] < b->in_hand[k])
            i++;
        else
            k++;
    }
    return false;
}

/* The same request in hand when two attempts died, with nobody else to blame: one device that failed twice is the
 * device's fault. */
static bool is_poison(const struct mu_tried *tried, int n)
{
    const struct mu_tried *last = &tried[n - 1];
    if (!mu_failure_can_be_poison(last->failure))
        return false;
    for (int i = n - 2; i >= 0; i--) {
        bool is_one_device = last->failure == MU_FAILURE_DEVICE && tried[i].failure == MU_FAILURE_DEVICE &&
                             last->device >= 0 && last->device == tried[i].device;
        if (mu_failure_can_be_poison(tried[i].failure) && !is_one_device && do_meet(&tried[i], last))
            return true;
    }
    return false;
}

/* How often in a row, looking back, it failed so without getting on: progress makes the count anew. */
static int count_row(const struct mu_tried *tried, int n, enum mu_failure f)
{
    int count = 0;
    for (int i = n - 1; i >= 0 && (tried[i].failure == f || is_taken_away(tried[i].failure)); i--) {
        count += tried[i].failure == f;
        if (tried[i].has_progressed)
            break;
    }
    return MU_MAX(count, 1);
}

static int count_own(const struct mu_tried *tried, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += !is_taken_away(tried[i].failure);
    return count;
}

/* ---- the decision ---- */

static void explain(struct mu_action *a, int row, const char *more)
{
    char step[64] = "";
    if (a->kind == MU_ACTION_DEGRADE)
        snprintf(step, sizeof step, " to %s %d", mu_shrink_name(a->step), a->value);
    snprintf(a->why, sizeof a->why, "%s, %s %d time%s in a row without getting on: %s%s%s%s",
             mu_failure_name(a->failure), mu_failure_meaning(a->failure), row, row == 1 ? "" : "s",
             mu_action_name(a->kind), step, *more ? ", " : "", more);
}

/* Whether there is a step down; there is none where nobody said what can be made smaller. */
static bool take_step(const struct mu_room *room, struct mu_action *a)
{
    return room && mu_shrink_next(room, a->failure, &a->step, &a->value);
}

void mu_policy_decide(const struct mu_policy *p, const struct mu_tried *tried, int n, const struct mu_room *room,
                      uint64_t *random, struct mu_action *out)
{
    const char *more = "";
    *out = (struct mu_action){.failure = is_poison(tried, n) ? MU_FAILURE_POISON : tried[n - 1].failure};
    const struct mu_policy_rule *rule = &p->rule[out->failure];
    int row = out->failure == MU_FAILURE_POISON ? 1 : count_row(tried, n, out->failure), own = count_own(tried, n);

    out->kind = row < rule->tries_max ? rule->first : rule->then;
    if (out->kind == rule->then && rule->first != rule->then)
        more = "as often as it may be tried";
    if (out->kind != MU_ACTION_STOP && !is_taken_away(out->failure) && own >= p->attempts_max) {
        out->kind = MU_ACTION_GIVE_UP;
        more = "after as many attempts as a task may have";
    }
    if (out->kind == MU_ACTION_DEGRADE && !take_step(room, out)) {
        out->kind = MU_ACTION_GIVE_UP;
        more = "it cannot be made smaller any more";
    }
    if (out->kind != MU_ACTION_GIVE_UP && out->kind != MU_ACTION_STOP && rule->backoff.first_ns > 0)
        out->delay_ns = mu_backoff_jittered_ns(&rule->backoff, row, random);
    explain(out, row, more);
}
