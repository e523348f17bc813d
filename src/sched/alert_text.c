/* alert_text.c - kinds of alerts, and an alert as JSON (alert.h) */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sched/alert_int.h"

static const struct {
    const char *word;
    enum mu_alert_severity severity;
} kinds[MU_ALERT_KINDS] = {
#define ROW(name, word, severity) {word, MU_ALERT_##severity},
    MU_ALERT_MAP(ROW)
#undef ROW
};

const char *mu_alert_kind_name(int kind)
{
    return kind >= 0 && kind < MU_ALERT_KINDS ? kinds[kind].word : "?";
}

const char *mu_alert_severity_name(int severity)
{
    static const char *const names[] = {"?", "info", "warning", "critical"};
    return severity > 0 && severity < (int)MU_COUNT(names) ? names[severity] : "?";
}

void mu_alert_copy(char *to, size_t bytes, const char *text)
{
    size_t n = text ? strlen(text) : 0, to_n = 0;
    for (size_t at = 0; at < n && to_n + 1 < bytes;) {
        uint32_t cp;
        size_t len = (size_t)mu_utf8_decode(text + at, n - at, &cp);
        if (to_n + len >= bytes)
            break;
        memcpy(to + to_n, len ? text + at : "?", MU_MAX(len, 1));
        to_n += MU_MAX(len, 1);
        at += MU_MAX(len, 1);
    }
    to[to_n] = 0;
}

void mu_alert_note_fill(struct mu_alert_note *n, const struct mu_alert *a)
{
    *n = (struct mu_alert_note){.kind = a->kind,
                                .severity = a->severity ? a->severity : kinds[a->kind].severity,
                                .wall_s = (int64_t)time(NULL)};
    mu_alert_copy(n->task, sizeof n->task, a->task);
    mu_alert_copy(n->about, sizeof n->about, a->about);
    mu_alert_copy(n->sentence, sizeof n->sentence, a->sentence);
    n->has_counts = a->counts != NULL;
    if (!a->counts)
        return;
    n->tasks = a->counts->tasks;
    n->left = a->counts->left;
    n->running = a->counts->by_state[MU_TASK_RUNNING];
    n->finished = a->counts->by_state[MU_TASK_FINISHED];
    n->failed = a->counts->by_state[MU_TASK_FAILED];
    n->skipped = a->counts->by_state[MU_TASK_SKIPPED];
    n->cancelled = a->counts->by_state[MU_TASK_CANCELLED];
}

static json_t *counts_of(const struct mu_alert_note *n)
{
    if (!n->has_counts)
        return json_null();
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "tasks", n->tasks, "left", n->left, "running", n->running,
                     "finished", n->finished, "failed", n->failed, "skipped", n->skipped, "cancelled", n->cancelled);
}

static const char *time_text(int64_t wall_s, char text[32])
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    text[0] = 0;
    if (gmtime_r(&t, &tm))
        strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

int mu_alert_json(struct mu_buf *out, const struct mu_alert_note *n, const char *campaign, const char *host,
                  struct mu_err *e)
{
    char when[32];
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s, s:s++, s:I, s:s, s:o}", "campaign", campaign, "time",
                          time_text(n->wall_s, when), "kind", mu_alert_kind_name(n->kind), "severity",
                          mu_alert_severity_name(n->severity), "task", n->task[0] ? n->task : NULL, "about",
                          n->about[0] ? n->about : NULL, "sentence", n->sentence, "text", campaign, ": ", n->sentence,
                          "repeats", (json_int_t)n->repeats, "host", host, "counts", counts_of(n));
    mu_buf_clear(out);
    int rc = v ? mu_json_dump(out, v, false, e) : mu_fail_nomem(e, sizeof *n, "an alert");
    json_decref(v);
    return rc;
}
