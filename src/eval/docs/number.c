/* number.c - what Python's float() takes */
#include "eval/docs/docs_int.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "tok/jinja/text.h"

/* A decimal digit of any script: each script's ten lie in a row. -1: none. */
static int digit_of(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9' ? (int)(cp - '0') : -1;
    if (!mu_t_is_decimal(cp))
        return -1;
    uint32_t first = cp;
    while (mu_t_is_decimal(first - 1))
        first--;
    return (int)((cp - first) % 10);
}

/* The text in ASCII letters; false when it has other characters or is too long to be a number. */
static bool to_ascii(struct mu_str s, char *p, size_t room)
{
    size_t n = 0, len;
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t cp = mu_t_at(s, i, &len);
        int d = digit_of(cp);
        if (n + 1 >= room || cp == 0 || (cp >= 0x80 && d < 0))
            return false;
        p[n++] = d >= 0 ? (char)('0' + d) : (char)cp;
    }
    p[n] = '\0';
    return n > 0;
}

/* Digits with single underscores between them, copied without; *n counts the digits. */
static bool take_digits(const char **in, char **out, int *n)
{
    const char *p = *in;
    for (*n = 0; (*p >= '0' && *p <= '9') || (*p == '_' && *n && p[-1] != '_'); p++)
        if (*p != '_') {
            *(*out)++ = *p;
            ++*n;
        }
    bool ends_well = *n == 0 || p[-1] != '_';
    *in = p;
    return ends_well;
}

static bool is_word(const char *p, const char *a, const char *b)
{
    return strcasecmp(p, a) == 0 || (b && strcasecmp(p, b) == 0);
}

/* sign digits . digits e sign digits, written to `plain` without underscores. */
static bool is_decimal_number(const char *p, char *plain)
{
    int whole, part = 0, power;
    if (*p == '+' || *p == '-')
        *plain++ = *p++;
    if (!take_digits(&p, &plain, &whole))
        return false;
    if (*p == '.') {
        *plain++ = *p++;
        if (!take_digits(&p, &plain, &part))
            return false;
    }
    if (whole + part == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        *plain++ = *p++;
        if (*p == '+' || *p == '-')
            *plain++ = *p++;
        if (!take_digits(&p, &plain, &power) || power == 0)
            return false;
    }
    *plain = '\0';
    return *p == '\0';
}

bool mu_doc_float(struct mu_str s, double *out)
{
    char text[512], plain[512];
    if (!to_ascii(mu_doc_strip(s), text, sizeof text))
        return false;
    const char *p = text + (*text == '+' || *text == '-');
    if (is_word(p, "inf", "infinity")) {
        *out = *text == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (is_word(p, "nan", NULL)) {
        *out = (double)NAN;
        return true;
    }
    if (!is_decimal_number(text, plain))
        return false;
    *out = strtod(plain, NULL);
    return true;
}
