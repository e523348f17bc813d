/* pool_stats.h - how full, how broken up, how shared a pool of KV pages is
 *
 * Pages have one size, so a pool never fails for being broken up: fragmentation costs tokens that held pages have no
 * use for (internal), and memory that cannot be given back because used pages lie behind free ones (external).
 *
 * Pure: counts of one moment, by a walk over the pages. The shares over them are functions of the public struct. */
#ifndef MU_ENGINE_POOL_STATS_H
#define MU_ENGINE_POOL_STATS_H

#include "engine/kv/kv_cache.h"
#include <muster/engine.h>

/* n_tokens: computed tokens of all sequences that run in this cache. */
void mu_kv_stats_take(struct mu_kv_stats *out, const struct mu_kv_cache *kv, int64_t n_tokens);

#endif
