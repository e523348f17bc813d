/* task_scan.c - what a task file is and is called, without a tree of the file
 *
 * Thousands of files are looked at for every run of which a few are read. Only top-level members with the names below
 * are taken: a plain word is taken as it is, any other value is parsed alone, and a file whose top level is not plain
 * (one flow mapping, merge keys, anchors) is parsed whole. Included files are scanned once and give what the file does
 * not say itself (lm_eval/tasks/_index.py indexes with includes resolved). */
#include <ctype.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "eval/task_int.h"

static const char *const wanted[] = {"task", "group", "tag", "output_type", "class", "suite", "include", NULL};

struct mu_scan_cache {
    json_t *by_path;
    struct mu_buf text;
};

int mu_task_scan_open(struct mu_scan_cache **out, struct mu_err *e)
{
    struct mu_scan_cache *c = NULL;
    mu_json_init();
    MU_TRY_RETURN(MU_NEW(&c, "an index of task files", e));
    c->text = (struct mu_buf)MU_BUF_INIT("a task file", MU_YAML_BYTES_MAX);
    c->by_path = json_object();
    *out = c;
    if (c->by_path)
        return MU_OK;
    mu_task_scan_close(c);
    *out = NULL;
    return mu_fail_nomem(e, sizeof(void *), "an index of task files");
}

void mu_task_scan_close(struct mu_scan_cache *c)
{
    if (!c)
        return;
    json_decref(c->by_path);
    mu_buf_fini(&c->text);
    mu_free(c);
}

static int put(json_t *into, const char *key, json_t *value, struct mu_err *e)
{
    return json_object_set_new(into, key, value) == 0 ? MU_OK : mu_fail_nomem(e, strlen(key), "an index of task files");
}

/* ---- one line ---- */

/* End of the line that begins at p, its newline not counted. */
static const char *line_end(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    return nl ? nl : end;
}

/* The wanted key at p, "task:" or "\"task\" :"; *value: behind the colon. */
static const char *key_at(const char *p, const char *end, const char **value)
{
    char quote = *p == '"' || *p == '\'' ? *p++ : 0;
    for (size_t i = 0; wanted[i]; i++) {
        size_t n = strlen(wanted[i]);
        const char *q = p + n;
        if ((size_t)(end - p) < n || memcmp(p, wanted[i], n) != 0)
            continue;
        if (quote && (q == end || *q++ != quote))
            continue;
        while (q < end && *q == ' ')
            q++;
        if (q == end || *q != ':' || (q + 1 < end && !isspace((unsigned char)q[1])))
            continue;
        *value = q + 1;
        return wanted[i];
    }
    return NULL;
}

