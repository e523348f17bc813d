/* rope.c (avx2) - the kernel is lanes_rope.h */
#include "tensor/cpu/lanes_rope.h"
