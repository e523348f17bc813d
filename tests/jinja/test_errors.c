/* test_errors.c - sentences, limits and failing memory of the interpreter; values of lone expressions */
#include <stdio.h>
#include <stdlib.h>

#include <muster/template.h>

#include "base/json.h"
#include "tok/jinja/jinja.h"

#include "xt.h"

static int render(const char *source, const struct mu_jinja_opts *o, const char *context, struct mu_buf *out,
                  struct mu_err *e)
{
    struct mu_jinja *t = NULL;
    json_t *json = NULL;
    int rc = mu_json_parse(&json, mu_str(context), "context", e);
    if (rc == MU_OK)
        rc = mu_jinja_compile(&t, mu_str(source), o, e);
    if (rc == MU_OK)
        rc = mu_jinja_render(t, json, NULL, out, e);
    mu_jinja_free(t);
    json_decref(json);
    return rc;
}

static void check_fails(const char *source, const struct mu_jinja_opts *o, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("out", MU_JINJA_OUTPUT_MAX);
    int rc = render(source, o, "{\"x\": [1]}", &out, &err);
    XT_CHECKF(rc == code && strstr(err.text, part), "%s: %s \"%s\", not %s \"%s\"", source, mu_code_name(rc), err.text,
              mu_code_name(code), part);
    XT_CHECKF(out.n == 0, "%s left %zu bytes", source, out.n);
    mu_buf_fini(&out);
}

XT_TEST(sentences_name_template_and_line)
{
    const struct mu_jinja_opts chat = MU_JINJA_CHAT("chat.jinja"), task = MU_JINJA_TASK("task.yaml");
    check_fails("a\nb {{ 1 + }}", &chat, MU_EFORMAT, "template chat.jinja, line 2: unexpected");
    check_fails("{% if x %}\n\n{% for %}", &chat, MU_EFORMAT, "line 3");
    check_fails("{% if x %}", &chat, MU_EFORMAT, "Unexpected end of template. Jinja was looking for 'elif'");
    check_fails("\n\n{{ messages[0] }}", &chat, MU_EINVAL, "template chat.jinja, line 3: 'messages' is undefined");
    check_fails("text {{ messages }}", &task, MU_EINVAL, "template task.yaml, line 1: 'messages' is undefined");
    check_fails("{{ x.y.z }}", &chat, MU_EINVAL, "'list object' has no attribute 'y'");
    check_fails("{% include 'a' %}", &chat, MU_EUNSUPPORTED, "'include' is not supported: a template stands alone");
    check_fails("{% import 'a' as b %}", &chat, MU_EUNSUPPORTED, "'import' is not supported");
    check_fails("{{ x | nothing }}", &chat, MU_EFORMAT, "No filter named 'nothing'");
    check_fails("{{ x | random }}", &chat, MU_EUNSUPPORTED, "random is not supported");
    check_fails("{% break %}", &chat, MU_EFORMAT, "'break' outside loop");
    check_fails("{% break %}", &task, MU_EFORMAT, "unknown tag 'break'");
    check_fails("{{ raise_exception('no') }}", &task, MU_EINVAL, "'raise_exception' is undefined");
    check_fails("{{ '\xff' }}", &chat, MU_EFORMAT, "byte 4 (0xff) is no UTF-8");
    check_fails("{{ x.append(2) }}", &chat, MU_EINVAL, "access to attribute 'append' of 'list' object is unsafe");
    check_fails("{{ 9223372036854775807 + 1 }}", &chat, MU_EINVAL, "does not fit in 64 bits");
    check_fails("{{ 'a' | regex_replace('(', '') }}", &task, MU_EINVAL, "the pattern '('");
}

XT_TEST(nothing_runs_for_ever)
{
    const struct mu_jinja_opts chat = MU_JINJA_CHAT("c"), task = MU_JINJA_TASK("t");
    check_fails("{% for i in range(10**9) %}{% endfor %}", &chat, MU_ELIMIT, "Range too big");
    check_fails("{% for i in range(10**9) %}{% endfor %}", &task, MU_ELIMIT, "steps; the template may never end");
    check_fails("{% for i in x %}{{ x.append(1) or '' }}{% endfor %}", &task, MU_ELIMIT,
                "the values of a template needs more than");
    check_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", &chat, MU_ELIMIT, "nested deeper than 400 levels");
    check_fails("{{ x.append(x) or x }}", &task, MU_ELIMIT, "nested deeper than 400 levels");
    check_fails("{{ 'a' * 10**9 }}", &chat, MU_ELIMIT, "bytes are allowed");
    check_fails("{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
                &chat, MU_ELIMIT, "the values of a template needs more than");
    check_fails("{% set s = 'a' * 1000000 %}{% for i in range(100) %}{{ s }}{% endfor %}", &chat, MU_ELIMIT,
                "the text of a template would grow to");
    check_fails("{{ ('a' * 50 ~ '!') | regex_replace('^(a|aa)+$', '') }}", &task, MU_ELIMIT, "too many steps");
}

