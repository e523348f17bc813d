/* interrupt.c - signals that ask the program to stop */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static atomic_bool asked;
static _Atomic(const char *) cause;

static void on_signal(int sig)
{
    atomic_store(&asked, true);
    signal(sig, SIG_DFL);
}

/* A batch system's warning, which may come more than once. */
static void on_warning(int sig)
{
    (void)sig;
    atomic_store(&asked, true);
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
    return atomic_load(&asked);
}

void mu_interrupt_ask(const char *why)
{
    if (!mu_interrupted())
        atomic_store(&cause, why);
    atomic_store(&asked, true);
}

const char *mu_interrupt_cause(void)
{
    const char *why = atomic_load(&cause);
    return why ? why : "a signal";
}
