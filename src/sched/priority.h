/* priority.h - how urgent a task is: the five words of campaign files, queues and tables */
#ifndef MU_SCHED_PRIORITY_H
#define MU_SCHED_PRIORITY_H

/* The smaller, the sooner. */
enum mu_priority {
    MU_PRIORITY_CRITICAL,
    MU_PRIORITY_HIGH,
    MU_PRIORITY_NORMAL,
    MU_PRIORITY_LOW,
    MU_PRIORITY_BACKGROUND,
    MU_PRIORITY_N
};

const char *mu_priority_name(enum mu_priority p);
int mu_priority_find(const char *name); /* -1: no such word */

#endif
