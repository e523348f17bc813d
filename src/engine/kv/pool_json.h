/* pool_json.h - the pool's statistics as JSON, for whoever prints what a run did */
#ifndef MU_ENGINE_POOL_JSON_H
#define MU_ENGINE_POOL_JSON_H

#include "base/json.h"
#include <muster/engine.h>

/* Counts in pages, shares from 0 to 1. The caller's reference; null's where there is no pool; NULL without memory. */
json_t *mu_kv_stats_json(const struct mu_kv_stats *s);

#endif
