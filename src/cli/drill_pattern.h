/* drill_pattern.h - a pattern that shows what is wrong with memory
 *
 * A word is its own place plus a seed, or the same with all bits inverted: with both, each bit is written both ways,
 * and addresses that fall together show. */
#ifndef MU_CLI_DRILL_PATTERN_H
#define MU_CLI_DRILL_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

struct mu_pool;

void mu_pattern_write(struct mu_pool *pool, uint64_t *p, int64_t n, bool is_inverted);

/* How many words differ; *first: the first of them, or -1. */
int64_t mu_pattern_check(struct mu_pool *pool, const uint64_t *p, int64_t n, bool is_inverted, int64_t *first);

#endif
