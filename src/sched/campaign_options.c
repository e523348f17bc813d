/* campaign_options.c - models and suites of a campaign: the options of `muster eval`, by its names
 *
 * tests/sched/test_campaign_options.c holds the table of models against the command's own. */
#include <ctype.h>
#include <stdio.h>

#include <muster/engine.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/comm.h"
#include "sched/campaign_int.h"

#define M(field) offsetof(struct mu_campaign_model, field)
#define S(field) offsetof(struct mu_campaign_suite, field)
#define P(field) offsetof(struct mu_campaign_policy, field)
#define NOWHERE  MU_CAMPAIGN_NOWHERE

#define ROW(key, type, at, ...)                                                                                        \
    {                                                                                                                  \
        .name = key, .kind = MU_CAMPAIGN_##type, .offset = at, ##__VA_ARGS__                                           \
    }
#define RANGE(from, to) .lo = from, .hi = to
#define DECIDES         .decides = true
#define VARIES          .varies = true

const struct mu_campaign_row mu_campaign_model_rows[] = {
    ROW("name", ELSEWHERE, NOWHERE),
    ROW("model", TEXT, M(model), DECIDES),
    ROW("tokenizer", TEXT, NOWHERE, DECIDES),
    ROW("weights", CHOICE, M(weights), .choices = "f32|bf16|f16|int8|int4", DECIDES, VARIES),
    ROW("dtype", CHOICE, M(dtype), .choices = "f32", DECIDES, VARIES),
    ROW("kv_dtype", CHOICE, M(kv_dtype), .choices = "f32|bf16|f16|int8", DECIDES, VARIES),
    ROW("mla", CHOICE, NOWHERE, .choices = "absorbed|naive", DECIDES, VARIES),
    ROW("level", CHOICE, NOWHERE, .choices = "auto|avx512|avx2|ref", VARIES),
    ROW("threads", INT, M(threads), RANGE(0, 1024), VARIES),
    ROW("ranks", INT, M(ranks), RANGE(0, MU_COMM_RANKS_MAX), VARIES),
    ROW("layout", LAYOUT, M(layout), VARIES),
    ROW("weights_from", CHOICE, NOWHERE, .choices = "auto|peer|file"),
    ROW("cluster", TEXT, NOWHERE),
    ROW("redundant_experts", INT, NOWHERE, RANGE(0, MU_REDUNDANT_MAX), VARIES),
    ROW("expert_loads", TEXT, NOWHERE),
    ROW("context", INT, M(context), RANGE(0, 1e9), DECIDES, VARIES),
    ROW("batch_size", AUTO_INT, M(batch_size), RANGE(0, MU_ENGINE_SEQUENCES_MAX), VARIES),
    ROW("batch_tokens", INT, M(batch_tokens), RANGE(0, MU_ENGINE_ROWS_MAX), VARIES),
    ROW("max_memory", SIZE, M(max_memory)),
    ROW("no_prefix_sharing", BOOL, NOWHERE, VARIES),
    ROW("endpoint", TEXT, M(endpoint), DECIDES),
    ROW("endpoint_model", TEXT, NOWHERE, DECIDES),
    ROW("endpoint_hash", TEXT, NOWHERE, DECIDES),
    ROW("api_key_file", TEXT, NOWHERE),
    ROW("concurrency", INT, NOWHERE, RANGE(0, MU_CONCURRENCY_MAX)),
    ROW("engine", ENGINE, M(engine), .choices = "auto|light|distributed|remote", VARIES),
    {.name = NULL},
};

const struct mu_campaign_row mu_campaign_suite_rows[] = {
    ROW("name", ELSEWHERE, NOWHERE),
    ROW("tasks", TEXTS, S(tasks), DECIDES),
    ROW("bundle", TEXT, S(bundle), DECIDES),
    ROW("include_path", TEXTS, NOWHERE, DECIDES),
    ROW("data_dir", TEXTS, NOWHERE),
    ROW("num_fewshot", INT, S(num_fewshot), RANGE(-1, 10000), DECIDES, VARIES),
    ROW("limit", REAL, S(limit), RANGE(0, 1e12), DECIDES, VARIES),
    ROW("samples", OBJECT, NOWHERE, DECIDES),
    ROW("system_instruction", TEXT, NOWHERE, DECIDES),
    ROW("apply_chat_template", FLAG_TEXT, NOWHERE, DECIDES, VARIES),
    ROW("fewshot_as_multiturn", BOOL, NOWHERE, DECIDES, VARIES),
    ROW("gen_kwargs", OBJECT, NOWHERE, DECIDES),
    ROW("seed", SEED, NOWHERE, DECIDES, VARIES),
    ROW("max_length", INT, NOWHERE, RANGE(0, 1e9), DECIDES, VARIES),
    ROW("bootstrap_iters", INT, NOWHERE, RANGE(0, 1e8), DECIDES, VARIES),
    ROW("work", CHOICE, NOWHERE, .choices = "shared|naive", VARIES),
    ROW("predict_only", BOOL, NOWHERE, DECIDES),
    ROW("log_samples", BOOL, NOWHERE),
    ROW("confirm_run_unsafe_code", BOOL, NOWHERE),
    {.name = NULL},
};

