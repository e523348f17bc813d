/* answer.c - see answer.h */
#include "engine/remote/answer.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"

#define BYTES_FLOOR    ((size_t)64 << 10) /* of an answer that reports nothing */
#define BYTES_POSITION 160                /* names of tokens may be escaped: "\u20ac" */
#define BYTES_MAX      ((size_t)256 << 20)
#define LOGPROB_SLACK  1e-3 /* above 0: sums of rounded shares come to this in half precision */
#define ID_PREFIX      "token_id:"

size_t mu_answer_bytes_max(int64_t n_positions, int n_top)
{
    uint64_t n = (uint64_t)n_positions * (uint64_t)(n_top + 3) * BYTES_POSITION;
    return (size_t)MU_MIN(n + BYTES_FLOOR, (uint64_t)BYTES_MAX);
}

int mu_answer_parse(json_t **out, struct mu_str body, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    int rc = mu_json_parse(out, body, "the answer", &why);
    if (rc == MU_ENOMEM)
        return mu_fail(e, rc, "%s", why.text);
    if (rc != MU_OK)
        return mu_fail(e, MU_EFORMAT, "the answer is not JSON: %.200s", why.text);
    if (json_is_object(*out))
        return MU_OK;
    json_decref(*out);
    *out = NULL;
    return mu_fail(e, MU_EFORMAT, "the answer is not a JSON object");
}

/* ---- complaints ---- */

/* {"error": {"message": ...}} (OpenAI), {"error": ...}, {"message": ...} (vLLM), {"detail": ...} (FastAPI). */
static const char *find_complaint(const json_t *o)
{
    const json_t *error = json_object_get(o, "error");
    const json_t *const places[] = {json_object_get(error, "message"), error, json_object_get(o, "message"),
                                    json_object_get(o, "detail")};
    for (size_t i = 0; i < MU_COUNT(places); i++) {
        if (json_is_string(places[i]) && json_string_length(places[i]) > 0)
            return json_string_value(places[i]);
    }
    return NULL;
}

/* Plain ASCII: it goes to terminals and into results, and is cut where it happens to be long. */
static void clean(const char *text, size_t n, char out[MU_ANSWER_SENTENCE_MAX])
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 1 < MU_ANSWER_SENTENCE_MAX; i++) {
        bool is_plain = text[i] > ' ' && text[i] < 127;
        if (is_plain || (k > 0 && out[k - 1] != ' '))
            out[k++] = is_plain ? text[i] : ' ';
    }
    while (k > 0 && out[k - 1] == ' ')
        k--;
    out[k] = 0;
}

bool mu_answer_complaint(struct mu_str body, char out[MU_ANSWER_SENTENCE_MAX])
{
    json_t *o = NULL;
    const char *text = mu_json_parse(&o, body, "the answer", NULL) == MU_OK ? find_complaint(o) : NULL;
    if (text)
        clean(text, strlen(text), out);
    else
        clean(body.p, body.n, out);
    json_decref(o);
    return text != NULL;
}

/* ---- log-probabilities ---- */

static int read_logprob(const json_t *v, int64_t i, double *out, struct mu_err *e)
{
    double x = json_number_value(v);
    if (!json_is_number(v))
        return mu_fail(e, MU_EFORMAT, "the answer has no number as log-probability of token %" PRId64, i);
    if (!(x <= LOGPROB_SLACK))
        return mu_fail(e, MU_EFORMAT, "the answer gives token %" PRId64 " the log-probability %g, which is above 0", i,
                       x);
    *out = x <= MU_ANSWER_LOGPROB_MIN ? -INFINITY : MU_MIN(x, 0.0);
    return MU_OK;
}

/* "token_id:15" or the digits alone; -1: another name. */
static int32_t id_of(const char *name, bool has_prefix)
{
    size_t skip = has_prefix ? sizeof ID_PREFIX - 1 : 0;
    int64_t id = 0;
    if (strncmp(name, ID_PREFIX, skip) != 0 || !name[skip])
        return -1;
    for (const char *p = name + skip; *p; p++) {
        if (*p < '0' || *p > '9' || id > INT32_MAX)
            return -1;
        id = 10 * id + (*p - '0');
    }
    return id <= INT32_MAX ? (int32_t)id : -1;
}

