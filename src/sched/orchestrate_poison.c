/* orchestrate_poison.c - documents that kill whoever computes them: suspected, searched for, skipped (orchestrate.h)
 *
 * A task whose workers died twice while they computed, without a new answer between, is searched; so is one that died
 * twice and would be given up. Its next tries are probes, of parts of it (`muster eval --part`), as mu_search says.
 * What a probe answers is in the journal: nothing is computed for the search alone but what dies. Who is found is
 * skipped
 * (`--skip`), as the results say. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "sched/orchestrate_int.h"

#define DEATHS_LEAST 2  /* the last of them without a new answer */
#define RANGE_BYTES  64 /* "documents 0 to 49 of 100" */

static const struct mu_state_task *state_of(const struct mu_orchestration *x, int task)
{
    return &x->log.state.tasks[x->work[task].number];
}

bool mu_orchestra_is_probe(const struct mu_orchestration *x, int task)
{
    return state_of(x, task)->search >= 0;
}

/* ---- what workers tell ---- */

void mu_orchestra_begun(struct mu_orchestration *x, int task, const struct mu_worker_line *l)
{
    struct mu_work *w = &x->work[task];
    w->has_begun = true;
    w->done = w->begun_done = l->done;
    w->deaths.documents = (int32_t)MU_MIN(l->documents, INT32_MAX);
}

static bool has_got_on(const struct mu_work *w)
{
    return w->done > w->begun_done;
}

/* An error that a program tells is none, nor is what takes the machine away; one that was stopped after its time may
 * hang. */
static bool is_death(const struct mu_work *w, const struct mu_task_end *end, enum mu_failure f)
{
    bool is_signal = end->signal != 0 || (end->group_is_over && end->exit_status > 128);
    return w->asked == MU_ASKED_LATE || f == MU_FAILURE_KILLED || f == MU_FAILURE_MEMORY || f == MU_FAILURE_DEVICE ||
           (f == MU_FAILURE_APPLICATION && is_signal);
}

void mu_orchestra_note_death(struct mu_orchestration *x, int task, const struct mu_task_end *end, enum mu_failure f)
{
    struct mu_work *w = &x->work[task];
    w->has_died = w->has_begun && is_death(w, end, f);
    w->deaths.n += w->has_died;
}

/* ---- the search ---- */

/* What would make the task smaller, and leaves the numbers alone, is tried first. */
bool mu_orchestra_is_suspect(const struct mu_orchestration *x, int task, const struct mu_action *a, bool goes_on)
{
    const struct mu_policy_rule *rule = &x->policy.rule[MU_FAILURE_POISON];
    const struct mu_work *w = &x->work[task];
    const struct mu_state_task *s = state_of(x, task);
    bool is_smaller = a->kind == MU_ACTION_DEGRADE && a->step != MU_SHRINK_INT8;
    if (rule->first != MU_ACTION_ISOLATE || s->skipped >= rule->tries_max || s->is_searched_in_vain || s->search >= 0)
        return false;
    if (!w->has_died || w->deaths.documents < 2 || is_smaller)
        return false;
    bool is_stuck = !has_got_on(w), is_last = !goes_on && w->asked != MU_ASKED_LATE;
    return w->deaths.n >= DEATHS_LEAST && (is_stuck || is_last);
}

/* In the log; the task is the next to be started where it stood. */
static int go_on(struct mu_orchestration *x, int task, const struct mu_event *ev, int n, struct mu_err *e)
{
    struct mu_work *w = &x->work[task];
    MU_TRY_RETURN(mu_state_log_append(&x->log, ev, n, e));
    mu_queue_again(x->queue, w->id, mu_orchestra_left_s(w), -INFINITY, mu_orchestra_now(x));
    return MU_OK;
}

int mu_orchestra_begin_search(struct mu_orchestration *x, int task, enum mu_failure f, const char *why, double seconds,
                              struct mu_err *e)
{
    const struct mu_work *w = &x->work[task];
    int32_t attempt = mu_orchestra_attempt(x, task);
    char text[MU_EVENT_TEXT_MAX];
    snprintf(text, sizeof text, "its workers died %d times while they computed: which of %d documents does it?",
             w->deaths.n, (int)w->deaths.documents);
    struct mu_event ev[] = {
        {.kind = MU_EVENT_ATTEMPT_FAILED, .task = w->number, .attempt = attempt, .value = (int32_t)f, .text = why},
        {.kind = MU_EVENT_SEARCH_BEGUN,
         .task = w->number,
         .attempt = attempt,
         .amount = w->deaths.documents,
         .text = text},
    };
    MU_TRY_RETURN(go_on(x, task, ev, MU_COUNT(ev), e));
    mu_orchestra_tell(x, MU_EVENT_ATTEMPT_FAILED, task, why, seconds, 0);
    mu_orchestra_tell(x, MU_EVENT_SEARCH_BEGUN, task, text, 0, 0);
    return MU_OK;
}

