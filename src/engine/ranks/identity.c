/* identity.c - whether all ranks run one program on one checkpoint
 *
 * Compared are hashes: the program's file, the configuration, what the heads of the weight files say (names, types,
 * shapes and places of all tensors), the tokenizer. Ranks of a node must also have the same files before them, since
 * each reads a part of the bytes for all (model/load_node.c): these are compared by device, inode, size and date.
 * Across nodes the bytes of the weights are compared after loading, by the content's hash. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <muster/tokenizer.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/seat.h"

#define CONFIG_BYTES_MAX ((size_t)64 << 20)

static const char *const names[] = {
    "another version",   "another program file", "another model configuration", "other heads of weight files",
    "another tokenizer", "other weights"};
enum { VERSION, PROGRAM, CONFIG, HEADS, TOKENIZER, WEIGHTS };

struct identity {
    uint64_t hash[MU_COUNT(names)]; /* 0: not looked at */
    uint64_t files;                 /* of which files, not of what is in them; of a node's ranks only */
};

/* A file that cannot be read is told of by whoever needs it; a rank without memory is no other rank. */
static int unless_no_memory(int rc)
{
    return rc == MU_ENOMEM ? rc : MU_OK;
}

/* Of its first bytes: a GGUF's configuration lies in front of the first tensor. */
static int hash_file(uint64_t *h, const char *path, uint64_t n_bytes, struct mu_err *e)
{
    struct mu_file f = MU_FILE_INIT;
    struct mu_map m = {NULL, 0};
    int rc = MU_OK;
    MU_TRY(mu_file_open(&f, path, e));
    MU_TRY(mu_file_map(&m, &f, e));
    *h = mu_hash64(m.p, (size_t)MU_MIN((uint64_t)m.n, n_bytes), 0);
out:
    mu_file_unmap(&m);
    mu_file_close(&f);
    return unless_no_memory(rc);
}

/* config.json in the folder of the weights. */
static int hash_config_of(uint64_t *h, const char *weights, struct mu_err *e)
{
    struct mu_buf file = MU_BUF_INIT("a path", 1 << 16), text = MU_BUF_INIT("config.json", CONFIG_BYTES_MAX);
    const char *slash = strrchr(weights, '/');
    int rc = MU_OK;
    MU_TRY(mu_buf_printf(&file, e, "%.*sconfig.json", slash ? (int)(slash - weights + 1) : 0, weights));
    MU_TRY(mu_file_read_all(&text, file.p, e));
    *h = mu_hash64(text.p, text.n, 0);
out:
    mu_buf_fini(&file);
    mu_buf_fini(&text);
    return unless_no_memory(rc);
}

static int hash_config(uint64_t *h, const struct mu_weights *w, struct mu_err *e)
{
    const char *path = mu_weights_n_files(w) > 0 ? mu_weights_file_path(w, 0) : NULL;
    if (!path || mu_weights_count(w) == 0)
        return MU_OK;
    const struct mu_tensor_info *t = mu_weights_at(w, 0);
    return mu_weights_gguf(w) ? hash_file(h, path, t->file == 0 ? t->offset : UINT64_MAX, e)
                              : hash_config_of(h, path, e);
}

static uint64_t hash_heads(const struct mu_checkpoint *c)
{
    uint64_t h = mu_hash64(c->eos, (size_t)c->n_eos * sizeof *c->eos, (uint64_t)(int64_t)c->bos);
    for (int64_t i = 0; i < mu_weights_count(c->weights); i++) {
        const struct mu_tensor_info *t = mu_weights_at(c->weights, i);
        uint64_t place[3] = {t->n_bytes, t->offset, (uint64_t)t->file};
        h = mu_hash64(t->name, strlen(t->name), h);
        h = mu_hash64(t->stored, strlen(t->stored), h);
        h = mu_hash64(t->dims, (size_t)t->n_dims * sizeof *t->dims, h);
        h = mu_hash64(place, sizeof place, h);
    }
    return h;
}

