/* dataset_json.c - documents in JSON Lines, one JSON array, or one member of a JSON object */
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/dataset_int.h"

static int append(json_t *rows, json_t *row, struct mu_err *e)
{
    if (json_array_size(rows) == MU_DATASET_DOCS_MAX) {
        json_decref(row);
        return mu_fail(e, MU_ELIMIT, "a data set has at most %d documents", MU_DATASET_DOCS_MAX);
    }
    return json_array_append_new(rows, row) == 0 ? MU_OK : mu_fail_nomem(e, sizeof(void *), "documents");
}

static int take_array(const json_t *all, const char *path, json_t *rows, struct mu_err *e)
{
    json_t *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)all, i, row)
    {
        if (!json_is_object(row))
            return mu_fail(e, MU_EFORMAT, "%s: item %zu is no object; a document is an object of columns", path, i);
        MU_TRY_RETURN(append(rows, json_incref(row), e));
    }
    return MU_OK;
}

/* Names of the members that are arrays: what `field` could be. */
static int fail_field(const json_t *all, const char *path, const char *field, struct mu_err *e)
{
    struct mu_buf names = MU_BUF_INIT("names", 600);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)all, key,
                        value) if (json_is_array(value) &&
                                   mu_buf_printf(&names, NULL, "%s\"%s\"", names.n ? ", " : "", key) != MU_OK) break;
    int rc = mu_fail(e, MU_EFORMAT, "%s: there is no array \"%s\" in it%s%s", path, field,
                     names.n ? "; arrays are " : "", names.n ? names.p : "");
    mu_buf_fini(&names);
    return rc;
}

static int take_whole(struct mu_str text, const char *path, const char *field, json_t *rows, struct mu_err *e)
{
    json_t *all = NULL;
    int rc;
    MU_TRY(mu_json_parse(&all, text, path, e));
    const json_t *list = field ? json_object_get(all, field) : all;
    rc = json_is_array(list) ? take_array(list, path, rows, e) : fail_field(all, path, field ? field : "", e);
out:
    json_decref(all);
    return rc;
}

static int take_line(struct mu_str line, const char *path, size_t number, json_t *rows, struct mu_err *e)
{
    struct mu_buf where = MU_BUF_INIT("a place", 1 << 16);
    json_t *row = NULL;
    int rc;
    MU_TRY(mu_buf_printf(&where, e, "%s, line %zu", path, number));
    MU_TRY(mu_json_parse(&row, line, where.p, e));
    if (!json_is_object(row))
        MU_TRY(mu_fail(e, MU_EFORMAT, "%s: a document is an object of columns, this is none", where.p));
    rc = append(rows, row, e);
    row = NULL;
out:
    json_decref(row);
    mu_buf_fini(&where);
    return rc;
}

int mu_dataset_json(struct mu_str text, const char *path, const char *field, json_t *rows, struct mu_err *e)
{
    const char *p = text.p, *end = text.p + text.n;
    if (text.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    if (p == end)
        return MU_OK;
    if (field || *p == '[')
        return take_whole((struct mu_str){p, (size_t)(end - p)}, path, field, rows, e);
    size_t number = 1;
    for (const char *q = text.p; q < p; q++)
        number += *q == '\n';
    for (; p < end; number++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl : end;
        struct mu_str line = {p, (size_t)(stop - p)};
        while (line.n && strchr(" \t\r", line.p[line.n - 1]) && line.p[line.n - 1])
            line.n--;
        if (line.n)
            MU_TRY_RETURN(take_line(line, path, number, rows, e));
        p = nl ? nl + 1 : end;
    }
    return MU_OK;
}
