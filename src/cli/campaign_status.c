/* campaign_status.c - see campaign_status.h */
#include "cli/campaign_status.h"
#include "cli/print_json.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "sched/orchestrate.h"
#include "sched/state_log.h"

#define PATH_BYTES ((size_t)4096)

static double attempt_s(const struct mu_state *s, const struct mu_state_task *t)
{
    if (t->last_attempt < 0)
        return 0;
    const struct mu_state_attempt *a = &s->attempts[t->last_attempt];
    if (a->end_ns >= 0)
        return (double)(a->end_ns - a->start_ns) * 1e-9;
    return (double)time(NULL) - (double)a->start_wall_ns * 1e-9;
}

static bool tells_why(const struct mu_state_task *t)
{
    return t->failure != MU_FAILURE_NONE && t->state != MU_TASK_FINISHED;
}

static void print_people(const struct mu_state *s)
{
    struct mu_counts c;
    mu_state_counts(s, 0, &c);
    printf("%d tasks", c.tasks);
    for (int k = 0; k < MU_TASK_STATES; k++)
        if (c.by_state[k] > 0)
            printf(", %d %s", c.by_state[k], mu_task_state_name(k));
    printf("; at work for %.0f s", (double)c.active_ns * 1e-9);
    if (c.left > 0 && c.left_s >= 0)
        printf(", %.0f s left", c.left_s);
    printf("\n  %-10s  %-8s  %8s  %9s  %s\n", "state", "priority", "attempts", "last, s", "task");
    for (int32_t i = 0; i < s->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[i];
        printf("  %-10s  %-8s  %8d  %9.1f  %s%s%s\n", mu_task_state_name(t->state),
               mu_priority_name((enum mu_priority)t->priority), t->attempts, attempt_s(s, t), mu_state_name(s, t->name),
               tells_why(t) ? ": " : "", tells_why(t) ? mu_failure_meaning(t->failure) : "");
    }
}

static json_t *as_tree(const struct mu_state *s)
{
    json_t *tasks = json_array(), *counts = json_object();
    struct mu_counts c;
    mu_state_counts(s, 0, &c);
    for (int k = 0; k < MU_TASK_STATES; k++)
        json_object_set_new(counts, mu_task_state_name(k), json_integer(c.by_state[k]));
    for (int32_t i = 0; i < s->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[i];
        json_array_append_new(tasks,
                              json_pack("{s:s, s:s, s:s, s:i, s:f, s:s}", "task", mu_state_name(s, t->name), "state",
                                        mu_task_state_name(t->state), "priority",
                                        mu_priority_name((enum mu_priority)t->priority), "attempts", t->attempts,
                                        "last_seconds", attempt_s(s, t), "failure", mu_failure_name(t->failure)));
    }
    return json_pack("{s:s, s:i, s:i, s:f, s:o, s:o}", "campaign", mu_campaign_state_name(s->campaign), "tasks",
                     c.tasks, "left", c.left, "active_seconds", (double)c.active_ns * 1e-9, "states", counts, "each",
                     tasks);
}

int mu_campaign_print_status(const char *folder, bool as_json, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", PATH_BYTES);
    struct mu_state_log log = {0};
    int rc = MU_OK;
    MU_TRY(mu_path_join(&path, folder, MU_ORCHESTRA_STORE, e));
    if (access(path.p, F_OK) != 0)
        MU_TRY(mu_fail(e, MU_ENOENT, "there is no %s: no campaign was run with this output folder", path.p));
    MU_TRY(mu_state_log_open(&log, path.p, NULL, false, 0, e));
    if (as_json)
        rc = mu_print_json(as_tree(&log.state), "the status", e);
    else
        print_people(&log.state);
out:
    mu_state_log_close(&log);
    mu_buf_fini(&path);
    return rc;
}
