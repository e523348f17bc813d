/* test_json_scan.c - forward reading of JSON: what it hands out, and where it says that something is wrong */
#include "base/json_scan.h"

#include "base/check.h"
#include "base/json.h"
#include "xt.h"

static struct mu_json_scan scan_of(struct mu_str text)
{
    struct mu_json_scan t;
    mu_scan_begin(&t, text, "x.json", "text");
    return t;
}

XT_TEST(an_object_is_read_forward)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_json_scan t = scan_of(MU_STR(" {\"a\" :\t[1, 18446744073709551615],\r\n\"b\":{\"x\":[\"}\"]} } "));
    struct mu_str s;
    uint64_t n;
    XT_OK(mu_scan_expect(&t, '{', &err));
    XT_OK(mu_scan_string(&t, &s, &err));
    XT_CHECK(mu_str_eq(s, MU_STR("a")));
    XT_OK(mu_scan_expect(&t, ':', &err));
    XT_CHECK(mu_scan_accept(&t, '['));
    XT_CHECK(!mu_scan_accept(&t, ']'));
    XT_CHECK(mu_scan_number(&t, &n) && n == 1);
    XT_CHECK(mu_scan_accept(&t, ','));
    XT_CHECK(mu_scan_number(&t, &n) && n == UINT64_MAX);
    XT_OK(mu_scan_expect(&t, ']', &err));
    XT_OK(mu_scan_expect(&t, ',', &err));
    XT_OK(mu_scan_string(&t, &s, &err));
    XT_OK(mu_scan_expect(&t, ':', &err));
    XT_OK(mu_scan_value(&t, &s, &err));
    XT_CHECK(mu_str_eq(s, MU_STR("{\"x\":[\"}\"]}")));
    XT_OK(mu_scan_expect(&t, '}', &err));
    XT_OK(mu_scan_end(&t, &err));
    mu_scan_fini(&t);
}

XT_TEST(escapes_are_what_the_tree_reader_makes_of_them)
{
    static const char *const literals[] = {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                           "\"\\u0000|\\u00e9|\\u20AC|\\ud83d\\ude00\"", "\"\xc3\xa9\\u0041\"",
                                           "\"plain\"", "\"\""};
    for (size_t i = 0; i < MU_COUNT(literals); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_json_scan t = scan_of(mu_str(literals[i]));
        struct mu_str s;
        json_t *v;
        XT_OK(mu_json_parse(&v, mu_str(literals[i]), "x", &err));
        XT_OK(mu_scan_string(&t, &s, &err));
        XT_CHECKF(mu_str_eq(s, (struct mu_str){json_string_value(v), json_string_length(v)}), "%s", literals[i]);
        XT_OK(mu_scan_end(&t, &err));
        json_decref(v);
        mu_scan_fini(&t);
    }
}

XT_TEST(a_string_lives_until_the_next_but_one)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_json_scan t = scan_of(MU_STR("\"\\n1\" \"\\n2\""));
    struct mu_str a, b;
    XT_OK(mu_scan_string(&t, &a, &err));
    XT_OK(mu_scan_string(&t, &b, &err));
    XT_CHECK(mu_str_eq(a, MU_STR("\n1")));
    XT_CHECK(mu_str_eq(b, MU_STR("\n2")));
    mu_scan_fini(&t);
}

XT_TEST(bad_strings_are_refused_where_they_are)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "x.json: the text ends at byte 0, where a string is needed"},
        {"  7", "x.json: byte 2 of the text is 0x37, a string is needed"},
        {"\"a", "the text ends at byte 2, where the end of a string is needed"},
        {"\"a\\", "the end of a string is needed"},
        {"\"a\\\"", "the text ends at byte 4"},
        {"\"a\nb\"", "byte 2 of the text is 0x0a, the end of a string is needed"},
        {"\"ab\\x\"", "byte 3 of the text is 0x5c, a valid escape is needed"},
        {"\"\\u12\"", "a valid escape"},
        {"\"\\u12g4\"", "a valid escape"},
        {"\"\\ud800\"", "a valid escape"},
        {"\"\\ud800\\u0041\"", "a valid escape"},
        {"\"\\udc00\"", "a valid escape"},
        {" \"\xff\"", "the string at byte 2 of the text is not UTF-8"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_json_scan t = scan_of(mu_str(cases[i].text));
        struct mu_str s;
        XT_FAILS(mu_scan_string(&t, &s, &err), MU_EFORMAT, cases[i].part);
        mu_scan_fini(&t);
    }
}

XT_TEST(other_numbers_are_left_alone)
{
    static const char *const bad[] = {
        "", "-1", "1.5", "1e3", "04", "18446744073709551616", "x", "99999999999999999999"};
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        struct mu_json_scan t = scan_of(mu_str(bad[i]));
        uint64_t n;
        XT_CHECKF(!mu_scan_number(&t, &n), "%s is taken for a whole number", bad[i]);
        XT_EQ(t.at, 0);
        mu_scan_fini(&t);
    }
}

XT_TEST(values_are_stepped_over_and_broken_ones_refused)
{
    static const char *const good[] = {"1e3,", "\"a\\\"]\"]", "[[],{}] ", "null}", "{\"a\":\"]\"}"};
    static const char *const bad[] = {"", " ,", "]", "[1", "\"a", "{\"a\":\"}", "[\"\\"};
    struct mu_str s;
    for (size_t i = 0; i < MU_COUNT(good); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_json_scan t = scan_of(mu_str(good[i]));
        XT_OK(mu_scan_value(&t, &s, &err));
        XT_EQ(s.n, strlen(good[i]) - (i < 4));
        mu_scan_fini(&t);
    }
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_json_scan t = scan_of(mu_str(bad[i]));
        XT_FAILS(mu_scan_value(&t, &s, &err), MU_EFORMAT, "a value is needed");
        XT_CHECK(t.at <= t.text.n);
        mu_scan_fini(&t);
    }
}

XT_TEST(what_follows_the_end_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_json_scan t = scan_of(MU_STR(" x"));
    XT_FAILS(mu_scan_end(&t, &err), MU_EFORMAT, "byte 1 of the text is 0x78, its end is needed");
    XT_FAILS(mu_scan_expect(&t, ':', &err), MU_EFORMAT, "':' is needed");
    mu_scan_fini(&t);
}

XT_MAIN()
