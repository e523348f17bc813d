/* terminal.c - see terminal.h */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/utf8.h"
#include "cli/interrupt.h"
#include "cli/terminal_page.h"

/* xterm's control sequences, ctlseqs.txt: another screen, no cursor, no wrapping at the right edge; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

#define SHOWN_BYTES ((size_t)64 << 20)
#define WRITE_MS    10000 /* a terminal that takes nothing for so long is gone */
#define KEYS_BYTES  64
#define ROWS_MAX    1000

static const int ending[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGFPE, SIGILL};
static const int waking[] = {SIGWINCH, SIGTSTP, SIGCONT};
static const int asking[] = {SIGINT, SIGTERM, SIGUSR1};

static struct {
    volatile sig_atomic_t is_open, is_resized, is_to_stop, is_continued;
    bool is_away; /* the screen was somebody else's since it was last drawn */
    bool is_gone; /* the terminal itself: there will be no more keys */
    struct termios before;
    sigset_t mask_before;
    struct sigaction ending_before[MU_COUNT(ending)], waking_before[MU_COUNT(waking)];
    struct mu_buf shown; /* the page as it stands there; empty: not known */
    unsigned char keys[KEYS_BYTES];
    int n_keys;
} term = {.shown = MU_BUF_INIT("the screen", SHOWN_BYTES)};

/* ---- signals ---- */

/* Who is in the background leaves the terminal alone: it is the shell's. */
static bool is_in_front(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Only calls that a handler may make. */
static void restore(void)
{
    if (!is_in_front())
        return;
    ssize_t told = write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
    (void)told;
    tcsetattr(STDIN_FILENO, TCSANOW, &term.before);
}

static void on_ending(int sig)
{
    if (term.is_open)
        restore();
    term.is_open = 0;
    for (size_t i = 0; i < MU_COUNT(ending); i++)
        if (ending[i] == sig)
            sigaction(sig, &term.ending_before[i], NULL);
    raise(sig);
}

static void on_waking(int sig)
{
    if (sig == SIGTSTP)
        term.is_to_stop = 1;
    else if (sig == SIGCONT)
        term.is_continued = 1;
    else
        term.is_resized = 1;
}

static void take_signals(const int *sig, int n, void (*handler)(int), struct sigaction *before)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = handler;
    sigemptyset(&sa.sa_mask);
    for (int i = 0; i < n; i++) {
        sigaction(sig[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(sig[i], &sa, NULL);
    }
}

/* Those that end a wait come in waits only: none is lost between a look and the wait after it. */
static void hold_signals(void)
{
    sigset_t held;
    sigemptyset(&held);
    for (size_t i = 0; i < MU_COUNT(waking); i++)
        sigaddset(&held, waking[i]);
    for (size_t i = 0; i < MU_COUNT(asking); i++)
        sigaddset(&held, asking[i]);
    sigprocmask(SIG_BLOCK, &held, &term.mask_before);
}

/* ---- opening ---- */

bool mu_terminal_is_there(void)
{
    const char *name = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && name && *name && strcmp(name, "dumb") != 0;
}

/* Keys at once and unseen; Ctrl-C and Ctrl-Z stay signals. */
static int enter(struct mu_err *e)
{
    struct termios raw = term.before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
        return mu_fail_errno(e, errno, "set", "the terminal");
    mu_buf_clear(&term.shown);
    term.is_away = false;
    ssize_t told = write(STDOUT_FILENO, ENTER, sizeof ENTER - 1);
    return told == sizeof ENTER - 1 ? MU_OK : mu_fail(e, MU_EIO, "cannot write to the terminal");
}

int mu_terminal_open(struct mu_err *e)
{
    fflush(stdout);
    if (tcgetattr(STDIN_FILENO, &term.before) != 0)
        return mu_fail_errno(e, errno, "ask", "the terminal");
    term.is_resized = term.is_to_stop = term.is_continued = 0;
    term.is_gone = false;
    term.n_keys = 0;
    hold_signals();
    take_signals(ending, MU_COUNT(ending), on_ending, term.ending_before);
    take_signals(waking, MU_COUNT(waking), on_waking, term.waking_before);
    term.is_open = 1;
    int rc = enter(e);
    if (rc != MU_OK)
        mu_terminal_close();
    return rc;
}

void mu_terminal_close(void)
{
    if (!term.is_open)
        return;
    restore();
    term.is_open = 0;
    for (size_t i = 0; i < MU_COUNT(ending); i++)
        sigaction(ending[i], &term.ending_before[i], NULL);
    for (size_t i = 0; i < MU_COUNT(waking); i++)
        sigaction(waking[i], &term.waking_before[i], NULL);
    sigprocmask(SIG_SETMASK, &term.mask_before, NULL);
    mu_buf_fini(&term.shown);
}

/* ---- showing ---- */

static int number_of(const char *name, int dflt)
{
    const char *v = getenv(name);
    int n = v ? atoi(v) : 0;
    return n > 0 ? n : dflt;
}

void mu_terminal_size(int *cols, int *rows)
{
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0)
        w = (struct winsize){0};
    *cols = w.ws_col > 0 ? w.ws_col : number_of("COLUMNS", 80);
    *rows = w.ws_row > 0 ? w.ws_row : number_of("LINES", 24);
    *cols = MU_MIN(MU_MAX(*cols, MU_TERMINAL_COLS_MIN), MU_PAGE_COLS_MAX);
    *rows = MU_MIN(MU_MAX(*rows, MU_TERMINAL_ROWS_MIN), ROWS_MAX);
}

static int write_all(const char *p, size_t n, struct mu_err *e)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, p, n);
        struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN && poll(&ready, 1, WRITE_MS) > 0)
            continue;
        if (done < 0 && errno != EINTR)
            return mu_fail_errno(e, errno, "write to", "the terminal");
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return MU_OK;
}

