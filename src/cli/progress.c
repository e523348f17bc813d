/* progress.c - how far long work is */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define QUIET_NS    2000000000ll  /* shorter work shows nothing */
#define TERMINAL_NS 200000000ll   /* between redraws */
#define LOG_NS      10000000000ll /* between lines of a log file */

static void amount(char *out, size_t n, double v, const char *unit)
{
    if (strcmp(unit, "B") != 0)
        snprintf(out, n, "%.0f %s", v, unit);
    else if (v < 1e9)
        snprintf(out, n, "%.0f MB", v * 1e-6);
    else
        snprintf(out, n, "%.2f GB", v * 1e-9);
}

void mu_progress_start(struct mu_progress *p, const char *what, const char *unit)
{
    *p = (struct mu_progress){.what = what, .unit = unit, .start_ns = mu_now_ns(mu_clock_real())};
    p->shown_ns = p->start_ns;
}

void mu_progress_update(struct mu_progress *p, uint64_t done, uint64_t total)
{
    int64_t now = mu_now_ns(mu_clock_real());
    bool on_terminal = isatty(STDERR_FILENO);
    if (now - p->start_ns < QUIET_NS || now - p->shown_ns < (on_terminal ? TERMINAL_NS : LOG_NS))
        return;
    char have[48], rate[48];
    double seconds = (double)(now - p->start_ns) * 1e-9;
    double per_s = (double)done / seconds;
    amount(have, sizeof have, (double)done, p->unit);
    amount(rate, sizeof rate, per_s, p->unit);
    fputs(on_terminal ? "\r\033[K" : "", stderr);
    if (total > 0 && per_s > 0)
        fprintf(stderr, "%s: %.0f%% (%s), %s/s, %.0f s left", p->what, 100.0 * (double)done / (double)total, have, rate,
                (double)(total - done) / per_s);
    else
        fprintf(stderr, "%s: %s, %s/s", p->what, have, rate);
    if (!on_terminal)
        fputc('\n', stderr);
    fflush(stderr);
    p->is_shown = on_terminal;
    p->shown_ns = now;
}

void mu_progress_end(struct mu_progress *p)
{
    if (p->is_shown)
        fprintf(stderr, "\r\033[K");
    p->is_shown = false;
}
