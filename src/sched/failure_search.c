/* failure_search.c - which request kills, beyond doubt: see mu_search in failure.h */
#include "base/check.h"
#include "sched/failure.h"

void mu_search_begin(struct mu_search *s, int32_t n)
{
    *s = (struct mu_search){.n = n, .culprit = -1, .stage = n > 1 ? MU_SEARCH_HALVES : MU_SEARCH_OVER};
    mu_bisect_begin(&s->halves, n);
}

bool mu_probe_has_died(enum mu_probe how)
{
    return how == MU_PROBE_DIED || how == MU_PROBE_DIED_LATE || how == MU_PROBE_DIED_DOUBTED;
}

static int32_t farthest(const struct mu_search *s)
{
    return s->halves.culprit < s->n / 2 ? s->n - 1 : 0;
}

bool mu_search_probe(const struct mu_search *s, int32_t *lo, int32_t *hi)
{
    switch (s->stage) {
    case MU_SEARCH_HALVES:
        return mu_bisect_probe(&s->halves, lo, hi);
    case MU_SEARCH_AGAIN:
    case MU_SEARCH_OTHER:
        *lo = s->stage == MU_SEARCH_AGAIN ? s->halves.culprit : farthest(s);
        *hi = *lo + 1;
        return true;
    default:
        *lo = *hi = 0;
        return false;
    }
}

static void end(struct mu_search *s, int32_t culprit)
{
    s->stage = MU_SEARCH_OVER;
    s->culprit = culprit;
}

void mu_search_told(struct mu_search *s, enum mu_probe how)
{
    bool has_died = mu_probe_has_died(how);
    s->has_answers |= how == MU_PROBE_LIVED || how == MU_PROBE_DIED_LATE;
    switch (s->stage) {
    case MU_SEARCH_HALVES:
        mu_bisect_told(&s->halves, has_died);
        if (s->halves.is_over && s->halves.culprit < 0)
            end(s, -1);
        else if (s->halves.is_over)
            s->stage = MU_SEARCH_AGAIN;
        break;
    case MU_SEARCH_AGAIN:
        if (!has_died)
            end(s, -1);
        else if (s->has_answers && how != MU_PROBE_DIED_DOUBTED)
            end(s, s->halves.culprit);
        else
            s->stage = MU_SEARCH_OTHER;
        break;
    case MU_SEARCH_OTHER:
        end(s, how == MU_PROBE_LIVED ? s->halves.culprit : -1);
        break;
    default:
        break;
    }
}
