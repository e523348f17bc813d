/* dataset_csv.c - comma-separated documents (RFC 4180) with the types pandas gives their columns
 *
 * The first line names the columns. A column whose texts are all whole numbers is of integers, with a gap among them of
 * reals; all numbers: reals; all true or false: booleans; else texts. What pandas takes for a missing value ("", NA,
 * null, None, nan ...) is null, quoted or not. Source: pandas.read_csv as the datasets library calls it, observed. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "eval/dataset_int.h"

struct reader {
    const char *path;
    const char *p, *end;
    size_t line; /* of p */
    char separator;
    struct mu_buf text; /* the fields of a record, each NUL-terminated */
    size_t at[MU_DATASET_COLUMNS_MAX];
    int n; /* fields of the record */
    size_t record_line;
    char **name; /* of the columns */
    int n_columns;
    struct mu_err *e;
};

/* ---- records ---- */

static int take_quoted(struct reader *r)
{
    for (r->p++; r->p < r->end; r->p++) {
        r->line += *r->p == '\n';
        if (*r->p != '"') {
            MU_TRY_RETURN(mu_buf_putc(&r->text, *r->p, r->e));
        } else if (r->p + 1 < r->end && r->p[1] == '"') {
            MU_TRY_RETURN(mu_buf_putc(&r->text, *r->p++, r->e));
        } else {
            r->p++;
            return MU_OK;
        }
    }
    return mu_fail(r->e, MU_EFORMAT, "%s, line %zu: a quoted field has no end", r->path, r->record_line);
}

static int take_field(struct reader *r)
{
    if (r->n == MU_DATASET_COLUMNS_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s, line %zu: more than %d columns", r->path, r->line, MU_DATASET_COLUMNS_MAX);
    r->at[r->n++] = r->text.n;
    if (r->p < r->end && *r->p == '"')
        MU_TRY_RETURN(take_quoted(r));
    const char *from = r->p;
    while (r->p < r->end && *r->p != r->separator && *r->p != '\n' && *r->p != '\r')
        r->p++;
    MU_TRY_RETURN(mu_buf_add(&r->text, from, (size_t)(r->p - from), r->e));
    return mu_buf_putc(&r->text, 0, r->e);
}

/* The next record that is no empty line; n is 0 at the end. */
static int take_record(struct reader *r)
{
    mu_buf_clear(&r->text);
    r->n = 0;
    while (r->p < r->end && (*r->p == '\n' || *r->p == '\r')) {
        r->line += *r->p == '\n';
        r->p++;
    }
    r->record_line = r->line;
    if (r->p == r->end)
        return MU_OK;
    for (;;) {
        MU_TRY_RETURN(take_field(r));
        if (r->p == r->end || *r->p != r->separator)
            break;
        r->p++;
    }
    if (r->p < r->end && *r->p == '\r')
        r->p++;
    if (r->p < r->end && *r->p == '\n') {
        r->line++;
        r->p++;
    }
    return MU_OK;
}

/* ---- names of columns ---- */

static int name_column(struct reader *r, int i)
{
    struct mu_buf name = MU_BUF_INIT("a column", 1 << 20);
    const char *given = r->text.p + r->at[i];
    int rc = given[0] ? mu_buf_puts(&name, given, r->e) : mu_buf_printf(&name, r->e, "Unnamed: %d", i);
    for (int copy = 1; rc == MU_OK; copy++) {
        int j = 0;
        while (j < i && strcmp(r->name[j], name.p) != 0)
            j++;
        if (j == i)
            break;
        mu_buf_clear(&name);
        rc = mu_buf_printf(&name, r->e, "%s.%d", given, copy);
    }
    r->name[i] = rc == MU_OK ? mu_buf_take(&name) : NULL;
    mu_buf_fini(&name);
    return rc;
}

static int take_header(struct reader *r)
{
    MU_TRY_RETURN(take_record(r));
    MU_TRY_RETURN(MU_NEW_ARRAY(&r->name, r->n + 1, "columns", r->e));
    r->n_columns = r->n;
    for (int i = 0; i < r->n; i++)
        MU_TRY_RETURN(name_column(r, i));
    return MU_OK;
}

/* ---- rows of texts, then types ---- */

static bool is_missing(const char *s)
{
    static const char *const words[] = {"",     "#N/A",   "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                        "-nan", "1.#IND", "1.#QNAN",  "<NA>", "N/A",     "NA",       "NULL",
                                        "NaN",  "None",   "n/a",      "nan",  "null"};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcmp(s, words[i]) == 0)
            return true;
    return false;
}

static int take_row(struct reader *r, json_t *rows)
{
    if (r->n > r->n_columns)
        return mu_fail(r->e, MU_EFORMAT, "%s, line %zu: %d fields under %d columns", r->path, r->record_line, r->n,
                       r->n_columns);
    if (json_array_size(rows) == MU_DATASET_DOCS_MAX)
        return mu_fail(r->e, MU_ELIMIT, "a data set has at most %d documents", MU_DATASET_DOCS_MAX);
    json_t *row = json_object();
    int bad = !row || json_array_append_new(rows, row) != 0;
    for (int i = 0; !bad && i < r->n_columns; i++) {
        const char *s = i < r->n ? r->text.p + r->at[i] : "";
        bad = json_object_set_new(row, r->name[i], is_missing(s) ? json_null() : json_string(s)) != 0;
    }
    return bad ? mu_fail_nomem(r->e, r->text.n, "documents") : MU_OK;
}