/* The alternatives of a position as they are gathered: the best n_top, best first, equals in the server's order. */
struct gather {
    struct mu_token_logprob *top;
    int n, n_top;
    double best; /* of all */
};

static struct gather gather_begin(struct mu_token_logprob *top, int n_top)
{
    for (int i = 0; top && i < n_top; i++)
        top[i] = (struct mu_token_logprob){-1, -INFINITY};
    return (struct gather){top, 0, top ? n_top : 0, -INFINITY};
}

static void gather_add(struct gather *g, int32_t id, double logprob)
{
    int at = g->n;
    g->best = MU_MAX(g->best, logprob);
    while (at > 0 && g->top[at - 1].logprob < logprob)
        at--;
    if (at >= g->n_top)
        return;
    g->n = MU_MIN(g->n + 1, g->n_top);
    for (int k = g->n - 1; k > at; k--)
        g->top[k] = g->top[k - 1];
    g->top[at] = (struct mu_token_logprob){id, logprob};
}

/* {"name": logprob, ...}, as completions have it. */
static int gather_names(struct gather *g, const json_t *names, int64_t i, struct mu_err *e)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)names, name, v)
    {
        double logprob = NAN;
        MU_TRY_RETURN(read_logprob(v, i, &logprob, e));
        gather_add(g, id_of(name, true), logprob);
    }
    return MU_OK;
}

/* Chat's way of telling tokens, which llama.cpp has in completions too:
 * [{"id": 15, "token": " a", "logprob": -0.1, "top_logprobs": [{"id": ..., "logprob": ...}, ...]}, ...]. */
static int32_t listed_id(const json_t *item)
{
    const json_t *v = json_object_get(item, "id");
    int64_t id = json_is_integer(v) ? (int64_t)json_integer_value(v) : -1;
    return id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
}

static int gather_list(struct gather *g, const json_t *tops, int64_t i, struct mu_err *e)
{
    for (size_t k = 0; k < json_array_size(tops); k++) {
        const json_t *item = json_array_get(tops, k);
        double logprob = NAN;
        MU_TRY_RETURN(read_logprob(json_object_get(item, "logprob"), i, &logprob, e));
        gather_add(g, listed_id(item), logprob);
    }
    return MU_OK;
}

/* ---- scores ---- */

struct scoring {
    const struct mu_score_text *t;
    int n_top;
    const struct mu_logprob_arrays *to;
    struct mu_scored *out;
};

static int32_t sent(const struct mu_score_text *t, int i)
{
    return i == t->n - 1 && t->last >= 0 ? t->last : t->ids[i];
}

static struct gather gather_at(const struct scoring *s, int i)
{
    return gather_begin(s->to && s->to->top ? s->to->top + (int64_t)(i - s->t->first) * s->n_top : NULL, s->n_top);
}

static void report(const struct scoring *s, int i, double logprob, bool is_greedy)
{
    int k = i - s->t->first;
    s->out->sum += logprob;
    s->out->last = logprob;
    s->out->is_greedy = s->out->is_greedy && is_greedy;
    if (!s->to)
        return;
    s->to->ids[k] = sent(s->t, i);
    s->to->logprob[k] = logprob;
    s->to->is_greedy[k] = is_greedy;
}

static int no_scores(struct mu_err *e, const char *why)
{
    return mu_fail(e, MU_EUNSUPPORTED, "the answer holds no log-probabilities of the prompt's tokens: %s", why);
}

