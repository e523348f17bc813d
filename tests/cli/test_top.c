/* test_top.c - `muster top` on a terminal: a pseudo-terminal here, and a small screen that does what it is told
 *
 * The screen knows the control sequences that cli/terminal.c sends and no others: one that it does not know fails the
 * test. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "campaign_rig.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "xt.h"

#define ROWS_MAX  70
#define COLS_MAX  310
#define RAW_BYTES (1 << 20)
#define WAIT_NS   20000000000ll

static struct rig r;

/* ---- a screen ---- */

static struct {
    int fd, cols, rows, row, col;
    bool is_other, has_no_cursor, wraps_not;
    int n_colours; /* switched on */
    char cell[ROWS_MAX][COLS_MAX][5];
    char raw[RAW_BYTES]; /* all that came */
    size_t n_raw, at;    /* at: shown up to here */
    char text[ROWS_MAX * COLS_MAX * 5];
} screen;

static void clear_line(int row)
{
    for (int c = 0; c < COLS_MAX; c++)
        strcpy(screen.cell[row][c], " ");
}

/* CSI with its parameters and last letter. */
static void obey(const char *parameters, char last)
{
    if (last == 'H') {
        XT_EQ(sscanf(parameters, "%d;%d", &screen.row, &screen.col), 2);
        screen.row--, screen.col--;
        screen.row = MU_MIN(MU_MAX(screen.row, 0), screen.rows - 1); /* drawn before it heard of a smaller size */
    } else if (last == 'K' && strcmp(parameters, "2") == 0) {
        clear_line(screen.row);
    } else if (last == 'J' && strcmp(parameters, "2") == 0) {
        for (int i = 0; i < ROWS_MAX; i++)
            clear_line(i);
    } else if (strcmp(parameters, "?1049") == 0) {
        screen.is_other = last == 'h';
    } else if (strcmp(parameters, "?25") == 0) {
        screen.has_no_cursor = last == 'l';
    } else if (strcmp(parameters, "?7") == 0) {
        screen.wraps_not = last == 'l';
    } else {
        XT_CHECKF(last == 'm', "the sequence ESC [ %s %c", parameters, last);
        screen.n_colours += strcmp(parameters, "0") != 0;
    }
}

/* One letter or sequence of raw[at..n_raw); false: it is not whole yet. */
static bool show_next(void)
{
    const char *p = screen.raw + screen.at;
    size_t n = screen.n_raw - screen.at, k = 2;
    uint32_t cp;
    if (n == 0)
        return false;
    if (*p == '\033') {
        char parameters[32] = "";
        while (k < n && (p[k] < 0x40 || p[k] > 0x7e))
            k++;
        if (k >= n)
            return false;
        XT_CHECK(p[1] == '[' && k - 2 < sizeof parameters);
        memcpy(parameters, p + 2, k - 2);
        obey(parameters, p[k]);
        screen.at += k + 1;
        return true;
    }
    int bytes = mu_utf8_decode(p, n, &cp);
    if (bytes == 0)
        return false;
    if (cp == '\n')
        screen.row++;
    if (cp == '\r')
        screen.col = 0;
    if (cp >= 32 && screen.row < ROWS_MAX && screen.col < COLS_MAX) {
        XT_CHECKF(screen.col < screen.cols || screen.wraps_not, "column %d of %d", screen.col, screen.cols);
        screen.col = MU_MIN(screen.col, screen.cols - 1); /* the same */
        snprintf(screen.cell[screen.row][screen.col++], 5, "%.*s", bytes, p);
    }
    screen.at += (size_t)bytes;
    return true;
}

static const char *shown(void)
{
    char *out = screen.text;
    for (int i = 0; i < screen.rows; i++) {
        for (int c = 0; c < screen.cols; c++)
            out = stpcpy(out, screen.cell[i][c]);
        *out++ = '\n';
    }
    *out = '\0';
    return screen.text;
}

/* Takes what comes within `ms`; false: the other end is closed. */
static bool take(int ms)
{
    struct pollfd in = {.fd = screen.fd, .events = POLLIN};
    if (poll(&in, 1, ms) <= 0)
        return true;
    ssize_t n = read(screen.fd, screen.raw + screen.n_raw, RAW_BYTES - screen.n_raw);
    if (n <= 0)
        return false;
    screen.n_raw += (size_t)n;
    while (show_next())
        continue;
    return true;
}

static void wait_for(const char *text, bool is_there)
{
    int64_t until = mu_now_ns(mu_clock_real()) + WAIT_NS;
    while ((strstr(shown(), text) != NULL) != is_there) {
        take(20);
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "the screen %s \"%s\":\n%s", is_there ? "lacks" : "keeps", text,
                  shown());
    }
}

