/* mlp.c - gated and plain MLPs; tensor ranks have runs of their inputs */
#include "base/check.h"
#include "model/model_int.h"

int mu_gate(struct mu_model *m, enum mu_act act, const struct mu_matrix *gate, const struct mu_matrix *up,
            const float *x, int64_t n, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    int64_t F = gate->n_out;

    MU_TRY_RETURN(mu_linear(m, gate, b->gate, x, n, e));
    MU_TRY_RETURN(mu_linear(m, up, b->up, x, n, e));
    return m->d->ops->act_mul(m->d, b->gate, F, b->gate, F, b->up, F, act, n, F, e);
}

/* b.up = act(x up) */
static int plain(struct mu_model *m, const struct mu_matrix *up, enum mu_act act, const float *x, int64_t n,
                 struct mu_err *e)
{
    MU_TRY_RETURN(mu_linear(m, up, m->b.up, x, n, e));
    return m->d->ops->act(m->d, m->b.up, up->n_out, m->b.up, up->n_out, act, n, up->n_out, e);
}

int mu_mlp(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    const struct mu_layer *l = &m->layers[layer];
    const struct mu_matrix *gate = &l->matrix[MU_SLOT_GATE], *up = &l->matrix[MU_SLOT_UP];
    const struct mu_split *down = &l->sum[mu_slot_sum(MU_SLOT_DOWN)];

    if (s->mlp == MU_MLP_MOE)
        return mu_moe(m, layer, y, x, n, e);
    if (s->mlp == MU_MLP_PLAIN) {
        MU_TRY_RETURN(plain(m, up, s->act, x, n, e));
        return mu_split_linear(m, down, y, m->b.up, up->n_out, n, e);
    }
    MU_TRY_RETURN(mu_gate(m, s->act, gate, up, x, n, e));
    return mu_split_linear(m, down, y, m->b.gate, gate->n_out, n, e);
}
