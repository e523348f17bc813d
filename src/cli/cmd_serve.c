/* cmd_serve.c - `muster serve`: an OpenAI-compatible HTTP endpoint for one model or several */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/check.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/memory_limit.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/lines.h"
#include "cli/model_opts.h"
#include "cli/serve_open.h"
#include "cli/serve_service.h"
#include "comm/mpi/mpi.h"
#include "dash/serve.h"

#define WAKE_NS     100000000ll /* how often a signal is looked for */
#define FILES_SPARE 256         /* file descriptors beside connections */

struct serve_args {
    struct mu_model_args model;
    const char *host, *key_file, *name, *template, *service, *advertise;
    struct mu_opt_list models, preload, keep, keys;
    int64_t port, connections, connections_per_client, queue, threads, workers, open_max, load_queue, breakdowns;
    int64_t mean_prompt, mean_output;
    double request_timeout, idle_timeout, drain_timeout, load_timeout;
    uint64_t body_max;
};

struct server {
    struct serve_args *args;
    /* one model */
    struct mu_session s;
    struct mu_serve_chat chat;
    struct mu_serve_model one;
    char name[MU_RESIDENT_NAME_MAX];
    /* several */
    struct mu_serve_opener opener;
    struct mu_residents *residents;
    int64_t context_max[MU_RESIDENTS_MAX];

