/* campaign_settings.c - settings: the policy of each task, and which sets of tasks it waits for
 *
 * Items hold in the order of the files, a later one before an earlier; only what is waited for adds up. A task does not
 * wait for a set that it is in itself, so "all after every smoke test" can be said of all. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

#define RETRIES          2
#define RETRY_WAIT_S     30.0
#define RETRY_WAIT_MAX_S 1800.0
#define PATTERN_MAX      (4 * MU_CAMPAIGN_NAME_MAX)

/* task[i] waits for set[i]. */
struct waits {
    struct mu_campaign_list task, set;
};

struct setting {
    struct mu_campaign_node n;
    struct mu_campaign_policy policy;
    struct mu_campaign_set_rows rows;
    const char *const *over, *const *after; /* for: and after: */
    int n_over, n_after;
    struct mu_campaign_list tasks; /* of the pattern at hand */
    bool is_one;                   /* which names one task by its name */
};

static const char *const everything[] = {"*"};

/* ---- policies ---- */

static void set_defaults(struct mu_campaign *c)
{
    const struct mu_campaign_policy p = {.priority = MU_PRIORITY_NORMAL,
                                         .if_failed = MU_AFTER_SKIP,
                                         .shrink = 1u << MU_SHRINK_RANKS | 1u << MU_SHRINK_BATCH,
                                         .retries = {RETRIES, RETRY_WAIT_S, RETRY_WAIT_MAX_S}};
    for (int i = 0; i < c->n_tasks; i++)
        c->task[i].policy = p;
}

static bool says(const struct setting *s, const char *key)
{
    const json_t *v = json_object_get(s->n.o, key);
    return v && !json_is_null(v);
}

static void apply(const struct mu_campaign_reader *r, const struct setting *s, struct mu_campaign_policy *p)
{
    for (int i = 0; i < s->rows.n; i++)
        mu_campaign_copy(s->rows.row[i], p, &s->policy);
    if (says(s, "deadline"))
        p->deadline_place = mu_campaign_key_place(r, &s->n, "deadline");
    if (says(s, "timeout"))
        p->timeout_place = mu_campaign_key_place(r, &s->n, "timeout");
    if (says(s, "resources"))
        p->resources_place = mu_campaign_key_place(r, &s->n, "resources");
}

static int read_setting(struct mu_campaign_reader *r, struct setting *s)
{
    s->over = everything;
    s->n_over = 1;
    if (says(s, "for"))
        MU_TRY_RETURN(mu_campaign_texts(r, &s->n, "for", &s->over, &s->n_over));
    MU_TRY_RETURN(mu_campaign_texts(r, &s->n, "after", &s->after, &s->n_after));
    return mu_campaign_fields(r, &s->n, mu_campaign_policy_rows, &s->policy, &s->rows);
}

/* ---- sets ---- */

/* pattern with {model} and {suite} replaced by the task's own; a part that is nothing else means just that one, not its
 * variations. false: too long. */
static bool expand(const struct mu_campaign *c, const char *pattern, int task, char out[PATTERN_MAX])
{
    const char *model = c->model[c->task[task].model].name, *suite = c->suite[c->task[task].suite].name;
    size_t n = 0;
    for (const char *p = pattern; *p;) {
        bool is_model = strncmp(p, "{model}", 7) == 0, is_suite = strncmp(p, "{suite}", 7) == 0;
        if (!is_model && !is_suite) {
            n += (size_t)snprintf(out + n, PATTERN_MAX - n, "%c", *p++);
        } else {
            const char *name = is_model ? model : suite;
            bool is_whole = (p == pattern || p[-1] == '/') && (p[7] == '/' || !p[7]) && !strchr(name, ',');
            n += (size_t)snprintf(out + n, PATTERN_MAX - n, "%s%s", name, is_whole ? "," : "");
            p += 7;
        }
        if (n >= PATTERN_MAX)
            return false;
    }
    return true;
}

