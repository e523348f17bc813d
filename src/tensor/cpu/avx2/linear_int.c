/* linear_int.c (avx2) - int8 and int4; the kernel is lanes_linear_int.h, its dot product dot_avx2.h */
#include "tensor/cpu/lanes_linear_int.h"
