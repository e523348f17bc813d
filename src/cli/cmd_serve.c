/* cmd_serve.c - `muster serve`: an OpenAI-compatible HTTP endpoint for one model */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/chat_open.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/lines.h"
#include "cli/model_opts.h"
#include "dash/serve.h"
#include "fmt/gguf.h"

#define WAKE_NS        100000000ll /* how often a signal is looked for */
#define TEMPLATE_MAX   ((size_t)4 << 20)
#define FILES_SPARE    256 /* file descriptors beside connections */
#define NAME_BYTES_MAX 4096

struct serve_args {
    struct mu_model_args model;
    const char *host, *key_file, *name, *template;
    struct mu_opt_list keys;
    int64_t port, connections, connections_per_client, queue, threads, workers;
    double request_timeout, idle_timeout, drain_timeout;
    uint64_t body_max;
};

struct server {
    const struct serve_args *args;
    struct mu_session s;
    struct mu_chat *chat;
    struct mu_buf template, name;
    const char *keys[2 * MU_OPT_LIST_MAX + 1];
    char *owned[MU_OPT_LIST_MAX]; /* keys of the file */
    int n_keys, n_owned;
    struct mu_serve *serve;
};

/* ---- keys ---- */

static int add_owned_key(struct server *v, struct mu_str key, struct mu_err *e)
{
    if (v->n_owned == MU_OPT_LIST_MAX)
        return mu_fail(e, MU_ELIMIT, "%s has more than %d keys", v->args->key_file, MU_OPT_LIST_MAX);
    v->owned[v->n_owned] = mu_strndup(key.p, key.n);
    if (!v->owned[v->n_owned])
        return mu_fail_nomem(e, key.n, "a key");
    v->keys[v->n_keys++] = v->owned[v->n_owned++];
    return MU_OK;
}

/* One key a line; blank lines are skipped. */
static int read_key_file(struct server *v, struct mu_err *e)
{
    struct mu_lines l = {.f = NULL};
    bool has_line = true;
    int rc = MU_OK;

    MU_TRY(mu_lines_open(&l, v->args->key_file, e));
    for (;;) {
        MU_TRY(mu_lines_next(&l, &has_line, e));
        if (!has_line)
            break;
        struct mu_str key = mu_buf_str(&l.line);
        while (key.n > 0 && strchr(" \t\r", key.p[key.n - 1]))
            key.n--;
        MU_TRY(add_owned_key(v, key, e));
    }
    if (v->n_owned == 0)
        rc = mu_fail(e, MU_EFORMAT, "%s holds no key: one a line", v->args->key_file);
out:
    mu_lines_close(&l);
    return rc;
}

