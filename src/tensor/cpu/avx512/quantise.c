/* quantise.c (avx512) - the kernel is lanes_quantise.h */
#include "tensor/cpu/lanes_quantise.h"
