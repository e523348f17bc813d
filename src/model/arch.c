/* arch.c - the known architectures */
#include "model/arch.h"

#include <string.h>

#include "base/check.h"

static const struct mu_arch *const known[] = {
    &mu_arch_llama, &mu_arch_mistral, &mu_arch_mixtral,     &mu_arch_qwen2,       &mu_arch_qwen3,
    &mu_arch_gpt2,  &mu_arch_falcon,  &mu_arch_deepseek_v2, &mu_arch_deepseek_v3,
};

const struct mu_arch *mu_arch_of_family(const char *family)
{
    for (size_t i = 0; i < MU_COUNT(known); i++)
        if (strcmp(known[i]->model_type, family) == 0)
            return known[i];
    return NULL;
}

static bool has_name(const struct mu_arch *a, const char *name)
{
    for (size_t i = 0; i < MU_COUNT(a->architectures) && a->architectures[i]; i++)
        if (strcmp(a->architectures[i], name) == 0)
            return true;
    return false;
}

const struct mu_arch *mu_arch_of_config(const char *architecture, const char *model_type)
{
    for (size_t i = 0; architecture && i < MU_COUNT(known); i++)
        if (has_name(known[i], architecture))
            return known[i];
    return architecture || !model_type ? NULL : mu_arch_of_family(model_type);
}
