/* test_chat.c - chat templates of published models, and of checkpoints on disk */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "tok/chat.h"

#include "xt.h"

static json_t *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    XT_OK(mu_json_parse(&v, mu_str(text), "test", &err));
    return v;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void check_text(const struct mu_buf *have, const json_t *want, const char *what)
{
    XT_CHECKF(have->n == json_string_length(want) &&
                  memcmp(have->p ? have->p : "", json_string_value(want), have->n) == 0,
              "%s: have\n%s\nwant\n%s", what, have->p, json_string_value(want));
}

XT_TEST(published_templates_render_as_jinja2_does)
{
    const struct tm now = {.tm_year = 125, .tm_mday = 15, .tm_hour = 12, .tm_wday = 3, .tm_yday = 14};
    struct mu_err err = MU_ERR_INIT;
    char path[256];
    const char *renderings = xt_data("templates/jinja2_renderings.json");
    json_t *golden = NULL, *special = parse("{\"bos_token\": \"<BOS>\", \"eos_token\": \"<EOS>\"}");
    const json_t *test;
    size_t i;

    XT_OK(mu_json_load(&golden, renderings, &err));
    json_array_foreach(json_object_get(golden, "cases"), i, test)
    {
        struct mu_buf source = MU_BUF_INIT("source", 1 << 20), out = MU_BUF_INIT("out", 1 << 20);
        struct mu_chat *chat = NULL;
        struct mu_chat_opts o = {.now = &now};
        snprintf(path, sizeof path, "templates/%s", text_of(test, "template"));
        XT_OK(mu_file_read_all(&source, xt_data(path), &err));
        XT_OK(mu_chat_from_text(&chat, mu_buf_str(&source), special, text_of(test, "template"), &err));
        o.add_generation_prompt = json_is_true(json_object_get(test, "add_generation_prompt"));
        const json_t *messages =
            json_object_get(json_object_get(golden, "conversations"), text_of(test, "conversation"));
        XT_OK(mu_chat_render(chat, messages, &o, &out, &err));
        check_text(&out, json_object_get(test, "expected"), path);
        mu_chat_close(chat);
        mu_buf_fini(&source);
        mu_buf_fini(&out);
    }
    XT_CHECK(i >= 40);
    json_decref(golden);
    json_decref(special);
}

XT_TEST(llama_cpp_vectors_match)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *golden = NULL;
    const json_t *test;
    size_t i;

    XT_OK(mu_json_load(&golden, xt_data("templates/llama_cpp_chat_vectors.json"), &err));
    json_array_foreach(json_object_get(golden, "cases"), i, test)
    {
        struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
        struct mu_chat *chat = NULL;
        struct mu_chat_opts o = {.add_generation_prompt = true};
        XT_OK(mu_chat_from_text(&chat, mu_str(text_of(test, "template")), test, text_of(test, "name"), &err));
        XT_OK(mu_chat_render(chat, json_object_get(golden, "messages"), &o, &out, &err));
        check_text(&out, json_object_get(test, "expected"), text_of(test, "name"));
        mu_chat_close(chat);
        mu_buf_fini(&out);
    }
    XT_CHECK(i >= 10);
    json_decref(golden);
}

