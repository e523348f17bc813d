/* control_decide.c - which events follow from a request (control.h)
 *
 * By the state alone, so that it is the same for who runs the campaign and for a client who writes the events because
 * nobody does. What cannot be has no event here: an append of them is not refused. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"
#include "sched/control.h"

/* ---- patterns by names ---- */

/* "llama,weights=int8/mmlu" cut in two, each with what it is a variation of. */
struct name {
    struct mu_campaign_parts full, base;
};

static void cut(char *base, const char *full, size_t bytes)
{
    snprintf(base, bytes, "%.*s", (int)strcspn(full, ","), full);
}

static bool read_name(struct name *out, const char *name)
{
    if (!mu_campaign_parts(name, &out->full))
        return false;
    cut(out->base.model, out->full.model, sizeof out->base.model);
    cut(out->base.suite, out->full.suite, sizeof out->base.suite);
    return true;
}

/* The patterns of a request, cut in two, and how many tasks each has named. */
struct patterns {
    struct mu_campaign_parts part[MU_CONTROL_PATTERNS_MAX];
    int32_t hits[MU_CONTROL_PATTERNS_MAX];
    int n;
};

static bool is_named(struct patterns *p, const char *task)
{
    struct name n;
    bool is_hit = false;
    if (!read_name(&n, task))
        return false;
    for (int i = 0; i < p->n; i++) {
        if (!mu_campaign_part_matches(p->part[i].model, n.full.model, n.base.model) ||
            !mu_campaign_part_matches(p->part[i].suite, n.full.suite, n.base.suite))
            continue;
        p->hits[i]++;
        is_hit = true;
    }
    return is_hit;
}

int mu_control_match(bool *is_hit, const struct mu_state *s, const struct mu_control_request *r, struct mu_err *e)
{
    struct patterns p = {.n = r->n_patterns};
    for (int i = 0; i < p.n; i++)
        if (!mu_campaign_parts(r->pattern[i], &p.part[i]))
            return mu_fail(e, MU_EINVAL, "\"%.100s\" is no pattern of tasks", r->pattern[i]);
    for (int32_t i = 0; i < s->n_tasks; i++)
        is_hit[i] = p.n == 0 || is_named(&p, mu_state_name(s, s->tasks[i].name));
    for (int i = 0; i < p.n; i++)
        if (p.hits[i] == 0)
            return mu_fail(e, MU_EINVAL, "\"%.260s\" names none of the campaign's %d tasks: `muster status` lists them",
                           r->pattern[i], s->n_tasks);
    return MU_OK;
}

/* ---- events ---- */

static void add(struct mu_control_change *c, struct mu_event ev)
{
    c->ev[c->n++] = ev;
}

static void say(struct mu_control_change *c, const char *text)
{
    snprintf(c->sentence, sizeof c->sentence, "%s", text);
}

static int32_t count_running(const struct mu_state *s)
{
    int32_t n = 0;
    for (int p = 0; p < MU_PRIORITY_N; p++)
        n += s->by_priority[p][MU_TASK_RUNNING];
    return n;
}

static int pause(struct mu_control_change *c, const struct mu_state *s)
{
    if (s->campaign == MU_CAMPAIGN_PAUSED) {
        say(c, "it was paused already");
        return MU_OK;
    }
    add(c, (struct mu_event){.kind = MU_EVENT_PAUSED});
    int32_t n = count_running(s);
    say(c, "paused: nothing new starts");
    if (n > 0)
        snprintf(c->sentence, sizeof c->sentence, "paused: nothing new starts, %d running task%s will go on to the end",
                 n, n == 1 ? "" : "s");
    return MU_OK;
}

static int resume(struct mu_control_change *c, const struct mu_state *s)
{
    say(c, s->campaign == MU_CAMPAIGN_PAUSED ? "resumed" : "it was not paused");
    if (s->campaign == MU_CAMPAIGN_PAUSED)
        add(c, (struct mu_event){.kind = MU_EVENT_RESUMED});
    return MU_OK;
}

/* Whether it was asked for before. */
static bool is_done(const struct mu_state_task *t, int kind, int32_t value)
{
    return kind == MU_EVENT_PRIORITY_CHANGED && t->is_rated && t->priority == value;
}

/* Named tasks that have not ended: one event each. Returns how many had. */
static int32_t add_tasks(struct mu_control_change *c, const struct mu_state *s, const bool *is_hit, int kind,
                         int32_t value)
{
    int32_t n_over = 0;
    for (int32_t i = 0; i < s->n_tasks; i++) {
        bool is_over = is_hit[i] && mu_task_state_is_end(s->tasks[i].state);
        n_over += is_over;
        if (!is_hit[i] || is_over || is_done(&s->tasks[i], kind, value))
            continue;
        add(c, (struct mu_event){.kind = kind, .task = i, .value = value});
        c->n_tasks++;
    }
    return n_over;
}