XT_TEST(deep_nesting_is_refused)
{
    const struct mu_jinja_opts chat = MU_JINJA_CHAT("c");
    static const char *const parts[] = {"(", "[", "not ", "-", "{'a':", "a if ", "f(", "x["};
    struct mu_buf source = MU_BUF_INIT("source", 1 << 20);
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        mu_buf_clear(&source);
        XT_OK(mu_buf_puts(&source, "{{ ", &err));
        for (int k = 0; k < 150; k++)
            XT_OK(mu_buf_puts(&source, parts[i], &err));
        struct mu_jinja *t = NULL;
        int rc = mu_jinja_compile(&t, mu_buf_str(&source), &chat, &err);
        XT_CHECKF(rc == MU_ELIMIT || rc == MU_EFORMAT, "%s: %s", parts[i], err.text);
    }
    mu_buf_clear(&source);
    for (int k = 0; k < 150; k++)
        XT_OK(mu_buf_puts(&source, "{% if 1 %}", &err));
    struct mu_jinja *t = NULL;
    XT_FAILS(mu_jinja_compile(&t, mu_buf_str(&source), &chat, &err), MU_ELIMIT, "nested deeper than 100 levels");
    mu_buf_fini(&source);
}

/* ---- values ---- */

static void check_value(const char *source, const char *want)
{
    const struct mu_jinja_opts task = MU_JINJA_TASK("v");
    struct mu_err err = MU_ERR_INIT;
    struct mu_jinja *t = NULL;
    json_t *context = NULL, *value = NULL;
    struct mu_buf text = MU_BUF_INIT("value", 1 << 16);
    XT_OK(mu_json_parse(&context, MU_STR("{\"n\": 3, \"l\": [1, \"b\", {\"k\": null}]}"), "context", &err));
    XT_OK(mu_jinja_compile(&t, mu_str(source), &task, &err));
    XT_OK(mu_jinja_value(t, context, NULL, &value, &err));
    XT_OK(mu_json_dump(&text, value, false, &err));
    XT_STREQ(text.p, want);
    json_decref(value);
    json_decref(context);
    mu_jinja_free(t);
    mu_buf_fini(&text);
}

XT_TEST(a_lone_expression_keeps_its_type)
{
    check_value("{{ n }}", "3");
    check_value("{{ n / 2 }}", "1.5");
    check_value("{{ l }}", "[1, \"b\", {\"k\": null}]");
    check_value("{{ l | map('string') }}", "[\"1\", \"b\", \"{'k': None}\"]");
    check_value("{{ {'a': (1, true)} }}", "{\"a\": [1, true]}");
    check_value("{{ range(2) }}", "[0, 1]");
    check_value("{{n}} ", "\"3 \"");
    check_value("plain", "\"plain\"");
    check_value("", "\"\"");
}

/* ---- the public face ---- */

XT_TEST(the_public_face_takes_json_text)
{
    struct mu_template_opts o = MU_TEMPLATE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    mu_template *t = NULL;
    char *text = NULL;
    XT_OK(mu_template_compile(&t, "Hello {{ name }}!", 17, &o, &err));
    XT_OK(mu_template_render(t, "{\"name\": \"you\"}", &text, &err));
    XT_STREQ(text, "Hello you!");
    mu_template_text_free(text);
    XT_OK(mu_template_render(t, NULL, &text, &err));
    XT_STREQ(text, "Hello !");
    mu_template_text_free(text);
    XT_FAILS(mu_template_render(t, "[1]", &text, &err), MU_EFORMAT, "an object is needed");
    XT_FAILS(mu_template_render(t, "{", &text, &err), MU_EFORMAT, "template context");
    mu_template_free(t);
    mu_template_free(NULL);
}

/* ---- memory ---- */

static int render_much(void *arg, struct mu_err *e)
{
    const struct mu_jinja_opts task = MU_JINJA_TASK("m");
    struct mu_buf out = MU_BUF_INIT("out", 1 << 20);
    struct mu_jinja *t = NULL;
    json_t *value = NULL;
    int rc = mu_jinja_compile(&t,
                              mu_str("{% macro m(a, b=2) %}{{ a ~ b }}{% endmacro %}{{ m('x' * 70000)|length }}"
                                     "{% for k, v in l|dictsort %}{{ k|regex_replace('(.)', '<\\\\1>') }}"
                                     "{% endfor %}{{ l|tojson }}{{ '%5.2f'|format(2.5) }}"),
                              &task, e);
    if (rc == MU_OK)
        rc = mu_jinja_render(t, arg, NULL, &out, e);
    if (rc == MU_OK)
        rc = mu_jinja_value(t, arg, NULL, &value, e);
    json_decref(value);
    mu_jinja_free(t);
    mu_buf_fini(&out);
    return rc;
}

XT_TEST(failing_allocations_leak_nothing)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *context = NULL;
    XT_OK(mu_json_parse(&context, MU_STR("{\"l\": {\"b\": [1, 2], \"a\": {\"c\": 3}}}"), "context", &err));
    xt_each_alloc_fails(render_much, context);
    json_decref(context);
}

XT_MAIN()
