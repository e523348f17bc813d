/* ifeval_format.c - IFEval: instructions about form: paragraphs, sections, lists, marks, JSON
 *
 * Source: lm_eval/tasks/ifeval/instructions.py (Zhou et al. 2023, arXiv:2311.07911). */
#include "base/check.h"
#include "base/mem.h"
#include "eval/docs/docs_int.h"
#include "eval/docs/ifeval_int.h"
#include "eval/py/case.h"
#include "eval/py/regex.h"
#include "tok/jinja/text.h"

#define PATTERN_MAX 65536

static int check_placeholders(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    int64_t n, want;
    MU_TRY_RETURN(mu_ifeval_count(kwargs, "num_placeholders", &want, e));
    MU_TRY_RETURN(mu_ifeval_find_all(MU_STR("\\[.*?\\]"), 0, s, &n, e));
    *follows = n >= want;
    return MU_OK;
}

static int check_bullets(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    int64_t stars, dashes, want;
    MU_TRY_RETURN(mu_ifeval_count(kwargs, "num_bullets", &want, e));
    MU_TRY_RETURN(mu_ifeval_find_all(MU_STR("^\\s*\\*[^\\*].*$"), MU_PYRE_MULTILINE, s, &stars, e));
    MU_TRY_RETURN(mu_ifeval_find_all(MU_STR("^\\s*-.*$"), MU_PYRE_MULTILINE, s, &dashes, e));
    *follows = stars + dashes == want;
    return MU_OK;
}

static int check_constrained(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    static const char *const options[] = {"My answer is yes.", "My answer is no.", "My answer is maybe."};
    (void)kwargs, (void)e;
    *follows = false;
    for (size_t i = 0; i < MU_COUNT(options); i++)
        *follows |= mu_t_find(s, mu_str(options[i]), 0) != SIZE_MAX;
    return MU_OK;
}

/* Stretches between `mark`s on one line that hold more than `strip` and white space. */
static int count_filled(struct mu_str pattern, struct mu_str s, size_t mark, int64_t *n, struct mu_err *e)
{
    struct mu_pyre *r = NULL;
    json_t *all = NULL;
    MU_TRY_RETURN(mu_pyre_compile(&r, pattern, 0, "an instruction of IFEval", e));
    int rc = mu_pyre_findall(r, s, &all, e);
    for (size_t i = 0; i < json_array_size(all); i++) {
        struct mu_str found = mu_doc_str(json_array_get(all, i));
        *n += mu_doc_strip(mu_t_sub(found, mark, found.n - mark)).n > 0;
    }
    json_decref(all);
    mu_pyre_free(r);
    return rc;
}

/* A stretch in double stars counts under either pattern, as it does in the reference. */
static int check_highlights(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    int64_t n = 0, want;
    MU_TRY_RETURN(mu_ifeval_count(kwargs, "num_highlights", &want, e));
    MU_TRY_RETURN(count_filled(MU_STR("\\*[^\\n\\*]*\\*"), s, 1, &n, e));
    MU_TRY_RETURN(count_filled(MU_STR("\\*\\*[^\\n\\*]*\\*\\*"), s, 2, &n, e));
    *follows = n >= want;
    return MU_OK;
}

static int check_sections(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_buf b = MU_BUF_INIT("a section's mark", PATTERN_MAX);
    struct mu_str mark;
    int64_t n, want;
    int rc = MU_OK;
    MU_TRY(mu_ifeval_text(kwargs, "section_spliter", &mark, e));
    MU_TRY(mu_ifeval_count(kwargs, "num_sections", &want, e));
    mark = mu_doc_strip(mark);
    MU_TRY(mu_buf_puts(&b, "\\s?", e));
    MU_TRY(mu_buf_add(&b, mark.p, mark.n, e));
    MU_TRY(mu_buf_puts(&b, "\\s?\\d+\\s?", e));
    MU_TRY(mu_ifeval_find_all(mu_buf_str(&b), 0, s, &n, e));
    *follows = n >= want;
out:
    mu_buf_fini(&b);
    return rc;
}

/* Pieces between "***": how many hold something, and whether an empty one stands inside. */
static int check_paragraphs(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_pyre *r = NULL;
    struct mu_pyre_match m;
    int64_t n = 0, want, i = 0;
    bool found = true, has_gap = false;
    MU_TRY_RETURN(mu_ifeval_count(kwargs, "num_paragraphs", &want, e));
    MU_TRY_RETURN(mu_pyre_compile(&r, MU_STR("\\s?\\*\\*\\*\\s?"), 0, "an instruction of IFEval", e));
    int rc = MU_OK;
    for (size_t from = 0; rc == MU_OK && found; i++) {
        rc = mu_pyre_search(r, s, from, false, &found, &m, e);
        if (rc != MU_OK)
            break;
        bool is_filled = mu_doc_strip(mu_t_sub(s, from, found ? m.begin[0] : s.n)).n > 0;
        n += is_filled;
        has_gap |= !is_filled && i > 0 && found;
        from = found ? m.end[0] : from;
    }
    mu_pyre_free(r);
    *follows = !has_gap && n == want;
    return rc;
}

