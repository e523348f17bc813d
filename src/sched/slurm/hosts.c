/* hosts.c - see hosts.h */
#include "sched/slurm/hosts.h"

#include <stdint.h>
#include <stdio.h>

#include "base/check.h"

#define DIGITS_MAX 9

/* A name begun: what stands before `rest` is done. */
struct name {
    char text[MU_SLURM_HOST_TEXT_MAX + 1];
    size_t n;
};

static int malformed(struct mu_str list, const char *what, struct mu_err *e)
{
    return mu_fail(e, MU_EFORMAT, "the host list \"%.*s\" %s", (int)MU_MIN(list.n, 200), list.p, what);
}

static int append(struct name *to, const char *p, size_t n, struct mu_str list, struct mu_err *e)
{
    if (n > MU_SLURM_HOST_TEXT_MAX - to->n)
        return malformed(list, "has a name that is too long", e);
    memcpy(to->text + to->n, p, n);
    to->n += n;
    to->text[to->n] = 0;
    return MU_OK;
}

static int emit(struct mu_slurm_hosts *out, const struct name *name, struct mu_str list, struct mu_err *e)
{
    if (name->n == 0)
        return malformed(list, "has an empty name", e);
    if (out->n == MU_SLURM_HOSTS_MAX)
        return mu_fail(e, MU_ELIMIT, "the host list \"%.*s\" names more than %d hosts", (int)MU_MIN(list.n, 200),
                       list.p, MU_SLURM_HOSTS_MAX);
    MU_TRY_RETURN(mu_buf_add(&out->text, name->text, name->n + 1, e));
    out->n++;
    return MU_OK;
}

struct range {
    int64_t lo, hi;
    int width; /* digits of lo as written */
};

static int64_t digits(const char **p, const char *end)
{
    const char *begin = *p;
    int64_t v = 0;
    while (*p < end && **p >= '0' && **p <= '9' && *p - begin <= DIGITS_MAX)
        v = v * 10 + (*(*p)++ - '0');
    return *p > begin && *p - begin <= DIGITS_MAX ? v : -1;
}

/* "01-03" or "7", up to a comma or the closing bracket. */
static int read_range(struct range *out, const char **p, const char *end, struct mu_str list, struct mu_err *e)
{
    const char *begin = *p;
    out->lo = out->hi = digits(p, end);
    out->width = (int)(*p - begin);
    if (out->lo >= 0 && *p < end && **p == '-') {
        (*p)++;
        out->hi = digits(p, end);
    }
    if (out->lo < 0 || out->hi < 0 || *p == end || (**p != ',' && **p != ']'))
        return malformed(list, "has something other than ranges of numbers in its brackets", e);
    return out->hi >= out->lo ? MU_OK : malformed(list, "has a range that runs backwards", e);
}

static int expand_one(struct mu_slurm_hosts *out, const struct name *done, struct mu_str rest, struct mu_str list,
                      struct mu_err *e);

/* p: behind the opening bracket, close at the closing one. */
static int expand_ranges(struct mu_slurm_hosts *out, const struct name *done, const char *p, struct mu_str rest,
                         struct mu_str list, struct mu_err *e)
{
    const char *end = rest.p + rest.n;
    const char *close = memchr(p, ']', (size_t)(end - p));
    struct range r;
    char text[24];
    if (!close)
        return malformed(list, "lacks a closing bracket", e);
    const struct mu_str tail = {close + 1, (size_t)(end - close - 1)};
    for (;; p++) {
        MU_TRY_RETURN(read_range(&r, &p, end, list, e));
        for (int64_t v = r.lo; v <= r.hi; v++) {
            struct name name = *done;
            int n = snprintf(text, sizeof text, "%0*lld", r.width, (long long)v);
            MU_TRY_RETURN(append(&name, text, (size_t)n, list, e));
            MU_TRY_RETURN(expand_one(out, &name, tail, list, e));
        }
        if (*p == ']')
            return MU_OK;
    }
}

/* As deep as there are brackets in a name: at most one a byte of it, since each adds a digit. */
static int expand_one(struct mu_slurm_hosts *out, const struct name *done, struct mu_str rest, struct mu_str list,
                      struct mu_err *e)
{
    struct name name = *done;
    const char *open = rest.n > 0 ? memchr(rest.p, '[', rest.n) : NULL;
    size_t plain = open ? (size_t)(open - rest.p) : rest.n;
    if (memchr(rest.p, ']', plain))
        return malformed(list, "has a closing bracket too many", e);
    MU_TRY_RETURN(append(&name, rest.p, plain, list, e));
    return open ? expand_ranges(out, &name, open + 1, rest, list, e) : emit(out, &name, list, e);
}

/* Up to the comma outside of brackets, or the end. */
static struct mu_str first_of(struct mu_str s)
{
    size_t n = 0;
    bool inside = false;
    for (; n < s.n && (inside || s.p[n] != ','); n++)
        inside = s.p[n] == '[' || (inside && s.p[n] != ']');
    return (struct mu_str){s.p, n};
}

int mu_slurm_hosts_expand(struct mu_slurm_hosts *out, struct mu_str list, struct mu_err *e)
{
    const struct name empty = {"", 0};
    struct mu_str rest = list;
    if (list.n == 0)
        return mu_fail(e, MU_EFORMAT, "a host list is empty");
    for (size_t i = 0; i < list.n; i++) {
        if ((unsigned char)list.p[i] <= ' ')
            return malformed(list, "has a blank in it", e);
    }
    for (;;) {
        struct mu_str one = first_of(rest);
        MU_TRY_RETURN(expand_one(out, &empty, one, list, e));
        if (one.n == rest.n)
            return MU_OK;
        rest = (struct mu_str){rest.p + one.n + 1, rest.n - one.n - 1};
    }
}

void mu_slurm_hosts_fini(struct mu_slurm_hosts *h)
{
    mu_buf_fini(&h->text);
    h->n = 0;
}

const char *mu_slurm_hosts_next(const struct mu_slurm_hosts *h, const char *at)
{
    if (h->n == 0)
        return NULL;
    const char *next = at ? at + strlen(at) + 1 : h->text.p;
    return next < h->text.p + h->text.n ? next : NULL;
}
