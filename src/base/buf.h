/* buf.h - a growable run of bytes with a maximum, and a borrowed view of bytes
 *
 * A buffer is born with the most it may ever hold; growing past it is MU_ELIMIT naming the buffer.
 * p is always NUL-terminated (the NUL is not counted in n), so text needs no copy. Init to MU_BUF_INIT. */
#ifndef MU_BASE_BUF_H
#define MU_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <muster/err.h>

/* Bytes somebody else owns; not NUL-terminated. */
struct mu_str {
    const char *p;
    size_t n;
};

#define MU_STR(literal) ((struct mu_str){(literal), sizeof(literal) - 1})
#define MU_STR_FMT      "%.*s"
#define MU_STR_ARG(s)   (int)(s).n, (s).p

static inline struct mu_str mu_str(const char *cstr)
{
    return (struct mu_str){cstr, strlen(cstr)};
}

static inline bool mu_str_eq(struct mu_str a, struct mu_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

struct mu_buf {
    char *p;          /* owned; NULL until the first byte */
    size_t n;         /* bytes used */
    size_t cap;       /* bytes allocated, NUL included */
    size_t max;       /* n never exceeds it */
    const char *what; /* for the error sentence, borrowed */
};

#define MU_BUF_INIT(what, max)                                                                                         \
    {                                                                                                                  \
        NULL, 0, 0, (max), (what)                                                                                      \
    }

int mu_buf_reserve(struct mu_buf *b, size_t extra, struct mu_err *e); /* room for extra more bytes */
int mu_buf_add(struct mu_buf *b, const void *p, size_t n, struct mu_err *e);
int mu_buf_puts(struct mu_buf *b, const char *s, struct mu_err *e);
int mu_buf_putc(struct mu_buf *b, char c, struct mu_err *e);
int mu_buf_printf(struct mu_buf *b, struct mu_err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mu_buf_clear(struct mu_buf *b); /* n = 0, memory kept */
void mu_buf_fini(struct mu_buf *b);  /* frees; the buffer can be used again */
char *mu_buf_take(struct mu_buf *b); /* the caller frees with mu_free(); NULL if nothing was ever written */

static inline struct mu_str mu_buf_str(const struct mu_buf *b)
{
    return (struct mu_str){b->p ? b->p : "", b->n};
}

#endif
