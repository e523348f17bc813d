/* rope_table.c - inverse frequencies and angles
 *
 * Source: transformers' modeling_rope_utils.py. There pow, products and angles are f32, scalars Python floats (f64);
 * the same steps are rounded here. At position 1e5 half an ulp of a frequency near 1 is 3e-3 of an angle, so this is
 * not pedantry. cos and sin of the rounded angle are taken in f64 and rounded. */
#include "model/rope_table.h"

#include <math.h>

#include "base/check.h"

bool mu_rope_is_by_length(const struct mu_rope_spec *r)
{
    if (r->scaling == MU_SCALE_DYNAMIC)
        return true;
    for (int i = 0; r->scaling == MU_SCALE_LONGROPE && i < r->dim / 2; i++)
        if (r->short_factor[i] != r->long_factor[i])
            return true;
    return false;
}

int64_t mu_rope_class(const struct mu_rope_spec *r, int64_t length)
{
    if (length <= r->original_context || !mu_rope_is_by_length(r))
        return 0;
    return r->scaling == MU_SCALE_DYNAMIC ? length : 1;
}

/* theta^(2i/dim) in f32. */
static float power(double theta, int i, int dim)
{
    float exponent = (float)(2 * i) / (float)dim;
    return (float)pow((float)theta, exponent);
}

static void plain(const struct mu_rope_spec *r, double theta, float *f)
{
    for (int i = 0; i < r->dim / 2; i++)
        f[i] = 1.0f / power(theta, i, r->dim);
}

static void dynamic(const struct mu_rope_spec *r, int64_t length, float *f)
{
    double original = (double)r->original_context, n = fmax((double)length, original);
    double stretch = r->factor * n / original - (r->factor - 1);
    plain(r, r->theta * pow(stretch, (double)r->dim / (r->dim - 2)), f);
}

static void llama3(const struct mu_rope_spec *r, float *f)
{
    float original = (float)r->original_context, factor = (float)r->factor;
    float low = (float)r->low_freq_factor, high = (float)r->high_freq_factor;
    for (int i = 0; i < r->dim / 2; i++) {
        float wavelength = (float)(2 * M_PI) / f[i];
        if (wavelength < (float)((double)r->original_context / r->high_freq_factor))
            continue;
        if (wavelength > (float)((double)r->original_context / r->low_freq_factor)) {
            f[i] /= factor;
            continue;
        }
        float smooth = (original / wavelength - low) / (high - low);
        f[i] = (1 - smooth) * f[i] / factor + smooth * f[i];
    }
}

/* The pair whose wavelength fits `turns` times into the original context; a real number. */
static double pair_of_turns(const struct mu_rope_spec *r, double turns)
{
    return r->dim * log((double)r->original_context / (turns * 2 * M_PI)) / (2 * log(r->theta));
}

static void yarn(const struct mu_rope_spec *r, float *f)
{
    double lo = pair_of_turns(r, r->beta_fast), hi = pair_of_turns(r, r->beta_slow);
    if (r->is_truncated) {
        lo = floor(lo);
        hi = ceil(hi);
    }
    lo = fmax(lo, 0);
    hi = fmin(hi, r->dim - 1);
    if (lo == hi)
        hi += 0.001;
    for (int i = 0; i < r->dim / 2; i++) {
        float at = ((float)i - (float)lo) / (float)(hi - lo);
        float keep = 1 - fminf(fmaxf(at, 0), 1); /* share of the frequency left as it is */
        float p = power(r->theta, i, r->dim);
        f[i] = 1.0f / ((float)r->factor * p) * (1 - keep) + 1.0f / p * keep;
    }
}

static void longrope(const struct mu_rope_spec *r, int64_t length, float *f)
{
    const float *list = length > r->original_context ? r->long_factor : r->short_factor;
    for (int i = 0; i < r->dim / 2; i++)
        f[i] = 1.0f / (list[i] * power(r->theta, i, r->dim));
}

void mu_rope_frequencies(const struct mu_rope_spec *r, int64_t length, float *f)
{
    plain(r, r->theta, f);
    switch (r->scaling) {
    case MU_SCALE_NONE:
        return;
    case MU_SCALE_LINEAR:
        for (int i = 0; i < r->dim / 2; i++)
            f[i] /= (float)r->factor;
        return;
    case MU_SCALE_DYNAMIC:
        dynamic(r, length, f);
        return;
    case MU_SCALE_LLAMA3:
        llama3(r, f);
        return;
    case MU_SCALE_YARN:
        yarn(r, f);
        return;
    case MU_SCALE_LONGROPE:
        longrope(r, length, f);
        return;
    }
}

void mu_rope_row(const struct mu_rope_spec *r, const float *f, int64_t position, float *row)
{
    int half = r->dim / 2;
    for (int i = 0; i < half; i++) {
        float angle = (float)position * f[i];
        row[i] = (float)cos(angle) * (float)r->attention_factor;
        row[half + i] = (float)sin(angle) * (float)r->attention_factor;
    }
}
