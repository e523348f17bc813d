/* bbh_number.c - numbers written as English words, found and valued as the reference does
 *
 * Sources: the pattern of NumberParseRegexFilter in lm_eval/tasks/bbh/zeroshot/utils.py, whose three lists of words
 * differ (a "six" must grow to "sixteen" or "sixty" at either end, "eight" at the right end); word2number 1.1. What
 * those raise on ("thousand" without a number before it) is no number here. */
#include "eval/docs/bbh_int.h"

#include "base/check.h"
#include "eval/docs/docs_int.h"

#define FIRST "zero|one|two|three|four|five|"
#define STEM  "(?:twen|thir|for|fif|six|seven|nine)"
#define LAST  "|ten|eleven|twelve|fourteen|hundred|thousand|(?:m|b|tr)illion"

const char mu_bbh_number_pattern[] = "("
                                     "(?:(?:" FIRST STEM "(?:teen|ty)|eight(?:|een|y)" LAST ")"
                                     "(?:" FIRST STEM "(?:|teen|ty)|eight(?:een|y)" LAST "|[^\\S\\r\\n]|,|and|&)+)?"
                                     "(?:" FIRST STEM "(?:teen|ty)|eight(?:een|y)" LAST ")"
                                     ")";

#define WORDS_MAX 4096 /* of one number */

static const struct {
    const char *word;
    int64_t value;
} known[] = {{"zero", 0},      {"one", 1},         {"two", 2},           {"three", 3},
             {"four", 4},      {"five", 5},        {"six", 6},           {"seven", 7},
             {"eight", 8},     {"nine", 9},        {"ten", 10},          {"eleven", 11},
             {"twelve", 12},   {"thirteen", 13},   {"fourteen", 14},     {"fifteen", 15},
             {"sixteen", 16},  {"seventeen", 17},  {"eighteen", 18},     {"nineteen", 19},
             {"twenty", 20},   {"thirty", 30},     {"forty", 40},        {"fifty", 50},
             {"sixty", 60},    {"seventy", 70},    {"eighty", 80},       {"ninety", 90},
             {"hundred", 100}, {"thousand", 1000}, {"million", 1000000}, {"billion", 1000000000}};

enum { THOUSAND, MILLION, BILLION, SCALES };
static const int64_t scale_value[SCALES] = {1000, 1000000, 1000000000};

/* Where each scale stands among n numbers; -1: nowhere. false: one stands there twice. */
static bool find_scales(const int64_t *v, int n, int at[SCALES])
{
    for (int k = 0; k < SCALES; k++) {
        at[k] = -1;
        for (int i = 0; i < n; i++) {
            if (v[i] != scale_value[k])
                continue;
            if (at[k] >= 0)
                return false;
            at[k] = i;
        }
    }
    return true;
}

/* A run of up to four words below a scale: "three hundred twenty five". More than four count as their first. */
static bool form(const int64_t *v, int n, int64_t *out)
{
    if (n <= 0)
        return false;
    *out = v[0];
    if (n == 2)
        *out = v[0] == 100 || v[1] == 100 ? v[0] * v[1] : v[0] + v[1];
    else if (n == 3)
        *out = v[0] * v[1] + v[2];
    else if (n == 4)
        *out = v[0] * v[1] + v[2] + v[3];
    return true;
}

/* The words behind the last scale that does not end the number are added, as word2number does: "two million three
 * thousand" counts its thousands there once more. */
static bool add_up(const int64_t *v, int n, const int at[SCALES], int64_t *out)
{
    int from = 0;
    int64_t part;
    *out = 0;
    for (int k = BILLION; k >= THOUSAND; k--) {
        if (at[k] < 0)
            continue;
        if (!form(v + from, at[k] - from, &part))
            return false;
        *out += part * scale_value[k];
        from = at[k] + 1;
    }
    int rest = n;
    for (int k = THOUSAND; k < SCALES && rest == n; k++)
        if (at[k] >= 0 && at[k] != n - 1)
            rest = at[k] + 1;
    if (from == 0)
        rest = 0; /* no scale at all */
    if (rest < n) {
        if (!form(v + rest, n - rest, &part))
            return false;
        *out += part;
    }
    return true;
}

static int read_words(struct mu_str words, int64_t *v)
{
    struct mu_str word;
    int n = 0;
    for (size_t pos = 0; n < WORDS_MAX && mu_doc_next_word(words, &pos, &word);)
        for (size_t i = 0; i < MU_COUNT(known); i++)
            if (mu_str_eq(word, mu_str(known[i].word)))
                v[n++] = known[i].value;
    return n;
}

bool mu_bbh_number(struct mu_str words, int64_t *out)
{
    int64_t v[WORDS_MAX];
    int at[SCALES], n = read_words(words, v);
    if (n == 0 || !find_scales(v, n, at))
        return false;
    if ((at[THOUSAND] >= 0 && (at[THOUSAND] < at[MILLION] || at[THOUSAND] < at[BILLION])) ||
        (at[MILLION] >= 0 && at[MILLION] < at[BILLION]))
        return false;
    *out = v[0];
    return n == 1 || add_up(v, n, at, out);
}
