/* add.c (avx2) - the kernel is lanes_add.h */
#include "tensor/cpu/lanes_add.h"
