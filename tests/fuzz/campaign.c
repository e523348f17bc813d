/* campaign.c - fuzz target: any text as a campaign file; one that is read is planned and hashed, and its order holds */
#include <stdint.h>
#include <stdlib.h>

#include "sched/campaign.h"

static void predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    (void)arg;
    (void)c;
    *out = (struct mu_campaign_guess){task % 7 * 1000.0 - 1, task % 3, 0};
}

static void plan(const struct mu_campaign *c, const struct mu_campaign_world *w)
{
    struct mu_campaign_plan *p;
    struct mu_err e;
    uint64_t hash;
    if (mu_campaign_plan(c, w, &p, &e) != MU_OK || p->n != c->n_tasks || mu_campaign_hash(c, &hash, &e) != MU_OK)
        abort();
    for (int i = 0; i < c->n_tasks; i++) {
        if (mu_campaign_find(c, c->task[i].id) != i || c->task[i].urgency > c->task[i].policy.priority)
            abort();
    }
    mu_campaign_plan_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct mu_campaign_faults faults;
    static const struct mu_machine machine = {.name = "m", .nodes = 1, .devices = 8, .device = {.memory = 80e9}};
    const struct mu_campaign_world w = {.predict = predict, .machine = &machine, .n_machines = 1, .start_at = 1};
    struct mu_campaign *c;
    struct mu_err e;
    if (mu_campaign_parse(&c, (struct mu_str){data ? (const char *)data : "", n}, "fuzz", &w, &faults, &e) == MU_OK) {
        if (faults.n_all > 0)
            abort();
        plan(c, &w);
    } else if (!e.text[0] || c) {
        abort();
    }
    mu_campaign_free(c);
    return 0;
}
