/* interrupt.h - Ctrl-C, SIGTERM and SIGUSR1 as a question that long work asks: finish the step, say where it stands,
 * clean up
 *
 * The second Ctrl-C or SIGTERM ends the process at once. SIGUSR1 is a batch system's warning (docs/slurm.md). */
#ifndef MU_CLI_INTERRUPT_H
#define MU_CLI_INTERRUPT_H

#include <stdbool.h>

void mu_interrupt_watch(void); /* called by main once */
bool mu_interrupted(void);

/* The same from within, of any thread. why: lives on, reads behind "stopped by". */
void mu_interrupt_ask(const char *why);
const char *mu_interrupt_cause(void); /* "a signal", or why */

#endif
