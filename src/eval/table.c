/* table.c - the table a person reads: the harness's columns, order, indentation and number formats
 *
 * Source: lm_eval/utils.py make_table and _build_hierarchy_info; pytablewriter's Markdown: a column of numbers is
 * aligned right and has one count of decimals, the most any of its numbers needs; a cell that is no number stays left.
 * Values are rounded to four decimals first. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/py/value.h"
#include "eval/results.h"

#define N_COLUMNS        9
#define TABLE_BYTES_MAX  ((size_t)256 << 20)
#define COLUMN_WIDTH_MIN 3
#define DEPTH_MAX        64      /* of groups in groups */
#define VISITS_MAX       1000000 /* of names in trees of groups */

enum column { NAME, VERSION, FILTER, SHOTS, METRIC, DIRECTION, VALUE, PLUS_MINUS, STDERR };

struct cell {
    size_t at, n; /* of its text */
    bool is_number;
};

struct table {
    struct mu_buf text; /* of all cells */
    struct cell (*row)[N_COLUMNS];
    int n_rows, n_rows_max;
    int decimals[N_COLUMNS], width[N_COLUMNS];
    bool has_number[N_COLUMNS], has_text[N_COLUMNS];
};

/* ---- cells ---- */

static struct mu_str cell_str(const struct table *t, const struct cell *c)
{
    return (struct mu_str){t->text.p ? t->text.p + c->at : "", c->n};
}

static bool is_number(struct mu_str s)
{
    size_t i = s.n > 0 && s.p[0] == '-', digits = i;
    while (i < s.n && isdigit((unsigned char)s.p[i]))
        i++;
    if (i == digits)
        return false;
    if (i < s.n && s.p[i] == '.') {
        digits = ++i;
        while (i < s.n && isdigit((unsigned char)s.p[i]))
            i++;
        if (i == digits)
            return false;
    }
    return i == s.n;
}

/* Decimals without zeros at the end. */
static int decimals_of(struct mu_str s)
{
    const char *dot = memchr(s.p, '.', s.n);
    size_t n = s.n;
    if (!dot)
        return 0;
    while (s.p[n - 1] == '0')
        n--;
    return (int)(n - (size_t)(dot + 1 - s.p));
}

static bool is_blank(struct mu_str s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] == ' ')
        i++;
    return i == s.n;
}

static int put_cell(struct table *t, enum column column, struct mu_str s, struct mu_err *e)
{
    struct cell *c = &t->row[t->n_rows][column];
    if (is_blank(s))
        s.n = 0;
    *c = (struct cell){t->text.n, s.n, is_number(s)};
    for (size_t i = 0; i < s.n; i++)
        MU_TRY_RETURN(mu_buf_putc(&t->text, s.p[i] == '\n' ? ' ' : s.p[i], e));
    if (c->is_number)
        t->decimals[column] = MU_MAX(t->decimals[column], decimals_of(s));
    t->has_number[column] |= c->is_number;
    t->has_text[column] |= !c->is_number && s.n > 0;
    return MU_OK;
}

/* "%.4f" of a real, an integer as it is, anything else as text. */
static int put_value(struct table *t, enum column column, const json_t *v, const char *absent, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a cell", 1 << 16);
    int rc = MU_OK;
    if (json_is_real(v))
        MU_TRY(mu_buf_printf(&text, e, "%.4f", fabs(json_real_value(v)) < 0.00005 ? 0.0 : json_real_value(v)));
    else if (json_is_string(v) && strcmp(json_string_value(v), "N/A") == 0)
        MU_TRY(mu_buf_puts(&text, "   N/A", e));
    else if (v && !json_is_null(v))
        MU_TRY(mu_py_str(&text, v, e));
    else
        MU_TRY(mu_buf_puts(&text, absent, e));
    MU_TRY(put_cell(t, column, mu_buf_str(&text), e));
out:
    mu_buf_fini(&text);
    return rc;
}

/* ---- rows ---- */

