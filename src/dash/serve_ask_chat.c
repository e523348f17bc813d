/* serve_ask_chat.c - the body of POST /v1/chat/completions, and the template that makes a prompt of its messages */
#include "base/check.h"
#include "dash/serve_ask.h"

#define MESSAGES_MAX 65536

static int check_part(const json_t *part, size_t i, struct mu_api_error *x)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type || strcmp(type, "text") != 0)
        return mu_api_fail(x, 400, "messages", "unsupported",
                           "message %zu has a part that is no text: {\"type\": \"text\", \"text\": ...}", i);
    if (!json_is_string(json_object_get(part, "text")))
        return mu_api_fail(x, 400, "messages", "invalid_type", "message %zu has a part without text", i);
    return MU_OK;
}

static int check_message(const json_t *m, size_t i, struct mu_api_error *x)
{
    const json_t *content = json_object_get(m, "content");
    if (!json_is_object(m) || !json_is_string(json_object_get(m, "role")))
        return mu_api_fail(x, 400, "messages", "invalid_type", "message %zu must be an object with a role", i);
    if (!json_is_string(content) && !json_is_array(content))
        return mu_api_fail(x, 400, "messages", "invalid_type",
                           "the content of message %zu must be a string or a list of parts", i);
    for (size_t k = 0; k < json_array_size(content); k++)
        MU_TRY_RETURN(check_part(json_array_get(content, k), i, x));
    return MU_OK;
}

static int check_messages(const json_t *o, struct mu_api_error *x)
{
    const json_t *v = json_object_get(o, "messages");
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < 1 || n > MESSAGES_MAX)
        return mu_api_fail(x, 400, "messages", "invalid_type", "messages must be a list of 1 to %d messages",
                           MESSAGES_MAX);
    for (size_t i = 0; i < n; i++)
        MU_TRY_RETURN(check_message(json_array_get(v, i), i, x));
    return MU_OK;
}

static int read_template_opts(const json_t *o, struct mu_chat_opts *t, struct mu_api_error *x)
{
    const json_t *variables = json_object_get(o, "chat_template_kwargs");
    bool is_asked = json_is_true(json_object_get(o, "add_generation_prompt"));
    t->add_generation_prompt = true;
    MU_TRY_RETURN(mu_field_bool(o, "add_generation_prompt", &t->add_generation_prompt, x));
    MU_TRY_RETURN(mu_field_bool(o, "continue_final_message", &t->continue_final_message, x));
    if (t->continue_final_message && is_asked)
        return mu_api_fail(x, 400, "continue_final_message", "invalid_value",
                           "continue_final_message and add_generation_prompt exclude each other");
    t->add_generation_prompt &= !t->continue_final_message;
    if (variables && !json_is_null(variables) && !json_is_object(variables))
        return mu_api_fail(x, 400, "chat_template_kwargs", "invalid_type", "chat_template_kwargs must be an object");
    t->variables = json_is_object(variables) ? variables : NULL;
    return MU_OK;
}

int mu_ask_render(const json_t *o, const struct mu_api *api, struct mu_buf *out, struct mu_api_error *x)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_chat_opts t = {.add_generation_prompt = true};
    MU_TRY_RETURN(check_messages(o, x));
    MU_TRY_RETURN(read_template_opts(o, &t, x));
    if (!api->chat)
        return mu_api_fail(x, 400, "messages", "unsupported",
                           "%s has no chat template; start the server with one, or use /v1/completions", api->model);
    int rc = mu_chat_render(api->chat, json_object_get(o, "messages"), &t, out, &err);
    if (rc != MU_OK)
        return mu_api_fail(x, rc == MU_ENOMEM ? 503 : 400, "messages", "invalid_value", "%s", err.text);
    return MU_OK;
}

static int refuse_unsupported(const json_t *o, struct mu_api_error *x)
{
    static const char *const fields[] = {"tools", "functions", "audio"};
    for (size_t i = 0; i < MU_COUNT(fields); i++) {
        const json_t *v = json_object_get(o, fields[i]);
        if (v && !json_is_null(v) && !(json_is_array(v) && json_array_size(v) == 0))
            return mu_api_fail(x, 400, fields[i], "unsupported", "%s is not served", fields[i]);
    }
    const json_t *format = json_object_get(o, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    if (format && !json_is_null(format) && !(type && strcmp(type, "text") == 0))
        return mu_api_fail(x, 400, "response_format", "unsupported", "only the response_format text is served");
    return MU_OK;
}

static int read_logprobs(struct mu_ask *a, const json_t *o, struct mu_api_error *x)
{
    int64_t n = 0;
    MU_TRY_RETURN(mu_field_bool(o, "logprobs", &a->wants_logprobs, x));
    MU_TRY_RETURN(mu_field_int(o, "top_logprobs", 0, MU_TOP_MAX, &n, x));
    if (n > 0 && !a->wants_logprobs)
        return mu_api_fail(x, 400, "top_logprobs", "invalid_value", "top_logprobs needs logprobs to be true");
    a->n_top = (int)n;
    return MU_OK;
}

static int read_prompt(struct mu_ask *a, const struct mu_api *api, const json_t *o, struct mu_api_error *x)
{
    struct mu_buf text = MU_BUF_INIT("the rendered chat", MU_SERVE_TEXT_MAX);
    bool adds_special = false; /* templates write BOS themselves */
    int rc = MU_OK;

    MU_TRY(mu_field_bool(o, "add_special_tokens", &adds_special, x));
    MU_TRY(mu_ask_render(o, api, &text, x));
    MU_TRY(mu_ask_new_prompts(a, 1, x));
    MU_TRY(
        mu_ask_encode(&a->prompts[0], api, mu_buf_str(&text), adds_special ? MU_TOK_ADD_SPECIAL : 0u, "messages", x));
out:
    mu_buf_fini(&text);
    return rc;
}

int mu_ask_chat(struct mu_ask *a, const struct mu_api *api, const json_t *o, struct mu_api_error *x)
{
    *a = (struct mu_ask){.is_chat = true, .max_tokens = -1, .n = 1, .sampling = MU_SAMPLING_GREEDY};
    MU_TRY_RETURN(refuse_unsupported(o, x));
    MU_TRY_RETURN(mu_ask_sampling(a, o, x));
    MU_TRY_RETURN(read_logprobs(a, o, x));
    MU_TRY_RETURN(mu_field_int(o, "max_tokens", 1, INT32_MAX, &a->max_tokens, x));
    MU_TRY_RETURN(mu_field_int(o, "max_completion_tokens", 1, INT32_MAX, &a->max_tokens, x));
    MU_TRY_RETURN(read_prompt(a, api, o, x));
    return mu_ask_settle(a, api, "messages", INT32_MAX, x);
}
