/* multi_choice_regex.c - the chosen answer of a multiple choice question, as "(A)"
 *
 * Three tries: the task's regular expression; the text of a choice; a letter after a colon. What the harness builds
 * regular expressions for in the last two is searched for directly. Before texts of choices are looked for, both they
 * and the response lose what the task says is to be ignored. */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "eval/py/case.h"
#include "eval/py/truth.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

#include <utf8proc.h>

#define CHOICES_MAX 26 /* letters */
#define IGNORED_MAX 64

struct chooser {
    struct mu_filter_regex_args find;
    struct mu_pyre *ignored[IGNORED_MAX];
    int n_ignored;
    bool ignore_case, ignore_punctuation;
    json_t *choice[CHOICES_MAX]; /* of the document at hand: texts, after ignoring */
    int order[CHOICES_MAX];      /* in which they are looked for: the longest first */
    int n_choices;
};

/* ---- arguments ---- */

static int read_ignored(struct chooser *c, const json_t *list, struct mu_err *e)
{
    json_t *pattern;
    size_t i;

    if (!list || json_is_null(list))
        return MU_OK;
    if (!json_is_array(list) || json_array_size(list) > IGNORED_MAX)
        return mu_fail(e, MU_EFORMAT,
                       "filter multi_choice_regex: regexes_to_ignore must be a list of at most %d regular expressions",
                       IGNORED_MAX);
    json_array_foreach(list, i, pattern)
    {
        if (!json_is_string(pattern))
            return mu_fail(e, MU_EFORMAT, "filter multi_choice_regex: regexes_to_ignore[%zu] is not a text", i);
        MU_TRY_RETURN(mu_pyre_compile(&c->ignored[i], mu_filter_str(pattern), 0,
                                      "filter multi_choice_regex, regexes_to_ignore", e));
        c->n_ignored++;
    }
    return MU_OK;
}

static int chooser_open(struct chooser *c, const json_t *kwargs, struct mu_err *e)
{
    *c = (struct chooser){0};
    MU_TRY_RETURN(mu_filter_regex_open(&c->find, "multi_choice_regex", kwargs, e));
    c->ignore_case = mu_py_truth(json_object_get(kwargs, "ignore_case"));
    c->ignore_punctuation = mu_py_truth(json_object_get(kwargs, "ignore_punctuation"));
    return read_ignored(c, json_object_get(kwargs, "regexes_to_ignore"), e);
}

static void forget_choices(struct chooser *c)
{
    while (c->n_choices > 0)
        json_decref(c->choice[--c->n_choices]);
}

static void chooser_close(struct chooser *c)
{
    forget_choices(c);
    for (int i = 0; i < c->n_ignored; i++)
        mu_pyre_free(c->ignored[i]);
    mu_filter_regex_close(&c->find);
}

/* ---- what is ignored ---- */

