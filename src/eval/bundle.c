/* bundle.c - a bundle's file: lines, their kinds, and what must be there at the end
 *
 * The format is docs/bundle.md. */
#include "eval/bundle_int.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

#define READ_BYTES ((size_t)1 << 20)

/* ---- lines ---- */

struct lines {
    struct mu_file f;
    uint64_t at;       /* read so far */
    struct mu_buf buf; /* what was read and not yet given out */
    size_t pos;
};

static int read_more(struct lines *r, struct mu_err *e)
{
    size_t n = (size_t)MU_MIN((uint64_t)READ_BYTES, r->f.bytes - r->at);
    if (r->pos) {
        memmove(r->buf.p, r->buf.p + r->pos, r->buf.n - r->pos);
        r->buf.n -= r->pos;
        r->pos = 0;
    }
    MU_TRY_RETURN(mu_buf_reserve(&r->buf, n, e));
    MU_TRY_RETURN(mu_file_read_at(&r->f, r->buf.p + r->buf.n, n, r->at, e));
    r->buf.n += n;
    r->buf.p[r->buf.n] = '\0';
    r->at += n;
    return MU_OK;
}

/* The next line without its end; *more false at the end of the file. It lives until the next call. */
static int next_line(struct lines *r, struct mu_str *out, bool *more, struct mu_err *e)
{
    size_t seen = 0;
    const char *end = NULL;
    for (;;) {
        size_t n = r->buf.n - r->pos;
        end = n > seen ? memchr(r->buf.p + r->pos + seen, '\n', n - seen) : NULL;
        seen = n;
        if (end || r->at == r->f.bytes)
            break;
        MU_TRY_RETURN(read_more(r, e));
    }
    *more = end || seen > 0;
    *out = (struct mu_str){*more ? r->buf.p + r->pos : "", end ? (size_t)(end - r->buf.p) - r->pos : seen};
    r->pos += out->n + (end != NULL);
    return MU_OK;
}

/* ---- kinds ---- */

const char *mu_bundle_text(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

int mu_bundle_grow(void *array, int *cap, int n, size_t size, const char *what, struct mu_err *e)
{
    void **p = array;
    if (n < *cap)
        return MU_OK;
    if (n >= MU_TASKS_MAX)
        return mu_fail(e, MU_ELIMIT, "more than %d %s", MU_TASKS_MAX, what);
    size_t want = (size_t)MU_MIN(*cap * 2 + 16, MU_TASKS_MAX);
    void *bigger = mu_realloc(*p, want * size);
    if (!bigger)
        return mu_fail_nomem(e, want * size, what);
    memset((char *)bigger + (size_t)n * size, 0, (want - (size_t)n) * size);
    *p = bigger;
    *cap = (int)want;
    return MU_OK;
}

static int read_header(const json_t *line, struct mu_err *e)
{
    const char *format = mu_bundle_text(line, "format");
    const json_t *version = json_object_get(line, "version");
    if (!format || strcmp(format, "muster-bundle") != 0)
        return mu_fail(e, MU_EFORMAT, "the first line must have \"format\": \"muster-bundle\"");
    if (!json_is_integer(version))
        return mu_fail(e, MU_EFORMAT, "\"version\" must be a number");
    if (json_integer_value(version) != MU_BUNDLE_VERSION)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "the bundle has format version %lld, this muster reads %d; export it again with the "
                       "tools/export_bundle.py that belongs to it",
                       (long long)json_integer_value(version), MU_BUNDLE_VERSION);
    return MU_OK;
}

/* Without the last line nothing would tell that documents at the end are missing. */
static int read_end(struct mu_bundle *b, const json_t *line)
{
    int64_t n;
    MU_TRY_RETURN(mu_json_int(line, "lines", 1, INT64_MAX, &n, "the end", b->e));
    b->is_ended = true;
    return n == b->line ? MU_OK
                        : mu_fail(b->e, MU_EFORMAT,
                                  "the bundle had %lld lines when it was written, and this is line %lld: lines are "
                                  "missing or were added, export it again",
                                  (long long)n, (long long)b->line);
}

static int read_kind(struct mu_bundle *b, json_t *line)
{
    const char *kind = mu_bundle_text(line, "kind");
    if (b->is_ended)
        return mu_fail(b->e, MU_EFORMAT, "the bundle ended on the line before; is this two bundles in one file?");
    if (!kind)
        return mu_fail(b->e, MU_EFORMAT, "\"kind\" must be \"task\", \"group\", \"doc\" or \"end\"");
    if (strcmp(kind, "doc") == 0)
        return mu_bundle_doc(b, line);
    if (strcmp(kind, "task") == 0)
        return mu_bundle_task(b, line);
    if (strcmp(kind, "group") == 0)
        return mu_bundle_group(b, line);
    if (strcmp(kind, "end") == 0)
        return read_end(b, line);
    return mu_fail(b->e, MU_EFORMAT,
                   "there is no kind \"%s\" of line; known are \"task\", \"group\", \"doc\" and \"end\"", kind);
}

