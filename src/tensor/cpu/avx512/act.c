/* act.c (avx512) - the kernel is lanes_act.h */
#include "tensor/cpu/lanes_act.h"