static void press(const char *keys)
{
    XT_EQ(write(screen.fd, keys, strlen(keys)), strlen(keys));
}

static void resize(int cols, int rows)
{
    struct winsize w = {.ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows};
    screen.cols = cols;
    screen.rows = rows;
    XT_CHECK(ioctl(screen.fd, TIOCSWINSZ, &w) == 0);
}

/* ---- the program ---- */

static struct {
    bool once, json;
    double interval;
} args;

static int run_top(void)
{
    char *operands[] = {r.folder, NULL};
    struct mu_err err = MU_ERR_INIT;
    void *a = calloc(1, mu_cmd_top.args_size);
    int n = 0;
    bool helps;
    char interval[32], *argv[4];
    snprintf(interval, sizeof interval, "--interval=%g", args.interval > 0 ? args.interval : 0.2);
    argv[n++] = interval;
    if (args.once)
        argv[n++] = (char *)(uintptr_t) "--once";
    if (args.json)
        argv[n++] = (char *)(uintptr_t) "--json";
    mu_cmd_top.defaults(a);
    int operands_given;
    if (mu_opt_parse(&mu_cmd_top, a, n, argv, &operands_given, &helps, &err) != MU_OK)
        return 99;
    int rc = mu_cmd_top.run(a, 1, operands, &err);
    if (rc != MU_OK)
        fprintf(stderr, "top: %s\n", err.text);
    return mu_code_exit_status(rc);
}

static pid_t start(int cols, int rows, const char *term)
{
    struct winsize w = {.ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows};
    screen.cols = cols;
    screen.rows = rows;
    screen.n_raw = screen.at = 0;
    screen.row = screen.col = screen.n_colours = 0;
    screen.is_other = screen.has_no_cursor = screen.wraps_not = false;
    for (int i = 0; i < ROWS_MAX; i++)
        clear_line(i);
    fflush(NULL);
    pid_t child = forkpty(&screen.fd, NULL, NULL, &w);
    XT_CHECK(child >= 0);
    if (child > 0)
        return child;
    setenv("TERM", term, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    mu_interrupt_watch();
    _exit(run_top());
}

/* What waitpid says of its end, with all that it wrote on the screen. */
static int finish(pid_t child)
{
    int status = 0;
    int64_t until = mu_now_ns(mu_clock_real()) + WAIT_NS;
    while (take(20) && waitpid(child, &status, WNOHANG) == 0)
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "it does not end:\n%s", shown());
    waitpid(child, &status, 0);
    return status;
}

static void check_is_given_back(const struct termios *before)
{
    struct termios now;
    XT_CHECK(!screen.is_other && !screen.has_no_cursor && !screen.wraps_not);
    XT_CHECK(tcgetattr(screen.fd, &now) == 0);
    XT_CHECKF(now.c_lflag == before->c_lflag && now.c_iflag == before->c_iflag && now.c_oflag == before->c_oflag,
              "modes %x, not %x", now.c_lflag, before->c_lflag);
}

static struct termios modes(void)
{
    struct termios t;
    XT_CHECK(tcgetattr(screen.fd, &t) == 0);
    return t;
}

/* A campaign, and top on it: the modes of the terminal before are those a new one has. */
static pid_t begin(int n, int cols, int rows, struct termios *before)
{
    int main_end, other_end;
    XT_CHECK(openpty(&main_end, &other_end, NULL, NULL, NULL) == 0 && tcgetattr(main_end, before) == 0);
    close(main_end);
    close(other_end);
    rig_open(&r, xt_tmpdir(), n);
    memset(&args, 0, sizeof args);
    return start(cols, rows, "xterm");
}

static void end(void)
{
    close(screen.fd);
    rig_close(&r);
}

/* ---- tests ---- */

XT_TEST(it_shows_follows_and_quits)
{
    struct termios before;
    pid_t child = begin(20, 80, 24, &before);
    wait_for("0 of 20 tasks ended", true);
    XT_CHECK(screen.n_colours > 0);
    XT_CHECK(screen.is_other && screen.has_no_cursor && !(modes().c_lflag & (ICANON | ECHO)));
    rig_start(&r, 7);
    wait_for("a/0007", true);
    rig_finish(&r, 7);
    wait_for("1 of 20 tasks ended", true);
    wait_for("a/0007", false);
    press("q");
    XT_EQ(finish(child), 0);
    check_is_given_back(&before);
    end();
}

