/* kv_type.c - see kv_type.h */
#include "tensor/kv_type.h"

#include <string.h>

#include "base/check.h"

static const enum mu_dtype types[] = {MU_F32, MU_BF16, MU_F16, MU_I8};

bool mu_kv_type_is(enum mu_dtype t)
{
    for (size_t i = 0; i < MU_COUNT(types); i++) {
        if (types[i] == t)
            return true;
    }
    return false;
}

const char *mu_kv_type_name(enum mu_dtype t)
{
    return t == MU_I8 ? "int8" : mu_dtype_name(t); /* as the weights' format of the same kind is called */
}

int mu_kv_type_from_name(enum mu_dtype *out, const char *name, struct mu_err *e)
{
    for (size_t i = 0; i < MU_COUNT(types); i++) {
        if (strcmp(name, mu_kv_type_name(types[i])) == 0) {
            *out = types[i];
            return MU_OK;
        }
    }
    return mu_fail(e, MU_EUSAGE, "KV cache type \"%s\": " MU_KV_TYPES, name);
}

size_t mu_kv_head_bytes(enum mu_dtype t, int width)
{
    size_t scales = t == MU_I8 ? (size_t)mu_kv_groups(width) * sizeof(uint16_t) : 0;
    return ((size_t)width * mu_dtype_block_bytes(t) + scales) * MU_KV_PAGE;
}

double mu_kv_element_bytes(enum mu_dtype t)
{
    return (double)mu_kv_head_bytes(t, MU_KV_GROUP) / (MU_KV_GROUP * MU_KV_PAGE);
}