/* The next line of *p, without its end; at the end of the page it is empty. */
static struct mu_str next_line(const char **p)
{
    size_t n = strcspn(*p, "\n");
    struct mu_str line = {*p, n};
    *p += n + ((*p)[n] == '\n');
    return line;
}

static int add_difference(struct mu_buf *out, const char *old, const char *now, int rows, struct mu_err *e)
{
    bool is_known = *old;
    if (!is_known)
        MU_TRY_RETURN(mu_buf_puts(out, "\033[2J", e));
    for (int row = 1; row <= rows && (*old || *now); row++) {
        struct mu_str was = next_line(&old), is = next_line(&now);
        if (is_known && mu_str_eq(was, is))
            continue;
        MU_TRY_RETURN(mu_buf_printf(out, e, "\033[%d;1H\033[2K" MU_STR_FMT, row, MU_STR_ARG(is)));
    }
    return MU_OK;
}

int mu_terminal_show(const char *page, struct mu_err *e)
{
    struct mu_buf out = MU_BUF_INIT("the screen", SHOWN_BYTES);
    int cols, rows, rc = MU_OK;
    if (term.is_gone)
        return mu_fail(e, MU_EIO, "the terminal has hung up");
    mu_terminal_size(&cols, &rows);
    term.is_away |= !is_in_front();
    if (!is_in_front())
        return MU_OK;
    if (term.is_away)
        MU_TRY(enter(e));
    MU_TRY(add_difference(&out, mu_buf_str(&term.shown).p, page, rows, e));
    mu_buf_clear(&term.shown);
    MU_TRY(mu_buf_puts(&term.shown, page, e));
    MU_TRY(write_all(mu_buf_str(&out).p, out.n, e));
out:
    mu_buf_fini(&out);
    return rc;
}

/* ---- keys ---- */

/* ESC [ or ESC O, digits, a last letter: ECMA-48, as terminals send it. */
static int parse_sequence(const unsigned char *p, int n, int *used)
{
    static const struct {
        const char *rest;
        int key;
    } known[] = {{"A", MU_KEY_UP},   {"B", MU_KEY_DOWN}, {"5~", MU_KEY_PAGE_UP}, {"6~", MU_KEY_PAGE_DOWN},
                 {"H", MU_KEY_HOME}, {"F", MU_KEY_END},  {"1~", MU_KEY_HOME},    {"4~", MU_KEY_END}};
    int end = 2;
    while (end < n && (p[end] < 0x40 || p[end] > 0x7e))
        end++;
    *used = end < n ? end + 1 : 0;
    for (size_t i = 0; i < MU_COUNT(known) && *used > 0; i++)
        if ((size_t)*used == 2 + strlen(known[i].rest) && memcmp(p + 2, known[i].rest, (size_t)*used - 2) == 0)
            return known[i].key;
    return MU_KEY_NONE;
}

int mu_key_parse(const unsigned char *p, int n, int *used)
{
    uint32_t cp = 0;
    if (p[0] == MU_KEY_ESCAPE && n > 1 && (p[1] == '[' || p[1] == 'O'))
        return parse_sequence(p, n, used);
    *used = 1;
    if (p[0] < 0x80)
        return p[0];
    int length = mu_utf8_decode((const char *)p, (size_t)n, &cp);
    if (length == 0 && n < 4 && mu_utf8_is_incomplete((const char *)p, (size_t)n))
        *used = 0;
    if (length > 0)
        *used = length;
    return length > 0 ? (int)cp : MU_KEY_NONE;
}

/* NONE: there is no whole one yet. */
static int take_key(void)
{
    int used = 1, key = MU_KEY_NONE;
    while (key == MU_KEY_NONE && term.n_keys > 0 && used > 0) {
        key = mu_key_parse(term.keys, term.n_keys, &used);
        if (used == 0 && term.n_keys == KEYS_BYTES)
            used = KEYS_BYTES; /* no key is that long */
        term.n_keys -= used;
        memmove(term.keys, term.keys + used, (size_t)term.n_keys);
    }
    return key;
}

/* Gives the screen back while the program is stopped. */
static void stop_here(void)
{
    restore();
    kill(getpid(), SIGSTOP);
}

static int wake(void)
{
    if (term.is_to_stop)
        stop_here();
    if (term.is_resized)
        mu_buf_clear(&term.shown);
    term.is_away |= term.is_to_stop || term.is_continued;
    term.is_resized = term.is_to_stop = term.is_continued = 0;
    return MU_KEY_REDRAW;
}

static void read_keys(void)
{
    ssize_t n = read(STDIN_FILENO, term.keys + term.n_keys, (size_t)(KEYS_BYTES - term.n_keys));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        term.is_gone = true;
    term.n_keys += n > 0 ? (int)n : 0;
}

int mu_terminal_key(int64_t wait_ns)
{
    struct pollfd in = {.fd = is_in_front() ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec t = {wait_ns / 1000000000, wait_ns % 1000000000};
    int key = take_key();
    if (key != MU_KEY_NONE)
        return key;
    if (ppoll(&in, 1, &t, &term.mask_before) > 0)
        read_keys();
    if (term.is_gone)
        return MU_KEY_REDRAW;
    return term.is_to_stop || term.is_continued || term.is_resized ? wake() : take_key();
}
