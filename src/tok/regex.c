/* regex.c - compiling and matching through PCRE2 with JIT (translation: regex_syntax.c) */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tok/regex.h"

#include <pcre2.h>

#include "base/check.h"
#include "base/mem.h"

/* Steps of one match before it is called endless. Splitting a text that is one run of 2^29 spaces takes one step a
 * byte; a pattern that backtracks exponentially reaches the bound in a second or two. */
#define MATCH_STEPS_MAX 200000000u
#define MATCH_HEAP_KIB  262144u /* heap of the interpreter, used when the JIT's stack is too small */

struct mu_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    char *where, *pattern; /* for sentences */
};

/* Looking ahead for characters that must come misses matches in 10.42, as of (?=a)\w*(?:a|ab) in "_aab". */
#define OPTIONS (PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_START_OPTIMIZE)

static void *regex_alloc(size_t bytes, void *arg)
{
    (void)arg;
    return mu_alloc(bytes);
}

static void regex_free(void *p, void *arg)
{
    (void)arg;
    mu_free(p);
}

void *mu_regex_heap(void)
{
    return pcre2_general_context_create(regex_alloc, regex_free, NULL);
}

static int compile(struct mu_regex *r, const struct mu_buf *pattern, const char *where, struct mu_err *e)
{
    int code = 0, rc = MU_OK;
    PCRE2_SIZE at = 0;
    pcre2_general_context *heap = mu_regex_heap();
    pcre2_compile_context *context = heap ? pcre2_compile_context_create(heap) : NULL;

    if (!context) {
        rc = mu_fail_nomem(e, pattern->n, "a pattern");
        goto out;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code = pcre2_compile((PCRE2_SPTR)mu_buf_str(pattern).p, pattern->n, OPTIONS, &code, &at, context);
    if (!r->code) {
        unsigned char why[128];
        pcre2_get_error_message(code, why, sizeof why);
        if (code == PCRE2_ERROR_HEAP_FAILED) {
            rc = mu_fail_nomem(e, pattern->n, "a pattern");
            goto out;
        }
        rc = mu_fail(e, MU_EFORMAT, "%s: the pattern \"%.200s\" does not compile at byte %zu: %s", where,
                     mu_buf_str(pattern).p, (size_t)at, (const char *)why);
        goto out;
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs the pattern */
    r->limits = pcre2_match_context_create(heap);
    if (!r->limits) {
        rc = mu_fail_nomem(e, pattern->n, "a pattern");
        goto out;
    }
    pcre2_set_match_limit(r->limits, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(r->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(r->limits, MATCH_HEAP_KIB);
out:
    pcre2_compile_context_free(context);
    pcre2_general_context_free(heap);
    return rc;
}

int mu_regex_compile(struct mu_regex **out, struct mu_str pattern, const char *where, struct mu_err *e)
{
    struct mu_regex *r = NULL;
    struct mu_buf text = MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX);
    int rc = MU_OK;

    MU_TRY(MU_NEW(&r, "a pattern", e));
    MU_TRY(mu_regex_translate(&text, pattern, where, e));
    MU_TRY(compile(r, &text, where, e));
    r->where = mu_strdup(where);
    r->pattern = mu_strndup(pattern.p, pattern.n);
    if (!r->where || !r->pattern) {
        rc = mu_fail_nomem(e, pattern.n, "a pattern");
        goto out;
    }
    *out = r;
    r = NULL;
out:
    mu_regex_free(r);
    mu_buf_fini(&text);
    return rc;
}

void mu_regex_free(struct mu_regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
    mu_free(r->where);
    mu_free(r->pattern);
    mu_free(r);
}

void mu_matcher_fini(struct mu_matcher *m)
{
    pcre2_match_data_free(m->data);
    m->data = NULL;
}

static int matcher_ready(struct mu_matcher *m, struct mu_err *e)
{
    if (m->data)
        return MU_OK;
    pcre2_general_context *heap = mu_regex_heap();
    m->data = heap ? pcre2_match_data_create(1, heap) : NULL;
    pcre2_general_context_free(heap);
    return m->data ? MU_OK : mu_fail_nomem(e, 64, "a matcher");
}

static int fail_match(const struct mu_regex *r, int code, size_t from, struct mu_err *e)
{
    unsigned char why[128];
    if (code == PCRE2_ERROR_NOMEMORY)
        return mu_fail_nomem(e, 0, "matching a pattern");
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT || code == PCRE2_ERROR_HEAPLIMIT)
        return mu_fail(e, MU_ELIMIT, "%s: the pattern \"%.200s\" backtracks without end at byte %zu of a text",
                       r->where, r->pattern, from);
    pcre2_get_error_message(code, why, sizeof why);
    return mu_fail(e, MU_EINTERNAL, "%s: matching \"%.200s\" at byte %zu: %s", r->where, r->pattern, from,
                   (const char *)why);
}

int mu_regex_find(const struct mu_regex *r, struct mu_matcher *m, const char *text, size_t n, size_t from, bool *found,
                  size_t *begin, size_t *end, const char **mark, struct mu_err *e)
{
    MU_TRY_RETURN(matcher_ready(m, e));
    int got = pcre2_match(r->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, m->data, r->limits);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT)
        got = pcre2_match(r->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, r->limits);
    *found = false;
    if (got == PCRE2_ERROR_NOMATCH)
        return MU_OK;
    if (got < 0)
        return fail_match(r, got, from, e);
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data);
    *found = true;
    *begin = v[0];
    *end = v[1];
    if (mark)
        *mark = (const char *)pcre2_get_mark(m->data);
    return MU_OK;
}
