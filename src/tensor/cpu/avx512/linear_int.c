/* linear_int.c (avx512) - int8 and int4; the kernel is lanes_linear_int.h, its dot product dot_avx512.h */
#include "tensor/cpu/lanes_linear_int.h"
