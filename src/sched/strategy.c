/* strategy.c - the strategies by name */
#include "sched/strategy.h"

#include <string.h>

#include "base/check.h"
#include "base/nearest.h"

const struct mu_strategy_kind *const mu_strategies[] = {&mu_round_robin, &mu_least_loaded, &mu_memory_aware,
                                                        &mu_balanced, NULL};

int mu_strategy_kind_find(const struct mu_strategy_kind **out, const char *name, struct mu_err *e)
{
    const char *names[MU_COUNT(mu_strategies)] = {NULL};
    for (int i = 0; mu_strategies[i]; i++) {
        names[i] = mu_strategies[i]->name;
        if (strcmp(names[i], name) == 0) {
            *out = mu_strategies[i];
            return MU_OK;
        }
    }
    const char *near = mu_name_nearest(names, name);
    return mu_fail(e, MU_EINVAL, "no strategy \"%.60s\"%s%s%s: round-robin, least-loaded, memory-aware, balanced", name,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}
