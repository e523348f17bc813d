/* cmd_control.c - `muster control`: pause, resume, cancel, priority, wait and status of a campaign that runs */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/harmless.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/print_json.h"
#include "sched/control.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"

#define PATH_BYTES ((size_t)4096)
#define LOOK_NS    200000000ll  /* between two looks of a wait */
#define ALONE_NS   5000000000ll /* a campaign that was given up is not waited for longer */
#define ACTIONS    "status, pause, resume, cancel, priority, wait"

struct control_args {
    bool json;
    double timeout_s;
};

/* ---- answers ---- */

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* The answer of who says to run the campaign, cut to what a line may hold. */
struct line {
    char text[1024];
};

static const char *text(struct line *l, const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return mu_harmless(l->text, sizeof l->text, t ? t : "?");
}

static void print_running(const json_t *running)
{
    size_t i;
    const json_t *r;
    struct line task;
    if (json_array_size(running) > 0)
        printf("  %9s  %9s  %8s  %s\n", "for, s", "requests", "worker", "task");
    json_array_foreach(running, i, r)
    {
        char done[32] = "?";
        if (number(r, "total") > 0)
            snprintf(done, sizeof done, "%.0f/%.0f", number(r, "done"), number(r, "total"));
        printf("  %9.1f  %9s  %8.0f  %s%s\n", number(r, "seconds"), done, number(r, "worker"), text(&task, r, "task"),
               json_is_true(json_object_get(r, "stops")) ? " (stops)" : "");
    }
}

/* Only what people would miss. */
static void print_alerts(const json_t *alerts)
{
    if (number(alerts, "failed") + number(alerts, "dropped") > 0)
        printf("alerts: %.0f sent, %.0f could not be sent, %.0f dropped, %.0f wait\n", number(alerts, "sent"),
               number(alerts, "failed"), number(alerts, "dropped"), number(alerts, "waiting"));
}

static void print_people(const json_t *a)
{
    const json_t *running = json_object_get(a, "running");
    struct line said, host;
    if (!running) {
        printf("%s\n", text(&said, a, "sentence"));
        return;
    }
    printf("%s: %.0f of %.0f tasks left, %zu running; process %.0f on %s\n", text(&said, a, "campaign"),
           number(a, "left"), number(a, "tasks"), json_array_size(running), number(a, "pid"), text(&host, a, "host"));
    print_alerts(json_object_get(a, "alerts"));
    print_running(running);
}

/* ---- waiting ---- */

/* Whoever runs the campaign, as seen by those who wait. */
struct watch {
    int64_t fence, renewals, since_ns;
    bool has_given_up;
};

/* MU_EPEER: nobody runs it any more. */
static int check_alive(struct watch *w, struct mu_state_log *l, const char *folder, struct mu_err *e)
{
    int64_t now = mu_now_ns(mu_clock_real());
    struct mu_owner o;
    MU_TRY_RETURN(mu_event_log_owner(l->log, &o, e));
    if (w->since_ns == 0 || o.fence != w->fence || o.renewals != w->renewals || o.has_given_up != w->has_given_up)
        *w = (struct watch){.fence = o.fence, .renewals = o.renewals, .since_ns = now, .has_given_up = o.has_given_up};
    int64_t most_ns = o.has_given_up || o.fence == 0 ? ALONE_NS : o.span_ns + o.span_ns / 8;
    if (now - w->since_ns <= most_ns)
        return MU_OK;
    return mu_fail(e, MU_EPEER, "nobody runs the campaign in %s any more: `muster run` goes on with it", folder);
}

/* Of the tasks that are waited for. */
struct tally {
    int32_t n, left, finished;
};

