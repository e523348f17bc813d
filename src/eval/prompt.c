/* prompt.c - turns to one text: plain, or through a chat template
 *
 * Source: lm_eval/api/task.py build_qa_turn, multiple_input_context; lm_eval/api/utils.py; for the template
 * lm_eval/models/huggingface.py apply_chat_template. */
#include "eval/build_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/py/value.h"
#include "tok/chat.h"

/* ---- white space at a joint ---- */

static bool starts_with_space(struct mu_str s)
{
    uint32_t c;
    return s.n && mu_utf8_decode(s.p, s.n, &c) && mu_py_isspace(c);
}

bool mu_ends_with_space(struct mu_str s)
{
    size_t at = s.n;
    uint32_t c;
    while (at > 0 && s.n - at < 4) {
        at--;
        if (((unsigned char)s.p[at] & 0xC0) != 0x80)
            return mu_utf8_decode(s.p + at, s.n - at, &c) && mu_py_isspace(c);
    }
    return false;
}

int mu_join(struct mu_buf *out, struct mu_str a, struct mu_str b, const char *delimiter, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_add(out, a.p, a.n, e));
    if (a.n && b.n && !mu_ends_with_space(a) && !starts_with_space(b))
        MU_TRY_RETURN(mu_buf_puts(out, delimiter, e));
    return mu_buf_add(out, b.p, b.n, e);
}

/* ---- one question and its answer ---- */

static struct mu_str text_of(const json_t *v)
{
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

static int set_turn(struct mu_turn *turn, struct mu_str s, const char *delimiter, struct mu_err *e)
{
    turn->p = mu_strndup(s.n ? s.p : "", s.n);
    turn->n = s.n;
    turn->delimiter = delimiter;
    return turn->p ? MU_OK : mu_fail_nomem(e, s.n, "a turn of a prompt");
}

/* The text an answer stands for; *out is borrowed. */
static int answer_text(const json_t *choices, const json_t *answer, struct mu_str *out, struct mu_err *e)
{
    const json_t *text = answer;
    if (json_array_size(choices) > 0 && mu_py_is_int(answer)) {
        text = mu_py_item(choices, answer);
        if (!text)
            return mu_fail(e, MU_EINVAL, "doc_to_target: the answer is choice %lld, but there are %zu choices",
                           json_is_integer(answer) ? (long long)json_integer_value(answer) : json_is_true(answer),
                           json_array_size(choices));
    } else if (json_is_array(answer)) {
        text = json_array_get(answer, 0);
        if (!text)
            return mu_fail(e, MU_EINVAL, "doc_to_target: the list of answers is empty");
    }
    if (!json_is_string(text))
        return mu_fail(e, MU_EINVAL, "doc_to_target: the answer of an example must be a text or the index of a choice");
    *out = text_of(text);
    return MU_OK;
}

static int set_answer(struct mu_qa *qa, const json_t *choices, const json_t *answer, struct mu_str prefix,
                      const char *delimiter, struct mu_err *e)
{
    struct mu_buf joined = MU_BUF_INIT("an answer", MU_PROMPT_BYTES_MAX);
    struct mu_str text;
    int rc;
    MU_TRY(answer_text(choices, answer, &text, e));
    MU_TRY(mu_join(&joined, prefix, text, " ", e));
    MU_TRY(set_turn(&qa->assistant, mu_buf_str(&joined), delimiter, e));
    qa->has_assistant = true;
out:
    mu_buf_fini(&joined);
    return rc;
}

int mu_qa_make(struct mu_qa *qa, const json_t *question, const json_t *choices, const json_t *answer,
               struct mu_str prefix, const char *target_delimiter, const char *fewshot_delimiter, struct mu_err *e)
{
    bool has_answer = answer && !json_is_null(answer) && !(json_is_string(answer) && json_string_length(answer) == 0);
    *qa = (struct mu_qa){0};
    if (!json_is_string(question))
        return mu_fail(e, MU_EINVAL, "doc_to_text: the question must be a text");
    struct mu_str q = text_of(question);
    bool delimits = prefix.n ? q.n && !mu_ends_with_space(q) && !starts_with_space(prefix) : has_answer;
    MU_TRY_RETURN(set_turn(&qa->user, q, delimits ? target_delimiter : "", e));
    if (has_answer)
        return set_answer(qa, choices, answer, prefix, fewshot_delimiter, e);
    if (prefix.n) {
        MU_TRY_RETURN(set_turn(&qa->assistant, prefix, "", e));
        qa->has_assistant = true;
    }
    return MU_OK;
}

void mu_qa_fini(struct mu_qa *qa)
{
    mu_free(qa->user.p);
    mu_free(qa->assistant.p);
    *qa = (struct mu_qa){0};
}

size_t mu_qa_bytes(const struct mu_qa *qa)
{
    return qa->user.n + qa->assistant.n;
}

/* ---- plain ---- */

static int add_turn(struct mu_buf *out, const struct mu_turn *turn, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_add(out, turn->p, turn->n, e));
    return mu_buf_puts(out, turn->delimiter, e);
}