static bool is_punctuation(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

static int drop_punctuation(struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    size_t len;
    for (size_t i = 0; i < s.n; i += len)
        if (!is_punctuation(mu_t_at(s, i, &len)))
            MU_TRY_RETURN(mu_buf_add(out, s.p + i, len, e));
    return MU_OK;
}

static int ignore(const struct chooser *c, struct mu_str s, struct mu_buf *out, struct mu_buf *spare, struct mu_err *e)
{
    struct mu_buf swap;
    mu_buf_clear(out);
    MU_TRY_RETURN(mu_buf_add(out, s.p, s.n, e));
    for (int i = 0; i < c->n_ignored; i++) {
        mu_buf_clear(spare);
        MU_TRY_RETURN(mu_pyre_sub(c->ignored[i], MU_STR(""), mu_buf_str(out), 0, spare, e));
        swap = *out, *out = *spare, *spare = swap;
    }
    if (c->ignore_case) {
        mu_buf_clear(spare);
        MU_TRY_RETURN(mu_py_lower(spare, mu_buf_str(out), e));
        swap = *out, *out = *spare, *spare = swap;
    }
    if (c->ignore_punctuation) {
        mu_buf_clear(spare);
        MU_TRY_RETURN(drop_punctuation(mu_buf_str(out), spare, e));
        swap = *out, *out = *spare, *spare = swap;
    }
    return MU_OK;
}

static int ignored_text(const struct chooser *c, struct mu_str s, json_t **out, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a filtered response", MU_FILTER_TEXT_MAX), spare = text;
    int rc = ignore(c, s, &text, &spare, e);
    if (rc == MU_OK)
        rc = mu_filter_text(mu_buf_str(&text), out, e);
    mu_buf_fini(&text);
    mu_buf_fini(&spare);
    return rc;
}

static int read_choices(struct chooser *c, const json_t *doc, struct mu_err *e)
{
    const json_t *choices = json_object_get(doc, "choices");
    json_t *choice;
    size_t i;

    forget_choices(c);
    if (!json_is_array(choices))
        return mu_fail(e, MU_EINVAL, "filter multi_choice_regex needs documents with a list `choices`; one has none");
    if (json_array_size(choices) > CHOICES_MAX)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "filter multi_choice_regex: a document has %zu choices, more than there are letters",
                       json_array_size(choices));
    json_array_foreach(choices, i, choice)
    {
        if (!json_is_string(choice))
            return mu_fail(e, MU_EINVAL, "filter multi_choice_regex: choice %zu of a document is not a text", i);
        MU_TRY_RETURN(ignored_text(c, mu_py_strip(mu_filter_str(choice), true, true), &c->choice[c->n_choices], e));
        c->n_choices++;
    }
    return MU_OK;
}

/* Characters of a choice in a regular expression, where some need a backslash (re.escape): its rank among others. */
static size_t escaped_length(struct mu_str s)
{
    size_t n = mu_py_len(s);
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] != 0 && strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", s.p[i]) != NULL;
    return n;
}

static void sort_choices(struct chooser *c)
{
    for (int i = 0; i < c->n_choices; i++) {
        int at = i;
        size_t n = escaped_length(mu_filter_str(c->choice[i]));
        for (; at > 0 && escaped_length(mu_filter_str(c->choice[c->order[at - 1]])) < n; at--)
            c->order[at] = c->order[at - 1];
        c->order[at] = i;
    }
}

/* ---- searching ---- */

/* The matches of a search, of which group_select takes one: the last `keep` are remembered, or the one asked for. */
struct chosen {
    int64_t want; /* counted from the first match; below 0 from the last */
    int64_t n;
    int ring[64]; /* the last matches, for want < 0 */
    int at;       /* the one wanted; -1: not seen */
};

static void note(struct chosen *m, int value)
{
    if (m->n == m->want)
        m->at = value;
    m->ring[m->n++ % 64] = value;
}

static int result(const struct chosen *m)
{
    if (m->want >= 0)
        return m->at;
    return -m->want <= m->n && -m->want <= 64 ? m->ring[(m->n + m->want) % 64] : -1;
}

/* The longest choice whose text begins at `at`; -1: none. */
static int choice_at(const struct chooser *c, struct mu_str s, size_t at, bool must_advance)
{
    for (int k = 0; k < c->n_choices; k++) {
        int i = c->order[k];
        struct mu_str part = mu_filter_str(c->choice[i]);
        if (part.n <= s.n - at && memcmp(s.p + at, part.p, part.n) == 0 && !(must_advance && part.n == 0))
            return i;
    }
    return -1;
}

/* As re.findall with the choices' texts as alternatives: an empty one matches everywhere, but not twice at a place. */
static int find_choice(const struct chooser *c, struct mu_str s)
{
    struct chosen m = {.want = c->find.group_select, .at = -1};
    bool must_advance = false;
    size_t len;

    for (size_t at = 0; at <= s.n;) {
        int i = choice_at(c, s, at, must_advance);
        if (i >= 0) {
            note(&m, i);
            must_advance = json_string_length(c->choice[i]) == 0;
            at += json_string_length(c->choice[i]);
            continue;
        }
        if (at == s.n)
            break;
        mu_t_at(s, at, &len);
        at += len;
        must_advance = false;
    }
    return result(&m);
}

