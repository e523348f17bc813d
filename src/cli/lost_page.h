/* lost_page.h - a mapped file that was cut short while in use: one sentence in place of a bare signal */
#ifndef MU_CLI_LOST_PAGE_H
#define MU_CLI_LOST_PAGE_H

/* From now on a page that cannot be had ends the program with a sentence and MU_ECHANGED's status. The library cannot
 * do this: signals are the program's. */
void mu_lost_page_watch(void);

#endif
