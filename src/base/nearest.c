/* nearest.c - the known name that looks most like an unknown one */
#include "base/nearest.h"

#include "base/check.h"

int mu_name_distance(struct mu_str a, const char *b)
{
    int row[MU_NAME_FAR + 1];
    size_t nb = strlen(b);
    if (a.n > MU_NAME_FAR || nb > MU_NAME_FAR)
        return MU_NAME_FAR;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= a.n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int up = row[j];
            int change = diagonal + (a.p[i - 1] != b[j - 1]);
            row[j] = MU_MIN(change, MU_MIN(up, row[j - 1]) + 1);
            diagonal = up;
        }
    }
    return row[nb];
}

const char *mu_name_nearest(const char *const *names, const char *name)
{
    const char *best = NULL;
    int least = 1 + (int)strlen(name) / 3;
    for (; *names; names++) {
        int d = mu_name_distance(mu_str(name), *names);
        if (d <= least && (!best || d < least)) {
            best = *names;
            least = d;
        }
    }
    return best;
}