static int add_set(struct mu_campaign_reader *r, const char *pattern, struct mu_campaign_place at)
{
    struct mu_campaign *c = r->c;
    struct mu_campaign_set s = {.n = (int)r->hits.n, .at = at};
    r->n_members += r->hits.n;
    if (r->n_members > MU_CAMPAIGN_MEMBERS_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s, line %d: the sets of tasks that others wait for have more than %d tasks",
                       c->file[at.file], at.line, MU_CAMPAIGN_MEMBERS_MAX);
    MU_TRY_RETURN(mu_campaign_grow(&c->set, &r->cap_sets, (size_t)c->n_sets, sizeof *c->set, MU_CAMPAIGN_SETS_MAX,
                                   "sets of tasks that others wait for", r->e));
    s.pattern = mu_arena_strdup(&c->arena, mu_str(pattern), r->e);
    int32_t *task = s.pattern ? mu_arena_array(&c->arena, r->hits.n, sizeof *task, r->e) : NULL;
    if (!task)
        return r->e->code;
    memcpy(task, r->hits.p, r->hits.n * sizeof *task);
    s.task = task;
    MU_TRY_RETURN(mu_campaign_table_add(&r->by_set, pattern, c->n_sets, r->e));
    c->set[c->n_sets++] = s;
    return MU_OK;
}

/* The set a pattern names; *index -1 after a fault. */
static int set_of(struct mu_campaign_reader *r, const char *pattern, struct mu_campaign_place at, int *index)
{
    *index = mu_campaign_table_find(&r->by_set, r->c, pattern);
    if (*index >= 0)
        return MU_OK;
    MU_TRY_RETURN(mu_campaign_match(r, pattern, at));
    if (r->hits.n == 0)
        return MU_OK;
    *index = r->c->n_sets;
    return add_set(r, pattern, at);
}

static bool is_in(const struct mu_campaign_set *s, int32_t task)
{
    int lo = 0, hi = s->n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (s->task[mid] < task)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->task[lo] == task;
}

/* ---- waiting ---- */

static int add_wait(struct mu_campaign_reader *r, const struct setting *s, struct waits *w, int32_t task, int set,
                    struct mu_campaign_place at)
{
    if (set < 0)
        return MU_OK;
    if (is_in(&r->c->set[set], task)) {
        if (s->is_one && r->c->set[set].n == 1)
            mu_campaign_fault(r->c, r->faults, at, "task %s waits for itself", r->c->task[task].id);
        return MU_OK;
    }
    MU_TRY_RETURN(mu_campaign_list_add(&w->task, task, MU_CAMPAIGN_WAITS_MAX, "waits of tasks for others", r->e));
    return mu_campaign_list_add(&w->set, set, MU_CAMPAIGN_WAITS_MAX, "waits of tasks for others", r->e);
}

/* All tasks of the setting's pattern at hand wait for one pattern. */
static int wait_for(struct mu_campaign_reader *r, struct setting *s, const char *pattern, struct mu_campaign_place at,
                    struct waits *w)
{
    char own[PATTERN_MAX];
    bool is_same = !strstr(pattern, "{model}") && !strstr(pattern, "{suite}");
    int set = -1;
    if (is_same)
        MU_TRY_RETURN(set_of(r, pattern, at, &set));
    for (size_t i = 0; i < s->tasks.n; i++) {
        int32_t task = s->tasks.p[i];
        if (!is_same && !expand(r->c, pattern, task, own)) {
            mu_campaign_fault(r->c, r->faults, at, "after: \"%.100s...\" is longer than any task's name", pattern);
            return MU_OK;
        }
        if (!is_same)
            MU_TRY_RETURN(set_of(r, own, at, &set));
        MU_TRY_RETURN(add_wait(r, s, w, task, set, at));
    }
    return MU_OK;
}

/* The n of key: are n texts; where the i-th stands. */
static struct mu_campaign_place place_of(const struct mu_campaign_reader *r, const struct setting *s, const char *key,
                                         int i)
{
    struct mu_campaign_place at = mu_campaign_key_place(r, &s->n, key);
    const json_t *v = json_object_get(s->n.o, key);
    return json_is_array(v) ? mu_campaign_item_place(r, v, (size_t)i, at) : at;
}

/* One pattern of for:. */
static int settle(struct mu_campaign_reader *r, struct setting *s, int which, struct waits *w)
{
    const char *pattern = s->over[which];
    MU_TRY_RETURN(mu_campaign_match(r, pattern, place_of(r, s, "for", which)));
    struct mu_campaign_list kept = s->tasks;
    s->tasks = r->hits;
    r->hits = kept;
    s->is_one = s->tasks.n == 1 && !strpbrk(pattern, "*?[");
    for (size_t i = 0; i < s->tasks.n; i++)
        apply(r, s, &r->c->task[s->tasks.p[i]].policy);
    for (int i = 0; i < s->n_after; i++)
        MU_TRY_RETURN(wait_for(r, s, s->after[i], place_of(r, s, "after", i), w));
    return MU_OK;
}

