/* gpus.c - GPUs by hwloc: devices of one driver's list, and the matrix of bandwidths between them
 *
 * A card appears once for each driver that knows it (nvml0, cuda0, opencl0d0): the first of the lists below that has
 * any is counted. Bandwidths are hwloc's matrices in MB/s. Across NVSwitches every pair has all of a device's links;
 * without switches a device's rate is the sum over its neighbours. */
#include "base/gpus.h"

#include <dlfcn.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static const char *const drivers[] = {"nvml", "rsmi", "cuda", "opencl"};

static bool is_of(hwloc_obj_t o, const char *driver)
{
    size_t n = strlen(driver);
    return o->name && strncmp(o->name, driver, n) == 0 && o->name[n] >= '0' && o->name[n] <= '9';
}

static hwloc_obj_t pci_of(hwloc_obj_t o)
{
    while (o && o->type != HWLOC_OBJ_PCI_DEVICE)
        o = o->parent;
    return o;
}

/* The value a driver's device of the same card has for key. */
static const char *info_of(hwloc_topology_t t, hwloc_obj_t card, const char *key)
{
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_osdev(t, o)) != NULL;) {
        const char *v = card && pci_of(o) == card ? hwloc_obj_get_info_by_name(o, key) : NULL;
        if (v)
            return v;
    }
    return NULL;
}

static void describe(hwloc_topology_t t, hwloc_obj_t o, struct mu_gpu *g)
{
    hwloc_obj_t card = pci_of(o);
    const char *name = hwloc_obj_get_info_by_name(o, "GPUModel"), *memory = info_of(t, card, "CUDAGlobalMemorySize");
    if (!name && card)
        name = card->name ? card->name : hwloc_obj_get_info_by_name(card, "PCIDevice");
    if (!memory)
        memory = info_of(t, card, "RSMIVRAMSize");
    snprintf(g->name, sizeof g->name, "%.*s", MU_GPU_NAME_MAX - 1, name ? name : "");
    g->memory_bytes = memory ? strtoull(memory, NULL, 10) * 1024 : 0;
}

static int list(hwloc_topology_t t, const char *driver, struct mu_gpus *out)
{
    int n = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_osdev(t, o)) != NULL;) {
        if (is_of(o, driver) && pci_of(o) && n < MU_GPUS_MAX)
            describe(t, o, &out->gpu[n++]);
    }
    return n;
}

static void count_cards(hwloc_topology_t t, struct mu_gpus *out)
{
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_osdev(t, o)) != NULL;)
        out->fabric_cards += o->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS;
}

/* ---- links ---- */

static bool is_gpu(hwloc_obj_t o)
{
    return o && o->type == HWLOC_OBJ_OS_DEVICE;
}

static double rate_of(const struct hwloc_distances_s *d, unsigned i, bool is_switched)
{
    double sum = 0, most = 0;
    for (unsigned j = 0; j < d->nbobjs; j++) {
        double v = i != j && is_gpu(d->objs[j]) ? (double)d->values[i * d->nbobjs + j] * 1e6 : 0;
        sum += v;
        most = MU_MAX(most, v);
    }
    return is_switched ? most : sum;
}

static void read_links(hwloc_topology_t t, const char *matrix, const char *link, struct mu_gpus *out)
{
    struct hwloc_distances_s *d;
    unsigned n = 1;
    if (hwloc_distances_get_by_name(t, matrix, &n, &d, 0) != 0 || n == 0)
        return;
    unsigned before = d->nbobjs;
    hwloc_distances_transform(t, d, HWLOC_DISTANCES_TRANSFORM_MERGE_SWITCH_PORTS, NULL, 0);
    bool is_switched = d->nbobjs < before; /* ports of one switch became one object */
    if (is_switched)
        hwloc_distances_transform(t, d, HWLOC_DISTANCES_TRANSFORM_TRANSITIVE_CLOSURE, NULL, 0);
    for (unsigned i = 0; i < d->nbobjs; i++) {
        double rate = is_gpu(d->objs[i]) ? rate_of(d, i, is_switched) : 0;
        if (rate > 0 && (out->link_rate <= 0 || rate < out->link_rate))
            out->link_rate = rate;
    }
    if (out->link_rate > 0)
        snprintf(out->link, sizeof out->link, "%s", link);
    hwloc_distances_release(t, d);
}

/* hwloc's plugin for PCI leaves tables in libpciaccess for the next time; a library that stays loaded still knows them
 * then, one that is unloaded with the plugin leaks them. */
static void keep_tables(void)
{
    void *library = dlopen("libpciaccess.so.0", RTLD_LAZY | RTLD_NODELETE);
    if (library)
        dlclose(library);
}

static int load(hwloc_topology_t *t, struct mu_err *e)
{
    keep_tables();
    if (hwloc_topology_init(t) != 0)
        return mu_fail(e, MU_EIO, "hwloc cannot start");
    hwloc_topology_set_io_types_filter(*t, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(*t) == 0)
        return MU_OK;
    hwloc_topology_destroy(*t);
    const char *file = getenv("HWLOC_XMLFILE");
    return mu_fail(e, MU_EIO, "hwloc cannot read %s%s", file ? "the topology file " : "this machine's topology",
                   file ? file : "");
}

int mu_gpus_discover(struct mu_gpus *out, struct mu_err *e)
{
    hwloc_topology_t t;
    const char *why = "another machine's picture, so NVML was not asked";

    memset(out, 0, sizeof *out);
    MU_TRY_RETURN(load(&t, e));
    for (size_t i = 0; i < MU_COUNT(drivers) && out->n == 0; i++)
        out->n = list(t, drivers[i], out);
    count_cards(t, out);
    read_links(t, "NVLinkBandwidth", "nvlink", out);
    if (out->link_rate <= 0)
        read_links(t, "XGMIBandwidth", "xgmi", out);
    bool has_nvml = hwloc_topology_is_thissystem(t) && mu_gpus_ask_nvml(out, &why);
    snprintf(out->how, sizeof out->how, has_nvml ? "hwloc and NVML" : "hwloc; %s", why);
    hwloc_topology_destroy(t);
    return MU_OK;
}
