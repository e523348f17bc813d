/* duration.c - see duration.h */
#include "sched/slurm/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/check.h"

#define DIGITS_MAX 9

/* Digits at *p; false: none, or too many. */
static bool number(const char **p, const char *end, int64_t *out)
{
    const char *begin = *p;
    *out = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        if (*p - begin == DIGITS_MAX)
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return *p > begin;
}

static int64_t unit_of(char c)
{
    return c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? 86400 : 0;
}

/* n numbers between colons: [days-]hours:minutes:seconds, where days begin with hours and lone pairs are minutes. */
static bool clock_time(const char *p, const char *end, bool has_days, int64_t *out)
{
    int64_t v[3] = {0};
    int n = 0;
    do {
        if (n == 3 || !number(&p, end, &v[n++]))
            return false;
    } while (p < end && *p++ == ':');
    if (p != end || end[-1] == ':' || (n == 1 && !has_days))
        return false;
    *out = has_days || n == 3 ? v[0] * 3600 + v[1] * 60 + v[2] : v[0] * 60 + v[1];
    return true;
}

static bool parse(int64_t *out, struct mu_str t)
{
    const char *p = t.p, *end = t.p + t.n;
    int64_t first, rest;
    if (mu_str_eq(t, MU_STR("UNLIMITED")) || mu_str_eq(t, MU_STR("INFINITE")) || mu_str_eq(t, MU_STR("infinite"))) {
        *out = MU_SLURM_UNLIMITED;
        return true;
    }
    if (!number(&p, end, &first) || p == end)
        return false;
    if (p + 1 == end && unit_of(*p) > 0) {
        *out = first * unit_of(*p);
        return true;
    }
    if (*p != '-')
        return clock_time(t.p, end, false, out);
    if (p + 1 == end || !clock_time(p + 1, end, true, &rest))
        return false;
    *out = first * 86400 + rest;
    return true;
}

int mu_slurm_duration_parse(int64_t *seconds, struct mu_str text, struct mu_err *e)
{
    if (!parse(seconds, text))
        return mu_fail(e, MU_EFORMAT, "\"%.*s\" is no length of time; 90s, 15m, 12h, 2d, 1-12:00:00 or 04:00:00 is",
                       (int)MU_MIN(text.n, 40), text.p);
    if (*seconds != MU_SLURM_UNLIMITED && *seconds > (int64_t)MU_SLURM_DAYS_MAX * 86400)
        return mu_fail(e, MU_EFORMAT, "\"%.*s\" is longer than %d days", (int)MU_MIN(text.n, 40), text.p,
                       MU_SLURM_DAYS_MAX);
    return MU_OK;
}

char *mu_slurm_duration_text(char buf[32], int64_t seconds)
{
    int64_t minutes = (seconds + 59) / 60;
    snprintf(buf, 32, "%" PRId64 "-%02d:%02d:00", minutes / 1440, (int)(minutes / 60 % 24), (int)(minutes % 60));
    return buf;
}