static int read_keys(struct server *v, struct mu_err *e)
{
    for (int i = 0; i < v->args->keys.n; i++) {
        if (!v->args->keys.item[i][0])
            return mu_fail(e, MU_EUSAGE, "--api-key is empty");
        v->keys[v->n_keys++] = v->args->keys.item[i];
    }
    return v->args->key_file ? read_key_file(v, e) : MU_OK;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static void warn_if_open(const struct server *v)
{
    if (v->n_keys == 0 && !is_loopback(v->args->host))
        fprintf(stderr,
                "warning: %s can be reached from other machines and no key is asked for: whoever reaches it can use "
                "it; give --api-key-file, or --host 127.0.0.1\n",
                v->args->host);
}

/* ---- the model's name, and its chat template ---- */

/* The folder's or file's own name. */
static int make_name(struct server *v, struct mu_err *e)
{
    char *path = NULL;
    int rc = MU_OK;
    if (v->args->name)
        return mu_buf_puts(&v->name, v->args->name, e);
    path = realpath(v->args->model.model, NULL);
    const char *from = path ? path : v->args->model.model, *slash = strrchr(from, '/');
    MU_TRY(mu_buf_puts(&v->name, slash && slash[1] ? slash + 1 : from, e));
out:
    free(path);
    return rc;
}

static int template_of_config(struct server *v, const char *dir, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", TEMPLATE_MAX);
    json_t *config = NULL;
    int rc = MU_OK;

    MU_TRY(mu_path_join(&path, dir, "chat_template.jinja", e));
    if (mu_path_exists(path.p)) {
        MU_TRY(mu_file_read_all(&v->template, path.p, e));
        goto out;
    }
    MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
    if (!mu_path_exists(path.p))
        goto out;
    MU_TRY(mu_json_load(&config, path.p, e));
    const json_t *text = json_object_get(config, "chat_template");
    if (json_is_string(text))
        MU_TRY(mu_buf_add(&v->template, json_string_value(text), json_string_length(text), e));
out:
    json_decref(config);
    mu_buf_fini(&path);
    return rc;
}

static int template_of_gguf(struct server *v, struct mu_err *e)
{
    struct mu_gguf *g = NULL;
    struct mu_str text;
    int rc = MU_OK;

    MU_TRY(mu_gguf_open(&g, v->args->model.model, e));
    if (mu_gguf_find(g, "tokenizer.chat_template")) {
        MU_TRY(mu_gguf_string(g, "tokenizer.chat_template", &text, e));
        MU_TRY(mu_buf_add(&v->template, text.p, text.n, e));
    }
out:
    mu_gguf_free(g);
    return rc;
}

/* The template's source is shown to clients that render chats themselves. */
static int read_template(struct server *v, struct mu_err *e)
{
    const char *model = v->args->model.model;
    size_t n = strlen(model);
    if (v->args->template)
        return mu_file_read_all(&v->template, v->args->template, e);
    if (mu_path_is_dir(model))
        return template_of_config(v, model, e);
    return n > 5 && strcmp(model + n - 5, ".gguf") == 0 ? template_of_gguf(v, e) : MU_OK;
}

static int open_chat(struct server *v, struct mu_err *e)
{
    struct mu_err quiet = MU_ERR_INIT;
    const struct serve_args *a = v->args;
    int rc = mu_chat_open(&v->chat, a->model.model, a->template, v->s.tok, a->template ? e : &quiet);
    if (rc == MU_OK)
        return read_template(v, e);
    if (rc == MU_ENOENT && !a->template)
        return MU_OK;
    if (!a->template && e)
        *e = quiet;
    return rc;
}

/* ---- running ---- */

/* A connection is a file descriptor; the usual soft limit is 1024. */
static void allow_files(int64_t connections)
{
    struct rlimit l;
    rlim_t wanted = (rlim_t)connections + FILES_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur >= wanted)
        return;
    l.rlim_cur = MU_MIN(wanted, l.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur < wanted)
        fprintf(stderr,
                "warning: this process may open %llu files, which is fewer than --max-connections %" PRId64 "\n",
                (unsigned long long)l.rlim_cur, connections);
}

static int open_server(struct server *v, struct mu_err *e)
{
    const struct serve_args *a = v->args;
    struct mu_serve_opts o = {.http = {.address = a->host,
                                       .port = (int)a->port,
                                       .connections_max = (int)a->connections,
                                       .connections_per_ip_max = (int)a->connections_per_client,
                                       .body_bytes_max = (size_t)a->body_max,
                                       .idle_ns = (int64_t)(a->idle_timeout * 1e9),
                                       .threads = (int)a->threads},
                              .keys = v->keys,
                              .model = v->name.p,
                              .eng = v->s.eng,
                              .tok = v->s.tok,
                              .chat = v->chat,
                              .chat_template = v->template.n ? v->template.p : NULL,
                              .queue_max = (int)a->queue,
                              .request_ns = (int64_t)(a->request_timeout * 1e9),
                              .workers = (int)a->workers};
    MU_TRY_RETURN(mu_serve_open(&v->serve, &o, e));
    bool is_v6 = strchr(a->host, ':') != NULL;
    printf("listening on http://%s%s%s:%d (model %s)\n", is_v6 ? "[" : "", a->host, is_v6 ? "]" : "",
           mu_serve_port(v->serve), v->name.p);
    fflush(stdout);
    return MU_OK;
}

