/* state_scale.c - how many workers may hold a model, in the fold */
#include <string.h>

#include "base/check.h"
#include "sched/scale.h"
#include "sched/state_int.h"

static int32_t find(const struct mu_state *s, const char *name)
{
    int32_t i = 0;
    while (i < s->n_models && strcmp(mu_state_name(s, s->models[i].name), name) != 0)
        i++;
    return i;
}

const struct mu_state_model *mu_state_find_model(const struct mu_state *s, const char *name)
{
    int32_t i = find(s, name);
    return i < s->n_models ? &s->models[i] : NULL;
}

int mu_state_scaled(struct mu_state *s, const struct mu_event *ev, struct mu_err *e)
{
    const char *name = ev->text ? ev->text : "";
    int32_t at = find(s, name);
    MU_TRY_RETURN(mu_state_check_value(ev, MU_SCALE_REPLICAS_MAX + 1, "number of replicas", e));
    if (ev->amount >= MU_SCALE_WHYS)
        return mu_state_refuse(ev, e, "%lld is no reason", (long long)ev->amount);
    if (at == s->n_models) {
        size_t kept;
        MU_TRY_RETURN(MU_STATE_GROW(s, models, MU_STATE_MODELS_MAX, e));
        MU_TRY_RETURN(mu_state_keep_name(s, name, &kept, e));
        s->models[s->n_models++].name = kept;
    }
    s->models[at].replicas = ev->value;
    s->models[at].why = (uint8_t)ev->amount;
    s->models[at].changes++;
    s->n_scaled++;
    return MU_OK;
}
