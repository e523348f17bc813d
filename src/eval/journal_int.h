/* journal_int.h - what the journal's files share */
#ifndef MU_EVAL_JOURNAL_INT_H
#define MU_EVAL_JOURNAL_INT_H

#include "eval/journal.h"

/* ---- journal_lock.c: one writer at a time, told by "<path>.lock" ---- */

struct mu_journal_lock {
    int fd; /* -1: not held */
};

/* MU_EPEER naming process and host of the one who holds it. The lock goes with the process, however it ends; the file
 * stays. */
int mu_journal_lock_take(struct mu_journal_lock *l, const char *path, struct mu_err *e);
void mu_journal_lock_drop(struct mu_journal_lock *l);

#endif