/* ---- who waits for what, as arrays ---- */

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once; the new length. */
static int tidy(int32_t *p, int n)
{
    int kept = 0;
    if (n > 1)
        qsort(p, (size_t)n, sizeof *p, compare);
    for (int i = 0; i < n; i++) {
        if (kept == 0 || p[kept - 1] != p[i])
            p[kept++] = p[i];
    }
    return kept;
}

/* to[] of n groups out of pairs: pair i puts value[i] into group[i]. *at[n + 1] is the arena's. */
static int gather(struct mu_campaign *c, int n, const struct mu_campaign_list *group,
                  const struct mu_campaign_list *value, int32_t **to, int32_t **at, struct mu_err *e)
{
    int32_t *a = mu_arena_array(&c->arena, (size_t)n + 2, sizeof *a, e);
    int32_t *p = a ? mu_arena_array(&c->arena, group->n, sizeof *p, e) : NULL;
    if (!p)
        return e->code;
    for (size_t i = 0; i < group->n; i++)
        a[group->p[i] + 2]++;
    for (int i = 0; i < n; i++)
        a[i + 2] += a[i + 1];
    for (size_t i = 0; i < group->n; i++)
        p[a[group->p[i] + 1]++] = value->p[i];
    *to = p;
    *at = a;
    return MU_OK;
}

static int gather_waits(struct mu_campaign_reader *r, const struct waits *w)
{
    struct mu_campaign *c = r->c;
    int32_t *p, *at;
    MU_TRY_RETURN(gather(c, c->n_tasks, &w->task, &w->set, &p, &at, r->e));
    for (int i = 0; i < c->n_tasks; i++) {
        c->task[i].wait = p + at[i];
        c->task[i].n_wait = tidy(p + at[i], at[i + 1] - at[i]);
    }
    MU_TRY_RETURN(gather(c, c->n_sets, &w->set, &w->task, &p, &at, r->e));
    for (int i = 0; i < c->n_sets; i++) {
        c->set[i].waiting = p + at[i];
        c->set[i].n_waiting = tidy(p + at[i], at[i + 1] - at[i]);
    }
    return MU_OK;
}

static int gather_members(struct mu_campaign_reader *r)
{
    struct mu_campaign *c = r->c;
    struct waits m = {0};
    int32_t *p, *at;
    int rc = MU_OK;
    for (int i = 0; i < c->n_sets; i++) {
        for (int k = 0; k < c->set[i].n; k++) {
            MU_TRY(mu_campaign_list_add(&m.task, c->set[i].task[k], MU_CAMPAIGN_MEMBERS_MAX, "tasks of sets", r->e));
            MU_TRY(mu_campaign_list_add(&m.set, i, MU_CAMPAIGN_MEMBERS_MAX, "tasks of sets", r->e));
        }
    }
    MU_TRY(gather(c, c->n_tasks, &m.task, &m.set, &p, &at, r->e));
    for (int i = 0; i < c->n_tasks; i++) {
        c->task[i].in = p + at[i];
        c->task[i].n_in = at[i + 1] - at[i];
    }
out:
    mu_free(m.task.p);
    mu_free(m.set.p);
    return rc;
}

int mu_campaign_settle(struct mu_campaign_reader *r)
{
    struct waits w = {0};
    struct setting s = {.tasks = {0}};
    int rc = MU_OK;

    set_defaults(r->c);
    for (size_t i = 0; i < r->settings.n; i++) {
        const struct mu_campaign_item *item = &r->settings.item[i];
        s = (struct setting){.n = {.o = item->v, .what = "", .at = item->at}, .tasks = s.tasks};
        if (!json_is_object(item->v)) {
            mu_campaign_fault(r->c, r->faults, item->at,
                              "an item of settings must be a mapping such as {for: \"*\", priority: high}");
            continue;
        }
        MU_TRY(read_setting(r, &s));
        for (int k = 0; k < s.n_over && r->c->n_tasks > 0; k++)
            MU_TRY(settle(r, &s, k, &w));
    }
    MU_TRY(gather_waits(r, &w));
    rc = gather_members(r);
out:
    mu_free(s.tasks.p);
    mu_free(w.task.p);
    mu_free(w.set.p);
    return rc;
}
