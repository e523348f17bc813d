/* fake_launcher.h - a launcher whose workers live as a script says, by a clock that it moves itself */
#ifndef TESTS_SCHED_FAKE_LAUNCHER_H
#define TESTS_SCHED_FAKE_LAUNCHER_H

#include "base/clock.h"
#include "sched/launcher.h"

#define FAKE_WORKERS   16
#define FAKE_NODES     8
#define FAKE_DOCUMENTS 64

/* How the next attempts of a task end: a status that its worker says; FAKE_DIES + s: the worker ends with status s;
 * FAKE_SILENT: it says nothing more; FAKE_NODE: its node goes down; FAKE_STUBBORN: it does not listen. The last one
 * goes for all after it. Of tasks without a script all end well after a second. */
#define FAKE_DIES     1000
#define FAKE_SILENT   2000
#define FAKE_NODE     2001
#define FAKE_STUBBORN 2002
#define FAKE_REFUSED  2003 /* there was no place for it */

struct fake_script {
    const char *task;
    int status[8];
    double seconds;
};

/* A task of documents, which its workers answer all at once after the script's seconds, as their options say: the part
 * that is asked for, less what is skipped and what had its answer. A worker that has a deadly one to answer ends so. */
struct fake_documents {
    const char *task;
    int n;
    int deadly[4], n_deadly;
    int pair[2];          /* that kill when they meet; both 0: none */
    int death;            /* status, as of a script */
    int kills;            /* workers that die of nothing, the first ones that compute */
    bool answers_others;  /* before it dies */
    const char *bad_node; /* all that computes there dies; NULL: none */
    bool answered[FAKE_DOCUMENTS];
    char parts[1024]; /* as they were asked for, "all" without one; blanks between */
    char skip[512];   /* as it was said last */
};

struct fake_worker {
    struct fake_documents *documents; /* NULL: of another task */
    int first, last;                  /* of them */
    char skip[512];
    bool has_begun;
    int done;
    int64_t number, ends_ns, beat_ns; /* ends_ns INT64_MAX: nothing to do */
    int64_t task;                     /* -1: none */
    int status;
    bool is_dying, is_loaded;
    int64_t from_ns; /* when its task's requests began */
    double load_s;   /* of its task, */
    char node[64];
};

struct fake_launcher {
    struct mu_launcher l; /* first */
    struct mu_clock clock;
    const struct fake_script *script;
    int n_scripts;
    struct fake_documents *documents; /* n_documents of them */
    int n_documents;
    struct fake_worker worker[FAKE_WORKERS];
    int n, most;      /* at a time */
    int64_t started;  /* workers, */
    int tasks;        /* and tasks given to them */
    double rate;      /* requests a second of a task; 0: signs of life tell nothing of use */
    double load_s;    /* that a worker's first task takes longer */
    double seconds;   /* of tasks without a script; 0: one */
    const char *says; /* each that ends badly; NULL: a sentence */
    char order[2048]; /* tasks as they were given, blanks between */
    int tries[16];    /* of a script's task */
    char down[FAKE_NODES][64];
    int n_down;
    int64_t back_ns; /* when nodes come back; 0: never */
    char last_config[512];
    char last_order[512]; /* "n0:1 n1:2 " and the worker's words */
};

void fake_launcher_init(struct fake_launcher *f, const struct fake_script *script, int n_scripts);

#endif