XT_TEST(a_campaign_that_ends_stays_on_the_screen)
{
    struct termios before;
    pid_t child = begin(2, 80, 24, &before);
    wait_for("0 of 2 tasks ended", true);
    for (int i = 0; i < 2; i++) {
        rig_start(&r, i);
        rig_finish(&r, i);
    }
    wait_for("2 of 2 tasks ended", true);
    wait_for("ended", true);
    rig_close(&r);
    wait_for("run by process", false);
    XT_EQ(waitpid(child, NULL, WNOHANG), 0);
    press("q");
    XT_EQ(finish(child), 0);
    close(screen.fd);
}

/* The clock at the right edge of the first line, and the keys in the last one: all of the new size is in use. */
static void wait_for_edges(bool has_keys)
{
    int64_t until = mu_now_ns(mu_clock_real()) + WAIT_NS;
    while (screen.cell[0][screen.cols - 1][0] == ' ' || (has_keys && screen.cell[screen.rows - 1][0][0] != 'q')) {
        take(20);
        XT_CHECKF(mu_now_ns(mu_clock_real()) < until, "%d by %d:\n%s", screen.cols, screen.rows, shown());
    }
}

XT_TEST(sizes_change_while_it_runs)
{
    static const int sizes[][2] = {{40, 20}, {300, 60}, {20, 4}, {60, 12}, {132, 50}};
    struct termios before;
    pid_t child = begin(300, 80, 24, &before);
    for (int i = 0; i < 40; i++)
        rig_start(&r, i);
    wait_for("running, 1 to", true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resize(sizes[i][0], sizes[i][1]);
        wait_for_edges(sizes[i][1] > 4);
    }
    press("q");
    XT_EQ(finish(child), 0);
    check_is_given_back(&before);
    end();
}

XT_TEST(keys_choose_what_is_shown)
{
    struct termios before;
    pid_t child = begin(100, 80, 24, &before);
    rig_start(&r, 3);
    rig_fail(&r, 3, MU_FAILURE_MEMORY, "a bill of 91 GB", true);
    wait_for("failed or skipped", true);
    press("l");
    wait_for("a/0003: out_of_memory", true);
    press("l");
    wait_for("to come, 1 to", true);
    press("j\033[B"); /* and the arrow */
    wait_for("to come, 3 to", true);
    press("k\033[A\033[A");
    wait_for("to come, 1 to", true);
    press("G");
    wait_for("of 99", true);
    wait_for("a/0099", true);
    press("g");
    wait_for("a/0099", false);
    press("?");
    wait_for("this page, and back", true);
    press("?");
    wait_for("this page, and back", false);
    press("s\033[99~xyz模\033");
    wait_for("sort: time ", true);
    press("q");
    XT_EQ(finish(child), 0);
    end();
}

XT_TEST(signals_give_the_terminal_back)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT};
    struct termios before;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        pid_t child = i == 0 ? begin(3, 80, 24, &before) : start(80, 24, "xterm");
        wait_for("0 of 3 tasks ended", true);
        kill(child, signals[i]);
        int status = finish(child);
        XT_CHECKF(i < 2 ? status == 0 : WIFSIGNALED(status) && WTERMSIG(status) == signals[i], "signal %d: status %x",
                  signals[i], status);
        check_is_given_back(&before);
        if (i + 1 < sizeof signals / sizeof *signals)
            close(screen.fd);
    }
    end();
}

XT_TEST(stopped_it_gives_the_terminal_back_until_it_goes_on)
{
    struct termios before;
    int status;
    pid_t child = begin(3, 80, 24, &before);
    wait_for("0 of 3 tasks ended", true);
    kill(child, SIGTSTP);
    XT_CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    take(20);
    check_is_given_back(&before);
    rig_start(&r, 1);
    kill(child, SIGCONT);
    wait_for("a/0001", true);
    XT_CHECK(screen.is_other && !(modes().c_lflag & ICANON));
    press("q");
    XT_EQ(finish(child), 0);
    check_is_given_back(&before);
    end();
}

XT_TEST(a_terminal_that_hangs_up_ends_it)
{
    struct termios before;
    pid_t child = begin(3, 80, 24, &before);
    int status;
    wait_for("0 of 3 tasks ended", true);
    close(screen.fd);
    XT_CHECK(waitpid(child, &status, 0) == child);
    XT_CHECKF(WIFSIGNALED(status) ? WTERMSIG(status) == SIGHUP : WEXITSTATUS(status) == mu_code_exit_status(MU_EIO),
              "status %x", status);
    rig_close(&r);
}

