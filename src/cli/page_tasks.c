/* page_tasks.c - queue and tasks on a campaign's page (campaign_page.h) */
#include <stdio.h>

#include "base/check.h"
#include "cli/campaign_page.h"
#include "cli/terminal_table.h"
#include "sched/worker_line.h"

#define SILENT_S   (5e-9 * MU_WORKER_BEAT_NS) /* after that many beats left out a worker is worth a word */
#define TEXT_BYTES 400
#define NAME_STEP  16 /* columns by which that of names grows, so that others seldom move */

const char *mu_page_list_name(int list)
{
    static const char *const names[MU_LISTS] = {"running", "failed", "to come", "all"};
    return list >= 0 && list < MU_LISTS ? names[list] : "?";
}

const char *mu_view_order_name(int order)
{
    static const char *const names[MU_ORDERS] = {"time left", "time", "name"};
    return order >= 0 && order < MU_ORDERS ? names[order] : "?";
}

/* ---- the queue ---- */

#define BIT(state) (1u << (state))
#define QUEUE_COLS 8

static const struct mu_column wide_queue[QUEUE_COLS] = {
    {"priority", 10, false, 0}, {"waiting", 7, true, 0}, {"ready", 7, true, 0},   {"running", 7, true, 0},
    {"finished", 8, true, 0},   {"failed", 6, true, 0},  {"skipped", 7, true, 0}, {"cancelled", 9, true, 0},
};
static const unsigned wide_states[QUEUE_COLS] = {0,
                                                 BIT(MU_TASK_WAITING),
                                                 BIT(MU_TASK_READY) | BIT(MU_TASK_LEASED),
                                                 BIT(MU_TASK_RUNNING),
                                                 BIT(MU_TASK_FINISHED),
                                                 BIT(MU_TASK_FAILED),
                                                 BIT(MU_TASK_SKIPPED),
                                                 BIT(MU_TASK_CANCELLED)};
#define WIDE_QUEUE 75 /* columns that it needs */

static const struct mu_column narrow_queue[] = {{"priority", 10, false, 0},
                                                {"to come", 7, true, 0},
                                                {"runs", 5, true, 0},
                                                {"done", 6, true, 0},
                                                {"bad", 4, true, 0}};
static const unsigned narrow_states[] = {0, BIT(MU_TASK_WAITING) | BIT(MU_TASK_READY) | BIT(MU_TASK_LEASED),
                                         BIT(MU_TASK_RUNNING), BIT(MU_TASK_FINISHED),
                                         BIT(MU_TASK_FAILED) | BIT(MU_TASK_SKIPPED) | BIT(MU_TASK_CANCELLED)};

static int count_in(const int32_t *by_state, unsigned states)
{
    int n = 0;
    for (int s = 0; s < MU_TASK_STATES; s++)
        n += states & BIT(s) ? by_state[s] : 0;
    return n;
}

static int wants_queue(const struct mu_view *v, const struct mu_page_choice *c)
{
    int n = 0;
    (void)c;
    for (int i = 0; i < MU_PRIORITY_N; i++)
        n += count_in(v->counts.by_priority[i], ~0u) > 0;
    return n > 0 ? n + 1 : 0;
}

static void draw_queue(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines)
{
    bool is_wide = p->cols >= WIDE_QUEUE;
    const struct mu_column *columns = is_wide ? wide_queue : narrow_queue;
    const unsigned *states = is_wide ? wide_states : narrow_states;
    int n = is_wide ? QUEUE_COLS : (int)MU_COUNT(narrow_queue);
    char text[QUEUE_COLS][16];
    struct mu_cell cell[QUEUE_COLS] = {{0}};
    (void)c;
    mu_table_titles(p, columns, n);
    for (int i = 0, left = lines - 1; i < MU_PRIORITY_N && left > 0; i++) {
        if (count_in(v->counts.by_priority[i], ~0u) == 0)
            continue;
        cell[0].text = mu_priority_name((enum mu_priority)i);
        for (int k = 1; k < n; k++) {
            int tasks = count_in(v->counts.by_priority[i], states[k]);
            snprintf(text[k], sizeof text[k], "%d", tasks);
            cell[k] =
                (struct mu_cell){.text = tasks > 0 ? text[k] : ".", .tone = tasks > 0 ? MU_TONE_PLAIN : MU_TONE_FAINT};
        }
        mu_table_row(p, columns, cell, n);
        left--;
    }
}