/* A word that YAML reads as that very text; nothing but a comment follows on its line. */
static bool plain_word(const char *p, const char *end, struct mu_str *out)
{
    static const char *const types[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", NULL};
    while (p < end && *p == ' ')
        p++;
    const char *from = p;
    if (p == end || !(isalpha((unsigned char)*p) || *p == '_'))
        return false;
    while (p < end && (isalnum((unsigned char)*p) || strchr("_-./", *p)))
        p++;
    *out = (struct mu_str){from, (size_t)(p - from)};
    for (size_t i = 0; types[i]; i++)
        if (strlen(types[i]) == out->n && strncasecmp(types[i], from, out->n) == 0)
            return false;
    const char *blank = p;
    while (p < end && (*p == ' ' || *p == '\r'))
        p++;
    return p == end || (*p == '#' && p > blank);
}

/* Behind a quoted text that begins at p, which may run over several lines. */
static const char *behind_quoted(const char *p, const char *end)
{
    char quote = *p++;
    for (; p < end; p++) {
        if (quote == '"' && *p == '\\')
            p++;
        else if (*p == quote && quote == '\'' && p + 1 < end && p[1] == '\'')
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return end;
}

/* Where the value that begins behind a colon at p ends: before the next line with something at its very start. */
static const char *value_end(const char *p, const char *end)
{
    const char *q = p;
    while (q < end && *q == ' ')
        q++;
    if (q < end && (*q == '"' || *q == '\''))
        p = behind_quoted(q, end);
    for (;;) {
        p = line_end(p, end);
        if (p == end)
            return end;
        p++;
        if (p < end && !strchr(" \t\r\n#-]}", *p))
            return p;
    }
}

/* ---- one file ---- */

/* Top level that lines do not tell: a flow mapping, anchors, merge and explicit keys. */
static bool is_odd(const char *p, const char *end)
{
    return strchr("{[&*?!|>%@`\t", *p) != NULL || (end - p >= 2 && memcmp(p, "<<", 2) == 0);
}

static int take_parsed(struct mu_str text, const char *path, json_t *into, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    int rc;
    MU_TRY(mu_yaml_parse(&y, text, path, e));
    for (size_t i = 0; wanted[i]; i++) {
        json_t *v = json_object_get(mu_yaml_root(y), wanted[i]);
        if (v)
            MU_TRY(put(into, wanted[i], json_incref(v), e));
    }
out:
    mu_yaml_free(y);
    return rc;
}

static int scan_text(struct mu_str text, const char *path, json_t *into, struct mu_err *e)
{
    const char *end = text.p + text.n, *p = text.p, *value = NULL;
    if (text.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < end) {
        const char *eol = line_end(p, end), *next = eol < end ? eol + 1 : end;
        struct mu_str word;
        if (strchr(" \r\n#-", *p)) {
            p = next;
            continue;
        }
        if (is_odd(p, end))
            return take_parsed(text, path, into, e);
        const char *key = key_at(p, end, &value);
        if (key && plain_word(value, eol, &word)) {
            MU_TRY_RETURN(put(into, key, json_stringn(word.p, word.n), e));
            p = next;
            continue;
        }
        const char *colon = memchr(p, ':', (size_t)(eol - p));
        const char *stop = value_end(key ? value : colon ? colon + 1 : eol, end);
        if (key && take_parsed((struct mu_str){p, (size_t)(stop - p)}, path, into, NULL) != MU_OK)
            return take_parsed(text, path, into, e);
        p = stop;
    }
    return MU_OK;
}

/* ---- includes ---- */

static int scan_file(struct mu_scan_cache *c, const char *path, int depth, json_t **out, struct mu_err *e);

static int take_include(struct mu_scan_cache *c, const char *path, const json_t *include, int depth, json_t *into,
                        struct mu_err *e)
{
    struct mu_buf full = MU_BUF_INIT("a path", 1 << 16);
    const char *slash = strrchr(path, '/');
    json_t *theirs = NULL;
    int rc;

    if (!json_is_string(include))
        return MU_OK;
    const char *name = json_string_value(include);
    if (name[0] != '/')
        MU_TRY(mu_buf_add(&full, path, slash ? (size_t)(slash - path) + 1 : 0, e));
    MU_TRY(mu_buf_puts(&full, name, e));
    MU_TRY(scan_file(c, full.p, depth + 1, &theirs, e));
    if (json_object_update(into, theirs) != 0)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "an index of task files"));
out:
    json_decref(theirs);
    mu_buf_fini(&full);
    return rc;
}

static int scan_whole(struct mu_scan_cache *c, const char *path, int depth, json_t *all, struct mu_err *e)
{
    json_t *own = json_object(), *item;
    size_t i;
    int rc = own ? MU_OK : mu_fail_nomem(e, sizeof(void *), "an index of task files");
    if (rc == MU_OK)
        rc = mu_file_read_all(&c->text, path, e);
    if (rc == MU_OK)
        rc = scan_text(mu_buf_str(&c->text), path, own, e);
    if (rc != MU_OK)
        goto out;
    json_t *include = json_object_get(own, "include");
    if (json_is_array(include))
        json_array_foreach(include, i, item) MU_TRY(take_include(c, path, item, depth, all, e));
    else if (include)
        MU_TRY(take_include(c, path, include, depth, all, e));
    if (json_object_update(all, own) != 0)
        MU_TRY(mu_fail_nomem(e, sizeof(void *), "an index of task files"));
    json_object_del(all, "include");
out:
    json_decref(own);
    return rc;
}

/* *out: a new reference, not to be changed. Only files that others include are remembered. */
static int scan_file(struct mu_scan_cache *c, const char *path, int depth, json_t **out, struct mu_err *e)
{
    json_t *known = json_object_get(c->by_path, path);
    if (known) {
        *out = json_incref(known);
        return MU_OK;
    }
    if (depth > MU_TASK_INCLUDES_MAX)
        return mu_fail(e, MU_ELIMIT, "%s is included through more than %d files", path, MU_TASK_INCLUDES_MAX);
    json_t *all = json_object();
    int rc = all ? scan_whole(c, path, depth, all, e) : mu_fail_nomem(e, sizeof(void *), "an index of task files");
    if (rc == MU_OK && depth > 0)
        rc = put(c->by_path, path, json_incref(all), e);
    if (rc != MU_OK) {
        json_decref(all);
        return rc;
    }
    *out = all;
    return MU_OK;
}

int mu_task_scan(struct mu_scan_cache *c, const char *path, json_t **out, struct mu_err *e)
{
    return scan_file(c, path, 0, out, e);
}
