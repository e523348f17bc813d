/* cmd_generate.c - `muster generate`: continue a prompt and stream it, or many prompts as JSON lines */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/chat_open.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/lines.h"
#include "cli/model_opts.h"

#define WINDOW        1024 /* prompts in flight of --prompts */
#define PROMPT_ID_MAX (1 << 24)
#define BYTES_A_TOKEN 4 /* of English text, roughly */

struct generate_args {
    struct mu_model_args model;
    const char *prompt, *file, *prompts, *system, *template;
    bool chat, json, ignore_eos, echo, no_special;
    int64_t max_tokens, top_k, seed, logprobs;
    double temperature, top_p, min_p, repetition, frequency, presence;
    struct mu_opt_list stop, bias;
};

struct generator {
    const struct generate_args *args;
    struct mu_session s;
    struct mu_engine_info info;
    struct mu_chat *chat;
    struct mu_ids ids;
    struct mu_logit_bias bias[MU_OPT_LIST_MAX];
    int n_bias;
    struct mu_lines lines;
    struct mu_result *done[WINDOW];
    int64_t n_submitted, n_printed;
    bool is_at_end;
    struct mu_progress progress;
};

/* ---- the request ---- */

static int parse_bias(struct generator *g, struct mu_err *e)
{
    const struct mu_opt_list *list = &g->args->bias;
    for (int i = 0; i < list->n; i++) {
        int id, end = 0;
        float v;
        if (sscanf(list->item[i], "%d:%f%n", &id, &v, &end) != 2 || list->item[i][end])
            return mu_fail(e, MU_EUSAGE, "--logit-bias %s: write ID:BIAS, such as 42:-100", list->item[i]);
        g->bias[g->n_bias++] = (struct mu_logit_bias){id, v};
    }
    return MU_OK;
}

static struct mu_request request_of(struct generator *g)
{
    const struct generate_args *a = g->args;
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_GENERATE;
    r.ids = g->ids.v;
    r.n_ids = (int)g->ids.n;
    r.n_top = (int)a->logprobs;
    r.sampling.temperature = a->temperature;
    r.sampling.top_k = (int)a->top_k;
    r.sampling.top_p = a->top_p;
    r.sampling.min_p = a->min_p;
    r.sampling.repetition = a->repetition;
    r.sampling.frequency = a->frequency;
    r.sampling.presence = a->presence;
    r.sampling.seed = (uint64_t)a->seed;
    r.sampling.bias = g->bias;
    r.sampling.n_bias = g->n_bias;
    r.max_tokens = (int)a->max_tokens;
    r.ignore_eos = a->ignore_eos;
    r.stop = a->stop.item;
    r.n_stop = a->stop.n;
    return r;
}

/* ---- prompt to ids ---- */

static int encode_text(struct generator *g, struct mu_str text, bool adds_special, struct mu_err *e)
{
    unsigned flags = MU_TOK_PARSE_SPECIAL | (adds_special ? MU_TOK_ADD_SPECIAL : 0u);
    g->ids.n = 0;
    MU_TRY_RETURN(mu_tokenizer_encode(g->s.tok, text.p, text.n, flags, &g->ids, e));
    if (g->ids.n == 0)
        return mu_fail(e, MU_EINVAL, "the prompt comes to no tokens; give at least one character");
    return MU_OK;
}

