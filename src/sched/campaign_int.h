/* campaign_int.h - between the files that read a campaign
 *
 * campaign_read.c reads files and their sections, campaign_include.c what they include, campaign_fields.c mappings by a
 * table of their keys, campaign_value.c single values, campaign_options.c knows the options of models and suites,
 * matrix.c makes tasks, campaign_pattern.c finds those that a pattern names, campaign_settings.c settles their policies
 * and what they wait for, campaign_order.c puts them in order, campaign_check.c holds them against the world. */
#ifndef MU_SCHED_CAMPAIGN_INT_H
#define MU_SCHED_CAMPAIGN_INT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/yaml.h"
#include "sched/campaign.h"

/* An item of a list of a file, not looked into yet. */
struct mu_campaign_item {
    const json_t *v;
    struct mu_campaign_place at;
};

struct mu_campaign_items {
    struct mu_campaign_item *item;
    size_t n, cap;
};

/* Indices by name: open addressing, at most half full. */
struct mu_campaign_table {
    const char *(*name)(const struct mu_campaign *c, int32_t index);
    struct mu_campaign_slot {
        uint64_t hash;
        int32_t index_1; /* index + 1; 0: free */
    } * slot;
    size_t n_slots, n; /* a power of two */
};

/* Growing arrays of numbers. */
struct mu_campaign_list {
    int32_t *p;
    size_t n, cap;
};

/* The models of all tasks, or their suites: who has which tasks, and which of them a pattern names. */
struct mu_campaign_side {
    int n;                       /* models */
    int32_t *next;               /* [n] the next variation of the same base; -1 */
    int32_t *task, *at;          /* tasks of model i, increasing: task[at[i]] to task[at[i + 1]] */
    bool *is_hit;                /* [n] */
    struct mu_campaign_list hit; /* those that are */
};

struct mu_campaign_reader {
    struct mu_campaign *c;
    struct mu_campaign_faults *faults;
    struct mu_yaml *yaml[MU_CAMPAIGN_FILES_MAX]; /* of c->file */
    char *real[MU_CAMPAIGN_FILES_MAX];           /* their paths without links; owned */
    int up[MU_CAMPAIGN_FILES_MAX];               /* the file that includes it; -1 */
    bool is_open[MU_CAMPAIGN_FILES_MAX];         /* it is being read, or what it includes is */
    struct mu_campaign_items models, suites, matrix, settings;
    struct mu_campaign_table by_model, by_suite, by_set;
    struct mu_campaign_side model_side, suite_side;
    struct mu_campaign_list hits; /* what the last pattern named */
    size_t cap_models, cap_suites, cap_tasks, cap_sets, n_members;
    int64_t n_looks; /* of patterns at names and tasks */
    struct mu_err *e;
};

/* A mapping of a file, and what it is called in sentences ("" at the top). */
struct mu_campaign_node {
    struct mu_campaign_place at;
    const json_t *o;
    const char *what;
    bool is_made; /* here, out of something shorter: its keys have no lines, at is all that is known */
};

/* ---- files (campaign_include.c) ---- */

/* The file, and before it what it includes, to read(): each once. `up`: the file that asks, -1 for the first, whose
 * text may be given (p not NULL) in place of a file. What is wrong with a file that is included is a fault of the one
 * that does. */
int mu_campaign_include(struct mu_campaign_reader *r, const char *path, struct mu_str text, int up, int depth,
                        struct mu_campaign_place at,
                        int (*read)(struct mu_campaign_reader *r, const struct mu_campaign_node *n));

/* ---- faults (campaign_fault.c) ---- */

