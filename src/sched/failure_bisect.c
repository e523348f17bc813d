/* failure_bisect.c - which request kills: see mu_bisect in failure.h */
#include "base/check.h"
#include "sched/failure.h"

static void end(struct mu_bisect *b, int32_t culprit)
{
    b->is_over = true;
    b->culprit = culprit;
}

void mu_bisect_begin(struct mu_bisect *b, int32_t n)
{
    *b = (struct mu_bisect){.hi = MU_MAX(n, 0), .culprit = -1, .is_over = n < 1};
}

bool mu_bisect_probe(const struct mu_bisect *b, int32_t *lo, int32_t *hi)
{
    int32_t n = b->hi - b->lo;
    *lo = b->lo;
    *hi = b->lo + (n > 1 ? n / 2 : n);
    return !b->is_over;
}

void mu_bisect_told(struct mu_bisect *b, bool has_died)
{
    int32_t lo, hi;
    if (!mu_bisect_probe(b, &lo, &hi))
        return;
    b->probes++;
    if (hi - lo == 1 && has_died)
        end(b, lo);
    else if (hi == b->hi)
        end(b, -1); /* the last one left lives alone */
    else if (has_died)
        b->hi = hi;
    else
        b->lo = hi;
}

int mu_suspects_meet(const int64_t *a, int na, const int64_t *b, int nb, int64_t *out)
{
    int n = 0;
    for (int i = 0, k = 0; i < na && k < nb;) {
        if (a[i] == b[k]) {
            out[n++] = a[i++];
            k++;
        } else if (a[i] < b[k]) {
            i++;
        } else {
            k++;
        }
    }
    return n;
}