const struct mu_page_part mu_part_queue = {wants_queue, draw_queue};

/* ---- what the lists share ---- */

/* Over the names: what is listed, and how much of it is here. */
static const char *list_title(char text[64], const struct mu_page_choice *c, int lines, int size)
{
    const char *name = mu_page_list_name((int)c->list);
    if (lines < size)
        snprintf(text, 64, "%s, %d to %d of %d", name, c->first + 1, c->first + lines, size);
    else
        snprintf(text, 64, "%s, %d", name, size);
    return text;
}

/* ---- running tasks ---- */

enum { R_NAME, R_DEVICES, R_NODE, R_BAR, R_SHARE, R_RATE, R_TIME, R_LEFT, R_COLS };

static const struct mu_column run_columns[R_COLS] = {
    [R_NAME] = {"running", 0, false, 0}, [R_DEVICES] = {"devices", 9, false, 92},
    [R_NODE] = {"node", 14, false, 112}, [R_BAR] = {"progress", 12, false, 62},
    [R_SHARE] = {"", 4, true, 0},        [R_RATE] = {"rate", 8, true, 72},
    [R_TIME] = {"time", 7, true, 52},    [R_LEFT] = {"left", 7, true, 0},
};

static const char *rate_text(char out[16], double per_s)
{
    if (per_s <= 0)
        return "";
    snprintf(out, 16, per_s < 10 ? "%.2f/s" : per_s < 1000 ? "%.1f/s" : "%.0f/s", per_s);
    return out;
}

static void draw_run(struct mu_page *p, const struct mu_column *columns, const struct mu_view_run *r)
{
    char share[16] = "", rate[16], span[MU_SPAN_TEXT_BYTES], left[MU_SPAN_TEXT_BYTES];
    bool is_silent = r->silent_s > SILENT_S;
    double part = r->total > 0 ? r->done / r->total : 0;
    if (r->total > 0)
        snprintf(share, sizeof share, "%d%%", (int)(MU_MIN(part, 1) * 100));
    struct mu_cell cell[R_COLS] = {
        [R_NAME] = {.text = r->name},
        [R_DEVICES] = {.text = r->devices},
        [R_NODE] = {.text = r->node},
        [R_BAR] = {.share = part},
        [R_SHARE] = {.text = share},
        [R_RATE] = {.text = rate_text(rate, r->per_s)},
        [R_TIME] = {.text = mu_span_text(span, r->seconds)},
        [R_LEFT] = {.text = mu_span_text(left, r->left_s)},
    };
    if (is_silent)
        cell[R_LEFT] = (struct mu_cell){.text = "silent", .tone = MU_TONE_WARN};
    mu_table_row(p, columns, cell, R_COLS);
}

/* On a wide page names take what they need, and no more. */
static int name_width(const struct mu_view *v, int room)
{
    int longest = NAME_STEP;
    for (int i = 0; i < v->n_runs && longest < room; i++)
        longest = MU_MAX(longest, mu_text_width(v->runs[i].name));
    return MU_MIN((longest / NAME_STEP + 1) * NAME_STEP, room);
}

static void draw_runs(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int n)
{
    struct mu_column columns[R_COLS];
    char title[64];
    for (int i = 0; i < R_COLS; i++)
        columns[i] = run_columns[i];
    columns[R_NAME].title = list_title(title, c, n, v->n_runs);
    columns[R_NAME].width = name_width(v, mu_table_rest(columns, R_COLS, p->cols));
    mu_table_titles(p, columns, R_COLS);
    for (int i = c->first; i < MU_MIN(c->first + n, v->n_runs); i++)
        draw_run(p, columns, &v->runs[i]);
}

