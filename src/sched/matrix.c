/* matrix.c - products of models, suites and values, one task each
 *
 * Order: products as in the file, in each the models as it lists them (a pattern: as the file defines them), each with
 * its values, then the suites. Options stand in a name in the order of the alphabet, whatever their order in the file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "sched/campaign_int.h"

/* An option with the values it takes in turn. */
struct param {
    const struct mu_campaign_row *row;
    const json_t *v; /* a list, or one value */
    int n;
    const char **text;
};

struct params {
    struct param p[MU_CAMPAIGN_PARAMS_MAX];
    int n;
};

struct product {
    struct mu_campaign_node n;
    struct mu_campaign_list models, suites; /* with their values */
    struct params of_model, of_suite;
    const char *const *exclude;
    int n_exclude;
    struct mu_campaign_parts *parts; /* of exclude; owned */
    bool *used;                      /* [n_exclude] it left something out; owned */
    bool is_faulty;                  /* its tasks are not what was meant: no fault of theirs is told */
};

static const json_t *value_at(const struct param *p, int i)
{
    return json_is_array(p->v) ? json_array_get(p->v, (size_t)i) : p->v;
}

/* ---- values ---- */

/* A value as it stands in names; NULL: it cannot. */
static int text_of(struct mu_campaign_reader *r, const json_t *v, const char **out)
{
    static const char letters[] = "._+:@=,-";
    char text[64];
    const char *s = json_string_value(v);
    *out = NULL;
    if (json_is_boolean(v))
        s = json_is_true(v) ? "true" : "false";
    else if (json_is_integer(v))
        snprintf(text, sizeof text, "%" PRId64, (int64_t)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, sizeof text, "%.15g", json_real_value(v));
    else if (!s)
        return MU_OK;
    s = s ? s : text;
    for (const char *c = s; *c; c++) {
        bool is_plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!is_plain && !strchr(letters, *c))
            return MU_OK;
    }
    if (!*s)
        return MU_OK;
    *out = mu_arena_strdup(&r->c->arena, mu_str(s), r->e);
    return *out ? MU_OK : r->e->code;
}

/* One value of a list; *ok false after a fault. */
static int read_value(struct mu_campaign_reader *r, const struct product *x, struct param *p, int i, bool *ok)
{
    struct mu_campaign_place at = mu_campaign_key_place(r, &x->n, p->row->name);
    struct mu_err why = MU_ERR_INIT;
    const json_t *v = value_at(p, i);
    int rc = mu_campaign_store(r, p->row, v, NULL, &why);
    if (rc == MU_OK)
        rc = text_of(r, v, &p->text[i]);
    if (rc != MU_OK && rc != MU_EFORMAT)
        return rc;
    *ok = rc == MU_OK && p->text[i];
    if (rc == MU_EFORMAT)
        mu_campaign_fault(r->c, r->faults, at, "value %d of %s %s", i + 1, p->row->name, why.text);
    else if (!*ok)
        mu_campaign_fault(
            r->c, r->faults, at,
            "value %d of %s cannot be part of a task's name, which has letters, digits and . _ + : @ = , -: "
            "define a model or suite with it instead",
            i + 1, p->row->name);
    return MU_OK;
}

static int read_param(struct mu_campaign_reader *r, struct product *x, struct params *to,
                      const struct mu_campaign_row *row, const json_t *v)
{
    struct param p = {.row = row, .v = v, .n = json_is_array(v) ? (int)json_array_size(v) : 1};
    struct mu_campaign_place at = mu_campaign_key_place(r, &x->n, row->name);
    if (to->n == MU_CAMPAIGN_PARAMS_MAX || p.n == 0 || p.n > MU_CAMPAIGN_VALUES_MAX) {
        mu_campaign_fault(r->c, r->faults, at,
                          "%s has %d values; a product of a matrix may have %d options of 1 to %d values", row->name,
                          p.n, MU_CAMPAIGN_PARAMS_MAX, MU_CAMPAIGN_VALUES_MAX);
        return MU_OK;
    }
    p.text = mu_arena_array(&r->c->arena, (size_t)p.n, sizeof *p.text, r->e);
    if (!p.text)
        return r->e->code;
    bool all = true;
    for (int i = 0; i < p.n; i++) {
        bool ok;
        MU_TRY_RETURN(read_value(r, x, &p, i, &ok));
        all = all && ok;
    }
    if (!all)
        return MU_OK;
    int k = to->n++;
    for (; k > 0 && strcmp(row->name, to->p[k - 1].row->name) < 0; k--)
        to->p[k] = to->p[k - 1];
    to->p[k] = p;
    return MU_OK;
}

/* ---- keys ---- */

