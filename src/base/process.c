/* process.c - see process.h */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void mu_proc_line(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, bytes - 1) : 0;
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

int64_t mu_process_start(int64_t pid)
{
    char path[64], stat[1024], state;
    long long start = 0;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    mu_proc_line(path, stat, sizeof stat);
    if (!stat[0])
        return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? -1 : 0;
    const char *end = strrchr(stat, ')'); /* the name may hold anything */
    if (!end || sscanf(end + 1, " %c", &state) != 1)
        return 0;
    if (state == 'Z' || state == 'X')
        return -1;
    const char *at = end + 1; /* the blank before field 3 */
    for (int field = 3; field < 22 && at; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%lld", &start) == 1 ? start : 0;
}
