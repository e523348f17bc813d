/* sim_trace.c - workloads as text: one task a line, a JSON object */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "sched/sim_int.h"

#define WHERE_MAX   4200
#define BEFORES_MAX (1 << 22)
#define BYTES_MAX   ((double)(INT64_C(1) << 50)) /* of a device's memory */

static const char *const keys[] = {
    "name",     "arrives_s", "campaign", "share",      "priority",    "model",    "devices", "weights", "work", "run_s",
    "actual_s", "load_s",    "batch_s",  "deadline_s", "preemptible", "may_span", "after",   "retries", NULL};

/* ---- names ---- */

/* Names by number, in an open table twice as large as names can be many. */
struct names {
    int n, n_slots;
    int *slots;     /* number + 1; 0: free */
    size_t *starts; /* in text */
    struct mu_buf text;
};

static int names_init(struct names *t, int most, struct mu_err *e)
{
    *t = (struct names){.n_slots = 2 * most + 1, .text = MU_BUF_INIT("names of a trace", MU_SIM_TRACE_BYTES_MAX)};
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->slots, t->n_slots, "names of a trace", e));
    return MU_NEW_ARRAY(&t->starts, most, "names of a trace", e);
}

static void names_fini(struct names *t)
{
    mu_free(t->slots);
    mu_free(t->starts);
    mu_buf_fini(&t->text);
}

/* Where the name is, or would be. */
static int *names_at(const struct names *t, const char *name)
{
    size_t at = mu_hash64(name, strlen(name), 0) % (uint64_t)t->n_slots;
    while (t->slots[at] && strcmp(t->text.p + t->starts[t->slots[at] - 1], name) != 0)
        at = (at + 1) % (size_t)t->n_slots;
    return &t->slots[at];
}

/* Its number, a new one where it is new. */
static int names_number(struct names *t, const char *name, int *number, struct mu_err *e)
{
    int *at = names_at(t, name);
    if (!*at) {
        t->starts[t->n] = t->text.n;
        MU_TRY_RETURN(mu_buf_add(&t->text, name, strlen(name) + 1, e));
        *at = ++t->n;
    }
    *number = *at - 1;
    return MU_OK;
}

/* ---- reading ---- */

struct reader {
    struct mu_workload *w;
    struct names tasks, models, campaigns;
    int n_lines, befores_max;
    char where[WHERE_MAX];
    struct mu_err *e;
};

static int real(const struct reader *r, const json_t *o, const char *key, double lo, double hi, double *out)
{
    return mu_json_has(o, key) ? mu_json_real(o, key, lo, hi, out, r->where, r->e) : MU_OK;
}

static int whole(const struct reader *r, const json_t *o, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    return mu_json_has(o, key) ? mu_json_int(o, key, lo, hi, out, r->where, r->e) : MU_OK;
}