static void cancel(struct mu_control_change *c, const struct mu_state *s, const struct mu_control_request *r,
                   const bool *is_hit)
{
    int32_t n_over = add_tasks(c, s, is_hit, MU_EVENT_TASK_CANCELLED, 0);
    bool is_all = r->n_patterns == 0;
    if (is_all && s->campaign != MU_CAMPAIGN_CANCELLED)
        add(c, (struct mu_event){.kind = MU_EVENT_CANCELLED});
    snprintf(c->sentence, sizeof c->sentence, "%s%d task%s cancelled, %d had ended before",
             is_all ? "the campaign is cancelled: " : "", c->n_tasks, c->n_tasks == 1 ? "" : "s", n_over);
}

static void rate(struct mu_control_change *c, const struct mu_state *s, const struct mu_control_request *r,
                 const bool *is_hit)
{
    int32_t n_over = add_tasks(c, s, is_hit, MU_EVENT_PRIORITY_CHANGED, (int32_t)r->priority);
    snprintf(c->sentence, sizeof c->sentence, "%d task%s given the priority %s, %d had ended before", c->n_tasks,
             c->n_tasks == 1 ? "" : "s", mu_priority_name(r->priority), n_over);
}

static int of_tasks(struct mu_control_change *c, const struct mu_state *s, const struct mu_control_request *r,
                    struct mu_err *e)
{
    bool *is_hit = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&is_hit, s->n_tasks, "the tasks that a request names", e));
    MU_TRY(mu_control_match(is_hit, s, r, e));
    if (r->action == MU_CONTROL_CANCEL)
        cancel(c, s, r, is_hit);
    else
        rate(c, s, r, is_hit);
out:
    mu_free(is_hit);
    return rc;
}

/* Nothing that is paused or cancelled then would ever be seen of it. What is left of a campaign that was paused before
 * may still be resumed. */
static bool is_too_late(const struct mu_state *s, const struct mu_control_request *r)
{
    struct mu_counts now;
    mu_state_counts(s, 0, &now);
    return now.left == 0 && s->campaign != MU_CAMPAIGN_CANCELLED &&
           (r->action == MU_CONTROL_PAUSE || (r->action == MU_CONTROL_CANCEL && r->n_patterns == 0));
}

static int decide(struct mu_control_change *c, const struct mu_state *s, const struct mu_control_request *r,
                  struct mu_err *e)
{
    bool is_over = s->campaign == MU_CAMPAIGN_CANCELLED;
    if (is_over && (r->action == MU_CONTROL_PAUSE || r->action == MU_CONTROL_RESUME))
        return mu_fail(e, MU_EINVAL, "the campaign is cancelled and cannot be %s: `muster run --again` begins anew",
                       r->action == MU_CONTROL_PAUSE ? "paused" : "resumed");
    if (is_too_late(s, r)) {
        snprintf(c->sentence, sizeof c->sentence, "it has ended: nothing is left to %s", mu_control_word(r->action));
        return MU_OK;
    }
    switch (r->action) {
    case MU_CONTROL_PAUSE:
        return pause(c, s);
    case MU_CONTROL_RESUME:
        return resume(c, s);
    case MU_CONTROL_CANCEL:
    case MU_CONTROL_PRIORITY:
        return of_tasks(c, s, r, e);
    default:
        say(c, mu_campaign_state_name(s->campaign));
        return MU_OK;
    }
}

int mu_control_decide(struct mu_control_change *out, const struct mu_state *s, const struct mu_control_request *r,
                      struct mu_err *e)
{
    int rc = MU_OK;
    *out = (struct mu_control_change){0};
    if (s->campaign == MU_CAMPAIGN_NONE)
        return mu_fail(e, MU_EINVAL, "the campaign has not begun: there is nothing to %s", mu_control_word(r->action));
    MU_TRY(MU_NEW_ARRAY(&out->ev, s->n_tasks + 1, "events", e));
    MU_TRY(decide(out, s, r, e));
    return MU_OK;
out:
    mu_control_change_fini(out);
    return rc;
}

void mu_control_change_fini(struct mu_control_change *c)
{
    mu_free(c->ev);
    *c = (struct mu_control_change){0};
}

/* ---- what is told ---- */

int mu_control_describe(json_t *answer, const struct mu_state *s, const struct mu_control_change *c, struct mu_err *e)
{
    struct mu_counts now;
    json_t *states = json_object();
    mu_state_counts(s, 0, &now);
    for (int k = 0; k < MU_TASK_STATES; k++)
        json_object_set_new(states, mu_task_state_name(k), json_integer(now.by_state[k]));
    json_t *all = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "sentence", c->sentence, "campaign",
                            mu_campaign_state_name(s->campaign), "changed", c->n_tasks, "tasks", now.tasks, "left",
                            now.left, "states", states);
    int bad = !all || json_object_update(answer, all) != 0;
    json_decref(all);
    return bad ? mu_fail_nomem(e, 1, "an answer") : MU_OK;
}
