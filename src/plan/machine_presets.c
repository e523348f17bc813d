/* machine_presets.c - kinds of GPU nodes: a table of facts
 *
 * Memory is what nvidia-smi shows as the card's total. Peak rates are dense, from NVIDIA's data sheets (V100, T4, A100,
 * H100, H200, HGX B200). Links are a device's, one direction: NVLink links times the rate of one (6 x 25, 12 x 25, 18 x
 * 25, 18 x 50 GB/s), PCIe by its generation, network by the cards of a DGX node (A100: 200 Gb/s a GPU; later: 400). How
 * much of a link NCCL reaches is its own constant (NVIDIA/nccl src/graph/topo.h: 20, 20.6 and 40.1 GB/s a link); its
 * latency inside a node is that of src/graph/tuning.cc (LL128 hop), between nodes calculon's (2e-5 s). Curves of
 * products and copies are those that calculon-ai/calculon gives in systems/a100_80g.json. Storage: what NVIDIA's DGX
 * SuperPOD reference architecture calls "better" for one node (8 GB/s) and for a unit of nodes (40 GB/s). */
#include "plan/machine.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"

#define MIB 1048576.0
#define GIB 1073741824.0
#define GB  1e9
#define TF  1e12

#define LAUNCH_S 4e-6 /* a kernel from a CUDA graph, its start and end */

struct kind {
    const char *name, *device;
    double memory, memory_rate;
    double flops[MU_RATE_N]; /* f32, bf16, fp8, int8, fp4 */
    int links;
    double link_rate, link_reached; /* of one link, and what NCCL reaches of it */
    double network;                 /* of one device */
    double host_memory;
    const char *names[3]; /* parts of the driver's name, all of which must be there */
};

/* clang-format off */
static const struct kind kinds[] = {
    {"a100", "A100-SXM4-80GB", 81920 * MIB, 2039 * GB, {19.5 * TF, 312 * TF, 0, 624 * TF},
     12, 25 * GB, 20 * GB, 25 * GB, 2048 * GIB, {"A100", "SXM", "80GB"}},
    {"a100-40", "A100-SXM4-40GB", 40960 * MIB, 1555 * GB, {19.5 * TF, 312 * TF, 0, 624 * TF},
     12, 25 * GB, 20 * GB, 25 * GB, 1024 * GIB, {"A100", "SXM", "40GB"}},
    {"a100-pcie", "A100-PCIE-80GB", 81920 * MIB, 1935 * GB, {19.5 * TF, 312 * TF, 0, 624 * TF},
     0, 32 * GB, 24 * GB, 12.5 * GB, 1024 * GIB, {"A100", "PCI", "80GB"}},
    {"a100-pcie-40", "A100-PCIE-40GB", 40960 * MIB, 1555 * GB, {19.5 * TF, 312 * TF, 0, 624 * TF},
     0, 32 * GB, 24 * GB, 12.5 * GB, 1024 * GIB, {"A100", "PCI", "40GB"}},
    {"h100", "H100-SXM5-80GB", 81559 * MIB, 3350 * GB, {67 * TF, 989.5 * TF, 1979 * TF, 1979 * TF},
     18, 25 * GB, 20.6 * GB, 50 * GB, 2048 * GIB, {"H100", "80GB HBM3", ""}},
    {"h100-pcie", "H100-PCIE-80GB", 81559 * MIB, 2000 * GB, {51 * TF, 756 * TF, 1513 * TF, 1513 * TF},
     0, 64 * GB, 48 * GB, 25 * GB, 1024 * GIB, {"H100", "PCI", ""}},
    {"h200", "H200-SXM5-141GB", 143771 * MIB, 4800 * GB, {67 * TF, 989.5 * TF, 1979 * TF, 1979 * TF},
     18, 25 * GB, 20.6 * GB, 50 * GB, 2048 * GIB, {"H200", "", ""}},
    {"h800", "H800-SXM5-80GB", 81559 * MIB, 3350 * GB, {67 * TF, 989.5 * TF, 1979 * TF, 1979 * TF},
     8, 25 * GB, 20.6 * GB, 50 * GB, 2048 * GIB, {"H800", "", ""}},
    /* before b200: its name holds the other's */
    {"gb200", "GB200-192GB", 189471 * MIB, 8000 * GB, {80 * TF, 2450 * TF, 4900 * TF, 4900 * TF, 9800 * TF},
     18, 50 * GB, 40.1 * GB, 50 * GB, 480 * GIB, {"GB200", "", ""}},
    {"b200", "B200-SXM-192GB", 183359 * MIB, 8000 * GB, {75 * TF, 2250 * TF, 4500 * TF, 4500 * TF, 9000 * TF},
     18, 50 * GB, 40.1 * GB, 50 * GB, 2048 * GIB, {"B200", "", ""}},
    {"v100", "V100-SXM2-32GB", 32768 * MIB, 900 * GB, {15.7 * TF, 125 * TF, 0, 0},
     6, 25 * GB, 20 * GB, 12.5 * GB, 512 * GIB, {"V100", "SXM", "32GB"}},
    {"v100-16", "V100-SXM2-16GB", 16384 * MIB, 900 * GB, {15.7 * TF, 125 * TF, 0, 0},
     6, 25 * GB, 20 * GB, 12.5 * GB, 512 * GIB, {"V100", "SXM", "16GB"}},
    {"t4", "T4-16GB", 15360 * MIB, 320 * GB, {8.1 * TF, 65 * TF, 0, 130 * TF},
     0, 16 * GB, 12 * GB, 12.5 * GB, 384 * GIB, {"T4", "", ""}},
};
/* clang-format on */

