/* page_head.c - the first lines of a campaign's page: how it stands as a whole (campaign_page.h) */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cli/campaign_page.h"

#define BAR_COLS   40
#define LINE_BYTES 1600

static const char *state_name(const struct mu_view *v)
{
    return mu_view_is_over(v) ? "ended" : mu_campaign_state_name(v->counts.campaign);
}

static void put_title(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c)
{
    time_t now = (time_t)(v->wall_ns / 1000000000);
    struct tm t;
    char clock[16];
    bool is_open = v->counts.campaign == MU_CAMPAIGN_OPEN;
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &t));
    int room = p->cols - (int)strlen(clock) - (int)strlen(state_name(v)) - 4;
    mu_page_cell(p, MU_TONE_TITLE, c->folder, MU_MAX(MU_MIN(mu_text_width(c->folder), room), 4), false);
    mu_page_put(p, MU_TONE_PLAIN, "  ");
    mu_page_put(p, is_open ? MU_TONE_PLAIN : MU_TONE_WARN, state_name(v));
    mu_page_to(p, p->cols - (int)strlen(clock));
    mu_page_put(p, MU_TONE_FAINT, clock);
    mu_page_end(p);
}

static void put_share(struct mu_page *p, const struct mu_view *v)
{
    const struct mu_counts *c = &v->counts;
    int bad = c->by_state[MU_TASK_FAILED] + c->by_state[MU_TASK_SKIPPED];
    mu_page_bar(p, v->share, MU_MIN(p->cols / 3, BAR_COLS));
    mu_page_printf(p, MU_TONE_PLAIN, " %3d%%  %d of %d tasks ended", (int)(v->share * 100), c->tasks - c->left,
                   c->tasks);
    if (bad > 0) {
        mu_page_put(p, MU_TONE_PLAIN, ", ");
        mu_page_printf(p, MU_TONE_BAD, "%d failed or skipped", bad);
    }
    mu_page_end(p);
}

static const char *rate_text(char out[32], double per_s)
{
    if (per_s >= 1)
        snprintf(out, 32, "%.1f tasks/s", per_s);
    else if (per_s * 60 >= 1)
        snprintf(out, 32, "%.1f tasks/min", per_s * 60);
    else
        snprintf(out, 32, "%.1f tasks/h", per_s * 3600);
    return out;
}

static void put_time(struct mu_page *p, const struct mu_view *v)
{
    char span[MU_SPAN_TEXT_BYTES], rate[32];
    mu_page_printf(p, MU_TONE_PLAIN, "at work %s", mu_span_text(span, (double)v->counts.active_ns * 1e-9));
    if (v->now.walltime_max_s > 0)
        mu_page_printf(p, MU_TONE_PLAIN, " of %s", mu_span_text(span, v->now.walltime_max_s));
    if (v->counts.left > 0 && v->left_s >= 0)
        mu_page_printf(p, MU_TONE_PLAIN, ", %s left", mu_span_text(span, v->left_s));
    else if (v->counts.left > 0 && v->life != MU_LIFE_NOBODY && v->life != MU_LIFE_GONE)
        mu_page_put(p, MU_TONE_PLAIN, ", time left not known yet");
    if (v->counts.finished_per_s > 0)
        mu_page_printf(p, MU_TONE_PLAIN, ", %s", rate_text(rate, v->counts.finished_per_s));
    double hours = (double)v->counts.spent_ns[MU_BUDGET_DEVICE_TIME] / 3.6e12;
    mu_page_printf(p, MU_TONE_PLAIN, ", %.*f", hours < 1 ? 3 : 2, hours);
    if (v->now.gpu_hours_max > 0)
        mu_page_printf(p, MU_TONE_PLAIN, " of %g", v->now.gpu_hours_max);
    mu_page_put(p, MU_TONE_PLAIN, " GPU hours");
    mu_page_end(p);
}

static void add(char line[LINE_BYTES], const char *fmt, int64_t n, const char *what)
{
    size_t at = strlen(line);
    if (n <= 0)
        return;
    at += (size_t)snprintf(line + at, LINE_BYTES - at, "%s", at > 0 ? ", " : "");
    snprintf(line + at, LINE_BYTES - at, fmt, n, what);
}

