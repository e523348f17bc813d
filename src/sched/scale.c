/* scale.c - see scale.h */
#include "sched/scale.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"

#define MEASURABLE 0.05 /* utilisation below which capacity is not measured */
#define NOTHING    1e-6 /* of what a replica does */

static int check_rules(const struct mu_scale_rules *r, int replicas, struct mu_err *e)
{
    if (r->least < 0 || r->most < 1 || r->least > r->most || r->most > MU_SCALE_REPLICAS_MAX || replicas < 0 ||
        replicas > r->most)
        return mu_fail(e, MU_EINVAL, "%d replicas between %d and %d: 0 to %d go", replicas, r->least, r->most,
                       MU_SCALE_REPLICAS_MAX);
    if (!(r->busy_low > 0) || !(r->busy_high <= 1) || !(r->busy_high - r->busy_low >= MU_SCALE_GAP - 1e-9))
        return mu_fail(e, MU_EINVAL, "bounds of load %g and %g: the upper one must be at least %g above, up to 1",
                       r->busy_low, r->busy_high, MU_SCALE_GAP);
    if (!(r->interval_s > 0) || !(r->up_cooldown_s >= 0) || !(r->down_cooldown_s >= 0) || !(r->drain_s > 0) ||
        !(r->start_s > 0))
        return mu_fail(e, MU_EINVAL,
                       "an interval of %g s, cooldowns of %g and %g s, queues drained in %g s: no such thing",
                       r->interval_s, r->up_cooldown_s, r->down_cooldown_s, r->drain_s);
    if (r->stable < 1 || r->step_most < 1 || !(r->smooth > 0) || !(r->smooth <= 1) || !(r->capacity > 0))
        return mu_fail(e, MU_EINVAL,
                       "%d evaluations in a row, steps of %d, smoothing by %g, capacity %g: no such thing", r->stable,
                       r->step_most, r->smooth, r->capacity);
    return MU_OK;
}

int mu_scale_init(struct mu_scale *s, const struct mu_scale_rules *r, int replicas, mu_scale_call call, void *arg,
                  struct mu_err *e)
{
    MU_TRY_RETURN(check_rules(r, replicas, e));
    *s = (struct mu_scale){.rules = *r,
                           .call = call,
                           .arg = arg,
                           .target = replicas,
                           .demand = -1,
                           .capacity = r->capacity,
                           .last_s = -INFINITY,
                           .changed_s = -INFINITY};
    return MU_OK;
}

static double blend(const struct mu_scale *s, double old, double new)
{
    return old + s->rules.smooth * (new - old);
}

static void take_sample(struct mu_scale *s, const struct mu_scale_sample *x)
{
    double open = x->queued + x->in_work;
    double dt = x->now_s - s->last_s, grown = isfinite(dt) ? (open - s->last_open) / dt : 0;
    double demand = MU_MAX(x->throughput + grown, 0);
    if (x->replicas > 0 && x->utilisation >= MEASURABLE && x->throughput > 0)
        s->capacity = blend(s, s->capacity, x->throughput / (x->replicas * x->utilisation));
    s->demand = s->demand < 0 ? demand : blend(s, s->demand, demand);
    if (s->demand < NOTHING * s->capacity)
        s->demand = 0; /* it would fade for ever, and the last replica never go */
    s->last_s = x->now_s;
    s->last_open = open;
}

static double load_of(const struct mu_scale *s, int n)
{
    return n > 0 ? s->demand / (n * s->capacity) : s->demand > 0 ? INFINITY : 0;
}

/* Replicas that would be right now, by how many are asked for; *why is the rule. */
static int wanted(const struct mu_scale *s, const struct mu_scale_sample *x, enum mu_scale_why *why)
{
    const struct mu_scale_rules *r = &s->rules;
    int n = s->target;
    double room = n * s->capacity * r->drain_s; /* requests done in drain_s */
    bool is_long = x->queued > room, is_busy = load_of(s, n) > r->busy_high;
    *why = is_long ? MU_SCALE_QUEUE : is_busy ? MU_SCALE_BUSY : MU_SCALE_HOLD;
    if (is_long || is_busy) {
        double rate = MU_MAX(s->demand / r->busy_high, is_long ? s->demand + x->queued / r->drain_s : 0);
        double least = ceil(rate / s->capacity - 1e-9);
        int most = n + r->step_most;
        if (x->useful > 0)
            most = MU_MIN(most, MU_MAX(x->useful, n));
        *why = most > n ? *why : MU_SCALE_USELESS;
        return (int)MU_MIN(MU_MAX(least, n + 1), (double)most);
    }
    bool was_busy = x->utilisation * x->replicas > r->busy_low * (n - 1);
    if (n > 0 && load_of(s, n - 1) <= r->busy_low && !was_busy && x->queued <= room * (n - 1) / n / 2) {
        *why = MU_SCALE_IDLE;
        return n - 1;
    }
    return n;
}