static const char *range_text(char text[RANGE_BYTES], const struct mu_search *s)
{
    int32_t lo, hi;
    mu_search_probe(s, &lo, &hi);
    if (hi - lo == 1)
        snprintf(text, RANGE_BYTES, "document %d of %d", lo, s->n);
    else
        snprintf(text, RANGE_BYTES, "documents %d to %d of %d", lo, hi - 1, s->n);
    return text;
}

/* The event that ends the search, if this probe does. */
static int end_of(const struct mu_orchestration *x, int task, const struct mu_search *s, const char *why,
                  struct mu_event *ev, char text[MU_EVENT_TEXT_MAX])
{
    bool is_found = s->culprit >= 0;
    if (s->stage != MU_SEARCH_OVER)
        return 0;
    if (is_found)
        snprintf(text, MU_EVENT_TEXT_MAX, "document %d killed each worker that computed it, alone too: %.700s",
                 s->culprit, why);
    else
        snprintf(text, MU_EVENT_TEXT_MAX, "no single document of %d does it", s->n);
    *ev = (struct mu_event){.kind = is_found ? MU_EVENT_REQUEST_SKIPPED : MU_EVENT_SEARCH_ENDED,
                            .task = x->work[task].number,
                            .attempt = mu_orchestra_attempt(x, task),
                            .amount = is_found ? s->culprit : 0,
                            .text = text};
    return 1;
}

/* ---- whether devices are well ---- */

static bool has_device(const struct mu_state *s, int32_t group, int32_t device)
{
    const struct mu_state_group *g = &s->groups[group];
    for (int32_t i = 0; i < g->n_devices; i++)
        if (s->group_devices[g->device_at + i] == device)
            return true;
    return false;
}

/* When the first of the tries ended that made the task suspect. */
static int64_t first_death_ns(const struct mu_state *s, const struct mu_state_task *t)
{
    int64_t ns = s->active_ns;
    for (int32_t a = t->last_attempt; a >= 0 && s->attempts[a].number > t->forgiven; a = s->attempts[a].before)
        if (s->attempts[a].state == MU_ATTEMPT_FAILED && s->attempts[a].failure != MU_FAILURE_CANCELLED)
            ns = s->attempts[a].end_ns;
    return ns;
}

/* Since then some work, of any task, has ended well on the device. */
static bool is_well(const struct mu_state *s, int32_t device, int64_t since_ns)
{
    for (int32_t a = s->n_attempts - 1; a >= 0; a--) {
        const struct mu_state_attempt *t = &s->attempts[a];
        if (t->state == MU_ATTEMPT_FINISHED && t->end_ns >= since_ns && has_device(s, t->group, device))
            return true;
    }
    return false;
}

/* Those of the group, each; one on which the other group (-1: none) has just lived is. */
static bool are_well(const struct mu_state *s, const struct mu_state_task *t, int32_t group, int32_t lived)
{
    const struct mu_state_group *g = &s->groups[group];
    int64_t since_ns = first_death_ns(s, t);
    for (int32_t i = 0; i < g->n_devices; i++) {
        int32_t device = s->group_devices[g->device_at + i];
        if (!(lived >= 0 && has_device(s, lived, device)) && !is_well(s, device, since_ns))
            return false;
    }
    return true;
}

/* The group that the last probe died with; -1: none. */
static int32_t group_of_death(const struct mu_state *s, const struct mu_state_task *t)
{
    for (int32_t a = t->last_attempt; a >= 0; a = s->attempts[a].before)
        if (s->attempts[a].state == MU_ATTEMPT_FAILED && s->attempts[a].failure == MU_FAILURE_POISON)
            return s->attempts[a].group;
    return -1;
}

