/* serve_open.c - see serve_open.h */
#include "cli/serve_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/chat_open.h"
#include "fmt/gguf.h"

#define TEMPLATE_MAX ((size_t)4 << 20)

/* ---- the chat template ---- */

static int source_of_config(struct mu_buf *source, const char *dir, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", TEMPLATE_MAX);
    json_t *config = NULL;
    int rc = MU_OK;

    MU_TRY(mu_path_join(&path, dir, "chat_template.jinja", e));
    if (mu_path_exists(path.p)) {
        MU_TRY(mu_file_read_all(source, path.p, e));
        goto out;
    }
    MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_json_load(&config, path.p, e));
    const json_t *text = json_object_get(config, "chat_template");
    if (json_is_string(text))
        MU_TRY(mu_buf_add(source, json_string_value(text), json_string_length(text), e));
out:
    json_decref(config);
    mu_buf_fini(&path);
    return rc;
}

static int source_of_gguf(struct mu_buf *source, const char *path, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    struct mu_str text;
    int rc = MU_OK;

    MU_TRY(mu_gguf_open(&g, path, e));
    if (mu_gguf_find(g, "tokenizer.chat_template")) {
        MU_TRY(mu_gguf_string(g, "tokenizer.chat_template", &text, e));
        MU_TRY(mu_buf_add(source, text.p, text.n, e));
    }
out:
    mu_gguf_free(g);
    return rc;
}

/* The template's source is shown to clients that render chats themselves. */
static int read_source(struct mu_buf *source, const char *model, const char *template_path, struct mu_err *e)
{
    size_t n = strlen(model);
    if (template_path)
        return mu_file_read_all(source, template_path, e);
    if (mu_path_is_dir(model))
        return source_of_config(source, model, e);
    return n > 5 && strcmp(model + n - 5, ".gguf") == 0 ? source_of_gguf(source, model, e) : MU_OK;
}

int mu_serve_chat_open(struct mu_serve_chat *c, const char *model, const char *template_path, const mu_tokenizer *tok,
                       struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    *c = (struct mu_serve_chat){.source = MU_BUF_INIT("the chat template", TEMPLATE_MAX)};
    int rc = mu_chat_open(&c->chat, model, template_path, tok, &why);
    if (rc == MU_OK)
        return read_source(&c->source, model, template_path, e);
    if (rc == MU_ENOENT && !template_path)
        return MU_OK;
    return mu_fail(e, rc, "%s", why.text);
}

void mu_serve_chat_close(struct mu_serve_chat *c)
{
    mu_chat_close(c->chat);
    mu_buf_fini(&c->source);
    c->chat = NULL;
}

/* ---- names ---- */

/* The folder's or file's own name. */
static void name_of_path(const char *path, char name[MU_RESIDENT_NAME_MAX])
{
    char *whole = realpath(path, NULL);
    const char *from = whole ? whole : path, *slash = strrchr(from, '/');
    snprintf(name, MU_RESIDENT_NAME_MAX, "%s", slash && slash[1] ? slash + 1 : from);
    free(whole);
}

int mu_serve_name_split(const char *text, char name[MU_RESIDENT_NAME_MAX], const char **path, struct mu_err *e)
{
    size_t n = strcspn(text, "=/");
    *path = text;
    if (text[n] != '=' || mu_path_exists(text)) {
        name_of_path(text, name);
        return MU_OK;
    }
    if (n == 0 || n >= MU_RESIDENT_NAME_MAX || !text[n + 1])
        return mu_fail(e, MU_EUSAGE, "--model %s: write NAME=PATH, with a name of 1 to %d bytes", text,
                       MU_RESIDENT_NAME_MAX - 1);
    memcpy(name, text, n);
    name[n] = '\0';
    *path = text + n + 1;
    return MU_OK;
}

static struct mu_serve_entry *find(struct mu_serve_opener *x, const char *name)
{
    for (int i = 0; i < x->n; i++) {
        if (strcmp(x->entry[i].name, name) == 0)
            return &x->entry[i];
    }
    return NULL;
}

int mu_serve_opener_add(struct mu_serve_opener *x, const char *text, struct mu_err *e)
{
    struct mu_serve_entry m = {.path = NULL};
    if (x->n == MU_RESIDENTS_MAX)
        return mu_fail(e, MU_EUSAGE, "--model is given more than %d times", MU_RESIDENTS_MAX);
    MU_TRY_RETURN(mu_serve_name_split(text, m.name, &m.path, e));
    if (find(x, m.name))
        return mu_fail(e, MU_EUSAGE, "two models are called %s: name one with --model NAME=PATH", m.name);
    x->entry[x->n++] = m;
    return MU_OK;
}

static int preload(struct mu_serve_opener *x, const char *name, bool is_kept, struct mu_err *e)
{
    const struct mu_serve_entry *one = find(x, name);
    if (!one && strcmp(name, "all") != 0)
        return mu_fail(e, MU_EUSAGE, "--%s %s: no --model has that name", is_kept ? "keep" : "preload", name);
    for (int i = 0; i < x->n; i++) {
        struct mu_serve_entry *m = &x->entry[i];
        if (one && m != one)
            continue;
        m->is_preloaded = true;
        m->is_kept |= is_kept;
    }
    return MU_OK;
}

int mu_serve_opener_keep(struct mu_serve_opener *x, const char *name, struct mu_err *e)
{
    return preload(x, name, true, e);
}

int mu_serve_opener_preload(struct mu_serve_opener *x, const char *name, struct mu_err *e)
{
    return preload(x, name, false, e);
}

/* ---- what one takes ---- */