static int wait_for_end(struct server *v, struct mu_err *e)
{
    struct timespec t = {0, WAKE_NS};
    while (!mu_interrupted() && mu_serve_is_alive(v->serve))
        nanosleep(&t, NULL);
    if (!mu_serve_is_alive(v->serve))
        return mu_fail(e, MU_EINTERNAL, "the engine failed; what it said is above");
    if (!v->s.quiet)
        fprintf(stderr, "stopping: requests in hand have %g s to end; another signal ends at once\n",
                v->args->drain_timeout);
    if (!mu_serve_drain(v->serve, (int64_t)(v->args->drain_timeout * 1e9)) && !v->s.quiet)
        fprintf(stderr, "some requests were not done in time and were cancelled\n");
    return MU_OK;
}

static int serve_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct serve_args *a = p;
    struct server *v = NULL;
    int rc = MU_OK;

    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "the model is given by --model, not as an operand: %s", operands[0]);
    MU_TRY(MU_NEW(&v, "the server", e));
    v->args = a;
    v->template = (struct mu_buf)MU_BUF_INIT("the chat template", TEMPLATE_MAX);
    v->name = (struct mu_buf)MU_BUF_INIT("the model's name", NAME_BYTES_MAX);
    MU_TRY(read_keys(v, e));
    MU_TRY(mu_session_open(&v->s, &a->model, true, e));
    if (v->s.is_over)
        goto out;
    MU_TRY(make_name(v, e));
    MU_TRY(open_chat(v, e));
    allow_files(a->connections);
    warn_if_open(v);
    MU_TRY(open_server(v, e));
    MU_TRY(wait_for_end(v, e));
    MU_TRY(mu_session_write_expert_loads(&v->s, e));
    mu_session_report(&v->s);
out:
    if (v) {
        mu_serve_close(v->serve);
        mu_chat_close(v->chat);
        mu_session_close(&v->s);
        for (int i = 0; i < v->n_owned; i++)
            mu_free(v->owned[i]);
        mu_buf_fini(&v->template);
        mu_buf_fini(&v->name);
        mu_free(v);
    }
    return rc;
}

static void serve_defaults(void *p)
{
    *(struct serve_args *)p = (struct serve_args){.model = MU_MODEL_ARGS_INIT,
                                                  .host = "127.0.0.1",
                                                  .port = 8000,
                                                  .connections = 1024,
                                                  .queue = 1024,
                                                  .threads = 2,
                                                  .workers = 2,
                                                  .idle_timeout = 60,
                                                  .drain_timeout = 30,
                                                  .body_max = (uint64_t)16 << 20};
}

#define FIELD(name) offsetof(struct serve_args, name)

