/* packed.h - a model's weights as they lie in memory, in one file that is mapped in place
 *
 *   "MUPACKED" | u32 0x01020304 | u32 version | u64 bytes of the head | u64 its XXH3 | the head, JSON | zeros
 *   from MU_PACKED_ALIGN on: the block
 *
 * Numbers are as the machine stores them that wrote the file; another byte order is refused. This part knows where the
 * block lies, how long it is and what its hash is; what is in it and whose network it belongs to are names to it, which
 * model/packed.h understands. The block is aligned to a large page, so that file systems that keep their cache in large
 * pages can map it by them. */
#ifndef MU_FMT_PACKED_H
#define MU_FMT_PACKED_H

#include "base/file.h"

#define MU_PACKED_NAME        "model.packed" /* in its folder */
#define MU_PACKED_MAGIC       "MUPACKED"
#define MU_PACKED_VERSION     1 /* of the frame above and the head's members */
#define MU_PACKED_ALIGN       ((size_t)2 << 20)
#define MU_PACKED_HEAD_MAX    ((size_t)1 << 20) /* bytes of JSON; 4096 source files take 300 KB */
#define MU_PACKED_SOURCES_MAX 4096
#define MU_PACKED_NAME_MAX    255 /* bytes of a source file's name */

/* Hexadecimal texts, NUL-terminated. */
struct mu_packed_head {
    char weights[8];  /* "bf16": the format they are in */
    char mla[16];     /* the form of latent attention they are laid out for */
    char layout[17];  /* how a program lays weights out */
    char network[33]; /* the description of the network they are for */
    char content[33]; /* of the checkpoint they were made from */
    char hash[17];    /* of the block */
    uint64_t block_bytes;
    char source[MU_PACKED_NAME_MAX + 1]; /* the checkpoint's first file */
    int n_sources;
    uint64_t source_bytes; /* of all its files */
};

/* A file of the checkpoint, for people. */
struct mu_packed_source {
    const char *name; /* without folders */
    uint64_t bytes;
};

/* From the first n bytes of a file of file_bytes (all of it, or at least MU_PACKED_ALIGN). `where` names it.
 * MU_EFORMAT: cut short, or damaged; MU_EUNSUPPORTED: another version or byte order. */
int mu_packed_parse(struct mu_packed_head *out, struct mu_str start, uint64_t file_bytes, const char *where,
                    struct mu_err *e);
int mu_packed_read_head(struct mu_packed_head *out, const struct mu_file *f, struct mu_err *e);

/* Called with bytes done and in all; nonzero stops with MU_ECANCELED. */
typedef int (*mu_packed_progress_fn)(void *arg, uint64_t done, uint64_t total);

/* What a file is made of: the block in parts, one after the other. */
struct mu_packed_what {
    const struct mu_packed_source *sources;
    int n_sources;
    const struct mu_str *parts;
    int n_parts;
};

/* Writes the file whole or not at all, and fills in the head's hash and block_bytes. */
int mu_packed_write(const char *path, struct mu_packed_head *head, const struct mu_packed_what *what,
                    mu_packed_progress_fn progress, void *arg, struct mu_err *e);

/* Reads the block and compares it with its hash: MU_EFORMAT when it differs. */
int mu_packed_verify(const struct mu_packed_head *head, const struct mu_file *f, struct mu_err *e);

/* "model-00001-of-00002.safetensors and 1 more": what to go back to. Returns buf. */
const char *mu_packed_source_text(const struct mu_packed_head *head, char buf[MU_PACKED_NAME_MAX + 32]);

#endif
