/* test_golden.c - many small templates against what Jinja2 itself renders (golden.json, by make_golden.py) */
#include "base/json.h"
#include "tok/jinja/jinja.h"

#include "xt.h"

#define GOLDEN "tests/jinja/golden.json" /* tests run in the repository's root */

static bool is_on(const json_t *test, const char *key)
{
    return json_is_true(json_object_get(test, key));
}

static struct mu_jinja_opts opts_of(const json_t *test)
{
    const char *mode = json_string_value(json_object_get(test, "mode"));
    struct mu_jinja_opts chat = MU_JINJA_CHAT("t"), task = MU_JINJA_TASK("t"), plain = {.name = "t"};
    if (strcmp(mode, "chat") == 0)
        return chat;
    if (strcmp(mode, "task") == 0)
        return task;
    plain.trim_blocks = is_on(test, "trim_blocks");
    plain.lstrip_blocks = is_on(test, "lstrip_blocks");
    plain.keep_trailing_newline = is_on(test, "keep_trailing_newline");
    return plain;
}

/* Rendered text or the failure's sentence in out; returns the code. */
static int render(const json_t *contexts, const json_t *test, struct mu_buf *out, struct mu_err *e)
{
    const struct tm now = {.tm_year = 125, .tm_mon = 0, .tm_mday = 15, .tm_hour = 12, .tm_wday = 3, .tm_yday = 14};
    const json_t *source = json_object_get(test, "template");
    struct mu_jinja_opts o = opts_of(test);
    struct mu_jinja *t = NULL;
    int rc = mu_jinja_compile(&t, (struct mu_str){json_string_value(source), json_string_length(source)}, &o, e);
    if (rc == MU_OK)
        rc = mu_jinja_render(t, json_array_get(contexts, (size_t)json_integer_value(json_object_get(test, "context"))),
                             &now, out, e);
    mu_jinja_free(t);
    return rc;
}

/* Whether one case comes out as Jinja2 has it; says what differs. */
static bool is_same(const json_t *contexts, const json_t *test, size_t i)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("golden output", MU_JINJA_OUTPUT_MAX);
    const json_t *want = json_object_get(test, "expected");
    const char *error = json_string_value(json_object_get(test, "error"));
    const char *source = json_string_value(json_object_get(test, "template"));
    int rc = render(contexts, test, &out, &err);
    bool same;

    if (want) {
        same = rc == MU_OK && out.n == json_string_length(want) &&
               memcmp(out.p ? out.p : "", json_string_value(want), out.n) == 0;
        if (!same)
            xt_note("case %zu (%s): %s\n#   want %s\n#   have %s", i, json_string_value(json_object_get(test, "mode")),
                    source, json_string_value(want), rc == MU_OK ? (out.p ? out.p : "") : err.text);
    } else {
        same = rc != MU_OK && strstr(err.text, error);
        if (!same)
            xt_note("case %zu (%s): %s\n#   want error %s\n#   have %s", i,
                    json_string_value(json_object_get(test, "mode")), source, error,
                    rc == MU_OK ? (out.p ? out.p : "") : err.text);
    }
    mu_buf_fini(&out);
    return same;
}

XT_TEST(renders_as_jinja2_does)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *golden = NULL;
    const json_t *test;
    size_t i, n_bad = 0;
    XT_OK(mu_json_load(&golden, GOLDEN, &err));
    const json_t *contexts = json_object_get(golden, "contexts");
    json_array_foreach(json_object_get(golden, "cases"), i, test)
    {
        n_bad += !is_same(contexts, test, i);
    }
    size_t n = json_array_size(json_object_get(golden, "cases"));
    json_decref(golden);
    XT_CHECKF(n >= 300, "only %zu cases in %s", n, GOLDEN);
    XT_CHECKF(n_bad == 0, "%zu of %zu cases differ", n_bad, n);
}

XT_MAIN()
