/* campaign_read.c - YAML to a campaign: sections, then models, suites, tasks, policies and order */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/campaign_int.h"
#include "sched/strategy.h"

#define C(field) offsetof(struct mu_campaign, field)
#define F(field) offsetof(struct mu_campaign_failure, field)
#define NOWHERE  MU_CAMPAIGN_NOWHERE

#define ROW(key, type, at, ...)                                                                                        \
    {                                                                                                                  \
        .name = key, .kind = MU_CAMPAIGN_##type, .offset = at, ##__VA_ARGS__                                           \
    }
#define RANGE(from, to) .lo = from, .hi = to

#define TASKS_AT_ONCE 65536

static const struct mu_campaign_row budgets_rows[] = {
    ROW("gpu_hours", REAL, C(budgets.gpu_hours), RANGE(1e-6, 1e9)),
    ROW("walltime", SECONDS, C(budgets.walltime_s), RANGE(1, MU_CAMPAIGN_SECONDS_MAX)),
    {.name = NULL},
};

static const struct mu_campaign_row concurrency_rows[] = {
    ROW("tasks", INT, C(concurrency.tasks), RANGE(1, TASKS_AT_ONCE)),
    ROW("per_device", INT, C(concurrency.per_device), RANGE(1, 64)),
    {.name = NULL},
};

static const struct mu_campaign_row alerts_rows[] = {
    ROW("command", TEXT, C(alerts.command)),
    ROW("webhook", TEXT, C(alerts.webhook)),
    ROW("timeout", SECONDS, C(alerts.timeout_s), RANGE(1, 600)),
    {.name = NULL},
};

static const struct mu_campaign_row scaling_rows[] = {
    ROW("least", INT32, C(scaling.least), RANGE(0, MU_SCALE_REPLICAS_MAX)),
    ROW("most", INT32, C(scaling.most), RANGE(1, MU_SCALE_REPLICAS_MAX)),
    ROW("interval", SECONDS, C(scaling.interval_s), RANGE(0.1, 86400)),
    ROW("up_cooldown", SECONDS, C(scaling.up_cooldown_s), RANGE(0, 86400)),
    ROW("down_cooldown", SECONDS, C(scaling.down_cooldown_s), RANGE(0, 86400)),
    ROW("stable", INT32, C(scaling.stable), RANGE(1, 1000)),
    ROW("busy_high", REAL, C(scaling.busy_high), RANGE(0.01, 1)),
    ROW("busy_low", REAL, C(scaling.busy_low), RANGE(0.01, 1)),
    ROW("drain", SECONDS, C(scaling.drain_s), RANGE(1, 86400)),
    ROW("step_most", INT32, C(scaling.step_most), RANGE(1, MU_SCALE_REPLICAS_MAX)),
    ROW("smooth", REAL, C(scaling.smooth), RANGE(0.001, 1)),
    ROW("capacity", REAL, C(scaling.capacity), RANGE(1e-6, 1e9)),
    ROW("start", SECONDS, C(scaling.start_s), RANGE(1, 86400)),
    {.name = NULL},
};

static const struct mu_campaign_row failure_rows[] = {
    ROW("first", ACTION, F(first)),
    ROW("tries", INT, F(tries), RANGE(1, 100)),
    ROW("then", ACTION, F(then)),
    {.name = NULL},
};

static const struct mu_campaign_row top_rows[] = {
    ROW("name", TEXT, C(name)),
    ROW("output", TEXT, C(output)),
    ROW("include", ELSEWHERE, NOWHERE),
    ROW("models", ELSEWHERE, NOWHERE),
    ROW("suites", ELSEWHERE, NOWHERE),
    ROW("matrix", ELSEWHERE, NOWHERE),
    ROW("settings", ELSEWHERE, NOWHERE),
    ROW("strategy", STRATEGY, C(strategy)),
    ROW("weight", REAL, C(weight), RANGE(0.001, 1000)),
    ROW("share", TEXT, C(share)),
    ROW("budgets", PART, 0, .part = budgets_rows),
    ROW("concurrency", PART, 0, .part = concurrency_rows),
    ROW("failures", ELSEWHERE, NOWHERE),
    ROW("alerts", PART, 0, .part = alerts_rows),
    ROW("scaling", PART, 0, .part = scaling_rows),
    ROW("site", TEXT, C(site)),
    {.name = NULL},
};

