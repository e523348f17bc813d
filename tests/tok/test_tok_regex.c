/* test_tok_regex.c - patterns written for Oniguruma: what they become, and what they then match */
#include "xt.h"

#include "base/mem.h"
#include "tok/regex.h"

static void translates(const char *pattern, const char *want)
{
    struct mu_buf out = MU_BUF_INIT("pattern", MU_REGEX_BYTES_MAX);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_regex_translate(&out, mu_str(pattern), "test", &err));
    XT_STREQ(out.p, want);
    mu_buf_fini(&out);
}

XT_TEST(syntax_is_translated)
{
    translates("a+b", "a+b");
    translates("\\s+(?!\\S)", "[\\p{White_Space}]+(?![^\\p{White_Space}])");
    translates("[^\\s\\p{L}]", "[^\\p{White_Space}\\p{L}]");
    translates("\\p{N}{1,3}+", "(?:\\p{N}{1,3})+");
    translates("(ab){2}+c", "(?:(ab){2})+c");
    translates("x{,3}", "x{0,3}");
    translates("\\p{N}++", "\\p{N}++");
    translates("(?m:a.)(?i-m)b", "(?s:a.)(?i-s)b");
    translates("[a[bc]d]", "[abcd]");
    translates("[a-z&&[^aeiou]]", "(?:(?=[a-z])(?:[^aeiou]))");
    translates("[^a-z&&[^b]]", "(?:(?!(?=[a-z])(?:[^b]))(?s:.))");
    translates("\\p{Han}\\p{^Lu}\\h", "\\p{sc:Han}\\P{Lu}[0-9A-Fa-f]");
    translates("\\\\[\\]\\[]", "\\\\[\\]\\[]");
}

/* How many bytes of text, from its beginning, the pattern matches; -1: it does not match there. */
static int matches(const char *pattern, const char *text)
{
    struct mu_regex *r = NULL;
    struct mu_matcher m = MU_MATCHER_INIT;
    struct mu_err err = MU_ERR_INIT;
    size_t begin = 1, end = 0;
    bool found;
    XT_OK(mu_regex_compile(&r, mu_str(pattern), "test", &err));
    XT_OK(mu_regex_find(r, &m, text, strlen(text), 0, &found, &begin, &end, NULL, &err));
    mu_matcher_fini(&m);
    mu_regex_free(r);
    return found && begin == 0 ? (int)end : -1;
}

XT_TEST(classes_are_unicode)
{
    XT_EQ(matches("\\s+", " \xC2\x85\xC2\xA0\xE3\x80\x80x"), 8);
    XT_EQ(matches("\\s", "\xE1\xA0\x8E"), -1); /* U+180E is no space since Unicode 6.3 */
    XT_EQ(matches("\\w+", "\xC3\xA9_1\xCC\x81."), 6);
    XT_EQ(matches("\\d+", "1\xD9\xA1\xC2\xB2"), 3);
    XT_EQ(matches("(?i:'s)", "'\xC5\xBF"), 3);
    XT_EQ(matches("\\p{N}{1,2}+", "12345"), 5);
    XT_EQ(matches("[a-z&&[^c]]+", "abcd"), 2);
    XT_EQ(matches("a$", "a\nb"), 1); /* $ is the end of any line */
    XT_EQ(matches("a.b", "a\nb"), -1);
    XT_EQ(matches("(?m:a.b)", "a\nb"), 3);
}

/* PCRE2 10.42 finds nothing here when it first looks for characters that must come. */
XT_TEST(nothing_is_missed_by_looking_ahead_for_characters)
{
    static const char text[] = "_aab";
    struct mu_regex *r = NULL;
    struct mu_matcher m = MU_MATCHER_INIT;
    struct mu_err err = MU_ERR_INIT;
    size_t begin = 0, end = 0;
    bool found = false;
    XT_OK(mu_regex_compile(&r, MU_STR("(?=a)\\w*(?:a|ab)"), "test", &err));
    XT_OK(mu_regex_find(r, &m, text, 4, 0, &found, &begin, &end, NULL, &err));
    mu_matcher_fini(&m);
    mu_regex_free(r);
    XT_CHECK(found);
    XT_EQ(begin, 1);
    XT_EQ(end, 3);
}

XT_TEST(bad_patterns_are_named)
{
    struct mu_regex *r = NULL;
    struct mu_err err = MU_ERR_INIT;
    XT_FAILS(mu_regex_compile(&r, MU_STR("a(b"), "f.json", &err), MU_EFORMAT, "f.json: the pattern \"a(b\"");
    XT_FAILS(mu_regex_compile(&r, MU_STR("[ab"), "f.json", &err), MU_EFORMAT, "has no ]");
    XT_FAILS(mu_regex_compile(&r, MU_STR("\\p{L"), "f.json", &err), MU_EFORMAT, "has no }");
    XT_FAILS(mu_regex_compile(&r, MU_STR("a\xFF"), "f.json", &err), MU_EFORMAT, "not UTF-8");
    XT_FAILS(mu_regex_compile(&r, MU_STR("a\0b"), "f.json", &err), MU_EUNSUPPORTED, "NUL");
    char deep[400];
    memset(deep, '[', sizeof deep);
    XT_FAILS(mu_regex_compile(&r, (struct mu_str){deep, sizeof deep}, "f.json", &err), MU_ELIMIT, "deeper");
}

XT_MAIN()
