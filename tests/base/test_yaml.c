/* test_yaml.c - types as PyYAML gives them (yaml_golden.json, by make_yaml_golden.py), lines, tags, bounds */
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#include "xt.h"

#define GOLDEN "tests/base/yaml_golden.json" /* tests run in the repository's root */

static struct mu_yaml *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_yaml *y = NULL;
    XT_OK(mu_yaml_parse(&y, mu_str(text), "test.yaml", &err));
    return y;
}

static void check_fails(const char *text, int code, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_yaml *y = NULL;
    XT_FAILS(mu_yaml_parse(&y, mu_str(text), "test.yaml", &err), code, part);
}

/* Same text as JSON: also the order of members counts. */
static bool is_same(const json_t *test)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf want = MU_BUF_INIT("want", 1 << 20), have = MU_BUF_INIT("have", 1 << 20);
    const json_t *source = json_object_get(test, "text"), *expected = json_object_get(test, "expected");
    struct mu_yaml *y = NULL;
    int rc = mu_yaml_parse(&y, (struct mu_str){json_string_value(source), json_string_length(source)}, "golden", &err);
    bool same = expected ? rc == MU_OK : rc != MU_OK;

    if (rc == MU_OK)
        XT_OK(mu_json_dump(&have, mu_yaml_root(y), false, &err));
    if (expected)
        XT_OK(mu_json_dump(&want, expected, false, &err));
    if (same && expected)
        same = strcmp(want.p, have.p) == 0;
    if (!same)
        xt_note("%s\n#   want %s\n#   have %s", json_string_value(source), expected ? want.p : "an error",
                rc == MU_OK ? have.p : err.text);
    mu_yaml_free(y);
    mu_buf_fini(&want);
    mu_buf_fini(&have);
    return same;
}

XT_TEST(reads_as_pyyaml_does)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *golden = NULL;
    const json_t *test;
    size_t i, n_bad = 0;
    XT_OK(mu_json_load(&golden, GOLDEN, &err));
    json_array_foreach(json_object_get(golden, "cases"), i, test)
    {
        n_bad += !is_same(test);
    }
    json_decref(golden);
    XT_CHECK(i > 150);
    XT_CHECKF(n_bad == 0, "%zu of %zu cases differ", n_bad, i);
}

XT_TEST(lines_and_tags_are_kept)
{
    struct mu_yaml *y =
        parse("# head\nname: x\nlist:\n  - a\n  - true\nsub: &s\n  f: !function utils.g\ncopy:\n  <<: *s\n  h: 1\n");
    json_t *root = mu_yaml_root(y), *list = json_object_get(root, "list"), *sub = json_object_get(root, "sub");
    XT_EQ(mu_yaml_key_line(y, root, "name"), 2);
    XT_EQ(mu_yaml_key_line(y, root, "list"), 3);
    XT_EQ(mu_yaml_key_line(y, root, "absent"), 0);
    XT_EQ(mu_yaml_line(y, json_object_get(root, "name")), 2);
    XT_EQ(mu_yaml_line(y, list), 4);
    XT_EQ(mu_yaml_item_line(y, list, 0), 4);
    XT_EQ(mu_yaml_item_line(y, list, 1), 5);
    XT_EQ(mu_yaml_item_line(y, list, 2), 0);
    XT_EQ(mu_yaml_line(y, json_array_get(list, 1)), 0);
    XT_STREQ(mu_yaml_tag(y, json_object_get(sub, "f")), "!function");
    XT_STREQ(json_string_value(json_object_get(sub, "f")), "utils.g");
    XT_CHECK(mu_yaml_tag(y, json_object_get(root, "name")) == NULL);
    json_t *copy = json_object_get(root, "copy");
    XT_EQ(mu_yaml_key_line(y, copy, "f"), 7); /* merged: where it was written */
    XT_EQ(mu_yaml_key_line(y, copy, "h"), 10);
    mu_yaml_free(y);
}

XT_TEST(sentences_name_file_line_and_column)
{
    check_fails("a: 1\nb: [1, 2\nc: 3\n", MU_EFORMAT, "test.yaml, line 3, column");
    check_fails("a: *x\n", MU_EFORMAT, "test.yaml, line 1, column 4: the alias names no anchor");
    check_fails("a: &x [*x]\n", MU_EFORMAT, "or one that contains it");
    check_fails("a: 1\n--- 2\n", MU_EFORMAT, "line 2, column 1: a second document begins");
    check_fails("? [1]\n: 2\n", MU_EFORMAT, "a key must be a scalar");
    check_fails("a: .inf\n", MU_EUNSUPPORTED, "line 1, column 4: the number is not finite");
    check_fails("a: \xff\n", MU_EFORMAT, "test.yaml, byte 3");
}

XT_TEST(bombs_are_bounded)
{
    struct mu_buf text = MU_BUF_INIT("text", 1 << 20);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_buf_puts(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n", &err));
    for (int i = 1; i < 10; i++)
        XT_OK(mu_buf_printf(&text, &err, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                            i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1));
    check_fails(text.p, MU_ELIMIT, "more than 1000000 nodes");
    mu_buf_clear(&text);
    for (int i = 0; i < 200; i++)
        XT_OK(mu_buf_putc(&text, '[', &err));
    check_fails(text.p, MU_ELIMIT, "nested deeper than 100 levels");
    mu_buf_fini(&text);
}

XT_TEST(a_missing_file_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_yaml *y = NULL;
    XT_FAILS(mu_yaml_load(&y, "/nowhere/task.yaml", &err), MU_ENOENT, "/nowhere/task.yaml");
    mu_yaml_free(NULL);
}

static int parse_some(void *arg, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    int rc = mu_yaml_parse(&y, mu_str(arg), "t", e);
    mu_yaml_free(y);
    return rc;
}

XT_TEST(failing_allocations_leak_nothing)
{
    xt_each_alloc_fails(parse_some, "a: &x {p: 1, q: !f g}\nb: {<<: *x, r: [1, 2.5, yes]}\nc: *x\n1: text\n");
}

XT_MAIN()
