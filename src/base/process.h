/* process.h - other processes of this machine, as /proc tells of them */
#ifndef MU_BASE_PROCESS_H
#define MU_BASE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* When it was started, in the system's own ticks (proc(5), field 22 of stat): with the pid it names a process once a
 * boot. -1: there is no such process, or a zombie, whose work is over; 0: /proc does not tell. */
int64_t mu_process_start(int64_t pid);

/* The first line of a small file, without its end; "" where it cannot be read. */
void mu_proc_line(const char *path, char *out, size_t bytes);

#endif
