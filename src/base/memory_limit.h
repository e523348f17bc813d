/* memory_limit.h - how much more memory this process may take */
#ifndef MU_BASE_MEMORY_LIMIT_H
#define MU_BASE_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

/* The smaller of what the machine calls available and what the control group (v2, every level up) still allows; 0
 * when neither can be read. is_group (may be NULL): the control group is the smaller. */
size_t mu_memory_available(bool *is_group);

#endif
