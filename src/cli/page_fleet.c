/* page_fleet.c - worker groups and devices on a campaign's page (campaign_page.h) */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/campaign_page.h"
#include "cli/terminal_table.h"
#include "plan/bill.h"

/* ---- workers ---- */

enum { W_NUMBER, W_STATE, W_DEVICES, W_NODE, W_MODEL, W_COLS };

static const struct mu_column worker_columns[W_COLS] = {
    [W_NUMBER] = {"worker", 8, false, 0}, [W_STATE] = {"state", 8, false, 0}, [W_DEVICES] = {"devices", 9, false, 44},
    [W_NODE] = {"node", 14, false, 64},   [W_MODEL] = {"model", 0, false, 0},
};

/* Who ran it has ended, and so has what it said. */
static bool is_past(const struct mu_view *v)
{
    return mu_view_is_over(v) || v->life == MU_LIFE_NOBODY || v->life == MU_LIFE_GONE;
}

static int wants_workers(const struct mu_view *v, const struct mu_page_choice *c)
{
    (void)c;
    return v->now.n_workers > 0 && !is_past(v) ? v->now.n_workers + 1 : 0;
}

static void draw_workers(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines)
{
    char number[24];
    (void)c;
    mu_table_titles(p, worker_columns, W_COLS);
    for (int i = 0; i < MU_MIN(lines - 1, v->now.n_workers); i++) {
        const struct mu_now_worker *w = &v->now.workers[i];
        bool is_plain = strcmp(w->state, "running") == 0 || strcmp(w->state, "idle") == 0;
        snprintf(number, sizeof number, "%" PRId64, w->worker);
        const struct mu_cell cell[W_COLS] = {
            [W_NUMBER] = {.text = number},
            [W_STATE] = {.text = w->state, .tone = is_plain ? MU_TONE_PLAIN : MU_TONE_WARN},
            [W_DEVICES] = {.text = w->devices},
            [W_NODE] = {.text = w->node},
            [W_MODEL] = {.text = w->model},
        };
        mu_table_row(p, worker_columns, cell, W_COLS);
    }
}

const struct mu_page_part mu_part_workers = {wants_workers, draw_workers};

/* ---- devices ---- */

enum { D_NUMBER, D_STATE, D_TASKS, D_BAR, D_MEMORY, D_NODE, D_COLS };

static const struct mu_column device_columns[D_COLS] = {
    [D_NUMBER] = {"device", 6, false, 0}, [D_STATE] = {"state", 5, false, 0},     [D_TASKS] = {"tasks", 5, true, 0},
    [D_BAR] = {"memory", 12, false, 62},  [D_MEMORY] = {"in use", 22, false, 48}, [D_NODE] = {"node", 0, false, 0},
};

static int wants_devices(const struct mu_view *v, const struct mu_page_choice *c)
{
    (void)c;
    return v->now.n_devices > 0 && !is_past(v) ? v->now.n_devices + 1 : 0;
}

static void draw_device(struct mu_page *p, const struct mu_now_device *d)
{
    char number[24], tasks[24], used[24], all[24], memory[64];
    double used_bytes = MU_MAX(d->memory - d->free, 0);
    snprintf(number, sizeof number, "%" PRId64, d->device);
    snprintf(tasks, sizeof tasks, "%" PRId64, d->tasks);
    snprintf(memory, sizeof memory, "%s of %s", mu_bytes_text(used, (size_t)used_bytes),
             mu_bytes_text(all, (size_t)d->memory));
    const struct mu_cell cell[D_COLS] = {
        [D_NUMBER] = {.text = number},
        [D_STATE] = {.text = !d->is_healthy ? "out"
                             : d->is_lent   ? "lent"
                                            : "good",
                     .tone = d->is_healthy ? MU_TONE_PLAIN : MU_TONE_BAD},
        [D_TASKS] = {.text = tasks},
        [D_BAR] = {.share = d->memory > 0 ? used_bytes / d->memory : 0},
        [D_MEMORY] = {.text = d->memory > 0 ? memory : ""},
        [D_NODE] = {.text = d->node},
    };
    mu_table_row(p, device_columns, cell, D_COLS);
}

/* Those that are out come first: they may be all there is room for. */
static void draw_devices(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines)
{
    (void)c;
    int left = lines - 1;
    mu_table_titles(p, device_columns, D_COLS);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < v->now.n_devices && left > 0; i++)
            if (v->now.devices[i].is_healthy == (pass == 1)) {
                draw_device(p, &v->now.devices[i]);
                left--;
            }
}

const struct mu_page_part mu_part_devices = {wants_devices, draw_devices};
