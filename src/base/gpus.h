/* gpus.h - the GPUs of this machine and how they are linked, as far as it tells
 *
 * hwloc lists devices, their places and the bandwidth between them; it reads another machine's picture when
 * HWLOC_XMLFILE names one. NVIDIA's management library adds names and memory when it can be loaded at run time; nothing
 * is linked against it. A machine without GPUs is no error: n is 0. */
#ifndef MU_BASE_GPUS_H
#define MU_BASE_GPUS_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_GPUS_MAX     64
#define MU_GPU_NAME_MAX 96
#define MU_NVML_LIBRARY "libnvidia-ml.so.1"

struct mu_gpu {
    char name[MU_GPU_NAME_MAX]; /* "Tesla V100-SXM2-16GB"; "" not known */
    uint64_t memory_bytes;      /* 0: not known */
};

struct mu_gpus {
    int n;
    struct mu_gpu gpu[MU_GPUS_MAX];
    char link[16];    /* "nvlink", "xgmi"; "" none found */
    double link_rate; /* bytes/s of one device, one direction, the slowest device's; 0: not known */
    int fabric_cards; /* InfiniBand and other cards hwloc calls OpenFabrics */
    char how[128];    /* where this comes from and what is missing, a clause */
};

int mu_gpus_discover(struct mu_gpus *out, struct mu_err *e);

/* gpus_nvml.c: fills n, names and memory; false, with a clause in `why`, when the library or a device is not there. */
bool mu_gpus_ask_nvml(struct mu_gpus *out, const char **why);

#endif