static void fault_key(struct mu_campaign_reader *r, const struct product *x, const char *key)
{
    struct mu_campaign_place at = mu_campaign_key_place(r, &x->n, key);
    const char *names[64] = {"models", "suites", "exclude"};
    int n = 3;
    if (mu_campaign_row_find(mu_campaign_policy_rows, key)) {
        mu_campaign_fault(r->c, r->faults, at,
                          "%s does not belong into a matrix: say it under settings, with for: to name "
                          "the tasks",
                          key);
        return;
    }
    for (int side = 0; side < 2; side++) {
        const struct mu_campaign_row *row = side ? mu_campaign_suite_rows : mu_campaign_model_rows;
        for (; row->name && n < 63; row++)
            if (row->varies)
                names[n++] = row->name;
    }
    mu_campaign_fault(
        r->c, r->faults, at,
        "there is no key \"%.40s\" in a matrix%s (models, suites, exclude, and options that a task's name can "
        "hold)",
        key, mu_campaign_hint(names, key).text);
}

static int read_keys(struct mu_campaign_reader *r, struct product *x)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)x->n.o, key, v)
    {
        const struct mu_campaign_row *m = mu_campaign_row_find(mu_campaign_model_rows, key);
        const struct mu_campaign_row *s = mu_campaign_row_find(mu_campaign_suite_rows, key);
        if (strcmp(key, "models") == 0 || strcmp(key, "suites") == 0 || strcmp(key, "exclude") == 0)
            continue;
        if (m && m->varies)
            MU_TRY_RETURN(read_param(r, x, &x->of_model, m, v));
        else if (s && s->varies)
            MU_TRY_RETURN(read_param(r, x, &x->of_suite, s, v));
        else
            fault_key(r, x, key);
    }
    return MU_OK;
}

/* ---- models and suites of a product ---- */

/* All variations of one model (suite) by the values of a product, the last option turning fastest. */
static int vary(struct mu_campaign_reader *r, const struct product *x, bool is_model, int base,
                struct mu_campaign_list *to)
{
    const struct params *of = is_model ? &x->of_model : &x->of_suite;
    struct mu_campaign_param p[MU_CAMPAIGN_PARAMS_MAX];
    int turn[MU_CAMPAIGN_PARAMS_MAX] = {0}, index, k;
    do {
        for (k = 0; k < of->n; k++)
            p[k] = (struct mu_campaign_param){of->p[k].row, value_at(&of->p[k], turn[k]), of->p[k].text[turn[k]]};
        MU_TRY_RETURN(is_model ? mu_campaign_vary_model(r, base, p, of->n, x->n.at, &index)
                               : mu_campaign_vary_suite(r, base, p, of->n, x->n.at, &index));
        if (index < 0) /* its fault is told; so would be those of all the others */
            return MU_OK;
        MU_TRY_RETURN(mu_campaign_list_add(to, index, MU_CAMPAIGN_TASKS_MAX, "models and suites of a matrix", r->e));
        for (k = of->n - 1; k >= 0 && ++turn[k] == of->p[k].n; k--)
            turn[k] = 0;
    } while (k >= 0);
    return MU_OK;
}

static int vary_named(struct mu_campaign_reader *r, const struct product *x, bool is_model, const char *pattern, int n,
                      struct mu_campaign_place at, struct mu_campaign_list *to)
{
    const struct mu_campaign *c = r->c;
    bool any = false;
    MU_TRY_RETURN(mu_campaign_look(r, n));
    for (int i = 0; i < n; i++) {
        const char *name = is_model ? c->model[i].name : c->suite[i].name;
        if (!mu_campaign_part_matches(pattern, name, name))
            continue;
        any = true;
        MU_TRY_RETURN(vary(r, x, is_model, i, to));
    }
    if (!any)
        mu_campaign_fault(c, r->faults, at, "there is no %s \"%.100s\"%s", is_model ? "model" : "suite", pattern,
                          is_model ? mu_campaign_hint_model(c, pattern).text : mu_campaign_hint_suite(c, pattern).text);
    return MU_OK;
}

/* n: those of the file; variations come behind them. */
static int read_side(struct mu_campaign_reader *r, struct product *x, bool is_model, int n, struct mu_campaign_list *to)
{
    static const char *const all[] = {"*"};
    const char *key = is_model ? "models" : "suites";
    struct mu_campaign_place at = mu_campaign_key_place(r, &x->n, key);
    const char *const *pattern = all;
    int n_patterns = 1;
    const json_t *v = json_object_get(x->n.o, key);
    if (v && !json_is_null(v))
        MU_TRY_RETURN(mu_campaign_texts(r, &x->n, key, &pattern, &n_patterns));
    for (int i = 0; i < n_patterns; i++) {
        struct mu_campaign_place here = json_is_array(v) ? mu_campaign_item_place(r, v, (size_t)i, at) : at;
        MU_TRY_RETURN(vary_named(r, x, is_model, pattern[i], n, here, to));
    }
    return MU_OK;
}

/* ---- tasks ---- */

static void fault_twice(struct mu_campaign_reader *r, struct mu_campaign_place at, const char *id, int first)
{
    const struct mu_campaign_task *t = &r->c->task[first];
    mu_campaign_fault(r->c, r->faults, at,
                      "task %s is there twice, first from %s, line %d: leave it out of one of them with "
                      "exclude",
                      id, r->c->file[t->at.file], t->at.line);
}

