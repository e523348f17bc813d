/* regex.c - Python's re.sub on PCRE2
 *
 * Patterns are nearly the same language. Two things are put into PCRE2's words: \Z (Python: the very end) and {,n}
 * (Python: from 0). The replacement follows Python: \1, \g<1>, \g<name>, \n and the like; a group that took no part
 * is empty; after an empty match the next one must not be empty at the same place. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "tok/jinja/render.h"
#include "tok/jinja/text.h"

#define REGEX_MATCH_LIMIT 1000000 /* PCRE2's steps for one match: a pattern that explodes is refused in time */
#define REGEX_MATCH_STEPS 64      /* of the render's, that one match counts for */
#define REGEX_DEPTH_LIMIT 10000
#define REGEX_HEAP_KIB    16384

static void *regex_alloc(size_t n, void *arg)
{
    (void)arg;
    return mu_alloc(n);
}

static void regex_free(void *p, void *arg)
{
    (void)arg;
    mu_free(p);
}

struct regex {
    struct mu_jin *J;
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_code *code;
    pcre2_match_data *match;
    struct mu_str pattern, replacement, text;
};

/* The pattern in PCRE2's words. */
static int translate(struct mu_jin *J, struct mu_str s, struct mu_jv *out)
{
    size_t mark = mu_j_mark(J);
    bool in_class = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n) {
            MU_TRY_RETURN(mu_j_add(J, s.p[i + 1] == 'Z' && !in_class ? MU_STR("\\z") : mu_t_sub(s, i, i + 2)));
            i++;
            continue;
        }
        in_class = s.p[i] == '[' || (in_class && s.p[i] != ']');
        bool is_from_0 =
            s.p[i] == '{' && !in_class && i + 2 < s.n && s.p[i + 1] == ',' && s.p[i + 2] >= '0' && s.p[i + 2] <= '9';
        MU_TRY_RETURN(mu_j_add(J, is_from_0 ? MU_STR("{0") : mu_t_sub(s, i, i + 1)));
    }
    return mu_j_take(J, mark, out);
}

static int open_regex(struct regex *r)
{
    int code;
    size_t at;
    unsigned char text[128];
    struct mu_jv pattern;

    MU_TRY_RETURN(translate(r->J, r->pattern, &pattern));
    r->general = pcre2_general_context_create(regex_alloc, regex_free, NULL);
    r->limits = r->general ? pcre2_match_context_create(r->general) : NULL;
    pcre2_compile_context *context = r->limits ? pcre2_compile_context_create(r->general) : NULL;
    if (!context)
        return mu_j_fail(r->J, MU_ENOMEM, "out of memory for a pattern");
    r->code = pcre2_compile((PCRE2_SPTR)pattern.s.p, pattern.s.n, PCRE2_UTF | PCRE2_UCP, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!r->code) {
        pcre2_get_error_message(code, text, sizeof text);
        return mu_j_fail(r->J, code == PCRE2_ERROR_HEAP_FAILED ? MU_ENOMEM : MU_EINVAL,
                         "the pattern '%.*s': %s at position %zu", (int)MU_MIN(r->pattern.n, 200u), r->pattern.p,
                         (char *)text, at);
    }
    pcre2_set_match_limit(r->limits, REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, REGEX_DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, REGEX_HEAP_KIB);
    r->match = pcre2_match_data_create_from_pattern(r->code, r->general);
    return r->match ? MU_OK : mu_j_fail(r->J, MU_ENOMEM, "out of memory for a pattern");
}

static void close_regex(struct regex *r)
{
    pcre2_match_data_free(r->match);
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
    pcre2_general_context_free(r->general);
}

/* ---- the replacement ---- */

static int add_group(struct regex *r, uint32_t group)
{
    size_t *v = pcre2_get_ovector_pointer(r->match);
    if (group >= pcre2_get_ovector_count(r->match))
        return mu_j_fail(r->J, MU_EINVAL, "invalid group reference %u", group);
    if (v[2 * group] == PCRE2_UNSET || v[2 * group] > v[2 * group + 1])
        return MU_OK;
    return mu_j_add(r->J, mu_t_sub(r->text, v[2 * group], v[2 * group + 1]));
}

/* \g<name> or \g<1>; at is after the g */
static int add_named(struct regex *r, size_t *at)
{
    struct mu_str s = r->replacement;
    size_t end = mu_t_find(s, MU_STR(">"), *at);
    if (*at >= s.n || s.p[*at] != '<' || end == SIZE_MAX || end == *at + 1 || end - *at > 60)
        return mu_j_fail(r->J, MU_EINVAL, "missing group name in the replacement");
    char name[64] = "";
    memcpy(name, s.p + *at + 1, end - *at - 1);
    *at = end + 1;
    uint32_t number = 0;
    bool is_number = true;
    for (const char *p = name; *p; p++) {
        is_number &= *p >= '0' && *p <= '9';
        number = is_number ? MU_MIN(number * 10 + (uint32_t)(*p - '0'), 100000u) : 0;
    }
    if (is_number)
        return add_group(r, number);
    int found = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)name);
    return found > 0 ? add_group(r, (uint32_t)found) : mu_j_fail(r->J, MU_EINVAL, "unknown group name '%s'", name);
}

