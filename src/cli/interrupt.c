/* interrupt.c - signals that ask the program to stop */
#include "cli/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t asked;

static void on_signal(int sig)
{
    asked = 1;
    signal(sig, SIG_DFL);
}

/* A batch system's warning, which may come more than once. */
static void on_warning(int sig)
{
    (void)sig;
    asked = 1;
}

void mu_interrupt_watch(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_handler = on_warning;
    sigaction(SIGUSR1, &sa, NULL);
}

bool mu_interrupted(void)
{
    return asked;
}
