/* buf.c - growable bytes with a maximum: doubles, never past max */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define BUF_CAP_MIN 64

int mu_buf_reserve(struct mu_buf *b, size_t extra, struct mu_err *e)
{
    if (extra > b->max || b->n > b->max - extra)
        return mu_fail(e, MU_ELIMIT, "%s would grow to %zu bytes, at most %zu are allowed", b->what,
                       extra > SIZE_MAX - b->n ? SIZE_MAX : b->n + extra, b->max);
    size_t need = b->n + extra + 1;
    if (need <= b->cap)
        return MU_OK;
    size_t cap = MU_MAX(b->cap, (size_t)BUF_CAP_MIN);
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max && b->max + 1 >= need)
        cap = b->max + 1;
    char *p = mu_realloc(b->p, cap);
    if (!p)
        return mu_fail_nomem(e, cap, b->what);
    b->p = p;
    b->cap = cap;
    b->p[b->n] = 0;
    return MU_OK;
}

int mu_buf_add(struct mu_buf *b, const void *p, size_t n, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_reserve(b, n, e));
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
    return MU_OK;
}

int mu_buf_puts(struct mu_buf *b, const char *s, struct mu_err *e)
{
    return mu_buf_add(b, s, strlen(s), e);
}

int mu_buf_putc(struct mu_buf *b, char c, struct mu_err *e)
{
    return mu_buf_add(b, &c, 1, e);
}

int mu_buf_printf(struct mu_buf *b, struct mu_err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return mu_fail(e, MU_EINTERNAL, "%s: cannot format \"%s\"", b->what, fmt);
    MU_TRY_RETURN(mu_buf_reserve(b, (size_t)n, e));
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return MU_OK;
}

void mu_buf_clear(struct mu_buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = 0;
}

void mu_buf_fini(struct mu_buf *b)
{
    mu_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

char *mu_buf_take(struct mu_buf *b)
{
    char *p = b->p;
    b->p = NULL;
    b->n = b->cap = 0;
    return p;
}
