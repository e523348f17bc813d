/* f8_blocks.h - matrices in F8_E4M3 with one f32 scale a block, as DeepSeek-V3 ships them
 *
 * NAME.weight [rows, cols] F8_E4M3 comes with NAME.weight_scale_inv [ceil(rows / block_rows), ceil(cols / block_cols)]
 * F32; the weight is the product. The block is quantization_config.weight_block_size of config.json, 128 x 128 there.
 * Source: inference/kernel.py of deepseek-ai/DeepSeek-V3. */
#ifndef MU_FMT_F8_BLOCKS_H
#define MU_FMT_F8_BLOCKS_H

#include <stdint.h>

/* dst[r, c] = src[r, c] * scales[(row0 + r) / block_rows, c / block_cols]; all row-major and contiguous; blocks are
 * >= 1. dst and src hold rows row0 .. row0+rows of a matrix, scales is the whole matrix's. */
void mu_f8_block_dequant_rows(float *dst, const uint8_t *src, uint64_t row0, uint64_t rows, uint64_t cols,
                              const float *scales, uint64_t block_rows, uint64_t block_cols);

#endif