static int check_postscript(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a response", 3 * MU_DOC_TEXT_MAX), b = MU_BUF_INIT("a postscript", PATTERN_MAX);
    struct mu_str mark;
    int64_t n;
    int rc = MU_OK;
    MU_TRY(mu_ifeval_text(kwargs, "postscript_marker", &mark, e));
    mark = mu_doc_strip(mark);
    if (mu_str_eq(mark, MU_STR("P.P.S"))) {
        MU_TRY(mu_buf_puts(&b, "\\s*p\\.\\s?p\\.\\s?s.*$", e));
    } else if (mu_str_eq(mark, MU_STR("P.S."))) {
        MU_TRY(mu_buf_puts(&b, "\\s*p\\.\\s?s\\..*$", e));
    } else {
        MU_TRY(mu_buf_puts(&b, "\\s*", e));
        MU_TRY(mu_py_lower(&b, mark, e));
        MU_TRY(mu_buf_puts(&b, ".*$", e));
    }
    MU_TRY(mu_py_lower(&text, s, e));
    MU_TRY(mu_ifeval_find_all(mu_buf_str(&b), MU_PYRE_MULTILINE, mu_buf_str(&text), &n, e));
    *follows = n > 0;
out:
    mu_buf_fini(&text);
    mu_buf_fini(&b);
    return rc;
}

static int check_title(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_pyre *r = NULL;
    json_t *all = NULL;
    (void)kwargs;
    MU_TRY_RETURN(mu_pyre_compile(&r, MU_STR("<<[^\\n]+>>"), 0, "an instruction of IFEval", e));
    int rc = mu_pyre_findall(r, s, &all, e);
    *follows = false;
    for (size_t i = 0; i < json_array_size(all); i++) {
        struct mu_str title = mu_t_lstrip(mu_doc_str(json_array_get(all, i)), MU_STR("<"));
        *follows |= mu_doc_strip(mu_t_rstrip(title, MU_STR(">"))).n > 0;
    }
    json_decref(all);
    mu_pyre_free(r);
    return rc;
}

/* Two different answers between "******"; empty pieces only at the ends. */
static int check_two_responses(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    struct mu_str answer[2], mark = MU_STR("******");
    size_t n = 0, from = 0, i = 0;
    (void)kwargs, (void)e;
    *follows = false;
    for (bool is_last = false; !is_last; i++) {
        size_t to = mu_t_find(s, mark, from);
        is_last = to == SIZE_MAX;
        struct mu_str piece = mu_doc_strip(mu_t_sub(s, from, is_last ? s.n : to));
        if (piece.n == 0 && i > 0 && !is_last)
            return MU_OK;
        if (piece.n && n < 2)
            answer[n] = piece;
        n += piece.n > 0;
        from = to + mark.n;
    }
    *follows = n == 2 && !mu_str_eq(answer[0], answer[1]);
    return MU_OK;
}

static struct mu_str without_prefix(struct mu_str s, const char *prefix)
{
    return mu_t_starts(s, mu_str(prefix)) ? mu_t_sub(s, strlen(prefix), s.n) : s;
}

static int check_json(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    static const char *const fence[] = {"```json", "```Json", "```JSON", "```"};
    (void)kwargs, (void)e;
    s = mu_doc_strip(s);
    for (size_t i = 0; i < MU_COUNT(fence); i++)
        s = without_prefix(s, fence[i]);
    if (mu_t_ends(s, MU_STR("```")))
        s.n -= 3;
    *follows = mu_ifeval_is_json(mu_doc_strip(s));
    return MU_OK;
}

static int check_quotation(const json_t *kwargs, struct mu_str s, bool *follows, struct mu_err *e)
{
    (void)kwargs, (void)e;
    s = mu_doc_strip(s);
    *follows = s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return MU_OK;
}

const struct mu_ifeval_kind mu_ifeval_format[] = {
    {"length_constraints:number_paragraphs", check_paragraphs, NULL},
    {"detectable_content:number_placeholders", check_placeholders, NULL},
    {"detectable_content:postscript", check_postscript, NULL},
    {"detectable_format:number_bullet_lists", check_bullets, NULL},
    {"detectable_format:constrained_response", check_constrained, NULL},
    {"detectable_format:number_highlighted_sections", check_highlights, NULL},
    {"detectable_format:multiple_sections", check_sections, NULL},
    {"detectable_format:json_format", check_json, NULL},
    {"detectable_format:title", check_title, NULL},
    {"combination:two_responses", check_two_responses, NULL},
    {"startend:quotation", check_quotation, NULL},
    {NULL, NULL, NULL},
};
