/* ifeval_json.c - what Python's json.loads() takes: RFC 8259 and NaN, Infinity, -Infinity; one value, nested up to a
 * bound */
#include <stddef.h>
#include <stdint.h>

#include "eval/docs/ifeval_int.h"

#define DEPTH_MAX 990 /* Python's stack ends here too */

struct reader {
    const char *p, *end;
};

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take_digits(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

/* A fraction or an exponent that is not whole is left for what follows, which then fails. */
static bool take_number(struct reader *r)
{
    (void)take(r, '-');
    if (!take(r, '0') && !take_digits(r))
        return false;
    struct reader mark = *r;
    if (take(r, '.') && !take_digits(r))
        *r = mark;
    mark = *r;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            (void)take(r, '-');
        if (!take_digits(r))
            *r = mark;
    }
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static bool take_escape(struct reader *r)
{
    if (r->p == r->end)
        return false;
    char c = *r->p++;
    if (c != 'u')
        return c && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++, r->p++)
        if (r->p == r->end || !is_hex(*r->p))
            return false;
    return true;
}

static bool take_string(struct reader *r)
{
    if (!take(r, '"'))
        return false;
    while (r->p < r->end) {
        unsigned char c = (unsigned char)*r->p++;
        if (c == '"')
            return true;
        if (c < ' ' || (c == '\\' && !take_escape(r)))
            return false;
    }
    return false;
}

static bool take_scalar(struct reader *r)
{
    if (r->p < r->end && *r->p == '"')
        return take_string(r);
    return take_word(r, "true") || take_word(r, "false") || take_word(r, "null") || take_word(r, "NaN") ||
           take_word(r, "Infinity") || take_word(r, "-Infinity") || take_number(r);
}

static bool take_key(struct reader *r)
{
    skip_space(r);
    if (!take_string(r))
        return false;
    skip_space(r);
    return take(r, ':');
}

/* Without recursion: `open` holds the closing signs of what is open. */
static bool take_value(struct reader *r)
{
    char open[DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        skip_space(r);
        if (r->p < r->end && (*r->p == '[' || *r->p == '{')) {
            bool is_object = *r->p++ == '{';
            if (depth == DEPTH_MAX)
                return false;
            open[depth++] = is_object ? '}' : ']';
            skip_space(r);
            if (!take(r, open[depth - 1])) {
                if (is_object && !take_key(r))
                    return false;
                continue;
            }
            depth--;
        } else if (!take_scalar(r)) {
            return false;
        }
        for (;;) { /* a value has ended */
            if (depth == 0)
                return true;
            skip_space(r);
            if (take(r, ',')) {
                if (open[depth - 1] == '}' && !take_key(r))
                    return false;
                break;
            }
            if (!take(r, open[depth - 1]))
                return false;
            depth--;
        }
    }
}

bool mu_ifeval_is_json(struct mu_str s)
{
    struct reader r = {s.p, s.p + s.n};
    if (!take_value(&r))
        return false;
    skip_space(&r);
    return r.p == r.end;
}
