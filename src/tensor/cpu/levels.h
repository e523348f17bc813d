/* levels.h - choosing the CPU level */
#ifndef MU_TENSOR_CPU_LEVELS_H
#define MU_TENSOR_CPU_LEVELS_H

#include "tensor/cpu/kernels.h"

/* "auto" takes the best available level; a name takes that one, or MU_EUNSUPPORTED saying what the CPU lacks, or
 * MU_EUSAGE for a name that is no level. */
int mu_cpu_level_choose(const char *name, const struct mu_ops **ops, const struct mu_cpu_kernels **kernels,
                        struct mu_err *e);

#endif