#define ETHERNET      "-ethernet" /* one 100 Gb/s card a node instead of the fabric: NCCL reaches 12 GB/s of it */
#define ETHERNET_RATE (12 * GB)

#define BOTH(name) name, name ETHERNET

static const char *const names[] = {BOTH("a100"),      BOTH("a100-40"),
                                    BOTH("a100-pcie"), BOTH("a100-pcie-40"),
                                    BOTH("h100"),      BOTH("h100-pcie"),
                                    BOTH("h200"),      BOTH("h800"),
                                    BOTH("gb200"),     BOTH("b200"),
                                    BOTH("v100"),      BOTH("v100-16"),
                                    BOTH("t4"),        NULL};

const char *const *mu_machine_preset_names(void)
{
    return names;
}

static const struct mu_curve product_curve = {4, {1e7, 1e9, 1.6e10, 1.28e11}, {0.1, 0.6, 0.9, 0.95}};
static const struct mu_curve copy_curve = {4, {1e5, 1e6, 1e7, 1e8}, {0.3, 0.6, 0.75, 0.9}};

static struct mu_link_spec inside_of(const struct kind *k)
{
    bool is_nvlink = k->links > 0;
    struct mu_link_spec l = {.rate = is_nvlink ? k->links * k->link_rate : k->link_rate,
                             .latency_s = is_nvlink ? 1.9e-6 : 2.5e-6,
                             .reached = {1, {1}, {k->link_reached / k->link_rate}}};
    snprintf(l.name, sizeof l.name, "%s", is_nvlink ? "nvlink" : "pcie");
    return l;
}

static struct mu_link_spec between_of(const struct kind *k, bool is_ethernet)
{
    struct mu_link_spec l = {.rate = is_ethernet ? ETHERNET_RATE / 8 : k->network,
                             .latency_s = is_ethernet ? 5e-5 : 2e-5,
                             .reached = {1, {1}, {is_ethernet ? 1 : 0.96}}}; /* NCCL: 12 of a 100 Gb/s card's 12.5 */
    snprintf(l.name, sizeof l.name, "%s", is_ethernet ? "ethernet" : "infiniband");
    return l;
}

static const struct kind *find(const char *name, size_t n)
{
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        if (strlen(kinds[i].name) == n && memcmp(kinds[i].name, name, n) == 0)
            return &kinds[i];
    }
    return NULL;
}

int mu_machine_preset(struct mu_machine *out, const char *name, struct mu_err *e)
{
    size_t n = strlen(name), tail = sizeof ETHERNET - 1;
    bool is_ethernet = n > tail && strcmp(name + n - tail, ETHERNET) == 0;
    const struct kind *k = find(name, is_ethernet ? n - tail : n);

    if (!k && strcmp(name, "a100-80") == 0)
        k = find("a100", 4);
    if (!k) {
        const char *near = mu_name_nearest(names, name);
        return mu_fail(e, MU_ENOENT, "there is no machine \"%.60s\"; %s%s", name,
                       near ? "did you mean " : "known are a100, ",
                       near ? near : "h100, h200, b200 and others (muster plan --help)");
    }
    *out = (struct mu_machine){.nodes = 1,
                               .devices = 8,
                               .inside = inside_of(k),
                               .between = between_of(k, is_ethernet),
                               .host_memory = k->host_memory,
                               .storage_rate = 8 * GB,
                               .storage_total = 40 * GB};
    snprintf(out->name, sizeof out->name, "%s", name);
    struct mu_device_spec *d = &out->device;
    *d = (struct mu_device_spec){.memory = k->memory,
                                 .memory_rate = k->memory_rate,
                                 .product = product_curve,
                                 .copy = copy_curve,
                                 .launch_s = LAUNCH_S};
    snprintf(d->name, sizeof d->name, "%s", k->device);
    memcpy(d->flops, k->flops, sizeof d->flops);
    return MU_OK;
}

const char *mu_machine_preset_of(const char *device_name)
{
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        const char *const *part = kinds[i].names;
        if (strstr(device_name, part[0]) && strstr(device_name, part[1]) && strstr(device_name, part[2]))
            return kinds[i].name;
    }
    return NULL;
}