static int add_task(struct mu_campaign_reader *r, const struct product *x, int model, int suite)
{
    struct mu_campaign *c = r->c;
    char id[2 * MU_CAMPAIGN_NAME_MAX + 2];
    snprintf(id, sizeof id, "%s/%s", c->model[model].name, c->suite[suite].name);
    int first = mu_campaign_table_find(c->by_id, c, id);
    if (first >= 0 && !x->is_faulty)
        fault_twice(r, x->n.at, id, first);
    if (first >= 0)
        return MU_OK;
    MU_TRY_RETURN(mu_campaign_grow(&c->task, &r->cap_tasks, (size_t)c->n_tasks, sizeof *c->task, MU_CAMPAIGN_TASKS_MAX,
                                   "tasks in a campaign: cut it into several", r->e));
    struct mu_campaign_task t = {.model = model, .suite = suite, .at = x->n.at};
    t.id = mu_arena_strdup(&c->arena, mu_str(id), r->e);
    if (!t.id)
        return r->e->code;
    MU_TRY_RETURN(mu_campaign_table_add(c->by_id, id, c->n_tasks, r->e));
    c->task[c->n_tasks++] = t;
    return MU_OK;
}

static bool is_excluded(const struct mu_campaign *c, struct product *x, int model, int suite)
{
    const struct mu_campaign_model *m = &c->model[model];
    const struct mu_campaign_suite *s = &c->suite[suite];
    bool is = false;
    for (int i = 0; i < x->n_exclude; i++) {
        if (!mu_campaign_part_matches(x->parts[i].model, m->name, c->model[m->base].name) ||
            !mu_campaign_part_matches(x->parts[i].suite, s->name, c->suite[s->base].name))
            continue;
        x->used[i] = is = true;
    }
    return is;
}

static int read_exclude(struct mu_campaign_reader *r, struct product *x)
{
    MU_TRY_RETURN(mu_campaign_texts(r, &x->n, "exclude", &x->exclude, &x->n_exclude));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->parts, x->n_exclude, "a matrix", r->e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->used, x->n_exclude, "a matrix", r->e));
    for (int i = 0; i < x->n_exclude; i++) {
        if (mu_campaign_parts(x->exclude[i], &x->parts[i]))
            continue;
        mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, &x->n, "exclude"),
                          "\"%.100s\" is no pattern of tasks: MODEL/SUITE is needed, such as \"llama-7b/*\"",
                          x->exclude[i]);
        x->used[i] = true;
    }
    return MU_OK;
}

static int make_tasks(struct mu_campaign_reader *r, struct product *x)
{
    for (size_t i = 0; i < x->models.n; i++) {
        MU_TRY_RETURN(mu_campaign_look(r, (int64_t)x->suites.n * x->n_exclude));
        for (size_t k = 0; k < x->suites.n; k++) {
            if (!is_excluded(r->c, x, x->models.p[i], x->suites.p[k]))
                MU_TRY_RETURN(add_task(r, x, x->models.p[i], x->suites.p[k]));
        }
    }
    for (int i = 0; i < x->n_exclude; i++) {
        if (!x->used[i])
            mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, &x->n, "exclude"),
                              "exclude: \"%.260s\" leaves nothing out", x->exclude[i]);
    }
    return MU_OK;
}

static int read_product(struct mu_campaign_reader *r, struct product *x, int n_models, int n_suites)
{
    int rc, n_faults = r->faults->n_all;
    MU_TRY(read_keys(r, x));
    x->is_faulty = r->faults->n_all > n_faults;
    MU_TRY(read_exclude(r, x));
    MU_TRY(read_side(r, x, true, n_models, &x->models));
    MU_TRY(read_side(r, x, false, n_suites, &x->suites));
    rc = make_tasks(r, x);
out:
    mu_free(x->models.p);
    mu_free(x->suites.p);
    mu_free(x->parts);
    mu_free(x->used);
    return rc;
}

/* Without a matrix: every model on every suite. */
static int read_everything(struct mu_campaign_reader *r, int n_models, int n_suites)
{
    json_t *all = json_object();
    if (!all)
        return mu_fail_nomem(r->e, sizeof(void *), "a matrix");
    struct product x = {.n = {.o = all, .what = "matrix", .is_made = true}};
    int rc = read_product(r, &x, n_models, n_suites);
    json_decref(all);
    return rc;
}

int mu_campaign_make_tasks(struct mu_campaign_reader *r)
{
    int n_models = r->c->n_models, n_suites = r->c->n_suites;
    if (n_models == 0 || n_suites == 0)
        return MU_OK; /* there is a fault of it */
    if (r->matrix.n == 0)
        return read_everything(r, n_models, n_suites);
    for (size_t i = 0; i < r->matrix.n; i++) {
        const struct mu_campaign_item *item = &r->matrix.item[i];
        struct product x = {.n = {.o = item->v, .what = "matrix", .at = item->at}};
        if (json_is_object(item->v))
            MU_TRY_RETURN(read_product(r, &x, n_models, n_suites));
        else
            mu_campaign_fault(r->c, r->faults, item->at,
                              "a product of the matrix must be a mapping such as {models: \"*\", suites: \"*\"}");
    }
    return MU_OK;
}
