/* memory_limit.c - /proc/meminfo and the control group's memory.max */
#include "base/memory_limit.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static uint64_t machine_available(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f)
        return UINT64_MAX;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    }
    fclose(f);
    return kib ? (uint64_t)kib * 1024 : UINT64_MAX;
}

/* A file with one number; UINT64_MAX for "max" or when it cannot be read. */
static uint64_t read_number(const char *folder, const char *name)
{
    char path[1200];
    unsigned long long v;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return UINT64_MAX;
    int got = fscanf(f, "%llu", &v);
    fclose(f);
    return got == 1 ? v : UINT64_MAX;
}

static uint64_t group_left(const char *folder)
{
    uint64_t max = read_number(folder, "memory.max"), used = read_number(folder, "memory.current");
    if (max == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    return max > used ? max - used : 0;
}

/* The group's own limit and those of all groups it lies in. */
static uint64_t groups_available(void)
{
    char line[1100] = "", *folder = NULL;
    uint64_t left = group_left("");
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return left;
    while (!folder && fgets(line, sizeof line, f))
        folder = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
    fclose(f);
    if (!folder)
        return left;
    folder[strcspn(folder, "\n")] = 0;
    while (folder[0]) {
        uint64_t here = group_left(folder);
        left = MU_MIN(left, here);
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return left;
}

size_t mu_memory_available(bool *is_group)
{
    uint64_t machine = machine_available(), groups = groups_available();
    uint64_t left = MU_MIN(machine, groups);
    if (is_group)
        *is_group = groups < machine;
    return left == UINT64_MAX ? 0 : (size_t)left;
}
