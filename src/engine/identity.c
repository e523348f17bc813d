/* identity.c - whether all ranks run one program on one checkpoint
 *
 * Compared are hashes: the program's file, config.json, and what the heads of the weight files say (names, types,
 * shapes and places of all tensors). The bytes of the weights are compared after loading, by the content's hash. */
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/seat.h"

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

static const char *const names[] = {"version", "program file", "model configuration", "weight files' heads", "weights"};
enum { VERSION, PROGRAM, CONFIG, HEADS, WEIGHTS };

struct identity {
    uint64_t hash[MU_COUNT(names)]; /* 0: not looked at */
};

static uint64_t hash_program(void)
{
    struct mu_file f = MU_FILE_INIT;
    struct mu_map m = {NULL, 0};
    uint64_t h = 0;
    if (mu_file_open(&f, "/proc/self/exe", NULL) == MU_OK && mu_file_map(&m, &f, NULL) == MU_OK)
        h = mu_hash64(m.p, m.n, 0);
    mu_file_unmap(&m);
    mu_file_close(&f);
    return h;
}

/* 0 where the configuration is in the weight file itself. */
static uint64_t hash_config(const char *path)
{
    struct mu_buf file = MU_BUF_INIT("a path", 1 << 16), text = MU_BUF_INIT("config.json", CONFIG_BYTES_MAX);
    uint64_t h = 0;
    if (mu_path_is_dir(path) && mu_path_join(&file, path, "config.json", NULL) == MU_OK &&
        mu_file_read_all(&text, file.p, NULL) == MU_OK)
        h = mu_hash64(text.p, text.n, 0);
    mu_buf_fini(&file);
    mu_buf_fini(&text);
    return h;
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

/* What differs on rank r, or NULL. */
static const char *difference(const struct identity *a, const struct identity *b)
{
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        if (a->hash[i] != b->hash[i])
            return names[i];
    }
    return NULL;
}

static int compare(struct mu_comm *world, const struct identity *own, struct mu_err *e)
{
    int n = mu_comm_size(world), rc = MU_OK;
    struct identity *all = NULL;
    size_t *bytes = NULL;
    MU_TRY(MU_NEW_ARRAY(&all, n, "the ranks' identities", e));
    MU_TRY(MU_NEW_ARRAY(&bytes, n, "their sizes", e));
    for (int r = 0; r < n; r++)
        bytes[r] = sizeof *own;
    all[mu_comm_rank(world)] = *own;
    MU_TRY(mu_comm_all_gather(world, all, bytes, e));
    for (int r = 1; r < n && rc == MU_OK; r++) {
        const char *what = difference(&all[0], &all[r]);
        if (what)
            rc = mu_fail(e, MU_EINVAL,
                         "rank %d on %s has another %s than rank 0 on %s: every rank must run the same program on the "
                         "same checkpoint",
                         r, mu_comm_host(world, r), what, mu_comm_host(world, 0));
    }
out:
    mu_free(all);
    mu_free(bytes);
    return rc;
}

int mu_identity_compare(struct mu_comm *world, const char *path, const struct mu_checkpoint *c, struct mu_err *e)
{
    struct identity own = {{0}};
    own.hash[VERSION] = mu_hash64(MU_VERSION, strlen(MU_VERSION), 0);
    own.hash[PROGRAM] = hash_program();
    own.hash[CONFIG] = hash_config(path);
    own.hash[HEADS] = hash_heads(c);
    return compare(world, &own, e);
}

int mu_identity_compare_weights(struct mu_comm *world, const char *content_hash, struct mu_err *e)
{
    struct identity own = {{0}};
    own.hash[WEIGHTS] = mu_hash64(content_hash, strlen(content_hash), 0);
    return compare(world, &own, e);
}
