/* step_mix.c - see step_mix.h */
#include "plan/step_mix.h"

#include "base/check.h"

static int size_of(int64_t rows)
{
    int k = 0;
    while (k < MU_STEP_SIZES - 1 && (rows >> (k + 1)) > 0)
        k++;
    return k;
}

static void add(struct mu_step_made *to, const struct mu_step_made *one)
{
    to->steps += one->steps;
    to->rows += one->rows;
    to->sequences += one->sequences;
    to->keys += one->keys;
    to->logit_rows += one->logit_rows;
    to->ns += one->ns;
}

void mu_step_mix_add(struct mu_step_mix *x, const struct mu_step_made *one)
{
    add(&x->at[one->rows > one->sequences][size_of(one->rows)], one);
}

struct mu_step_made mu_step_mix_sum(const struct mu_step_mix *x)
{
    struct mu_step_made sum = {0};
    for (int kind = 0; kind < 2; kind++)
        for (int k = 0; k < MU_STEP_SIZES; k++)
            add(&sum, &x->at[kind][k]);
    return sum;
}

/* Seconds of the mean of these steps, times their number. */
static int cost_of(double *seconds, const struct mu_step_made *all, const struct mu_spec *s, const struct mu_layout *l,
                   const struct mu_machine *m, const struct mu_workload *w, struct mu_err *e)
{
    double n = (double)all->steps, rows = (double)all->rows;
    struct mu_cost_rows mean = {.rows = rows / n, .sequences = (double)all->sequences / n};
    struct mu_workload any = *w;
    struct mu_cost_step step;
    any.prompt = any.batch = 1;
    any.output = any.shared = 0;
    mean.context = (double)all->keys / rows - 1;
    mean.logits = (double)all->logit_rows / n;
    MU_TRY_RETURN(mu_cost_step_of(&step, s, l, m, &any, &mean, e));
    *seconds += n * step.total;
    return MU_OK;
}

int mu_step_mix_cost(double *seconds, const struct mu_step_mix *x, const struct mu_spec *s, const struct mu_layout *l,
                     const struct mu_machine *m, const struct mu_workload *w, struct mu_err *e)
{
    *seconds = 0;
    for (int kind = 0; kind < 2; kind++) {
        for (int k = 0; k < MU_STEP_SIZES; k++) {
            if (x->at[kind][k].rows > 0)
                MU_TRY_RETURN(cost_of(seconds, &x->at[kind][k], s, l, m, w, e));
        }
    }
    return MU_OK;
}
