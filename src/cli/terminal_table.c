/* terminal_table.c - see terminal_table.h */
#include "cli/terminal_table.h"

#include "base/check.h"

#define GAP      2 /* blanks between columns */
#define REST_MIN 8

int mu_table_rest(const struct mu_column *c, int n, int cols)
{
    int used = -GAP;
    for (int i = 0; i < n; i++)
        used += cols >= c[i].from ? c[i].width + GAP : 0;
    return MU_MAX(cols - used, REST_MIN);
}

static void put(struct mu_page *p, const struct mu_column *c, const struct mu_cell *cell, int width)
{
    if (p->at > 0)
        mu_page_to(p, p->at + GAP);
    if (cell->text)
        mu_page_cell(p, cell->tone, cell->text, width, c->is_right);
    else
        mu_page_bar(p, cell->share, width);
}

void mu_table_row(struct mu_page *p, const struct mu_column *c, const struct mu_cell *cells, int n)
{
    int rest = mu_table_rest(c, n, p->cols);
    for (int i = 0; i < n; i++)
        if (p->cols >= c[i].from)
            put(p, &c[i], &cells[i], c[i].width > 0 ? c[i].width : rest);
    mu_page_end(p);
}

void mu_table_titles(struct mu_page *p, const struct mu_column *c, int n)
{
    int rest = mu_table_rest(c, n, p->cols);
    for (int i = 0; i < n; i++) {
        const struct mu_cell title = {.text = c[i].title, .tone = MU_TONE_TITLE};
        if (p->cols >= c[i].from)
            put(p, &c[i], &title, c[i].width > 0 ? c[i].width : rest);
    }
    mu_page_end(p);
}
