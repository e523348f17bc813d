/* campaign_fields.c - a mapping of a campaign file by the table of its keys: types, bounds, words, the nearest key */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "plan/layout.h"
#include "sched/campaign_int.h"
#include "sched/slurm/duration.h"
#include "sched/strategy.h"

const struct mu_campaign_row *mu_campaign_row_find(const struct mu_campaign_row *rows, const char *name)
{
    for (; rows->name; rows++) {
        if (strcmp(rows->name, name) == 0)
            return rows;
    }
    return NULL;
}

struct mu_campaign_place mu_campaign_key_place(const struct mu_campaign_reader *r, const struct mu_campaign_node *n,
                                               const char *key)
{
    int line = n->is_made ? 0 : mu_yaml_key_line(r->yaml[n->at.file], n->o, key);
    return (struct mu_campaign_place){n->at.file, line ? line : n->at.line};
}

struct mu_campaign_place mu_campaign_item_place(const struct mu_campaign_reader *r, const json_t *list, size_t i,
                                                struct mu_campaign_place list_at)
{
    int line = mu_yaml_item_line(r->yaml[list_at.file], list, i);
    return (struct mu_campaign_place){list_at.file, line ? line : list_at.line};
}

/* ---- texts ---- */

static int put_text(struct mu_campaign_reader *r, const char *text, void *at)
{
    if (at) {
        *(const char **)at = mu_arena_strdup(&r->c->arena, mu_str(text), r->e);
        if (!*(const char **)at)
            return r->e->code;
    }
    return MU_OK;
}

static int put_unless_auto(struct mu_campaign_reader *r, const char *text, void *at)
{
    if (strcmp(text, "auto") != 0)
        return put_text(r, text, at);
    if (at)
        *(const char **)at = NULL;
    return MU_OK;
}

static bool is_text(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    return s && n > 0 && n <= MU_CAMPAIGN_TEXT_MAX && strlen(s) == n;
}

static int store_text(struct mu_campaign_reader *r, const json_t *v, void *at, struct mu_err *why)
{
    if (!is_text(v))
        return mu_fail(why, MU_EFORMAT, "must be a text of 1 to %d bytes%s", MU_CAMPAIGN_TEXT_MAX,
                       json_is_number(v) || json_is_boolean(v) ? " (in quotes, if it looks like something else)" : "");
    return put_text(r, json_string_value(v), at);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (strncmp(p, text, n) == 0 && (p[n] == '|' || !p[n]))
            return true;
    }
    return false;
}

static int store_choice(struct mu_campaign_reader *r, const struct mu_campaign_row *row, const json_t *v, void *at,
                        struct mu_err *why)
{
    const char *text = json_string_value(v);
    if (!text || !*text || !is_choice(row->choices, text))
        return mu_fail(why, MU_EFORMAT, "must be one of %s", row->choices);
    return row->kind == MU_CAMPAIGN_ENGINE ? put_unless_auto(r, text, at) : put_text(r, text, at);
}

static int store_layout(struct mu_campaign_reader *r, const json_t *v, void *at, struct mu_err *why)
{
    struct mu_layout l;
    struct mu_err e;
    if (!is_text(v))
        return mu_fail(why, MU_EFORMAT, "must be auto or a text such as tp=2,pp=2");
    if (strcmp(json_string_value(v), "auto") != 0 && mu_layout_parse(&l, json_string_value(v), 0, &e) != MU_OK)
        return mu_fail(why, MU_EFORMAT, "must be auto or a layout: %s", e.text);
    return put_unless_auto(r, json_string_value(v), at);
}