/* ---- sections ---- */

/* A list's items, put behind those that are there. */
static int read_list(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const char *key,
                     struct mu_campaign_items *to, size_t max)
{
    const json_t *list = json_object_get(n->o, key), *v;
    struct mu_campaign_place at = mu_campaign_key_place(r, n, key);
    size_t i;
    if (!list || json_is_null(list))
        return MU_OK;
    if (!json_is_array(list))
        mu_campaign_fault(r->c, r->faults, at, "%s must be a list: lines that begin with \"- \"", key);
    json_array_foreach(list, i, v)
    {
        MU_TRY_RETURN(mu_campaign_grow(&to->item, &to->cap, to->n, sizeof *to->item, max, key, r->e));
        to->item[to->n++] = (struct mu_campaign_item){v, mu_campaign_item_place(r, list, i, at)};
    }
    return MU_OK;
}

/* The one of its class gives way. */
static void put_failure(struct mu_campaign *c, const struct mu_campaign_failure *f)
{
    int i = 0;
    while (i < c->n_failures && c->failure[i].failure != f->failure)
        i++;
    c->failure[i] = *f;
    c->n_failures = MU_MAX(c->n_failures, i + 1);
}

static int read_failure(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const char *key,
                        const json_t *v)
{
    struct mu_campaign_failure f = {
        .failure = (enum mu_failure)mu_failure_find(key), .first = MU_ACTIONS, .then = MU_ACTIONS};
    struct mu_campaign_node part = {.o = v, .what = key, .at = mu_campaign_key_place(r, n, key)};
    json_t *made = json_is_string(v) ? json_pack("{s:O}", "first", v) : NULL;
    if (made)
        part = (struct mu_campaign_node){part.at, made, key, true};
    int rc = json_is_object(part.o) ? mu_campaign_fields(r, &part, failure_rows, &f, NULL) : MU_OK;
    if (!json_object_get(part.o, "first") || !json_object_get(part.o, "tries") != !json_object_get(part.o, "then"))
        mu_campaign_fault(r->c, r->faults, part.at,
                          "failures.%s must say what is done first, and may say after how many tries what then: "
                          "%s: {first: %s, tries: 3, then: %s}",
                          key, key, mu_action_name(MU_ACTION_RETRY), mu_action_name(MU_ACTION_GIVE_UP));
    json_decref(made);
    put_failure(r->c, &f);
    return rc;
}

static int read_failures(struct mu_campaign_reader *r, const struct mu_campaign_node *n)
{
    const json_t *all = json_object_get(n->o, "failures");
    const char *names[MU_FAILURES + 1] = {NULL}, *key;
    struct mu_campaign_node part = {.o = all, .what = "failures", .at = mu_campaign_key_place(r, n, "failures")};
    json_t *v;
    for (int i = 0; i < MU_FAILURES; i++)
        names[i] = mu_failure_name(i);
    if (all && !json_is_null(all) && !json_is_object(all))
        mu_campaign_fault(r->c, r->faults, part.at, "failures must be a mapping such as {node: %s}",
                          mu_action_name(MU_ACTION_REPLAN));
    json_object_foreach((json_t *)(uintptr_t)all, key, v)
    {
        if (mu_failure_find(key) > MU_FAILURE_NONE)
            MU_TRY_RETURN(read_failure(r, &part, key, v));
        else
            mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, &part, key), "there is no failure \"%.40s\"%s",
                              key, mu_campaign_hint(names, key).text);
    }
    return MU_OK;
}