    struct mu_serve_service service;
    const char *keys[2 * MU_OPT_LIST_MAX + 2]; /* the service's token among them */
    char *owned[MU_OPT_LIST_MAX];              /* keys of the file */
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

/* ---- as a service ---- */

static int check_service(const struct serve_args *a, struct mu_err *e)
{
    if (a->advertise && !a->service)
        return mu_fail(e, MU_EUSAGE, "--advertise is where a service is found: give --service NAME too");
    if (a->service && a->models.n > 1)
        return mu_fail(e, MU_EUSAGE, "a service is one model, and %d were given: start one service for each",
                       a->models.n);
    if (a->service && a->model.endpoint)
        return mu_fail(e, MU_EUSAGE,
                       "--service tells what computes, and of --endpoint that is not known: register that "
                       "server itself");
    return MU_OK;
}

/* Before the model is read: a name that is taken shows at once. */
static int open_service(struct server *v, struct mu_err *e)
{
    const struct serve_args *a = v->args;
    MU_TRY_RETURN(check_service(a, e));
    if (!a->service)
        return MU_OK;
    MU_TRY_RETURN(mu_serve_service_open(&v->service, a->service, a->model.quiet, e));
    if (v->service.announce)
        v->keys[v->n_keys++] = mu_announce_token(v->service.announce);
    return MU_OK;
}

static int publish_service(struct server *v, struct mu_err *e)
{
    const struct serve_args *a = v->args;
    struct mu_serve_facts f = {.model = &v->one,
                               .name = a->name,
                               .mla = a->model.mla,
                               .host = a->host,
                               .address = a->advertise,
                               .port = mu_serve_port(v->serve)};
    return mu_serve_service_publish(&v->service, &f, e);
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

/* ---- one model ---- */

static int open_one(struct server *v, struct mu_err *e)
{
    struct serve_args *a = v->args;
    MU_TRY_RETURN(mu_session_open(&v->s, &a->model, true, e));
    if (v->s.is_over)
        return MU_OK;
    MU_TRY_RETURN(mu_serve_chat_open(&v->chat, a->model.model, a->template, v->s.tok, e));
    v->one = (struct mu_serve_model){.eng = v->s.eng,
                                     .tok = v->s.tok,
                                     .chat = v->chat.chat,
                                     .chat_template = v->chat.source.n ? v->chat.source.p : NULL};
    return MU_OK;
}

static int name_one(struct server *v, struct mu_err *e)
{
    struct serve_args *a = v->args;
    if (a->models.n == 0)
        return MU_OK; /* the session says what is missing */
    MU_TRY_RETURN(mu_serve_name_split(a->models.item[0], v->name, &a->model.model, e));
    if (!a->name)
        a->name = v->name;
    return MU_OK;
}

/* ---- several models ---- */

/* What is of one model or of many ranks. */
static int check_several(const struct serve_args *a, struct mu_err *e)
{
    const struct mu_model_args *m = &a->model;
    const struct {
        bool is_given;
        const char *name, *way;
    } not_yet[] = {{m->endpoint, "endpoint", "one server computes for one model"},
                   {m->ranks > 1 || m->layout, m->layout ? "layout" : "ranks", "several models share one process"},
                   {m->tokenizer, "tokenizer", "each model has its own"},
                   {a->template, "chat-template", "each model has its own"},
                   {a->name, "served-model-name", "write --model NAME=PATH"},
                   {m->write_expert_loads, "write-expert-loads", "it is of one model"}};
    int rank, size = 1;
    for (size_t i = 0; i < MU_COUNT(not_yet); i++) {
        if (not_yet[i].is_given)
            return mu_fail(e, MU_EUSAGE, "with several models leave --%s out: %s", not_yet[i].name, not_yet[i].way);
    }
    if (mu_mpi_is_launched(&rank, &size) && size > 1)
        return mu_fail(e, MU_EUSAGE, "%d ranks were started, and several models share one process: serve one", size);
    return MU_OK;
}

static int stop_when_interrupted(void *arg, uint64_t done, uint64_t total)
{
    (void)arg, (void)done, (void)total;
    return mu_interrupted();
}

/* What all models may take: of the limit given, or nine tenths of what the machine has left. */
static int settle_memory(struct mu_serve_opener *x, uint64_t max, struct mu_err *e)
{
    size_t own = mu_mem_bytes_used() + MU_BILL_RUNTIME_BYTES;
    x->process_bytes_max = (size_t)max;
    x->bytes_max = max > 0 ? (size_t)max - MU_MIN(own, (size_t)max) : mu_memory_available(NULL) / 10 * 9;
    if (max > 0 && x->bytes_max == 0)
        return mu_fail(e, MU_ENOMEM, "--max-memory of %" PRIu64 " bytes: the program alone takes %zu", max, own);
    return MU_OK;
}

static int name_several(struct server *v, struct mu_err *e)
{
    const struct serve_args *a = v->args;
    struct mu_serve_opener *x = &v->opener;
    *x = (struct mu_serve_opener){.opts = mu_session_engine_opts(&a->model), .quiet = a->model.quiet};
    x->opts.on_progress = stop_when_interrupted;
    for (int i = 0; i < a->models.n; i++) {
        MU_TRY_RETURN(mu_serve_opener_add(x, a->models.item[i], e));
        MU_TRY_RETURN(mu_model_path_check(x->entry[i].path, e));
    }
    for (int i = 0; i < a->keep.n; i++)
        MU_TRY_RETURN(mu_serve_opener_keep(x, a->keep.item[i], e));
    for (int i = 0; i < a->preload.n; i++)
        MU_TRY_RETURN(mu_serve_opener_preload(x, a->preload.item[i], e));
    MU_TRY_RETURN(settle_memory(x, a->model.max_memory, e));
    return mu_serve_opener_check(x, e);
}

static int open_several(struct server *v, struct mu_err *e)
{
    const struct serve_args *a = v->args;
    struct mu_serve_opener *x = &v->opener;
    MU_TRY_RETURN(check_several(a, e));
    MU_TRY_RETURN(name_several(v, e));
    struct mu_resident_opts o = {
        .ops = &mu_serve_opener_ops, .arg = x, .bytes_max = x->bytes_max, .open_max = (int)a->open_max};
    o.breaks_max = a->breakdowns > 0 ? (int)a->breakdowns : INT_MAX;
    MU_TRY_RETURN(mu_residents_open(&v->residents, &o, e));
    for (int i = 0; i < x->n; i++) {
        v->context_max[i] = x->entry[i].size.limits.context;
        MU_TRY_RETURN(mu_residents_add(v->residents, x->entry[i].name, x->entry[i].is_kept, e));
    }
    for (int i = 0; i < x->n; i++) {
        if (x->entry[i].is_preloaded)
            MU_TRY_RETURN(mu_residents_preload(v->residents, x->entry[i].name, INT64_MAX, e));
    }
    return MU_OK;
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
                              .service_id = v->service.announce ? mu_announce_id(v->service.announce) : NULL,
                              .name = a->name,
                              .model = &v->one,
                              .residents = v->residents,
                              .context_max = v->context_max,
                              .load_queue_max = (int)a->load_queue,
                              .load_ns = (int64_t)(a->load_timeout * 1e9),
                              .queue_max = (int)a->queue,
                              .request_ns = (int64_t)(a->request_timeout * 1e9),
                              .workers = (int)a->workers};
    return mu_serve_open(&v->serve, &o, e);
}

static void say_where(const struct server *v)
{
    const struct serve_args *a = v->args;
    bool is_v6 = strchr(a->host, ':') != NULL;
    printf("listening on http://%s%s%s:%d (", is_v6 ? "[" : "", a->host, is_v6 ? "]" : "", mu_serve_port(v->serve));
    if (!v->residents)
        printf("model %s)\n", a->name);
    for (int i = 0; i < v->opener.n; i++)
        printf("%s%s%s", i ? ", " : "models ", v->opener.entry[i].name, i + 1 < v->opener.n ? "" : ")\n");
    fflush(stdout);
}

static int wait_for_end(struct server *v, struct mu_err *e)
{
    struct timespec t = {0, WAKE_NS};
    int rc;
    while ((rc = mu_serve_service_check(&v->service, e)) == MU_OK && !mu_interrupted() && mu_serve_is_alive(v->serve))
        nanosleep(&t, NULL);
    mu_serve_service_close(&v->service); /* first: nobody comes any more */
    MU_TRY_RETURN(rc);
    MU_TRY_RETURN(mu_serve_death(v->serve, e));
    if (!v->args->model.quiet)
        fprintf(stderr, "stopping: requests in hand have %g s to end; another signal ends at once\n",
                v->args->drain_timeout);
    if (!mu_serve_drain(v->serve, (int64_t)(v->args->drain_timeout * 1e9)) && !v->args->model.quiet)
        fprintf(stderr, "some requests were not done in time and were cancelled\n");
    return MU_OK;
}

static int report(struct server *v, struct mu_err *e)
{
    if (v->residents) {
        if (!v->args->model.quiet)
            fprintf(stderr, "memory: %.1f MiB at peak\n", (double)mu_process_peak_bytes() * 0x1p-20);
        return MU_OK;
    }
    MU_TRY_RETURN(mu_session_write_expert_loads(&v->s, e));
    mu_session_report(&v->s);
    return MU_OK;
}

static void server_free(struct server *v)
{
    if (!v)
        return;
    mu_serve_service_close(&v->service);
    mu_serve_close(v->serve);
    mu_residents_close(v->residents);
    mu_serve_chat_close(&v->chat);
    mu_session_close(&v->s);
    for (int i = 0; i < v->n_owned; i++)
        mu_free(v->owned[i]);
    mu_free(v);
}

static int serve_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct serve_args *a = p;
    struct server *v = NULL;
    int rc = MU_OK;

    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "the model is given by --model, not as an operand: %s", operands[0]);
    MU_TRY(MU_NEW(&v, "the server", e));
    v->args = a;
    a->model.work = (struct mu_engine_work){.prompt = a->mean_prompt, .output = a->mean_output};
    MU_TRY(read_keys(v, e));
    MU_TRY(open_service(v, e));
    if (a->models.n < 2)
        MU_TRY(name_one(v, e));
    MU_TRY(a->models.n > 1 ? open_several(v, e) : open_one(v, e));
    if (v->s.is_over)
        goto out;
    allow_files(a->connections);
    warn_if_open(v);
    MU_TRY(open_server(v, e));
    MU_TRY(publish_service(v, e));
    say_where(v);
    MU_TRY(wait_for_end(v, e));
    MU_TRY(report(v, e));