static int store_texts(struct mu_campaign_reader *r, const json_t *v, void *at, struct mu_err *why)
{
    struct mu_buf all = MU_BUF_INIT("a list of texts", MU_CAMPAIGN_TEXT_MAX);
    int rc = MU_OK;
    if (!json_is_array(v))
        return store_text(r, v, at, why);
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!is_text(json_array_get(v, i))) {
            rc = mu_fail(why, MU_EFORMAT, "must be a text or a list of texts");
            goto out;
        }
        rc = mu_buf_printf(&all, r->e, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(v, i)));
        if (rc == MU_ELIMIT)
            rc = mu_fail(why, MU_EFORMAT, "must be shorter than %d bytes in all", MU_CAMPAIGN_TEXT_MAX);
        MU_TRY(rc);
    }
    if (all.n == 0)
        rc = mu_fail(why, MU_EFORMAT, "must be a text or a list of texts, not an empty list");
    else
        rc = put_text(r, all.p, at);
out:
    mu_buf_fini(&all);
    return rc;
}

/* ---- numbers ---- */

static int store_int(const struct mu_campaign_row *row, const json_t *v, void *at, struct mu_err *why)
{
    bool takes_auto = row->kind == MU_CAMPAIGN_AUTO_INT;
    int64_t n = json_integer_value(v);
    if (takes_auto && json_is_string(v) && strcmp(json_string_value(v), "auto") == 0)
        n = 0;
    else if (!json_is_integer(v) || (double)n < row->lo || (double)n > row->hi)
        return mu_fail(why, MU_EFORMAT, "must be %sa whole number from %.0f to %.0f", takes_auto ? "auto or " : "",
                       row->lo, row->hi);
    if (at && row->kind == MU_CAMPAIGN_INT32)
        *(int *)at = (int)n;
    else if (at)
        *(int64_t *)at = n;
    return MU_OK;
}

static int store_real(const struct mu_campaign_row *row, const json_t *v, void *at, struct mu_err *why)
{
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= row->lo && x <= row->hi))
        return mu_fail(why, MU_EFORMAT, "must be a number from %g to %g", row->lo, row->hi);
    if (at)
        *(double *)at = x;
    return MU_OK;
}

static int store_bool(const json_t *v, void *at, struct mu_err *why)
{
    if (!json_is_boolean(v))
        return mu_fail(why, MU_EFORMAT, "must be true or false");
    if (at)
        *(bool *)at = json_is_true(v);
    return MU_OK;
}

static int store_size(const json_t *v, void *at, struct mu_err *why)
{
    uint64_t n = 0;
    bool ok = json_is_string(v) && mu_campaign_size_parse(json_string_value(v), &n);
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        n = (uint64_t)json_integer_value(v);
        ok = true;
    }
    if (!ok)
        return mu_fail(why, MU_EFORMAT, "must be a size such as 80GB or 512MiB");
    if (at)
        *(uint64_t *)at = n;
    return MU_OK;
}

/* Seconds of a number or of a text as Slurm and people write it. */
static bool seconds_of(const json_t *v, double *s)
{
    int64_t whole;
    *s = json_number_value(v);
    if (json_is_number(v))
        return true;
    if (!json_is_string(v) || mu_slurm_duration_parse(&whole, mu_str(json_string_value(v)), NULL) != MU_OK ||
        whole == MU_SLURM_UNLIMITED)
        return false;
    *s = (double)whole;
    return true;
}

static int store_seconds(const struct mu_campaign_row *row, const json_t *v, void *at, struct mu_err *why)
{
    double s;
    if (!seconds_of(v, &s))
        return mu_fail(why, MU_EFORMAT, "must be a length of time such as 90s, 15m, 12h, 2d or 1-12:00:00");
    if (!(s >= row->lo && s <= row->hi))
        return mu_fail(why, MU_EFORMAT, "must lie between %s and %s", mu_campaign_seconds_text(row->lo).text,
                       mu_campaign_seconds_text(row->hi).text);
    if (at)
        *(double *)at = s;
    return MU_OK;
}

/* ---- words with a meaning of their own ---- */

