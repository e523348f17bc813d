/* machine.h - what a plan runs on, as numbers
 *
 * A machine is a number of equal nodes with equal devices; what differs inside a cluster is planned as several
 * machines. It comes from a preset, from a cluster file, from discovery, or from calibration on this machine. Peaks are
 * what the maker states; curves say which part of a peak is reached at a size, from calibration or from published
 * measurements (machine_presets.c names its sources). Pure: text and trees in, numbers out. Rates per second, sizes in
 * bytes. */
#ifndef MU_PLAN_MACHINE_H
#define MU_PLAN_MACHINE_H

#include <stdbool.h>

#include "base/json.h"
#include <muster/err.h>

#define MU_MACHINE_NAME_MAX 48
#define MU_CURVE_MAX        24
#define MU_NODES_MAX        16384
#define MU_NODE_DEVICES_MAX 64

/* y at x, x increasing; linear in log x between points, flat outside. n 0: 1 everywhere. */
struct mu_curve {
    int n;
    double x[MU_CURVE_MAX], y[MU_CURVE_MAX];
};
double mu_curve_at(const struct mu_curve *c, double x);

/* What products run in. */
enum mu_rate { MU_RATE_F32, MU_RATE_BF16 /* and f16 */, MU_RATE_FP8, MU_RATE_INT8, MU_RATE_FP4, MU_RATE_N };

struct mu_device_spec {
    char name[MU_MACHINE_NAME_MAX]; /* "H100-80GB" */
    double memory;                  /* bytes of one device */
    double memory_rate;             /* bytes/s */
    double flops[MU_RATE_N];        /* dense; 0: not supported */
    struct mu_curve product;        /* part of flops by the product's FLOP */
    struct mu_curve rows;           /* part of that by the product's rows */
    struct mu_curve attention; /* part of flops inside attention by a sequence's rows in a step; n 0: as products */
    struct mu_curve copy;      /* part of memory_rate by bytes */
    double launch_s;           /* of one operation */
};

struct mu_link_spec {
    char name[MU_MACHINE_NAME_MAX]; /* "nvlink", "pcie", "infiniband", "memory" */
    double rate;                    /* bytes/s of one device, one direction */
    double latency_s;
    double crowded_s;        /* latency where ranks outnumber the cores they run on; 0: latency_s */
    struct mu_curve reached; /* part of rate by message bytes */
};

struct mu_machine {
    char name[MU_MACHINE_NAME_MAX]; /* "h100" */
    int nodes, devices;             /* devices a node */
    bool is_host;                   /* a device is a process on the node's own CPUs: its share of cores and memory */
    struct mu_device_spec device;
    struct mu_link_spec inside, between; /* of a node; between nodes, one device's share of the NICs */
    double host_memory;                  /* bytes a node */
    int host_cores;                      /* is_host: cores of a node, whose numbers these are; 0: not known */
    struct mu_curve reading;             /* is_host: part of memory_rate by the cores that read */
    double storage_rate, storage_total;  /* reading weights: one node, all nodes together; 0: not known */
};

/* "a100", "h100", "h200", "b200", with memory as "a100-40"; devices and nodes are the caller's. MU_ENOENT names the
 * nearest. */
int mu_machine_preset(struct mu_machine *out, const char *name, struct mu_err *e);
const char *const *mu_machine_preset_names(void); /* NULL at the end */

/* The preset of a GPU by the name its driver gives ("NVIDIA A100-SXM4-40GB"); NULL when none is known. */
const char *mu_machine_preset_of(const char *device_name);

/* A cluster file's tree (docs/cluster.md); where names the file. Contradictions are MU_EFORMAT with both values. */
struct mu_yaml;
int mu_machine_from_tree(struct mu_machine *out, const json_t *tree, const char *where, struct mu_err *e);
int mu_machine_from_yaml(struct mu_machine *out, const struct mu_yaml *y, const char *where,
                         struct mu_err *e); /* the same, and errors name lines */
int mu_machine_from_node(struct mu_machine *out, const struct mu_yaml *y, const json_t *node, const char *where,
                         struct mu_err *e);          /* of a mapping inside another file */
json_t *mu_machine_json(const struct mu_machine *m); /* the same form; the caller's */

/* A node's own CPUs as `ranks` devices of equal shares; flops and rates are those of all cores together. */
void mu_machine_host(struct mu_machine *out, double memory, double memory_rate, double flops_f32, int ranks);

/* A host nobody has measured: round numbers a core, good for an order of magnitude. */
void mu_machine_guess(struct mu_machine *out, double memory, int cores);

/* The same machine with other numbers of nodes and devices a node; a host's devices share anew what they have. */
void mu_machine_resize(struct mu_machine *m, int nodes, int devices);

/* The same for `ranks` processes a node of `threads` threads each: a host whose cores are known gives what so many
 * cores reach, the latency of a crowd where there are more threads than cores, and operations that need no start where
 * a process has one thread. */
void mu_machine_share(struct mu_machine *m, int nodes, int ranks, int threads);

/* Numbers that cannot be: zero memory, rates below zero, more devices than bounds. */
int mu_machine_check(const struct mu_machine *m, const char *where, struct mu_err *e);

#endif