/* Whether a change that is wanted may be made now. */
static enum mu_scale_why may_change(struct mu_scale *s, double now_s, int direction)
{
    const struct mu_scale_rules *r = &s->rules;
    s->wants_n = s->wants == direction ? MU_MIN(s->wants_n + 1, r->stable) : 1;
    s->wants = direction;
    if (s->wants_n < r->stable)
        return MU_SCALE_UNSTABLE;
    if (now_s - s->changed_s < (direction > 0 ? r->up_cooldown_s : r->down_cooldown_s))
        return MU_SCALE_COOLDOWN;
    return MU_SCALE_HOLD;
}

static int change(struct mu_scale *s, struct mu_scale_decision *out, double now_s, struct mu_err *e)
{
    int rc = s->call ? s->call(s->arg, out, e) : MU_OK;
    s->changed_s = now_s; /* a refusal cools down too */
    s->wants_n = 0;
    if (rc != MU_OK) {
        out->why = MU_SCALE_REFUSED;
        out->to = out->from;
        return rc;
    }
    s->target = out->to;
    s->changes++;
    return MU_OK;
}

static int decide(struct mu_scale *s, const struct mu_scale_sample *x, struct mu_scale_decision *out, struct mu_err *e)
{
    enum mu_scale_why why, hinders;
    int want = wanted(s, x, &why), to = MU_MIN(MU_MAX(want, s->rules.least), s->rules.most);
    out->why = why;
    if (to == s->target) {
        s->wants = want == to ? 0 : s->wants;
        s->wants_n = want == to ? 0 : s->wants_n;
        out->why = want == to ? why : MU_SCALE_LIMIT;
        return MU_OK;
    }
    hinders = may_change(s, x->now_s, to > s->target ? 1 : -1);
    if (hinders != MU_SCALE_HOLD) {
        out->why = hinders;
        return MU_OK;
    }
    out->to = to;
    return change(s, out, x->now_s, e);
}

int mu_scale_evaluate(struct mu_scale *s, const struct mu_scale_sample *x, struct mu_scale_decision *out,
                      struct mu_err *e)
{
    *out = (struct mu_scale_decision){.why = MU_SCALE_EARLY, .from = s->target, .to = s->target, .queued = x->queued};
    if (!isfinite(x->now_s) || x->replicas < 0 || !(x->queued >= 0) || !(x->in_work >= 0) || !(x->throughput >= 0) ||
        !(x->utilisation >= 0) || !(x->utilisation <= 1.001))
        return mu_fail(e, MU_EINVAL, "a sample of %d replicas, %g waiting, %g a second, busy %g: no such thing",
                       x->replicas, x->queued, x->throughput, x->utilisation);
    if (x->now_s - s->last_s < s->rules.interval_s)
        return MU_OK;
    take_sample(s, x);
    out->demand = s->demand;
    out->capacity = s->capacity;
    out->load = load_of(s, s->target);
    if (x->replicas != s->target && x->now_s - s->changed_s < s->rules.start_s) {
        out->why = MU_SCALE_STARTING;
        return MU_OK;
    }
    s->target = out->from = out->to = MU_MIN(x->replicas, s->rules.most);
    return decide(s, x, out, e);
}

const char *mu_scale_why_text(int why)
{
    static const char *const words[MU_SCALE_WHYS] = {
        [MU_SCALE_HOLD] = "the load is between the bounds",
        [MU_SCALE_EARLY] = "the interval is not over",
        [MU_SCALE_STARTING] = "replicas asked for are not there yet",
        [MU_SCALE_UNSTABLE] = "a change is wanted, but not often enough in a row",
        [MU_SCALE_COOLDOWN] = "a change is wanted, but too soon after the last",
        [MU_SCALE_LIMIT] = "a change is wanted, but the limit is reached",
        [MU_SCALE_BUSY] = "the load is too high",
        [MU_SCALE_QUEUE] = "the queue is too long",
        [MU_SCALE_IDLE] = "one fewer is enough",
        [MU_SCALE_REFUSED] = "a change was refused",
        [MU_SCALE_USELESS] = "more are wanted, but there is no work or no room for them",
        [MU_SCALE_LOST] = "those asked for are not there"};
    return why >= 0 && why < MU_SCALE_WHYS ? words[why] : "?";
}

const char *mu_scale_text(char text[MU_SCALE_TEXT_MAX], const struct mu_scale_decision *d)
{
    const char *more = d->from == 1 ? "" : "s", *why = mu_scale_why_text((int)d->why);
    int n = d->from == d->to
                ? snprintf(text, MU_SCALE_TEXT_MAX, "%d replica%s stay%s: %s", d->from, more, *more ? "" : "s", why)
                : snprintf(text, MU_SCALE_TEXT_MAX, "%d replica%s become%s %d: %s", d->from, more, *more ? "" : "s",
                           d->to, why);
    if (d->why != MU_SCALE_EARLY && n > 0 && n < MU_SCALE_TEXT_MAX)
        snprintf(text + n, (size_t)(MU_SCALE_TEXT_MAX - n), " (%.4g requests/s come, a replica does %.4g, %.4g wait)",
                 d->demand, d->capacity, d->queued);
    return text;
}
