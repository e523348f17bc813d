/* campaign_status.c - see campaign_status.h */
#include "cli/campaign_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/harmless.h"
#include "cli/campaign_json.h"
#include "cli/campaign_page.h"
#include "cli/print_json.h"
#include "cli/terminal.h"

#define PIPE_COLS  120 /* where nobody says how wide */
#define NAME_BYTES 1024
#define EVENTS     6 /* lines of them, with their title */

static bool tells_why(const struct mu_state_task *t)
{
    return t->failure != MU_FAILURE_NONE && t->state != MU_TASK_FINISHED;
}

static void print_counts(const struct mu_view *v)
{
    const struct mu_counts *c = &v->counts;
    printf("%d tasks", c->tasks);
    for (int k = 0; k < MU_TASK_STATES; k++)
        if (c->by_state[k] > 0)
            printf(", %d %s", c->by_state[k], mu_task_state_name(k));
    if (c->skipped_requests > 0)
        printf("; %" PRId64 " request%s skipped", c->skipped_requests, c->skipped_requests == 1 ? "" : "s");
    printf("\n");
}

static void print_tasks(const struct mu_view *v)
{
    const struct mu_state *s = &v->state;
    printf("\n  %-10s  %-10s  %8s  %9s  %s\n", "state", "priority", "attempts", "last, s", "task");
    for (int32_t i = 0; i < s->n_tasks; i++) {
        const struct mu_state_task *t = &s->tasks[i];
        char name[NAME_BYTES];
        char skipped[48] = "";
        if (t->skipped > 0)
            snprintf(skipped, sizeof skipped, ": %d request%s skipped", t->skipped, t->skipped == 1 ? "" : "s");
        printf("  %-10s  %-10s  %8d  %9.1f  %s%s%s%s\n", mu_task_state_name(t->state),
               mu_priority_name((enum mu_priority)t->priority), t->attempts, mu_view_last_s(v, t),
               mu_harmless(name, sizeof name, mu_state_name(s, t->name)), skipped, tells_why(t) ? ": " : "",
               tells_why(t) ? mu_failure_meaning(t->failure) : "");
    }
}

/* What `muster top` would show of it, where there is something to say. */
static int print_parts(const struct mu_view *v, struct mu_err *e)
{
    struct mu_page p = {.is_utf8 = mu_page_wants_utf8()};
    struct mu_page_choice c = {0};
    int cols = PIPE_COLS, rows, lines;
    if (isatty(STDOUT_FILENO)) {
        mu_terminal_size(&cols, &rows);
        p.has_colour = mu_page_wants_colour();
    }
    mu_page_begin(&p, cols);
    mu_campaign_standing(&p, v);
    if ((lines = mu_part_tasks.wants(v, &c)) > 0) {
        mu_page_end(&p);
        mu_part_tasks.draw(&p, v, &c, lines);
    }
    if ((lines = MU_MIN(mu_part_events.wants(v, &c), EVENTS)) > 0) {
        mu_page_end(&p);
        mu_part_events.draw(&p, v, &c, lines);
    }
    if (p.rc == MU_OK)
        printf("%s", p.text.p);
    int rc = p.rc == MU_OK ? MU_OK : mu_fail(e, p.rc, "out of memory: the status as text");
    mu_page_fini(&p);
    return rc;
}

int mu_campaign_print_status(const char *folder, bool as_json, struct mu_err *e)
{
    struct mu_view v;
    int rc = MU_OK;
    MU_TRY_RETURN(mu_view_open(&v, folder, mu_wall_ns(), mu_now_ns(mu_clock_real()), e));
    mu_view_sort(&v, MU_ORDER_LEFT);
    if (as_json) {
        rc = mu_print_json(mu_campaign_json(&v, true), "the status", e);
    } else {
        print_counts(&v);
        rc = print_parts(&v, e);
        print_tasks(&v);
    }
    mu_view_close(&v);
    return rc;
}