static int add_qa(struct mu_buf *out, const struct mu_qa *qa, struct mu_err *e)
{
    MU_TRY_RETURN(add_turn(out, &qa->user, e));
    return qa->has_assistant ? add_turn(out, &qa->assistant, e) : MU_OK;
}

static int add_shots(struct mu_buf *out, const struct mu_prompt *p, struct mu_err *e)
{
    for (int i = 0; i < p->n_shots; i++)
        MU_TRY_RETURN(add_qa(out, p->shot[i], e));
    return MU_OK;
}

static int render_plain(const struct mu_prompt *p, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_add(out, p->system.p, p->system.n, e));
    MU_TRY_RETURN(add_shots(out, p, e));
    return add_qa(out, p->last, e);
}

/* ---- through a chat template ---- */

static int add_message(json_t *messages, const char *role, struct mu_str s, struct mu_err *e)
{
    json_t *message = json_object();
    if (message && json_object_set_new(message, "role", json_string(role)) == 0 &&
        json_object_set_new(message, "content", json_stringn(s.n ? s.p : "", s.n)) == 0 &&
        json_array_append(messages, message) == 0) {
        json_decref(message);
        return MU_OK;
    }
    json_decref(message);
    return mu_fail_nomem(e, s.n, "a conversation");
}

static struct mu_str turn_text(const struct mu_turn *turn)
{
    return (struct mu_str){turn->p, turn->n};
}

static int add_turns(json_t *messages, const struct mu_qa *qa, struct mu_err *e)
{
    MU_TRY_RETURN(add_message(messages, "user", turn_text(&qa->user), e));
    return qa->has_assistant ? add_message(messages, "assistant", turn_text(&qa->assistant), e) : MU_OK;
}

static int many_turns(json_t *messages, const struct mu_prompt *p, struct mu_err *e)
{
    for (int i = 0; i < p->n_shots; i++)
        MU_TRY_RETURN(add_turns(messages, p->shot[i], e));
    return add_turns(messages, p->last, e);
}

/* Shots and question are one user turn, written as plain text; only the beginning of the answer is a turn of its own.
 */
static int one_turn(json_t *messages, const struct mu_prompt *p, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a prompt", MU_PROMPT_BYTES_MAX);
    int rc;
    MU_TRY(add_shots(&text, p, e));
    MU_TRY(mu_buf_add(&text, p->last->user.p, p->last->user.n, e));
    MU_TRY(add_message(messages, "user", mu_buf_str(&text), e));
    if (p->last->has_assistant)
        MU_TRY(add_message(messages, "assistant", turn_text(&p->last->assistant), e));
out:
    mu_buf_fini(&text);
    return rc;
}

/* A template that refuses a conversation is tried again without the system turn. */
static int render_messages(json_t *messages, const struct mu_prompt *p, const struct mu_build_opts *o,
                           struct mu_buf *out, struct mu_err *e)
{
    struct mu_chat_opts co = {.add_generation_prompt = !p->has_prefix,
                              .continue_final_message = p->has_prefix,
                              .variables = o->chat_variables};
    int rc = mu_chat_render(o->chat, messages, &co, out, e);
    if (rc != MU_EINVAL || !p->system.n)
        return rc;
    json_array_remove(messages, 0);
    return mu_chat_render(o->chat, messages, &co, out, e);
}

static int render_chat(const struct mu_prompt *p, const struct mu_build_opts *o, struct mu_buf *out, struct mu_err *e)
{
    int rc = MU_OK;
    json_t *messages = json_array();
    if (!messages)
        return mu_fail_nomem(e, sizeof(void *), "a conversation");
    if (p->system.n)
        MU_TRY(add_message(messages, "system", p->system, e));
    MU_TRY((o->fewshot_as_multiturn ? many_turns : one_turn)(messages, p, e));
    MU_TRY(render_messages(messages, p, o, out, e));
out:
    json_decref(messages);
    return rc;
}

int mu_prompt_render(const struct mu_prompt *p, const struct mu_build_opts *o, struct mu_buf *out, struct mu_err *e)
{
    return o->chat ? render_chat(p, o, out, e) : render_plain(p, out, e);
}
