/* terminal.h - the terminal as a page that is drawn anew, and the keys that are pressed
 *
 * Plain ANSI escape sequences and termios, no curses: the few that are used here work on every terminal of today, need
 * no terminfo entry (which compute nodes often lack for the terminal somebody sits at) and no locale. The shell's
 * screen and modes are as they were after close, after SIGTSTP, and after a signal that ends the program. One at a
 * time; not thread-safe. */
#ifndef MU_CLI_TERMINAL_H
#define MU_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include <muster/err.h>

#define MU_TERMINAL_COLS_MIN 20
#define MU_TERMINAL_ROWS_MIN 4

/* Other keys are their Unicode character. */
enum mu_key {
    MU_KEY_NONE = 0,
    MU_KEY_ESCAPE = 27,
    MU_KEY_UP = 0x200000,
    MU_KEY_DOWN,
    MU_KEY_PAGE_UP,
    MU_KEY_PAGE_DOWN,
    MU_KEY_HOME,
    MU_KEY_END,
    MU_KEY_REDRAW, /* none: the size has changed, the program was stopped and goes on, the terminal has hung up */
};

/* Standard input and output are one, and TERM is not "dumb". */
bool mu_terminal_is_there(void);

int mu_terminal_open(struct mu_err *e);
void mu_terminal_close(void); /* closed twice is fine */

void mu_terminal_size(int *cols, int *rows);

/* Lines ended by newlines; those beyond the last row are dropped. Writes only what differs from what is shown. MU_EIO:
 * the terminal is gone. */
int mu_terminal_show(const char *page, struct mu_err *e);

/* The next key, waited for at most wait_ns. MU_KEY_NONE: none, or a signal came that asks the program to end. Only here
 * are such signals let in. */
int mu_terminal_key(int64_t wait_ns);

/* The key that p[0..n) begins with, n > 0; *used: its bytes. 0 bytes: it is not whole yet. For tests. */
int mu_key_parse(const unsigned char *p, int n, int *used);

#endif
