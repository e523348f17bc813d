/* journal.h - finished requests, durable before they are reported
 *
 * One SQLite file in WAL mode. A request is known by a 256-bit key over everything that decides its answer: the hash of
 * the weights' content, the tokenizer's, the numeric configuration, the kind of request, its token ids and parameters;
 * never names, paths, batch or layout. Same key, same answer: a second run of a finished task reads it from here.
 * One writer at a time; a second process on the same file is refused with the pid and host of the first. */
#ifndef MU_EVAL_JOURNAL_H
#define MU_EVAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_journal;

struct mu_key {
    uint8_t b[32]; /* sha256 */
};

enum mu_journal_mode {
    MU_JOURNAL_RESUME, /* use what is there (default) */
    MU_JOURNAL_FRESH   /* forget what is there first; asked for by name */
};

/* Creates the file when there is none. MU_EFORMAT: not a journal of ours, or damaged (the sentence says how to go on
 * without losing the rest); MU_EPEER: in use by another process. */
int mu_journal_open(struct mu_journal **out, const char *path, enum mu_journal_mode mode, struct mu_err *e);
void mu_journal_close(struct mu_journal *j); /* commits; NULL is fine */

/* *answer: a new reference, NULL when the key is not there. */
int mu_journal_get(struct mu_journal *j, const struct mu_key *key, json_t **answer, struct mu_err *e);

/* Puts gather in one transaction; after commit returns they survive kill -9 and power loss. */
int mu_journal_put(struct mu_journal *j, const struct mu_key *key, const json_t *answer, struct mu_err *e);
int mu_journal_commit(struct mu_journal *j, struct mu_err *e);

/* Small facts about the runs of this folder ("model", "sessions", ...), for clear refusals and the audit block. */
int mu_journal_note(struct mu_journal *j, const char *name, const json_t *value, struct mu_err *e);
int mu_journal_noted(struct mu_journal *j, const char *name, json_t **value, struct mu_err *e); /* NULL: absent */

struct mu_journal_counts {
    int64_t n_answers; /* in the file */
    int64_t n_hits, n_puts, n_commits;
};
void mu_journal_counts(const struct mu_journal *j, struct mu_journal_counts *out);

/* The key of a request: feed parts in order. */
struct mu_key_maker {
    void *state;
};
int mu_key_begin(struct mu_key_maker *k, struct mu_err *e);
void mu_key_bytes(struct mu_key_maker *k, const void *p, size_t n); /* length is part of the key */
void mu_key_text(struct mu_key_maker *k, const char *s);
void mu_key_end(struct mu_key_maker *k, struct mu_key *out); /* releases */

#endif
