/* file.h - files read whole, mapped or in ranges, and written beside then renamed
 *
 * Every error names the path. A file that shrinks or is rewritten while open is found out (MU_ECHANGED). */
#ifndef MU_BASE_FILE_H
#define MU_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include <muster/err.h>

struct mu_file {
    int fd;
    uint64_t bytes;   /* at open */
    int64_t mtime_ns; /* at open */
    char *path;       /* owned */
};

#define MU_FILE_INIT                                                                                                   \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* "cannot <verb> <what>: <why>", with the code that belongs to err; what to do about a full disk is said too. */
int mu_fail_errno(struct mu_err *e, int err, const char *verb, const char *what);

int mu_file_open(struct mu_file *f, const char *path, struct mu_err *e); /* regular files only */
void mu_file_close(struct mu_file *f);

/* Exactly n bytes from offset, or MU_EIO / MU_ECHANGED. Any thread. */
int mu_file_read_at(const struct mu_file *f, void *p, size_t n, uint64_t offset, struct mu_err *e);

/* MU_ECHANGED when size or time of change differ from what they were at open. */
int mu_file_check(const struct mu_file *f, struct mu_err *e);

/* Map the whole file read-only; p stays valid until mu_file_unmap. An empty file maps to p = NULL. A file cut
 * short while mapped raises SIGBUS on access: use for files that are copied out at once, and check after. */
struct mu_map {
    const unsigned char *p;
    size_t n;
};
int mu_file_map(struct mu_map *m, const struct mu_file *f, struct mu_err *e);
void mu_file_unmap(struct mu_map *m);

/* The whole file into b (its max is the bound). */
int mu_file_read_all(struct mu_buf *b, const char *path, struct mu_err *e);

bool mu_path_exists(const char *path);
struct mu_str mu_path_name(const char *path); /* its last part: "Llama-2-7b" of "models/Llama-2-7b/" */
bool mu_path_is_dir(const char *path);
int mu_path_join(struct mu_buf *out, const char *dir, const char *name, struct mu_err *e); /* replaces out */
int mu_path_make_folders(const char *path, struct mu_err *e); /* the folder and those above it; there already is fine */

/* Output that appears whole or not at all: written to "<path>.<pid>.tmp", synced and renamed by commit. */
struct mu_outfile {
    FILE *f;
    char *path;
    char *path_tmp;
    bool is_note; /* not worth a sync: commit does without */
};
#define MU_OUTFILE_INIT                                                                                                \
    {                                                                                                                  \
        NULL, NULL, NULL, false                                                                                        \
    }

/* Refused where a folder, a device or a pipe stands: renaming would replace it. */
int mu_outfile_open(struct mu_outfile *o, const char *path, struct mu_err *e);
int mu_outfile_write(struct mu_outfile *o, const void *p, size_t n, struct mu_err *e);
int mu_outfile_commit(struct mu_outfile *o, struct mu_err *e); /* closes */
void mu_outfile_discard(struct mu_outfile *o);                 /* removes what was written; no-op after commit */

/* All of such an output at once. */
int mu_file_write_all(const char *path, const void *p, size_t n, struct mu_err *e);
int mu_file_write_note(const char *path, const void *p, size_t n, struct mu_err *e); /* the same, not synced */

#endif
