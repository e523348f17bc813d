/* pressure.c - see pressure.h */
#include "engine/resident/pressure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory_limit.h"

#define TEXT_BYTES_MAX 512

bool mu_pressure_parse(const char *text, double *full_avg10)
{
    static const char key[] = "full avg10=";
    const char *at = strstr(text, key);
    char *end;
    if (!at || (at != text && at[-1] != '\n'))
        return false;
    double v = strtod(at + sizeof key - 1, &end);
    if (end == at + sizeof key - 1 || !(v >= 0 && v <= 100))
        return false;
    *full_avg10 = v;
    return true;
}

static bool read_file(const char *path, double *full_avg10)
{
    char text[TEXT_BYTES_MAX];
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return mu_pressure_parse(text, full_avg10);
}

/* The file of the group this process is in (v2). */
static bool read_group(double *full_avg10)
{
    char line[1024], path[1200];
    bool is_there = false;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return false;
    while (!is_there && fgets(line, sizeof line, f))
        is_there = strncmp(line, "0::", 3) == 0;
    fclose(f);
    if (!is_there)
        return false;
    line[strcspn(line, "\n")] = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.pressure", line + 3);
    return read_file(path, full_avg10);
}

void mu_pressure_read(struct mu_pressure *out)
{
    *out = (struct mu_pressure){.left = mu_memory_available(NULL)};
    out->has_stalls = read_group(&out->full_avg10) || read_file("/proc/pressure/memory", &out->full_avg10);
}

size_t mu_pressure_wants(const struct mu_pressure *p)
{
    size_t wanted = p->has_stalls && p->full_avg10 > MU_PRESSURE_FULL_MAX;
    if (p->left > 0 && p->left < MU_PRESSURE_LEFT_MIN)
        wanted = MU_MAX(wanted, MU_PRESSURE_LEFT_MIN - p->left);
    return wanted;
}
