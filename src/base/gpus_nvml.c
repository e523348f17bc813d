/* gpus_nvml.c - names and memory by NVIDIA's management library, loaded at run time
 *
 * The few types used are those of NVIDIA's NVML API reference: calls return 0 for success, handles are pointers. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/gpus.h"

struct nvml_memory {
    unsigned long long total, free, used;
};

struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *n);
    int (*handle)(unsigned i, void **device);
    int (*name)(void *device, char *name, unsigned bytes);
    int (*memory)(void *device, struct nvml_memory *m);
};

static bool find(void *library, struct nvml *f)
{
    const char *const names[] = {"nvmlInit_v2",           "nvmlShutdown",
                                 "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
                                 "nvmlDeviceGetName",     "nvmlDeviceGetMemoryInfo"};
    void *found[6];
    for (int i = 0; i < 6; i++) {
        found[i] = dlsym(library, names[i]);
        if (!found[i])
            return false;
    }
    memcpy(f, found, sizeof *f); /* functions and data pointers are alike under POSIX */
    return true;
}

static void ask_device(const struct nvml *f, unsigned i, struct mu_gpu *g)
{
    struct nvml_memory m = {0};
    char name[MU_GPU_NAME_MAX] = "";
    void *device;
    if (f->handle(i, &device) != 0)
        return;
    if (f->name(device, name, sizeof name) == 0)
        snprintf(g->name, sizeof g->name, "%.*s", MU_GPU_NAME_MAX - 1, name);
    if (f->memory(device, &m) == 0)
        g->memory_bytes = m.total;
}

bool mu_gpus_ask_nvml(struct mu_gpus *out, const char **why)
{
    void *library = dlopen(MU_NVML_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    struct nvml f;
    unsigned n = 0;

    *why = library ? "the NVIDIA driver lists no GPU" : MU_NVML_LIBRARY " is not there";
    if (!library)
        return false;
    if (find(library, &f) && f.init() == 0) {
        if (f.count(&n) != 0)
            n = 0;
        out->n = (int)(n < MU_GPUS_MAX ? n : MU_GPUS_MAX);
        for (int i = 0; i < out->n; i++)
            ask_device(&f, (unsigned)i, &out->gpu[i]);
        f.shutdown();
    }
    dlclose(library);
    return n > 0;
}