/* As re.findall with `:[\s]*(A|B|...)`. */
static int find_letter(const struct chooser *c, struct mu_str s)
{
    struct chosen m = {.want = c->find.group_select, .at = -1};

    for (size_t at = 0; at < s.n; at++) {
        if (s.p[at] != ':')
            continue;
        size_t len, to = at + 1;
        while (to < s.n && mu_t_is_space(mu_t_at(s, to, &len)))
            to += len;
        if (to < s.n && s.p[to] >= 'A' && s.p[to] < 'A' + c->n_choices) {
            note(&m, s.p[to] - 'A');
            at = to;
        }
    }
    return result(&m);
}

static int letter(int i, json_t **out, struct mu_err *e)
{
    char text[] = {'(', (char)('A' + i), ')'};
    return mu_filter_text((struct mu_str){text, 3}, out, e);
}

/* The letter of a choice found by its text. The text is stripped before it is looked up among the choices, and of equal
 * choices the last one counts. */
static int letter_of_choice(const struct chooser *c, int i, json_t **out, struct mu_err *e)
{
    struct mu_str text = mu_py_strip(mu_filter_str(c->choice[i]), true, true);
    if (text.n == 0)
        return MU_OK;
    for (int k = c->n_choices - 1; k >= 0; k--)
        if (mu_str_eq(mu_filter_str(c->choice[k]), text))
            return letter(k, out, e);
    return mu_filter_text(text, out, e);
}

static int search_choices(const struct chooser *c, struct mu_str s, json_t **out, struct mu_err *e)
{
    json_t *text = NULL;
    MU_TRY_RETURN(ignored_text(c, s, &text, e));
    int i = find_choice(c, mu_filter_str(text)), rc = i >= 0 ? letter_of_choice(c, i, out, e) : MU_OK;
    json_decref(text);
    return rc;
}

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    const struct chooser *c = arg;
    bool all_empty;

    MU_TRY_RETURN(mu_filter_regex_find(&c->find, resp, out, &all_empty, e));
    if (*out && json_string_length(*out) == 0) {
        json_decref(*out);
        *out = NULL;
    }
    if (!*out && c->n_choices > 0)
        MU_TRY_RETURN(search_choices(c, mu_filter_str(resp), out, e));
    if (!*out) {
        int i = find_letter(c, mu_filter_str(resp));
        if (i >= 0)
            return letter(i, out, e);
        *out = json_incref(c->find.fallback);
    }
    return MU_OK;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    json_t *to = json_array(), *inst, *made;
    struct chooser c;
    size_t i;
    int rc;

    if (!to)
        return mu_fail_nomem(e, sizeof(void *), "filtered responses");
    MU_TRY(chooser_open(&c, kwargs, e));
    json_array_foreach(resps, i, inst)
    {
        MU_TRY(read_choices(&c, json_array_get(docs, i), e));
        sort_choices(&c);
        MU_TRY(mu_filter_list_each("multi_choice_regex", inst, one, &c, &made, e));
        MU_TRY(mu_filter_append(to, made, e));
    }
    *out = json_incref(to);
out:
    chooser_close(&c);
    json_decref(to);
    return rc;
}

static int check(const json_t *kwargs, struct mu_err *e)
{
    static const char *const known[] = {"regex_pattern",      "group_select",      "fallback", "ignore_case",
                                        "ignore_punctuation", "regexes_to_ignore", NULL};
    struct chooser c;

    MU_TRY_RETURN(mu_filter_known("multi_choice_regex", kwargs, known, e));
    int rc = chooser_open(&c, kwargs, e);
    chooser_close(&c);
    return rc;
}

const struct mu_filter mu_filter_multi_choice_regex = {"multi_choice_regex", check, apply};
