/* layernorm.c (avx2) - the kernel is lanes_layernorm.h */
#include "tensor/cpu/lanes_layernorm.h"
