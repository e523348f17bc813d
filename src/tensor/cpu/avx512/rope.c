/* rope.c (avx512) - the kernel is lanes_rope.h */
#include "tensor/cpu/lanes_rope.h"
