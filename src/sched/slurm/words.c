/* words.c - see words.h */
#include "sched/slurm/words.h"

#include "base/check.h"

bool mu_slurm_next_line(struct mu_str *rest, struct mu_str *line)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    *line = (struct mu_str){rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = line->n + (end ? 1 : 0);
    *rest = (struct mu_str){rest->p + used, rest->n - used};
    return true;
}

struct mu_str mu_slurm_next_word(struct mu_str *line, const char *ends)
{
    size_t begin = 0, n = 0;
    while (begin < line->n && strchr(ends, line->p[begin]))
        begin++;
    while (begin + n < line->n && !strchr(ends, line->p[begin + n]))
        n++;
    struct mu_str word = {line->p + begin, n};
    *line = (struct mu_str){line->p + begin + n, line->n - begin - n};
    return word;
}

struct mu_str mu_slurm_trim(struct mu_str s)
{
    while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

bool mu_slurm_whole(struct mu_str s, int64_t hi, int64_t *out)
{
    int64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || v > hi)
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = v;
    return s.n > 0 && v <= hi;
}

void mu_slurm_keep(char *out, size_t size, struct mu_str s)
{
    size_t n = MU_MIN(s.n, size - 1);
    memcpy(out, s.p, n);
    out[n] = 0;
}
