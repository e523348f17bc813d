/* logsumexp.c (avx2) - the kernel is lanes_logsumexp.h */
#include "tensor/cpu/lanes_logsumexp.h"
