/* test_harmless.c - no byte that commands a terminal gets through, and no letter is cut in two */
#include "base/harmless.h"

#include <stdio.h>

#include "xt.h"

static const struct {
    const char *text, *want;
} cases[] = {
    {"", ""},
    {"plain, caf\u00e9 \u2713\n\tnext", "plain, caf\u00e9 \u2713\n\tnext"},
    {"\033[2J\033[31mred\a\b\r\177", "?[2J?[31mred????"},
    {"a\xc2\x9b"
     "2Jb",
     "a?2Jb"},                             /* a control of one letter, as in ISO 6429 */
    {"a\u202eb\u2066c\u200bd", "a?b?c?d"}, /* other directions, and nothing to see */
    {"a\xff\xc0\xafz", "a???z"},
    {"a\xe2\x82", "a"}, /* cut by who wrote it */
    {"a\xe2\x82z", "a??z"},
};

XT_TEST(only_letters_get_through)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[64], same[64];
        XT_STREQ(mu_harmless(out, sizeof out, cases[i].text), cases[i].want);
        snprintf(same, sizeof same, "%s", cases[i].text);
        XT_STREQ(mu_harmless(same, sizeof same, same), cases[i].want);
    }
}

XT_TEST(what_does_not_fit_ends_with_a_letter)
{
    char out[8];
    XT_STREQ(mu_harmless(out, 5, "ab\u20ac"), "ab"); /* of three bytes */
    XT_STREQ(mu_harmless(out, 6, "ab\u20ac"), "ab\u20ac");
    XT_STREQ(mu_harmless(out, 1, "ab"), "");
}

XT_MAIN()