static int count(struct tally *t, const struct mu_state *s, const struct mu_control_request *r, struct mu_err *e)
{
    bool *is_hit = NULL;
    int rc = MU_OK;
    *t = (struct tally){.left = 1};
    if (s->campaign == MU_CAMPAIGN_NONE)
        return MU_OK; /* it begins just now */
    MU_TRY(MU_NEW_ARRAY(&is_hit, s->n_tasks, "the tasks that are waited for", e));
    MU_TRY(mu_control_match(is_hit, s, r, e));
    t->left = 0;
    for (int32_t i = 0; i < s->n_tasks; i++) {
        t->n += is_hit[i];
        t->left += is_hit[i] && !mu_task_state_is_end(s->tasks[i].state);
        t->finished += is_hit[i] && s->tasks[i].state == MU_TASK_FINISHED;
    }
out:
    mu_free(is_hit);
    return rc;
}

static int wait_to_end(struct tally *t, struct mu_state_log *l, const struct mu_control_request *r, const char *folder,
                       double timeout_s, struct mu_err *e)
{
    int64_t begin_ns = mu_now_ns(mu_clock_real()), seq = -1;
    struct watch w = {0};
    for (;;) {
        MU_TRY_RETURN(mu_state_log_follow(l, e));
        if (l->state.seq != seq)
            MU_TRY_RETURN(count(t, &l->state, r, e));
        seq = l->state.seq;
        if (t->left == 0)
            return MU_OK;
        if (mu_interrupted())
            return mu_fail(e, MU_ECANCELED, "waiting was stopped with %d of %d tasks left; the campaign goes on",
                           t->left, t->n);
        if (timeout_s > 0 && (double)(mu_now_ns(mu_clock_real()) - begin_ns) * 1e-9 > timeout_s)
            return mu_fail(e, MU_ETIMEDOUT, "%d of %d tasks are left after %.0f s", t->left, t->n, timeout_s);
        MU_TRY_RETURN(check_alive(&w, l, folder, e));
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

static int tell_end(const struct tally *t, const struct mu_state *s, bool as_json, struct mu_err *e)
{
    if (as_json)
        MU_TRY_RETURN(mu_print_json(json_pack("{s:s, s:i, s:i}", "campaign", mu_campaign_state_name(s->campaign),
                                              "tasks", t->n, "finished", t->finished),
                                    "the end", e));
    else
        printf("%d of %d tasks finished\n", t->finished, t->n);
    if (t->finished == t->n)
        return MU_OK;
    if (s->campaign == MU_CAMPAIGN_CANCELLED)
        return mu_fail(e, MU_ECANCELED, "the campaign was cancelled, %d of %d tasks did not finish", t->n - t->finished,
                       t->n);
    return mu_fail(e, MU_EPEER, "%d of %d tasks did not finish", t->n - t->finished, t->n);
}

static int wait_for(const char *folder, const struct mu_control_request *r, const struct control_args *a,
                    struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES);
    struct mu_state_log log = {0};
    struct tally t = {0};
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, folder, MU_ORCHESTRA_STORE, e));
    if (!mu_path_exists(path.p))
        MU_TRY(mu_fail(e, MU_ENOENT, "there is no %s: no campaign was run with this output folder", path.p));
    MU_TRY(mu_state_log_open(&log, path.p, NULL, false, 0, e));
    MU_TRY(wait_to_end(&t, &log, r, folder, a->timeout_s, e));
    rc = tell_end(&t, &log.state, a->json, e);
out:
    mu_state_log_close(&log);
    mu_buf_fini(&path);
    return rc;
}

/* ---- the command ---- */

static int ask(const char *folder, const struct mu_control_request *r, bool as_json, struct mu_err *e)
{
    json_t *answer = NULL;
    MU_TRY_RETURN(mu_control_do(&answer, folder, r, e));
    if (as_json)
        return mu_print_json(answer, "the answer", e);
    print_people(answer);
    json_decref(answer);
    return MU_OK;
}