/* Chat templates write BOS themselves: nothing is added around their text. */
static int encode_messages(struct generator *g, const json_t *messages, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the rendered chat", MU_TEXT_BYTES_MAX);
    struct mu_chat_opts o = {.add_generation_prompt = true};
    int rc = MU_OK;

    MU_TRY(mu_chat_render(g->chat, messages, &o, &text, e));
    MU_TRY(encode_text(g, mu_buf_str(&text), false, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int add_message(json_t *messages, const char *role, struct mu_str text, struct mu_err *e)
{
    if (mu_utf8_valid_prefix(text.p, text.n) != text.n)
        return mu_fail(e, MU_EINVAL, "the %s message is not UTF-8, which a chat template needs", role);
    json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", text.n ? text.p : "", text.n);
    return json_array_append_new(messages, m) == 0 ? MU_OK : mu_fail_nomem(e, text.n, "a message");
}

static int encode_chat(struct generator *g, struct mu_str text, struct mu_err *e)
{
    json_t *messages = json_array();
    int rc = MU_OK;

    if (g->args->system)
        MU_TRY(add_message(messages, "system", mu_str(g->args->system), e));
    MU_TRY(add_message(messages, "user", text, e));
    MU_TRY(encode_messages(g, messages, e));
out:
    json_decref(messages);
    return rc;
}

static int encode_prompt(struct generator *g, struct mu_str text, struct mu_err *e)
{
    return g->args->chat ? encode_chat(g, text, e) : encode_text(g, text, !g->args->no_special, e);
}

/* ---- one prompt, streamed ---- */

static int on_token(void *arg, const struct mu_token_event *ev)
{
    (void)arg;
    fwrite(ev->text, 1, ev->text_bytes, stdout);
    fflush(stdout);
    return ferror(stdout);
}

static json_t *logprobs_json(const struct mu_logprobs *lp)
{
    json_t *rows = json_array();
    for (int i = 0; i < lp->n; i++) {
        json_t *row = json_pack("{s:i, s:f}", "id", lp->ids[i], "logprob", lp->logprob[i]);
        json_t *top = json_array();
        for (int k = 0; k < lp->n_top; k++) {
            const struct mu_token_logprob *t = &lp->top[(int64_t)i * lp->n_top + k];
            json_array_append_new(top, json_pack("[i, f]", t->id, t->logprob));
        }
        json_object_set_new(row, "top", top);
        json_array_append_new(rows, row);
    }
    return rows;
}

static int print_result_json(const struct generator *g, const struct mu_result *r, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("a line", MU_LINE_BYTES_MAX);
    json_t *ids = json_array();
    for (int i = 0; i < r->tokens.n; i++)
        json_array_append_new(ids, json_integer(r->tokens.ids[i]));
    json_t *line =
        json_pack("{s:s%, s:o, s:s, s:i, s:f}", "text", r->text ? r->text : "", r->text_bytes, "ids", ids,
                  "finish_reason", mu_finish_name(r->finish), "prompt_tokens", r->n_prompt, "logprob", r->logprob_sum);
    if (line && g->args->logprobs > 0)
        json_object_set_new(line, "logprobs", logprobs_json(&r->tokens));
    int rc = line ? mu_json_dump(&out, line, false, e) : mu_fail_nomem(e, r->text_bytes, "a line");
    if (rc == MU_OK && (fwrite(out.p, 1, out.n, stdout) != out.n || fputc('\n', stdout) == EOF))
        rc = mu_fail(e, MU_EIO, "cannot write to standard output");
    fflush(stdout);
    json_decref(line);
    mu_buf_fini(&out);
    return rc;
}

static void print_rates(const struct generator *g, const struct mu_result *r)
{
    if (g->s.quiet)
        return;
    fprintf(stderr, "%d prompt tokens, %d tokens generated in %.2f s (%s)\n", r->n_prompt, r->tokens.n,
            (double)r->run_ns * 1e-9, mu_finish_name(r->finish));
}

/* One request to its end. An interrupt cancels it, and what was generated until then is its result. */
static int run_request(struct generator *g, const struct mu_request *r, struct mu_result **out, struct mu_err *e)
{
    uint64_t id;
    MU_TRY_RETURN(mu_engine_submit(g->s.eng, r, &id, e));
    int rc = mu_session_poll(&g->s, out, e);
    if (rc != MU_ECANCELED)
        return rc;
    MU_TRY_RETURN(mu_engine_cancel(g->s.eng, id, e));
    return mu_engine_poll(g->s.eng, out, MU_WAIT_FOREVER, e);
}

/* A result that did not end by itself: why. One that a signal cut short is still printed. */
static int check_result(const struct mu_result *r, struct mu_err *e)
{
    if (ferror(stdout))
        return mu_fail(e, MU_EIO, "cannot write to standard output");
    if (r->code != MU_OK && !(r->code == MU_ECANCELED && mu_interrupted()))
        return mu_fail(e, r->code, "%s", r->err.text);
    return MU_OK;
}

static int generate_one(struct generator *g, struct mu_str prompt, struct mu_err *e)
{
    struct mu_result *result = NULL;
    int rc = MU_OK;

    MU_TRY(encode_prompt(g, prompt, e));
    struct mu_request r = request_of(g);
    if (!g->args->json)
        r.on_token = on_token;
    if (g->args->echo && !g->args->json)
        fwrite(prompt.p, 1, prompt.n, stdout);
    MU_TRY(run_request(g, &r, &result, e));
    MU_TRY(check_result(result, e));
    if (g->args->json)
        MU_TRY(print_result_json(g, result, e));
    else
        printf("\n");
    print_rates(g, result);
    if (result->code != MU_OK)
        rc = mu_fail(e, result->code, "stopped by a signal after %d tokens", result->tokens.n);
out:
    mu_result_free(result);
    return rc;
}

/* ---- many prompts ---- */

static int encode_line(struct generator *g, const json_t *line, struct mu_err *e)
{
    const json_t *prompt = json_object_get(line, "prompt"), *messages = json_object_get(line, "messages");
    const char *where = mu_lines_where(&g->lines);
    if (json_is_array(messages) && !g->chat)
        return mu_fail(e, MU_ENOENT, "%s has messages, and the model has no chat template; give --chat-template FILE",
                       where);
    if (json_is_array(messages))
        return mu_err_while(e, encode_messages(g, messages, e), "reading %s", where);
    if (!json_is_string(prompt))
        return mu_fail(e, MU_EFORMAT, "%s: \"prompt\" (a string) or \"messages\" (an array) is needed", where);
    struct mu_str text = {json_string_value(prompt), json_string_length(prompt)};
    return mu_err_while(e, encode_prompt(g, text, e), "reading %s", where);
}

static int submit_line(struct generator *g, const json_t *line, struct mu_err *e)
{
    uint64_t id;
    MU_TRY_RETURN(encode_line(g, line, e));
    struct mu_request r = request_of(g);
    r.user = &g->done[g->n_submitted % WINDOW];
    MU_TRY_RETURN(mu_err_while(e, mu_engine_submit(g->s.eng, &r, &id, e), "taking %s", mu_lines_where(&g->lines)));
    g->n_submitted++;
    return MU_OK;
}

static int fill_window(struct generator *g, struct mu_err *e)
{
    while (!g->is_at_end && g->n_submitted - g->n_printed < WINDOW) {
        json_t *line;
        MU_TRY_RETURN(mu_lines_next_json(&g->lines, &line, e));
        g->is_at_end = !line;
        int rc = line ? submit_line(g, line, e) : MU_OK;
        json_decref(line);
        MU_TRY_RETURN(rc);
    }
    return MU_OK;
}

static int print_ready(struct generator *g, struct mu_err *e)
{
    while (g->n_printed < g->n_submitted && g->done[g->n_printed % WINDOW]) {
        struct mu_result **r = &g->done[g->n_printed % WINDOW];
        int rc = (*r)->code == MU_OK ? print_result_json(g, *r, e)
                                     : mu_fail(e, (*r)->code, "prompt %" PRId64 " of %s: %s", g->n_printed + 1,
                                               g->lines.name, (*r)->err.text);
        mu_result_free(*r);
        *r = NULL;
        MU_TRY_RETURN(rc);
        g->n_printed++;
    }
    return MU_OK;
}

static int generate_many(struct generator *g, struct mu_err *e)
{
    struct mu_result *r;
    MU_TRY_RETURN(mu_lines_open(&g->lines, g->args->prompts, e));
    mu_progress_start(&g->progress, "generating", "prompts");
    for (;;) {
        MU_TRY_RETURN(fill_window(g, e));
        MU_TRY_RETURN(mu_session_poll(&g->s, &r, e));
        if (!r)
            return MU_OK;
        *(struct mu_result **)r->user = r;
        MU_TRY_RETURN(print_ready(g, e));
        if (!g->s.quiet)
            mu_progress_update(&g->progress, (uint64_t)g->n_printed, 0);
    }
}

/* ---- the whole ---- */

static int open_chat(struct generator *g, struct mu_err *e)
{
    const struct generate_args *a = g->args;
    if (!a->chat && !a->prompts)
        return MU_OK;
    struct mu_err quiet = MU_ERR_INIT;
    bool is_asked = a->chat || a->template;
    int rc = mu_chat_open(&g->chat, a->model.model, a->template, g->s.tok, is_asked ? e : &quiet);
    return rc == MU_ENOENT && !is_asked ? MU_OK : rc;
}

static int generate_by_args(struct generator *g, struct mu_err *e)
{
    const struct generate_args *a = g->args;
    struct mu_buf text = MU_BUF_INIT("the prompt", MU_TEXT_BYTES_MAX);
    int rc = MU_OK;

    if (a->prompts) {
        rc = generate_many(g, e);
        mu_progress_end(&g->progress);
        if (rc == MU_ECANCELED)
            rc = mu_fail(e, rc, "stopped by a signal; the answers to the first %" PRId64 " prompts of %s are printed",
                         g->n_printed, a->prompts);
        return rc;
    }
    if (a->prompt)
        return generate_one(g, mu_str(a->prompt), e);
    if (!a->file && isatty(STDIN_FILENO))
        fprintf(stderr, "reading the prompt from the terminal; a line with Ctrl-D alone ends it\n");
    MU_TRY(mu_text_read(&text, a->file ? a->file : "-", e));
    MU_TRY(generate_one(g, mu_buf_str(&text), e));
out:
    mu_buf_fini(&text);
    return rc;
}

/* Lines and bytes of a regular file, which can be read again; else both stay 0. */
static void count_lines(const char *path, int64_t *n_lines, int64_t *n_bytes)
{
    char block[4096];
    struct stat st;
    size_t n;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
    while (f && (n = fread(block, 1, sizeof block, f)) > 0) {
        *n_bytes += (int64_t)n;
        for (size_t i = 0; i < n; i++)
            *n_lines += block[i] == '\n';
    }
    if (f)
        fclose(f);
}

/* For the batch: how many prompts, and about how long. What comes through a pipe is not known before. */
static struct mu_engine_work work_of(const struct generate_args *a)
{
    struct mu_engine_work w = {.requests = a->prompts ? 0 : 1, .output = a->max_tokens};
    int64_t n_lines = 0, n_bytes = a->prompt ? (int64_t)strlen(a->prompt) : 0;
    const char *path = a->prompts ? a->prompts : a->file;
    if (path)
        count_lines(path, &n_lines, &n_bytes);
    if (a->prompts)
        w.requests = n_lines;
    if (n_bytes > 0)
        w.prompt = MU_MAX(1, n_bytes / MU_MAX(w.requests, 1) / BYTES_A_TOKEN);
    return w;
}

static int generate_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct generate_args *a = p;
    struct generator *g = NULL;
    int rc = MU_OK;

    (void)operands;
    if (n_operands > 0)
        return mu_fail(e, MU_EUSAGE, "the prompt is given by --prompt TEXT or --file FILE, not as an operand");
    if (!a->chat && !a->prompts && (a->system || a->template))
        return mu_fail(e, MU_EUSAGE, "--%s is for chats: give --chat too", a->system ? "system" : "chat-template");
    if (a->logprobs > 0 && !a->json && !a->prompts)
        return mu_fail(e, MU_EUSAGE, "--logprobs %" PRId64 " needs --json to be shown", a->logprobs);
    if (a->echo && (a->json || a->prompts))
        return mu_fail(e, MU_EUSAGE, "--echo is for text: with --json and --prompts the lines hold the answers alone");
    if (!!a->prompt + !!a->file + !!a->prompts > 1)
        return mu_fail(e, MU_EUSAGE, "--prompt, --file and --prompts exclude each other");
    MU_TRY(MU_NEW(&g, "the generator", e));
    g->args = a;
    g->ids = (struct mu_ids)MU_IDS_INIT(PROMPT_ID_MAX);
    MU_TRY(parse_bias(g, e));
    struct mu_model_args model = a->model;
    model.work = work_of(a);
    if (!a->prompts && model.batch_size == 0)
        model.batch_size = 1; /* a cache for more would only take time to clear */
    MU_TRY(mu_session_open(&g->s, &model, true, e));
    if (g->s.is_over)
        goto out;
    MU_TRY(open_chat(g, e));
    mu_engine_info(g->s.eng, &g->info);
    MU_TRY(generate_by_args(g, e));
    MU_TRY(mu_session_write_expert_loads(&g->s, e));
    mu_session_report(&g->s);
out:
    if (g) {
        for (int i = 0; i < WINDOW; i++)
            mu_result_free(g->done[i]);
        mu_lines_close(&g->lines);
        mu_chat_close(g->chat);
        mu_session_close(&g->s);
        mu_ids_fini(&g->ids);
        mu_free(g);
    }
    return rc;
}

static void generate_defaults(void *p)
{
    *(struct generate_args *)p =
        (struct generate_args){.model = MU_MODEL_ARGS_INIT, .max_tokens = 256, .top_p = 1, .repetition = 1};
}

#define FIELD(name) offsetof(struct generate_args, name)

static const struct mu_opt generate_opts[] = {
    {MU_OPT_TEXT, "prompt", 'p', FIELD(prompt), "TEXT", .help = "The prompt."},
    {MU_OPT_TEXT, "file", 'f', FIELD(file), "FILE", .help = "Read the prompt from FILE; - is standard input.",
     .dflt = "standard input when there is no --prompt"},
    {MU_OPT_TEXT, "prompts", 0, FIELD(prompts), "FILE",
     .help = "Many prompts: lines of JSON with \"prompt\" or \"messages\", answered by lines of JSON in order."},
    {MU_OPT_FLAG, "chat", 0, FIELD(chat), .help = "Take the prompt as the user's message and use the chat template."},
    {MU_OPT_TEXT, "system", 0, FIELD(system), "TEXT", .help = "The system message of --chat."},
    {MU_OPT_TEXT, "chat-template", 0, FIELD(template), "FILE", .help = "Chat template to use.",
     .dflt = "the model's own"},
    {MU_OPT_INT, "max-tokens", 'n', FIELD(max_tokens), "N", .lo = 0, .hi = 1e9,
     .help = "Most tokens to generate; 0 fills the context.", .dflt = "256"},
    {MU_OPT_REAL, "temperature", 0, FIELD(temperature), "X", .lo = 0, .hi = 1000,
     .help = "0 takes the most likely token.", .dflt = "0"},
    {MU_OPT_INT, "top-k", 0, FIELD(top_k), "N", .lo = 0, .hi = 1e9, .help = "Sample from the N most likely; 0: all.",
     .dflt = "0"},
    {MU_OPT_REAL, "top-p", 0, FIELD(top_p), "P", .help = "Sample from the smallest set of this probability.",
     .dflt = "1"},
    {MU_OPT_REAL, "min-p", 0, FIELD(min_p), "P",
     .help = "Leave out tokens less likely than P times the most likely one.", .dflt = "0"},
    {MU_OPT_REAL, "repetition-penalty", 0, FIELD(repetition), "X",
     .help = "Divide (multiply when negative) logits of tokens already seen.", .dflt = "1"},
    {MU_OPT_REAL, "frequency-penalty", 0, FIELD(frequency), "X",
     .help = "Subtract X for each time a token was generated.", .dflt = "0"},
    {MU_OPT_REAL, "presence-penalty", 0, FIELD(presence), "X", .help = "Subtract X once a token was generated.",
     .dflt = "0"},
    {MU_OPT_LIST, "logit-bias", 0, FIELD(bias), "ID:BIAS", .help = "Add BIAS to a token's logit. May be repeated."},
    {MU_OPT_INT, "seed", 's', FIELD(seed), "N", .help = "Of the draws; the same seed gives the same text.",
     .dflt = "0"},
    {MU_OPT_LIST, "stop", 0, FIELD(stop), "TEXT", .help = "End before this text. May be repeated."},
    {MU_OPT_FLAG, "ignore-eos", 0, FIELD(ignore_eos), .help = "Go on past the model's end token."},
    {MU_OPT_FLAG, "no-special", 0, FIELD(no_special),
     .help = "Do not put BOS (or what the tokenizer adds) around the prompt."},
    {MU_OPT_FLAG, "echo", 0, FIELD(echo), .help = "Print the prompt before the text."},
    {MU_OPT_INT, "logprobs", 0, FIELD(logprobs), "N", .lo = 0, .hi = MU_TOP_MAX,
     .help = "With --json: the N most likely tokens at every position."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs instead of streaming text."},
    MU_MODEL_OPTS(FIELD(model)),
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_generate = {
    .name = "generate",
    .summary = "continue a prompt",
    .operands = "",
    .story =
        "Continues a prompt, or answers a chat message, and streams the text as it appears. Greedy unless a "
        "temperature is "
        "given. The memory bill is printed on standard error before anything is loaded.\n\n"
        "The text depends on prompt, options and seed alone: neither on other prompts of --prompts nor on batch or "
        "threads.",
    .examples = "  muster generate --model DIR --prompt \"Once upon a time\" --max-tokens 100\n"
                "  muster generate --model DIR --chat --prompt \"What is 12 plus 7?\" --temperature 0.7 --seed 1\n"
                "  muster generate --model DIR --prompts questions.jsonl --json > answers.jsonl\n",
    .opts = generate_opts,
    .args_size = sizeof(struct generate_args),
    .defaults = generate_defaults,
    .run = generate_run,
};