void mu_campaign_fault(const struct mu_campaign *c, struct mu_campaign_faults *f, struct mu_campaign_place at,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Whether one more would be kept: what only a sentence needs is not worked out otherwise. */
static inline bool mu_campaign_wants_fault(const struct mu_campaign_faults *f)
{
    return f->n < MU_CAMPAIGN_FAULTS_MAX;
}

/* "; did you mean \"x\"?" or "", for the end of a sentence. */
struct mu_campaign_hint {
    char text[160];
};
struct mu_campaign_hint mu_campaign_hint(const char *const *names, const char *name);
struct mu_campaign_hint mu_campaign_hint_model(const struct mu_campaign *c, const char *name);
struct mu_campaign_hint mu_campaign_hint_suite(const struct mu_campaign *c, const char *name);

/* MU_OK without faults, else their first sentence. */
int mu_campaign_faults_result(const struct mu_campaign_faults *f, int code, struct mu_err *e);

/* ---- mappings by a table (campaign_fields.c) ---- */

enum mu_campaign_kind {
    MU_CAMPAIGN_TEXT,      /* const char * */
    MU_CAMPAIGN_CHOICE,    /* const char *: one of choices */
    MU_CAMPAIGN_INT,       /* int64_t in lo..hi */
    MU_CAMPAIGN_AUTO_INT,  /* the same; "auto" is 0 */
    MU_CAMPAIGN_INT32,     /* int in lo..hi */
    MU_CAMPAIGN_REAL,      /* double in lo..hi */
    MU_CAMPAIGN_BOOL,      /* bool */
    MU_CAMPAIGN_SIZE,      /* uint64_t bytes */
    MU_CAMPAIGN_SECONDS,   /* double in lo..hi */
    MU_CAMPAIGN_LAYOUT,    /* const char *; NULL: auto */
    MU_CAMPAIGN_ENGINE,    /* const char *: one of choices; NULL: auto */
    MU_CAMPAIGN_TEXTS,     /* const char *: a text or a list of texts, joined by commas */
    MU_CAMPAIGN_SEED,      /* one whole number or a list of three or four: kept as JSON only, as those that follow */
    MU_CAMPAIGN_OBJECT,    /* a mapping or a text */
    MU_CAMPAIGN_FLAG_TEXT, /* true, false or a text */
    MU_CAMPAIGN_PRIORITY,  /* enum mu_priority */
    MU_CAMPAIGN_AFTER,     /* enum mu_queue_after */
    MU_CAMPAIGN_DEADLINE,  /* struct mu_campaign_policy as a whole */
    MU_CAMPAIGN_SHRINK,    /* unsigned */
    MU_CAMPAIGN_STRATEGY,  /* const char * */
    MU_CAMPAIGN_ACTION,    /* enum mu_action_kind */
    MU_CAMPAIGN_PART,      /* a mapping of its own */
    MU_CAMPAIGN_ELSEWHERE  /* known, read by somebody else */
};

#define MU_CAMPAIGN_NOWHERE SIZE_MAX

struct mu_campaign_row {
    const char *name; /* NULL ends a table */
    enum mu_campaign_kind kind;
    size_t offset; /* in the struct that is filled; MU_CAMPAIGN_NOWHERE: only checked */
    double lo, hi;
    const char *choices;                /* "a|b" */
    const struct mu_campaign_row *part; /* PART: its keys; offsets in the same struct */
    bool decides;                       /* results depend on it */
    bool varies;                        /* a matrix may have several */
};

/* Which fields an item of settings sets: rows whose values are copied to tasks. */
struct mu_campaign_set_rows {
    const struct mu_campaign_row *row[64];
    int n;
};

const struct mu_campaign_row *mu_campaign_row_find(const struct mu_campaign_row *rows, const char *name);

/* The place of a key of a mapping, or of an item of a list. */
struct mu_campaign_place mu_campaign_key_place(const struct mu_campaign_reader *r, const struct mu_campaign_node *n,
                                               const char *key);
struct mu_campaign_place mu_campaign_item_place(const struct mu_campaign_reader *r, const json_t *list, size_t i,
                                                struct mu_campaign_place list_at);

/* Every key by its row; unknown ones and bad values become faults and leave the field alone. null is as if absent.
 * Fails only for want of memory. `set` may be NULL. */
int mu_campaign_fields(struct mu_campaign_reader *r, const struct mu_campaign_node *n,
                       const struct mu_campaign_row *rows, void *base, struct mu_campaign_set_rows *set);

/* One value, to base + offset (base NULL: checked only). MU_EFORMAT: why, as "must be ...". */
int mu_campaign_store(struct mu_campaign_reader *r, const struct mu_campaign_row *row, const json_t *v, void *base,
                      struct mu_err *why);

/* Copy what a row describes from one struct to another. */
void mu_campaign_copy(const struct mu_campaign_row *row, void *to, const void *from);

/* ---- values (campaign_value.c) ---- */

bool mu_campaign_size_parse(const char *text, uint64_t *bytes); /* "80GB", "512MiB", "1e9" */
bool mu_campaign_date_parse(const char *text, int64_t *unix_s); /* "2026-12-01T08:00:00Z", with a zone */

/* "3 h 20 min", "45 s"; "2026-12-01 08:00:00 UTC". */
struct mu_campaign_words {
    char text[48];
};
struct mu_campaign_words mu_campaign_seconds_text(double s);
struct mu_campaign_words mu_campaign_date_text(int64_t unix_s);
struct mu_campaign_words mu_campaign_bytes_text(double bytes);

/* ---- options of models and suites (campaign_options.c) ---- */

extern const struct mu_campaign_row mu_campaign_model_rows[];
extern const struct mu_campaign_row mu_campaign_suite_rows[];
extern const struct mu_campaign_row mu_campaign_policy_rows[];

bool mu_campaign_is_name(const char *s); /* letters, digits and . _ + : @ - behind a letter or digit */

int mu_campaign_read_models(struct mu_campaign_reader *r); /* items to c->model */
int mu_campaign_read_suites(struct mu_campaign_reader *r);

/* A model of the file with other values for some options, found again or made. params: rows with their values, sorted
 * by name. *index is -1 after a fault. */
struct mu_campaign_param {
    const struct mu_campaign_row *row;
    const json_t *v;
    const char *text; /* as it stands in names */
};
int mu_campaign_vary_model(struct mu_campaign_reader *r, int base, const struct mu_campaign_param *p, int n,
                           struct mu_campaign_place at, int *index);
int mu_campaign_vary_suite(struct mu_campaign_reader *r, int base, const struct mu_campaign_param *p, int n,
                           struct mu_campaign_place at, int *index);

/* ---- tasks (matrix.c) ---- */

int mu_campaign_make_tasks(struct mu_campaign_reader *r);

/* ---- patterns (campaign_pattern.c) ---- */

/* A text or a list of texts. MU_OK with *n 0 after a fault. *list is the arena's. */
int mu_campaign_texts(struct mu_campaign_reader *r, const struct mu_campaign_node *n, const char *key,
                      const char *const **list, int *n_list);

/* Whether a part of a pattern names `name`, a variation of `base`: a part without a comma is held against the base, one
 * that ends in a comma names what stands before it, without variations. */
bool mu_campaign_part_matches(const char *part, const char *name, const char *base);

/* That many names or tasks are held against patterns next: MU_ELIMIT where that is too much work in all. */
int mu_campaign_look(struct mu_campaign_reader *r, int64_t n);

/* "MODEL/SUITE" cut in two; false: it has no slash or two. "*" is both. */
struct mu_campaign_parts {
    char model[MU_CAMPAIGN_NAME_MAX + 2], suite[MU_CAMPAIGN_NAME_MAX + 2];
};
bool mu_campaign_parts(const char *pattern, struct mu_campaign_parts *out);

/* Tasks by model and by suite, once the list is whole. */
int mu_campaign_index_tasks(struct mu_campaign_reader *r);

/* The tasks a pattern names, increasing, in r->hits. A pattern that names none is a fault at `at`. */
int mu_campaign_match(struct mu_campaign_reader *r, const char *pattern, struct mu_campaign_place at);

/* ---- policies and waits (campaign_settings.c), order (campaign_order.c) ---- */

int mu_campaign_settle(struct mu_campaign_reader *r);
int mu_campaign_order(struct mu_campaign *c, struct mu_campaign_faults *faults, struct mu_err *e);

/* What the file says twice of a task must agree: devices, ranks and layout. */
int mu_campaign_agree(const struct mu_campaign *c, struct mu_campaign_faults *faults, struct mu_err *e);

/* Faults of the world, added; fails for want of memory only (campaign_check.c). */
int mu_campaign_hold(const struct mu_campaign *c, const struct mu_campaign_world *w, struct mu_campaign_faults *faults,
                     struct mu_err *e);

/* ---- tables and lists (campaign_table.c) ---- */

int mu_campaign_list_add(struct mu_campaign_list *l, int32_t v, size_t max, const char *what, struct mu_err *e);
int mu_campaign_grow(void *array, size_t *cap, size_t n, size_t size, size_t max, const char *what, struct mu_err *e);

int mu_campaign_table_find(const struct mu_campaign_table *t, const struct mu_campaign *c,
                           const char *name); /* or -1 */
int mu_campaign_table_add(struct mu_campaign_table *t, const char *name, int32_t index, struct mu_err *e);

#endif
