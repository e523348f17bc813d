/* interrupt.h - Ctrl-C and SIGTERM as a question that long work asks: finish the step, say where it stands, clean up
 *
 * The second signal ends the process at once. */
#ifndef MU_CLI_INTERRUPT_H
#define MU_CLI_INTERRUPT_H

#include <stdbool.h>

void mu_interrupt_watch(void); /* called by main once */
bool mu_interrupted(void);

#endif
