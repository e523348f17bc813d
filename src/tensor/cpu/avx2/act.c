/* act.c (avx2) - the kernel is lanes_act.h */
#include "tensor/cpu/lanes_act.h"
