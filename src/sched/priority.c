/* priority.c - see priority.h */
#include "sched/priority.h"

#include <string.h>

static const char *const names[MU_PRIORITY_N] = {"critical", "high", "normal", "low", "background"};

const char *mu_priority_name(enum mu_priority p)
{
    return (unsigned)p < MU_PRIORITY_N ? names[p] : "?";
}

int mu_priority_find(const char *name)
{
    for (int i = 0; i < MU_PRIORITY_N; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}