/* The names must be those of the tokens that were sent, where they are ids. *are_ids: all of them are. */
static int check_names(const struct scoring *s, const json_t *names, bool *are_ids, struct mu_err *e)
{
    *are_ids = json_array_size(names) >= (size_t)s->t->n;
    for (int i = 0; *are_ids && i < s->t->n; i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        int32_t id = name ? id_of(name, true) : -1;
        *are_ids = id >= 0;
        if (id < 0 || id == sent(s->t, i))
            continue;
        if (i == 0)
            return no_scores(e, "it begins with another token than was sent");
        return mu_fail(e, MU_EFORMAT,
                       "the answer reports token %" PRId32 " where %" PRId32 " was sent (position %d): the server "
                       "scores another text",
                       id, sent(s->t, i), i);
    }
    return MU_OK;
}

static int echo_at(const struct scoring *s, const json_t *logprobs, const json_t *tops, int i, struct mu_err *e)
{
    const json_t *names = json_array_get(tops, (size_t)i);
    struct gather g = gather_at(s, i);
    double logprob = NAN;
    MU_TRY_RETURN(read_logprob(json_array_get(logprobs, (size_t)i), i, &logprob, e));
    if (!json_is_object(names) || json_object_size(names) == 0)
        return no_scores(e, "it names no alternatives, so that the most likely token is not known");
    MU_TRY_RETURN(gather_names(&g, names, i, e));
    report(s, i, logprob, logprob >= g.best);
    return MU_OK;
}

/* Log-probabilities side by side with the prompt's tokens; more of them, of what was generated, may follow. */
static int read_echo(const struct scoring *s, const json_t *choice, struct mu_err *e)
{
    const json_t *o = json_object_get(choice, "logprobs");
    const json_t *logprobs = json_object_get(o, "token_logprobs"), *tops = json_object_get(o, "top_logprobs");
    bool are_ids = false;

    if (!json_is_array(logprobs) || !json_is_array(tops))
        return no_scores(e, "there is no list of them");
    if (json_array_size(logprobs) < (size_t)s->t->n || json_array_size(tops) < (size_t)s->t->n)
        return no_scores(e, "the list is shorter than the prompt");
    MU_TRY_RETURN(check_names(s, json_object_get(o, "tokens"), &are_ids, e));
    if (!are_ids && !json_is_null(json_array_get(logprobs, 0)))
        return no_scores(e, "the first token has one, so that it is not the prompt's first");
    for (int i = s->t->first; i < s->t->n; i++)
        MU_TRY_RETURN(echo_at(s, logprobs, tops, i, e));
    return MU_OK;
}

/* {"15": {"logprob": -0.1, "rank": 1, ...}, ...}, as vLLM's prompt_logprobs has it. */
static int prompt_at(const struct scoring *s, const json_t *position, int i, struct mu_err *e)
{
    struct gather g = gather_at(s, i);
    const char *name;
    json_t *v;
    double own = NAN;
    json_object_foreach((json_t *)(uintptr_t)position, name, v)
    {
        double logprob = NAN;
        int32_t id = id_of(name, false);
        MU_TRY_RETURN(read_logprob(json_object_get(v, "logprob"), i, &logprob, e));
        gather_add(&g, id, logprob);
        if (id == sent(s->t, i))
            own = logprob;
    }
    if (isnan(own))
        return mu_fail(e, MU_EFORMAT, "the answer says nothing about token %" PRId32 " at position %d", sent(s->t, i),
                       i);
    report(s, i, own, own >= g.best);
    return MU_OK;
}

static int read_prompt(const struct scoring *s, const json_t *choice, struct mu_err *e)
{
    const json_t *list = json_object_get(choice, "prompt_logprobs");
    if (!json_is_array(list))
        return no_scores(e, "there is no prompt_logprobs");
    if (json_array_size(list) != (size_t)s->t->n)
        return mu_fail(e, MU_EFORMAT, "the answer has log-probabilities of %zu tokens and %d were sent",
                       json_array_size(list), s->t->n);
    for (int i = s->t->first; i < s->t->n; i++)
        MU_TRY_RETURN(prompt_at(s, json_array_get(list, (size_t)i), i, e));
    return MU_OK;
}

