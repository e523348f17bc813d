/* text.c - what Python's str and re say of a text: length, digits, white space, words */
#include "eval/py/value.h"
#include "tok/jinja/text.h"

size_t mu_py_len(struct mu_str s)
{
    return mu_t_chars(s);
}

bool mu_py_isdigit(struct mu_str s)
{
    size_t len;
    for (size_t at = 0; at < s.n; at += len)
        if (!mu_t_is_digit(mu_t_at(s, at, &len)))
            return false;
    return s.n > 0;
}

bool mu_py_isspace(uint32_t c)
{
    return mu_t_is_space(c);
}

struct mu_str mu_py_strip(struct mu_str s, bool left, bool right)
{
    struct mu_str white = {NULL, 0};
    if (left)
        s = mu_t_lstrip(s, white);
    return right ? mu_t_rstrip(s, white) : s;
}

/* One more than there are runs of white space: a run at either end leaves an empty text, which counts. */
int64_t mu_py_words(struct mu_str s)
{
    int64_t n = 1;
    bool is_in_run = false;
    size_t len;
    for (size_t at = 0; at < s.n; at += len) {
        bool is_space = mu_t_is_space(mu_t_at(s, at, &len));
        n += is_space && !is_in_run;
        is_in_run = is_space;
    }
    return n;
}