static int read_line(struct mu_bundle *b, struct mu_str text)
{
    json_t *line = NULL;
    int rc;
    MU_TRY(mu_json_parse(&line, text, "the line's JSON", b->e));
    if (!json_is_object(line)) {
        rc = mu_fail(b->e, MU_EFORMAT, "a line must be an object");
        goto out;
    }
    rc = b->line == 1 ? read_header(line, b->e) : read_kind(b, line);
out:
    json_decref(line);
    return rc;
}

static int read_lines(struct mu_bundle *b)
{
    struct lines r = {.f = MU_FILE_INIT, .buf = MU_BUF_INIT("a line of a bundle", MU_BUNDLE_LINE_BYTES_MAX)};
    struct mu_str text;
    bool more = true;
    int rc;

    MU_TRY(mu_file_open(&r.f, b->path, b->e));
    for (;;) {
        MU_TRY(next_line(&r, &text, &more, b->e));
        if (!more)
            break;
        b->line++;
        rc = read_line(b, text);
        if (rc != MU_OK) {
            rc = mu_fail(b->e, rc, "%s, line %lld: %s", b->path, (long long)b->line, b->e->text);
            goto out;
        }
    }
    rc = mu_file_check(&r.f, b->e);
out:
    mu_file_close(&r.f);
    mu_buf_fini(&r.buf);
    return rc;
}

/* ---- the whole ---- */

static int open_bundle(struct mu_bundle *b)
{
    MU_TRY_RETURN(mu_loader_open(&b->l, NULL, false, b->e));
    MU_TRY_RETURN(MU_NEW(&b->set, "the tasks of a bundle", b->e));
    MU_TRY_RETURN(MU_NEW(&b->arena, "the tasks of a bundle", b->e));
    *b->arena = (struct mu_arena)MU_ARENA_INIT("the groups of a bundle", (size_t)256 << 20);
    b->set->keep = b->arena;
    b->task_at = json_object();
    b->group_at = json_object();
    return b->task_at && b->group_at ? MU_OK : mu_fail_nomem(b->e, sizeof(void *), "a bundle");
}

static void close_bundle(struct mu_bundle *b)
{
    for (int i = 0; b->builder && b->set && i < b->set->n_tasks; i++)
        mu_builder_fini(&b->builder[i]);
    mu_free(b->builder);
    mu_task_set_free(b->set);
    mu_loader_close(b->l);
    json_decref(b->task_at);
    json_decref(b->group_at);
}

static int check_complete(struct mu_bundle *b)
{
    if (b->line == 0)
        return mu_fail(b->e, MU_EFORMAT, "%s is empty: a bundle begins with a line that tells its format", b->path);
    if (!b->is_ended)
        return mu_fail(b->e, MU_EFORMAT,
                       "%s breaks off after line %lld: its last line must be of kind \"end\"; copy or "
                       "export it again",
                       b->path, (long long)b->line);
    if (b->set->n_tasks == 0)
        return mu_fail(b->e, MU_EFORMAT, "%s has no task", b->path);
    for (int i = 0; i < b->set->n_tasks; i++) {
        if (b->builder[i].work->n_docs == 0)
            return mu_fail(b->e, MU_EFORMAT, "%s: task %s has no documents", b->path, b->set->task[i]->name);
    }
    return mu_bundle_groups_end(b);
}

static int take_works(struct mu_bundle *b, struct mu_work ***works)
{
    MU_TRY_RETURN(MU_NEW_ARRAY(works, b->set->n_tasks, "the tasks of a bundle", b->e));
    for (int i = 0; i < b->set->n_tasks; i++) {
        (*works)[i] = b->builder[i].work;
        b->builder[i].work = NULL;
    }
    return MU_OK;
}

int mu_bundle_load(const char *path, struct mu_task_set **set, struct mu_work ***works, struct mu_err *e)
{
    struct mu_err own = MU_ERR_INIT;
    struct mu_bundle b = {.path = path, .e = e ? e : &own};
    int rc;

    mu_json_init();
    MU_TRY(open_bundle(&b));
    MU_TRY(read_lines(&b));
    MU_TRY(check_complete(&b));
    MU_TRY(take_works(&b, works));
    *set = b.set;
    for (int i = 0; i < b.set->n_tasks; i++)
        mu_builder_fini(&b.builder[i]);
    mu_free(b.builder);
    b.builder = NULL;
    b.set = NULL;
out:
    close_bundle(&b);
    return rc;
}

void mu_works_free(struct mu_work **works, int n)
{
    for (int i = 0; works && i < n; i++)
        mu_work_free(works[i]);
    mu_free(works);
}
