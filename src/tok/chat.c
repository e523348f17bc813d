/* chat.c - finding a checkpoint's chat template and rendering conversations with it */
#include "tok/chat.h"

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tok/jinja/jinja.h"
#include "tok/jinja/text.h"

#define CONTINUE_TAG "CONTINUE_FINAL_MESSAGE_TAG " /* marks the end of the last message in the rendered text */

struct mu_chat {
    struct mu_jinja *main, *tools; /* tools: the template for conversations with tools, where there is another one */
    char *text;                    /* of the main one */
    json_t *special;               /* bos_token, ...: strings */
};

/* ---- opening ---- */

/* Special tokens are texts, or objects with the text in "content". */
static int add_special(json_t *to, const char *key, const json_t *value, struct mu_err *e)
{
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (!json_is_string(value))
        return MU_OK;
    if (json_object_set_new(to, key, json_stringn(json_string_value(value), json_string_length(value))) != 0)
        return mu_fail_nomem(e, json_string_length(value), "a special token");
    return MU_OK;
}

static int read_special(json_t **out, const json_t *config, struct mu_err *e)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    int rc = MU_OK;
    json_t *special = json_object();
    if (!special)
        return mu_fail_nomem(e, sizeof(void *), "special tokens");
    for (size_t i = 0; config && i < MU_COUNT(names); i++)
        MU_TRY(add_special(special, names[i], json_object_get(config, names[i]), e));
    *out = special;
    special = NULL;
out:
    json_decref(special);
    return rc;
}

static int compile(struct mu_jinja **out, struct mu_str text, const char *where, struct mu_err *e)
{
    struct mu_jinja_opts o = MU_JINJA_CHAT(where);
    return mu_jinja_compile(out, text, &o, e);
}

int mu_chat_from_text(struct mu_chat **out, struct mu_str text, const json_t *special, const char *where,
                      struct mu_err *e)
{
    struct mu_chat *c = NULL;
    int rc;

    mu_json_init();
    MU_TRY(MU_NEW(&c, "a chat template", e));
    MU_TRY(compile(&c->main, text, where, e));
    MU_TRY(read_special(&c->special, special, e));
    c->text = mu_strndup(text.p, text.n);
    if (!c->text) {
        rc = mu_fail_nomem(e, text.n, "a chat template");
        goto out;
    }
    *out = c;
    c = NULL;
out:
    mu_chat_close(c);
    return rc;
}

/* The text of the named template in a list of {"name", "template"}; NULL when it is not there. */
static const json_t *named_template(const json_t *list, const char *name)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *its = json_string_value(json_object_get(item, "name"));
        if (its && strcmp(its, name) == 0)
            return json_object_get(item, "template");
    }
    return NULL;
}

static struct mu_str json_str(const json_t *s)
{
    return (struct mu_str){json_string_value(s), json_string_length(s)};
}

static int from_config(struct mu_chat **out, const json_t *config, const char *name, const char *where,
                       struct mu_err *e)
{
    const json_t *list = config ? json_object_get(config, "chat_template") : NULL, *text = list, *tools = NULL;

    if (json_is_array(list)) {
        text = named_template(list, name ? name : "default");
        tools = name ? NULL : named_template(list, "tool_use");
        if (!text)
            return mu_fail(e, MU_ENOENT, "%s: no chat template is named \"%s\"", where, name ? name : "default");
    }
    if (!json_is_string(text))
        return mu_fail(e, list && !json_is_null(list) ? MU_EFORMAT : MU_ENOENT,
                       "%s: no chat template; give the prompt as plain text instead", where);
    MU_TRY_RETURN(mu_chat_from_text(out, json_str(text), config, where, e));
    if (!json_is_string(tools))
        return MU_OK;
    int rc = compile(&(*out)->tools, json_str(tools), where, e);
    if (rc != MU_OK) {
        mu_chat_close(*out);
        *out = NULL;
    }
    return rc;
}

int mu_chat_load(struct mu_chat **out, const char *dir, const char *name, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 1 << 16), text = MU_BUF_INIT("a chat template", MU_JINJA_SOURCE_MAX);
    json_t *config = NULL;
    int rc;

    mu_json_init();
    MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
    if (mu_path_exists(path.p))
        MU_TRY(mu_json_load(&config, path.p, e));
    MU_TRY(mu_path_join(&path, dir, "chat_template.jinja", e));
    if (mu_path_exists(path.p) && !name) {
        MU_TRY(mu_file_read_all(&text, path.p, e));
        MU_TRY(mu_chat_from_text(out, mu_buf_str(&text), config, path.p, e));
    } else {
        MU_TRY(mu_path_join(&path, dir, "tokenizer_config.json", e));
        MU_TRY(from_config(out, config, name, path.p, e));
    }
out:
    json_decref(config);
    mu_buf_fini(&text);
    mu_buf_fini(&path);
    return rc;
}

void mu_chat_close(struct mu_chat *c)
{
    if (!c)
        return;
    mu_jinja_free(c->main);
    mu_jinja_free(c->tools);
    json_decref(c->special);
    mu_free(c->text);
    mu_free(c);
}

const char *mu_chat_text(const struct mu_chat *c)
{
    return c->text;
}

/* ---- rendering ---- */

static int fail_json(struct mu_err *e)
{
    return mu_fail(e, MU_ENOMEM, "out of memory for a conversation");
}

/* Reasoning goes by several names; the template reads one of them. */
static int alias_reasoning(json_t *message, struct mu_err *e)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *text = NULL;
    for (size_t i = 0; i < MU_COUNT(names) && !text; i++)
        text = mu_json_has(message, names[i]) ? json_object_get(message, names[i]) : NULL;
    if (!text)
        return MU_OK;
    if (!json_object_get(message, "thinking") && json_object_set(message, "thinking", text) != 0)
        return fail_json(e);
    return json_object_set(message, "reasoning_content", text) == 0 ? MU_OK : fail_json(e);
}