/* One of the tokens that were forced. */
static int forced_at(const struct scoring *s, const json_t *item, int i, struct mu_err *e)
{
    const json_t *tops = json_object_get(item, "top_logprobs");
    struct gather g = gather_at(s, i);
    int32_t id = listed_id(item);
    double logprob = NAN;
    if (id != sent(s->t, i))
        return no_scores(e, "it holds other tokens than those that were left to choose from");
    MU_TRY_RETURN(read_logprob(json_object_get(item, "logprob"), i, &logprob, e));
    if (json_array_size(tops) == 0)
        return no_scores(e, "it names no alternatives, so that the most likely token is not known");
    MU_TRY_RETURN(gather_list(&g, tops, i, e));
    report(s, i, logprob, logprob >= g.best);
    return MU_OK;
}

static int read_forced(const struct scoring *s, const json_t *choice, struct mu_err *e)
{
    const json_t *list = json_object_get(json_object_get(choice, "logprobs"), "content");
    if (json_array_size(list) != (size_t)(s->t->n - s->t->first))
        return no_scores(e, "tokens cannot be forced on it");
    for (int i = s->t->first; i < s->t->n; i++)
        MU_TRY_RETURN(forced_at(s, json_array_get(list, (size_t)(i - s->t->first)), i, e));
    return MU_OK;
}

/* A text is cut by the server; only as many tokens as were meant can be told apart. */
static int check_cut(const struct scoring *s, const json_t *answer, struct mu_err *e)
{
    const json_t *n = json_object_get(json_object_get(answer, "usage"), "prompt_tokens");
    if (!json_is_integer(n) || json_integer_value(n) == s->t->n)
        return MU_OK;
    return mu_fail(e, MU_EINVAL,
                   "the server takes no token ids and cuts the text into %" JSON_INTEGER_FORMAT
                   " tokens where %d were meant: its tokenizer is another, or adds other special tokens",
                   json_integer_value(n), s->t->n);
}

static int first_choice(const json_t *answer, const json_t **out, struct mu_err *e)
{
    *out = json_array_get(json_object_get(answer, "choices"), 0);
    if (json_is_object(*out))
        return MU_OK;
    return mu_fail(e, MU_EFORMAT, "the answer has no choices");
}

int mu_answer_scores(const json_t *answer, enum mu_score_form form, const struct mu_score_text *t, int n_top,
                     const struct mu_logprob_arrays *to, struct mu_scored *out, struct mu_err *e)
{
    struct scoring s = {t, n_top, to, out};
    const json_t *choice;
    *out = (struct mu_scored){.is_greedy = true};
    MU_TRY_RETURN(first_choice(answer, &choice, e));
    if (mu_score_form_is_text(form))
        MU_TRY_RETURN(check_cut(&s, answer, e));
    if (form == MU_SCORE_FORCED)
        return read_forced(&s, choice, e);
    return form == MU_SCORE_PROMPT_LOGPROBS ? read_prompt(&s, choice, e) : read_echo(&s, choice, e);
}

/* ---- generation ---- */

static int read_finish(const json_t *v, enum mu_finish *out, struct mu_err *e)
{
    const char *name = json_string_value(v);
    *out = MU_FINISH_NONE;
    if (!v || json_is_null(v))
        return MU_OK;
    if (!name)
        return mu_fail(e, MU_EFORMAT, "the answer has a finish_reason that is no text");
    if (strcmp(name, "length") == 0)
        *out = MU_FINISH_LENGTH;
    else if (strcmp(name, "stop") == 0)
        *out = MU_FINISH_STOP;
    else
        return mu_fail(e, MU_EPEER, "the server ended the text with finish_reason \"%.60s\"", name);
    return MU_OK;
}

/* The tokens of a list of objects; without ids they are of no use. */
static void read_list(const json_t *list, struct mu_generated *out)
{
    const json_t *first = json_array_get(list, 0);
    out->has_ids = json_array_size(list) == 0 || listed_id(first) >= 0;
    out->has_logprobs = out->has_ids;
    out->list = out->has_ids ? list : NULL;
}

