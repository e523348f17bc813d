/* pattern.c - finding a literal or a regex, and replacing all that is found */
#include "tok/tok_int.h"

#include "base/check.h"
#include "base/utf8.h"

static size_t char_length(const char *p, size_t n)
{
    uint32_t cp;
    int len = mu_utf8_decode(p, n, &cp);
    return len > 0 ? (size_t)len : 1;
}

int mu_tok_pattern_find(const struct mu_tok_pattern *p, struct mu_matcher *m, const char *text, size_t n, size_t from,
                        bool *found, size_t *begin, size_t *end, struct mu_err *e)
{
    *found = false;
    if (from > n)
        return MU_OK;
    if (p->regex)
        return mu_regex_find(p->regex, m, text, n, from, found, begin, end, NULL, e);
    const char *at = p->literal.n ? memmem(text + from, n - from, p->literal.p, p->literal.n) : NULL;
    if (!at)
        return MU_OK;
    *found = true;
    *begin = (size_t)(at - text);
    *end = *begin + p->literal.n;
    return MU_OK;
}

int mu_tok_replace(const struct mu_tok_pattern *p, struct mu_matcher *m, struct mu_str in, struct mu_str content,
                   struct mu_buf *out, struct mu_err *e)
{
    size_t done = 0, from = 0, begin, end;
    bool found;
    for (;;) {
        MU_TRY_RETURN(mu_tok_pattern_find(p, m, in.p, in.n, from, &found, &begin, &end, e));
        if (!found)
            break;
        MU_TRY_RETURN(mu_buf_add(out, in.p + done, begin - done, e));
        MU_TRY_RETURN(mu_buf_add(out, content.p, content.n, e));
        done = end;
        from = end > begin ? end : end < in.n ? end + char_length(in.p + end, in.n - end) : in.n + 1;
    }
    return mu_buf_add(out, in.p + done, in.n - done, e);
}
