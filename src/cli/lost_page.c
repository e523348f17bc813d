/* lost_page.c - see lost_page.h
 *
 * Packed models are read where they lie, so a page that their file no longer has is found by a load in the middle of a
 * product. Nothing can be returned from there. */
#include "cli/lost_page.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <muster/err.h>

static int status; /* looked up beforehand: a handler may do little */

static void on_lost_page(int sig)
{
    static const char sentence[] =
        "muster: a page of mapped memory cannot be had: the packed model was cut short or its disk failed while it was "
        "in use (or /dev/shm is full, where ranks share memory)\n";
    (void)sig;
    ssize_t told = write(STDERR_FILENO, sentence, sizeof sentence - 1);
    (void)told;
    _exit(status);
}

void mu_lost_page_watch(void)
{
    struct sigaction sa;
    status = mu_code_exit_status(MU_ECHANGED);
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_lost_page;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, NULL);
}
