/* expert_loads.c - fuzz target: any text as a file of expert loads, for a network of three layers; what is read is
 * written and placed */
#include <stdint.h>
#include <stdlib.h>

#include "model/expert_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_layer_spec layers[3] = {
        {.mlp = MU_MLP_MOE, .moe.n_experts = 2}, {.mlp = MU_MLP_GATED}, {.mlp = MU_MLP_MOE, .moe.n_experts = 3}};
    struct mu_spec s = {.n_layers = 3, .layers = layers};
    struct mu_expert_table *t;
    struct mu_expert_loads l;
    struct mu_err e;

    if (mu_expert_loads_parse(&l, (struct mu_str){(const char *)data, n}, "fuzz", &s, &e) != MU_OK)
        return 0;
    for (int i = 0; i < l.n_layers * l.stride; i++)
        if (!(l.rows[i] >= 0))
            abort();
    layers[2].moe.n_experts = 2; /* room on two ranks */
    if (mu_expert_table_make(&t, &s, &l, 2, 2, &e) != MU_OK)
        abort();
    mu_expert_table_free(t);
    mu_expert_loads_fini(&l);
    return 0;
}