static int row_add(struct table *t, struct mu_err *e)
{
    if (t->n_rows + 1 < t->n_rows_max)
        return MU_OK;
    int n = t->n_rows_max ? 2 * t->n_rows_max : 64;
    void *p = mu_realloc(t->row, (size_t)n * sizeof *t->row);
    if (!p)
        return mu_fail_nomem(e, (size_t)n * sizeof *t->row, "the table");
    t->row = p;
    memset(t->row + t->n_rows_max, 0, (size_t)(n - t->n_rows_max) * sizeof *t->row);
    t->n_rows_max = n;
    return MU_OK;
}

struct entry {
    const json_t *results; /* the whole object */
    const json_t *values;  /* of this task or group */
    const char *name;
    int depth;
};

static const json_t *about(const struct entry *en, const char *table)
{
    return json_object_get(json_object_get(en->results, table), en->name);
}

static int put_name(struct table *t, const struct entry *en, bool is_first, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a name", 1 << 20);
    const json_t *alias = json_object_get(en->values, "alias"), *version = about(en, "versions");
    int rc = MU_OK;
    if (!is_first) {
        MU_TRY(put_cell(t, NAME, MU_STR(""), e));
        MU_TRY(put_cell(t, VERSION, MU_STR(""), e));
        goto out;
    }
    if (en->depth > 0)
        MU_TRY(mu_buf_printf(&text, e, "%*s- ", en->depth, ""));
    MU_TRY(mu_buf_puts(&text, json_is_string(alias) ? json_string_value(alias) : en->name, e));
    MU_TRY(put_cell(t, NAME, mu_buf_str(&text), e));
    if (json_is_string(version)) /* also "N/A": a group without one */
        MU_TRY(put_cell(t, VERSION, mu_str(json_string_value(version)), e));
    else
        MU_TRY(put_value(t, VERSION, version, version ? "" : "    N/A", e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int put_row(struct table *t, const struct entry *en, const char *key, bool is_first, struct mu_err *e)
{
    const char *comma = strchr(key, ',');
    struct mu_str metric = {key, comma ? (size_t)(comma - key) : strlen(key)};
    struct mu_str filter = comma ? mu_str(comma + 1) : MU_STR("");
    const json_t *value = json_object_get(en->values, key);
    const json_t *better = json_object_getn(about(en, "higher_is_better"), metric.p, metric.n);
    struct mu_buf stderr_key = MU_BUF_INIT("a metric's name", 1 << 20);
    int rc = MU_OK;

    MU_TRY(row_add(t, e));
    MU_TRY(put_name(t, en, is_first, e));
    MU_TRY(put_cell(t, FILTER, filter, e));
    MU_TRY(put_value(t, SHOTS, about(en, "n-shot"), "", e));
    MU_TRY(put_cell(t, METRIC, metric, e));
    MU_TRY(put_cell(t, DIRECTION,
                    json_is_true(better)    ? MU_STR("↑")
                    : json_is_false(better) ? MU_STR("↓")
                                            : MU_STR(""),
                    e));
    MU_TRY(put_value(t, VALUE, value, "NaN", e));
    MU_TRY(mu_buf_printf(&stderr_key, e, MU_STR_FMT "_stderr," MU_STR_FMT, MU_STR_ARG(metric), MU_STR_ARG(filter)));
    const json_t *se = json_object_get(en->values, stderr_key.p);
    MU_TRY(put_cell(t, PLUS_MINUS, se ? MU_STR("±") : MU_STR(""), e));
    MU_TRY(put_value(t, STDERR, se, se ? "NaN" : "", e));
    t->n_rows++;
out:
    mu_buf_fini(&stderr_key);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *text_or_empty(const json_t *v)
{
    return json_is_string(v) ? json_string_value(v) : "";
}

/* Keys of an object, or texts of an array, sorted; *out is the caller's. */
static int sorted_names(const json_t *v, const char ***out, size_t *n, struct mu_err *e)
{
    const char *key;
    json_t *item;
    size_t i = 0;
    *n = json_is_array(v) ? json_array_size(v) : json_object_size(v);
    MU_TRY_RETURN(MU_NEW_ARRAY(out, *n, "names", e));
    if (json_is_array(v)) {
        for (; i < *n; i++)
            (*out)[i] = text_or_empty(json_array_get(v, i));
    } else {
        json_object_foreach((json_t *)(uintptr_t)v, key, item)(*out)[i++] = key;
    }
    qsort(*out, *n, sizeof **out, by_name);
    return MU_OK;
}

static bool is_value_key(const char *key)
{
    static const char *const others[] = {"alias", "name", "sample_len", "sample_count"};
    for (size_t i = 0; i < MU_COUNT(others); i++) {
        if (strcmp(key, others[i]) == 0)
            return false;
    }
    size_t n = strcspn(key, ",");
    return !(n >= 7 && memcmp(key + n - 7, "_stderr", 7) == 0);
}

static int put_entry(struct table *t, const struct entry *en, struct mu_err *e)
{
    const char **keys = NULL;
    size_t n;
    bool is_first = true;
    int rc = MU_OK;

    MU_TRY(sorted_names(en->values, &keys, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (!is_value_key(keys[i]))
            continue;
        MU_TRY(put_row(t, en, keys[i], is_first, e));
        is_first = false;
    }
out:
    mu_free(keys);
    return rc;
}

/* ---- order: groups as trees by name, then what belongs to none ---- */

struct order {
    const json_t *results, *column, *subtasks;
    json_t *seen; /* object: names that stand in a tree */
    int n_visits;
    struct table *t;
};

static int visit(struct order *o, const char *name, int depth, struct mu_err *e)
{
    struct entry en = {o->results, json_object_get(o->column, name), name, depth};
    const char **children = NULL;
    size_t n;
    int rc = MU_OK;

    if (depth > DEPTH_MAX || ++o->n_visits > VISITS_MAX)
        return mu_fail(e, MU_ELIMIT, "the groups at %s lie more than %d deep or hold more than %d names", name,
                       DEPTH_MAX, VISITS_MAX);
    if (json_object_set_new(o->seen, name, json_true()) != 0)
        return mu_fail_nomem(e, sizeof(json_t), "the table");
    if (en.values)
        MU_TRY_RETURN(put_entry(o->t, &en, e));
    MU_TRY(sorted_names(json_object_get(o->subtasks, name), &children, &n, e));
    for (size_t i = 0; i < n; i++)
        MU_TRY(visit(o, children[i], depth + 1, e));
out:
    mu_free(children);
    return rc;
}

static bool is_child(const json_t *subtasks, const char *name)
{
    const char *group;
    json_t *names;
    json_object_foreach((json_t *)(uintptr_t)subtasks, group, names)
    {
        for (size_t i = 0; i < json_array_size(names); i++) {
            if (strcmp(text_or_empty(json_array_get(names, i)), name) == 0)
                return true;
        }
    }
    return false;
}

static int put_all(struct order *o, struct mu_err *e)
{
    const char **names = NULL, **rest = NULL;
    size_t n, n_rest;
    int rc = MU_OK;

    MU_TRY(sorted_names(o->subtasks, &names, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (!is_child(o->subtasks, names[i]))
            MU_TRY(visit(o, names[i], 0, e));
    }
    MU_TRY(sorted_names(o->column, &rest, &n_rest, e));
    for (size_t i = 0; i < n_rest; i++) {
        struct entry en = {o->results, json_object_get(o->column, rest[i]), rest[i], 0};
        if (!json_object_get(o->seen, rest[i]))
            MU_TRY(put_entry(o->t, &en, e));
    }
out:
    mu_free(names);
    mu_free(rest);
    return rc;
}

/* ---- printing ---- */

static int width_of(struct mu_str s)
{
    int width = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t c;
        int n = mu_utf8_decode(s.p + i, s.n - i, &c);
        width += n ? utf8proc_charwidth((utf8proc_int32_t)c) : 1;
        i += (size_t)MU_MAX(n, 1);
    }
    return width;
}

/* The cell as it is shown: numbers with the column's decimals, zeros added or dropped. */
static int shown(const struct table *t, int row, int column, struct mu_buf *out, struct mu_err *e)
{
    const struct cell *c = &t->row[row][column];
    struct mu_str s = cell_str(t, c);
    mu_buf_clear(out);
    if (!c->is_number)
        return mu_buf_add(out, s.p, s.n, e);
    const char *dot = memchr(s.p, '.', s.n);
    int have = dot ? (int)(s.n - (size_t)(dot + 1 - s.p)) : 0, want = t->decimals[column];
    size_t kept = have > want ? s.n - (size_t)(have - want) - (want == 0) : s.n;
    MU_TRY_RETURN(mu_buf_add(out, s.p, kept, e));
    if (want > 0 && !dot)
        MU_TRY_RETURN(mu_buf_putc(out, '.', e));
    for (; have < want; have++)
        MU_TRY_RETURN(mu_buf_putc(out, '0', e));
    return MU_OK;
}

static void pad(FILE *f, int n)
{
    fprintf(f, "%*s", MU_MAX(n, 0), "");
}

static void print_text(FILE *f, struct mu_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '|')
            fputc('\\', f);
        fputc(s.p[i], f);
    }
}

static void print_head(const struct table *t, const char *const *head, FILE *f)
{
    for (int c = 0; c < N_COLUMNS; c++) {
        int free_ = t->width[c] - (int)strlen(head[c]);
        fputc('|', f);
        pad(f, free_ / 2);
        fputs(head[c], f);
        pad(f, free_ - free_ / 2);
    }
    fputs("|\n", f);
    for (int c = 0; c < N_COLUMNS; c++) {
        fputc('|', f);
        for (int i = 1; i < t->width[c]; i++)
            fputc('-', f);
        fputc(t->has_number[c] && !t->has_text[c] ? ':' : '-', f);
    }
    fputs("|\n", f);
}

static int print_rows(const struct table *t, struct mu_buf *scratch, FILE *f, struct mu_err *e)
{
    for (int r = 0; r < t->n_rows; r++) {
        for (int c = 0; c < N_COLUMNS; c++) {
            MU_TRY_RETURN(shown(t, r, c, scratch, e));
            int free_ = t->width[c] - width_of(mu_buf_str(scratch));
            fputc('|', f);
            if (t->row[r][c].is_number)
                pad(f, free_);
            print_text(f, mu_buf_str(scratch));
            if (!t->row[r][c].is_number)
                pad(f, free_);
        }
        fputs("|\n", f);
    }
    return MU_OK;
}

static int print(struct table *t, const char *first, FILE *f, struct mu_err *e)
{
    const char *head[N_COLUMNS] = {first, "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"};
    struct mu_buf scratch = MU_BUF_INIT("a cell", TABLE_BYTES_MAX);
    int rc = MU_OK;

    for (int c = 0; c < N_COLUMNS; c++) {
        t->width[c] = MU_MAX(COLUMN_WIDTH_MIN, (int)strlen(head[c]));
        for (int r = 0; r < t->n_rows; r++) {
            MU_TRY(shown(t, r, c, &scratch, e));
            t->width[c] = MU_MAX(t->width[c], width_of(mu_buf_str(&scratch)));
        }
    }
    print_head(t, head, f);
    MU_TRY(print_rows(t, &scratch, f, e));
out:
    mu_buf_fini(&scratch);
    return rc;
}

static int print_column(const json_t *results, const char *column, const char *first, FILE *f, struct mu_err *e)
{
    struct table t = {.text = MU_BUF_INIT("the table", TABLE_BYTES_MAX)};
    struct order o = {
        results, json_object_get(results, column), json_object_get(results, "group_subtasks"), json_object(), 0, &t};
    int rc = o.seen ? put_all(&o, e) : mu_fail_nomem(e, sizeof(json_t), "the table");
    if (rc == MU_OK)
        rc = print(&t, first, f, e);
    json_decref(o.seen);
    mu_buf_fini(&t.text);
    mu_free(t.row);
    return rc;
}

int mu_results_table(const json_t *results, FILE *f, struct mu_err *e)
{
    MU_TRY_RETURN(print_column(results, "results", "Tasks", f, e));
    if (json_object_get(results, "groups")) {
        fputc('\n', f);
        MU_TRY_RETURN(print_column(results, "groups", "Groups", f, e));
    }
    return ferror(f) ? mu_fail(e, MU_EIO, "cannot write the table") : MU_OK;
}
