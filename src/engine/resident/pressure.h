/* pressure.h - what the machine says about its memory: pressure stall information and what is left
 *
 * "full" is the share of time in which nothing got done for want of memory, in percent over the last 10 s
 * (Documentation/accounting/psi.rst). A control group's own file comes before the machine's. */
#ifndef MU_ENGINE_RESIDENT_PRESSURE_H
#define MU_ENGINE_RESIDENT_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>

#define MU_PRESSURE_FULL_MAX 5.0                 /* percent: more is trouble */
#define MU_PRESSURE_LEFT_MIN ((size_t)512 << 20) /* bytes: less is trouble */

struct mu_pressure {
    bool has_stalls;
    double full_avg10;
    size_t left; /* bytes that may still be taken; 0: unknown */
};

/* The text of a memory.pressure file; false when it is none. */
bool mu_pressure_parse(const char *text, double *full_avg10);
void mu_pressure_read(struct mu_pressure *out);

/* Pure: bytes to give up now, 0 for none; with stalls alone a byte, which is one model. */
size_t mu_pressure_wants(const struct mu_pressure *p);

#endif
