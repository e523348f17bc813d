/* f8_blocks.c - see f8_blocks.h */
#include "fmt/f8_blocks.h"

#include "base/check.h"
#include "base/dtype.h"

void mu_f8_block_dequant_rows(float *dst, const uint8_t *src, uint64_t row0, uint64_t rows, uint64_t cols,
                              const float *scales, uint64_t block_rows, uint64_t block_cols)
{
    uint64_t blocks_a_row = cols / block_cols + (cols % block_cols != 0);
    for (uint64_t r = 0; r < rows; r++) {
        const float *row_scales = scales + (row0 + r) / block_rows * blocks_a_row;
        for (uint64_t from = 0; from < cols; from += block_cols) {
            uint64_t n = MU_MIN(block_cols, cols - from);
            float *y = dst + r * cols + from, scale = row_scales[from / block_cols];
            mu_to_f32(y, src + r * cols + from, MU_F8_E4M3, n);
            for (uint64_t i = 0; i < n; i++)
                y[i] *= scale;
        }
    }
}