/* What follows the action: the level of a priority, then patterns. */
static int take_rest(struct mu_control_request *r, int n, char **operand, struct mu_err *e)
{
    int at = 0;
    if (r->action == MU_CONTROL_PRIORITY) {
        int level = n > 0 ? mu_priority_find(operand[at++]) : -1;
        if (level < 0)
            return mu_fail(e, MU_EUSAGE, "priority needs one of critical, high, normal, low, background%s%s",
                           n > 0 ? ", not " : "", n > 0 ? operand[0] : "");
        r->priority = (enum mu_priority)level;
    }
    if (n - at > MU_CONTROL_PATTERNS_MAX)
        return mu_fail(e, MU_EUSAGE, "%d patterns of tasks, %d at a time go", n - at, MU_CONTROL_PATTERNS_MAX);
    while (at < n)
        r->pattern[r->n_patterns++] = operand[at++];
    return MU_OK;
}

static int control_run(void *args, int n_operands, char **operands, struct mu_err *e)
{
    const struct control_args *a = args;
    struct mu_control_request r = {0};
    if (n_operands < 2)
        return mu_fail(e, MU_EUSAGE, "control takes an output folder and an action: " ACTIONS);
    bool waits = strcmp(operands[1], "wait") == 0;
    int action = waits ? MU_CONTROL_CANCEL : mu_control_find(operands[1]); /* both take patterns, or none */
    if (action < 0)
        return mu_fail(e, MU_EUSAGE, "there is no action %s: " ACTIONS, operands[1]);
    r.action = (enum mu_control_action)action;
    MU_TRY_RETURN(take_rest(&r, n_operands - 2, operands + 2, e));
    MU_TRY_RETURN(mu_control_request_check(&r, e));
    return waits ? wait_for(operands[0], &r, a, e) : ask(operands[0], &r, a->json, e);
}

#define FIELD(name) offsetof(struct control_args, name)

static const struct mu_opt control_opts[] = {
    {MU_OPT_REAL, "timeout", 0, FIELD(timeout_s), "SECONDS", .lo = 0, .hi = 1e9,
     .help = "How long `wait` waits; the exit status is 12 when tasks are left by then.", .dflt = "until they ended"},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print the answer as JSON."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_control = {
    .name = "control",
    .summary = "pause, resume, cancel or wait for a campaign",
    .operands = "OUTPUT ACTION [LEVEL] [PATTERN...]",
    .story =
        "Speaks to the `muster run` that has a campaign's output folder, through a socket in it that only its user and "
        "root may use. What is decided stands in OUTPUT/campaign.sqlite before the answer comes. A campaign that "
        "nobody runs is changed all the same: the next run goes by it. One that runs on another host is changed there; "
        "waiting goes from anywhere.\n\n"
        "pause: nothing new starts, what runs goes on; the campaign stays paused, also over restarts, until "
        "resume.\n\n"
        "cancel: the whole campaign, or with PATTERN the tasks it names (docs/campaigns.md: MODEL/SUITE with * and ?). "
        "Those that run are stopped after their step, those that wait for them are skipped or go on as `if_failed` "
        "says. `muster run` of a cancelled campaign ends with 13.\n\n"
        "priority LEVEL PATTERN: critical, high, normal, low or background, from now on and over restarts. What the "
        "tasks wait for becomes as urgent.\n\n"
        "wait: until the campaign, or the tasks of PATTERN, have ended. The exit status is 0 when all of them "
        "finished, 13 when the campaign was cancelled, else 14.\n\n"
        "status: who runs it, and what runs now. `muster status` tells of all tasks, also when nobody runs it.",
    .examples = "  muster control build/campaign pause\n"
                "  muster control build/campaign cancel 'llama-70b/*' '*/gsm8k'\n"
                "  muster control build/campaign priority high 'qwen-7b/*'\n"
                "  muster control build/campaign wait '*/mmlu' --timeout 3600\n",
    .opts = control_opts,
    .args_size = sizeof(struct control_args),
    .run = control_run,
};
