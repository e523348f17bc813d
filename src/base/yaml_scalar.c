/* yaml_scalar.c - resolver and constructors of PyYAML's SafeLoader for plain scalars, pattern by pattern */
#include "base/yaml_scalar.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"

#define NUMBER_MAX 512 /* characters of a number */

static size_t run(struct mu_str s, size_t at, const char *set)
{
    while (at < s.n && s.p[at] && strchr(set, s.p[at]))
        at++;
    return at;
}

static size_t skip_sign(struct mu_str s)
{
    return s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
}

static bool is_any(struct mu_str s, const char *const *words)
{
    for (; *words; words++)
        if (mu_str_eq(s, mu_str(*words)))
            return true;
    return false;
}

static bool is_digit(struct mu_str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* (:[0-5]?[0-9])+ from at; at itself when there is none */
static size_t sixties(struct mu_str s, size_t at)
{
    while (at < s.n && s.p[at] == ':' && is_digit(s, at + 1)) {
        bool is_two = s.p[at + 1] <= '5' && is_digit(s, at + 2);
        at += is_two ? 3 : 2;
    }
    return at;
}

/* [eE][-+][0-9]+ or nothing, then the end */
static bool ends_float(struct mu_str s, size_t at)
{
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        if (at + 1 >= s.n || (s.p[at + 1] != '-' && s.p[at + 1] != '+') || !is_digit(s, at + 2))
            return false;
        at = run(s, at + 2, "0123456789");
    }
    return at == s.n;
}

static bool is_float(struct mu_str s)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL}, *const nan_[] = {".nan", ".NaN", ".NAN", NULL};
    size_t at = skip_sign(s);
    struct mu_str rest = {s.p + at, s.n - at};

    if (is_any(rest, inf) || is_any(s, nan_))
        return true;
    if (at == 0 && s.n > 1 && s.p[0] == '.' && is_digit(s, 1))
        return ends_float(s, run(s, 1, "0123456789_"));
    if (!is_digit(s, at))
        return false;
    at = run(s, at, "0123456789_");
    size_t after = sixties(s, at);
    if (after >= s.n || s.p[after] != '.')
        return false;
    size_t end = run(s, after + 1, "0123456789_");
    return after > at ? end == s.n : ends_float(s, end);
}

static bool is_int(struct mu_str s)
{
    size_t at = skip_sign(s);
    if (!is_digit(s, at))
        return false;
    if (s.p[at] == '0') {
        char c = at + 1 < s.n ? s.p[at + 1] : 0;
        if (at + 1 == s.n)
            return true;
        if (c == 'b' || c == 'x')
            return at + 2 < s.n && run(s, at + 2, c == 'b' ? "01_" : "0123456789abcdefABCDEF_") == s.n;
        return run(s, at + 1, "01234567_") == s.n;
    }
    at = run(s, at, "0123456789_");
    return sixties(s, at) == s.n;
}

enum mu_yaml_type mu_yaml_resolve(struct mu_str s)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"yes",   "Yes",   "YES", "no", "No", "NO",  "true", "True", "TRUE", "false",
                                        "False", "FALSE", "on",  "On", "ON", "off", "Off",  "OFF",  NULL};
    if (is_any(s, nulls))
        return MU_YAML_NULL;
    if (is_any(s, bools))
        return MU_YAML_BOOL;
    if (is_float(s))
        return MU_YAML_FLOAT;
    if (is_int(s))
        return MU_YAML_INT;
    return mu_str_eq(s, MU_STR("<<")) ? MU_YAML_MERGE : MU_YAML_STR;
}

/* ---- values ---- */

int mu_yaml_bool(struct mu_str s, int *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (s.n == strlen(words[i]) && strncasecmp(s.p, words[i], s.n) == 0) {
            *out = i & 1;
            return 0;
        }
    return -1;
}

/* Without underscores and sign into text; -1 when too long or empty. */
static int clean(struct mu_str s, char text[NUMBER_MAX], bool *is_negative)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_')
            continue;
        if (n + 1 == NUMBER_MAX || s.p[i] == 0)
            return -1;
        text[n++] = s.p[i];
    }
    text[n] = 0;
    *is_negative = text[0] == '-';
    if (text[0] == '-' || text[0] == '+')
        memmove(text, text + 1, n--);
    return n > 0 ? 0 : -1;
}

/* Digits of a base, exact while they fit; *real goes on. *out is the number below zero: there is one more of these. */
static int digits(const char *text, int base, bool *fits, int64_t *out, double *real)
{
    *out = 0;
    *real = 0;
    if (!*text)
        return -1;
    for (const char *p = text; *p; p++) {
        int d = *p >= '0' && *p <= '9'                     ? *p - '0'
                : (*p | 0x20) >= 'a' && (*p | 0x20) <= 'f' ? (*p | 0x20) - 'a' + 10
                                                           : 99;
        if (d >= base)
            return -1;
        *real = *real * base + d;
        *fits = *fits && !__builtin_mul_overflow(*out, base, out) && !__builtin_sub_overflow(*out, d, out);
    }
    if (base == 10 && !*fits)
        *real = strtod(text, NULL); /* correctly rounded */
    return 0;
}

/* 1:30:05 to seconds, below zero as above */
static int from_sixties(char *text, bool *fits, int64_t *out, double *real)
{
    int64_t sum = 0, part;
    double real_sum = 0, real_part;
    char *state;
    for (char *p = strtok_r(text, ":", &state); p; p = strtok_r(NULL, ":", &state)) {
        if (digits(p, 10, fits, &part, &real_part) != 0)
            return -1;
        real_sum = real_sum * 60 + real_part;
        *fits = *fits && !__builtin_mul_overflow(sum, 60, &sum) && !__builtin_add_overflow(sum, part, &sum);
    }
    *out = sum;
    *real = real_sum;
    return 0;
}

int mu_yaml_int(struct mu_str s, int64_t *out, double *real)
{
    char text[NUMBER_MAX];
    bool is_negative, fits = true;
    int rc;

    if (clean(s, text, &is_negative) != 0)
        return -1;
    if (strchr(text, ':'))
        rc = from_sixties(text, &fits, out, real);
    else if (text[0] == '0' && (text[1] == 'b' || text[1] == 'x'))
        rc = digits(text + 2, text[1] == 'b' ? 2 : 16, &fits, out, real);
    else
        rc = digits(text, text[0] == '0' ? 8 : 10, &fits, out, real);
    if (rc != 0)
        return -1;
    if (is_negative) {
        *real = -*real;
    } else if (fits && __builtin_sub_overflow(0, *out, out)) {
        *real = 0x1p63;
        fits = false;
    }
    return fits ? 0 : 1;
}

int mu_yaml_float(struct mu_str s, double *out)
{
    char text[NUMBER_MAX], *end, *state;
    bool is_negative;

    if (clean(s, text, &is_negative) != 0)
        return -1;
    if (strcasecmp(text, ".inf") == 0) {
        *out = INFINITY;
    } else if (strcasecmp(text, ".nan") == 0) {
        *out = NAN;
    } else if (strchr(text, ':')) {
        *out = 0;
        for (char *p = strtok_r(text, ":", &state); p; p = strtok_r(NULL, ":", &state)) {
            *out = *out * 60 + strtod(p, &end);
            if (*end || end == p)
                return -1;
        }
    } else {
        *out = strtod(text, &end);
        if (*end || strpbrk(text, "xXpPiInN"))
            return -1;
    }
    *out = is_negative ? -*out : *out;
    return 0;
}
