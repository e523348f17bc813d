/* convert_gguf.h - what a conversion of a GGUF file needs beside its tensors: published names, config and tokenizer */
#ifndef MU_CLI_CONVERT_GGUF_H
#define MU_CLI_CONVERT_GGUF_H

#include "fmt/convert.h"
#include "model/export.h"

#define MU_CONVERT_GGUF_TEXTS 3

struct mu_convert_gguf {
    struct mu_weights *w;
    struct mu_export *x;
    struct mu_buf config, tokenizer, tokenizer_config;
    struct mu_convert_text texts[MU_CONVERT_GGUF_TEXTS];
};

/* Where src is a GGUF checkpoint: sets hooks, texts and, where its blocks leave no choice, the type of *o, which stay
 * valid until close. Any other src: nothing. Everything that can be refused is refused here, before anything is
 * written. */
int mu_convert_gguf_open(struct mu_convert_gguf *c, const char *src, struct mu_convert_opts *o, struct mu_err *e);
void mu_convert_gguf_close(struct mu_convert_gguf *c); /* a zeroed one is fine */

#endif