static int store_seed(const json_t *v, struct mu_err *why)
{
    size_t n = json_array_size(v);
    bool ok = json_is_integer(v) || (json_is_array(v) && (n == 3 || n == 4));
    for (size_t i = 0; i < n; i++)
        ok = ok && json_is_integer(json_array_get(v, i));
    return ok ? MU_OK
              : mu_fail(why, MU_EFORMAT, "must be a whole number, or three or four: [python, numpy, torch, fewshot]");
}

static int store_priority(const json_t *v, void *at, struct mu_err *why)
{
    int p = json_is_string(v) ? mu_priority_find(json_string_value(v)) : -1;
    if (p < 0)
        return mu_fail(why, MU_EFORMAT, "must be critical, high, normal, low or background");
    *(enum mu_priority *)at = (enum mu_priority)p;
    return MU_OK;
}

static int store_after(const json_t *v, void *at, struct mu_err *why)
{
    static const char *const words[] = {
        [MU_AFTER_SKIP] = "skip", [MU_AFTER_FAIL] = "fail", [MU_AFTER_ANYWAY] = "anyway"};
    for (size_t i = 0; json_is_string(v) && i < MU_COUNT(words); i++) {
        if (strcmp(json_string_value(v), words[i]) == 0) {
            *(enum mu_queue_after *)at = (enum mu_queue_after)i;
            return MU_OK;
        }
    }
    return mu_fail(why, MU_EFORMAT, "must be skip, fail or anyway");
}

static int store_deadline(const json_t *v, struct mu_campaign_policy *p, struct mu_err *why)
{
    int64_t at = 0;
    double s = 0;
    if (!(json_is_string(v) && mu_campaign_date_parse(json_string_value(v), &at)) && !seconds_of(v, &s))
        return mu_fail(why, MU_EFORMAT,
                       "must be a length of time from the start, such as 12h, or a date with its zone, such as "
                       "2026-12-01T08:00:00Z");
    if (at == 0 && !(s > 0 && s <= MU_CAMPAIGN_SECONDS_MAX))
        return mu_fail(why, MU_EFORMAT, "must lie after the start, and within ten years");
    p->deadline_at = at;
    p->deadline_s = s;
    return MU_OK;
}

static int store_shrink(const json_t *v, void *at, struct mu_err *why)
{
    unsigned bits = 0;
    bool ok = json_is_array(v);
    for (size_t i = 0; ok && i < json_array_size(v); i++) {
        const char *word = json_string_value(json_array_get(v, i));
        int k = 0;
        while (word && k < MU_SHRINKS && strcmp(word, mu_shrink_name(k)) != 0)
            k++;
        ok = word && k < MU_SHRINKS;
        bits |= ok ? 1u << k : 0;
    }
    if (!ok)
        return mu_fail(why, MU_EFORMAT, "must be a list of any of %s, %s and %s; [] for none",
                       mu_shrink_name(MU_SHRINK_RANKS), mu_shrink_name(MU_SHRINK_BATCH),
                       mu_shrink_name(MU_SHRINK_INT8));
    *(unsigned *)at = bits;
    return MU_OK;
}

static int store_strategy(struct mu_campaign_reader *r, const json_t *v, void *at, struct mu_err *why)
{
    const struct mu_strategy_kind *k;
    struct mu_err e;
    if (!is_text(v))
        return mu_fail(why, MU_EFORMAT, "must be the name of a strategy");
    if (mu_strategy_kind_find(&k, json_string_value(v), &e) != MU_OK)
        return mu_fail(why, MU_EFORMAT, "must be a strategy: %s", e.text);
    return put_text(r, k->name, at);
}

