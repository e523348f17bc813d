/* live_frame.c - what a stranger may send to the liveness watch: frames, and rank 0's place as text */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comm/live_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_live_frame f;
    struct mu_live_where w;
    struct mu_err err;
    unsigned char p[MU_LIVE_FRAME_MAX];
    char text[MU_LIVE_WHERE_MAX] = "";
    for (size_t at = 0; at < n;) {
        int used = mu_live_frame_read(&f, data + at, n - at);
        if (used <= 0)
            break;
        /* What is taken is written as it was read. */
        if (mu_live_frame_write(p, f.kind, f.rank, f.text) != (size_t)used || memcmp(p, data + at, (size_t)used) != 0)
            abort();
        at += (size_t)used;
    }
    memcpy(text, data, n < sizeof text - 1 ? n : sizeof text - 1);
    if (mu_live_where_parse(&w, text, &err) == MU_OK && w.n_addrs > MU_LIVE_ADDRS_MAX)
        abort();
    return 0;
}
