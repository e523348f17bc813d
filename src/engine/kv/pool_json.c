/* pool_json.c - see pool_json.h */
#include "engine/kv/pool_json.h"

json_t *mu_kv_stats_json(const struct mu_kv_stats *s)
{
    if (s->pages == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "pages",
                     (json_int_t)s->pages, "free", (json_int_t)s->free, "held", (json_int_t)s->held, "cached",
                     (json_int_t)s->cached, "shared", (json_int_t)s->shared, "reserved", (json_int_t)s->reserved,
                     "held_peak", (json_int_t)s->held_peak, "span", (json_int_t)s->span, "free_run",
                     (json_int_t)s->free_run, "given_back", (json_int_t)s->given_back, "empty", mu_kv_stats_empty(s),
                     "scatter", mu_kv_stats_scatter(s), "broken", mu_kv_stats_broken(s), "sharing_gain",
                     mu_kv_stats_gain(s));
}
