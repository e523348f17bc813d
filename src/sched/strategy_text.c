/* strategy_text.c - choices, refusals, preemptions and migrations in one sentence each */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "sched/strategy.h"

static const char *const term_words[MU_TERMS] = {
#define MU_TERM_WORDS(name, weight, words) words,
    MU_TERM_MAP(MU_TERM_WORDS)
#undef MU_TERM_WORDS
};

/* A sentence in the making; what does not fit is cut. */
struct words {
    char *text;
    int n;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(w->text + w->n, (size_t)(MU_STRATEGY_TEXT_MAX - w->n), fmt, ap);
    va_end(ap);
    w->n = MU_MIN(w->n + MU_MAX(more, 0), MU_STRATEGY_TEXT_MAX - 1);
}

/* "device 3", "devices 0-3,6" */
static void say_devices(struct words *w, const struct mu_seats *s)
{
    say(w, s->n == 1 ? "device " : "devices ");
    for (int i = 0, last; i < s->n; i = last + 1) {
        for (last = i; last + 1 < s->n && s->device[last + 1] == s->device[last] + 1;)
            last++;
        say(w, "%s%d", i > 0 ? "," : "", s->device[i]);
        if (last > i)
            say(w, "-%d", s->device[last]);
    }
}

static const char *bytes_text(char buf[24], int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < MU_COUNT(units); unit++)
        n /= 1024;
    snprintf(buf, 24, "%.4g %s", n, units[unit]);
    return buf;
}

static void say_terms(struct words *w, const struct mu_choice *c)
{
    const char *comma = ": ";
    for (int i = 0; i < MU_TERMS; i++) {
        if (c->terms[i] > 0) {
            say(w, "%s%.4g %s", comma, c->terms[i], term_words[i]);
            comma = "; ";
        }
    }
}

const char *mu_choice_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_choice *c, const struct mu_fleet *f,
                           const struct mu_need *n, double now_s)
{
    static const char *const how[] = {"where a copy of the model is", "with free memory", "after dropping idle models"};
    struct words w = {text, 0};
    say_devices(&w, &c->seats);
    if (c->seats.nodes == 1)
        say(&w, " of node %d", f->devices[c->seats.device[0]].node);
    else
        say(&w, " of %d nodes, for no node had %d", c->seats.nodes, n->devices);
    if (c->fit <= MU_FIT_EVICT)
        say(&w, ", %s", how[c->fit]);
    say(&w, ", by %s: %.4g %s", c->by->name, c->cost, c->by->why);
    say_terms(&w, c);
    if (c->next >= 0)
        say(&w, "; next best of %d, device %d%s, %.4g", c->groups, c->next, n->devices > 1 ? " and others" : "",
            c->next_cost);
    else
        say(&w, "; nothing else would do");
    say(&w, "; predicted to end in %.4g s", c->ends_s - now_s);
    if (c->late_s > 0)
        say(&w, ", %.4g s behind its deadline", c->late_s);
    return text;
}

static void say_wanted(struct words *w, const struct mu_refusal *r, const struct mu_need *n)
{
    char bytes[24];
    say(w, "needs %d device%s with %s%s", r->wanted, r->wanted == 1 ? "" : "s", bytes_text(bytes, n->weights + n->work),
        r->wanted == 1 ? ""
        : n->may_span  ? " each"
                       : " each on one node");
}

static void say_near(struct words *w, const struct mu_refusal *r, double now_s)
{
    char bytes[24];
    if (r->near.n == 0)
        return;
    say(w, "; nearest are ");
    say_devices(w, &r->near);
    say(w, ", predicted free in %.4g s", MU_MAX(r->free_s - now_s, 0));
    if (r->missing_bytes > 0)
        say(w, " (device %d lacks %s now)", r->lacking, bytes_text(bytes, r->missing_bytes));
}

const char *mu_refusal_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_refusal *r, const struct mu_need *n,
                            double now_s)
{
    struct words w = {text, 0};
    char bytes[24];
    say_wanted(&w, r, n);
    switch (r->why) {
    case MU_REFUSED_DEVICES:
        say(&w, ": there are at most %d%s; the nearest that would do is a layout of %d", r->most,
            n->may_span ? "" : " on a node", r->most);
        break;
    case MU_REFUSED_MEMORY:
        if (r->most == 0)
            say(&w, ": none is so large");
        else
            say(&w, ": only %d are so large", r->most);
        if (r->lacking >= 0)
            say(&w, "; the largest %s, device %d, lacks %s even when empty", r->most > 0 ? "other" : "one", r->lacking,
                bytes_text(bytes, r->missing_bytes));
        break;
    case MU_REFUSED_DOWN:
        say(&w, ": only %d that could take it are healthy; it waits until more are back", r->most);
        break;
    case MU_REFUSED_RESERVED:
        say(&w, ": what is free is promised to a task before it");
        say_near(&w, r, now_s);
        break;
    case MU_REFUSED_BUSY:
        say(&w, ": %d would do now", r->fitting);
        say_near(&w, r, now_s);
        break;
    }
    return text;
}

const char *mu_preemption_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_preemption *p, const struct mu_fleet *f)
{
    struct words w = {text, 0};
    say(&w, "stopping %d task%s of lower priority (first: %s) gives ", p->n, p->n == 1 ? "" : "s",
        mu_priority_name((enum mu_priority)f->running[p->run[0]].need.priority));
    say_devices(&w, &p->seats);
    say(&w, "; they drain in at most %.4g s, or lose at most %.4g s of running batches if stopped at once", p->drains_s,
        p->loses_s);
    return text;
}

const char *mu_migration_text(char text[MU_STRATEGY_TEXT_MAX], const struct mu_migration *m)
{
    struct words w = {text, 0};
    say(&w, "moving a task from device %d to device %d, which runs nothing: done in %.4g s instead of %.4g s", m->from,
        m->seats.device[0], m->moves_s, m->stays_s);
    return text;
}
