/* host.c - discovery by /proc, cgroups and hwloc */
#include "base/host.h"

#include <hwloc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory_limit.h"
#include "base/pool.h"

/* The number after `key` in a file of "key: value unit" lines; 0 when not there. */
static uint64_t number_after(const char *path, const char *key)
{
    char line[256];
    uint64_t v = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%*[ :\t]%" SCNu64, &v) == 1)
            break;
    }
    fclose(f);
    return v;
}

static void cpu_model(char *out, size_t n)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(out, n, "unknown CPU");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(out, n, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    fclose(f);
}

static void memory(struct mu_host *m)
{
    m->memory_bytes = number_after("/proc/meminfo", "MemTotal") * 1024;
    m->memory_available = mu_memory_available(&m->is_memory_limited);
}

static uint64_t cache_bytes(hwloc_topology_t t, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_obj_by_type(t, type, 0);
    return o && o->attr ? o->attr->cache.size : 0;
}

uint64_t mu_process_peak_bytes(void)
{
    uint64_t peak = number_after("/proc/self/status", "VmHWM"), all = number_after("/proc/self/status", "RssShmem");
    uint64_t own = all > 0 ? number_after("/proc/self/smaps_rollup", "Pss_Shmem") : 0;
    uint64_t of_others = own > 0 && own < all ? all - own : 0;
    return (peak > of_others ? peak - of_others : 0) * 1024;
}

/* proc(5): 5 resets the peak of the resident set. */
void mu_process_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f)
        return;
    fputs("5", f);
    fclose(f);
}

int mu_host_discover(struct mu_host *m, struct mu_err *e)
{
    hwloc_topology_t t;

    memset(m, 0, sizeof *m);
    cpu_model(m->cpu_model, sizeof m->cpu_model);
    memory(m);
    m->cores_allowed = mu_cores_allowed();
    if (hwloc_topology_init(&t) != 0)
        return mu_fail(e, MU_EIO, "hwloc cannot start");
    if (hwloc_topology_load(t) != 0) {
        hwloc_topology_destroy(t);
        return mu_fail(e, MU_EIO, "hwloc cannot read this machine's topology");
    }
    m->sockets = MU_MAX(1, hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PACKAGE));
    m->cores = MU_MAX(1, hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE));
    m->numa_nodes = MU_MAX(1, hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_NUMANODE));
    m->l2_bytes = cache_bytes(t, HWLOC_OBJ_L2CACHE);
    m->l3_bytes = cache_bytes(t, HWLOC_OBJ_L3CACHE);
    hwloc_topology_destroy(t);
    return MU_OK;
}