static void put_troubles(struct mu_page *p, const struct mu_view *v)
{
    const struct mu_counts *c = &v->counts;
    char line[LINE_BYTES] = "";
    for (int f = 0; f < MU_FAILURES; f++)
        add(line, "%" PRId64 " %s", c->failures[f], mu_failure_name(f));
    if (line[0]) {
        mu_page_put(p, MU_TONE_BAD, "failed tries: ");
        mu_page_put(p, MU_TONE_PLAIN, line);
        mu_page_put(p, MU_TONE_PLAIN, "; ");
    }
    line[0] = '\0';
    add(line, "%" PRId64 " %s", c->alerts, c->alerts == 1 ? "alert" : "alerts");
    add(line, "%" PRId64 " %s", c->devices_out, c->devices_out == 1 ? "device in quarantine" : "devices in quarantine");
    add(line, "%" PRId64 " %s", c->nodes_out, c->nodes_out == 1 ? "node in quarantine" : "nodes in quarantine");
    add(line, "%" PRId64 " %s", c->degraded, "made smaller");
    add(line, "%" PRId64 " %s", c->skipped_requests, c->skipped_requests == 1 ? "request skipped" : "requests skipped");
    mu_page_put(p, MU_TONE_WARN, line[0] ? line : p->at > 0 ? "no alerts" : "");
    if (p->at > 0)
        mu_page_end(p);
}

/* "workers of models, of those allowed: a 2 of 3, b 1 of 1", or as far as the events tell. */
static void put_replicas(struct mu_page *p, const struct mu_view *v)
{
    bool is_now = v->now.n_replicas > 0 && mu_view_has_now(v);
    int n = is_now ? v->now.n_replicas : v->state.n_models;
    if (n == 0 || mu_view_is_over(v))
        return;
    mu_page_put(p, MU_TONE_PLAIN, is_now ? "workers of models, of those allowed: " : "workers allowed for models: ");
    for (int i = 0; i < n && p->at < p->cols; i++) {
        const struct mu_now_replicas *r = is_now ? &v->now.replicas[i] : NULL;
        mu_page_put(p, MU_TONE_PLAIN, i > 0 ? ", " : "");
        mu_page_put(p, MU_TONE_PLAIN, r ? r->model : mu_state_name(&v->state, v->state.models[i].name));
        if (r)
            mu_page_printf(p, MU_TONE_PLAIN, " %" PRId64 " of %" PRId64, r->workers, r->allowed);
        else
            mu_page_printf(p, MU_TONE_PLAIN, " %d", v->state.models[i].replicas);
    }
    mu_page_end(p);
}

/* A sentence that is there. */
static void put_sentence(struct mu_page *p, enum mu_tone tone, const char *text)
{
    if (!text || !text[0])
        return;
    mu_page_put(p, tone, text);
    mu_page_end(p);
}

void mu_campaign_standing(struct mu_page *p, const struct mu_view *v)
{
    char text[LINE_BYTES];
    bool is_well = v->life == MU_LIFE_ALIVE || mu_view_is_over(v);
    put_time(p, v);
    put_replicas(p, v);
    put_troubles(p, v);
    mu_view_owner_text(v, text, sizeof text);
    if (!(mu_view_is_over(v) && v->life == MU_LIFE_NOBODY))
        put_sentence(p, is_well ? MU_TONE_FAINT : MU_TONE_WARN, text);
    mu_now_share_text(&v->now, text, sizeof text);
    if (mu_view_has_now(v))
        put_sentence(p, v->now.share.is_lost ? MU_TONE_WARN : MU_TONE_FAINT, text);
    mu_view_now_text(v, text, sizeof text);
    put_sentence(p, MU_TONE_WARN, text);
}

void mu_campaign_head(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c)
{
    put_title(p, v, c);
    put_share(p, v);
    mu_campaign_standing(p, v);
    put_sentence(p, MU_TONE_BAD, c->trouble);
}
