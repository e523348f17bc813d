/* bench_tok.c - how long a tokenizer takes to open, and how fast it encodes and decodes a file
 *
 * Usage: bench_tok TOKENIZER [TEXT_FILE [repeats]]. Prints one CSV line per measure: what, milliseconds, MB/s. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include <muster/tokenizer.h>

static double ms_since(int64_t from)
{
    return (double)(mu_now_ns(mu_clock_real()) - from) / 1e6;
}

static int fail(const struct mu_err *e)
{
    fprintf(stderr, "bench_tok: %s\n", e->text);
    return 1;
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("text", MU_TOK_TEXT_BYTES_MAX), out = MU_BUF_INIT("text", MU_TOK_TEXT_BYTES_MAX);
    struct mu_ids ids = MU_IDS_INIT((size_t)1 << 29);
    mu_tokenizer *t;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_tok TOKENIZER [TEXT_FILE [repeats]]\n");
        return 2;
    }
    int64_t from = mu_now_ns(mu_clock_real());
    if (mu_tokenizer_open(&t, argv[1], NULL, &e))
        return fail(&e);
    printf("open,%.1f,\n", ms_since(from));
    for (int i = 0; argc > 2 && i < (argc > 3 ? atoi(argv[3]) : 1); i++) {
        text.n = ids.n = out.n = 0;
        if (mu_file_read_all(&text, argv[2], &e))
            return fail(&e);
        from = mu_now_ns(mu_clock_real());
        if (mu_tokenizer_encode(t, text.p, text.n, MU_TOK_PARSE_SPECIAL, &ids, &e))
            return fail(&e);
        double ms = ms_since(from);
        printf("encode,%.1f,%.1f\n", ms, (double)text.n / ms / 1e3);
        from = mu_now_ns(mu_clock_real());
        if (mu_tokenizer_decode(t, ids.v, ids.n, 0, &out, &e))
            return fail(&e);
        ms = ms_since(from);
        printf("decode,%.1f,%.1f\n", ms, (double)out.n / ms / 1e3);
    }
    mu_ids_fini(&ids);
    mu_buf_fini(&text);
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
    return 0;
}