/* ---- other lists ---- */

enum { T_STATE, T_PRIORITY, T_TRIES, T_LAST, T_NAME, T_COLS };

static const struct mu_column task_columns[T_COLS] = {
    [T_STATE] = {"state", 9, false, 0}, [T_PRIORITY] = {"priority", 10, false, 64}, [T_TRIES] = {"tries", 5, true, 52},
    [T_LAST] = {"last", 7, true, 44},   [T_NAME] = {"task", 0, false, 0},
};

static const unsigned list_states[MU_LISTS] = {
    [MU_LIST_RUNNING] = BIT(MU_TASK_RUNNING),
    [MU_LIST_FAILED] = BIT(MU_TASK_FAILED) | BIT(MU_TASK_SKIPPED) | BIT(MU_TASK_CANCELLED),
    [MU_LIST_TO_COME] = BIT(MU_TASK_WAITING) | BIT(MU_TASK_READY) | BIT(MU_TASK_LEASED),
    [MU_LIST_ALL] = ~0u,
};

int mu_page_list_size(const struct mu_view *v, enum mu_page_list list)
{
    return list == MU_LIST_RUNNING ? v->n_runs : count_in(v->counts.by_state, list_states[list]);
}

static void draw_task(struct mu_page *p, const struct mu_view *v, const struct mu_state_task *t)
{
    char tries[16], last[MU_SPAN_TEXT_BYTES], name[TEXT_BYTES];
    bool is_bad = t->failure != MU_FAILURE_NONE && t->state != MU_TASK_FINISHED;
    snprintf(tries, sizeof tries, "%d", t->attempts);
    snprintf(name, sizeof name, "%s%s%s", mu_state_name(&v->state, t->name), is_bad ? ": " : "",
             is_bad ? mu_failure_name(t->failure) : "");
    const struct mu_cell cell[T_COLS] = {
        [T_STATE] = {.text = mu_task_state_name(t->state),
                     .tone = t->state == MU_TASK_FAILED ? MU_TONE_BAD : MU_TONE_PLAIN},
        [T_PRIORITY] = {.text = mu_priority_name((enum mu_priority)t->priority)},
        [T_TRIES] = {.text = tries},
        [T_LAST] = {.text = t->last_attempt < 0 ? "-" : mu_span_text(last, mu_view_last_s(v, t))},
        [T_NAME] = {.text = name},
    };
    mu_table_row(p, task_columns, cell, T_COLS);
}

static void draw_list(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int n)
{
    const struct mu_state *s = &v->state;
    int before = c->first;
    struct mu_column columns[T_COLS];
    char title[64];
    for (int i = 0; i < T_COLS; i++)
        columns[i] = task_columns[i];
    columns[T_NAME].title = list_title(title, c, n, mu_page_list_size(v, c->list));
    mu_table_titles(p, columns, T_COLS);
    for (int32_t i = 0; i < s->n_tasks && n > 0; i++) {
        if (!(list_states[c->list] & BIT(s->tasks[i].state)) || before-- > 0)
            continue;
        draw_task(p, v, &s->tasks[i]);
        n--;
    }
}

static int wants_tasks(const struct mu_view *v, const struct mu_page_choice *c)
{
    int n = mu_page_list_size(v, c->list);
    return n > 0 || c->list != MU_LIST_RUNNING ? n + 1 : 0;
}

static void draw_tasks(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines)
{
    if (c->list == MU_LIST_RUNNING)
        draw_runs(p, v, c, lines - 1);
    else
        draw_list(p, v, c, lines - 1);
}

const struct mu_page_part mu_part_tasks = {wants_tasks, draw_tasks};
