/* event.c - see event.h */
#include "sched/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

static const struct kind {
    const char *words;
    int members;
} kinds[MU_EVENT_KIND_END] = {
#define KIND_ROW(name, number, words, members) [number] = {words, members},
    MU_EVENT_MAP(KIND_ROW)
#undef KIND_ROW
};

/* The members that are indices, in the order in which keys name them. */
static const struct index {
    const char *name;
    size_t at;
    int member;
    int32_t least;
} indices[] = {
    {"task", offsetof(struct mu_event, task), MU_EVENT_TASK, 0},
    {"attempt", offsetof(struct mu_event, attempt), MU_EVENT_ATTEMPT, 1},
    {"group", offsetof(struct mu_event, group), MU_EVENT_GROUP, 0},
    {"node", offsetof(struct mu_event, node), MU_EVENT_NODE, 0},
    {"device", offsetof(struct mu_event, device), MU_EVENT_DEVICE, 0},
    {"job", offsetof(struct mu_event, job), MU_EVENT_JOB, 0},
    {"job", offsetof(struct mu_event, job), MU_EVENT_MAYBE_JOB, -1},
    {"value", offsetof(struct mu_event, value), MU_EVENT_VALUE, 0},
};

static int32_t index_of(const struct mu_event *ev, const struct index *i)
{
    int32_t v;
    memcpy(&v, (const char *)ev + i->at, sizeof v);
    return v;
}

int mu_event_members(int kind)
{
    return kind > 0 && kind < MU_EVENT_KIND_END && kinds[kind].words ? kinds[kind].members : -1;
}

const char *mu_event_kind_words(int kind)
{
    return mu_event_members(kind) >= 0 ? kinds[kind].words : "?";
}

static int check_text(const struct mu_event *ev, const char *text, size_t max, const char *what, struct mu_err *e)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= max)
        return mu_fail(e, MU_EINVAL, "%s: a %s of %zu bytes, at most %zu are kept", mu_event_kind_words(ev->kind), what,
                       n, max - 1);
    if (n > 0 && mu_utf8_valid_prefix(text, n) < n)
        return mu_fail(e, MU_EINVAL, "%s: its %s is not UTF-8", mu_event_kind_words(ev->kind), what);
    return MU_OK;
}

int mu_event_check(const struct mu_event *ev, struct mu_err *e)
{
    int members = mu_event_members(ev->kind);
    if (members < 0)
        return mu_fail(e, MU_EFORMAT, "%d is no kind of event that this muster knows", ev->kind);
    for (size_t i = 0; i < MU_COUNT(indices); i++) {
        int32_t v = index_of(ev, &indices[i]);
        if ((members & indices[i].member) && v < indices[i].least)
            return mu_fail(e, MU_EINVAL, "%s: %s %d is below %d", kinds[ev->kind].words, indices[i].name, v,
                           indices[i].least);
    }
    if ((members & MU_EVENT_AMOUNT) && ev->amount < 0)
        return mu_fail(e, MU_EINVAL, "%s: an amount of %" PRId64 " is below 0", kinds[ev->kind].words, ev->amount);
    if (members & MU_EVENT_TEXT)
        MU_TRY_RETURN(check_text(ev, ev->text, MU_EVENT_TEXT_MAX, "text", e));
    if (ev->key && (ev->key[0] == '#' || !ev->key[0]))
        return mu_fail(e, MU_EINVAL, "%s: a key must be something and not begin with '#'", kinds[ev->kind].words);
    return check_text(ev, ev->key, MU_EVENT_KEY_MAX, "key", e);
}

void mu_event_key(const struct mu_event *ev, char key[MU_EVENT_KEY_MAX])
{
    int members = mu_event_members(ev->kind);
    if (ev->key) {
        snprintf(key, MU_EVENT_KEY_MAX, "%s", ev->key);
        return;
    }
    if (members < 0 || !(members & MU_EVENT_ONCE)) {
        snprintf(key, MU_EVENT_KEY_MAX, "#%" PRId64, ev->seq);
        return;
    }
    int n = snprintf(key, MU_EVENT_KEY_MAX, "%s", kinds[ev->kind].words);
    for (size_t i = 0; i < MU_COUNT(indices); i++)
        if ((members & indices[i].member) && indices[i].member < MU_EVENT_VALUE)
            n += snprintf(key + n, (size_t)(MU_EVENT_KEY_MAX - n), " %d", index_of(ev, &indices[i]));
    if (ev->kind == MU_EVENT_REQUEST_SKIPPED)
        snprintf(key + n, (size_t)(MU_EVENT_KEY_MAX - n), " %" PRId64, ev->amount);
}

bool mu_event_is_same(const struct mu_event *a, const struct mu_event *b)
{
    int members = mu_event_members(a->kind);
    if (a->kind != b->kind || members < 0)
        return false;
    for (size_t i = 0; i < MU_COUNT(indices); i++)
        if ((members & indices[i].member) && indices[i].member < MU_EVENT_VALUE &&
            index_of(a, &indices[i]) != index_of(b, &indices[i]))
            return false;
    if (!(members & MU_EVENT_EXACT))
        return true;
    return (!(members & MU_EVENT_AMOUNT) || a->amount == b->amount) &&
           (!(members & MU_EVENT_TEXT) || strcmp(a->text ? a->text : "", b->text ? b->text : "") == 0);
}
