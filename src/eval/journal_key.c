/* journal_key.c - the key of a request: SHA-256 over parts, each with its length before it */
#include <string.h>

#include <nettle/sha2.h>
#include <nettle/version.h>

#include "base/mem.h"
#include "eval/journal.h"

static void add_length(struct sha256_ctx *s, uint64_t n)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(n >> 8 * i);
    sha256_update(s, sizeof b, b);
}

int mu_key_begin(struct mu_key_maker *k, struct mu_err *e)
{
    struct sha256_ctx *s = mu_alloc(sizeof *s);
    k->state = s;
    if (!s)
        return mu_fail_nomem(e, sizeof *s, "a key");
    sha256_init(s);
    return 0;
}

void mu_key_bytes(struct mu_key_maker *k, const void *p, size_t n)
{
    add_length(k->state, n);
    if (n > 0)
        sha256_update(k->state, n, p);
}

void mu_key_text(struct mu_key_maker *k, const char *s)
{
    mu_key_bytes(k, s, strlen(s));
}

void mu_key_end(struct mu_key_maker *k, struct mu_key *out)
{
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(k->state, out->b);
#else
    sha256_digest(k->state, sizeof out->b, out->b);
#endif
    mu_free(k->state);
    k->state = NULL;
}
