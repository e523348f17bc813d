/* params.c - how many parameters a spec has
 *
 * Counted from the same list of slots that the loader fills. Tied heads count once; router correction biases and
 * multi-token-prediction layers are left out, as their publishers do. A token uses everything but the experts that
 * were not chosen. */
#include "model/params.h"

#include "base/check.h"
#include "model/slots.h"

struct count {
    const struct mu_spec *s;
    int64_t total, idle;
    bool is_over;
};

static void add(struct count *c, int64_t *sum, int64_t n)
{
    c->is_over |= __builtin_add_overflow(*sum, n, sum) || *sum > INT64_MAX / 2;
}

static int count_use(void *arg, const struct mu_slot_use *u)
{
    struct count *c = arg;
    int64_t n = u->n_out * (u->n_in ? u->n_in : 1);

    if (u->slot == MU_SLOT_ROUTER_BIAS)
        return MU_OK;
    add(c, &c->total, n);
    bool is_expert = u->slot == MU_SLOT_EXPERT_GATE || u->slot == MU_SLOT_EXPERT_UP || u->slot == MU_SLOT_EXPERT_DOWN;
    if (is_expert && u->index >= c->s->layers[u->layer].moe.top_k)
        add(c, &c->idle, n);
    return c->is_over ? MU_ELIMIT : MU_OK;
}

int mu_spec_count_params(struct mu_spec *s, const char *where, struct mu_err *e)
{
    struct mu_model_opts o = {.format = MU_WF32, .mla = MU_MLA_NAIVE};
    struct count c = {.s = s};

    if (mu_slots_each(s, &o, count_use, &c) != MU_OK)
        return mu_fail(e, MU_ELIMIT, "%s: more than 2^62 parameters", where);
    s->n_params = c.total;
    s->n_params_active = c.total - c.idle;
    return MU_OK;
}