static int open_texts(const struct mu_serve_entry *m, mu_tokenizer **tok, struct mu_serve_chat *chat, struct mu_err *e)
{
    MU_TRY_RETURN(mu_tokenizer_open(tok, m->path, NULL, e));
    return mu_serve_chat_open(chat, m->path, NULL, *tok, e);
}

/* Beside the kept ones that are listed before it. */
static size_t room_of(const struct mu_serve_opener *x, const struct mu_serve_entry *m, size_t kept_bytes)
{
    size_t taken = kept_bytes + m->text_bytes;
    return x->bytes_max == 0 ? 0 : x->bytes_max > taken ? x->bytes_max - taken : 1;
}

static int measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    struct mu_serve_opener *x = arg;
    struct mu_serve_entry *m = find(x, name);
    struct mu_engine_opts o = x->opts;
    o.model = m->path;
    MU_TRY_RETURN(mu_resident_measure(&o, room_of(x, m, m->kept_bytes), &m->size, e));
    *bytes = m->size.bytes + m->text_bytes;
    return MU_OK;
}

/* Nothing else allocates yet: what the heap grows by is theirs. */
static int measure_texts(struct mu_serve_entry *m, struct mu_err *e)
{
    size_t before = mu_mem_bytes_used();
    mu_tokenizer *tok = NULL;
    struct mu_serve_chat chat = {.chat = NULL};
    int rc = open_texts(m, &tok, &chat, e);
    m->text_bytes = mu_mem_bytes_used() - before;
    mu_serve_chat_close(&chat);
    mu_tokenizer_close(tok);
    return rc;
}

/* All that are kept (or not), in their order; *kept_bytes counts up. */
static int check_those(struct mu_serve_opener *x, bool is_kept, size_t *kept_bytes, struct mu_err *e)
{
    for (int i = 0; i < x->n; i++) {
        struct mu_serve_entry *m = &x->entry[i];
        size_t bytes;
        if (m->is_kept != is_kept)
            continue;
        m->kept_bytes = *kept_bytes;
        MU_TRY_RETURN(mu_err_while(e, measure_texts(m, e), "looking at %s", m->path));
        MU_TRY_RETURN(mu_err_while(e, measure(x, m->name, &bytes, e), "looking at %s", m->path));
        if (x->bytes_max > 0 && bytes > x->bytes_max - MU_MIN(*kept_bytes, x->bytes_max))
            return mu_fail(e, MU_ENOMEM,
                           "the model %s takes %zu bytes, and %zu are allowed for all models, of which %zu are kept: "
                           "allow more by --max-memory, or keep fewer",
                           m->name, bytes, x->bytes_max, *kept_bytes);
        *kept_bytes += is_kept ? bytes : 0;
    }
    return MU_OK;
}

int mu_serve_opener_check(struct mu_serve_opener *x, struct mu_err *e)
{
    size_t kept_bytes = 0;
    MU_TRY_RETURN(check_those(x, true, &kept_bytes, e));
    return check_those(x, false, &kept_bytes, e);
}

/* ---- opening ---- */

struct opened {
    struct mu_serve_model model; /* what the server sees; the first member */
    mu_tokenizer *tok;
    struct mu_serve_chat chat;
    const char *name;
    bool quiet;
};

static void close_model(void *arg, void *model)
{
    struct opened *m = model;
    (void)arg;
    mu_engine_close(m->model.eng);
    mu_serve_chat_close(&m->chat);
    mu_tokenizer_close(m->tok);
    if (!m->quiet && m->model.eng)
        fprintf(stderr, "model %s: closed\n", m->name);
    mu_free(m);
}

static int fill(struct opened *m, const struct mu_serve_opener *x, const struct mu_serve_entry *from, struct mu_err *e)
{
    struct mu_engine_opts o = x->opts;
    MU_TRY_RETURN(open_texts(from, &m->tok, &m->chat, e));
    o.model = from->path;
    o.tokenizer = m->tok;
    o.memory_bytes_max = x->process_bytes_max;
    mu_resident_pin(&o, &from->size);
    MU_TRY_RETURN(mu_engine_open(&m->model.eng, &o, e));
    m->model.tok = m->tok;
    m->model.chat = m->chat.chat;
    m->model.chat_template = m->chat.source.n ? m->chat.source.p : NULL;
    return MU_OK;
}

static int open_model(void *arg, const char *name, void **model, struct mu_err *e)
{
    struct mu_serve_opener *x = arg;
    const struct mu_serve_entry *from = find(x, name);
    struct opened *m = NULL;
    int64_t start_ns = mu_now_ns(mu_clock_real());
    char text[24];
    MU_TRY_RETURN(MU_NEW(&m, "a model", e));
    m->name = from->name;
    m->quiet = x->quiet;
    int rc = fill(m, x, from, e);
    if (rc != MU_OK) {
        close_model(x, m);
        return rc;
    }
    if (!x->quiet)
        fprintf(stderr, "model %s: open, %s, after %.1f s\n", name,
                mu_bytes_text(text, from->size.bytes + from->text_bytes),
                (double)(mu_now_ns(mu_clock_real()) - start_ns) * 1e-9);
    *model = m;
    return MU_OK;
}

static int trim(void *arg, void *model, struct mu_err *e)
{
    const struct opened *m = model;
    size_t freed;
    (void)arg;
    return mu_engine_optimize_memory(m->model.eng, &freed, e);
}

const struct mu_resident_ops mu_serve_opener_ops = {
    .measure = measure, .open = open_model, .close = close_model, .trim = trim, .pressure = mu_resident_pressure};
