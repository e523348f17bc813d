/* levels.c - the CPU levels, best first: what each needs, its op table and its kernels
 *
 * All levels share the drivers; an op table differs in its name only, and the kernels hang on the device. */
#include "tensor/cpu/levels.h"

#include <string.h>
#ifdef MU_CPU_X86
#include <cpuid.h>
#endif

#include "tensor/cpu/ops_cpu.h"

static const char *ref_missing(void)
{
    return NULL;
}

static bool ref_is_available(void)
{
    return true;
}

#ifdef MU_CPU_X86
/* Not every compiler's __builtin_cpu_supports() knows it. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static const char *avx2_missing(void)
{
    if (!__builtin_cpu_supports("avx2"))
        return "AVX2";
    if (!__builtin_cpu_supports("fma"))
        return "FMA";
    if (!has_f16c())
        return "F16C";
    return NULL;
}

static const char *avx512_missing(void)
{
    const char *base = avx2_missing();
    if (base)
        return base;
    if (!__builtin_cpu_supports("avx512f"))
        return "AVX-512 F";
    if (!__builtin_cpu_supports("avx512bw"))
        return "AVX-512 BW";
    if (!__builtin_cpu_supports("avx512vl"))
        return "AVX-512 VL";
    if (!__builtin_cpu_supports("avx512dq"))
        return "AVX-512 DQ";
    return NULL;
}

static bool avx2_is_available(void)
{
    return !avx2_missing();
}

static bool avx512_is_available(void)
{
    return !avx512_missing();
}
#endif

#define OPS(name)                                                                                                      \
    {                                                                                                                  \
        .level = #name, .is_available = name##_is_available, .missing = name##_missing,                                \
        .linear_work_bytes = mu_cpu_linear_work_bytes, .linear = mu_cpu_linear, .embed = mu_cpu_embed,                 \
        .rmsnorm = mu_cpu_rmsnorm, .layernorm = mu_cpu_layernorm, .rope = mu_cpu_rope, .kv_store = mu_cpu_kv_store,    \
        .attention_work_bytes = mu_cpu_attention_work_bytes, .attention = mu_cpu_attention,                            \
        .attention_partial = mu_cpu_attention_partial, .attention_merge = mu_cpu_attention_merge, .act = mu_cpu_act,   \
        .act_mul = mu_cpu_act_mul, .add = mu_cpu_add, .gather = mu_cpu_gather, .scatter_add = mu_cpu_scatter_add,      \
        .logsumexp = mu_cpu_logsumexp                                                                                  \
    }

static const struct mu_ops ops_ref = OPS(ref);
#ifdef MU_CPU_X86
static const struct mu_ops ops_avx2 = OPS(avx2);
static const struct mu_ops ops_avx512 = OPS(avx512);
#endif

static const struct mu_ops *const levels[] = {
#ifdef MU_CPU_X86
    &ops_avx512,
    &ops_avx2,
#endif
    &ops_ref,
    NULL,
};

const struct mu_ops *const *mu_cpu_levels(void)
{
    return levels;
}

static const struct mu_cpu_kernels *kernels_of(const struct mu_ops *ops)
{
#ifdef MU_CPU_X86
    if (ops == &ops_avx512)
        return __builtin_cpu_supports("avx512vnni") ? &mu_kernels_avx512 : &mu_kernels_avx512_no_vnni;
    if (ops == &ops_avx2)
        return &mu_kernels_avx2;
#endif
    return ops == &ops_ref ? &mu_kernels_ref : NULL;
}

int mu_cpu_level_choose(const char *name, const struct mu_ops **ops, const struct mu_cpu_kernels **kernels,
                        struct mu_err *e)
{
    bool is_auto = strcmp(name, "auto") == 0;
    for (const struct mu_ops *const *l = levels; *l; l++) {
        if (is_auto ? !(*l)->is_available() : strcmp((*l)->level, name) != 0)
            continue;
        if (!(*l)->is_available())
            return mu_fail(e, MU_EUNSUPPORTED, "CPU level %s: this CPU has no %s; use auto", name, (*l)->missing());
        *ops = *l;
        *kernels = kernels_of(*l);
        return MU_OK;
    }
    return mu_fail(e, MU_EUSAGE, "CPU level \"%s\" is none of auto, avx512, avx2, ref", name);
}
