/* test_utf8.c - decoding against the definition, over every scalar value and every pair of bytes */
#include "base/utf8.h"

#include "xt.h"

XT_TEST(every_scalar_value_goes_there_and_back)
{
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        char p[4];
        uint32_t back = 0;
        int n = mu_utf8_encode(cp, p);
        XT_EQ(mu_utf8_decode(p, (size_t)n, &back), n);
        XT_EQ(back, cp);
        for (int cut = 1; cut < n; cut++) {
            XT_EQ(mu_utf8_decode(p, (size_t)cut, &back), 0);
            XT_CHECK(mu_utf8_is_incomplete(p, (size_t)cut));
        }
    }
}

XT_TEST(what_rfc_3629_forbids_is_no_character)
{
    static const char *const bad[] = {"\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",
                                      "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                                      "\xFF",         "\xE2\x28\xA1"};
    uint32_t cp;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        XT_CHECKF(mu_utf8_decode(bad[i], strlen(bad[i]), &cp) == 0, "case %zu is taken for a character", i);
        XT_CHECK(!mu_utf8_is_incomplete(bad[i], strlen(bad[i])));
    }
}

XT_TEST(invalid_runs_follow_the_maximal_subpart_rule)
{
    /* Unicode 15, table 3-8: each run becomes one U+FFFD. */
    const char *p = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
    XT_EQ(mu_utf8_valid_prefix(p, 13), 1);
    XT_EQ(mu_utf8_invalid_run(p + 1, 12), 3);
    XT_EQ(mu_utf8_invalid_run(p + 4, 9), 2);
    XT_EQ(mu_utf8_invalid_run(p + 6, 7), 1);
    XT_EQ(mu_utf8_invalid_run(p + 8, 5), 1);
    XT_EQ(mu_utf8_valid_prefix("añ€😀", 10), 10);
}

XT_MAIN()