static const struct mu_opt serve_opts[] = {
    {MU_OPT_TEXT, "host", 0, FIELD(host), "ADDRESS", .help = "Address to listen on; 0.0.0.0 or :: is every one.",
     .dflt = "127.0.0.1, which only this machine reaches"},
    {MU_OPT_INT, "port", 0, FIELD(port), "N", .lo = 0, .hi = 65535, .help = "Port; 0 takes a free one.",
     .dflt = "8000"},
    {MU_OPT_LIST, "api-key", 0, FIELD(keys), "KEY",
     .help = "Answer only to this bearer key. May be repeated. Others on the machine can see it: see --api-key-file."},
    {MU_OPT_TEXT, "api-key-file", 0, FIELD(key_file), "FILE", .help = "Bearer keys, one a line."},
    {MU_OPT_TEXT, "served-model-name", 0, FIELD(name), "NAME", .help = "What clients call the model.",
     .dflt = "the name of its folder or file"},
    {MU_OPT_TEXT, "chat-template", 0, FIELD(template), "FILE", .help = "Chat template to use.",
     .dflt = "the model's own"},
    {MU_OPT_INT, "max-queue", 0, FIELD(queue), "N", .lo = 1, .hi = MU_ENGINE_QUEUE_MAX,
     .help = "Requests accepted and not yet answered; more are refused with 503.", .dflt = "1024"},
    {MU_OPT_INT, "max-connections", 0, FIELD(connections), "N", .lo = 1, .hi = 65536, .help = "Connections at a time.",
     .dflt = "1024"},
    {MU_OPT_INT, "max-connections-per-client", 0, FIELD(connections_per_client), "N", .lo = 0, .hi = 65536,
     .help = "Connections at a time of one address; 0: no bound of its own.", .dflt = "0"},
    {MU_OPT_SIZE, "max-body", 0, FIELD(body_max), "SIZE", .help = "Largest request body.", .dflt = "16MiB"},
    {MU_OPT_REAL, "request-timeout", 0, FIELD(request_timeout), "SECONDS", .lo = 0, .hi = 1e6,
     .help = "Longest time from accepting a request to its answer (else 504); 0: no limit.", .dflt = "0"},
    {MU_OPT_REAL, "idle-timeout", 0, FIELD(idle_timeout), "SECONDS", .lo = 1, .hi = 1e6,
     .help = "Close a connection that moves no byte this long, or is five times as long over sending a request.",
     .dflt = "60"},
    {MU_OPT_REAL, "drain-timeout", 0, FIELD(drain_timeout), "SECONDS", .lo = 0, .hi = 1e6,
     .help = "Time for requests in hand to end after SIGTERM or Ctrl-C.", .dflt = "30"},
    {MU_OPT_INT, "http-threads", 0, FIELD(threads), "N", .lo = 1, .hi = MU_HTTP_THREADS_MAX,
     .help = "Threads that move bytes.", .dflt = "2"},
    {MU_OPT_INT, "workers", 0, FIELD(workers), "N", .lo = 1, .hi = 64,
     .help = "Threads that tokenise, read requests and write answers.", .dflt = "2"},
    MU_MODEL_OPTS(FIELD(model)),
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_serve = {
    .name = "serve",
    .summary = "answer over HTTP as OpenAI's API does",
    .operands = "",
    .story =
        "Serves one model to clients of OpenAI's API, lm-evaluation-harness (local-completions, "
        "local-chat-completions) "
        "among them: /v1/completions with token prompts, echo and log-probabilities, /v1/chat/completions, /v1/models, "
        "/tokenize, /detokenize, /tokenizer_info, /health and /metrics. The numbers are those of `muster score` and "
        "`muster generate`, bit for bit, whatever other requests run.\n\n"
        "One line on standard output says where it listens. SIGTERM and Ctrl-C stop it when the requests in hand have "
        "ended. A seed gives the same text again; choice i of n uses seed + i; without one the text is chosen anew "
        "each "
        "time. With log-probabilities the token that ended the text is reported too, and a stream brings each choice "
        "in "
        "one piece.\n\n"
        "Without a key anybody who reaches the port may use it. All paths but /health ask for the key when there is "
        "one.",
    .examples =
        "  muster serve --model DIR --port 8000\n"
        "  muster serve --model DIR --host 0.0.0.0 --api-key-file keys.txt --request-timeout 600\n"
        "  curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' -d '{\"prompt\": \"Once\"}'\n"
        "  lm_eval --model local-completions --tasks arc_easy --model_args "
        "model=NAME,base_url=http://127.0.0.1:8000/v1/completions,tokenizer_backend=remote,"
        "max_length=1024,num_concurrent=16\n",
    .opts = serve_opts,
    .args_size = sizeof(struct serve_args),
    .defaults = serve_defaults,
    .run = serve_run,
};