/* A copy of the messages that may be changed: reasoning under all its names. */
static int copy_messages(json_t **out, const json_t *messages, struct mu_err *e)
{
    json_t *message;
    size_t i;
    if (!json_is_array(messages))
        return mu_fail(e, MU_EINVAL, "the messages of a conversation must be an array");
    *out = json_deep_copy(messages);
    if (!*out)
        return fail_json(e);
    json_array_foreach(*out, i, message)
    {
        if (!json_is_object(message))
            return mu_fail(e, MU_EINVAL, "message %zu of the conversation is no object with role and content", i);
        MU_TRY_RETURN(alias_reasoning(message, e));
    }
    return MU_OK;
}

/* The string of the last message that is to be continued, inside its owner. */
static json_t *final_text(json_t *messages, json_t **owner, const char **key)
{
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    *owner = last;
    *key = "content";
    json_t *content = json_object_get(last, "content");
    for (size_t i = json_array_size(content); json_is_array(content) && i-- > 0;) {
        json_t *part = json_array_get(content, i);
        if (!json_is_string(json_object_get(part, "text")))
            continue;
        *owner = part;
        *key = "text";
        return json_object_get(part, "text");
    }
    return content;
}

/* Append the tag to the last message; *final is its text before, the caller's to free. */
static int mark_final(json_t *messages, char **final, struct mu_err *e)
{
    struct mu_buf tagged = MU_BUF_INIT("the last message", MU_JINJA_OUTPUT_MAX);
    json_t *owner;
    const char *key;
    int rc;

    if (json_array_size(messages) == 0)
        return mu_fail(e, MU_EINVAL, "there is no final message to continue: the conversation is empty");
    json_t *text = final_text(messages, &owner, &key);
    if (!json_is_string(text))
        return mu_fail(e, MU_EINVAL, "the final message has no text to continue");
    *final = mu_strndup(json_string_value(text), json_string_length(text));
    if (!*final)
        return fail_json(e);
    MU_TRY(mu_buf_add(&tagged, json_string_value(text), json_string_length(text), e));
    MU_TRY(mu_buf_puts(&tagged, CONTINUE_TAG, e));
    if (json_object_set_new(owner, key, json_stringn(tagged.p, tagged.n)) != 0)
        rc = fail_json(e);
out:
    mu_buf_fini(&tagged);
    return rc;
}

/* Cut the rendered text at the tag; blanks the template trimmed go too. */
static int cut_final(struct mu_buf *text, const char *final, struct mu_err *e)
{
    const struct mu_str blanks = {0}, tag = MU_STR(CONTINUE_TAG);
    struct mu_str wanted = mu_t_rstrip(mu_t_lstrip(mu_str(final), blanks), blanks), all = mu_buf_str(text);
    size_t at = mu_t_rfind(all, mu_t_sub(tag, 0, tag.n - 1), all.n);

    if (at == SIZE_MAX || mu_t_find(all, wanted, 0) == SIZE_MAX)
        return mu_fail(e, MU_EINVAL,
                       "the final message cannot be continued: the chat template leaves out part of its text");
    bool is_kept = mu_t_starts(mu_t_sub(all, at, all.n), tag);
    all = mu_t_sub(all, 0, at);
    text->n = is_kept ? all.n : mu_t_rstrip(all, blanks).n;
    return MU_OK;
}

static int set(json_t *context, const char *key, const json_t *value, struct mu_err *e)
{
    json_t *borrowed = (json_t *)(uintptr_t)value; /* only its reference count changes */
    int failed = value ? json_object_set(context, key, borrowed) : json_object_set_new(context, key, json_null());
    return failed ? fail_json(e) : MU_OK;
}

/* What the template sees: special tokens, the caller's variables, then the conversation. */
static int make_context(json_t **out, const struct mu_chat *c, const json_t *messages, const struct mu_chat_opts *o,
                        struct mu_err *e)
{
    json_t *variables = (json_t *)(uintptr_t)o->variables;
    *out = json_copy(c->special);
    if (!*out || (variables && json_object_update(*out, variables) != 0))
        return fail_json(e);
    MU_TRY_RETURN(set(*out, "messages", messages, e));
    MU_TRY_RETURN(set(*out, "tools", o->tools, e));
    MU_TRY_RETURN(set(*out, "documents", o->documents, e));
    return set(*out, "add_generation_prompt", o->add_generation_prompt ? json_true() : json_false(), e);
}

int mu_chat_render(const struct mu_chat *c, const json_t *messages, const struct mu_chat_opts *o, struct mu_buf *out,
                   struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a prompt", MU_JINJA_OUTPUT_MAX);
    const struct mu_jinja *t = c->tools && o->tools ? c->tools : c->main;
    json_t *copy = NULL, *context = NULL;
    char *final = NULL;
    int rc;

    if (o->continue_final_message && o->add_generation_prompt)
        return mu_fail(e, MU_EINVAL, "continue_final_message and add_generation_prompt exclude each other");
    MU_TRY(copy_messages(&copy, messages, e));
    if (o->continue_final_message)
        MU_TRY(mark_final(copy, &final, e));
    MU_TRY(make_context(&context, c, copy, o, e));
    MU_TRY(mu_jinja_render(t, context, o->now, &text, e));
    if (o->continue_final_message)
        MU_TRY(cut_final(&text, final, e));
    MU_TRY(mu_buf_add(out, text.p, text.n, e));
out:
    mu_free(final);
    json_decref(context);
    json_decref(copy);
    mu_buf_fini(&text);
    return rc;
}