static const struct mu_campaign_row resources_rows[] = {
    ROW("devices", INT, P(resources.devices), RANGE(1, MU_COMM_RANKS_MAX)),
    ROW("memory", SIZE, P(resources.memory)),
    ROW("host_memory", SIZE, P(resources.host_memory)),
    ROW("cpus", INT, P(resources.cpus), RANGE(1, 65536)),
    ROW("time", SECONDS, P(resources.time_s), RANGE(1, MU_CAMPAIGN_SECONDS_MAX)),
    ROW("constraint", TEXT, P(resources.constraint)),
    {.name = NULL},
};

static const struct mu_campaign_row retries_rows[] = {
    ROW("limit", INT, P(retries.limit), RANGE(0, 100)),
    ROW("wait", SECONDS, P(retries.wait_s), RANGE(0, 86400)),
    ROW("wait_max", SECONDS, P(retries.wait_max_s), RANGE(0, 7 * 86400)),
    {.name = NULL},
};

const struct mu_campaign_row mu_campaign_policy_rows[] = {
    ROW("for", ELSEWHERE, NOWHERE),
    ROW("after", ELSEWHERE, NOWHERE),
    ROW("if_failed", AFTER, P(if_failed)),
    ROW("priority", PRIORITY, P(priority)),
    ROW("deadline", DEADLINE, 0),
    ROW("timeout", SECONDS, P(timeout_s), RANGE(1, MU_CAMPAIGN_SECONDS_MAX)),
    ROW("shrink", SHRINK, P(shrink)),
    ROW("resources", PART, 0, .part = resources_rows),
    ROW("retries", PART, 0, .part = retries_rows),
    {.name = NULL},
};

/* ---- names ---- */

/* Letters of names: they stand in paths, patterns and lists, so none that those give a meaning. */
bool mu_campaign_is_name(const char *s)
{
    static const char letters[] = "._+:@-";
    size_t n = 0;
    for (; s[n]; n++) {
        if (!isalnum((unsigned char)s[n]) && (n == 0 || !strchr(letters, s[n])))
            return false;
    }
    return n > 0 && n <= MU_CAMPAIGN_NAME_MAX;
}

/* The last part of a path, without what tells the format. NULL: no name can be made of it. */
static const char *name_of_path(struct mu_campaign_reader *r, const char *path)
{
    static const char *const ends[] = {".gguf", ".safetensors", ".packed", ".yaml", ".bundle"};
    struct mu_str s = mu_path_name(path);
    for (size_t i = 0; i < MU_COUNT(ends); i++) {
        size_t n = strlen(ends[i]);
        if (s.n > n && memcmp(s.p + s.n - n, ends[i], n) == 0)
            s.n -= n;
    }
    return mu_arena_strdup(&r->c->arena, s, r->e);
}

/* A mapping's "name", else one made of `from`. *out NULL: a fault. */
static int choose_name(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const char *key,
                       const char *from, const char **out)
{
    const json_t *said = json_object_get(n->o, "name");
    const char *name = json_string_value(said);
    *out = NULL;
    if (said && !json_is_null(said) && (!name || !mu_campaign_is_name(name))) {
        mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, n, "name"),
                          "name must be a text of letters, digits and . _ + : @ -, at most %d, that begins with a "
                          "letter or digit%s",
                          MU_CAMPAIGN_NAME_MAX, json_is_number(said) ? "; put it in quotes" : "");
        return MU_OK;
    }
    const char *made = name ? mu_arena_strdup(&r->c->arena, mu_str(name), r->e) : name_of_path(r, from);
    if (!made)
        return r->e->code;
    if (mu_campaign_is_name(made))
        *out = made;
    else
        mu_campaign_fault(
            r->c, r->faults, n->at,
            "\"%.80s\" makes no name of letters, digits and . _ + : @ -: add one, such as {name: x, %s: ...}", from,
            key);
    return MU_OK;
}

/* ---- items ---- */

/* What models and suites have in common. */
struct head {
    const char *name; /* NULL after a fault */
    json_t *options;  /* owned */
};

