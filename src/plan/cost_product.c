/* cost_product.c - products of rows with a weight matrix, and other work that reads memory
 *
 * A product takes the longer of computing and reading (Williams, Waterman, Patterson 2009: the roofline), each over
 * what the device reaches at that size, and g->overlap of the shorter hides behind it. */
#include "plan/cost_int.h"

#include "base/check.h"

double cost_element_bytes(const struct mu_workload *w)
{
    static const double bytes[MU_WFORMAT_N] = {[MU_WF32] = 4,
                                               [MU_WBF16] = 2,
                                               [MU_WF16] = 2,
                                               [MU_WINT8] = 1 + 4.0 / MU_GROUP_K, /* an f32 scale a group */
                                               [MU_WINT4] = 0.5 + 4.0 / MU_GROUP_K};
    return w->weight_bytes_per_param > 0 ? w->weight_bytes_per_param : bytes[w->weights];
}

/* A device that lacks a rate computes in the next wider type it has. */
double cost_peak(const struct mu_device_spec *d, enum mu_rate r)
{
    static const enum mu_rate wider[MU_RATE_N] = {[MU_RATE_F32] = MU_RATE_F32,
                                                  [MU_RATE_BF16] = MU_RATE_F32,
                                                  [MU_RATE_FP8] = MU_RATE_BF16,
                                                  [MU_RATE_INT8] = MU_RATE_BF16,
                                                  [MU_RATE_FP4] = MU_RATE_FP8};
    while (d->flops[r] <= 0 && wider[r] != r)
        r = wider[r];
    return d->flops[r];
}

double cost_read_s(const struct cost_at *at, double bytes, double part)
{
    const struct mu_device_spec *d = &at->m->device;
    return bytes > 0 ? bytes / (d->memory_rate * mu_curve_at(&d->copy, bytes) * part) : 0;
}

void cost_roofline(const struct cost_at *at, double compute_s, double memory_s, struct mu_cost_step *to)
{
    double shown = 1 - at->g->overlap;
    if (compute_s >= memory_s)
        to->compute += compute_s + shown * memory_s;
    else
        to->memory += memory_s + shown * compute_s;
}

void cost_product(const struct cost_at *at, double rows, double n_out, double n_in, struct mu_cost_step *to)
{
    const struct mu_device_spec *d = &at->m->device;
    double flop = 2 * rows * n_out * n_in;
    if (flop <= 0)
        return;
    double reached = mu_curve_at(&d->product, flop) * mu_curve_at(&d->rows, rows) * at->product;
    double moved = rows * (n_out + n_in) * at->g->act_bytes;
    double read_s = cost_read_s(at, n_out * n_in * at->weight_bytes, at->g->memory) + cost_read_s(at, moved, 1);
    cost_roofline(at, flop / (at->peak * reached), read_s, to);
}
