/* spec.c - any text as a config.json: a spec or a sentence, never anything else */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "model/rope_table.h"
#include "model/slots.h"

static int add_bytes(void *arg, const struct mu_slot_use *u)
{
    size_t scales, *sum = arg;
    return __builtin_add_overflow(*sum, mu_slot_bytes(u, &scales), sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_model_opts o = {.format = MU_WINT8};
    struct mu_spec spec = MU_SPEC_INIT;
    json_t *config = NULL;
    size_t sum = 0;

    if (mu_json_parse(&config, (struct mu_str){(const char *)data, n}, "config.json", NULL) != MU_OK)
        return 0;
    if (mu_spec_from_config(&spec, config, "config.json", NULL) == MU_OK) {
        static float f[MU_ROPE_DIM_MAX / 2];
        if (spec.position == MU_POS_ROPE)
            mu_rope_frequencies(&spec.rope, spec.context, f);
        if (spec.n_params < 1 || spec.n_params_active > spec.n_params)
            abort();
        mu_slots_each(&spec, &o, add_bytes, &sum);
    }
    mu_spec_fini(&spec);
    json_decref(config);
    return 0;
}
