/* linear.c (avx512) - float formats; the kernel is lanes_linear.h, its register blocks are in shape.h */
#include "tensor/cpu/lanes_linear.h"
