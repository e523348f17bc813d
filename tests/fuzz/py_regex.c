/* py_regex.c - a pattern of Python's re (the first line), a replacement (the second) and a text (the rest) */
#include <stdint.h>
#include <string.h>

#include "eval/py/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct mu_str take_line(struct mu_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct mu_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = line.n + (end != NULL);
    *rest = (struct mu_str){rest->p + used, rest->n - used};
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_err e = MU_ERR_INIT;
    struct mu_str text = {n ? (const char *)data : "", n};
    struct mu_str pattern = take_line(&text), replacement = take_line(&text);
    struct mu_buf out = MU_BUF_INIT("text", (size_t)1 << 20);
    struct mu_pyre *r = NULL;
    json_t *all = NULL;
    if (n <= 4096 && mu_pyre_compile(&r, pattern, (unsigned)(n % 16), "fuzz", &e) == MU_OK) {
        mu_pyre_findall(r, text, &all, &e);
        mu_pyre_sub(r, replacement, text, 0, &out, &e);
    }
    json_decref(all);
    mu_pyre_free(r);
    mu_buf_fini(&out);
    return 0;
}
