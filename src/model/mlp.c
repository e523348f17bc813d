/* mlp.c - gated and plain MLPs */
#include "base/check.h"
#include "model/model_int.h"

int mu_gated(struct mu_model *m, enum mu_act act, const struct mu_matrix *gate, const struct mu_matrix *up,
             const struct mu_matrix *down, float *y, const float *x, int64_t n, struct mu_err *e)
{
    struct mu_buffers *b = &m->b;
    int64_t F = gate->n_out;

    MU_TRY_RETURN(mu_linear(m, gate, b->gate, x, n, e));
    MU_TRY_RETURN(mu_linear(m, up, b->up, x, n, e));
    MU_TRY_RETURN(m->d->ops->act_mul(m->d, b->gate, F, b->gate, F, b->up, F, act, n, F, e));
    return mu_linear(m, down, y, b->gate, n, e);
}

static int plain(struct mu_model *m, const struct mu_layer *l, enum mu_act act, float *y, const float *x, int64_t n,
                 struct mu_err *e)
{
    const struct mu_matrix *up = &l->matrix[MU_SLOT_UP];
    MU_TRY_RETURN(mu_linear(m, up, m->b.up, x, n, e));
    MU_TRY_RETURN(m->d->ops->act(m->d, m->b.up, up->n_out, m->b.up, up->n_out, act, n, up->n_out, e));
    return mu_linear(m, &l->matrix[MU_SLOT_DOWN], y, m->b.up, n, e);
}

int mu_mlp(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e)
{
    const struct mu_layer_spec *s = &m->spec.layers[layer];
    const struct mu_layer *l = &m->layers[layer];

    if (s->mlp == MU_MLP_MOE)
        return mu_moe(m, layer, y, x, n, e);
    if (s->mlp == MU_MLP_PLAIN)
        return plain(m, l, s->act, y, x, n, e);
    return mu_gated(m, s->act, &l->matrix[MU_SLOT_GATE], &l->matrix[MU_SLOT_UP], &l->matrix[MU_SLOT_DOWN], y, x, n, e);
}