uint64_t mu_identity_of_files(const struct mu_weights *w, bool has_device)
{
    uint64_t h = 0;
    for (int i = 0; i < mu_weights_n_files(w); i++) {
        struct stat s;
        if (stat(mu_weights_file_path(w, i), &s) != 0)
            continue; /* the loader tells */
        uint64_t which[5] = {has_device ? (uint64_t)s.st_dev : 0, (uint64_t)s.st_ino, (uint64_t)s.st_size,
                             (uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec};
        h = mu_hash64(which, sizeof which, h);
    }
    return h;
}

static uint64_t hash_tokenizer(const mu_tokenizer *t)
{
    struct mu_tokenizer_info info = {.hash = 0};
    if (t)
        mu_tokenizer_info(t, &info);
    return info.hash;
}

/* What b differs in from a, rank 0's, or NULL. A command that needs no tokenizer has none on rank 0. */
static const char *difference(const struct identity *a, const struct identity *b)
{
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        if (a->hash[i] != b->hash[i] && (i != TOKENIZER || a->hash[i] != 0))
            return names[i];
    }
    return NULL;
}

static int compare_one(const struct mu_comm *world, const struct identity *all, int r, struct mu_err *e)
{
    const char *what = difference(&all[0], &all[r]);
    int first = 0;
    if (what)
        return mu_fail(e, MU_EINVAL,
                       "rank %d on %s has %s than rank 0 on %s: every rank must run the same program on the "
                       "same checkpoint",
                       r, mu_comm_host(world, r), what, mu_comm_host(world, 0));
    while (mu_comm_node(world, first) != mu_comm_node(world, r))
        first++;
    if (all[first].files != all[r].files)
        return mu_fail(e, MU_EINVAL,
                       "rank %d has other weight files before it than rank %d on the same node, %s: ranks of a node "
                       "read each file once between them and need the same one",
                       r, first, mu_comm_host(world, r));
    return MU_OK;
}

/* rc: what finding out one's own came to. */
static int compare(struct mu_comm *world, const struct identity *own, int rc, struct mu_err *e)
{
    int n = mu_comm_size(world);
    struct identity *all = NULL;
    size_t *bytes = NULL;
    if (rc == MU_OK)
        rc = MU_NEW_ARRAY(&all, n, "the ranks' identities", e);
    if (rc == MU_OK)
        rc = MU_NEW_ARRAY(&bytes, n, "their sizes", e);
    MU_TRY(mu_agree(world, rc, e));
    for (int r = 0; r < n; r++)
        bytes[r] = sizeof *own;
    all[mu_comm_rank(world)] = *own;
    MU_TRY(mu_comm_all_gather(world, all, bytes, e));
    for (int r = 1; r < n && rc == MU_OK; r++)
        rc = compare_one(world, all, r, e);
out:
    mu_free(all);
    mu_free(bytes);
    return rc;
}

int mu_identity_compare(struct mu_comm *world, const struct mu_engine_opts *o, const struct mu_checkpoint *c,
                        struct mu_err *e)
{
    struct identity own = {{0}, 0};
    own.hash[VERSION] = mu_hash64(MU_VERSION, strlen(MU_VERSION), 0);
    int rc = hash_file(&own.hash[PROGRAM], "/proc/self/exe", UINT64_MAX, e);
    if (rc == MU_OK)
        rc = hash_config(&own.hash[CONFIG], c->weights, e);
    own.hash[HEADS] = hash_heads(c);
    own.hash[TOKENIZER] = hash_tokenizer(o->tokenizer);
    own.files = mu_identity_of_files(c->weights, true);
    return compare(world, &own, rc, e);
}

int mu_identity_compare_weights(struct mu_comm *world, const char *content_hash, struct mu_err *e)
{
    struct identity own = {{0}, 0};
    own.hash[WEIGHTS] = mu_hash64(content_hash, strlen(content_hash), 0);
    return compare(world, &own, MU_OK, e);
}