/* ---- checkpoints ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    XT_CHECK(f && fputs(text, f) >= 0);
    fclose(f);
}

static void check_render(const char *dir, const char *name, const char *messages, const struct mu_chat_opts *o,
                         const char *want)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
    struct mu_chat *chat = NULL;
    json_t *m = parse(messages);
    XT_OK(mu_chat_load(&chat, dir, name, &err));
    XT_OK(mu_chat_render(chat, m, o, &out, &err));
    XT_STREQ(out.p, want);
    json_decref(m);
    mu_chat_close(chat);
    mu_buf_fini(&out);
}

#define HELLO "[{\"role\": \"user\", \"content\": \"Hello\"}]"

XT_TEST(a_checkpoint_brings_its_template)
{
    const char *dir = xt_tmpdir();
    struct mu_chat_opts o = {.add_generation_prompt = true};
    struct mu_err err = MU_ERR_INIT;
    struct mu_chat *chat = NULL;

    XT_FAILS(mu_chat_load(&chat, dir, NULL, &err), MU_ENOENT, "no chat template");
    write_file(dir, "tokenizer_config.json",
               "{\"bos_token\": {\"content\": \"<s>\"}, \"chat_template\": \"{{ bos_token }}{{ messages[0].content "
               "}}{% if add_generation_prompt %}>{% endif %}\"}");
    check_render(dir, NULL, HELLO, &o, "<s>Hello>");
    write_file(dir, "chat_template.jinja", "beside: {{ bos_token }}{{ messages[0]['role'] }}\n");
    check_render(dir, NULL, HELLO, &o, "beside: <s>user");
}

XT_TEST(templates_may_be_named)
{
    const char *dir = xt_tmpdir();
    json_t *tools = parse("[{\"name\": \"f\"}]");
    struct mu_chat_opts o = {0}, with_tools = {.tools = tools};
    struct mu_err err = MU_ERR_INIT;
    struct mu_chat *chat = NULL;

    write_file(dir, "tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"}, {\"name\": \"tool_use\", "
               "\"template\": \"{{ tools | tojson }}\"}, {\"name\": \"rag\", \"template\": \"{{ documents }}\"}]}");
    check_render(dir, NULL, HELLO, &o, "plain");
    check_render(dir, NULL, HELLO, &with_tools, "[{\"name\": \"f\"}]");
    check_render(dir, "rag", HELLO, &o, "None");
    XT_FAILS(mu_chat_load(&chat, dir, "other", &err), MU_ENOENT, "no chat template is named \"other\"");
    json_decref(tools);
}

#define TURNS                                                                                                          \
    "{% for m in messages %}<{{ m.role }}>{{ m.content if m.content is string else m.content[0].text }}"               \
    "</{{ m.role }}>{% endfor %}"
#define TRIMMED "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}"

static int render_text(const char *source, const char *messages, const struct mu_chat_opts *o, struct mu_buf *out,
                       struct mu_err *e)
{
    struct mu_chat *chat = NULL;
    json_t *m = parse(messages);
    int rc = mu_chat_from_text(&chat, mu_str(source), NULL, "t", e);
    if (rc == MU_OK)
        rc = mu_chat_render(chat, m, o, out, e);
    mu_chat_close(chat);
    json_decref(m);
    return rc;
}

XT_TEST(a_final_message_can_be_continued)
{
    static const char *const cases[][3] = {
        {TURNS, "[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Well, \"}]",
         "<user>Hi</user><assistant>Well, "},
        {TURNS, "[{\"role\": \"a\", \"content\": [{\"type\": \"text\", \"text\": \"Once\"}]}]", "<a>Once"},
        {TRIMMED, "[{\"role\": \"a\", \"content\": \"cut  \"}]", "[cut"},
    };
    struct mu_chat_opts o = {.continue_final_message = true}, both = {true, true, NULL, NULL, NULL, NULL};
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mu_buf_clear(&out);
        XT_OK(render_text(cases[i][0], cases[i][1], &o, &out, &err));
        XT_CHECKF(out.n == strlen(cases[i][2]) && memcmp(out.p, cases[i][2], out.n) == 0, "case %zu: %.*s", i,
                  (int)out.n, out.p);
    }
    XT_FAILS(render_text("fixed", HELLO, &o, &out, &err), MU_EINVAL, "leaves out part of its text");
    XT_FAILS(render_text(TURNS, "[]", &o, &out, &err), MU_EINVAL, "conversation is empty");
    XT_FAILS(render_text(TURNS, HELLO, &both, &out, &err), MU_EINVAL, "exclude each other");
    mu_buf_fini(&out);
}

XT_TEST(bad_conversations_are_refused)
{
    struct mu_chat_opts o = {0};
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
    XT_FAILS(render_text(TURNS, "{}", &o, &out, &err), MU_EINVAL, "must be an array");
    XT_FAILS(render_text(TURNS, "[1]", &o, &out, &err), MU_EINVAL, "message 0");
    XT_FAILS(render_text("{{ raise_exception('only ' ~ messages|length) }}", HELLO, &o, &out, &err), MU_EINVAL,
             "template t, line 1: only 1");
    XT_EQ(out.n, 0);
    mu_buf_fini(&out);
}

static int render_any(void *arg, struct mu_err *e)
{
    struct mu_chat_opts o = {.continue_final_message = true};
    struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
    struct mu_chat *chat = NULL;
    int rc = mu_chat_from_text(&chat, mu_str(TURNS), NULL, "t", e);
    if (rc == MU_OK)
        rc = mu_chat_render(chat, arg, &o, &out, e);
    mu_chat_close(chat);
    mu_buf_fini(&out);
    return rc;
}

XT_TEST(failing_allocations_leak_nothing)
{
    json_t *m = parse(HELLO);
    xt_each_alloc_fails(render_any, m);
    json_decref(m);
}

XT_MAIN()
