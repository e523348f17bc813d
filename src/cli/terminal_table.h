/* terminal_table.h - rows of cells under titles, on a page of any width */
#ifndef MU_CLI_TERMINAL_TABLE_H
#define MU_CLI_TERMINAL_TABLE_H

#include "cli/terminal_page.h"

struct mu_column {
    const char *title;
    int width; /* 0: the rest of the line; one column of a table, at most */
    bool is_right;
    int from; /* columns the page must have, or this one is left out */
};

struct mu_cell {
    const char *text; /* NULL: a bar */
    double share;     /* of the bar */
    enum mu_tone tone;
};

/* What a line of `cols` columns leaves for the column without a width. */
int mu_table_rest(const struct mu_column *c, int n, int cols);

/* One line each. */
void mu_table_titles(struct mu_page *p, const struct mu_column *c, int n);
void mu_table_row(struct mu_page *p, const struct mu_column *c, const struct mu_cell *cells, int n);

#endif
