/* load_unused.c - tensors of a checkpoint that no slot needs */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "model/load_int.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool is_known_extra(const struct mu_arch *a, const struct mu_spec *s, const char *name)
{
    for (size_t i = 0; a && i < MU_COUNT(a->ignored) && a->ignored[i]; i++)
        if (ends_with(name, a->ignored[i]))
            return true;
    const char *layers = strstr(name, "layers.");
    return ends_with(name, "_scale_inv") || strcmp(name, "rope_freqs.weight") == 0 ||
           (s->is_tied && strcmp(name, "lm_head.weight") == 0) ||
           (s->n_mtp > 0 && layers && atoi(layers + 7) >= s->n_layers);
}

/* Fills and tensors are both in file order: one walk. */
void mu_load_report_unused(const struct mu_loader *l)
{
    const struct mu_arch *a = mu_arch_of_family(l->m->spec.family);
    const char *example = NULL;
    int64_t n = 0, at = 0;

    for (int64_t i = 0; i < mu_weights_count(l->w); i++) {
        const struct mu_tensor_info *t = mu_weights_at(l->w, i);
        bool is_used = false;
        for (; at < l->n && l->fills[at].src.t == t; at++)
            is_used = true;
        if (is_used || is_known_extra(a, &l->m->spec, t->name))
            continue;
        example = example ? example : t->name;
        n++;
    }
    if (n > 0)
        mu_log(MU_LOG_WARN, "%" PRId64 " tensors of the checkpoint are not used, for example %s", n, example);
}