static int check_keys(const struct reader *r, json_t *o)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return mu_fail(r->e, MU_EFORMAT, "%s: a task is an object, {\"name\": ..., \"run_s\": ...}", r->where);
    json_object_foreach(o, key, v)
    {
        int i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        const char *near = keys[i] ? NULL : mu_name_nearest(keys, key);
        if (!keys[i])
            return mu_fail(r->e, MU_EFORMAT, "%s: a task has no \"%.40s\"%s%s%s", r->where, key,
                           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return MU_OK;
}

static int read_need(const struct reader *r, const json_t *o, struct mu_need *n)
{
    const double most = MU_SIM_SECONDS_MAX;
    int64_t devices = 1;
    MU_TRY_RETURN(whole(r, o, "devices", 1, MU_TASK_DEVICES_MAX, &devices));
    MU_TRY_RETURN(whole(r, o, "weights", 0, (int64_t)BYTES_MAX, &n->weights));
    MU_TRY_RETURN(whole(r, o, "work", 0, (int64_t)BYTES_MAX, &n->work));
    MU_TRY_RETURN(mu_json_real(o, "run_s", 0, most, &n->run_s, r->where, r->e));
    MU_TRY_RETURN(real(r, o, "load_s", 0, most, &n->load_s));
    MU_TRY_RETURN(real(r, o, "batch_s", 0, most, &n->batch_s));
    MU_TRY_RETURN(real(r, o, "deadline_s", 0, most, &n->deadline_s));
    if (mu_json_has(o, "preemptible"))
        MU_TRY_RETURN(mu_json_bool(o, "preemptible", &n->is_preemptible, r->where, r->e));
    if (mu_json_has(o, "may_span"))
        MU_TRY_RETURN(mu_json_bool(o, "may_span", &n->may_span, r->where, r->e));
    n->devices = (int)devices;
    return MU_OK;
}

static int read_priority(const struct reader *r, const json_t *o, struct mu_need *n)
{
    const char *name;
    if (!mu_json_has(o, "priority"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_string(o, "priority", &name, r->where, r->e));
    n->priority = mu_priority_find(name);
    if (n->priority < 0)
        return mu_fail(r->e, MU_EFORMAT, "%s: priority \"%.40s\": critical, high, normal, low or background", r->where,
                       name);
    return MU_OK;
}

static int read_model(struct reader *r, const json_t *o, struct mu_need *n)
{
    const char *name;
    if (!mu_json_has(o, "model"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_string(o, "model", &name, r->where, r->e));
    MU_TRY_RETURN(names_number(&r->models, name, &n->model, r->e));
    if (r->models.n > MU_FLEET_MODELS_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s: more than %d models", r->where, MU_FLEET_MODELS_MAX);
    return MU_OK;
}

static int read_campaign(struct reader *r, const json_t *o, struct mu_sim_task *t)
{
    const char *name = "";
    if (mu_json_has(o, "campaign"))
        MU_TRY_RETURN(mu_json_string(o, "campaign", &name, r->where, r->e));
    int before = r->campaigns.n;
    MU_TRY_RETURN(names_number(&r->campaigns, name, &t->campaign, r->e));
    if (r->campaigns.n > MU_QUEUE_CAMPAIGNS_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s: more than %d campaigns", r->where, MU_QUEUE_CAMPAIGNS_MAX);
    if (r->campaigns.n > before)
        r->w->weights[t->campaign] = 1;
    return real(r, o, "share", 1e-6, 1e6, &r->w->weights[t->campaign]);
}

static int read_after(struct reader *r, const json_t *o, struct mu_sim_task *t)
{
    json_t *list;
    t->before = r->w->n_befores;
    if (!mu_json_has(o, "after"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_array(o, "after", &list, r->where, r->e));
    if (json_array_size(list) > MU_SIM_BEFORE_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s: after %zu tasks; at most %d go", r->where, json_array_size(list),
                       MU_SIM_BEFORE_MAX);
    if (r->w->n_befores > r->befores_max - (int)json_array_size(list))
        return mu_fail(r->e, MU_ELIMIT, "%s: more than %d names in all of \"after\"", r->where, r->befores_max);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int at = name ? *names_at(&r->tasks, name) : 0;
        if (!at)
            return mu_fail(r->e, MU_EFORMAT, "%s: after \"%.60s\", which is the name of no task above", r->where,
                           name ? name : "?");
        r->w->befores[r->w->n_befores++] = at - 1;
        t->n_before++;
    }
    return MU_OK;
}

static int read_task(struct reader *r, json_t *o)
{
    struct mu_workload *w = r->w;
    struct mu_sim_task *t = &w->tasks[w->n_tasks];
    double earliest = w->n_tasks > 0 ? t[-1].arrives_s : 0;
    const char *name;
    int64_t retries = 3;
    int number;
    *t = (struct mu_sim_task){.arrives_s = earliest};
    t->need =
        (struct mu_need){.model = -1, .deadline_s = INFINITY, .priority = MU_PRIORITY_NORMAL, .is_preemptible = true};
    MU_TRY_RETURN(check_keys(r, o));
    MU_TRY_RETURN(mu_json_string(o, "name", &name, r->where, r->e));
    MU_TRY_RETURN(real(r, o, "arrives_s", earliest, MU_SIM_SECONDS_MAX, &t->arrives_s));
    MU_TRY_RETURN(whole(r, o, "retries", 0, 1000, &retries));
    MU_TRY_RETURN(read_need(r, o, &t->need));
    MU_TRY_RETURN(read_priority(r, o, &t->need));
    MU_TRY_RETURN(read_model(r, o, &t->need));
    MU_TRY_RETURN(read_campaign(r, o, t));
    MU_TRY_RETURN(read_after(r, o, t));
    t->actual_s = t->need.run_s;
    MU_TRY_RETURN(real(r, o, "actual_s", 0, MU_SIM_SECONDS_MAX, &t->actual_s));
    t->retries = (int)retries;
    if (*names_at(&r->tasks, name))
        return mu_fail(r->e, MU_EFORMAT, "%s: there is a task \"%.60s\" above", r->where, name);
    MU_TRY_RETURN(names_number(&r->tasks, name, &number, r->e));
    w->n_tasks++;
    return MU_OK;
}

static int open_reader(struct reader *r, struct mu_str text, const char *name, struct mu_err *e)
{
    size_t n_befores = 0;
    r->n_lines = 1;
    for (size_t i = 0; i < text.n; i++) {
        r->n_lines += text.p[i] == '\n';
        n_befores += text.p[i] == ','; /* each before but a task's first has one */
    }
    if (r->n_lines > MU_SIM_TASKS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s has more than %d lines", name, MU_SIM_TASKS_MAX);
    n_befores = MU_MIN(n_befores + (size_t)r->n_lines, BEFORES_MAX);
    r->befores_max = (int)n_befores;
    MU_TRY_RETURN(names_init(&r->tasks, r->n_lines, e));
    MU_TRY_RETURN(names_init(&r->models, r->n_lines, e));
    MU_TRY_RETURN(names_init(&r->campaigns, r->n_lines, e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->w->tasks, r->n_lines, "a workload", e));
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->w->befores, n_befores, "a workload", e));
    return MU_NEW_ARRAY(&r->w->weights, MU_QUEUE_CAMPAIGNS_MAX + 1, "a workload", e);
}

static int read_line(struct reader *r, struct mu_str line)
{
    json_t *o = NULL;
    size_t i = 0;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r'))
        i++;
    if (i == line.n)
        return MU_OK;
    int rc = mu_json_parse_strict(&o, line, r->where, r->e);
    if (rc == MU_OK)
        rc = read_task(r, o);
    json_decref(o);
    return rc;
}

int mu_workload_parse(struct mu_workload *out, struct mu_str text, const char *name, struct mu_err *e)
{
    struct reader r = {.w = out, .e = e};
    int rc, line = 0;
    *out = (struct mu_workload){0};
    MU_TRY(open_reader(&r, text, name, e));
    for (size_t at = 0; at < text.n; at++) {
        size_t from = at;
        while (at < text.n && text.p[at] != '\n')
            at++;
        snprintf(r.where, sizeof r.where, "%.4000s, line %d", name, ++line);
        MU_TRY(read_line(&r, (struct mu_str){text.p + from, at - from}));
    }
    out->n_models = r.models.n;
    out->n_campaigns = r.campaigns.n;
    if (out->n_tasks == 0)
        rc = mu_fail(e, MU_EFORMAT, "%s holds no tasks", name);
out:
    names_fini(&r.tasks);
    names_fini(&r.models);
    names_fini(&r.campaigns);
    if (rc != MU_OK)
        mu_workload_fini(out);
    return rc;
}

int mu_workload_load(struct mu_workload *out, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a trace", MU_SIM_TRACE_BYTES_MAX);
    int rc = mu_file_read_all(&text, path, e);
    if (rc == MU_OK)
        rc = mu_workload_parse(out, mu_buf_str(&text), path, e);
    mu_buf_fini(&text);
    return rc;
}

/* ---- writing ---- */

static int print_after(struct mu_buf *b, const struct mu_workload *w, const struct mu_sim_task *t, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(b, ", \"after\": [", e));
    for (int i = 0; i < t->n_before; i++)
        MU_TRY_RETURN(mu_buf_printf(b, e, "%s\"t%d\"", i ? ", " : "", w->befores[t->before + i]));
    return mu_buf_puts(b, "]", e);
}

static int print_task(struct mu_buf *b, const struct mu_workload *w, int task, struct mu_err *e)
{
    const struct mu_sim_task *t = &w->tasks[task];
    const struct mu_need *n = &t->need;
    MU_TRY_RETURN(mu_buf_printf(b, e,
                                "{\"name\": \"t%d\", \"arrives_s\": %.17g, \"campaign\": \"c%d\", \"share\": %.17g, "
                                "\"priority\": \"%s\"",
                                task, t->arrives_s, t->campaign, w->weights[t->campaign],
                                mu_priority_name((enum mu_priority)n->priority)));
    if (n->model >= 0)
        MU_TRY_RETURN(mu_buf_printf(b, e, ", \"model\": \"m%d\"", n->model));
    MU_TRY_RETURN(mu_buf_printf(b, e,
                                ", \"devices\": %d, \"weights\": %lld, \"work\": %lld, \"run_s\": %.17g, \"actual_s\": "
                                "%.17g, \"load_s\": %.17g, \"batch_s\": %.17g",
                                n->devices, (long long)n->weights, (long long)n->work, n->run_s, t->actual_s, n->load_s,
                                n->batch_s));
    if (n->deadline_s < INFINITY)
        MU_TRY_RETURN(mu_buf_printf(b, e, ", \"deadline_s\": %.17g", n->deadline_s));
    if (!n->is_preemptible)
        MU_TRY_RETURN(mu_buf_puts(b, ", \"preemptible\": false", e));
    if (n->may_span)
        MU_TRY_RETURN(mu_buf_puts(b, ", \"may_span\": true", e));
    if (t->n_before > 0)
        MU_TRY_RETURN(print_after(b, w, t, e));
    return mu_buf_printf(b, e, ", \"retries\": %d}\n", t->retries);
}

int mu_workload_print(struct mu_buf *out, const struct mu_workload *w, struct mu_err *e)
{
    for (int i = 0; i < w->n_tasks; i++)
        MU_TRY_RETURN(print_task(out, w, i, e));
    return MU_OK;
}
