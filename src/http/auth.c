/* auth.c - bearer keys, compared in a time that tells nothing: digests of equal length, all of them, every time */
#include <nettle/sha2.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "http/http_int.h"

static void digest(const char *key, unsigned char out[MU_HTTP_DIGEST_BYTES])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, strlen(key), (const uint8_t *)key);
    sha256_digest(&ctx, MU_HTTP_DIGEST_BYTES, out);
}

int mu_http_keys_open(struct mu_http_server *s, const char *const *keys, struct mu_err *e)
{
    int n = 0;
    while (keys && keys[n])
        n++;
    if (n == 0)
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&s->digests, n, "the digests of the keys", e));
    for (int i = 0; i < n; i++) {
        if (!keys[i][0])
            return mu_fail(e, MU_EINVAL, "key %d is empty, which anybody could give", i + 1);
        digest(keys[i], s->digests[i]);
    }
    s->n_keys = n;
    return MU_OK;
}

bool mu_http_key_is_good(const struct mu_http_server *s, const char *authorization)
{
    unsigned char given[MU_HTTP_DIGEST_BYTES];
    unsigned good = 0;

    if (s->n_keys == 0)
        return true;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    digest(authorization + 7, given);
    for (int i = 0; i < s->n_keys; i++) {
        unsigned apart = 0;
        for (int k = 0; k < MU_HTTP_DIGEST_BYTES; k++)
            apart |= (unsigned)(given[k] ^ s->digests[i][k]);
        good |= apart == 0;
    }
    return good;
}
