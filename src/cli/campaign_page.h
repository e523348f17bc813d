/* campaign_page.h - a campaign as a page for people: what `muster top` shows, and `muster status` in short
 *
 * Pure: a view in, lines out. Parts that do not fit are left out or shortened, the least useful first; any size from
 * 20 columns on will do. */
#ifndef MU_CLI_CAMPAIGN_PAGE_H
#define MU_CLI_CAMPAIGN_PAGE_H

#include "cli/campaign_view.h"
#include "cli/terminal_page.h"

enum mu_page_list { MU_LIST_RUNNING, MU_LIST_FAILED, MU_LIST_TO_COME, MU_LIST_ALL, MU_LISTS };

struct mu_page_choice {
    const char *folder;  /* the campaign's, as it was given */
    const char *trouble; /* why the page is not new; NULL or "" */
    int rows;            /* of the terminal; 0: no end, and no line of keys */
    enum mu_page_list list;
    enum mu_view_order order; /* of running tasks; the view is in it already */
    int first;                /* task of the list that is on top; lowered to what there is */
    int page;                 /* out: tasks that are shown at once */
    bool has_help;            /* in place of all */
};

void mu_campaign_page(struct mu_page *p, const struct mu_view *v, struct mu_page_choice *c);

/* ---- its parts; each ends its last line ---- */

/* Name, state and progress, then how it stands: up to 8 lines. */
void mu_campaign_head(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c);
/* Rate, budget, replicas, failures, owner: up to 5 lines. */
void mu_campaign_standing(struct mu_page *p, const struct mu_view *v);

/* A part has a title line of columns and a line for each thing. */
struct mu_page_part {
    int (*wants)(const struct mu_view *v, const struct mu_page_choice *c); /* lines; 0: there is nothing to show */
    /* `lines` of them, from 1 to what it wants. */
    void (*draw)(struct mu_page *p, const struct mu_view *v, const struct mu_page_choice *c, int lines);
};

extern const struct mu_page_part mu_part_queue, mu_part_tasks, mu_part_workers, mu_part_devices, mu_part_events;

int mu_page_list_size(const struct mu_view *v, enum mu_page_list list); /* tasks in it */
const char *mu_page_list_name(int list);
const char *mu_view_order_name(int order);

#endif
