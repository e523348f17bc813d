/* campaign_now.c - fuzz target: any text as now.json; what was read is in order and within its bounds */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/campaign_now.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_now now;
    struct mu_err e;
    if (mu_now_parse(&now, (struct mu_str){(const char *)data, n}, "fuzz", &e) != MU_OK) {
        if (now.tree || now.running || now.workers || now.devices)
            abort();
        return 0;
    }
    if (!(now.at >= 1) || now.n_running > MU_NOW_RUNNING_MAX)
        abort();
    for (int i = 0; i < now.n_running; i++) {
        const struct mu_now_task *t = mu_now_find(&now, now.running[i].task);
        if (!t || strcmp(t->task, now.running[i].task) != 0 || t->done < 0 || t->total < 0 || t->alive_s < -1)
            abort();
        if (strlen(t->devices) + strlen(t->node) > n)
            abort();
    }
    for (int i = 0; i < now.n_workers; i++)
        if (strlen(now.workers[i].model) + strlen(now.workers[i].state) > n)
            abort();
    mu_now_fini(&now);
    return 0;
}
