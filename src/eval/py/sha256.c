/* sha256.c - hashlib.sha256(s).hexdigest(), by nettle */
#include <nettle/base16.h>
#include <nettle/sha2.h>

#include "eval/py/value.h"

void mu_sha256_hex(struct mu_str s, char out[65])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    if (s.n > 0)
        sha256_update(&ctx, s.n, (const uint8_t *)s.p);
    sha256_digest(&ctx, sizeof digest, digest);
    base16_encode_update(out, sizeof digest, digest);
    out[64] = 0;
}
