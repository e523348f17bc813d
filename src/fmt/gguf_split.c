/* gguf_split.c - see gguf_split.h */
#include "fmt/gguf_split.h"

#include <inttypes.h>

#include "base/check.h"
#include "fmt/gguf_int.h"

#define SUFFIX_CHARS (sizeof "-00001-of-00001.gguf" - 1)

static bool five_digits(const char *p, int *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return true;
}

bool mu_gguf_part_name(const char *path, int *part, int *n_parts)
{
    size_t n = strlen(path);
    if (n < SUFFIX_CHARS)
        return false;
    const char *s = path + n - SUFFIX_CHARS;
    return s[0] == '-' && five_digits(s + 1, part) && strncmp(s + 6, "-of-", 4) == 0 && five_digits(s + 10, n_parts) &&
           strcmp(s + 15, ".gguf") == 0;
}

int mu_gguf_part_path(struct mu_buf *out, const char *path, int part, struct mu_err *e)
{
    size_t stem = strlen(path) - SUFFIX_CHARS;
    mu_buf_clear(out);
    return mu_buf_printf(out, e, "%.*s-%05d%s", (int)stem, path, part, path + stem + 6);
}

int mu_gguf_part_count(const struct mu_gguf *g, const char *path, int *out, struct mu_err *e)
{
    int64_t no = 0, count = 1;
    int part, n_parts;
    if (mu_gguf_find(g, "split.count"))
        MU_TRY_RETURN(mu_gguf_int(g, "split.count", 0, MU_GGUF_PARTS_MAX, &count, e));
    if (mu_gguf_find(g, "split.no"))
        MU_TRY_RETURN(mu_gguf_int(g, "split.no", 0, MU_GGUF_PARTS_MAX, &no, e));
    *out = count > 1 ? (int)count : 1;
    if (*out == 1)
        return MU_OK;
    if (no != 0)
        return mu_fail(e, MU_EINVAL, "%s is part %" PRId64 " of %" PRId64 "; name the first part, the others are found",
                       path, no + 1, count);
    if (!mu_gguf_part_name(path, &part, &n_parts) || part != 1 || n_parts != count)
        return mu_fail(e, MU_EFORMAT,
                       "%s is the first of %" PRId64 " parts, its name must end in -00001-of-%05" PRId64
                       ".gguf for the others to be found",
                       path, count, count);
    return MU_OK;
}

int mu_gguf_part_check(const struct mu_gguf *g, const char *path, int part, int n_parts, struct mu_err *e)
{
    int64_t no, count;
    MU_TRY_RETURN(mu_gguf_int(g, "split.no", 0, MU_GGUF_PARTS_MAX, &no, e));
    MU_TRY_RETURN(mu_gguf_int(g, "split.count", 0, MU_GGUF_PARTS_MAX, &count, e));
    if (no != part - 1 || count != n_parts)
        return mu_fail(e, MU_EFORMAT, "%s says it is part %" PRId64 " of %" PRId64 ", part %d of %d is needed", path,
                       no + 1, count, part, n_parts);
    return MU_OK;
}