static int read_sections(struct mu_campaign_reader *r, const struct mu_campaign_node *n)
{
    struct mu_campaign *c = r->c;
    MU_TRY_RETURN(mu_campaign_fields(r, n, top_rows, c, NULL));
    if (json_object_get(n->o, "budgets"))
        c->budgets_place = mu_campaign_key_place(r, n, "budgets");
    if (json_is_object(json_object_get(n->o, "scaling"))) {
        c->scaling_place = mu_campaign_key_place(r, n, "scaling");
        c->is_scaling = true;
    }
    MU_TRY_RETURN(read_failures(r, n));
    MU_TRY_RETURN(read_list(r, n, "models", &r->models, MU_CAMPAIGN_MODELS_MAX));
    MU_TRY_RETURN(read_list(r, n, "suites", &r->suites, MU_CAMPAIGN_SUITES_MAX));
    MU_TRY_RETURN(read_list(r, n, "matrix", &r->matrix, MU_CAMPAIGN_MATRIX_MAX));
    return read_list(r, n, "settings", &r->settings, MU_CAMPAIGN_SETTINGS_MAX);
}

/* ---- the whole ---- */

static void check_scaling(struct mu_campaign_reader *r)
{
    struct mu_scale tried;
    struct mu_err why;
    if (r->c->is_scaling && mu_scale_init(&tried, &r->c->scaling, r->c->scaling.least, NULL, NULL, &why) != MU_OK)
        mu_campaign_fault(r->c, r->faults, r->c->scaling_place, "scaling: %.600s", why.text);
    if (r->c->is_scaling && r->c->concurrency.per_device > 1)
        mu_campaign_fault(r->c, r->faults, r->c->scaling_place,
                          "scaling: with a concurrency of %d tasks per_device no worker keeps its model, so there are "
                          "no replicas to add: leave out one of the two",
                          (int)r->c->concurrency.per_device);
}

/* The file's name without what tells the format. */
static int name_campaign(struct mu_campaign_reader *r)
{
    struct mu_campaign *c = r->c;
    const char *slash = strrchr(c->file[0], '/');
    struct mu_str s = mu_str(slash ? slash + 1 : c->file[0]);
    const char *dot = strrchr(s.p, '.');
    if (!c->name) {
        c->name = mu_arena_strdup(&c->arena, (struct mu_str){s.p, dot && dot > s.p ? (size_t)(dot - s.p) : s.n}, r->e);
        if (!c->name)
            return r->e->code;
    }
    if (!mu_campaign_is_name(c->name))
        mu_campaign_fault(c, r->faults, (struct mu_campaign_place){0, 0},
                          "\"%.80s\" is no name of a campaign: letters, digits and . _ + : @ - are, behind a letter or "
                          "digit: say name: x",
                          c->name);
    return MU_OK;
}

static int check_whole(struct mu_campaign_reader *r)
{
    struct mu_campaign *c = r->c;
    const struct mu_campaign_place top = {0, 0};
    MU_TRY_RETURN(name_campaign(r));
    if (!c->output)
        mu_campaign_fault(c, r->faults, top,
                          "\"output\" is missing: the folder that results, journals and events go to");
    if (r->models.n == 0)
        mu_campaign_fault(c, r->faults, top, "\"models\" is missing: a list of folders, files or presets");
    if (r->suites.n == 0)
        mu_campaign_fault(c, r->faults, top, "\"suites\" is missing: a list of suites, such as mmlu");
    check_scaling(r);
    return MU_OK;
}

static const char *model_name(const struct mu_campaign *c, int32_t i)
{
    return c->model[i].name;
}

static const char *suite_name(const struct mu_campaign *c, int32_t i)
{
    return c->suite[i].name;
}

static const char *task_name(const struct mu_campaign *c, int32_t i)
{
    return c->task[i].id;
}

static const char *set_name(const struct mu_campaign *c, int32_t i)
{
    return c->set[i].pattern;
}