static bool is_octal(struct mu_str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '7';
}

/* \1, \12, \012, \123; at is on the first digit */
static int add_numbered(struct regex *r, size_t *at)
{
    struct mu_str s = r->replacement;
    char c = s.p[*at];
    bool three = c <= '3' && is_octal(s, *at) && is_octal(s, *at + 1) && is_octal(s, *at + 2);
    if (c == '0' || three) {
        char text[2];
        int value = 0, n = 0;
        for (; n < 3 && is_octal(s, *at); n++)
            value = value * 8 + (s.p[(*at)++] - '0');
        if (value < 0x80) {
            text[0] = (char)value;
            return mu_j_add(r->J, (struct mu_str){text, 1});
        }
        text[0] = (char)(0xC0 | value >> 6);
        text[1] = (char)(0x80 | (value & 0x3F));
        return mu_j_add(r->J, (struct mu_str){text, 2});
    }
    uint32_t group = (uint32_t)(s.p[(*at)++] - '0');
    if (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9')
        group = group * 10 + (uint32_t)(s.p[(*at)++] - '0');
    return add_group(r, group);
}

static int add_replacement(struct regex *r)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    struct mu_str s = r->replacement;
    for (size_t i = 0; i < s.n;) {
        size_t slash = mu_t_find(s, MU_STR("\\"), i), end = slash == SIZE_MAX ? s.n : slash;
        MU_TRY_RETURN(mu_j_add(r->J, mu_t_sub(s, i, end)));
        i = end;
        if (slash == SIZE_MAX)
            break;
        if (slash + 1 >= s.n)
            return mu_j_fail(r->J, MU_EINVAL, "bad escape (end of pattern) in the replacement");
        char c = s.p[slash + 1];
        const char *plain = c ? strchr(from, c) : NULL;
        i = slash + 1;
        if (c >= '0' && c <= '9') {
            MU_TRY_RETURN(add_numbered(r, &i));
        } else if (c == 'g') {
            i++;
            MU_TRY_RETURN(add_named(r, &i));
        } else if (plain) {
            MU_TRY_RETURN(mu_j_add(r->J, (struct mu_str){&to[plain - from], 1}));
            i++;
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') {
            return mu_j_fail(r->J, MU_EINVAL, "bad escape \\%c in the replacement", c);
        } else {
            MU_TRY_RETURN(mu_j_add(r->J, MU_STR("\\")));
        }
    }
    return MU_OK;
}

/* ---- matching ---- */

static int substitute(struct regex *r, int64_t count)
{
    size_t done = 0, at = 0, *v = pcre2_get_ovector_pointer(r->match);
    uint32_t options = PCRE2_NO_UTF_CHECK;
    bool is_limited = count > 0;

    while (at <= r->text.n && (!is_limited || count-- > 0)) {
        MU_TRY_RETURN(mu_j_work(r->J, REGEX_MATCH_STEPS));
        int rc =
            pcre2_match(r->code, (PCRE2_SPTR)(r->text.p ? r->text.p : ""), r->text.n, at, options, r->match, r->limits);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            return mu_j_fail(r->J, rc == PCRE2_ERROR_NOMEMORY ? MU_ENOMEM : MU_ELIMIT,
                             "the pattern '%.*s' needs too many steps on this text (PCRE2 error %d)",
                             (int)MU_MIN(r->pattern.n, 200u), r->pattern.p, rc);
        if (v[0] > v[1] || v[0] < at)
            return mu_j_fail(r->J, MU_EUNSUPPORTED, "a pattern with \\K is not supported");
        MU_TRY_RETURN(mu_j_add(r->J, mu_t_sub(r->text, done, v[0])));
        MU_TRY_RETURN(add_replacement(r));
        done = at = v[1];
        options = PCRE2_NO_UTF_CHECK | (v[0] == v[1] ? PCRE2_NOTEMPTY_ATSTART : 0);
    }
    return mu_j_add(r->J, mu_t_sub(r->text, done, r->text.n));
}

int mu_j_regex_sub(struct mu_jin *J, struct mu_str pattern, struct mu_str replacement, struct mu_str text,
                   int64_t count, struct mu_jv *out)
{
    struct regex r = {.J = J, .pattern = pattern, .replacement = replacement, .text = text};
    size_t mark = mu_j_mark(J);
    int rc;
    MU_TRY(open_regex(&r));
    MU_TRY(substitute(&r, count));
    MU_TRY(mu_j_take(J, mark, out));
out:
    close_regex(&r);
    return rc;
}
