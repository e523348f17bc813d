/* report_json.c - JSON as Python's json writes it
 *
 * lm-evaluation-harness writes numbers that are not finite as NaN, Infinity and -Infinity, which JSON does not have
 * (json.dumps, allow_nan). They are read as texts of these names, so that the page can show them as they are. */
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "dash/report_int.h"

static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

/* Length of the word that begins here, or 0. */
static size_t word_at(const char *p, size_t n)
{
    for (size_t i = 0; i < MU_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if (n >= len && memcmp(p, words[i], len) == 0)
            return len;
    }
    return 0;
}

static bool may_hold_words(struct mu_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == 'N' || s.p[i] == 'I') && word_at(s.p + i, s.n - i))
            return true;
    return false;
}

/* The text with the words outside of its strings in quotes. */
static int quote_words(struct mu_buf *out, struct mu_str s, struct mu_err *e)
{
    bool in_string = false;
    for (size_t i = 0; i < s.n; i++) {
        size_t word = in_string ? 0 : word_at(s.p + i, s.n - i);
        if (word) {
            MU_TRY_RETURN(mu_buf_printf(out, e, "\"%.*s\"", (int)word, s.p + i));
            i += word - 1;
            continue;
        }
        if (in_string && s.p[i] == '\\' && i + 1 < s.n)
            MU_TRY_RETURN(mu_buf_putc(out, s.p[i++], e));
        else if (s.p[i] == '"')
            in_string = !in_string;
        MU_TRY_RETURN(mu_buf_putc(out, s.p[i], e));
    }
    return MU_OK;
}

int mu_report_json(json_t **out, struct mu_str text, const char *where, struct mu_err *e)
{
    struct mu_buf plain = MU_BUF_INIT("JSON", 2 * MU_JSON_BYTES_MAX);
    int rc;
    if (!may_hold_words(text))
        return mu_json_parse(out, text, where, e);
    MU_TRY(quote_words(&plain, text, e));
    MU_TRY(mu_json_parse(out, mu_buf_str(&plain), where, e));
out:
    mu_buf_fini(&plain);
    return rc;
}
