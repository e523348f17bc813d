/* format_span.c - named entities of a response, one after the other: "per: ada $ loc: london"
 *
 * Labels before a colon are brought to PER, LOC, ORG and DATE, then "label: entities" are picked up to the next $ or
 * end of line; several entities are separated by commas, and "none" is dropped. */
#include "base/check.h"
#include "base/mem.h"
#include "eval/filter/filter_int.h"
#include "eval/py/case.h"
#include "eval/py/value.h"
#include "tok/jinja/text.h"

static const struct label {
    const char *word, *label;
} labels[] = {
    {"person", "PER"}, {"location", "LOC"}, {"organization", "ORG"}, {"counties", "LOC"}, {"places", "LOC"},
    {"people", "PER"}, {"persons", "PER"},  {"company", "ORG"},      {"country", "LOC"},  {"continent", "LOC"},
    {"time", "DATE"},  {"date", "DATE"},    {"per", "PER"},          {"loc", "LOC"},      {"org", "ORG"},
};

/* The label that the word which ends at `end` stands for; *begin: where the word begins. */
static const char *label_before(struct mu_str s, size_t end, size_t *begin)
{
    size_t len;
    *begin = end;
    while (*begin > 0 && mu_t_is_word(mu_t_at(s, mu_t_before(s, *begin), &len)))
        *begin = mu_t_before(s, *begin);
    for (size_t i = 0; i < MU_COUNT(labels); i++)
        if (mu_str_eq(mu_t_sub(s, *begin, end), mu_str(labels[i].word)))
            return labels[i].label;
    return NULL;
}

/* Every "word :" whose word is a label's becomes "LABEL:". */
static int rewrite_labels(struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    size_t from = 0, begin;
    for (size_t at = mu_t_find(s, MU_STR(":"), 0); at != SIZE_MAX; at = mu_t_find(s, MU_STR(":"), at + 1)) {
        struct mu_str before = mu_t_rstrip(mu_t_sub(s, 0, at), (struct mu_str){0});
        const char *label = label_before(before, before.n, &begin);
        if (!label || begin < from)
            continue;
        MU_TRY_RETURN(mu_buf_add(out, s.p + from, begin - from, e));
        MU_TRY_RETURN(mu_buf_puts(out, label, e));
        from = at;
    }
    return mu_buf_add(out, s.p + from, s.n - from, e);
}

/* "$$" to "$", line ends to "$", none at the end. */
static int join_lines(struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_pair = s.p[i] == '$' && i + 1 < s.n && s.p[i + 1] == '$';
        MU_TRY_RETURN(mu_buf_putc(out, s.p[i], e));
        i += is_pair;
    }
    out->n = mu_t_rstrip(mu_buf_str(out), MU_STR("$")).n;
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] == '\n')
            out->p[i] = '$';
    return MU_OK;
}

/* ---- picking entities ---- */

static int add_entity(struct mu_str label, struct mu_str entity, struct mu_buf *out, struct mu_err *e)
{
    struct mu_buf low = MU_BUF_INIT("an entity", MU_FILTER_TEXT_MAX);
    int rc;

    MU_TRY(mu_py_lower(&low, entity, e));
    if (mu_str_eq(mu_buf_str(&low), MU_STR("none")))
        goto out;
    mu_buf_clear(&low);
    MU_TRY(mu_py_lower(&low, label, e));
    if (out->n > 0)
        MU_TRY(mu_buf_puts(out, " $ ", e));
    MU_TRY(mu_buf_add(out, low.p, low.n, e));
    MU_TRY(mu_buf_puts(out, ": ", e));
    MU_TRY(mu_buf_add(out, entity.p, entity.n, e));
out:
    mu_buf_fini(&low);
    return rc;
}

static int add_entities(struct mu_str label, struct mu_str list, struct mu_buf *out, struct mu_err *e)
{
    for (size_t from = 0; from != SIZE_MAX;) {
        size_t to = mu_t_find(list, MU_STR(","), from);
        struct mu_str part = mu_t_sub(list, from, to == SIZE_MAX ? list.n : to);
        MU_TRY_RETURN(add_entity(label, mu_py_strip(part, true, true), out, e));
        from = to == SIZE_MAX ? to : to + 1;
    }
    return MU_OK;
}

static int pick(const struct mu_pyre *entity, struct mu_str s, struct mu_buf *out, struct mu_err *e)
{
    json_t *found = NULL, *pair;
    size_t i;
    int rc;

    MU_TRY(mu_pyre_findall(entity, s, &found, e));
    json_array_foreach(found, i, pair)
        MU_TRY(add_entities(mu_filter_str(json_array_get(pair, 0)), mu_filter_str(json_array_get(pair, 1)), out, e));
out:
    json_decref(found);
    return rc;
}

static int one(void *arg, const json_t *resp, json_t **out, struct mu_err *e)
{
    struct mu_buf low = MU_BUF_INIT("a filtered response", MU_FILTER_TEXT_MAX), labelled = low, joined = low,
                  picked = low;
    int rc;

    if (!json_is_string(resp))
        return mu_fail(e, MU_EINVAL, "filter format_span: a response is not a text");
    MU_TRY(mu_py_lower(&low, mu_filter_str(resp), e));
    MU_TRY(rewrite_labels(mu_buf_str(&low), &labelled, e));
    MU_TRY(join_lines(mu_buf_str(&labelled), &joined, e));
    MU_TRY(pick(arg, mu_py_strip(mu_buf_str(&joined), true, true), &picked, e));
    MU_TRY(mu_filter_text(mu_buf_str(&picked), out, e));
out:
    mu_buf_fini(&low);
    mu_buf_fini(&labelled);
    mu_buf_fini(&joined);
    mu_buf_fini(&picked);
    return rc;
}

static int apply(const json_t *kwargs, const json_t *resps, const json_t *docs, json_t **out, struct mu_err *e)
{
    struct mu_pyre *entity = NULL;
    int rc;

    (void)kwargs;
    (void)docs;
    MU_TRY(mu_pyre_compile(&entity, MU_STR("\\b(PER|LOC|ORG|DATE):\\s*([^$]+)"), 0, "filter format_span", e));
    MU_TRY(mu_filter_each("format_span", resps, one, entity, out, e));
out:
    mu_pyre_free(entity);
    return rc;
}

const struct mu_filter mu_filter_format_span = {"format_span", NULL, apply};