/* A word of a failure's policy. */
static int store_action(const json_t *v, void *at, struct mu_err *why)
{
    int k = json_is_string(v) ? mu_action_find(json_string_value(v)) : -1;
    struct mu_buf all = MU_BUF_INIT("a list of words", 1024);
    if (k >= 0) {
        *(enum mu_action_kind *)at = (enum mu_action_kind)k;
        return MU_OK;
    }
    for (int i = 0; i < MU_ACTIONS; i++)
        if (mu_buf_printf(&all, why, "%s%s", i > 0 ? ", " : "", mu_action_name(i)) != MU_OK)
            break;
    mu_fail(why, MU_EFORMAT, "must be one of %s", mu_buf_str(&all).p);
    mu_buf_fini(&all);
    return MU_EFORMAT;
}

int mu_campaign_store(struct mu_campaign_reader *r, const struct mu_campaign_row *row, const json_t *v, void *base,
                      struct mu_err *why)
{
    void *at = base && row->offset != MU_CAMPAIGN_NOWHERE ? (char *)base + row->offset : NULL;
    switch (row->kind) {
    case MU_CAMPAIGN_TEXT:
        return store_text(r, v, at, why);
    case MU_CAMPAIGN_CHOICE:
    case MU_CAMPAIGN_ENGINE:
        return store_choice(r, row, v, at, why);
    case MU_CAMPAIGN_INT:
    case MU_CAMPAIGN_AUTO_INT:
    case MU_CAMPAIGN_INT32:
        return store_int(row, v, at, why);
    case MU_CAMPAIGN_REAL:
        return store_real(row, v, at, why);
    case MU_CAMPAIGN_BOOL:
        return store_bool(v, at, why);
    case MU_CAMPAIGN_SIZE:
        return store_size(v, at, why);
    case MU_CAMPAIGN_SECONDS:
        return store_seconds(row, v, at, why);
    case MU_CAMPAIGN_LAYOUT:
        return store_layout(r, v, at, why);
    case MU_CAMPAIGN_TEXTS:
        return store_texts(r, v, at, why);
    case MU_CAMPAIGN_SEED:
        return store_seed(v, why);
    case MU_CAMPAIGN_OBJECT:
        return json_is_object(v) ? MU_OK : store_text(r, v, at, why);
    case MU_CAMPAIGN_FLAG_TEXT:
        return json_is_boolean(v) ? MU_OK : store_text(r, v, at, why);
    case MU_CAMPAIGN_PRIORITY:
        return store_priority(v, at, why);
    case MU_CAMPAIGN_AFTER:
        return store_after(v, at, why);
    case MU_CAMPAIGN_DEADLINE:
        return store_deadline(v, at, why);
    case MU_CAMPAIGN_SHRINK:
        return store_shrink(v, at, why);
    case MU_CAMPAIGN_STRATEGY:
        return store_strategy(r, v, at, why);
    case MU_CAMPAIGN_ACTION:
        return store_action(v, at, why);
    default:
        return mu_fail(r->e, MU_EINTERNAL, "%s has no value of its own", row->name);
    }
}

void mu_campaign_copy(const struct mu_campaign_row *row, void *to, const void *from)
{
    static const size_t bytes[] = {
        [MU_CAMPAIGN_TEXT] = sizeof(char *),    [MU_CAMPAIGN_CHOICE] = sizeof(char *),
        [MU_CAMPAIGN_INT] = sizeof(int64_t),    [MU_CAMPAIGN_AUTO_INT] = sizeof(int64_t),
        [MU_CAMPAIGN_INT32] = sizeof(int),      [MU_CAMPAIGN_REAL] = sizeof(double),
        [MU_CAMPAIGN_BOOL] = sizeof(bool),      [MU_CAMPAIGN_SIZE] = sizeof(uint64_t),
        [MU_CAMPAIGN_SECONDS] = sizeof(double), [MU_CAMPAIGN_PRIORITY] = sizeof(int),
        [MU_CAMPAIGN_AFTER] = sizeof(int),      [MU_CAMPAIGN_SHRINK] = sizeof(unsigned),
    };
    if (row->kind == MU_CAMPAIGN_DEADLINE) {
        ((struct mu_campaign_policy *)to)->deadline_at = ((const struct mu_campaign_policy *)from)->deadline_at;
        ((struct mu_campaign_policy *)to)->deadline_s = ((const struct mu_campaign_policy *)from)->deadline_s;
    } else if (row->kind < MU_COUNT(bytes)) {
        memcpy((char *)to + row->offset, (const char *)from + row->offset, bytes[row->kind]);
    }
}