static int check_count(size_t n, int n_max, struct mu_generated *out, struct mu_err *e)
{
    if (n > (size_t)n_max)
        return mu_fail(e, MU_EFORMAT, "the answer has %zu tokens and %d were asked for", n, n_max);
    out->n = (int)n;
    return MU_OK;
}

/* Lists that are there are as long as each other. */
static int read_tokens(const json_t *choice, int n_max, struct mu_generated *out, struct mu_err *e)
{
    const json_t *o = json_object_get(choice, "logprobs"), *list = json_object_get(o, "content");
    const json_t *ids = json_object_get(choice, "token_ids"), *names = json_object_get(o, "tokens");
    const json_t *logprobs = json_object_get(o, "token_logprobs");
    const char *first = json_string_value(json_array_get(names, 0));

    if (json_is_array(list) && !json_is_array(ids)) {
        read_list(list, out);
        return check_count(json_array_size(out->list), n_max, out, e);
    }
    out->has_logprobs = json_is_array(logprobs);
    if (json_is_array(ids))
        out->ids = ids;
    else if (json_is_array(names) && (json_array_size(names) == 0 || (first && id_of(first, true) >= 0)))
        out->ids = names;
    out->has_ids = out->ids != NULL;
    out->logprobs = o;
    size_t n = out->has_ids ? json_array_size(out->ids) : 0;
    if (out->has_ids && out->has_logprobs && json_array_size(logprobs) != n)
        return mu_fail(e, MU_EFORMAT, "the answer has %zu tokens and %zu log-probabilities", n,
                       json_array_size(logprobs));
    return check_count(n, n_max, out, e);
}

int mu_answer_generated(const json_t *answer, int n_max, struct mu_generated *out, struct mu_err *e)
{
    const json_t *details = json_object_get(json_object_get(answer, "usage"), "prompt_tokens_details");
    const json_t *cached = json_object_get(details, "cached_tokens"), *choice, *text;
    const json_t *n_prompt = json_object_get(json_object_get(answer, "usage"), "prompt_tokens");
    *out = (struct mu_generated){.text = MU_STR(""), .n_prompt = -1};
    MU_TRY_RETURN(first_choice(answer, &choice, e));
    text = json_object_get(choice, "text");
    if (!json_is_string(text))
        return mu_fail(e, MU_EFORMAT, "the answer has a choice without text");
    out->text = (struct mu_str){json_string_value(text), json_string_length(text)};
    if (json_is_integer(cached) && json_integer_value(cached) > 0 && json_integer_value(cached) <= INT32_MAX)
        out->n_prompt_cached = (int)json_integer_value(cached);
    if (json_is_integer(n_prompt) && json_integer_value(n_prompt) >= 0)
        out->n_prompt = (int64_t)json_integer_value(n_prompt);
    MU_TRY_RETURN(read_finish(json_object_get(choice, "finish_reason"), &out->finish, e));
    return read_tokens(choice, n_max, out, e);
}

static int token_id(const json_t *v, int i, int32_t *id, struct mu_err *e)
{
    int64_t n = json_is_integer(v) ? (int64_t)json_integer_value(v) : -1;
    *id = json_is_string(v) ? id_of(json_string_value(v), true) : n >= 0 && n <= INT32_MAX ? (int32_t)n : -1;
    return *id >= 0 ? MU_OK : mu_fail(e, MU_EFORMAT, "token %d of the answer has no id", i);
}

static int listed_token(const struct mu_generated *x, int i, int32_t *id, double *logprob, bool *is_greedy,
                        struct gather *g, struct mu_err *e)
{
    const json_t *item = json_array_get(x->list, (size_t)i);
    *id = listed_id(item);
    if (*id < 0)
        return mu_fail(e, MU_EFORMAT, "token %d of the answer has no id", i);
    MU_TRY_RETURN(read_logprob(json_object_get(item, "logprob"), i, logprob, e));
    MU_TRY_RETURN(gather_list(g, json_object_get(item, "top_logprobs"), i, e));
    *is_greedy = *logprob >= g->best;
    return MU_OK;
}

