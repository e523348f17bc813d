/* regex.c - Python's re: compiling, and walking over matches (translation: regex_syntax.c, sub: regex_sub.c) */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "eval/py/regex.h"

#include <pcre2.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/py/regex_int.h"
#include "tok/regex.h"

/* Steps of one match from one place before it is called endless: a second or two of an exponential pattern. */
#define MATCH_STEPS_MAX 20000000u
#define MATCH_HEAP_KIB  262144u /* heap of the interpreter, used when the JIT's stack is too small */

#define TRANSLATED_MAX ((size_t)4 << 20)

static int fail_compile(const struct mu_pyre *r, int code, struct mu_err *e)
{
    unsigned char why[128];
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return mu_fail_nomem(e, r->pattern_n, "a pattern");
    pcre2_get_error_message(code, why, sizeof why);
    return mu_fail(e, MU_EUNSUPPORTED, "%s: the pattern \"%.200s\" is beyond PCRE2: %s", r->where, r->pattern,
                   (const char *)why);
}

static int compile(struct mu_pyre *r, struct mu_err *e)
{
    static const unsigned ours[] = {MU_PYRE_IGNORECASE, MU_PYRE_MULTILINE, MU_PYRE_DOTALL};
    static const uint32_t theirs[] = {PCRE2_CASELESS, PCRE2_MULTILINE, PCRE2_DOTALL};
    /* Looking ahead for characters that must come misses matches in 10.42: tok/regex.c. */
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_ALT_CIRCUMFLEX | PCRE2_NO_START_OPTIMIZE;
    int code = 0, rc = MU_OK;
    PCRE2_SIZE at = 0;
    pcre2_general_context *heap = mu_regex_heap();
    pcre2_compile_context *context = heap ? pcre2_compile_context_create(heap) : NULL;

    for (int i = 0; i < 3; i++)
        options |= r->syntax.flags & ours[i] ? theirs[i] : 0;
    r->limits = heap ? pcre2_match_context_create(heap) : NULL;
    if (!context || !r->limits) {
        rc = mu_fail_nomem(e, r->pattern_n, "a pattern");
        goto out;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    struct mu_str text = mu_buf_str(&r->syntax.out);
    r->code = pcre2_compile((PCRE2_SPTR)text.p, text.n, options, &code, &at, context);
    if (!r->code) {
        rc = fail_compile(r, code, e);
        goto out;
    }
    if (!r->syntax.is_atomic) /* 10.42's JIT keeps groups of a possessive repeat that was given up */
        pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs the pattern */
    pcre2_set_match_limit(r->limits, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(r->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(r->limits, MATCH_HEAP_KIB);
out:
    pcre2_compile_context_free(context);
    pcre2_general_context_free(heap);
    return rc;
}

int mu_pyre_compile(struct mu_pyre **out, struct mu_str pattern, unsigned flags, const char *where, struct mu_err *e)
{
    struct mu_pyre *r = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&r, "a pattern", e));
    r->syntax.out = (struct mu_buf)MU_BUF_INIT("a pattern", TRANSLATED_MAX);
    r->where = mu_strdup(where);
    r->pattern = mu_strndup(pattern.n ? pattern.p : "", pattern.n);
    r->pattern_n = pattern.n;
    if (!r->where || !r->pattern) {
        rc = mu_fail_nomem(e, pattern.n, "a pattern");
        goto out;
    }
    MU_TRY(mu_pyre_translate(&r->syntax, (struct mu_str){r->pattern, pattern.n}, flags, r->where, e));
    MU_TRY(compile(r, e));
    *out = r;
    r = NULL;
out:
    mu_pyre_free(r);
    return rc;
}

void mu_pyre_free(struct mu_pyre *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
    mu_buf_fini(&r->syntax.out);
    mu_free(r->where);
    mu_free(r->pattern);
    mu_free(r);
}

int mu_pyre_groups(const struct mu_pyre *r)
{
    return r->syntax.groups;
}

/* ---- matching ---- */

static int fail_match(const struct mu_pyre *r, int code, size_t from, struct mu_err *e)
{
    unsigned char why[128];
    if (code == PCRE2_ERROR_NOMEMORY)
        return mu_fail_nomem(e, 0, "matching a pattern");
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT || code == PCRE2_ERROR_HEAPLIMIT)
        return mu_fail(e, MU_ELIMIT,
                       "%s: the pattern \"%.200s\" takes more than %u steps at byte %zu of a text: make it simpler",
                       r->where, r->pattern, MATCH_STEPS_MAX, from);
    pcre2_get_error_message(code, why, sizeof why);
    return mu_fail(e, MU_EINTERNAL, "%s: matching \"%.200s\" at byte %zu: %s", r->where, r->pattern, from,
                   (const char *)why);
}

