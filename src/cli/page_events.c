/* page_events.c - the last alerts, failures and changes on a campaign's page (campaign_page.h) */
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "cli/campaign_page.h"

#define SHOWN         16
#define DAY_NS        64800000000000ll /* older ones show their day: the hour alone would mislead */
#define SUBJECT_BYTES 400

static enum mu_tone tone_of(int kind)
{
    switch (kind) {
    case MU_EVENT_TASK_FAILED:
    case MU_EVENT_ATTEMPT_FAILED:
    case MU_EVENT_GROUP_LOST:
    case MU_EVENT_LEASE_EXPIRED:
        return MU_TONE_BAD;
    case MU_EVENT_OPENED:
    case MU_EVENT_RESUMED:
    case MU_EVENT_NODE_BACK:
    case MU_EVENT_DEVICE_BACK:
    case MU_EVENT_SCALED:
    case MU_EVENT_JOB_SUBMITTED:
    case MU_EVENT_JOB_SEEN:
        return MU_TONE_PLAIN;
    default:
        return MU_TONE_WARN;
    }
}

static void put_time(struct mu_page *p, const struct mu_view *v, int64_t wall_ns)
{
    time_t at = (time_t)(wall_ns / 1000000000);
    struct tm t;
    char text[32] = "";
    bool is_old = v->wall_ns - wall_ns > DAY_NS || wall_ns - v->wall_ns > DAY_NS;
    if (localtime_r(&at, &t))
        strftime(text, sizeof text, is_old ? "%d %b" : "%H:%M:%S", &t);
    mu_page_cell(p, MU_TONE_FAINT, text, 8, false);
}

static void put_detail(struct mu_page *p, const struct mu_view_event *ev)
{
    bool is_failure = ev->kind == MU_EVENT_ATTEMPT_FAILED || ev->kind == MU_EVENT_TASK_FAILED ||
                      ev->kind == MU_EVENT_GROUP_LOST || ev->kind == MU_EVENT_LEASE_EXPIRED;
    if (is_failure)
        mu_page_printf(p, MU_TONE_PLAIN, " (%s)", mu_failure_name(ev->value));
    if (ev->kind == MU_EVENT_DEGRADED)
        mu_page_printf(p, MU_TONE_PLAIN, " (%s: %lld)", mu_shrink_name(ev->value), (long long)ev->amount);
    if (ev->text[0] && ev->kind != MU_EVENT_OPENED) {
        mu_page_put(p, MU_TONE_PLAIN, ": ");
        mu_page_put(p, MU_TONE_PLAIN, ev->text);
    }
}

static void put_subject(struct mu_page *p, const struct mu_view *v, const struct mu_view_event *ev)
{
    char subject[SUBJECT_BYTES];
    mu_view_subject(v, ev, subject, sizeof subject);
    mu_page_put(p, MU_TONE_PLAIN, subject[0] ? " " : "");
    mu_page_put(p, MU_TONE_PLAIN, subject);
    if (ev->more > 0)
        mu_page_printf(p, MU_TONE_PLAIN, " and %d more", ev->more);
}

static int wants_events(const struct mu_view *v, const struct mu_page_choice *c)
{
    (void)c;
    return v->n_events > 0 ? (int)MU_MIN(v->n_events, SHOWN) + 1 : 0;
}

/* The newest last, as in a log. */
static void draw_events(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines)
{
    (void)c;
    mu_page_put(p, MU_TONE_TITLE, "last events");
    mu_page_end(p);
    for (int64_t i = v->n_events - (lines - 1); i < v->n_events; i++) {
        const struct mu_view_event *ev = &v->events[i % MU_VIEW_EVENTS];
        put_time(p, v, ev->wall_ns);
        mu_page_put(p, MU_TONE_PLAIN, "  ");
        mu_page_put(p, tone_of(ev->kind), mu_event_kind_words(ev->kind));
        put_subject(p, v, ev);
        put_detail(p, ev);
        mu_page_end(p);
    }
}

const struct mu_page_part mu_part_events = {wants_events, draw_events};