int mu_generated_token(const struct mu_generated *x, int i, int32_t *id, double *logprob, bool *is_greedy,
                       struct mu_token_logprob *top, int n_top, struct mu_err *e)
{
    const json_t *names = json_array_get(json_object_get(x->logprobs, "top_logprobs"), (size_t)i);
    struct gather g = gather_begin(top, n_top);

    if (x->list)
        return listed_token(x, i, id, logprob, is_greedy, &g, e);
    MU_TRY_RETURN(token_id(json_array_get(x->ids, (size_t)i), i, id, e));
    *logprob = NAN;
    *is_greedy = false;
    if (!x->has_logprobs)
        return MU_OK;
    MU_TRY_RETURN(
        read_logprob(json_array_get(json_object_get(x->logprobs, "token_logprobs"), (size_t)i), i, logprob, e));
    if (!json_is_object(names))
        return MU_OK;
    MU_TRY_RETURN(gather_names(&g, names, i, e));
    *is_greedy = *logprob >= g.best;
    return MU_OK;
}

/* ---- the models ---- */

static int64_t context_in(const json_t *v)
{
    int64_t n = json_is_integer(v) ? (int64_t)json_integer_value(v) : 0;
    return n > 0 && n < INT32_MAX ? n : 0;
}

static int64_t context_of(const json_t *model)
{
    static const char *const keys[] = {"max_model_len", "context_length", "context_window"};
    int64_t n = 0;
    for (size_t i = 0; i < MU_COUNT(keys) && n == 0; i++)
        n = context_in(json_object_get(model, keys[i]));
    return n > 0 ? n : context_in(json_object_get(json_object_get(model, "meta"), "n_ctx")); /* llama.cpp */
}

int64_t mu_answer_props_context(const json_t *answer)
{
    return context_in(json_object_get(json_object_get(answer, "default_generation_settings"), "n_ctx"));
}

static void add_name(char *out, size_t cap, const char *name)
{
    char one[MU_ANSWER_SENTENCE_MAX];
    size_t n = strlen(out);
    clean(name, strlen(name), one);
    snprintf(out + n, cap - n, "%s%.80s", n ? ", " : "", one);
}

static int no_model(const char *names, size_t n, struct mu_err *e)
{
    if (n == 0)
        return mu_fail(e, MU_ENOENT, "the server names no model: say which one to ask for (--endpoint-model)");
    return mu_fail(e, MU_ENOENT, "the server has %zu models: say which one to ask for (--endpoint-model): %s", n,
                   names);
}

int mu_answer_model(const json_t *answer, const char *name, struct mu_answer_model *out, struct mu_err *e)
{
    const json_t *list = json_object_get(answer, "data"), *found = NULL;
    char names[MU_ANSWER_NAMES_MAX] = "";
    size_t n = json_array_size(list);

    *out = (struct mu_answer_model){.name = name, .root = ""};
    if (!json_is_array(list))
        return mu_fail(e, MU_EFORMAT, "the answer is no list of models");
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(list, i), "id"));
        if (!id)
            return mu_fail(e, MU_EFORMAT, "model %zu of the list has no name", i);
        add_name(names, sizeof names, id);
        if (!found && (name ? strcmp(id, name) == 0 : n == 1))
            found = json_array_get(list, i);
    }
    if (!found && !name)
        return no_model(names, n, e);
    snprintf(out->others, sizeof out->others, "%s", found ? "" : n ? names : "none");
    if (!found)
        return MU_OK;
    const char *root = json_string_value(json_object_get(found, "root"));
    const char *owner = json_string_value(json_object_get(found, "owned_by"));
    out->name = json_string_value(json_object_get(found, "id"));
    out->root = root ? root : "";
    out->context = context_of(found);
    out->is_ours = owner && strcmp(owner, "muster") == 0;
    out->is_llamacpp = owner && strcmp(owner, "llamacpp") == 0;
    return MU_OK;
}