enum kind { INTS = 1, REALS = 2, BOOLS = 4 };

static const char *skip_blanks(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

static bool to_int(const char *s, json_int_t *out)
{
    char *end;
    s = skip_blanks(s);
    if (!isdigit((unsigned char)s[*s == '+' || *s == '-']))
        return false;
    errno = 0;
    *out = strtoll(s, &end, 10);
    return errno == 0 && *skip_blanks(end) == 0;
}

static bool to_real(const char *s, double *out)
{
    char *end;
    s = skip_blanks(s);
    if (strpbrk(s, "xXpP_(")) /* hexadecimal and nan(...) of strtod */
        return false;
    *out = strtod(s, &end);
    return end != s && *skip_blanks(end) == 0 && !isnan(*out);
}

static bool to_bool(const char *s, bool *out)
{
    *out = strcmp(s, "True") == 0 || strcmp(s, "TRUE") == 0 || strcmp(s, "true") == 0;
    return *out || strcmp(s, "False") == 0 || strcmp(s, "FALSE") == 0 || strcmp(s, "false") == 0;
}

static unsigned kinds_of(const char *s)
{
    json_int_t i;
    double d;
    bool b;
    return (to_int(s, &i) ? INTS : 0u) | (to_real(s, &d) ? REALS : 0u) | (to_bool(s, &b) ? BOOLS : 0u);
}

static json_t *typed(const char *s, unsigned kinds)
{
    json_int_t i = 0;
    double d = 0;
    bool b = false;
    if (kinds & INTS && to_int(s, &i))
        return json_integer(i);
    if (kinds & REALS && to_real(s, &d))
        return json_real(d);
    to_bool(s, &b);
    return json_boolean(b);
}

static int type_column(const struct reader *r, const char *name, json_t *rows, size_t from)
{
    unsigned kinds = INTS | REALS | BOOLS;
    bool has_gap = false, has_value = false;
    size_t n = json_array_size(rows);
    for (size_t i = from; i < n && kinds; i++) {
        const char *s = json_string_value(json_object_get(json_array_get(rows, i), name));
        has_gap |= !s;
        has_value |= s != NULL;
        kinds &= s ? kinds_of(s) : ~0u;
    }
    if (has_gap && kinds & INTS) /* a whole number beside a missing one is a real */
        kinds &= ~(unsigned)INTS;
    for (size_t i = from; i < n && kinds && has_value; i++) {
        json_t *row = json_array_get(rows, i);
        const char *s = json_string_value(json_object_get(row, name));
        if (!s)
            continue;
        json_t *v = typed(s, kinds);
        if (!v)
            return mu_fail(r->e, MU_EUNSUPPORTED, "%s, column \"%s\": the number %s is not finite", r->path, name, s);
        if (json_object_set_new(row, name, v) != 0)
            return mu_fail_nomem(r->e, sizeof(void *), "documents");
    }
    return MU_OK;
}

static int check_text(struct mu_str text, const char *path, struct mu_err *e)
{
    size_t ok = mu_utf8_valid_prefix(text.p, text.n), line = 1;
    const char *nul = memchr(text.p, 0, text.n);
    if (ok == text.n && !nul)
        return MU_OK;
    size_t at = nul && (size_t)(nul - text.p) < ok ? (size_t)(nul - text.p) : ok;
    for (size_t i = 0; i < at; i++)
        line += text.p[i] == '\n';
    return mu_fail(e, MU_EFORMAT, "%s, line %zu: bytes that are no UTF-8 text", path, line);
}

int mu_dataset_csv(struct mu_str text, const char *path, char separator, json_t *rows, struct mu_err *e)
{
    struct reader *r = NULL;
    size_t from = json_array_size(rows);
    int rc = MU_OK;

    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = (struct mu_str){text.p + 3, text.n - 3};
    if (!text.n)
        return MU_OK;
    MU_TRY(check_text(text, path, e));
    MU_TRY(MU_NEW(&r, "a CSV file", e));
    r->path = path;
    r->p = text.p;
    r->end = text.p + text.n;
    r->line = 1;
    r->separator = separator;
    r->text = (struct mu_buf)MU_BUF_INIT("a CSV record", (size_t)256 << 20);
    r->e = e;
    MU_TRY(take_header(r));
    for (;;) {
        MU_TRY(take_record(r));
        if (!r->n)
            break;
        MU_TRY(take_row(r, rows));
    }
    for (int i = 0; i < r->n_columns; i++)
        MU_TRY(type_column(r, r->name[i], rows, from));
out:
    for (int i = 0; r && r->name && i < r->n_columns; i++)
        mu_free(r->name[i]);
    if (r) {
        mu_free(r->name);
        mu_buf_fini(&r->text);
    }
    mu_free(r);
    return rc;
}
