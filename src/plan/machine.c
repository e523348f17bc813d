/* machine.c - curves, bounds, and machines of another size; files are machine_file.c, kinds machine_presets.c */
#include "plan/machine.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"

double mu_curve_at(const struct mu_curve *c, double x)
{
    if (c->n == 0)
        return 1;
    if (x <= c->x[0])
        return c->y[0];
    for (int i = 1; i < c->n; i++) {
        if (x < c->x[i]) {
            double part = log(x / c->x[i - 1]) / log(c->x[i] / c->x[i - 1]);
            return c->y[i - 1] + part * (c->y[i] - c->y[i - 1]);
        }
    }
    return c->y[c->n - 1];
}

static bool is_positive(double v)
{
    return v > 0 && v < 1e30; /* NaN is not */
}

static int check_curve(const struct mu_curve *c, const char *name, const char *where, struct mu_err *e)
{
    if (c->n < 0 || c->n > MU_CURVE_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: the curve %s has %d points; at most %d", where, name, c->n, MU_CURVE_MAX);
    for (int i = 0; i < c->n; i++) {
        if (!is_positive(c->x[i]) || (i > 0 && c->x[i] <= c->x[i - 1]))
            return mu_fail(e, MU_EFORMAT, "%s: point %d of the curve %s is at %g: sizes must be above 0 and increase",
                           where, i, name, c->x[i]);
        if (!(c->y[i] > 0 && c->y[i] <= 4))
            return mu_fail(e, MU_EFORMAT, "%s: point %d of the curve %s is %g: a part of the peak, above 0, is needed",
                           where, i, name, c->y[i]);
    }
    return MU_OK;
}

static int check_link(const struct mu_link_spec *l, const char *what, const char *where, struct mu_err *e)
{
    if (!is_positive(l->rate))
        return mu_fail(e, MU_EFORMAT, "%s: the rate of the links %s is %g bytes/s; it must be above 0", where, what,
                       l->rate);
    if (!(l->latency_s >= 0 && l->latency_s < 1))
        return mu_fail(e, MU_EFORMAT, "%s: the latency of the links %s is %g s; from 0 to 1 s is possible", where, what,
                       l->latency_s);
    if (!(l->crowded_s >= 0 && l->crowded_s < 1))
        return mu_fail(e, MU_EFORMAT, "%s: the latency of crowded links %s is %g s; from 0 to 1 s is possible", where,
                       what, l->crowded_s);
    return check_curve(&l->reached, l->name, where, e);
}

static int check_device(const struct mu_device_spec *d, const char *where, struct mu_err *e)
{
    if (!is_positive(d->memory) || !is_positive(d->memory_rate))
        return mu_fail(e, MU_EFORMAT, "%s: a device with %g bytes of memory read at %g bytes/s; both must be above 0",
                       where, d->memory, d->memory_rate);
    for (int r = 0; r < MU_RATE_N; r++) {
        if (!(d->flops[r] >= 0 && d->flops[r] < 1e30))
            return mu_fail(e, MU_EFORMAT, "%s: a device with %g FLOP/s; from 0 is possible", where, d->flops[r]);
    }
    if (d->flops[MU_RATE_F32] <= 0 && d->flops[MU_RATE_BF16] <= 0)
        return mu_fail(e, MU_EFORMAT, "%s: a device without f32 and bf16 rates computes nothing", where);
    if (!(d->launch_s >= 0 && d->launch_s < 1))
        return mu_fail(e, MU_EFORMAT, "%s: starting an operation takes %g s; from 0 to 1 s is possible", where,
                       d->launch_s);
    MU_TRY_RETURN(check_curve(&d->product, "product", where, e));
    MU_TRY_RETURN(check_curve(&d->rows, "rows", where, e));
    MU_TRY_RETURN(check_curve(&d->attention, "attention", where, e));
    return check_curve(&d->copy, "copy", where, e);
}

int mu_machine_check(const struct mu_machine *m, const char *where, struct mu_err *e)
{
    if (m->nodes < 1 || m->nodes > MU_NODES_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: %d nodes; from 1 to %d are possible", where, m->nodes, MU_NODES_MAX);
    if (m->devices < 1 || m->devices > MU_NODE_DEVICES_MAX)
        return mu_fail(e, MU_EFORMAT, "%s: %d devices a node; from 1 to %d are possible", where, m->devices,
                       MU_NODE_DEVICES_MAX);
    MU_TRY_RETURN(check_device(&m->device, where, e));
    if (m->devices > 1 || m->nodes > 1)
        MU_TRY_RETURN(check_link(&m->inside, "inside a node", where, e));
    if (m->nodes > 1)
        MU_TRY_RETURN(check_link(&m->between, "between nodes", where, e));
    if (!(m->host_memory >= 0) || !(m->storage_rate >= 0) || !(m->storage_total >= 0))
        return mu_fail(e, MU_EFORMAT, "%s: host memory %g, storage rates %g and %g: none can be below 0", where,
                       m->host_memory, m->storage_rate, m->storage_total);
    return check_curve(&m->reading, "reading", where, e);
}

/* Message passing through memory of one machine: a copy in and a copy out share the memory's rate. */
#define HOST_LATENCY_S 2e-6
#define HOST_COPY_PART 0.25
#define HOST_LAUNCH_S  2e-6
#define HOST_STORAGE   1e9 /* an SSD of a work station; calibrate measures nothing of it */

/* Of a core: half of what 8 lanes, two units and 2.5 GHz make; reading as servers of four channels and eight cores. */
#define GUESS_FLOPS 40e9
#define GUESS_READ  8e9

void mu_machine_host(struct mu_machine *out, double memory, double memory_rate, double flops_f32, int ranks)
{
    *out = (struct mu_machine){
        .name = "host", .nodes = 1, .devices = 1, .is_host = true, .host_memory = memory, .storage_rate = HOST_STORAGE};
    out->device =
        (struct mu_device_spec){.name = "CPU", .memory = memory, .memory_rate = memory_rate, .launch_s = HOST_LAUNCH_S};
    out->device.flops[MU_RATE_F32] = flops_f32;
    out->inside =
        (struct mu_link_spec){.name = "memory", .rate = memory_rate * HOST_COPY_PART, .latency_s = HOST_LATENCY_S};
    mu_machine_resize(out, 1, ranks);
}

void mu_machine_resize(struct mu_machine *m, int nodes, int devices)
{
    double part = (double)m->devices / MU_MAX(devices, 1);
    if (m->is_host) {
        m->device.memory *= part;
        m->device.memory_rate *= part;
        m->inside.rate *= part;
        for (int r = 0; r < MU_RATE_N; r++)
            m->device.flops[r] *= part;
    }
    m->nodes = nodes;
    m->devices = devices;
}

void mu_machine_guess(struct mu_machine *out, double memory, int cores)
{
    cores = MU_MAX(cores, 1);
    mu_machine_host(out, memory, GUESS_READ * cores, GUESS_FLOPS * cores, 1);
    out->host_cores = cores;
}

void mu_machine_share(struct mu_machine *m, int nodes, int ranks, int threads)
{
    double busy = (double)ranks * threads, cores = m->host_cores;
    mu_machine_resize(m, nodes, ranks);
    if (!m->is_host || cores <= 0)
        return;
    if (busy > cores && m->inside.crowded_s > 0)
        m->inside.latency_s = m->inside.crowded_s;
    if (threads == 1) /* nobody to start: the pool computes where it is called */
        m->device.launch_s = 0;
    busy = MU_MIN(busy, cores);
    m->device.memory_rate *= mu_curve_at(&m->reading, busy);
    for (int r = 0; r < MU_RATE_N; r++)
        m->device.flops[r] *= busy / cores;
}