/* An item as a mapping of its own: `- llama` is `- {model: llama}`. *o is the caller's; NULL after a fault. */
static int open_item(struct mu_campaign_reader *r, const struct mu_campaign_item *item, const char *key, json_t **o)
{
    *o = NULL;
    if (json_is_string(item->v)) {
        *o = json_pack("{s:O}", key, item->v);
    } else if (json_is_object(item->v)) {
        *o = json_copy((json_t *)(uintptr_t)item->v);
    } else {
        mu_campaign_fault(r->c, r->faults, item->at, "a text or a mapping such as {name: x, %s: ...} is needed here",
                          key);
        return MU_OK;
    }
    return *o ? MU_OK : mu_fail_nomem(r->e, sizeof(void *), "a campaign");
}

static void drop_unsaid(json_t *o)
{
    const char *key;
    void *tmp;
    json_t *v;
    json_object_foreach_safe(o, tmp, key, v)
    {
        if (json_is_null(v) || strcmp(key, "name") == 0)
            json_object_del(o, key);
    }
}

/* An item to `typed` by the rows. from: the field of typed that a name is made of when none is said; other: the one
 * that may be there in its place, or NULL. */
static int read_head(struct mu_campaign_reader *r, const struct mu_campaign_item *item, const char *key,
                     const struct mu_campaign_row *rows, void *typed, const char **from, const char **other,
                     struct head *h)
{
    struct mu_campaign_node n = {.what = rows == mu_campaign_model_rows ? "model" : "suite", .at = item->at};
    MU_TRY_RETURN(open_item(r, item, key, &h->options));
    if (!h->options)
        return MU_OK;
    n.is_made = !json_is_object(item->v);
    n.o = n.is_made ? h->options : item->v;
    MU_TRY_RETURN(mu_campaign_fields(r, &n, rows, typed, NULL));
    const char *said = *from ? *from : other ? *other : NULL;
    if (!said && !json_object_get(n.o, key))
        mu_campaign_fault(r->c, r->faults, item->at, "\"%s\" is missing", key);
    if (said || json_object_get(n.o, "name"))
        MU_TRY_RETURN(choose_name(r, &n, key, said ? said : "", &h->name));
    drop_unsaid(h->options);
    return MU_OK;
}

/* Whether the name is free; a fault when it is not. */
static bool is_free(struct mu_campaign_reader *r, struct mu_campaign_place at, const char *what, const char *name,
                    const struct mu_campaign_place *first)
{
    if (!first)
        return true;
    mu_campaign_fault(r->c, r->faults, at, "there are two %s \"%s\", the first in %s, line %d: give one another name",
                      what, name, r->c->file[first->file], first->line);
    return false;
}

/* ---- models ---- */

/* Takes a reference of the options. */
static int add_model(struct mu_campaign_reader *r, const struct mu_campaign_model *m)
{
    struct mu_campaign *c = r->c;
    MU_TRY_RETURN(mu_campaign_grow(&c->model, &r->cap_models, (size_t)c->n_models, sizeof *c->model,
                                   MU_CAMPAIGN_MODELS_MAX, "models, those with other values of a matrix counted",
                                   r->e));
    MU_TRY_RETURN(mu_campaign_table_add(&r->by_model, m->name, c->n_models, r->e));
    c->model[c->n_models++] = *m;
    json_incref(m->options);
    return MU_OK;
}

static int read_model(struct mu_campaign_reader *r, const struct mu_campaign_item *item, struct head *h)
{
    struct mu_campaign *c = r->c;
    struct mu_campaign_model m = {.at = item->at, .base = c->n_models};
    MU_TRY_RETURN(read_head(r, item, "model", mu_campaign_model_rows, &m, &m.model, NULL, h));
    if (!h->name)
        return MU_OK;
    m.name = h->name;
    m.options = h->options;
    int twice = mu_campaign_table_find(&r->by_model, c, m.name);
    return is_free(r, m.at, "models", m.name, twice < 0 ? NULL : &c->model[twice].at) ? add_model(r, &m) : MU_OK;
}

