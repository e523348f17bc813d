/* cmd_score.c - `muster score`: log-likelihoods of continuations, a line of JSON in, a line of JSON out
 *
 * Lines are read, submitted and printed in a sliding window, in order, so that any number of lines can pass. A line
 * that cannot be scored stops the run with a sentence that names it; what was printed before stands. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/lines.h"
#include "cli/model_opts.h"
#include "tok/pair.h"

#define WINDOW 2048 /* lines in flight: enough to fill any batch and to sort by shared beginnings */

struct score_args {
    struct mu_model_args model;
    const char *file, *truncate;
    int64_t top;
    bool token_logprobs;
};

struct scorer {
    const struct score_args *args;
    struct mu_session s;
    struct mu_engine_info info;
    struct mu_lines lines;
    struct mu_pair pair;
    struct mu_result *done[WINDOW]; /* by line number modulo WINDOW */
    bool is_truncated[WINDOW];
    int64_t n_submitted, n_printed, n_tokens;
    bool is_at_end;
    struct mu_err refused; /* why reading ended early: told once the lines before are out */
    struct mu_progress progress;
};

/* ---- one line in ---- */

static int ids_of_array(const json_t *array, const char *key, const struct scorer *sc, struct mu_ids *ids,
                        struct mu_err *e)
{
    size_t i;
    json_t *v;
    ids->n = 0;
    json_array_foreach((json_t *)(uintptr_t)array, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= sc->info.vocab)
            return mu_fail(e, MU_EINVAL, "%s: element %zu of \"%s\" is no token id in 0..%" PRId64,
                           mu_lines_where(&sc->lines), i, key, sc->info.vocab - 1);
        MU_TRY_RETURN(mu_ids_add(ids, (int32_t)json_integer_value(v), e));
    }
    return MU_OK;
}

static int encode_line(struct scorer *sc, const json_t *line, struct mu_err *e)
{
    const json_t *context = json_object_get(line, "context"), *cont = json_object_get(line, "continuation");
    const char *where = mu_lines_where(&sc->lines);

    if (json_is_array(context) && json_is_array(cont)) {
        MU_TRY_RETURN(ids_of_array(context, "context", sc, &sc->pair.context, e));
        MU_TRY_RETURN(ids_of_array(cont, "continuation", sc, &sc->pair.continuation, e));
        if (sc->pair.context.n == 0 || sc->pair.continuation.n == 0)
            return mu_fail(e, MU_EINVAL, "%s: context and continuation need at least one token each", where);
        return MU_OK;
    }
    if (!json_is_string(context) || !json_is_string(cont))
        return mu_fail(e, MU_EFORMAT,
                       "%s: \"context\" and \"continuation\" are needed, both strings or both arrays of token ids",
                       where);
    if (!sc->s.tok)
        return mu_fail(e, MU_ENOENT, "%s holds text, and there is no tokenizer beside the model; give --tokenizer",
                       where);
    struct mu_str c = {json_string_value(context), json_string_length(context)};
    struct mu_str n = {json_string_value(cont), json_string_length(cont)};
    return mu_err_while(e, mu_pair_encode(sc->s.tok, c, n, &sc->pair, e), "reading %s", where);
}

/* Drop tokens from the left so that context and continuation fit (the last token is predicted, not fed). */
static int fit_context(struct scorer *sc, bool *is_truncated, struct mu_err *e)
{
    int64_t n = (int64_t)(sc->pair.context.n + sc->pair.continuation.n), max = sc->info.context_max + 1;
    int64_t cut = n - max;
    *is_truncated = cut > 0;
    if (cut <= 0)
        return MU_OK;
    if (strcmp(sc->args->truncate, "refuse") == 0 || cut >= (int64_t)sc->pair.context.n)
        return mu_fail(e, MU_ELIMIT, "%s: %" PRId64 " tokens, and the context holds %" PRId64 "; %s",
                       mu_lines_where(&sc->lines), n, sc->info.context_max,
                       cut >= (int64_t)sc->pair.context.n
                           ? "the continuation alone is too long"
                           : "--truncate left drops the beginning, --context allows more");
    sc->pair.context.n -= (size_t)cut;
    memmove(sc->pair.context.v, sc->pair.context.v + cut, sc->pair.context.n * sizeof(int32_t));
    return MU_OK;
}