out:
    server_free(v);
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
                                                  .load_queue = MU_SERVE_LOAD_QUEUE,
                                                  .breakdowns = MU_RESIDENT_BREAKS,
                                                  .load_timeout = (double)MU_SERVE_LOAD_NS * 1e-9,
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
    {MU_OPT_TEXT, "service", 0, FIELD(service), "[FOLDER/]NAME",
     .help = "Register as a service of this name, which jobs of the same user ask by --endpoint service:NAME. A token "
             "is made, and asked for as key.",
     .dflt = "FOLDER is $MUSTER_SERVICES, else ~/.local/state/muster/services"},
    {MU_OPT_TEXT, "advertise", 0, FIELD(advertise), "ADDRESS",
     .help = "Name or number by which other nodes reach a service.",
     .dflt = "--host; where that is every address, the node's name"},
    {MU_OPT_TEXT, "served-model-name", 0, FIELD(name), "NAME",
     .help = "What clients call the model, where there is one.", .dflt = "the name of its folder or file"},
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
    {MU_OPT_LIST, "model", 'm', FIELD(models), "[NAME=]PATH",
     .help = "A model: a checkpoint folder, a .safetensors or a .gguf file. May be repeated: requests choose by name.",
     .dflt = "NAME is that of the folder or file"},
    {MU_OPT_INT, "max-models", 0, FIELD(open_max), "N", .lo = 0, .hi = MU_RESIDENTS_MAX,
     .help = "Models open at a time; 0: as many as the memory holds.", .dflt = "0"},
    {MU_OPT_LIST, "preload", 0, FIELD(preload), "NAME",
     .help = "Open this model before the first request; all: every one. May be repeated."},
    {MU_OPT_LIST, "keep", 0, FIELD(keep), "NAME",
     .help = "Open it before the first request and never close it for others; all: every one. May be repeated."},
    {MU_OPT_REAL, "load-timeout", 0, FIELD(load_timeout), "SECONDS", .lo = 0.001, .hi = 1e6,
     .help = "Longest time a request waits until its model is open (else 503).", .dflt = "300"},
    {MU_OPT_INT, "load-queue", 0, FIELD(load_queue), "N", .lo = 1, .hi = MU_ENGINE_QUEUE_MAX,
     .help = "Requests that may wait for models to be opened; more are refused with 503.", .dflt = "256"},
    {MU_OPT_INT, "max-breakdowns", 0, FIELD(breakdowns), "N", .lo = 0, .hi = 1e6,
     .help = "Give up a model of several that breaks down so often in a row, each time within ten minutes of its "
             "opening; 0: never.",
     .dflt = "5"},
    {MU_OPT_INT, "mean-prompt", 0, FIELD(mean_prompt), "N", .lo = 0, .hi = 1e9,
     .help = "Tokens that prompts will have in the mean: --batch-size auto fits the batch to them.",
     .dflt = "not known"},
    {MU_OPT_INT, "mean-output", 0, FIELD(mean_output), "N", .lo = 0, .hi = 1e9,
     .help = "Tokens that answers will have in the mean, likewise.", .dflt = "not known"},
    MU_MODEL_OPTS_UNNAMED(FIELD(model)),
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_serve = {
    .name = "serve",
    .summary = "answer over HTTP as OpenAI's API does",
    .operands = "",
    .story =
        "Serves models to clients of OpenAI's API, lm-evaluation-harness (local-completions, "
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
        "Several models are told apart by the requests' field model. One is opened when it is first asked for, inside "
        "the memory (--max-memory, of all together) and --max-models; what was unused longest and computes nothing is "
        "closed for it, or when the machine runs short of memory. A model that computes is never closed: others wait, "
        "and after a while it is their turn. /v1/models tells which are open, /metrics counts for each.\n\n"
        "An engine that breaks down (a rank is lost, a device fails) takes its requests in hand along: each is "
        "answered "
        "with the sentence, and a stream ends with an error event. With one model the server then ends with that "
        "sentence and the status of its kind, so that whoever supervises it (systemd, Slurm, Kubernetes) starts it "
        "again. With several the others go on, and the next request for the lost one opens it anew: at once the first "
        "time, then after 10 s, twice as long each time up to 5 min; in between it answers 503 with Retry-After. After "
        "--max-breakdowns in a row it is given up, and when all are, the server ends. /health stays 200 and says "
        "\"degraded\", which models failed and when they are tried again; /v1/models has the reasons.\n\n"
        "With --service the server is one that several jobs share: it makes a token, asks for it, and writes where it "
        "is "
        "found and what it computes with into a file of the user's own, NAME.json in FOLDER, which it renews every "
        "five "
        "seconds and takes away at its end. Started again, on whichever node, it is found again by who was asking it. "
        "Other nodes reach it only with --host 0.0.0.0 or one of the node's addresses. Clients take turns. `muster "
        "services` lists them.\n\n"
        "Without a key anybody who reaches the port may use it. All paths but /health ask for the key when there is "
        "one.",
    .examples =
        "  muster serve --model DIR --port 8000\n"
        "  muster serve --model small=DIR1 --model large=DIR2 --keep small --max-memory 100GB\n"
        "  muster serve --model DIR --host 0.0.0.0 --api-key-file keys.txt --request-timeout 600\n"
        "  muster serve --model DIR --service nightly --host 0.0.0.0 --port 0\n"
        "  curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' -d '{\"prompt\": \"Once\"}'\n"
        "  lm_eval --model local-completions --tasks arc_easy --model_args "
        "model=NAME,base_url=http://127.0.0.1:8000/v1/completions,tokenizer_backend=remote,"
        "max_length=1024,num_concurrent=16\n",
    .opts = serve_opts,
    .args_size = sizeof(struct serve_args),
    .defaults = serve_defaults,
    .run = serve_run,
};
