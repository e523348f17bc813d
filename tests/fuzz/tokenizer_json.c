/* tokenizer_json.c - fuzz: a tokenizer.json is opened, and encodes and decodes a little
 *
 * Patterns may be slow on purpose; texts are short so that a step bound, not time, ends them. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "tok/open_memory.h"

#define OUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "Hello  world's <s>\xC3\xA9\xE2\x96\x81 12,345\n\xF0\x9F\x91\x8D \xFF[MASK] ab";
    struct mu_buf out = MU_BUF_INIT("fuzz", OUT_MAX);
    struct mu_ids ids = MU_IDS_INIT(OUT_MAX);
    mu_tokenizer *t = NULL;
    struct mu_err e = MU_ERR_INIT;

    if (n == 0 || data[0] != '{' || mu_tokenizer_open_memory(&t, data, n, &e) != MU_OK)
        return 0;
    mu_tokenizer_encode(t, text, sizeof text - 1, MU_TOK_ADD_SPECIAL | MU_TOK_PARSE_SPECIAL, &ids, &e);
    mu_tokenizer_decode(t, ids.v, ids.n, MU_TOK_SKIP_SPECIAL, &out, &e);
    struct mu_tok_stream s;
    mu_tok_stream_begin(&s, t, 0);
    for (int32_t id = 0; id < 300; id++)
        mu_tok_stream_add(&s, id, &out, &e);
    mu_tok_stream_end(&s, &out, &e);
    mu_ids_fini(&ids);
    mu_buf_fini(&out);
    mu_tokenizer_close(t);
    return 0;
}
