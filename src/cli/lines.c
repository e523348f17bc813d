/* lines.c - lines of a file or of standard input, with their numbers in every sentence */
#include "cli/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "cli/interrupt.h"

#define CHUNK_BYTES 65536

int mu_lines_open(struct mu_lines *l, const char *path, struct mu_err *e)
{
    bool is_stdin = strcmp(path, "-") == 0;
    *l = (struct mu_lines){.f = is_stdin ? stdin : fopen(path, "re"),
                           .name = is_stdin ? "standard input" : path,
                           .line = MU_BUF_INIT("a line", MU_LINE_BYTES_MAX)};
    if (!l->f)
        return mu_fail(e, errno == ENOENT ? MU_ENOENT : MU_EIO, "cannot open %s: %s", path, strerror(errno));
    return MU_OK;
}

void mu_lines_close(struct mu_lines *l)
{
    if (l->f && l->f != stdin)
        fclose(l->f);
    l->f = NULL;
    mu_buf_fini(&l->line);
}

const char *mu_lines_where(const struct mu_lines *l)
{
    static _Thread_local char where[512];
    snprintf(where, sizeof where, "%.400s, line %" PRId64, l->name, l->number);
    return where;
}

static int read_failed(const char *name, struct mu_err *e)
{
    if (mu_interrupted())
        return mu_fail(e, MU_ECANCELED, "stopped by a signal while reading %s", name);
    return mu_fail(e, MU_EIO, "cannot read %s: %s", name, strerror(errno));
}

/* Bytes up to the newline, which is not stored, or to the end of chunk or file. Zero bytes are bytes like others. */
static size_t read_chunk(FILE *f, char *chunk, size_t size, bool *is_whole)
{
    size_t n = 0;
    int c = 0;
    while (n < size && (c = getc_unlocked(f)) != EOF && c != '\n')
        chunk[n++] = (char)c;
    *is_whole = c == '\n';
    return n;
}

static int read_line(struct mu_lines *l, bool *has_line, struct mu_err *e)
{
    char chunk[4096];
    *has_line = false;
    mu_buf_clear(&l->line);
    for (bool is_whole = false; !is_whole;) {
        size_t n = read_chunk(l->f, chunk, sizeof chunk, &is_whole);
        if (n == 0 && !is_whole)
            break;
        if (!*has_line)
            l->number++;
        *has_line = true;
        MU_TRY_RETURN(mu_err_while(e, mu_buf_add(&l->line, chunk, n, e), "reading %s", mu_lines_where(l)));
    }
    return ferror(l->f) ? read_failed(l->name, e) : MU_OK;
}

int mu_lines_next(struct mu_lines *l, bool *has_line, struct mu_err *e)
{
    do {
        MU_TRY_RETURN(read_line(l, has_line, e));
    } while (*has_line && strspn(mu_buf_str(&l->line).p, " \t\r") == l->line.n);
    return MU_OK;
}

int mu_lines_next_json(struct mu_lines *l, json_t **out, struct mu_err *e)
{
    bool has_line;
    *out = NULL;
    MU_TRY_RETURN(mu_lines_next(l, &has_line, e));
    return has_line ? mu_json_parse(out, mu_buf_str(&l->line), mu_lines_where(l), e) : MU_OK;
}

int mu_text_read(struct mu_buf *out, const char *path, struct mu_err *e)
{
    struct mu_lines l;
    size_t got;
    int rc = MU_OK;

    mu_buf_clear(out);
    MU_TRY_RETURN(mu_lines_open(&l, path, e));
    do {
        MU_TRY(mu_buf_reserve(out, CHUNK_BYTES, e));
        got = fread(out->p + out->n, 1, CHUNK_BYTES, l.f);
        out->n += got;
        out->p[out->n] = 0;
    } while (got > 0);
    if (ferror(l.f))
        rc = read_failed(l.name, e);
out:
    mu_lines_close(&l);
    return rc;
}