/* What an end of the last probes proves depends on the devices. */
static enum mu_probe weigh(const struct mu_orchestration *x, int task, const struct mu_search *search,
                           enum mu_probe how)
{
    const struct mu_state *s = &x->log.state;
    const struct mu_state_task *t = state_of(x, task);
    int32_t own = s->attempts[t->last_attempt].group, death = group_of_death(s, t);
    if (search->stage == MU_SEARCH_AGAIN && mu_probe_has_died(how) && !are_well(s, t, own, -1))
        return MU_PROBE_DIED_DOUBTED;
    if (search->stage == MU_SEARCH_OTHER && !mu_probe_has_died(how) && death >= 0)
        return are_well(s, t, death, how == MU_PROBE_LIVED ? own : -1) ? MU_PROBE_LIVED : MU_PROBE_IDLE;
    return how;
}

/* ---- the end of a probe ---- */

static int end_probe(struct mu_orchestration *x, int task, enum mu_probe how, const char *why, double seconds,
                     struct mu_err *e)
{
    static const char *const ends[MU_PROBES] = {
        [MU_PROBE_IDLE] = "had been answered, or lived elsewhere",
        [MU_PROBE_LIVED] = "lived",
        [MU_PROBE_DIED] = "died",
        [MU_PROBE_DIED_LATE] = "died after some answers",
        [MU_PROBE_DIED_DOUBTED] = "died, where nothing has gone well since",
    };
    struct mu_search s = x->log.state.searches[state_of(x, task)->search];
    how = weigh(x, task, &s, how);
    char range[RANGE_BYTES], text[MU_EVENT_TEXT_MAX], last[MU_EVENT_TEXT_MAX];
    struct mu_event ev[2] = {{.kind = MU_EVENT_PROBE_ENDED,
                              .task = x->work[task].number,
                              .attempt = mu_orchestra_attempt(x, task),
                              .value = (int32_t)how,
                              .text = text}};
    snprintf(text, sizeof text, "%s %s%s%.700s", range_text(range, &s), ends[how], *why ? ": " : "", why);
    mu_orchestra_make_valid(text);
    mu_search_told(&s, how);
    int n = 1 + end_of(x, task, &s, why, &ev[1], last);
    if (n == 2)
        mu_orchestra_make_valid(last);
    MU_TRY_RETURN(go_on(x, task, ev, n, e));
    if (n == 2)
        x->work[task].deaths = (struct mu_deaths){.documents = x->work[task].deaths.documents};
    for (int i = 0; i < n; i++)
        mu_orchestra_tell(x, ev[i].kind, task, ev[i].text, seconds, 0);
    return MU_OK;
}

int mu_orchestra_probe_lived(struct mu_orchestration *x, int task, double seconds, struct mu_err *e)
{
    return end_probe(x, task, x->work[task].has_begun ? MU_PROBE_LIVED : MU_PROBE_IDLE, "", seconds, e);
}

int mu_orchestra_probe_died(struct mu_orchestration *x, int task, const char *why, double seconds, struct mu_err *e)
{
    return end_probe(x, task, has_got_on(&x->work[task]) ? MU_PROBE_DIED_LATE : MU_PROBE_DIED, why, seconds, e);
}

/* ---- what the next try is given ---- */

static int set_skips(const struct mu_orchestration *x, int task, json_t *options, struct mu_err *e)
{
    const struct mu_state *s = &x->log.state;
    json_t *skip = json_object();
    int rc = skip ? 0 : -1;
    for (int32_t i = state_of(x, task)->last_skip; rc == 0 && i >= 0; i = s->skips[i].before) {
        char key[24];
        snprintf(key, sizeof key, "%" PRId64, s->skips[i].document);
        rc = json_object_set_new(skip, key, json_string(mu_state_name(s, s->skips[i].why)));
    }
    if (rc == 0 && json_object_size(skip) > 0)
        rc = json_object_set(options, "skip", skip);
    json_decref(skip);
    return rc == 0 ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "a task's options");
}

int mu_orchestra_set_part(const struct mu_orchestration *x, int task, json_t *options, struct mu_err *e)
{
    int32_t lo, hi;
    char part[RANGE_BYTES];
    MU_TRY_RETURN(set_skips(x, task, options, e));
    if (!mu_orchestra_is_probe(x, task))
        return MU_OK;
    mu_search_probe(&x->log.state.searches[state_of(x, task)->search], &lo, &hi);
    snprintf(part, sizeof part, "%d-%d", lo, hi - 1);
    return json_object_set_new(options, "part", json_string(part)) == 0
               ? MU_OK
               : mu_fail_nomem(e, sizeof(json_t), "a task's options");
}
