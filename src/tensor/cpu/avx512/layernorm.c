/* layernorm.c (avx512) - the kernel is lanes_layernorm.h */
#include "tensor/cpu/lanes_layernorm.h"
