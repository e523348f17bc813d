/* layout.c - fuzz target: any text as a layout; what parses is printed and parsed again, and places come back */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan/layout.h"

static void check(const struct mu_layout *l)
{
    struct mu_buf text = MU_BUF_INIT("a layout", 256);
    struct mu_layout again;
    struct mu_err e;
    if (mu_layout_print(l, &text, &e) != MU_OK || mu_layout_parse(&again, text.p, mu_layout_ranks(l), &e) != MU_OK ||
        memcmp(l, &again, sizeof again) != 0)
        abort();
    mu_buf_fini(&text);
    for (int r = 0; r < mu_layout_ranks(l); r++) {
        struct mu_layout_place p = mu_layout_place_of(l, r);
        if (mu_layout_rank_of(l, &p) != r || p.stage >= l->pp || p.t >= l->tp || p.lane >= mu_layout_lanes(l) ||
            p.replica >= mu_layout_replicas(l))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_layout l;
    struct mu_err e;
    char text[512];
    int ranks = n > 0 ? data[0] : 0;
    if (n < 1 || n >= sizeof text)
        return 0;
    memcpy(text, data + 1, n - 1);
    text[n - 1] = 0;
    if (mu_layout_parse(&l, text, ranks, &e) == MU_OK)
        check(&l);
    return 0;
}
