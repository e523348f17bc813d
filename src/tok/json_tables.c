/* json_tables.c - finding the large tables; see json_tables.h
 *
 * The search only skips: it trusts nothing about what it passes over, since the rest is parsed properly afterwards and
 * the tables member by member. */
#include "tok/json_tables.h"

#include "base/check.h"

/* vocab or merges, when this is one; a second one of a name makes the search fail, as does another type. */
static int take_model_member(struct mu_json_tables *out, struct mu_json_scan *s, struct mu_err *e)
{
    struct mu_str key, value;
    MU_TRY_RETURN(mu_scan_string(s, &key, e));
    struct mu_str *table = mu_str_eq(key, MU_STR("vocab"))    ? &out->vocab
                           : mu_str_eq(key, MU_STR("merges")) ? &out->merges
                                                              : NULL;
    MU_TRY_RETURN(mu_scan_expect(s, ':', e));
    MU_TRY_RETURN(mu_scan_value(s, &value, e));
    if (table && (table->n || value.p[0] != (table == &out->vocab ? '{' : '[')))
        return mu_scan_fail(s, "one table", e);
    if (table)
        *table = value;
    return MU_OK;
}

static int take_model(struct mu_json_tables *out, struct mu_json_scan *s, struct mu_err *e)
{
    MU_TRY_RETURN(mu_scan_expect(s, '{', e));
    do
        MU_TRY_RETURN(take_model_member(out, s, e));
    while (mu_scan_accept(s, ','));
    return mu_scan_expect(s, '}', e);
}

static int take_root(struct mu_json_tables *out, struct mu_json_scan *s, struct mu_err *e)
{
    struct mu_str key, value;
    bool has_model = false;
    MU_TRY_RETURN(mu_scan_expect(s, '{', e));
    do {
        MU_TRY_RETURN(mu_scan_string(s, &key, e));
        bool is_model = mu_str_eq(key, MU_STR("model"));
        MU_TRY_RETURN(mu_scan_expect(s, ':', e));
        if (is_model && has_model)
            return mu_scan_fail(s, "one model", e);
        has_model |= is_model;
        MU_TRY_RETURN(is_model ? take_model(out, s, e) : mu_scan_value(s, &value, e));
    } while (mu_scan_accept(s, ','));
    return mu_scan_expect(s, '}', e);
}

int mu_json_tables_cut(struct mu_json_tables *out, struct mu_buf *rest, struct mu_str text, bool *found,
                       struct mu_err *e)
{
    struct mu_json_scan s;
    const char *end = text.p + text.n;
    *out = (struct mu_json_tables){.text = text};
    mu_scan_begin(&s, text, "", "file");
    int rc = take_root(out, &s, e);
    mu_scan_fini(&s);
    *found = rc == MU_OK && out->vocab.n && out->merges.n;
    if (!*found)
        return rc == MU_ENOMEM ? rc : MU_OK;
    bool vocab_first = out->vocab.p < out->merges.p;
    struct mu_str a = vocab_first ? out->vocab : out->merges, b = vocab_first ? out->merges : out->vocab;
    MU_TRY_RETURN(mu_buf_add(rest, text.p, (size_t)(a.p - text.p), e));
    MU_TRY_RETURN(mu_buf_puts(rest, vocab_first ? "{}" : "[]", e));
    MU_TRY_RETURN(mu_buf_add(rest, a.p + a.n, (size_t)(b.p - a.p) - a.n, e));
    MU_TRY_RETURN(mu_buf_puts(rest, vocab_first ? "[]" : "{}", e));
    return mu_buf_add(rest, b.p + b.n, (size_t)(end - b.p) - b.n, e);
}

void mu_json_tables_scan(struct mu_json_scan *s, const struct mu_json_tables *t, struct mu_str table, const char *where)
{
    size_t at = (size_t)(table.p - t->text.p);
    mu_scan_begin(s, (struct mu_str){t->text.p, at + table.n}, where, "file");
    s->at = at;
}
