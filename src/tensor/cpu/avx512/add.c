/* add.c (avx512) - the kernel is lanes_add.h */
#include "tensor/cpu/lanes_add.h"
