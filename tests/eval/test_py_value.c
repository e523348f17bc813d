/* test_py_value.c - JSON trees as Python values, against CPython 3.11 (make_py.py) */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "xt.h"

#define TEXT_MAX ((size_t)1 << 20)

static json_t *golden(const char *part, json_t **owner)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_json_load(owner, "tests/eval/py_golden.json", &err));
    json_t *cases = json_object_get(*owner, part);
    XT_CHECK(json_array_size(cases) > 0);
    return cases;
}

static struct mu_str text_at(const json_t *row, size_t i)
{
    const json_t *v = json_array_get(row, i);
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

static void check_text(size_t row, const char *what, struct mu_str got, struct mu_str want)
{
    XT_CHECKF(mu_str_eq(got, want), "case %zu, %s: \"%.*s\", not \"%.*s\"", row, what, MU_STR_ARG(got),
              MU_STR_ARG(want));
}

XT_TEST(str_repr_and_dumps_print_what_cpython_prints)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("value", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        const json_t *v = json_array_get(row, 0);
        struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
        XT_OK(mu_py_str(&b, v, &err));
        check_text(i, "str", mu_buf_str(&b), text_at(row, 1));
        mu_buf_clear(&b);
        XT_OK(mu_py_repr(&b, v, &err));
        check_text(i, "repr", mu_buf_str(&b), text_at(row, 2));
        mu_buf_clear(&b);
        XT_OK(mu_py_dumps(&b, v, -1, &err));
        check_text(i, "dumps", mu_buf_str(&b), text_at(row, 3));
        mu_buf_clear(&b);
        XT_OK(mu_py_dumps(&b, v, 4, &err));
        check_text(i, "dumps with an indent", mu_buf_str(&b), text_at(row, 4));
        mu_buf_fini(&b);
    }
    json_decref(owner);
}

XT_TEST(literals_read_as_ast_literal_eval_reads_them)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("literal", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        json_t *v = NULL;
        XT_OK(mu_py_literal(text_at(row, 0), &v, &err));
        struct mu_buf got = MU_BUF_INIT("text", TEXT_MAX), want = MU_BUF_INIT("text", TEXT_MAX);
        XT_OK(mu_py_repr(&got, v, &err));
        XT_OK(mu_py_repr(&want, json_array_get(row, 1), &err));
        check_text(i, "literal", mu_buf_str(&got), mu_buf_str(&want));
        mu_buf_fini(&got);
        mu_buf_fini(&want);
        json_decref(v);
    }
    json_decref(owner);
}

XT_TEST(what_is_no_literal_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("literal_bad", &owner), *bad, *v = NULL;
    size_t i;
    json_array_foreach(cases, i, bad)
    {
        struct mu_str s = {json_string_value(bad), json_string_length(bad)};
        int rc = mu_py_literal(s, &v, &err);
        XT_CHECKF(rc == MU_EINVAL, "\"%s\" gave %s", s.p, mu_code_name(rc));
        XT_CHECK(v == NULL);
    }
    XT_FAILS(mu_py_literal(MU_STR("'\xff'"), &v, &err), MU_EINVAL, "not UTF-8");
    XT_FAILS(mu_py_literal((struct mu_str){"'a\0'", 4}, &v, &err), MU_EINVAL, "without its end");
    json_decref(owner);
}

XT_TEST(texts_are_measured_as_python_measures_them)
{
    json_t *owner = NULL, *cases = golden("text", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        struct mu_str s = text_at(row, 0);
        char hex[65];
        XT_CHECKF(mu_py_len(s) == (size_t)json_integer_value(json_array_get(row, 1)), "length of case %zu", i);
        XT_CHECKF(mu_py_isdigit(s) == json_is_true(json_array_get(row, 2)), "isdigit of case %zu", i);
        check_text(i, "strip", mu_py_strip(s, true, true), text_at(row, 3));
        check_text(i, "lstrip", mu_py_strip(s, true, false), text_at(row, 4));
        check_text(i, "rstrip", mu_py_strip(s, false, true), text_at(row, 5));
        XT_CHECKF(mu_py_words(s) == json_integer_value(json_array_get(row, 6)), "words of case %zu", i);
        mu_sha256_hex(s, hex);
        check_text(i, "sha256", mu_str(hex), text_at(row, 7));
    }
    XT_CHECK(mu_py_isspace(0x1c) && mu_py_isspace(0x3000) && !mu_py_isspace(0x200b));
    json_decref(owner);
}

XT_TEST(nesting_has_an_end)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
    mu_json_init();
    json_t *v = json_array();
    for (int i = 0; i < 1500; i++) {
        json_t *outer = json_array();
        XT_EQ(json_array_append_new(outer, v), 0);
        v = outer;
    }
    XT_FAILS(mu_py_repr(&b, v, &err), MU_ELIMIT, "nested deeper");
    XT_FAILS(mu_py_dumps(&b, v, -1, &err), MU_ELIMIT, "nested deeper");
    mu_buf_fini(&b);
    json_decref(v);
}

static int read_and_print(void *arg, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
    json_t *v = NULL;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(mu_py_literal(MU_STR("{'a': [1, 2.5, ('x' 'y', None)], 'b': {'c': -3}}"), &v, e));
    MU_TRY(mu_py_repr(&b, v, e));
    MU_TRY(mu_py_dumps(&b, v, 2, e));
out:
    mu_buf_fini(&b);
    json_decref(v);
    return rc;
}

XT_TEST(no_memory_is_an_error_and_leaks_nothing)
{
    xt_each_alloc_fails(read_and_print, NULL);
}

XT_MAIN()
