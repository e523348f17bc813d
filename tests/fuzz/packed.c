/* packed.c - fuzz target: any bytes as a packed model, as they are and as a head with the right frame around it */
#include "fmt/packed.h"

#include "base/hash.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is taken is bounded: texts end, and the block is as long as the file says. */
static void parse(const char *p, size_t n, uint64_t file_bytes)
{
    char source[MU_PACKED_NAME_MAX + 32];
    struct mu_packed_head h;
    struct mu_err e;
    if (mu_packed_parse(&h, (struct mu_str){p, n}, file_bytes, "fuzz", &e) != MU_OK)
        return;
    if (h.block_bytes + MU_PACKED_ALIGN != file_bytes || strlen(h.network) != 32 || strlen(h.layout) != 16 ||
        h.n_sources < 1 || !strchr(mu_packed_source_text(&h, source), h.source[0]))
        abort();
}

/* The hash would keep all but lucky inputs from the head. */
static void parse_as_head(const uint8_t *data, size_t n)
{
    static char frame[32 + MU_PACKED_HEAD_MAX];
    uint32_t marks[2] = {0x01020304, MU_PACKED_VERSION};
    uint64_t head[2] = {n, mu_hash64(data, n, 0)};
    if (n > MU_PACKED_HEAD_MAX)
        return;
    memcpy(frame, MU_PACKED_MAGIC, 8);
    memcpy(frame + 8, marks, 8);
    memcpy(frame + 16, head, 16);
    memcpy(frame + 32, data, n);
    parse(frame, 32 + n, MU_PACKED_ALIGN + 4096);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse((const char *)data, n, n);
    parse_as_head(data, n);
    fuzz_read_all(fuzz_file(data, n), MU_READ_DIRECT);
    return 0;
}
