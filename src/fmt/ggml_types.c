/* ggml_types.c - see ggml_types.h; sizes from ggml's block structs */
#include "fmt/ggml_types.h"

#include <stddef.h>

#include "base/check.h"

static const struct mu_ggml_type types[] = {
    [0] = {"F32", MU_F32, 1, 4},
    [1] = {"F16", MU_F16, 1, 2},
    [2] = {"Q4_0", MU_Q4_0, 32, 18},
    [3] = {"Q4_1", MU_DTYPE_N, 32, 20},
    [6] = {"Q5_0", MU_DTYPE_N, 32, 22},
    [7] = {"Q5_1", MU_DTYPE_N, 32, 24},
    [8] = {"Q8_0", MU_Q8_0, 32, 34},
    [9] = {"Q8_1", MU_DTYPE_N, 32, 36},
    [10] = {"Q2_K", MU_DTYPE_N, 256, 84},
    [11] = {"Q3_K", MU_DTYPE_N, 256, 110},
    [12] = {"Q4_K", MU_Q4_K, 256, 144},
    [13] = {"Q5_K", MU_DTYPE_N, 256, 176},
    [14] = {"Q6_K", MU_Q6_K, 256, 210},
    [15] = {"Q8_K", MU_DTYPE_N, 256, 292},
    [16] = {"IQ2_XXS", MU_DTYPE_N, 256, 66},
    [17] = {"IQ2_XS", MU_DTYPE_N, 256, 74},
    [18] = {"IQ3_XXS", MU_DTYPE_N, 256, 98},
    [19] = {"IQ1_S", MU_DTYPE_N, 256, 50},
    [20] = {"IQ4_NL", MU_DTYPE_N, 32, 18},
    [21] = {"IQ3_S", MU_DTYPE_N, 256, 110},
    [22] = {"IQ2_S", MU_DTYPE_N, 256, 82},
    [23] = {"IQ4_XS", MU_DTYPE_N, 256, 136},
    [24] = {"I8", MU_I8, 1, 1},
    [25] = {"I16", MU_I16, 1, 2},
    [26] = {"I32", MU_I32, 1, 4},
    [27] = {"I64", MU_I64, 1, 8},
    [28] = {"F64", MU_F64, 1, 8},
    [29] = {"IQ1_M", MU_DTYPE_N, 256, 56},
    [30] = {"BF16", MU_BF16, 1, 2},
    [34] = {"TQ1_0", MU_DTYPE_N, 256, 54},
    [35] = {"TQ2_0", MU_DTYPE_N, 256, 66},
    [39] = {"MXFP4", MU_DTYPE_N, 32, 17},
    [40] = {"NVFP4", MU_DTYPE_N, 64, 36},
    [41] = {"Q1_0", MU_DTYPE_N, 128, 18},
};

const struct mu_ggml_type *mu_ggml_type(uint32_t number)
{
    return number < MU_COUNT(types) && types[number].name ? &types[number] : NULL;
}
