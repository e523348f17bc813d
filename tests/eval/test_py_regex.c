/* test_py_regex.c - Python's re on PCRE2, against CPython 3.11 (make_py.py) */
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/regex.h"
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

static struct mu_str text_of(const json_t *v)
{
    return (struct mu_str){json_string_value(v), json_string_length(v)};
}

static json_int_t int_at(const json_t *row, size_t i)
{
    return json_integer_value(json_array_get(row, i));
}

/* want: null, or [begin, end] of every group, -1 for one that took no part */
static void check_match(const struct mu_pyre *r, struct mu_str text, bool anchored, const json_t *want,
                        const char *pattern)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pyre_match m;
    bool found;
    XT_OK(mu_pyre_search(r, text, 0, anchored, &found, &m, &err));
    XT_CHECKF(found == json_is_array(want), "%s on \"%s\", anchored %d: found %d", pattern, text.p, anchored, found);
    if (!found)
        return;
    XT_EQ(m.n, json_array_size(want));
    for (int g = 0; g < m.n; g++) {
        const json_t *span = json_array_get(want, (size_t)g);
        XT_CHECKF(m.begin[g] == (size_t)int_at(span, 0) && m.end[g] == (size_t)int_at(span, 1),
                  "%s on \"%s\": group %d is %zd..%zd, not %lld..%lld", pattern, text.p, g, (ssize_t)m.begin[g],
                  (ssize_t)m.end[g], int_at(span, 0), int_at(span, 1));
    }
}

XT_TEST(search_match_and_findall_find_what_cpython_finds)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("regex", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        struct mu_str pattern = text_of(json_array_get(row, 0)), text = text_of(json_array_get(row, 2));
        struct mu_pyre *r = NULL;
        json_t *all = NULL;
        XT_OK(mu_pyre_compile(&r, pattern, (unsigned)int_at(row, 1), "test", &err));
        XT_OK(mu_pyre_findall(r, text, &all, &err));
        char *got = json_dumps(all, 0), *want = json_dumps(json_array_get(row, 3), 0);
        XT_CHECKF(json_equal(all, json_array_get(row, 3)), "%s on \"%s\": %s, not %s", pattern.p, text.p, got, want);
        mu_free(got);
        mu_free(want);
        check_match(r, text, false, json_array_get(row, 4), pattern.p);
        check_match(r, text, true, json_array_get(row, 5), pattern.p);
        json_decref(all);
        mu_pyre_free(r);
    }
    json_decref(owner);
}

XT_TEST(patterns_that_cpython_refuses_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("regex_bad", &owner), *bad;
    size_t i;
    json_array_foreach(cases, i, bad)
    {
        struct mu_pyre *r = NULL;
        int rc = mu_pyre_compile(&r, text_of(bad), 0, "test", &err);
        XT_CHECKF(rc == MU_EFORMAT || rc == MU_EUNSUPPORTED, "\"%s\" gave %s", json_string_value(bad),
                  mu_code_name(rc));
        XT_CHECK(strncmp(err.text, "test: ", 6) == 0);
    }
    json_decref(owner);
}

XT_TEST(sub_replaces_as_cpython_does)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("sub", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
        struct mu_pyre *r = NULL;
        XT_OK(mu_pyre_compile(&r, text_of(json_array_get(row, 0)), 0, "test", &err));
        XT_OK(
            mu_pyre_sub(r, text_of(json_array_get(row, 1)), text_of(json_array_get(row, 2)), int_at(row, 3), &b, &err));
        XT_CHECKF(mu_str_eq(mu_buf_str(&b), text_of(json_array_get(row, 4))), "case %zu: \"%s\", not \"%s\"", i,
                  mu_buf_str(&b).p, json_string_value(json_array_get(row, 4)));
        mu_pyre_free(r);
        mu_buf_fini(&b);
    }
    json_decref(owner);
}

XT_TEST(replacements_that_cpython_refuses_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *owner = NULL, *cases = golden("sub_bad", &owner), *row;
    size_t i;
    json_array_foreach(cases, i, row)
    {
        struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
        struct mu_pyre *r = NULL;
        XT_OK(mu_pyre_compile(&r, text_of(json_array_get(row, 0)), 0, "test", &err));
        XT_FAILS(mu_pyre_sub(r, text_of(json_array_get(row, 1)), MU_STR("a"), 0, &b, &err), MU_EFORMAT, "replacement");
        mu_pyre_free(r);
        mu_buf_fini(&b);
    }
    json_decref(owner);
}