static int match_at(const struct mu_pyre_walk *w, uint32_t options, bool *found, struct mu_pyre_match *m,
                    struct mu_err *e)
{
    const struct mu_pyre *r = w->r;
    PCRE2_SPTR text = (PCRE2_SPTR)(w->text.p ? w->text.p : "");

    options |= PCRE2_NO_UTF_CHECK;
    int got = pcre2_match(r->code, text, w->text.n, w->from, options, w->data, r->limits);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT)
        got = pcre2_match(r->code, text, w->text.n, w->from, options | PCRE2_NO_JIT, w->data, r->limits);
    *found = got >= 0;
    if (got == PCRE2_ERROR_NOMATCH)
        return MU_OK;
    if (got < 0)
        return fail_match(r, got, w->from, e);
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->data);
    m->n = r->syntax.groups + 1;
    for (int i = 0; i < m->n; i++) {
        bool took_part = i < got && v[2 * i] != PCRE2_UNSET;
        m->begin[i] = took_part ? v[2 * i] : SIZE_MAX;
        m->end[i] = took_part ? v[2 * i + 1] : SIZE_MAX;
    }
    return MU_OK;
}

int mu_pyre_walk_begin(struct mu_pyre_walk *w, const struct mu_pyre *r, struct mu_str text, struct mu_err *e)
{
    *w = (struct mu_pyre_walk){.r = r, .text = text};
    if (text.n > 0 && mu_utf8_valid_prefix(text.p, text.n) != text.n)
        return mu_fail(e, MU_EINVAL, "%s: a text that the pattern \"%.200s\" shall be matched with is not UTF-8",
                       r->where, r->pattern);
    w->data = pcre2_match_data_create_from_pattern(r->code, NULL);
    return w->data ? MU_OK : mu_fail_nomem(e, 64, "a match");
}

void mu_pyre_walk_end(struct mu_pyre_walk *w)
{
    pcre2_match_data_free(w->data);
    w->data = NULL;
}

int mu_pyre_walk_next(struct mu_pyre_walk *w, bool *found, struct mu_pyre_match *m, struct mu_err *e)
{
    *found = false;
    MU_TRY_RETURN(match_at(w, w->was_empty ? PCRE2_NOTEMPTY_ATSTART : 0, found, m, e));
    if (*found) {
        w->from = m->end[0];
        w->was_empty = m->begin[0] == m->end[0];
    }
    return MU_OK;
}

int mu_pyre_search(const struct mu_pyre *r, struct mu_str text, size_t from, bool anchored, bool *found,
                   struct mu_pyre_match *m, struct mu_err *e)
{
    struct mu_pyre_walk w = {.data = NULL};
    int rc = MU_OK;

    *found = false;
    if (from > text.n)
        return MU_OK;
    MU_TRY(mu_pyre_walk_begin(&w, r, text, e));
    w.from = from;
    MU_TRY(match_at(&w, anchored ? PCRE2_ANCHORED : 0, found, m, e));
out:
    mu_pyre_walk_end(&w);
    return rc;
}

/* ---- findall ---- */

static json_t *group_text(struct mu_str text, const struct mu_pyre_match *m, int group)
{
    if (m->begin[group] == SIZE_MAX)
        return json_string("");
    return json_stringn_nocheck((text.p ? text.p : "") + m->begin[group], m->end[group] - m->begin[group]);
}

static json_t *match_value(struct mu_str text, const struct mu_pyre_match *m)
{
    if (m->n <= 2)
        return group_text(text, m, m->n - 1);
    json_t *groups = json_array();
    for (int i = 1; i < m->n; i++)
        if (json_array_append_new(groups, group_text(text, m, i)) != 0) {
            json_decref(groups);
            return NULL;
        }
    return groups;
}

int mu_pyre_findall(const struct mu_pyre *r, struct mu_str text, json_t **out, struct mu_err *e)
{
    struct mu_pyre_walk w = {.data = NULL};
    struct mu_pyre_match m;
    json_t *all = NULL;
    bool found = true;
    int rc = MU_OK;

    mu_json_init();
    all = json_array();
    if (!all) {
        rc = mu_fail_nomem(e, sizeof all, "matches");
        goto out;
    }
    MU_TRY(mu_pyre_walk_begin(&w, r, text, e));
    for (;;) {
        MU_TRY(mu_pyre_walk_next(&w, &found, &m, e));
        if (!found)
            break;
        if (json_array_append_new(all, match_value(text, &m)) != 0) {
            rc = mu_fail_nomem(e, m.end[0] - m.begin[0], "matches");
            goto out;
        }
    }
    *out = all;
    all = NULL;
out:
    json_decref(all);
    mu_pyre_walk_end(&w);
    return rc;
}