static int open_campaign(struct mu_campaign **out, struct mu_err *e)
{
    MU_TRY_RETURN(MU_NEW(out, "a campaign", e));
    struct mu_campaign *c = *out;
    c->arena = (struct mu_arena)MU_ARENA_INIT("a campaign", MU_CAMPAIGN_MEMORY_MAX);
    c->weight = 1;
    c->strategy = mu_balanced.name;
    c->concurrency.per_device = 1;
    c->alerts.timeout_s = 10;
    c->scaling = (struct mu_scale_rules)MU_SCALE_DEFAULT;
    MU_TRY_RETURN(MU_NEW(&c->by_id, "a campaign", e));
    c->by_id->name = task_name;
    return MU_OK;
}

static int make(struct mu_campaign_reader *r)
{
    r->by_model.name = model_name;
    r->by_suite.name = suite_name;
    r->by_set.name = set_name;
    MU_TRY_RETURN(check_whole(r));
    MU_TRY_RETURN(mu_campaign_read_models(r));
    MU_TRY_RETURN(mu_campaign_read_suites(r));
    MU_TRY_RETURN(mu_campaign_make_tasks(r));
    MU_TRY_RETURN(mu_campaign_index_tasks(r));
    MU_TRY_RETURN(mu_campaign_settle(r));
    MU_TRY_RETURN(mu_campaign_agree(r->c, r->faults, r->e));
    return mu_campaign_order(r->c, r->faults, r->e);
}

static void side_fini(struct mu_campaign_side *s)
{
    mu_free(s->next);
    mu_free(s->task);
    mu_free(s->at);
    mu_free(s->is_hit);
    mu_free(s->hit.p);
}

static void reader_free(struct mu_campaign_reader *r)
{
    if (!r)
        return;
    for (int i = 0; i < MU_CAMPAIGN_FILES_MAX; i++) {
        mu_yaml_free(r->yaml[i]);
        mu_free(r->real[i]);
    }
    side_fini(&r->model_side);
    side_fini(&r->suite_side);
    mu_free(r->models.item);
    mu_free(r->suites.item);
    mu_free(r->matrix.item);
    mu_free(r->settings.item);
    mu_free(r->by_model.slot);
    mu_free(r->by_suite.slot);
    mu_free(r->by_set.slot);
    mu_free(r->hits.p);
    mu_free(r);
}

int mu_campaign_parse(struct mu_campaign **out, struct mu_str text, const char *path, const struct mu_campaign_world *w,
                      struct mu_campaign_faults *faults, struct mu_err *e)
{
    struct mu_campaign_reader *r = NULL;
    struct mu_campaign *c = NULL;
    struct mu_err own = MU_ERR_INIT, *to = e ? e : &own;
    int rc;

    *out = NULL;
    faults->n = faults->n_all = 0;
    MU_TRY(MU_NEW(&r, "a campaign", to));
    MU_TRY(open_campaign(&c, to));
    r->c = c;
    r->faults = faults;
    r->e = to;
    MU_TRY(mu_campaign_include(r, path, text, -1, 0, (struct mu_campaign_place){0, 0}, read_sections));
    rc = make(r);
    if (rc == MU_ELIMIT)
        mu_err_while(to, rc, "reading %s", path);
    MU_TRY(rc);
    int code = faults->n_all > 0 ? MU_EFORMAT : MU_EINVAL;
    if (w)
        MU_TRY(mu_campaign_hold(c, w, faults, to));
    MU_TRY(mu_campaign_faults_result(faults, code, to));
    *out = c;
    c = NULL;
out:
    reader_free(r);
    mu_campaign_free(c);
    return rc;
}

int mu_campaign_load(struct mu_campaign **out, const char *path, const struct mu_campaign_world *w,
                     struct mu_campaign_faults *faults, struct mu_err *e)
{
    return mu_campaign_parse(out, (struct mu_str){NULL, 0}, path, w, faults, e);
}

void mu_campaign_free(struct mu_campaign *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_models; i++)
        json_decref(c->model[i].options);
    for (int i = 0; i < c->n_suites; i++)
        json_decref(c->suite[i].options);
    mu_free(c->model);
    mu_free(c->suite);
    mu_free(c->task);
    mu_free(c->set);
    if (c->by_id)
        mu_free(c->by_id->slot);
    mu_free(c->by_id);
    mu_arena_fini(&c->arena);
    mu_free(c);
}