int mu_campaign_read_models(struct mu_campaign_reader *r)
{
    for (size_t i = 0; i < r->models.n; i++) {
        struct head h = {0};
        int rc = read_model(r, &r->models.item[i], &h);
        json_decref(h.options);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

/* ---- suites ---- */

static int add_suite(struct mu_campaign_reader *r, const struct mu_campaign_suite *s)
{
    struct mu_campaign *c = r->c;
    MU_TRY_RETURN(mu_campaign_grow(&c->suite, &r->cap_suites, (size_t)c->n_suites, sizeof *c->suite,
                                   MU_CAMPAIGN_SUITES_MAX, "suites, those with other values of a matrix counted",
                                   r->e));
    MU_TRY_RETURN(mu_campaign_table_add(&r->by_suite, s->name, c->n_suites, r->e));
    c->suite[c->n_suites++] = *s;
    json_incref(s->options);
    return MU_OK;
}

static int read_suite(struct mu_campaign_reader *r, const struct mu_campaign_item *item, struct head *h)
{
    struct mu_campaign *c = r->c;
    struct mu_campaign_suite s = {.at = item->at, .base = c->n_suites, .num_fewshot = -1};
    MU_TRY_RETURN(read_head(r, item, "tasks", mu_campaign_suite_rows, &s, &s.tasks, &s.bundle, h));
    if (!h->name)
        return MU_OK;
    s.name = h->name;
    s.options = h->options;
    if (s.tasks && s.bundle)
        mu_campaign_fault(c, r->faults, s.at, "suite %s has both tasks and a bundle: one of them is needed", s.name);
    int twice = mu_campaign_table_find(&r->by_suite, c, s.name);
    return is_free(r, s.at, "suites", s.name, twice < 0 ? NULL : &c->suite[twice].at) ? add_suite(r, &s) : MU_OK;
}

int mu_campaign_read_suites(struct mu_campaign_reader *r)
{
    for (size_t i = 0; i < r->suites.n; i++) {
        struct head h = {0};
        int rc = read_suite(r, &r->suites.item[i], &h);
        json_decref(h.options);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

/* ---- variations ---- */

/* The name of a variation; NULL after a fault. */
static int vary_name(struct mu_campaign_reader *r, const char *base, const struct mu_campaign_param *p, int n,
                     struct mu_campaign_place at, const char **out)
{
    struct mu_buf name = MU_BUF_INIT("a name", 4096);
    int rc = MU_OK;
    *out = NULL;
    MU_TRY(mu_buf_puts(&name, base, r->e));
    for (int i = 0; i < n; i++)
        MU_TRY(mu_buf_printf(&name, r->e, ",%s=%s", p[i].row->name, p[i].text));
    if (name.n > MU_CAMPAIGN_NAME_MAX)
        mu_campaign_fault(r->c, r->faults, at,
                          "the name %.60s... has %zu bytes, at most %d are possible: vary fewer options", name.p,
                          name.n, MU_CAMPAIGN_NAME_MAX);
    else if (!(*out = mu_arena_strdup(&r->c->arena, mu_buf_str(&name), r->e)))
        rc = r->e->code;
out:
    mu_buf_fini(&name);
    return rc;
}

/* A copy of options with other values; also in `typed`. */
static int vary_options(struct mu_campaign_reader *r, const json_t *base, const struct mu_campaign_param *p, int n,
                        void *typed, json_t **out)
{
    struct mu_err why = MU_ERR_INIT;
    *out = json_copy((json_t *)(uintptr_t)base);
    if (!*out)
        return mu_fail_nomem(r->e, sizeof(void *), "a campaign");
    for (int i = 0; i < n; i++) {
        int rc = mu_campaign_store(r, p[i].row, p[i].v, typed, &why);
        if (rc == MU_OK && json_object_set(*out, p[i].row->name, (json_t *)(uintptr_t)p[i].v) != 0)
            rc = mu_fail_nomem(r->e, sizeof(void *), "a campaign");
        if (rc != MU_OK)
            json_decref(*out);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

int mu_campaign_vary_model(struct mu_campaign_reader *r, int base, const struct mu_campaign_param *p, int n,
                           struct mu_campaign_place at, int *index)
{
    struct mu_campaign_model m = r->c->model[base];
    *index = base;
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(vary_name(r, m.name, p, n, at, &m.name));
    *index = m.name ? mu_campaign_table_find(&r->by_model, r->c, m.name) : -1;
    if (!m.name || *index >= 0)
        return MU_OK;
    MU_TRY_RETURN(vary_options(r, r->c->model[base].options, p, n, &m, &m.options));
    *index = r->c->n_models;
    int rc = add_model(r, &m);
    json_decref(m.options);
    return rc;
}

int mu_campaign_vary_suite(struct mu_campaign_reader *r, int base, const struct mu_campaign_param *p, int n,
                           struct mu_campaign_place at, int *index)
{
    struct mu_campaign_suite s = r->c->suite[base];
    *index = base;
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(vary_name(r, s.name, p, n, at, &s.name));
    *index = s.name ? mu_campaign_table_find(&r->by_suite, r->c, s.name) : -1;
    if (!s.name || *index >= 0)
        return MU_OK;
    MU_TRY_RETURN(vary_options(r, r->c->suite[base].options, p, n, &s, &s.options));
    *index = r->c->n_suites;
    int rc = add_suite(r, &s);
    json_decref(s.options);
    return rc;
}
