/* campaign.c - what is asked of a campaign once it is read: names, options, hashes */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "plan/layout.h"
#include "sched/campaign_int.h"

#define KEY_BYTES_MAX ((size_t)16 << 20)

int mu_campaign_find(const struct mu_campaign *c, const char *id)
{
    return mu_campaign_table_find(c->by_id, c, id);
}

/* The first task of a set behind `task`; INT32_MAX: none. */
static int32_t next_of(const struct mu_campaign_set *s, int32_t task)
{
    int lo = 0, hi = s->n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (s->task[mid] <= task)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n ? s->task[lo] : INT32_MAX;
}

int mu_campaign_befores(const struct mu_campaign *c, int task, int32_t *list, int max)
{
    const struct mu_campaign_task *t = &c->task[task];
    int n = t->n_wait == 1 ? c->set[t->wait[0]].n : 0;
    for (int i = 0; i < MU_MIN(n, max); i++)
        list[i] = c->set[t->wait[0]].task[i];
    if (n > 0)
        return n;
    for (int32_t at = -1, next;; at = next) {
        next = INT32_MAX;
        for (int i = 0; i < t->n_wait; i++) {
            int32_t of_set = next_of(&c->set[t->wait[i]], at);
            next = MU_MIN(next, of_set);
        }
        if (next == INT32_MAX)
            return n;
        if (n < max)
            list[n] = next;
        n++;
    }
}

int64_t mu_campaign_devices(const struct mu_campaign *c, int task)
{
    const struct mu_campaign_model *m = &c->model[c->task[task].model];
    int64_t fixed = c->task[task].policy.resources.devices;
    struct mu_layout l;
    fixed = fixed > 0 ? fixed : m->ranks;
    if (fixed == 0 && m->layout && mu_layout_parse(&l, m->layout, 0, NULL) == MU_OK)
        fixed = mu_layout_ranks(&l);
    return fixed;
}

int mu_campaign_task_options(const struct mu_campaign *c, int task, json_t **out, struct mu_err *e)
{
    *out = json_copy(c->model[c->task[task].model].options);
    if (*out && json_object_update(*out, c->suite[c->task[task].suite].options) == 0)
        return MU_OK;
    json_decref(*out);
    *out = NULL;
    return mu_fail_nomem(e, sizeof(void *), "options of a task");
}

/* ---- hashes ---- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A number is the same number however it is written. */
static int add_value(struct mu_buf *to, const json_t *v, struct mu_err *e)
{
    if (json_is_number(v))
        return mu_buf_printf(to, e, "%.17g", json_number_value(v));
    return mu_json_dump(to, v, false, e);
}

/* Of options, those that decide results, in the order of the alphabet. */
static int hash_options(const json_t *options, const struct mu_campaign_row *rows, uint64_t *out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("options of a campaign", KEY_BYTES_MAX);
    const char *names[64];
    size_t n = 0;
    int rc = MU_OK;
    for (; rows->name; rows++) {
        if (rows->decides && n < MU_COUNT(names) && json_object_get(options, rows->name))
            names[n++] = rows->name;
    }
    qsort(names, n, sizeof *names, compare_keys);
    for (size_t i = 0; i < n; i++) {
        MU_TRY(mu_buf_printf(&text, e, "%s=", names[i]));
        MU_TRY(add_value(&text, json_object_get(options, names[i]), e));
        MU_TRY(mu_buf_putc(&text, '\n', e));
    }
    *out = mu_hash64(mu_buf_str(&text).p, text.n, 0);
out:
    mu_buf_fini(&text);
    return rc;
}

static uint64_t hash_task(const struct mu_campaign_task *t, uint64_t model, uint64_t suite)
{
    uint64_t key[3] = {model, suite, mu_hash64(t->id, strlen(t->id), 0)};
    return mu_hash64(key, sizeof key, 0);
}

int mu_campaign_task_hash(const struct mu_campaign *c, int task, uint64_t *out, struct mu_err *e)
{
    const struct mu_campaign_task *t = &c->task[task];
    uint64_t model, suite;
    MU_TRY_RETURN(hash_options(c->model[t->model].options, mu_campaign_model_rows, &model, e));
    MU_TRY_RETURN(hash_options(c->suite[t->suite].options, mu_campaign_suite_rows, &suite, e));
    *out = hash_task(t, model, suite);
    return MU_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int mu_campaign_hash(const struct mu_campaign *c, uint64_t *out, struct mu_err *e)
{
    uint64_t *side = NULL, *all = NULL, *suite;
    int rc;
    MU_TRY(MU_NEW_ARRAY(&side, c->n_models + c->n_suites, "a campaign's hash", e));
    MU_TRY(MU_NEW_ARRAY(&all, c->n_tasks + 1, "a campaign's hash", e));
    suite = side + c->n_models;
    for (int i = 0; i < c->n_models; i++)
        MU_TRY(hash_options(c->model[i].options, mu_campaign_model_rows, &side[i], e));
    for (int i = 0; i < c->n_suites; i++)
        MU_TRY(hash_options(c->suite[i].options, mu_campaign_suite_rows, &suite[i], e));
    for (int i = 0; i < c->n_tasks; i++)
        all[i] = hash_task(&c->task[i], side[c->task[i].model], suite[c->task[i].suite]);
    qsort(all, (size_t)c->n_tasks, sizeof *all, compare_hashes);
    all[c->n_tasks] = mu_hash64(c->name, strlen(c->name), 0);
    *out = mu_hash64(all, ((size_t)c->n_tasks + 1) * sizeof *all, 0);
out:
    mu_free(side);
    mu_free(all);
    return rc;
}