XT_TEST(a_dumb_terminal_gets_one_page_without_sequences)
{
    struct termios before;
    pid_t child = begin(3, 80, 24, &before);
    wait_for("0 of 3", true);
    press("q");
    XT_EQ(finish(child), 0);
    close(screen.fd);
    child = start(80, 24, "dumb");
    XT_EQ(finish(child), 0);
    screen.raw[screen.n_raw] = '\0';
    XT_CHECKF(strstr(screen.raw, "0 of 3 tasks ended") && !strchr(screen.raw, '\033'), "%s", screen.raw);
    end();
}

XT_TEST(no_color_means_none)
{
    struct termios before;
    setenv("NO_COLOR", "1", 1);
    pid_t child = begin(3, 80, 24, &before);
    wait_for("0 of 3 tasks ended", true);
    press("q");
    XT_EQ(finish(child), 0);
    unsetenv("NO_COLOR");
    XT_EQ(screen.n_colours, 0);
    end();
}

/* ---- without a terminal ---- */

/* All that top writes into a pipe; what happens meanwhile comes after its first line. */
static int read_piped(char *out, size_t bytes, void (*meanwhile)(void))
{
    int ends[2], status = 0;
    size_t n = 0;
    ssize_t got;
    XT_CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    XT_CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        mu_interrupt_watch();
        _exit(run_top());
    }
    close(ends[1]);
    while (n < bytes - 1 && (got = read(ends[0], out + n, bytes - 1 - n)) > 0) {
        n += (size_t)got;
        if (meanwhile && memchr(out, '\n', n)) {
            meanwhile();
            meanwhile = NULL;
        }
    }
    out[n] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

static char piped[1 << 20];

XT_TEST(a_pipe_gets_one_page)
{
    rig_open(&r, xt_tmpdir(), 3);
    rig_start(&r, 1);
    memset(&args, 0, sizeof args);
    setenv("COLUMNS", "60", 1);
    XT_EQ(read_piped(piped, sizeof piped, NULL), 0);
    unsetenv("COLUMNS");
    XT_CHECKF(strstr(piped, "a/0001") && !strchr(piped, '\033') && !strstr(piped, "q quit"), "%s", piped);
    rig_close(&r);
}

static void end_campaign(void)
{
    rig_start(&r, 0);
    rig_finish(&r, 0);
}

XT_TEST(json_comes_until_the_campaign_has_ended)
{
    struct mu_err err = MU_ERR_INIT;
    int n = 0, left = -1;
    rig_open(&r, xt_tmpdir(), 1);
    memset(&args, 0, sizeof args);
    args.json = true;
    args.interval = 0.1;
    XT_EQ(read_piped(piped, sizeof piped, end_campaign), 0);
    for (char *line = piped, *eol; (eol = strchr(line, '\n')); line = eol + 1, n++) {
        json_t *tree = NULL;
        XT_OK(mu_json_parse(&tree, (struct mu_str){line, (size_t)(eol - line)}, "a line", &err));
        left = (int)json_integer_value(json_object_get(tree, "left"));
        XT_CHECK(n > 0 || left == 1);
        json_decref(tree);
    }
    XT_CHECKF(n >= 2 && left == 0, "%d objects, %d left", n, left);
    args.once = true;
    XT_EQ(read_piped(piped, sizeof piped, NULL), 0);
    XT_CHECK(strchr(piped, '\n') == strrchr(piped, '\n'));
    rig_close(&r);
}

/* ---- keys ---- */

XT_TEST(keys_are_read_from_bytes)
{
    static const struct {
        const char *bytes;
        int key, used;
    } cases[] = {{"q", 'q', 1},
                 {"\033[A", MU_KEY_UP, 3},
                 {"\033OB", MU_KEY_DOWN, 3},
                 {"\033[5~x", MU_KEY_PAGE_UP, 4},
                 {"\033[6~", MU_KEY_PAGE_DOWN, 4},
                 {"\033[H", MU_KEY_HOME, 3},
                 {"\033[4~", MU_KEY_END, 4},
                 {"\033", MU_KEY_ESCAPE, 1},
                 {"\033[", MU_KEY_NONE, 0},
                 {"\033[1;5C", MU_KEY_NONE, 6},
                 {"é", 0xe9, 2},
                 {"\xC3", MU_KEY_NONE, 0},
                 {"\xFFz", MU_KEY_NONE, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int used = -1;
        int key = mu_key_parse((const unsigned char *)cases[i].bytes, (int)strlen(cases[i].bytes), &used);
        XT_CHECKF(key == cases[i].key && used == cases[i].used, "case %zu: key %d of %d bytes", i, key, used);
    }
}

XT_MAIN()
