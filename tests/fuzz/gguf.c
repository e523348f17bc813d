/* gguf.c - any bytes as a .gguf file: refused with a sentence, or every value and tensor readable */
#include "fmt/gguf.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile double sink; /* keeps the reads */

static void read_items(struct mu_gguf_array a)
{
    struct mu_gguf_array sub;
    struct mu_str s;
    if (a.type == MU_GGUF_STRING)
        while (mu_gguf_next_string(&a, &s))
            sink = sink + (s.n ? s.p[s.n - 1] : 0);
    else if (a.type == MU_GGUF_ARRAY)
        while (mu_gguf_next_array(&a, &sub))
            read_items(sub);
    else
        for (uint64_t i = 0; i < a.n; i++)
            sink = sink + mu_gguf_real_at(&a, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    struct mu_gguf *g;
    struct mu_err err;
    if (mu_gguf_open(&g, path, &err) == MU_OK) {
        for (int64_t i = 0; i < mu_gguf_count(g); i++)
            read_items(mu_gguf_at(g, i)->items);
        mu_gguf_free(g);
    }
    fuzz_read_all(path, MU_READ_DIRECT);
    return 0;
}
