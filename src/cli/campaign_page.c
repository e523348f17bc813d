/* campaign_page.c - the page as a whole: who gets how many lines (campaign_page.h) */
#include "cli/campaign_page.h"

#include "base/check.h"

#define NARROW 70  /* columns below which the line of keys is short */
#define WIDE   108 /* from which on it says where to pause */

enum part { TASKS, QUEUE, EVENTS, DEVICES, WORKERS, PARTS };

/* In the order in which they get lines. */
static const struct {
    const struct mu_page_part *part;
    int least; /* lines, the title's too, or it is not there; of the first: as many of them as there is room for */
    int step;  /* lines it gets in a round */
} share[PARTS] = {
    [TASKS] = {&mu_part_tasks, 6, 2},     [QUEUE] = {&mu_part_queue, 6, 1},     [EVENTS] = {&mu_part_events, 3, 1},
    [DEVICES] = {&mu_part_devices, 3, 1}, [WORKERS] = {&mu_part_workers, 3, 1},
};
static const enum part order[PARTS] = {QUEUE, TASKS, WORKERS, DEVICES, EVENTS}; /* on the page */

/* Each with a blank line before it. First the least that makes sense, then in turn until all have what they want. */
static void share_out(int lines[PARTS], const int want[PARTS], int room)
{
    for (int i = 0; i < PARTS; i++) {
        int least = MU_MIN(share[i].least, want[i]);
        if (i == TASKS)
            least = MU_MAX(MU_MIN(least, room - 1), 0);
        lines[i] = room > least ? least : 0;
        room -= lines[i] > 0 ? lines[i] + 1 : 0;
    }
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (int i = 0; i < PARTS; i++) {
            int more = lines[i] > 0 ? MU_MIN(MU_MIN(share[i].step, want[i] - lines[i]), room) : 0;
            lines[i] += more;
            room -= more;
            has_grown |= more > 0;
        }
    }
}

static void draw_parts(struct mu_page *p, const struct mu_view *v, struct mu_page_choice *c)
{
    int want[PARTS], lines[PARTS], size = mu_page_list_size(v, c->list);
    for (int i = 0; i < PARTS; i++)
        lines[i] = want[i] = share[i].part->wants(v, c);
    if (c->rows > 0)
        share_out(lines, want, c->rows - 1 - p->lines);
    c->page = MU_MAX(lines[TASKS] - 1, 1);
    c->first = MU_MAX(MU_MIN(c->first, size - c->page), 0);
    for (int i = 0; i < PARTS; i++) {
        if (lines[order[i]] == 0)
            continue;
        mu_page_end(p);
        share[order[i]].part->draw(p, v, c, lines[order[i]]);
    }
}

static void draw_help(struct mu_page *p)
{
    static const char *const lines[] = {
        "q          quit",
        "j, down    scroll down; space, page down: by a page; G, end: to the end",
        "k, up      scroll up; b, page up: by a page; g, home: to the beginning",
        "l          list: running tasks, failed ones, those to come, all",
        "s          sort running tasks: by time left, by time at work, by name",
        "?          this page, and back",
        "",
        "left       of a task: what is not done by its own rate; of the whole: by the last finishes",
        "silent     its worker has said nothing for a while",
        "",
        "Nothing here changes the campaign. `muster control` pauses, resumes and cancels it.",
    };
    mu_page_end(p);
    for (size_t i = 0; i < MU_COUNT(lines); i++) {
        mu_page_put(p, MU_TONE_PLAIN, lines[i]);
        mu_page_end(p);
    }
}

static void draw_keys(struct mu_page *p, const struct mu_page_choice *c)
{
    while (p->lines < c->rows - 1)
        mu_page_end(p);
    if (p->cols < NARROW)
        mu_page_put(p, MU_TONE_FAINT, "q quit  j k scroll  l list  ? help");
    else
        mu_page_printf(p, MU_TONE_FAINT, "q quit   j k scroll   l list: %s   s sort: %s   ? help",
                       mu_page_list_name((int)c->list), mu_view_order_name((int)c->order));
    if (p->cols >= WIDE)
        mu_page_put(p, MU_TONE_FAINT, "   pause, cancel: muster control");
    mu_page_end(p);
}

void mu_campaign_page(struct mu_page *p, const struct mu_view *v, struct mu_page_choice *c)
{
    mu_campaign_head(p, v, c);
    if (c->has_help)
        draw_help(p);
    else
        draw_parts(p, v, c);
    if (c->rows > 0)
        draw_keys(p, c);
}
