/* step_message.h - what the driver of a replica tells the ranks of one lane
 *
 * A fixed head and a payload of 32-bit numbers, in the machine's byte order: ranks run one binary on one kind of
 * machine. Of the page table only what changed since the last message travels, so the steps of a running text are a few
 * hundred bytes. Sizes are bounded by the limits of the engine; neither side allocates.
 *
 * Reading checks every number against the limits: a message that passes leads no rank outside its tables. */
#ifndef MU_ENGINE_STEP_MESSAGE_H
#define MU_ENGINE_STEP_MESSAGE_H

#include "plan/layout.h"

enum mu_step_kind {
    MU_STEP_ROWS = 1,
    MU_STEP_LOGITS,
    MU_STEP_COPY,
    MU_STEP_FIGURES,
    MU_STEP_END,
    MU_STEP_KEEP,
    MU_STEP_EXPERTS
};

struct mu_step_head {
    uint32_t magic, kind;
    uint64_t number;                  /* of the message, from 1 */
    int32_t n;                        /* ROWS, LOGITS: rows; KEEP: pages */
    int32_t n_seqs, n_pages, n_micro; /* ROWS */
    int32_t dst, src;                 /* COPY: pages */
};

/* A sequence of the rows that follow: its declared length, and pages [first, first + n) of its table. */
struct mu_step_seq {
    int32_t seq, length, first, n;
};

/* Of one lane. */
struct mu_step_limits {
    int rows_max, logit_rows_max, seqs_max;
    int pages_max; /* of a sequence */
    int64_t pages_n, context_max;
};

size_t mu_step_bytes_max(const struct mu_step_limits *l);

/* Into p, of mu_step_bytes_max(); returns the bytes used. */
size_t mu_step_write(void *p, enum mu_step_kind kind, uint64_t number);
size_t mu_step_write_copy(void *p, uint64_t number, int32_t dst, int32_t src);
size_t mu_step_write_keep(void *p, uint64_t number, int32_t n_pages);
size_t mu_step_write_logits(void *p, uint64_t number, const int32_t *idx, int n);

/* Rows of the lane whose first sequence is seq_begin; rows and lengths count sequences over all lanes, the message
 * inside the lane. sent [seqs_max, pages_max]: what the lane's ranks have, brought up to date; -1 before the first. */
size_t mu_step_write_rows(void *p, const struct mu_step_limits *l, uint64_t number, int n_micro, const int32_t *ids,
                          const struct mu_rows *rows, const int32_t *lengths, int seq_begin, int32_t *sent);

/* Pointers lead into the message. */
struct mu_step_view {
    struct mu_step_head head;
    const int32_t *ids, *pos, *seq; /* [n] of ROWS */
    const struct mu_step_seq *seqs; /* [n_seqs] */
    const int32_t *pages;           /* [n_pages] of all seqs, one after another */
    const int32_t *idx;             /* [n] of LOGITS */
};

/* p is aligned to 8 bytes. MU_EFORMAT says what is wrong. */
int mu_step_read(struct mu_step_view *out, const void *p, size_t bytes, const struct mu_step_limits *l,
                 struct mu_err *e);

/* ROWS: the changed pages into table [seqs_max, pages_max], the lengths into lengths [seqs_max]. */
void mu_step_apply(const struct mu_step_view *v, const struct mu_step_limits *l, int32_t *table, int32_t *lengths);

#endif
