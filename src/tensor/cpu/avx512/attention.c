/* attention.c (avx512) - the kernel is lanes_attention.h */
#include "tensor/cpu/lanes_attention.h"