static int submit_line(struct scorer *sc, const json_t *line, struct mu_err *e)
{
    int64_t slot = sc->n_submitted % WINDOW;
    uint64_t id;

    MU_TRY_RETURN(encode_line(sc, line, e));
    MU_TRY_RETURN(fit_context(sc, &sc->is_truncated[slot], e));
    struct mu_request r = MU_REQUEST_INIT;
    r.kind = MU_REQUEST_SCORE;
    r.ids = sc->pair.context.v;
    r.n_ids = (int)sc->pair.context.n;
    r.continuation = sc->pair.continuation.v;
    r.n_continuation = (int)sc->pair.continuation.n;
    r.n_top = (int)sc->args->top;
    r.user = &sc->done[slot];
    MU_TRY_RETURN(mu_err_while(e, mu_engine_submit(sc->s.eng, &r, &id, e), "taking %s", mu_lines_where(&sc->lines)));
    sc->n_submitted++;
    return MU_OK;
}

/* A line that cannot be taken ends the reading; the good ones before it are still answered. */
static void fill_window(struct scorer *sc)
{
    while (!sc->is_at_end && sc->n_submitted - sc->n_printed < WINDOW) {
        json_t *line = NULL;
        int rc = mu_lines_next_json(&sc->lines, &line, &sc->refused);
        if (rc == MU_OK && line)
            rc = submit_line(sc, line, &sc->refused);
        sc->is_at_end = !line || rc != MU_OK;
        json_decref(line);
    }
}

/* ---- one line out ---- */

static json_t *top_json(const struct mu_logprobs *lp, int row)
{
    json_t *list = json_array();
    for (int i = 0; i < lp->n_top; i++) {
        const struct mu_token_logprob *t = &lp->top[(int64_t)row * lp->n_top + i];
        json_array_append_new(list, json_pack("[i, f]", t->id, t->logprob));
    }
    return list;
}

static json_t *result_json(const struct scorer *sc, const struct mu_result *r, bool is_truncated)
{
    json_t *line =
        json_pack("{s:f, s:b, s:i}", "loglikelihood", r->logprob_sum, "is_greedy", r->is_greedy, "tokens", r->tokens.n);
    if (is_truncated)
        json_object_set_new(line, "truncated", json_true());
    if (!sc->args->token_logprobs && sc->args->top == 0)
        return line;
    json_t *ids = json_array(), *logprobs = json_array(), *tops = json_array();
    for (int i = 0; i < r->tokens.n; i++) {
        json_array_append_new(ids, json_integer(r->tokens.ids[i]));
        json_array_append_new(logprobs, json_real(r->tokens.logprob[i]));
        if (r->tokens.n_top > 0)
            json_array_append_new(tops, top_json(&r->tokens, i));
    }
    json_object_set_new(line, "ids", ids);
    json_object_set_new(line, "logprobs", logprobs);
    if (r->tokens.n_top > 0)
        json_object_set_new(line, "top", tops);
    else
        json_decref(tops);
    return line;
}

static int print_result(struct scorer *sc, const struct mu_result *r, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("a line", MU_LINE_BYTES_MAX);
    int64_t slot = sc->n_printed % WINDOW;

    if (r->code != MU_OK)
        return mu_fail(e, r->code, "pair %" PRId64 " of %s: %s", sc->n_printed + 1, sc->lines.name, r->err.text);
    json_t *line = result_json(sc, r, sc->is_truncated[slot]);
    int rc = line ? mu_json_dump(&out, line, false, e) : mu_fail_nomem(e, 0, "a line");
    if (rc == MU_OK && (fwrite(out.p, 1, out.n, stdout) != out.n || fputc('\n', stdout) == EOF))
        rc = mu_fail(e, MU_EIO, "cannot write to standard output");
    sc->n_tokens += r->tokens.n;
    json_decref(line);
    mu_buf_fini(&out);
    return rc;
}

static int print_ready(struct scorer *sc, struct mu_err *e)
{
    while (sc->n_printed < sc->n_submitted && sc->done[sc->n_printed % WINDOW]) {
        struct mu_result **r = &sc->done[sc->n_printed % WINDOW];
        int rc = print_result(sc, *r, e);
        mu_result_free(*r);
        *r = NULL;
        MU_TRY_RETURN(rc);
        sc->n_printed++;
    }
    return MU_OK;
}

/* ---- the whole ---- */

static int score_all(struct scorer *sc, struct mu_err *e)
{
    struct mu_result *r;
    for (;;) {
        fill_window(sc);
        MU_TRY_RETURN(mu_session_poll(&sc->s, &r, e));
        if (!r)
            return sc->refused.code == MU_OK ? MU_OK : mu_fail(e, sc->refused.code, "%s", sc->refused.text);
        *(struct mu_result **)r->user = r;
        MU_TRY_RETURN(print_ready(sc, e));
        if (!sc->s.quiet)
            mu_progress_update(&sc->progress, (uint64_t)sc->n_printed, 0);
    }
}