XT_TEST(a_search_begins_where_it_is_told)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pyre *r = NULL;
    struct mu_pyre_match m;
    bool found;
    XT_OK(mu_pyre_compile(&r, MU_STR("(?<=a)b|^c"), 0, "test", &err));
    XT_EQ(mu_pyre_groups(r), 0);
    XT_OK(mu_pyre_search(r, MU_STR("cabc"), 2, true, &found, &m, &err));
    XT_CHECK(found && m.begin[0] == 2 && m.end[0] == 3); /* what stands before is seen */
    XT_OK(mu_pyre_search(r, MU_STR("cabc"), 3, false, &found, &m, &err));
    XT_CHECK(!found);
    XT_OK(mu_pyre_search(r, MU_STR("c"), 2, false, &found, &m, &err));
    XT_CHECK(!found);
    mu_pyre_free(r);
}

XT_TEST(a_hostile_pattern_ends)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pyre *r = NULL;
    struct mu_pyre_match m;
    bool found;
    XT_OK(mu_pyre_compile(&r, MU_STR("(a|aa|a)+$"), 0, "task", &err));
    XT_FAILS(mu_pyre_search(r, MU_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 0,
                            false, &found, &m, &err),
             MU_ELIMIT, "steps");
    mu_pyre_free(r);
}

static void compile_repeated(const char *head, const char *part, int times, const char *tail, int want)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
    struct mu_pyre *r = NULL;
    XT_OK(mu_buf_puts(&b, head, &err));
    for (int i = 0; i < times; i++)
        XT_OK(mu_buf_puts(&b, part, &err));
    for (int i = 0; i < times && *tail; i++)
        XT_OK(mu_buf_puts(&b, tail, &err));
    XT_EQ(mu_pyre_compile(&r, mu_buf_str(&b), 0, "test", &err), want);
    mu_pyre_free(r);
    mu_buf_fini(&b);
}

XT_TEST(patterns_have_bounds)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pyre *r = NULL;
    compile_repeated("", "(?:", 150, ")", MU_OK);
    compile_repeated("", "(?:", 20000, ")", MU_ELIMIT);
    compile_repeated("", "(a)", 99, "", MU_OK);
    compile_repeated("", "(a)", 100, "", MU_ELIMIT);
    compile_repeated("", "a", 70000, "", MU_ELIMIT);
    XT_FAILS(mu_pyre_compile(&r, MU_STR("a{70000}"), 0, "test", &err), MU_EUNSUPPORTED, "65535");
    XT_FAILS(mu_pyre_compile(&r, MU_STR("(?a)\\w"), 0, "test", &err), MU_EUNSUPPORTED, "Unicode");
    XT_FAILS(mu_pyre_compile(&r, MU_STR("\\N{DASH}"), 0, "test", &err), MU_EUNSUPPORTED, "name");
    XT_FAILS(mu_pyre_compile(&r, MU_STR("\xff"), 0, "test", &err), MU_EFORMAT, "UTF-8");
    XT_OK(mu_pyre_compile(&r, MU_STR("a"), 0, "test", &err));
    json_t *all = NULL;
    XT_FAILS(mu_pyre_findall(r, MU_STR("a\xff"), &all, &err), MU_EINVAL, "UTF-8");
    mu_pyre_free(r);
}

static int find_and_replace(void *arg, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("text", TEXT_MAX);
    struct mu_pyre *r = NULL;
    json_t *all = NULL;
    int rc = MU_OK;
    (void)arg;
    MU_TRY(mu_pyre_compile(&r, MU_STR("(?P<a>[a-c]+)(\\d)?"), MU_PYRE_IGNORECASE, "test", e));
    MU_TRY(mu_pyre_findall(r, MU_STR("abc1 b2 C"), &all, e));
    MU_TRY(mu_pyre_sub(r, MU_STR("<\\g<a>\\2>"), MU_STR("abc1 b2 C"), 0, &b, e));
out:
    json_decref(all);
    mu_pyre_free(r);
    mu_buf_fini(&b);
    return rc;
}

XT_TEST(no_memory_is_an_error_and_leaks_nothing)
{
    xt_each_alloc_fails(find_and_replace, NULL);
}

XT_MAIN()
