/* rmsnorm.c (avx2) - the kernel is lanes_rmsnorm.h */
#include "tensor/cpu/lanes_rmsnorm.h"