static int score_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    struct scorer *sc = NULL;
    int rc = MU_OK;

    (void)operands;
    MU_TRY(MU_NEW(&sc, "the scorer", e));
    sc->args = p;
    sc->pair = (struct mu_pair)MU_PAIR_INIT(1 << 24);
    if (n_operands > 0 || !sc->args->file) {
        rc = mu_fail(e, MU_EUSAGE, "the pairs come from --file FILE (- is standard input)");
        goto out;
    }
    MU_TRY(mu_session_join(&sc->s, &sc->args->model, e));
    if (sc->s.is_over)
        goto out;
    MU_TRY(mu_lines_open(&sc->lines, sc->args->file, e));
    MU_TRY(mu_session_open_tokenizer(&sc->s, &sc->args->model, false, e));
    struct mu_model_args model = sc->args->model;
    model.will_score = true;
    MU_TRY(mu_session_open_engine(&sc->s, &model, e));
    mu_engine_info(sc->s.eng, &sc->info);
    mu_progress_start(&sc->progress, "scoring", "pairs");
    rc = score_all(sc, e);
    mu_progress_end(&sc->progress);
    if (rc == MU_ECANCELED)
        rc = mu_fail(e, rc, "stopped by a signal; the results of the first %" PRId64 " pairs of %s are printed",
                     sc->n_printed, sc->lines.name);
    if (rc == MU_OK)
        rc = mu_session_write_expert_loads(&sc->s, e);
    if (rc == MU_OK && !sc->s.quiet) {
        struct mu_engine_status st;
        mu_engine_status(sc->s.eng, &st);
        fprintf(stderr,
                "%" PRId64 " pairs, %" PRId64 " tokens scored; %" PRIu64 " tokens computed, %" PRIu64
                " found in shared prefixes\n",
                sc->n_printed, sc->n_tokens, st.rows, st.tokens_cached);
        mu_session_report(&sc->s);
    }
out:
    if (sc) {
        for (int i = 0; i < WINDOW; i++)
            mu_result_free(sc->done[i]);
        mu_session_close(&sc->s);
        mu_pair_fini(&sc->pair);
        mu_lines_close(&sc->lines);
        mu_free(sc);
    }
    return rc;
}

static void score_defaults(void *p)
{
    *(struct score_args *)p = (struct score_args){.model = MU_MODEL_ARGS_INIT, .truncate = "refuse"};
}

#define FIELD(name) offsetof(struct score_args, name)

static const struct mu_opt score_opts[] = {
    {MU_OPT_TEXT, "file", 'f', FIELD(file), "FILE",
     .help = "Lines of JSON with context and continuation; - is standard input."},
    {MU_OPT_TEXT, "truncate", 0, FIELD(truncate), "HOW", .choices = "refuse|left",
     .help = "What to do with a pair longer than the context: refuse it, or drop tokens from the left.",
     .dflt = "refuse"},
    {MU_OPT_FLAG, "token-logprobs", 0, FIELD(token_logprobs), .help = "Add ids and logprobs of every token."},
    {MU_OPT_INT, "top", 0, FIELD(top), "N", .lo = 0, .hi = MU_TOP_MAX,
     .help = "Add the N most likely tokens at every position, as [id, logprob]."},
    MU_MODEL_OPTS(FIELD(model)),
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_score = {
    .name = "score",
    .summary = "log-likelihoods of continuations",
    .operands = "",
    .story =
        "Reads lines {\"context\": ..., \"continuation\": ...}, both strings or both arrays of token ids, and writes "
        "for "
        "each, in order, a line {\"loglikelihood\": ..., \"is_greedy\": ..., \"tokens\": ...}: the sum of the natural "
        "log-probabilities of the continuation's tokens after the context, whether each is the most likely one, and "
        "how many they are.\n\n"
        "Strings are split as lm-evaluation-harness splits them: white space at the end of the context moves to the "
        "continuation, an empty context becomes the BOS (else EOS) token.\n\n"
        "A result depends on its line and the model alone: not on the other lines, the batch, or the threads.",
    .examples = "  echo '{\"context\": \"2 + 2 =\", \"continuation\": \" 4\"}' | muster score --model DIR --file -\n",
    .opts = score_opts,
    .args_size = sizeof(struct score_args),
    .defaults = score_defaults,
    .run = score_run,
};
