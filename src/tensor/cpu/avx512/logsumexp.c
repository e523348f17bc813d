/* logsumexp.c (avx512) - the kernel is lanes_logsumexp.h */
#include "tensor/cpu/lanes_logsumexp.h"
