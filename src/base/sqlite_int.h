/* sqlite_int.h - what the files of base/sqlite share */
#ifndef MU_BASE_SQLITE_INT_H
#define MU_BASE_SQLITE_INT_H

/* sqlite_heap.c: SQLite's heap is ours from the first call on. */
void mu_sqlite_init(void);

#endif