/* ---- mappings ---- */

/* "resources.devices" */
struct name {
    char text[96];
};

static struct name name_of(const struct mu_campaign_node *n, const char *key)
{
    struct name x;
    snprintf(x.text, sizeof x.text, "%.48s%s%.40s", n->what, *n->what ? "." : "", key);
    return x;
}

static void fault_unknown(struct mu_campaign_reader *r, const struct mu_campaign_node *n,
                          const struct mu_campaign_row *rows, const char *key)
{
    const char *names[64];
    size_t k = 0;
    for (; rows->name && k + 1 < MU_COUNT(names); rows++)
        names[k++] = rows->name;
    names[k] = NULL;
    mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, n, key), "there is no key \"%.40s\"%s%.48s%s", key,
                      *n->what ? " in " : "", n->what, mu_campaign_hint(names, key).text);
}

/* What was found in place of what must be: "eight", 3, a list. */
static struct name found(const json_t *v)
{
    struct name x;
    const char *kind = json_is_array(v)    ? "a list"
                       : json_is_object(v) ? "a mapping"
                       : json_is_true(v)   ? "true"
                                           : "false";
    if (json_is_string(v))
        snprintf(x.text, sizeof x.text, "\"%.40s\"", json_string_value(v));
    else if (json_is_number(v))
        snprintf(x.text, sizeof x.text, "%.15g", json_number_value(v));
    else
        snprintf(x.text, sizeof x.text, "%s", kind);
    return x;
}

static int read_part(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const struct mu_campaign_row *row,
                     const json_t *v, void *base, struct mu_campaign_set_rows *set)
{
    struct mu_campaign_node part = {.o = v, .what = row->name, .at = mu_campaign_key_place(r, n, row->name)};
    if (json_is_object(v))
        return mu_campaign_fields(r, &part, row->part, base, set);
    mu_campaign_fault(r->c, r->faults, part.at, "%s is %s; it must be a mapping with %s and the like",
                      name_of(n, row->name).text, found(v).text, row->part->name);
    return MU_OK;
}

static int read_field(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const struct mu_campaign_row *row,
                      const json_t *v, void *base, struct mu_campaign_set_rows *set)
{
    struct mu_err why = MU_ERR_INIT;
    int rc = mu_campaign_store(r, row, v, base, &why);
    if (rc == MU_EFORMAT)
        mu_campaign_fault(r->c, r->faults, mu_campaign_key_place(r, n, row->name), "%s is %s; it %s",
                          name_of(n, row->name).text, found(v).text, why.text);
    else if (rc != MU_OK)
        return rc;
    else if (set && set->n < (int)MU_COUNT(set->row))
        set->row[set->n++] = row;
    return MU_OK;
}

int mu_campaign_fields(struct mu_campaign_reader *r, const struct mu_campaign_node *n,
                       const struct mu_campaign_row *rows, void *base, struct mu_campaign_set_rows *set)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)n->o, key, v)
    {
        const struct mu_campaign_row *row = mu_campaign_row_find(rows, key);
        if (!row)
            fault_unknown(r, n, rows, key);
        else if (row->kind == MU_CAMPAIGN_PART && !json_is_null(v))
            MU_TRY_RETURN(read_part(r, n, row, v, base, set));
        else if (row->kind != MU_CAMPAIGN_ELSEWHERE && !json_is_null(v))
            MU_TRY_RETURN(read_field(r, n, row, v, base, set));
    }
    return MU_OK;
}
