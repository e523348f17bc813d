/* pack_quant.c - weights to int8 and int4 groups, as matrix.h states the rule */
#include <math.h>
#include <string.h>

#include "tensor/matrix_int.h"
#include "tensor/pack_int.h"

static int quantise(float v, float scale, float q_max)
{
    if (scale == 0)
        return 0;
    float q = nearbyintf(v / scale);
    return (int)MU_MAX(-q_max, MU_MIN(q, q_max));
}

static void put(enum mu_wformat f, unsigned char *data, int64_t k, int lane, int q)
{
    if (f == MU_WINT8) {
        data[(k / 4 * MU_PANEL + lane) * 4 + k % 4] = (unsigned char)(int8_t)q;
        return;
    }
    unsigned char *byte = &data[(k / 8 * MU_PANEL + lane) * 4 + k % 4];
    bool is_high = k / 4 % 2;
    *byte = (unsigned char)((*byte & (is_high ? 0x0f : 0xf0)) | (q + 8) << (is_high ? 4 : 0));
}

void mu_pack_group(unsigned char *data, float *scale, const struct mu_pack_strip *s)
{
    enum mu_wformat f = s->m->format;
    float q_max = f == MU_WINT8 ? 127.0f : 7.0f;
    for (int lane = s->lane; lane < s->lane_end; lane++) {
        const float *v = s->v + lane * s->ld;
        float max_abs = 0;
        for (int64_t k = 0; k < s->n_k; k++)
            max_abs = MU_MAX(max_abs, fabsf(v[k]));
        scale[lane] = max_abs / q_max;
        for (int64_t k = 0; k < MU_GROUP_K; k++)
            put(f, data, k, lane, k < s->n_k ? quantise(v[k], scale[lane], q_max) : 0);
    }
}
