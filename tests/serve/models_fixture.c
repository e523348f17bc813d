/* models_fixture.c - see models_fixture.h */
#include "models_fixture.h"

#include "base/check.h"
#include "base/mem.h"

void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

static int measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    return mu_serve_opener_ops.measure(arg, name, bytes, e);
}

static struct fail_order *order_of(struct fixture *f, const char *name)
{
    int i = 0;
    while (strcmp(f->x.entry[i].name, name) != 0)
        i++;
    return &f->order[i];
}

static int open_model(void *arg, const char *name, void **model, struct mu_err *e)
{
    struct fixture *f = arg;
    while (atomic_load(&f->is_stuck))
        sleep_ms(1);
    MU_TRY_RETURN(mu_serve_opener_ops.open(arg, name, model, e));
    struct mu_serve_model *m = *model;
    return failing_engine_wrap(&m->eng, order_of(f, name), e);
}

static void close_model(void *arg, void *model)
{
    struct mu_serve_model *m = model;
    m->eng = failing_engine_unwrap(m->eng);
    mu_serve_opener_ops.close(arg, model);
}

static int trim(void *arg, void *model, struct mu_err *e)
{
    return mu_serve_opener_ops.trim(arg, model, e);
}

static size_t pressure(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->wanted);
}

const struct mu_resident_ops models_ops = {measure, open_model, close_model, trim, pressure};

void models_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->heap = mu_mem_bytes_used();
    f->x.quiet = true;
    f->x.opts = (struct mu_engine_opts)MU_ENGINE_OPTS_INIT;
    f->x.opts.threads = 1;
    f->x.opts.context_max = CONTEXT;
    f->x.opts.sequences_max = 16;
    f->x.opts.rows_max = 64;
    f->x.opts.kv_tokens_max = 16 * CONTEXT;
}

void models_add(struct fixture *f, const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_serve_opener_add(&f->x, text, &err));
}

void models_begin(struct fixture *f)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_serve_opener_check(&f->x, &err));
    struct mu_resident_opts ro = {.ops = &models_ops,
                                  .arg = f,
                                  .bytes_max = f->x.bytes_max,
                                  .open_max = f->open_max,
                                  .retry_ns = f->retry_ns,
                                  .breaks_max = f->breaks_max};
    XT_OK(mu_residents_open(&f->r, &ro, &err));
    for (int i = 0; i < f->x.n; i++)
        XT_OK(mu_residents_add(f->r, f->x.entry[i].name, f->x.entry[i].is_kept, &err));
    f->o.residents = f->r;
    XT_OK(mu_serve_open(&f->serve, &f->o, &err));
    f->port = mu_serve_port(f->serve);
}

void models_init_both(struct fixture *f)
{
    models_init(f);
    models_add(f, "models/" LLAMA);
    models_add(f, "models/" DSV3);
}

void models_begin_both(struct fixture *f)
{
    models_init_both(f);
    models_begin(f);
}

void models_begin_tight(struct fixture *f)
{
    struct mu_err err = MU_ERR_INIT;
    models_init_both(f);
    XT_OK(mu_serve_opener_check(&f->x, &err));
    f->x.bytes_max = 0;
    for (int i = 0; i < 2; i++)
        f->x.bytes_max += f->x.entry[i].size.bytes + f->x.entry[i].text_bytes;
    f->x.bytes_max--;
    models_begin(f);
}

void models_end(struct fixture *f)
{
    mu_serve_close(f->serve);
    mu_residents_close(f->r);
    XT_EQ(mu_mem_bytes_used(), f->heap);
}

void models_begin_one(struct fixture *f, const char *model)
{
    struct mu_err err = MU_ERR_INIT;
    char path[128];
    models_init(f);
    snprintf(path, sizeof path, "models/%s", model);
    models_add(f, path);
    XT_OK(mu_serve_opener_check(&f->x, &err));
    XT_OK(models_ops.open(f, model, &f->one, &err));
    f->o.name = model;
    f->o.model = f->one;
    XT_OK(mu_serve_open(&f->serve, &f->o, &err));
    f->port = mu_serve_port(f->serve);
}

void models_end_one(struct fixture *f)
{
    mu_serve_close(f->serve);
    models_ops.close(f, f->one);
}

/* ---- asking ---- */

json_t *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v;
    XT_OK(mu_json_parse(&v, mu_str(text), "an answer", &err));
    return v;
}

int ask_begin(const struct fixture *f, const char *model, int first)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"model\": \"%s\", \"prompt\": [0, %d, 41, 300], \"max_tokens\": 12, \"ignore_eos\": true, \"seed\": 3, "
             "\"logprobs\": 2, \"echo\": true}",
             model, first);
    return hc_post_begin(f->port, "/v1/completions", body);
}

/* The choices of an answer as text: what must not depend on anything else. The caller frees. */
char *choices_of(int fd)
{
    struct hc_reply r = hc_end(fd);
    XT_CHECKF(r.status == 200, "status %d: %s", r.status, r.text);
    json_t *v = parse(r.body);
    char *text = json_dumps(json_object_get(v, "choices"), JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(v);
    hc_free(&r);
    return text;
}

char *ask(const struct fixture *f, const char *model, int first)
{
    return choices_of(ask_begin(f, model, first));
}

void ask_ok(const struct fixture *f, const char *model)
{
    mu_free(ask(f, model, 40));
}

void ask_refused(const struct fixture *f, const char *model, int status, const char *part)
{
    check_refused(hc_end(ask_begin(f, model, 40)), status, part);
}

int ask_waiting(const struct fixture *f, const char *model)
{
    int fd = ask_begin(f, model, 40);
    await_metric(f, "muster_model_requests_opening", model, 1);
    return fd;
}

void check_refused(struct hc_reply r, int status, const char *part)
{
    XT_CHECKF(r.status == status && strstr(r.body, part), "not %d with %s: %s", status, part, r.text);
    hc_free(&r);
}

double metric(const struct fixture *f, const char *name, const char *model)
{
    struct hc_reply r = hc_get(f->port, "/metrics");
    char line[512];
    XT_EQ(r.status, 200);
    snprintf(line, sizeof line, model ? "\n%s{model_name=\"%s\"}" : "\n%s{%s}", name, model ? model : "");
    const char *found = strstr(r.body, line);
    XT_CHECKF(found != NULL, "no %s", line);
    double v = strtod(found + strlen(line), NULL);
    hc_free(&r);
    return v;
}

void await_metric(const struct fixture *f, const char *name, const char *model, double v)
{
    for (int i = 0; i < 3000 && metric(f, name, model) != v; i++)
        sleep_ms(10);
    XT_CHECKF(metric(f, name, model) == v, "%s of %s stays %g", name, model, metric(f, name, model));
}

/* What /v1/models says of one model; the caller frees. */
static char *state_of(const struct fixture *f, const char *model)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/models/%s", model);
    struct hc_reply r = hc_get(f->port, path);
    XT_CHECKF(r.status == 200, "%s", r.text);
    char *text = strdup(r.body);
    hc_free(&r);
    return text;
}

void check_state(const struct fixture *f, const char *model, const char *part)
{
    char *text = state_of(f, model);
    XT_CHECKF(strstr(text, part), "%s lacks %s", text, part);
    free(text);
}
